/*
 * peer_credentials.c - SO_PEERCRED of a connection to a listening AF_UNIX SOCK_SEQPACKET socket tells who connected:
 * process, user and group at the time of connect(), also when these change after.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform.h"

#define PLAIN_USER 65534

int main(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred credentials = {0};
    socklen_t length = sizeof credentials;
    uid_t uid = geteuid() == 0 ? PLAIN_USER : geteuid();
    int listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd, status;
    pid_t child;
    char byte;

    platform_limit_seconds(10);
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "platform-credentials/%d", (int)getpid());
    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(listen_fd, 1) < 0)
        platform_die("listen");
    child = fork();
    if (child == 0) {
        fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        if (uid != geteuid() && setuid(uid) < 0)
            _exit(1);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 || recv(fd, &byte, 1, 0) != 1)
            _exit(1);
        _exit(0);
    }
    fd = accept(listen_fd, NULL, NULL);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
        platform_die("SO_PEERCRED");
    platform_check(credentials.pid == child, "the process is the one that connected");
    platform_check(credentials.uid == uid, "its user is %u, expected %u", credentials.uid, uid);
    send(fd, "x", 1, MSG_NOSIGNAL);
    waitpid(child, &status, 0);
    platform_check(status == 0, "the other side saw the connection");
    return platform_result();
}
