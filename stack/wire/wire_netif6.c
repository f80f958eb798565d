/*
 * wire_netif6.c - the IPv6 side of the wire's interface.
 *
 * Neighbours are lwIP's business (nd6.c), with the same exception as for ARP: a packet that has to wait for a
 * neighbour's address waits as a copy. Whether it has to is looked up in lwIP's caches, where a connection remembers
 * its place.
 */
#include "wire_netif6.h"

#include <string.h>

#include "gather.h"
#include "stack/ip/icmp_error.h"
#include "stack/ip/learned.h"
#include "loop_netif.h"
#include "stack/ip/route6.h"
#include "stack/ip/router_advert.h"
#include "stack/port.h"
#include "stack/tcp/tcp_socket.h"
#include "stack/tick.h"
#include "wire_netif.h"

#define ETHERNET_SIZE 14
#define NARROW_US 600000000u /* Linux: net.ipv6.route.mtu_expires */

/* What is known of paths in lwIP's cache of destinations, place by place. */
static struct {
    ip6_addr_t destination;
    uint16_t mtu; /* 0: nothing */
    uint64_t until_us;
} narrow[LWIP_ND6_NUM_DESTINATIONS];
static struct tcp_clock widen = {.due_us = TCP_CLOCK_NEVER};

/* lwIP: an address of ours has another state. */
static void on_change(struct netif *netif)
{
    (void)netif;
    learned_note_change();
}

void wire_netif6_open(bool configured_by_routers)
{
    struct netif *netif = wire_netif_get();

    memset(narrow, 0, sizeof narrow);
    tcp_clock_remove(&widen);
    netif_create_ip6_linklocal_address(netif, 1);
    if (!configured_by_routers)
        netif_ip6_addr_set_state(netif, 0, IP6_ADDR_PREFERRED); /* at once; else it is tentative */
    router_advert_open(configured_by_routers);
    netif_set_status_callback(netif, on_change);
    tick_wake();
}

/* Is destination at this place of lwIP's cache, and its neighbour's address known? */
static bool is_resolved_at(unsigned place, const ip6_addr_t *destination)
{
    const struct nd6_destination_cache_entry *entry = &destination_cache[place];
    const struct nd6_neighbor_cache_entry *neighbour = &neighbor_cache[entry->cached_neighbor_idx];

    return ip6_addr_eq(destination, &entry->destination_addr) &&
           ip6_addr_eq(&entry->next_hop_addr, &neighbour->next_hop_address) && neighbour->state > ND6_INCOMPLETE;
}

static bool is_resolved(const ip6_addr_t *destination, const struct netif_hint *hint)
{
    static unsigned last; /* most packets go where the one before went */

    if ((hint != NULL && hint->addr_hint < LWIP_ND6_NUM_DESTINATIONS && is_resolved_at(hint->addr_hint, destination)) ||
        is_resolved_at(last, destination))
        return true;
    for (unsigned i = 0; i < LWIP_ND6_NUM_DESTINATIONS; i++) {
        if (!is_resolved_at(i, destination))
            continue;
        last = i;
        return true;
    }
    return false;
}

bool wire_netif6_is_unresolved(const ip6_addr_t *destination)
{
    return !loop_is_local6(destination) && route6_next_hop(destination) != NULL && !is_resolved(destination, NULL);
}

err_t wire_netif6_output(struct netif *to, struct pbuf *p, const ip6_addr_t *destination)
{
    const struct eth_addr *neighbour = gather_neighbour(destination->addr, sizeof destination->addr);
    struct pbuf *copy;
    err_t error;

    if (neighbour != NULL) /* that was found out for the segment before */
        return ethernet_output(to, p, (const struct eth_addr *)to->hwaddr, neighbour, ETHTYPE_IPV6);
    if (ip6_addr_ismulticast(destination) || is_resolved(destination, to->hints))
        return ethip6_output(to, p, destination);
    if (loop_is_local6(destination)) /* a zone led lwIP here: that of our own link-local address, or of the source */
        return loop_output(to, p, NULL);
    if (to->mtu == 0)
        return ERR_IF; /* wire_netif_set_piece(): it would have to wait uncut */
    tick_catch_up();
    copy = pbuf_clone(PBUF_LINK, PBUF_RAM, p);
    if (copy == NULL)
        return ERR_MEM;
    copy->flags |= p->flags & GATHER_COMPLETE_CHECKSUM;
    error = ethip6_output(to, copy, destination);
    pbuf_free(copy);
    tick_wake();
    return error;
}

