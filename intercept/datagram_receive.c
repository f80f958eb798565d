/*
 * datagram_receive.c - receiving on datagram sockets of ours.
 *
 * Each message in the pair is a header and a datagram. The header is read into our frame and the datagram into the
 * program's pieces, by one system call.
 */
#include "datagram.h"

#include "address.h"
#include "libc.h"
#include "service/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Pieces of the program's that fit without a large frame. */
#define PIECES_FEW 16

/* Datagrams that one recvmmsg() of libc's takes, and pieces of each. */
#define BATCH 32
#define BATCH_PIECES 3

/* Flags that mean the same on the pair. */
#define PAIR_FLAGS (MSG_PEEK | MSG_DONTWAIT)

static size_t length_of(const struct iovec *iov, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += iov[i].iov_len;
    return length;
}

/* The pair has ended: by shutdown(SHUT_RD), or the service is gone. Return: 0 or -errno. */
static int receive_end(int fd, int flags)
{
    int error = datagram_pair_error(fd, EPIPE);

    if (error != -EPIPE)
        return error;
    /* After a shutdown Linux gives 0 only to a call that would wait. */
    return (flags & MSG_DONTWAIT) || (libc_fcntl(fd, F_GETFL, 0) & O_NONBLOCK) ? -EAGAIN : 0;
}

/* What came is an error: take it out of the pair if it was only looked at. Return: -errno. */
static int receive_pending(int fd, const struct protocol_datagram *header, int flags)
{
    if (flags & MSG_PEEK)
        (void)datagram_take_error(fd);
    return header->error > 0 && header->error < 4096 ? -header->error : -EPROTO;
}

/*
 * A datagram is in the pieces and its header in *header: tell the program the rest. got: of the message in the pair,
 * its true length. pair_flags: what the pair said. Return: as recvmsg().
 */
static ssize_t finish(int fd, const struct protocol_datagram *header, size_t got, int pair_flags,
                      struct msghdr *message, int flags)
{
    size_t length = got - sizeof *header;
    struct control_out out = {message->msg_control, message->msg_control ? message->msg_controllen : 0, false};

    if (message->msg_name != NULL) {
        socklen_t room = message->msg_namelen < header->peer.length ? message->msg_namelen : header->peer.length;

        memcpy(message->msg_name, header->peer.bytes, room);
        message->msg_namelen = header->peer.length;
    }
    datagram_put_control(&out, header);
    message->msg_controllen = message->msg_control ? (size_t)(out.next - (char *)message->msg_control) : 0;
    message->msg_flags = (pair_flags & MSG_TRUNC) | (out.is_cut ? MSG_CTRUNC : 0);
    if (!(flags & MSG_PEEK) && !(header->flags & PROTOCOL_DATAGRAM_ASK))
        datagram_note_peer(fd, header);
    if ((pair_flags & MSG_TRUNC) && !(flags & MSG_TRUNC))
        length = length_of(message->msg_iov, message->msg_iovlen);
    return (ssize_t)length;
}

/* Receive into header and pieces, which stand in parts behind room for the header. joined: two that are one, or
 * NULL. */
static ssize_t receive_parts(int fd, struct msghdr *message, int flags, struct iovec *parts, size_t count,
                             const struct datagram_joined *joined)
{
    struct protocol_datagram header;
    struct msghdr plain = {.msg_iov = parts, .msg_iovlen = 1 + count};
    ssize_t got;

    parts[0] = (struct iovec){&header, sizeof header};
    got = libc_recvmsg(fd, &plain, (flags & PAIR_FLAGS) | MSG_TRUNC);
    if (got <= 0) {
        int error = got < 0 ? datagram_pair_error(fd, errno) : receive_end(fd, flags);

        if (error == 0) {
            message->msg_namelen = 0;
            message->msg_controllen = 0;
            message->msg_flags = 0;
        }
        return error;
    }
    if (!datagram_header_is_good(&header, (size_t)got))
        return -EPROTO;
    if (header.flags & PROTOCOL_DATAGRAM_ERROR)
        return receive_pending(fd, &header, flags);
    if (joined != NULL && datagram_pieces_scatter(message->msg_iov, joined, (size_t)got - sizeof header) < 0)
        return -EFAULT;
    return finish(fd, &header, (size_t)got, plain.msg_flags, message, flags);
}

/* The same with more pieces than fit a small frame. */
static __attribute__((noinline)) ssize_t receive_many_parts(int fd, struct msghdr *message, int flags)
{
    struct iovec parts[1 + DATAGRAM_PIECES_MAX];
    struct datagram_joined joined;

    if (message->msg_iovlen == DATAGRAM_PIECES_MAX)
        return receive_parts(fd, message, flags, parts, datagram_pieces_join(parts + 1, message->msg_iov, &joined), &joined);
    memcpy(parts + 1, message->msg_iov, message->msg_iovlen * sizeof *parts);
    return receive_parts(fd, message, flags, parts, message->msg_iovlen, NULL);
}

static ssize_t receive_message(int fd, struct msghdr *message, int flags)
{
    struct iovec parts[1 + PIECES_FEW];

    if (flags & MSG_ERRQUEUE)
        return datagram_receive_error(fd, message, flags);
    if (message->msg_iovlen > DATAGRAM_PIECES_MAX)
        return -EMSGSIZE;
    if (message->msg_iovlen > PIECES_FEW)
        return receive_many_parts(fd, message, flags);
    if (message->msg_iovlen > 0) /* else msg_iov may be NULL */
        memcpy(parts + 1, message->msg_iov, message->msg_iovlen * sizeof *parts);
    return receive_parts(fd, message, flags, parts, message->msg_iovlen, NULL);
}

