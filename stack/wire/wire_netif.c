/*
 * wire_netif.c - Ethernet frames between a wire and lwIP.
 *
 * Receiving. One read takes the frame into a small block (a whole frame of MTU 1500) and, if it is a super-segment, on
 * into medium ones; blocks that the frame did not reach serve the next read. The Ethernet header is taken off here, so
 * an IP packet of 65 535 bytes fits lwIP's 16-bit lengths. Nothing in a frame is believed before it was compared with
 * the number of bytes that were read; what is left (IP, TCP) lwIP checks the same way.
 *
 * Checksums. The virtio header says for each frame whether its TCP checksum is known good (DATA_VALID), or not
 * computed because it never left this machine (NEEDS_CSUM); then lwIP is told not to verify it. The IP header's is
 * always verified.
 *
 * Sending. lwIP gives segments to gather.c, but for one case: while a neighbour's address is unknown, ARP queues the
 * packet, and the send queue's memory behind it may be released meanwhile (an acknowledgement of an earlier copy); so
 * ARP gets a copy.
 *
 * Addresses. lwIP knows one for each netif, and accepts packets and answers ARP requests for that one. So while it
 * processes a packet that is for one of ours (address.c), the netif's address is that one, and at all other times the
 * first. The netmask is all ones, so that lwIP finds neither networks nor broadcast addresses by itself (but while a
 * network's broadcast is processed) and takes every destination for one behind the gateway it asks us for: routes are
 * route.c's.
 */
#include "wire_netif.h"

#include <errno.h>
#include <string.h>

#include "lwip/prot/iana.h"
#include "lwip/prot/udp.h"
#include "netif/ethernet.h"

#include "stack/ip/dhcp_client.h"
#include "gather.h"
#include "stack/ip/icmp_error.h"
#include "loop_netif.h"
#include "stack/ip/route.h"
#include "stack/tcp/tcp_socket.h"
#include "wire_netif6.h"
#include "stack/tick.h"

#define ETHERNET_SIZE 14
#define FRAME_OFFSET 2  /* in the first block: puts the IP header on a multiple of 4 */
#define BLOCKS_MAX 5    /* 1 small and 4 medium ones: 14 + 65 535 bytes and some */
#define IP_PACKET_MAX 65535

struct wire_netif_counters wire_netif_counters;

static struct netif netif;
static struct wire *wire;                               /* borrowed; the stack's */
static struct receive_block *waiting_blocks[BLOCKS_MAX]; /* owned; for the next read */

struct netif *wire_netif_get(void)
{
    return &netif;
}

/* Have lwIP take this for our address and mask. */
static void assume(const ip4_addr_t *address, u32_t mask)
{
    ip4_addr_copy(*ip_2_ip4(&netif.ip_addr), *address);
    ip_2_ip4(&netif.netmask)->addr = mask;
}

void wire_netif_assume(const struct own_address *own)
{
    assume(own != NULL ? &own->address : IP4_ADDR_ANY4, IPADDR_NONE);
}

/* The same for one of our addresses; NULL: the first, if there is one. */
static void assume_own(const struct own_address *own)
{
    wire_netif_assume(own != NULL ? own : address_at(0));
}

struct netif *wire_netif_route(const ip4_addr_t *source, const ip4_addr_t *destination)
{
    (void)source;
    return loop_is_local(destination) ? loop_netif() : &netif;
}

/* etharp_output() was given the next hop already. */
const ip4_addr_t *wire_netif_gateway(struct netif *from, const ip4_addr_t *next_hop)
{
    (void)from;
    return next_hop;
}

bool wire_netif_is_resolved(const ip4_addr_t *next_hop)
{
    struct eth_addr *ethernet;
    const ip4_addr_t *found;

    return etharp_find_addr(&netif, next_hop, &ethernet, &found) >= 0;
}

/* What lwIP computes and verifies by itself: the IP header's sum is filled in by gather.c, TCP's by the wire if it
 * can, and not verified again when the frame says so. (What lwIP itself sends by UDP has its sum from lwIP.) */
