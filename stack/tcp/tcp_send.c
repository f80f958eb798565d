/*
 * tcp_send.c - the send queue of a connection.
 *
 * The queue is a list of chunks that the owner fills (reserve, commit). lwIP gets references to them (tcp_write()
 * without copying), and a chunk is released when all of it is acknowledged, so a socket that has nothing to send holds
 * nothing.
 *
 * What of it lwIP gets, and when, is in tcp_push.c.
 *
 * gather.c may hold references to chunks: it is flushed before one is released.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "stack/wire/gather.h"
#include "stack/port.h"
#include "tcp_cookie.h"
#include "tcp_socket.h"
#include "tcp_validate.h"

#define MSS_MIN 48 /* Linux: tcp_min_snd_mss; a peer that asks for less means harm */

/* Take the queue's first chunk from it and free it. */
static void send_queue_drop_head(struct send_queue *queue)
{
    struct send_chunk *chunk = queue->head;

    queue->head = chunk->next;
    if (queue->tail == chunk)
        queue->tail = NULL;
    if (queue->filling == chunk)
        queue->filling = chunk->next;
    if (queue->handing == chunk)
        queue->handing = chunk->next;
    queue->memory -= block_sizes[chunk->class];
    tcp_counters.transmit_bytes -= block_sizes[chunk->class];
    memory_remove(queue->user, block_sizes[chunk->class]);
    block_put(chunk->class, chunk);
}

/* Drop what is queued: the connection is gone. */
void tcp_send_release(struct stack_tcp *tcp)
{
    struct send_queue *queue = &tcp->send;

    tcp_sender_release(tcp);
    tcp_acknowledge_release(tcp);
    if (queue->head != NULL)
        gather_flush();
    while (queue->head != NULL)
        send_queue_drop_head(queue);
    queue->queued = queue->unhanded = 0;
    queue->segment_fill = 0;
}

/* Append an empty chunk for about want bytes, if the queue may take `most` bytes of memory; the first it may have in any
 * case. Return: false when there is no memory, or too little for another one. */
static bool send_queue_grow(struct send_queue *queue, size_t want, size_t most)
{
    const size_t header = offsetof(struct send_chunk, data);
    size_t room = most > queue->memory ? most - queue->memory : 0;
    enum block_class which = want + header <= block_sizes[BLOCK_SMALL]    ? BLOCK_SMALL
                             : want + header <= block_sizes[BLOCK_MEDIUM] ? BLOCK_MEDIUM
                                                                          : BLOCK_LARGE;
    struct send_chunk *chunk;

    while (which > BLOCK_SMALL && block_sizes[which] > room)
        which--;
    if (block_sizes[which] > room && queue->head != NULL)
        return false;
    chunk = block_get(which);
    if (chunk == NULL)
        return false;
    *chunk = (struct send_chunk){.capacity = (uint32_t)(block_sizes[which] - header), .class = (uint8_t)which};
    if (queue->tail != NULL)
        queue->tail->next = chunk;
    else
        queue->head = chunk;
    queue->tail = chunk;
    if (queue->filling == NULL)
        queue->filling = chunk;
    queue->memory += block_sizes[which];
    tcp_counters.transmit_bytes += block_sizes[which];
    memory_add(queue->user, block_sizes[which]);
    return true;
}

size_t tcp_send_memory_room(const struct stack_tcp *tcp, size_t most)
{
    const struct send_queue *queue = &tcp->send;
    const size_t size = block_sizes[BLOCK_SMALL];
    size_t blocks = most > queue->memory ? (most - queue->memory) / size : 0, room = 0;

    if (blocks == 0 && queue->head == NULL)
        blocks = 1;
    for (const struct send_chunk *chunk = queue->filling; chunk != NULL; chunk = chunk->next)
        room += chunk->capacity - chunk->filled;
    return room + blocks * (size - offsetof(struct send_chunk, data));
}

/* Nothing is queued: free what was reserved and not used, too. */
static void send_queue_rest(struct send_queue *queue)
{
    while (queue->queued == 0 && queue->head != NULL)
        send_queue_drop_head(queue);
}

/* The peer has length bytes more: release the chunks that it has whole. */
static void send_queue_acknowledge(struct send_queue *queue, size_t length)
{
    queue->queued -= length;
    while (length > 0) {
        struct send_chunk *chunk = queue->head;
        uint32_t n = (uint32_t)LWIP_MIN(chunk->handed - chunk->acked, length);

        chunk->acked += n;
        length -= n;
        if (chunk->acked < chunk->filled)
            break;
        gather_flush();
        send_queue_drop_head(queue);
    }
    send_queue_rest(queue);
}

static bool tcp_send_is_open(const struct stack_tcp *tcp)
{
    return tcp->pcb != NULL && tcp->role == TCP_ROLE_CONNECTED && !tcp->shut;
}

size_t stack_tcp_send_room(const struct stack_tcp *tcp)
{
    return tcp_send_is_open(tcp) ? tcp_window_send_room(tcp) : 0;
}

