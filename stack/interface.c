/* interface.c - the interfaces and their addresses, as they are configured and as the service asks for them. */
#include "interface.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

#include "gather.h"
#include "loop_netif.h"
#include "route.h"
#include "wire_netif.h"

#ifndef IFF_LOWER_UP /* <linux/if.h> has it, and cannot be included beside <net/if.h> */
#define IFF_LOWER_UP 0x10000
#endif
#define LOOP_MTU 65536 /* as Linux; lwIP's netif has no room for more than 65 535 */

static char wire_name[IF_NAMESIZE];

int interface_open(const struct stack_config *config)
{
    int error = 0;

    address_open();
    route_open();
    strncpy(wire_name, config->name != NULL ? config->name : "wire0", sizeof wire_name - 1);
    for (size_t i = 0; i < config->address_count && error == 0; i++) {
        const struct stack_prefix *prefix = &config->addresses[i];

        if (prefix->address.sa.sa_family == AF_INET)
            error = address_add((ip4_addr_t){prefix->address.in.sin_addr.s_addr}, prefix->bits, ADDRESS_STATIC);
    }
    for (size_t i = 0; i < config->route_count && error == 0; i++) {
        const struct stack_route *route = &config->routes[i];

        if (route->via.sa.sa_family == AF_INET)
            error = route_add((ip4_addr_t){route->to.address.in.sin_addr.s_addr}, route->to.bits,
                              (ip4_addr_t){route->via.in.sin_addr.s_addr}, ADDRESS_STATIC);
    }
    return error;
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

size_t stack_get_addresses(struct stack_interface_address *addresses, size_t max)
{
    struct stack_interface_address it = {.flags = IFA_F_PERMANENT};
    const struct own_address *own;
    size_t count = 0;

    it.interface = STACK_INTERFACE_LOOP;
    it.prefix.address.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = PP_HTONL(IPADDR_LOOPBACK)};
    it.prefix.bits = 8;
    if (count++ < max)
        addresses[count - 1] = it;
    it.interface = STACK_INTERFACE_WIRE;
    for (size_t i = 0; (own = address_at(i)) != NULL; i++) {
        it.prefix.address.in.sin_addr.s_addr = own->address.addr;
        it.prefix.bits = own->bits;
        it.flags = own->origin == ADDRESS_STATIC ? IFA_F_PERMANENT : 0;
        if (count++ < max)
            addresses[count - 1] = it;
    }
    return count;
}
