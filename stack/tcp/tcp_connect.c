/* tcp_connect.c - beginning a connection. */
#include <errno.h>

#include "stack/ip/interface.h"
#include "stack/wire/blackhole_netif.h"
#include "stack/wire/loop_netif.h"
#include "stack/port.h"
#include "stack/ip/route.h"
#include "stack/ip/route6.h"
#include "stack/sockaddr.h"
#include "isn.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

/* lwIP: the handshake is complete. */
static err_t tcp_connect_on_connected(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct stack_tcp *tcp = arg;

    (void)pcb;
    (void)error; /* always ERR_OK */
    tcp_socket_enter(tcp);
    tcp->role = TCP_ROLE_CONNECTED;
    if (tcp->retransmitted == 0)
        tcp_timeout_add_rtt(tcp, port_now_us - tcp->connect_us);
    tcp_send_start(tcp);
    tcp_acknowledge_established(tcp);
    tcp->sender.bytes_acked = tcp->sender.delivered = 1; /* the SYN, as Linux counts */
    if (tcp->events != NULL && tcp->events->connected != NULL)
        tcp->events->connected(tcp->owner);
    return tcp_socket_leave(tcp);
}

void tcp_connect_set_callback(struct stack_tcp *tcp)
{
    tcp->pcb->connected = tcp_connect_on_connected;
    if (tcp->options[STACK_TCP_BLACKHOLE] && tcp->pcb->netif_idx != NETIF_NO_INDEX)
        tcp_bind_netif(tcp->pcb, blackhole_netif());
}

/* Where does a connection to an IPv4 peer come from? *local is what the socket is bound to. Return: 0 and *local, or
 * -errno. */
static int choose_local4(const ip4_addr_t *peer, ip4_addr_t *local)
{
    ip4_addr_t source;

    if (loop_is_local(peer)) {
        if (ip4_addr_isany_val(*local)) {
            if (ip4_addr_isloopback(peer))
                IP4_ADDR(local, 127, 0, 0, 1);
            else
                (void)route_find(peer, NULL, local); /* ours, so in one of our networks */
        }
        return 0;
    }
    if (ip4_addr_ismulticast(peer) || wire_netif_is_broadcast(peer) || !route_find(peer, NULL, &source))
        return -ENETUNREACH;
    if (ip4_addr_isloopback(local))
        return -EINVAL; /* as Linux: no way leads from there to the wire */
    if (ip4_addr_isany_val(*local))
        *local = source;
    return 0;
}

/* The same for IPv6. */
static int choose_local6(const ip6_addr_t *peer, ip6_addr_t *local)
{
    ip6_addr_t source;

    if (ip6_addr_ismulticast(peer))
        return -ENETUNREACH;
    if (loop_is_local6(peer)) {
        if (ip6_addr_isany(local))
            *local = *peer;
        return 0;
    }
    if (!route6_source(peer, &source))
        return -ENETUNREACH;
    if (ip6_addr_isany(local))
        *local = source;
    return 0;
}

/* Where does a connection to peer come from? Return: 0 and *local, or -errno. */
static int tcp_connect_choose_local(const struct stack_tcp *tcp, const ip_addr_t *peer, ip_addr_t *local)
{
    unsigned interface = (unsigned)tcp->options[STACK_IP_BIND_INTERFACE];

    if (interface > STACK_INTERFACE_COUNT)
        return IP_IS_V6(peer) ? -ENETUNREACH : -ENODEV; /* as Linux */
    if (interface != 0 && interface != tcp_bind_interface_of(peer))
        return -ENETUNREACH; /* DIFFERS: Linux sends it out there, and nobody answers */
    *local = tcp->bound_address;
    if (sockaddr_is_any(local))
        ip_addr_set_any(IP_IS_V6(peer), local);
    if (IP_IS_V6(peer))
        return choose_local6(ip_2_ip6(peer), ip_2_ip6(local));
    return choose_local4(ip_2_ip4(peer), ip_2_ip4(local));
}

