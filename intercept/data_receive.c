/*
 * data_receive.c - reading from sockets of ours.
 *
 * A connected socket is read straight from the pair. What is left to do here is to answer for sockets that are not
 * connected, to keep AF_UNIX out of sight, and to find the true cause behind a reset.
 */
#include "data.h"

#include "address.h"
#include "control.h"
#include "datagram.h"
#include "libc.h"
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* Flags of recv() that the pair would take differently. */
#define SPECIAL_FLAGS (MSG_OOB | MSG_TRUNC | MSG_ERRQUEUE)

/* May the pair be asked for data? Return: 0, or -errno as Linux has it for a socket that is not connected. */
static int receive_begin(int fd)
{
    enum descriptor_kind kind = descriptor_kind(fd);

    if (__builtin_expect(descriptor_kind_is_data(kind), 1))
        return 0;
    kind = state_find(fd);
    return kind == DESCRIPTOR_EARLY || kind == DESCRIPTOR_LISTENING ? -ENOTCONN : 0;
}

int data_receive_error(int fd)
{
    int error = errno;

    if (error == ECONNRESET && descriptor_verify(fd) != DESCRIPTOR_FOREIGN) {
        error = control_cause(fd, ECONNRESET);
        if (error == EPIPE) /* a reset after the peer's FIN: who reads has reached the end, who writes is told */
            error = 0;
    }
    return -error;
}

/* MSG_TRUNC: up to length bytes are dropped, not stored. Not inlined, so that its scratch memory burdens no other
 * call's stack. Return: how many, or -errno. */
static __attribute__((noinline)) ssize_t receive_discard(int fd, size_t length, int flags)
{
    char scratch[4096];
    size_t total = 0;
    size_t want;
    ssize_t got;
    int queued;

    flags &= ~MSG_TRUNC;
    if (flags & MSG_PEEK) { /* nothing moves: wait for data, then see how much there is */
        got = libc_recv(fd, scratch, 1, flags);
        if (got <= 0)
            return got < 0 ? data_receive_error(fd) : 0;
        if (libc_ioctl(fd, FIONREAD, &queued) < 0)
            return -errno;
        return (size_t)queued < length ? queued : (ssize_t)length;
    }
    do {
        want = length - total < sizeof scratch ? length - total : sizeof scratch;
        got = libc_recv(fd, scratch, want, total > 0 && !(flags & MSG_WAITALL) ? flags | MSG_DONTWAIT : flags);
        if (got < 0 && total == 0)
            return data_receive_error(fd);
        if (got > 0)
            total += (size_t)got;
    } while (got > 0 && total < length && ((size_t)got == want || (flags & MSG_WAITALL)));
    return (ssize_t)total;
}

/* recv() with one of SPECIAL_FLAGS. */
static ssize_t receive_special(int fd, size_t length, int flags)
{
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN; /* the queue of errors is empty */
    if (flags & MSG_OOB)
        return -EINVAL; /* DIFFERS: there is never urgent data; it comes in line (tests/oracle/flags.c) */
    return receive_discard(fd, length, flags);
}

ssize_t data_read(int fd, void *buffer, size_t length)
{
    int error;
    ssize_t got;

    if (length > 0)
        RETURN_IF_DATAGRAM(fd, datagram_recvfrom(fd, buffer, length, 0, NULL, NULL));
    error = length > 0 ? receive_begin(fd) : 0; /* reading nothing succeeds in any state */
    if (error < 0)
        return error;
    got = libc_read(fd, buffer, length);
    return got >= 0 ? got : data_receive_error(fd);
}

ssize_t data_readv(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    int error;
    ssize_t got;

    if (count > 0 && count <= IOV_MAX)
        RETURN_IF_DATAGRAM(fd, datagram_recvmsg(fd, &message, 0));
    error = receive_begin(fd);
    if (error < 0)
        return error;
    got = libc_readv(fd, iov, count);
    return got >= 0 ? got : data_receive_error(fd);
}

