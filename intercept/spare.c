/*
 * spare.c - TCP sockets that the service made beforehand.
 *
 * socket() waits for the service, and that is a third of what a short connection costs its program. One that makes
 * socket after socket therefore gets some at once, and takes its next ones from here. The service can't tell them from
 * others: a spare is a socket that has not been used yet.
 *
 *  - They are close-on-exec, at high numbers, like the connections to the service (control.c), and like those may be closed by the program, or become something
 *    else: the name of the service's end must be the one that came with it.
 *  - The service may have ended since: then the spare says so (POLLHUP), and is closed.
 *  - A child of fork closes its copies.
 *  - A slot is claimed by an atomic exchange, so another thread or a signal handler finds it busy and takes another.
 *
 * At most PROTOCOL_SPARES_MAX are left over when the program needs no more.
 */
#include "spare.h"

#include "control_pool.h"
#include "libc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

/* "Socket after socket": so many requests with no longer between them. */
#define STREAK 16
#define INTERVAL_MS 10

/* A program that may open fewer descriptors than these needs them all. */
#define DESCRIPTORS_MIN 256

enum spare_state { SPARE_NONE, SPARE_KEPT, SPARE_BUSY };

static struct spare {
    _Atomic int state; /* enum spare_state; whoever exchanged another for BUSY has the rest */
    int fd;            /* owned while KEPT */
    int domain;
    uint32_t inode;    /* as it was given */
    struct descriptor_number number;
} spares[PROTOCOL_SPARES_MAX];

/* Is it socket after socket? */
static bool are_worthwhile(void)
{
    static _Atomic int64_t last_ms;
    static _Atomic unsigned streak;
    struct timespec now;
    int64_t now_ms;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (now_ms - atomic_exchange(&last_ms, now_ms) > INTERVAL_MS)
        streak = 0;
    return ++streak >= STREAK;
}

/* Is there room for spares in this process? */
static bool has_room(void)
{
    struct rlimit limit;
    bool is_any_free = false;

    for (size_t i = 0; i < PROTOCOL_SPARES_MAX; i++)
        is_any_free |= spares[i].state == SPARE_NONE;
    return is_any_free && control_is_own_process() && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           limit.rlim_cur >= DESCRIPTORS_MIN;
}

int spare_count_wanted(spare_places *places)
{
    int count = 0;

    *places = 0;
    if (!are_worthwhile() || !has_room())
        return 0;
    for (size_t i = 0; i < PROTOCOL_SPARES_MAX; i++) {
        int state = SPARE_NONE;

        if (!atomic_compare_exchange_strong(&spares[i].state, &state, SPARE_BUSY))
            continue;
        *places |= 1u << i;
        count++;
    }
    return count;
}

void spare_keep(spare_places places, int domain, const struct control_received *received,
                const struct descriptor_number *first)
{
    size_t taken = 1;

    for (size_t i = 0; i < PROTOCOL_SPARES_MAX; i++) {
        struct spare *spare = &spares[i];

        if ((places & 1u << i) == 0)
            continue;
        if (taken >= received->count || first->instance == 0) {
            atomic_store(&spare->state, SPARE_NONE);
            continue;
        }
        spare->fd = control_move_up(received->fds[taken]);
        spare->inode = descriptor_inode(spare->fd);
        spare->domain = domain;
        spare->number = (struct descriptor_number){first->number + (uint32_t)taken, first->instance};
        atomic_store(&spare->state, SPARE_KEPT);
        taken++;
    }
    for (; taken < received->count; taken++)
        libc_close(received->fds[taken]);
}

/* Is the number still this socket? */
static bool is_ours(const struct spare *spare)
{
    return spare->inode != 0 && descriptor_inode(spare->fd) == spare->inode;
}

static bool is_alive(const struct spare *spare)
{
    struct pollfd pair = {.fd = spare->fd, .events = 0};

    return libc_poll(&pair, 1, 0) == 0;
}

/* Take what is in a slot that is BUSY. Return: as spare_take(); -ENOENT: it is of no use any more. */
static int take(const struct spare *spare, int flags)
{
    int fd = -ENOENT;

    if (!is_ours(spare))
        return -ENOENT;
    if (is_alive(spare)) {
        fd = libc_fcntl(spare->fd, flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
        if (fd < 0)
            return -errno;
        descriptor_set_number(fd, &spare->number);
    }
    libc_close(spare->fd);
    return fd;
}

int spare_take(int domain, int flags)
{
    for (size_t i = 0; i < PROTOCOL_SPARES_MAX; i++) {
        struct spare *spare = &spares[i];
        int state = SPARE_KEPT, fd;

        if (!atomic_compare_exchange_strong(&spare->state, &state, SPARE_BUSY))
            continue;
        if (spare->domain != domain || !control_is_own_process()) {
            state = SPARE_BUSY; /* unless a child has emptied it just now */
            atomic_compare_exchange_strong(&spare->state, &state, SPARE_KEPT);
            continue;
        }
        fd = take(spare, flags);
        atomic_store(&spare->state, fd == -EMFILE ? SPARE_KEPT : SPARE_NONE);
        if (fd != -ENOENT)
            return fd;
    }
    return -ENOENT;
}

/* In a child: a thread of the parent's may have been in the middle of writing it, so what it says is looked at before
 * it is believed. */
static __attribute__((no_sanitize("thread"))) void copy_copied(const struct spare *spare, struct spare *copied)
{
    copied->fd = spare->fd;
    copied->inode = spare->inode;
}

void spare_close_all(void)
{
    for (size_t i = 0; i < PROTOCOL_SPARES_MAX; i++) {
        struct spare copied;

        copy_copied(&spares[i], &copied);
        if (spares[i].state != SPARE_NONE && is_ours(&copied))
            libc_close(copied.fd);
        atomic_store(&spares[i].state, SPARE_NONE);
    }
}
