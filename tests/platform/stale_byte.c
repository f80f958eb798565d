/*
 * stale_byte.c - the service can read all that the program wrote but the last byte and forward that byte from a peek:
 * SIOCINQ says n, a read of n-1 leaves one, a peek shows it, and the end, watched edge-triggered, reports each write
 * that comes after. RDHUP and HUP are told though a byte lies unread.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"

/* The next events of fd's epoll, 0 when there are none. */
static int next_events(int epoll_fd)
{
    struct epoll_event event;

    return epoll_wait(epoll_fd, &event, 1, 0) == 1 ? (int)event.events : 0;
}

int main(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    char buffer[16384], byte = 0;
    int pair[2], pending = -1, epoll_fd, events;
    ssize_t result;

    platform_limit_seconds(10);
    platform_make_pair(pair);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[1], &event) < 0)
        platform_die("epoll_ctl");

    for (int round = 0; round < 3; round++) {
        int expected = 10 + (round > 0);

        if (send(pair[0], "0123456789", 10, MSG_NOSIGNAL) != 10)
            platform_die("send");
        events = next_events(epoll_fd);
        platform_check(events == EPOLLIN, "round %d: an edge for the write: %s", round, platform_bits_text(events));
        if (ioctl(pair[1], SIOCINQ, &pending) < 0)
            platform_die("SIOCINQ");
        platform_check(pending == expected, "SIOCINQ says %d, expected %d", pending, expected);
        result = recv(pair[1], buffer, (size_t)pending - 1, 0);
        platform_check(result == pending - 1, "a read of all but one byte: %zd", result);
        result = recv(pair[1], &byte, 1, MSG_PEEK);
        platform_check(result == 1 && byte == '9', "the peek shows the last one: %c", byte);
        platform_check(next_events(epoll_fd) == 0, "no edge from reading");
    }

    shutdown(pair[0], SHUT_WR);
    events = next_events(epoll_fd);
    platform_check(events == (EPOLLIN | EPOLLRDHUP), "shutdown there: %s", platform_bits_text(events));
    close(pair[0]);
    events = next_events(epoll_fd);
    platform_check((events & EPOLLHUP) != 0, "close there: %s", platform_bits_text(events));
    result = recv(pair[1], buffer, sizeof buffer, 0);
    platform_check(result == 1 && recv(pair[1], buffer, sizeof buffer, 0) == 0, "the byte is there, then end of file");
    close(pair[1]);

    platform_make_pair(pair);
    send(pair[1], "unread", 6, 0);
    close(pair[0]);
    pending = -1;
    getsockopt(pair[1], SOL_SOCKET, SO_ERROR, &pending, &(socklen_t){sizeof pending});
    platform_check(pending == ECONNRESET, "closed with data unread: SO_ERROR there is %s", strerror(pending));
    return platform_result();
}
