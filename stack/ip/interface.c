/* interface.c - the interfaces and their addresses, as they are configured and as the service asks for them. */
#include "interface.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

#include "dhcp_client.h"
#include "stack/wire/gather.h"
#include "stack/wire/loop_netif.h"
#include "route.h"
#include "route6.h"
#include "stack/sockaddr.h"
#include "stack/wire/wire_netif.h"

#ifndef IFF_LOWER_UP /* <linux/if.h> has it, and cannot be included beside <net/if.h> */
#define IFF_LOWER_UP 0x10000
#endif
#define LOOP_MTU 65536 /* as Linux; lwIP's netif has no room for more than 65 535 */

static char wire_name[IF_NAMESIZE];
static struct stack_prefix configured[2 * STACK_ADDRESSES_MAX]; /* the owner's addresses */
static size_t configured_count;
static bool asked_dhcp;    /* stack_config.dhcp */
static bool asked_routers; /* stack_config.slaac */

/* Add the owner's routes. Return: 0, -EEXIST, -ENOSPC. */
static int add_routes(const struct stack_route *routes, size_t count)
{
    int error = 0;

    for (size_t i = 0; i < count && error == 0; i++) {
        const struct stack_route *route = &routes[i];
        ip_addr_t network, via;

        (void)sockaddr_read(&route->to.address, &network);
        (void)sockaddr_read(&route->via, &via);
        if (IP_IS_V4_VAL(via))
            error = route_add(*ip_2_ip4(&network), route->to.bits, *ip_2_ip4(&via), ADDRESS_STATIC);
        else
            error = route6_add(ip_2_ip6(&network), route->to.bits, ip_2_ip6(&via), ADDRESS_STATIC);
    }
    return error;
}

/* Have one more address of the owner's. Return: 0, -EEXIST, -ENOSPC. */
static int add_address(const struct stack_prefix *prefix)
{
    ip_addr_t address;
    int error;

    if (configured_count == sizeof configured / sizeof *configured)
        return -ENOSPC;
    (void)sockaddr_read(&prefix->address, &address);
    if (IP_IS_V4_VAL(address)) {
        error = address_add(*ip_2_ip4(&address), prefix->bits, ADDRESS_STATIC);
    } else {
        ip6_addr_assign_zone(ip_2_ip6(&address), IP6_UNICAST, wire_netif_get());
        error = route6_add_address(ip_2_ip6(&address), prefix->bits);
    }
    if (error == 0)
        configured[configured_count++] = *prefix;
    return error;
}

static void remove_address(size_t position)
{
    ip_addr_t address;

    (void)sockaddr_read(&configured[position].address, &address);
    if (IP_IS_V4_VAL(address))
        address_remove_static(ip_2_ip4(&address));
    else
        route6_remove_address(ip_2_ip6(&address));
    configured_count--;
    memmove(&configured[position], &configured[position + 1], (configured_count - position) * sizeof *configured);
}

/* Is a prefix among these? */
static bool is_listed(const struct stack_prefix *prefix, const struct stack_prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].bits == prefix->bits && memcmp(&list[i].address, &prefix->address, sizeof prefix->address) == 0)
            return true;
    return false;
}

/* The networks of the IPv6 addresses that there are now, no others. Return: 0 or -ENOSPC. */
static int link_networks6(void)
{
    int error = 0;

    route6_remove_links();
    for (size_t i = 0; i < configured_count && error == 0; i++) {
        ip_addr_t address;

        (void)sockaddr_read(&configured[i].address, &address);
        if (!IP_IS_V4_VAL(address))
            error = route6_add_link(ip_2_ip6(&address), configured[i].bits);
    }
    return error;
}

int stack_set_addresses(const struct stack_prefix *addresses, size_t count)
{
    int error = 0, link_error;

    for (size_t i = configured_count; i-- > 0;)
        if (!is_listed(&configured[i], addresses, count))
            remove_address(i);
    for (size_t i = 0; i < count && error == 0; i++)
        if (!is_listed(&addresses[i], configured, configured_count))
            error = add_address(&addresses[i]);
    link_error = link_networks6();
    wire_netif_announce();
    return error < 0 ? error : link_error;
}

int interface_open(const struct stack_config *config)
{
    int error = 0;

    configured_count = 0;

    asked_dhcp = config->dhcp;
    asked_routers = config->slaac;
    address_open();
    route_open();
    route6_open();
    strncpy(wire_name, config->name != NULL ? config->name : "wire0", sizeof wire_name - 1);
    for (size_t i = 0; i < config->address_count && error == 0; i++)
        error = add_address(&config->addresses[i]);
    wire_netif_announce();
    return error < 0 ? error : add_routes(config->routes, config->route_count);
}

