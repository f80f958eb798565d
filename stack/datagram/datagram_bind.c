/*
 * datagram_bind.c - bind and connect of datagram sockets: Linux's inet_bind(), ip4_datagram_connect() and their like.
 *
 * connect() sends nothing: it fixes the peer, the address that packets leave from, and with it whom the socket hears.
 * What bind() said outlives it (connect() to AF_UNSPEC); what was chosen by itself does not.
 */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"

/* A link-local address means nothing without its interface, and ties the socket to it, as on Linux.
 * Return: 0, -EINVAL. */
static int tie_to_interface(struct stack_datagram *datagram, ip_addr_t *ip)
{
    int *interface = &datagram->options[STACK_DATAGRAM_BIND_INTERFACE];
    ip6_addr_t *ip6 = ip_2_ip6(ip);

    if (IP_IS_V4(ip) || !ip6_addr_has_scope(ip6, IP6_UNKNOWN))
        return 0;
    if (!ip6_addr_has_zone(ip6))
        ip6_addr_set_zone(ip6, (u8_t)*interface);
    else if (*interface == 0)
        *interface = ip6_addr_zone(ip6);
    return ip6_addr_has_zone(ip6) && *interface == ip6_addr_zone(ip6) ? 0 : -EINVAL;
}

/* May the socket be bound to this address? Return: 0 or -errno. */
static int check_address(struct stack_datagram *datagram, ip_addr_t *ip)
{
    const int *options = datagram->options;
    int error;

    if (datagram->family == AF_INET6 && IP_IS_V4(ip) && options[STACK_DATAGRAM_V6ONLY])
        return -EINVAL;
    error = tie_to_interface(datagram, ip);
    if (error < 0)
        return error;
    if (options[STACK_DATAGRAM_FREEBIND] || options[STACK_DATAGRAM_TRANSPARENT] || datagram_route_is_ours(ip))
        return 0;
    return -EADDRNOTAVAIL;
}

int stack_datagram_bind(struct stack_datagram *datagram, const union stack_address *address)
{
    uint16_t port = sockaddr_port(address);
    ip_addr_t ip;
    bool is_bound;
    int error;

    if (address->sa.sa_family != datagram->family)
        return -EAFNOSUPPORT;
    error = sockaddr_read(address, &ip);
    if (error < 0)
        return error;
    is_bound = datagram->connected || (datagram->kind != STACK_DATAGRAM_RAW && datagram->local_port != 0);
    if (is_bound && stack_datagram_kind_is_udp(datagram->kind) && datagram->family == AF_INET6)
        return -EINVAL; /* the others look at the address first, as on Linux */
    error = check_address(datagram, &ip);
    if (error < 0)
        return error;
    if (is_bound)
        return -EINVAL;
    if (datagram->kind == STACK_DATAGRAM_RAW) {
        port = datagram->local_port;
    } else {
        datagram->port_locked = port != 0;
        if (port == 0)
            port = datagram_table_choose_port(datagram, &ip);
        else if (datagram_table_conflicts(datagram, &ip, port))
            port = 0;
        if (port == 0) {
            datagram->port_locked = false;
            return -EADDRINUSE;
        }
    }
    /* Linux: one that is bound to an IPv6 address is IPv6 only from then on, and says so. */
    if (IP_IS_V6(&ip) && !ip_addr_isany_val(ip))
        datagram->options[STACK_DATAGRAM_V6ONLY] = 1;
    datagram_table_remove(datagram);
    datagram->local = ip;
    datagram->source = ip;
    if (!ip_addr_isany_val(ip) && !datagram_route_is_host(&ip))
        ip_addr_set_any_val(IP_IS_V6_VAL(ip), datagram->source);
    datagram->address_locked = !ip_addr_isany_val(ip);
    datagram->local_port = port;
    datagram_table_enter(datagram);
    return 0;
}

int datagram_bind_by_itself(struct stack_datagram *datagram)
{
    uint16_t port;

    if (datagram->local_port != 0 || datagram->kind == STACK_DATAGRAM_RAW)
        return 0;
    port = datagram_table_choose_port(datagram, &datagram->local);
    if (port == 0)
        return -EAGAIN;
    datagram->local_port = port;
    datagram_table_enter(datagram);
    return 0;
}

/* connect() to AF_UNSPEC. */
static void disconnect(struct stack_datagram *datagram)
{
    bool is_ip6 = datagram->family == AF_INET6;

    datagram_table_remove(datagram);
    datagram->connected = false;
    datagram->peer_port = 0;
    datagram->options[STACK_DATAGRAM_BIND_INTERFACE] = 0;
    ip_addr_set_any_val(is_ip6, datagram->peer);
    if (!datagram->address_locked) {
        ip_addr_set_any_val(is_ip6, datagram->local);
        ip_addr_set_any_val(is_ip6, datagram->source);
    }
    if (!datagram->port_locked && datagram->kind != STACK_DATAGRAM_RAW)
        datagram->local_port = 0;
    if (datagram->local_port != 0 || datagram->kind == STACK_DATAGRAM_RAW)
        datagram_table_enter(datagram);
}

int stack_datagram_connect(struct stack_datagram *datagram, const union stack_address *address)
{
    struct datagram_route route;
    ip_addr_t peer, source;
    int error;

    if (address->sa.sa_family == AF_UNSPEC) {
        disconnect(datagram);
        return 0;
    }
    error = datagram_bind_by_itself(datagram);
    if (error < 0)
        return error;
    if (datagram->family == AF_INET && address->sa.sa_family != AF_INET)
        return -EAFNOSUPPORT;
    error = sockaddr_read(address, &peer);
    if (error == 0)
        error = tie_to_interface(datagram, &peer);
    if (error < 0)
        return error == -ENODEV ? -ENETUNREACH : error;
    if (IP_IS_V4_VAL(peer) && !datagram_takes_ip4(datagram))
        return address->sa.sa_family == AF_INET ? -EAFNOSUPPORT : -ENETUNREACH;
    error = datagram_send_source(datagram, NULL, IP_IS_V6_VAL(peer), &source);
    if (error == 0)
        error = datagram_route_find(datagram, &peer, &source, 0, &route);
    if (error < 0)
        return error;
    // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): an error is negative
    if (route.broadcast && !datagram->options[STACK_DATAGRAM_BROADCAST])
        return -EACCES;
    datagram_table_remove(datagram);
    if (ip_addr_isany_val(datagram->source))
        datagram->source = route.source;
    if (ip_addr_isany_val(datagram->local))
        datagram->local = route.source;
    datagram->peer = route.destination;
    datagram->peer_port = sockaddr_port(address);
    datagram->connected = true;
    datagram_table_enter(datagram);
    return 0;
}
