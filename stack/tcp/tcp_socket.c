/*
 * tcp_socket.c - life and death of a TCP socket.
 *
 * Theory of operation. A struct stack_tcp has two holders: its owner (the service) and, while there is one, lwIP's
 * control block, which points back through its ext arg. It is freed when both have let go:
 *   - stack_tcp_close() and stack_tcp_abort() end the owner's part. After a close the control block lives on until what
 *     is queued was acknowledged and both FINs were exchanged; TIME-WAIT needs neither of the two (tcp_time_wait.c);
 *   - lwIP frees a control block at many places, at some without a word but for the ext arg's destroy callback.
 *     That is the one place where the socket learns that its control block is gone, and releases what it queued for
 *     sending.
 *
 * lwIP calls back from the middle of its input; there a control block must not be freed behind its back. Each callback
 * is bracketed by tcp_socket_enter() and tcp_socket_leave(). When the owner lets go in between, that is only noted,
 * and leave() does it, and returns ERR_ABRT if the control block is gone, as lwIP wants to be told.
 *
 * Why a connection died: lwIP gives one of three reasons, and the state says the rest (tcp_socket_on_error). Where the
 * driver itself decides (timers, no neighbour), it ends the connection with tcp_socket_fail().
 */
#include "tcp_socket.h"

#include <errno.h>

#include "stack/wire/gather.h"
#include "stack/inspect_cursors.h"
#include "stack/sockaddr.h"
#include "tcp_cookie.h"

#define CLOCKS 4 /* of a socket: its timer, and those of the acknowledger, the sender and its pace */

struct stack_tcp *tcp_sockets;
struct stack_counters tcp_counters;
struct tcp_statistics tcp_statistics;

static u8_t ext_arg_id;

/* lwIP frees the control block. */
static void tcp_socket_on_destroy(u8_t id, void *data)
{
    struct stack_tcp *tcp = data;

    (void)id;
    if (tcp == NULL)
        return;
    tcp_lookup_remove(tcp);
    tcp_cookie_forget(tcp);
    tcp_clock_remove(&tcp->timer);
    tcp->pcb = NULL;
    if (!tcp->bound)
        tcp_bind_remove(tcp);
    tcp_send_release(tcp);
    tcp_listen_forget(tcp);
    tcp_socket_release(tcp);
}

static const struct tcp_ext_arg_callbacks ext_arg_callbacks = {tcp_socket_on_destroy, tcp_listen_passive_open};

int tcp_socket_open_all(void)
{
    static bool have_id;

    if (!have_id)
        ext_arg_id = tcp_ext_arg_alloc_id();
    have_id = true;
    tcp_counters = (struct stack_counters){0};
    tcp_statistics = (struct tcp_statistics){0};
    return 0;
}

/* End every connection and every socket, whoever owns it. */
void tcp_socket_close_all(void)
{
    while (tcp_sockets != NULL) {
        struct stack_tcp *tcp = tcp_sockets;

        tcp->owned = true; /* so that it is freed at one place */
        if (tcp->pcb != NULL) {
            struct tcp_pcb *pcb = tcp->pcb;

            if (pcb->state == LISTEN) {
                tcp_close(pcb);
            } else {
                tcp_err(pcb, NULL);
                tcp_socket_abort(pcb);
            }
        }
        tcp->owned = false;
        tcp->depth = 0;
        tcp_socket_release(tcp);
    }
    tcp_time_wait_remove_all();
}

size_t tcp_socket_count_unfinished(void)
{
    size_t count = 0;

    for (const struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next)
        if (tcp->owned || tcp->pcb != NULL)
            count++;
    return count;
}

struct stack_tcp *tcp_socket_new(void)
{
    struct stack_tcp *tcp = calloc(1, sizeof *tcp);

    if (tcp == NULL || !tcp_clock_reserve(CLOCKS)) {
        free(tcp);
        return NULL;
    }
    tcp->user = tcp->send.user = tcp->receive.user = memory_hold(0);
    tcp->timer.due_us = TCP_CLOCK_NEVER;
    tcp->all_next = tcp_sockets;
    if (tcp_sockets != NULL)
        tcp_sockets->all_prev = tcp;
    tcp_sockets = tcp;
    tcp_counters.sockets++;
    return tcp;
}

void tcp_socket_set_user(struct stack_tcp *tcp, struct memory_user *user)
{
    memory_remove(tcp->user, tcp->send.memory + tcp->receive.memory);
    memory_release(tcp->user);
    memory_add(user, tcp->send.memory + tcp->receive.memory);
    tcp->user = tcp->send.user = tcp->receive.user = user;
}

