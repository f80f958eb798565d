/*
 * router_advert.c - what routers announce besides addresses and routes: name servers and domains (RFC 8106).
 *
 * Addresses, prefixes and routers are lwIP's business (nd6.c), as is asking for them. lwIP forgets how long a name
 * server may be used and does not know of domains, so those are read here, before it sees the message. If nobody wants
 * the network to configure the stack, it sees none.
 */
#include "router_advert.h"

#include <string.h>

#include "stack/bytes.h"
#include "learned.h"
#include "stack/wire/wire_netif.h"

#define HEADER_SIZE 16 /* of an advertisement, before its options */
#define OPTIONS_MAX 1500
#define OPTION_UNIT 8

enum { OPTION_NAME_SERVERS = 25, OPTION_DOMAINS = 31 };

static bool heeded;

void router_advert_open(bool wanted)
{
    struct netif *netif = wire_netif_get();

    heeded = wanted;
    netif_set_ip6_autoconfig_enabled(netif, wanted);
    netif->rs_count = wanted ? LWIP_ND6_MAX_MULTICAST_SOLICIT : 0;
}

/* One option of size bytes, its type and length included. */
static void read_option(const uint8_t *option, size_t size, struct netif *input)
{
    if (option[0] == OPTION_NAME_SERVERS && size >= 24) {
        for (size_t at = 8; at + 16 <= size; at += 16) {
            ip_addr_t server;

            IP_SET_TYPE_VAL(server, IPADDR_TYPE_V6);
            ip6_addr_clear_zone(ip_2_ip6(&server));
            memcpy(ip_2_ip6(&server)->addr, option + at, 16);
            ip6_addr_assign_zone(ip_2_ip6(&server), IP6_UNICAST, input);
            if (!ip6_addr_isany(ip_2_ip6(&server)) && !ip6_addr_ismulticast(ip_2_ip6(&server)))
                learned_add_server(LEARNED_ROUTER, &server, read_32(option + 4));
        }
    } else if (option[0] == OPTION_DOMAINS && size >= 16) {
        learned_add_encoded_domains(LEARNED_ROUTER, option + 8, size - 8, false, read_32(option + 4));
    }
}

/* Is it from a router on the link (RFC 4861 6.1.2)? */
static bool is_sound(struct pbuf *p, size_t offset)
{
    struct pbuf *message = p;
    bool sound;

    if (!ip6_addr_islinklocal(ip6_current_src_addr()) || IP6H_HOPLIM(ip6_current_header()) != 255 ||
        p->tot_len < offset + HEADER_SIZE || pbuf_get_at(p, (u16_t)(offset + 1)) != 0)
        return false;
    pbuf_remove_header(message, offset);
    sound = ip6_chksum_pseudo(message, IP6_NEXTH_ICMP6, message->tot_len, ip6_current_src_addr(),
                              ip6_current_dest_addr()) == 0;
    pbuf_add_header_force(message, offset);
    return sound;
}

bool router_advert_input(struct pbuf *p, size_t offset, struct netif *input)
{
    uint8_t options[OPTIONS_MAX];
    size_t size, length;

    if (p->tot_len <= offset || pbuf_get_at(p, (u16_t)offset) != ICMP6_TYPE_RA)
        return true;
    if (!heeded || !is_sound(p, offset))
        return false;
    size = pbuf_copy_partial(p, options, sizeof options, (u16_t)(offset + HEADER_SIZE));
    for (size_t at = 0; at + OPTION_UNIT <= size; at += length) {
        length = (size_t)options[at + 1] * OPTION_UNIT;
        if (length == 0 || at + length > size)
            return false;
        read_option(options + at, length, input);
    }
    return true;
}
