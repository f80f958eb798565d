/*
 * tcp_timer.c - TCP's timers: when they run, and when a connection is given up.
 *
 * lwIP has two: a fast one (50 ms: acknowledgements that could not be sent) and a slow one (100 ms: handshakes, probes,
 * keep-alive, the end of what is closed). They walk all connections. Here each connection has a moment of its own at
 * which they look at it alone (tcp_lookup_run()), in the heap of tcp_clock.c with all other timers: what is not due
 * costs nothing.
 *
 * Whatever happens to a connection asks for a look within 100 ms (tcp_timer_wake()). The look finds out what comes next
 * and when (next_look_us()): nothing, for an idle one. lwIP counts looks where it should count time, so what it counts
 * is first brought up to the time that has passed (catch_up()); its clock, tcp_ticks, is set from the real one.
 *
 * How long lwIP tries is decided here, as Linux does: a SYN is sent again after 1, 2, 4, ... seconds, TCP_SYNCNT times;
 * a SYN-ACK likewise, 5 times, and 32 seconds later the handshake is forgotten (a peer whose acknowledgements were lost
 * believes in its connection, which lwIP would forget after 20 seconds); data for about 15 minutes (tcp_retries2) or
 * TCP_USER_TIMEOUT. A connecting socket whose neighbour does not answer fails with EHOSTUNREACH after 3 seconds.
 */
#include "tcp_timer.h"

#include <errno.h>

#include "stack/wire/gather.h"
#include "stack/port.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define FAST_US (TCP_FAST_INTERVAL * 1000u)
#define SLOW_US (TCP_SLOW_INTERVAL * 1000u)
#define RTO_MAX_TICKS (120000 / TCP_SLOW_INTERVAL) /* Linux: TCP_RTO_MAX */
#define RTO_NEVER 0x7fff             /* lwIP counts ticks up to this */
#define GIVE_UP_US 924600000u        /* Linux: tcp_retries2 = 15 doublings from 200 ms on, at most 120 s each */
#define NEIGHBOUR_US 3000000u        /* Linux: 3 ARP requests, one a second */
#define SYN_ACK_RETRIES 5            /* Linux: tcp_synack_retries */
#define LAST_ACK_TICKS (2 * TCP_MSL / TCP_SLOW_INTERVAL)

static const u8_t persist_ticks[] = {3, 6, 12, 24, 48, 96, 120}; /* lwIP: tcp_persist_backoff */

static uint64_t epoch_us; /* when tcp_ticks was 0, or would have been */

void tcp_timer_set_ticks(void)
{
    u32_t ticks = (u32_t)((port_now_us - epoch_us) / SLOW_US);

    if ((s32_t)(ticks - tcp_ticks) > 0)
        tcp_ticks = ticks;
}

void tcp_timer_open(void)
{
    epoch_us = port_now_us - (uint64_t)tcp_ticks * SLOW_US; /* tcp_ticks goes on from an earlier stack_open() */
}

/* lwIP says that there is a new connection, which it will call us about again. */
void tcp_timer_needed(void)
{
}

/* Does lwIP count ticks for something of this connection? */
static bool is_counting(const struct tcp_pcb *pcb)
{
    return pcb->rtime >= 0 || pcb->persist_backoff > 0;
}

void tcp_timer_wake(struct stack_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    uint64_t due_us = port_now_us + SLOW_US;

    if (pcb == NULL || pcb->state == LISTEN || tcp->timer.due_us <= due_us)
        return;
    if (!is_counting(pcb))
        tcp->timer_ticks = tcp_ticks;
    tcp_clock_set(&tcp->timer, due_us);
}

/* Is the Ethernet address unknown that its packets go to? */
static bool is_neighbour_missing(const struct stack_tcp *tcp)
{
    return !ip_addr_isloopback(&tcp->local) && wire_netif_is_unresolved(&tcp->peer);
}

