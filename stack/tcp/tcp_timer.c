/*
 * tcp_timer.c - TCP's timers: when they run, and when a connection is given up.
 *
 * lwIP has two: a fast one (50 ms: acknowledgements that could not be sent) and a slow one (100 ms: retransmission, probes,
 * keep-alive, TIME-WAIT). They walk all connections, so they run only while one needs them: each pass of the slow
 * timer finds out which rate is needed next (need_of), and whatever happens to a connection in between
 * (tcp_timer_wake) asks for the full rate again. lwIP's clock, tcp_ticks, is set from the real one before each pass,
 * so passes that were left out don't make it slow.
 *
 * How long lwIP tries is decided here, as Linux does: a SYN is sent again after 1, 2, 4, ... seconds, TCP_SYNCNT times;
 * data for about 15 minutes (tcp_retries2) or TCP_USER_TIMEOUT. A connecting socket whose neighbour does not answer
 * fails with EHOSTUNREACH after 3 seconds.
 */
#include "tcp_timer.h"

#include <errno.h>

#include "stack/wire/gather.h"
#include "stack/port.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define FAST_US (TCP_FAST_INTERVAL * 1000u)
#define SLOW_US (TCP_SLOW_INTERVAL * 1000u)
#define LAZY_US 1000000u             /* for what is counted in seconds */
#define RTO_MAX_TICKS (120000 / TCP_SLOW_INTERVAL) /* Linux: TCP_RTO_MAX */
#define RTO_NEVER 0x7fff             /* lwIP counts ticks up to this */
#define GIVE_UP_US 924600000u        /* Linux: tcp_retries2 = 15 doublings from 200 ms on, at most 120 s each */
#define NEIGHBOUR_US 3000000u        /* Linux: 3 ARP requests, one a second */

/* What a connection needs, least first. */
enum timer_need { NEED_NONE, NEED_LAZY, NEED_FULL };

static bool running;             /* the timers are needed, at rate need */
static enum timer_need need;
static uint64_t next_fast_us;
static uint64_t next_slow_us;
static uint64_t epoch_us;        /* when tcp_ticks was 0, or would have been */

/* Bring tcp_ticks up to the time. */
static void set_ticks(void)
{
    u32_t ticks = (u32_t)((port_now_us - epoch_us) / SLOW_US);

    if ((s32_t)(ticks - tcp_ticks) > 0)
        tcp_ticks = ticks;
}

void tcp_timer_open(void)
{
    running = false;
    epoch_us = port_now_us - (uint64_t)tcp_ticks * SLOW_US; /* tcp_ticks goes on from an earlier stack_open() */
}

void tcp_timer_wake(void)
{
    if (running && need == NEED_FULL)
        return;
    running = true;
    need = NEED_FULL;
    next_fast_us = port_now_us + FAST_US;
    next_slow_us = port_now_us + SLOW_US;
    set_ticks();
}

/* lwIP says that there is a new connection. */
void tcp_timer_needed(void)
{
    tcp_timer_wake();
}

static enum timer_need need_of(const struct tcp_pcb *pcb, const struct stack_tcp *tcp)
{
    if (pcb->rtime >= 0 || pcb->persist_backoff > 0 || pcb->unsent != NULL || pcb->unacked != NULL ||
        pcb->ooseq != NULL ||
        (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR)) != 0 ||
        (tcp != NULL && (tcp->send.unhanded > 0 || (tcp->shut && !tcp->fin_handed))))
        return NEED_FULL;
    if (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT)
        return ip_get_option(pcb, SOF_KEEPALIVE) ? NEED_LAZY : NEED_NONE;
    if (pcb->state == FIN_WAIT_2)
        return (pcb->flags & TF_RXCLOSED) != 0 ? NEED_LAZY : NEED_NONE;
    return NEED_FULL;
}

/* A connection that waits for the answer to its SYN. Return: 0, or the error that ends it. */
static int check_connecting(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    int retries = tcp->options[STACK_TCP_SYNCNT];

    if (!ip_addr_isloopback(&tcp->local) && wire_netif_is_unresolved(&tcp->peer)) {
        if (tcp->unresolved_us == 0)
            tcp->unresolved_us = tcp->connect_us;
        if (port_now_us - tcp->unresolved_us >= NEIGHBOUR_US)
            return EHOSTUNREACH;
    }
    if (tcp->options[STACK_TCP_USER_TIMEOUT] > 0 &&
        port_now_us - tcp->connect_us >= (uint64_t)tcp->options[STACK_TCP_USER_TIMEOUT] * 1000)
        return ETIMEDOUT;
    if (pcb->nrtx >= retries && pcb->rtime + 1 >= pcb->rto)
        return ETIMEDOUT;
    return 0;
}

