/* datagram_send.c - what a program sends becomes packets; here those of UDP and UDP-Lite: Linux's udp_sendmsg(). */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"
#include "stack/ip/interface.h"
#include "stack/wire/wire_netif.h"

#define TRAIN_MAX 128    /* datagrams; Linux: UDP_MAX_SEGMENTS */
#define PACKET_MAX 65535 /* of IP packet; for IPv6, too, because lwIP counts its header in 16 bits */

/* Where to? Return: 0 or -errno. */
static int choose_destination(const struct stack_datagram *datagram, const struct stack_datagram_info *info,
                              ip_addr_t *ip, uint16_t *port)
{
    int error;

    if (info == NULL || info->peer.sa.sa_family == AF_UNSPEC) {
        if (!datagram->connected)
            return -EDESTADDRREQ;
        *ip = datagram->peer;
        *port = datagram->peer_port;
        return 0;
    }
    if (datagram->family == AF_INET && info->peer.sa.sa_family != AF_INET)
        return -EAFNOSUPPORT;
    error = sockaddr_read(&info->peer, ip);
    if (error < 0)
        return error == -ENODEV ? -ENETUNREACH : error;
    *port = sockaddr_port(&info->peer);
    if (*port == 0 && stack_datagram_kind_is_udp(datagram->kind))
        return -EINVAL;
    return IP_IS_V4(ip) && !datagram_takes_ip4(datagram) ? -ENETUNREACH : 0;
}

int datagram_send_source(const struct stack_datagram *datagram, const struct stack_datagram_info *info, bool is_ip6,
                         ip_addr_t *source)
{
    if (info != NULL && info->local.sa.sa_family != AF_UNSPEC) {
        int error = sockaddr_read(&info->local, source);

        if (error < 0 || !ip_addr_isany(source))
            return error;
    }
    ip_addr_set_any(is_ip6, source);
    if (is_ip6 && IP_IS_V4_VAL(datagram->source))
        return -EAFNOSUPPORT; /* bound to a v4-mapped address */
    if (IP_IS_V6_VAL(datagram->source) == is_ip6)
        *source = datagram->source;
    return 0;
}

void datagram_send_prepare(const struct stack_datagram *datagram, const struct stack_datagram_info *info,
                           const struct datagram_route *route, struct datagram_packet *packet)
{
    const int *options = datagram->options;
    bool is_ip6 = IP_IS_V6_VAL(route->destination);

    *packet = (struct datagram_packet){.route = route, .protocol = datagram->protocol, .checksum_at = -1};
    packet->tos = (uint8_t)options[is_ip6 ? STACK_DATAGRAM_TRAFFIC_CLASS : STACK_DATAGRAM_TOS];
    packet->mtu_discover = options[is_ip6 ? STACK_DATAGRAM_MTU_DISCOVER6 : STACK_DATAGRAM_MTU_DISCOVER];
    packet->loop = options[is_ip6 ? STACK_DATAGRAM_MULTICAST_LOOP6 : STACK_DATAGRAM_MULTICAST_LOOP];
    if (route->multicast)
        packet->ttl = (uint8_t)options[is_ip6 ? STACK_DATAGRAM_MULTICAST_HOPS : STACK_DATAGRAM_MULTICAST_TTL];
    else
        packet->ttl = (uint8_t)options[is_ip6 ? STACK_DATAGRAM_HOP_LIMIT : STACK_DATAGRAM_TTL];
    if (info == NULL)
        return;
    if (info->ttl >= 0)
        packet->ttl = (uint8_t)info->ttl;
    if (info->tos >= 0)
        packet->tos = (uint8_t)info->tos;
}

int datagram_send_route(struct stack_datagram *datagram, const struct stack_datagram_info *info,
                        struct datagram_route *route, uint16_t *port)
{
    unsigned interface = info != NULL ? info->interface : 0;
    ip_addr_t destination, source;
    int error = datagram_bind_by_itself(datagram);

    if (error < 0)
        return error;
    error = choose_destination(datagram, info, &destination, port);
    if (error < 0)
        return error;
    error = datagram_send_source(datagram, info, IP_IS_V6_VAL(destination), &source);
    if (error < 0)
        return error;
    if (interface == 0 && IP_IS_V6_VAL(destination))
        interface = ip6_addr_zone(ip_2_ip6(&destination));
    if (interface == 0 && ip_addr_ismulticast(&destination))
        interface = (unsigned)datagram->options[IP_IS_V6_VAL(destination) ? STACK_DATAGRAM_MULTICAST_INTERFACE6
                                                                          : STACK_DATAGRAM_MULTICAST_INTERFACE];
    if (interface > STACK_INTERFACE_COUNT)
        return -ENODEV;
    error = datagram_route_find(datagram, &destination, &source, interface, route);
    if (error < 0)
        return error;
    return route->broadcast && !datagram->options[STACK_DATAGRAM_BROADCAST] ? -EACCES : 0;
}

int datagram_send_packet(struct stack_datagram *datagram, const struct datagram_packet *packet, uint16_t port)
{
    int error = datagram_output_send(packet);

    if (error == 0)
        datagram_counters.out++;
    else if (error == -EMSGSIZE)
        datagram_error_local(datagram, &packet->route->destination, port, datagram_route_mtu(packet->route));
    return error;
}

int datagram_send_split(const struct iovec *iov, int count, uint8_t *header, size_t size,
                        struct iovec rest[STACK_DATAGRAM_IOV])
{
    size_t at = 0;
    int pieces = 0;

