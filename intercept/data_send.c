/*
 * data_send.c - writing to sockets of ours.
 *
 * A connected socket is written straight to the pair, always with MSG_NOSIGNAL: AF_UNIX sends SIGPIPE for a connection
 * that was reset as well as for one that was shut down, TCP for the latter alone. So we decide.
 */
#include "data.h"

#include "address.h"
#include "control.h"
#include "cork.h"
#include "datagram.h"
#include "libc.h"
#include "socket.h"
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

/* send_begin() and send_error(): the descriptor is not ours after all; do what the program asked for. */
#define SEND_FOREIGN 1

/* So much of a file is read and sent; measured: of 2 KiB it is as good, of more it is not. */
#define SENDFILE_COPIED 2048

/* Flags of send() that the pair would take differently. */
#define SPECIAL_FLAGS (MSG_OOB | MSG_FASTOPEN)

/* The process may use nothing but read() and write(); see hook prctl. */
static _Atomic bool plain_only;

static int broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        raise(SIGPIPE); /* to this thread */
    return -EPIPE;
}

/* May the pair be written? Return: 0, SEND_FOREIGN, or -errno (with its signal) as Linux has it for a socket
 * that is not connected. */
static int send_begin(int fd, int flags)
{
    enum descriptor_kind kind = descriptor_kind(fd);

    if (__builtin_expect(descriptor_kind_is_data(kind) && !(flags & SPECIAL_FLAGS), 1))
        return 0;
    kind = state_find(fd);
    if (kind == DESCRIPTOR_FOREIGN || datagram_is(fd)) /* sendfile() and its like: the service takes it as a datagram */
        return SEND_FOREIGN;
    if (flags & SPECIAL_FLAGS)
        return -EOPNOTSUPP; /* DIFFERS: no urgent data, no data in the SYN (tests/oracle/flags.c) */
    if (kind == DESCRIPTOR_CONNECTING)
        return socket_wait_connected(fd, flags);
    return descriptor_kind_is_data(kind) ? 0 : broken_pipe(flags);
}

/* So many bytes were written. Return: so many. */
static inline ssize_t written(int fd, ssize_t sent)
{
    if (__builtin_expect(descriptor_kind_is_slotted(fd), 0))
        cork_wrote(fd);
    return sent;
}

/* The pair says EPIPE. Return: the errno of the reset that is behind it, 0: it was shut down in order. */
static int reset_cause(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (libc_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error == 0)
        return 0;
    return error == ECONNRESET ? control_cause(fd, ECONNRESET) : error;
}

/* A write failed with errno, and no signal was sent. Return: SEND_FOREIGN, or the -errno that TCP would give (with its
 * signal). */
static int send_error(int fd, int flags)
{
    int error = errno;

    if (error == EAGAIN || error == EINTR)
        return -error;
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return SEND_FOREIGN;
    if (error == EPIPE) {
        error = reset_cause(fd);
        return error != 0 ? -error : broken_pipe(flags);
    }
    return error == ECONNRESET ? -control_cause(fd, ECONNRESET) : -error;
}

ssize_t data_write(int fd, const void *buffer, size_t length)
{
    int error;

    if (!plain_only)
        RETURN_IF_DATAGRAM(fd, datagram_send(fd, buffer, length, 0, NULL, 0));
    error = plain_only ? SEND_FOREIGN : send_begin(fd, 0);
    if (error == 0) {
        ssize_t sent = libc_send(fd, buffer, length, MSG_NOSIGNAL);

        if (__builtin_expect(sent >= 0, 1))
            return written(fd, sent);
        error = send_error(fd, 0);
    }
    return error < 0 ? error : STATE_RESULT(libc_write(fd, buffer, length));
}

