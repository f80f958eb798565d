/* sockopt_datagram.c - the options that only datagram sockets have, and that have a rule of their own. */
#include "sockopt_row.h"

#include "service/datagram/datagram.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/param.h>

#define CHECKSUM_ICMP6 2 /* where ICMPv6 has it */
#define UDP_HEADER_SIZE 8

int sockopt_set_byte(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)request;
    (void)root;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value & UCHAR_MAX);
    return 0;
}

/* IP_TTL, IP_MULTICAST_TTL and their like: -1 is the default; 0 only reaches this host, which takes a group. */
int sockopt_set_hops(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)request;
    (void)root;
    if (value == 0 && row->name == IP_TTL && row->level == IPPROTO_IP)
        return -EINVAL;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value == -1 ? row->initial : value);
    return 0;
}

/* Copy as much of the filter as came, and tell the stack. */
static int set_filter(struct socket *socket, const struct protocol_message *request, size_t size)
{
    uint32_t *filter = socket->datagram->filter;

    memcpy(filter, request->option, request->option_length < size ? request->option_length : size);
    stack_datagram_set_filter(socket->datagram->stack, filter);
    return 0;
}

/* ICMP_FILTER: one bit for each of 32 types, on raw sockets of ICMP. */
int sockopt_set_filter4(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)row;
    (void)value;
    (void)root;
    return socket->protocol == IPPROTO_ICMP ? set_filter(socket, request, sizeof(uint32_t)) : -EOPNOTSUPP;
}

int sockopt_get_filter4(const struct socket *socket, const struct sockopt_row *row,
                        const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return socket->protocol == IPPROTO_ICMP
               ? sockopt_answer(request, reply, socket->datagram->filter, sizeof(uint32_t))
               : -EOPNOTSUPP;
}

/* ICMP6_FILTER: one bit for each of 256 types, on raw sockets of ICMPv6. */
int sockopt_set_filter6(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)row;
    (void)value;
    (void)root;
    return socket->protocol == IPPROTO_ICMPV6 ? set_filter(socket, request, sizeof socket->datagram->filter)
                                              : -EOPNOTSUPP;
}

int sockopt_get_filter6(const struct socket *socket, const struct sockopt_row *row,
                        const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return socket->protocol == IPPROTO_ICMPV6
               ? sockopt_answer(request, reply, socket->datagram->filter, sizeof socket->datagram->filter)
               : -EOPNOTSUPP;
}

/* IPV6_CHECKSUM of a raw socket: where in the data; negative: none. ICMPv6 has its own. */
int sockopt_set_checksum(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                         int value, bool root)
{
    (void)request;
    (void)root;
    if ((socket->protocol == IPPROTO_ICMPV6 && row->level == IPPROTO_IPV6) || (value > 0 && (value & 1) != 0))
        return -EINVAL;
    sockopt_note_number(socket, NUMBER6_CHECKSUM, value < 0 ? -1 : value);
    return 0;
}

/* UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV: 0 is the whole datagram; else at least its header. */
int sockopt_set_coverage(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                         int value, bool root)
{
    (void)request;
    (void)root;
    if (value != 0)
        value = MIN(MAX(value, UDP_HEADER_SIZE), USHRT_MAX);
    sockopt_note_number(socket, (enum sockopt_number)row->where, value);
    return 0;
}

int sockopt_get_coverage(const struct socket *socket, const struct sockopt_row *row,
                         const struct protocol_message *request, struct protocol_message *reply)
{
    return sockopt_answer_int(request, reply, MAX(sockopt_number(socket, (enum sockopt_number)row->where), 0));
}

void sockopt_set_raw_defaults(struct socket *socket)
{
    if (socket->protocol == IPPROTO_ICMPV6 && socket->domain == AF_INET6)
        sockopt_note_number(socket, NUMBER6_CHECKSUM, CHECKSUM_ICMP6);
    if (socket->protocol == IPPROTO_RAW)
        sockopt_note_switch(socket, socket->domain == AF_INET6 ? SWITCH6_HEADER_INCLUDED : SWITCH_HEADER_INCLUDED,
                            true);
}
