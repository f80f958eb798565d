/*
 * tcp_validate.c - which segments of a connection are let in (RFC 9293 3.10.7, RFC 5961), as Linux
 * (tcp_validate_incoming()).
 *
 * Who can't see a connection must not be able to end it or to put data into it, though he knows its addresses and
 * ports. So a segment counts only when it shows that its sender knows where the connection is:
 *
 *   sequence number   outside of the window, or of what ends there and is out of order: answered with an acknowledgement, and dropped
 *   RST               at RCV.NXT, or the end of what was received out of order: resets. Elsewhere in the window: answered with
 *                     a challenge: an acknowledgement, to which a peer that means it sends a reset at the right place
 *   SYN               is answered with a challenge: a peer that has lost the connection resets it
 *   no ACK            dropped
 *   acknowledgement   of what was not sent, or of what was acknowledged so long ago that it is further back than the peer's
 *                     window ever was: challenged
 *
 * What needs no answer by its data is answered twice a second at most, so that no two hosts answer each other for ever
 * (Linux: tcp_invalid_ratelimit), and who sends much of it learns nothing.
 *
 * lwIP processes what passes, in its way, which is right for that. In SYN-SENT and SYN-RECEIVED, where it is not
 * (it resets what is to be dropped, and completes a handshake with any number), this file decides as well.
 */
#include "tcp_validate.h"

#include "stack/bytes.h"
#include "stack/port.h"
#include "tcp_socket.h"

#define ANSWER_INTERVAL_US 500000u /* Linux: tcp_invalid_ratelimit */
#define MSS_DEFAULT4 536           /* RFC 9293 3.7.1: of who says nothing */
#define MSS_DEFAULT6 1220
#define MSS_MIN 88                 /* Linux: TCP_MIN_MSS; there must be room for options and data */

/* May something be answered now that needs no answer? */
static bool may_answer(struct stack_tcp *tcp)
{
    if (tcp->answered_us != 0 && port_now_us - tcp->answered_us < ANSWER_INTERVAL_US)
        return false;
    tcp->answered_us = port_now_us;
    return true;
}

void tcp_validate_answer(struct stack_tcp *tcp)
{
    if (may_answer(tcp))
        tcp_send_empty_ack(tcp->pcb);
}

/* A challenge ACK, RFC 5961 7. Return: ERR_VAL: the segment is dropped. */
static err_t challenge(struct stack_tcp *tcp)
{
    tcp_validate_answer(tcp);
    return ERR_VAL;
}

/* The segment is outside of the window. Return: ERR_VAL. */
static err_t answer_outside(struct stack_tcp *tcp, const struct segment_facts *segment)
{
    if (segment->flags & TCP_SYN)
        return challenge(tcp);
    if (segment->end == segment->sequence && !may_answer(tcp))
        return ERR_VAL;
    tcp_acknowledge_look(tcp, segment->sequence, segment->size, 0);
    tcp_send_empty_ack(tcp->pcb);
    tcp_sack_forget();
    return ERR_VAL;
}

/* After the peer's FIN a reset may come with the number that the FIN had (Linux: tcp_reset_check()). */
static bool is_reset_after_fin(const struct tcp_pcb *pcb, uint32_t sequence)
{
    return sequence == pcb->rcv_nxt - 1 &&
           (pcb->state == CLOSE_WAIT || pcb->state == CLOSING || pcb->state == LAST_ACK);
}

/* Is this where the furthest data ends that came out of order? */
static bool is_furthest_received(const struct tcp_pcb *pcb, uint32_t sequence)
{
    uint32_t furthest = pcb->rcv_nxt;

    if ((pcb->flags & TF_SACK) == 0)
        return false;
    for (u8_t i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++)
        if (TCP_SEQ_GT(pcb->rcv_sacks[i].right, furthest))
            furthest = pcb->rcv_sacks[i].right;
    return furthest != pcb->rcv_nxt && sequence == furthest;
}

void tcp_validate_reset(const struct segment_facts *segment)
{
    tcp_rst_netif(ip_current_input_netif(), segment->acknowledgement, segment->end, ip_current_dest_addr(),
                  ip_current_src_addr(), segment->port, segment->peer_port);
}

void tcp_validate_fix_reset(struct tcp_hdr *reset)
{
    const struct tcp_hdr *cause = ip_next_header_ptr(); /* a reset without control block answers what is being processed */

    reset->wnd = 0;
    if (TCPH_FLAGS(cause) & TCP_ACK) {
        TCPH_FLAGS_SET(reset, TCP_RST);
        reset->ackno = 0;
    } else {
        reset->seqno = 0;
    }
}

