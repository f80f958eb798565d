/*
 * tcp_push.c - what of a connection's send queue lwIP gets, and when.
 *
 * tcp_write() and tcp_output() walk lwIP's lists of segments; so lwIP gets only what the windows let it send soon
 * (send_allowance), the rest waits in the queue (tcp_send.c) without a cost. What is handed over ends on a segment's
 * boundary unless it is all that there is: otherwise a short segment would be sent in the middle of a stream.
 */
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

#define SEND_AHEAD (128 * 1024) /* bytes that lwIP has beyond the window; two segments of the loopback */
#define CORK_US 200000          /* tcp(7), TCP_CORK */

/* Does the owner want a short segment held back? */
static bool send_is_corked(const struct stack_tcp *tcp)
{
    return tcp->part || tcp->options[STACK_TCP_CORK];
}

/* Return: how many more bytes lwIP may have now, if it may have so many beyond the window. */
static size_t send_window_room(const struct tcp_pcb *pcb, size_t ahead)
{
    size_t window = LWIP_MIN(pcb->cwnd, pcb->snd_wnd) + ahead;
    size_t has = pcb->snd_lbb - pcb->lastack;

    return window > has ? LWIP_MIN(window - has, pcb->snd_buf) : 0;
}

/* The same, for segments of the usual size. */
static size_t send_allowance(const struct stack_tcp *tcp, size_t segment, size_t ahead)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    size_t fill = pcb->unsent != NULL ? tcp->send.segment_fill : 0;
    size_t left = tcp->send.unhanded;
    size_t allowed = send_window_room(pcb, ahead);

    if (allowed < left || (send_is_corked(tcp) && !tcp->shut &&
                           (tcp->cork_us == 0 || port_now_us - tcp->cork_us < CORK_US))) {
        size_t odd;

        allowed = LWIP_MIN(allowed, left);
        odd = (fill + allowed) % segment;
        allowed -= LWIP_MIN(odd, allowed);
    }
    return LWIP_MIN(allowed, left);
}

/* Minshall's variant of Nagle's algorithm, as in Linux: is no short segment on its way? */
static bool send_may_be_short(const struct stack_tcp *tcp)
{
    uint32_t end = tcp->send.small_end;

    return !(TCP_SEQ_GT(end, tcp->pcb->lastack) && TCP_SEQ_LEQ(end, tcp->pcb->snd_nxt));
}

/* Have lwIP send what may be sent. It knows Nagle's algorithm only, which makes a short segment wait for all before
 * it. */
static void send_output(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    bool relax = !tcp_nagle_disabled(pcb) && send_may_be_short(tcp);

    if (relax)
        tcp_nagle_disable(pcb);
    tcp_output(pcb);
    if (relax)
        tcp_nagle_enable(pcb);
    if (pcb->unsent == NULL && tcp->send.segment_fill > 0)
        tcp->send.small_end = pcb->snd_lbb;
}

/* FIN, when the owner wants it and all data has been handed over. */
static void tcp_send_finish(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    err_t error;

    if (!tcp->shut || tcp->fin_handed || tcp->send.unhanded > 0)
        return;
    if (tcp->owned) {
        error = tcp_shutdown(pcb, 0, 1);
    } else {
        /* Nothing that was received is unread (tcp_socket_end): lwIP must not think so. */
        pcb->rcv_wnd = TCP_WND_MAX(pcb);
        error = tcp_close(pcb);
    }
    tcp->fin_handed = error == ERR_OK;
}

/* Give lwIP the next bytes, for segments of this size. */
static void send_hand_over(struct stack_tcp *tcp, size_t allowed, size_t segment, bool more)
{
    struct send_queue *queue = &tcp->send;
    struct tcp_pcb *pcb = tcp->pcb;

    while (allowed > 0 && queue->handing != NULL) {
        struct send_chunk *chunk = queue->handing;
        u16_t n = (u16_t)LWIP_MIN(LWIP_MIN(chunk->filled - chunk->handed, allowed), 0xffff);
        bool last = n == queue->unhanded && !more;
        size_t fill = pcb->unsent != NULL ? queue->segment_fill : 0;

        if (tcp_write(pcb, chunk->data + chunk->handed, n, last ? 0 : TCP_WRITE_FLAG_MORE) != ERR_OK)
            break; /* the queue of segments is full, or no memory: on_sent or the timer goes on */
        chunk->handed += n;
        allowed -= n;
        queue->unhanded -= n;
        queue->segment_fill = (uint32_t)((fill + n) % segment);
        if (chunk->handed == chunk->filled)
            queue->handing = chunk->next != NULL && chunk->next->filled > 0 ? chunk->next : NULL;
    }
}