ssize_t datagram_recvmsg(int fd, struct msghdr *message, int flags)
{
    if (memory_check(message, sizeof *message) < 0 ||
        memory_check(message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov) < 0)
        return -EFAULT;
    if ((int)message->msg_namelen < 0)
        return -EINVAL;
    return receive_message(fd, message, flags);
}

ssize_t datagram_recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
                          socklen_t *address_length)
{
    struct iovec iov = {buffer, length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    struct protocol_address peer = {.length = 0};
    ssize_t got;

    if (address == NULL)
        return receive_message(fd, &message, flags);
    message.msg_name = peer.bytes;
    message.msg_namelen = sizeof peer.bytes;
    got = receive_message(fd, &message, flags);
    if (got >= 0) {
        int error;

        peer.length = message.msg_namelen;
        error = address_copy_out(&peer, address, address_length);
        if (error < 0)
            return error;
    }
    return got;
}

/* Move a datagram to the pieces of another message. Return: how many bytes found room. */
static size_t move_pieces(const struct msghdr *to, const struct msghdr *from, size_t length)
{
    size_t done = 0, from_piece = 0, from_at = 0;

    for (size_t i = 0; i < to->msg_iovlen && done < length; i++) {
        size_t at = 0;

        while (at < to->msg_iov[i].iov_len && done < length && from_piece < from->msg_iovlen) {
            size_t room = to->msg_iov[i].iov_len - at, left = from->msg_iov[from_piece].iov_len - from_at;
            size_t step = room < left ? room : left;

            step = step < length - done ? step : length - done;
            memcpy((char *)to->msg_iov[i].iov_base + at, (char *)from->msg_iov[from_piece].iov_base + from_at, step);
            at += step;
            done += step;
            from_at += step;
            if (from_at == from->msg_iov[from_piece].iov_len) {
                from_piece++;
                from_at = 0;
            }
        }
    }
    return done;
}

/*
 * Receive as many as there are into the first messages, in one system call. An error among datagrams is passed over,
 * and those behind it move up.
 * Return: how many came, or -errno.
 */
static int receive_batch(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    struct protocol_datagram headers[BATCH];
    struct iovec parts[BATCH][1 + BATCH_PIECES];
    struct mmsghdr batch[BATCH];
    int done = 0, error = 0, got;

    for (unsigned i = 0; i < count; i++) {
        const struct msghdr *message = &messages[i].msg_hdr;

        parts[i][0] = (struct iovec){&headers[i], sizeof headers[i]};
        if (message->msg_iovlen > 0)
            memcpy(parts[i] + 1, message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov);
        batch[i].msg_hdr = (struct msghdr){.msg_iov = parts[i], .msg_iovlen = 1 + message->msg_iovlen};
    }
    got = libc_recvmmsg(fd, batch, count, (flags & (PAIR_FLAGS | MSG_WAITFORONE)) | MSG_TRUNC, timeout);
    if (got < 0)
        return datagram_pair_error(fd, errno);
    for (int i = 0; i < got; i++) {
        size_t length = batch[i].msg_len - sizeof headers[i];

        if (batch[i].msg_len == 0) {
            error = receive_end(fd, flags);
            break;
        }
        if (!datagram_header_is_good(&headers[i], batch[i].msg_len)) {
            error = -EPROTO;
            break;
        }
        // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): as many as came were filled
        if (headers[i].flags & PROTOCOL_DATAGRAM_ERROR) {
            error = receive_pending(fd, &headers[i], flags);
            continue;
        }
        if (i != done && move_pieces(&messages[done].msg_hdr, &messages[i].msg_hdr, length) < length)
            batch[i].msg_hdr.msg_flags |= MSG_TRUNC;
        messages[done].msg_len = (unsigned)finish(fd, &headers[i], batch[i].msg_len, batch[i].msg_hdr.msg_flags,
                                                  &messages[done].msg_hdr, flags);
        done++;
    }
    return done > 0 ? done : error;
}

int datagram_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    unsigned done = 0;

    if (count > DATAGRAM_PIECES_MAX)
        count = DATAGRAM_PIECES_MAX;
    if (memory_check(messages, count * sizeof *messages) < 0)
        return -EFAULT;
    /* Linux: do_recvmmsg(). DIFFERS: one between two datagrams that this call takes is passed over. */
    if (!(flags & MSG_ERRQUEUE) && descriptor_kind(fd) == DESCRIPTOR_DATAGRAM_ERRORS) {
        int error = datagram_take_error(fd);

        if (error != 0)
            return -error;
    }
    while (done < count) {
        unsigned want = 0;
        int got;

        while (want < BATCH && done + want < count && messages[done + want].msg_hdr.msg_iovlen <= BATCH_PIECES)
            want++;
        if (want == 0 || (flags & MSG_ERRQUEUE)) {
            ssize_t length = datagram_recvmsg(fd, &messages[done].msg_hdr, flags & ~MSG_WAITFORONE);

            want = 1;
            got = length >= 0 ? 1 : (int)length;
            messages[done].msg_len = length >= 0 ? (unsigned)length : 0;
        } else {
            got = receive_batch(fd, messages + done, want, flags, timeout);
        }
        if (got < 0)
            return done > 0 ? (int)done : got;
        done += (unsigned)got;
        if ((unsigned)got < want)
            break;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
    }
    return (int)done;
}

int datagram_next_length(int fd, int *length)
{
    struct protocol_datagram header;
    ssize_t got = libc_recv(fd, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC);

    if (got < 0 && errno != EAGAIN)
        return datagram_pair_error(fd, errno);
    *length = 0;
    if (got > 0 && datagram_header_is_good(&header, (size_t)got) && !(header.flags & PROTOCOL_DATAGRAM_ERROR))
        *length = (int)((size_t)got - sizeof header);
    return 0;
}
