/*
 * program.c - a program that uses its sockets in many ways, for faults.py to see what happens to it when calls of the
 * service, or of the library in it, fail.
 *
 *   program PEER PEER6 TCP_PORT UDP_PORT TRIES [STEP]...
 *
 * Each step is tried until it goes well, TRIES times at most. What failed is said: "STEP CALL ERRNO". A step may fail
 * with what POSIX and Linux's manual pages have for the call (program_outcome.c); anything else, a byte that is wrong, an
 * end of file too early, a descriptor left over or a step that takes longer than STEP_SECONDS is the end, with status 1.
 */
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_BYTES      300000
#define LOST_MS         500 /* an answer that did not come by then was lost, as datagrams are; each try waits longer */
#define LOST_MS_MAX     20000
#define TIMED_TRIES     8 /* of steps that a busy machine may be too slow for */
#define DESCRIPTORS_MAX 1024

static int step_seconds = 300, lost_ms;
static struct sockaddr_in peer4, udp4;
static struct sockaddr_in6 peer6;

/* Write a command and `size` bytes, end, and read them back, all at once. Return: did it go well? */
static bool exchange(int fd, const char *command, size_t size)
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
static int dial(const void *to, socklen_t length, int flags)
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

static bool short_exchange(void)
{
    return exchange_with(&peer4, sizeof peer4, 0, 100);
}

static bool long_exchange(void)
{
    return exchange_with(&peer4, sizeof peer4, SOCK_NONBLOCK, LONG_BYTES);
}

static bool exchange6(void)
{
    return exchange_with(&peer6, sizeof peer6, 0, LONG_BYTES);
}

/* The plainest of programs: blocking calls, nothing else. */
static bool blocking(void)
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
static int open_listener(int domain, in_port_t *port)
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
static bool accepting(void)
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
static bool own_loopback(void)
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

/* One datagram there and back; one that was lost is sent again by the next try. */
static bool datagram(void)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    uint8_t bytes[1000], back[2000];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct pollfd wait = {fd, POLLIN, 0};
    int ready = 0;
    ssize_t got = 0;
    bool ok = good("socket", fd);

    if (!ok)
        return false;
    fill(bytes, sizeof bytes, 7);
    ok = good("sendto", sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&udp4, sizeof udp4));
    if (ok) {
        ready = poll(&wait, 1, lost_ms);
        ok = good("poll", ready) && ready == 1;
    }
    if (ok) {
        got = recvfrom(fd, back, sizeof back, 0, (struct sockaddr *)&from, &length);
        ok = good("recvfrom", got);
    }
    if (ok && (got != sizeof bytes || from.sin_port != udp4.sin_port || from.sin_addr.s_addr != udp4.sin_addr.s_addr))
        end("another datagram");
    if (ok)
        check(back, sizeof bytes, 7);
    close(fd);
    return ok;
}

