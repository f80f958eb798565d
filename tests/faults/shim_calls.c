/*
 * shim_calls.c - calls into the kernel that fail. Preloaded behind the library, which looks for libc's own there; with
 * shim_files.c and shim_threads.c.
 *
 * What the kernel has no way to fail, given what the callers give, is not here: getsockname(), getpeername(),
 * getsockopt(), shutdown(), epoll_ctl() but for EPOLL_CTL_ADD, fcntl() but for F_DUPFD, dup3() in an open descriptor's
 * place, clocks, munmap(), and the lengths of queues (SIOCINQ, SIOCOUTQ).
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* result name(parameters) gives `failure` and an errno: when there is not enough of something, when interrupted, for
 * another reason. */
#define CALL(result, failure, name, parameters, arguments, ...)                                                        \
    SHIM_EXPORT result name parameters;                                                                                \
    SHIM_EXPORT result name parameters                                                                                 \
    {                                                                                                                  \
        static result(*next) parameters;                                                                               \
        static const int errors[SHIM_KINDS] = {__VA_ARGS__};                                                           \
        int error = shim_fails(#name, errors);                                                                         \
                                                                                                                       \
        if (next == NULL)                                                                                              \
            next = shim_next(#name);                                                                                   \
        if (error != 0) {                                                                                              \
            errno = error;                                                                                             \
            return failure;                                                                                            \
        }                                                                                                              \
        return next arguments;                                                                                         \
    }

#define ADDRESS const struct sockaddr *address
CALL(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, 0, ENOBUFS)
CALL(int, -1, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds), EMFILE, 0,
     ENOMEM)
CALL(int, -1, accept, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length), EMFILE, EINTR,
     ECONNABORTED)
CALL(int, -1, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags), (fd, address, length, flags),
     EMFILE, EINTR, ENOMEM)
CALL(int, -1, bind, (int fd, ADDRESS, socklen_t length), (fd, address, length), ENOMEM, 0, EADDRINUSE)
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog), ENOBUFS, 0, EADDRINUSE)
CALL(int, -1, connect, (int fd, ADDRESS, socklen_t length), (fd, address, length), EAGAIN, EINTR, ECONNREFUSED)
CALL(int, -1, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length), ENOMEM, 0, 0)
CALL(int, -1, epoll_create1, (int flags), (flags), EMFILE, 0, ENOMEM)
CALL(int, -1, epoll_wait, (int fd, struct epoll_event *events, int max, int ms), (fd, events, max, ms), 0, EINTR, 0)
CALL(int, -1, epoll_pwait2,
     (int fd, struct epoll_event *events, int max, const struct timespec *wait, const sigset_t *mask),
     (fd, events, max, wait, mask), 0, EINTR, ENOSYS)
CALL(int, -1, poll, (struct pollfd *fds, nfds_t count, int ms), (fds, count, ms), ENOMEM, EINTR, 0)
CALL(int, -1, ppoll, (struct pollfd *fds, nfds_t count, const struct timespec *wait, const sigset_t *mask),
     (fds, count, wait, mask), ENOMEM, EINTR, 0)
CALL(ssize_t, -1, read, (int fd, void *bytes, size_t size), (fd, bytes, size), ENOMEM, EINTR, EIO)
CALL(ssize_t, -1, readv, (int fd, const struct iovec *iov, int count), (fd, iov, count), ENOMEM, EINTR, EIO)
CALL(ssize_t, -1, pread, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at), ENOMEM, EINTR, EIO)
CALL(ssize_t, -1, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), ENOBUFS, EINTR, EIO)
CALL(ssize_t, -1, writev, (int fd, const struct iovec *iov, int count), (fd, iov, count), ENOBUFS, EINTR, EIO)
CALL(ssize_t, -1, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), ENOBUFS, EINTR,
     ENOMEM)
CALL(ssize_t, -1, sendto, (int fd, const void *bytes, size_t size, int flags, ADDRESS, socklen_t length),
     (fd, bytes, size, flags, address, length), ENOBUFS, EINTR, ENOMEM)
