/*
 * traffic.c - the benchmark's traffic generator.
 *
 *   traffic serve                                    listen on any port, print it, serve until killed
 *   traffic KIND ADDRESS PORT STREAMS MS [BYTES]     be the client; prints one line of JSON
 *
 * What each KIND does is in traffic.h. Times include the last byte's arrival. The client reports its own processor
 * time. TRAFFIC_CONGESTION in the environment names the congestion control of all connections. With TRAFFIC_UNIX, a
 * directory, it uses no network but the AF_UNIX sockets there: see bound.c.
 */
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ECHO_BYTES 64
#define SAMPLES_MAX 1000000
#define WARM_UP_ROUNDS 20

struct stream {
    pthread_t thread;
    int fd;
    struct request request;
    uint64_t bytes;
    uint64_t count;
};

static const char *const kind_names[] = {
    [UPLOAD] = "upload",   [DOWNLOAD] = "download",     [BOTH] = "both",
    [ECHO] = "echo",       [ECHO_BUSY] = "echo-busy",   [CONNECT] = "connect",
    [HOLD] = "hold",       [UDP_ECHO] = "udp-echo",     [UDP_UPLOAD] = "udp-upload",
    [UDP_DOWNLOAD] = "udp-download",
};
_Static_assert(sizeof kind_names / sizeof *kind_names == KIND_COUNT, "a name for each");

static struct sockaddr_storage server;
static socklen_t server_length;
static uint32_t samples_ns[SAMPLES_MAX];
static size_t sample_count;

uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn void die(const char *what)
{
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool sample_add(uint64_t ns)
{
    samples_ns[sample_count++] = (uint32_t)ns;
    return sample_count < SAMPLES_MAX;
}

bool read_all(int fd, void *buffer, size_t length)
{
    return length == 0 || recv(fd, buffer, length, MSG_WAITALL) == (ssize_t)length;
}

uint64_t send_for(int fd, uint32_t time_ms)
{
    uint64_t deadline = now_ns() + (uint64_t)time_ms * 1000000u, total = 0;
    char *buffer = calloc(1, BUFFER_BYTES);

    while (now_ns() < deadline) {
        ssize_t sent = send(fd, buffer, BUFFER_BYTES, MSG_NOSIGNAL);

        if (sent < 0)
            break;
        total += (uint64_t)sent;
    }
    shutdown(fd, SHUT_WR);
    free(buffer);
    return total;
}

uint64_t read_to_end(int fd)
{
    char *buffer = malloc(BUFFER_BYTES);
    uint64_t total = 0;
    ssize_t got;

    while ((got = recv(fd, buffer, BUFFER_BYTES, 0)) > 0)
        total += (uint64_t)got;
    free(buffer);
    return got < 0 ? 0 : total;
}

void choose_congestion(int fd)
{
    const char *name = getenv("TRAFFIC_CONGESTION");

    if (name != NULL && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name)) < 0)
        die(name);
}

bool unix_address(const char *name, struct sockaddr_un *address)
{
    const char *directory = getenv("TRAFFIC_UNIX");

    if (directory == NULL)
        return false;
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s/%s", directory, name);
    return true;
}

/* Return: a connection on which the request was made. */
static int open_connection(const struct request *request)
{
    int fd = socket(server.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (server.ss_family != AF_UNIX)
        choose_congestion(fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&server, server_length) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(fd, request, sizeof *request, MSG_NOSIGNAL) != sizeof *request)
        die("send");
    return fd;
}

static void run_echo(struct stream *stream)
{
    uint64_t deadline = now_ns() + (uint64_t)stream->request.time_ms * 1000000u;
    size_t bytes = stream->request.bytes;
    char *buffer = calloc(1, bytes);

    for (unsigned round = 0;; round++) {
        uint64_t before = now_ns(), after;

        if (send(stream->fd, buffer, bytes, MSG_NOSIGNAL) != (ssize_t)bytes || !read_all(stream->fd, buffer, bytes))
            die("echo");
        after = now_ns();
        if (round < WARM_UP_ROUNDS)
            continue;
        stream->count++;
        if (!sample_add(after - before) || after > deadline)
            break;
    }
    stream->bytes = stream->count * bytes;
    free(buffer);
}

/* One connection after another. */
static void run_connect(struct stream *stream)
{
    uint64_t deadline = now_ns() + (uint64_t)stream->request.time_ms * 1000000u;

    do {
        if (read_to_end(stream->fd) != 1)
            die("connect: no byte came");
        stream->count++;
        close(stream->fd);
        stream->fd = open_connection(&stream->request);
    } while (now_ns() < deadline);
}

