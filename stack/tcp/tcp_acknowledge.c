/*
 * tcp_acknowledge.c - when received data is acknowledged.
 *
 * When. As Linux does (RFC 9293 3.8.6.3, RFC 5681 4.2, and long experience):
 *   quick      the first segments of a connection are acknowledged at once, so that the peer's slow start does not wait; so are some after
 *              a duplicate, and after a silence longer than the peer's time-out
 *   two        more than a full segment that was not acknowledged is, at once; a super-segment stands for many
 *   gap        what fills a gap, or leaves one open, is acknowledged at once
 *   read       a small segment that the owner has read is acknowledged at once: who sent it may wait for that
 *   answer     but when the owner answers what comes, the answer takes the acknowledgement along ("answers", Linux: pingpong), and
 *              nothing of the above but "two" and "gap" counts, until an answer fails to come in time
 *   moment     who has accepted a connection often answers its first request: when that is small, its acknowledgement waits for
 *              MOMENT_US, once answers came so soon at this port (with Linux it is quick, but there a segment costs little)
 *   delayed    all else waits for delay_us: 40 ms to 200 ms, by how fast segments follow each other, and within a round trip
 *   FIN        the peer's first FIN is delayed, too: the owner often closes at once, and then our FIN takes it along
 *   SYN-ACK    is acknowledged at once; what lwIP writes for that by itself is left out (tcp_acknowledge_leaves_out())
 * lwIP's own flags for it are taken away each time, so its timer of 50 ms finds nothing.
 *
 * "At once" is the end of the loop's turn, or of one soon after when there is other work (stack_flush_data()): one
 * acknowledgement for all frames that were read in it, with the window as it is when the owner has taken what came.
 * Data out of order is acknowledged by lwIP segment by segment, because the peer counts these (tcp_sack.c: what it says
 * of it).
 */
#include "tcp_acknowledge.h"

#include <string.h>

#include "stack/port.h"
#include "tcp_socket.h"

#define QUICK_SEGMENTS_MIN 2
#define DELAY_MIN_US 40000u     /* Linux: TCP_ATO_MIN, TCP_DELACK_MIN */
#define DELAY_MAX_US 200000u    /* Linux: TCP_DELACK_MAX */
#define DELAY_STREAM_MAX_US 500000u /* and when only full segments come; DELAY_MAX_US bounds that, too */
#define DELAY_FIN_US 4000u      /* of a FIN before any data; Linux: its next tick */
#define SEGMENT_DEFAULT 536     /* Linux: tcp_initialize_rcv_mss() */

/* A busy server has many requests before it; 0.5 ms was too short for one with 64 connections (docs/performance.md). */
#define MOMENT_US 4000u
/* Answers that came in it give credit, by port; one that did not takes twice as much. Without any one request in so many
 * is a try. */
#define PORTS 256
#define CREDIT_MAX 8
#define CREDIT_MISSED 2
#define TRY_EVERY 16

static struct stack_tcp *wanting; /* list of connections with wanted set */
static uint8_t credit[PORTS];
static const struct tcp_pcb *established; /* whose SYN-ACK is being processed; NULL: none's */

/* ---- When ---- */

/* Is there a connection whose data is acknowledged when we say? lwIP does it at once when the FIN came. */
static bool is_receiving(const struct stack_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;

    return pcb != NULL && (pcb->state == ESTABLISHED || pcb->state == FIN_WAIT_1 || pcb->state == FIN_WAIT_2);
}

/* Acknowledge some segments at once, but at most so many (Linux: tcp_incr_quickack()). */
static void be_quick(struct stack_tcp *tcp, uint32_t most)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    uint32_t segments = tcp->pcb->rcv_ann_wnd / (2u * acknowledger->segment);

    segments = LWIP_MIN(LWIP_MAX(segments, QUICK_SEGMENTS_MIN), most);
    acknowledger->quick = (uint8_t)LWIP_MAX(acknowledger->quick, segments);
}

