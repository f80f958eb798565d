/*
 * export_interface.c - libc's names for the list of interfaces: getifaddrs() and <net/if.h>.
 *
 * What they return is made as glibc makes it, one block for getifaddrs(), one block a name for if_nameindex(), so that
 * libc's own freeifaddrs() and if_freenameindex() release it, whoever calls them.
 */
#include "export.h"
#include "interface.h"

#include <ifaddrs.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* One entry of getifaddrs() and all that it points to. */
struct line {
    struct ifaddrs ifa; /* first: what the caller gets */
    char name[IF_NAMESIZE];
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_ll ll;
    } address, mask, other;
    struct rtnl_link_stats counters;
};

static void describe_interface(const struct protocol_interface *entry, struct line *line)
{
    bool is_loopback = (entry->flags & IFF_LOOPBACK) != 0;
    struct sockaddr_ll *ll = &line->address.ll;

    ll->sll_family = AF_PACKET;
    ll->sll_ifindex = (int)entry->index;
    ll->sll_hatype = is_loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
    ll->sll_halen = 6;
    memcpy(ll->sll_addr, entry->mac, 6);
    line->other.ll = *ll;
    memset(line->other.ll.sll_addr, is_loopback ? 0 : 0xff, 6);
    line->ifa.ifa_addr = &line->address.sa;
    line->ifa.ifa_broadaddr = &line->other.sa;
    line->counters.rx_packets = entry->counters[0];
    line->counters.rx_bytes = entry->counters[1];
    line->counters.rx_dropped = entry->counters[2];
    line->counters.tx_packets = entry->counters[3];
    line->counters.tx_bytes = entry->counters[4];
    line->counters.tx_dropped = entry->counters[5];
    line->ifa.ifa_data = &line->counters;
}

static void describe_address(const struct protocol_interface *entry, const struct protocol_interface *interface,
                             struct line *line)
{
    line->address.sa.sa_family = line->mask.sa.sa_family = entry->family;
    line->ifa.ifa_addr = &line->address.sa;
    line->ifa.ifa_netmask = &line->mask.sa;
    if (entry->family == AF_INET) {
        uint32_t broadcast = interface_get_broadcast(entry, interface);

        memcpy(&line->address.in.sin_addr, entry->bytes, sizeof line->address.in.sin_addr);
        interface_get_mask(entry->prefix_bits, (uint8_t *)&line->mask.in.sin_addr, sizeof line->mask.in.sin_addr);
        line->other.in = line->address.in; /* without a broadcast address glibc gives the address itself */
        if (broadcast != 0)
            line->other.in.sin_addr.s_addr = broadcast;
        line->ifa.ifa_broadaddr = &line->other.sa;
        return;
    }
    memcpy(&line->address.in6.sin6_addr, entry->bytes, sizeof line->address.in6.sin6_addr);
    interface_get_mask(entry->prefix_bits, (uint8_t *)&line->mask.in6.sin6_addr, sizeof line->mask.in6.sin6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&line->address.in6.sin6_addr))
        line->address.in6.sin6_scope_id = entry->index;
}

static int get_addresses(struct ifaddrs **out)
{
    struct interface_list list;
    struct line *lines;
    int error = interface_get_list(&list);

    if (error < 0)
        return error;
    lines = calloc(list.count, sizeof *lines);
    if (lines == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < list.count; i++) {
        const struct protocol_interface *entry = &list.entries[i];
        const struct protocol_interface *interface = interface_find_index(&list, entry->index);

        interface_copy_name(interface, lines[i].name);
        lines[i].ifa.ifa_name = lines[i].name;
        lines[i].ifa.ifa_flags = interface->flags;
        if (i + 1 < list.count)
            lines[i].ifa.ifa_next = &lines[i + 1].ifa;
        if (entry->family == AF_UNSPEC)
            describe_interface(entry, &lines[i]);
        else
            describe_address(entry, interface, &lines[i]);
    }
    *out = &lines->ifa;
    return 0;
}

EXPORT int getifaddrs(struct ifaddrs **out)
{
    return EXPORT_CALL("getifaddrs", get_addresses(out), "%p", (void *)out);
}

static int find_index(const char *name)
{
    struct interface_list list;
    const struct protocol_interface *interface;
    int error = strlen(name) >= IF_NAMESIZE ? -ENODEV : interface_get_list(&list);

    if (error < 0)
        return error;
    interface = interface_find_name(&list, name);
    return interface == NULL ? -ENODEV : (int)interface->index;
}

EXPORT unsigned if_nametoindex(const char *name)
{
    int index = EXPORT_CALL("if_nametoindex", find_index(name), "%s", name);

    return index < 0 ? 0 : (unsigned)index;
}

static int find_name(unsigned index, char *name)
{
    struct interface_list list;
    const struct protocol_interface *interface;
    int error = interface_get_list(&list);

    if (error < 0)
        return error;
    interface = interface_find_index(&list, index);
    if (interface == NULL)
        return -ENXIO;
    interface_copy_name(interface, name);
    return 0;
}

EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
    return EXPORT_CALL("if_indextoname", find_name(index, name), "%d, %p", (int)index, (void *)name) < 0 ? NULL : name;
}

static int get_names(struct if_nameindex **out)
{
    struct interface_list list;
    struct if_nameindex *names;
    size_t count = 0;
    int error = interface_get_list(&list);

    if (error < 0)
        return error;
    names = calloc(list.count + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < list.count; i++) {
        char name[IF_NAMESIZE];

        if (list.entries[i].family != AF_UNSPEC)
            continue;
        interface_copy_name(&list.entries[i], name);
        names[count] = (struct if_nameindex){list.entries[i].index, strdup(name)};
        if (names[count++].if_name != NULL)
            continue;
        while (count-- > 0)
            free(names[count].if_name);
        free(names);
        names = NULL;
    }
    *out = names;
    return names != NULL ? 0 : -ENOBUFS; /* what glibc says for want of memory */
}

EXPORT struct if_nameindex *if_nameindex(void)
{
    struct if_nameindex *names = NULL;

    return EXPORT_CALL("if_nameindex", get_names(&names), "") < 0 ? NULL : names;
}
