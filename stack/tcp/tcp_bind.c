/*
 * tcp_bind.c - which addresses and ports are taken: Linux's rules, over a table of our own.
 *
 * lwIP's check knows one kind of reuse; so every control block is given SOF_REUSEADDR, which makes lwIP let everything
 * pass, and the rules are kept here (Linux: inet_csk_bind_conflict). Two sockets conflict when their ports are equal
 * and their addresses are, or one is the wildcard of the other's family (:: is that of both, but with IPV6_V6ONLY),
 * unless
 *   - both have SO_REUSEADDR and neither listens, or
 *   - both have SO_REUSEPORT.
 * Connections, accepted ones and those in TIME-WAIT, count like any socket.
 *
 * Choosing a port is Linux's way, too. bind() looks for one that nobody has, first among those of one parity, connect()
 * among those of the other, so that the two don't get into each other's way. A connection needs no port for itself:
 * only its ends must differ from all others' (inet_hash_connect()), and no socket may have asked for the port by
 * bind(). Where the search begins is as RFC 6056 3.3.4 has it: a secret hash of the destination and a counter, so that
 * a stranger can't guess the port and one destination gets one port after the other: the next is nearly always free.
 */
#include <errno.h>

#include "stack/ip/interface.h"
#include "stack/wire/loop_netif.h"
#include "stack/port.h"
#include "stack/sockaddr.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define PORTS 65536
#define COUNTERS 256
#define LOCAL_PORT_FIRST 32768 /* net.ipv4.ip_local_port_range */
#define LOCAL_PORT_LAST 60999

/* Who has a local port. */
static struct port {
    struct stack_tcp *sockets; /* linked by port_next; those that listen come first, then those that asked for the port by bind() */
    struct time_wait *waits;   /* likewise */
} ports[PORTS];

static uint32_t counters[COUNTERS]; /* by hash of the destination: how far the choice of ports has come there */

/* Is the address ours, so that a socket may be bound to it? Linux says so of broadcast and multicast addresses, too. */
bool tcp_bind_is_ours(const ip_addr_t *address)
{
    if (sockaddr_is_any(address) || ip_addr_ismulticast(address))
        return true;
    if (IP_IS_V6(address))
        return loop_is_local6(ip_2_ip6(address)) && ip6_addr_zone(ip_2_ip6(address)) != STACK_INTERFACE_LOOP;
    return loop_is_local(ip_2_ip4(address)) || wire_netif_is_broadcast(ip_2_ip4(address));
}

unsigned tcp_bind_interface_of(const ip_addr_t *address)
{
    return ip_addr_isloopback(address) ? STACK_INTERFACE_LOOP : STACK_INTERFACE_WIRE;
}

ip_addr_t tcp_bind_any(const struct stack_tcp *tcp)
{
    return tcp->options[STACK_IPV6_V6ONLY] ? *IP6_ADDR_ANY : sockaddr_any(tcp->family);
}

/* Can a packet be for both? */
static bool addresses_overlap(const ip_addr_t *one, const ip_addr_t *other)
{
    if (IP_IS_ANY_TYPE_VAL(*one) || IP_IS_ANY_TYPE_VAL(*other))
        return true;
    return IP_GET_TYPE(one) == IP_GET_TYPE(other) &&
           (ip_addr_isany_val(*one) || ip_addr_isany_val(*other) || ip_addr_eq(one, other));
}

const struct stack_tcp *tcp_bind_first(uint16_t port)
{
    return ports[port].sockets;
}

static bool port_is_free(uint16_t port)
{
    return ports[port].sockets == NULL && ports[port].waits == NULL;
}

bool tcp_bind_conflicts(const struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port)
{
    for (const struct stack_tcp *other = ports[port].sockets; other != NULL; other = other->port_next) {
        if (other == tcp || !addresses_overlap(address, &other->local))
            continue;
        if (tcp->options[STACK_TCP_REUSEADDR] && other->options[STACK_TCP_REUSEADDR] &&
            other->role != TCP_ROLE_LISTENING)
            continue;
        if (tcp->options[STACK_TCP_REUSEPORT] && other->options[STACK_TCP_REUSEPORT])
            continue;
        return true;
    }
    for (const struct time_wait *wait = ports[port].waits; wait != NULL; wait = wait->port_next) {
        if (!addresses_overlap(address, &wait->local) ||
            (tcp->options[STACK_TCP_REUSEADDR] && (wait->flags & TIME_WAIT_REUSE_ADDRESS) != 0) ||
            (tcp->options[STACK_TCP_REUSEPORT] && (wait->flags & TIME_WAIT_REUSE_PORT) != 0))
            continue;
        return true;
    }
    return false;
}

