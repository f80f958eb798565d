/* program_stream.c - steps of program.c: connections, made and accepted, with each byte looked at. */
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_BYTES 300000

/* Write a command and `size` bytes, end, and read them back, all at once. Return: did it go well? */
bool exchange(int fd, const char *command, size_t size)
{
    const size_t head = strlen(command);
    static uint8_t bytes[LONG_BYTES + 1], back[LONG_BYTES + 1];
    size_t sent = 0, got = 0;

    memcpy(bytes, command, head);
    fill(bytes + head, size, 0);
    for (;;) {
        struct pollfd wait = {fd, (short)(POLLIN | (sent < head + size ? POLLOUT : 0)), 0};
        ssize_t length;

        if (!good("poll", poll(&wait, 1, -1)))
            return false;
        if (wait.revents & POLLOUT) {
            length = send(fd, bytes + sent, head + size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (length < 0 && errno != EAGAIN && !good("send", length))
                return false;
            sent += length > 0 ? (size_t)length : 0;
            if (length > 0 && sent == head + size && !good("shutdown", shutdown(fd, SHUT_WR)))
                return false;
        }
        if (wait.revents & (POLLIN | POLLERR | POLLHUP)) {
            length = recv(fd, back, sizeof back, MSG_DONTWAIT);
            if (length < 0 && errno == EAGAIN)
                continue;
            if (!good("recv", length))
                return false;
            if (length == 0 && got < size)
                end("an end of file too early");
            if (length == 0)
                return true;
            if (got + (size_t)length > size)
                end("more came back than was sent");
            check(back, (size_t)length, got);
            got += (size_t)length;
        }
    }
}

/* A connection to the peer. Return: its descriptor or -1. */
int dial(const void *to, socklen_t length, int flags)
{
    int fd = socket(((const struct sockaddr *)to)->sa_family, SOCK_STREAM | flags, 0);
    int error = 0;
    socklen_t size = sizeof error;
    struct pollfd wait = {fd, POLLOUT, 0};

    if (!good("socket", fd))
        return -1;
    if (connect(fd, to, length) == 0)
        return fd;
    if (!(flags & SOCK_NONBLOCK) || errno != EINPROGRESS) {
        good("connect", -1);
        close(fd);
        return -1;
    }
    if (good("poll", poll(&wait, 1, -1)) && good("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))) {
        errno = error;
        if (good("connect", error != 0 ? -1 : 0))
            return fd;
    }
    close(fd);
    return -1;
}

static bool exchange_with(const void *to, socklen_t length, int flags, size_t size)
{
    int fd = dial(to, length, flags);
    bool ok = fd >= 0 && exchange(fd, "e", size);

    if (fd >= 0)
        close(fd);
    return ok;
}

bool step_short_exchange(void)
{
    return exchange_with(&peer4, sizeof peer4, 0, 100);
}

bool step_long_exchange(void)
{
    return exchange_with(&peer4, sizeof peer4, SOCK_NONBLOCK, LONG_BYTES);
}

bool step_exchange6(void)
{
    return exchange_with(&peer6, sizeof peer6, 0, LONG_BYTES);
}

/* The plainest of programs: blocking calls, nothing else. */
bool step_blocking(void)
{
    uint8_t bytes[5001], back[5000];
    int fd = dial(&peer4, sizeof peer4, 0);
    size_t done = 0;
    bool ok = fd >= 0;

    bytes[0] = 'e';
    fill(bytes + 1, 5000, 0);
    while (ok && done < sizeof bytes) {
        ssize_t n = send(fd, bytes + done, sizeof bytes - done, MSG_NOSIGNAL);

        ok = good("send", n);
        done += ok ? (size_t)n : 0;
    }
    for (done = 0; ok && done < sizeof back;) {
        ssize_t n = read(fd, back + done, sizeof back - done);

        ok = good("read", n);
        if (n == 0)
            end("an end of file too early");
        done += ok ? (size_t)n : 0;
    }
    if (ok)
        check(back, sizeof back, 0);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* What a server does with one connection. Return: did it go well? */
static bool serve(int fd)
{
    uint8_t bytes[65536];
    ssize_t got, sent;

    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        for (size_t done = 0; done < (size_t)got; done += (size_t)sent) {
            sent = send(fd, bytes + done, (size_t)got - done, MSG_NOSIGNAL);
            if (!good("send", sent))
                return false;
        }
    return good("read", got);
}

/* Return: a listening socket and its port, or -1. */
int open_listener(int domain, in_port_t *port)
{
    struct sockaddr_in6 any = {.sin6_family = (sa_family_t)domain};
    socklen_t length = domain == AF_INET ? sizeof(struct sockaddr_in) : sizeof any;
    int fd = socket(domain, SOCK_STREAM, 0);

    if (!good("socket", fd))
        return -1;
    if (good("bind", bind(fd, (struct sockaddr *)&any, length)) && good("listen", listen(fd, 5)) &&
        good("getsockname", getsockname(fd, (struct sockaddr *)&any, &length))) {
        *port = any.sin6_port; /* in the same place */
        return fd;
    }
    close(fd);
    return -1;
}

/* The peer is asked to connect to us. */
bool step_accepting(void)
{
    in_port_t port;
    int listener = open_listener(AF_INET, &port), asking = -1, fd = -1;
    char command[16], answer = 0;
    bool ok = listener >= 0;

    if (ok)
        asking = dial(&peer4, sizeof peer4, 0);
    ok = ok && asking >= 0;
    if (ok) {
        snprintf(command, sizeof command, "c%05u", ntohs(port));
        ok = good("send", send(asking, command, 6, MSG_NOSIGNAL));
    }
    if (ok) {
        struct pollfd wait[] = {{listener, POLLIN, 0}, {asking, POLLIN, 0}};

        ok = good("poll", poll(wait, 2, -1));
        if (ok && !(wait[0].revents & POLLIN)) { /* the peer gave up */
            printf("%s: the peer could not connect\n", step);
            ok = false;
        }
    }
    if (ok) {
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        ok = good("accept", fd) && serve(fd);
    }
    if (fd >= 0)
        close(fd);
    if (ok) {
        ssize_t got = read(asking, &answer, 1);

        ok = good("read", got);
        if (ok && (got != 1 || answer != 'k')) {
            printf("%s: the peer says '%c'\n", step, got == 1 ? answer : '-');
            ok = false;
        }
    }
    if (asking >= 0)
        close(asking);
    if (listener >= 0)
        close(listener);
    return ok;
}

/* Both ends are ours. */
bool step_own_loopback(void)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int listener = open_listener(AF_INET6, &to.sin6_port), fd = -1;
    bool ok = listener >= 0;
    int status;
    pid_t child;

    if (!ok)
        return false;
    fflush(stdout);
    child = fork(); /* also: descriptors that came by inheritance */
    if (child < 0)
        end("fork");
    if (child == 0) {
        int server = accept(listener, NULL, NULL);

        close(listener);
        ok = good("accept", server) && serve(server);
        for (int i = 0; !ok && server >= 0 && i < 10; i++) /* it may fail, too: no orderly end */
            setsockopt(server, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        fflush(stdout);
        _exit(ok ? 0 : 2);
    }
    close(listener);
    fd = dial(&to, sizeof to, 0);
    ok = fd >= 0 && exchange(fd, "", 50000);
    if (fd >= 0)
        close(fd);
    if (!ok)
        kill(child, SIGKILL); /* it may wait for a connection that never comes */
    if (waitpid(child, &status, 0) != child ||
        (WIFEXITED(status) ? WEXITSTATUS(status) == 1 : WTERMSIG(status) != SIGKILL))
        end("the child's end");
    return ok && status == 0;
}

/* To a port where nobody is: refused, each time. */
bool step_refused(void)
{
    struct sockaddr_in to = peer4;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = good("socket", fd);

    to.sin_port = htons(1);
    for (int i = 0; ok && i < 2; i++) {
        if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
            end("connected to nobody");
        ok = good("connect", -1) || errno == ECONNREFUSED;
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* An epoll, edge-triggered, that waits for two connections at once. */
bool step_by_epoll(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fds[2] = {-1, -1};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    bool ok = good("epoll_create1", epoll_fd);
    int answered = 0;

    for (int i = 0; ok && i < 2; i++) {
        fds[i] = dial(&peer4, sizeof peer4, 0);
        event.data.fd = fds[i];
        ok = fds[i] >= 0 && good("epoll_ctl", epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i], &event)) &&
             good("send", send(fds[i], "exy", 3, MSG_NOSIGNAL));
    }
    while (ok && answered < 2) {
        char back[3];
        ssize_t got;

        ok = good("epoll_wait", epoll_wait(epoll_fd, &event, 1, -1));
        if (!ok)
            break;
        got = recv(event.data.fd, back, sizeof back, MSG_DONTWAIT);
        ok = good("recv", got);
        if (ok && (got != 2 || memcmp(back, "xy", 2) != 0)) /* the peer sends what it got at once */
            end("another answer");
        answered++;
    }
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (epoll_fd >= 0)
        close(epoll_fd);
    return ok;
}
