/*
 * tcp_timeout.c - how long a round trip takes, and how long a sender waits for an answer.
 *
 * Theory of operation. The smoothed round trip and its deviation are RFC 6298's. The time-out is the round trip and
 * four deviations, but these are at least 200 ms (Linux; RFC 6298 wants the sum to be a second), doubled with each
 * time-out in a row. The least round trip of the last minutes is what RACK and pacing go by. Each connection has one
 * clock, for the first of what is due:
 *
 *   what is late and not yet lost     when the window for reordering is over (tcp_rack.c), and that alone
 *   a probe for a lost tail           two round trips after the last that was sent or heard, as long as nothing is missing (RFC 8985 7.2)
 *   the time-out                      from when something was acknowledged, or the first that is missing was sent again
 *
 * When a router says that it can't deliver what a time-out sent again, that time-out is not counted: nothing is
 * congested, and the transfer is to go on as soon as there is a path again (RFC 6069; Linux: tcp_ld_RTO_revert()).
 *
 * A peer that does not acknowledge what it has SACKed may have dropped it (RFC 2018 8): then the time-out comes after
 * half a round trip (Linux: tcp_check_sack_reneging()).
 */
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

#define RTO_INITIAL_US 1000000u
#define RTO_FLOOR_US 200000u     /* Linux: TCP_RTO_MIN; on top of the smoothed round trip, as there */
#define RTO_MAX_US 120000000u    /* Linux: TCP_RTO_MAX */
#define BACKOFF_MAX 10
/* Two ticks of Debian's kernel, its TCP_TIMEOUT_MIN: a host that stalls for less has lost nothing. */
#define PROBE_SLACK_US 8000u
#define RENEGED_US 10000u
#define PEER_DELAY_US 200000u    /* RFC 8985 7.2: the peer may hold the acknowledgement of a single segment */
#define MIN_RTT_WINDOW_US 300000000u /* Linux: tcp_min_rtt_wlen */


void tcp_timeout_add_rtt(struct stack_tcp *tcp, uint64_t sample_us)
{
    struct tcp_sender *sender = &tcp->sender;
    uint32_t sample = (uint32_t)LWIP_MIN(LWIP_MAX(sample_us, 1u), 60000000u);

    sender->last_rtt_us = sample;
    if (tcp->rtt_us == 0) {
        tcp->rtt_us = sample;
        tcp->rttvar_us = sample / 2;
    } else {
        uint32_t difference = sample > tcp->rtt_us ? sample - tcp->rtt_us : tcp->rtt_us - sample;

        tcp->rttvar_us = (uint32_t)((3ull * tcp->rttvar_us + difference) / 4);
        tcp->rtt_us = LWIP_MAX((uint32_t)((7ull * tcp->rtt_us + sample) / 8), 1);
    }
    if (sender->min_rtt_us == 0 || sample <= sender->min_rtt_us ||
        port_now_us - sender->min_rtt_at_us > MIN_RTT_WINDOW_US) {
        sender->min_rtt_us = sample;
        sender->min_rtt_at_us = port_now_us;
    }
    sender->congestion.smoothed_rtt_us = tcp->rtt_us;
    sender->congestion.least_rtt_us = sender->min_rtt_us;
}

uint64_t tcp_timeout_us(const struct stack_tcp *tcp)
{
    uint64_t rto_us = RTO_INITIAL_US;

    if (tcp->rtt_us > 0)
        rto_us = tcp->rtt_us + (uint64_t)LWIP_MAX(4 * tcp->rttvar_us, RTO_FLOOR_US);
    rto_us <<= LWIP_MIN(tcp->sender.backoff, BACKOFF_MAX);
    return LWIP_MIN(rto_us, RTO_MAX_US);
}

/* RFC 8985 7.2. Return: after how long a silence the probe is sent. */
static uint64_t probe_timeout_us(const struct stack_tcp *tcp)
{
    uint64_t timeout_us = tcp->rtt_us > 0 ? 2ull * tcp->rtt_us : RTO_INITIAL_US;

    return timeout_us + (tcp->sender.board.count == 1 && tcp_large_count(tcp) == 1 ? PEER_DELAY_US : PROBE_SLACK_US);
}

void tcp_timeout_set_clock(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    uint64_t rto_due_us = sender->rto_base_us + tcp_timeout_us(tcp);

    if (sender->board.count > 0 && (scoreboard_at(&sender->board, 0)->flags & SENT_SACKED) != 0)
        rto_due_us = LWIP_MIN(rto_due_us, sender->rto_base_us + LWIP_MAX(tcp->rtt_us / 2, RENEGED_US));
    if (sender->board.count == 0) {
        sender->timer = SENDER_TIMER_NONE;
        tcp_clock_set(&sender->clock, TCP_CLOCK_NEVER);
        return;
    }
    if (sender->timer == SENDER_TIMER_REORDER && sender->clock.due_us != TCP_CLOCK_NEVER &&
        sender->clock.due_us > port_now_us && sender->clock.due_us < rto_due_us)
        return;
    sender->timer = SENDER_TIMER_RTO;
    if (sender->state == TCP_CA_Open && !sender->probing && (tcp->pcb->flags & TF_SACK) != 0 &&
        sender->board.sacked_count == 0 && sender->backoff == 0) {
        uint64_t probe_due_us = LWIP_MAX(sender->sent_us, sender->acked_us) + probe_timeout_us(tcp);

        if (probe_due_us < rto_due_us) {
            sender->timer = SENDER_TIMER_PROBE;
            rto_due_us = probe_due_us;
        }
    }
    tcp_clock_set(&sender->clock, rto_due_us);
}

void tcp_timeout_revert(struct stack_tcp *tcp, uint32_t sequence)
{
    struct tcp_sender *sender = &tcp->sender;

    if (!sender->started || sender->board.count == 0 || sequence != tcp->pcb->lastack || tcp->pcb->nrtx == 0 ||
        sender->backoff == 0)
        return;
    sender->backoff--;
    tcp_timeout_set_clock(tcp);
}