ssize_t data_preadv2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    int error;
    ssize_t got;

    if (offset == -1 && count > 0 && count <= IOV_MAX && (flags & ~RWF_NOWAIT) == 0)
        RETURN_IF_DATAGRAM(fd, datagram_recvmsg(fd, &message, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
    error = offset == -1 ? receive_begin(fd) : 0;
    if (error < 0)
        return error;
    got = libc_preadv2(fd, iov, count, offset, flags);
    return got >= 0 ? got : data_receive_error(fd);
}

ssize_t data_recv(int fd, void *buffer, size_t length, int flags)
{
    int error;
    ssize_t got;

    RETURN_IF_DATAGRAM(fd, datagram_recvfrom(fd, buffer, length, flags, NULL, NULL));
    error = receive_begin(fd);
    if (error < 0)
        return flags & MSG_ERRQUEUE ? -EAGAIN : error;
    if (__builtin_expect(flags & SPECIAL_FLAGS, 0) && descriptor_verify(fd) != DESCRIPTOR_FOREIGN)
        return receive_special(fd, length, flags);
    got = libc_recv(fd, buffer, length, flags);
    return got >= 0 ? got : data_receive_error(fd);
}

ssize_t data_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                      socklen_t *address_length)
{
    ssize_t got;

    if (address == NULL)
        return data_recv(fd, buffer, length, flags);
    RETURN_IF_DATAGRAM(fd, datagram_recvfrom(fd, buffer, length, flags, address, address_length));
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_recvfrom(fd, buffer, length, flags, address, address_length));
    got = data_recv(fd, buffer, length, flags);
    if (got >= 0) {
        if (address_length == NULL)
            return -EFAULT;
        *address_length = 0; /* TCP says no address */
    }
    return got;
}

/* Return: how many bytes the pieces hold. */
static size_t iov_length(const struct iovec *iov, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += iov[i].iov_len;
    return length;
}

ssize_t data_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct msghdr plain;
    int error;
    ssize_t got;

    RETURN_IF_DATAGRAM(fd, datagram_recvmsg(fd, message, flags));
    error = receive_begin(fd);
    if (error < 0)
        return flags & MSG_ERRQUEUE ? -EAGAIN : error;
    if (memory_check(message, sizeof *message) < 0)
        return -EFAULT;
    if (__builtin_expect(message->msg_name == NULL && !(flags & SPECIAL_FLAGS), 1)) {
        got = libc_recvmsg(fd, message, flags);
        return got >= 0 ? got : data_receive_error(fd);
    }
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_recvmsg(fd, message, flags));
    plain = (struct msghdr){.msg_iov = message->msg_iov, .msg_iovlen = message->msg_iovlen};
    if (flags & SPECIAL_FLAGS) {
        got = receive_special(fd, iov_length(message->msg_iov, message->msg_iovlen), flags);
    } else {
        got = libc_recvmsg(fd, &plain, flags);
        if (got < 0)
            got = data_receive_error(fd);
    }
    if (got >= 0) {
        message->msg_namelen = 0;
        message->msg_controllen = 0;
        message->msg_flags = plain.msg_flags;
    }
    return got;
}

/* Is the time over? Also makes *timeout what is left of it. */
static bool time_is_over(const struct timespec *end, struct timespec *timeout)
{
    struct timespec now;
    int64_t left_ns;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left_ns = (int64_t)(end->tv_sec - now.tv_sec) * 1000000000 + (end->tv_nsec - now.tv_nsec);
    if (left_ns < 0)
        left_ns = 0;
    timeout->tv_sec = left_ns / 1000000000;
    timeout->tv_nsec = left_ns % 1000000000;
    return left_ns == 0;
}

int data_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    struct timespec end = {0, 0};
    int done = 0;

    RETURN_IF_DATAGRAM(fd, datagram_recvmmsg(fd, messages, count, flags, timeout));
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_recvmmsg(fd, messages, count, flags, timeout));
    if (timeout != NULL) {
        if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000)
            return -EINVAL;
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += timeout->tv_sec;
        end.tv_nsec += timeout->tv_nsec;
    }
    while ((unsigned)done < count) {
        ssize_t got = data_recvmsg(fd, &messages[done].msg_hdr, flags & ~MSG_WAITFORONE);

        if (got < 0)
            return done > 0 ? done : (int)got;
        messages[done++].msg_len = (unsigned)got;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (timeout != NULL && time_is_over(&end, timeout))
            break;
    }
    return done;
}
