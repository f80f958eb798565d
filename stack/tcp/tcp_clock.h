/* tcp_clock.h - one moment for each connection at which it wants to be called. */
#ifndef SIDESTACK_TCP_CLOCK_H
#define SIDESTACK_TCP_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_CLOCK_NEVER UINT64_MAX

/* Part of what wants to be called. */
struct tcp_clock {
    uint64_t due_us; /* TCP_CLOCK_NEVER: not at all */
    size_t place;    /* in the heap, from 1 on; 0: not there */
    void (*run)(struct tcp_clock *clock); /* called at that time */
};

/* Room for so many clocks more, so that setting one can't fail; to give it back: when they are removed. Return: false
 * when out of memory. */
bool tcp_clock_reserve(size_t clocks);
void tcp_clock_unreserve(size_t clocks);

/* Set the moment, or take it back with TCP_CLOCK_NEVER. */
void tcp_clock_set(struct tcp_clock *clock, uint64_t due_us);

/* The clock's memory goes away. */
void tcp_clock_remove(struct tcp_clock *clock);

/* Return: no earlier than this something is due; TCP_CLOCK_NEVER: nothing is. */
uint64_t tcp_clock_next_us(void);

/* Return: one that is due, and is not any more; NULL: none. */
struct tcp_clock *tcp_clock_take(void);

#endif
