/*
 * sockopt_multicast.c - the options of datagram sockets that join, leave and choose: groups, sources, interfaces.
 *
 * There are three generations of the interface: ip_mreq and its like for IPv4, ipv6_mreq for IPv6, and group_req for
 * both (RFC 3678).
 */
#include "sockopt_row.h"

#include "service/datagram/datagram.h"
#include "stack/ip/interface.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

/* The source of a struct group_source_req lies whole within what the protocol carries of it. */
#define GROUP_SOURCE_LENGTH (offsetof(struct group_source_req, gsr_source) + sizeof(struct sockaddr_in6))
_Static_assert(GROUP_SOURCE_LENGTH <= PROTOCOL_OPTION_MAX, "its end is padding");

static union stack_address of_ip4(struct in_addr address)
{
    return (union stack_address){.in = {.sin_family = AF_INET, .sin_addr = address}};
}

/* The interface that has this address; 0.0.0.0: 0, by the route. Return: 0 or -ENODEV. */
static int find_interface(struct in_addr address, unsigned *interface)
{
    struct stack_interface_address addresses[2 * STACK_ADDRESSES_MAX + 2];
    size_t count = stack_get_addresses(addresses, sizeof addresses / sizeof *addresses);

    *interface = 0;
    if (address.s_addr == INADDR_ANY)
        return 0;
    for (size_t i = 0; i < count && i < sizeof addresses / sizeof *addresses; i++) {
        const union stack_address *own = &addresses[i].prefix.address;

        if (own->sa.sa_family == AF_INET && own->in.sin_addr.s_addr == address.s_addr) {
            *interface = addresses[i].interface;
            return 0;
        }
    }
    return -ENODEV;
}

/* The error when there is no such interface: to leave a group there is to leave what was not joined. */
static int no_interface(enum stack_membership what)
{
    return what == STACK_LEAVE ? -EADDRNOTAVAIL : -ENODEV;
}

static int check_interface(unsigned interface)
{
    struct stack_interface found;

    return interface == 0 || stack_get_interface(interface, &found) == 0 ? 0 : -ENODEV;
}

/* IP_MULTICAST_IF: an address, or an ip_mreq, or an ip_mreqn, whose index counts first. */
int sockopt_set_multicast_interface(struct socket *socket, const struct sockopt_row *row,
                                    const struct protocol_message *request, int value, bool root)
{
    struct ip_mreqn wanted = {.imr_ifindex = 0};
    unsigned interface;
    int error = 0;

    (void)row;
    (void)value;
    (void)root;
    if (request->option_length >= sizeof(struct ip_mreq))
        memcpy(&wanted, request->option,
               request->option_length >= sizeof wanted ? sizeof wanted : sizeof(struct ip_mreq));
    else if (request->option_length >= sizeof(struct in_addr))
        memcpy(&wanted.imr_address, request->option, sizeof wanted.imr_address);
    else
        return -EINVAL;
    interface = (unsigned)wanted.imr_ifindex;
    if (interface != 0)
        error = check_interface(interface);
    else
        error = find_interface(wanted.imr_address, &interface);
    if (error < 0)
        return -EADDRNOTAVAIL;
    sockopt_note_number(socket, NUMBER_MULTICAST_INTERFACE, (int)interface);
    sockopt_note_number(socket, NUMBER_MULTICAST_ADDRESS, (int)wanted.imr_address.s_addr);
    return 0;
}

/* IPV6_MULTICAST_IF. */
int sockopt_set_multicast_interface6(struct socket *socket, const struct sockopt_row *row,
                                     const struct protocol_message *request, int value, bool root)
{
    (void)request;
    (void)root;
    if (value < 0 || check_interface((unsigned)value) < 0)
        return -ENODEV;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value);
    return 0;
}

/* IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP. */
int sockopt_set_membership(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                           int value, bool root)
{
    enum stack_membership what = row->name == IP_ADD_MEMBERSHIP ? STACK_JOIN : STACK_LEAVE;
    struct ip_mreqn wanted = {.imr_ifindex = 0};
    union stack_address group;
    unsigned interface;
    int error;

    (void)value;
    (void)root;
    if (request->option_length < sizeof(struct ip_mreq))
        return -EINVAL;
    memcpy(&wanted, request->option, request->option_length >= sizeof wanted ? sizeof wanted : sizeof(struct ip_mreq));
    interface = (unsigned)wanted.imr_ifindex;
    if (interface != 0)
        error = check_interface(interface);
    else
        error = find_interface(wanted.imr_address, &interface);
    group = of_ip4(wanted.imr_multiaddr);
    return error < 0 ? no_interface(what)
                     : stack_datagram_membership(socket->datagram->stack, what, interface, &group, NULL);
}

