/*
 * datagram_address.c - addresses between programs and lwIP.
 *
 * A program's sin6_scope_id and lwIP's zone are the same number, the interface's index. An IPv4 address on an AF_INET6
 * socket is v4-mapped for the program and plain IPv4 inside.
 */
#include <errno.h>
#include <string.h>

#include "datagram_socket.h"

int datagram_address_parse(const union stack_address *address, ip_addr_t *ip, uint16_t *port)
{
    const struct in6_addr *in6 = &address->in6.sin6_addr;

    memset(ip, 0, sizeof *ip);
    if (address->sa.sa_family == AF_INET) {
        ip_addr_set_ip4_u32_val(*ip, address->in.sin_addr.s_addr);
        *port = ntohs(address->in.sin_port);
        return 0;
    }
    if (address->sa.sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    *port = ntohs(address->in6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(in6)) {
        ip_addr_set_ip4_u32_val(*ip, in6->s6_addr32[3]);
        return 0;
    }
    IP_ADDR6(ip, in6->s6_addr32[0], in6->s6_addr32[1], in6->s6_addr32[2], in6->s6_addr32[3]);
    ip6_addr_clear_zone(ip_2_ip6(ip));
    if (ip6_addr_has_scope(ip_2_ip6(ip), IP6_UNKNOWN))
        ip6_addr_set_zone(ip_2_ip6(ip), (u8_t)address->in6.sin6_scope_id);
    return 0;
}

void datagram_address_show(int family, const ip_addr_t *ip, uint16_t port, union stack_address *address)
{
    memset(address, 0, sizeof *address);
    address->sa.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        address->in.sin_port = htons(port);
        address->in.sin_addr.s_addr = ip_addr_get_ip4_u32(ip);
        return;
    }
    address->in6.sin6_port = htons(port);
    if (IP_IS_V6(ip)) {
        memcpy(&address->in6.sin6_addr, ip_2_ip6(ip)->addr, sizeof address->in6.sin6_addr);
        if (ip6_addr_islinklocal(ip_2_ip6(ip)) || ip6_addr_ismulticast_linklocal(ip_2_ip6(ip)))
            address->in6.sin6_scope_id = ip6_addr_zone(ip_2_ip6(ip));
    } else {
        address->in6.sin6_addr.s6_addr32[2] = htonl(0xffff);
        address->in6.sin6_addr.s6_addr32[3] = ip_addr_get_ip4_u32(ip);
    }
}
