/* tcp_pace.h - how soon what the window allows may leave. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_PACE_H
#define SIDESTACK_TCP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp_clock.h"

struct stack_tcp;

struct tcp_pace {
    struct tcp_clock clock;
    uint64_t due_us; /* when what was sent will have left */
};

extern bool tcp_pace_wanted; /* tests that count what a window lets out want none */

void tcp_pace_start(struct stack_tcp *tcp);
void tcp_pace_release(struct stack_tcp *tcp);
/* Is this a connection that paces? */
bool tcp_pace_is_on(const struct stack_tcp *tcp);
/* Return: bytes a second. */
uint64_t tcp_pace_rate(const struct stack_tcp *tcp);
/* Return: bytes that may leave now. */
uint32_t tcp_pace_allowance(const struct stack_tcp *tcp);
/* So many bytes leave. */
void tcp_pace_on_sent(struct stack_tcp *tcp, uint32_t length);
/* waits: there is more to send, and only the pace is against it. */
void tcp_pace_set_clock(struct stack_tcp *tcp, bool waits);

#endif
