/*
 * datagram_table.c - finding the sockets that a packet is for: Linux's rules, in constant time.
 *
 * Three tables of UDP sockets, and of UDP-Lite's, which only meet their own kind; ping sockets use the first with their
 * identifiers for ports:
 *   - port_table: every bound socket, by local port. Whether a port is free is asked here, and who hears a packet that
 *     goes to many;
 *   - open_table: those that are not connected, by local port;
 *   - connected_table: those that are, by both addresses and ports.
 * A packet to this host goes to one socket: to that which is connected to the sender, else to the best of those on the
 * port (Linux: compute_score()): a bound address beats the wildcard, then a bound interface and the address family
 * count, and of equals the latest wins; unless they share the port by SO_REUSEPORT: a hash of the addresses and ports
 * chooses among them.
 *
 * Raw sockets are in a table of their own, by protocol; a packet goes to all that match.
 *
 * Two sockets conflict (Linux: udp_lib_lport_inuse()) when their ports are equal and one's packets could be the
 * other's, unless both have SO_REUSEADDR, both have SO_REUSEPORT, or they are bound to different interfaces.
 */
#include <errno.h>

#include "datagram_socket.h"
#include "stack/port.h"

#define BUCKETS 4096
#define LOCAL_PORT_FIRST 32768 /* net.ipv4.ip_local_port_range */
#define LOCAL_PORT_LAST 60999

static struct stack_datagram *port_table[BUCKETS];
static struct stack_datagram *open_table[BUCKETS];
static struct stack_datagram *connected_table[BUCKETS];
static struct stack_datagram *raw_table[256];

/* Return: a number that packets of one flow share, and nobody else can guess. */
static uint32_t hash_flow(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *peer, uint16_t peer_port)
{
    static uint32_t secret;
    uint32_t hash;

    if (secret == 0)
        secret = port_random() | 1;
    hash = (sockaddr_fold(local) ^ secret) * 0x85ebca6bu + sockaddr_fold(peer);
    hash ^= hash >> 15;
    hash = (hash ^ ((uint32_t)local_port << 16 | peer_port)) * 0xc2b2ae35u;
    hash ^= hash >> 13;
    hash *= secret;
    return hash ^ hash >> 16;
}

static struct stack_datagram **connected_bucket(const ip_addr_t *local, uint16_t local_port, const ip_addr_t *peer,
                                                uint16_t peer_port)
{
    return &connected_table[hash_flow(local, local_port, peer, peer_port) % BUCKETS];
}

void datagram_table_enter(struct stack_datagram *datagram)
{
    struct stack_datagram **bucket = datagram->kind == STACK_DATAGRAM_RAW ? &raw_table[datagram->protocol]
                                                                          : &port_table[datagram->local_port % BUCKETS];

    datagram->port_next = *bucket;
    if (*bucket != NULL)
        (*bucket)->port_link = &datagram->port_next;
    *bucket = datagram;
    datagram->port_link = bucket;
    if (!stack_datagram_kind_is_udp(datagram->kind))
        return;
    bucket = datagram->connected ? connected_bucket(&datagram->local, datagram->local_port, &datagram->peer,
                                                    datagram->peer_port)
                                 : &open_table[datagram->local_port % BUCKETS];
    datagram->lookup_next = *bucket;
    if (*bucket != NULL)
        (*bucket)->lookup_link = &datagram->lookup_next;
    *bucket = datagram;
    datagram->lookup_link = bucket;
}

void datagram_table_remove(struct stack_datagram *datagram)
{
    if (datagram->port_link != NULL) {
        *datagram->port_link = datagram->port_next;
        if (datagram->port_next != NULL)
            datagram->port_next->port_link = datagram->port_link;
    }
    if (datagram->lookup_link != NULL) {
        *datagram->lookup_link = datagram->lookup_next;
        if (datagram->lookup_next != NULL)
            datagram->lookup_next->lookup_link = datagram->lookup_link;
    }
    datagram->port_link = datagram->lookup_link = NULL;
}

const struct stack_datagram *datagram_table_on_port(uint16_t port)
{
    return port_table[port % BUCKETS];
}

/* Linux: inet_rcv_saddr_equal(): could a packet be for both? */
static bool addresses_overlap(const ip_addr_t *one, bool one_v6only, const ip_addr_t *other, bool other_v6only)
{
    if (IP_IS_V6(one) && !IP_IS_V6(other))
        return ip_addr_isany(one) && !one_v6only;
    if (!IP_IS_V6(one) && IP_IS_V6(other))
        return ip_addr_isany(other) && !other_v6only;
    return ip_addr_isany(one) || ip_addr_isany(other) || ip_addr_eq(one, other);
}