/* The moment is over: did an answer come? */
static void end_moment(struct stack_tcp *tcp, bool answered)
{
    uint8_t *port = &credit[tcp->local_port % PORTS];

    if (!tcp->acknowledger.held)
        return;
    tcp->acknowledger.held = false;
    if (answered)
        *port = (uint8_t)LWIP_MIN(*port + 1, CREDIT_MAX);
    else
        *port = (uint8_t)(*port - LWIP_MIN(*port, CREDIT_MISSED));
}

/* Wait a moment for the answer to what came? Return: it waits. */
static bool wait_a_moment(struct stack_tcp *tcp, size_t size)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    static unsigned tries;

    if (acknowledger->held)
        return true;
    if (!acknowledger->serves || !acknowledger->pushed || size >= SEGMENT_DEFAULT)
        return false;
    acknowledger->serves = acknowledger->held = credit[tcp->local_port % PORTS] > 0 || ++tries % TRY_EVERY == 0;
    if (!acknowledger->held)
        return false;
    tcp_clock_set(&acknowledger->clock, LWIP_MIN(acknowledger->clock.due_us, port_now_us + MOMENT_US));
    return true;
}

/* The clock: what came was not taken along by anything. */
static void on_clock(struct tcp_clock *clock)
{
    struct stack_tcp *tcp = (struct stack_tcp *)((char *)clock - offsetof(struct stack_tcp, acknowledger.clock));
    struct acknowledger *acknowledger = &tcp->acknowledger;

    if (!acknowledger->scheduled || tcp->pcb == NULL)
        return;
    if (acknowledger->held)
        acknowledger->serves = false; /* not this owner */
    else if (acknowledger->answers)
        acknowledger->delay_us = DELAY_MIN_US;
    else
        acknowledger->delay_us = (uint32_t)LWIP_MIN(acknowledger->delay_us * 2u, tcp_timeout_us(tcp));
    acknowledger->answers = false;
    end_moment(tcp, false);
    tcp_send_empty_ack(tcp->pcb);
}

void tcp_acknowledge_start(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;

    tcp_clock_remove(&acknowledger->clock);
    acknowledger->clock.run = on_clock;
    acknowledger->quick = 0;
    acknowledger->delay_us = 0;
    acknowledger->segment = (uint16_t)LWIP_MIN(tcp->pcb->mss, SEGMENT_DEFAULT);
    acknowledger->scheduled = acknowledger->small = acknowledger->small_again = false;
    acknowledger->serves = acknowledger->held = false;
    acknowledger->bytes = 0;
    acknowledger->acknowledged = tcp->pcb->rcv_nxt;
}

void tcp_acknowledge_serve(struct stack_tcp *tcp)
{
    tcp->acknowledger.serves = true;
}

/* Not at the end of this turn after all. */
static void unwant(struct stack_tcp *tcp)
{
    struct stack_tcp **link = &wanting;

    if (!tcp->acknowledger.wanted)
        return;
    while (*link != tcp)
        link = &(*link)->acknowledger.next;
    *link = tcp->acknowledger.next;
    tcp->acknowledger.wanted = false;
}

void tcp_acknowledge_release(struct stack_tcp *tcp)
{
    tcp_sack_forget();
    tcp_acknowledge_forget();
    tcp_clock_remove(&tcp->acknowledger.clock);
    unwant(tcp);
}

/* Acknowledge at the end of this turn. */
static void want(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;

    if (acknowledger->wanted)
        return;
    acknowledger->wanted = true;
    acknowledger->next = wanting;
    wanting = tcp;
}

void tcp_acknowledge_window(struct stack_tcp *tcp)
{
    tcp->acknowledger.scheduled = true;
    want(tcp);
}

