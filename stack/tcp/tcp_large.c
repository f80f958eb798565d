/*
 * tcp_large.c - segments larger than the MTU, which the wire cuts.
 *
 * Theory of operation. To lwIP a segment is three objects, a header, and a way through IP; to us a record on the
 * scoreboard. At an MTU of 1500 that is 45 of each for what leaves as one frame. So bulk data becomes segments of up to
 * 64 KB, of whole pieces: a piece is what a segment else would be, the connection's MSS. gather.c gives such a segment
 * to the wire with the size of a piece, and the wire cuts it, as it does with small ones that were gathered. Linux does
 * the same (tcp_write_xmit(), tcp_fragment()).
 *
 * What is lost, SACKed or sent again are pieces. So a large segment is cut, without a copy, before anything is known of
 * its pieces that differs:
 *
 *     an acknowledgement of a part of it                   is cut there          tcp_large_before_input()
 *     SACK blocks, a duplicate acknowledgement             all are in pieces     the same
 *     a time-out, a probe, the end of a reordering time    all are in pieces     tcp_recovery_on_clock()
 *     a smaller MTU, another process takes over            all are in pieces     tcp_path_mtu.c, tcp_handover.c
 *
 * and the recovery (tcp_recovery.c) never sees one. New ones are only made while all is well: nothing is missing, no
 * marks are agreed on (CWR is for one piece only), and the path is so short that nothing is paced (tcp_pace.c), so that
 * frames of 64 KB do no harm. A large segment does not wait: it is made of what the windows let go now and sent at
 * once. If lwIP can't send it (no route, a neighbour's address is not known), it is cut, and its pieces wait.
 */
#include "tcp_large.h"

#include <assert.h>
#include <errno.h>

#include "stack/wire/loop_netif.h"
#include "stack/wire/wire_netif.h"
#include "tcp_socket.h"

#define BYTES_MAX (65535 - 14 - 60 - 60) /* of payload: a frame's length with all headers is kept in 16 bits */
#define WINDOW_ANY 0x3fffffffu

/* What tcp_large_begin() changed. */
static struct {
    u16_t mss;
    tcpwnd_size_t window;
} saved;

/* Does the connection's way lead to a wire that cuts its segments? */
static bool wire_cuts(const struct stack_tcp *tcp)
{
    if (tcp->pcb->netif_idx != NETIF_NO_INDEX && tcp->pcb->netif_idx != netif_get_index(wire_netif_get()))
        return false;
    if (IP_IS_V6_VAL(tcp->peer))
        return wire_netif_segments(true) && !loop_is_local6(ip_2_ip6(&tcp->peer));
    return wire_netif_segments(false) && !loop_is_local(ip_2_ip4(&tcp->peer));
}

uint32_t tcp_large_most(const struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;
    const struct scoreboard *board = &sender->board;

    if (!sender->started || sender->state != TCP_CA_Open || sender->blind || sender->backoff > 0 || sender->probing ||
        sender->mtu_probe.size != 0 ||
        board->sacked_count + board->lost_count + board->resent_count > 0 || tcp->ecn.on || tcp_pace_is_on(tcp) ||
        tcp->pcb->snd_wnd_max / 2 < tcp->pcb->mss || !wire_cuts(tcp))
        return 1;
    return LWIP_MAX(BYTES_MAX / tcp_sender_mss(tcp->pcb), 1);
}

void tcp_large_begin(struct stack_tcp *tcp, uint32_t pieces)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint32_t options = pcb->mss - tcp_sender_mss(pcb);

    saved.mss = pcb->mss;
    saved.window = pcb->snd_wnd_max;
    pcb->mss = (u16_t)(pieces * tcp_sender_mss(pcb) + options);
    pcb->snd_wnd_max = WINDOW_ANY; /* lwIP makes segments of at most half of it */
}

void tcp_large_end(struct stack_tcp *tcp)
{
    tcp->pcb->mss = saved.mss;
    tcp->pcb->snd_wnd_max = saved.window;
}

/* ---- cutting ---- */

/* Move what a segment has behind its first size bytes of payload to header, the first pbuf of another. Return: false
 * when memory is short. */
static bool move_payload(struct tcp_seg *segment, u16_t size, struct pbuf *header)
{
    const u16_t rest = (u16_t)(segment->len - size);
    struct pbuf *last = segment->p, *moved = last->next;
    u16_t left = size;

    while (left >= moved->len) {
        left = (u16_t)(left - moved->len);
        last = moved;
        moved = moved->next;
    }
    if (left > 0) { /* in the midst of it: both refer to a part */
        struct pbuf *part = pbuf_alloc(PBUF_RAW, (u16_t)(moved->len - left), PBUF_ROM);

        if (part == NULL)
            return false;
        assert(moved->type_internal == PBUF_ROM);
        part->payload = (u8_t *)moved->payload + left;
        part->next = moved->next;
        part->tot_len = (u16_t)(moved->tot_len - left);
        moved->len = left;
        last = moved;
        moved = part;
    }
    last->next = NULL;
    for (struct pbuf *p = segment->p; p != NULL; p = p->next)
        p->tot_len = (u16_t)(p->tot_len - rest);
    pbuf_cat(header, moved);
    return true;
}

/* Cut a segment; what it has behind its first size bytes of payload becomes the next of its list. Return: false when
 * memory is short. */
