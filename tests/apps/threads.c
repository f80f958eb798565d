/*
 * threads.c - ADDRESS PORT OWN (a server that echoes, and the stack's own address): threads that do everything with
 * sockets at once.
 *
 *   own       each its own connections, with all that a program does with one
 *   shared    one connection, one datagram socket and one listening socket for all
 *   names     names, addresses of interfaces, and requests that work in the background
 *   dropped   the same as "own" when the process can't reach the service any more, and the threads share what it kept
 *
 * while the main thread forks children that make connections. No thread closes what another uses, so that whatever a
 * race detector finds is not this program's (tests/checks/tsan.sh). Each says in one line how many calls failed that
 * must not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 6
#define ROUNDS 24
#define SHARED_ROUNDS 120
#define CHILDREN 8
#define POLL_MS 20000

static struct sockaddr_in server = {.sin_family = AF_INET}, own = {.sin_family = AF_INET};
static int shared_stream, shared_datagram, listener;
static _Atomic unsigned failures;

static bool expect(bool is_right, const char *what)
{
    if (!is_right) {
        failures++;
        perror(what);
    }
    return is_right;
}

static bool wait_for(int fd, short events)
{
    struct pollfd polled = {.fd = fd, .events = events};

    return poll(&polled, 1, POLL_MS) == 1;
}

/* There and back, by the calls that `how` says. */
static void exchange(int fd, unsigned how)
{
    char out[] = "everything with sockets at once", in[sizeof out];
    struct iovec parts[2] = {{out, 10}, {out + 10, sizeof out - 10}}, place = {in, sizeof in};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent, got, length = sizeof out;

    switch (how % 4) {
    case 0: sent = send(fd, out, sizeof out, MSG_NOSIGNAL); break;
    case 1: sent = write(fd, out, sizeof out); break;
    case 2: sent = writev(fd, parts, 2); break;
    default: sent = sendmsg(fd, &message, MSG_NOSIGNAL); break;
    }
    expect(sent == length, "sending");
    for (ssize_t done = 0; done < length; done += got) {
        place = (struct iovec){in + done, (size_t)(length - done)};
        message = (struct msghdr){.msg_iov = &place, .msg_iovlen = 1};
        expect(wait_for(fd, POLLIN), "poll");
        switch (how / 4 % 4) {
        case 0: got = recv(fd, place.iov_base, place.iov_len, 0); break;
        case 1: got = read(fd, place.iov_base, place.iov_len); break;
        case 2: got = readv(fd, &place, 1); break;
        default: got = recvmsg(fd, &message, 0); break;
        }
        if (!expect(got > 0, "receiving"))
            return;
    }
    expect(memcmp(in, out, sizeof in) == 0, "comparing");
}

static int connect_to(const struct sockaddr_in *to, unsigned how)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (how & 1 ? SOCK_NONBLOCK : 0), 0), on = 1, error = 0;
    socklen_t length = sizeof error;

    expect(fd >= 0, "socket");
    expect(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0 &&
        expect(errno == EINPROGRESS && wait_for(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0, "connect"))
        expect(error == 0, strerror(error));
    return fd;
}

/* What a program may ask of its socket at any time. */
static void ask(int fd)
{
    struct sockaddr_in address;
    struct tcp_info info;
    socklen_t length = sizeof address;
    int number;

    expect(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    length = sizeof address;
    expect(getpeername(fd, (struct sockaddr *)&address, &length) == 0, "getpeername");
    length = sizeof info;
    expect(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0, "TCP_INFO");
    expect(ioctl(fd, FIONREAD, &number) == 0, "FIONREAD");
    number = 1;
    expect(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &number, sizeof number) == 0, "SO_KEEPALIVE");
}

static void watch(int fd)
{
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLOUT};

    expect(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_wait(set, &event, 1, POLL_MS) == 1, "epoll");
    close(set);
}

static void use_own(unsigned how)
{
    struct linger linger = {.l_onoff = 1, .l_linger = how & 4 ? 1 : 0};
    int fd = connect_to(&server, how), copy = how & 2 ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 0);

    expect(copy >= 0, "dup");
    close(fd);
    watch(copy);
    exchange(copy, how);
    ask(copy);
    if (how & 1)
        expect(setsockopt(copy, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0, "SO_LINGER");
    if (how & 8)
        expect(shutdown(copy, SHUT_WR) == 0, "shutdown");
    close(copy);
}