/* Free the socket if nobody holds it any more. */
void tcp_socket_release(struct stack_tcp *tcp)
{
    if (tcp->owned || tcp->pcb != NULL || tcp->depth > 0)
        return;
    tcp_bind_remove(tcp);
    tcp_send_release(tcp);
    tcp_receive_release(tcp);
    inspect_forget_tcp(tcp);
    if (tcp->all_prev != NULL)
        tcp->all_prev->all_next = tcp->all_next;
    else
        tcp_sockets = tcp->all_next;
    if (tcp->all_next != NULL)
        tcp->all_next->all_prev = tcp->all_prev;
    tcp_counters.sockets--;
    memory_release(tcp->user);
    tcp_clock_unreserve(CLOCKS);
    free(tcp);
}

/* Tie a control block to the socket. */
void tcp_socket_attach(struct stack_tcp *tcp, struct tcp_pcb *pcb)
{
    tcp->pcb = pcb;
    tcp_ext_arg_set(pcb, ext_arg_id, tcp);
    tcp_ext_arg_set_callbacks(pcb, ext_arg_id, &ext_arg_callbacks);
}

/* Take the control block from the socket; lwIP is about to free it. */
void tcp_socket_detach(struct stack_tcp *tcp)
{
    tcp_ext_arg_set(tcp->pcb, ext_arg_id, NULL);
    tcp_lookup_remove(tcp);
    tcp_clock_remove(&tcp->timer);
    tcp->pcb = NULL;
    tcp_send_release(tcp);
    tcp_listen_forget(tcp);
}

void tcp_socket_abort(struct tcp_pcb *pcb)
{
    /* A peer whose window is closed takes a reset at the window's edge only; lwIP would send it behind what it probed
     * the window with (Linux: tcp_acceptable_seq()). */
    if (TCP_SEQ_GT(pcb->snd_nxt, pcb->lastack + pcb->snd_wnd))
        pcb->snd_nxt = pcb->lastack + pcb->snd_wnd;
    tcp_abort(pcb);
}

void tcp_socket_enter(struct stack_tcp *tcp)
{
    tcp->depth++;
}

/* The owner has let go of a socket that still has a control block, and no callback is under way. */
static void tcp_socket_end(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    if (pcb->state == LISTEN || pcb->state == SYN_SENT) {
        tcp_close(pcb);
        return;
    }
    if (tcp->receive.queued > 0) {
        tcp_socket_abort(pcb);
        return;
    }
    tcp_set_flags(pcb, TF_RXCLOSED); /* what comes from now on is answered with a reset */
    pcb->tmr = tcp_ticks;
    tcp->shut = true;
    tcp_timer_wake(tcp);
    tcp_send_push(tcp, false);
}

/* Return: what the lwIP callback must return. */
err_t tcp_socket_leave(struct stack_tcp *tcp)
{
    err_t result = ERR_OK;

    if (--tcp->depth > 0)
        return ERR_OK;
    if (tcp->abort_pending && tcp->pcb != NULL) {
        tcp_socket_abort(tcp->pcb); /* frees the socket */
        return ERR_ABRT;
    }
    if (tcp->close_pending && tcp->pcb != NULL) {
        bool aborts = tcp->receive.queued > 0;

        tcp->close_pending = false;
        tcp_socket_end(tcp);
        return aborts ? ERR_ABRT : ERR_OK;
    }
    tcp_socket_release(tcp);
    return result;
}

/* A connection, or the attempt at one, ends with an error. */
static void count_death(const struct stack_tcp *tcp, int error)
{
    if (tcp->role != TCP_ROLE_CONNECTED)
        tcp_statistics.attempt_fails++;
    else if (error == ECONNRESET || error == EPIPE)
        tcp_statistics.established_resets++;
    else if (error == ETIMEDOUT)
        tcp_statistics.aborted_on_timeout++;
    else
        tcp_statistics.aborted_otherwise++;
}

/* The control block is gone, for this reason: tell the owner. */
static void tcp_socket_die(struct stack_tcp *tcp, int error)
{
    count_death(tcp, error);
    if (!tcp->bound)
        tcp_bind_remove(tcp);
    if (tcp->role == TCP_ROLE_CONNECTING)
        tcp->local = tcp->bound_address; /* as Linux shows it; the port stays */
    tcp->role = TCP_ROLE_FAILED;
    tcp_socket_enter(tcp);
    if (tcp->owned && tcp->events != NULL && tcp->events->failed != NULL)
        tcp->events->failed(tcp->owner, error);
    tcp_socket_leave(tcp);
}

