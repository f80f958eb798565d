/* bound.h - what the parts of the design's bound share. */
#ifndef SIDESTACK_BENCH_BOUND_H
#define SIDESTACK_BENCH_BOUND_H

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SEGMENT 1460        /* of MTU 1500 */
#define WINDOW (256 * 1024) /* of each connection, and what is read from the wire before programs have their turn */
#define PAIR_BUFFER 212992  /* as service/pair.c */

/* What stands before the data of a frame, without options. */
struct tcp {
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledged;
    uint8_t size, flags;
    uint16_t window, sum, urgent;
};

struct udp {
    uint16_t source_port, destination_port, length, sum;
};

struct headers {
    struct virtio_net_hdr virtio;
    uint8_t to[6], from[6];
    uint16_t type;
    uint8_t version, service;
    uint16_t length, id, fragment;
    uint8_t hops, protocol;
    uint16_t ip_sum;
    uint32_t source, destination;
    union {
        struct tcp tcp;
        struct udp udp;
    };
} __attribute__((packed, aligned(2)));

#define BEFORE_IP 14
#define BEFORE_TRANSPORT 34 /* in the frame, which begins after the virtio header */

/* A buffer of the size of a frame, which begins with the virtio header; in a list of them, and with what data? */
struct frame {
    struct frame *next;
    size_t at, length;
    uint8_t bytes[65536 + 256];
};

/* A program's end of a socket. */
struct endpoint {
    int fd; /* owned; -1: closed, and freed at the end of the turn */
    void (*handle)(struct endpoint *endpoint, uint32_t events);
    struct endpoint *next; /* of those to be freed */
};

/* bound.c */
extern uint16_t peer_port; /* network order */
_Noreturn void die(const char *what);
/* Have epoll tell these events, of a descriptor that it does not (EPOLL_CTL_ADD), or does watch (EPOLL_CTL_MOD). */
void watch(struct endpoint *endpoint, int operation, uint32_t events);
/* Close the descriptor now, and free the endpoint when nobody can have a pointer to it. */
void discard(struct endpoint *endpoint);
/* Connect to the program that listens at a port. Return: the descriptor, or -1. */
int reach_program(uint16_t port);

/* bound_wire.c */
extern struct frame *frame; /* the one in use: a frame is read into it */
extern int tap_fd;
struct frame *get_frame(void);
void free_frame(struct frame *frame);
/* Attach to the TAP. mac and peer: of its far end; address: ours. */
void open_wire(const char *name, const char *mac, const char *address, const char *peer);
/* Fill in what is the same in all frames to the peer. */
void begin_frame(struct headers *h, uint8_t protocol, uint16_t own_port, uint16_t other_port);
/* Write a frame: h, whose part from TCP's or UDP's header on has that size (options lie behind h), then the data of
 * iov[1] and those after it, together length bytes; iov[0] is for this function. What is longer than a piece is cut as
 * gso says (VIRTIO_NET_HDR_GSO_*). */
void write_frame(struct headers *h, size_t transport_size, uint8_t gso, size_t piece, struct iovec *iov, int count,
                 size_t length);

/* bound_tcp.c: ports are in network order */
void tcp_accept(int fd);
/* A segment is in the frame in use, behind the headers, which are copied out. */
void tcp_input(const struct headers *h, size_t length);
void tcp_end_turn(void);

/* bound_udp.c */
void udp_accept(int fd);
void udp_input(const struct headers *h, size_t length);
void udp_end_turn(void);

#endif