static void *run_own(void *number)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        use_own((unsigned)(size_t)number * 7 + i);
    return NULL;
}

static void *run_shared(void *number)
{
    const bool accepts = (size_t)number % 2 == 0;
    char bytes[64];
    struct msghdr message = {.msg_iov = &(struct iovec){bytes, sizeof bytes}, .msg_iovlen = 1};
    struct sockaddr_in nobody = own;
    int on = 1, fd;

    nobody.sin_port = htons(9);
    for (unsigned i = 0; i < SHARED_ROUNDS; i++) {
        expect(send(shared_stream, "x", 1, MSG_NOSIGNAL) == 1, "send");
        expect(wait_for(shared_stream, POLLIN) && recv(shared_stream, bytes, 1, 0) == 1, "recv"); /* one each */
        ask(shared_stream);
        expect(setsockopt(shared_stream, IPPROTO_TCP, TCP_CORK, &on, sizeof on) == 0, "TCP_CORK");
        on = !on;
        /* Errors of what went to nobody are told to whoever comes next. */
        (void)!sendto(shared_datagram, "y", 1, MSG_DONTWAIT, (struct sockaddr *)(i % 8 == 0 ? &nobody : &own), sizeof own);
        (void)!recvfrom(shared_datagram, bytes, sizeof bytes, MSG_DONTWAIT, NULL, NULL);
        (void)!recvmsg(shared_datagram, &message, MSG_DONTWAIT | (i % 8 == 0 ? MSG_ERRQUEUE : 0));
        if (i % 8 != 0)
            continue;
        fd = accepts ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : connect_to(&own, i / 8);
        expect(fd >= 0, "accept");
        if (accepts)
            expect(send(fd, "z", 1, MSG_NOSIGNAL) == 1, "send to an accepted one");
        else
            expect(wait_for(fd, POLLIN) && recv(fd, bytes, 1, 0) == 1, "recv from a listening socket");
        close(fd);
    }
    return NULL;
}

static void *run_names(void *number)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct if_nameindex *names;
    struct addrinfo *result;
    struct ifaddrs *addresses;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct gaicb request = {.ar_name = "localhost", .ar_request = &hints}, *list[] = {&request};

        if (expect(getaddrinfo((size_t)number % 2 != 0 ? "localhost" : "10.77.0.1", "80", &hints, &result) == 0, "getaddrinfo"))
            freeaddrinfo(result);
        if (expect(getifaddrs(&addresses) == 0, "getifaddrs"))
            freeifaddrs(addresses);
        names = if_nameindex();
        if (expect(names != NULL, "if_nameindex"))
            if_freenameindex(names);
        expect(getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) == 0, "getaddrinfo_a");
        while (gai_suspend((const struct gaicb *const *)list, 1, NULL) != EAI_ALLDONE)
            ;
        if (expect(gai_error(&request) == 0, "gai_error"))
            freeaddrinfo(request.ar_result);
    }
    return NULL;
}

/* Threads that run this, while children come and go. */
static void run(const char *what, void *(*function)(void *), unsigned children)
{
    pthread_t threads[THREADS];
    int status;

    failures = 0;
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, function, (void *)i);
    for (unsigned i = 0; i < children; i++) {
        pid_t child = fork();

        if (child == 0) {
            failures = 0;
            use_own(i);
            _exit(failures > 0);
        }
        waitpid(child, &status, 0);
        expect(status == 0, "a child");
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%s: %u failed\n", what, failures);
}

int main(int argc, char **argv)
{
    socklen_t length = sizeof own;

    if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1 || inet_pton(AF_INET, argv[3], &own.sin_addr) != 1)
        return 2;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    run("own", run_own, CHILDREN);

    shared_stream = connect_to(&server, 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    expect(bind(listener, (struct sockaddr *)&own, sizeof own) == 0 && listen(listener, 64) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&own, &length);
    shared_datagram = socket(AF_INET, SOCK_DGRAM, 0);
    expect(bind(shared_datagram, (struct sockaddr *)&own, sizeof own) == 0, "bind");
    run("shared", run_shared, CHILDREN);
    run("names", run_names, 0);

    expect(chroot("/proc/self/fdinfo") == 0, "chroot"); /* where no control socket is */
    run("dropped", run_own, 0);
    return 0;
}
