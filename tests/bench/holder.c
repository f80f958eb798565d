/*
 * holder.c - many connections that are mostly idle, and what the few cost that are not.
 *
 *   serve ADDRESS PORT                          a server that sends back what comes
 *   hold ADDRESS PORT SOURCE [SOURCE...]        a client, with so many addresses (0.0.0.0: as the stack chooses), that does what standard input says, a line at a time:
 *     open COUNT          have so many connections, no more; answers how many
 *     trips MS            round trips of 64 bytes on one more connection; answers p50 and p99 in microseconds, and how many there were
 *     requests COUNT MS   round trips of 64 bytes on so many of them at once; answers their rate, and how many there were
 *     connects MS         connections one after another, each with a round trip of a byte; answers their rate, and how many there were
 *
 * Each command is answered by a line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS 512
#define REQUEST 64
#define CONNECTIONS_MAX 200000
#define TRIPS_MAX 1000000
#define AT_ONCE 256 /* connections on their way: less than any backlog */
#define PATIENCE_MS 600000 /* for what must come: an emulated machine takes its time */

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct in_addr sources[64];
static int source_count;

static int fds[CONNECTIONS_MAX]; /* owned until the end */
static size_t fd_count;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- The server ---- */

static void serve(void)
{
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll_fd = epoll_create1(0), on = 1;
    struct epoll_event events[EVENTS];

    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listen_fd, (struct sockaddr *)&server, sizeof server) < 0 || listen(listen_fd, 4096) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = listen_fd}) < 0)
        die("listen");
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            char bytes[4096];
            ssize_t n;

            if (fd == listen_fd) {
                while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd}) < 0)
                        die("epoll_ctl");
                }
                if (errno != EAGAIN && errno != ECONNABORTED)
                    die("accept"); /* also of a stack that is gone: it would be ready for ever */
                continue;
            }
            n = read(fd, bytes, sizeof bytes);
            if (n <= 0)
                close(fd);
            else if (write(fd, bytes, (size_t)n) != n)
                perror("write");
        }
    }
}

/* ---- The client ---- */

static int begin_connection(int flags)
{
    static unsigned next;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = sources[next++ % (unsigned)source_count]};
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0), on = 1;

    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (source.sin_addr.s_addr != INADDR_ANY && bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        die("bind");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die("connect");
    return fd;
}

/* Wait for the peer to send back what was sent. */
static void read_all(int fd, size_t size)
{
    char bytes[REQUEST];

    while (size > 0) {
        ssize_t n = read(fd, bytes, size);

        if (n <= 0)
            die("read");
        size -= (size_t)n;
    }
}

/* Have so many connections. */
static void open_all(size_t count)
{
    int epoll_fd = epoll_create1(0);
    struct epoll_event events[EVENTS];
    size_t under_way = 0, done;

    while (fd_count > count)
        close(fds[--fd_count]);
    done = fd_count;
    while (done < count) {
        int ready;

        while (under_way < AT_ONCE && fd_count < count) {
            fds[fd_count] = begin_connection(SOCK_NONBLOCK);
            if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[fd_count], &(struct epoll_event){.events = EPOLLOUT, .data.fd = fds[fd_count]}) < 0)
                die("epoll_ctl");
            fd_count++;
            under_way++;
        }
        ready = epoll_wait(epoll_fd, events, EVENTS, PATIENCE_MS);
        if (ready <= 0)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            int error = 0;
            socklen_t size = sizeof error;

            getsockopt(events[i].data.fd, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0) {
                errno = error;
                die("connect");
            }
            epoll_ctl(epoll_fd, EPOLL_CTL_DEL, events[i].data.fd, NULL);
            under_way--;
            done++;
        }
    }
    close(epoll_fd);
    if (fd_count > 0) { /* the server has accepted them all */
        struct epoll_event event = {.events = EPOLLIN};

        epoll_fd = epoll_create1(0);
        if (write(fds[fd_count - 1], "x", 1) != 1 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[fd_count - 1], &event) < 0 ||
            epoll_wait(epoll_fd, &event, 1, PATIENCE_MS) != 1 || read(fds[fd_count - 1], &(char){0}, 1) != 1)
            die("the last connection");
        close(epoll_fd);
    }
}

static int compare(const void *one, const void *other)
{
    float a = *(const float *)one, b = *(const float *)other;

    return (a > b) - (a < b);
}

static void measure_trips(double seconds)
{
    static float times[TRIPS_MAX];
    const char request[REQUEST] = "";
    size_t count = 0;
    double end = now_s() + seconds;
    int fd = begin_connection(0);

    do {
        double start = now_s();

        if (write(fd, request, sizeof request) != sizeof request)
            die("write");
        read_all(fd, sizeof request);
        times[count++] = (float)((now_s() - start) * 1e6);
    } while (now_s() < end && count < TRIPS_MAX);
    close(fd);
    qsort(times, count, sizeof *times, compare);
    printf("%.1f %.1f %zu\n", (double)times[count / 2], (double)times[count * 99 / 100], count);
}

static void measure_requests(size_t active, double seconds)
{
    int epoll_fd = epoll_create1(0);
    struct epoll_event events[EVENTS];
    const char request[REQUEST] = "";
    size_t count = 0, step = fd_count / active;
    double start, end, rate = 0;

    for (size_t i = 0; i < active; i++) /* spread over all that there are */
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[i * step], &(struct epoll_event){.events = EPOLLIN, .data.fd = fds[i * step]}) < 0 ||
            write(fds[i * step], request, sizeof request) != sizeof request)
            die("write");
    start = now_s();
    end = start + seconds;
    for (bool on = true; active > 0;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, PATIENCE_MS);

        if (ready <= 0)
            die("epoll_wait");
        if (on && count > 0 && now_s() >= end) {
            rate = (double)count / (now_s() - start);
            on = false;
        }
        for (int i = 0; i < ready; i++) {
            read_all(events[i].data.fd, sizeof request);
            count++;
            if (!on)
                active--;
            else if (write(events[i].data.fd, request, sizeof request) != sizeof request)
                die("write");
        }
    }
    close(epoll_fd);
    printf("%.3f %zu\n", rate, count);
}

static void measure_connects(double seconds)
{
    double start = now_s();
    size_t count = 0;

    do {
        int fd = begin_connection(0);

        if (write(fd, "x", 1) != 1)
            die("write");
        read_all(fd, 1);
        close(fd);
        count++;
    } while (now_s() < start + seconds);
    printf("%.3f %zu\n", (double)count / (now_s() - start), count);
}

static void hold(void)
{
    char line[128];
    unsigned long one, other;

    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "open %lu", &one) == 1 && one <= CONNECTIONS_MAX) {
            open_all(one);
            printf("%zu\n", fd_count);
        } else if (sscanf(line, "trips %lu", &one) == 1) {
            measure_trips((double)one / 1000);
        } else if (sscanf(line, "requests %lu %lu", &one, &other) == 2 && one > 0 && one <= fd_count) {
            measure_requests(one, (double)other / 1000);
        } else if (sscanf(line, "connects %lu", &one) == 1) {
            measure_connects((double)one / 1000);
        } else {
            printf("what?\n");
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;

    if (argc < 4 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1)
        return 2;
    server.sin_port = htons((uint16_t)atoi(argv[3]));
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    for (int i = 4; i < argc && source_count < 64; i++)
        if (inet_pton(AF_INET, argv[i], &sources[source_count++]) != 1)
            return 2;
    if (strcmp(argv[1], "serve") == 0)
        serve();
    else if (strcmp(argv[1], "hold") == 0 && source_count > 0)
        hold();
    else
        return 2;
    return 0;
}
