/* memory.h - how much memory data may take in the stack, and who may have how much of it. */
#ifndef SIDESTACK_MEMORY_H
#define SIDESTACK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_counters {
    uint64_t throttled; /* times that a connection was allowed less than it could have used */
    uint64_t dropped;   /* segments with data, the peer's to send again */
    uint64_t refused;   /* handshakes, likewise */
};
extern struct memory_counters memory_counters;

/* Data and connections are to take at most so many bytes; 0: no bound. */
void memory_set_limit(size_t limit);
size_t memory_limit(void);

/* Return: bytes that they take now. */
size_t memory_used(void);

/* How many bytes may a connection have in one of its queues? SIZE_MAX: as many as it likes. */
size_t memory_share(void);

/* Is there no room for data of a connection that has so many bytes in its queue? */
bool memory_is_short(size_t has);

/* Is there no room for one more connection? */
bool memory_is_full(void);

#endif
