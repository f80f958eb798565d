/*
 * traffic_udp.c - datagrams, both halves.
 *
 * Datagrams may be lost, so every wait has an end, and what counts is what arrived.
 */
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 200
#define ASKED_MAX 20 /* times that a lost answer is asked for again */
#define DONE_EVERY_NS 5000000
#define RECEIVE_BUFFER (1 << 20)
#define DATAGRAM_MAX 65507

/* What waits for an answer to this waits no longer than that. */
static void set_wait(int fd)
{
    struct timeval wait = {.tv_usec = WAIT_MS * 1000};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

/* Datagrams to the client for so long, then, a few times, that these were all. */
static void send_datagrams(int fd, struct request request, const struct sockaddr_storage *to, socklen_t length)
{
    uint64_t deadline = now_ns() + (uint64_t)request.time_ms * 1000000u;
    char *datagram = calloc(1, DATAGRAM_MAX);

    memcpy(datagram, &request, sizeof request);
    while (now_ns() < deadline)
        (void)sendto(fd, datagram, request.bytes, 0, (const struct sockaddr *)to, length);
    request.done = 1;
    for (int i = 0; i < ASKED_MAX; i++) { /* queues on the way may be full */
        (void)sendto(fd, &request, sizeof request, 0, (const struct sockaddr *)to, length);
        nanosleep(&(struct timespec){.tv_nsec = DONE_EVERY_NS}, NULL);
    }
    free(datagram);
}

void *udp_serve(void *argument)
{
    int fd = (int)(intptr_t)argument, size = RECEIVE_BUFFER;
    char *datagram = malloc(DATAGRAM_MAX);
    uint64_t count = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    for (;;) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        struct request request;
        ssize_t got = recvfrom(fd, datagram, DATAGRAM_MAX, 0, (struct sockaddr *)&from, &length);

        if (got < (ssize_t)sizeof request)
            continue;
        memcpy(&request, datagram, sizeof request);
        if (request.kind == UDP_ECHO) {
            (void)sendto(fd, datagram, (size_t)got, 0, (struct sockaddr *)&from, length);
        } else if (request.kind == UDP_UPLOAD && !request.done) {
            count++;
        } else if (request.kind == UDP_UPLOAD) {
            (void)sendto(fd, &count, sizeof count, 0, (struct sockaddr *)&from, length);
        } else if (request.kind == UDP_DOWNLOAD && request.bytes <= DATAGRAM_MAX && !request.done) {
            send_datagrams(fd, request, &from, length);
        }
    }
    return NULL;
}

static void run_echo(int fd, const struct request *request, struct result *result)
{
    uint64_t deadline = now_ns() + (uint64_t)request->time_ms * 1000000u, after = 0;
    char *buffer = calloc(1, request->bytes);

    memcpy(buffer, request, sizeof *request);
    while (after < deadline) {
        uint64_t before = now_ns();

        if (send(fd, buffer, request->bytes, 0) < 0)
            die("send");
        if (recv(fd, buffer, request->bytes, 0) < 0 && errno != EAGAIN)
            die("recv");
        after = now_ns();
        if (!sample_add(after - before))
            break;
        result->count++;
    }
    free(buffer);
}

/* Ask the server how many datagrams it has had so far. */
static uint64_t ask_count(int fd, struct request request)
{
    uint64_t count;

    request.done = 1;
    for (int i = 0; i < ASKED_MAX; i++) {
        if (send(fd, &request, sizeof request, 0) < 0 && errno != ECONNREFUSED)
            die("send");
        if (recv(fd, &count, sizeof count, 0) == sizeof count)
            return count;
    }
    errno = ETIMEDOUT;
    die("no answer");
}

static void run_upload(int fd, const struct request *request, struct result *result)
{
    uint64_t before = ask_count(fd, *request), begin = now_ns(), now = begin;
    char *datagram = calloc(1, request->bytes);

    memcpy(datagram, request, sizeof *request);
    while (now < begin + (uint64_t)request->time_ms * 1000000u) {
        (void)send(fd, datagram, request->bytes, 0); /* no room: lost like any other */
        now = now_ns();
    }
    result->seconds = (double)(now - begin) / 1e9;
    free(datagram);
    result->count = ask_count(fd, *request) - before;
}

static void run_download(int fd, const struct request *request, struct result *result)
{
    char *datagram = malloc(DATAGRAM_MAX);
    struct request got = {.done = 0};
    uint64_t begin = now_ns(), last = begin;

    if (send(fd, request, sizeof *request, 0) < 0)
        die("send");
    for (int silent = 0; !got.done && silent < ASKED_MAX;) {
        ssize_t length = recv(fd, datagram, DATAGRAM_MAX, 0);

        if (length < (ssize_t)sizeof got) {
            silent++;
            continue;
        }
        memcpy(&got, datagram, sizeof got);
        result->count += !got.done;
        if (result->count % 64 == 0)
            last = now_ns(); /* of every one would cost as much as it */
    }
    result->seconds = (double)(last - begin) / 1e9;
    free(datagram);
}

void udp_run(const struct request *request, const struct sockaddr_storage *address, socklen_t length,
             struct result *result)
{
    int type = address->ss_family == AF_UNIX ? SOCK_SEQPACKET : SOCK_DGRAM; /* what the bound accepts */
    int fd = socket(address->ss_family, type | SOCK_CLOEXEC, 0), size = RECEIVE_BUFFER;

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, length) < 0)
        die("UDP socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    set_wait(fd);
    if (request->kind == UDP_ECHO)
        run_echo(fd, request, result);
    else if (request->kind == UDP_UPLOAD)
        run_upload(fd, request, result);
    else
        run_download(fd, request, result);
    result->bytes = result->count * request->bytes;
    close(fd);
}
