/* datagram_socket.h - datagram sockets: what the files datagram_*.c share. */
#ifndef SIDESTACK_DATAGRAM_SOCKET_H
#define SIDESTACK_DATAGRAM_SOCKET_H

#include "datagram.h"
#include "lwip_api.h"
#include "sockaddr.h"

#define UDP_SIZE 8
#define IP4_SIZE 20
#define IP6_SIZE 40

struct stack_datagram {
    const struct stack_datagram_events *events;
    void *owner;
    enum stack_datagram_kind kind;
    int family;       /* AF_INET or AF_INET6 */
    uint8_t protocol; /* IPPROTO_* */
    bool connected;
    bool port_locked;    /* bind() was told the port: it outlives a connection */
    bool address_locked; /* and the address */

    /* Linux's rcv_saddr and saddr: what comes to us, and where we send from. They differ only when bound to a group. */
    ip_addr_t local;
    ip_addr_t source;
    ip_addr_t peer;
    uint16_t local_port; /* 0: none yet; a ping socket's identifier, a raw one's protocol */
    uint16_t peer_port;
    int options[STACK_DATAGRAM_OPTION_COUNT];
    struct datagram_membership *memberships; /* owned; datagram_multicast.c */
    uint32_t filter[8];                      /* of a raw socket: ICMP types that it does not want */

    /* datagram_table.c; each link points at the pointer to us, NULL: not in that table. */
    struct stack_datagram *all_next, **all_link;
    struct stack_datagram *port_next, **port_link;     /* bound sockets, by port; raw ones, by protocol */
    struct stack_datagram *lookup_next, **lookup_link; /* those not connected by port, those connected by 4-tuple */
};

/* Every socket. */
extern struct stack_datagram *datagram_sockets;

struct datagram_counters {
    uint64_t in, out;  /* datagrams to and from sockets */
    uint64_t no_port;  /* nobody wanted them */
    uint64_t dropped;  /* the socket had no room */
    uint64_t malformed; /* bad lengths and checksums */
    size_t sockets;
};
extern struct datagram_counters datagram_counters;

void datagram_socket_close_all(void);

/* Is it a socket that IPv4 packets may come to and leave from? The same for IPv6. */
static inline bool datagram_takes_ip4(const struct stack_datagram *datagram)
{
    return datagram->family == AF_INET || !datagram->options[STACK_DATAGRAM_V6ONLY];
}

/* ---- datagram_table.c ---- */

/* Enter and leave the tables; the socket's addresses and ports must not change in between. */
void datagram_table_enter(struct stack_datagram *datagram);
void datagram_table_remove(struct stack_datagram *datagram);

/* Would this address and port be in the way of another socket? */
bool datagram_table_conflicts(const struct stack_datagram *datagram, const ip_addr_t *address, uint16_t port);

/* Return: a port that is free for this address; 0: there is none. */
uint16_t datagram_table_choose_port(const struct stack_datagram *datagram, const ip_addr_t *address);

/* A packet's addresses and ports, from the receiver's point of view. */
struct datagram_tuple {
    const ip_addr_t *local, *peer;
    uint16_t local_port, peer_port;
    unsigned interface;
};

/* Whose is a packet to one host? Return: NULL: nobody's. */
struct stack_datagram *datagram_table_find(enum stack_datagram_kind kind, const struct datagram_tuple *tuple);

/* Whose is a packet to many? Return: the first socket that wants it; the next one after that; NULL: no more. */
struct stack_datagram *datagram_table_first(enum stack_datagram_kind kind, const struct datagram_tuple *tuple);
struct stack_datagram *datagram_table_next(enum stack_datagram_kind kind, struct stack_datagram *after,
                                           const struct datagram_tuple *tuple);

/* Which ping socket has this identifier (local_port)? */
struct stack_datagram *datagram_table_find_ping(const struct datagram_tuple *tuple);

/* Which raw sockets does a packet of this protocol come to, or an error about one? The first; the next after that. */
struct stack_datagram *datagram_table_first_raw(uint8_t protocol, const struct datagram_tuple *tuple);
struct stack_datagram *datagram_table_next_raw(struct stack_datagram *after, const struct datagram_tuple *tuple);

/* ---- datagram_multicast.c ---- */

/* Does the socket want what source sends to the group? */
bool datagram_multicast_allows(const struct stack_datagram *datagram, const ip_addr_t *group, const ip_addr_t *source,
                               unsigned interface);

/* Is anybody on this host a member of the group, on this interface? */
bool datagram_multicast_has_members(unsigned interface, const ip_addr_t *group);

void datagram_multicast_leave_all(struct stack_datagram *datagram);

/* ---- datagram_bind.c ---- */

/* Have a port. Return: 0 or -EAGAIN. */
int datagram_bind_by_itself(struct stack_datagram *datagram);

/* ---- datagram_route.c ---- */

struct datagram_route {
    struct netif *netif; /* NULL: nowhere, without a word (bound to the loopback, and not for this host) */
    ip_addr_t source;
    ip_addr_t destination; /* the wildcard means this host */
    bool broadcast;
    bool multicast;
};

/*
 * Where does a packet to destination leave, and from which address? source: any: choose one. interface: 0: by the route.
 * Return: 0, -ENETUNREACH, -EINVAL (a source that is not ours, or can't go there).
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

/* Where does what info says go, from where, and to which port? Binds by itself. Return: 0 or -errno as sendto(2) gives it. */
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

/* ---- datagram_output.c ---- */

/* Fill in what a program leaves to us in an IPv4 header of its own: source, length and identification. */
void datagram_output_complete_header(const struct datagram_route *route, uint8_t *ip, size_t length);

/* Return: 0, -EMSGSIZE, -ENOBUFS, -EHOSTUNREACH. */
int datagram_output_send(const struct datagram_packet *packet);

/* ---- datagram_error.c ---- */

/* An ICMP or ICMPv6 message, offset bytes after the start of p, came: tell the socket that it is about, if it is one of
 * the errors. */
void datagram_error_input(struct pbuf *p, size_t offset, struct netif *input);

/* Answer the packet p, whose IP header is at its start, with port unreachable. lwIP's message for IPv4 would quote no more
 * than the UDP header, and Linux quotes what was in it, too. */
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