static bool is_local_port(unsigned port)
{
    return port >= LOCAL_PORT_FIRST && port <= LOCAL_PORT_LAST;
}

/* The ports that may be chosen for a socket. Return: the first; *count: so many. */
static unsigned port_range(const struct stack_tcp *tcp, unsigned *count)
{
    unsigned range = (unsigned)tcp->options[STACK_IP_LOCAL_PORT_RANGE];
    /* The socket's own range only narrows the usual one (Linux: inet_sk_get_local_port_range). */
    unsigned first = is_local_port(range & 0xffff) ? range & 0xffff : LOCAL_PORT_FIRST;
    unsigned last = is_local_port(range >> 16) ? range >> 16 : LOCAL_PORT_LAST;

    *count = last >= first ? last - first + 1 : 0;
    return first;
}

/* Return: a port that no socket uses, from a random start, of odd distance from the first if possible; 0 when there is
 * none. */
uint16_t tcp_bind_choose_port(const struct stack_tcp *tcp)
{
    unsigned count, first = port_range(tcp, &count);

    for (unsigned parity = 1; count > 0 && parity < 2; parity--) {
        unsigned half = (count + 1 - parity) / 2, start = half > 0 ? port_random() % half : 0;

        for (unsigned i = 0; i < half; i++) {
            uint16_t port = (uint16_t)(first + (start + i) % half * 2 + parity);

            if (port_is_free(port))
                return port;
        }
    }
    return 0;
}

/* May a connection have this port, with ends that are otherwise complete? */
static bool port_serves(const struct tcp_ends *ends)
{
    const struct port *port = &ports[ends->local_port];

    if (port->sockets == NULL && port->waits == NULL)
        return true;
    if (port->sockets != NULL && (port->sockets->bound || port->sockets->role == TCP_ROLE_LISTENING))
        return false;
    return tcp_lookup_find(ends) == NULL && tcp_time_wait_would_make_way(ends, false);
}

uint16_t tcp_bind_choose_connect_port(const struct stack_tcp *tcp, const struct tcp_ends *destination)
{
    unsigned count, first = port_range(tcp, &count);
    struct tcp_ends ends = *destination;
    uint64_t hash;
    uint32_t *counter, start;

    ends.local_port = 0;
    hash = tcp_lookup_hash(&ends);
    counter = &counters[hash % COUNTERS];
    if (*counter == 0)
        *counter = port_random();
    start = (uint32_t)(hash >> 32) + *counter;
    for (unsigned parity = 0; parity < 2; parity++) {
        unsigned half = (count + 1 - parity) / 2;

        for (unsigned i = 0; i < half; i++) {
            ends.local_port = (uint16_t)(first + (start + i) % half * 2 + parity);
            if (port_serves(&ends)) {
                /* Now and then further, so that the number of connections can't be seen (Linux: the same). */
                *counter += i + 1 + (port_random() % 8 == 0);
                return ends.local_port;
            }
        }
    }
    return 0;
}

/* How well does a listening socket suit an address? Return: 0: not at all. */
static int rate_listener(const struct stack_tcp *tcp, const ip_addr_t *address)
{
    if (IP_IS_ANY_TYPE_VAL(tcp->local))
        return 1;
    if (IP_GET_TYPE(&tcp->local) != IP_GET_TYPE(address))
        return 0;
    return ip_addr_isany_val(tcp->local) ? 2 : ip_addr_eq(&tcp->local, address) ? 3 : 0;
}

struct stack_tcp *tcp_bind_find_listener(const struct tcp_ends *ends)
{
    struct stack_tcp *best = NULL;
    int best_rate = 0;
    uint32_t count = 1, hash = 0;

