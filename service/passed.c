/*
 * passed.c - descriptors that came from a program and may be of anything.
 *
 * A program passes what it likes. Of a file in a file system of the user's own (FUSE) fstat() and close() return when
 * the user likes, and no signal ends that; close() of a socket of the kernel's may wait for its peer. So only sockets
 * of AF_UNIX, which our pairs are, are looked at and closed where they are found. A thread closes the others, one after
 * the other, and ends when there are no more. Nothing that the library sends needs it, and while there is none the
 * service has but one (loop_guard.c says what that is good for).
 *
 * While it hangs they stay open. So each user may have a few of them; who has more is not heard: with the requests more
 * would come, and what is never received the kernel drops without asking a file system. The loop guard sees to what it
 * waits for then. Of others, who pass such ones as well, more is kept until the thread goes on; a program that passes
 * nothing but sockets never notices.
 */
#include "passed.h"

#include "service/log/log.h"
#include "service/privilege/quota.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_MAX 8

#define STACK_BYTES ((size_t)65536)

struct passed {
    STAILQ_ENTRY(passed) link;
    int fd;              /* owned */
    struct quota *quota; /* held; whose it was; the loop's to touch */
};

STAILQ_HEAD(passed_list, passed);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held for moments: nothing that waits is done under it */
static struct passed_list waiting = STAILQ_HEAD_INITIALIZER(waiting); /* to be closed */
static struct passed_list closed = STAILQ_HEAD_INITIALIZER(closed);   /* for the loop to forget */
static bool has_thread; /* that will look at the first list again */
static size_t count; /* in the lists, and in the thread's hands; the loop's */

/* The thread. It needs little: no library but libc, no messages, no memory of the heap. */
static void *run(void *nothing)
{
    const struct linger off = {0};
    struct passed *one;

    pthread_mutex_lock(&lock);
    while ((one = STAILQ_FIRST(&waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&waiting, link);
        pthread_mutex_unlock(&lock);
        (void)setsockopt(one->fd, SOL_SOCKET, SO_LINGER, &off, sizeof off); /* what is no socket has none */
        close(one->fd);
        pthread_mutex_lock(&lock);
        STAILQ_INSERT_TAIL(&closed, one, link);
    }
    has_thread = false;
    pthread_mutex_unlock(&lock);
    return nothing;
}

/* Start it; it hears no signals. Return: 0 or -errno. */
static int start_thread(void)
{
    pthread_attr_t attributes;
    sigset_t every, before;
    pthread_t thread;
    int error = pthread_attr_init(&attributes);

    if (error != 0)
        return -error;
    sigfillset(&every);
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (error == 0)
        error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (error == 0)
        error = pthread_sigmask(SIG_SETMASK, &every, &before);
    if (error == 0) {
        error = pthread_create(&thread, &attributes, run, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return -error;
}

/* See to it that there is a thread if there is something to close. */
static void have_thread(void)
{
    bool is_needed;
    int error;

    pthread_mutex_lock(&lock);
    is_needed = !has_thread && !STAILQ_EMPTY(&waiting);
    has_thread |= is_needed;
    pthread_mutex_unlock(&lock);
    error = is_needed ? start_thread() : 0;
    if (error == 0)
        return;
    has_thread = false; /* there is none to look at it */
    errno = -error;
    log_warn("control: no thread to close what users pass (is a limit too low?); it stays open meanwhile");
}

bool passed_is_foreign(int fd)
{
    int domain;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX;
}

/* Forget what has been closed. */
static void forget_closed(void)
{
    struct passed_list done = STAILQ_HEAD_INITIALIZER(done);
    struct passed *one;

    if (count == 0)
        return;
    have_thread();
    pthread_mutex_lock(&lock);
    STAILQ_CONCAT(&done, &closed);
    pthread_mutex_unlock(&lock);
    while ((one = STAILQ_FIRST(&done)) != NULL) {
        STAILQ_REMOVE_HEAD(&done, link);
        one->quota->passed--;
        quota_release(one->quota);
        free(one);
        count--;
    }
}

void passed_close(int fd, struct quota *quota)
{
    struct passed *one;

    if (!passed_is_foreign(fd)) {
        close(fd);
        return;
    }
    one = malloc(sizeof *one);
    if (one == NULL) {
        log_warnx("control: no memory to close what user %u passed; it stays open", (unsigned)quota->uid);
        return;
    }
    *one = (struct passed){.fd = fd, .quota = quota_hold(quota->uid)}; /* it is there, so this makes none */
    quota->passed++;
    count++;
    if (quota->passed == USER_MAX)
        log_warnx("control: user %u passes files that are no sockets; not heard until they are closed", (unsigned)quota->uid);
    pthread_mutex_lock(&lock);
    STAILQ_INSERT_TAIL(&waiting, one, link);
    pthread_mutex_unlock(&lock);
    have_thread();
}

bool passed_may_come(const struct quota *quota)
{
    forget_closed();
    return quota->passed < USER_MAX;
}
