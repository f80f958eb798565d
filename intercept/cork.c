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
 *  - DESCRIPTOR_DATA: we don't know, or the socket has another number in this process. The service is told of each step.
 *
 * A write of HELD_MAX bytes is still one message for the kernel, which bears the mark. Of one byte, the service can't tell whether the mark is on
 * it or on those before, because it leaves one behind as the stale byte (service/pair.c). So what is shorter or longer has the service corked
 * before, and one byte that is not marked releases nothing.
 * DIFFERS: the end of what sendfile() and its like write, if that is less, is not held back (docs/differences.md).
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

static void tell(int fd, int value)
{
    struct protocol_message message;

    control_prepare(&message, PROTOCOL_SETSOCKOPT);
    message.args[0] = IPPROTO_TCP;
    message.args[1] = TCP_CORK;
    message.option_length = sizeof value;
    memcpy(message.option, &value, sizeof value);
    (void)control_send(&message, fd);
}

bool cork_set(int fd, bool on)
{
    if (on)
        return descriptor_change(fd, DESCRIPTOR_UNCORKED, DESCRIPTOR_CORKED) ||
               descriptor_kind(fd) == DESCRIPTOR_CORKED || descriptor_kind(fd) == DESCRIPTOR_HELD;
    if (descriptor_change(fd, DESCRIPTOR_HELD, DESCRIPTOR_UNCORKED))
        return false;
    return descriptor_change(fd, DESCRIPTOR_CORKED, DESCRIPTOR_UNCORKED) || descriptor_kind(fd) == DESCRIPTOR_UNCORKED;
}

void cork_tell(int fd)
{
    if (descriptor_change(fd, DESCRIPTOR_CORKED, DESCRIPTOR_DATA) ||
        descriptor_change(fd, DESCRIPTOR_HELD, DESCRIPTOR_DATA))
        tell(fd, 1);
    else
        (void)descriptor_change(fd, DESCRIPTOR_UNCORKED, DESCRIPTOR_DATA);
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
    cork_tell(fd);
    return libc_sendmsg(fd, &message, flags);
}

void cork_pass(int fd, size_t length)
{
    if (length > HELD_MAX)
        cork_tell(fd);
}

void cork_passed(int fd, size_t length)
{
    if (length >= HELD_MIN)
        (void)descriptor_change(fd, DESCRIPTOR_HELD, DESCRIPTOR_CORKED);
}
