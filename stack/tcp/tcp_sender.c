/*
 * tcp_sender.c - the sender between lwIP and the loss recovery.
 *
 * Theory of operation. lwIP keeps the segments (its lists `unsent` and `unacked`), writes headers, and frees what is
 * acknowledged. When a segment is sent again, and how much may be on its way, is decided here and in tcp_recovery.c,
 * for each connection from ESTABLISHED on. lwIP is not changed for that; what it would do by itself never comes about:
 *
 *  - Its congestion window is a number that is computed anew before each chance to send, so that it allows just what we
 *    want: all that is on its way, and our window less the pipe (tcp_sender_apply_window). While lwIP processes a
 *    segment it is 0: what follows from an acknowledgement is sent after that, when the recovery knows what it means.
 *  - Its retransmission timer stands still (rtime is -1 when duplicate acknowledgements are counted, and what its slow
 *    timer compares with is out of reach: tcp_timer.c).
 *  - A segment is sent again by taking it out of its list and having it be all that there is to send, for one
 *    tcp_output(); then the lists are put back as they were (tcp_sender_resend). So it costs the same wherever
 *    in a long list it stands, and gets the options and acknowledgement of the day.
 *
 * A segment that comes meets tcp_sender_before_input() (from tcp_filter.c), lwIP, and tcp_sender_after_input() (from
 * who called lwIP), which compares what lwIP made of it with what was before. A segment that goes out for the first
 * time is put on the scoreboard by lwIP's hook for options (tcp_sender_on_segment).
 */
#include "tcp_sender.h"

#include <errno.h>

#include "stack/bytes.h"
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

#define INITIAL_WINDOW_SEGMENTS 10 /* RFC 6928 */
#define TIMESTAMP_LIFE_US 2073600000000ull /* 24 days */
#define WINDOW_ANY 0x3fffffffu     /* beyond any: a segment that is sent again was allowed once */

static struct sender_event event;

uint32_t tcp_sender_mss(const struct tcp_pcb *pcb)
{
    return pcb->mss - ((pcb->flags & TF_TIMESTAMP) != 0 ? LWIP_TCP_OPT_LEN_TS_OUT : 0u);
}

static void on_clock(struct tcp_clock *clock)
{
    struct stack_tcp *tcp = (struct stack_tcp *)((char *)clock - offsetof(struct stack_tcp, sender.clock));

    if (tcp->pcb == NULL || !tcp->sender.started)
        return;
    tcp_timer_wake(tcp);
    tcp_recovery_on_clock(tcp);
}

void tcp_sender_start(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct congestion congestion = sender->congestion;

    tcp_sender_release(tcp);
    *sender = (struct tcp_sender){.started = true, .reorder_steps = 1, .undo_resent = -1, .advertised = sender->advertised};
    sender->clock.run = on_clock;
    tcp_pace_start(tcp);
    sender->min_rtt_us = tcp->rtt_us; /* of the handshake */
    sender->min_rtt_at_us = port_now_us;
    sender->sent_us = sender->window_since_us = port_now_us;
    sender->congestion = congestion;
    congestion_start(&sender->congestion, tcp_sender_mss(tcp->pcb), INITIAL_WINDOW_SEGMENTS * tcp_sender_mss(tcp->pcb));
}

void tcp_sender_release(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    if (event.tcp == tcp)
        event.tcp = NULL;
    scoreboard_release(&sender->board);
    tcp_clock_remove(&sender->clock);
    tcp_pace_release(tcp);
    sender->timer = SENDER_TIMER_NONE;
    sender->started = false;
}

int stack_tcp_set_congestion(struct stack_tcp *tcp, const char *name)
{
    const struct congestion_algorithm *algorithm = congestion_find(name);

    if (algorithm == NULL)
        return -ENOENT;
    congestion_choose(&tcp->sender.congestion, algorithm);
    return 0;
}

const char *stack_tcp_get_congestion(const struct stack_tcp *tcp)
{
    const struct congestion_algorithm *algorithm = tcp->sender.congestion.algorithm;

    return (algorithm != NULL ? algorithm : &congestion_cubic)->name;
}

/* A timestamp: note what it echoes. Return: false when the segment is a duplicate of long ago (RFC 7323 5.3, PAWS;
 * Linux: TCP_PAWS_WINDOW, TCP_PAWS_WRAP). */