bool datagram_table_conflicts(const struct stack_datagram *datagram, const ip_addr_t *address, uint16_t port)
{
    const int *mine = datagram->options;

    for (const struct stack_datagram *other = port_table[port % BUCKETS]; other != NULL; other = other->port_next) {
        const int *theirs = other->options;

        if (other == datagram || other->kind != datagram->kind || other->local_port != port ||
            (mine[STACK_DATAGRAM_REUSEADDR] && theirs[STACK_DATAGRAM_REUSEADDR]) ||
            (mine[STACK_DATAGRAM_BIND_INTERFACE] != 0 && theirs[STACK_DATAGRAM_BIND_INTERFACE] != 0 &&
             mine[STACK_DATAGRAM_BIND_INTERFACE] != theirs[STACK_DATAGRAM_BIND_INTERFACE]) ||
            !addresses_overlap(address, mine[STACK_DATAGRAM_V6ONLY], &other->local, theirs[STACK_DATAGRAM_V6ONLY]))
            continue;
        return !mine[STACK_DATAGRAM_REUSEPORT] || !theirs[STACK_DATAGRAM_REUSEPORT];
    }
    return false;
}

static bool port_is_free(enum stack_datagram_kind kind, uint16_t port)
{
    for (const struct stack_datagram *other = port_table[port % BUCKETS]; other != NULL; other = other->port_next)
        if (other->local_port == port && other->kind == kind)
            return false;
    return true;
}

uint16_t datagram_table_choose_port(const struct stack_datagram *datagram, const ip_addr_t *address)
{
    unsigned count = LOCAL_PORT_LAST - LOCAL_PORT_FIRST + 1;
    unsigned start = port_random() % count;

    /* One that nobody has; when there is none, one that another address has. */
    for (int share = 0; share < 2; share++)
        for (unsigned i = 0; i < count; i++) {
            uint16_t port = (uint16_t)(LOCAL_PORT_FIRST + (start + i) % count);

            if (share ? !datagram_table_conflicts(datagram, address, port) : port_is_free(datagram->kind, port))
                return port;
        }
    return 0;
}

/* Is the socket open to packets of this family, that come in there? */
static bool hears(const struct stack_datagram *datagram, enum stack_datagram_kind kind,
                  const struct datagram_tuple *tuple)
{
    unsigned interface = (unsigned)datagram->options[STACK_DATAGRAM_BIND_INTERFACE];

    if (datagram->kind != kind || datagram->local_port != tuple->local_port ||
        (interface != 0 && interface != tuple->interface))
        return false;
    return IP_IS_V6(tuple->local) ? datagram->family == AF_INET6 : datagram_takes_ip4(datagram);
}

/* Is the socket bound to the packet's destination, or to the wildcard? */
static bool takes_address(const struct stack_datagram *datagram, const ip_addr_t *local)
{
    if (IP_IS_V6(local) != IP_IS_V6(&datagram->local))
        return !IP_IS_V6(local) && ip_addr_isany(&datagram->local);
    return ip_addr_isany(&datagram->local) || ip_addr_eq(&datagram->local, local);
}

static struct stack_datagram *find_connected(enum stack_datagram_kind kind, const struct datagram_tuple *tuple)
{
    struct stack_datagram *found = NULL;

    for (struct stack_datagram *it = *connected_bucket(tuple->local, tuple->local_port, tuple->peer, tuple->peer_port);
         it != NULL; it = it->lookup_next)
        if (hears(it, kind, tuple) && it->peer_port == tuple->peer_port && ip_addr_eq(&it->local, tuple->local) &&
            ip_addr_eq(&it->peer, tuple->peer) &&
            (found == NULL || (found->options[STACK_DATAGRAM_BIND_INTERFACE] == 0 &&
                               it->options[STACK_DATAGRAM_BIND_INTERFACE] != 0)))
            found = it;
    return found;
}

/* Do they share the port as one group? */
static bool is_same_group(const struct stack_datagram *one, const struct stack_datagram *other)
{
    return one->kind == other->kind && one->family == other->family && one->local_port == other->local_port &&
           ip_addr_eq(&one->local, &other->local) && other->options[STACK_DATAGRAM_REUSEPORT] &&
           one->options[STACK_DATAGRAM_V6ONLY] == other->options[STACK_DATAGRAM_V6ONLY] &&
           one->options[STACK_DATAGRAM_BIND_INTERFACE] == other->options[STACK_DATAGRAM_BIND_INTERFACE];
}

