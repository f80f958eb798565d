/*
 * traffic.c - the benchmark's two parties.
 *
 *   traffic serve                            listen on any port, print it, serve until killed
 *   traffic KIND ADDRESS PORT STREAMS MS     KIND is upload, download or echo; prints one line of JSON
 *
 * A connection begins with a struct request. upload: the client sends until its time is over and shuts down; the server
 * reads all and answers with the count. download: the server sends until the time is over. echo: the client sends 64
 * bytes, the server sends them back, as fast as that goes; each round trip is taken. Times include the last byte's
 * arrival. The client reports its own processor time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 64
#define BUFFER_BYTES 131072
#define ECHO_BYTES 64
#define SAMPLES_MAX 1000000
#define WARM_UP_ROUNDS 20

enum kind { UPLOAD, DOWNLOAD, ECHO };

struct request {
    uint32_t kind;
    uint32_t time_ms;
};

struct stream {
    pthread_t thread;
    int fd;
    struct request request;
    uint64_t bytes;
};

static uint32_t samples_ns[SAMPLES_MAX];
static size_t sample_count;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Return: whether length bytes were read. */
static bool read_all(int fd, void *buffer, size_t length)
{
    return length == 0 || recv(fd, buffer, length, MSG_WAITALL) == (ssize_t)length;
}

/* Send for so long, then no more. Return: bytes sent. */
static uint64_t send_for(int fd, uint32_t time_ms)
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

/* Return: bytes read to the end of file. */
static uint64_t read_to_end(int fd)
{
    char *buffer = malloc(BUFFER_BYTES);
    uint64_t total = 0;
    ssize_t got;

    while ((got = recv(fd, buffer, BUFFER_BYTES, 0)) > 0)
        total += (uint64_t)got;
    free(buffer);
    return got < 0 ? 0 : total;
}

static void *serve_connection(void *argument)
{
    int fd = (int)(intptr_t)argument, on = 1;
    char echo[ECHO_BYTES];
    struct request request;
    uint64_t count;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (read_all(fd, &request, sizeof request)) {
        if (request.kind == UPLOAD) {
            count = read_to_end(fd);
            send(fd, &count, sizeof count, MSG_NOSIGNAL);
        } else if (request.kind == DOWNLOAD) {
            send_for(fd, request.time_ms);
            recv(fd, echo, 1, 0); /* until the client has all */
        } else {
            while (read_all(fd, echo, sizeof echo) && send(fd, echo, sizeof echo, MSG_NOSIGNAL) == sizeof echo)
                ;
        }
    }
    close(fd);
    return NULL;
}

static int serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    pthread_t thread;

    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(listen_fd, STREAMS_MAX) < 0 ||
        getsockname(listen_fd, (struct sockaddr *)&address, &length) < 0)
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
        if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) != 0)
            die("pthread_create");
        pthread_detach(thread);
    }
    die("accept");
    return 1;
}

static void run_echo(struct stream *stream)
{
    uint64_t deadline = now_ns() + (uint64_t)stream->request.time_ms * 1000000u;
    char buffer[ECHO_BYTES] = {0};

    for (unsigned round = 0; sample_count < SAMPLES_MAX; round++) {
        uint64_t before = now_ns(), after;

        if (send(stream->fd, buffer, sizeof buffer, MSG_NOSIGNAL) != sizeof buffer ||
            !read_all(stream->fd, buffer, sizeof buffer))
            die("echo");
        after = now_ns();
        if (round >= WARM_UP_ROUNDS)
            samples_ns[sample_count++] = (uint32_t)(after - before);
        if (after > deadline && sample_count > 0)
            break;
    }
    stream->bytes = sample_count * ECHO_BYTES;
}

static void *run_stream(void *argument)
{
    struct stream *stream = argument;
    uint64_t sent;

    if (stream->request.kind == UPLOAD) {
        sent = send_for(stream->fd, stream->request.time_ms);
        if (!read_all(stream->fd, &stream->bytes, sizeof stream->bytes) || stream->bytes != sent) {
            fprintf(stderr, "traffic: sent %llu bytes, the other side got %llu\n", (unsigned long long)sent,
                    (unsigned long long)stream->bytes);
            exit(1);
        }
    } else if (stream->request.kind == DOWNLOAD) {
        stream->bytes = read_to_end(stream->fd);
        if (stream->bytes == 0)
            die("download");
    } else {
        run_echo(stream);
    }
    return NULL;
}

static void open_stream(struct stream *stream, const struct sockaddr_in *address)
{
    int on = 1;

    stream->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->fd < 0 || connect(stream->fd, (const struct sockaddr *)address, sizeof *address) < 0)
        die("connect");
    setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (send(stream->fd, &stream->request, sizeof stream->request, 0) != sizeof stream->request)
        die("send");
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

static int run_client(enum kind kind, const struct sockaddr_in *address, int count, uint32_t time_ms)
{
    struct stream streams[STREAMS_MAX];
    struct rusage usage;
    uint64_t begin, bytes = 0;
    double seconds;

    begin = now_ns();
    for (int i = 0; i < count; i++) {
        streams[i] = (struct stream){.request = {.kind = kind, .time_ms = time_ms}};
        open_stream(&streams[i], address);
        if (pthread_create(&streams[i].thread, NULL, run_stream, &streams[i]) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(streams[i].thread, NULL);
        bytes += streams[i].bytes;
        close(streams[i].fd);
    }
    seconds = (double)(now_ns() - begin) / 1e9;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f", (unsigned long long)bytes, seconds,
           seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (sample_count > 0) {
        qsort(samples_ns, sample_count, sizeof samples_ns[0], compare_samples);
        printf(", \"round_trips\": %zu, \"p50_us\": %.2f, \"p99_us\": %.2f", sample_count,
               samples_ns[sample_count / 2] / 1e3, samples_ns[sample_count * 99 / 100] / 1e3);
    }
    printf("}\n");
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"upload", "download", "echo"};
    struct sockaddr_in address = {.sin_family = AF_INET};

    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return serve();
    for (int kind = UPLOAD; argc == 6 && kind <= ECHO; kind++) {
        int count = atoi(argv[4]);

        address.sin_port = htons((uint16_t)atoi(argv[3]));
        if (strcmp(argv[1], kinds[kind]) == 0 && inet_pton(AF_INET, argv[2], &address.sin_addr) == 1 && count >= 1 &&
            count <= (kind == ECHO ? 1 : STREAMS_MAX))
            return run_client((enum kind)kind, &address, count, (uint32_t)atoi(argv[5]));
    }
    fprintf(stderr, "usage: traffic serve | traffic upload|download|echo ADDRESS PORT STREAMS MS\n");
    return 2;
}
