/*
 * network_handover.c - what was learned of the network into an archive and out of it.
 *
 * Not for correctness: all of it could be learned again. But a packet to a neighbour whose Ethernet address has to be
 * asked for first waits in a queue of lwIP's that is short, and a connection from a leased address stands still until
 * there is a lease.
 *
 * ARP's table is lwIP's own; the reader enters a neighbour by having one more reply to us come. Neighbours of IPv6 are
 * entered as stale: they may be used, and are asked whether they are still there.
 */
#include "network_handover.h"

#include <string.h>

#include "dhcp_client.h"
#include "learned.h"
#include "stack/lwip_api.h"
#include "stack/wire/wire_netif.h"

#include "lwip/etharp.h"
#include "lwip/prot/etharp.h"
#include "lwip/prot/iana.h"

/* ---- neighbours ---- */

struct neighbour {
    ip4_addr_t address;
    struct eth_addr ethernet;
};

static void walk_neighbour(struct archive *archive, struct neighbour *neighbour)
{
    ARCHIVE_RAW(archive, neighbour, address);
    ARCHIVE_RAW(archive, neighbour, ethernet);
}

/* As if it had just answered. */
static void enter_neighbour(const struct neighbour *neighbour)
{
    struct netif *netif = wire_netif_get();
    struct pbuf *p = pbuf_alloc(PBUF_LINK, SIZEOF_ETHARP_HDR, PBUF_RAM);
    struct etharp_hdr *reply;

    if (p == NULL)
        return; /* then it will be asked */
    reply = p->payload;
    *reply = (struct etharp_hdr){.hwtype = PP_HTONS(LWIP_IANA_HWTYPE_ETHERNET),
                                 .proto = PP_HTONS(ETHTYPE_IP),
                                 .hwlen = ETH_HWADDR_LEN,
                                 .protolen = sizeof(ip4_addr_t),
                                 .opcode = PP_HTONS(ARP_REPLY),
                                 .shwaddr = neighbour->ethernet};
    memcpy(&reply->sipaddr, &neighbour->address, sizeof neighbour->address);
    memcpy(&reply->dhwaddr, netif->hwaddr, ETH_HWADDR_LEN);
    memcpy(&reply->dipaddr, netif_ip4_addr(netif), sizeof(ip4_addr_t));
    etharp_input(p, netif);
}

static void write_neighbours(struct archive *archive)
{
    for (size_t i = 0; i < ARP_TABLE_SIZE; i++) {
        struct eth_addr *ethernet;
        struct netif *netif;
        ip4_addr_t *address;

        if (!etharp_get_entry(i, &address, &netif, &ethernet) || netif != wire_netif_get())
            continue;
        if (!archive_begin(archive, "neighbour"))
            return;
        walk_neighbour(archive, &(struct neighbour){*address, *ethernet});
        archive_end(archive);
    }
}

static void walk_neighbours(struct archive *archive)
{
    if (archive->is_writing) {
        write_neighbours(archive);
        return;
    }
    while (archive_begin(archive, "neighbour")) {
        struct neighbour neighbour = {0};

        walk_neighbour(archive, &neighbour);
        archive_end(archive);
        enter_neighbour(&neighbour);
    }
}

/* ---- neighbours, routers and prefixes of IPv6 ---- */

static void walk_neighbour6(struct archive *archive, struct nd6_neighbor_cache_entry *entry)
{
    ARCHIVE_RAW(archive, entry, next_hop_address);
    ARCHIVE_RAW(archive, entry, lladdr);
}

/* Return: where such a neighbour is, or may be; NULL: there is no room. */
static struct nd6_neighbor_cache_entry *place_of(const ip6_addr_t *address)
{
    struct nd6_neighbor_cache_entry *place = NULL;

    for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
        if (neighbor_cache[i].state != ND6_NO_ENTRY && ip6_addr_eq(&neighbor_cache[i].next_hop_address, address))
            return &neighbor_cache[i];
        if (neighbor_cache[i].state == ND6_NO_ENTRY && place == NULL)
            place = &neighbor_cache[i];
    }
    return place;
}

static void enter_neighbour6(const struct nd6_neighbor_cache_entry *known)
{
    struct nd6_neighbor_cache_entry *place = place_of(&known->next_hop_address);

    if (place == NULL || place->state != ND6_NO_ENTRY)
        return;
    place->next_hop_address = known->next_hop_address;
    memcpy(place->lladdr, known->lladdr, sizeof place->lladdr);
    place->netif = wire_netif_get();
    place->isrouter = 0;
    place->counter.stale_time = 0;
    place->state = ND6_STALE;
}

static void walk_neighbours6(struct archive *archive)
{
    struct nd6_neighbor_cache_entry known = {0};

    if (!archive->is_writing) {
        while (archive_begin(archive, "neighbour6")) {
            walk_neighbour6(archive, &known);
            archive_end(archive);
            enter_neighbour6(&known);
        }
        return;
    }
    for (size_t i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
        if (neighbor_cache[i].state == ND6_NO_ENTRY || neighbor_cache[i].state == ND6_INCOMPLETE)
            continue;
        if (!archive_begin(archive, "neighbour6"))
            return;
        walk_neighbour6(archive, &neighbor_cache[i]);
        archive_end(archive);
    }
}

/* A router or a prefix, by its address. */
struct announced {
    ip6_addr_t address;
    u32_t seconds; /* for how long yet */
    u8_t flags;
};

static void walk_announced(struct archive *archive, struct announced *announced)
{
    ARCHIVE_RAW(archive, announced, address);
    ARCHIVE_NUMBER(archive, announced, seconds);
    ARCHIVE_NUMBER(archive, announced, flags);
}

