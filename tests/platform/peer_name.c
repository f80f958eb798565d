/*
 * peer_name.c - when one end of a pair is bound to an abstract name, getpeername() of the other end gives that name, in
 * any process, and also after the bound end was closed; and so when it inherited the name from the listening socket
 * that accepted it.
 *
 * This is how any holder of a descriptor learns that it is one of ours.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform.h"

/* getpeername(fd) is '\0' and name. */
static bool has_peer_name(int fd, const char *name)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    size_t name_length = strlen(name);

    return getpeername(fd, (struct sockaddr *)&address, &length) == 0 && address.sun_family == AF_UNIX &&
           length == offsetof(struct sockaddr_un, sun_path) + 1 + name_length && address.sun_path[0] == '\0' &&
           memcmp(address.sun_path + 1, name, name_length) == 0;
}

/* A socket that is connected to a listening one of that name, and the accepted end, which are ends of a pair like
 * others. */
static void make_accepted(int pair[2], const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    int listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(address.sun_path + 1, name, strlen(name));
    pair[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listen_fd, (struct sockaddr *)&address, length) < 0 || listen(listen_fd, 1) < 0 ||
        connect(pair[0], (struct sockaddr *)&address, length) < 0 || (pair[1] = accept(listen_fd, NULL, NULL)) < 0)
        platform_die("a listening socket");
    close(listen_fd);
}

int main(void)
{
    struct sockaddr_un address;
    socklen_t length = sizeof address;
    char name[64];
    int pair[2], status;

    platform_limit_seconds(10);
    snprintf(name, sizeof name, "platform-test/%d", (int)getpid());
    platform_make_named_pair(pair, name);
    platform_check(has_peer_name(pair[0], name), "the other end's name is seen");
    if (fork() == 0)
        _exit(has_peer_name(pair[0], name) ? 0 : 1);
    wait(&status);
    platform_check(status == 0, "and in another process");
    if (getsockname(pair[0], (struct sockaddr *)&address, &length) < 0)
        platform_die("getsockname");
    platform_check(length == sizeof(sa_family_t), "this end has no name (length %u)", (unsigned)length);
    if (shutdown(pair[1], SHUT_WR) < 0)
        platform_die("shutdown");
    platform_check(has_peer_name(pair[0], name), "the name is seen after SHUT_WR there");
    close(pair[1]);
    platform_check(has_peer_name(pair[0], name), "the name is seen after the bound end was closed");
    if (send(pair[0], "x", 1, MSG_NOSIGNAL) >= 0 || errno != EPIPE)
        platform_check(false, "the bound end is closed");
    platform_check(has_peer_name(pair[0], name), "and after a failed write");
    snprintf(name, sizeof name, "platform-test/%d/listening", (int)getpid());
    make_accepted(pair, name);
    platform_check(has_peer_name(pair[0], name), "an accepted end has the name of the socket that listened");
    close(pair[1]);
    platform_check(has_peer_name(pair[0], name), "and after it was closed");
    return platform_result();
}