/* Acknowledge when the time comes (Linux: tcp_send_delayed_ack()). */
static void delay(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    uint32_t delay_us = acknowledger->delay_us;
    uint64_t due_us;

    if (delay_us > DELAY_MIN_US) {
        uint32_t most_us = acknowledger->answers || acknowledger->small ? DELAY_MAX_US : DELAY_STREAM_MAX_US;

        if (tcp->rtt_us > 0)
            most_us = LWIP_MIN(most_us, LWIP_MAX(tcp->rtt_us, DELAY_MIN_US));
        delay_us = LWIP_MIN(delay_us, most_us);
    }
    delay_us = LWIP_MIN(delay_us, DELAY_MAX_US);
    due_us = port_now_us + delay_us;
    if (acknowledger->clock.due_us != TCP_CLOCK_NEVER) {
        if (acknowledger->clock.due_us <= port_now_us + delay_us / 4) {
            want(tcp);
            return;
        }
        due_us = LWIP_MIN(due_us, acknowledger->clock.due_us);
    }
    tcp_clock_set(&acknowledger->clock, due_us);
}

/* How large are the peer's segments, and is this one that may be waited for (Linux: tcp_measure_rcv_mss())? */
static void measure_segment(struct stack_tcp *tcp, size_t size)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;

    if (size >= acknowledger->segment) {
        acknowledger->segment = (uint16_t)LWIP_MIN(size, tcp->pcb->mss);
        acknowledger->small |= acknowledger->pushed && size <= acknowledger->segment;
        return;
    }
    if (size >= SEGMENT_DEFAULT || !acknowledger->pushed) {
        if (size == acknowledger->last_size)
            acknowledger->segment = (uint16_t)size;
        acknowledger->last_size = (uint16_t)size;
        if (size == acknowledger->segment)
            return;
    }
    acknowledger->small_again |= acknowledger->small;
    acknowledger->small = true;
}

/* How soon do segments follow each other (Linux: tcp_event_data_recv())? */
static void measure_delay(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    uint64_t since_us = port_now_us - tcp->received_us;

    if (acknowledger->delay_us == 0) {
        be_quick(tcp, TCP_ACKNOWLEDGE_QUICK_MAX);
        acknowledger->delay_us = DELAY_MIN_US;
    } else if (since_us <= DELAY_MIN_US / 2) {
        acknowledger->delay_us = acknowledger->delay_us / 2 + DELAY_MIN_US / 2;
    } else if (since_us < acknowledger->delay_us) {
        acknowledger->delay_us = acknowledger->delay_us / 2 + (uint32_t)since_us;
        acknowledger->delay_us = (uint32_t)LWIP_MIN(acknowledger->delay_us, tcp_timeout_us(tcp));
    } else if (since_us > tcp_timeout_us(tcp)) {
        be_quick(tcp, TCP_ACKNOWLEDGE_QUICK_MAX);
    }
}

/* Is more than a full segment not acknowledged? */
static bool is_much(const struct stack_tcp *tcp)
{
    return tcp->pcb->rcv_nxt - tcp->acknowledger.acknowledged > tcp->acknowledger.segment;
}

void tcp_acknowledge_data(struct stack_tcp *tcp, size_t size)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    struct tcp_pcb *pcb = tcp->pcb;
    bool told = acknowledger->acknowledged == pcb->rcv_nxt; /* lwIP did, to say what is still missing */

    acknowledger->bytes += size;
    measure_segment(tcp, size);
    measure_delay(tcp);
    if (told)
        return;
    acknowledger->scheduled = true;
    if (!is_receiving(tcp))
        return;
    if (acknowledger->gap || tcp_sack_extra == pcb) {
        tcp_ack_now(pcb);
        return;
    }
    tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
    if (is_much(tcp))
        want(tcp);
    else if (acknowledger->quick == 0 || acknowledger->answers)
        delay(tcp);
    else if (!wait_a_moment(tcp, size))
        want(tcp);
}

void tcp_acknowledge_fin(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    struct tcp_pcb *pcb = tcp->pcb;

    if (pcb->state != CLOSE_WAIT || acknowledger->gap || tcp_sack_extra == pcb)
        return; /* lwIP tells the peer at once */
    tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
    acknowledger->scheduled = true;
    acknowledger->answers = true; /* Linux: tcp_fin() */
    acknowledger->delay_us = LWIP_MAX(acknowledger->delay_us, DELAY_FIN_US);
    if (acknowledger->held) { /* FIN has a time of its own */
        acknowledger->held = false;
        tcp_clock_set(&acknowledger->clock, TCP_CLOCK_NEVER);
    }
    if (is_much(tcp)) {
        want(tcp);
    } else {
        unwant(tcp);
        delay(tcp);
    }
}

