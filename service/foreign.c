/*
 * foreign.c - descriptors that came from a program and may hang who asks them something, or closes them.
 *
 * A program passes what it likes. Of a file in a file system of the user's own (FUSE) fstat() and close() return when
 * the user likes, and no signal ends that; close() of a socket of the kernel's may linger. So only sockets of AF_UNIX,
 * which our pairs are, are looked at and closed here. Another process closes the others: it shares our table of
 * descriptors, and nothing else. That is dear, but nothing that the library sends needs it.
 *
 * Each user may have a few of these processes. Who has as many passes no more descriptors: his requests are not even
 * received, for with them the descriptors would come; what is never received the kernel drops without asking the file
 * system.
 */
#include "foreign.h"

#include "service/log/log.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER_MAX 8   /* of one user */
#define CLOSERS_MAX 256

/* One descriptor that another process closes. */
static struct closer {
    bool is_used;
    uid_t user; /* whose it was */
    pid_t pid;  /* 0: there could be none yet */
    int fd;     /* owned, while there is no process */
} closers[CLOSERS_MAX];

static size_t used;

bool foreign_is(int fd)
{
    int domain;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX;
}

/* Have another process close it. Without one, for now, it stays open. */
static void start(struct closer *closer)
{
    long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0) {
        close(closer->fd);
        _exit(0);
    }
    closer->pid = pid > 0 ? (pid_t)pid : 0;
}

/* Which of them have ended? */
static void reap(void)
{
    for (size_t i = 0; i < CLOSERS_MAX && used > 0; i++) {
        struct closer *closer = &closers[i];

        if (!closer->is_used)
            continue;
        if (closer->pid == 0) {
            start(closer);
        } else if (waitpid(closer->pid, NULL, WNOHANG) != 0) { /* it ended, or it is not ours, which can't be */
            closer->is_used = false;
            used--;
        }
    }
}

/* How many closers has the user? */
static size_t count_of(uid_t user)
{
    size_t count = 0;

    for (size_t i = 0; i < CLOSERS_MAX; i++)
        count += closers[i].is_used && closers[i].user == user;
    return count;
}

void foreign_close(int fd, uid_t user)
{
    struct closer *closer = closers;

    if (!foreign_is(fd)) {
        close(fd);
        return;
    }
    while (closer < closers + CLOSERS_MAX && closer->is_used)
        closer++;
    if (closer == closers + CLOSERS_MAX) {
        log_warnx("control: user %u passed a file, and closing so many hangs that it stays open", (unsigned)user);
        return;
    }
    *closer = (struct closer){.is_used = true, .user = user, .fd = fd};
    used++;
    start(closer);
    if (count_of(user) == USER_MAX)
        log_warnx("control: user %u passes files that are no sockets; not heard until they are closed", (unsigned)user);
}

bool foreign_may_come(uid_t user)
{
    if (used == 0)
        return true;
    reap();
    return count_of(user) < USER_MAX;
}