static enum stack_membership what_of_source(int name)
{
    switch (name) {
    case IP_ADD_SOURCE_MEMBERSHIP:
    case MCAST_JOIN_SOURCE_GROUP:
        return STACK_JOIN_SOURCE;
    case IP_DROP_SOURCE_MEMBERSHIP:
    case MCAST_LEAVE_SOURCE_GROUP:
        return STACK_LEAVE_SOURCE;
    case IP_BLOCK_SOURCE:
    case MCAST_BLOCK_SOURCE:
        return STACK_BLOCK_SOURCE;
    default:
        return STACK_UNBLOCK_SOURCE;
    }
}

/* IP_ADD_SOURCE_MEMBERSHIP and the other three with a struct ip_mreq_source. */
int sockopt_set_source(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    struct ip_mreq_source wanted;
    union stack_address group, source;
    unsigned interface;
    int error;

    (void)value;
    (void)root;
    if (request->option_length != sizeof wanted)
        return -EINVAL;
    memcpy(&wanted, request->option, sizeof wanted);
    error = find_interface(wanted.imr_interface, &interface);
    group = of_ip4(wanted.imr_multiaddr);
    source = of_ip4(wanted.imr_sourceaddr);
    return error < 0 ? error
                     : stack_datagram_membership(socket->datagram->stack, what_of_source(row->name), interface, &group,
                                                 &source);
}

/* IPV6_JOIN_GROUP, IPV6_LEAVE_GROUP. */
int sockopt_set_membership6(struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, int value, bool root)
{
    enum stack_membership what = row->name == IPV6_JOIN_GROUP ? STACK_JOIN : STACK_LEAVE;
    struct ipv6_mreq wanted;
    union stack_address group = {.in6 = {.sin6_family = AF_INET6}};
    int error;

    (void)value;
    (void)root;
    if (request->option_length < sizeof wanted)
        return -EINVAL;
    memcpy(&wanted, request->option, sizeof wanted);
    error = check_interface(wanted.ipv6mr_interface);
    group.in6.sin6_addr = wanted.ipv6mr_multiaddr;
    return error < 0 ? no_interface(what)
                     : stack_datagram_membership(socket->datagram->stack, what, wanted.ipv6mr_interface, &group, NULL);
}

/* Copy an address out of a struct sockaddr_storage. */
static union stack_address of_storage(const void *storage)
{
    union stack_address address;

    memcpy(&address, storage, sizeof address);
    return address;
}

/* MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP. */
int sockopt_set_group(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                      int value, bool root)
{
    enum stack_membership what = row->name == MCAST_JOIN_GROUP ? STACK_JOIN : STACK_LEAVE;
    struct group_req wanted;
    union stack_address group;
    int error;

    (void)value;
    (void)root;
    if (request->option_length < sizeof wanted)
        return -EINVAL;
    memcpy(&wanted, request->option, sizeof wanted);
    group = of_storage(&wanted.gr_group);
    if (group.sa.sa_family != (row->level == IPPROTO_IPV6 ? AF_INET6 : AF_INET))
        return row->level == IPPROTO_IPV6 ? -EADDRNOTAVAIL : -EINVAL;
    error = check_interface(wanted.gr_interface);
    return error < 0 ? error
                     : stack_datagram_membership(socket->datagram->stack, what, wanted.gr_interface, &group, NULL);
}

/* MCAST_JOIN_SOURCE_GROUP and the other three with a struct group_source_req. */
int sockopt_set_group_source(struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, int value, bool root)
{
    const int family = row->level == IPPROTO_IPV6 ? AF_INET6 : AF_INET;
    struct group_source_req wanted = {.gsr_interface = 0};
    union stack_address group, source;
    int error;

    (void)value;
    (void)root;
    if (request->option_length < GROUP_SOURCE_LENGTH)
        return -EINVAL;
    memcpy(&wanted, request->option,
           request->option_length < sizeof wanted ? request->option_length : sizeof wanted);
    group = of_storage(&wanted.gsr_group);
    source = of_storage(&wanted.gsr_source);
    if (group.sa.sa_family != family || source.sa.sa_family != family)
        return -EADDRNOTAVAIL;
    error = check_interface(wanted.gsr_interface);
    return error < 0 ? error
                     : stack_datagram_membership(socket->datagram->stack, what_of_source(row->name),
                                                 wanted.gsr_interface, &group, &source);
}
