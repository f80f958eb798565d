/*
 * dhcp_client.c - an IPv4 address, routes and name servers by DHCP.
 *
 * The protocol is lwIP's dhcp.c, around which this file is built (lwip_hooks.h):
 *  - the address that it sets does not become the netif's, of which there is but one, but goes to address.c and route.c
 *    (dhcp_client_set_address); while dhcp.c sends, the netif has that address (wire_netif_assume);
 *  - options that it does not know are kept aside (dhcp_client_on_option) until the message that they came with gives an
 *    address: name servers, domains, MTU, classless routes (RFC 3442);
 *  - its two timers, of 500 ms and of a second here, run only while it counts something (ticks_due), and what was left
 *    out in between does not count.
 */
#include "dhcp_client.h"

#include <errno.h>
#include <string.h>

#include "address_conflict.h"
#include "learned.h"
#include "stack/port.h"
#include "route.h"
#include "stack/wire/wire_netif.h"

#include "lwip/dhcp.h"
#include "lwip/prot/dhcp.h"

#define FINE_US (DHCP_FINE_TIMER_MSECS * UINT64_C(1000))
#define COARSE_US (DHCP_COARSE_TIMER_SECS * UINT64_C(1000000))
#define SECONDS_MAX 0x7fffffffu /* of a lease; dhcp.c counts them */
#define ROUTES_MAX 16
#define SERVERS_MAX 8
#define HOSTNAME_MAX 63
#define MTU_MIN 576

enum { OPTION_DNS = 6, OPTION_DOMAIN = 15, OPTION_MTU = 26, OPTION_SEARCH = 119, OPTION_ROUTES = 121 };

static uint64_t fine_us, coarse_us; /* when the ticks ran last */
static bool fine_counts, coarse_counts;

/* Options of the last message. */
static struct {
    ip4_addr_t servers[SERVERS_MAX];
    unsigned server_count;
    char domain[LEARNED_DOMAIN_MAX];
    uint8_t search[256]; /* RFC 3397, the parts of several options put together */
    size_t search_size;
    uint16_t mtu; /* 0: none */
    struct {
        ip4_addr_t network, via;
        uint8_t bits;
    } routes[ROUTES_MAX];
    unsigned route_count;
    bool has_routes; /* then the router option counts for nothing */
} heard;

static struct dhcp client;
static bool running;
static char hostname[HOSTNAME_MAX + 1];
static uint16_t configured_mtu;
static uint8_t sender_mac[6]; /* of the last message */
static bool sender_known;

/* dhcp.c wants to know in how many of its ticks a time of the server's is over. */
u32_t dhcp_client_ticks(u32_t seconds)
{
    return seconds == 0 ? 1 : LWIP_MIN(seconds, SECONDS_MAX) / DHCP_COARSE_TIMER_SECS;
}

bool dhcp_client_is_open(void)
{
    return running;
}

bool dhcp_client_is_bound(void)
{
    return running && dhcp_supplied_address(wire_netif_get());
}

uint32_t dhcp_client_lease_left_s(void)
{
    if (!dhcp_client_is_bound() || client.lease_used >= client.t0_timeout)
        return 0;
    return (client.t0_timeout - client.lease_used) * DHCP_COARSE_TIMER_SECS;
}

/* The address that we have from DHCP; NULL: none. */
static const struct own_address *own(void)
{
    const struct own_address *it;

    for (size_t i = 0; (it = address_at(i)) != NULL; i++)
        if (it->origin == ADDRESS_DHCP)
            return it;
    return NULL;
}

/* ---- what dhcp.c tells us ---- */

static u8_t read_byte(const struct pbuf *p, u16_t at)
{
    return pbuf_get_at(p, at);
}

static ip4_addr_t read_address(const struct pbuf *p, u16_t at)
{
    ip4_addr_t address = {0};

    pbuf_copy_partial(p, &address.addr, sizeof address.addr, at);
    return address;
}

/* RFC 3442: the length of the prefix, as many bytes of it as are not zero, the router. */
static void read_routes(const struct pbuf *p, u16_t at, u16_t length)
{
    u16_t end = (u16_t)(at + length);

    heard.has_routes = true;
    heard.route_count = 0;
    while (at < end && heard.route_count < ROUTES_MAX) {
        uint8_t bits = read_byte(p, at);
        u16_t bytes = (u16_t)((bits + 7) / 8);
        ip4_addr_t network = {0};

        if (bits > 32 || at + 1 + bytes + 4 > end)
            return;
        pbuf_copy_partial(p, &network.addr, bytes, (u16_t)(at + 1));
        heard.routes[heard.route_count].bits = bits;
        heard.routes[heard.route_count].network = network;
        heard.routes[heard.route_count++].via = read_address(p, (u16_t)(at + 1 + bytes));
        at = (u16_t)(at + 1 + bytes + 4);
    }
}

