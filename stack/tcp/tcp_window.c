/*
 * tcp_window.c - how much a connection may have under way: the receive window, and the send queue's bound.
 *
 * lwIP's receive window is what it has promised and not received, and what was received and not consumed is what is
 * missing of it; so a connection that starts with a smaller window keeps one. STACK_TCP_RECEIVE_WINDOW says how much
 * (0: lwIP's own), but at least two segments, because with less the two ends wait for each other's timers. The peer may
 * use a window once it was announced, so one that is to shrink does so by not opening again (window_debt).
 */
#include "stack/port.h"
#include "tcp_socket.h"

#define SEGMENTS_MIN 2      /* in the receive window */
#define SEND_SEGMENTS_MIN 4 /* in the send queue: two on their way, two to follow */

/* What the window is to be when nothing is queued. */
static tcpwnd_size_t tcp_window_wanted(const struct stack_tcp *tcp)
{
    tcpwnd_size_t wanted = (tcpwnd_size_t)tcp->options[STACK_TCP_RECEIVE_WINDOW];
    tcpwnd_size_t floor = SEGMENTS_MIN * (tcpwnd_size_t)tcp->pcb->mss;

    if (wanted == 0)
        return TCP_WND_MAX(tcp->pcb);
    return LWIP_MIN(LWIP_MAX(wanted, floor), TCP_WND_MAX(tcp->pcb));
}

void tcp_window_start(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    tcp->window_debt = 0;
    if (tcp->options[STACK_TCP_RECEIVE_WINDOW] == 0)
        return;
    pcb->rcv_wnd = pcb->rcv_ann_wnd = LWIP_MIN(pcb->rcv_wnd, tcp_window_wanted(tcp));
    pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
}

uint16_t tcp_window_of_syn(const struct stack_tcp *tcp, uint16_t window)
{
    return tcp->options[STACK_TCP_RECEIVE_WINDOW] == 0 ? window : (uint16_t)LWIP_MIN(window, tcp_window_wanted(tcp));
}

/* Give lwIP length bytes of window. */
static void tcp_window_give(struct tcp_pcb *pcb, size_t length)
{
    while (length > 0) {
        u16_t n = (u16_t)LWIP_MIN(length, 0xffff);

        tcp_recved(pcb, n);
        length -= n;
    }
}

void tcp_window_open(struct stack_tcp *tcp, size_t length)
{
    struct tcp_pcb *pcb = tcp->pcb;
    size_t paid = LWIP_MIN(length, tcp->window_debt);
    u32_t announced = pcb->rcv_ann_right_edge - pcb->rcv_nxt;

    tcp->window_debt -= (uint32_t)paid;
    length -= paid;
    if (pcb->state == CLOSE_WAIT) { /* nothing more will come: no need to tell the peer */
        pcb->rcv_wnd = LWIP_MIN(pcb->rcv_wnd + (tcpwnd_size_t)length, TCP_WND_MAX(pcb));
        return;
    }
    if (pcb->state < ESTABLISHED || pcb->state > CLOSE_WAIT)
        return;
    tcp_window_give(pcb, length);
    /* A small window that has at least doubled is worth telling at once (Linux: tcp_cleanup_rbuf). */
    if (2 * announced <= tcp_window_wanted(tcp) && pcb->rcv_ann_wnd >= 2 * announced &&
        pcb->rcv_ann_wnd - announced >= LWIP_MIN(pcb->mss, TCP_WND_MAX(pcb) / 2)) {
        tcp_ack_now(pcb);
        tcp_output(pcb);
    }
}

void tcp_window_change(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    tcpwnd_size_t wanted, has;

    if (tcp->role != TCP_ROLE_CONNECTED || pcb->state != ESTABLISHED)
        return;
    wanted = tcp_window_wanted(tcp);
    has = pcb->rcv_wnd + (tcpwnd_size_t)tcp->receive.queued - tcp->window_debt;
    if (wanted < has) {
        tcp->window_debt += has - wanted;
    } else {
        size_t more = wanted - has, paid = LWIP_MIN(more, tcp->window_debt);

        tcp->window_debt -= (uint32_t)paid;
        tcp_window_give(pcb, more - paid);
    }
}

size_t tcp_window_send_room(const struct stack_tcp *tcp, size_t maximum)
{
    size_t limit = maximum, room, segments = SEND_SEGMENTS_MIN * (size_t)tcp->pcb->mss;

    if (tcp->options[STACK_TCP_SEND_BUFFER] > 0)
        limit = LWIP_MIN(limit, LWIP_MAX((size_t)tcp->options[STACK_TCP_SEND_BUFFER], segments));
    room = limit > tcp->send.queued ? limit - tcp->send.queued : 0;
    if (tcp->options[STACK_TCP_NOTSENT_LOWAT] > 0) {
        size_t low_water = LWIP_MAX((size_t)tcp->options[STACK_TCP_NOTSENT_LOWAT], segments);
        size_t unsent = stack_tcp_send_unsent(tcp);

        room = LWIP_MIN(room, low_water > unsent ? low_water - unsent : 0);
    }
    return room;
}
