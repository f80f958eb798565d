/* address.h - which IPv4 addresses are ours on the wire. */
#ifndef SIDESTACK_ADDRESS_H
#define SIDESTACK_ADDRESS_H

#include "interface.h"
#include "stack/lwip_api.h"

enum address_origin {
    ADDRESS_STATIC, /* the owner said so */
    ADDRESS_DHCP,
};

struct own_address {
    ip4_addr_t address;
    ip4_addr_t mask;
    uint8_t bits;
    enum address_origin origin;
};

/* interface.c: begin with the addresses and routes of the configuration. Return: 0, -EEXIST, -ENOSPC. */
int interface_open(const struct stack_config *config);

/* Start with none. */
void address_open(void);

/* Return: 0, -EEXIST, -ENOSPC (STACK_ADDRESSES_MAX are there). */
int address_add(ip4_addr_t address, uint8_t bits, enum address_origin origin);

/* Drop all addresses of one origin. */
void address_remove(enum address_origin origin);

/* Drop a static one. */
void address_remove_static(const ip4_addr_t *address);

/* The addresses, in the order in which they came; the first is what lwIP takes for the only one while nothing else
 * matters. Return: NULL when there are not so many. */
const struct own_address *address_at(size_t position);

/* Return: the entry of this very address; NULL: it is not ours. */
const struct own_address *address_find(const ip4_addr_t *address);

/* Return: the entry whose network this is in, the narrowest if there are several; NULL: it is no neighbour. */
const struct own_address *address_find_network(const ip4_addr_t *address);

/* Return: the entry whose network has this broadcast address; NULL: it is none. 255.255.255.255 belongs to no
 * network. */
const struct own_address *address_find_broadcast(const ip4_addr_t *address);

#endif