/* An option that dhcp.c does not know; its length bytes are at offset at of p, and may be cut short there. */
void dhcp_client_on_option(u8_t option, u8_t length, struct pbuf *p, u16_t at)
{
    if (at + length > p->tot_len)
        return;
    switch (option) {
    case OPTION_DNS:
        for (heard.server_count = 0; heard.server_count < length / 4u && heard.server_count < SERVERS_MAX;
             heard.server_count++)
            heard.servers[heard.server_count] = read_address(p, (u16_t)(at + 4 * heard.server_count));
        break;
    case OPTION_DOMAIN:
        if (length < sizeof heard.domain) {
            memset(heard.domain, 0, sizeof heard.domain);
            pbuf_copy_partial(p, heard.domain, length, at);
        }
        break;
    case OPTION_MTU:
        if (length == 2)
            heard.mtu = (uint16_t)(read_byte(p, at) << 8 | read_byte(p, (u16_t)(at + 1)));
        break;
    case OPTION_SEARCH:
        if (heard.search_size + length <= sizeof heard.search)
            heard.search_size += pbuf_copy_partial(p, heard.search + heard.search_size, length, at);
        break;
    case OPTION_ROUTES:
        read_routes(p, at, length);
        break;
    default:
        break;
    }
}

/* dhcp.c is about to send a message. Return: the new length of its options. */
u16_t dhcp_client_append(u8_t type, u8_t *options, u16_t length)
{
    if (type != DHCP_DECLINE)
        return length;
    options[length] = DHCP_OPTION_SERVER_ID; /* a MUST that it does not know of (RFC 2131 4.4.4) */
    options[length + 1] = sizeof ip_2_ip4(&client.server_ip_addr)->addr;
    memcpy(options + length + 2, &ip_2_ip4(&client.server_ip_addr)->addr, options[length + 1]);
    return (u16_t)(length + 2 + options[length + 1]);
}

static void remove_address(void)
{
    address_remove(ADDRESS_DHCP);
    route_remove(ADDRESS_DHCP);
    learned_remove(LEARNED_DHCP);
    wire_netif_get()->mtu = configured_mtu;
}

static void add_routes(const ip4_addr_t *router)
{
    for (unsigned i = 0; i < heard.route_count; i++)
        (void)route_add(heard.routes[i].network, heard.routes[i].bits, heard.routes[i].via, ADDRESS_DHCP);
    if (!heard.has_routes && !ip4_addr_isany(router))
        (void)route_add((ip4_addr_t){0}, 0, *router, ADDRESS_DHCP);
}

static void add_names(void)
{
    for (unsigned i = 0; i < heard.server_count; i++) {
        ip_addr_t server;

        ip_addr_copy_from_ip4(server, heard.servers[i]);
        learned_add_server(LEARNED_DHCP, &server, LEARNED_FOR_EVER);
    }
    if (heard.search_size > 0) /* RFC 3397 4: it replaces the domain */
        learned_add_encoded_domains(LEARNED_DHCP, heard.search, heard.search_size, true, LEARNED_FOR_EVER);
    else
        learned_add_domain(LEARNED_DHCP, heard.domain, LEARNED_FOR_EVER);
}

/* In place of netif_set_addr(): dhcp.c has an address, the same again (a renewed lease), or none any more (0.0.0.0). */
void dhcp_client_set_address(struct netif *netif, const ip4_addr_t *address, const ip4_addr_t *mask,
                             const ip4_addr_t *router)
{
    const struct own_address *before = own();
    ip4_addr_t old = before != NULL ? before->address : (ip4_addr_t){0};

    if (before == NULL && ip4_addr_isany(address))
        return;
    remove_address();
    learned_note_change();
    if (!ip4_addr_isany(address) &&
        address_add(*address, (uint8_t)__builtin_popcount(mask->addr), ADDRESS_DHCP) == 0) {
        add_routes(router);
        add_names();
        if (heard.mtu >= MTU_MIN && heard.mtu < configured_mtu)
            netif->mtu = heard.mtu;
        if (!ip4_addr_eq(address, &old))
            wire_netif_announce();
        coarse_counts = false; /* the lease begins now */
        if (client.offered_t0_lease == UINT32_MAX) /* for ever; dhcp.c would renew it in 68 years */
            client.t0_timeout = client.t1_renew_time = client.t2_rebind_time = 0;
    }
    memset(&heard, 0, sizeof heard);
}

