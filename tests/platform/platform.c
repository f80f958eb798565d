/* platform.c - what the platform tests share: checks, pairs, poll bits, passing of descriptors. */
#include "platform.h"
#include "tests/poll_bits.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 8

static bool any_failed;

bool platform_check(bool condition, const char *format, ...)
{
    va_list arguments;

    printf("%s: ", condition ? "ok" : "FAILED");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    if (!condition)
        any_failed = true;
    return condition;
}

int platform_result(void)
{
    fflush(stdout);
    return any_failed ? 1 : 0;
}

void platform_die(const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void platform_limit_seconds(unsigned seconds)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    alarm(seconds);
}

void platform_make_pair(int pair[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        platform_die("socketpair");
}

void platform_make_named_pair(int pair[2], const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);

    platform_make_pair(pair);
    memcpy(address.sun_path + 1, name, length);
    if (bind(pair[1], (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) < 0)
        platform_die("bind of one end of a pair to an abstract name");
}

int platform_poll(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

    if (poll(&poll_fd, 1, 0) < 0)
        platform_die("poll");
    return poll_fd.revents;
}

const char *platform_bits_text(int bits)
{
    return poll_bits_text((unsigned)bits);
}

bool platform_check_bits(int fd, int expected, const char *when)
{
    int seen = platform_poll(fd);

    return platform_check(seen == expected, "%s: poll says %s, expected %s", when, platform_bits_text(seen),
                          platform_bits_text(expected));
}

long platform_send_descriptor(int fd, const void *bytes, size_t length, int passed_fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (passed_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof passed_fd);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

long platform_receive_descriptor(int fd, void *bytes, size_t length, int *passed_fd, int *count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_DESCRIPTORS)];
    } control = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    long result = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);

    *passed_fd = -1;
    *count = 0;
    if (result < 0)
        return result;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        size_t descriptors = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        if (*count == 0 && descriptors > 0)
            memcpy(passed_fd, CMSG_DATA(c), sizeof *passed_fd);
        *count += (int)descriptors;
    }
    return result;
}