int stack_tcp_send_reserve(struct stack_tcp *tcp, size_t want, struct iovec iov[STACK_TCP_IOV])
{
    struct send_queue *queue = &tcp->send;
    struct send_chunk *chunk = queue->filling;
    size_t most = memory_share(tcp->user, queue->memory);
    int count = 0;

    want = LWIP_MIN(want, stack_tcp_send_room(tcp));
    while (want > 0 && count < STACK_TCP_IOV) {
        size_t room;

        if (chunk == NULL) {
            if (!send_queue_grow(queue, want, most))
                break;
            chunk = queue->tail;
        }
        room = LWIP_MIN(chunk->capacity - chunk->filled, want);
        if (room > 0)
            iov[count++] = (struct iovec){chunk->data + chunk->filled, room};
        want -= room;
        chunk = chunk->next;
    }
    return count;
}

bool tcp_send_append(struct stack_tcp *tcp, const void *bytes, size_t length)
{
    struct send_queue *queue = &tcp->send;
    const uint8_t *at = bytes;

    while (length > 0) {
        struct send_chunk *chunk = queue->filling;
        uint32_t n;

        if (chunk == NULL) {
            if (!send_queue_grow(queue, length, SIZE_MAX))
                return false;
            chunk = queue->tail;
        }
        n = (uint32_t)LWIP_MIN(chunk->capacity - chunk->filled, length);
        memcpy(chunk->data + chunk->filled, at, n);
        if (queue->handing == NULL)
            queue->handing = chunk;
        chunk->filled += n;
        queue->queued += n;
        queue->unhanded += n;
        at += n;
        length -= n;
        if (chunk->filled == chunk->capacity)
            queue->filling = chunk->next;
    }
    return true;
}

static int send_commit(struct stack_tcp *tcp, size_t length, bool more, bool part)
{
    struct send_queue *queue = &tcp->send;

    if (!tcp_send_is_open(tcp))
        return -EPIPE;
    queue->queued += length;
    queue->unhanded += length;
    while (length > 0) {
        struct send_chunk *chunk = queue->filling;
        uint32_t n = (uint32_t)LWIP_MIN(chunk->capacity - chunk->filled, length);

        if (n > 0 && queue->handing == NULL)
            queue->handing = chunk;
        chunk->filled += n;
        length -= n;
        if (chunk->filled == chunk->capacity)
            queue->filling = chunk->next;
    }
    send_queue_rest(queue);
    tcp->part = part;
    tcp_send_push(tcp, more);
    return 0;
}

int stack_tcp_send_commit(struct stack_tcp *tcp, size_t length, bool more)
{
    return send_commit(tcp, length, more, false);
}

int stack_tcp_send_commit_part(struct stack_tcp *tcp, size_t length)
{
    return send_commit(tcp, length, true, true);
}

int stack_tcp_shutdown_send(struct stack_tcp *tcp)
{
    if (tcp->pcb == NULL || tcp->role != TCP_ROLE_CONNECTED)
        return -ENOTCONN;
    if (!tcp->shut) {
        tcp->shut = true;
        tcp_send_push(tcp, false);
    }
    return 0;
}

size_t stack_tcp_send_queued(const struct stack_tcp *tcp)
{
    return tcp->send.queued;
}

size_t stack_tcp_send_unsent(const struct stack_tcp *tcp)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    size_t unsent = tcp->send.unhanded;

    if (pcb != NULL && tcp->role == TCP_ROLE_CONNECTED && pcb->unsent != NULL)
        unsent += pcb->snd_lbb - pcb->snd_nxt - (tcp->fin_handed && pcb->snd_lbb != pcb->snd_nxt ? 1 : 0);
    return LWIP_MIN(unsent, tcp->send.queued);
}

/* The connection is established: what lwIP knows only now. */
void tcp_send_start(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    int maximum = tcp->options[STACK_TCP_MAXSEG];
    uint16_t full;

    if (maximum > 0 && pcb->mss > maximum)
        pcb->mss = (u16_t)maximum;
    full = pcb->mss;
    pcb->mss = LWIP_MIN(pcb->mss, tcp_path_mtu_segment(tcp));
    if (pcb->mss < MSS_MIN)
        pcb->mss = MSS_MIN;
    /* lwIP makes segments of half the largest window, and with timestamps it gets lost when that is none at all. */
    pcb->snd_wnd_max = LWIP_MAX(pcb->snd_wnd_max, 2 * MSS_MIN);
    pcb->snd_buf = TCP_SND_BUF;
    tcp->send.small_end = pcb->lastack;
    tcp_window_start(tcp);
    tcp_sender_start(tcp);
    tcp_mtu_probe_start(tcp, full);
    tcp_acknowledge_start(tcp);
}

/*
 * lwIP splits a segment when the peer's window is too small for it, and leaves a FIN that it carried on both parts: the
 * peer would take the first for the end of the stream. A FIN belongs to what ends where all that was ever queued ends.
 */
static void clear_early_fin(const struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t size)
{
    if (size > 0 && TCP_SEQ_LT(lwip_ntohl(header->seqno) + size, pcb->snd_lbb))
        TCPH_UNSET_FLAG(header, TCP_FIN);
}

