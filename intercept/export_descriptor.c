/*
 * export_descriptor.c - libc's names that make, copy and close descriptors of any kind.
 *
 * A descriptor of ours is the kernel's, so each of these is libc's business; what is done here is to keep the table of
 * descriptor.c right. What survives what:
 *  - dup, dup2, dup3, F_DUPFD, SCM_RIGHTS, fork, exec, vfork, posix_spawn: everything; the socket is the pair.
 *  - close, close_range, closefrom: the socket is gone with its last copy. Our connections to the service may be closed
 *    as well; the next request finds out and makes another.
 *  - exec: the table begins anew, and first sight fills it.
 */
#undef _FORTIFY_SOURCE

#include "cork.h"
#include "descriptor.h"
#include "export.h"
#include "linger.h"
#include "libc.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <sys/pidfd.h>
#include <unistd.h>

EXPORT int close(int fd)
{
    if (__builtin_expect(trace_is_on | linger_is_used, 0) && !descriptor_is_foreign(fd))
        return EXPORT_CALL("close", linger_close(fd), "%d", fd);
    /* Before it is closed, because then another thread may get the number. */
    descriptor_set(fd, DESCRIPTOR_UNKNOWN);
    return libc_close(fd);
}

EXPORT_ALIAS(close) int __close(int fd);

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (!(flags & (int)CLOSE_RANGE_CLOEXEC))
        descriptor_forget_range(first, last);
    return libc_close_range(first, last, flags);
}

EXPORT void closefrom(int first)
{
    descriptor_forget_range(first > 0 ? (unsigned)first : 0, DESCRIPTOR_TABLE_SIZE - 1);
    libc_closefrom(first);
}

static void note_copy(int fd, int new_fd)
{
    cork_copy(fd, new_fd);
    descriptor_copy(fd, new_fd);
}

EXPORT int dup(int fd)
{
    int new_fd = libc_dup(fd);

    if (new_fd >= 0)
        note_copy(fd, new_fd);
    return new_fd;
}

EXPORT int dup2(int fd, int new_fd)
{
    int result = libc_dup2(fd, new_fd);

    if (result >= 0)
        note_copy(fd, new_fd);
    return result;
}

EXPORT int __dup2(int fd, int new_fd);
EXPORT int __dup2(int fd, int new_fd)
{
    return dup2(fd, new_fd);
}

EXPORT int dup3(int fd, int new_fd, int flags)
{
    int result = libc_dup3(fd, new_fd, flags);

    if (result >= 0)
        note_copy(fd, new_fd);
    return result;
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;
    long argument;
    int result;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    result = libc_fcntl(fd, command, argument);
    if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
        note_copy(fd, result);
    return result;
}

EXPORT_ALIAS(fcntl) int fcntl64(int fd, int command, ...);
EXPORT_ALIAS(fcntl) int __fcntl(int fd, int command, ...);

EXPORT int pipe(int fds[2])
{
    int result = libc_pipe(fds);

    if (result == 0) {
        descriptor_set(fds[0], DESCRIPTOR_FOREIGN);
        descriptor_set(fds[1], DESCRIPTOR_FOREIGN);
    }
    return result;
}

EXPORT int __pipe(int fds[2]);
EXPORT int __pipe(int fds[2])
{
    return pipe(fds);
}

/* What comes may be one of ours, from another process. */
EXPORT int pidfd_getfd(int process_fd, int fd, unsigned flags)
{
    int new_fd = libc_pidfd_getfd(process_fd, fd, flags);

    if (new_fd >= 0)
        descriptor_set(new_fd, DESCRIPTOR_UNKNOWN);
    return new_fd;
}

EXPORT int pipe2(int fds[2], int flags)
{
    int result = libc_pipe2(fds, flags);

    if (result == 0) {
        descriptor_set(fds[0], DESCRIPTOR_FOREIGN);
        descriptor_set(fds[1], DESCRIPTOR_FOREIGN);
    }
    return result;
}
