/* frames.c - who watches the frames that cross the wire. While there is nobody, the wire has nobody to call. */
#include "frames.h"

#include <string.h>

TAILQ_HEAD(watcher_list, frames_watcher);

static struct watcher_list watchers = TAILQ_HEAD_INITIALIZER(watchers);
static struct wire *wire; /* borrowed; NULL: none */

static void tell_all(void *context, bool outgoing, const struct iovec *iov, int count, size_t length)
{
    struct frames_watcher *watcher;

    (void)context;
    TAILQ_FOREACH(watcher, &watchers, link)
        watcher->frame(watcher, outgoing, iov, count, length);
}

static void tell_wire(void)
{
    if (wire != NULL)
        wire->watch = TAILQ_EMPTY(&watchers) ? NULL : tell_all;
}

void frames_setup(struct wire *opened)
{
    wire = opened;
    tell_wire();
}

void frames_watch(struct frames_watcher *watcher)
{
    TAILQ_INSERT_TAIL(&watchers, watcher, link);
    tell_wire();
}

void frames_unwatch(struct frames_watcher *watcher)
{
    TAILQ_REMOVE(&watchers, watcher, link);
    tell_wire();
}

size_t frames_copy(unsigned char *to, size_t size, const struct iovec *iov, int count, size_t length)
{
    const size_t wanted = length < size ? length : size;
    size_t used = 0;

    for (int i = 0; i < count && used < wanted; i++) {
        size_t part = iov[i].iov_len < wanted - used ? iov[i].iov_len : wanted - used;

        memcpy(to + used, iov[i].iov_base, part);
        used += part;
    }
    return used;
}
