/* tcp_info.c - the figures of a connection in Linux's struct tcp_info. */
#include <string.h>

#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

/* What Linux shows before it knows. */
#define INITIAL_WINDOW 10u
#define RTO_INITIAL_US 1000000u
#define REORDERING 3u
#define MSS_DEFAULT 536u

/* Return: the state in Linux's numbers (include/net/tcp_states.h). */
static uint8_t tcp_info_state(const struct stack_tcp *tcp)
{
    static const uint8_t states[] = {
        [CLOSED] = TCP_CLOSE,           [LISTEN] = TCP_LISTEN,         [SYN_SENT] = TCP_SYN_SENT,
        [SYN_RCVD] = TCP_SYN_RECV,      [ESTABLISHED] = TCP_ESTABLISHED, [FIN_WAIT_1] = TCP_FIN_WAIT1,
        [FIN_WAIT_2] = TCP_FIN_WAIT2,   [CLOSE_WAIT] = TCP_CLOSE_WAIT, [CLOSING] = TCP_CLOSING,
        [LAST_ACK] = TCP_LAST_ACK,      [TIME_WAIT] = TCP_CLOSE, /* on Linux the socket has let go of it by then */
    };

    return tcp->pcb != NULL ? states[tcp->pcb->state] : TCP_CLOSE;
}

void stack_tcp_get_info(const struct stack_tcp *tcp, struct tcp_info *info)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    const struct tcp_sender *sender = &tcp->sender;

    memset(info, 0, sizeof *info);
    info->tcpi_state = tcp_info_state(tcp);
    info->tcpi_total_retrans = tcp->retransmitted;
    info->tcpi_rtt = tcp->rtt_us;
    info->tcpi_rttvar = tcp->rttvar_us;
    info->tcpi_rto = RTO_INITIAL_US;
    info->tcpi_snd_cwnd = INITIAL_WINDOW;
    info->tcpi_snd_ssthresh = INT32_MAX;
    info->tcpi_reordering = REORDERING;
    info->tcpi_snd_mss = MSS_DEFAULT;
    if (pcb == NULL || pcb->state == LISTEN)
        return;
    info->tcpi_ca_state = sender->state;
    info->tcpi_retransmits = pcb->nrtx;
    info->tcpi_probes = pcb->persist_probe;
    info->tcpi_backoff = pcb->persist_backoff > 0 ? pcb->persist_backoff : sender->backoff;
    if ((pcb->flags & TF_SACK) != 0)
        info->tcpi_options |= TCPI_OPT_SACK;
    if ((pcb->flags & TF_TIMESTAMP) != 0)
        info->tcpi_options |= TCPI_OPT_TIMESTAMPS;
    if (tcp->ecn.on)
        info->tcpi_options |= TCPI_OPT_ECN;
    if (tcp->ecn.seen)
        info->tcpi_options |= TCPI_OPT_ECN_SEEN;
    if ((pcb->flags & TF_WND_SCALE) != 0) {
        info->tcpi_options |= TCPI_OPT_WSCALE;
        info->tcpi_snd_wscale = pcb->snd_scale & 15;
        info->tcpi_rcv_wscale = pcb->rcv_scale & 15;
    }
    info->tcpi_rto = (uint32_t)tcp_timeout_us(tcp);
    info->tcpi_ato = LWIP_MIN(tcp->acknowledger.delay_us, 200000u);
    info->tcpi_snd_mss = tcp_sender_mss(pcb);
    info->tcpi_rcv_mss = tcp->acknowledger.segment > 0 ? tcp->acknowledger.segment : LWIP_MIN(MSS_DEFAULT, tcp_sender_mss(pcb));
    info->tcpi_unacked = tcp_large_count(tcp);
    info->tcpi_sacked = (pcb->flags & TF_SACK) != 0 ? sender->board.sacked_count : sender->duplicates;
    info->tcpi_lost = sender->board.lost_count;
    info->tcpi_retrans = sender->board.resent_count;
    info->tcpi_last_ack_recv = sender->acked_us != 0 ? (uint32_t)((port_now_us - sender->acked_us) / 1000) : 0;
    info->tcpi_last_data_sent = tcp->sent_us != 0 ? (uint32_t)((port_now_us - tcp->sent_us) / 1000) : 0;
    info->tcpi_last_data_recv = tcp->received_us != 0 ? (uint32_t)((port_now_us - tcp->received_us) / 1000) : 0;
    info->tcpi_pmtu = tcp_path_mtu_get(tcp);
    info->tcpi_advmss = info->tcpi_pmtu - (IP_IS_V6_VAL(tcp->peer) ? IP6_HLEN : IP_HLEN) - TCP_HLEN -
                         ((pcb->flags & TF_TIMESTAMP) != 0 ? LWIP_TCP_OPT_LEN_TS_OUT : 0);
    info->tcpi_rcv_ssthresh = pcb->rcv_ann_wnd;
    if (sender->started) {
        uint32_t mss = LWIP_MAX(sender->congestion.mss, 1);

        if (sender->congestion.threshold < CONGESTION_NO_THRESHOLD)
            info->tcpi_snd_ssthresh = sender->congestion.threshold / mss;
        info->tcpi_snd_cwnd = LWIP_MAX(sender->congestion.window / mss, 1);
    }
    info->tcpi_reordering = sender->reordering_seen ? LWIP_MAX(REORDERING, sender->reorderings) : REORDERING;
    info->tcpi_rcv_space = TCP_WND_MAX(pcb);
}

void stack_tcp_get_more_info(const struct stack_tcp *tcp, struct stack_tcp_more_info *more)
{
    const struct tcp_sender *sender = &tcp->sender;
    const struct tcp_pcb *pcb = tcp->pcb;

    *more = (struct stack_tcp_more_info){
        .pacing_rate = sender->started && tcp_pace_is_on(tcp) ? tcp_pace_rate(tcp) : UINT64_MAX,
        .max_pacing_rate = UINT64_MAX,
        .bytes_acked = sender->bytes_acked,
        .bytes_received = tcp->acknowledger.bytes + tcp->received_fin, /* Linux counts the sequence numbers */
        .segs_out = sender->segments_out,
        .segs_in = sender->segments_in,
        .min_rtt = sender->min_rtt_us != 0 ? sender->min_rtt_us : UINT32_MAX,
        .data_segs_in = sender->data_segments_in,
        .data_segs_out = sender->data_segments_out,
        .delivered = sender->delivered,
        .delivered_ce = sender->delivered_marked,
        .bytes_sent = sender->bytes_sent,
        .bytes_retrans = sender->bytes_resent,
        .dsack_dups = sender->dsacks,
        .reord_seen = sender->reorderings,
    };
    if (pcb == NULL || pcb->state == LISTEN)
        return;
    more->notsent_bytes = (uint32_t)stack_tcp_send_unsent(tcp);
    more->snd_wnd = pcb->snd_wnd;
    more->rcv_wnd = pcb->rcv_wnd;
}
