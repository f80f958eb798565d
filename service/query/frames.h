/* frames.h - who watches the frames that cross the wire: a capture file, and tools. */
#ifndef SIDESTACK_FRAMES_H
#define SIDESTACK_FRAMES_H

#include "stack/wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct frames_watcher {
    /* A frame crosses; the bytes are valid for the time of the call. It must not end a watcher. */
    void (*frame)(struct frames_watcher *watcher, bool outgoing, const struct iovec *iov, int count, size_t length);
    TAILQ_ENTRY(frames_watcher) link;
};

/* The wire is opened (borrowed until it is closed: NULL). */
void frames_setup(struct wire *wire);

/* The memory is the watcher's until frames_unwatch(). */
void frames_watch(struct frames_watcher *watcher);
void frames_unwatch(struct frames_watcher *watcher);

/* Put the first bytes of a frame together. Return: how many. */
size_t frames_copy(unsigned char *to, size_t size, const struct iovec *iov, int count, size_t length);

#endif