static bool connected_datagrams(void)
{
    struct mmsghdr messages[3];
    struct iovec iov[3];
    uint8_t bytes[3][200];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
    bool ok = good("socket", fd) && good("connect", connect(fd, (struct sockaddr *)&udp4, sizeof udp4));

    for (int i = 0; i < 3; i++) {
        fill(bytes[i], sizeof bytes[i], (size_t)i);
        iov[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    if (ok) {
        count = sendmmsg(fd, messages, 3, 0);
        ok = good("sendmmsg", count) && count == 3;
    }
    for (int i = 0; ok && i < 3; i++) {
        struct pollfd wait = {fd, POLLIN, 0};
        int ready = poll(&wait, 1, lost_ms);
        ssize_t got;

        ok = good("poll", ready) && ready == 1;
        got = ok ? recv(fd, bytes[0], sizeof bytes[0], 0) : 0;
        ok = ok && good("recv", got);
        if (ok && got != sizeof bytes[0])
            end("a datagram of another size");
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* To a port where nobody is: refused, each time. */
static bool refused(void)
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

static bool options(void)
{
    static const struct {
        int level, name, value;
    } settings[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},        {SOL_SOCKET, SO_REUSEADDR, 1}, {IPPROTO_TCP, TCP_NODELAY, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, 77},      {IPPROTO_IP, IP_TTL, 33},      {SOL_SOCKET, SO_RCVBUF, 65536},
                    {IPPROTO_TCP, TCP_USER_TIMEOUT, 9999}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = good("socket", fd);

    for (size_t i = 0; ok && i < sizeof settings / sizeof *settings; i++) {
        int value = settings[i].value;
        socklen_t size = sizeof value;

        ok = good("setsockopt", setsockopt(fd, settings[i].level, settings[i].name, &value, size)) &&
             good("getsockopt", getsockopt(fd, settings[i].level, settings[i].name, &value, &size));
        if (ok && value != settings[i].value && value != 2 * settings[i].value)
            end("an option is not as it was set");
    }
    if (ok) {
        struct linger linger = {1, 5};
        struct tcp_info info;
        struct sockaddr_in name;
        socklen_t size = sizeof info, length = sizeof name;

        ok = good("connect", connect(fd, (struct sockaddr *)&peer4, sizeof peer4)) &&
             good("getpeername", getpeername(fd, (struct sockaddr *)&name, &length)) &&
             good("getsockopt", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size)) &&
             good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
        if (ok && name.sin_port != peer4.sin_port)
            end("another peer");
        ok = ok && exchange(fd, "e", 1000);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool names(void)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo("one.test", "80", &hints, &found);

    if (error == EAI_SYSTEM)
        return good("getaddrinfo", -1);
    if (error != 0) {
        printf("%s getaddrinfo %s\n", step, gai_strerror(error));
        if (error != EAI_AGAIN && error != EAI_MEMORY && error != EAI_FAIL)
            end("an error that is no passing one");
        return false;
    }
    if (found->ai_addr == NULL || ((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr != peer4.sin_addr.s_addr)
        end("another address");
    freeaddrinfo(found);
    return true;
}

static bool interfaces(void)
{
    struct ifaddrs *list;
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool ok =
        good("socket", fd) && good("ioctl", ioctl(fd, SIOCGIFFLAGS, &request)) && good("getifaddrs", getifaddrs(&list));

    if (ok)
        freeifaddrs(list);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* By the rules this address is the host's network, which has no route there. */
static bool on_host(void)
{
    struct sockaddr_in to = peer4;
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 1;
    bool ok = good("socket", fd) && good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));

    inet_pton(AF_INET, "10.99.0.1", &to.sin_addr);
    if (ok && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        end("connected to nobody");
    ok = ok && (good("connect", -1) || errno == ENETUNREACH);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool many_sockets(void)
{
    int fds[20], count = 0;
    bool ok = true;

    while (ok && count < 20) {
        fds[count] = socket(count % 2 ? AF_INET : AF_INET6, count % 3 ? SOCK_STREAM : SOCK_DGRAM, 0);
        ok = good("socket", fds[count]);
        count += ok;
    }
    while (count > 0)
        close(fds[--count]);
    return ok;
}

/* An epoll, edge-triggered, that waits for two connections at once. */
static bool by_epoll(void)
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

static const struct {
    const char *name;
    bool (*run)(void);
    bool is_timed; /* it waits for something only for so long, as it may be lost */
} steps[] = {{"short", short_exchange, false},
             {"blocking", blocking, false},
             {"long", long_exchange, false},
             {"exchange6", exchange6, false},
             {"accepting", accepting, true},
             {"loopback", own_loopback, false},
             {"datagram", datagram, true},
             {"connected", connected_datagrams, true},
             {"refused", refused, false},
             {"options", options, false},
             {"names", names, true},
             {"interfaces", interfaces, false},
             {"on_host", on_host, false},
             {"many", many_sockets, false},
             {"epoll", by_epoll, false}};

#define STEPS (sizeof steps / sizeof *steps)

static void out_of_time(int number)
{
    (void)number;
    (void)!write(STDOUT_FILENO, step, strlen(step));
    (void)!write(STDOUT_FILENO, " WRONG: it hangs\n", 17);
    _exit(1);
}

/* How many descriptors does the program know of? The library's own are at its end of the numbers, or close on exec. */
static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);

        count += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    return count;
}

static void run(size_t which, int tries)
{
    int before = count_descriptors();
    bool done = false;

    step = steps[which].name;
    if (steps[which].is_timed && tries < TIMED_TRIES)
        tries = TIMED_TRIES;
    for (int i = 0; i < tries && !done; i++) {
        lost_ms = i < 6 ? LOST_MS << i : LOST_MS_MAX;
        alarm(step_seconds);
        done = steps[which].run();
        alarm(0);
        if (count_descriptors() != before)
            end("a descriptor is left");
    }
    if (!done)
        end("it never goes well");
}

int main(int argc, char **argv)
{
    int tries;

    if (argc < 6)
        return 2;
    step = "start";
    signal(SIGALRM, out_of_time);
    peer4 = udp4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    peer6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = peer4.sin_port};
    inet_pton(AF_INET, argv[1], &peer4.sin_addr);
    inet_pton(AF_INET6, argv[2], &peer6.sin6_addr);
    udp4.sin_addr = peer4.sin_addr;
    udp4.sin_port = htons((uint16_t)atoi(argv[4]));
    tries = atoi(argv[5]);
    if (getenv("FAULTS_LIMIT") != NULL)
        step_seconds = atoi(getenv("FAULTS_LIMIT"));
    for (size_t i = 0; i < STEPS; i++) {
        bool wanted = argc == 6;

        for (int at = 6; at < argc; at++)
            wanted |= strcmp(argv[at], steps[i].name) == 0;
        if (wanted)
            run(i, tries);
    }
    puts("done");
    return 0;
}
