/*
 * tcp_handover_queue.c - what a connection has received and sent, into an archive and out of it (tcp_handover.c).
 *
 * lwIP's lists refer to the send queue. The bytes of the queue are written once, the segments as sequence number,
 * length and flags; the reader fills a new queue and has lwIP make the same segments of it, one tcp_write() for each.
 * Both begin with lwIP's first segment, of which the peer may have acknowledged a part.
 */
#include "tcp_handover.h"

#include <errno.h>
#include <string.h>

#include "tcp_socket.h"

#define SEGMENT_FLAGS (TCP_FIN | TCP_SYN | TCP_PSH | TCP_ACK | TCP_ECE | TCP_CWR)
#define WINDOW_ANY 0x3fffffffu /* any segment may be made */

/* What came in order, and the owner has not taken. */
void tcp_handover_received(struct archive *archive, struct stack_tcp *tcp)
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

void tcp_handover_segments(struct archive *archive, struct stack_tcp *tcp)
{
    walk_send_queue(archive, tcp);
    if (archive->is_writing) {
        write_list(archive, tcp, tcp->pcb->unacked, true);
        write_list(archive, tcp, tcp->pcb->unsent, false);
        write_out_of_order(archive, tcp->pcb);
    } else {
        read_segments(archive, tcp);
        read_out_of_order(archive, tcp->pcb);
    }
}
