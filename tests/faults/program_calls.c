/* program_calls.c - steps of program.c: each call that moves bytes, what is special about descriptors, and a stranger's requests. */
#include "program.h"

#include "service/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE     100 /* bytes */
#define COPY      150 /* a descriptor that nothing has */
#define WAYS_OUT  8
#define WAYS_BACK 9

static int file_fd = -1, pipes[2] = {-1, -1}; /* for sendfile() and splice(); closed on exec */

/* There is something in it that is nowhere wanted. errno stays. */
static void forget_pipe(void)
{
    int error = errno;

    for (int i = 0; i < 2; i++) {
        close(pipes[i]);
        pipes[i] = -1;
    }
    errno = error;
}

/* Some of `size` bytes. Return: how many were sent, or -1. */
static ssize_t send_somehow(int way, int fd, uint8_t *bytes, size_t size)
{
    struct iovec parts[] = {{bytes, size / 2}, {bytes + size / 2, size - size / 2}};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}};
    off_t at = 0;

    switch (way) {
    case 0:
        return write(fd, bytes, size);
    case 1:
        return writev(fd, parts, 2);
    case 2:
        return send(fd, bytes, size, MSG_MORE);
    case 3:
        return sendto(fd, bytes, size, 0, NULL, 0);
    case 4:
        return sendmsg(fd, &message.msg_hdr, 0);
    case 5:
        return sendmmsg(fd, &message, 1, 0) == 1 ? (ssize_t)message.msg_len : -1;
    case 6:
        return pwrite(file_fd, bytes, size, 0) == (ssize_t)size ? sendfile(fd, file_fd, &at, size) : -1;
    default:
        if (write(pipes[1], bytes, size) != (ssize_t)size)
            return -1;
        at = splice(pipes[0], NULL, fd, NULL, size, 0);
        if (at < (off_t)size)
            forget_pipe();
        return (ssize_t)at;
    }
}

/* Some of `size` bytes; *known: whether they are in `bytes` now. Return: how many came, or -1. */
static ssize_t receive_somehow(int way, int fd, uint8_t *bytes, size_t size, bool *known)
{
    struct iovec parts[] = {{bytes, size / 2}, {bytes + size / 2, size - size / 2}};
    struct mmsghdr message = {.msg_hdr = {.msg_iov = parts, .msg_iovlen = 2}};
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t got;
    int queued;

    *known = way != 8;
    switch (way) {
    case 0:
        return read(fd, bytes, size);
    case 1:
        return readv(fd, parts, 2);
    case 2:
        return recv(fd, bytes, size, MSG_WAITALL);
    case 3:
        return recvfrom(fd, bytes, size, 0, (struct sockaddr *)&from, &length);
    case 4:
        return recvmsg(fd, &message.msg_hdr, 0);
    case 5:
        return recvmmsg(fd, &message, 1, 0, NULL) == 1 ? (ssize_t)message.msg_len : -1;
    case 6:
        if (recv(fd, bytes, size, MSG_PEEK) < 0 || recv(fd, bytes, size, MSG_PEEK | MSG_TRUNC) < 0 ||
            ioctl(fd, FIONREAD, &queued) < 0)
            return -1;
        return recv(fd, bytes, size, 0);
    case 7:
        got = splice(fd, NULL, pipes[1], NULL, size, 0);
        if (got > 0 && read(pipes[0], bytes, (size_t)got) != got) {
            forget_pipe();
            return -1;
        }
        return got;
    default:
        return recv(fd, bytes, size, MSG_TRUNC); /* they are dropped */
    }
}

