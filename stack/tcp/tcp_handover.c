/*
 * tcp_handover.c - TCP sockets into an archive and out of it.
 *
 * Each structure has one function for both directions (archive.h). What is not named there is one of these:
 *  - pointers and links, which the reader makes anew by entering the socket where it belongs;
 *  - what is 0 or empty whenever the loop is between two turns (depth, abort_pending, close_pending, wanted, resending, refused_data);
 *  - the place in lists, tables and clocks;
 *  - hints (netif_hints), and lwIP's round trip and congestion figures that tcp_sender.c does not let it use.
 * tests/checks/handover compares the structures with this file.
 *
 * Times are CLOCK_MONOTONIC's, which both ends have; only tcp_ticks is the process's own: what counts in it is written as an age.
 *
 * Segments. lwIP's lists refer to the send queue. The bytes of the queue are written once, the segments as sequence number, length and flags; the
 * reader fills a new queue and has lwIP make the same segments of it, one tcp_write() for each. Both begin with lwIP's first segment, of which the peer may
 * have acknowledged a part.
 */
#include "tcp_handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/handover.h"
#include "stack/port.h"
#include "tcp_socket.h"
#include "tcp_timer.h"

#define SEGMENT_FLAGS (TCP_FIN | TCP_SYN | TCP_PSH | TCP_ACK | TCP_ECE | TCP_CWR)
#define WINDOW_ANY 0x3fffffffu /* any segment may be made */

static struct stack_tcp **found; /* reading: owned; by number - 1 */
static uint32_t found_count;

/* ---- what has no pointers ---- */

static void walk_congestion(struct archive *archive, struct congestion *congestion)
{
    const char *name = congestion->algorithm != NULL ? congestion->algorithm->name : "";
    size_t length = strlen(name) + 1;
    const char *read = archive_bytes(archive, "algorithm", name, &length);

    if (!archive->is_writing)
        congestion->algorithm = read != NULL && length > 0 && read[length - 1] == '\0' ? congestion_find(read) : NULL;
    ARCHIVE_NUMBER(archive, congestion, mss);
    ARCHIVE_NUMBER(archive, congestion, window);
    ARCHIVE_NUMBER(archive, congestion, threshold);
    ARCHIVE_NUMBER(archive, congestion, fraction);
    ARCHIVE_NUMBER(archive, congestion, w_max);
    ARCHIVE_NUMBER(archive, congestion, k);
    ARCHIVE_NUMBER(archive, congestion, w_est);
    ARCHIVE_NUMBER(archive, congestion, cwnd_epoch);
    ARCHIVE_NUMBER(archive, congestion, epoch_us);
    ARCHIVE_NUMBER(archive, congestion, smoothed_rtt_us);
    ARCHIVE_NUMBER(archive, congestion, least_rtt_us);
    ARCHIVE_NUMBER(archive, congestion, searching);
    ARCHIVE_NUMBER(archive, congestion, round_end);
    ARCHIVE_NUMBER(archive, congestion, round_rtt_us);
    ARCHIVE_NUMBER(archive, congestion, last_round_rtt_us);
    ARCHIVE_NUMBER(archive, congestion, css_rtt_us);
    ARCHIVE_NUMBER(archive, congestion, samples);
    ARCHIVE_NUMBER(archive, congestion, css_rounds);
    ARCHIVE_NUMBER(archive, congestion, train_begin_us);
    ARCHIVE_NUMBER(archive, congestion, train_end_us);
    ARCHIVE_NUMBER(archive, congestion, train_was_long);
    ARCHIVE_NUMBER(archive, congestion, round_open);
    ARCHIVE_RAW(archive, congestion, prior);
}