static bool read_timestamp(const struct stack_tcp *tcp, const u8_t *option)
{
    event.has_echo = event.has_ack;
    event.echo_ms = read_32(option + 6);
    return (int32_t)(tcp->pcb->ts_recent - read_32(option + 2)) <= 1 ||
           port_now_us - tcp->received_us > TIMESTAMP_LIFE_US;
}

/* Find the timestamp and the SACK blocks. Return: false when the timestamp says that the segment is an old one. */
static bool read_options(const struct stack_tcp *tcp, const u8_t *options, u16_t size)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    bool is_new = true;
    u16_t at = 0;

    while (at < size && options[at] != LWIP_TCP_OPT_EOL) {
        u16_t length = 1;

        if (options[at] != LWIP_TCP_OPT_NOP) {
            if (at + 1 >= size || options[at + 1] < 2 || at + options[at + 1] > size)
                return is_new;
            length = options[at + 1];
            if (options[at] == LWIP_TCP_OPT_TS && length == LWIP_TCP_OPT_LEN_TS && (pcb->flags & TF_TIMESTAMP) != 0)
                is_new = read_timestamp(tcp, options + at);
            if (options[at] == TCPOPT_SACK && (pcb->flags & TF_SACK) != 0)
                for (u16_t block = 2; block + 8 <= length && event.block_count < SACK_BLOCKS_MAX; block = (u16_t)(block + 8)) {
                    event.blocks[event.block_count].left = read_32(options + at + block);
                    event.blocks[event.block_count++].right = read_32(options + at + block + 4);
                }
        }
        at = (u16_t)(at + length);
    }
    return is_new;
}

