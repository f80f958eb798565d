/*
 * memory.c - the bound on memory (max-memory).
 *
 * What counts is what grows with use: the blocks that hold data, what lwIP needs for each segment, and connections. The
 * kernel's memory behind a program's descriptors does not; its own limits bound it.
 *
 * Who gets how much follows from two rules. A queue may have as many bytes as are free, and all that a user has may be
 * USER_WEIGHT times as much: with one heavy user eight ninths are his then and one is free, with two each has eight
 * seventeenths, however many connections either has; who has less than that feels nothing. So the heaviest users are
 * throttled first, and the less is free the more of them (Choudhury and Hahne 1998, "dynamic thresholds"). A little
 * every queue may always have, so that no connection stands still: its part of a quarter of the bound, but at least a
 * small block. So what is beyond the bound is a quarter of it, or, when there are very many connections, 4 KB for each.
 *
 * Throttling is gentle where it can be: the send queue takes no more, so the program waits; the receive window stops
 * opening, so the peer does. A peer that fills the window it was promised before is told the hard way at the very end:
 * its data is dropped, and sent again; that of users with less than an equal part later than that of the others. What
 * came out of order goes first: it can't be consumed yet.
 * Connections are refused last, when all that is not data has filled the memory, in the same order. None is ended.
 *
 * What was freed is kept for the next user (block.c, small.c) while the stack is busy and it fits within the bound. A
 * second after the last frame all of it goes back to the kernel (memory_tick()): the C library keeps what it can't cut
 * off the end of its heap, which after a busy time is nearly all.
 */
#include "memory.h"

#include "block.h"
#include "small.h"
#include "stack/tcp/tcp_socket.h"

#include <malloc.h>
#include <stdlib.h>

#define FLOOR_PART 4          /* of the limit all queues may have together so, unless they are too many */
#define USER_WEIGHT 8
#define TRIM_BYTES (1024 * 1024) /* less is not worth looking for */
#define CONNECTION_BYTES (sizeof(struct stack_tcp) + sizeof(struct tcp_pcb) + 640) /* and the service's part of it */

struct memory_counters memory_counters;

static size_t limit; /* 0: none */
static size_t used_most; /* since memory was returned to the kernel */

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
    return block_bytes_used + small_bytes_used + tcp_counters.sockets * CONNECTION_BYTES +
           time_wait_count * sizeof(struct time_wait);
}

size_t memory_kept(void)
{
    return block_bytes_kept + small_bytes_kept;
}

bool memory_may_keep(size_t bytes)
{
    return limit == 0 || memory_used() + memory_kept() + bytes <= limit;
}

void memory_release_kept(void)
{
    block_release_kept();
    small_release_kept();
}

bool memory_tick(bool busy)
{
    size_t used = memory_used() + memory_kept();

    if (used_most < used)
        used_most = used;
    if (busy)
        return used_most > TRIM_BYTES;
    memory_release_kept();
    used = memory_used();
    if (used_most > used + TRIM_BYTES) {
        (void)malloc_trim(0);
        used_most = used;
    }
    return false;
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

size_t memory_floor(void)
{
    size_t part = limit / FLOOR_PART / (2 * tcp_counters.sockets + 1);

    return part > MEMORY_FLOOR_MAX ? MEMORY_FLOOR_MAX : part < block_sizes[BLOCK_SMALL] ? block_sizes[BLOCK_SMALL] : part;
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
    rest = memory_floor();
    return room > rest ? room : rest;
}

/* From how much on in all is it too much for this user? Who has less than an equal part has a little more room. */
static size_t threshold(const struct memory_user *of)
{
    return of->bytes * user_count >= limit ? limit : limit + limit / 16;
}

bool memory_is_short(const struct memory_user *of)
{
    return limit != 0 && memory_used() >= threshold(of);
}

bool memory_is_full(const struct memory_user *of)
{
    return limit != 0 && memory_used() >= threshold(of) + limit / 16;
}