/* All but .board, .congestion, and the clocks. */
static void walk_sender(struct archive *archive, struct tcp_sender *sender)
{
    ARCHIVE_NUMBER(archive, sender, timer);
    ARCHIVE_NUMBER(archive, sender, started);
    ARCHIVE_NUMBER(archive, sender, blind);
    ARCHIVE_NUMBER(archive, sender, min_rtt_us);
    ARCHIVE_NUMBER(archive, sender, min_rtt_at_us);
    ARCHIVE_NUMBER(archive, sender, backoff);
    ARCHIVE_NUMBER(archive, sender, rto_base_us);
    ARCHIVE_NUMBER(archive, sender, sent_us);
    ARCHIVE_NUMBER(archive, sender, state);
    ARCHIVE_NUMBER(archive, sender, high);
    ARCHIVE_NUMBER(archive, sender, resend_from);
    ARCHIVE_NUMBER(archive, sender, new_data_first);
    ARCHIVE_NUMBER(archive, sender, frto);
    ARCHIVE_NUMBER(archive, sender, duplicates);
    ARCHIVE_NUMBER(archive, sender, prr_delivered);
    ARCHIVE_NUMBER(archive, sender, prr_sent);
    ARCHIVE_NUMBER(archive, sender, prr_before);
    ARCHIVE_NUMBER(archive, sender, can_undo);
    ARCHIVE_NUMBER(archive, sender, undo_from);
    ARCHIVE_NUMBER(archive, sender, undo_resent);
    ARCHIVE_NUMBER(archive, sender, first_resent_ms);
    ARCHIVE_NUMBER(archive, sender, was_resent);
    ARCHIVE_NUMBER(archive, sender, rack_valid);
    ARCHIVE_NUMBER(archive, sender, rack_sent_us);
    ARCHIVE_NUMBER(archive, sender, rack_end);
    ARCHIVE_NUMBER(archive, sender, rack_rtt_us);
    ARCHIVE_NUMBER(archive, sender, highest_sacked);
    ARCHIVE_NUMBER(archive, sender, highest_valid);
    ARCHIVE_NUMBER(archive, sender, reordering_seen);
    ARCHIVE_NUMBER(archive, sender, reorder_steps);
    ARCHIVE_NUMBER(archive, sender, reorder_persist);
    ARCHIVE_NUMBER(archive, sender, dsack_round);
    ARCHIVE_NUMBER(archive, sender, dsack_round_valid);
    ARCHIVE_NUMBER(archive, sender, probing);
    ARCHIVE_NUMBER(archive, sender, probe_resent);
    ARCHIVE_NUMBER(archive, sender, probe_end);
    ARCHIVE_NUMBER(archive, sender, limited);
    ARCHIVE_NUMBER(archive, sender, limited_end);
    ARCHIVE_NUMBER(archive, sender, max_pipe);
    ARCHIVE_NUMBER(archive, sender, max_pipe_end);
    ARCHIVE_NUMBER(archive, sender, window_used);
    ARCHIVE_NUMBER(archive, sender, window_since_us);
    ARCHIVE_NUMBER(archive, sender, silent_us);
    ARCHIVE_NUMBER(archive, sender, hole_piece);
    ARCHIVE_NUMBER(archive, sender, hole_passed);
    ARCHIVE_NUMBER(archive, sender, advertised);
    ARCHIVE_NUMBER(archive, sender, bytes_acked);
    ARCHIVE_NUMBER(archive, sender, bytes_sent);
    ARCHIVE_NUMBER(archive, sender, bytes_resent);
    ARCHIVE_NUMBER(archive, sender, segments_out);
    ARCHIVE_NUMBER(archive, sender, segments_in);
    ARCHIVE_NUMBER(archive, sender, data_segments_out);
    ARCHIVE_NUMBER(archive, sender, data_segments_in);
    ARCHIVE_NUMBER(archive, sender, dsacks);
    ARCHIVE_NUMBER(archive, sender, reorderings);
    ARCHIVE_NUMBER(archive, sender, delivered);
    ARCHIVE_NUMBER(archive, sender, delivered_marked);
    ARCHIVE_NUMBER(archive, sender, acked_us);
    archive_number(archive, "pace_due_us", &sender->pace.due_us, sizeof sender->pace.due_us);
}

/* All but .wanted, .next, .clock, .gap, .pushed */
static void walk_acknowledger(struct archive *archive, struct acknowledger *acknowledger)
{
    ARCHIVE_NUMBER(archive, acknowledger, scheduled);
    ARCHIVE_NUMBER(archive, acknowledger, small);
    ARCHIVE_NUMBER(archive, acknowledger, small_again);
    ARCHIVE_NUMBER(archive, acknowledger, answers);
    ARCHIVE_NUMBER(archive, acknowledger, quick);
    ARCHIVE_NUMBER(archive, acknowledger, segment);
    ARCHIVE_NUMBER(archive, acknowledger, last_size);
    ARCHIVE_NUMBER(archive, acknowledger, delay_us);
    ARCHIVE_NUMBER(archive, acknowledger, bytes);
    ARCHIVE_NUMBER(archive, acknowledger, acknowledged);
}

