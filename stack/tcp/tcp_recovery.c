/*
 * tcp_recovery.c - what is lost, and what follows from it.
 *
 * Theory of operation. Each segment on its way has a record (tcp_scoreboard.c) with the time at which it was sent last.
 * What comes back says which segments were delivered: those below the acknowledgement number, and those in SACK blocks.
 * From this follows
 *
 *   RACK (RFC 8985)    a segment is lost if one that was sent later was delivered, and the time that this one took, and some more for reordering, is over.
 *                      That finds lost retransmissions as well, and does not count duplicates. The "some more" is 0 in a recovery or with three
 *                      segments SACKed, as long as the network was not seen to reorder; else quarters of the least round trip, more of them
 *                      when DSACKs say that we resent in vain.
 *   tail loss probe    when nothing comes back for two round trips, the last segment (or a new one) is sent, so that there is a SACK to judge by.
 *   RTO (RFC 6298)     when nothing comes back at all: everything is lost until it is told otherwise, the window is one segment.
 *   F-RTO (RFC 5682)   after a time-out: new data first, and when something is delivered that was never sent again, the time-out was spurious.
 *   NewReno (RFC 6582) for a peer without SACK: the third duplicate acknowledgement, and each partial one, mark the first segment.
 *
 * States are Linux's, and TCP_INFO shows them:
 *
 *   Open      nothing is missing            Disorder  something is missing and not late enough
 *   CWR       the window comes down without a loss (the peer echoes a mark: tcp_ecn.c)
 *   Recovery  losses were found             Loss      a time-out
 *
 * The last three end when all is acknowledged that was sent when they began (`high`; CWR with the next byte, which says
 * that the window came down). In CWR and Recovery the window is what PRR (RFC 6937 and what became of it) makes of it:
 * for each byte that is delivered threshold / window before may be sent, so that what is on its way comes down
 * smoothly; if losses took it below the threshold, what is delivered and a segment more, as long as no new loss shows.
 * It ends at the threshold.
 *
 * Late, not lost. Two things say that what was found lost had only been late: DSACKs for each segment that was sent
 * again (RFC 2883, RFC 3708), and an acknowledgement that echoes a timestamp from before the first of them was (Eifel,
 * RFC 3522). When all was late, window and threshold are what they were before (undo). When only the first gap was, it
 * depends on those that were sent again and not heard of yet: until then new data keeps the acknowledgements coming,
 * and nothing more is sent again (was_late). Where segments overtake others, RACK does not take an overtaker's short
 * round trip for what the others should have needed (tcp_rack.c).
 */
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_rack.h"
#include "tcp_socket.h"

uint32_t tcp_recovery_pipe(const struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;
    uint32_t pipe = scoreboard_pipe(&sender->board);
    uint32_t left = sender->duplicates * sender->congestion.mss; /* each tells of a segment that left the network */

    return pipe > left ? pipe - left : 0;
}

/* ---- States ---- */

static void begin_undo(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    sender->can_undo = true;
    sender->undo_from = tcp->pcb->lastack;
    sender->undo_resent = sender->board.resent_count > 0 ? (int)sender->board.resent_count : -1;
    sender->was_resent = false;
}

/* The window comes down. */
static void begin_reduction(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    sender->prr_before = sender->congestion.window;
    sender->prr_delivered = sender->prr_sent = 0;
    sender->high = tcp->pcb->snd_nxt;
    tcp->ecn.reduced = tcp->ecn.on;
    congestion_reduce(&sender->congestion);
}

static void enter_recovery(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    tcp_statistics.recoveries++;
    begin_undo(tcp);
    if (sender->state < TCP_CA_CWR)
        begin_reduction(tcp);
    sender->high = tcp->pcb->snd_nxt;
    sender->state = TCP_CA_Recovery;
    if (sender->reorder_persist > 0 && --sender->reorder_persist == 0)
        sender->reorder_steps = 1;
}

/* RFC 3168 6.1.2: a mark is as good as a loss, but for the loss; there is nothing to undo. */
static void enter_cwr(struct stack_tcp *tcp)
{
    begin_reduction(tcp);
    tcp->sender.congestion.prior.valid = false;
    tcp->sender.can_undo = false;
    tcp->sender.state = TCP_CA_CWR;
}

/* The recovery is over: the window is the threshold. */
static void end_reduction(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    if (sender->congestion.threshold < CONGESTION_NO_THRESHOLD)
        sender->congestion.window = sender->congestion.threshold;
}

static void go_open(struct tcp_sender *sender)
{
    sender->state = sender->board.sacked_count > 0 || sender->duplicates > 0 ? TCP_CA_Disorder : TCP_CA_Open;
}

/* Does this acknowledgement answer what was sent before the first segment was sent again? Only one that moves says so:
 * while something is missing, the peer echoes the timestamp of what came before the gap (RFC 7323 4.3). */
