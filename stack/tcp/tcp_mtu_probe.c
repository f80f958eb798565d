/*
 * tcp_mtu_probe.c - larger segments again, once the path may take them (RFC 4821; Linux: tcp_mtu_probe()).
 *
 * Theory of operation. What a router said of a path holds for ten minutes, and so does what was found out of a black
 * hole (tcp_path_mtu.c): paths change. Then one segment of the stream is made larger than the others, of the size that
 * peer and link would take. If it is delivered, all that follow are that large. If it is lost alone, that is no sign of
 * congestion: it is cut, sent again, and the search goes on half-way between what is known to pass and what was lost,
 * until the two are SEARCH_END apart, for another ten minutes. A router that speaks ends it at once
 * (tcp_path_mtu_changed()).
 *
 *     small --ten minutes--> due --enough to send, nothing missing--> on its way --delivered--> larger; full size: done
 *                             ^                                          | lost: cut, half-way
 *                             '------------------------------------------'
 *
 * lwIP makes segments of pcb->mss, so that is larger for as long as the one is made; it must have left before the next
 * is made.
 */
#include "tcp_mtu_probe.h"

#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"

#define SMALL_FOR_US 600000000u /* Linux: tcp_probe_interval, mtu_expires */
#define SEARCH_END 8u           /* Linux: tcp_probe_threshold */
#define BEHIND_IT 4u            /* segments that follow it, and tell by SACKs what became of it; Linux: tcp_reordering and one */

void tcp_mtu_probe_start(struct stack_tcp *tcp, uint16_t full)
{
    tcp->sender.mtu_probe = (struct mtu_probe){.full = full};
    if (tcp->pcb->mss < full)
        tcp_mtu_probe_later(tcp);
}

void tcp_mtu_probe_later(struct stack_tcp *tcp)
{
    struct mtu_probe *probe = &tcp->sender.mtu_probe;

    probe->due_us = port_now_us + SMALL_FOR_US;
    probe->high = 0;
    probe->size = 0;
}

/* Return: the size to try, 0: there is none. */
static uint16_t choose_size(struct stack_tcp *tcp)
{
    struct mtu_probe *probe = &tcp->sender.mtu_probe;
    uint16_t limit = LWIP_MIN(probe->full, tcp_path_mtu_segment(tcp)), low = tcp->pcb->mss;

    if (probe->high == 0 || probe->high > limit)
        return limit > low ? limit : 0;
    return probe->high > low + SEARCH_END ? (uint16_t)((low + probe->high) / 2) : 0;
}

uint16_t tcp_mtu_probe_wanted(struct stack_tcp *tcp)
{
    const struct tcp_sender *sender = &tcp->sender;
    const struct mtu_probe *probe = &sender->mtu_probe;
    const struct tcp_pcb *pcb = tcp->pcb;
    uint32_t options = pcb->mss - tcp_sender_mss(pcb), on_its_way = pcb->snd_nxt - pcb->lastack;
    uint16_t size;

    if (probe->due_us == 0 || probe->due_us > port_now_us || probe->size != 0 || sender->state != TCP_CA_Open || pcb->unsent != NULL ||
        sender->hole_piece != 0 || tcp->send.unhanded < probe->full + BEHIND_IT * pcb->mss)
        return 0;
    size = choose_size(tcp);
    if (size == 0) {
        tcp_mtu_probe_later(tcp);
        return 0;
    }
    if (on_its_way + size > LWIP_MIN(pcb->cwnd, pcb->snd_wnd) || size > pcb->snd_wnd_max / 2 || size > pcb->snd_buf || !tcp_large_cut_all(tcp))
        return 0; /* what is larger than a piece now is the one that tries */
    return (uint16_t)(size - options);
}

bool tcp_mtu_probe_sent(struct stack_tcp *tcp, uint16_t length)
{
    struct mtu_probe *probe = &tcp->sender.mtu_probe;
    struct tcp_pcb *pcb = tcp->pcb;

    if (pcb->unsent != NULL) /* it could not leave */
        return tcp_path_mtu_shrink(tcp, pcb->mss);
    probe->size = (uint16_t)(length + pcb->mss - tcp_sender_mss(pcb));
    probe->end = pcb->snd_nxt;
    return true;
}

void tcp_mtu_probe_on_delivery(struct stack_tcp *tcp, const struct sent_segment *sent)
{
    struct mtu_probe *probe = &tcp->sender.mtu_probe;

    if (sent->end != probe->end)
        return;
    tcp->pcb->mss = probe->size;
    tcp->sender.congestion.mss = tcp_sender_mss(tcp->pcb);
    tcp_send_count_fill(tcp);
    probe->size = 0;
    probe->due_us = tcp->pcb->mss < probe->full ? port_now_us : 0;
}

bool tcp_mtu_probe_fail(struct stack_tcp *tcp)
{
    struct mtu_probe *probe = &tcp->sender.mtu_probe;
    uint16_t size = probe->size;

    if (!tcp_path_mtu_shrink(tcp, tcp->pcb->mss))
        return false;
    probe->high = size;
    probe->due_us = port_now_us;
    return true;
}

bool tcp_mtu_probe_is_lost(const struct stack_tcp *tcp)
{
    const struct scoreboard *board = &tcp->sender.board;
    uint32_t place;

    if (tcp->sender.mtu_probe.size == 0 || board->lost_count == 0)
        return false;
    place = scoreboard_find(board, tcp->sender.mtu_probe.end - 1);
    return place < board->count && (scoreboard_at(board, place)->flags & SENT_LOST) != 0;
}