/* Send what the windows let go as segments of up to so many pieces. What is not a whole number of pieces remains, and
 * what is to take FIN along. Return: whether the connection lives. */
static bool send_large(struct stack_tcp *tcp, uint32_t most, size_t piece, bool more)
{
    struct send_queue *queue = &tcp->send;
    struct tcp_pcb *pcb = tcp->pcb;
    size_t left, pieces;

    if (pcb->unsent != NULL && queue->segment_fill > 0 && queue->unhanded > piece) { /* a short one waits, and need not be */
        send_hand_over(tcp, piece - queue->segment_fill, piece, true);
        send_output(tcp);
    }
    while (pcb->unsent == NULL) {
        left = queue->unhanded > 0 && tcp->shut ? queue->unhanded - 1 : queue->unhanded;
        pieces = LWIP_MIN(LWIP_MIN(send_window_room(pcb, 0), left) / piece, most);
        if (pieces < 2)
            break;
        left = queue->unhanded;
        tcp_large_begin(tcp, (uint32_t)pieces);
        send_hand_over(tcp, pieces * piece, piece, more);
        tcp_large_end(tcp);
        if (queue->unhanded == left)
            break; /* no memory */
        if (!tcp_large_send(tcp))
            return tcp->pcb != NULL;
    }
    return true;
}

void tcp_send_count_fill(struct stack_tcp *tcp)
{
    const struct tcp_seg *last = tcp->pcb->unsent;

    while (last != NULL && last->next != NULL)
        last = last->next;
    tcp->send.segment_fill = last != NULL ? last->len % tcp_sender_mss(tcp->pcb) : 0;
}

/* Send one segment that is larger than the others, if it is time for that. Return: whether the connection lives. */
static bool send_mtu_probe(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    uint16_t length = tcp_mtu_probe_wanted(tcp), mss = pcb->mss;
    size_t left = tcp->send.unhanded;

    if (length == 0)
        return true;
    pcb->mss = (u16_t)(length + mss - tcp_sender_mss(pcb));
    send_hand_over(tcp, length, length, true);
    pcb->mss = mss;
    tcp->send.segment_fill = 0;
    if (tcp->send.unhanded == left)
        return true; /* memory is short */
    send_output(tcp);
    return tcp_mtu_probe_sent(tcp, (uint16_t)(left - tcp->send.unhanded));
}

/* How much data a segment takes: half of the largest window that the peer ever had, as tcp_write() has it, and no more
 * than its MSS; without the options, unless the window never was larger than they. Not 0. */
static size_t segment_size(const struct tcp_pcb *pcb)
{
    const size_t options = pcb->mss - tcp_sender_mss(pcb);
    size_t size = LWIP_MIN(pcb->mss, TCPWND_MIN16(pcb->snd_wnd_max / 2));

    if (size == 0)
        size = pcb->mss;
    if (size > options)
        size -= options;
    return LWIP_MAX(size, 1);
}

void tcp_send_push(struct stack_tcp *tcp, bool more)
{
    struct send_queue *queue = &tcp->send;
    struct tcp_pcb *pcb = tcp->pcb;
    size_t segment;
    uint32_t most;

    if (pcb == NULL || tcp->role != TCP_ROLE_CONNECTED || tcp->fin_handed ||
        (pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT))
        return;
    tcp_timer_wake(tcp);
    tcp_sack_forget();
    if (tcp->send.unhanded > 0)
        tcp_acknowledge_sending(tcp);
    tcp_sender_wake(tcp);
    tcp_sender_apply_window(tcp);
    if (tcp->sender.mtu_probe.due_us != 0 && !send_mtu_probe(tcp))
        return;
    segment = segment_size(pcb);
    most = queue->unhanded > segment ? tcp_large_most(tcp) : 1;
    if (most > 1 && !send_large(tcp, most, segment, more))
        return;
    /* Large segments are made of what the window lets go. What lwIP has beyond it is small, and needed when nothing is
     * on its way that calls for more. */
    send_hand_over(tcp, send_allowance(tcp, segment, most > 1 && pcb->unacked != NULL ? 0 : SEND_AHEAD), segment, more);
    if (queue->unhanded == 0 || !send_is_corked(tcp))
        tcp->cork_us = 0;
    else if (tcp->cork_us == 0)
        tcp->cork_us = port_now_us;
    tcp->sent_us = port_now_us;
    tcp_send_finish(tcp);
    if (tcp->pcb == NULL)
        return;
    send_output(tcp);
    tcp_sender_settle(tcp);
}