CALL(int, -1, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags),
     ENOBUFS, EINTR, ENOMEM)
CALL(ssize_t, -1, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), ENOMEM, EINTR, 0)
CALL(ssize_t, -1, recvfrom, (int fd, void *bytes, size_t size, int flags, struct sockaddr *address, socklen_t *length),
     (fd, bytes, size, flags, address, length), ENOMEM, EINTR, 0)
CALL(int, -1, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *wait),
     (fd, messages, count, flags, wait), ENOMEM, EINTR, 0)
CALL(ssize_t, -1, sendfile, (int to, int from, off_t *at, size_t size), (to, from, at, size), ENOMEM, EINTR, EIO)
CALL(ssize_t, -1, splice, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags),
     (from, from_at, to, to_at, size, flags), ENOMEM, EINTR, EIO)
CALL(int, -1, dup, (int fd), (fd), EMFILE, 0, 0)
CALL(int, -1, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags), EMFILE, 0, ENOMEM)
CALL(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags), EMFILE, 0, ENOMEM)
CALL(int, -1, pipe, (int fds[2]), (fds), EMFILE, 0, ENFILE)
CALL(int, -1, pipe2, (int fds[2], int flags), (fds, flags), EMFILE, 0, ENFILE)
CALL(void *, MAP_FAILED, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), ENOMEM, 0, 0)
CALL(int, -1, madvise, (void *at, size_t size, int advice), (at, size, advice), ENOMEM, 0, 0)
CALL(ssize_t, -1, getrandom, (void *bytes, size_t size, unsigned flags), (bytes, size, flags), 0, EINTR, ENOSYS)
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode), EMFILE, EINTR, EACCES)
CALL(int, -1, stat, (const char *path, struct stat *to), (path, to), ENOMEM, 0, EACCES)
CALL(int, -1, lstat, (const char *path, struct stat *to), (path, to), ENOMEM, 0, EACCES)
CALL(int, -1, access, (const char *path, int how), (path, how), ENOMEM, 0, EACCES)
CALL(ssize_t, -1, readlink, (const char *path, char *to, size_t size), (path, to, size), ENOMEM, 0, EACCES)
CALL(ssize_t, -1, readlinkat, (int fd, const char *path, char *to, size_t size), (fd, path, to, size), ENOMEM, 0,
     EACCES)
CALL(int, -1, unlink, (const char *path), (path), ENOMEM, 0, EPERM)
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC, 0, EACCES)
CALL(int, -1, chmod, (const char *path, mode_t mode), (path, mode), ENOMEM, 0, EPERM)
CALL(int, -1, chown, (const char *path, uid_t user, gid_t group), (path, user, group), ENOMEM, 0, EPERM)
CALL(int, -1, ftruncate, (int fd, off_t size), (fd, size), ENOMEM, EINTR, EIO)
CALL(int, -1, getrlimit, (__rlimit_resource_t what, struct rlimit *limit), (what, limit), 0, 0, EPERM)
CALL(int, -1, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit), (what, limit), 0, 0, EPERM)
CALL(int, -1, setresuid, (uid_t a, uid_t b, uid_t c), (a, b, c), EAGAIN, 0, EPERM)
CALL(int, -1, setresgid, (gid_t a, gid_t b, gid_t c), (a, b, c), 0, 0, EPERM)
CALL(int, -1, setgroups, (size_t count, const gid_t *list), (count, list), ENOMEM, 0, EPERM)
CALL(int, -1, capget, (void *header, void *data), (header, data), ENOMEM, 0, EPERM)
CALL(int, -1, capset, (void *header, void *data), (header, data), 0, 0, EPERM)
CALL(int, -1, gethostname, (char *name, size_t size), (name, size), 0, 0, EPERM)
CALL(int, -1, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set), 0, 0, EINVAL)
CALL(int, -1, sigqueue, (pid_t pid, int number, const union sigval value), (pid, number, value), EAGAIN, 0, 0)

