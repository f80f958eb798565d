/*
 * neighbour_filter.c - looks at ICMPv6 messages that nd6.c believes, before it does.
 *
 *  - They are not fragmented and stand behind no extension headers: nobody sends them so, fragments are forbidden (RFC 6980), and what looks at these
 *    messages beforehand (icmp_error.c) does not see them there.
 *  - Each option has a length, and ends where the message does (RFC 4861 6.1, 7.1, 8.1). Of one without length nd6.c takes an Ethernet address that
 *    is behind the packet.
 *  - Who says that one of our addresses is his is heard while we find out whether it is free, and not once we have it (Linux: ndisc_recv_na()).
 *    nd6.c would give it up, and with the link-local address all that were made like it, for one packet of whoever is on the link.
 */
#include "neighbour_filter.h"

#include <stddef.h>
#include <string.h>

#include "stack/lwip_api.h"
#include "stack/wire/wire_netif.h"

#define OPTION_UNIT 8
#define TARGET_AT 8 /* in a solicitation and an advertisement */

/* Return: the size of the message before its options; 0: nd6.c does not read it. */
static size_t fixed_size(u8_t type)
{
    switch (type) {
    case ICMP6_TYPE_NA:
        return sizeof(struct na_header);
    case ICMP6_TYPE_NS:
        return sizeof(struct ns_header);
    case ICMP6_TYPE_RA:
        return sizeof(struct ra_header);
    case ICMP6_TYPE_RD:
        return sizeof(struct redirect_header);
    case ICMP6_TYPE_PTB:
        return sizeof(struct icmp6_hdr) + IP6_HLEN;
    default:
        return 0;
    }
}

/* Do the options, of size bytes, end where the message does? */
static bool options_are_whole(const u8_t *options, size_t size)
{
    size_t at = 0;

    while (at < size && size - at >= OPTION_UNIT && options[at + 1] != 0)
        at += (size_t)options[at + 1] * OPTION_UNIT;
    return at == size;
}

/* Is it an advertisement of an address that is ours by now? */
static bool claims_our_address(const u8_t *message)
{
    const struct netif *netif = wire_netif_get();
    ip6_addr_t target = {0};

    memcpy(target.addr, message + TARGET_AT, sizeof target.addr);
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) && ip6_addr_zoneless_eq(&target, netif_ip6_addr(netif, i)))
            return true;
    return false;
}

bool neighbour_filter_passes(const struct pbuf *p, size_t offset)
{
    const u8_t *message = (const u8_t *)p->payload + offset;
    size_t fixed, size = p->tot_len - offset;

    if (size == 0)
        return true; /* lwIP drops it */
    fixed = fixed_size(pbuf_get_at(p, (u16_t)offset));
    if (fixed == 0)
        return true;
    if (offset != IP6_HLEN || p->next != NULL || size < fixed)
        return false;
    if (message[0] == ICMP6_TYPE_PTB)
        return true;
    return options_are_whole(message + fixed, size - fixed) && (message[0] != ICMP6_TYPE_NA || !claims_our_address(message));
}