ssize_t data_writev(int fd, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    int error;

    if (!plain_only && count >= 0 && count <= IOV_MAX)
        RETURN_IF_DATAGRAM(fd, datagram_writev(fd, iov, count, 0));
    error = plain_only || count < 0 || count > IOV_MAX ? SEND_FOREIGN : send_begin(fd, 0);
    if (error == 0) {
        ssize_t sent = libc_sendmsg(fd, &message, MSG_NOSIGNAL);

        if (__builtin_expect(sent >= 0, 1))
            return written(fd, sent);
        error = send_error(fd, 0);
    }
    return error < 0 ? error : STATE_RESULT(libc_writev(fd, iov, count));
}

ssize_t data_send(int fd, const void *buffer, size_t length, int flags)
{
    int error;

    RETURN_IF_DATAGRAM(fd, datagram_send(fd, buffer, length, flags, NULL, 0));
    error = send_begin(fd, flags);
    if (error == 0) {
        ssize_t sent = libc_send(fd, buffer, length, flags | MSG_NOSIGNAL);

        if (__builtin_expect(sent >= 0, 1))
            return written(fd, sent);
        error = send_error(fd, flags);
    }
    return error < 0 ? error : STATE_RESULT(libc_send(fd, buffer, length, flags));
}

ssize_t data_sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                    socklen_t address_length)
{
    if (address == NULL)
        return data_send(fd, buffer, length, flags);
    RETURN_IF_DATAGRAM(fd, datagram_send(fd, buffer, length, flags, address, address_length));
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_sendto(fd, buffer, length, flags, address, address_length));
    return data_send(fd, buffer, length, flags); /* TCP takes no notice of the address */
}

ssize_t data_sendmsg(int fd, const struct msghdr *message, int flags)
{
    int error;

    RETURN_IF_DATAGRAM(fd, datagram_sendmsg(fd, message, flags));
    error = send_begin(fd, flags);
    if (memory_check(message, sizeof *message) < 0)
        return -EFAULT;
    if (error == 0 && (message->msg_control != NULL || message->msg_name != NULL) &&
        descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        error = SEND_FOREIGN;
    if (error == 0) {
        struct msghdr plain = {.msg_iov = message->msg_iov, .msg_iovlen = message->msg_iovlen};
        ssize_t sent = libc_sendmsg(fd, &plain, flags | MSG_NOSIGNAL);

        if (__builtin_expect(sent >= 0, 1))
            return written(fd, sent);
        error = send_error(fd, flags);
    }
    return error < 0 ? error : STATE_RESULT(libc_sendmsg(fd, message, flags));
}

int data_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    int done = 0;

    RETURN_IF_DATAGRAM(fd, datagram_sendmmsg(fd, messages, count, flags));
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_sendmmsg(fd, messages, count, flags));
    if (count > IOV_MAX)
        count = IOV_MAX; /* UIO_MAXIOV, as Linux */
    while ((unsigned)done < count) {
        size_t asked = 0;
        ssize_t sent = data_sendmsg(fd, &messages[done].msg_hdr, flags);

        if (sent < 0)
            return done > 0 ? done : (int)sent;
        for (size_t i = 0; i < messages[done].msg_hdr.msg_iovlen; i++)
            asked += messages[done].msg_hdr.msg_iov[i].iov_len;
        messages[done++].msg_len = (unsigned)sent;
        if ((size_t)sent < asked)
            break;
    }
    return done;
}

/* ---- calls that take no MSG_NOSIGNAL: SIGPIPE is blocked meanwhile ---- */

struct held_pipe {
    sigset_t old;
};

static void pipe_hold(struct held_pipe *held)
{
    sigset_t pipe_only;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &held->old);
}

/* result: of the call that was made on fd, in libc's convention. Return: it in ours, corrected. */
static ssize_t pipe_release(const struct held_pipe *held, int fd, ssize_t result)
{
    int error = result < 0 ? errno : 0;

    if (result > 0)
        (void)written(fd, result);
    if (error == EPIPE && descriptor_verify(fd) != DESCRIPTOR_FOREIGN) {
        int cause = reset_cause(fd);

        if (cause != 0) {
            static const struct timespec now;
            sigset_t pipe_only;

            sigemptyset(&pipe_only);
            sigaddset(&pipe_only, SIGPIPE);
            /* The one that this call has just sent. Where the program itself blocks SIGPIPE it may be an older one; to
             * it they are the same. */
            sigtimedwait(&pipe_only, NULL, &now);
            error = cause;
        }
    } else if (error == ECONNRESET && descriptor_verify(fd) != DESCRIPTOR_FOREIGN) {
        error = control_cause(fd, ECONNRESET);
    }
    pthread_sigmask(SIG_SETMASK, &held->old, NULL); /* a true SIGPIPE comes now */
    return error != 0 ? -error : result;
}

