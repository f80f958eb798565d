/* address.c - which IPv4 addresses are ours on the wire. */
#include "address.h"

#include <errno.h>
#include <string.h>

static struct own_address own[STACK_ADDRESSES_MAX];
static size_t own_count;

void address_open(void)
{
    own_count = 0;
}

int address_add(ip4_addr_t address, uint8_t bits, enum address_origin origin)
{
    if (address_find(&address) != NULL)
        return -EEXIST;
    if (own_count == STACK_ADDRESSES_MAX)
        return -ENOSPC;
    own[own_count++] = (struct own_address){address, {bits == 0 ? 0 : lwip_htonl(~0u << (32 - bits))}, bits, origin};
    return 0;
}

void address_remove(enum address_origin origin)
{
    size_t kept = 0;

    for (size_t i = 0; i < own_count; i++)
        if (own[i].origin != origin)
            own[kept++] = own[i];
    own_count = kept;
}

void address_remove_static(const ip4_addr_t *address)
{
    size_t kept = 0;

    for (size_t i = 0; i < own_count; i++)
        if (own[i].origin != ADDRESS_STATIC || !ip4_addr_eq(&own[i].address, address))
            own[kept++] = own[i];
    own_count = kept;
}

const struct own_address *address_at(size_t position)
{
    return position < own_count ? &own[position] : NULL;
}

const struct own_address *address_find(const ip4_addr_t *address)
{
    for (size_t i = 0; i < own_count; i++)
        if (ip4_addr_eq(address, &own[i].address))
            return &own[i];
    return NULL;
}

const struct own_address *address_find_network(const ip4_addr_t *address)
{
    const struct own_address *best = NULL;

    for (size_t i = 0; i < own_count; i++)
        if (ip4_addr_net_eq(address, &own[i].address, &own[i].mask) && (best == NULL || own[i].bits > best->bits))
            best = &own[i];
    return best;
}

const struct own_address *address_find_broadcast(const ip4_addr_t *address)
{
    for (size_t i = 0; i < own_count; i++) /* RFC 3021: a network of two has none */
        if (own[i].bits < 31 && address->addr == (own[i].address.addr | ~own[i].mask.addr))
            return &own[i];
    return NULL;
}