    for (int i = 0; i < count; i++) {
        size_t n = iov[i].iov_len < size - at ? iov[i].iov_len : size - at;

        memcpy(header + at, iov[i].iov_base, n);
        at += n;
        if (n < iov[i].iov_len)
            rest[pieces++] = (struct iovec){(uint8_t *)iov[i].iov_base + n, iov[i].iov_len - n};
    }
    return pieces;
}

/* Send one datagram with its UDP header. */
static int send_one(struct stack_datagram *datagram, struct datagram_packet *packet, uint16_t port)
{
    uint16_t length = (uint16_t)(UDP_SIZE + packet->length);
    uint16_t header[UDP_SIZE / 2] = {htons(datagram->local_port), htons(port), htons(length), 0};
    bool is_lite = datagram->kind == STACK_DATAGRAM_UDP_LITE;
    bool no_checksum = datagram->options[STACK_DATAGRAM_NO_CHECK] && !is_lite &&
                       IP_IS_V4_VAL(packet->route->destination);

    if (is_lite)
        header[2] = htons(datagram_lite_cover(datagram, packet, length));

    packet->header = (const uint8_t *)header;
    packet->header_size = sizeof header;
    packet->checksum_at = no_checksum ? -1 : 6;
    return datagram_send_packet(datagram, packet, port);
}

/* May this train go? Linux: udp_send_skb(). Return: 0 or -errno. */
static int check_train(const struct stack_datagram *datagram, const struct datagram_packet *train, size_t segment)
{
    size_t headers = UDP_SIZE + (IP_IS_V6_VAL(train->route->destination) ? IP6_SIZE : IP4_SIZE);

    if (headers + segment > datagram_route_mtu(train->route))
        return -EMSGSIZE;
    if (train->length > segment * TRAIN_MAX || datagram->options[STACK_DATAGRAM_NO_CHECK])
        return -EINVAL;
    return 0;
}

/* Leave the cutting to the wire. */
static int send_whole_train(struct stack_datagram *datagram, struct datagram_packet *train, uint16_t port,
                            uint16_t segment)
{
    int error;

    train->segment = segment;
    error = send_one(datagram, train, port);
    if (error == 0)
        datagram_counters.out += (train->length - 1) / segment; /* one was counted */
    return error;
}

/* Cut a train into datagrams of segment bytes each. */
static int send_train(struct stack_datagram *datagram, const struct datagram_packet *train, uint16_t port,
                      size_t segment)
{
    struct iovec pieces[STACK_DATAGRAM_IOV];
    struct datagram_packet packet = *train;
    const struct iovec *from = train->iov;
    size_t used = 0; /* of *from */

    packet.iov = pieces;
    for (size_t left = train->length; left > 0; left -= packet.length) {
        size_t room = left < segment ? left : segment;
        int error;

        packet.length = room;
        for (packet.count = 0; room > 0; packet.count++) {
            size_t n = from->iov_len - used < room ? from->iov_len - used : room;

            pieces[packet.count] = (struct iovec){(uint8_t *)from->iov_base + used, n};
            room -= n;
            used += n;
            if (used == from->iov_len) {
                from++;
                used = 0;
            }
        }
        error = send_one(datagram, &packet, port);
        if (error < 0)
            return error;
    }
    return 0;
}

/* stack_datagram_send() of a UDP or UDP-Lite socket. */
static int udp_send_train(struct stack_datagram *datagram, const struct stack_datagram_info *info,
                          const struct iovec *iov, int count, size_t length)
{
    size_t segment = info != NULL && info->segment != 0 ? info->segment
                                                        : (size_t)datagram->options[STACK_DATAGRAM_SEGMENT];
    struct datagram_packet packet;
    struct datagram_route route;
    bool is_train;
    size_t headers;
    uint16_t port;
    int error = datagram_send_route(datagram, info, &route, &port);

    if (error < 0)
        return error;
    headers = UDP_SIZE + (IP_IS_V6_VAL(route.destination) ? IP6_SIZE : IP4_SIZE);
    is_train = segment != 0 && length > segment;
    if (length > PACKET_MAX - (is_train ? UDP_SIZE : headers))
        return -EMSGSIZE;
    if (segment != 0 && datagram->kind == STACK_DATAGRAM_UDP_LITE)
        return -EIO; /* as on Linux */
    datagram_send_prepare(datagram, info, &route, &packet);
    packet.iov = iov;
    packet.count = count;
    packet.length = length;
    if (!is_train)
        return send_one(datagram, &packet, port);
    error = check_train(datagram, &packet, segment);
    if (error < 0)
        return error;
    if (route.netif == wire_netif_get() && !route.multicast && !route.broadcast && headers + length <= PACKET_MAX &&
        wire_netif_takes_trains(&route.destination))
        return send_whole_train(datagram, &packet, port, (uint16_t)segment);
    return send_train(datagram, &packet, port, segment);
}

int stack_datagram_send(struct stack_datagram *datagram, const struct stack_datagram_info *info,
                        const struct iovec *iov, int count, size_t length)
{
    if (count > STACK_DATAGRAM_IOV)
        return -EMSGSIZE;
    datagram->traffic.datagrams_out++;
    datagram->traffic.bytes_out += length;
    switch (datagram->kind) {
    case STACK_DATAGRAM_UDP:
    case STACK_DATAGRAM_UDP_LITE:
        return udp_send_train(datagram, info, iov, count, length);
    case STACK_DATAGRAM_PING:
        return datagram_ping_send(datagram, info, iov, count, length);
    case STACK_DATAGRAM_RAW:
        return datagram_raw_send(datagram, info, iov, count, length);
    }
    return -EINVAL;
}
