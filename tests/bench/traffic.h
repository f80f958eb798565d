/* traffic.h - what the two halves of the benchmark's traffic generator share. */
#ifndef SIDESTACK_BENCH_TRAFFIC_H
#define SIDESTACK_BENCH_TRAFFIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BUFFER_BYTES 131072
#define STREAMS_MAX 256

enum kind {
    UPLOAD,       /* the client sends until its time is over and shuts down; the server answers with the count */
    DOWNLOAD,     /* the server sends until the time is over */
    BOTH,         /* an upload and a download for each stream */
    ECHO,         /* the client sends a message, the server sends it back, one after the other */
    ECHO_BUSY,    /* the same beside one download */
    CONNECT,      /* connections one after another on each stream: a byte comes, the server closes */
    HOLD,         /* idle connections, until standard input ends */
    UDP_ECHO,
    UDP_UPLOAD,   /* datagrams as fast as they go; those that arrive count */
    UDP_DOWNLOAD,
    KIND_COUNT
};

/* The first bytes of a connection, and of each datagram. */
struct request {
    uint32_t kind;
    uint32_t time_ms;
    uint32_t bytes; /* of an echo's message, of a datagram */
    uint32_t done;  /* UDP_UPLOAD: how many came, please? UDP_DOWNLOAD: that was all */
};

/* What is measured. */
struct result {
    uint64_t bytes;
    uint64_t count; /* connections or datagrams */
    double seconds;
    uint64_t resent; /* bytes that the client sent again */
};

uint64_t now_ns(void);
_Noreturn void die(const char *what);
/* A round trip took so long. Return: false when there is no room for more of them. */
bool sample_add(uint64_t ns);

/* Return: whether length bytes were read. */
bool read_all(int fd, void *buffer, size_t length);
/* Send for so long, then no more. Return: bytes sent. */
uint64_t send_for(int fd, uint32_t time_ms);
/* The AF_UNIX socket of that name, if the environment says to use such. Return: whether it does. */
bool unix_address(const char *name, struct sockaddr_un *address);
/* As the environment says; accepted connections inherit it. */
void choose_congestion(int fd);
/* Return: bytes read to the end of file; 0 after an error. */
uint64_t read_to_end(int fd);

/* traffic_serve.c: listen on any port, print it, serve until killed. Does not return. */
_Noreturn void serve(void);

/* traffic_udp.c */
void *udp_serve(void *fd);
void udp_run(const struct request *request, const struct sockaddr_storage *address, socklen_t length,
             struct result *result);

#endif
