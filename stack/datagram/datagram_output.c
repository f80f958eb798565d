/*
 * datagram_output.c - IP packets around what a socket sends.
 *
 * The packet is one chain: the headers in memory of our own, then the program's bytes where they lie. Nothing is
 * allocated: the wire takes the frame within the call; whoever must keep a packet (the loopback, a neighbour that is
 * not resolved yet) copies it, which the memory's type tells lwIP. lwIP is given the IP header ready made, so that
 * identification and DF are Linux's.
 *
 * The checksum of UDP is left to the wire when it can (gather.c), when the packet leaves in one piece; on the loopback
 * there is none. (UDP-Lite's is always there: datagram_lite.c.) A train of datagrams may be left whole to the wire as
 * well. A packet to a group or a broadcast address is heard on this host, too, as if it had come in by the wire.
 */
#include <errno.h>
#include <string.h>

#include "datagram_packet.h"
#include "stack/wire/gather.h"
#include "stack/ip/interface.h"
#include "stack/wire/loop_netif.h"
#include "stack/port.h"
#include "stack/wire/wire_netif.h"

#define HEADROOM 32 /* for the Ethernet header, and lwIP's alignment */

static struct {
    struct pbuf_custom custom; /* first: lwIP's pbuf */
    _Alignas(8) uint8_t bytes[HEADROOM + IP6_SIZE + DATAGRAM_HEADER_MAX];
} head;
static struct pbuf pieces[STACK_DATAGRAM_IOV];

/* lwIP let go of the headers, which it never held. */
static void head_free(struct pbuf *p)
{
    (void)p;
    LWIP_ASSERT("nobody keeps a packet that is to be copied", 0);
}

/* Chain header and payload. Return: the packet, from its transport header on. */
static struct pbuf *make_chain(const struct datagram_packet *packet)
{
    struct pbuf *first = &head.custom.pbuf;
    struct pbuf *last = first;
    size_t left = packet->length;

    head.custom.custom_free_function = head_free;
    pbuf_alloced_custom(PBUF_RAW, 0, PBUF_RAM, &head.custom, head.bytes, sizeof head.bytes);
    /* The headers are in the structure's own memory, so that lwIP can prepend to them, but not to be kept. */
    first->type_internal |= PBUF_TYPE_FLAG_DATA_VOLATILE;
    first->payload = head.bytes + HEADROOM + IP6_SIZE;
    first->len = (u16_t)packet->header_size;
    first->tot_len = (u16_t)(packet->header_size + left);
    if (packet->header_size > 0)
        memcpy(first->payload, packet->header, packet->header_size);
    for (int i = 0; i < packet->count && left > 0; i++) {
        struct pbuf *p = &pieces[i];
        size_t n = packet->iov[i].iov_len < left ? packet->iov[i].iov_len : left;

        if (n == 0)
            continue;
        memset(p, 0, sizeof *p);
        p->payload = packet->iov[i].iov_base;
        p->type_internal = PBUF_REF;
        p->ref = 1;
        p->len = (u16_t)n;
        p->tot_len = (u16_t)left;
        last->next = p;
        last = p;
        left -= n;
    }
    return first;
}

/* Fill in the transport checksum, or leave it to the wire. */
static void put_checksum(const struct datagram_packet *packet, struct pbuf *p, bool whole)
{
    const struct datagram_route *route = packet->route;
    uint8_t *at = (uint8_t *)p->payload + packet->checksum_at;
    u16_t sum;

    at[0] = at[1] = 0;
    if (packet->protocol == IPPROTO_ICMP) {
        sum = inet_chksum_pbuf(p);
        memcpy(at, &sum, sizeof sum);
        return;
    }
    if (route->netif == loop_netif() && packet->protocol == IPPROTO_UDP)
        return;
    if (whole && packet->protocol == IPPROTO_UDP && wire_netif_completes_checksums()) {
        p->flags |= GATHER_COMPLETE_CHECKSUM;
        return;
    }
    sum = packet->coverage != 0
              ? datagram_lite_checksum(p, packet->coverage, route)
              : ip_chksum_pseudo(p, packet->protocol, p->tot_len, &route->source, &route->destination);
    if (sum == 0 && (packet->protocol == IPPROTO_UDP || packet->coverage != 0))
        sum = 0xffff; /* 0 would mean that there is none */
    memcpy(at, &sum, sizeof sum);
}

/* Return: what tells the fragments of one packet from those of another, the first of count such numbers. */
static uint16_t next_identification(size_t count)
{
    static uint16_t next;
    uint16_t first;

    if (next == 0)
        next = (uint16_t)port_random();
    first = next;
    next = (uint16_t)(next + count);
    return first;
}

void datagram_output_complete_header(const struct datagram_route *route, uint8_t *ip, size_t length)
{
    uint16_t total = htons((uint16_t)length), identification;

    memcpy(ip + 2, &total, sizeof total);
    if (ip[4] == 0 && ip[5] == 0) {
        identification = htons(next_identification(1));
        memcpy(ip + 4, &identification, sizeof identification);
    }
    if (memcmp(ip + 12, (uint8_t[4]){0}, 4) == 0)
        memcpy(ip + 12, &ip_2_ip4(&route->source)->addr, 4);
}

