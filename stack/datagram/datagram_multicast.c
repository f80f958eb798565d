/*
 * datagram_multicast.c - which groups a socket has joined, and whom it wants to hear there: Linux's ip_mc_join_group(),
 * ip_mc_source() and their IPv6 like.
 *
 * A socket's membership is (group, interface) with a list of sources: an empty one that excludes means everybody. lwIP
 * reports to routers which groups the host is in, by IGMP and MLD. It counts members in 8 bits, so they are counted
 * here; and it knows nothing of sources, so routers are told of groups alone and the sources are filtered here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_socket.h"
#include "stack/archive.h"
#include "stack/ip/interface.h"
#include "stack/wire/loop_netif.h"
#include "stack/ip/route.h"
#include "stack/tick.h"
#include "stack/wire/wire_netif.h"

#define MEMBERSHIPS_MAX 20 /* Linux: igmp_max_memberships; for IPv6 it has no such number */
#define MEMBERSHIPS6_MAX 1000
#define SOURCES_MAX 10     /* Linux: igmp_max_msf; mld_max_msf is larger */
#define SOURCES6_MAX 64

struct datagram_membership {
    struct datagram_membership *next; /* of the same socket */
    unsigned interface;
    ip_addr_t group;
    bool include; /* only those sources; else all but those */
    unsigned source_count;
    ip_addr_t *sources; /* owned */
};

/* A group that the host is a member of. */
struct group {
    struct group *next;
    unsigned interface;
    ip_addr_t address;
    size_t members;
};

static struct group *groups;

static struct netif *netif_of(unsigned interface)
{
    if (interface == STACK_INTERFACE_LOOP)
        return loop_netif();
    return interface == STACK_INTERFACE_WIRE ? wire_netif_get() : NULL;
}

/* Is it a group that every host is a member of? */
static bool is_all_hosts(const ip_addr_t *group)
{
    if (IP_IS_V6(group))
        return ip6_addr_isallnodes_iflocal(ip_2_ip6(group)) || ip6_addr_isallnodes_linklocal(ip_2_ip6(group));
    return ip_2_ip4(group)->addr == PP_HTONL(LWIP_MAKEU32(224, 0, 0, 1));
}

/* Return: the place of the pointer to the group, or of the NULL at the end. */
static struct group **find_group(unsigned interface, const ip_addr_t *address)
{
    struct group **link = &groups;

    while (*link != NULL && !((*link)->interface == interface && ip_addr_zoneless_eq(&(*link)->address, address)))
        link = &(*link)->next;
    return link;
}

static err_t tell_lwip(unsigned interface, const ip_addr_t *address, bool join)
{
    struct netif *netif = netif_of(interface);
    err_t error;

    if (is_all_hosts(address))
        return ERR_OK;
    if (IP_IS_V6(address))
        error = join ? mld6_joingroup_netif(netif, ip_2_ip6(address)) : mld6_leavegroup_netif(netif, ip_2_ip6(address));
    else if (join && netif_igmp_data(netif) == NULL && igmp_start(netif) != ERR_OK)
        error = ERR_MEM; /* as when the interface was made. lwIP asserts that the group of all hosts is the first */
    else
        error = join ? igmp_joingroup_netif(netif, ip_2_ip4(address)) : igmp_leavegroup_netif(netif, ip_2_ip4(address));
    tick_wake();
    return error;
}

/* One more membership of the host. Return: 0 or -ENOBUFS. */
static int enter_group(unsigned interface, const ip_addr_t *address)
{
    struct group **link = find_group(interface, address);

    if (*link == NULL) {
        struct group *group = calloc(1, sizeof *group);

        if (group == NULL || tell_lwip(interface, address, true) != ERR_OK) {
            free(group);
            return -ENOBUFS;
        }
        group->interface = interface;
        group->address = *address;
        *link = group;
    }
    (*link)->members++;
    return 0;
}

static void leave_group(unsigned interface, const ip_addr_t *address)
{
    struct group **link = find_group(interface, address);
    struct group *group = *link;

    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who leaves is a member
    if (--group->members > 0)
        return;
    (void)tell_lwip(interface, address, false); /* it is a member */
    *link = group->next;
    free(group);
}

bool datagram_multicast_has_members(unsigned interface, const ip_addr_t *group)
{
    return is_all_hosts(group) || *find_group(interface, group) != NULL;
}