static u16_t wire_netif_checksum_flags(bool trusted)
{
    unsigned flags = NETIF_CHECKSUM_ENABLE_ALL & ~NETIF_CHECKSUM_GEN_IP;

    if ((wire->features & WIRE_CHECKSUM) != 0)
        flags &= ~NETIF_CHECKSUM_GEN_TCP;
    if (trusted)
        flags &= ~(NETIF_CHECKSUM_CHECK_TCP | NETIF_CHECKSUM_CHECK_UDP);
    return (u16_t)flags;
}

void wire_netif_set_trust(bool trusted)
{
    NETIF_SET_CHECKSUM_CTRL(&netif, wire_netif_checksum_flags(trusted));
}

/* A packet waits for its next hop's Ethernet address. */
static err_t ask_neighbour(struct netif *to, struct pbuf *p, const ip4_addr_t *next_hop)
{
    struct pbuf *copy = pbuf_clone(PBUF_LINK, PBUF_RAM, p);
    ip4_addr_t source;
    err_t error;

    if (copy == NULL)
        return ERR_MEM;
    copy->flags |= p->flags & GATHER_COMPLETE_CHECKSUM;
    tick_keep(TICK_ARP_US);
    memcpy(&source.addr, (const uint8_t *)copy->payload + 12, sizeof source.addr);
    assume_own(address_find(&source)); /* ask in the name of whoever the packet comes from, as Linux does */
    error = etharp_output(to, copy, next_hop);
    assume_own(NULL);
    pbuf_free(copy);
    return error;
}

/* lwIP sends an IP packet. */
static err_t wire_netif_output(struct netif *to, struct pbuf *p, const ip4_addr_t *destination)
{
    const struct eth_addr *neighbour = gather_neighbour(destination, sizeof *destination);
    ip4_addr_t next_hop;

    if (neighbour != NULL) /* that was found out for the segment before */
        return ethernet_output(to, p, (const struct eth_addr *)to->hwaddr, neighbour, ETHTYPE_IP);
    if (wire_netif_is_broadcast(destination))
        return ethernet_output(to, p, (const struct eth_addr *)to->hwaddr, &ethbroadcast, ETHTYPE_IP);
    if (ip4_addr_ismulticast(destination))
        return etharp_output(to, p, destination);
    if (!route_find(destination, &next_hop, NULL))
        return ERR_RTE;
    if (wire_netif_is_resolved(&next_hop))
        return etharp_output(to, p, &next_hop);
    if (to->mtu == 0)
        return ERR_IF; /* wire_netif_set_piece(): it would have to wait uncut */
    return ask_neighbour(to, p, &next_hop);
}

/* lwIP sends a frame. */
static err_t wire_netif_link_output(struct netif *to, struct pbuf *p)
{
    (void)to;
    gather_frame(p);
    return ERR_OK;
}

static err_t wire_netif_init(struct netif *it)
{
    const struct stack_config *config = it->state;

    it->name[0] = 't';
    it->name[1] = 'p';
    it->output = wire_netif_output;
    it->output_ip6 = wire_netif6_output;
    it->linkoutput = wire_netif_link_output;
    it->mtu = config->mtu;
    it->hwaddr_len = 6;
    memcpy(it->hwaddr, config->mac, 6);
    NETIF_SET_CHECKSUM_CTRL(it, wire_netif_checksum_flags(false));
    it->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_LINK_UP | NETIF_FLAG_IGMP |
                NETIF_FLAG_MLD6;
    return ERR_OK;
}

void wire_netif_announce(void)
{
    const struct own_address *own;

    for (size_t i = 0; (own = address_at(i)) != NULL; i++) {
        assume_own(own);
        etharp_gratuitous(&netif);
    }
    assume_own(NULL);
    gather_flush();
}

int wire_netif_open(const struct stack_config *config)
{
    wire = config->wire;
    memset(&wire_netif_counters, 0, sizeof wire_netif_counters);
    tick_open();
    gather_open(wire);
    if (netif_add(&netif, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4, (void *)(uintptr_t)config, wire_netif_init,
                  ip_input) == NULL)
        return -ENOMEM;
    netif.state = NULL;
    netif.num = STACK_INTERFACE_WIRE - 1;
    netif_set_default(&netif);
    netif_set_up(&netif);
    wire_netif6_open(config->slaac);
    gather_flush();
    return 0;
}

