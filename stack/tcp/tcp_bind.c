/*
 * tcp_bind.c - which addresses and ports are taken: Linux's rules, over a table of our own.
 *
 * lwIP's check knows one kind of reuse; so every control block is given SOF_REUSEADDR, which makes lwIP let everything
 * pass, and the rules are kept here (Linux: inet_csk_bind_conflict). Two sockets conflict when their ports are equal
 * and their addresses are, or one is the wildcard of the other's family (:: is that of both, but with IPV6_V6ONLY), unless
 *   - both have SO_REUSEADDR and neither listens, or
 *   - both have SO_REUSEPORT.
 * Connections, accepted ones and those in TIME-WAIT, count like any socket.
 */
#include <errno.h>

#include "stack/ip/interface.h"
#include "stack/wire/loop_netif.h"
#include "stack/port.h"
#include "stack/sockaddr.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define PORT_BUCKETS 4096
#define LOCAL_PORT_FIRST 32768 /* net.ipv4.ip_local_port_range */
#define LOCAL_PORT_LAST 60999

/* By local port, linked by port_next; in each bucket those that listen come first, before any number of connections. */
static struct stack_tcp *port_table[PORT_BUCKETS];

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
    return port_table[port % PORT_BUCKETS];
}

static bool port_is_free(uint16_t port)
{
    for (const struct stack_tcp *other = port_table[port % PORT_BUCKETS]; other != NULL; other = other->port_next)
        if (other->local_port == port)
            return false;
    return true;
}

bool tcp_bind_conflicts(const struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port)
{
    for (const struct stack_tcp *other = port_table[port % PORT_BUCKETS]; other != NULL; other = other->port_next) {
        if (other == tcp || other->local_port != port)
            continue;
        if (!addresses_overlap(address, &other->local))
            continue;
        if (tcp->options[STACK_TCP_REUSEADDR] && other->options[STACK_TCP_REUSEADDR] &&
            other->role != TCP_ROLE_LISTENING)
            continue;
        if (tcp->options[STACK_TCP_REUSEPORT] && other->options[STACK_TCP_REUSEPORT])
            continue;
        return true;
    }
    return false;
}

static bool is_local_port(unsigned port)
{
    return port >= LOCAL_PORT_FIRST && port <= LOCAL_PORT_LAST;
}

/* Return: a port that no socket uses, from a random start; 0 when there is none. */
uint16_t tcp_bind_choose_port(const struct stack_tcp *tcp)
{
    unsigned range = (unsigned)tcp->options[STACK_IP_LOCAL_PORT_RANGE];
    /* The socket's own range only narrows the usual one (Linux: inet_sk_get_local_port_range). */
    unsigned first = is_local_port(range & 0xffff) ? range & 0xffff : LOCAL_PORT_FIRST;
    unsigned last = is_local_port(range >> 16) ? range >> 16 : LOCAL_PORT_LAST;
    unsigned count = last - first + 1;
    unsigned start = port_random() % count;

    for (unsigned i = 0; i < count; i++) {
        uint16_t port = (uint16_t)(first + (start + i) % count);

        if (port_is_free(port))
            return port;
    }
    return 0;
}

/* SO_REUSEPORT: of all that listen where found does, the one that this connection goes to. Linux spreads them by a hash of the addresses, too. */
struct stack_tcp *tcp_bind_choose_listener(struct stack_tcp *found, uint32_t hash)
{
    struct stack_tcp *chosen = found;
    uint32_t count = 0;

    if (!found->options[STACK_TCP_REUSEPORT])
        return found;
    for (struct stack_tcp *other = port_table[found->local_port % PORT_BUCKETS];
         other != NULL && other->role == TCP_ROLE_LISTENING; other = other->port_next) {
        if (other->local_port != found->local_port || !ip_addr_eq(&other->local, &found->local) ||
            !other->options[STACK_TCP_REUSEPORT])
            continue;
        if (hash % ++count == 0)
            chosen = other; /* each of the first n with the same chance */
        hash = hash * 1103515245u + 12345u;
    }
    return chosen;
}

/* The socket has this address and port from now on. To be called again when it begins or ceases to listen. */
void tcp_bind_enter(struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port)
{
    struct stack_tcp **place = &port_table[port % PORT_BUCKETS];

    tcp_bind_remove(tcp);
    tcp->local = *address;
    tcp->local_port = port;
    if (tcp->role != TCP_ROLE_LISTENING)
        while (*place != NULL && (*place)->role == TCP_ROLE_LISTENING)
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
    tcp_bind_enter(tcp, &local, port);
    tcp->bound_address = local;
    tcp->bound = true;
    return 0;
}