/* A piece in each way out, and back in each. */
bool step_calls(void)
{
    int fd = dial(&peer4, sizeof peer4, 0);
    uint8_t bytes[PIECE];
    bool ok = fd >= 0 && good("send", send(fd, "e", 1, 0));

    if (file_fd < 0)
        file_fd = memfd_create("piece", MFD_CLOEXEC);
    ok = ok && good("memfd_create", file_fd) && (pipes[0] >= 0 || good("pipe2", pipe2(pipes, O_CLOEXEC)));
    for (int i = 0; ok && i < WAYS_OUT * WAYS_BACK; i++) {
        size_t done = 0;

        fill(bytes, sizeof bytes, (size_t)i);
        while (ok && done < sizeof bytes) {
            ssize_t sent = send_somehow(i % WAYS_OUT, fd, bytes + done, sizeof bytes - done);

            ok = good("send", sent);
            done += ok ? (size_t)sent : 0;
            fill(bytes, sizeof bytes, (size_t)i);
        }
        if (ok && i % WAYS_OUT == 2) /* MSG_MORE: until there is more */
            ok = good("setsockopt", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
        for (done = 0; ok && done < sizeof bytes;) {
            bool known = true;
            ssize_t got = receive_somehow(i / WAYS_OUT, fd, bytes, sizeof bytes - done, &known);

            ok = good("recv", got);
            if (got == 0)
                end("an end of file too early");
            if (ok && known)
                check(bytes, (size_t)got, (size_t)i + done);
            done += ok ? (size_t)got : 0;
        }
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* close() waits until the peer has everything. */
bool step_lingering(void)
{
    struct linger linger = {1, 5};
    int fd = dial(&peer4, sizeof peer4, 0);
    bool ok = fd >= 0 && good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger)) &&
              good("send", send(fd, "exyz", 4, MSG_NOSIGNAL));

    if (fd >= 0 && close(fd) < 0)
        ok = good("close", -1) && ok;
    return ok;
}

/* One socket under several numbers; the first is closed. */
bool step_copies(void)
{
    int fd = dial(&peer4, sizeof peer4, 0), other;
    bool ok;

    if (fd < 0)
        return false;
    other = fcntl(fd, F_DUPFD_CLOEXEC, COPY + 1);
    ok = good("fcntl", other) && good("dup2", dup2(fd, COPY));
    close(fd);
    if (other >= 0)
        close(other);
    if (!ok)
        return false;
    ok = exchange(COPY, "e", 1000);
    close(COPY);
    return ok;
}

/* What a listening socket was told holds for the connection. */
bool step_inherited(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 7};
    struct linger linger = {1, 3};
    socklen_t size = sizeof limit;
    int listener = open_listener(AF_INET, &to.sin_port), fd = -1, server = -1;
    bool ok = listener >= 0 && good("setsockopt", setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) &&
              good("setsockopt", setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));

    if (ok)
        fd = dial(&to, sizeof to, SOCK_NONBLOCK);
    ok = ok && fd >= 0;
    if (ok) {
        limit.tv_sec = 0;
        server = accept(listener, NULL, NULL);
        ok = good("accept", server) && good("getsockopt", getsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, &size));
        if (ok && limit.tv_sec != 7 && limit.tv_sec != 0) /* 0: it could not be copied */
            end("another time limit");
    }
    if (server >= 0)
        close(server);
    if (fd >= 0)
        close(fd);
    if (listener >= 0)
        close(listener);
    return ok;
}

/* Nobody accepts it: it is reset with its listening socket. */
bool step_unaccepted(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = open_listener(AF_INET, &to.sin_port), fd = -1;
    bool ok = listener >= 0;
    char byte;

    if (ok)
        fd = dial(&to, sizeof to, SOCK_NONBLOCK);
    ok = ok && fd >= 0;
    if (listener >= 0)
        close(listener);
    if (ok) {
        struct pollfd wait = {fd, POLLIN, 0};
        ssize_t got;

        ok = good("poll", poll(&wait, 1, -1));
        got = ok ? recv(fd, &byte, 1, MSG_DONTWAIT) : 0;
        if (ok && got >= 0)
            end("no reset");
        ok = ok && (good("recv", got) || errno == ECONNRESET);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* What an epoll knows of a socket holds when that turns out to be the host's network's. */
bool step_replaced(void)
{
    struct sockaddr_in to = peer4;
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 7};
    bool ok = good("epoll_create1", epoll_fd) && good("socket", fd) &&
              good("epoll_ctl", epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));

    to.sin_addr.s_addr = htonl(0x0a630001); /* 10.99.0.1 */
    if (ok && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        end("connected to nobody");
    ok = ok && (good("connect", -1) || errno == ENETUNREACH);
    if (ok && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 && errno != ENOENT) /* ENOENT: there was no memory to say it anew */
        end("the epoll's list");
    if (fd >= 0)
        close(fd);
    if (epoll_fd >= 0)
        close(epoll_fd);
    return ok;
}

/* Requests of somebody who passes what is no socket. */
bool step_foreign(void)
{
    const char *path = getenv("SIDESTACK_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), ends[2] = {-1, -1};
    bool ok = good("socket", control) && pipe2(ends, O_CLOEXEC) == 0;

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path != NULL ? path : "");
    ok = ok && good("connect", connect(control, (struct sockaddr *)&to, sizeof to));
    for (int i = 0; ok && i < 3; i++) {
        struct protocol_message request = {
            .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_STATUS};
        struct iovec part = {&request, sizeof request};
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } rights = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
        ssize_t got;

        memcpy(CMSG_DATA(&rights.header), &ends[i % 2], sizeof(int));
        ok = good("sendmsg", sendmsg(control, &message, MSG_NOSIGNAL));
        got = ok ? recv(control, &request, sizeof request, 0) : 0;
        ok = ok && good("recv", got) && got == sizeof request;
        if (ok && request.result == 0)
            end("a pipe is taken for a socket");
    }
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    if (control >= 0)
        close(control);
    return ok;
}
