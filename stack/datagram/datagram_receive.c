/*
 * datagram_receive.c - packets for datagram sockets, taken from lwIP's IP layer.
 *
 * This stands in for lwIP's raw.c: ip4_input() and ip6_input() call raw_input() with each packet for this host,
 * reassembled, before they look at its protocol. What is UDP or UDP-Lite ends here; what nobody here wants goes to
 * lwIP's udp.c if one of its own control blocks (DHCP) listens there, and is answered with port unreachable otherwise.
 *
 * Nothing in a packet is believed before it was compared with what lwIP knows of it. The checksum is verified unless
 * the frame is known to be good (wire_netif.c) or came by the loopback.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "lwip/priv/raw_priv.h"

#include "stack/block.h"
#include "datagram_packet.h"
#include "stack/ip/interface.h"
#include "stack/ip/neighbour_filter.h"
#include "stack/ip/router_advert.h"
#include "stack/tcp/tcp_lookup.h"

#define IOV_MAX_RECEIVED 128 /* pieces; a packet of more is copied into one */

struct datagram_counters datagram_counters;

void datagram_receive_open(void)
{
    datagram_counters = (struct datagram_counters){0};
}

/* Hand on what lies offset bytes after the start of p. */
static void hand_over(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct pbuf *p,
                      size_t offset)
{
    struct iovec iov[IOV_MAX_RECEIVED];
    size_t length = p->tot_len - offset;
    const struct pbuf *whole = p;
    size_t skip = offset;
    void *copy = NULL;
    int count = 0;

    for (; p != NULL; p = p->next) {
        size_t cut = skip < p->len ? skip : p->len;

        skip -= cut;
        if (cut == p->len)
            continue;
        if (count == IOV_MAX_RECEIVED)
            break;
        iov[count++] = (struct iovec){(uint8_t *)p->payload + cut, p->len - cut};
    }
    if (p != NULL) {
        copy = block_get(BLOCK_LARGE);
        if (copy == NULL) {
            datagram_counters.dropped++;
            return;
        }
        pbuf_copy_partial(whole, copy, (u16_t)length, (u16_t)offset);
        iov[0] = (struct iovec){copy, length};
        count = 1;
    }
    datagram->traffic.datagrams_in++;
    datagram->traffic.bytes_in += length;
    if (datagram->events->received(datagram->owner, info, iov, count, length))
        datagram_counters.in++;
    else
        datagram_counters.dropped++;
    if (copy != NULL)
        block_put(BLOCK_LARGE, copy);
}

void stack_datagram_count_lost(void)
{
    datagram_counters.in--;
    datagram_counters.dropped++;
}

void datagram_receive_deliver(struct stack_datagram *datagram, const struct pbuf *p, size_t offset, uint16_t peer_port,
                              struct netif *input)
{
    struct stack_datagram_info info = {.interface = netif_get_index(input)};
    struct timespec now;

    if (datagram->events == NULL || datagram->events->received == NULL)
        return;
    if (info.interface == STACK_INTERFACE_LOOP && !ip_addr_isloopback(ip_current_dest_addr()) &&
        !ip_addr_ismulticast(ip_current_dest_addr()))
        info.interface = STACK_INTERFACE_WIRE; /* Linux: whose address it is, though it came by the loopback */
    clock_gettime(CLOCK_REALTIME, &now);
    info.received_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    sockaddr_write(ip_current_src_addr(), peer_port, datagram->family, &info.peer);
    sockaddr_write(ip_current_dest_addr(), datagram->local_port, datagram->family, &info.local);
    if (ip_current_is_v6()) {
        info.ttl = IP6H_HOPLIM(ip6_current_header());
        info.tos = IP6H_TC(ip6_current_header());
    } else {
        info.ttl = IPH_TTL(ip4_current_header());
        info.tos = IPH_TOS(ip4_current_header());
    }
    hand_over(datagram, &info, p, offset);
}

/* Does lwIP itself listen there? */
static bool is_lwip_port(uint16_t port)
{
    for (const struct udp_pcb *pcb = udp_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->local_port == port)
            return true;
    return false;
}

/* Is the UDP packet whole? Cuts off what its header does not claim. Return: false when it must be dropped. */
static bool udp_is_sound(struct pbuf *p, size_t offset, struct udp_hdr *header, struct netif *input)
{
    size_t size = p->tot_len - offset;
    size_t claimed;
    bool good = true;

    if (pbuf_copy_partial(p, header, UDP_SIZE, (u16_t)offset) != UDP_SIZE)
        return false;
    claimed = ntohs(header->len);
    if (claimed == 0 && ip_current_is_v6())
        claimed = size; /* RFC 2675 4 */
    if (claimed < UDP_SIZE || claimed > size)
        return false;
    if (claimed < size)
        pbuf_realloc(p, (u16_t)(offset + claimed));
    IF__NETIF_CHECKSUM_ENABLED(input, NETIF_CHECKSUM_CHECK_UDP) {
        if (header->chksum == 0) {
            good = !ip_current_is_v6(); /* RFC 768: none was computed; RFC 8200 8.1: there must be one */
        } else {
            pbuf_remove_header(p, offset);
            good = ip_chksum_pseudo(p, IP_PROTO_UDP, (u16_t)claimed, ip_current_src_addr(),
                                    ip_current_dest_addr()) == 0;
            pbuf_add_header_force(p, offset);
        }
    }
    return good;
}

