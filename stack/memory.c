/*
 * memory.c - the bound on memory (max-memory).
 *
 * What counts is what grows with use: data that was not acknowledged yet or not consumed yet, and connections. The kernel's memory
 * behind a program's descriptors does not; its own limits bound it.
 *
 * Who gets how much follows from one rule: a queue may have as many bytes as are free. With one heavy user half of all memory is
 * his then and half is free, with two each has a third, with a hundred a hundredth; who has less than that feels nothing. So the heaviest are throttled
 * first, and the less is free the more of them (Choudhury and Hahne 1998, "dynamic thresholds"). A little everyone may always have,
 * so that no connection stands still.
 *
 * Throttling is gentle where it can be: the send queue takes no more, so the program waits; the receive window stops opening, so the peer
 * does. A peer that fills the window it was promised before is told the hard way at the very end: its data is dropped, and sent again.
 * Connections are refused last, when all that is not data has filled the memory. None is ended.
 */
#include "memory.h"

#include "stack/tcp/tcp_socket.h"

#define FLOOR_BYTES (32 * 1024)  /* that a queue may always have */
#define CONNECTION_BYTES (sizeof(struct stack_tcp) + sizeof(struct tcp_pcb) + 640) /* and the service's part of it */

struct memory_counters memory_counters;

static size_t limit; /* 0: none */

void memory_set_limit(size_t wanted)
{
    limit = wanted;
}

size_t memory_limit(void)
{
    return limit;
}

size_t memory_used(void)
{
    return tcp_counters.transmit_bytes + tcp_counters.receive_bytes + tcp_counters.sockets * CONNECTION_BYTES +
           time_wait_count * sizeof(struct time_wait);
}

size_t memory_share(void)
{
    size_t used;

    if (limit == 0)
        return SIZE_MAX;
    used = memory_used();
    return used < limit && limit - used > FLOOR_BYTES ? limit - used : FLOOR_BYTES;
}

bool memory_is_short(size_t has)
{
    return limit != 0 && has >= FLOOR_BYTES && memory_used() >= limit;
}

bool memory_is_full(void)
{
    return limit != 0 && memory_used() >= limit + limit / 16;
}