void tcp_acknowledge_established(struct stack_tcp *tcp)
{
    established = tcp->pcb;
}

void tcp_acknowledge_forget(void)
{
    established = NULL;
}

bool tcp_acknowledge_leaves_out(struct stack_tcp *tcp, uint32_t size, u16_t flags)
{
    const bool is_it = tcp->pcb != NULL && tcp->pcb == established;

    if (!is_it)
        return false;
    established = NULL;
    if (size > 0 || (flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0)
        return false;
    tcp->acknowledger.scheduled = true;
    want(tcp);
    return true;
}

void tcp_acknowledge_consumed(struct stack_tcp *tcp)
{
    const struct acknowledger *acknowledger = &tcp->acknowledger;

    if (!acknowledger->scheduled || !is_receiving(tcp))
        return;
    if (is_much(tcp) || (tcp->receive.queued == 0 &&
                         (acknowledger->small_again || (acknowledger->small && !acknowledger->answers && !acknowledger->held))))
        want(tcp);
}

void tcp_acknowledge_on_segment(struct stack_tcp *tcp)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;

    if (tcp->pcb == NULL)
        return;
    acknowledger->acknowledged = tcp->pcb->rcv_nxt;
    if (!acknowledger->scheduled)
        return;
    end_moment(tcp, true);
    acknowledger->scheduled = acknowledger->small = acknowledger->small_again = false;
    tcp_clock_set(&acknowledger->clock, TCP_CLOCK_NEVER);
    if (acknowledger->quick > 0 && --acknowledger->quick == 0)
        acknowledger->delay_us = DELAY_MIN_US;
}

void tcp_acknowledge_sending(struct stack_tcp *tcp)
{
    if (tcp->received_us != 0 && port_now_us - tcp->received_us < tcp->acknowledger.delay_us)
        tcp->acknowledger.answers = true;
}

void tcp_acknowledge_set_quick(struct stack_tcp *tcp, int value)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;

    acknowledger->answers = value == 0;
    acknowledger->serves &= value == 0;
    acknowledger->held &= value == 0;
    if (value == 0 || !acknowledger->scheduled || tcp->pcb == NULL)
        return;
    acknowledger->small = true;
    tcp_acknowledge_consumed(tcp);
    acknowledger->answers = (value & 1) == 0;
}

void tcp_acknowledge_flush(void)
{
    while (wanting != NULL) {
        struct stack_tcp *tcp = wanting;

        wanting = tcp->acknowledger.next;
        tcp->acknowledger.wanted = false;
        if (tcp->pcb == NULL || !tcp->acknowledger.scheduled)
            continue; /* data took it along */
        tcp->acknowledger.held = false; /* it was not the answer that did not come */
        tcp_ack_now(tcp->pcb);
        tcp_output(tcp->pcb);
    }
}

bool tcp_acknowledge_waits(void)
{
    return wanting != NULL;
}

/* ---- What comes ---- */

void tcp_acknowledge_enter_quick(struct stack_tcp *tcp, unsigned segments)
{
    tcp->acknowledger.answers = false;
    tcp->acknowledger.delay_us = DELAY_MIN_US;
    be_quick(tcp, segments);
}

void tcp_acknowledge_look(struct stack_tcp *tcp, uint32_t sequence, u16_t size, u16_t flags)
{
    const struct tcp_pcb *pcb = tcp->pcb;

    tcp->acknowledger.gap = pcb->ooseq != NULL;
    tcp->acknowledger.pushed = (flags & TCP_PSH) != 0;
    tcp_sack_look(tcp, sequence, size, (flags & TCP_FIN) != 0);
    if (size > 0 && TCP_SEQ_LEQ(sequence + size, pcb->rcv_nxt) && pcb->state >= ESTABLISHED && pcb->state <= FIN_WAIT_2)
        tcp_acknowledge_enter_quick(tcp, TCP_ACKNOWLEDGE_QUICK_MAX);
}