static bool cut_segment(struct tcp_pcb *pcb, struct tcp_seg *segment, u16_t size)
{
    const u8_t options = LWIP_TCP_OPT_LENGTH(segment->flags);
    const u16_t flags = TCPH_FLAGS(segment->tcphdr);
    const u16_t length = pbuf_clen(segment->p);
    struct pbuf *header = pbuf_alloc(PBUF_TRANSPORT, options, PBUF_RAM);
    struct tcp_seg *behind = header != NULL ? memp_malloc(MEMP_TCP_SEG) : NULL;

    if (behind == NULL || !move_payload(segment, size, header)) {
        if (behind != NULL)
            memp_free(MEMP_TCP_SEG, behind);
        if (header != NULL)
            pbuf_free(header);
        return false;
    }
    pbuf_add_header(header, TCP_HLEN);
    *behind = (struct tcp_seg){.next = segment->next, .p = header, .len = (u16_t)(segment->len - size), .flags = segment->flags,
                               .tcphdr = header->payload};
    *behind->tcphdr = (struct tcp_hdr){.src = segment->tcphdr->src, .dest = segment->tcphdr->dest,
                                       .seqno = lwip_htonl(lwip_ntohl(segment->tcphdr->seqno) + size)};
    TCPH_HDRLEN_FLAGS_SET(behind->tcphdr, (TCP_HLEN + options) / 4, flags);
    TCPH_UNSET_FLAG(segment->tcphdr, TCP_PSH | TCP_FIN);
    segment->len = size;
    segment->next = behind;
    pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen + pbuf_clen(segment->p) + pbuf_clen(header) - length);
    return true;
}

/* Cut the segment of this place of the scoreboard. */
static bool cut_at(struct stack_tcp *tcp, uint32_t index, uint32_t size)
{
    struct scoreboard *board = &tcp->sender.board;
    struct tcp_seg *segment = scoreboard_at(board, index)->segment;

    if (!scoreboard_reserve(board) || !cut_segment(tcp->pcb, segment, (u16_t)size))
        return false;
    scoreboard_split(board, index, segment->next, size);
    return true;
}

bool tcp_large_cut_all(struct stack_tcp *tcp)
{
    struct scoreboard *board = &tcp->sender.board;
    uint32_t piece;

    if (!tcp->sender.large)
        return true;
    piece = tcp_sender_mss(tcp->pcb);
    for (uint32_t i = 0; i < board->count; i++)
        if (scoreboard_at(board, i)->segment->len > piece && !cut_at(tcp, i, piece))
            return false;
    tcp->sender.large = false;
    return true;
}

bool tcp_large_cut_or_fail(struct stack_tcp *tcp)
{
    if (tcp_large_cut_all(tcp))
        return true;
    tcp_socket_fail(tcp, ENOMEM, true);
    return false;
}

bool tcp_large_before_input(struct stack_tcp *tcp, const struct sender_event *event)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    const struct scoreboard *board = &tcp->sender.board;
    const uint32_t acknowledged = event->acknowledgement;
    const struct sent_segment *sent;
    uint32_t index, has, piece;

    if (!tcp->sender.large || !event->has_ack || board->count == 0)
        return true;
    if (event->block_count > 0 || (acknowledged == event->una && !event->has_data && !event->new_window))
        return tcp_large_cut_all(tcp);
    if (!TCP_SEQ_GT(acknowledged, event->una) || TCP_SEQ_GT(acknowledged, pcb->snd_nxt))
        return true;
    index = scoreboard_find(board, acknowledged);
    if (index == board->count)
        return true;
    sent = scoreboard_at(board, index);
    piece = tcp_sender_mss(pcb);
    has = acknowledged - sent->sequence;
    return TCP_SEQ_LT(acknowledged, sent->sequence) || has < piece || has >= sent->segment->len ||
           cut_at(tcp, index, has - has % piece);
}

/* ---- sending ---- */

bool tcp_large_send(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    struct scoreboard *board = &tcp->sender.board;
    const uint32_t piece = tcp_sender_mss(pcb);

    wire_netif_set_piece((uint16_t)piece);
    tcp_output(pcb);
    wire_netif_set_piece(0);
    tcp->sender.large = true;
    if (pcb->unsent == NULL)
        return true;
    if (board->count > 0 && scoreboard_at(board, board->count - 1)->segment == pcb->unsent)
        scoreboard_drop_last(board); /* it did not leave */
    for (struct tcp_seg *segment = pcb->unsent; segment != NULL; segment = segment->next) {
        if (segment->len > piece && !cut_segment(pcb, segment, (u16_t)piece)) {
            tcp_socket_fail(tcp, ENOMEM, true);
            return false;
        }
    }
    return false;
}

/* ---- counting ---- */

uint32_t tcp_large_pieces(const struct tcp_pcb *pcb, uint32_t length)
{
    uint32_t piece = tcp_sender_mss(pcb);

    return length <= piece + 1 ? 1 : (length + piece - 1) / piece; /* FIN counts in length, and is no byte */
}

uint32_t tcp_large_count(const struct stack_tcp *tcp)
{
    const struct scoreboard *board = &tcp->sender.board;
    uint32_t count = board->count;

    if (!tcp->sender.large)
        return count;
    count = 0;
    for (uint32_t i = 0; i < board->count; i++)
        count += tcp_large_pieces(tcp->pcb, scoreboard_at(board, i)->end - scoreboard_at(board, i)->sequence);
    return count;
}
