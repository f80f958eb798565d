/*
 * datagram_pair.c - a SOCK_SEQPACKET pair carries datagrams as a UDP socket does: boundaries, the true length of one
 * that was cut, no limit on their number but SO_SNDBUF (net.unix.max_dgram_qlen is not for connected pairs), a maximum
 * for one message of SO_SNDBUF - 32, and what was sent before close() can be read after it. An end whose other end is
 * gone reads 0 bytes; if that one left messages unread, ECONNRESET comes first, once.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform.h"

#define HEADER_BYTES 112
#define LONGEST 65507

static int program, service;

static void make_pair(void)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        platform_die("socketpair");
    program = pair[0];
    service = pair[1];
}

static void close_pair(void)
{
    close(program);
    close(service);
}

static void set_send_buffer(int fd, int size)
{
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
        platform_die("SO_SNDBUF");
}

/* Send messages of length bytes until one is refused. Return: how many went, errno is why no more did. */
static int fill(int fd, size_t length)
{
    static char bytes[LONGEST + HEADER_BYTES];
    int count = 0;

    while (count < 1000000 && send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length)
        count++;
    return count;
}

/* The queue of a UDP socket is 10 long in a unix datagram socket that is connected one way; here it is not. */
static int max_queue_length(void)
{
    FILE *file = fopen("/proc/sys/net/unix/max_dgram_qlen", "re");
    int length = 10;

    if (file == NULL || fscanf(file, "%d", &length) != 1)
        length = 10;
    if (file != NULL)
        fclose(file);
    return length;
}

static void try_number(void)
{
    int limit = max_queue_length(), count;

    make_pair();
    count = fill(service, HEADER_BYTES + 1);
    platform_check(errno == EAGAIN && count > 10 * limit, "%d messages fit, max_dgram_qlen is %d, then %s", count, limit,
                   strerror(errno));
    count = fill(program, HEADER_BYTES + 1);
    platform_check(errno == EAGAIN && count > 10 * limit, "the other way %d, then %s", count, strerror(errno));
    platform_check_bits(program, POLLIN, "full");
    close_pair();
}

static void try_size(void)
{
    int size = 2304, count;

    make_pair();
    count = fill(service, HEADER_BYTES + LONGEST);
    platform_check(count >= 2, "%d of the longest messages fit the default buffer", count);
    close_pair();
    make_pair();
    set_send_buffer(service, size);
    errno = 0;
    count = (int)send(service, (char[5000]){0}, 5000, 0);
    platform_check(count < 0 && errno == EMSGSIZE, "longer than SO_SNDBUF: %s", strerror(errno));
    close_pair();
}

static void try_boundaries(void)
{
    char header[HEADER_BYTES] = "header", small[4], text[HEADER_BYTES + 8];
    struct iovec iov[2] = {{header, sizeof header}, {small, sizeof small}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t got;

    make_pair();
    memset(text, 'x', sizeof text);
    send(service, text, sizeof text, 0);
    send(service, header, sizeof header, 0);
    got = recvmsg(program, &message, MSG_PEEK | MSG_TRUNC);
    platform_check(got == (ssize_t)sizeof text && (message.msg_flags & MSG_TRUNC), "MSG_PEEK and MSG_TRUNC: %zd bytes", got);
    got = recvmsg(program, &message, 0);
    platform_check(got == HEADER_BYTES + 4 && (message.msg_flags & MSG_TRUNC), "cut to %zd bytes, and said so", got);
    got = recvmsg(program, &message, 0);
    platform_check(got == HEADER_BYTES && !(message.msg_flags & MSG_TRUNC), "a header alone: %zd bytes", got);
    close_pair();
}

static void try_end(void)
{
    char bytes[HEADER_BYTES];

    make_pair();
    send(program, bytes, sizeof bytes, 0);
    send(service, bytes, 1, 0);
    close(program);
    platform_check_bits(service, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR,
                        "the program left one unread");
    platform_check(recv(service, bytes, sizeof bytes, 0) < 0 && errno == ECONNRESET, "first ECONNRESET");
    platform_check(recv(service, bytes, sizeof bytes, 0) == HEADER_BYTES, "then what it had sent");
    platform_check(recv(service, bytes, sizeof bytes, 0) == 0, "then 0 bytes");
    platform_check(send(service, bytes, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "and sending is EPIPE");
    close(service);

    make_pair();
    if (shutdown(program, SHUT_RD) < 0)
        platform_die("shutdown");
    platform_check(recv(program, bytes, sizeof bytes, 0) == 0, "after shutdown(SHUT_RD) 0 bytes");
    platform_check_bits(program, POLLIN | POLLOUT | POLLRDHUP, "after shutdown(SHUT_RD)");
    platform_check(send(program, bytes, 1, 0) == 1, "which can still send");
    platform_check(send(service, bytes, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE, "and not be sent to: EPIPE");
    close_pair();
}

int main(void)
{
    platform_limit_seconds(20);
    try_number();
    try_size();
    try_boundaries();
    try_end();
    return platform_result();
}
