/* wire_netif.h - Ethernet between a wire and lwIP. */
#ifndef SIDESTACK_WIRE_NETIF_H
#define SIDESTACK_WIRE_NETIF_H

#include "stack/lwip_api.h"
#include "wire.h"

/* Make the netif on the wire (borrowed). Return: 0 or -ENOMEM. */
int wire_netif_open(const struct stack_config *config);

/* Remove the netif; the wire stays open. */
void wire_netif_close(void);

/* The other end of the wire is another one. */
void wire_netif_forget_neighbours(void);

/* Read and process at most max frames, and none after max_bytes. Return: how many, or -errno when reading failed. */
int wire_netif_receive(unsigned max, size_t max_bytes);

struct own_address;
/* Have lwIP take this for the netif's IPv4 address, for what follows; NULL: none. At rest it is address_at(0). */
void wire_netif_assume(const struct own_address *own);

/* Tell the neighbours all our IPv4 addresses. */
void wire_netif_announce(void);

/* lwIP's netif; zeroed while the stack is not open. */
struct netif *wire_netif_get(void);

/* Is the neighbour's Ethernet address known? */
bool wire_netif_is_resolved(const ip4_addr_t *next_hop);

uint16_t wire_netif_mtu(void);
const uint8_t *wire_netif_mac(void); /* 6 bytes */

/* Does the wire fill in checksums that gather.c leaves to it? */
bool wire_netif_completes_checksums(void);

/* Can a train of UDP datagrams to this neighbour or beyond it leave as one frame? */
bool wire_netif_takes_trains(const ip_addr_t *destination);

/* Does the wire cut TCP segments that are larger than the MTU? */
bool wire_netif_segments(bool is_v6);

/* The TCP segments that lwIP sends now are for the wire to cut into pieces of size bytes; 0: they are not. Those whose
 * next hop's Ethernet address is not known are refused. */
void wire_netif_set_piece(uint16_t size);

/* A packet of ours, with nothing in it that needs a check, as if it had come in by the wire. Takes p. */
void wire_netif_input_looped(struct pbuf *p);

/* Is it a broadcast address, everywhere's or that of one of our networks? */
bool wire_netif_is_broadcast(const ip4_addr_t *address);

/* Does a packet to this address have to wait for its neighbour's Ethernet address? false also when there is no
 * route. */
bool wire_netif_is_unresolved(const ip_addr_t *destination);

/* What comes next has a checksum of TCP or UDP that is known good. */
void wire_netif_set_trust(bool trusted);

struct wire_netif_counters {
    uint64_t frames, bytes, dropped;
};
extern struct wire_netif_counters wire_netif_counters;

#endif