int stack_set_routes(const struct stack_route *routes, size_t count)
{
    route_remove(ADDRESS_STATIC);
    route6_remove_via(ADDRESS_STATIC);
    return add_routes(routes, count);
}

/* Is there an IPv6 address that lwIP made from a router's prefix, and may be used? */
static bool has_global6(void)
{
    const struct netif *netif = wire_netif_get();

    for (int i = 1; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_isvalid(netif_ip6_addr_state(netif, i)) && !netif_ip6_addr_isstatic(netif, i) &&
            !ip6_addr_islinklocal(netif_ip6_addr(netif, i)))
            return true;
    return false;
}

bool stack_is_configured(void)
{
    return (!asked_dhcp || dhcp_client_is_bound()) && (!asked_routers || has_global6());
}

int stack_get_interface(unsigned index, struct stack_interface *interface)
{
    memset(interface, 0, sizeof *interface);
    interface->index = index;
    switch (index) {
    case STACK_INTERFACE_LOOP:
        strcpy(interface->name, "lo");
        interface->flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP;
        interface->mtu = LOOP_MTU;
        return 0;
    case STACK_INTERFACE_WIRE:
        strcpy(interface->name, wire_name);
        interface->flags = IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP;
        interface->mtu = wire_netif_mtu();
        memcpy(interface->mac, wire_netif_mac(), sizeof interface->mac);
        interface->packets_in = wire_netif_counters.frames;
        interface->bytes_in = wire_netif_counters.bytes;
        interface->dropped_in = wire_netif_counters.dropped;
        interface->packets_out = gather_counters.frames;
        interface->bytes_out = gather_counters.bytes;
        interface->dropped_out = gather_counters.dropped;
        return 0;
    default:
        return -ENODEV;
    }
}

/* One more address for stack_get_addresses(), if there is room. */
struct address_list {
    struct stack_interface_address *addresses;
    size_t max, count;
};

static void list_add(struct address_list *list, unsigned interface, const ip_addr_t *address, uint8_t bits, unsigned flags)
{
    struct stack_interface_address *it;

    if (list->count++ >= list->max)
        return;
    it = &list->addresses[list->count - 1];
    *it = (struct stack_interface_address){.interface = interface, .prefix.bits = bits, .flags = flags};
    sockaddr_write(address, 0, IP_IS_V6(address) ? AF_INET6 : AF_INET, &it->prefix.address);
    if (IP_IS_V6(address))
        it->prefix.address.in6.sin6_scope_id = 0;
}

static void list_add_wire6(struct address_list *list)
{
    struct netif *netif = wire_netif_get();

    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        u8_t state = netif_ip6_addr_state(netif, i);
        u32_t life = netif_ip6_addr_valid_life(netif, i);
        unsigned flags = ip6_addr_life_isstatic(life) || ip6_addr_life_isinfinite(life) ? IFA_F_PERMANENT : 0;

        if (ip6_addr_isinvalid(state))
            continue;
        if (ip6_addr_istentative(state))
            flags |= IFA_F_TENTATIVE;
        if (ip6_addr_isduplicated(state))
            flags |= IFA_F_DADFAILED;
        if (ip6_addr_isdeprecated(state))
            flags |= IFA_F_DEPRECATED;
        list_add(list, STACK_INTERFACE_WIRE, netif_ip_addr6(netif, i), route6_prefix_bits(netif_ip6_addr(netif, i)), flags);
    }
}

size_t stack_get_addresses(struct stack_interface_address *addresses, size_t max)
{
    struct address_list list = {addresses, max, 0};
    const struct own_address *own;
    ip_addr_t address;

    IP_ADDR4(&address, 127, 0, 0, 1);
    list_add(&list, STACK_INTERFACE_LOOP, &address, 8, IFA_F_PERMANENT);
    for (size_t i = 0; (own = address_at(i)) != NULL; i++) {
        ip_addr_copy_from_ip4(address, own->address);
        list_add(&list, STACK_INTERFACE_WIRE, &address, own->bits, own->origin == ADDRESS_STATIC ? IFA_F_PERMANENT : 0);
    }
    ip_addr_set_loopback(true, &address);
    ip6_addr_clear_zone(ip_2_ip6(&address));
    list_add(&list, STACK_INTERFACE_LOOP, &address, 128, IFA_F_PERMANENT);
    list_add_wire6(&list);
    return list.count;
}
