/*
 * datagram_output.c - IP packets around what a socket sends.
 *
 * The packet is one chain: the headers in memory of our own, then the program's bytes where they lie. Nothing is
 * allocated: the wire takes the frame within the call; whoever must keep a packet (the loopback, a neighbour that is not
 * resolved yet) copies it, which the memory's type tells lwIP. lwIP is given the IP header ready made, so that
 * identification and DF are Linux's.
 *
 * The checksum is left to the wire when it can (gather.c), when the packet leaves in one piece; on the loopback there is
 * none. A packet to a group or a broadcast address is heard on this host, too, as if it had come in by the wire.
 */
#include <errno.h>
#include <string.h>

#include "datagram_socket.h"
#include "gather.h"
#include "loop_netif.h"
#include "port.h"
#include "wire_netif.h"

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
    if (route->netif == loop_netif())
        return;
    if (whole && packet->protocol == IPPROTO_UDP && wire_netif_completes_checksums()) {
        p->flags |= GATHER_COMPLETE_CHECKSUM;
        return;
    }
    sum = ip_chksum_pseudo(p, packet->protocol, p->tot_len, &route->source, &route->destination);
    if (sum == 0 && packet->protocol == IPPROTO_UDP)
        sum = 0xffff; /* 0 would mean that there is none */
    memcpy(at, &sum, sizeof sum);
}

/* Put the IPv4 header in front. */
static void put_ip4_header(const struct datagram_packet *packet, struct pbuf *p, uint16_t mtu)
{
    static uint16_t identification;
    struct ip_hdr *ip;
    bool dont_fragment;

    pbuf_add_header(p, IP4_SIZE);
    dont_fragment = packet->mtu_discover == IP_PMTUDISC_DO || packet->mtu_discover == IP_PMTUDISC_PROBE ||
                    (packet->mtu_discover == IP_PMTUDISC_WANT && p->tot_len <= mtu);
    ip = p->payload;
    memset(ip, 0, sizeof *ip);
    IPH_VHL_SET(ip, 4, IP4_SIZE / 4);
    IPH_TOS_SET(ip, packet->tos);
    IPH_LEN_SET(ip, htons(p->tot_len));
    if (identification == 0)
        identification = (uint16_t)port_random();
    IPH_ID_SET(ip, htons(identification));
    identification++;
    IPH_OFFSET_SET(ip, dont_fragment ? PP_HTONS(IP_DF) : 0);
    IPH_TTL_SET(ip, packet->ttl);
    IPH_PROTO_SET(ip, packet->protocol);
    ip->src.addr = ip_2_ip4(&packet->route->source)->addr;
    ip->dest.addr = ip_2_ip4(&packet->route->destination)->addr;
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
    uint16_t link_mtu = route->netif->mtu;
    uint16_t mtu = link_mtu;
    size_t size = IP4_SIZE + packet->header_size + packet->length;
    struct pbuf *p;
    err_t error;

    if (packet->mtu_discover == IP_PMTUDISC_DO || packet->mtu_discover == IP_PMTUDISC_WANT)
        mtu = datagram_route_mtu(route);
    if (size > mtu && (packet->mtu_discover == IP_PMTUDISC_DO || packet->mtu_discover == IP_PMTUDISC_PROBE ||
                       packet->mtu_discover == IP_PMTUDISC_INTERFACE))
        return -EMSGSIZE;
    p = make_chain(packet);
    if (packet->checksum_at >= 0)
        put_checksum(packet, p, size <= mtu);
    put_ip4_header(packet, p, mtu);
    if (route->broadcast || (route->multicast && packet->loop))
        loop_output_from_wire(p);
    if (route->multicast && packet->ttl == 0)
        return 0; /* for this host only */
    route->netif->mtu = mtu; /* for lwIP to cut it by */
    error = ip4_output_if_src(p, NULL, LWIP_IP_HDRINCL, 0, 0, 0, route->netif);
    route->netif->mtu = link_mtu;
    LWIP_ASSERT("the packet was kept", head.custom.pbuf.ref == 1);
    return error_of(error);
}
