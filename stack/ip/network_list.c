/* network_list.c - routes, neighbours and leases, for those who want to look at them. */
#include "network_list.h"

#include <string.h>

#include "dhcp_client.h"
#include "route.h"
#include "route6.h"
#include "stack/sockaddr.h"
#include "stack/wire/wire_netif.h"

#include "lwip/etharp.h"
#include "lwip/priv/nd6_priv.h"

static void write_ip4(const ip4_addr_t *from, union stack_address *to)
{
    ip_addr_t address;

    ip_addr_copy_from_ip4(address, *from);
    sockaddr_write(&address, 0, AF_INET, to);
}

static void write_ip6(const ip6_addr_t *from, union stack_address *to)
{
    ip_addr_t address;

    ip_addr_copy_from_ip6(address, *from);
    sockaddr_write(&address, 0, AF_INET6, to);
    to->in6.sin6_scope_id = 0;
}

/* The bits behind the prefix are of no account. */
static void mask_ip6(ip6_addr_t *network, unsigned bits)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned left = bits > 32 * i ? LWIP_MIN(bits - 32 * i, 32) : 0;

        network->addr[i] &= left == 0 ? 0 : lwip_htonl(~0u << (32 - left));
    }
}

static enum stack_origin origin_of(enum address_origin origin)
{
    return origin == ADDRESS_DHCP ? STACK_ORIGIN_DHCP : STACK_ORIGIN_STATIC;
}

static size_t list_routes4(struct stack_listed_route *routes, size_t max)
{
    const struct own_address *own;
    enum address_origin origin;
    ip4_addr_t network, via;
    size_t count = 0;
    uint8_t bits;

    for (size_t i = 0; count < max && route_at(i, &network, &bits, &via, &origin); i++) {
        struct stack_listed_route *it = &routes[count++];

        *it = (struct stack_listed_route){.to.bits = bits, .origin = origin_of(origin)};
        write_ip4(&network, &it->to.address);
        if (!ip4_addr_isany(&via))
            write_ip4(&via, &it->via);
    }
    for (size_t i = 0; count < max && (own = address_at(i)) != NULL; i++) {
        struct stack_listed_route *it = &routes[count];

        if (own->bits == 32)
            continue;
        count++;
        network.addr = own->address.addr & own->mask.addr;
        *it = (struct stack_listed_route){.to.bits = own->bits, .origin = STACK_ORIGIN_KERNEL};
        write_ip4(&network, &it->to.address);
    }
    return count;
}

static size_t list_routes6(struct stack_listed_route *routes, size_t max)
{
    enum address_origin origin;
    ip6_addr_t network, via;
    size_t count = 0;
    uint8_t bits;

    for (size_t i = 0; count < max && route6_at(i, &network, &bits, &via, &origin); i++) {
        struct stack_listed_route *it = &routes[count++];

        *it = (struct stack_listed_route){.to.bits = bits, .origin = origin_of(origin)};
        mask_ip6(&network, bits);
        write_ip6(&network, &it->to.address);
        if (!ip6_addr_isany(&via))
            write_ip6(&via, &it->via);
        else
            it->origin = STACK_ORIGIN_KERNEL;
    }
    for (int i = 0; count < max && i < LWIP_ND6_NUM_PREFIXES; i++) {
        struct stack_listed_route *it = &routes[count];

        if (prefix_list[i].netif == NULL || prefix_list[i].invalidation_timer == 0)
            continue;
        count++;
        *it = (struct stack_listed_route){
            .to.bits = 64, .origin = STACK_ORIGIN_ROUTER, .seconds_left = prefix_list[i].invalidation_timer};
        write_ip6(&prefix_list[i].prefix, &it->to.address);
    }
    for (int i = 0; count < max && i < LWIP_ND6_NUM_ROUTERS; i++) {
        struct stack_listed_route *it = &routes[count];

        if (default_router_list[i].neighbor_entry == NULL)
            continue;
        count++;
        *it = (struct stack_listed_route){.to.address.in6.sin6_family = AF_INET6,
                                          .origin = STACK_ORIGIN_ROUTER,
                                          .seconds_left = default_router_list[i].invalidation_timer};
        write_ip6(&default_router_list[i].neighbor_entry->next_hop_address, &it->via);
    }
    return count;
}

size_t stack_list_routes(struct stack_listed_route routes[STACK_LISTED_ROUTES_MAX])
{
    size_t count = list_routes4(routes, STACK_LISTED_ROUTES_MAX / 2);

    return count + list_routes6(routes + count, STACK_LISTED_ROUTES_MAX - count);
}

size_t stack_list_neighbours(struct stack_neighbour neighbours[STACK_NEIGHBOURS_MAX])
{
    static const char *const states[] = {[ND6_INCOMPLETE] = "incomplete", [ND6_REACHABLE] = "reachable",
                                         [ND6_STALE] = "stale", [ND6_DELAY] = "delay", [ND6_PROBE] = "probe"};
    struct eth_addr *ethernet;
    struct netif *netif;
    ip4_addr_t *address;
    size_t count = 0;

    _Static_assert(ARP_TABLE_SIZE + LWIP_ND6_NUM_NEIGHBORS <= STACK_NEIGHBOURS_MAX, "room for all");
    for (size_t i = 0; i < ARP_TABLE_SIZE; i++) {
        if (!etharp_get_entry(i, &address, &netif, &ethernet))
            continue;
        neighbours[count] = (struct stack_neighbour){.state = "reachable"};
        write_ip4(address, &neighbours[count].address);
        memcpy(neighbours[count++].mac, ethernet, sizeof neighbours->mac);
    }
    for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++) {
        const struct nd6_neighbor_cache_entry *entry = &neighbor_cache[i];

        if (entry->state == ND6_NO_ENTRY || entry->state > ND6_PROBE)
            continue;
        neighbours[count] = (struct stack_neighbour){.state = states[entry->state], .is_router = entry->isrouter != 0};
        write_ip6(&entry->next_hop_address, &neighbours[count].address);
        if (entry->state != ND6_INCOMPLETE)
            memcpy(neighbours[count].mac, entry->lladdr, sizeof neighbours->mac);
        count++;
    }
    return count;
}

bool stack_find_address_origin(const union stack_address *address, enum stack_origin *origin, uint32_t *seconds_left,
                               uint32_t *preferred_left)
{
    const struct netif *netif = wire_netif_get();
    const struct own_address *own;
    ip_addr_t wanted;

    *origin = STACK_ORIGIN_STATIC;
    *seconds_left = *preferred_left = UINT32_MAX;
    if (sockaddr_read(address, &wanted) < 0)
        return false;
    if (IP_IS_V4_VAL(wanted)) {
        own = address_find(ip_2_ip4(&wanted));
        if (own != NULL && own->origin == ADDRESS_DHCP) {
            *origin = STACK_ORIGIN_DHCP;
            *seconds_left = *preferred_left = dhcp_client_lease_left_s();
        }
        return own != NULL;
    }
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        u32_t life = netif_ip6_addr_valid_life(netif, i);

        if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) ||
            !ip6_addr_zoneless_eq(ip_2_ip6(&wanted), netif_ip6_addr(netif, i)))
            continue;
        if (i == 0) {
            *origin = STACK_ORIGIN_KERNEL; /* link-local */
        } else if (!ip6_addr_life_isstatic(life) && !ip6_addr_life_isinfinite(life)) {
            *origin = STACK_ORIGIN_ROUTER;
            *seconds_left = life;
            *preferred_left = netif_ip6_addr_pref_life(netif, i);
        }
        return true;
    }
    return false;
}