void wire_netif_close(void)
{
    gather_flush();
    netif_remove(&netif);
    for (int i = 0; i < BLOCKS_MAX; i++)
        if (waiting_blocks[i] != NULL)
            receive_block_put(waiting_blocks[i]);
    memset(waiting_blocks, 0, sizeof waiting_blocks);
    for (int i = 0; i <= LWIP_MAX(IP_REASS_MAXAGE, IPV6_REASS_MAXAGE); i++) { /* reassembly has no other way to let go */
        ip_reass_tmr();
        ip6_reass_tmr();
    }
    memset(&netif, 0, sizeof netif);
}

bool wire_netif_is_unresolved(const ip_addr_t *destination)
{
    ip4_addr_t next_hop;

    if (IP_IS_V6(destination))
        return wire_netif6_is_unresolved(ip_2_ip6(destination));
    return !loop_is_local(ip_2_ip4(destination)) && route_find(ip_2_ip4(destination), &next_hop, NULL) &&
           !wire_netif_is_resolved(&next_hop);
}

bool wire_netif_is_broadcast(const ip4_addr_t *address)
{
    return address->addr == IPADDR_BROADCAST || address->addr == IPADDR_ANY || address_find_broadcast(address) != NULL;
}

const uint8_t *wire_netif_mac(void)
{
    return netif.hwaddr;
}

uint16_t wire_netif_mtu(void)
{
    return netif.mtu;
}

bool wire_netif_completes_checksums(void)
{
    return (wire->features & WIRE_CHECKSUM) != 0;
}

bool wire_netif_takes_trains(const ip_addr_t *destination)
{
    return (wire->features & (WIRE_CHECKSUM | WIRE_USO)) == (WIRE_CHECKSUM | WIRE_USO) &&
           !wire_netif_is_unresolved(destination);
}

bool wire_netif_segments(bool is_v6)
{
    return (wire->features & WIRE_CHECKSUM) != 0 && (wire->features & (is_v6 ? WIRE_TSO6 : WIRE_TSO4)) != 0;
}

void wire_netif_set_piece(uint16_t size)
{
    static u16_t mtu, mtu6;

    if (size != 0) {
        mtu = netif.mtu;
        mtu6 = netif.mtu6;
        netif.mtu = netif.mtu6 = 0; /* to lwIP: none; it makes no fragments */
    } else {
        netif.mtu = mtu;
        netif.mtu6 = mtu6;
    }
    gather_set_piece(size);
}

/* Does the virtio header tell a story that fits the frame? */
static bool virtio_header_is_sane(const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0 &&
        (size_t)header->csum_start + header->csum_offset + 2 > size)
        return false;
    switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        return true;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return header->gso_size != 0 && frame[12] == 0x86 && frame[13] == 0xdd &&
               size > ETHERNET_SIZE + IP6_HLEN + TCP_HLEN;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return header->gso_size != 0 && frame[12] == 8 && frame[13] == 0 && size > ETHERNET_SIZE + IP_HLEN + TCP_HLEN &&
               frame[ETHERNET_SIZE + 9] == IP_PROTO_TCP;
    default:
        return false;
    }
}

/* Give lwIP an IPv4 packet. own: our address that it is for, if it is for one. Takes p. */
static void process_ip(struct pbuf *p, const struct own_address *own, const ip4_addr_t *destination)
{
    const struct own_address *broadcast = own == NULL ? address_find_broadcast(destination) : NULL;

    if (broadcast != NULL)
        assume(&broadcast->address, broadcast->mask.addr);
    else
        assume_own(own);
    tcp_lookup_input(p, &netif);
    tcp_filter_replay();
    assume_own(NULL);
}

