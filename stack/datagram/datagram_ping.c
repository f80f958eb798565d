/*
 * datagram_ping.c - ICMP echo without privileges (icmp(7)): Linux's ping.c.
 *
 * The program writes an echo request with its ICMP header; the identifier and the checksum are ours, and nothing but
 * echo requests leaves. The identifier is the socket's port. Replies that bear it come back with their header. Whom the
 * socket is connected to plays no part then, as on Linux.
 */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"

#define ECHO_SIZE 8 /* type, code, checksum, identifier, sequence number */

int datagram_ping_send(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct iovec *iov,
                       int count, size_t length)
{
    bool is_ip6 = datagram->family == AF_INET6;
    struct iovec rest[STACK_DATAGRAM_IOV];
    struct datagram_packet packet;
    struct datagram_route route;
    uint8_t header[ECHO_SIZE];
    uint16_t port;
    int error;

    if (length > UINT16_MAX)
        return -EMSGSIZE;
    if (length < ECHO_SIZE)
        return -EINVAL;
    count = datagram_send_split(iov, count, header, sizeof header, rest);
    if (header[0] != (is_ip6 ? ICMP6_TYPE_EREQ : ICMP_ECHO) || header[1] != 0)
        return -EINVAL;
    error = datagram_send_route(datagram, info, &route, &port);
    if (error < 0)
        return error;
    if (IP_IS_V6_VAL(route.destination) != is_ip6)
        return -EINVAL; /* ICMP does not cross families */
    header[4] = (uint8_t)(datagram->local_port >> 8);
    header[5] = (uint8_t)datagram->local_port;
    datagram_send_prepare(datagram, info, &route, &packet);
    packet.header = header;
    packet.header_size = sizeof header;
    packet.checksum_at = 2;
    packet.iov = rest;
    packet.count = count;
    packet.length = length - ECHO_SIZE;
    return datagram_send_packet(datagram, &packet, 0);
}

void datagram_ping_input(struct pbuf *p, size_t offset, struct netif *input)
{
    struct datagram_tuple tuple = {.local = ip_current_dest_addr(), .peer = ip_current_src_addr(),
                                   .interface = netif_get_index(input)};
    struct stack_datagram *found;
    uint8_t header[ECHO_SIZE];

    if (pbuf_copy_partial(p, header, ECHO_SIZE, (u16_t)offset) != ECHO_SIZE ||
        header[0] != (ip_current_is_v6() ? ICMP6_TYPE_EREP : ICMP_ER))
        return;
    tuple.local_port = (uint16_t)(header[4] << 8 | header[5]);
    found = datagram_table_find_ping(&tuple);
    if (found != NULL && datagram_error_checksum_is_good(p, offset, input))
        datagram_receive_deliver(found, p, offset, 0, input);
}