/* lwIP says that the connection is gone. */
static void tcp_socket_on_error(void *arg, err_t reason)
{
    struct stack_tcp *tcp = arg;
    int error;

    if (reason == ERR_CLSD) {
        tcp_socket_detach(tcp); /* the last acknowledgement of an orderly end */
        tcp->finished = true;
        return;
    }
    if (reason == ERR_RST) {
        enum tcp_state state = tcp->pcb != NULL ? tcp->pcb->state : ESTABLISHED;

        error = state == SYN_SENT ? ECONNREFUSED : state == CLOSE_WAIT ? EPIPE : ECONNRESET;
    } else { /* ERR_ABRT: lwIP gave up */
        error = tcp_timer_reason(tcp);
    }
    if (tcp->pcb != NULL)
        tcp_socket_detach(tcp);
    tcp_socket_die(tcp, error);
}

void tcp_socket_fail(struct stack_tcp *tcp, int error, bool reset)
{
    struct tcp_pcb *pcb = tcp->pcb;

    tcp_err(pcb, NULL);
    if (!tcp->owned) {
        tcp_abandon(pcb, reset);
        return;
    }
    tcp_socket_detach(tcp);
    tcp_abandon(pcb, reset);
    tcp_socket_die(tcp, error);
}

void tcp_socket_set_callbacks(struct stack_tcp *tcp)
{
    tcp_arg(tcp->pcb, tcp);
    tcp_recv(tcp->pcb, tcp_receive_on_data);
    tcp_sent(tcp->pcb, tcp_send_on_sent);
    tcp_err(tcp->pcb, tcp_socket_on_error);
}

struct stack_tcp *stack_tcp_open(int family, const struct stack_tcp_events *events, void *owner)
{
    struct stack_tcp *tcp = tcp_socket_new();

    if (tcp == NULL)
        return NULL;
    tcp->owned = true;
    tcp->family = family;
    tcp_option_set_defaults(tcp);
    tcp->local = tcp->bound_address = tcp_bind_any(tcp);
    stack_tcp_adopt(tcp, events, owner);
    return tcp;
}

void stack_tcp_adopt(struct stack_tcp *tcp, const struct stack_tcp_events *events, void *owner)
{
    tcp->owned = true;
    tcp->events = events;
    tcp->owner = owner;
}

/* The owner lets go, one way or the other. */
static void tcp_socket_disown(struct stack_tcp *tcp)
{
    tcp->owned = false;
    tcp->events = NULL;
    tcp->owner = NULL;
    tcp->may_accept = NULL;
    if (tcp->pcb != NULL && tcp->pcb->state != LISTEN)
        tcp_err(tcp->pcb, NULL);
}

void stack_tcp_close(struct stack_tcp *tcp)
{
    tcp_socket_disown(tcp);
    if (tcp->pcb == NULL)
        tcp_socket_release(tcp);
    else if (tcp->depth > 0)
        tcp->close_pending = true;
    else
        tcp_socket_end(tcp);
}

void stack_tcp_abort(struct stack_tcp *tcp)
{
    tcp_socket_disown(tcp);
    if (tcp->pcb == NULL)
        tcp_socket_release(tcp);
    else if (tcp->depth > 0)
        *(tcp->pcb->state == LISTEN ? &tcp->close_pending : &tcp->abort_pending) = true;
    else if (tcp->pcb->state == LISTEN)
        tcp_close(tcp->pcb);
    else
        tcp_socket_abort(tcp->pcb);
}

void stack_tcp_disconnect(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    if (pcb != NULL && pcb->state == LISTEN) {
        tcp_socket_detach(tcp);
        tcp_close(pcb);
    } else if (pcb != NULL) {
        tcp_err(pcb, NULL);
        tcp_socket_detach(tcp);
        tcp_socket_abort(pcb);
    }
    tcp_receive_release(tcp);
    tcp->role = TCP_ROLE_NEW;
    tcp->local = tcp->bound_address;
    if (tcp->bound)
        tcp_bind_enter(tcp, &tcp->bound_address, tcp->local_port);
    else
        tcp_bind_remove(tcp);
}

int stack_tcp_local_address(const struct stack_tcp *tcp, union stack_address *address)
{
    sockaddr_write(&tcp->local, tcp->local_port, tcp->family, address);
    return 0;
}

int stack_tcp_peer_address(const struct stack_tcp *tcp, union stack_address *address)
{
    if (tcp->role != TCP_ROLE_CONNECTED)
        return -ENOTCONN;
    sockaddr_write(&tcp->peer, tcp->peer_port, tcp->family, address);
    return 0;
}
