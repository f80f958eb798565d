/* tcp_listen.c - listening sockets and the connections that come to them. */
#include <errno.h>
#include <string.h>

#include "stack/port.h"
#include "stack/sockaddr.h"
#include "tcp_socket.h"

/* Who gets the connection from this peer, of those that share the port of the one that lwIP found? */
struct stack_tcp *tcp_listen_choose(struct stack_tcp *found, const ip_addr_t *peer, uint16_t peer_port)
{
    uint32_t hash = (sockaddr_fold(peer) ^ peer_port) * 2654435761u;

    return tcp_bind_choose_listener(found, hash ^ hash >> 15);
}

static uint16_t offered_mss;

void tcp_listen_note_mss(uint16_t mss)
{
    offered_mss = mss;
}

/* lwIP got a SYN and has made a control block. */
err_t tcp_listen_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
    struct stack_tcp *parent = tcp_listen_choose(tcp_ext_arg_get((struct tcp_pcb *)listener, id),
                                                 &pcb->remote_ip, pcb->remote_port);
    struct stack_tcp *tcp = tcp_socket_new();

    if (tcp == NULL)
        return ERR_MEM;
    memcpy(tcp->options, parent->options, sizeof tcp->options);
    tcp->family = parent->family;
    tcp->sender.congestion.algorithm = parent->sender.congestion.algorithm;
    tcp->role = TCP_ROLE_INCOMING;
    tcp->label = (struct stack_label){.user = parent->label.user, .program = parent->label.program};
    tcp->listener = parent;
    parent->incoming++;
    tcp->peer = pcb->remote_ip;
    tcp->peer_port = pcb->remote_port;
    tcp->connect_us = port_now_us;
    tcp_ecn_passive_open(&tcp->ecn);
    tcp->bound_address = pcb->local_ip;
    tcp_bind_enter(tcp, &pcb->local_ip, pcb->local_port);
    tcp_socket_attach(tcp, pcb);
    pcb->mss = tcp_eff_send_mss(offered_mss, &pcb->local_ip, &pcb->remote_ip); /* lwIP has one default for both families */
    tcp_option_apply_all(tcp);
    tcp_window_start(tcp);
    return ERR_OK;
}

/* An incoming connection is complete or gone; or a listening socket ends. */
void tcp_listen_forget(struct stack_tcp *tcp)
{
    if (tcp->listener != NULL) {
        tcp->listener->incoming--;
        tcp->listener = NULL;
    }
    if (tcp->incoming > 0)
        for (struct stack_tcp *other = tcp_sockets; other != NULL; other = other->all_next)
            if (other->listener == tcp)
                other->listener = NULL;
    tcp->incoming = 0;
}

/* lwIP: a handshake is complete. */
static err_t tcp_listen_on_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct stack_tcp *parent, *tcp;
    err_t result;

    (void)arg;
    if (error != ERR_OK || pcb == NULL)
        return ERR_VAL; /* out of memory; the peer tries again */
    tcp = tcp_ext_arg_get(pcb, 0);
    parent = tcp->listener;
    if (parent == NULL)
        return ERR_VAL; /* it closed meanwhile, and another has the port */
    tcp_listen_forget(tcp);
    tcp->role = TCP_ROLE_CONNECTED;
    tcp_statistics.passive_opens++;
    if (tcp->retransmitted == 0)
        tcp_recovery_add_rtt(tcp, port_now_us - tcp->connect_us);
    tcp_socket_set_callbacks(tcp);
    tcp_send_start(tcp);
    tcp_socket_enter(parent);
    tcp_socket_enter(tcp);
    if (parent->owned && parent->events != NULL && parent->events->accepted != NULL)
        parent->events->accepted(parent->owner, tcp);
    if (!tcp->owned && !tcp->close_pending)
        tcp->abort_pending = true;
    if (!tcp->owned)
        tcp_err(pcb, NULL);
    tcp_socket_leave(parent);
    result = tcp_socket_leave(tcp);
    return result;
}

int stack_tcp_listen(struct stack_tcp *tcp, stack_tcp_may_accept *may_accept)
{
    struct tcp_pcb *pcb, *listening;
    ip_addr_t any = tcp_bind_any(tcp);
    err_t error;

    if (tcp->role == TCP_ROLE_LISTENING) {
        tcp->may_accept = may_accept;
        return 0;
    }
    if (tcp->role != TCP_ROLE_NEW && tcp->role != TCP_ROLE_FAILED)
        return -EINVAL;
    if (!tcp->bound) {
        uint16_t port = tcp_bind_choose_port(tcp);

        if (port == 0)
            return -EADDRINUSE;
        tcp_bind_enter(tcp, &any, port);
        tcp->bound_address = any;
        tcp->bound = true;
    } else {
        /* A failed connect may have left the address that it came from. */
        tcp_bind_enter(tcp, &tcp->bound_address, tcp->local_port);
        if (tcp_bind_conflicts(tcp, &tcp->local, tcp->local_port))
            return -EADDRINUSE;
    }
    pcb = tcp_new_ip_type(IP_GET_TYPE(&tcp->local));
    if (pcb == NULL)
        return -ENOMEM;
    tcp->pcb = pcb;
    tcp_option_apply_all(tcp);
    tcp->pcb = NULL;
    ip_set_option(pcb, SOF_REUSEADDR);
    error = tcp_bind(pcb, &tcp->local, tcp->local_port);
    ip_reset_option(pcb, SOF_REUSEADDR); /* else lwIP refuses a second listener, which SO_REUSEPORT allows */
    listening = error == ERR_OK ? tcp_listen_with_backlog_and_err(pcb, 0, &error) : NULL;
    if (listening == NULL) {
        tcp_close(pcb);
        return error == ERR_MEM ? -ENOMEM : -EADDRINUSE;
    }
    ip_set_option(listening, SOF_REUSEADDR); /* its children inherit it */
    tcp_socket_attach(tcp, listening);
    tcp_arg(listening, tcp);
    tcp_accept(listening, tcp_listen_on_accept);
    tcp->may_accept = may_accept;
    tcp->role = TCP_ROLE_LISTENING;
    tcp_bind_enter(tcp, &tcp->local, tcp->local_port);
    return 0;
}