/* ---- its timers ---- */

/* Ticks of the fine and of the coarse timer until dhcp.c does something; 0: never. */
static u32_t fine_ticks_due(void)
{
    return client.request_timeout;
}

static u32_t coarse_ticks_due(void)
{
    u32_t due = client.t0_timeout > client.lease_used ? client.t0_timeout - client.lease_used : 0;

    if (client.t1_renew_time != 0 && (due == 0 || client.t1_renew_time < due))
        due = client.t1_renew_time;
    if (client.t2_rebind_time != 0 && (due == 0 || client.t2_rebind_time < due))
        due = client.t2_rebind_time;
    return due;
}

/* A timer that counted nothing stood still: its time begins when it is set. */
static void begin_to_count(void)
{
    if (!fine_counts)
        fine_us = port_now_us;
    if (!coarse_counts)
        coarse_us = port_now_us;
    fine_counts = fine_ticks_due() > 0;
    coarse_counts = coarse_ticks_due() > 0;
}

int64_t dhcp_client_timer_us(void)
{
    uint64_t next = UINT64_MAX;

    if (!running)
        return -1;
    begin_to_count();
    if (fine_ticks_due() > 0)
        next = fine_us + fine_ticks_due() * FINE_US;
    if (coarse_ticks_due() > 0)
        next = LWIP_MIN(next, coarse_us + coarse_ticks_due() * COARSE_US);
    if (next == UINT64_MAX)
        return -1;
    return next <= port_now_us ? 0 : (int64_t)(next - port_now_us);
}

void dhcp_client_run(void)
{
    if (!running)
        return;
    begin_to_count();
    wire_netif_assume(own());
    while (fine_ticks_due() > 0 && fine_us + FINE_US <= port_now_us) {
        fine_us += FINE_US;
        dhcp_fine_tmr();
    }
    while (coarse_ticks_due() > 0 && coarse_us + COARSE_US <= port_now_us) {
        coarse_us += COARSE_US;
        wire_netif_assume(own());
        dhcp_coarse_tmr();
    }
    begin_to_count();
    wire_netif_assume(address_at(0));
}

/* ---- beginning and end ---- */

int dhcp_client_open(const struct stack_config *config)
{
    struct netif *netif = wire_netif_get();
    err_t error;

    running = false;
    configured_mtu = config->mtu;
    sender_known = false;
    memset(&heard, 0, sizeof heard);
    if (!config->dhcp)
        return 0;
    hostname[0] = '\0';
    if (config->hostname != NULL)
        strncat(hostname, config->hostname, HOSTNAME_MAX);
    netif->hostname = hostname[0] != '\0' ? hostname : NULL;
    memset(&client, 0, sizeof client);
    dhcp_set_struct(netif, &client);
    fine_counts = coarse_counts = false;
    wire_netif_assume(NULL);
    error = dhcp_start(netif);
    wire_netif_assume(address_at(0));
    running = error == ERR_OK;
    return running ? 0 : -ENOMEM;
}

/* ---- on its way to another process ---- */

/* What there is of a lease beside dhcp.c's record of it. */
struct lease {
    ip4_addr_t address;
    uint8_t bits;
    uint16_t mtu;
};

struct leased_route {
    ip4_addr_t network, via;
    uint8_t bits;
};

static void walk_route(struct archive *archive, struct leased_route *route)
{
    ARCHIVE_RAW(archive, route, network);
    ARCHIVE_RAW(archive, route, via);
    ARCHIVE_NUMBER(archive, route, bits);
}

static void walk_routes(struct archive *archive)
{
    struct leased_route route = {0};
    enum address_origin origin;

    for (size_t i = 0; archive->is_writing && route_at(i, &route.network, &route.bits, &route.via, &origin); i++) {
        if (origin != ADDRESS_DHCP)
            continue;
        if (!archive_begin(archive, "route"))
            return;
        walk_route(archive, &route);
        archive_end(archive);
    }
    while (!archive->is_writing && archive_begin(archive, "route")) {
        walk_route(archive, &route);
        archive_end(archive);
        if (route.bits <= 32)
            (void)route_add(route.network, route.bits, route.via, ADDRESS_DHCP);
    }
}