bool tcp_sender_before_input(struct stack_tcp *tcp, const struct tcp_hdr *header, u16_t option_size, u16_t size)
{
    struct tcp_pcb *pcb = tcp->pcb;
    u16_t flags = TCPH_FLAGS(header);

    event.new_window = header->wnd != tcp->sender.advertised;
    tcp->sender.advertised = header->wnd;
    if (!tcp->sender.started || pcb == NULL)
        return true;
    event.tcp = tcp;
    event.una = pcb->lastack;
    event.acknowledgement = header->ackno;
    event.has_ack = (flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK;
    event.has_data = size > 0 || (flags & TCP_FIN) != 0;
    event.has_echo = false;
    event.block_count = 0;
    if (option_size > 0 && !read_options(tcp, (const u8_t *)(header + 1), option_size) && (flags & TCP_RST) == 0) {
        event.tcp = NULL;
        tcp_statistics.paws_dropped++;
        return false;
    }
    if (!tcp_large_before_input(tcp, &event)) {
        event.tcp = NULL;
        return false;
    }
    event.was_marked = tcp_ecn_input(tcp, header, size);
    if (event.has_echo && size >= tcp_sender_mss(pcb))
        tcp_window_on_echo(tcp, sys_now() - event.echo_ms);
    tcp_acknowledge_look(tcp, header->seqno, size, flags);
    tcp->sender.segments_in++;
    tcp->sender.data_segments_in += size > 0;
    pcb->rtime = -1;
    pcb->dupacks = 0;
    pcb->ssthresh = 0;
    pcb->bytes_acked = 0;
    pcb->cwnd = 0;
    return true;
}

void tcp_sender_forget_input(const struct stack_tcp *tcp)
{
    if (event.tcp == tcp)
        event.tcp = NULL;
}

void tcp_sender_after_input(void)
{
    struct stack_tcp *tcp = event.tcp;
    struct tcp_pcb *pcb;

    tcp_sack_forget();
    tcp_acknowledge_forget();
    if (tcp == NULL)
        return;
    event.tcp = NULL;
    pcb = tcp->pcb;
    if (pcb == NULL || !tcp->sender.started)
        return;
    tcp->sender.bytes_acked += pcb->lastack - event.una;
    if (event.has_ack && TCP_SEQ_BETWEEN(event.acknowledgement, event.una, pcb->snd_nxt))
        tcp->soft_error = 0; /* it gets through (Linux: tcp_ack()) */
    if (pcb->state < ESTABLISHED || pcb->state == TIME_WAIT) {
        tcp_sender_release(tcp); /* lwIP has freed the segments */
        return;
    }
    if (tcp->sender.board.count == 0 && !tcp_sender_has_new_data(tcp) && !(tcp->shut && !tcp->fin_handed))
        return; /* we only receive */
    if (event.has_ack && !TCP_SEQ_GT(event.acknowledgement, pcb->snd_nxt))
        tcp_recovery_on_ack(tcp, &event);
    tcp_sender_transmit(tcp);
}

/* FIN takes a sequence number, and is no byte. */
static uint32_t has_fin(const struct tcp_hdr *header)
{
    return (TCPH_FLAGS(header) & TCP_FIN) != 0;
}

bool tcp_sender_on_segment(struct stack_tcp *tcp, const struct tcp_hdr *header, u32_t length)
{
    struct tcp_sender *sender = &tcp->sender;
    struct tcp_pcb *pcb = tcp->pcb;
    struct scoreboard *board = &sender->board;
    uint32_t sequence = lwip_ntohl(header->seqno), pieces;

    if (!sender->started)
        return false;
    pieces = tcp_large_pieces(pcb, length);
    sender->segments_out += pieces;
    if (length == 0)
        return false;
    sender->data_segments_out += pieces;
    tcp_statistics.data_segments_out += pieces;
    tcp_statistics.segments_out += pieces - 1; /* one is counted */
    tcp_statistics.bytes_out += length;
    sender->sent_us = port_now_us;
    tcp_pace_on_sent(tcp, length);
    sender->bytes_sent += length - has_fin(header);
    if (sender->resending || pcb->unsent == NULL || pcb->unsent->tcphdr != header)
        return false;
    if (board->count > 0 && scoreboard_at(board, board->count - 1)->sequence == sequence)
        return true; /* it could not be sent at the first try */
    if (board->count == 0) {
        sender->rto_base_us = port_now_us;
        sender->large = false;
    }
    if (!scoreboard_append(board, pcb->unsent, sequence, length, port_now_us))
        sender->blind = true;
    sender->prr_sent += length;
    if (sender->clock.due_us == TCP_CLOCK_NEVER || sender->timer == SENDER_TIMER_NONE)
        tcp_timeout_set_clock(tcp);
    return true;
}

/* From now on it is counted how much of the window is used. */
static void begin_use(struct tcp_sender *sender)
{
    sender->window_used = 0;
    sender->window_since_us = port_now_us;
}

void tcp_sender_wake(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;

    if (sender->board.count > 0 || !sender->started || tcp->send.unhanded == 0 || tcp->pcb->unsent != NULL)
        return;
    if (congestion_idle(&sender->congestion, port_now_us - sender->sent_us, tcp_timeout_us(tcp),
                        INITIAL_WINDOW_SEGMENTS * sender->congestion.mss))
        begin_use(sender);
}

/* A window of which only a part is used for longer than a time-out comes down half-way to that (RFC 2861; Linux:
 * tcp_cwnd_validate()). */
static void validate_window(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct congestion *congestion = &sender->congestion;

    if (sender->limited || (congestion->window < congestion->threshold && congestion->window < 2 * sender->max_pipe)) {
        begin_use(sender);
        return;
    }
    sender->window_used = LWIP_MAX(sender->window_used, tcp->pcb->snd_nxt - tcp->pcb->lastack);
    if (port_now_us - sender->window_since_us < tcp_timeout_us(tcp))
        return;
    if (sender->state == TCP_CA_Open && !tcp_sender_has_new_data(tcp)) /* else the peer's window holds us back */
        congestion_unused(congestion, LWIP_MAX(sender->window_used, INITIAL_WINDOW_SEGMENTS * congestion->mss));
    begin_use(sender);
}

void tcp_sender_apply_window(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    const struct tcp_sender *sender = &tcp->sender;
    uint32_t window = sender->congestion.window;
    uint32_t pipe = tcp_recovery_pipe(tcp);

    if (sender->board.lost_bytes > sender->board.resent_bytes && !sender->new_data_first)
        window = 0; /* what is lost goes first */
    pcb->cwnd = pcb->snd_nxt - pcb->lastack + (window > pipe ? LWIP_MIN(window - pipe, tcp_pace_allowance(tcp)) : 0);
}

bool tcp_sender_has_new_data(const struct stack_tcp *tcp)
{
    return tcp->send.unhanded > 0 || tcp->pcb->unsent != NULL;
}

void tcp_sender_settle(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct tcp_pcb *pcb = tcp->pcb;
    bool has_lost, has_new, has_room;
    uint32_t pipe;

    if (pcb == NULL || !sender->started)
        return;
    pipe = tcp_recovery_pipe(tcp);
    has_lost = sender->board.lost_bytes > sender->board.resent_bytes;
    has_new = tcp_sender_has_new_data(tcp);
    has_room = pcb->snd_nxt - pcb->lastack + pcb->mss <= pcb->snd_wnd;
    tcp_pace_set_clock(tcp, (has_lost || has_new) && pipe < sender->congestion.window);
    if (sender->board.count == 0)
        return;
    if (TCP_SEQ_GEQ(pcb->lastack, sender->max_pipe_end) || pipe > sender->max_pipe) {
        sender->max_pipe = pipe;
        sender->max_pipe_end = pcb->snd_nxt;
    }
    if (pipe + pcb->mss > sender->congestion.window && (has_new || has_lost) && has_room) {
        sender->limited = true;
        sender->limited_end = pcb->snd_nxt;
    } else if (sender->limited && TCP_SEQ_GEQ(pcb->lastack, sender->limited_end)) {
        sender->limited = false;
    }
    validate_window(tcp);
    tcp_timeout_set_clock(tcp);
}

bool tcp_sender_resend(struct stack_tcp *tcp, struct sent_segment *sent)
{
    struct tcp_sender *sender = &tcp->sender;
    struct tcp_pcb *pcb = tcp->pcb;
    struct tcp_seg *segment = sent->segment;
    struct tcp_seg *unsent = pcb->unsent, *unacked = pcb->unacked, *next = segment->next;
    tcpwnd_size_t window = pcb->snd_wnd, cwnd = pcb->cwnd;
    u32_t una = pcb->lastack;
    u8_t persist = pcb->persist_backoff;
    uint32_t length = sent->end - sent->sequence;
    bool done;

    pcb->unsent = segment;
    pcb->unacked = NULL;
    segment->next = NULL;
    pcb->cwnd = pcb->snd_wnd = WINDOW_ANY;
    pcb->lastack = sent->sequence; /* it may be acknowledged in part */
    sender->resending = true;
    tcp_output(pcb);
    sender->resending = false;
    done = pcb->unsent == NULL;
    pcb->unsent = unsent;
    pcb->unacked = unacked;
    segment->next = next;
    pcb->snd_wnd = window;
    pcb->cwnd = cwnd;
    pcb->lastack = una;
    pcb->persist_backoff = persist;
    if (!done)
        return false;
    sent->sent_us = port_now_us;
    scoreboard_mark(&sender->board, sent, SENT_RESENT | SENT_EVER_RESENT, 0);
    sender->prr_sent += length;
    sender->bytes_resent += length - has_fin(segment->tcphdr);
    sender->undo_resent = LWIP_MAX(sender->undo_resent, 0) + 1;
    if (!sender->was_resent)
        sender->first_resent_ms = sys_now();
    sender->was_resent = true;
    return true;
}

/* Send again what is lost, from the start, as far as the window goes. */
static void resend_lost(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    struct scoreboard *board = &sender->board;
    uint32_t index;

    if (board->lost_bytes == board->resent_bytes)
        return;
    for (index = scoreboard_find(board, sender->resend_from); index < board->count; index++) {
        struct sent_segment *sent = scoreboard_at(board, index);

        if ((sent->flags & (SENT_LOST | SENT_RESENT)) != SENT_LOST)
            continue;
        sender->resend_from = sent->sequence;
        if (tcp_recovery_pipe(tcp) + (sent->end - sent->sequence) > sender->congestion.window &&
            tcp_recovery_pipe(tcp) > 0)
            return;
        if (tcp_pace_allowance(tcp) == 0)
            return;
        if (!tcp_sender_resend(tcp, sent))
            return;
        if (index == 0)
            sender->rto_base_us = port_now_us;
    }
    sender->resend_from = scoreboard_at(board, board->count - 1)->end;
}

void tcp_sender_transmit(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    uint64_t bytes = sender->bytes_sent;

    if (tcp->pcb == NULL || !sender->started)
        return;
    if (!sender->new_data_first)
        resend_lost(tcp);
    if (tcp->fin_handed || (tcp->pcb->state != ESTABLISHED && tcp->pcb->state != CLOSE_WAIT)) {
        tcp_sender_apply_window(tcp);
        tcp_output(tcp->pcb);
        tcp_sender_settle(tcp);
    } else {
        tcp_send_push(tcp, false);
    }
    if (tcp->pcb == NULL || !sender->new_data_first)
        return;
    if (sender->bytes_sent == bytes && tcp_pace_allowance(tcp) == 0 && tcp_sender_has_new_data(tcp))
        return; /* its time has not come */
    sender->new_data_first = false;
    tcp_sender_apply_window(tcp);
}

void tcp_sender_run_clocks(void)
{
    struct tcp_clock *clock;

    while ((clock = tcp_clock_take()) != NULL)
        clock->run(clock);
}