static bool echo_is_older(const struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    const struct tcp_sender *sender = &tcp->sender;

    return told->advanced && sender->was_resent && event->has_echo &&
           (int32_t)(event->echo_ms - sender->first_resent_ms) < 0;
}

/* In a recovery a gap was filled by what was only late: nothing was sent again yet, or that is not what is
 * acknowledged. */
static bool was_late(const struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    const struct tcp_sender *sender = &tcp->sender;

    return told->advanced && sender->can_undo && (!sender->was_resent || echo_is_older(tcp, event, told));
}

/* Is it known by now that nothing had to be sent again? */
static bool resent_in_vain(const struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    return (tcp->sender.can_undo && tcp->sender.undo_resent == 0) || was_late(tcp, event, told);
}

static void undo(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct scoreboard *board = &sender->board;

    for (uint32_t i = 0; i < board->count && board->lost_count > 0; i++)
        scoreboard_mark(board, scoreboard_at(board, i), 0, SENT_LOST | SENT_RESENT);
    congestion_undo(&sender->congestion);
    tcp->ecn.reduced = false;
    tcp_statistics.undone++;
    sender->can_undo = false;
    sender->frto = false;
    sender->backoff = 0;
    tcp->pcb->nrtx = 0;
    go_open(sender);
}

/* After a time-out. */
static void on_ack_in_loss(struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;
    bool recovered = TCP_SEQ_GEQ(tcp->pcb->lastack, sender->high);

    if (sender->frto) {
        if (told->original_delivered && sender->can_undo) {
            undo(tcp);
            return;
        }
        if (TCP_SEQ_GT(tcp->pcb->snd_nxt, sender->high)) {
            if (told->sacked || !told->advanced)
                sender->frto = false; /* RFC 5682 step 3a: the loss was real */
        } else if (told->advanced && !recovered) {
            sender->high = tcp->pcb->snd_nxt;
            if (tcp_sender_has_new_data(tcp) && tcp->pcb->snd_nxt - tcp->pcb->lastack < tcp->pcb->snd_wnd) {
                sender->new_data_first = true; /* step 2b */
                return;
            }
            sender->frto = false;
        }
    }
    if (told->advanced && resent_in_vain(tcp, event, told)) {
        undo(tcp);
        return;
    }
    if (recovered) {
        sender->can_undo = false;
        go_open(sender);
    }
}

static void on_ack_in_recovery(struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;

    /* CWR goes on until the segment that says so has arrived */
    if (TCP_SEQ_LT(tcp->pcb->lastack, sender->high + (sender->state == TCP_CA_CWR ? 1 : 0))) {
        /* Not as long as the fate of what was sent again is open; new data goes out meanwhile, and nothing more
         * again. */
        if (sender->state != TCP_CA_Recovery || !was_late(tcp, event, told))
            return;
        if (sender->board.resent_count == 0)
            undo(tcp);
        else
            sender->new_data_first = true;
        return;
    }
    sender->duplicates = 0;
    if (resent_in_vain(tcp, event, told)) {
        undo(tcp);
        return;
    }
    end_reduction(tcp);
    go_open(sender);
}

/* RFC 8985 7.4: what became of the probe? */
static void check_probe(struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;

    if (!sender->probing || TCP_SEQ_LT(event->acknowledgement, sender->probe_end))
        return;
    if (!sender->probe_resent || told->duplicate_report) {
        sender->probing = false;
    } else if (TCP_SEQ_GT(event->acknowledgement, sender->probe_end)) {
        sender->probing = false;
        if (sender->state < TCP_CA_CWR) { /* the probe repaired a loss */
            begin_reduction(tcp);
            end_reduction(tcp);
        }
    } else if (!told->advanced && !told->sacked && !event->has_data) {
        sender->probing = false; /* both copies arrived */
    }
}

/* RFC 6937 3.1, as Linux has it: with PRR-CRB, and PRR-SSRB while no new loss shows. */
static void reduce_proportionally(struct stack_tcp *tcp, const struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;
    struct congestion *congestion = &sender->congestion;
    uint32_t pipe = tcp_recovery_pipe(tcp);
    int64_t count;

    if (told->delivered == 0 || sender->prr_before == 0)
        return;
    sender->prr_delivered += told->delivered;
    if (pipe > congestion->threshold) {
        count = (int64_t)((sender->prr_delivered * congestion->threshold + sender->prr_before - 1) / sender->prr_before) -
                (int64_t)sender->prr_sent;
    } else {
        count = LWIP_MAX((int64_t)sender->prr_delivered - (int64_t)sender->prr_sent, (int64_t)told->delivered);
        if (told->advanced && !told->new_loss)
            count += congestion->mss;
        count = LWIP_MIN(count, (int64_t)congestion->threshold - pipe);
    }
    if (sender->prr_sent == 0)
        count = LWIP_MAX(count, (int64_t)congestion->mss);
    congestion->window = pipe + (uint32_t)LWIP_MAX(count, 0);
}

