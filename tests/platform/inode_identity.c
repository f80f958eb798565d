/*
 * inode_identity.c - a socket that was passed (SCM_RIGHTS), duplicated or inherited has the same st_dev and st_ino for
 * fstat() and the same SO_COOKIE as the original, and another socket has others.
 *
 * So the service recognises a socket by the descriptor that a request carries.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform.h"

static uint64_t get_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0)
        platform_die("SO_COOKIE");
    return cookie;
}

static bool is_same(int a, int b)
{
    struct stat stat_a, stat_b;

    if (fstat(a, &stat_a) < 0 || fstat(b, &stat_b) < 0)
        platform_die("fstat");
    return stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino && get_cookie(a) == get_cookie(b);
}

int main(void)
{
    int pair[2], channel[2], passed, count;
    char byte;

    platform_limit_seconds(10);
    platform_make_pair(pair);
    platform_make_pair(channel);
    if (platform_send_descriptor(channel[0], "x", 1, pair[0]) != 1 ||
        platform_receive_descriptor(channel[1], &byte, 1, &passed, &count) != 1 || count != 1)
        platform_die("pass a descriptor");
    platform_check(is_same(pair[0], passed), "a passed descriptor is the same socket");
    platform_check(is_same(pair[0], dup(pair[0])), "a duplicate is the same socket");
    platform_check(!is_same(pair[0], pair[1]), "the other end is another");
    platform_check(!is_same(pair[0], channel[0]), "another pair is another");
    return platform_result();
}
