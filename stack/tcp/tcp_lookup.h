/* tcp_lookup.h - which connection a segment is for. Private to the stack. */
#ifndef SIDESTACK_TCP_LOOKUP_H
#define SIDESTACK_TCP_LOOKUP_H

#include "stack/lwip_api.h"

struct stack_tcp;
struct time_wait;

/* Both ends of a connection; ports in host byte order. */
struct tcp_ends {
    const ip_addr_t *local, *peer;
    uint16_t local_port, peer_port;
};

/* What has the same hash. */
struct tcp_bucket {
    struct stack_tcp *connections; /* linked by lookup_next */
    struct time_wait *waits;       /* linked by next */
};

/* Choose the secret of the hash. Return: 0 or -errno. */
int tcp_lookup_open(void);

/* Return: a number that the same ends always have, and that a stranger can't choose. */
uint64_t tcp_lookup_hash(const struct tcp_ends *ends);
struct tcp_bucket *tcp_lookup_bucket(const struct tcp_ends *ends);

/* The connection has a control block, and its ends, from now on; or not any more. */
void tcp_lookup_add(struct stack_tcp *tcp);
void tcp_lookup_remove(struct stack_tcp *tcp);

/* Return: the connection, but for one in TIME-WAIT; NULL: there is none. */
struct stack_tcp *tcp_lookup_find(const struct tcp_ends *ends);

/* lwIP's IP layer has a TCP packet for this host (p at its IP header, TCP's at offset) and is about to give it to
 * tcp_input(). */
void tcp_lookup_place(const struct pbuf *p, size_t offset);

/* A connection or a listening socket begins: lwIP is to find nothing that it could compare it with, and keep nothing of
 * it. The list of those in TIME-WAIT stays: a callback may be what begins it, from the processing of a segment that led
 * there. */
void tcp_lookup_clear(void);

/* Have lwIP process an IP packet, and do what follows from it. Takes p. */
void tcp_lookup_input(struct pbuf *p, struct netif *netif);

/* Have lwIP look at its list of connections while it is this one alone. It may be gone afterwards. */
void tcp_lookup_run(struct stack_tcp *tcp, void (*what)(void));

#endif
