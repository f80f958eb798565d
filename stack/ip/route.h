/* route.h - where IPv4 packets go, and which of our addresses they come from. */
#ifndef SIDESTACK_ROUTE_H
#define SIDESTACK_ROUTE_H

#include "address.h"

/* Start with none. */
void route_open(void);

/* Add a route to network/bits by way of a neighbour; 0.0.0.0: it is on the link. Return: 0, -ENOSPC. */
int route_add(ip4_addr_t network, uint8_t bits, ip4_addr_t via, enum address_origin origin);

/* The routes, in the order in which they are looked at. Return: false when there are not so many. */
bool route_at(size_t position, ip4_addr_t *network, uint8_t *bits, ip4_addr_t *via, enum address_origin *origin);

/* Drop all routes of one origin. */
void route_remove(enum address_origin origin);

/*
 * The way to a destination that is not ours: the neighbour that it goes to, and the address that it comes from if the
 * sender has none (either may be NULL: not wanted). Return: false when there is no route.
 */
bool route_find(const ip4_addr_t *destination, ip4_addr_t *next_hop, ip4_addr_t *source);

#endif
