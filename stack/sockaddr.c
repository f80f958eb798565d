/*
 * sockaddr.c - between the addresses of sockets and those of lwIP.
 *
 * A scope is the index of an interface (interface.h), and so is lwIP's zone.
 */
#include "sockaddr.h"

#include <errno.h>
#include <string.h>

#include "stack/ip/interface.h"

int sockaddr_read(const union stack_address *from, ip_addr_t *to)
{
    ip6_addr_t six = {0};

    if (from->sa.sa_family == AF_INET) {
        ip_addr_set_ip4_u32_val(*to, from->in.sin_addr.s_addr);
        return 0;
    }
    if (from->sa.sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    memcpy(six.addr, &from->in6.sin6_addr, sizeof six.addr);
    if (ip6_addr_isipv4mappedipv6(&six)) {
        ip_addr_set_ip4_u32_val(*to, six.addr[3]);
        return 0;
    }
    if (ip6_addr_has_scope(&six, IP6_UNKNOWN) && from->in6.sin6_scope_id != 0) {
        if (from->in6.sin6_scope_id > STACK_INTERFACE_COUNT)
            return -ENODEV;
        ip6_addr_set_zone(&six, (u8_t)from->in6.sin6_scope_id);
    }
    ip_addr_copy_from_ip6(*to, six);
    return 0;
}

void sockaddr_write(const ip_addr_t *from, uint16_t port, int family, union stack_address *to)
{
    memset(to, 0, sizeof *to);
    to->sa.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        to->in.sin_port = htons(port);
        to->in.sin_addr.s_addr = ip_addr_get_ip4_u32(from);
        return;
    }
    to->in6.sin6_port = htons(port);
    if (IP_IS_ANY_TYPE_VAL(*from))
        return;
    if (IP_IS_V4(from)) {
        to->in6.sin6_addr.s6_addr32[2] = htonl(0xffff);
        to->in6.sin6_addr.s6_addr32[3] = ip_addr_get_ip4_u32(from);
        return;
    }
    memcpy(&to->in6.sin6_addr, ip_2_ip6(from)->addr, sizeof to->in6.sin6_addr);
    to->in6.sin6_scope_id = ip6_addr_zone(ip_2_ip6(from));
}

uint16_t sockaddr_port(const union stack_address *address)
{
    return ntohs(address->sa.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port);
}

ip_addr_t sockaddr_any(int family)
{
    return family == AF_INET6 ? ip_addr_any_type : *IP4_ADDR_ANY;
}

static uint32_t fold(const u32_t words[4])
{
    uint64_t mixed = ((uint64_t)words[0] << 32 | words[1]) * 0x9e3779b97f4a7c15ull; /* 2^64 by the golden ratio */

    mixed = (mixed ^ mixed >> 32 ^ ((uint64_t)words[2] << 32 | words[3])) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(mixed >> 32);
}

uint32_t sockaddr_fold(const ip_addr_t *address)
{
    return IP_IS_V6(address) ? fold(ip_2_ip6(address)->addr) : ip4_addr_get_u32(ip_2_ip4(address));
}
