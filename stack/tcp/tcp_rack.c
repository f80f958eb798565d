/*
 * tcp_rack.c - what was delivered and what is lost, by the times at which segments were sent: RFC 8985; RFC 6582 for a
 * peer without SACK. tcp_recovery.c has the theory, and does what follows from it.
 */
#include "tcp_rack.h"

#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

#define DUPLICATES_MAX 3
#define REORDER_STEPS_MAX 255
#define REORDER_PERSIST 16       /* RFC 8985 6.2, step 4 */

/* ---- What was delivered ---- */

/* RFC 8985 6.2 step 2: is this the delivered segment that was sent last? */
static void rack_update(struct stack_tcp *tcp, const struct sender_event *event, const struct sent_segment *sent)
{
    struct tcp_sender *sender = &tcp->sender;
    uint32_t rtt_us = (uint32_t)LWIP_MIN(port_now_us - sent->sent_us, UINT32_MAX);

    if ((sent->flags & SENT_EVER_RESENT) != 0) {
        if (rtt_us < sender->min_rtt_us)
            return; /* that was the first copy */
        if (event->has_echo && (int32_t)(event->echo_ms - (uint32_t)(sent->sent_us / 1000)) < 0)
            return;
    }
    /* What overtook others says nothing of how long these take: where the network reorders, nothing is late before the
     * least round trip is over. */
    sender->rack_rtt_us = sender->reordering_seen ? LWIP_MAX(rtt_us, sender->min_rtt_us) : rtt_us;
    if (!sender->rack_valid || sent->sent_us > sender->rack_sent_us ||
        (sent->sent_us == sender->rack_sent_us && TCP_SEQ_GT(sent->end, sender->rack_end))) {
        sender->rack_sent_us = sent->sent_us;
        sender->rack_end = sent->end;
        sender->rack_valid = true;
    }
}

/* The peer has a segment, and we learn that now. */
static void note_delivered(struct stack_tcp *tcp, const struct sender_event *event, const struct sent_segment *sent,
                           struct rack_news *told, bool acknowledged)
{
    struct tcp_sender *sender = &tcp->sender;

    told->delivered += sent->end - sent->sequence;
    if (sender->hole_piece != 0)
        tcp_path_mtu_on_delivery(tcp, sent->end - sent->sequence);
    if (sender->mtu_probe.size != 0)
        tcp_mtu_probe_on_delivery(tcp, sent);
    sender->delivered += tcp_large_pieces(tcp->pcb, sent->end - sent->sequence);
    if ((sent->flags & SENT_EVER_RESENT) != 0) {
        told->resent_acknowledged |= acknowledged;
    } else {
        if (acknowledged && told->first_sent_us == 0)
            told->first_sent_us = sent->sent_us;
        if (!acknowledged && told->first_sacked_us == 0)
            told->first_sacked_us = sent->sent_us;
        if (sent->sent_us > told->last_sent_us)
            told->last_sent_us = sent->sent_us;
        if (TCP_SEQ_LEQ(sent->end, sender->high))
            told->original_delivered = true;
        if (sender->highest_valid && TCP_SEQ_LT(sent->end, sender->highest_sacked)) {
            sender->reordering_seen = true;
            sender->reorderings++;
            tcp_statistics.reorderings++;
        }
    }
    if (!sender->highest_valid || TCP_SEQ_GT(sent->end, sender->highest_sacked)) {
        sender->highest_sacked = sent->end;
        sender->highest_valid = true;
    }
    rack_update(tcp, event, sent);
}

/* A report of a segment that came twice: RFC 2883. */
static void note_duplicate(struct stack_tcp *tcp, uint32_t right, struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;

    told->duplicate_report = true;
    sender->dsacks++;
    tcp_statistics.dsacks_in++;
    if (sender->can_undo && sender->undo_resent > 0 && TCP_SEQ_GT(right, sender->undo_from))
        sender->undo_resent--;
    /* RFC 8985 6.2 step 4: wait longer, once a round trip */
    if (!sender->dsack_round_valid || TCP_SEQ_GEQ(tcp->pcb->lastack, sender->dsack_round)) {
        sender->dsack_round = tcp->pcb->snd_nxt;
        sender->dsack_round_valid = true;
        sender->reorder_persist = REORDER_PERSIST;
        if (sender->reorder_steps < REORDER_STEPS_MAX)
            sender->reorder_steps++;
    }
}

/* Is the first block a report of a duplicate? RFC 2883 4. */
static bool is_duplicate_report(const struct sender_event *event)
{
    return TCP_SEQ_LEQ(event->blocks[0].right, event->acknowledgement) ||
           (event->block_count > 1 && TCP_SEQ_GEQ(event->blocks[0].left, event->blocks[1].left) &&
            TCP_SEQ_LEQ(event->blocks[0].right, event->blocks[1].right));
}

