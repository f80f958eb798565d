/*
 * epoll_edges.c - edge-triggered and one-shot epoll of one end of a pair: an edge for each write that arrives, also
 * while earlier data lies unread, one for room that a reader made, one for EPOLLRDHUP; one-shot reports once until
 * it is armed again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"

/* Wait for nothing: what epoll has now, 0 when it has nothing. */
static int next_events(int epoll_fd)
{
    struct epoll_event event;

    return epoll_wait(epoll_fd, &event, 1, 0) == 1 ? (int)event.events : 0;
}

static void watch(int epoll_fd, int operation, int fd, unsigned events)
{
    struct epoll_event event = {.events = events};

    if (epoll_ctl(epoll_fd, operation, fd, &event) < 0)
        platform_die("epoll_ctl");
}

static void check_events(int epoll_fd, int expected, const char *when)
{
    int seen = next_events(epoll_fd);

    platform_check(seen == expected,
                   "%s: %s, expected %s", when, platform_bits_text(seen), platform_bits_text(expected));
}

int main(void)
{
    static char buffer[8192];
    int pair[2], epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    platform_limit_seconds(10);
    platform_make_pair(pair);
    watch(epoll_fd, EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    check_events(epoll_fd, EPOLLOUT, "at first");
    check_events(epoll_fd, 0, "once");
    for (int i = 0; i < 3; i++) {
        if (send(pair[1], "x", 1, 0) != 1)
            platform_die("send");
        check_events(epoll_fd, EPOLLIN | EPOLLOUT, "a write arrived, those before unread");
        check_events(epoll_fd, 0, "once");
    }
    while (send(pair[0], buffer, sizeof buffer, MSG_NOSIGNAL) > 0)
        ;
    next_events(epoll_fd);
    while (recv(pair[1], buffer, sizeof buffer, 0) > 0)
        ;
    check_events(epoll_fd, EPOLLIN | EPOLLOUT, "the other side made room");
    shutdown(pair[1], SHUT_WR);
    check_events(epoll_fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, "shutdown there");
    check_events(epoll_fd, 0, "once");

    watch(epoll_fd, EPOLL_CTL_ADD, pair[1], EPOLLIN | EPOLLONESHOT);
    send(pair[0], "x", 1, MSG_NOSIGNAL);
    check_events(epoll_fd, EPOLLIN, "one-shot");
    send(pair[0], "x", 1, MSG_NOSIGNAL);
    check_events(epoll_fd, 0, "one-shot, another write");
    watch(epoll_fd, EPOLL_CTL_MOD, pair[1], EPOLLIN | EPOLLONESHOT);
    check_events(epoll_fd, EPOLLIN, "armed again");
    return platform_result();
}