static void *run_stream(void *argument)
{
    struct stream *stream = argument;
    uint64_t sent;

    switch ((enum kind)stream->request.kind) {
    case UPLOAD:
        sent = send_for(stream->fd, stream->request.time_ms);
        if (!read_all(stream->fd, &stream->bytes, sizeof stream->bytes) || stream->bytes != sent) {
            fprintf(stderr, "traffic: sent %llu bytes, the other side got %llu\n", (unsigned long long)sent,
                    (unsigned long long)stream->bytes);
            exit(1);
        }
        break;
    case DOWNLOAD:
        stream->bytes = read_to_end(stream->fd);
        if (stream->bytes == 0)
            die("download");
        break;
    case ECHO:
        run_echo(stream);
        break;
    case CONNECT:
        run_connect(stream);
        break;
    default:
        break;
    }
    return NULL;
}

static void start_stream(struct stream *stream, enum kind kind, const struct request *request)
{
    *stream = (struct stream){.request = *request};
    stream->request.kind = kind;
    stream->fd = open_connection(&stream->request);
    if (kind != HOLD && pthread_create(&stream->thread, NULL, run_stream, stream) != 0)
        die("pthread_create");
}

/* Wait for the end of standard input. */
static void hold(void)
{
    char byte;

    printf("holding\n");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

static uint64_t bytes_resent(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;

    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_bytes_retrans;
}

static void run_streams(const struct request *request, int count, struct result *result)
{
    static struct stream streams[2 * STREAMS_MAX];
    struct stream beside;
    int started = 0;

    if (request->kind == ECHO_BUSY) {
        char byte;

        start_stream(&beside, DOWNLOAD, &(struct request){.time_ms = request->time_ms + 200});
        if (recv(beside.fd, &byte, 1, MSG_PEEK) != 1)
            die("download");
    }
    for (int i = 0; i < count; i++) {
        switch ((enum kind)request->kind) {
        case BOTH:
            start_stream(&streams[started++], UPLOAD, request);
            start_stream(&streams[started++], DOWNLOAD, request);
            break;
        case ECHO_BUSY:
            start_stream(&streams[started++], ECHO, request);
            break;
        default:
            start_stream(&streams[started++], (enum kind)request->kind, request);
            break;
        }
    }
    if (request->kind == HOLD)
        hold();
    for (int i = 0; i < started; i++) {
        if (request->kind != HOLD)
            pthread_join(streams[i].thread, NULL);
        else /* leave nothing that goes on: no TIME-WAIT */
            setsockopt(streams[i].fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        result->bytes += streams[i].bytes;
        result->count += streams[i].count;
        result->resent += bytes_resent(streams[i].fd);
        close(streams[i].fd);
    }
    if (request->kind == ECHO_BUSY) {
        pthread_join(beside.thread, NULL);
        result->bytes += beside.bytes;
    }
}

static int compare_samples(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void run_client(const struct request *request, int streams)
{
    struct result result = {0};
    uint64_t begin = now_ns();
    struct rusage usage;

    if (unix_address(request->kind >= UDP_ECHO ? "datagram" : "stream", (struct sockaddr_un *)&server))
        server_length = sizeof(struct sockaddr_un);
    if (request->kind >= UDP_ECHO)
        udp_run(request, &server, server_length, &result);
    else
        run_streams(request, streams, &result);
    if (result.seconds == 0)
        result.seconds = (double)(now_ns() - begin) / 1e9;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"bytes\": %llu, \"resent\": %llu, \"count\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f",
           (unsigned long long)result.bytes, (unsigned long long)result.resent, (unsigned long long)result.count, result.seconds,
           seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (sample_count > 0) {
        qsort(samples_ns, sample_count, sizeof samples_ns[0], compare_samples);
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f", samples_ns[sample_count / 2] / 1e3,
               samples_ns[sample_count * 99 / 100] / 1e3, samples_ns[sample_count * 999 / 1000] / 1e3);
    }
    printf("}\n");
}

/* Return: whether it is an address. */
static bool read_address(const char *text, const char *port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&server;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&server;
    uint16_t number = htons((uint16_t)atoi(port));

    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = number;
        server_length = sizeof *in;
        return true;
    }
    in6->sin6_family = AF_INET6;
    in6->sin6_port = number;
    server_length = sizeof *in6;
    return inet_pton(AF_INET6, text, &in6->sin6_addr) == 1;
}

int main(int argc, char **argv)
{
    struct request request = {.kind = KIND_COUNT, .bytes = argc == 7 ? (uint32_t)atoi(argv[6]) : ECHO_BYTES};
    int streams;

    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve();
    if (argc < 6 || argc > 7 || !read_address(argv[2], argv[3]))
        goto usage;
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++)
        if (strcmp(argv[1], kind_names[kind]) == 0)
            request.kind = kind;
    streams = atoi(argv[4]);
    request.time_ms = (uint32_t)atoi(argv[5]);
    if (request.kind == KIND_COUNT || streams < 1 || streams > STREAMS_MAX || request.bytes < sizeof request ||
        request.bytes > BUFFER_BYTES || ((request.kind == ECHO || request.kind == ECHO_BUSY) && streams != 1))
        goto usage;
    run_client(&request, streams);
    return 0;
usage:
    fprintf(stderr, "usage: traffic serve | traffic KIND ADDRESS PORT STREAMS MS [BYTES]\n");
    return 2;
}