/* Return: the place of the pointer to the membership, or of the NULL at the end. */
static struct datagram_membership **find(struct stack_datagram *datagram, const ip_addr_t *group, unsigned interface)
{
    struct datagram_membership **link = &datagram->memberships;

    while (*link != NULL && !((*link)->interface == interface && ip_addr_zoneless_eq(&(*link)->group, group)))
        link = &(*link)->next;
    return link;
}

static void drop(struct datagram_membership **link)
{
    struct datagram_membership *membership = *link;

    *link = membership->next;
    leave_group(membership->interface, &membership->group);
    free(membership->sources);
    free(membership);
}

void datagram_multicast_leave_all(struct stack_datagram *datagram)
{
    while (datagram->memberships != NULL)
        drop(&datagram->memberships);
}

static int join(struct stack_datagram *datagram, const ip_addr_t *group, unsigned interface, bool include)
{
    struct datagram_membership **link = find(datagram, group, interface);
    struct datagram_membership *membership;
    unsigned count = 0;
    int error;

    if (*link != NULL)
        return -EADDRINUSE;
    for (const struct datagram_membership *it = datagram->memberships; it != NULL; it = it->next)
        count += IP_IS_V6_VAL(it->group) == IP_IS_V6(group);
    if (count >= (IP_IS_V6(group) ? MEMBERSHIPS6_MAX : MEMBERSHIPS_MAX))
        return -ENOBUFS;
    membership = calloc(1, sizeof *membership);
    if (membership == NULL)
        return -ENOBUFS;
    membership->interface = interface;
    membership->group = *group;
    membership->include = include;
    if (IP_IS_V6(group))
        ip6_addr_assign_zone(ip_2_ip6(&membership->group), IP6_MULTICAST, netif_of(interface));
    error = enter_group(interface, &membership->group);
    if (error < 0) {
        free(membership);
        return error;
    }
    membership->next = datagram->memberships; /* the latest first, as Linux looks at them */
    datagram->memberships = membership;
    return 0;
}

/* Return: the source's place in the list, or the list's length. */
static unsigned find_source(const struct datagram_membership *membership, const ip_addr_t *source)
{
    unsigned i = 0;

    while (i < membership->source_count && !ip_addr_zoneless_eq(&membership->sources[i], source))
        i++;
    return i;
}

static int add_source(struct datagram_membership *membership, const ip_addr_t *source)
{
    unsigned max = IP_IS_V6(source) ? SOURCES6_MAX : SOURCES_MAX;
    ip_addr_t *grown;

    if (membership->source_count >= max)
        return -ENOBUFS;
    if (find_source(membership, source) < membership->source_count)
        return -EADDRNOTAVAIL;
    grown = realloc(membership->sources, (membership->source_count + 1) * sizeof *grown);
    if (grown == NULL)
        return -ENOBUFS;
    grown[membership->source_count++] = *source;
    membership->sources = grown;
    return 0;
}

/* Linux's ip_mc_source(): change the list of a membership. The last source that is left ends it. */
static int change_source(struct datagram_membership **link, bool include, bool add, const ip_addr_t *source)
{
    struct datagram_membership *membership = *link;
    unsigned place;

    if (membership == NULL)
        return -EINVAL;
    if (membership->include != include) {
        if (membership->sources != NULL) /* it had some once: on Linux its kind is settled then */
            return -EINVAL;
        membership->include = include;
    }
    if (add)
        return add_source(membership, source);
    place = find_source(membership, source);
    if (place == membership->source_count)
        return -EADDRNOTAVAIL;
    if (membership->source_count == 1 && include) {
        drop(link);
        return 0;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): one was found among them
    membership->sources[place] = membership->sources[--membership->source_count];
    return 0;
}

