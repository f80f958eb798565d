/*
 * tcp_clock.c - the timers of all connections, to the microsecond.
 *
 * A heap of the connections that wait for something, by time. A timer is moved with each acknowledgement, nearly always
 * to later: that only writes the new time down. The heap keeps the earlier one, and when that comes the connection is
 * put in again with the time that it has by then. So a busy connection costs the heap something once a time-out, not
 * once a segment.
 *
 * A connection without its timer would wait for ever, so the heap has room for every clock there is before it is used.
 */
#include "tcp_clock.h"

#include <assert.h>
#include <stdlib.h>

#include "stack/port.h"

struct entry {
    uint64_t at_us; /* no later than clock->due_us */
    struct tcp_clock *clock;
};

static struct entry *heap; /* heap[1] is the first */
static size_t count, capacity; /* capacity: entries of heap */
static size_t reserved;        /* clocks */

static void put(size_t place, struct entry entry)
{
    heap[place] = entry;
    entry.clock->place = place;
}

static void move_up(size_t place, struct entry entry)
{
    for (; place > 1 && heap[place / 2].at_us > entry.at_us; place /= 2)
        put(place, heap[place / 2]);
    put(place, entry);
}

static void move_down(size_t place, struct entry entry)
{
    for (;;) {
        size_t child = place * 2;

        if (child < count && heap[child + 1].at_us < heap[child].at_us)
            child++;
        if (child > count || heap[child].at_us >= entry.at_us)
            break;
        put(place, heap[child]);
        place = child;
    }
    put(place, entry);
}

void tcp_clock_remove(struct tcp_clock *clock)
{
    size_t place = clock->place;
    struct entry last;

    clock->place = 0;
    clock->due_us = TCP_CLOCK_NEVER;
    if (place == 0)
        return;
    last = heap[count--];
    if (place <= count) {
        if (place > 1 && heap[place / 2].at_us > last.at_us)
            move_up(place, last);
        else
            move_down(place, last);
    }
}

bool tcp_clock_reserve(size_t clocks)
{
    size_t wanted = capacity > 0 ? capacity * 2 : 64;
    struct entry *larger;

    if (reserved + clocks >= capacity) { /* heap[0] is not used */
        larger = realloc(heap, wanted * sizeof *heap);
        if (larger == NULL)
            return false;
        heap = larger;
        capacity = wanted;
    }
    reserved += clocks;
    return true;
}

void tcp_clock_unreserve(size_t clocks)
{
    assert(count + clocks <= reserved && "they were removed");
    reserved -= clocks;
    if (reserved == 0) {
        free(heap);
        heap = NULL;
        capacity = 0;
    }
}

void tcp_clock_set(struct tcp_clock *clock, uint64_t due_us)
{
    clock->due_us = due_us;
    if (due_us == TCP_CLOCK_NEVER)
        return; /* what the heap has is found void when it comes up */
    if (clock->place > 0) {
        if (due_us < heap[clock->place].at_us)
            move_up(clock->place, (struct entry){due_us, clock});
        return;
    }
    assert(count < reserved && "each clock has a place");
    move_up(++count, (struct entry){due_us, clock});
}

uint64_t tcp_clock_next_us(void)
{
    return count > 0 ? heap[1].at_us : TCP_CLOCK_NEVER;
}

struct tcp_clock *tcp_clock_take(void)
{
    while (count > 0 && heap[1].at_us <= port_now_us) {
        struct tcp_clock *clock = heap[1].clock;
        uint64_t due_us = clock->due_us;

        if (due_us > port_now_us && due_us != TCP_CLOCK_NEVER) {
            move_down(1, (struct entry){due_us, clock});
            continue;
        }
        tcp_clock_remove(clock);
        if (due_us <= port_now_us)
            return clock;
    }
    return NULL;
}