/* The acknowledgement number. Return: ERR_OK, or ERR_VAL: the segment is dropped. */
static err_t validate_acknowledgement(struct stack_tcp *tcp, const struct segment_facts *segment)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    uint32_t acknowledgement = segment->acknowledgement, behind = pcb->lastack - acknowledgement;

    if (pcb->state == SYN_RCVD) {
        if (acknowledgement == pcb->snd_nxt)
            return ERR_OK;
        tcp_validate_reset(segment);
        return ERR_VAL;
    }
    if (TCP_SEQ_GT(acknowledgement, pcb->snd_nxt))
        return challenge(tcp);
    if (TCP_SEQ_LT(acknowledgement, pcb->lastack) && behind > LWIP_MIN(pcb->snd_wnd_max, tcp->sender.bytes_acked))
        return challenge(tcp);
    return ERR_OK;
}

void tcp_validate_outdated(struct stack_tcp *tcp, const struct segment_facts *segment)
{
    bool is_old_ack = segment->end == segment->sequence && TCP_SEQ_LT(segment->sequence, tcp->pcb->rcv_nxt);

    if (!is_old_ack) /* they are common */
        answer_outside(tcp, segment);
}

err_t tcp_validate_data_after_close(struct stack_tcp *tcp, const struct segment_facts *segment)
{
    struct tcp_pcb *pcb = tcp->pcb;

    if ((pcb->flags & TF_RXCLOSED) == 0 || pcb->state < ESTABLISHED || pcb->state > FIN_WAIT_2 || segment->size == 0 ||
        !TCP_SEQ_GT(segment->sequence + segment->size, pcb->rcv_nxt))
        return ERR_OK;
    tcp_validate_reset(segment);
    tcp_abandon(pcb, 0); /* frees the socket, too */
    return ERR_ABRT;
}

/* Does it reach beyond our window, and comes out of order? lwIP would keep all of it, and fail when its turn comes. */
static bool overruns_window(const struct tcp_pcb *pcb, const struct segment_facts *segment)
{
    return TCP_SEQ_GT(segment->sequence, pcb->rcv_nxt) && TCP_SEQ_GT(segment->end, pcb->rcv_nxt + pcb->rcv_wnd);
}

err_t tcp_validate_segment(struct stack_tcp *tcp, struct segment_facts *segment)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint32_t edge = TCP_SEQ_GT(pcb->rcv_ann_right_edge, pcb->rcv_nxt) ? pcb->rcv_ann_right_edge : pcb->rcv_nxt;

    if (pcb->state == SYN_RCVD && (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN &&
        segment->sequence == pcb->rcv_nxt - 1)
        return ERR_OK; /* ours was lost: lwIP sends it again */
    if (TCP_SEQ_LT(segment->end, tcp->acknowledger.acknowledged) || TCP_SEQ_GT(segment->sequence, edge)) {
        if ((segment->flags & TCP_RST) == 0)
            return answer_outside(tcp, segment);
        if (!is_reset_after_fin(pcb, segment->sequence))
            return ERR_VAL;
    }
    if (segment->flags & TCP_RST) {
        if (segment->sequence != pcb->rcv_nxt && !is_reset_after_fin(pcb, segment->sequence) &&
            !is_furthest_received(pcb, segment->sequence))
            return challenge(tcp);
        segment->sequence = pcb->rcv_nxt;
        return ERR_OK;
    }
    if (segment->flags & TCP_SYN)
        return challenge(tcp);
    if ((segment->flags & TCP_ACK) == 0)
        return ERR_VAL;
    if (overruns_window(pcb, segment))
        return answer_outside(tcp, segment);
    return validate_acknowledgement(tcp, segment);
}

/* Find the next option of a kind and length behind one of them (NULL: the first). Return: NULL: there is none. */
static const u8_t *find_option(const struct tcp_hdr *header, const u8_t *behind, u8_t kind, u8_t length)
{
    const u8_t *options = (const u8_t *)(header + 1);
    u16_t size = (u16_t)(TCPH_HDRLEN_BYTES(header) - TCP_HLEN);
    u16_t at = behind != NULL ? (u16_t)(behind - options + length) : 0;

    while (at < size && options[at] != LWIP_TCP_OPT_EOL) {
        if (options[at] == LWIP_TCP_OPT_NOP) {
            at++;
            continue;
        }
        if (at + 1 >= size || options[at + 1] < 2 || at + options[at + 1] > size)
            return NULL;
        if (options[at] == kind && options[at + 1] == length)
            return options + at;
        at = (u16_t)(at + options[at + 1]);
    }
    return NULL;
}

