/* tcp_listen.c - listening sockets and the connections that come to them. */
#include <errno.h>
#include <string.h>

#include "stack/port.h"
#include "stack/sockaddr.h"
#include "tcp_cookie.h"
#include "tcp_socket.h"

unsigned tcp_listen_half_open;

static uint16_t offered_mss;

void tcp_listen_note_mss(uint16_t mss)
{
    offered_mss = mss;
}

/* lwIP got a SYN and has made a control block. */
/* The handshake of tcp is under way, and comes to this listening socket. */
static void add_incoming(struct stack_tcp *parent, struct stack_tcp *tcp)
{
    tcp->listener = parent;
    tcp->incoming_next = parent->incoming_first;
    tcp->incoming_link = &parent->incoming_first;
    if (parent->incoming_first != NULL)
        parent->incoming_first->incoming_link = &tcp->incoming_next;
    parent->incoming_first = tcp;
    parent->incoming++;
    tcp_listen_half_open++;
}

err_t tcp_listen_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
    struct stack_tcp *parent = tcp_ext_arg_get((struct tcp_pcb *)listener, id);
    struct stack_tcp *tcp = tcp_socket_new();

    if (tcp == NULL)
        return ERR_MEM;
    memcpy(tcp->options, parent->options, sizeof tcp->options);
    tcp->family = parent->family;
    tcp->sender.congestion.algorithm = parent->sender.congestion.algorithm;
    tcp->role = TCP_ROLE_INCOMING;
    tcp->label = (struct stack_label){.user = parent->label.user, .program = parent->label.program};
    tcp_socket_set_user(tcp, memory_hold_more(parent->user));
    add_incoming(parent, tcp);
    tcp->peer = pcb->remote_ip;
    tcp->peer_port = pcb->remote_port;
    tcp->connect_us = port_now_us;
    tcp_ecn_passive_open(&tcp->ecn);
    tcp->bound_address = pcb->local_ip;
    tcp_bind_enter(tcp, &pcb->local_ip, pcb->local_port);
    tcp_socket_attach(tcp, pcb);
    tcp_lookup_add(tcp);
    tcp_timer_start(tcp);
    tcp_cookie_on_open(tcp);
    pcb->mss = tcp_eff_send_mss(offered_mss, &pcb->local_ip, &pcb->remote_ip); /* lwIP has one default for both families */
    tcp_option_apply_all(tcp);
    tcp_window_start(tcp);
    return ERR_OK;
}

/* An incoming connection is complete or gone; or a listening socket ends. */
void tcp_listen_forget(struct stack_tcp *tcp)
{
    if (tcp->listener != NULL) {
        *tcp->incoming_link = tcp->incoming_next;
        if (tcp->incoming_next != NULL)
            tcp->incoming_next->incoming_link = tcp->incoming_link;
        tcp->listener->incoming--;
        tcp_listen_half_open--;
        tcp->listener = NULL;
    }
    while (tcp->incoming_first != NULL) {
        struct stack_tcp *child = tcp->incoming_first;

        tcp_listen_half_open--;
        tcp->incoming_first = child->incoming_next;
        child->listener = NULL;
        child->pcb->listener = NULL; /* which lwIP would find by walking its lists */
    }
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
    pcb->listener = NULL; /* it may close before this connection does */
    tcp->role = TCP_ROLE_CONNECTED;
    tcp_statistics.passive_opens++;
    if (tcp->retransmitted == 0 && !tcp->restored)
        tcp_timeout_add_rtt(tcp, port_now_us - tcp->connect_us);
    tcp_socket_set_callbacks(tcp);
    tcp_send_start(tcp);
    tcp_acknowledge_serve(tcp);
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

void tcp_listen_restore(struct stack_tcp *tcp, struct stack_tcp *listener)
{
    if (listener == NULL || listener->pcb == NULL)
        return; /* it was closed: the handshake ends with a reset */
    add_incoming(listener, tcp);
    tcp->pcb->listener = (struct tcp_pcb_listen *)listener->pcb;
    tcp->pcb->callback_arg = listener;
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
        tcp->bound = true;
        tcp_bind_enter(tcp, &any, port);
        tcp->bound_address = any;
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
    tcp_lookup_clear();
    ip_set_option(pcb, SOF_REUSEADDR); /* don't look at those in TIME-WAIT: tcp_bind.c has */
    error = tcp_bind(pcb, &tcp->local, tcp->local_port);
    ip_reset_option(pcb, SOF_REUSEADDR);
    listening = error == ERR_OK ? tcp_listen_with_backlog_and_err(pcb, 0, &error) : NULL;
    tcp_lookup_clear();
    if (listening == NULL) {
        tcp_close(pcb);
        return error == ERR_MEM ? -ENOMEM : -EADDRINUSE;
    }
    tcp_socket_attach(tcp, listening);
    tcp_arg(listening, tcp);
    tcp_accept(listening, tcp_listen_on_accept);
    tcp->may_accept = may_accept;
    tcp->role = TCP_ROLE_LISTENING;
    tcp_bind_enter(tcp, &tcp->local, tcp->local_port);
    return 0;
}