void datagram_multicast_handover(struct archive *archive, struct stack_datagram *datagram)
{
    struct datagram_membership **end = &datagram->memberships;

    for (struct datagram_membership *it = *end; archive->is_writing && it != NULL; it = it->next) {
        size_t length = it->source_count * sizeof *it->sources;

        if (!archive_begin(archive, "membership"))
            return;
        ARCHIVE_NUMBER(archive, it, interface);
        ARCHIVE_RAW(archive, it, group);
        ARCHIVE_NUMBER(archive, it, include);
        (void)archive_bytes(archive, "sources", it->sources, &length);
        archive_end(archive);
    }
    while (!archive->is_writing && archive_begin(archive, "membership")) {
        struct datagram_membership *it = calloc(1, sizeof *it);
        size_t length = 0;
        const void *sources;

        if (it == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        ARCHIVE_NUMBER(archive, it, interface);
        ARCHIVE_RAW(archive, it, group);
        ARCHIVE_NUMBER(archive, it, include);
        sources = archive_bytes(archive, "sources", NULL, &length);
        archive_end(archive);
        it->sources = length > 0 ? malloc(length) : NULL;
        if (it->sources != NULL) {
            memcpy(it->sources, sources, length);
            it->source_count = (unsigned)(length / sizeof *it->sources);
        }
        if (netif_of(it->interface) == NULL || enter_group(it->interface, &it->group) < 0) {
            archive_fail(archive, -ENOBUFS);
            free(it->sources);
            free(it);
            return;
        }
        *end = it;
        end = &it->next;
    }
}

/* Which interface does a membership without one mean? Return: 0: none. */
static unsigned choose_interface(const struct stack_datagram *datagram, const ip_addr_t *group)
{
    if (datagram->options[STACK_DATAGRAM_BIND_INTERFACE] != 0)
        return (unsigned)datagram->options[STACK_DATAGRAM_BIND_INTERFACE];
    if (IP_IS_V6(group))
        return ip6_addr_has_zone(ip_2_ip6(group)) ? ip6_addr_zone(ip_2_ip6(group)) : STACK_INTERFACE_WIRE;
    return route_find(ip_2_ip4(group), NULL, NULL) ? STACK_INTERFACE_WIRE : 0;
}

int stack_datagram_membership(struct stack_datagram *datagram, enum stack_membership what, unsigned interface,
                              const union stack_address *group_address, const union stack_address *source_address)
{
    struct datagram_membership **link;
    ip_addr_t group, source;
    int error = sockaddr_read(group_address, &group);

    if (error < 0)
        return error;
    if (!ip_addr_ismulticast(&group))
        return what == STACK_LEAVE && IP_IS_V4_VAL(group) ? -EADDRNOTAVAIL : -EINVAL;
    if (what != STACK_JOIN && what != STACK_LEAVE) {
        error = source_address == NULL ? -EINVAL : sockaddr_read(source_address, &source);
        if (error < 0)
            return error;
        if (IP_IS_V6_VAL(source) != IP_IS_V6_VAL(group))
            return -EADDRNOTAVAIL;
    }
    if (what == STACK_LEAVE && interface == 0) { /* of the interfaces, the latest that was joined */
        for (link = &datagram->memberships; *link != NULL; link = &(*link)->next)
            if (ip_addr_zoneless_eq(&(*link)->group, &group)) {
                drop(link);
                return 0;
            }
        return -EADDRNOTAVAIL;
    }
    if (interface == 0)
        interface = choose_interface(datagram, &group);
    if (netif_of(interface) == NULL)
        return what == STACK_LEAVE ? -EADDRNOTAVAIL : -ENODEV;
    link = find(datagram, &group, interface);
    switch (what) {
    case STACK_JOIN:
        return join(datagram, &group, interface, false);
    case STACK_LEAVE:
        if (*link == NULL)
            return -EADDRNOTAVAIL;
        drop(link);
        return 0;
    case STACK_JOIN_SOURCE:
        error = join(datagram, &group, interface, true);
        if (error < 0 && error != -EADDRINUSE)
            return error;
        return change_source(find(datagram, &group, interface), true, true, &source);
    case STACK_LEAVE_SOURCE:
        return change_source(link, true, false, &source);
    case STACK_BLOCK_SOURCE:
        return change_source(link, false, true, &source);
    case STACK_UNBLOCK_SOURCE:
        return change_source(link, false, false, &source);
    }
    return -EINVAL;
}

bool datagram_multicast_allows(const struct stack_datagram *datagram, const ip_addr_t *group, const ip_addr_t *source,
                               unsigned interface)
{
    const struct datagram_membership *it = datagram->memberships;

    while (it != NULL && !(it->interface == interface && ip_addr_zoneless_eq(&it->group, group)))
        it = it->next;
    if (it == NULL)
        return datagram->options[IP_IS_V6(group) ? STACK_DATAGRAM_MULTICAST_ALL6 : STACK_DATAGRAM_MULTICAST_ALL] != 0;
    return (find_source(it, source) < it->source_count) == it->include;
}