static void walk_ecn(struct archive *archive, struct tcp_ecn *ecn)
{
    ARCHIVE_NUMBER(archive, ecn, asked);
    ARCHIVE_NUMBER(archive, ecn, on);
    ARCHIVE_NUMBER(archive, ecn, seen);
    ARCHIVE_NUMBER(archive, ecn, echoing);
    ARCHIVE_NUMBER(archive, ecn, reduced);
}

static void walk_window(struct archive *archive, struct receive_window *window)
{
    ARCHIVE_NUMBER(archive, window, size);
    ARCHIVE_NUMBER(archive, window, debt);
    ARCHIVE_NUMBER(archive, window, since_us);
    ARCHIVE_NUMBER(archive, window, consumed);
    ARCHIVE_NUMBER(archive, window, rtt_us);
    ARCHIVE_NUMBER(archive, window, least_rtt_us);
}

/* lwIP's control block, but for its lists of segments. */
static void walk_pcb(struct archive *archive, struct tcp_pcb *pcb)
{
    u32_t age_ticks = tcp_ticks - pcb->tmr;

    ARCHIVE_RAW(archive, pcb, local_ip);
    ARCHIVE_RAW(archive, pcb, remote_ip);
    ARCHIVE_NUMBER(archive, pcb, netif_idx);
    ARCHIVE_NUMBER(archive, pcb, so_options);
    ARCHIVE_NUMBER(archive, pcb, tos);
    ARCHIVE_NUMBER(archive, pcb, ttl);
    ARCHIVE_NUMBER(archive, pcb, state);
    ARCHIVE_NUMBER(archive, pcb, prio);
    ARCHIVE_NUMBER(archive, pcb, local_port);
    ARCHIVE_NUMBER(archive, pcb, remote_port);
    ARCHIVE_NUMBER(archive, pcb, flags);
    ARCHIVE_NUMBER(archive, pcb, polltmr);
    ARCHIVE_NUMBER(archive, pcb, pollinterval);
    archive_number(archive, "age_ticks", &age_ticks, sizeof age_ticks);
    pcb->tmr = tcp_ticks - age_ticks;
    ARCHIVE_NUMBER(archive, pcb, rcv_nxt);
    ARCHIVE_NUMBER(archive, pcb, rcv_wnd);
    ARCHIVE_NUMBER(archive, pcb, rcv_ann_wnd);
    ARCHIVE_NUMBER(archive, pcb, rcv_ann_right_edge);
    ARCHIVE_RAW(archive, pcb, rcv_sacks);
    ARCHIVE_NUMBER(archive, pcb, rtime);
    ARCHIVE_NUMBER(archive, pcb, mss);
    ARCHIVE_NUMBER(archive, pcb, sa);
    ARCHIVE_NUMBER(archive, pcb, sv);
    ARCHIVE_NUMBER(archive, pcb, rto);
    ARCHIVE_NUMBER(archive, pcb, nrtx);
    ARCHIVE_NUMBER(archive, pcb, dupacks);
    ARCHIVE_NUMBER(archive, pcb, lastack);
    ARCHIVE_NUMBER(archive, pcb, cwnd);
    ARCHIVE_NUMBER(archive, pcb, ssthresh);
    ARCHIVE_NUMBER(archive, pcb, rto_end);
    ARCHIVE_NUMBER(archive, pcb, snd_nxt);
    ARCHIVE_NUMBER(archive, pcb, snd_wl1);
    ARCHIVE_NUMBER(archive, pcb, snd_wl2);
    ARCHIVE_NUMBER(archive, pcb, snd_lbb);
    ARCHIVE_NUMBER(archive, pcb, snd_wnd);
    ARCHIVE_NUMBER(archive, pcb, snd_wnd_max);
    ARCHIVE_NUMBER(archive, pcb, snd_buf);
    ARCHIVE_NUMBER(archive, pcb, bytes_acked);
    ARCHIVE_NUMBER(archive, pcb, ts_lastacksent);
    ARCHIVE_NUMBER(archive, pcb, ts_recent);
    ARCHIVE_NUMBER(archive, pcb, keep_idle);
    ARCHIVE_NUMBER(archive, pcb, keep_intvl);
    ARCHIVE_NUMBER(archive, pcb, keep_cnt);
    ARCHIVE_NUMBER(archive, pcb, persist_cnt);
    ARCHIVE_NUMBER(archive, pcb, persist_backoff);
    ARCHIVE_NUMBER(archive, pcb, persist_probe);
    ARCHIVE_NUMBER(archive, pcb, keep_cnt_sent);
    ARCHIVE_NUMBER(archive, pcb, snd_scale);
    ARCHIVE_NUMBER(archive, pcb, rcv_scale);
}

