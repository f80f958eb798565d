/*
 * stack_fixture.h - the stack on a wire of memory, with the test as the only other host on it.
 *
 * The stack is 10.1.0.2/24 with the gateway 10.1.0.254; the test plays 10.1.0.1. On both families (stack_setup_dual) it
 * is fd00:1::2/64 as well, with the gateway fd00:1::fe, and the test fd00:1::1. Time stands still but for
 * stack_advance().
 *
 * With SIDESTACK_TEST_CUTS in the environment a wire without features is one that takes TCP segments larger than the
 * MTU and cuts them itself: the same comes out, or should.
 */
#ifndef TEST_STACK_FIXTURE_H
#define TEST_STACK_FIXTURE_H

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/stack.h"

#define STACK_IP "10.1.0.2"
#define PEER_IP "10.1.0.1"
#define STACK_IP6 "fd00:1::2"
#define PEER_IP6 "fd00:1::1"
extern const uint8_t stack_mac[6], peer_mac[6];

/* Start a stack on a wire with these WIRE_* features; end it, and see that it held on to nothing. */
void stack_setup(unsigned wire_features);
void stack_setup_plain(void);   /* no features */
void stack_setup_offload(void); /* WIRE_CHECKSUM and WIRE_TSO4 */
struct stack_prefix;
struct stack_route;
/* No features, these addresses and routes. */
void stack_setup_with(const struct stack_prefix *addresses, size_t address_count, const struct stack_route *routes,
                      size_t route_count);
/* No features; wire, MTU and MAC address are filled in. The frames that were sent on opening are there. */
void stack_setup_config(struct stack_config config);
int stack_try_config(struct stack_config config); /* the same; it may fail. Return: what stack_open() does */
/* With IPv6 addresses beside those of IPv4, and these WIRE_* features. */
void stack_setup_dual(unsigned wire_features);
/* The same with this stance on ECN, no features. */
void stack_setup_ecn(enum stack_ecn ecn);
void stack_teardown(void);

/* Called when the stack closes the wire, before the frames on it are dropped; NULL, after every setup: nothing. */
extern void (*wire_on_close)(void);

/* Let time pass, timers run and frames be processed. */
void stack_advance(unsigned milliseconds);
uint64_t stack_time_us(void);

/* Process what waits, without time passing. */
void stack_turn(void);

struct stack_counters counters_now(void);

/* ---- The wire ---- */

struct frame {
    struct virtio_net_hdr header;
    size_t size;
    uint8_t bytes[66000];
};

/* Give the stack a frame. */
void wire_put(const struct virtio_net_hdr *header, const void *bytes, size_t size);

/* Return: the oldest frame that the stack sent and the test has not taken, or NULL; valid until the next call. */
const struct frame *wire_take(void);

/* Return: the oldest frame that waits to be taken; NULL: none does. */
const struct frame *wire_look(void);

/* Return: how many frames wait to be taken. */
size_t wire_count(void);
void wire_drop_all(void);

/* Answer ARP for the peer, and learn: until then the stack can't send to it. */
void peer_resolve(void);

/* ---- The peer's TCP ---- */

/* One segment. Numbers are in host byte order. */
struct segment {
    int family; /* AF_INET6; 0 is IPv4 */
    uint16_t source_port, port;
    uint32_t sequence, acknowledgement;
    uint8_t flags; /* TH_FIN and so on */
    uint8_t tos;   /* of the IP header; IPv6: the traffic class */
    uint16_t window;
    uint8_t options[40];
    size_t option_size;
    const void *data;
    size_t size;
    struct virtio_net_hdr header; /* as it crossed */
    size_t packet_size;           /* taken ones: of the IP packet, and of the first it will be cut to */
    bool checksum_good;           /* taken ones: the TCP checksum is right, or left to the wire in the right way */
};

/* Send a segment from the peer to the stack. Its checksums are right unless the header says that they are not needed.
 * */
void peer_send(const struct segment *segment);

/* The next ones only put their segment on the wire: stack_receive() is for the test to call. */
extern bool peer_keeps_turn;

/* Take the next frame, which must be a TCP segment to the peer. Return: it; data is valid until the next call. */
struct segment peer_take(void);

/* A connection of the peer, as far as it needs to know. */
struct peer {
    int family; /* as in struct segment */
    uint16_t port, stack_port;
    uint32_t sequence; /* next to send */
    uint32_t expected; /* next to come */
    uint16_t window;
};

/* Send flags and data on a connection; moves peer->sequence on. */
void peer_say(struct peer *peer, uint8_t flags, const void *data, size_t size);

/* ---- A socket and what it was told ---- */

struct told {
    struct stack_tcp *tcp;
    struct stack_tcp *child; /* adopted with child_told as the owner */
    struct told *child_told;
    unsigned connected, accepted, received, sent, failed;
    int error;
    bool refuse;         /* do not adopt */
    bool close_received; /* close the socket inside received() */
    bool abort_received;
    bool close_connected;
    bool abort_accepted;
    bool echo; /* send back what comes */
};

extern const struct stack_tcp_events told_events;

union stack_address address_of(const char *ip, uint16_t port);

/* Open a TCP socket of IPv4 for told. Return: it. */
struct stack_tcp *open_told(struct told *told);

/* Bind it; have it connect, and let its SYN go. Return: as stack_tcp_bind(), stack_tcp_connect(). */
int bind_to(struct stack_tcp *tcp, const char *ip, uint16_t port);
int connect_to(struct stack_tcp *tcp, const char *ip, uint16_t port);

/* Return: its local port; 0: it has none. */
uint16_t port_of(const struct stack_tcp *tcp);

/* How long the peer takes to complete the handshake of these. */
extern unsigned peer_handshake_ms;

/* Make a connection: the stack connects, or accepts (told->child_told). */
void connect_to_peer(struct told *told, struct peer *peer);
void accept_from_peer(struct told *listener, struct told *child, struct peer *peer);
/* The same over IPv6. The listener is on ::, which takes both families. */
void connect_to_peer6(struct told *told, struct peer *peer);
void accept_from_peer6(struct told *listener, struct told *child, struct peer *peer);

/* Queue and send size bytes. */
void send_bytes(struct stack_tcp *tcp, const void *bytes, size_t size);

/* Copy what is queued for receiving, at most size bytes, and consume it. Return: how many. */
size_t receive_bytes(struct stack_tcp *tcp, void *bytes, size_t size);

/* A byte that depends on its place in the stream. */
uint8_t pattern_byte(size_t at);
void pattern_fill(void *bytes, size_t at, size_t size);

#endif
