/*
 * route.c - where IPv4 packets go, and which of our addresses they come from.
 *
 * As on Linux the longest prefix decides, and the network of an address of ours is a route like any other, whose source
 * is that address. Packets that leave by way of a router have the address as their source that the router is a
 * neighbour of (Linux: inet_select_addr()).
 */
#include "route.h"

#include <errno.h>

struct route {
    ip4_addr_t network, mask;
    uint8_t bits;
    enum address_origin origin;
    ip4_addr_t via;
};

static struct route routes[STACK_ROUTES_MAX]; /* longest prefix first; of equal ones the first that came */
static size_t route_count;

void route_open(void)
{
    route_count = 0;
}

int route_add(ip4_addr_t network, uint8_t bits, ip4_addr_t via, enum address_origin origin)
{
    struct route route = {.bits = bits, .origin = origin, .via = via};
    size_t at = route_count;

    if (route_count == STACK_ROUTES_MAX)
        return -ENOSPC;
    route.mask.addr = bits == 0 ? 0 : lwip_htonl(~0u << (32 - bits));
    route.network.addr = network.addr & route.mask.addr;
    for (; at > 0 && routes[at - 1].bits < bits; at--)
        routes[at] = routes[at - 1];
    routes[at] = route;
    route_count++;
    return 0;
}

bool route_at(size_t position, ip4_addr_t *network, uint8_t *bits, ip4_addr_t *via, enum address_origin *origin)
{
    if (position >= route_count)
        return false;
    *network = routes[position].network;
    *bits = routes[position].bits;
    *via = routes[position].via;
    *origin = routes[position].origin;
    return true;
}

void route_remove(enum address_origin origin)
{
    size_t kept = 0;

    for (size_t i = 0; i < route_count; i++)
        if (routes[i].origin != origin)
            routes[kept++] = routes[i];
    route_count = kept;
}

bool route_find(const ip4_addr_t *destination, ip4_addr_t *next_hop, ip4_addr_t *source)
{
    const struct own_address *own = address_find_network(destination);
    const ip4_addr_t *via = destination;

    for (size_t i = 0; i < route_count && (own == NULL || routes[i].bits > own->bits); i++)
        if (ip4_addr_net_eq(destination, &routes[i].network, &routes[i].mask)) {
            via = &routes[i].via;
            own = address_find_network(via);
            break;
        }
    if (own == NULL && (via != destination || ip4_addr_islinklocal(destination)))
        own = address_at(0);
    if (own == NULL)
        return false;
    if (ip4_addr_isany(via))
        via = destination; /* on the link */
    if (next_hop != NULL)
        ip4_addr_copy(*next_hop, *via);
    if (source != NULL)
        ip4_addr_copy(*source, own->address);
    return true;
}
