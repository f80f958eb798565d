/*
 * outlet.c - a pipe to somebody who asked for something that is long, or has no end.
 *
 * What is written waits in a buffer of a fixed size; one that can be made on demand (.fill) is made a piece at a time,
 * when the pipe has room: a turn of the loop makes one piece for each. A reader that does not read keeps a buffer and a
 * pipe, and of these there are only so many: when all are taken, one that nobody has read from for a while makes way.
 */
#include "outlet.h"

#include "service/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* So long without anybody reading, and it may have to make way. */
#define STALL_S 5

TAILQ_HEAD(outlet_list, outlet);

static struct outlet_list all = TAILQ_HEAD_INITIALIZER(all);
static struct outlet_list dead = TAILQ_HEAD_INITIALIZER(dead);

struct outlet_counters outlet_counters;

static time_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

void outlet_close(struct outlet *outlet)
{
    if (outlet->watch.kind == WATCH_DEAD)
        return;
    outlet->kind->close(outlet);
    close(outlet->fd);
    free(outlet->buffer);
    outlet->buffer = NULL;
    outlet->fd = -1;
    outlet->watch.kind = WATCH_DEAD;
    TAILQ_REMOVE(&all, outlet, link);
    TAILQ_INSERT_TAIL(&dead, outlet, link);
    outlet_counters.open--;
}

/* Is there room for one more of this user's, if need be by ending one that nobody reads? */
static bool make_room(uid_t uid)
{
    struct outlet *outlet, *stalled = NULL;
    size_t of_user = 0;
    bool user_is_full;

    TAILQ_FOREACH(outlet, &all, link)
        of_user += outlet->uid == uid;
    user_is_full = uid != 0 && of_user >= OUTLETS_USER_MAX;
    if (outlet_counters.open < OUTLETS_MAX && !user_is_full)
        return true;
    TAILQ_FOREACH(outlet, &all, link) {
        if (outlet->is_full && now_s() - outlet->full_since_s >= STALL_S && (!user_is_full || outlet->uid == uid)) {
            stalled = outlet;
            break;
        }
    }
    if (stalled == NULL)
        return false;
    outlet_counters.stalled++;
    log_warnx("control: an answer to user %u was given up: nobody reads it (is one of the tools stopped?)", (unsigned)stalled->uid);
    outlet_close(stalled);
    return true;
}

/* Make the pipe. Return: its reading end, or -errno. */
static int open_pipe(struct outlet *outlet)
{
    int ends[2], flags;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    flags = fcntl(ends[1], F_GETFL);
    if (flags < 0 || fcntl(ends[1], F_SETFL, flags | O_NONBLOCK) < 0) {
        int error = -errno;

        close(ends[0]);
        close(ends[1]);
        return error;
    }
    outlet->fd = ends[1];
    return ends[0];
}

int outlet_open(struct outlet *outlet, const struct outlet_kind *kind, uid_t uid, size_t buffer_size)
{
    int reader, error = -ENOMEM;

    outlet->watch.kind = WATCH_OUTLET;
    outlet->kind = kind;
    outlet->uid = uid;
    outlet->size = buffer_size;
    if (!make_room(uid)) {
        outlet_counters.refused++;
        error = -EAGAIN;
        goto out;
    }
    outlet->buffer = malloc(buffer_size);
    if (outlet->buffer == NULL)
        goto out;
    reader = open_pipe(outlet);
    if (reader < 0) {
        error = reader;
        goto out;
    }
    /* What is made on demand is asked for as long as there is room; what happens by itself is written when it does. */
    error = watch_add(outlet->fd, &outlet->watch, kind->fill != NULL ? EPOLLOUT : EPOLLOUT | EPOLLET);
    if (error < 0) {
        close(reader);
        close(outlet->fd);
        goto out;
    }
    TAILQ_INSERT_TAIL(&all, outlet, link);
    outlet_counters.open++;
    outlet_counters.opened++;
    return reader;
out:
    kind->close(outlet);
    free(outlet->buffer);
    free(outlet);
    return error;
}

size_t outlet_room(struct outlet *outlet, char **at)
{
    if (outlet->start > 0 && (outlet->start == outlet->end || outlet->start > outlet->size / 2)) {
        memmove(outlet->buffer, outlet->buffer + outlet->start, outlet->end - outlet->start);
        outlet->end -= outlet->start;
        outlet->start = 0;
    }
    *at = outlet->buffer + outlet->end;
    return outlet->size - outlet->end;
}

void outlet_flush(struct outlet *outlet)
{
    while (outlet->watch.kind != WATCH_DEAD && outlet->start < outlet->end && !outlet->is_full) {
        ssize_t written = write(outlet->fd, outlet->buffer + outlet->start, outlet->end - outlet->start);

        if (written > 0) {
            outlet->start += (size_t)written;
        } else if (written < 0 && errno == EAGAIN) {
            outlet->is_full = true;
            outlet->full_since_s = now_s();
        } else if (written == 0 || errno != EINTR) {
            outlet_close(outlet); /* EPIPE: nobody reads any more */
        }
    }
}

void outlet_handle(struct outlet *outlet, uint32_t epoll_events)
{
    char *at;

    if (epoll_events & EPOLLERR) {
        outlet_close(outlet);
        return;
    }
    outlet->is_full = false;
    if (outlet->kind->fill != NULL && !outlet->is_ending && outlet_room(outlet, &at) >= outlet->kind->piece_max)
        outlet->is_ending = !outlet->kind->fill(outlet);
    outlet_flush(outlet);
    if (outlet->watch.kind != WATCH_DEAD && outlet->is_ending && outlet->start == outlet->end)
        outlet_close(outlet);
}

void outlet_close_all(void)
{
    struct outlet *outlet;

    while ((outlet = TAILQ_FIRST(&all)) != NULL)
        outlet_close(outlet);
}

void outlet_sweep(void)
{
    struct outlet *outlet;

    while ((outlet = TAILQ_FIRST(&dead)) != NULL) {
        TAILQ_REMOVE(&dead, outlet, link);
        free(outlet);
    }
}
