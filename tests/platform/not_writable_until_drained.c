/*
 * not_writable_until_drained.c - an end with a small SO_SNDBUF and a filler in flight is not writable; draining all of
 * the filler but one byte and restoring SO_SNDBUF makes it writable, with an edge for epoll.
 *
 * This is how a socket that is not connected yet looks like one.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"

#define FILLER_BYTES 3072

int main(void)
{
    static char filler[FILLER_BYTES], buffer[FILLER_BYTES];
    int pair[2], smallest = 1, size_before, size_small, pending = 0;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    socklen_t length = sizeof(int);
    int epoll_fd;
    ssize_t result;

    platform_limit_seconds(10);
    platform_make_pair(pair);
    getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size_before, &length);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest);
    getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size_small, &length);
    platform_check(size_small == 4608,
                   "SO_SNDBUF set to 1 becomes %d, expected 4608 (was %d)", size_small, size_before);
    result = send(pair[0], filler, sizeof filler, MSG_NOSIGNAL);
    platform_check(result == FILLER_BYTES, "the filler of %d bytes went in at once: %zd", FILLER_BYTES, result);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[0], &event) < 0)
        platform_die("epoll_ctl");

    platform_check_bits(pair[0], 0, "with the filler in flight");
    result = send(pair[0], "x", 1, MSG_NOSIGNAL);
    platform_check(result < 0 && errno == EAGAIN, "a write of one byte: %zd, expected EAGAIN", result);
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 0, "epoll reports nothing");
    platform_check(ioctl(pair[1], FIONREAD, &pending) == 0 && pending == FILLER_BYTES,
                   "FIONREAD there says %d", pending);

    result = recv(pair[1], buffer, FILLER_BYTES - 1, 0);
    platform_check(result == FILLER_BYTES - 1, "drained %zd bytes", result);
    size_before /= 2; /* the kernel doubles what it is given */
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size_before, sizeof size_before);
    platform_check_bits(pair[0], POLLOUT, "drained but for one byte, SO_SNDBUF restored");
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 1 && event.events == EPOLLOUT, "epoll has an edge: %s",
                   platform_bits_text((int)event.events));
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 0, "and no second one without cause");

    result = 0;
    while (send(pair[0], buffer, sizeof buffer, MSG_NOSIGNAL) > 0)
        result++;
    platform_check(result * FILLER_BYTES > 65536,
                   "the whole send buffer is there: %zd bytes fit", result * FILLER_BYTES);
    return platform_result();
}
