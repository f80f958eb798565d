/* path_mtu.h - what routers said about how large packets to an IPv4 host may be (RFC 1191). */
#ifndef SIDESTACK_PATH_MTU_H
#define SIDESTACK_PATH_MTU_H

#include "stack/lwip_api.h"

/* Know nothing. */
void path_mtu_open(void);

/* A router could not pass on a packet of size bytes; mtu: what it said would fit, 0 when it is too old to say. */
void path_mtu_learn(const ip4_addr_t *destination, uint16_t mtu, uint16_t size);

/* Return: bytes of IP packet that reach the destination in one piece, at most link_mtu. */
uint16_t path_mtu_get(const ip4_addr_t *destination, uint16_t link_mtu);

#endif