/* What every socket has, with a control block or without one. */
static void walk_socket(struct archive *archive, struct stack_tcp *tcp)
{
    ARCHIVE_NUMBER(archive, tcp, role);
    ARCHIVE_NUMBER(archive, tcp, bound);
    ARCHIVE_NUMBER(archive, tcp, part);
    ARCHIVE_NUMBER(archive, tcp, shut);
    ARCHIVE_NUMBER(archive, tcp, fin_handed);
    ARCHIVE_NUMBER(archive, tcp, received_fin);
    ARCHIVE_NUMBER(archive, tcp, fin_waits);
    ARCHIVE_NUMBER(archive, tcp, crossed);
    ARCHIVE_NUMBER(archive, tcp, finished);
    ARCHIVE_NUMBER(archive, tcp, restored);
    ARCHIVE_NUMBER(archive, tcp, family);
    ARCHIVE_RAW(archive, tcp, local);
    ARCHIVE_RAW(archive, tcp, peer);
    ARCHIVE_NUMBER(archive, tcp, local_port);
    ARCHIVE_NUMBER(archive, tcp, peer_port);
    ARCHIVE_RAW(archive, tcp, bound_address);
    ARCHIVE_RAW(archive, tcp, options);
    ARCHIVE_NUMBER(archive, tcp, soft_error);
    ARCHIVE_NUMBER(archive, tcp, answered_us);
    ARCHIVE_NUMBER(archive, tcp, connect_us);
    ARCHIVE_NUMBER(archive, tcp, unresolved_us);
    ARCHIVE_NUMBER(archive, tcp, retransmitting_us);
    ARCHIVE_NUMBER(archive, tcp, window_closed_us);
    ARCHIVE_NUMBER(archive, tcp, fin_wait_us);
    ARCHIVE_NUMBER(archive, tcp, cork_us);
    ARCHIVE_NUMBER(archive, tcp, rtt_us);
    ARCHIVE_NUMBER(archive, tcp, rttvar_us);
    ARCHIVE_NUMBER(archive, tcp, retransmitted);
    ARCHIVE_NUMBER(archive, tcp, received_us);
    ARCHIVE_NUMBER(archive, tcp, sent_us);
    ARCHIVE_RAW(archive, tcp, label);
}

/* ---- queues ---- */

/* What came in order, and the owner has not taken. */
static void walk_receive_queue(struct archive *archive, struct stack_tcp *tcp)
{
    size_t length = tcp->receive.queued;
    const uint8_t *bytes;

    if (archive->is_writing) {
        archive_bytes_begin(archive, "received", length);
        for (struct receive_block *block = tcp->receive.head; block != NULL; block = block->next)
            archive_bytes_append(archive, receive_block_pbuf(block)->payload, receive_block_pbuf(block)->len);
        return;
    }
    bytes = archive_bytes(archive, "received", NULL, &length);
    if (length > 0 && !tcp_receive_append(tcp, bytes, length))
        archive_fail(archive, -ENOMEM);
}

/* What the owner committed, and the peer has not acknowledged. */
static void walk_send_queue(struct archive *archive, struct stack_tcp *tcp)
{
    size_t length = tcp->send.queued;
    const uint8_t *bytes;

    ARCHIVE_NUMBER(archive, &tcp->send, segment_fill);
    ARCHIVE_NUMBER(archive, &tcp->send, small_end);
    if (archive->is_writing) {
        archive_bytes_begin(archive, "queued", length);
        for (const struct send_chunk *chunk = tcp->send.head; chunk != NULL; chunk = chunk->next)
            archive_bytes_append(archive, chunk->data + chunk->acked, chunk->filled - chunk->acked);
        return;
    }
    bytes = archive_bytes(archive, "queued", NULL, &length);
    if (length > 0 && !tcp_send_append(tcp, bytes, length))
        archive_fail(archive, -ENOMEM);
}

