/*
 * datagram_raw.c - raw sockets (raw(7)): every packet of one protocol, and packets of any making: Linux's raw.c.
 *
 * Each socket of the packet's protocol and family hears it, whoever else does: on IPv4 with its IP header, on IPv6 from
 * the transport header on. Sockets of IPPROTO_RAW, and those with IP_HDRINCL, send the IP header themselves; on IPv6 a
 * checksum may be ours to fill in (IPV6_CHECKSUM, always for ICMPv6).
 */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"

void stack_datagram_set_filter(struct stack_datagram *datagram, const uint32_t filter[8])
{
    memcpy(datagram->filter, filter, sizeof datagram->filter);
}

/* Has the socket asked not to see ICMP messages like this one? */
static bool is_filtered(const struct stack_datagram *datagram, const struct pbuf *p, size_t offset)
{
    u8_t type = pbuf_get_at(p, (u16_t)offset);

    if (datagram->protocol != (ip_current_is_v6() ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
        return false;
    if (!ip_current_is_v6() && type >= 32)
        return false;
    return (datagram->filter[type / 32] & 1u << type % 32) != 0;
}

/* IPV6_CHECKSUM: is the sum right? Only IPv6 sockets ask. */
static bool checksum_is_good(const struct stack_datagram *datagram, struct pbuf *p, size_t offset, struct netif *input)
{
    bool good;

    if (!ip_current_is_v6() || datagram->options[STACK_DATAGRAM_CHECKSUM] < 0 || datagram_receive_is_looped(input))
        return true;
    pbuf_remove_header(p, offset);
    good = ip6_chksum_pseudo(p, datagram->protocol, p->tot_len, ip6_current_src_addr(), ip6_current_dest_addr()) == 0;
    pbuf_add_header_force(p, offset);
    return good;
}

bool datagram_raw_input(struct pbuf *p, size_t offset, uint8_t protocol, struct netif *input)
{
    struct datagram_tuple tuple = {.local = ip_current_dest_addr(), .peer = ip_current_src_addr(),
                                   .interface = netif_get_index(input)};
    struct stack_datagram *it = datagram_table_first_raw(protocol, &tuple);
    bool heard = it != NULL;

    if (it != NULL && !ip_current_is_v6() && datagram_receive_is_looped(input)) {
        /* It never had the sum that programs expect to see. */
        struct ip_hdr *ip = p->payload;

        IPH_CHKSUM_SET(ip, 0);
        IPH_CHKSUM_SET(ip, inet_chksum(ip, IPH_HL_BYTES(ip)));
    }
    while (it != NULL) {
        struct stack_datagram *next = datagram_table_next_raw(it, &tuple);

        if (!is_filtered(it, p, offset) && checksum_is_good(it, p, offset, input))
            datagram_receive_deliver(it, p, ip_current_is_v6() ? offset : 0, 0, input);
        it = next;
    }
    return heard;
}

/* The program brings the IP header. */
static int send_with_header(struct stack_datagram *datagram, struct datagram_packet *packet, const struct iovec *iov,
                            int count, size_t length)
{
    bool is_ip6 = IP_IS_V6_VAL(packet->route->destination);
    size_t least = is_ip6 ? IP6_SIZE : IP4_SIZE;
    struct iovec rest[STACK_DATAGRAM_IOV];
    uint8_t header[60];
    size_t size = least;

    if (packet->route->netif != NULL && length > packet->route->netif->mtu)
        return -EMSGSIZE;
    if (length < least)
        return -EINVAL;
    packet->count = datagram_send_split(iov, count, header, least, rest);
    if (!is_ip6) {
        size = (size_t)(header[0] & 15) * 4;
        if (size < least || size > length)
            return -EINVAL;
        packet->count = datagram_send_split(iov, count, header, size, rest);
        datagram_output_complete_header(packet->route, header, length);
    }
    packet->header_included = true;
    packet->header = header;
    packet->header_size = size;
    packet->iov = rest;
    packet->length = length - size;
    return datagram_send_packet(datagram, packet, 0);
}

int datagram_raw_send(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct iovec *iov,
                      int count, size_t length)
{
    int checksum_at = datagram->options[STACK_DATAGRAM_CHECKSUM];
    uint8_t header[DATAGRAM_HEADER_MAX];
    struct iovec rest[STACK_DATAGRAM_IOV];
    struct datagram_packet packet;
    struct datagram_route route;
    uint16_t port;
    int error;

    if (length > UINT16_MAX)
        return -EMSGSIZE;
    error = datagram_send_route(datagram, info, &route, &port);
    if (error < 0)
        return error;
    if (IP_IS_V6_VAL(route.destination) != (datagram->family == AF_INET6))
        return -EINVAL;
    datagram_send_prepare(datagram, info, &route, &packet);
    if (datagram->options[STACK_DATAGRAM_HEADER_INCLUDED])
        return send_with_header(datagram, &packet, iov, count, length);
    if (length > UINT16_MAX - (datagram->family == AF_INET6 ? IP6_SIZE : IP4_SIZE))
        return -EMSGSIZE;
    packet.iov = iov;
    packet.count = count;
    packet.length = length;
    if (datagram->family == AF_INET6 && checksum_at >= 0) {
        if ((size_t)checksum_at + 2 > length || (size_t)checksum_at + 2 > sizeof header)
            return -EINVAL;
        packet.checksum_at = checksum_at;
        packet.header_size = (size_t)checksum_at + 2;
        packet.header = header;
        packet.count = datagram_send_split(iov, count, header, packet.header_size, rest);
        packet.iov = rest;
        packet.length = length - packet.header_size;
    }
    return datagram_send_packet(datagram, &packet, 0);
}
