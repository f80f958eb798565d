/*
 * memory.c - the bound on memory (max-memory).
 *
 * What counts is what grows with use: data that was not acknowledged yet or not consumed yet, and connections. The
 * kernel's memory behind a program's descriptors does not; its own limits bound it.
 *
 * Who gets how much follows from two rules. A queue may have as many bytes as are free, and all that a user has may be
 * USER_WEIGHT times as much: with one heavy user eight ninths are his then and one is free, with two each has eight
 * seventeenths, however many connections either has; who has less than that feels nothing. So the heaviest users are
 * throttled first, and the less is free the more of them (Choudhury and Hahne 1998, "dynamic thresholds"). A little
 * every queue may always have, so that no connection stands still.
 *
 * Throttling is gentle where it can be: the send queue takes no more, so the program waits; the receive window stops
 * opening, so the peer does. A peer that fills the window it was promised before is told the hard way at the very end:
 * its data is dropped, and sent again; that of users with less than an equal part later than that of the others.
 * Connections are refused last, when all that is not data has filled the memory, in the same order. None is ended.
 */
#include "memory.h"

#include "stack/tcp/tcp_socket.h"

#include <stdlib.h>

#define FLOOR_BYTES (32 * 1024)  /* that a queue may always have */
#define USER_WEIGHT 8
#define CONNECTION_BYTES (sizeof(struct stack_tcp) + sizeof(struct tcp_pcb) + 640) /* and the service's part of it */

struct memory_counters memory_counters;

static size_t limit; /* 0: none */

static struct memory_user *users; /* a few: users, not connections */
static size_t user_count;
static struct memory_user others; /* of users for whose record there was no memory */

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

struct memory_user *memory_hold(uint32_t user)
{
    struct memory_user *it = users;

    while (it != NULL && it->user != user)
        it = it->next;
    if (it == NULL) {
        it = calloc(1, sizeof *it);
        if (it == NULL)
            return memory_hold_more(&others);
        *it = (struct memory_user){.next = users, .user = user};
        users = it;
        user_count++;
    }
    return memory_hold_more(it);
}

struct memory_user *memory_hold_more(struct memory_user *of)
{
    of->holders++;
    of->bytes += CONNECTION_BYTES;
    return of;
}

void memory_release(struct memory_user *of)
{
    struct memory_user **place = &users;

    of->bytes -= CONNECTION_BYTES;
    if (--of->holders > 0 || of == &others)
        return;
    while (*place != of)
        place = &(*place)->next;
    *place = of->next;
    user_count--;
    free(of);
}

size_t memory_share(const struct memory_user *of, size_t has)
{
    size_t used, room, rest;

    if (limit == 0)
        return SIZE_MAX;
    used = memory_used();
    room = used < limit ? limit - used : 0;
    rest = of->bytes > has ? of->bytes - has : 0; /* what the user has elsewhere */
    rest = USER_WEIGHT * room > rest ? USER_WEIGHT * room - rest : 0;
    room = rest < room ? rest : room;
    return room > FLOOR_BYTES ? room : FLOOR_BYTES;
}

/* From how much on in all is it too much for this user? Who has less than an equal part has a little more room. */
static size_t threshold(const struct memory_user *of)
{
    return of->bytes * user_count >= limit ? limit : limit + limit / 16;
}

bool memory_is_short(const struct memory_user *of, size_t has)
{
    return limit != 0 && has >= FLOOR_BYTES && memory_used() >= threshold(of);
}

bool memory_is_full(const struct memory_user *of)
{
    return limit != 0 && memory_used() >= threshold(of) + limit / 16;
}