void rack_take_acknowledged(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told)
{
    struct scoreboard *board = &tcp->sender.board;

    while (board->count > 0 && TCP_SEQ_LEQ(scoreboard_at(board, 0)->end, tcp->pcb->lastack)) {
        const struct sent_segment *sent = scoreboard_at(board, 0);

        if ((sent->flags & SENT_SACKED) == 0)
            note_delivered(tcp, event, sent, told, true);
        scoreboard_drop_first(board);
    }
}

void rack_take_blocks(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told)
{
    struct scoreboard *board = &tcp->sender.board;

    for (int i = 0; i < event->block_count; i++) {
        uint32_t left = event->blocks[i].left, right = event->blocks[i].right;

        if (!TCP_SEQ_LT(left, right) || TCP_SEQ_GT(right, tcp->pcb->snd_nxt))
            continue;
        if (i == 0 && is_duplicate_report(event)) {
            note_duplicate(tcp, right, told);
            continue;
        }
        if (TCP_SEQ_LEQ(right, tcp->pcb->lastack))
            continue;
        for (uint32_t index = scoreboard_find(board, left); index < board->count; index++) {
            struct sent_segment *sent = scoreboard_at(board, index);

            if (TCP_SEQ_GT(sent->end, right))
                break;
            if ((sent->flags & SENT_SACKED) != 0 || TCP_SEQ_LT(sent->sequence, left))
                continue;
            note_delivered(tcp, event, sent, told, false);
            scoreboard_mark(board, sent, SENT_SACKED, SENT_LOST | SENT_RESENT);
            told->sacked = true;
        }
    }
    if (tcp->sender.highest_valid && TCP_SEQ_LEQ(tcp->sender.highest_sacked, tcp->pcb->lastack))
        tcp->sender.highest_valid = false;
}

/* ---- What is lost ---- */

void rack_mark_lost(struct stack_tcp *tcp, struct sent_segment *sent, struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;

    scoreboard_mark(&sender->board, sent, SENT_LOST, SENT_RESENT);
    if (sender->board.lost_count == 1 || TCP_SEQ_LT(sent->sequence, sender->resend_from))
        sender->resend_from = sent->sequence;
    told->new_loss = true;
}

/* RFC 8985 6.2 step 4. */
static uint32_t reorder_window_us(const struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;

    if (!sender->reordering_seen &&
        (sender->state >= TCP_CA_Recovery || sender->board.sacked_count >= DUPLICATES_MAX))
        return 0;
    return (uint32_t)LWIP_MIN((uint64_t)sender->min_rtt_us / 4 * sender->reorder_steps, tcp->rtt_us);
}

/* RFC 8985 6.2 step 5. */
void rack_detect_losses(struct stack_tcp *tcp, struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;
    struct scoreboard *board = &sender->board;
    uint64_t wait_us;

    if (!sender->rack_valid || (board->sacked_count == 0 && board->resent_count == 0))
        return;
    wait_us = (uint64_t)sender->rack_rtt_us + reorder_window_us(tcp);
    for (uint32_t i = 0; i < board->count; i++) {
        struct sent_segment *sent = scoreboard_at(board, i);

        if ((sent->flags & SENT_SACKED) != 0 || (sent->flags & (SENT_LOST | SENT_RESENT)) == SENT_LOST)
            continue;
        if (sent->sent_us > sender->rack_sent_us ||
            (sent->sent_us == sender->rack_sent_us && !TCP_SEQ_LT(sent->end, sender->rack_end))) {
            if ((sent->flags & SENT_EVER_RESENT) == 0)
                break; /* and so were all behind it */
            continue;
        }
        if (sent->sent_us + wait_us <= port_now_us)
            rack_mark_lost(tcp, sent, told);
        else if (sent->sent_us + wait_us > told->reorder_due_us)
            told->reorder_due_us = sent->sent_us + wait_us;
    }
}

/* RFC 6582, for a peer that does not know SACK. */
void rack_count_duplicates(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told)
{
    struct tcp_sender *sender = &tcp->sender;
    struct scoreboard *board = &sender->board;

    if (told->advanced) {
        uint32_t segments = told->delivered / LWIP_MAX(sender->congestion.mss, 1);

        sender->duplicates -= LWIP_MIN(sender->duplicates, LWIP_MAX(segments, 1u) - 1);
        if (sender->state < TCP_CA_Recovery)
            sender->duplicates = 0;
        else if (board->count > 0 && TCP_SEQ_LT(tcp->pcb->lastack, sender->high) &&
                 (scoreboard_at(board, 0)->flags & SENT_RESENT) == 0)
            rack_mark_lost(tcp, scoreboard_at(board, 0), told); /* a partial acknowledgement */
    } else if (!event->has_data && event->acknowledgement == event->una && !event->new_window && board->count > 0) {
        told->delivered += sender->congestion.mss;
        if (++sender->duplicates == DUPLICATES_MAX && sender->state < TCP_CA_Recovery)
            rack_mark_lost(tcp, scoreboard_at(board, 0), told);
    }
}
