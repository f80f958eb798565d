/* outlet.h - a pipe to somebody who asked for something that is long, or has no end. */
#ifndef SIDESTACK_OUTLET_H
#define SIDESTACK_OUTLET_H

#include "service/watch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct outlet;

struct outlet_kind {
    /* Append more to the buffer; there is room for at least .piece_max bytes. Return: false: that was all, it ends when
     * it is read. NULL: what comes is appended as it happens, by whoever uses outlet_room(). */
    bool (*fill)(struct outlet *outlet);
    /* It ends: free what belongs to it, not the outlet. */
    void (*close)(struct outlet *outlet);
    size_t piece_max; /* bytes */
};

/* Embedded at the start of what uses it; freed with it. */
struct outlet {
    struct watch watch; /* first */
    const struct outlet_kind *kind;
    int fd;           /* owned; the writing end */
    uid_t uid;        /* who asked */
    char *buffer;     /* owned */
    size_t size;      /* of buffer */
    size_t start, end; /* what waits in it */
    bool is_full;     /* the pipe took no more; EPOLLOUT comes */
    time_t full_since_s; /* then, on CLOCK_MONOTONIC */
    bool is_ending;   /* nothing more will be appended */
    TAILQ_ENTRY(outlet) link;
};

/* Who may have how many at a time. */
#define OUTLETS_MAX 64
#define OUTLETS_USER_MAX 16

/*
 * Open a pipe of which the outlet, zeroed memory from malloc, has the writing end. Taken: outlet, also when this fails.
 * Return: the reading end, the caller's to pass on; or -errno: -EAGAIN: too many.
 */
int outlet_open(struct outlet *outlet, const struct outlet_kind *kind, uid_t uid, size_t buffer_size);

/* Room at the end of the buffer. Return: bytes at *at. */
size_t outlet_room(struct outlet *outlet, char **at);

/* Write what the pipe takes. The outlet may be closed by it. */
void outlet_flush(struct outlet *outlet);

/* The pipe has room, or nobody reads it any more: epoll's bits. */
void outlet_handle(struct outlet *outlet, uint32_t epoll_events);

void outlet_close(struct outlet *outlet);
void outlet_close_all(void);

/* The end of a turn: free what died in it. */
void outlet_sweep(void);

struct outlet_counters {
    size_t open;
    uint64_t opened, refused, stalled; /* stalled: closed in favour of others, because nobody read */
};
extern struct outlet_counters outlet_counters;

#endif