/* What came beyond a gap. Segments as lwIP has them in pcb->ooseq. */
static void write_out_of_order(struct archive *archive, const struct tcp_pcb *pcb)
{
    for (struct tcp_seg *segment = pcb->ooseq; segment != NULL && archive_begin(archive, "beyond"); segment = segment->next) {
        u32_t sequence = lwip_ntohl(segment->tcphdr->seqno);
        u16_t flags = TCPH_FLAGS(segment->tcphdr);
        u16_t left = segment->len;

        archive_number(archive, "sequence", &sequence, sizeof sequence);
        archive_number(archive, "flags", &flags, sizeof flags);
        archive_bytes_begin(archive, "bytes", segment->len);
        for (const struct pbuf *p = segment->p; p != NULL && left > 0; p = p->next) {
            u16_t n = LWIP_MIN(left, p->len);

            archive_bytes_append(archive, p->payload, n);
            left = (u16_t)(left - n);
        }
        if (left > 0)
            archive_fail(archive, -EPROTO);
        archive_end(archive);
    }
}

/* Make a segment of what came beyond a gap. Return: it or NULL. */
static struct tcp_seg *make_received(u32_t sequence, u16_t flags, const void *bytes, size_t length)
{
    struct tcp_seg *segment = memp_malloc(MEMP_TCP_SEG);
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(TCP_HLEN + length), PBUF_RAM);

    if (segment == NULL || p == NULL) {
        if (segment != NULL)
            memp_free(MEMP_TCP_SEG, segment);
        if (p != NULL)
            pbuf_free(p);
        return NULL;
    }
    memset(p->payload, 0, TCP_HLEN);
    *segment = (struct tcp_seg){.p = p, .len = (u16_t)length, .tcphdr = p->payload};
    segment->tcphdr->seqno = lwip_htonl(sequence);
    segment->tcphdr->_hdrlen_rsvd_flags = 0;
    TCPH_HDRLEN_FLAGS_SET(segment->tcphdr, TCP_HLEN / 4, flags);
    (void)pbuf_remove_header(p, TCP_HLEN);
    memcpy(p->payload, bytes, length);
    return segment;
}

static void read_out_of_order(struct archive *archive, struct tcp_pcb *pcb)
{
    struct tcp_seg **last = &pcb->ooseq;

    while (archive_begin(archive, "beyond")) {
        u32_t sequence = 0;
        u16_t flags = 0;
        size_t length;
        const void *bytes;

        archive_number(archive, "sequence", &sequence, sizeof sequence);
        archive_number(archive, "flags", &flags, sizeof flags);
        bytes = archive_bytes(archive, "bytes", NULL, &length);
        *last = bytes != NULL && length <= UINT16_MAX - TCP_HLEN ? make_received(sequence, flags, bytes, length) : NULL;
        if (*last == NULL)
            archive_fail(archive, -ENOMEM);
        else
            last = &(*last)->next;
        archive_end(archive);
    }
}

/* ---- segments to the peer ---- */

/* One segment in the archive, and on the scoreboard if it is there. */
struct kept_segment {
    uint32_t sequence, length;
    uint16_t flags;
    uint8_t was_sent; /* it is in lwIP's list of unacknowledged ones */
    uint8_t on_board;
    uint8_t board_flags;
    uint32_t board_sequence, board_end;
    uint64_t sent_us;
};

static void walk_segment(struct archive *archive, struct kept_segment *kept)
{
    ARCHIVE_NUMBER(archive, kept, sequence);
    ARCHIVE_NUMBER(archive, kept, length);
    ARCHIVE_NUMBER(archive, kept, flags);
    ARCHIVE_NUMBER(archive, kept, was_sent);
    ARCHIVE_NUMBER(archive, kept, on_board);
    ARCHIVE_NUMBER(archive, kept, board_flags);
    ARCHIVE_NUMBER(archive, kept, board_sequence);
    ARCHIVE_NUMBER(archive, kept, board_end);
    ARCHIVE_NUMBER(archive, kept, sent_us);
}