const u8_t *tcp_validate_find_option(const struct tcp_hdr *header, u8_t kind, u8_t length)
{
    return find_option(header, NULL, kind, length);
}

u16_t tcp_validate_mss(const struct tcp_hdr *header)
{
    u16_t mss = ip_current_is_v6() ? MSS_DEFAULT6 : MSS_DEFAULT4;
    u8_t *option = NULL;

    while ((option = (u8_t *)(uintptr_t)find_option(header, option, LWIP_TCP_OPT_MSS, LWIP_TCP_OPT_LEN_MSS)) != NULL) {
        if (option[2] != 0 || option[3] != 0)
            mss = (u16_t)LWIP_MAX(option[2] << 8 | option[3], MSS_MIN);
        option[2] = (u8_t)(mss >> 8);
        option[3] = (u8_t)mss;
    }
    return mss;
}

/* Our SYN was crossed by theirs (RFC 9293 3.5), which is also how a socket connects to itself. lwIP in SYN-SENT knows
 * no SYN without ACK: take what it says, and send ours again as a SYN-ACK. */
static void answer_crossing_syn(struct stack_tcp *tcp, const struct segment_facts *segment, const struct tcp_hdr *header)
{
    struct tcp_pcb *pcb = tcp->pcb;
    const u8_t *option;

    if (pcb->unacked == NULL)
        return; /* not sent yet, or about to be sent again */
    pcb->rcv_nxt = segment->sequence + 1;
    pcb->mss = tcp_eff_send_mss(tcp_validate_mss(header), &pcb->local_ip, &pcb->remote_ip);
    option = tcp_validate_find_option(header, LWIP_TCP_OPT_WS, LWIP_TCP_OPT_LEN_WS);
    if (option != NULL && !tcp->crossed) {
        pcb->snd_scale = LWIP_MIN(option[2], 14);
        pcb->rcv_scale = TCP_RCV_SCALE;
        pcb->rcv_wnd = pcb->rcv_ann_wnd = TCP_WND;
        tcp_set_flags(pcb, TF_WND_SCALE);
    }
    if (tcp_validate_find_option(header, LWIP_TCP_OPT_SACK_PERM, LWIP_TCP_OPT_LEN_SACK_PERM) != NULL)
        tcp_set_flags(pcb, TF_SACK);
    option = tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS);
    if (option != NULL) {
        pcb->ts_recent = read_32(option + 2);
        tcp_set_flags(pcb, TF_TIMESTAMP);
    }
    tcp->crossed = true;
    TCPH_SET_FLAG(pcb->unacked->tcphdr, TCP_ACK);
    if (tcp_rexmit(pcb) == ERR_OK)
        tcp_output(pcb);
}

err_t tcp_validate_syn_sent(struct stack_tcp *tcp, struct segment_facts *segment, struct tcp_hdr *header)
{
    struct tcp_pcb *pcb = tcp->pcb;

    if ((segment->flags & TCP_ACK) && segment->acknowledgement != pcb->snd_nxt) {
        if ((segment->flags & TCP_RST) == 0)
            tcp_validate_reset(segment);
        return ERR_VAL;
    }
    switch (segment->flags & (TCP_SYN | TCP_ACK | TCP_RST)) {
    case TCP_SYN | TCP_ACK:
        pcb->mss = tcp_validate_mss(header); /* lwIP has one default for both families */
        return ERR_OK;
    case TCP_RST | TCP_ACK:
    case TCP_RST | TCP_ACK | TCP_SYN:
        return ERR_OK;
    case TCP_SYN:
        answer_crossing_syn(tcp, segment, header);
        return ERR_VAL;
    case TCP_ACK:
        if (!tcp->crossed || segment->sequence != pcb->rcv_nxt)
            return ERR_VAL;
        /* The handshake of a simultaneous open is complete: that is what lwIP takes a SYN-ACK for. */
        header->wnd = (u16_t)LWIP_MIN((u32_t)header->wnd << pcb->snd_scale, 0xffff);
        segment->flags |= TCP_SYN;
        segment->sequence--;
        return ERR_OK;
    default:
        return ERR_VAL;
    }
}