/*
 * lwIP gets stuck when it has put everything back to be sent again, the peer then acknowledges the first segment in
 * part, and its window is smaller than the rest: the split that lwIP makes ends before what was acknowledged, and such
 * a segment is never sent. So cut off here what the peer has.
 */
void tcp_send_trim_acknowledged(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    bool trimmed = false;

    while (pcb->unacked == NULL && pcb->unsent != NULL) {
        struct tcp_seg *segment = pcb->unsent;
        u32_t has = pcb->lastack - lwip_ntohl(segment->tcphdr->seqno);

        if (has == 0 || has > segment->len || (has < segment->len && tcp_split_unsent_seg(pcb, (u16_t)has) != ERR_OK))
            break;
        clear_early_fin(pcb, segment->tcphdr, segment->len);
        if (TCP_TCPLEN(segment) != has)
            break;
        pcb->unsent = segment->next;
        pcb->snd_queuelen = (u16_t)(pcb->snd_queuelen - pbuf_clen(segment->p));
        pcb->snd_buf += has;
        tcp_seg_free(segment);
        send_queue_acknowledge(&tcp->send, has);
        trimmed = true;
    }
    if (trimmed) {
        if (pcb->unsent == NULL)
            pcb->persist_backoff = 0;
        tcp_output(pcb);
    }
}

/* lwIP: the peer acknowledged length bytes. */
err_t tcp_send_on_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
    struct stack_tcp *tcp = arg;
    struct send_queue *queue = &tcp->send;

    tcp_socket_enter(tcp);
    tcp->retransmitting_us = 0;
    if ((pcb->flags & TF_RXCLOSED) != 0)
        pcb->tmr = tcp_ticks; /* lwIP ends a closed connection without progress, and does not count this as such */
    send_queue_acknowledge(queue, length); /* tcp_sender_after_input() sends what may be sent now */
    if (tcp->owned && tcp->events != NULL && tcp->events->sent != NULL)
        tcp->events->sent(tcp->owner);
    return tcp_socket_leave(tcp);
}

/* lwIP writes a segment of a connection (pcb NULL: of none): count what was sent before, say our own MSS, and what ECN
 * has to say. */
u32_t *tcp_socket_on_segment(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb, u32_t *options)
{
    struct stack_tcp *tcp;
    u32_t size;
    u16_t flags;
    bool again;

    if (pcb != NULL && pcb->state == ESTABLISHED && (tcp = tcp_ext_arg_get(pcb, 0)) != NULL &&
        tcp_acknowledge_leaves_out(tcp, p->tot_len - TCPH_HDRLEN_BYTES(header), TCPH_FLAGS(header))) {
        p->flags |= GATHER_LEAVE_OUT;
        return options;
    }
    tcp_statistics.segments_out++;
    tcp_statistics.resets_out += (TCPH_FLAGS(header) & TCP_RST) != 0;
    if (pcb != NULL && pcb->state != LISTEN && (tcp = tcp_ext_arg_get(pcb, 0)) != NULL && tcp->fin_waits)
        tcp_sack_include_fin(tcp, header, options);
    if (pcb != NULL && pcb == tcp_sack_extra)
        options = tcp_sack_write(p, header, options);
    if (pcb == NULL)
        tcp_validate_fix_reset(header);
    if (pcb == NULL || pcb->state == LISTEN)
        return options;
    tcp = tcp_ext_arg_get(pcb, 0);
    if (tcp == NULL)
        return options;
    tcp_acknowledge_on_segment(tcp);
    flags = TCPH_FLAGS(header);
    if ((flags & TCP_SYN) != 0) {
        int maximum = tcp->options[STACK_TCP_MAXSEG];
        u8_t *option = (u8_t *)(header + 1);

        again = pcb->nrtx > 0;
        tcp_cookie_write(tcp, header);
        header->wnd = lwip_htons(tcp_window_of_syn(tcp, lwip_ntohs(header->wnd)));
        if (maximum > 0 && option[0] == LWIP_TCP_OPT_MSS && (option[2] << 8 | option[3]) > maximum) {
            option[2] = (u8_t)(maximum >> 8);
            option[3] = (u8_t)maximum;
        }
    } else {
        clear_early_fin(pcb, header, (u16_t)(p->tot_len - TCPH_HDRLEN_BYTES(header)));
        flags = TCPH_FLAGS(header);
        again = TCP_SEQ_LT(lwip_ntohl(header->seqno), pcb->snd_nxt) &&
                (p->tot_len > TCPH_HDRLEN_BYTES(header) || (flags & TCP_FIN) != 0);
    }
    if (again) {
        tcp->retransmitted++;
        tcp_counters.tcp_segments_retransmitted++;
    }
    size = p->tot_len - TCPH_HDRLEN_BYTES(header);
    tcp_ecn_write(tcp, header, tcp_sender_on_segment(tcp, header, size + ((flags & TCP_FIN) != 0 ? 1 : 0)) && size > 0);
    return options;
}