/* Hand a packet to a socket, unless that asks for more of a checksum than there is. */
static void deliver_udp(struct stack_datagram *datagram, const struct pbuf *p, size_t offset,
                        const struct udp_hdr *header, struct netif *input)
{
    if (datagram->kind == STACK_DATAGRAM_UDP_LITE && !datagram_lite_suffices(datagram, header, p->tot_len - offset))
        datagram_counters.dropped++;
    else
        datagram_receive_deliver(datagram, p, offset + UDP_SIZE, ntohs(header->src), input);
}

/* A packet of UDP or UDP-Lite. Return: was it taken? */
static bool udp_input_packet(struct pbuf *p, size_t offset, enum stack_datagram_kind kind, struct netif *input)
{
    struct udp_hdr header;
    struct datagram_tuple tuple = {.local = ip_current_dest_addr(), .peer = ip_current_src_addr(),
                                   .interface = netif_get_index(input)};
    struct stack_datagram *found;
    bool to_many = ip_addr_ismulticast(tuple.local) || ip_addr_isbroadcast(tuple.local, input);
    bool is_sound = kind == STACK_DATAGRAM_UDP ? udp_is_sound(p, offset, &header, input)
                                               : datagram_lite_is_sound(p, offset, &header);

    if (!is_sound) {
        datagram_counters.malformed++;
        pbuf_free(p);
        return true;
    }
    tuple.local_port = ntohs(header.dest);
    tuple.peer_port = ntohs(header.src);
    if (kind == STACK_DATAGRAM_UDP && is_lwip_port(tuple.local_port)) {
        if (p->next == NULL || ip_current_is_v6())
            return false;
        /* In one of several pieces dhcp.c reads behind them (dhcp_parse_reply()); nobody sends such. */
        datagram_counters.malformed++;
        pbuf_free(p);
        return true;
    }
    if (to_many) {
        for (found = datagram_table_first(kind, &tuple); found != NULL;) {
            struct stack_datagram *next = datagram_table_next(kind, found, &tuple);

            deliver_udp(found, p, offset, &header, input);
            found = next;
        }
    } else {
        while ((found = datagram_table_find(kind, &tuple)) != NULL) {
            datagram_has_left = false;
            deliver_udp(found, p, offset, &header, input);
            if (!datagram_has_left) /* it may be no more */
                break;
        }
        if (found == NULL) {
            datagram_counters.no_port++;
            datagram_error_refuse(p);
        }
    }
    pbuf_free(p);
    return true;
}

/* Return: the protocol behind the IP header and, on IPv6, its extension headers, which lwIP has gone through. */
static u8_t current_protocol(const struct pbuf *p)
{
    size_t offset = IP6_SIZE;
    u8_t protocol;

    if (!ip_current_is_v6())
        return IPH_PROTO(ip4_current_header());
    for (protocol = IP6H_NEXTH(ip6_current_header()); offset < ip_current_header_tot_len();) {
        size_t size = protocol == IP6_NEXTH_FRAGMENT ? 8 : (size_t)(pbuf_get_at(p, (u16_t)(offset + 1)) + 1) * 8;

        protocol = pbuf_get_at(p, (u16_t)offset);
        offset += size;
    }
    return protocol;
}

/* Is it a ping to a group of IPv4? Linux answers none (net.ipv4.icmp_echo_ignore_broadcasts), and lwIP would. */
static bool is_ping_to_many(const struct pbuf *p, size_t offset, u8_t protocol)
{
    return protocol == IP_PROTO_ICMP && !ip_current_is_v6() && ip4_addr_ismulticast(ip4_current_dest_addr()) &&
           pbuf_get_at(p, (u16_t)offset) == ICMP_ECHO;
}

/* lwIP's IP layer has a packet for this host, p at its IP header. */
raw_input_state_t raw_input(struct pbuf *p, struct netif *input)
{
    size_t offset = ip_current_header_tot_len();
    u8_t protocol;
    bool heard;

    if (offset > p->tot_len) { /* lwIP has miscounted; see fragment.c */
        pbuf_free(p);
        return RAW_INPUT_EATEN;
    }
    protocol = current_protocol(p);
    heard = datagram_raw_input(p, offset, protocol, input);
    if (protocol == IP_PROTO_TCP)
        tcp_lookup_place(p, offset);
    if (protocol == IP_PROTO_UDP && udp_input_packet(p, offset, STACK_DATAGRAM_UDP, input))
        return RAW_INPUT_EATEN;
    if (protocol == IP_PROTO_UDPLITE && udp_input_packet(p, offset, STACK_DATAGRAM_UDP_LITE, input))
        return RAW_INPUT_EATEN;
    if (protocol == (ip_current_is_v6() ? IP6_NEXTH_ICMP6 : IP_PROTO_ICMP)) {
        datagram_error_input(p, offset, input);
        datagram_ping_input(p, offset, input);
        if (ip_current_is_v6() && (!neighbour_filter_passes(p, offset) || !router_advert_input(p, offset, input))) {
            pbuf_free(p);
            return RAW_INPUT_EATEN;
        }
    }
    if (is_ping_to_many(p, offset, protocol)) {
        pbuf_free(p);
        return RAW_INPUT_EATEN;
    }
    return heard ? RAW_INPUT_DELIVERED : RAW_INPUT_NONE;
}

/* lwIP: an interface has another address. Sockets keep theirs, as on Linux. */
void raw_netif_ip_addr_changed(const ip_addr_t *old, const ip_addr_t *new)
{
    (void)old;
    (void)new;
}
