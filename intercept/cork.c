/*
 * cork.c - TCP_CORK of connected sockets, without asking the service each time.
 *
 * A server that corks a connection for each answer (nginx with tcp_nopush: cork, header, file, uncork) would ask the
 * service twice for each. Instead the bytes themselves say that others will follow: sendmsg() passes the socket's own
 * descriptor along with them, which the service, which has no use for it, sees as MSG_CTRUNC. It holds what does not
 * fill a segment until bytes without the mark come, or for 200 ms. So:
 *
 *  - DESCRIPTOR_UNCORKED: the service has no cork, by the word of the message that accept() got. Corking makes it ...
 *  - DESCRIPTOR_CORKED: each write is marked. The first makes it ...
 *  - DESCRIPTOR_HELD: the service may hold something back. Bytes that can't be marked (sendfile(), splice()) release it, and the
 *    descriptor is CORKED again; else uncorking does, and asks the service for it.
 *  - DESCRIPTOR_TOLD: the service has the cork. Writes go as they are, and uncorking asks the service for it.
 *  - DESCRIPTOR_DATA: we don't know, or the socket has another number in this process. The service is told of each step.
 *
 * A write of HELD_MAX bytes is still one message for the kernel, which bears the mark. Of one byte, the service can't
 * tell whether the mark is on it or on those before, because it leaves one behind as the stale byte (service/pair.c).
 * So what is shorter or longer has the service corked before, and one byte that is not marked releases nothing.
 *
 * A request and the bytes that are written after it go different ways, and the service may read the bytes first: it is
 * busy with the socket already, or takes the request from a connection that is new. So corking waits for the reply.
 * Uncorking does not: bytes that overtake it are sent with those that it releases, no later. (What is corked again at
 * once may be released, too, in a segment of its own.) DIFFERS: the end of what sendfile() and its like write, if that
 * is less, is not held back (docs/differences.md).
 */
#include "cork.h"

#include "control.h"
#include "descriptor.h"
#include "libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>

#define HELD_MIN 2
#define HELD_MAX 16384

/* Have the service cork the socket, before this returns. */
static void tell(int fd)
{
    struct protocol_message message;
    const int on = 1;

    control_prepare(&message, PROTOCOL_SETSOCKOPT);
    message.args[0] = IPPROTO_TCP;
    message.args[1] = TCP_CORK;
    message.option_length = sizeof on;
    memcpy(message.option, &on, sizeof on);
    (void)control_request(&message, fd, NULL);
}

/* If only this process knows of the cork, tell the service; the descriptor is of kind `to` from now on. */
static void tell_once(int fd, enum descriptor_kind to)
{
    if (descriptor_change(fd, DESCRIPTOR_CORKED, to) || descriptor_change(fd, DESCRIPTOR_HELD, to))
        tell(fd);
}

bool cork_set(int fd, bool on)
{
    enum descriptor_kind kind;

    if (on && descriptor_change(fd, DESCRIPTOR_UNCORKED, DESCRIPTOR_CORKED))
        return true;
    kind = descriptor_kind(fd);
    if (on)
        return kind == DESCRIPTOR_CORKED || kind == DESCRIPTOR_HELD || kind == DESCRIPTOR_TOLD;
    if (descriptor_change(fd, DESCRIPTOR_HELD, DESCRIPTOR_UNCORKED) ||
        descriptor_change(fd, DESCRIPTOR_TOLD, DESCRIPTOR_UNCORKED))
        return false;
    return descriptor_change(fd, DESCRIPTOR_CORKED, DESCRIPTOR_UNCORKED) || descriptor_kind(fd) == DESCRIPTOR_UNCORKED;
}

void cork_tell(int fd)
{
    tell_once(fd, DESCRIPTOR_DATA);
    if (!descriptor_change(fd, DESCRIPTOR_UNCORKED, DESCRIPTOR_DATA))
        (void)descriptor_change(fd, DESCRIPTOR_TOLD, DESCRIPTOR_DATA);
}

/* Return: how many bytes the pieces hold; 0 when they can't be read. */
static size_t length_of(const struct iovec *iov, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count; i++)
        length += iov[i].iov_len < HELD_MAX ? iov[i].iov_len : HELD_MAX + 1;
    return length;
}

ssize_t cork_send(int fd, const struct iovec *iov, size_t count, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = count};
    size_t length = length_of(iov, count);
    ssize_t sent;

    if (length >= HELD_MIN && length <= HELD_MAX) {
        (void)descriptor_change(fd, DESCRIPTOR_CORKED, DESCRIPTOR_HELD);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        sent = libc_sendmsg(fd, &message, flags);
        if (sent >= 0 || errno != ETOOMANYREFS)
            return sent;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    tell_once(fd, DESCRIPTOR_TOLD);
    return libc_sendmsg(fd, &message, flags);
}

void cork_pass(int fd, size_t length)
{
    if (length > HELD_MAX)
        tell_once(fd, DESCRIPTOR_TOLD);
}

void cork_passed(int fd, size_t length)
{
    if (length >= HELD_MIN)
        (void)descriptor_change(fd, DESCRIPTOR_HELD, DESCRIPTOR_CORKED);
}
