/*
 * route6.c - which IPv6 addresses are ours on the wire, where IPv6 packets go, and which of our addresses they come
 * from.
 *
 * The addresses are in lwIP's table of the interface: the link-local one first, then those that were given, then those
 * that it makes itself. lwIP takes a static address for a sign that its /64 is on the link. An address whose prefix is
 * longer or shorter is given an infinite lifetime instead, which says no such thing; and all on-link prefixes are
 * routes here.
 *
 * lwIP asks for the next hop of a destination (route6_gateway) when it is new to it, and keeps the answer in its
 * destination cache; so that is emptied when a route changes. What our routes do not know, lwIP's lists of announced
 * prefixes and routers may.
 */
#include "route6.h"

#include <errno.h>
#include <string.h>

#include "stack/wire/wire_netif.h"

struct route6 {
    ip6_addr_t network;
    uint8_t bits;
    enum address_origin origin;
    ip6_addr_t via; /* unspecified: on the link */
};

static struct route6 routes[STACK_ROUTES_MAX + STACK_ADDRESSES_MAX]; /* longest prefix first */
static size_t route_count;

void route6_open(void)
{
    route_count = 0;
}

/* Are the first bits of both equal? */
static bool prefix_matches(const ip6_addr_t *one, const ip6_addr_t *other, unsigned bits)
{
    for (int i = 0; i < 4 && bits > 0; i++) {
        unsigned n = LWIP_MIN(bits, 32);

        // cppcheck-suppress shiftTooManyBits ; n is 1 to 32
        if (((one->addr[i] ^ other->addr[i]) & lwip_htonl(~0u << (32 - n))) != 0)
            return false;
        bits -= n;
    }
    return true;
}

/* Return: the route with the longest prefix, or NULL. */
static const struct route6 *find(const ip6_addr_t *destination)
{
    for (size_t i = 0; i < route_count; i++)
        if (prefix_matches(&routes[i].network, destination, routes[i].bits))
            return &routes[i];
    return NULL;
}

int route6_add(const ip6_addr_t *network, uint8_t bits, const ip6_addr_t *via, enum address_origin origin)
{
    struct route6 route = {.network = *network, .bits = bits, .origin = origin, .via = *via};
    size_t at = route_count;

    for (size_t i = 0; i < route_count; i++)
        if (routes[i].bits == bits && prefix_matches(&routes[i].network, network, bits))
            return -EEXIST;
    if (route_count == sizeof routes / sizeof *routes)
        return -ENOSPC;
    if (!ip6_addr_isany(via))
        ip6_addr_assign_zone(&route.via, IP6_UNICAST, wire_netif_get());
    for (; at > 0 && routes[at - 1].bits < bits; at--)
        routes[at] = routes[at - 1];
    routes[at] = route;
    route_count++;
    nd6_clear_destination_cache();
    return 0;
}

void route6_remove_via(enum address_origin origin)
{
    size_t kept = 0;

    for (size_t i = 0; i < route_count; i++)
        if (routes[i].origin != origin || ip6_addr_isany(&routes[i].via))
            routes[kept++] = routes[i];
    route_count = kept;
    nd6_clear_destination_cache();
}

bool route6_at(size_t position, ip6_addr_t *network, uint8_t *bits, ip6_addr_t *via, enum address_origin *origin)
{
    if (position >= route_count)
        return false;
    *network = routes[position].network;
    *bits = routes[position].bits;
    *via = routes[position].via;
    *origin = routes[position].origin;
    return true;
}

int route6_add_link(const ip6_addr_t *address, uint8_t bits)
{
    static const ip6_addr_t on_link;
    int error = ip6_addr_islinklocal(address) ? 0 : route6_add(address, bits, &on_link, ADDRESS_STATIC);

    return error == -EEXIST ? 0 : error;
}

void route6_remove_links(void)
{
    size_t kept = 0;

    for (size_t i = 0; i < route_count; i++)
        if (routes[i].origin != ADDRESS_STATIC || !ip6_addr_isany(&routes[i].via))
            routes[kept++] = routes[i];
    route_count = kept;
    nd6_clear_destination_cache();
}

void route6_remove_address(const ip6_addr_t *address)
{
    struct netif *netif = wire_netif_get();

    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) && ip6_addr_zoneless_eq(address, netif_ip6_addr(netif, i)))
            netif_ip6_addr_set_state(netif, i, IP6_ADDR_INVALID);
}

int route6_add_address(const ip6_addr_t *address, uint8_t bits)
{
    struct netif *netif = wire_netif_get();
    s8_t place = -1;
    int error;

    if (route6_is_own(address))
        return -EEXIST;
    for (s8_t i = LWIP_IPV6_NUM_ADDRESSES - 1; i > 0; i--) /* the first is lwIP's link-local one */
        if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)))
            place = i;
    if (place < 0)
        return -ENOSPC;
    error = route6_add_link(address, bits);
    if (error < 0)
        return error;
    netif_ip6_addr_set(netif, place, address);
    netif_ip6_addr_set_valid_life(netif, place, bits == 64 ? IP6_ADDR_LIFE_STATIC : IP6_ADDR_LIFE_INFINITE);
    netif_ip6_addr_set_pref_life(netif, place, IP6_ADDR_LIFE_INFINITE);
    netif_ip6_addr_set_state(netif, place, IP6_ADDR_PREFERRED);
    return 0;
}

uint8_t route6_prefix_bits(const ip6_addr_t *address)
{
    for (size_t i = 0; i < route_count; i++)
        if (ip6_addr_isany(&routes[i].via) && ip6_addr_zoneless_eq(&routes[i].network, address))
            return routes[i].bits;
    return 64;
}

bool route6_is_own(const ip6_addr_t *address)
{
    const struct netif *netif = wire_netif_get();

    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) &&
            ip6_addr_zoneless_eq(address, netif_ip6_addr(netif, i)))
            return true;
    return false;
}

/* lwIP sends to a destination that it takes for none of its links, for the first time. Return: the neighbour to send it
 * to; NULL: lwIP looks at the routers that it heard of. */
const ip6_addr_t *route6_gateway(struct netif *netif, const ip6_addr_t *destination)
{
    const struct route6 *route = netif == wire_netif_get() ? find(destination) : NULL;

    if (route == NULL)
        return NULL;
    return ip6_addr_isany(&route->via) ? destination : &route->via;
}

const ip6_addr_t *route6_next_hop(const ip6_addr_t *destination)
{
    const ip6_addr_t *gateway;

    if (ip6_addr_islinklocal(destination))
        return destination;
    gateway = route6_gateway(wire_netif_get(), destination);
    if (gateway != NULL)
        return gateway;
    for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
        if (prefix_list[i].netif != NULL && prefix_list[i].invalidation_timer > 0 &&
            ip6_addr_net_zoneless_eq(&prefix_list[i].prefix, destination))
            return destination;
    for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
        if (default_router_list[i].neighbor_entry != NULL)
            return &default_router_list[i].neighbor_entry->next_hop_address;
    return NULL;
}

bool route6_source(const ip6_addr_t *destination, ip6_addr_t *source)
{
    if (!ip6_addr_ismulticast(destination) && route6_next_hop(destination) == NULL)
        return false;
    return source6_choose(destination, source);
}