/* A connection that waits for the answer to its SYN. Return: 0, or the error that ends it. */
static int check_connecting(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    int retries = tcp->options[STACK_TCP_SYNCNT];

    if (is_neighbour_missing(tcp)) {
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

int tcp_timer_reason(const struct stack_tcp *tcp)
{
    return tcp->soft_error != 0 ? tcp->soft_error : ETIMEDOUT;
}

/* Has an incoming handshake waited long enough for its last segment? If not, lwIP is not to think so. */
static bool is_handshake_over(struct tcp_pcb *pcb)
{
    if (pcb->state != SYN_RCVD)
        return false;
    pcb->tmr = tcp_ticks;
    return pcb->nrtx >= SYN_ACK_RETRIES && pcb->rtime + 1 >= pcb->rto;
}

/* Has the peer been silent for too long? Return: 0, or the reason to give up. */
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
        return tcp_timer_reason(tcp); /* tcp(7): also of data that waits for a window */
    if (pcb->nrtx == 0 && pcb->persist_probe == 0) {
        tcp->retransmitting_us = 0;
        return 0;
    }
    if (tcp->retransmitting_us == 0)
        tcp->retransmitting_us = port_now_us;
    if (!tcp->sender.started && pcb->rto > RTO_MAX_TICKS)
        pcb->rto = RTO_MAX_TICKS;
    if (port_now_us - tcp->retransmitting_us < limit_us)
        return 0;
    if (tcp->soft_error == 0 && pcb->nrtx > 0 && is_neighbour_missing(tcp))
        return EHOSTUNREACH; /* Linux tells itself so by ICMP, which counts for data, and not for probes of a window */
    return tcp_timer_reason(tcp);
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

/* Give lwIP's counters the ticks that passed since the last look, but for the one that it counts itself. */
static void catch_up(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    u32_t ticks = tcp_ticks - tcp->timer_ticks;

    tcp->timer_ticks = tcp_ticks;
    if (ticks <= 1)
        return;
    if (pcb->persist_backoff > 0)
        pcb->persist_cnt = (u8_t)LWIP_MIN(pcb->persist_cnt + ticks - 1, UINT8_MAX);
    else if (pcb->rtime >= 0)
        pcb->rtime = (s16_t)LWIP_MIN(pcb->rtime + ticks - 1, RTO_NEVER);
}

/* lwIP's time-out for a SYN that was sent. */
static void set_syn_timeout(struct tcp_pcb *pcb)
{
    pcb->rto = (s16_t)LWIP_MIN(LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL << LWIP_MIN(pcb->nrtx, 10), RTO_MAX_TICKS);
}

/* Our part of a look, before lwIP's. Return: whether the connection lives. */
static bool check_connection(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    int error;

    if (pcb->state == SYN_SENT) {
        set_syn_timeout(pcb);
        error = check_connecting(tcp);
    } else if (is_handshake_over(pcb)) {
        tcp_abandon(pcb, 0); /* frees the socket, too */
        return false;
    } else {
        error = tcp->sender.blind ? ENOMEM : check_silence(tcp);
    }
    if (error != 0) {
        tcp_socket_fail(tcp, error, pcb->state != SYN_SENT);
        return false;
    }
    check_fin_wait(tcp);
    if (tcp->sender.started) { /* which has a clock of its own: lwIP's stands still */
        pcb->rtime = -1;
        pcb->rto = RTO_NEVER;
    }
    if (pcb->persist_backoff > 0)
        tcp_send_trim_acknowledged(tcp);
    if (tcp->pcb != NULL && (tcp->send.unhanded > 0 || (tcp->shut && !tcp->fin_handed)))
        tcp_send_push(tcp, false); /* corked, or memory was short */
    return tcp->pcb != NULL;
}

/* Return: the time at which tcp_ticks is this. */
static uint64_t time_of(u32_t ticks)
{
    s32_t ahead = (s32_t)(ticks - tcp_ticks);

    return epoch_us + (uint64_t)(u32_t)((port_now_us - epoch_us) / SLOW_US) * SLOW_US + (uint64_t)LWIP_MAX(ahead, 1) * SLOW_US;
}

/* Does something wait that only a look moves on? */
static bool is_stuck(const struct stack_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    bool waits = tcp->send.unhanded > 0 || (tcp->shut && !tcp->fin_handed) || pcb->unsent != NULL;

    if (tcp->sender.blind || (pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR)) != 0 || tcp->cork_us != 0)
        return true;
    return waits && tcp->role == TCP_ROLE_CONNECTED && pcb->persist_backoff == 0 && tcp->sender.board.count == 0;
}

/* For lwIP's part: when is the next look that finds something to do? */
static uint64_t next_lwip_look_us(const struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint64_t due_us = TCP_CLOCK_NEVER;

    if (pcb->state == SYN_SENT)
        set_syn_timeout(pcb);
    if (pcb->persist_backoff > 0) {
        u8_t ticks = persist_ticks[LWIP_MIN(pcb->persist_backoff, sizeof persist_ticks) - 1];

        due_us = time_of(tcp_ticks + (ticks > pcb->persist_cnt ? (u32_t)(ticks - pcb->persist_cnt) : 1));
    } else if (!tcp->sender.started && pcb->state <= SYN_RCVD) {
        due_us = time_of(tcp_ticks + (pcb->rtime >= 0 && pcb->rto > pcb->rtime ? (u32_t)(pcb->rto - pcb->rtime) : 1));
    }
    switch (pcb->state) {
    case LAST_ACK:
        due_us = LWIP_MIN(due_us, time_of(pcb->tmr + LAST_ACK_TICKS + 1));
        break;
    case ESTABLISHED:
    case CLOSE_WAIT:
        if (ip_get_option(pcb, SOF_KEEPALIVE)) {
            u32_t probes = LWIP_MIN(pcb->keep_cnt_sent, pcb->keep_cnt);

            due_us = LWIP_MIN(due_us, time_of(pcb->tmr + (pcb->keep_idle + probes * pcb->keep_intvl) / TCP_SLOW_INTERVAL + 1));
        }
        break;
    default:
        break;
    }
    return due_us;
}

/* The same for ours. */
static uint64_t next_own_look_us(const struct stack_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    uint64_t user_us = (uint64_t)LWIP_MAX(tcp->options[STACK_TCP_USER_TIMEOUT], 0) * 1000;
    uint64_t due_us = TCP_CLOCK_NEVER;

    if (pcb->state == SYN_SENT) {
        if (user_us > 0)
            due_us = tcp->connect_us + user_us;
        if (tcp->unresolved_us != 0)
            due_us = LWIP_MIN(due_us, tcp->unresolved_us + NEIGHBOUR_US);
        return due_us;
    }
    if (tcp->retransmitting_us != 0)
        due_us = tcp->retransmitting_us + (user_us > 0 ? user_us : GIVE_UP_US);
    if (tcp->window_closed_us != 0 && user_us > 0)
        due_us = LWIP_MIN(due_us, tcp->window_closed_us + user_us);
    if (pcb->state == FIN_WAIT_2 && tcp->fin_wait_us != 0)
        due_us = LWIP_MIN(due_us, tcp->fin_wait_us + (uint64_t)LWIP_MAX(tcp->options[STACK_TCP_LINGER2], 0) * 1000000);
    return due_us;
}

/* Return: when a look at the connection finds something to do, if nothing happens until then; TCP_CLOCK_NEVER:
 * nothing. */
static uint64_t next_look_us(const struct stack_tcp *tcp)
{
    if (is_stuck(tcp))
        return port_now_us + SLOW_US;
    return LWIP_MAX(LWIP_MIN(next_lwip_look_us(tcp), next_own_look_us(tcp)), port_now_us + SLOW_US / 2);
}

/* It is time to look at a connection. */
static void look(struct tcp_clock *clock)
{
    struct stack_tcp *tcp = (struct stack_tcp *)((char *)clock - offsetof(struct stack_tcp, timer));
    const struct tcp_pcb *pcb = tcp->pcb;

    if (pcb == NULL || pcb->state == LISTEN)
        return;
    gather_flush(); /* lwIP sends nothing again that is still referenced */
    tcp_socket_enter(tcp);
    if ((pcb->flags & (TF_ACK_DELAY | TF_CLOSEPEND)) != 0)
        tcp_lookup_run(tcp, tcp_fasttmr);
    if (tcp->pcb != NULL) {
        catch_up(tcp);
        if (check_connection(tcp)) {
            tcp_ticks--; /* lwIP counts this look itself */
            tcp_lookup_run(tcp, tcp_slowtmr);
        }
    }
    if (tcp->pcb != NULL)
        tcp_clock_set(&tcp->timer, next_look_us(tcp));
    if (tcp->sender.board.count == 0)
        scoreboard_release(&tcp->sender.board); /* idle connections hold no buffers */
    (void)tcp_socket_leave(tcp);
}

void tcp_timer_start(struct stack_tcp *tcp)
{
    tcp->timer.run = look;
    tcp->timer_ticks = tcp_ticks;
    tcp_clock_set(&tcp->timer, port_now_us + SLOW_US);
}

int64_t tcp_timer_us(void)
{
    uint64_t next = LWIP_MIN(tcp_clock_next_us(), tcp_time_wait_due_us());

    if (next == TCP_CLOCK_NEVER)
        return -1;
    return next <= port_now_us ? 0 : (int64_t)(next - port_now_us);
}

void tcp_timer_run(void)
{
    if (tcp_clock_next_us() <= port_now_us)
        tcp_sender_run_clocks();
    tcp_time_wait_run();
}
