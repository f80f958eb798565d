/*
 * inspect.c - looking at the stack's sockets, one after another, while it goes on working.
 *
 * A cursor points at the socket that it will show next. A socket that goes away moves the cursors that point at it on
 * by one (inspect_forget_tcp(), inspect_forget_datagram()): that costs every other socket's end the look at an empty
 * list.
 */
#include "inspect.h"

#include <errno.h>

#include "inspect_cursors.h"
#include "port.h"
#include "stack/datagram/datagram_socket.h"
#include "stack/sockaddr.h"
#include "stack/tcp/tcp_socket.h"

#define TIME_WAIT_MS (2 * TCP_MSL)
#define PORT_LOOK_MAX 32 /* sockets; of those of TCP the ones that listen come first */
#define PERSIST_TICKS_MAX 120 /* lwIP: tcp_persist_backoff */

struct stack_cursor *inspect_cursors;

void stack_cursor_open(struct stack_cursor *cursor)
{
    *cursor = (struct stack_cursor){.tcp = tcp_sockets, .wait = time_wait_oldest, .datagram = datagram_sockets, .next = inspect_cursors};
    inspect_cursors = cursor;
}

void stack_cursor_close(struct stack_cursor *cursor)
{
    for (struct stack_cursor **place = &inspect_cursors; *place != NULL; place = &(*place)->next) {
        if (*place == cursor) {
            *place = cursor->next;
            return;
        }
    }
}

void inspect_move_on_from_tcp(const struct stack_tcp *tcp)
{
    for (struct stack_cursor *cursor = inspect_cursors; cursor != NULL; cursor = cursor->next)
        if (cursor->tcp == tcp)
            cursor->tcp = tcp->all_next;
}

void inspect_move_on_from_time_wait(const struct time_wait *wait)
{
    for (struct stack_cursor *cursor = inspect_cursors; cursor != NULL; cursor = cursor->next)
        if (cursor->wait == wait)
            cursor->wait = wait->newer;
}

void inspect_move_on_from_datagram(const struct stack_datagram *datagram)
{
    for (struct stack_cursor *cursor = inspect_cursors; cursor != NULL; cursor = cursor->next)
        if (cursor->datagram == datagram)
            cursor->datagram = datagram->all_next;
}

void stack_tcp_set_label(struct stack_tcp *tcp, const struct stack_label *label)
{
    if (label->user != tcp->label.user)
        tcp_socket_set_user(tcp, memory_hold(label->user));
    tcp->label = *label;
}

bool stack_port_any(int protocol, uint16_t port, stack_port_test *test, void *context)
{
    static const struct stack_label none;
    unsigned looked_at = 0;

    if (protocol == IPPROTO_TCP) {
        for (const struct stack_tcp *tcp = tcp_bind_first(port); tcp != NULL && looked_at < PORT_LOOK_MAX;
             tcp = tcp->port_next, looked_at++)
            if (tcp->local_port == port && test(context, &tcp->label, tcp->owner))
                return true;
        return false;
    }
    for (const struct stack_datagram *datagram = datagram_table_on_port(port);
         datagram != NULL && looked_at < PORT_LOOK_MAX; datagram = datagram->port_next, looked_at++)
        if (datagram->local_port == port && datagram->protocol == protocol && test(context, &none, datagram->owner))
            return true;
    return false;
}

/* Milliseconds from now to a moment of the microsecond clock. */
static uint64_t until_ms(uint64_t due_us)
{
    return due_us > port_now_us ? (due_us - port_now_us + 999) / 1000 : 0;
}

/* Milliseconds that are left of a time that began when tcp_ticks was since. */
static uint64_t left_ms(uint64_t length_ms, uint32_t since)
{
    uint64_t elapsed_ms = (uint64_t)(u32_t)(tcp_ticks - since) * TCP_SLOW_INTERVAL;

    return elapsed_ms < length_ms ? length_ms - elapsed_ms : 0;
}

static void set_timer(struct stack_view *view, enum stack_timer timer, uint64_t ms, unsigned retries)
{
    view->timer = timer;
    view->timer_ms = ms;
    view->retries = retries;
}

/* What does the connection wait for? Of several, what ss shows. */
static void describe_timer(const struct stack_tcp *tcp, struct stack_view *view)
{
    const struct tcp_pcb *pcb = tcp->pcb;

    if (pcb->state == FIN_WAIT_2 && (pcb->flags & TF_RXCLOSED) != 0) {
        uint64_t linger_us = (uint64_t)LWIP_MAX(tcp->options[STACK_TCP_LINGER2], 0) * 1000000;

        set_timer(view, STACK_TIMER_TIME_WAIT,
                  tcp->fin_wait_us != 0 ? until_ms(tcp->fin_wait_us + linger_us) : linger_us / 1000, 0);
    } else if (tcp->sender.started && tcp->sender.timer != SENDER_TIMER_NONE && tcp->sender.board.count > 0 &&
               tcp->sender.clock.due_us != TCP_CLOCK_NEVER) {
        set_timer(view, STACK_TIMER_RETRANSMIT, until_ms(tcp->sender.clock.due_us), pcb->nrtx);
    } else if (!tcp->sender.started && pcb->rtime >= 0) {
        int ticks = pcb->rto - pcb->rtime;

        set_timer(view, STACK_TIMER_RETRANSMIT, ticks > 0 ? (uint64_t)ticks * TCP_SLOW_INTERVAL : 0, pcb->nrtx);
    } else if (pcb->persist_backoff > 0) {
        unsigned ticks = LWIP_MIN(3u << LWIP_MIN(pcb->persist_backoff - 1, 6), PERSIST_TICKS_MAX);

        set_timer(view, STACK_TIMER_PERSIST,
                  ticks > pcb->persist_cnt ? (uint64_t)(ticks - pcb->persist_cnt) * TCP_SLOW_INTERVAL : 0,
                  pcb->persist_probe);
    } else if (ip_get_option(pcb, SOF_KEEPALIVE) && (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)) {
        set_timer(view, STACK_TIMER_KEEPALIVE,
                  left_ms(pcb->keep_idle + (uint64_t)pcb->keep_cnt_sent * pcb->keep_intvl, pcb->tmr),
                  pcb->keep_cnt_sent);
    }
}