static void enter_router(const struct announced *router)
{
    struct nd6_neighbor_cache_entry *neighbour = place_of(&router->address);

    for (size_t i = 0; neighbour != NULL && neighbour->state != ND6_NO_ENTRY && i < LWIP_ND6_NUM_ROUTERS; i++) {
        if (default_router_list[i].neighbor_entry != NULL)
            continue;
        default_router_list[i] = (struct nd6_router_list_entry){neighbour, router->seconds, router->flags};
        neighbour->isrouter = 1;
        return;
    }
}

static void enter_prefix(const struct announced *prefix)
{
    for (size_t i = 0; i < LWIP_ND6_NUM_PREFIXES; i++) {
        if (prefix_list[i].netif != NULL)
            continue;
        prefix_list[i] = (struct nd6_prefix_list_entry){prefix->address, wire_netif_get(), prefix->seconds};
        return;
    }
}

static void write_announced(struct archive *archive, const char *name, struct announced announced)
{
    if (!archive_begin(archive, name))
        return;
    walk_announced(archive, &announced);
    archive_end(archive);
}

static void walk_routers(struct archive *archive)
{
    struct announced announced = {0};

    for (size_t i = 0; archive->is_writing && i < LWIP_ND6_NUM_ROUTERS; i++) {
        const struct nd6_router_list_entry *it = &default_router_list[i];

        if (it->neighbor_entry != NULL)
            write_announced(archive, "router", (struct announced){it->neighbor_entry->next_hop_address, it->invalidation_timer, it->flags});
    }
    for (size_t i = 0; archive->is_writing && i < LWIP_ND6_NUM_PREFIXES; i++)
        if (prefix_list[i].netif != NULL)
            write_announced(archive, "prefix", (struct announced){prefix_list[i].prefix, prefix_list[i].invalidation_timer, 0});
    while (!archive->is_writing && archive_begin(archive, "router")) {
        walk_announced(archive, &announced);
        archive_end(archive);
        enter_router(&announced);
    }
    while (!archive->is_writing && archive_begin(archive, "prefix")) {
        walk_announced(archive, &announced);
        archive_end(archive);
        enter_prefix(&announced);
    }
}

/* ---- addresses that were made from prefixes ---- */

struct made_address {
    ip6_addr_t address;
    u32_t valid, preferred; /* seconds */
    u8_t state;
};

static void walk_made_address(struct archive *archive, struct made_address *made)
{
    ARCHIVE_RAW(archive, made, address);
    ARCHIVE_NUMBER(archive, made, valid);
    ARCHIVE_NUMBER(archive, made, preferred);
    ARCHIVE_NUMBER(archive, made, state);
}

static void enter_made_address(const struct made_address *made)
{
    struct netif *netif = wire_netif_get();

    if (!ip6_addr_isvalid(made->state) || netif_get_ip6_addr_match(netif, &made->address) >= 0)
        return;
    for (s8_t i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (!ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)))
            continue;
        netif_ip6_addr_set(netif, i, &made->address);
        netif_ip6_addr_set_valid_life(netif, i, made->valid);
        netif_ip6_addr_set_pref_life(netif, i, made->preferred);
        netif_ip6_addr_set_state(netif, i, made->state);
        return;
    }
}

static void walk_made_addresses(struct archive *archive)
{
    const struct netif *netif = wire_netif_get();
    struct made_address made = {0};

    for (s8_t i = 1; archive->is_writing && i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (!ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) || netif_ip6_addr_isstatic(netif, i))
            continue;
        made = (struct made_address){*netif_ip6_addr(netif, i), netif_ip6_addr_valid_life(netif, i), netif_ip6_addr_pref_life(netif, i),
                                     netif_ip6_addr_state(netif, i)};
        if (!archive_begin(archive, "address6"))
            return;
        walk_made_address(archive, &made);
        archive_end(archive);
    }
    while (!archive->is_writing && archive_begin(archive, "address6")) {
        walk_made_address(archive, &made);
        archive_end(archive);
        enter_made_address(&made);
    }
}

/* The link-local address was found to be nobody else's; it is the same unless we were given another Ethernet
 * address. */
static void walk_link_local(struct archive *archive)
{
    struct netif *netif = wire_netif_get();
    struct {
        ip6_addr_t address;
        u8_t state;
    } own = {*netif_ip6_addr(netif, 0), netif_ip6_addr_state(netif, 0)};

    if (!archive_begin(archive, "link_local"))
        return;
    ARCHIVE_RAW(archive, &own, address);
    ARCHIVE_NUMBER(archive, &own, state);
    archive_end(archive);
    if (!archive->is_writing && ip6_addr_isvalid(own.state) && ip6_addr_eq(&own.address, netif_ip6_addr(netif, 0)))
        netif_ip6_addr_set_state(netif, 0, own.state);
}

/* ---- all ---- */

/* What routers announced, for who heeds them. */
static void walk_autoconfiguration(struct archive *archive)
{
    struct netif *netif = wire_netif_get();

    if (!netif->ip6_autoconfig_enabled || !archive_begin(archive, "autoconfiguration"))
        return;
    walk_routers(archive);
    walk_made_addresses(archive);
    learned_handover(archive, LEARNED_ROUTER);
    learned_handover(archive, LEARNED_DHCP6);
    archive_end(archive);
}

void network_handover(struct archive *archive)
{
    if (!archive_begin(archive, "network"))
        return;
    dhcp_client_handover(archive); /* ARP needs an address */
    walk_neighbours(archive);
    walk_link_local(archive);
    walk_neighbours6(archive);
    walk_autoconfiguration(archive);
    archive_end(archive);
}
