/*
 * export_poll.c - libc's names for poll(2).
 *
 * Readiness is the pair's own, but for one thing: a pending error of a datagram socket is a message in the pair, so
 * the kernel says IN where Linux says ERR. traceroute and its like go by that. A process that never had such a socket
 * pays one load.
 */
#undef _FORTIFY_SOURCE /* its wrappers bear the names that are defined here */

#include "datagram.h"
#include "descriptor.h"
#include "export.h"
#include "libc.h"

#include <poll.h>
#include <signal.h>

/* Where libc's fortified variants go when the array is too small. */
extern void __chk_fail(void) __attribute__((noreturn));

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int ready = libc_poll(fds, count, timeout);

    if (ready > 0 && descriptor_errors_are_possible)
        datagram_correct_poll(fds, count);
    return ready;
}

EXPORT_ALIAS(poll) int __poll(struct pollfd *fds, nfds_t count, int timeout);

EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    int ready = libc_ppoll(fds, count, timeout, mask);

    if (ready > 0 && descriptor_errors_are_possible)
        datagram_correct_poll(fds, count);
    return ready;
}

EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size);
EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    if (count > size / sizeof *fds)
        __chk_fail();
    return poll(fds, count, timeout);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t size);
EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                       size_t size)
{
    if (count > size / sizeof *fds)
        __chk_fail();
    return ppoll(fds, count, timeout, mask);
}
