/* tcp_handover_state.c - what a connection is, field by field, into an archive and out of it (tcp_handover.c). */
#include "tcp_handover.h"

#include <string.h>

#include "tcp_socket.h"

void tcp_handover_congestion(struct archive *archive, struct congestion *congestion)
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

/* In the object of the sender. */
static void walk_mtu_probe(struct archive *archive, struct mtu_probe *mtu_probe)
{
    archive_number(archive, "mtu_probe_full", &mtu_probe->full, sizeof mtu_probe->full);
    archive_number(archive, "mtu_probe_high", &mtu_probe->high, sizeof mtu_probe->high);
    archive_number(archive, "mtu_probe_size", &mtu_probe->size, sizeof mtu_probe->size);
    archive_number(archive, "mtu_probe_end", &mtu_probe->end, sizeof mtu_probe->end);
    archive_number(archive, "mtu_probe_due_us", &mtu_probe->due_us, sizeof mtu_probe->due_us);
}

/* All but .board, .congestion, and the clocks. */
void tcp_handover_sender(struct archive *archive, struct tcp_sender *sender)
{
    ARCHIVE_NUMBER(archive, sender, timer);
    ARCHIVE_NUMBER(archive, sender, started);
    ARCHIVE_NUMBER(archive, sender, blind);
    ARCHIVE_NUMBER(archive, sender, min_rtt_us);
    ARCHIVE_NUMBER(archive, sender, last_rtt_us);
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
    walk_mtu_probe(archive, &sender->mtu_probe);
}

/* All but .wanted, .next, .clock, .gap, .pushed, .serves, .held */
void tcp_handover_acknowledger(struct archive *archive, struct acknowledger *acknowledger)
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

void tcp_handover_ecn(struct archive *archive, struct tcp_ecn *ecn)
{
    ARCHIVE_NUMBER(archive, ecn, asked);
    ARCHIVE_NUMBER(archive, ecn, on);
    ARCHIVE_NUMBER(archive, ecn, seen);
    ARCHIVE_NUMBER(archive, ecn, echoing);
    ARCHIVE_NUMBER(archive, ecn, reduced);
}

void tcp_handover_window(struct archive *archive, struct receive_window *window)
{
    ARCHIVE_NUMBER(archive, window, size);
    ARCHIVE_NUMBER(archive, window, debt);
    ARCHIVE_NUMBER(archive, window, since_us);
    ARCHIVE_NUMBER(archive, window, consumed);
    ARCHIVE_NUMBER(archive, window, rtt_us);
    ARCHIVE_NUMBER(archive, window, least_rtt_us);
}

/* lwIP's control block, but for its lists of segments. */
void tcp_handover_pcb(struct archive *archive, struct tcp_pcb *pcb)
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
void tcp_handover_socket(struct archive *archive, struct stack_tcp *tcp)
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