/* Has the peer been silent for too long? Return: 0, or ETIMEDOUT or the reason that ICMP gave. */
static int check_silence(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint64_t user_us = (uint64_t)LWIP_MAX(tcp->options[STACK_TCP_USER_TIMEOUT], 0) * 1000;
    uint64_t limit_us = user_us > 0 ? user_us : GIVE_UP_US;

    if (pcb->persist_backoff == 0)
        tcp->window_closed_us = 0;
    else if (tcp->window_closed_us == 0)
        tcp->window_closed_us = port_now_us;
    else if (user_us > 0 && port_now_us - tcp->window_closed_us >= user_us)
        return ETIMEDOUT; /* tcp(7): also of data that waits for a window */
    if (pcb->nrtx == 0 && pcb->persist_probe == 0) {
        tcp->retransmitting_us = 0;
        tcp->soft_error = 0;
        return 0;
    }
    if (tcp->retransmitting_us == 0)
        tcp->retransmitting_us = port_now_us;
    if (!tcp->sender.started && pcb->rto > RTO_MAX_TICKS)
        pcb->rto = RTO_MAX_TICKS;
    if (port_now_us - tcp->retransmitting_us < limit_us)
        return 0;
    return tcp->soft_error != 0 ? tcp->soft_error : ETIMEDOUT;
}

/* A closed connection waits for the peer's FIN: not for ever, but for as long as Linux does. */
static void check_fin_wait(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint64_t linger_us = (uint64_t)LWIP_MAX(tcp->options[STACK_TCP_LINGER2], 0) * 1000000;

    if (pcb->state != FIN_WAIT_2 || (pcb->flags & TF_RXCLOSED) == 0)
        return;
    if (tcp->fin_wait_us == 0)
        tcp->fin_wait_us = port_now_us;
    pcb->tmr = tcp_ticks;
    if (port_now_us - tcp->fin_wait_us >= linger_us)
        pcb->tmr -= 2 * TCP_FIN_WAIT_TIMEOUT / TCP_SLOW_INTERVAL;
}

/* Our part of the slow timer, before lwIP's. */
static void check_connections(void)
{
    struct tcp_pcb *next;

    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = next) {
        struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);
        int error;

        next = pcb->next;
        if (tcp == NULL)
            continue;
        if (pcb->state == SYN_SENT) {
            pcb->rto = (s16_t)LWIP_MIN(LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL << LWIP_MIN(pcb->nrtx, 10), RTO_MAX_TICKS);
            error = check_connecting(tcp);
        } else {
            error = tcp->sender.blind ? ENOMEM : check_silence(tcp);
        }
        if (error != 0) {
            tcp_socket_fail(tcp, error, pcb->state != SYN_SENT);
            continue;
        }
        check_fin_wait(tcp);
        if (tcp->sender.started) { /* which has a clock of its own: lwIP's stands still */
            pcb->rtime = -1;
            pcb->rto = RTO_NEVER;
        }
        if (pcb->persist_backoff > 0)
            tcp_send_trim_acknowledged(tcp);
        if (tcp->send.unhanded > 0 || (tcp->shut && !tcp->fin_handed))
            tcp_send_push(tcp, false); /* corked, or memory was short */
    }
}

/* Find the rate at which to go on. */
static void choose_rate(void)
{
    need = tcp_time_wait_pending() ? NEED_LAZY : NEED_NONE;
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL && need < NEED_FULL; pcb = pcb->next)
        need = LWIP_MAX(need, need_of(pcb, tcp_ext_arg_get(pcb, 0)));
    running = need != NEED_NONE;
    next_slow_us = port_now_us + (need == NEED_FULL ? SLOW_US : LAZY_US);
}

int64_t tcp_timer_us(void)
{
    uint64_t next = running ? next_slow_us : TCP_CLOCK_NEVER;

    if (running && need == NEED_FULL && next_fast_us < next)
        next = next_fast_us;
    if (tcp_clock_next_us() < next)
        next = tcp_clock_next_us();
    if (next == TCP_CLOCK_NEVER)
        return -1;
    return next <= port_now_us ? 0 : (int64_t)(next - port_now_us);
}

void tcp_timer_run(void)
{
    if (tcp_clock_next_us() <= port_now_us)
        tcp_sender_run_clocks();
    if (!running)
        return;
    gather_flush(); /* lwIP sends nothing again that is still referenced */
    if (need == NEED_FULL && port_now_us >= next_fast_us) {
        next_fast_us = port_now_us + FAST_US;
        tcp_fasttmr();
    }
    if (port_now_us >= next_slow_us) {
        set_ticks();
        tcp_ticks--; /* lwIP counts this pass itself */
        check_connections();
        tcp_slowtmr();
        tcp_time_wait_run();
        choose_rate();
    }
}
