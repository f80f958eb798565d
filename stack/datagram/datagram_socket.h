/* datagram_socket.h - datagram sockets: what the files datagram_*.c share. */
#ifndef SIDESTACK_DATAGRAM_SOCKET_H
#define SIDESTACK_DATAGRAM_SOCKET_H

#include "stack/datagram.h"
#include "stack/inspect.h"
#include "stack/lwip_api.h"
#include "stack/sockaddr.h"

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
    struct stack_datagram_traffic traffic;   /* inspect.h */
    uint32_t filter[8];                      /* of a raw socket: ICMP types that it does not want */

    /* datagram_table.c; each link points at the pointer to us, NULL: not in that table. */
    struct stack_datagram *all_next, **all_link;
    struct stack_datagram *port_next, **port_link;     /* bound sockets, by port; raw ones, by protocol */
    struct stack_datagram *lookup_next, **lookup_link; /* those not connected by port, those connected by 4-tuple */
};

/* Every socket. */
extern struct stack_datagram *datagram_sockets;

/* stack_datagram_leave() was called: a socket that a packet was given to does not take it. */
extern bool datagram_has_left;

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

/* Those that have this port, and others, linked by port_next. */
const struct stack_datagram *datagram_table_on_port(uint16_t port);

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

struct archive;
void datagram_multicast_handover(struct archive *archive, struct stack_datagram *datagram);

void datagram_multicast_leave_all(struct stack_datagram *datagram);

/* ---- datagram_bind.c ---- */

/* Have a port. Return: 0 or -EAGAIN. */
int datagram_bind_by_itself(struct stack_datagram *datagram);

#endif