ssize_t data_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct held_pipe held;
    int error;

    if (offset == -1 && !plain_only && count >= 0 && count <= IOV_MAX && (flags & ~RWF_NOWAIT) == 0)
        RETURN_IF_DATAGRAM(fd, datagram_writev(fd, iov, count, flags & RWF_NOWAIT ? MSG_DONTWAIT : 0));
    error = offset == -1 && !plain_only ? send_begin(fd, 0) : SEND_FOREIGN;
    if (error != 0)
        return error < 0 ? error : STATE_RESULT(libc_pwritev2(fd, iov, count, offset, flags));
    pipe_hold(&held);
    return pipe_release(&held, fd, libc_pwritev2(fd, iov, count, offset, flags));
}

/*
 * sendfile() of little from a place in a file: read it and send it. A pair takes pages by reference at a price that is
 * more than that of copying a few (docs/performance.md). What can't be read so, a socket or a pipe, or at its end, is
 * left to the kernel's own sendfile(). Not inlined, because memory_check() knows the caller's frame. Return: was it
 * done? Then *result is bytes, or -errno.
 */
static __attribute__((noinline)) bool send_little(int out_fd, int in_fd, off_t *offset, size_t length, ssize_t *result)
{
    char bytes[SENDFILE_COPIED];
    int saved_errno = errno;
    ssize_t got = libc_preadv2(in_fd, &(struct iovec){bytes, length}, 1, *offset, 0);

    if (got <= 0) {
        errno = saved_errno;
        return false;
    }
    *result = libc_send(out_fd, bytes, (size_t)got, MSG_NOSIGNAL);
    if (*result < 0)
        *result = send_error(out_fd, 0);
    else
        *offset += written(out_fd, *result);
    return *result != SEND_FOREIGN;
}

ssize_t data_sendfile(int out_fd, int in_fd, off_t *offset, size_t length)
{
    int error = plain_only ? SEND_FOREIGN : send_begin(out_fd, 0);
    struct held_pipe held;
    ssize_t result;

    if (error != 0)
        return error < 0 ? error : STATE_RESULT(libc_sendfile(out_fd, in_fd, offset, length));
    if (offset != NULL && length > 0 && length <= SENDFILE_COPIED && memory_check(offset, sizeof *offset) == 0 &&
        send_little(out_fd, in_fd, offset, length, &result))
        return result;
    pipe_hold(&held);
    return pipe_release(&held, out_fd, libc_sendfile(out_fd, in_fd, offset, length));
}

ssize_t data_splice(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t length, unsigned flags)
{
    int error = SEND_FOREIGN;
    struct held_pipe held;

    if (!descriptor_is_foreign(out_fd) && !plain_only)
        error = send_begin(out_fd, 0);
    if (error < 0)
        return error;
    if (error == SEND_FOREIGN) {
        ssize_t moved;
        enum descriptor_kind kind = descriptor_kind(in_fd);

        if (!descriptor_kind_is_data(kind) && kind != DESCRIPTOR_FOREIGN) {
            kind = state_find(in_fd);
            if (kind == DESCRIPTOR_EARLY || kind == DESCRIPTOR_LISTENING)
                return -ENOTCONN;
        }
        moved = libc_splice(in_fd, in_offset, out_fd, out_offset, length, flags);
        return moved < 0 ? data_receive_error(in_fd) : moved;
    }
    pipe_hold(&held);
    return pipe_release(&held, out_fd, libc_splice(in_fd, in_offset, out_fd, out_offset, length, flags));
}

void data_stop_asking(void)
{
    plain_only = true;
}
