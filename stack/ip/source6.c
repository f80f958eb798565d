/*
 * source6.c - which of our IPv6 addresses a packet comes from if the sender has none: RFC 6724 5, with Linux's choice
 * where that leaves one (ipv6_get_saddr_eval()): unique local addresses are of global scope, and of equals the one that
 * came last is taken.
 *
 * lwIP's own choice knows no labels, and of common prefixes only whether 64 bits agree; it serves what lwIP itself
 * sends.
 */
#include <string.h>

#include "route6.h"
#include "stack/wire/wire_netif.h"

#define RULES 5

/* RFC 6724 2.1: labels by prefix, the longest first. */
static const struct {
    uint8_t prefix[16];
    uint8_t bits, label;
} labels[] = {
    {{[15] = 1}, 128, 0},                /* ::1 */
    {{[10] = 0xff, 0xff}, 96, 4},        /* ::ffff:0:0/96 */
    {{0}, 96, 3},                        /* ::/96 */
    {{0x20, 0x01}, 32, 5},               /* 2001::/32, Teredo */
    {{0x20, 0x02}, 16, 2},               /* 2002::/16, 6to4 */
    {{0x3f, 0xfe}, 16, 12},              /* 3ffe::/16, 6bone */
    {{0xfe, 0xc0}, 10, 11},              /* fec0::/10, site-local */
    {{0xfc}, 7, 13},                     /* fc00::/7, unique local */
    {{0}, 0, 1},
};

/* Return: how many of the first bits are equal. */
static int common_bits(const uint8_t *one, const uint8_t *other)
{
    for (int i = 0; i < 16; i++)
        if (one[i] != other[i])
            return i * 8 + __builtin_clz((unsigned)(one[i] ^ other[i])) - 24;
    return 128;
}

static int label_of(const ip6_addr_t *address)
{
    size_t i = 0;

    while (common_bits((const uint8_t *)address->addr, labels[i].prefix) < labels[i].bits)
        i++;
    return labels[i].label;
}

static int scope_of(const ip6_addr_t *address)
{
    if (ip6_addr_ismulticast(address))
        return ip6_addr_multicast_scope(address);
    if (ip6_addr_islinklocal(address) || ip6_addr_isloopback(address))
        return IP6_MULTICAST_SCOPE_LINK_LOCAL;
    return ip6_addr_issitelocal(address) ? IP6_MULTICAST_SCOPE_SITE_LOCAL : IP6_MULTICAST_SCOPE_GLOBAL;
}

/* How well an address of ours suits, by each rule in turn; more is better. */
static void rate(const struct netif *netif, int place, const ip6_addr_t *destination, int rates[RULES])
{
    const ip6_addr_t *address = netif_ip6_addr(netif, place);
    int scope = scope_of(address);

    rates[0] = ip6_addr_zoneless_eq(address, destination);
    rates[1] = scope >= scope_of(destination) ? -scope : scope - 128;
    rates[2] = ip6_addr_ispreferred(netif_ip6_addr_state(netif, place));
    rates[3] = label_of(address) == label_of(destination);
    rates[4] = common_bits((const uint8_t *)address->addr, (const uint8_t *)destination->addr);
    rates[4] = LWIP_MIN(rates[4], route6_prefix_bits(address));
}

bool source6_choose(const ip6_addr_t *destination, ip6_addr_t *source)
{
    const struct netif *netif = wire_netif_get();
    int best[RULES] = {0}, rates[RULES];
    int chosen = -1;

    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        int rule = 0;

        if (!ip6_addr_isvalid(netif_ip6_addr_state(netif, i)))
            continue;
        rate(netif, i, destination, rates);
        while (rule < RULES - 1 && rates[rule] == best[rule])
            rule++;
        if (chosen >= 0 && rates[rule] < best[rule])
            continue;
        memcpy(best, rates, sizeof best);
        chosen = i;
    }
    if (chosen >= 0)
        ip6_addr_copy(*source, *netif_ip6_addr(netif, chosen));
    return chosen >= 0;
}
