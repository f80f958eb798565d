/*
 * datagram_route.c - where a datagram goes, and which address it comes from: Linux's ip_route_output_key().
 *
 * What stays on this host leaves by the loopback; everything else by the wire.
 */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"
#include "stack/ip/interface.h"
#include "stack/wire/loop_netif.h"
#include "stack/ip/path_mtu.h"
#include "stack/ip/route.h"
#include "stack/ip/route6.h"
#include "stack/tcp/tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define LOOP_MTU 65536 /* as Linux; lwIP's netif has no room for more than 65 535 */

bool datagram_route_is_host(const ip_addr_t *address)
{
    return !ip_addr_ismulticast(address) && (IP_IS_V6(address) || !wire_netif_is_broadcast(ip_2_ip4(address)));
}

bool datagram_route_is_ours(const ip_addr_t *address)
{
    return tcp_bind_is_ours(address);
}

/* May packets of ours come from this address? Return: 0 or -errno, which Linux has different for the families. */
static int check_source(const struct stack_datagram *datagram, const ip_addr_t *source)
{
    if (datagram->options[STACK_DATAGRAM_TRANSPARENT] || datagram->options[STACK_DATAGRAM_FREEBIND])
        return 0;
    if (!datagram_route_is_host(source))
        return -EINVAL;
    if (datagram_route_is_ours(source))
        return 0;
    return IP_IS_V6(source) ? -EINVAL : -ENETUNREACH;
}

static int find_ip4(unsigned interface, struct datagram_route *route)
{
    ip4_addr_t *destination = ip_2_ip4(&route->destination);
    ip4_addr_t *source = ip_2_ip4(&route->source);
    struct netif *wire = wire_netif_get();
    ip4_addr_t found;

    if (ip4_addr_isany_val(*destination)) {
        *destination = *source;
        if (ip4_addr_isany_val(*destination))
            IP4_ADDR(destination, 127, 0, 0, 1);
    }
    if (loop_is_local(destination)) {
        route->netif = loop_netif();
        if (ip4_addr_isany_val(*source)) {
            if (ip4_addr_isloopback(destination))
                IP4_ADDR(source, 127, 0, 0, 1);
            else
                (void)route_find(destination, NULL, source); /* ours, so in one of our networks */
        }
        return 0;
    }
    route->netif = wire;
    route->multicast = ip4_addr_ismulticast(destination);
    route->broadcast = wire_netif_is_broadcast(destination);
    if (interface == 0 && (route->multicast || route->broadcast) && ip4_addr_isloopback(source))
        interface = STACK_INTERFACE_LOOP; /* Linux: that of the source */
    if (interface == STACK_INTERFACE_LOOP) {
        route->netif = route->multicast ? loop_netif() : NULL;
        if (ip4_addr_isany_val(*source))
            IP4_ADDR(source, 127, 0, 0, 1);
        return 0;
    }
    if (!route_find(destination, NULL, &found)) {
        const struct own_address *first = address_at(0);

        /* Many may be reached without a route, by the interface that was named, be it by its address. */
        if (first == NULL || (interface == 0 && ip4_addr_isany_val(*source)) ||
            (!route->multicast && destination->addr != IPADDR_BROADCAST))
            return -ENETUNREACH;
        found = first->address;
    }
    if (ip4_addr_isloopback(source))
        return -EINVAL;
    if (ip4_addr_isany_val(*source))
        *source = found;
    return 0;
}

static int find_ip6(unsigned interface, struct datagram_route *route)
{
    ip6_addr_t *destination = ip_2_ip6(&route->destination);
    ip6_addr_t *source = ip_2_ip6(&route->source);
    struct netif *wire = wire_netif_get();
    ip6_addr_t found;

    if (ip6_addr_isany(destination))
        ip6_addr_set_loopback(destination);
    if (loop_is_local6(destination)) {
        route->netif = loop_netif();
        ip6_addr_assign_zone(destination, IP6_UNICAST, wire);
        if (ip6_addr_isany(source))
            *source = *destination;
        return 0;
    }
    route->multicast = ip6_addr_ismulticast(destination);
    if (interface == STACK_INTERFACE_LOOP && !route->multicast)
        return -ENETUNREACH;
    if (interface == STACK_INTERFACE_LOOP) {
        route->netif = loop_netif();
        ip6_addr_assign_zone(destination, IP6_UNKNOWN, loop_netif());
        if (ip6_addr_isany(source))
            ip6_addr_set_loopback(source);
        return 0;
    }
    route->netif = wire;
    if (!ip6_addr_has_zone(destination))
        ip6_addr_assign_zone(destination, IP6_UNKNOWN, wire);
    if (!route6_source(destination, &found))
        return -ENETUNREACH;
    if (ip6_addr_isany(source))
        *source = found;
    return 0;
}

uint16_t datagram_route_mtu(const struct datagram_route *route)
{
    if (route->netif == NULL)
        return LOOP_MTU - 1;
    if (IP_IS_V6_VAL(route->destination))
        return route->multicast ? route->netif->mtu
                                : nd6_get_destination_mtu(ip_2_ip6(&route->destination), route->netif);
    return path_mtu_get(ip_2_ip4(&route->destination), route->netif->mtu);
}

int stack_datagram_path_mtu(const struct stack_datagram *datagram)
{
    struct datagram_route route;
    int error;

    if (!datagram->connected)
        return -ENOTCONN;
    error = datagram_route_find(datagram, &datagram->peer, &datagram->source, 0, &route);
    if (error < 0)
        return error;
    return route.netif == loop_netif() ? LOOP_MTU : datagram_route_mtu(&route);
}

int datagram_route_find(const struct stack_datagram *datagram, const ip_addr_t *destination, const ip_addr_t *source,
                        unsigned interface, struct datagram_route *route)
{
    int error;

    memset(route, 0, sizeof *route);
    route->destination = *destination;
    ip_addr_set_any_val(IP_IS_V6(destination), route->source);
    if (!ip_addr_isany(source)) {
        if (IP_IS_V6(source) != IP_IS_V6(destination))
            return -ENETUNREACH;
        error = check_source(datagram, source);
        if (error < 0)
            return error;
        route->source = *source;
    }
    if (interface == 0)
        interface = (unsigned)datagram->options[STACK_DATAGRAM_BIND_INTERFACE];
    return IP_IS_V6(destination) ? find_ip6(interface, route) : find_ip4(interface, route);
}
