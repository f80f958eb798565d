/* notify.c - telling systemd how the service is: datagrams of lines to the socket that NOTIFY_SOCKET names. */
#include "notify.h"

#include "service/log/log.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path != NULL ? strlen(path) : 0;
    int fd;

    if (length == 0 || length >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0'; /* an abstract name */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        log_warn("notify: telling %s '%s'; is it a socket of systemd's?", path, state);
    if (fd >= 0)
        close(fd);
}

void notify_ready(void)
{
    notify_send("READY=1");
}

void notify_took_over(void)
{
    char state[64];

    snprintf(state, sizeof state, "MAINPID=%d\nREADY=1", (int)getpid());
    notify_send(state);
}

void notify_reloading(void)
{
    struct timespec now = {0};
    char state[64];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    notify_send(state);
}

void notify_stopping(void)
{
    notify_send("STOPPING=1");
}