static void write_list(struct archive *archive, const struct stack_tcp *tcp, const struct tcp_seg *list, bool was_sent)
{
    const struct scoreboard *board = &tcp->sender.board;
    uint32_t index = 0;

    for (const struct tcp_seg *segment = list; segment != NULL && archive_begin(archive, "segment"); segment = segment->next) {
        struct kept_segment kept = {.sequence = lwip_ntohl(segment->tcphdr->seqno),
                                    .length = segment->len,
                                    .flags = TCPH_FLAGS(segment->tcphdr) & SEGMENT_FLAGS,
                                    .was_sent = was_sent};

        if (was_sent && index < board->count && scoreboard_at(board, index)->segment == segment) {
            const struct sent_segment *sent = scoreboard_at(board, index++);

            kept.on_board = true;
            kept.board_flags = sent->flags;
            kept.board_sequence = sent->sequence;
            kept.board_end = sent->end;
            kept.sent_us = sent->sent_us;
        }
        walk_segment(archive, &kept);
        archive_end(archive);
    }
}

/* Have lwIP make the segment of the next bytes of the send queue. Return: it or NULL. */
static struct tcp_seg *make_segment(struct stack_tcp *tcp, const struct kept_segment *kept)
{
    struct tcp_pcb *pcb = tcp->pcb;
    struct send_queue *queue = &tcp->send;
    const enum tcp_state state = pcb->state;
    uint32_t left = kept->length;
    struct tcp_seg *segment;
    err_t error = ERR_OK;

    pcb->unsent = NULL;
    pcb->snd_queuelen = 0;
    pcb->snd_lbb = kept->sequence;
    if (left > 0)
        pcb->state = ESTABLISHED; /* for tcp_write() */
    while (left > 0 && error == ERR_OK) {
        struct send_chunk *chunk = queue->handing;
        u16_t n;

        if (chunk == NULL)
            break;
        n = (u16_t)LWIP_MIN(LWIP_MIN(chunk->filled - chunk->handed, left), UINT16_MAX);
        error = tcp_write(pcb, chunk->data + chunk->handed, n, TCP_WRITE_FLAG_MORE);
        if (error != ERR_OK)
            break;
        chunk->handed += n;
        queue->unhanded -= n;
        left -= n;
        if (chunk->handed == chunk->filled)
            queue->handing = chunk->next;
    }
    pcb->state = state;
    if (kept->length == 0)
        error = tcp_enqueue_flags(pcb, (u8_t)(kept->flags & (TCP_SYN | TCP_FIN | (state == SYN_RCVD ? TCP_ACK : 0))));
    segment = pcb->unsent;
    pcb->unsent = NULL;
    if (error != ERR_OK || left > 0 || segment == NULL || segment->next != NULL) {
        tcp_segs_free(segment);
        return NULL;
    }
    TCPH_SET_FLAG(segment->tcphdr, kept->flags);
    return segment;
}

/* Read all segments, sent and unsent, into lwIP's lists and onto the scoreboard. */
static void read_segments(struct archive *archive, struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    const struct tcp_pcb saved = *pcb;
    struct tcp_seg *sent = NULL, **sent_end = &sent, *unsent = NULL, **unsent_end = &unsent;
    u16_t queue_length = 0;

    pcb->mss = UINT16_MAX;
    pcb->snd_wnd_max = WINDOW_ANY;
    pcb->flags &= (tcpflags_t)~TF_FIN;
    while (archive_begin(archive, "segment")) {
        struct kept_segment kept = {0};
        struct tcp_seg *segment;

        walk_segment(archive, &kept);
        archive_end(archive);
        if (kept.length == 0 && (kept.flags & (TCP_SYN | TCP_FIN)) == 0)
            continue;
        pcb->snd_buf = TCP_SND_BUF;
        segment = make_segment(tcp, &kept);
        if (segment == NULL) {
            archive_fail(archive, -ENOMEM);
            break;
        }
        queue_length = (u16_t)(queue_length + pbuf_clen(segment->p));
        *(kept.was_sent ? sent_end : unsent_end) = segment;
        if (kept.was_sent)
            sent_end = &segment->next;
        else
            unsent_end = &segment->next;
        if (kept.on_board) {
            struct scoreboard *board = &tcp->sender.board;

            if (!scoreboard_append(board, segment, kept.board_sequence, kept.board_end - kept.board_sequence, kept.sent_us))
                archive_fail(archive, -ENOMEM);
            else
                scoreboard_mark(board, scoreboard_at(board, board->count - 1), kept.board_flags, 0);
        }
    }
    pcb->unacked = sent;
    pcb->unsent = unsent;
    pcb->snd_queuelen = queue_length;
    pcb->mss = saved.mss;
    pcb->snd_wnd_max = saved.snd_wnd_max;
    pcb->flags = saved.flags;
    pcb->snd_lbb = saved.snd_lbb;
    pcb->snd_buf = saved.snd_buf;
    pcb->snd_nxt = saved.snd_nxt;
}

