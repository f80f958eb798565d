/*
 * datagram_fixture.h - datagram sockets under test: owners that write down what they are told, and the peer's packets.
 *
 * Addresses are strings; the family follows from them. To be used with stack_fixture.h.
 */
#ifndef TEST_DATAGRAM_FIXTURE_H
#define TEST_DATAGRAM_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/datagram.h"
#include "stack_fixture.h"

#define STACK_LINK_LOCAL "fe80::ff:fe00:2"
#define PEER_LINK_LOCAL "fe80::1"

/* Start a stack with addresses of both families, and neighbours that are known. */
void stack_setup_both(void);

/* Ask for the stack's IPv6 address, so that it learns ours. */
void peer_resolve6(const char *ip);

/* Answer the stack's question for ip. */
void peer_advertise6(const char *ip);

/* A socket and what it was told last. */
struct heard {
    struct stack_datagram *datagram;
    unsigned received, failed;
    struct stack_datagram_info info;
    struct stack_datagram_error error;
    uint8_t bytes[66000];
    size_t length;
    bool full;           /* take nothing */
    bool close_received; /* close the socket inside received() */
};

/* Open a socket, and bind it (NULL: not). */
void heard_open(struct heard *heard, enum stack_datagram_kind kind, int family, int protocol);
void heard_open_udp(struct heard *heard, const char *ip, uint16_t port);
void heard_open_udp4(struct heard *heard); /* not bound */
void heard_close(struct heard *heard);

/* Send bytes; ip NULL: to the connected peer. Return: what stack_datagram_send() does. */
int heard_send(struct heard *heard, const char *ip, uint16_t port, const void *bytes, size_t size);

/* Return: what stack_datagram_bind() and stack_datagram_connect() do. */
int heard_bind(struct heard *heard, const char *ip, uint16_t port);
int heard_connect(struct heard *heard, const char *ip, uint16_t port);
uint16_t heard_port(const struct heard *heard);
/* Set an option, which must succeed. */
void heard_set(struct heard *heard, enum stack_datagram_option option, int value);

/* The sockets of a test, and what it starts and ends with: a stack of both families, of IPv4 alone, or that on a wire
 * with offloads; each of these sockets closed. */
extern struct heard one, two, three;
void heard_setup(void);
void heard_setup_ip4(void);
void heard_setup_offload(void);
void heard_teardown(void);

/* Any address, IPv4 or IPv6. */
union stack_address any_address_of(const char *ip, uint16_t port);
bool is_address(const union stack_address *address, const char *ip, uint16_t port);

/* A packet. Numbers are in host byte order. */
struct packet {
    const char *source, *destination; /* given ones */
    union stack_address from, to;     /* taken ones, with ports if it is UDP */
    uint8_t protocol, ttl, tos;
    uint16_t identification;
    bool dont_fragment, more_fragments;
    size_t offset; /* of the fragment */
    const uint8_t *data; /* after the IP header */
    size_t size;
    struct virtio_net_hdr header;
    bool checksum_good; /* taken: UDP's is right, or left to the wire in the right way, or none is there */
};

/* Send a packet from the peer to the stack: an Ethernet header and an IP header before data. */
void packet_send(const struct packet *packet);

/* Take the next frame, which must be an IP packet. Return: it; data is valid until the next call. */
struct packet packet_take(void);

/* The checksum of a packet whose checksum field is 0. */
uint16_t packet_checksum(const char *source, const char *destination, uint8_t protocol, const void *data, size_t size);

/* Send a UDP datagram from the peer. */
void peer_udp(const char *source, uint16_t source_port, const char *destination, uint16_t port, const void *bytes,
              size_t size);

#endif