    for (struct stack_tcp *other = ports[ends->local_port].sockets; other != NULL && other->role == TCP_ROLE_LISTENING;
         other = other->port_next) {
        int rate = rate_listener(other, ends->local);

        if (rate == 0 || rate < best_rate)
            continue;
        if (rate > best_rate) {
            best_rate = rate;
            best = other;
            count = 1;
        } else if (other->options[STACK_TCP_REUSEPORT]) {
            /* Of those that share the port by SO_REUSEPORT a hash chooses, each with the same chance. Linux spreads
             * connections by one of the addresses, too. */
            if (count == 1)
                hash = (uint32_t)(tcp_lookup_hash(ends) >> 32);
            if (hash % ++count == 0)
                best = other;
            hash = hash * 1103515245u + 12345u;
        }
    }
    return best;
}

/* The socket has this address and port from now on. To be called again when it begins or ceases to listen. */
void tcp_bind_enter(struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port)
{
    struct stack_tcp **place = &ports[port].sockets;

    tcp_bind_remove(tcp);
    tcp->local = *address;
    tcp->local_port = port;
    if (tcp->role != TCP_ROLE_LISTENING)
        while (*place != NULL && (*place)->role == TCP_ROLE_LISTENING)
            place = &(*place)->port_next;
    if (tcp->role != TCP_ROLE_LISTENING && !tcp->bound)
        while (*place != NULL && (*place)->bound)
            place = &(*place)->port_next;
    tcp->port_next = *place;
    if (*place != NULL)
        (*place)->port_link = &tcp->port_next;
    *place = tcp;
    tcp->port_link = place;
}

/* The socket's port is free again. */
void tcp_bind_remove(struct stack_tcp *tcp)
{
    if (tcp->port_link == NULL)
        return;
    *tcp->port_link = tcp->port_next;
    if (tcp->port_next != NULL)
        tcp->port_next->port_link = tcp->port_link;
    tcp->port_link = NULL;
}

void tcp_bind_enter_wait(struct time_wait *wait)
{
    struct time_wait **place = &ports[wait->local_port].waits;

    wait->port_next = *place;
    if (*place != NULL)
        (*place)->port_link = &wait->port_next;
    *place = wait;
    wait->port_link = place;
}

void tcp_bind_remove_wait(struct time_wait *wait)
{
    *wait->port_link = wait->port_next;
    if (wait->port_next != NULL)
        wait->port_next->port_link = wait->port_link;
}

/* Read the address to bind to, and whether it may be (Linux: __inet_bind(), __inet6_bind()). Return: 0 or -errno. */
static int read_local_address(const struct stack_tcp *tcp, const union stack_address *address, ip_addr_t *local)
{
    bool v6only = tcp->options[STACK_IPV6_V6ONLY];
    int error;

    if (address->sa.sa_family != tcp->family)
        return -EAFNOSUPPORT;
    error = sockaddr_read(address, local);
    if (error < 0)
        return error;
    if (IP_IS_V6(local)) {
        if (ip_addr_isany(local))
            *local = tcp_bind_any(tcp);
        else if (ip_addr_ismulticast(local) || ip6_addr_lacks_zone(ip_2_ip6(local), IP6_UNICAST))
            return -EINVAL;
    } else if (v6only) {
        return -EINVAL;
    }
    if (!tcp_bind_is_ours(local) && !tcp->options[STACK_IP_FREEBIND] && !tcp->options[STACK_IP_TRANSPARENT])
        return -EADDRNOTAVAIL;
    return 0;
}

int stack_tcp_bind(struct stack_tcp *tcp, const union stack_address *address)
{
    uint16_t port = sockaddr_port(address);
    ip_addr_t local;
    int error;

    if (tcp->bound || (tcp->role != TCP_ROLE_NEW && tcp->role != TCP_ROLE_FAILED))
        return -EINVAL;
    error = read_local_address(tcp, address, &local);
    if (error < 0)
        return error;
    if (port == 0) {
        port = tcp_bind_choose_port(tcp);
        if (port == 0)
            return -EADDRINUSE;
    } else if (tcp_bind_conflicts(tcp, &local, port)) {
        return -EADDRINUSE;
    }
    if (IP_IS_V6_VAL(local) && !ip_addr_isany_val(local))
        tcp->options[STACK_IPV6_V6ONLY] = true; /* as Linux shows it from now on */
    tcp->bound = true;
    tcp_bind_enter(tcp, &local, port);
    tcp->bound_address = local;
    return 0;
}