static void describe_tcp(const struct stack_tcp *tcp, struct stack_view *view)
{
    struct tcp_info info;

    *view = (struct stack_view){.tcp = tcp,
                                .owner = tcp->owner,
                                .label = tcp->label,
                                .family = tcp->family,
                                .protocol = IPPROTO_TCP,
                                .interface = (unsigned)tcp->options[STACK_IP_BIND_INTERFACE],
                                .v6only = tcp->options[STACK_IPV6_V6ONLY] != 0,
                                .receive_queued = tcp->receive.queued,
                                .send_queued = stack_tcp_send_queued(tcp),
                                .receive_memory = tcp->receive.memory,
                                .send_memory = tcp->send.memory,
                                .pending = tcp->incoming};
    sockaddr_write(&tcp->local, tcp->local_port, tcp->family, &view->local);
    if (tcp->pcb == NULL) {
        view->state = TCP_CLOSE;
        return;
    }
    stack_tcp_get_info(tcp, &info);
    view->state = info.tcpi_state;
    if (tcp->pcb->state == LISTEN)
        return;
    sockaddr_write(&tcp->peer, tcp->peer_port, tcp->family, &view->peer);
    describe_timer(tcp, view);
}

static void describe_time_wait(const struct time_wait *wait, struct stack_view *view)
{
    *view = (struct stack_view){.label = wait->label,
                                .family = wait->family,
                                .protocol = IPPROTO_TCP,
                                .state = TCP_TIME_WAIT,
                                .interface = wait->interface,
                                .v6only = (wait->flags & TIME_WAIT_V6ONLY) != 0};
    sockaddr_write(&wait->local, wait->local_port, wait->family, &view->local);
    sockaddr_write(&wait->peer, wait->peer_port, wait->family, &view->peer);
    set_timer(view, STACK_TIMER_TIME_WAIT, until_ms(wait->since_us + TIME_WAIT_MS * 1000ull), 0);
}

static void describe_datagram(const struct stack_datagram *datagram, struct stack_view *view)
{
    *view = (struct stack_view){.datagram = datagram,
                                .owner = datagram->owner,
                                .family = datagram->family,
                                .protocol = datagram->protocol,
                                .state = datagram->connected ? TCP_ESTABLISHED : TCP_CLOSE,
                                .interface = (unsigned)datagram->options[STACK_DATAGRAM_BIND_INTERFACE],
                                .v6only = datagram->options[STACK_DATAGRAM_V6ONLY] != 0,
                                .traffic = datagram->traffic};
    (void)stack_datagram_local_address(datagram, &view->local);
    if (datagram->connected)
        sockaddr_write(&datagram->peer, datagram->peer_port, datagram->family, &view->peer);
}

bool stack_cursor_next(struct stack_cursor *cursor, struct stack_view *view)
{
    if (cursor->tcp != NULL) {
        const struct stack_tcp *tcp = cursor->tcp;

        cursor->tcp = tcp->all_next;
        describe_tcp(tcp, view);
        return true;
    }
    if (cursor->wait != NULL) {
        const struct time_wait *wait = cursor->wait;

        cursor->wait = wait->newer;
        describe_time_wait(wait, view);
        return true;
    }
    if (cursor->datagram != NULL) {
        const struct stack_datagram *datagram = cursor->datagram;

        cursor->datagram = datagram->all_next;
        describe_datagram(datagram, view);
        return true;
    }
    return false;
}

int stack_tcp_kill(struct stack_tcp *tcp, int error)
{
    if (tcp->pcb == NULL)
        return -ENOTCONN;
    if (tcp->pcb->state == LISTEN)
        return -EOPNOTSUPP;
    tcp_statistics.killed++;
    tcp_socket_fail(tcp, error, true);
    return 0;
}

struct stack_tcp *stack_tcp_find(uint64_t id, struct stack_label *label)
{
    struct stack_tcp *tcp = tcp_sockets;

    while (tcp != NULL && tcp->label.id != id)
        tcp = tcp->all_next;
    if (tcp != NULL)
        *label = tcp->label;
    return tcp;
}

struct time_wait *stack_time_wait_find(uint64_t id, struct stack_label *label)
{
    struct time_wait *wait = time_wait_oldest;

    while (wait != NULL && wait->label.id != id)
        wait = wait->newer;
    if (wait != NULL)
        *label = wait->label;
    return wait;
}

void stack_time_wait_kill(struct time_wait *wait)
{
    tcp_statistics.killed++;
    tcp_time_wait_remove(wait);
}