/* dhcp.c's own record: what it counts, and of whom it has the lease. */
static void walk_client(struct archive *archive, struct dhcp *it)
{
    ARCHIVE_NUMBER(archive, it, xid);
    ARCHIVE_NUMBER(archive, it, state);
    ARCHIVE_NUMBER(archive, it, tries);
    ARCHIVE_NUMBER(archive, it, flags);
    ARCHIVE_NUMBER(archive, it, request_timeout);
    ARCHIVE_NUMBER(archive, it, t1_timeout);
    ARCHIVE_NUMBER(archive, it, t2_timeout);
    ARCHIVE_NUMBER(archive, it, t1_renew_time);
    ARCHIVE_NUMBER(archive, it, t2_rebind_time);
    ARCHIVE_NUMBER(archive, it, lease_used);
    ARCHIVE_NUMBER(archive, it, t0_timeout);
    ARCHIVE_RAW(archive, it, server_ip_addr);
    ARCHIVE_RAW(archive, it, offered_ip_addr);
    ARCHIVE_RAW(archive, it, offered_sn_mask);
    ARCHIVE_RAW(archive, it, offered_gw_addr);
    ARCHIVE_NUMBER(archive, it, offered_t0_lease);
    ARCHIVE_NUMBER(archive, it, offered_t1_renew);
    ARCHIVE_NUMBER(archive, it, offered_t2_rebind);
}

static void walk_clocks(struct archive *archive)
{
    archive_number(archive, "fine_us", &fine_us, sizeof fine_us);
    archive_number(archive, "coarse_us", &coarse_us, sizeof coarse_us);
    archive_number(archive, "fine_counts", &fine_counts, sizeof fine_counts);
    archive_number(archive, "coarse_counts", &coarse_counts, sizeof coarse_counts);
    archive_raw(archive, "sender_mac", sender_mac, sizeof sender_mac);
    archive_number(archive, "sender_known", &sender_known, sizeof sender_known);
}

void dhcp_client_handover(struct archive *archive)
{
    struct netif *netif = wire_netif_get();
    const struct own_address *held = own();
    struct lease lease = {.mtu = netif->mtu};

    if (archive->is_writing ? !dhcp_client_is_bound() || held == NULL : !running)
        return;
    if (!archive_begin(archive, "dhcp"))
        return;
    if (archive->is_writing && held != NULL) {
        lease.address = held->address;
        lease.bits = held->bits;
    }
    archive_raw(archive, "address", &lease.address, sizeof lease.address);
    archive_number(archive, "bits", &lease.bits, sizeof lease.bits);
    archive_number(archive, "mtu", &lease.mtu, sizeof lease.mtu);
    if (lease.bits > 32 || (!archive->is_writing && address_add(lease.address, lease.bits, ADDRESS_DHCP) < 0)) {
        archive_end(archive); /* it is a static one now: the question that was begun goes on */
        return;
    }
    walk_client(archive, &client);
    walk_clocks(archive);
    walk_routes(archive);
    learned_handover(archive, LEARNED_DHCP);
    archive_end(archive);
    if (!archive->is_writing && lease.mtu >= MTU_MIN && lease.mtu < configured_mtu)
        netif->mtu = lease.mtu;
    wire_netif_assume(address_at(0));
}

void dhcp_client_note_sender(const uint8_t mac[6])
{
    memcpy(sender_mac, mac, sizeof sender_mac);
    sender_known = true;
}

void dhcp_client_close(void)
{
    ip4_addr_t next_hop;
    struct eth_addr sender;

    if (!running)
        return;
    /* There is no time left to ask for the server's Ethernet address; it is where its last message came from. */
    memcpy(sender.addr, sender_mac, sizeof sender_mac);
    if (dhcp_client_is_bound() && sender_known && route_find(ip_2_ip4(&client.server_ip_addr), &next_hop, NULL) &&
        !wire_netif_is_resolved(&next_hop))
        (void)etharp_add_static_entry(&next_hop, &sender);
    wire_netif_assume(own());
    dhcp_release_and_stop(wire_netif_get());
    running = false;
    dhcp_remove_struct(wire_netif_get());
    wire_netif_assume(address_at(0));
}
