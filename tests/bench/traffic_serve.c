/* traffic_serve.c - the serving half of the traffic generator. */
#include "traffic.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPTORS 2 /* threads */
#define UNIX_PORT "9" /* of one that nobody else has: the directory is ours alone */

static void echo(int fd, size_t bytes)
{
    char *buffer = malloc(bytes);

    while (read_all(fd, buffer, bytes) && send(fd, buffer, bytes, MSG_NOSIGNAL) == (ssize_t)bytes)
        ;
    free(buffer);
}

struct connection {
    int fd; /* owned; closed in serve_connection() */
    struct request request;
};

static void *serve_connection(void *argument)
{
    struct connection *connection = argument;
    int fd = connection->fd;
    uint64_t count;
    char byte;

    switch ((enum kind)connection->request.kind) {
    case UPLOAD:
        count = read_to_end(fd);
        send(fd, &count, sizeof count, MSG_NOSIGNAL);
        break;
    case DOWNLOAD:
        send_for(fd, connection->request.time_ms);
        recv(fd, &byte, 1, 0); /* until the client has all */
        break;
    case ECHO:
        if (connection->request.bytes > 0 && connection->request.bytes <= BUFFER_BYTES)
            echo(fd, connection->request.bytes);
        break;
    case HOLD:
        recv(fd, &byte, 1, 0);
        break;
    default:
        break;
    }
    close(fd);
    free(connection);
    return NULL;
}

/* Accept for ever. What is over at once is done here, the rest by a thread each. */
static void *accept_connections(void *argument)
{
    int listen_fd = (int)(intptr_t)argument, fd, on = 1;
    pthread_t thread;

    while ((fd = accept(listen_fd, NULL, NULL)) >= 0) {
        struct connection *connection;
        struct request request;
        char byte = 0;

        if (!read_all(fd, &request, sizeof request)) {
            close(fd);
            continue;
        }
        if (request.kind == CONNECT) {
            send(fd, &byte, 1, MSG_NOSIGNAL); /* and close first: TIME-WAIT stays here, the client keeps its ports */
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection = malloc(sizeof *connection);
        *connection = (struct connection){fd, request};
        if (pthread_create(&thread, NULL, serve_connection, connection) != 0)
            die("pthread_create");
        pthread_detach(thread);
    }
    die("accept");
}

/* A socket on a port of its own choosing, or on port, for both families where there are both. */
static int open_socket(int type, uint16_t *port)
{
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons(*port)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), off = 0;
    socklen_t length = sizeof address6;

    if (fd >= 0) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (bind(fd, (struct sockaddr *)&address6, sizeof address6) < 0)
            die("bind");
    } else {
        fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -1;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
            die("bind");
    }
    if (getsockname(fd, (struct sockaddr *)&address6, &length) < 0)
        die("getsockname");
    *port = ntohs(address6.sin6_port); /* at the same place in both */
    return fd;
}

/* The same without a network. Return: -1 when there is one to be used. */
static int open_unix_socket(uint16_t *port)
{
    struct sockaddr_un address;
    int fd;

    if (!unix_address(UNIX_PORT, &address))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    *port = (uint16_t)atoi(UNIX_PORT);
    return fd;
}

_Noreturn void serve(void)
{
    uint16_t port = 0;
    int listen_fd = open_unix_socket(&port), udp_fd = -1;
    pthread_t thread;

    if (listen_fd < 0) {
        listen_fd = open_socket(SOCK_STREAM, &port);
        choose_congestion(listen_fd);
        udp_fd = open_socket(SOCK_DGRAM, &port);
    }
    if (listen_fd < 0 || listen(listen_fd, 4096) < 0)
        die("listen");
    if (udp_fd >= 0 && pthread_create(&thread, NULL, udp_serve, (void *)(intptr_t)udp_fd) != 0)
        die("pthread_create");
    printf("%d\n", port);
    fflush(stdout);
    for (int i = 1; i < ACCEPTORS; i++)
        if (pthread_create(&thread, NULL, accept_connections, (void *)(intptr_t)listen_fd) != 0)
            die("pthread_create");
    accept_connections((void *)(intptr_t)listen_fd);
    abort(); /* it does not return */
}