void wire_netif_input_looped(struct pbuf *p)
{
    ip4_addr_t destination;

    NETIF_SET_CHECKSUM_CTRL(&netif, wire_netif_checksum_flags(true) & ~(NETIF_CHECKSUM_CHECK_IP | NETIF_CHECKSUM_CHECK_ICMP |
                                                                       NETIF_CHECKSUM_CHECK_ICMP6));
    if (IP_HDR_GET_VERSION(p->payload) == 6) {
        tcp_lookup_input(p, &netif);
        tcp_filter_replay();
        return;
    }
    memcpy(&destination.addr, (const uint8_t *)p->payload + 16, sizeof destination.addr);
    process_ip(p, NULL, &destination);
}

/* An IP packet of ours, its Ethernet header still there. Takes p. Return: false when it was dropped here. */
static bool input_ip(const struct virtio_net_hdr *header, struct pbuf *p)
{
    const uint8_t *ip = (const uint8_t *)p->payload + ETHERNET_SIZE;
    bool trusted = (header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
    const struct own_address *own;
    ip4_addr_t source, destination;
    uint8_t protocol;

    if (p->len < ETHERNET_SIZE + IP_HLEN) {
        pbuf_free(p);
        return false;
    }
    memcpy(&source.addr, ip + 12, 4);
    memcpy(&destination.addr, ip + 16, 4);
    own = address_find(&destination);
    if (loop_is_local(&source) || address_find_broadcast(&source) != NULL || ip[16] == 127) {
        pbuf_free(p); /* nobody out there has these addresses */
        return false;
    }
    /* For a packet to nobody it looks at UDP's port before it looks whether there is one (ip4_input()). */
    if (own == NULL && ip[9] == IP_PROTO_UDP && p->len < ETHERNET_SIZE + (ip[0] & 15) * 4 + UDP_HLEN) {
        pbuf_free(p);
        return false;
    }
    /* lwIP takes what is for nobody, but for the port of DHCP: a server's offer is sent to the address that it
     * offers. */
    if (own == NULL && !dhcp_client_is_open() && !ip4_addr_ismulticast(&destination) &&
        !wire_netif_is_broadcast(&destination)) {
        pbuf_free(p);
        return false;
    }
    if ((ip[6] & 0x3f) != 0 || ip[7] != 0) { /* a fragment: the sum is that of the whole */
        trusted = false;
        tick_keep(TICK_REASSEMBLY_US);
    }
    NETIF_SET_CHECKSUM_CTRL(&netif, wire_netif_checksum_flags(trusted));
    if (ip[9] == IP_PROTO_UDP && ip[0] == 0x45 && p->len >= ETHERNET_SIZE + IP_HLEN + UDP_HLEN && ip[22] == 0 &&
        ip[23] == LWIP_IANA_PORT_DHCP_CLIENT)
        dhcp_client_note_sender((const uint8_t *)p->payload + 6);
    if (p->next == NULL && ip[9] == IP_PROTO_ICMP && own != NULL)
        icmp_error_input(ip, p->len - ETHERNET_SIZE);
    protocol = ip[9];
    pbuf_remove_header(p, ETHERNET_SIZE);
    process_ip(p, own, &destination);
    if (protocol == IP_PROTO_IGMP)
        tick_wake(); /* a router asked for groups */
    return true;
}

/* An ARP packet. Takes p. */
static void input_arp(struct pbuf *p)
{
    const struct etharp_hdr *header = p->payload;
    ip4_addr_t asked_for;

    if (p->len < SIZEOF_ETHARP_HDR) {
        pbuf_free(p);
        return;
    }
    IPADDR_WORDALIGNED_COPY_TO_IP4_ADDR_T(&asked_for, &header->dipaddr);
    assume_own(address_find(&asked_for));
    etharp_input(p, &netif);
    assume_own(NULL);
}

/* One frame came. Takes p, all of the frame but for its Ethernet header's share in tot_len. */
static void input_frame(const struct virtio_net_hdr *header, struct pbuf *p, size_t size)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t *frame = p->payload;
    unsigned type = (unsigned)frame[12] << 8 | frame[13];

    if ((memcmp(frame, netif.hwaddr, 6) != 0 && memcmp(frame, broadcast, 6) != 0 &&
         !(type == ETHTYPE_IPV6 && frame[0] == 0x33 && frame[1] == 0x33) && /* of which groups, lwIP knows */
         !(type == ETHTYPE_IP && frame[0] == 1 && frame[1] == 0 && frame[2] == 0x5e)) ||
        !virtio_header_is_sane(header, frame, size))
        goto drop;
    if (type == ETHTYPE_IPV6) {
        bool trusted = (header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;

        if (!wire_netif6_input(p, trusted))
            goto drop;
        return;
    }
    if (type == ETHTYPE_IP) {
        if (!input_ip(header, p))
            wire_netif_counters.dropped++;
        return;
    }
    if (type == ETHTYPE_ARP && p->next == NULL) {
        pbuf_remove_header(p, ETHERNET_SIZE);
        input_arp(p);
        return;
    }
drop:
    wire_netif_counters.dropped++;
    pbuf_free(p);
}

/* Have all blocks of a read in place. Return: false when memory is short. */
static bool fill_waiting_blocks(struct iovec iov[BLOCKS_MAX])
{
    for (int i = 0; i < BLOCKS_MAX; i++) {
        struct receive_block *block = waiting_blocks[i];

        if (block == NULL) {
            block = waiting_blocks[i] = receive_block_get(i == 0 ? BLOCK_SMALL : BLOCK_MEDIUM);
            if (block == NULL)
                return false;
        }
        iov[i] = (struct iovec){block->data, block->capacity};
    }
    iov[0].iov_base = waiting_blocks[0]->data + FRAME_OFFSET;
    iov[0].iov_len -= FRAME_OFFSET;
    return true;
}

/* Chain the blocks that size bytes were read into. Return: the first pbuf; the blocks are its. */
static struct pbuf *take_frame(size_t size)
{
    size_t left = size;
    struct pbuf *first = receive_block_pbuf(waiting_blocks[0]);
    struct pbuf *last = NULL;

    for (int i = 0; i < BLOCKS_MAX && left > 0; i++) {
        struct receive_block *block = waiting_blocks[i];
        struct pbuf *p = receive_block_pbuf(block);
        size_t offset = i == 0 ? FRAME_OFFSET : 0;

        waiting_blocks[i] = NULL;
        p->payload = block->data + offset;
        p->len = (u16_t)LWIP_MIN(left, block->capacity - offset);
        /* The first is counted with the Ethernet header, which may exceed 16 bits: it is taken off before lwIP looks,
         * and pbuf_remove_header() subtracts modulo 65 536. */
        p->tot_len = (u16_t)left;
        left -= p->len;
        if (last != NULL)
            last->next = p;
        last = p;
    }
    return first;
}

void wire_netif_forget_neighbours(void)
{
    etharp_cleanup_netif(&netif); /* those of IPv6 are probed before they are believed for long */
    wire_netif_announce();
}

int wire_netif_receive(unsigned max, size_t max_bytes)
{
    const uint64_t before = wire_netif_counters.bytes;
    struct virtio_net_hdr header;
    struct iovec iov[BLOCKS_MAX];
    unsigned count;

    tick_catch_up();
    for (count = 0; count < max && wire_netif_counters.bytes - before < max_bytes; count++) {
        ssize_t size;

        if (!fill_waiting_blocks(iov))
            return (int)count;
        size = wire->operations->read_frame(wire, &header, iov, BLOCKS_MAX);
        if (size < 0)
            return (int)size;
        if (size == 0)
            break;
        wire_netif_counters.frames++;
        wire_netif_counters.bytes += (uint64_t)size;
        if (wire->watch != NULL)
            wire->watch(wire->watch_context, false, iov, BLOCKS_MAX, (size_t)size);
        if (size < ETHERNET_SIZE || size > ETHERNET_SIZE + IP_PACKET_MAX)
            wire_netif_counters.dropped++;
        else
            input_frame(&header, take_frame((size_t)size), (size_t)size);
    }
    return (int)count;
}
