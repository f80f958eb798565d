/* datagram_packet.h - packets of datagram sockets on their way out and in: what the files datagram_*.c share. */
#ifndef SIDESTACK_DATAGRAM_PACKET_H
#define SIDESTACK_DATAGRAM_PACKET_H

#include "datagram_socket.h"

/* ---- datagram_route.c ---- */

struct datagram_route {
    struct netif *netif; /* NULL: nowhere, without a word (bound to the loopback, and not for this host) */
    ip_addr_t source;
    ip_addr_t destination; /* the wildcard means this host */
    bool broadcast;
    bool multicast;
};

/*
 * Where does a packet to destination leave, and from which address? source: any: choose one. interface: 0: by the
 * route. Return: 0, -ENETUNREACH, -EINVAL (a source that is not ours, or can't go there).
 */
int datagram_route_find(const struct stack_datagram *datagram, const ip_addr_t *destination, const ip_addr_t *source,
                        unsigned interface, struct datagram_route *route);

/* What is known to fit through in one piece, in bytes of IP packet. */
uint16_t datagram_route_mtu(const struct datagram_route *route);

/* Is it an address that a socket may be bound to: one of ours, a group, a broadcast address, the wildcard? */
bool datagram_route_is_ours(const ip_addr_t *address);

/* Is it an address of one host, not a group's or a broadcast one? */
bool datagram_route_is_host(const ip_addr_t *address);

#define DATAGRAM_HEADER_MAX 64 /* of what goes between the IP header and the payload */

/* A packet on its way out. */
struct datagram_packet {
    const struct datagram_route *route;
    uint8_t protocol, ttl, tos;
    bool loop;          /* to many: members on this host hear it too */
    uint16_t segment;     /* it is a train, for the wire to cut (wire_netif_takes_trains()); 0: it is not */
    bool header_included; /* the header begins with that of IP, complete */
    int mtu_discover;   /* IP_PMTUDISC_* */
    int checksum_at;    /* in the transport header; -1: none */
    uint16_t coverage;  /* UDP-Lite: bytes that the checksum is about; 0: it is another protocol, and all */
    const uint8_t *header; /* the transport header */
    size_t header_size;
    const struct iovec *iov; /* what follows it */
    int count;
    size_t length;
};

/* ---- datagram_send.c ---- */

/* Which address does it come from, if anything says so (else: any)? info may be NULL. Return: 0 or -errno. */
int datagram_send_source(const struct stack_datagram *datagram, const struct stack_datagram_info *info, bool is_ip6,
                         ip_addr_t *source);

/* Where does what info says go, from where, and to which port? Binds by itself.
 * Return: 0 or -errno as sendto(2) gives it. */
int datagram_send_route(struct stack_datagram *datagram, const struct stack_datagram_info *info,
                        struct datagram_route *route, uint16_t *port);

/* Start a packet with what the socket's options and info say. */
void datagram_send_prepare(const struct stack_datagram *datagram, const struct stack_datagram_info *info,
                           const struct datagram_route *route, struct datagram_packet *packet);

/* Send a packet, count it, and tell the socket when it is too large. */
int datagram_send_packet(struct stack_datagram *datagram, const struct datagram_packet *packet, uint16_t port);

/* Copy the first size bytes, which are there, to header; rest is what follows. Return: the number of pieces of rest. */
int datagram_send_split(const struct iovec *iov, int count, uint8_t *header, size_t size,
                        struct iovec rest[STACK_DATAGRAM_IOV]);

/* ---- datagram_ping.c, datagram_raw.c ---- */

/* stack_datagram_send() of a ping socket, of a raw one. */
int datagram_ping_send(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct iovec *iov,
                       int count, size_t length);
int datagram_raw_send(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct iovec *iov,
                      int count, size_t length);

/* An ICMP message, or any packet, offset bytes after the start of p, came. */
void datagram_ping_input(struct pbuf *p, size_t offset, struct netif *input);
/* Return: did a raw socket hear it? */
bool datagram_raw_input(struct pbuf *p, size_t offset, uint8_t protocol, struct netif *input);

/* ---- datagram_lite.c ---- */

/* Decide how much of a UDP-Lite packet of length bytes its checksum is about. Return: what the header says of it. */
uint16_t datagram_lite_cover(const struct stack_datagram *datagram, struct datagram_packet *packet, uint16_t length);

/* The checksum of a packet's first coverage bytes; its own field is 0. */
uint16_t datagram_lite_checksum(struct pbuf *p, uint16_t coverage, const struct datagram_route *route);

/* Is the UDP-Lite packet right, as far as its checksum is about it? Reads its header. */
bool datagram_lite_is_sound(struct pbuf *p, size_t offset, struct udp_hdr *header);

/* Is the checksum of such a packet, of size bytes, about as much as the socket asks for? */
bool datagram_lite_suffices(const struct stack_datagram *datagram, const struct udp_hdr *header, size_t size);

/* ---- datagram_output.c ---- */

/* Fill in what a program leaves to us in an IPv4 header of its own: source, length and identification. */
void datagram_output_complete_header(const struct datagram_route *route, uint8_t *ip, size_t length);

/* Return: 0, -EMSGSIZE, -ENOBUFS, -EHOSTUNREACH. */
int datagram_output_send(const struct datagram_packet *packet);

/* ---- datagram_error.c ---- */

/* An ICMP or ICMPv6 message, offset bytes after the start of p, came: tell the socket that it is about, if it is one of
 * the errors. */
void datagram_error_input(struct pbuf *p, size_t offset, struct netif *input);

/* Answer the packet p, whose IP header is at its start, with port unreachable. lwIP's message for IPv4 would quote no
 * more than the UDP header, and Linux quotes what was in it, too. */
void datagram_error_refuse(struct pbuf *p);

/* Is the checksum of that message right, or vouched for? */
bool datagram_error_checksum_is_good(struct pbuf *p, size_t offset, struct netif *input);

/* A datagram did not fit the path, and may not be cut: a socket with IP_RECVERR is told how much would. */
void datagram_error_local(struct stack_datagram *datagram, const ip_addr_t *destination, uint16_t port, uint32_t mtu);

/* ---- datagram_receive.c ---- */

/* Take packets from lwIP from now on. */
void datagram_receive_open(void);

/* Did a packet that came in by input never leave this host, so that it needs no checksums? */
static inline bool datagram_receive_is_looped(const struct netif *input)
{
    return (input->chksum_flags & NETIF_CHECKSUM_CHECK_IP) == 0;
}

/* Hand part of an IP packet to a socket: what lies offset bytes after the start of p. */
void datagram_receive_deliver(struct stack_datagram *datagram, const struct pbuf *p, size_t offset, uint16_t peer_port,
                              struct netif *input);

#endif