/* Put the IPv4 header in front. */
static void put_ip4_header(const struct datagram_packet *packet, struct pbuf *p, uint16_t mtu)
{
    struct ip_hdr *ip;
    size_t datagrams = packet->segment != 0 ? (packet->length + packet->segment - 1u) / packet->segment : 1;
    bool dont_fragment;

    pbuf_add_header(p, IP4_SIZE);
    dont_fragment = packet->mtu_discover == IP_PMTUDISC_DO || packet->mtu_discover == IP_PMTUDISC_PROBE ||
                    (packet->mtu_discover == IP_PMTUDISC_WANT && p->tot_len <= mtu);
    ip = p->payload;
    memset(ip, 0, sizeof *ip);
    IPH_VHL_SET(ip, 4, IP4_SIZE / 4);
    IPH_TOS_SET(ip, packet->tos);
    IPH_LEN_SET(ip, htons(p->tot_len));
    IPH_ID_SET(ip, htons(next_identification(datagrams))); /* the wire gives each the next */
    IPH_OFFSET_SET(ip, dont_fragment ? PP_HTONS(IP_DF) : 0);
    IPH_TTL_SET(ip, packet->ttl);
    IPH_PROTO_SET(ip, packet->protocol);
    ip->src.addr = ip_2_ip4(&packet->route->source)->addr;
    ip->dest.addr = ip_2_ip4(&packet->route->destination)->addr;
}

/* Put the IPv6 header in front. */
static void put_ip6_header(const struct datagram_packet *packet, struct pbuf *p)
{
    u16_t length = p->tot_len;
    struct ip6_hdr *ip;

    pbuf_add_header(p, IP6_SIZE);
    ip = p->payload;
    IP6H_VTCFL_SET(ip, 6, packet->tos, 0);
    IP6H_PLEN_SET(ip, length);
    IP6H_NEXTH_SET(ip, packet->protocol);
    IP6H_HOPLIM_SET(ip, packet->ttl);
    ip6_addr_copy_to_packed(ip->src, *ip_2_ip6(&packet->route->source));
    ip6_addr_copy_to_packed(ip->dest, *ip_2_ip6(&packet->route->destination));
}

/* Give the packet to lwIP, to be cut by this MTU. */
static err_t output_ip4(const struct datagram_route *route, struct pbuf *p, uint16_t mtu)
{
    uint16_t link_mtu = route->netif->mtu;
    err_t error;

    route->netif->mtu = mtu;
    error = ip4_output_if_src(p, NULL, LWIP_IP_HDRINCL, 0, 0, 0, route->netif);
    route->netif->mtu = link_mtu;
    return error;
}

static err_t output_ip6(const struct datagram_route *route, struct pbuf *p, uint16_t mtu)
{
    if (p->tot_len <= mtu)
        return route->netif->output_ip6(route->netif, p, ip_2_ip6(&route->destination));
    return ip6_frag(p, route->netif, ip_2_ip6(&route->destination));
}

/* Return: the errno that lwIP's answer stands for. */
static int error_of(err_t error)
{
    switch (error) {
    case ERR_OK:
        return 0;
    case ERR_RTE:
        return -EHOSTUNREACH;
    default:
        return -ENOBUFS;
    }
}

int datagram_output_send(const struct datagram_packet *packet)
{
    const struct datagram_route *route = packet->route;
    bool is_ip6 = IP_IS_V6_VAL(route->destination);
    size_t ip_size = packet->header_included ? 0 : is_ip6 ? IP6_SIZE : IP4_SIZE;
    size_t size = ip_size + packet->header_size + packet->length;
    uint16_t mtu = datagram_route_mtu(route);
    struct pbuf *p;
    err_t error;

    if (route->netif == NULL)
        return 0;
    if (packet->segment != 0)
        mtu = UINT16_MAX; /* the sender has seen to it that each piece fits */
    else if (packet->mtu_discover != IP_PMTUDISC_DO && packet->mtu_discover != IP_PMTUDISC_WANT &&
             (!is_ip6 || size <= route->netif->mtu))
        mtu = route->netif->mtu;
    if (size > mtu && (packet->mtu_discover == IP_PMTUDISC_DO || packet->mtu_discover == IP_PMTUDISC_PROBE ||
                       packet->mtu_discover == IP_PMTUDISC_INTERFACE))
        return -EMSGSIZE;
    p = make_chain(packet);
    if (packet->checksum_at >= 0)
        put_checksum(packet, p, size <= mtu);
    if (ip_size == IP6_SIZE)
        put_ip6_header(packet, p);
    else if (ip_size == IP4_SIZE)
        put_ip4_header(packet, p, mtu);
    if (route->broadcast || (route->multicast && packet->loop && route->netif != loop_netif() &&
                             datagram_multicast_has_members(STACK_INTERFACE_WIRE, &route->destination)))
        loop_output_from_wire(p);
    if (route->multicast && packet->ttl == 0)
        return 0; /* for this host only */
    gather_set_train(packet->segment);
    error = is_ip6 ? output_ip6(route, p, mtu) : output_ip4(route, p, mtu);
    gather_set_train(0);
    LWIP_ASSERT("the packet was kept", head.custom.pbuf.ref == 1);
    return error_of(error);
}
