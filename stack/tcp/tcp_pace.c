/*
 * tcp_pace.c - how soon what the window allows may leave.
 *
 * Theory of operation. A window says how much may be on its way, not when. As long as acknowledgements come one by one,
 * they set the pace; but after a silence, a recovery, or a time in which this process, the peer or somebody between
 * them had no processor, they come at once, and a whole window would leave at once: into a queue that is shorter than
 * that. So a segment takes a time to leave, its share of a round trip by the window, and what follows waits until that
 * is over (Linux: sch_fq, or tcp_internal_pacing()):
 *
 *     rate = 2 window / round trip      in slow start, which doubles the window in a round trip
 *            1.2 window / round trip    later: the window stays what decides
 *
 * Timers cost, so what takes up to QUANTUM_US leaves together, one frame for the device, and who was called late may
 * make up for LATE_US of it. The first window of a connection does not wait (as sch_fq). On a path of less than
 * ROUND_MIN_US there is nothing to gain: the bursts are as long as the round trip.
 *
 * The round trip is the smoothed one, or the last if that was shorter: after an outage an acknowledgement may come that
 * answers what was sent before it, and the smoothed round trip is seconds for some time.
 *
 * due_us is when the last segment will have left. tcp_sender.c asks what may be sent now, tells what was, and goes on
 * when the clock strikes.
 */
#include "stack/port.h"
#include "tcp_socket.h"

#define QUANTUM_US 1000u
#define LATE_US 2000u
#define ROUND_MIN_US 4000u
#define SEGMENTS_MIN 2        /* at once, however slow */
#define FREE_SEGMENTS 10u     /* the initial window */
#define SLOW_START_PERCENT 200u /* Linux: tcp_pacing_ss_ratio */
#define AVOIDANCE_PERCENT 120u  /* Linux: tcp_pacing_ca_ratio */

bool tcp_pace_wanted = true;

bool tcp_pace_is_on(const struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;

    return tcp_pace_wanted && sender->min_rtt_us >= ROUND_MIN_US && sender->bytes_sent >= FREE_SEGMENTS * sender->congestion.mss;
}

uint64_t tcp_pace_rate(const struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;
    const struct congestion *congestion = &sender->congestion;
    uint64_t window = LWIP_MAX(congestion->window, scoreboard_pipe(&sender->board));
    unsigned percent = congestion->window < congestion->threshold / 2 ? SLOW_START_PERCENT : AVOIDANCE_PERCENT;

    uint32_t round_us = LWIP_MIN(tcp->rtt_us, LWIP_MAX(sender->last_rtt_us, sender->min_rtt_us));

    return LWIP_MAX(window * percent * 10000 / LWIP_MAX(round_us, 1u), 1u);
}

uint32_t tcp_pace_allowance(const struct stack_tcp *tcp)
{
    const struct tcp_pace *pace = &tcp->sender.pace;
    uint64_t late_us, bytes;

    if (!tcp_pace_is_on(tcp))
        return UINT32_MAX;
    if (pace->due_us > port_now_us)
        return 0;
    late_us = LWIP_MIN(port_now_us - pace->due_us, LATE_US);
    bytes = tcp_pace_rate(tcp) * (QUANTUM_US + late_us) / 1000000;
    return (uint32_t)LWIP_MIN(LWIP_MAX(bytes, SEGMENTS_MIN * tcp->sender.congestion.mss), UINT32_MAX);
}

void tcp_pace_on_sent(struct stack_tcp *tcp, uint32_t length)
{
    struct tcp_pace *pace = &tcp->sender.pace;

    if (pace->due_us + LATE_US < port_now_us)
        pace->due_us = port_now_us - LATE_US;
    if (tcp_pace_is_on(tcp))
        pace->due_us += (uint64_t)length * 1000000 / tcp_pace_rate(tcp);
}

void tcp_pace_set_clock(struct stack_tcp *tcp, bool waits)
{
    struct tcp_pace *pace = &tcp->sender.pace;

    tcp_clock_set(&pace->clock, waits && pace->due_us > port_now_us ? pace->due_us : TCP_CLOCK_NEVER);
}

static void on_clock(struct tcp_clock *clock)
{
    struct stack_tcp *tcp = (struct stack_tcp *)((char *)clock - offsetof(struct stack_tcp, sender.pace.clock));

    tcp_sender_transmit(tcp);
}

void tcp_pace_start(struct stack_tcp *tcp)
{
    tcp->sender.pace.clock.run = on_clock;
}

void tcp_pace_release(struct stack_tcp *tcp)
{
    tcp_clock_remove(&tcp->sender.pace.clock);
}