/* ---- clocks ---- */

static void walk_clock(struct archive *archive, const char *name, struct tcp_clock *clock)
{
    uint64_t due_us = clock->due_us;

    archive_number(archive, name, &due_us, sizeof due_us);
    if (!archive->is_writing && due_us != 0 && due_us != TCP_CLOCK_NEVER) /* 0: it was never set */
        tcp_clock_set(clock, due_us);
}

/* ---- one connection ---- */

/* What a connection has beside the socket. */
static void walk_connection(struct archive *archive, struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    walk_pcb(archive, pcb);
    if (!archive->is_writing) {
        tcp_acknowledge_start(tcp); /* for their clocks */
        tcp_sender_start(tcp);
    }
    if (archive_begin(archive, "congestion")) {
        walk_congestion(archive, &tcp->sender.congestion);
        archive_end(archive);
    }
    if (archive_begin(archive, "sender")) {
        walk_sender(archive, &tcp->sender);
        archive_end(archive);
    }
    if (archive_begin(archive, "acknowledger")) {
        walk_acknowledger(archive, &tcp->acknowledger);
        archive_end(archive);
    }
    walk_ecn(archive, &tcp->ecn);
    if (archive_begin(archive, "window")) {
        walk_window(archive, &tcp->window);
        archive_end(archive);
    }
    walk_send_queue(archive, tcp);
    if (archive->is_writing) {
        write_list(archive, tcp, pcb->unacked, true);
        write_list(archive, tcp, pcb->unsent, false);
        write_out_of_order(archive, pcb);
    } else {
        read_segments(archive, tcp);
        read_out_of_order(archive, pcb);
    }
    walk_clock(archive, "sender_due_us", &tcp->sender.clock);
    walk_clock(archive, "acknowledge_due_us", &tcp->acknowledger.clock);
    walk_clock(archive, "pace_clock_due_us", &tcp->sender.pace.clock);
}

/* ---- all sockets ---- */

/* Which kind of control block has it? */
enum block_kind { BLOCK_NONE, BLOCK_LISTEN, BLOCK_CONNECTION };

static enum block_kind block_of(const struct stack_tcp *tcp)
{
    if (tcp->pcb == NULL)
        return BLOCK_NONE;
    return tcp->pcb->state == LISTEN ? BLOCK_LISTEN : BLOCK_CONNECTION;
}

static void write_socket(struct archive *archive, struct stack_tcp *tcp)
{
    enum block_kind kind = block_of(tcp);
    uint32_t listener = stack_handover_number(tcp->listener);
    bool in_table = tcp->port_link != NULL;

    archive_number(archive, "block", &kind, sizeof kind);
    archive_number(archive, "listener", &listener, sizeof listener);
    archive_number(archive, "in_table", &in_table, sizeof in_table);
    walk_socket(archive, tcp);
    walk_receive_queue(archive, tcp);
    if (kind == BLOCK_CONNECTION)
        walk_connection(archive, tcp);
    else /* what its connections will have */
        walk_congestion(archive, &tcp->sender.congestion);
}

/* lwIP knows the control block from now on, and its timers run. */
static void enter_connection(struct stack_tcp *tcp)
{
    tcp_lookup_add(tcp);
    tcp_timer_start(tcp);
}

/* Listen again, where it listened. Return: 0 or -errno. */
static int listen_again(struct stack_tcp *tcp)
{
    tcp->role = TCP_ROLE_NEW;
    return stack_tcp_listen(tcp, NULL);
}

