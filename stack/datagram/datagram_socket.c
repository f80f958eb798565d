/*
 * datagram_socket.c - life and death of a datagram socket, its options and its addresses.
 *
 * Theory of operation. UDP, ping and raw sockets are ours altogether: lwIP's udp.c and raw.c know one list of control
 * blocks each and none of Linux's rules, so this driver takes every packet before they do and keeps the sockets in
 * tables of its own. lwIP routes, fragments, reassembles, resolves neighbours and keeps memberships.
 *
 *   datagram_receive.c  takes packets from lwIP's IP layer (it stands in for lwIP's raw.c) and hands them to sockets;
 *   datagram_table.c    finds the sockets;
 *   datagram_bind.c     bind and connect;
 *   datagram_multicast.c  groups;
 *   datagram_send.c     what a program sends becomes packets, of UDP and UDP-Lite;
 *   datagram_lite.c     what UDP-Lite has of its own;
 *   datagram_ping.c, datagram_raw.c  the other kinds;
 *   datagram_route.c    where they go, and from which address;
 *   datagram_output.c   IP headers, checksums, fragments, copies for members on this host;
 *   datagram_error.c    ICMP errors about what was sent.
 *
 * A socket holds no data: what comes is handed on in the same call, or lost; what is sent leaves in the same call.
 */
#include "datagram_socket.h"

#include <errno.h>
#include <stdlib.h>

#include "stack/inspect_cursors.h"

struct stack_datagram *datagram_sockets;
bool datagram_has_left;

/* Linux's defaults: ip(7), ipv6(7), raw(7). -1: not set. */
static const int defaults[STACK_DATAGRAM_OPTION_COUNT] = {
    [STACK_DATAGRAM_TTL] = 64,
    [STACK_DATAGRAM_HOP_LIMIT] = 64,
    [STACK_DATAGRAM_MTU_DISCOVER] = IP_PMTUDISC_WANT,
    [STACK_DATAGRAM_MTU_DISCOVER6] = IP_PMTUDISC_WANT,
    [STACK_DATAGRAM_MULTICAST_TTL] = 1,
    [STACK_DATAGRAM_MULTICAST_HOPS] = 1,
    [STACK_DATAGRAM_MULTICAST_LOOP] = 1,
    [STACK_DATAGRAM_MULTICAST_LOOP6] = 1,
    [STACK_DATAGRAM_MULTICAST_ALL] = 1,
    [STACK_DATAGRAM_MULTICAST_ALL6] = 1,
    [STACK_DATAGRAM_CHECKSUM] = -1,
    [STACK_DATAGRAM_SEND_COVERAGE] = -1,
    [STACK_DATAGRAM_RECEIVE_COVERAGE] = -1,
};

void datagram_socket_close_all(void)
{
    while (datagram_sockets != NULL)
        stack_datagram_close(datagram_sockets);
}

struct stack_datagram *stack_datagram_open(enum stack_datagram_kind kind, int family, int protocol,
                                           const struct stack_datagram_events *events, void *owner)
{
    struct stack_datagram *datagram = calloc(1, sizeof *datagram);

    if (datagram == NULL)
        return NULL;
    datagram->kind = kind;
    datagram->family = family;
    datagram->events = events;
    datagram->owner = owner;
    if (kind == STACK_DATAGRAM_UDP)
        datagram->protocol = IPPROTO_UDP;
    else if (kind == STACK_DATAGRAM_UDP_LITE)
        datagram->protocol = IPPROTO_UDPLITE;
    else if (kind == STACK_DATAGRAM_PING)
        datagram->protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    else
        datagram->protocol = (uint8_t)protocol;
    for (int i = 0; i < STACK_DATAGRAM_OPTION_COUNT; i++)
        datagram->options[i] = defaults[i];
    if (!stack_datagram_kind_is_udp(kind))
        datagram->options[STACK_DATAGRAM_REUSEADDR] = 1;
    if (kind == STACK_DATAGRAM_RAW && datagram->protocol == IPPROTO_RAW)
        datagram->options[STACK_DATAGRAM_HEADER_INCLUDED] = 1;
    if (kind == STACK_DATAGRAM_RAW && family == AF_INET6 && datagram->protocol == IPPROTO_ICMPV6)
        datagram->options[STACK_DATAGRAM_CHECKSUM] = 2; /* where ICMPv6 has it */
    ip_addr_set_any_val(family == AF_INET6, datagram->local);
    ip_addr_set_any_val(family == AF_INET6, datagram->source);
    ip_addr_set_any_val(family == AF_INET6, datagram->peer);
    datagram->all_next = datagram_sockets;
    if (datagram_sockets != NULL)
        datagram_sockets->all_link = &datagram->all_next;
    datagram_sockets = datagram;
    datagram->all_link = &datagram_sockets;
    datagram_counters.sockets++;
    if (kind == STACK_DATAGRAM_RAW) {
        datagram->local_port = datagram->protocol;
        datagram_table_enter(datagram);
    }
    return datagram;
}

void stack_datagram_close(struct stack_datagram *datagram)
{
    datagram_multicast_leave_all(datagram);
    datagram_table_remove(datagram);
    inspect_forget_datagram(datagram);
    *datagram->all_link = datagram->all_next;
    if (datagram->all_next != NULL)
        datagram->all_next->all_link = datagram->all_link;
    datagram_counters.sockets--;
    free(datagram);
}

void stack_datagram_leave(struct stack_datagram *datagram)
{
    datagram_table_remove(datagram);
    datagram_has_left = true;
}

int stack_datagram_local_address(const struct stack_datagram *datagram, union stack_address *address)
{
    const ip_addr_t *ip = ip_addr_isany(&datagram->local) ? &datagram->source : &datagram->local;

    sockaddr_write(ip, datagram->local_port, datagram->family, address);
    return 0;
}

int stack_datagram_peer_address(const struct stack_datagram *datagram, union stack_address *address)
{
    if (!datagram->connected || datagram->peer_port == 0) /* Linux says so of a peer without a port */
        return -ENOTCONN;
    sockaddr_write(&datagram->peer, datagram->peer_port, datagram->family, address);
    return 0;
}

int stack_datagram_set_option(struct stack_datagram *datagram, enum stack_datagram_option option, int value)
{
    if ((unsigned)option >= STACK_DATAGRAM_OPTION_COUNT)
        return -ENOPROTOOPT;
    if (value < 0 && (option == STACK_DATAGRAM_TTL || option == STACK_DATAGRAM_HOP_LIMIT ||
                      option == STACK_DATAGRAM_MULTICAST_TTL || option == STACK_DATAGRAM_MULTICAST_HOPS ||
                      option == STACK_DATAGRAM_TRAFFIC_CLASS))
        value = defaults[option];
    datagram->options[option] = value;
    return 0;
}

int stack_datagram_get_option(const struct stack_datagram *datagram, enum stack_datagram_option option)
{
    return (unsigned)option < STACK_DATAGRAM_OPTION_COUNT ? datagram->options[option] : -ENOPROTOOPT;
}