/*
 * Measure the round trip: by a segment that was sent once (Karn), acknowledged or SACKed, else by the echo of a
 * timestamp (RFC 7323 4). What was sent once says nothing when something that was sent again is acknowledged with it:
 * it may have arrived long ago, and waited for the other (Linux: tcp_clean_rtx_queue()). What is SACKed may have
 * overtaken others, and says nothing of how long these take: by its time they would be late (tcp_rack.c).
 */
static void measure(struct stack_tcp *tcp, const struct sender_event *event, const struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;
    const bool in_order = told->first_sent_us != 0 && !told->resent_acknowledged;
    const uint64_t sent_us = in_order ? told->first_sent_us : told->first_sacked_us;
    const uint32_t least_us = in_order ? 0 : sender->min_rtt_us;

    if (sent_us != 0 && sent_us < port_now_us) /* else the clock did not move meanwhile */
        tcp_timeout_add_rtt(tcp, LWIP_MAX(port_now_us - sent_us, least_us));
    else if (told->advanced && event->has_echo && (int32_t)(sys_now() - event->echo_ms) >= 0)
        tcp_timeout_add_rtt(tcp, (uint64_t)LWIP_MAX(sys_now() - event->echo_ms, 1u) * 1000); /* it is no finer */
    else if (sent_us == 0)
        return;
    sender->backoff = 0;
}

/* A segment that tried a larger size and was lost is cut. If nothing else is lost that is no sign of congestion (RFC
 * 4821 7.5): what it was cut to is sent again at once. Return: whether that is so; the connection may not live any
 * more. */
static bool only_probe_lost(struct stack_tcp *tcp)
{
    bool alone = tcp->sender.board.lost_count == 1;

    return tcp_mtu_probe_is_lost(tcp) && tcp_mtu_probe_fail(tcp) && alone;
}

void tcp_recovery_on_ack(struct stack_tcp *tcp, const struct sender_event *event)
{
    struct tcp_sender *sender = &tcp->sender;
    struct tcp_pcb *pcb = tcp->pcb;
    struct scoreboard *board = &sender->board;
    struct rack_news told = {.advanced = TCP_SEQ_GT(pcb->lastack, event->una)};
    uint8_t before = sender->state;
    uint32_t delivered = sender->delivered;
    bool has_sack = (pcb->flags & TF_SACK) != 0, only_probe;

    sender->acked_us = port_now_us;
    sender->new_data_first = false;
    rack_take_acknowledged(tcp, event, &told);
    if (told.advanced)
        sender->rto_base_us = port_now_us;
    rack_take_blocks(tcp, event, &told);
    measure(tcp, event, &told);
    if (has_sack && before == TCP_CA_Recovery && TCP_SEQ_LT(pcb->lastack, sender->high) && was_late(tcp, event, &told))
        ; /* the network reorders more than was thought: what seems lost may be on its way as well */
    else if (has_sack)
        rack_detect_losses(tcp, &told);
    else
        rack_count_duplicates(tcp, event, &told);
    only_probe = only_probe_lost(tcp);
    if (tcp->pcb == NULL)
        return;
    if (sender->probing)
        check_probe(tcp, event, &told);
    if (before == TCP_CA_Loss)
        on_ack_in_loss(tcp, event, &told);
    else if (before >= TCP_CA_CWR)
        on_ack_in_recovery(tcp, event, &told);
    else if (told.duplicate_report && sender->can_undo && sender->undo_resent == 0)
        undo(tcp);
    if (sender->state < TCP_CA_CWR)
        go_open(sender);
    if (board->lost_bytes > board->resent_bytes && sender->state < TCP_CA_Recovery && !only_probe)
        enter_recovery(tcp);
    else if (event->was_marked && sender->state < TCP_CA_CWR)
        enter_cwr(tcp);
    if (event->was_marked)
        sender->delivered_marked += sender->delivered - delivered;
    if (sender->state == TCP_CA_Recovery || sender->state == TCP_CA_CWR) {
        reduce_proportionally(tcp, &told);
    } else if (told.delivered > 0 && (told.advanced || sender->reordering_seen)) {
        struct congestion *congestion = &sender->congestion;
        struct congestion_ack ack = {
            .now_us = port_now_us,
            .acked = told.delivered,
            .rtt_us = told.last_sent_us != 0 ? (uint32_t)LWIP_MIN(port_now_us - told.last_sent_us, UINT32_MAX) : 0,
            .acknowledged = pcb->lastack,
            .next = pcb->snd_nxt,
            .limited = sender->limited || (congestion->window < congestion->threshold &&
                                           congestion->window < 2 * sender->max_pipe),
            .paced = tcp_pace_is_on(tcp),
        };

        congestion_acked(congestion, &ack);
    }
    if (told.reorder_due_us != 0) {
        sender->timer = SENDER_TIMER_REORDER;
        tcp_clock_set(&sender->clock, told.reorder_due_us);
    } else if (sender->timer == SENDER_TIMER_REORDER) {
        sender->timer = SENDER_TIMER_NONE;
    }
}

