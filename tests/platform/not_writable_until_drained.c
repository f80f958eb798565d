/*
 * not_writable_until_drained.c - an end is writable while what its peer has not read is at most a quarter of SO_SNDBUF.
 * A message of 64 KiB whose pages are sent by reference counts as such, and there is a SO_SNDBUF that it alone does not
 * exceed, and one byte more does: then reading the first message makes the end writable, with one edge for epoll.
 *
 * This is how a socket that is not connected yet looks like one, and how it becomes connected without anybody touching
 * the program's end.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"

#define FILLER_BYTES 65536

static int filler_fd;

/* Return: what the kernel counts for it. */
static int put_filler(int fd)
{
    off_t offset = 0;
    int queued = 0;

    if (sendfile(fd, filler_fd, &offset, FILLER_BYTES) != FILLER_BYTES || ioctl(fd, SIOCOUTQ, &queued) < 0)
        platform_die("sendfile");
    return queued;
}

static int put_byte(int fd)
{
    int queued = 0;

    if (send(fd, "x", 1, MSG_NOSIGNAL) != 1 || ioctl(fd, SIOCOUTQ, &queued) < 0)
        platform_die("send");
    return queued;
}

int main(void)
{
    static char buffer[FILLER_BYTES];
    int pair[2], size = 212992, filler, both;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ssize_t result;

    platform_limit_seconds(10);
    filler_fd = memfd_create("filler", MFD_CLOEXEC);
    if (filler_fd < 0 || ftruncate(filler_fd, FILLER_BYTES) < 0)
        platform_die("memfd_create");
    platform_make_pair(pair);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    filler = put_filler(pair[0]);
    both = put_byte(pair[0]);
    platform_check(filler >= FILLER_BYTES && filler < FILLER_BYTES + 4096, "the filler counts as %d bytes", filler);
    platform_check(both > filler, "and the byte behind it as %d", both - filler);

    platform_make_pair(pair);
    size = (4 * filler + 4 * both) / 2 / 2; /* the kernel doubles it */
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    put_filler(pair[0]);
    platform_check_bits(pair[0], POLLOUT, "with the filler in flight");
    put_byte(pair[0]);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pair[0], &event) < 0)
        platform_die("epoll_ctl");
    platform_check_bits(pair[0], 0, "with the byte behind it");
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 0, "epoll reports nothing");

    result = recv(pair[1], buffer, FILLER_BYTES, 0);
    platform_check(result == FILLER_BYTES, "one recv() takes the filler: %zd", result);
    platform_check_bits(pair[0], POLLOUT, "drained but for one byte");
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 1 && event.events == EPOLLOUT, "epoll has an edge, OUT alone");
    platform_check(epoll_wait(epoll_fd, &event, 1, 0) == 0, "and no second one without cause");
    return platform_result();
}
