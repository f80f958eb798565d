/*
 * crowd.c - many connections: each carries one byte there and one back, then the server closes it.
 *
 *   serve ADDRESS PORT         the server
 *   row ADDRESS PORT COUNT     COUNT connections, one after another
 *   crowd ADDRESS PORT COUNT   COUNT connections that are all open at once
 *
 * Says how many came to a good end; what failed first goes to standard error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256
#define WAIT_MS 20000
#define AT_ONCE 1000 /* connects under way: less than any backlog */

static struct sockaddr_in server = {.sin_family = AF_INET};

static bool complain(const char *what)
{
    static bool said;

    if (!said)
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    said = true;
    return false;
}

static void accept_all(int listen_fd, int epoll_fd)
{
    int fd;

    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd}) < 0)
            complain("epoll_ctl");
    if (errno != EAGAIN)
        complain("accept");
}

static int serve(void)
{
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll_fd = epoll_create1(0), on = 1;
    struct epoll_event events[EVENTS];

    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listen_fd, (struct sockaddr *)&server, sizeof server) < 0 || listen(listen_fd, 4096) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = listen_fd}) < 0)
        return complain("listen") + 1;
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            char byte;

            if (fd == listen_fd) {
                accept_all(listen_fd, epoll_fd);
                continue;
            }
            if (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) != 1)
                complain("write");
            close(fd);
        }
    }
}

/* Send a byte, hear it again, and then the end. */
static bool exchange(int fd, char byte)
{
    char got[2];

    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
        return complain("send");
    if (recv(fd, got, 1, MSG_WAITALL) != 1 || got[0] != byte)
        return complain("recv");
    return recv(fd, got, 1, 0) == 0 || complain("end");
}

static int row(int count)
{
    int good = 0;

    for (int i = 0; i < count; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
            complain("connect");
        else
            good += exchange(fd, (char)i);
        close(fd);
    }
    return good;
}

static bool is_connected(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;

    if (poll(&poll_fd, 1, WAIT_MS) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0) {
        errno = error != 0 ? error : ETIMEDOUT;
        return complain("connect");
    }
    return true;
}

static int crowd(int count)
{
    int *fds = calloc((size_t)count, sizeof *fds), good = 0, open_count = 0;

    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fds[i], (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
            complain("connect");
        if (i >= AT_ONCE)
            open_count += is_connected(fds[i - AT_ONCE]);
    }
    for (int i = count > AT_ONCE ? count - AT_ONCE : 0; i < count; i++)
        open_count += is_connected(fds[i]);
    printf("%d open at once\n", open_count);
    for (int i = 0; i < count; i++) {
        char byte = (char)i;

        if (send(fds[i], &byte, 1, MSG_NOSIGNAL) != 1)
            complain("send");
    }
    for (int i = 0; i < count; i++) {
        struct pollfd poll_fd = {.fd = fds[i], .events = POLLRDHUP};
        char got[2];

        if (poll(&poll_fd, 1, WAIT_MS) != 1 || recv(fds[i], got, 2, 0) != 1 || got[0] != (char)i)
            complain("recv");
        else
            good++;
        close(fds[i]);
    }
    free(fds);
    return good;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    int count = argc > 4 ? atoi(argv[4]) : 0;

    if (argc < 4 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        return 2;
    server.sin_port = htons((uint16_t)atoi(argv[3]));
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (strcmp(argv[1], "serve") == 0)
        return serve();
    printf("%d of %d\n", strcmp(argv[1], "row") == 0 ? row(count) : crowd(count), count);
    return 0;
}
