/*
 * messages_in_flight.c - how many messages with a descriptor a pair holds: as many as SO_SNDBUF pays for (about 278
 * of 72 bytes in the default buffer, in proportion with a larger one, each at the cost that SIOCOUTQ shows), and no
 * more than RLIMIT_NOFILE descriptors in flight (ETOOMANYREFS) unless the sender has CAP_SYS_RESOURCE or CAP_SYS_ADMIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform.h"

#define MESSAGE_BYTES 72
#define PLAIN_USER 65534

/* Send messages with a descriptor until one is refused. Return: how many went, *error why no more did. */
static int fill(int fd, int *error)
{
    char message[MESSAGE_BYTES] = {0};
    int count = 0;

    while (count < 100000 && platform_send_descriptor(fd, message, sizeof message, fd) > 0)
        count++;
    *error = errno;
    return count;
}

/* In a process of its own: what a user without capabilities may have in flight. Return: 0 when the limit was seen. */
static int try_plain_user(void)
{
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    int pair[2], error, count;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || setuid(PLAIN_USER) < 0)
        platform_die("become a plain user");
    platform_make_pair(pair);
    count = fill(pair[1], &error);
    platform_check(error == ETOOMANYREFS && count >= 64 && count <= 66,
                   "a plain user with RLIMIT_NOFILE 64: %d in flight, then %s", count, strerror(error));
    return platform_result();
}

int main(void)
{
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    int pair[2], error, fit, queued = 0, one = 0, size = 1 << 20, larger, status;
    pid_t child;

    platform_limit_seconds(20);
    platform_make_pair(pair);
    platform_send_descriptor(pair[1], "x", 1, pair[1]);
    if (ioctl(pair[1], SIOCOUTQ, &one) < 0)
        platform_die("SIOCOUTQ");
    recv(pair[0], &(char){0}, 1, 0);
    if (ioctl(pair[1], SIOCOUTQ, &queued) < 0)
        platform_die("SIOCOUTQ");
    platform_check(one >= 256 && one <= 1024 && queued == 0,
                   "SIOCOUTQ says %d with one message in flight, %d when it was read", one, queued);
    fit = fill(pair[1], &error);
    platform_check(fit >= 200 && fit <= 400 && error == EAGAIN, "%d messages fit the default buffer, then %s", fit,
                   strerror(error));
    close(pair[0]);
    close(pair[1]);

    platform_make_pair(pair);
    if (setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        platform_die("SO_SNDBUFFORCE");
    larger = fill(pair[1], &error);
    platform_check(larger > 2000 && error == EAGAIN,
                   "%d fit with SO_SNDBUF of 1 MiB, then %s", larger, strerror(error));
    close(pair[0]);
    close(pair[1]);

    if (geteuid() != 0) {
        printf("skipped: the limits by capability need root\n");
        return platform_result();
    }
    child = fork();
    if (child == 0)
        _exit(try_plain_user());
    waitpid(child, &status, 0);
    platform_check(status == 0, "descriptors in flight of a plain user are limited by RLIMIT_NOFILE");
    child = fork();
    if (child == 0) {
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            platform_die("setrlimit");
        platform_make_pair(pair);
        fit = fill(pair[1], &error);
        platform_check(fit > 200 && error == EAGAIN, "root with RLIMIT_NOFILE 64: %d in flight, then %s", fit,
                       strerror(error));
        _exit(platform_result());
    }
    waitpid(child, &status, 0);
    platform_check(status == 0, "those of a process with CAP_SYS_RESOURCE are not");
    return platform_result();
}
