/* memory.h - how much memory data may take in the stack, and who may have how much of it. */
#ifndef SIDESTACK_MEMORY_H
#define SIDESTACK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_FLOOR_MAX (32 * 1024) /* memory_floor() is never more */

struct memory_counters {
    uint64_t throttled; /* times that a connection was allowed less than it could have used */
    uint64_t dropped;   /* segments with data, the peer's to send again */
    uint64_t refused;   /* handshakes, likewise */
};
extern struct memory_counters memory_counters;

/* What the connections of one user have. Each connection holds its user's. */
struct memory_user {
    struct memory_user *next; /* list of all */
    size_t bytes;             /* queues and connections */
    size_t holders;
    uint32_t user;
};

/* Data and connections are to take at most so many bytes; 0: no bound. */
void memory_set_limit(size_t limit);
size_t memory_limit(void);

/* Return: bytes that they take now. */
size_t memory_used(void);

/* Return: bytes that were freed, and are kept for the next user. */
size_t memory_kept(void);

/* May so many bytes more be kept? */
bool memory_may_keep(size_t bytes);

/* Return what is kept to the C library. */
void memory_release_kept(void);

/* A second is over, in which the stack was busy, or at rest: return to the kernel what is not needed. Return: will there
 * be something to do when it comes to rest? */
bool memory_tick(bool busy);

/* A connection of the user's. Its queues count from then on (memory_add()). Return: never NULL; without memory who has
 * no record yet shares one with others. */
struct memory_user *memory_hold(uint32_t user);
/* One more of whom has one already. */
struct memory_user *memory_hold_more(struct memory_user *of);
/* It is gone, its queues are empty. */
void memory_release(struct memory_user *of);

static inline void memory_add(struct memory_user *of, size_t bytes)
{
    of->bytes += bytes;
}

static inline void memory_remove(struct memory_user *of, size_t bytes)
{
    of->bytes -= bytes;
}

/* How many bytes may a connection of the user's have in a queue that has `has` now? SIZE_MAX: as many as it likes. */
size_t memory_share(const struct memory_user *of, size_t has);

/* How many bytes may each queue have, however much is used? */
size_t memory_floor(void);

/* Is there no room for data of a connection of the user's, beyond that? */
bool memory_is_short(const struct memory_user *of);

/* Is there not even room for one more connection? */
bool memory_is_full(const struct memory_user *of);

#endif