/* Read the address to connect to (Linux: tcp_v4_connect(), tcp_v6_connect()). Return: 0 or -errno. */
static int read_peer_address(const struct stack_tcp *tcp, const union stack_address *address, ip_addr_t *peer)
{
    bool bound_to_v4 = tcp->family == AF_INET6 && IP_IS_V4_VAL(tcp->bound_address);
    int error;

    if (address->sa.sa_family != tcp->family)
        return -EAFNOSUPPORT;
    error = sockaddr_read(address, peer);
    if (error < 0)
        return -ENETUNREACH;
    if (IP_IS_V4(peer)) {
        if (tcp->family == AF_INET6 && tcp->options[STACK_IPV6_V6ONLY])
            return -ENETUNREACH;
        if (ip_addr_isany(peer)) /* the address that it is bound to, or the loopback */
            *peer = IP_IS_V4_VAL(tcp->bound_address) ? tcp->bound_address : *peer;
        if (ip_addr_isany(peer))
            ip_addr_set_loopback(false, peer);
        return 0;
    }
    if (ip_addr_isany(peer))
        ip_addr_set_loopback(!bound_to_v4, peer);
    else if (bound_to_v4)
        return -EAFNOSUPPORT;
    if (IP_IS_V6(peer) && ip6_addr_lacks_zone(ip_2_ip6(peer), IP6_UNICAST)) {
        if (!ip_addr_islinklocal(&tcp->bound_address)) /* which link? */
            return -EINVAL;
        ip6_addr_copy_zone(*ip_2_ip6(peer), *ip_2_ip6(&tcp->bound_address));
    }
    return 0;
}

/* Undo what a connect did that did not begin. Return: error. */
static int tcp_connect_undo(struct stack_tcp *tcp, int error)
{
    tcp->role = TCP_ROLE_NEW;
    tcp_bind_remove(tcp);
    tcp->local = tcp->bound_address;
    if (tcp->bound)
        tcp_bind_enter(tcp, &tcp->bound_address, tcp->local_port);
    else
        tcp->local_port = 0;
    return error;
}

int stack_tcp_connect(struct stack_tcp *tcp, const union stack_address *address)
{
    ip_addr_t peer, local;
    struct tcp_ends ends;
    struct tcp_pcb *pcb;
    err_t result;
    int error;

    if (tcp->role != TCP_ROLE_NEW && tcp->role != TCP_ROLE_FAILED)
        return -EISCONN;
    error = read_peer_address(tcp, address, &peer);
    if (error < 0)
        return error;
    error = tcp_connect_choose_local(tcp, &peer, &local);
    if (error < 0)
        return error;
    ends = (struct tcp_ends){&local, &peer, tcp->local_port, sockaddr_port(address)};
    if (!tcp->bound)
        ends.local_port = tcp_bind_choose_connect_port(tcp, &ends);
    if (ends.local_port == 0 || tcp_lookup_find(&ends) != NULL || !tcp_time_wait_make_way(&ends, tcp->bound))
        return -EADDRNOTAVAIL; /* no port is left, or the same pair of addresses and ports exists */
    pcb = tcp_new_ip_type(IP_GET_TYPE(&peer));
    if (pcb == NULL) {
        isn_forget();
        return -ENOMEM;
    }
    tcp_send_release(tcp);
    tcp_receive_release(tcp);
    tcp->shut = tcp->fin_handed = tcp->received_fin = tcp->finished = tcp->crossed = false;
    tcp->connect_us = port_now_us;
    tcp->soft_error = 0;
    tcp_ecn_active_open(&tcp->ecn);
    tcp->unresolved_us = tcp->retransmitting_us = tcp->window_closed_us = tcp->fin_wait_us = tcp->cork_us = 0;
    tcp->retransmitted = tcp->rtt_us = tcp->rttvar_us = 0;
    tcp->role = TCP_ROLE_CONNECTING;
    tcp_bind_enter(tcp, &local, ends.local_port);
    tcp->peer = peer;
    tcp->peer_port = ends.peer_port;
    tcp->pcb = pcb;
    tcp_option_apply_all(tcp);
    tcp->pcb = NULL;
    tcp_lookup_clear();
    ip_set_option(pcb, SOF_REUSEADDR); /* don't look at those in TIME-WAIT: that was done */
    if (tcp_bind(pcb, &local, ends.local_port) != ERR_OK) {
        isn_forget();
        tcp_close(pcb);
        return tcp_connect_undo(tcp, -EADDRINUSE);
    }
    ip_reset_option(pcb, SOF_REUSEADDR);
    if (tcp->options[STACK_TCP_BLACKHOLE])
        tcp_bind_netif(pcb, blackhole_netif());
    tcp_socket_attach(tcp, pcb);
    tcp_socket_set_callbacks(tcp);
    result = tcp_connect(pcb, &peer, tcp->peer_port, tcp_connect_on_connected);
    isn_forget(); /* if it did not get that far */
    tcp_lookup_clear();
    if (result == ERR_OK) {
        tcp_lookup_add(tcp);
        tcp_timer_start(tcp);
        tcp_statistics.active_opens++;
        return 0;
    }
    error = result == ERR_RTE ? -ENETUNREACH : -ENOMEM;
    tcp_socket_detach(tcp);
    tcp_err(pcb, NULL);
    tcp_close(pcb);
    return tcp_connect_undo(tcp, error);
}
