/* route6.h - which IPv6 addresses are ours on the wire, where IPv6 packets go, and which of our addresses they come
 * from. */
#ifndef SIDESTACK_ROUTE6_H
#define SIDESTACK_ROUTE6_H

#include "address.h"

/* Start with no routes. */
void route6_open(void);

/* Have one more address; its network is on the link. bits: of the network's prefix. It is usable at once: nobody is
 * asked whether it is a duplicate. Return: 0, -EEXIST, -ENOSPC. */
int route6_add_address(const ip6_addr_t *address, uint8_t bits);

/* Have one address less. Its network stays on the link until route6_remove_links(). */
void route6_remove_address(const ip6_addr_t *address);

/* Forget which networks route6_add_address() put on the link. */
void route6_remove_links(void);

/* Have the network of an address on the link, as route6_add_address(). Return: 0 or -ENOSPC. */
int route6_add_link(const ip6_addr_t *address, uint8_t bits);

/* The length of the prefix of an address of ours, for those who ask; 64 for those that lwIP made. */
uint8_t route6_prefix_bits(const ip6_addr_t *address);

/* Add a route to network/bits by way of a neighbour; its zone is the wire's. Return: 0, -EEXIST, -ENOSPC. */
int route6_add(const ip6_addr_t *network, uint8_t bits, const ip6_addr_t *via, enum address_origin origin);

/* Drop all routes of one origin by way of a neighbour. */
void route6_remove_via(enum address_origin origin);

/* The routes, in the order in which they are looked at; via unspecified: on the link. Return: false when there are not
 * so many. */
bool route6_at(size_t position, ip6_addr_t *network, uint8_t *bits, ip6_addr_t *via, enum address_origin *origin);

/* Is it an address of the wire's interface? Not ::1. Zones play no part. */
bool route6_is_own(const ip6_addr_t *address);

/* Return: the neighbour that packets to destination go to, by our routes or those that routers announced; NULL: there
 * is no route. */
const ip6_addr_t *route6_next_hop(const ip6_addr_t *destination);

/* Which address of ours does a packet to destination come from if the sender has none? Return: false when there is no
 * route or no address. */
bool route6_source(const ip6_addr_t *destination, ip6_addr_t *source);

/* source6.c: the same, whether there is a route or not. Return: false when there is no address. */
bool source6_choose(const ip6_addr_t *destination, ip6_addr_t *source);

#endif
