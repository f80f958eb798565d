/*
 * loop_netif.c - the loopback inside the stack: all of 127/8, ::1 and our own addresses.
 *
 * A packet that lwIP sends here is copied into receive blocks, as a frame from the wire would be, and waits in a queue
 * until the loop delivers it; so a sender is never entered again while it sends. The queue is bounded; what does not
 * fit is lost, as on any wire, and TCP sends it again.
 *
 * lwIP accepts a packet on a netif whose address is the packet's destination. While a packet is delivered the netif's
 * address is that destination, which makes all of 127/8 ours. But for link-local addresses of IPv6, which mean nothing
 * without the interface that they belong to: such a packet is input as one from the wire.
 */
#include "loop_netif.h"

#include "stack/ip/address.h"
#include "stack/ip/interface.h"
#include "stack/ip/route6.h"
#include "stack/tcp/tcp_socket.h"
#include "gather.h"
#include "wire_netif.h"

#define LOOP_BYTES_MAX (8 * 1024 * 1024)
#define LOOP_PACKETS_MAX 4096
#define LOOP_HEADROOM 16 /* before the IP header; icmp.c answers in the same memory and prepends an Ethernet header */

struct loop_packet {
    struct loop_packet *next;
    struct pbuf *p; /* owned */
    bool from_wire; /* looks as if it came in there */
};

static struct netif loop;
static struct loop_packet *head;
static struct loop_packet **tail = &head;
static size_t queued_bytes;
static unsigned queued_packets;

static err_t loop_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *destination)
{
    if (!loop_is_local6(destination) && !ip6_addr_ismulticast(destination))
        return ERR_OK; /* what comes from ::1 leads lwIP here; as on Linux it goes nowhere */
    return loop_output(netif, p, NULL);
}

static err_t loop_init(struct netif *netif)
{
    netif->name[0] = 'l';
    netif->name[1] = 'o';
    netif->output = loop_output;
    netif->output_ip6 = loop_output6;
    netif->mtu = 65535;
    netif->flags = NETIF_FLAG_LINK_UP | NETIF_FLAG_IGMP | NETIF_FLAG_MLD6;
    /* Programs look at the sums of ICMP messages, even of those that never left. */
    NETIF_SET_CHECKSUM_CTRL(netif, NETIF_CHECKSUM_GEN_ICMP | NETIF_CHECKSUM_GEN_ICMP6);
    return ERR_OK;
}

void loop_netif_open(void)
{
    ip4_addr_t address, mask, gateway;
    ip6_addr_t address6;

    IP4_ADDR(&address, 127, 0, 0, 1);
    IP4_ADDR(&mask, 255, 0, 0, 0);
    IP4_ADDR(&gateway, 127, 0, 0, 1);
    netif_add(&loop, &address, &mask, &gateway, NULL, loop_init, ip_input);
    loop.num = STACK_INTERFACE_LOOP - 1;
    ip6_addr_set_loopback(&address6);
    netif_ip6_addr_set(&loop, 0, &address6);
    netif_ip6_addr_set_state(&loop, 0, IP6_ADDR_PREFERRED);
    netif_set_up(&loop);
}

void loop_netif_close(void)
{
    while (head != NULL) {
        struct loop_packet *packet = head;

        head = packet->next;
        pbuf_free(packet->p);
        free(packet);
    }
    tail = &head;
    queued_bytes = queued_packets = 0;
    netif_remove(&loop);
}

bool loop_is_local(const ip4_addr_t *address)
{
    return ip4_addr_isloopback(address) || address_find(address) != NULL;
}

bool loop_is_local6(const ip6_addr_t *address)
{
    return ip6_addr_isloopback(address) || route6_is_own(address);
}

/* lwIP asks for a route. Return: the loopback, or NULL for lwIP's own rules. */
struct netif *loop_route6(const ip6_addr_t *source, const ip6_addr_t *destination)
{
    (void)source;
    return loop_is_local6(destination) ? &loop : NULL;
}

struct netif *loop_netif(void)
{
    return &loop;
}

/* Queue a copy. */
static void loop_queue(const struct pbuf *p, bool from_wire)
{
    struct loop_packet *packet;

    if (queued_bytes + p->tot_len > LOOP_BYTES_MAX || queued_packets >= LOOP_PACKETS_MAX)
        return;
    packet = malloc(sizeof *packet);
    if (packet == NULL)
        return;
    packet->next = NULL;
    packet->from_wire = from_wire;
    packet->p = receive_block_copy(p, LOOP_HEADROOM, BLOCK_MEDIUM);
    if (packet->p == NULL) {
        free(packet);
        return;
    }
    *tail = packet;
    tail = &packet->next;
    queued_bytes += p->tot_len;
    queued_packets++;
}

err_t loop_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination)
{
    (void)netif;
    (void)destination;
    if ((p->flags & GATHER_LEAVE_OUT) == 0)
        loop_queue(p, false);
    return ERR_OK;
}

void loop_output_from_wire(struct pbuf *p)
{
    loop_queue(p, true);
}

bool loop_pending(void)
{
    return head != NULL;
}

static void deliver4(struct pbuf *p)
{
    ip4_addr_t destination;

    ip4_addr_copy(destination, ((const struct ip_hdr *)p->payload)->dest);
    if (!ip4_addr_ismulticast(&destination))
        ip4_addr_copy(*ip_2_ip4(&loop.ip_addr), destination);
    tcp_lookup_input(p, &loop);
    tcp_filter_replay();
    IP4_ADDR(ip_2_ip4(&loop.ip_addr), 127, 0, 0, 1);
}

static void deliver6(struct pbuf *p)
{
    ip6_addr_t destination;

    ip6_addr_copy_from_packed(destination, ((const struct ip6_hdr *)p->payload)->dest);
    if (ip6_addr_islinklocal(&destination)) {
        wire_netif_input_looped(p);
        return;
    }
    if (!ip6_addr_ismulticast(&destination))
        ip6_addr_copy(*ip_2_ip6(&loop.ip6_addr[0]), destination);
    tcp_lookup_input(p, &loop);
    tcp_filter_replay();
    ip6_addr_set_loopback(ip_2_ip6(&loop.ip6_addr[0]));
}

void loop_deliver(unsigned max)
{
    while (head != NULL && max-- > 0) {
        struct loop_packet *packet = head;
        struct pbuf *p = packet->p;
        bool from_wire = packet->from_wire;

        head = packet->next;
        if (head == NULL)
            tail = &head;
        queued_bytes -= p->tot_len;
        queued_packets--;
        free(packet);
        if (from_wire)
            wire_netif_input_looped(p);
        else if (IP_HDR_GET_VERSION(p->payload) == 6)
            deliver6(p);
        else
            deliver4(p);
    }
}