/* The function as libc has it, for a call that is not simply passed on. */
#define NEXT(name)                                                                                                     \
    static __typeof__(name) *next;                                                                                     \
    if (next == NULL)                                                                                                  \
    next = shim_next(#name)

/* Return: 0 or -1 with errno. */
static int fails(const char *name, const int errors[SHIM_KINDS])
{
    int error = shim_fails(name, errors);

    if (error != 0)
        errno = error;
    return error != 0 ? -1 : 0;
}

static int close_truly(int fd)
{
    NEXT(close);
    return next(fd);
}

/* It is closed even so. */
SHIM_EXPORT int close(int fd)
{
    int error = shim_fails("close", (const int[SHIM_KINDS]){0, EINTR, EIO});
    int result = close_truly(fd);

    if (error == 0)
        return result;
    errno = error;
    return -1;
}

/* Broken: with a descriptor there are too many on their way. */
SHIM_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg);
    if (fails("sendmsg",
              (const int[SHIM_KINDS]){ENOBUFS, EINTR, message->msg_control != NULL ? ETOOMANYREFS : ENOMEM}) < 0)
        return -1;
    return next(fd, message, flags);
}

SHIM_EXPORT int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl);
    if (what == EPOLL_CTL_ADD && fails("epoll_ctl", (const int[SHIM_KINDS]){ENOMEM, 0, ENOSPC}) < 0)
        return -1;
    return next(epoll_fd, what, fd, event);
}

/* Broken: the descriptors of the message could not be put in place (no descriptor was free). */
SHIM_EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    const bool takes = message->msg_control != NULL && !(flags & MSG_PEEK);
    ssize_t length;
    size_t lost = 0;

    NEXT(recvmsg);
    if (shim_kind() != SHIM_BROKEN)
        return fails("recvmsg", (const int[SHIM_KINDS]){ENOMEM, EINTR, 0}) < 0 ? -1 : next(fd, message, flags);
    length = next(fd, message, flags);
    if (length < 0 || !takes)
        return length;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part))
        lost += part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS;
    if (lost == 0 || fails("recvmsg", (const int[SHIM_KINDS]){0, 0, EMFILE}) == 0)
        return length;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        int fds[64];
        size_t size = part->cmsg_len - CMSG_LEN(0);

        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || size > sizeof fds)
            continue;
        memcpy(fds, CMSG_DATA(part), size);
        for (size_t i = 0; i < size / sizeof *fds; i++)
            (void)close_truly(fds[i]);
        part->cmsg_type = -1; /* nobody knows it */
    }
    message->msg_flags |= MSG_CTRUNC;
    return length;
}

SHIM_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    void *argument;

    NEXT(ioctl);
    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (request != SIOCINQ && request != SIOCOUTQ && fails("ioctl", (const int[SHIM_KINDS]){ENOMEM, EINTR, EBUSY}) < 0)
        return -1;
    return next(fd, request, argument);
}

SHIM_EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    long argument;

    NEXT(fcntl);
    va_start(list, command);
    argument = va_arg(list, long);
    va_end(list);
    if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && fails("fcntl", (const int[SHIM_KINDS]){EMFILE, 0, 0}) < 0)
        return -1;
    return next(fd, command, argument);
}

SHIM_EXPORT int open(const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    NEXT(open);
    va_start(list, flags);
    mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return fails("open", (const int[SHIM_KINDS]){EMFILE, EINTR, EACCES}) < 0 ? -1 : next(path, flags, mode);
}

SHIM_EXPORT int prctl(int option, ...)
{
    unsigned long a[4];
    va_list list;

    NEXT(prctl);
    va_start(list, option);
    for (int i = 0; i < 4; i++)
        a[i] = va_arg(list, unsigned long);
    va_end(list);
    return fails("prctl", (const int[SHIM_KINDS]){0, 0, EPERM}) < 0 ? -1 : next(option, a[0], a[1], a[2], a[3]);
}

/* The library asks of its own sockets alone, the service of what programs pass. */
SHIM_EXPORT int fstat(int fd, struct stat *to)
{
    NEXT(fstat);
    return shim_is_service() && fails("fstat", (const int[SHIM_KINDS]){ENOMEM, 0, EIO}) < 0 ? -1 : next(fd, to);
}