/* SO_REUSEPORT: which of all that share found's port? */
static struct stack_datagram *choose_of_group(struct stack_datagram *found, const struct datagram_tuple *tuple)
{
    uint32_t hash = hash_flow(tuple->local, tuple->local_port, tuple->peer, tuple->peer_port);
    struct stack_datagram *it = open_table[found->local_port % BUCKETS];
    uint32_t count = 0;

    for (struct stack_datagram *each = it; each != NULL; each = each->lookup_next)
        count += is_same_group(found, each);
    for (uint32_t chosen = (uint32_t)((uint64_t)hash * count >> 32); it != NULL; it = it->lookup_next)
        if (is_same_group(found, it) && chosen-- == 0)
            return it;
    return found;
}

struct stack_datagram *datagram_table_find(enum stack_datagram_kind kind, const struct datagram_tuple *tuple)
{
    struct stack_datagram *found = find_connected(kind, tuple);
    int best = -1;

    if (found != NULL)
        return found;
    for (struct stack_datagram *it = open_table[tuple->local_port % BUCKETS]; it != NULL; it = it->lookup_next) {
        int score;

        if (!hears(it, kind, tuple) || !takes_address(it, tuple->local))
            continue;
        score = (ip_addr_isany(&it->local) ? 0 : 16) + (it->options[STACK_DATAGRAM_BIND_INTERFACE] != 0 ? 4 : 0) +
                (IP_IS_V6(&it->local) == IP_IS_V6(tuple->local) ? 2 : 1);
        if (score > best) {
            best = score;
            found = it;
        }
    }
    return found != NULL && found->options[STACK_DATAGRAM_REUSEPORT] ? choose_of_group(found, tuple) : found;
}

/* Return: the first from datagram on along the port's bucket that a packet to many is for. */
static struct stack_datagram *seek(struct stack_datagram *datagram, enum stack_datagram_kind kind,
                                   const struct datagram_tuple *tuple)
{
    for (; datagram != NULL; datagram = datagram->port_next)
        if (hears(datagram, kind, tuple) && takes_address(datagram, tuple->local) &&
            (!datagram->connected ||
             (datagram->peer_port == tuple->peer_port && ip_addr_eq(&datagram->peer, tuple->peer))) &&
            (!ip_addr_ismulticast(tuple->local) ||
             datagram_multicast_allows(datagram, tuple->local, tuple->peer, tuple->interface)))
            break;
    return datagram;
}

struct stack_datagram *datagram_table_first(enum stack_datagram_kind kind, const struct datagram_tuple *tuple)
{
    return seek(port_table[tuple->local_port % BUCKETS], kind, tuple);
}

struct stack_datagram *datagram_table_next(enum stack_datagram_kind kind, struct stack_datagram *after,
                                           const struct datagram_tuple *tuple)
{
    return seek(after->port_next, kind, tuple);
}

struct stack_datagram *datagram_table_find_ping(const struct datagram_tuple *tuple)
{
    struct stack_datagram *it = port_table[tuple->local_port % BUCKETS];

    while (it != NULL && !(hears(it, STACK_DATAGRAM_PING, tuple) && IP_IS_V6_VAL(it->local) == IP_IS_V6(tuple->local) &&
                           takes_address(it, tuple->local)))
        it = it->port_next;
    return it;
}

/* Return: the first raw socket from this on that the packet comes to. */
static struct stack_datagram *seek_raw(struct stack_datagram *datagram, const struct datagram_tuple *tuple)
{
    for (; datagram != NULL; datagram = datagram->port_next) {
        unsigned interface = (unsigned)datagram->options[STACK_DATAGRAM_BIND_INTERFACE];

        if ((datagram->family == AF_INET6) == IP_IS_V6(tuple->local) && takes_address(datagram, tuple->local) &&
            (interface == 0 || interface == tuple->interface) &&
            (!datagram->connected || ip_addr_eq(&datagram->peer, tuple->peer)) &&
            (!ip_addr_ismulticast(tuple->local) ||
             datagram_multicast_allows(datagram, tuple->local, tuple->peer, tuple->interface)))
            break;
    }
    return datagram;
}

struct stack_datagram *datagram_table_first_raw(uint8_t protocol, const struct datagram_tuple *tuple)
{
    return seek_raw(raw_table[protocol], tuple);
}

struct stack_datagram *datagram_table_next_raw(struct stack_datagram *after, const struct datagram_tuple *tuple)
{
    return seek_raw(after->port_next, tuple);
}