static void read_socket(struct archive *archive, struct stack_tcp *tcp)
{
    enum block_kind kind = BLOCK_NONE;
    uint32_t listener = 0;
    bool in_table = false;
    int error = 0;

    archive_number(archive, "block", &kind, sizeof kind);
    archive_number(archive, "listener", &listener, sizeof listener);
    archive_number(archive, "in_table", &in_table, sizeof in_table);
    walk_socket(archive, tcp);
    walk_receive_queue(archive, tcp);
    if (in_table)
        tcp_bind_enter(tcp, &tcp->local, tcp->local_port);
    if (kind == BLOCK_CONNECTION) {
        struct tcp_pcb *pcb = tcp_alloc(TCP_PRIO_NORMAL);

        if (pcb == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        tcp_socket_attach(tcp, pcb);
        walk_connection(archive, tcp);
        if (tcp->role == TCP_ROLE_INCOMING) {
            tcp_listen_restore(tcp, stack_handover_find(listener));
        } else {
            tcp_socket_set_callbacks(tcp);
            tcp_connect_set_callback(tcp);
        }
        enter_connection(tcp);
        return;
    }
    walk_congestion(archive, &tcp->sender.congestion);
    if (kind == BLOCK_LISTEN)
        error = listen_again(tcp);
    if (error < 0)
        archive_fail(archive, error);
}

uint32_t stack_handover_number(const struct stack_tcp *tcp)
{
    return tcp != NULL ? tcp->handover_number : 0;
}

struct stack_tcp *stack_handover_find(uint32_t number)
{
    return number > 0 && number <= found_count ? found[number - 1] : NULL;
}

/* Those that listen come first, and are older than what comes to them. Return: how many. */
static uint32_t number_all(void)
{
    uint32_t count = 0;

    for (int listening = 1; listening >= 0; listening--)
        for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next)
            if ((tcp->role == TCP_ROLE_LISTENING) == listening)
                tcp->handover_number = ++count;
    return count;
}

static void write_all(struct archive *archive)
{
    uint32_t count = number_all();

    archive_number(archive, "tcp_count", &count, sizeof count);
    for (int listening = 1; listening >= 0; listening--) {
        for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next) {
            if ((tcp->role == TCP_ROLE_LISTENING) != listening || !archive_begin(archive, "tcp"))
                continue;
            write_socket(archive, tcp);
            archive_end(archive);
        }
    }
}

static void read_all(struct archive *archive)
{
    uint32_t count = 0;

    archive_number(archive, "tcp_count", &count, sizeof count);
    if (archive->error < 0 || count > archive->length) { /* each takes more than a byte */
        archive_fail(archive, -EPROTO);
        return;
    }
    found = calloc(count + 1, sizeof *found);
    if (found == NULL) {
        archive_fail(archive, -ENOMEM);
        return;
    }
    while (found_count < count && archive_begin(archive, "tcp")) {
        struct stack_tcp *tcp = tcp_socket_new();

        if (tcp == NULL) {
            archive_fail(archive, -ENOMEM);
            break;
        }
        tcp->owned = true; /* until stack_handover_end() */
        found[found_count++] = tcp;
        read_socket(archive, tcp);
        archive_end(archive);
    }
    if (found_count != count)
        archive_fail(archive, -EPROTO);
}

/* What is left of connections in TIME-WAIT: each whole, and only for a reader of the same layout, because nothing is lost with them but the care for
 * segments that come late. */
static void walk_time_wait(struct archive *archive)
{
    const size_t size = sizeof(struct time_wait) - offsetof(struct time_wait, local);

    for (struct time_wait *wait = time_wait_oldest; archive->is_writing && wait != NULL; wait = wait->newer) {
        size_t length = size;

        if (!archive_begin(archive, "time_wait"))
            return;
        (void)archive_bytes(archive, "kept", &wait->local, &length);
        archive_end(archive);
    }
    while (!archive->is_writing && archive_begin(archive, "time_wait")) {
        size_t length = 0;
        const void *kept = archive_bytes(archive, "kept", NULL, &length);

        archive_end(archive);
        if (length == size)
            tcp_time_wait_restore(kept);
    }
}

void tcp_handover(struct archive *archive)
{
    walk_time_wait(archive);
    if (archive->is_writing)
        write_all(archive);
    else
        read_all(archive);
}

void stack_handover_end(void)
{
    for (uint32_t i = 0; i < found_count; i++) {
        struct stack_tcp *tcp = found[i];

        if (tcp == NULL || tcp->events != NULL)
            continue;
        if (tcp->role != TCP_ROLE_INCOMING && !(tcp->role == TCP_ROLE_CONNECTED && tcp->shut)) { /* its owner did not come */
            stack_tcp_abort(tcp);
            continue;
        }
        tcp->owned = false;
        if (tcp->pcb != NULL && tcp->role == TCP_ROLE_CONNECTED)
            tcp_err(tcp->pcb, NULL);
        if (tcp->pcb == NULL)
            tcp_socket_release(tcp);
    }
    free(found);
    found = NULL;
    found_count = 0;
}