/* ---- When the clock strikes ---- */

/* RFC 8985 7.3 */
static void send_probe(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct tcp_pcb *pcb = tcp->pcb;
    u32_t next = pcb->snd_nxt;

    sender->rto_base_us = port_now_us;
    sender->probing = true;
    if (tcp_sender_has_new_data(tcp)) {
        tcp_send_push(tcp, false);
        pcb->cwnd = pcb->snd_nxt - pcb->lastack + pcb->mss;
        tcp_output(pcb);
    }
    sender->probe_resent = pcb->snd_nxt == next;
    if (sender->probe_resent &&
        !tcp_sender_resend(tcp, scoreboard_at(&sender->board, sender->board.count - 1))) {
        sender->probing = false;
        return;
    }
    if (sender->probe_resent) { /* not lost, and not to be counted twice */
        struct sent_segment *sent = scoreboard_at(&sender->board, sender->board.count - 1);

        scoreboard_mark(&sender->board, sent, 0, SENT_RESENT);
    }
    tcp_statistics.loss_probes++;
    sender->probe_end = pcb->snd_nxt;
}

/* RFC 6298 5.4 to 5.7, RFC 5682 step 1 */
static void time_out(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct scoreboard *board = &sender->board;
    struct tcp_pcb *pcb = tcp->pcb;
    struct rack_news told = {0};
    bool is_new = sender->state < TCP_CA_Recovery;
    bool reneged;

    if (!tcp_path_mtu_on_time_out(tcp))
        return;
    reneged = (scoreboard_at(board, 0)->flags & SENT_SACKED) != 0; /* the peer dropped what it had SACKed */
    if (sender->state <= TCP_CA_Disorder || TCP_SEQ_GEQ(pcb->lastack, sender->high) ||
        (sender->state == TCP_CA_Loss && pcb->nrtx == 0)) {
        begin_undo(tcp);
        begin_reduction(tcp);
        congestion_forget(&sender->congestion);
    }
    tcp_statistics.timeouts++;
    sender->frto = is_new || pcb->nrtx > 0;
    sender->state = TCP_CA_Loss;
    sender->new_data_first = false;
    sender->high = pcb->snd_nxt;
    sender->duplicates = 0;
    sender->probing = false;
    sender->congestion.window = sender->congestion.mss;
    for (uint32_t i = 0; i < board->count; i++) {
        struct sent_segment *sent = scoreboard_at(board, i);

        if (reneged)
            scoreboard_mark(board, sent, 0, SENT_SACKED);
        if ((sent->flags & SENT_SACKED) == 0)
            rack_mark_lost(tcp, sent, &told);
    }
    sender->resend_from = scoreboard_at(board, 0)->sequence;
    if (pcb->nrtx < port_retries_max)
        pcb->nrtx++;
    tcp_sender_resend(tcp, scoreboard_at(board, 0));
    if (sender->backoff < UINT8_MAX)
        sender->backoff++;
    sender->rto_base_us = port_now_us;
}

void tcp_recovery_on_clock(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    enum sender_timer timer = sender->timer;
    struct rack_news told = {0};
    bool only_probe;

    sender->timer = SENDER_TIMER_NONE;
    if (sender->board.count == 0 || !tcp_large_cut_or_fail(tcp))
        return;
    switch (timer) {
    case SENDER_TIMER_REORDER:
        rack_detect_losses(tcp, &told);
        only_probe = only_probe_lost(tcp);
        if (tcp->pcb == NULL)
            return;
        if (told.new_loss && sender->state < TCP_CA_Recovery && !only_probe)
            enter_recovery(tcp);
        if (sender->state == TCP_CA_Recovery && sender->prr_sent == 0)
            sender->congestion.window = tcp_recovery_pipe(tcp) + sender->congestion.mss;
        tcp_sender_transmit(tcp);
        break;
    case SENDER_TIMER_PROBE:
        send_probe(tcp);
        break;
    case SENDER_TIMER_RTO:
        time_out(tcp);
        break;
    case SENDER_TIMER_NONE:
        break;
    }
    if (tcp->pcb == NULL || !sender->started)
        return;
    tcp_sender_apply_window(tcp);
    tcp_timeout_set_clock(tcp);
}