static void input(struct pbuf *p)
{
    tcp_lookup_input(p, wire_netif_get());
    tcp_filter_replay();
}

/* What routers said of paths is forgotten after ten minutes (RFC 8201 5.3): lwIP would keep it for as long as its
 * entry. */
static void widen_paths(struct tcp_clock *clock)
{
    uint64_t next_us = TCP_CLOCK_NEVER;

    for (int i = 0; i < LWIP_ND6_NUM_DESTINATIONS; i++) {
        if (narrow[i].mtu == 0 || destination_cache[i].pmtu != narrow[i].mtu)
            continue; /* it is another's by now */
        if (narrow[i].until_us > port_now_us) {
            next_us = LWIP_MIN(next_us, narrow[i].until_us);
            continue;
        }
        narrow[i].mtu = 0;
        destination_cache[i].pmtu = netif_mtu6(wire_netif_get());
    }
    tcp_clock_set(clock, next_us);
}

static void note_narrow(int place, uint16_t mtu)
{
    static bool has_clock;

    has_clock = has_clock || tcp_clock_reserve(1);
    if (!has_clock)
        return; /* no memory: tried again with the next frame */
    if (narrow[place].mtu == mtu && ip6_addr_eq(&narrow[place].destination, &destination_cache[place].destination_addr))
        return;
    narrow[place].mtu = mtu;
    narrow[place].destination = destination_cache[place].destination_addr;
    narrow[place].until_us = port_now_us + NARROW_US;
    widen.run = widen_paths;
    tcp_clock_set(&widen, LWIP_MIN(widen.due_us, narrow[place].until_us));
}

/* Return: a number that differs when paths have become narrower. */
static uint32_t narrow_paths(void)
{
    u16_t link = netif_mtu6(wire_netif_get());
    uint32_t sum = link;

    for (int i = 0; i < LWIP_ND6_NUM_DESTINATIONS; i++) {
        u16_t *mtu = &destination_cache[i].pmtu;

        if (ip6_addr_isany(&destination_cache[i].destination_addr) || *mtu == link)
            continue;
        *mtu = LWIP_MIN(LWIP_MAX(*mtu, IP6_MIN_MTU_LENGTH), link); /* RFC 8201 4; lwIP believes any number */
        if (*mtu < link) {
            sum = sum * 31 + *mtu;
            note_narrow(i, *mtu);
        }
    }
    return sum;
}

bool wire_netif6_input(struct pbuf *p, bool trusted)
{
    const uint8_t *ip = (const uint8_t *)p->payload + ETHERNET_SIZE;
    ip6_addr_t source, destination;
    uint8_t next_header;
    uint32_t paths;

    if (p->len < ETHERNET_SIZE + IP6_HLEN || ip[0] >> 4 != 6)
        return false;
    next_header = ip[6];
    memcpy(source.addr, ip + 8, sizeof source.addr);
    memcpy(destination.addr, ip + 24, sizeof destination.addr);
    if (loop_is_local6(&source) || ip6_addr_isloopback(&destination))
        return false; /* nobody out there has these addresses */
    if (next_header == IP6_NEXTH_ICMP6 && p->next == NULL && !icmp_error_input6(ip, p->len - ETHERNET_SIZE))
        return false;
    if (next_header == IP6_NEXTH_ICMP6)
        tick_catch_up(); /* what it says counts from now on */
    if (next_header == IP6_NEXTH_FRAGMENT)
        tick_keep(TICK_REASSEMBLY6_US);
    wire_netif_set_trust(trusted && (next_header == IP6_NEXTH_TCP || next_header == IP6_NEXTH_UDP));
    pbuf_remove_header(p, ETHERNET_SIZE);
    if (next_header == IP6_NEXTH_TCP || next_header == IP6_NEXTH_UDP) {
        input(p);
        return true;
    }
    paths = narrow_paths();
    input(p);
    tick_wake(); /* a neighbour asked or answered, or a router asked for groups */
    /* lwIP cuts what is too large for a path, and a piece of a segment has no checksum yet: none may be so large. */
    if (narrow_paths() != paths)
        tcp_path_mtu_changed(NULL);
    return true;
}
