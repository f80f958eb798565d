/*
 * tcp_window.c - how much a connection may have under way: the receive window, and the send queue's bound.
 *
 * lwIP's receive window is what it has promised and not received, and what was received and not consumed is what is
 * missing of it; so a connection that starts with a smaller window keeps one. STACK_TCP_RECEIVE_WINDOW says how much,
 * but at least two segments, because with less the two ends wait for each other's timers. The peer may use a window
 * once it was announced, so one that is to shrink does so by not opening again (receive_window.debt).
 *
 * Without that option (0) the window follows the path, as Linux's does (tcp_rcv_space_adjust): it begins small, and
 * grows to a multiple of what the owner consumes in a round trip, as long as that is more than half of the window. A
 * sender that doubles its own each round trip never meets the edge. The round trip is that of the handshake, and later
 * what the peer's echoes of our timestamps say when the owner has consumed everything.
 *
 * What is under way on a short path stands in queues before us more than on the path, and measured round trips grow
 * with these: such a window would grow for ever and only keep data waiting until it is in no processor's cache any
 * more. So it has a bound by the least round trip: what the fastest sender has under way there.
 */
#include "stack/memory.h"
#include "stack/port.h"
#include "tcp_socket.h"

#define SEGMENTS_MIN 2      /* in the receive window */
#define SEND_SEGMENTS_MIN 4 /* in the send queue: two on their way, two to follow */

#define WINDOW_START 65535       /* what a SYN can announce */
#define WINDOW_START_SEGMENTS 16 /* when they are large */
#define UNKNOWN_PATH_US 100000   /* when the handshake's time is not known */
#define GROWTH 4                 /* times what was consumed in a round trip: bears a recovery, too */
#define GROWTH_SEGMENTS 16       /* more, as Linux */
#define SHORT_PATH_MAX (256 * 1024) /* measured: with less the frames get smaller, with more the caches too small */
#define BYTES_A_US 2048          /* faster than the fastest link that we keep up with */
#define TICK_US 1000             /* of the timestamps' clock ... */
#define WITHIN_TICK_US 250       /* ... and what an echo in the same one stands for */

/*
 * The send queue follows the path: what may be on its way, as much again that follows, and a third part for a recovery,
 * in which what was lost keeps everything behind it; but at least so much that the owner need not come back at once,
 * and at most what Linux allows (tcp_wmem[2]).
 */
#define SEND_WINDOWS 3
#define SEND_MIN (256 * 1024)
#define SEND_MAX (4 * 1024 * 1024)

/* What the window is to be when nothing is queued. */
static tcpwnd_size_t tcp_window_wanted(const struct stack_tcp *tcp)
{
    tcpwnd_size_t wanted = (tcpwnd_size_t)tcp->options[STACK_TCP_RECEIVE_WINDOW];
    tcpwnd_size_t floor = SEGMENTS_MIN * (tcpwnd_size_t)tcp->pcb->mss;

    if (wanted == 0)
        return LWIP_MIN(tcp->window.size, TCP_WND_MAX(tcp->pcb));
    return LWIP_MIN(LWIP_MAX(wanted, floor), TCP_WND_MAX(tcp->pcb));
}

void tcp_window_start(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;

    tcp->window = (struct receive_window){
        .size = LWIP_MAX(WINDOW_START, WINDOW_START_SEGMENTS * (uint32_t)pcb->mss),
        .since_us = port_now_us,
    };
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
    pcb->rcv_wnd = (tcpwnd_size_t)LWIP_MIN(pcb->rcv_wnd + length, TCP_WND_MAX(pcb));
    (void)tcp_update_rcv_ann_wnd(pcb);
}

void tcp_window_on_echo(struct stack_tcp *tcp, uint32_t age_ms)
{
    struct receive_window *window = &tcp->window;
    uint32_t sample_us = LWIP_MIN(age_ms, UINT32_MAX / (2 * TICK_US)) * TICK_US;
    uint32_t most_us = sample_us > 0 ? sample_us + TICK_US : WITHIN_TICK_US;

    if (tcp->receive.queued > 0)
        return; /* it stood there for a time */
    if (window->least_rtt_us == 0 || most_us < window->least_rtt_us)
        window->least_rtt_us = most_us;
    if (most_us < window->rtt_us)
        window->rtt_us = most_us;
    else
        window->rtt_us += sample_us / 8 - window->rtt_us / 8;
}

/* Return: the least round trip that was seen; 0: none was. */
static uint32_t tcp_window_least_us(const struct stack_tcp *tcp)
{
    uint32_t sender_us = tcp->sender.min_rtt_us, receiver_us = tcp->window.least_rtt_us;

    return sender_us == 0 || (receiver_us != 0 && receiver_us < sender_us) ? receiver_us : sender_us;
}

/* The owner consumed length bytes. Return: by how much the window grows. */
static size_t tcp_window_grow(struct stack_tcp *tcp, size_t length)
{
    struct receive_window *window = &tcp->window;
    uint32_t least_us = tcp_window_least_us(tcp);
    uint32_t round_us = least_us > 0 ? LWIP_MAX(least_us, window->rtt_us) : UNKNOWN_PATH_US;
    uint64_t wanted, bound;

    window->consumed += (uint32_t)length;
    if (port_now_us - window->since_us < round_us)
        return 0;
    wanted = GROWTH * (uint64_t)window->consumed + GROWTH_SEGMENTS * (uint32_t)tcp->pcb->mss;
    bound = LWIP_MAX(SHORT_PATH_MAX, BYTES_A_US * (uint64_t)(least_us > 0 ? least_us : UNKNOWN_PATH_US));
    wanted = LWIP_MIN(LWIP_MIN(wanted, bound), TCP_WND_MAX(tcp->pcb));
    length = 0;
    wanted = LWIP_MIN(wanted, memory_share(tcp->user, tcp->receive.memory));
    if (window->consumed > window->size / 2 && wanted > window->size && tcp->options[STACK_TCP_RECEIVE_WINDOW] == 0) {
        length = wanted - window->size;
        window->size = (uint32_t)wanted;
    }
    window->consumed = 0;
    window->since_us = port_now_us;
    return length;
}

/* Memory is short, and the window is larger than what the connection may have: have it open no further than that. The
 * owner has just consumed length bytes. */
static void tcp_window_throttle(struct stack_tcp *tcp, size_t length)
{
    size_t share = LWIP_MAX(memory_share(tcp->user, tcp->receive.memory), SEGMENTS_MIN * (size_t)tcp->pcb->mss), has;

    if (share >= tcp->window.size)
        return;
    has = (size_t)tcp->pcb->rcv_wnd + tcp->receive.queued + length;
    if (has <= share + tcp->window.debt)
        return;
    memory_counters.throttled++;
    tcp->window.debt = (uint32_t)(has - share);
    tcp->window.size = (uint32_t)share; /* from where it grows again */
}

void tcp_window_open(struct stack_tcp *tcp, size_t length)
{
    struct tcp_pcb *pcb = tcp->pcb;
    size_t paid;
    u32_t announced = pcb->rcv_ann_right_edge - pcb->rcv_nxt;

    tcp_window_throttle(tcp, length);
    paid = LWIP_MIN(length, tcp->window.debt);
    tcp->window.debt -= (uint32_t)paid;
    if (pcb->state == CLOSE_WAIT) { /* nothing more will come: no need to tell the peer */
        pcb->rcv_wnd = LWIP_MIN(pcb->rcv_wnd + (tcpwnd_size_t)(length - paid), TCP_WND_MAX(pcb));
        return;
    }
    if (pcb->state < ESTABLISHED || pcb->state > CLOSE_WAIT)
        return;
    tcp_window_give(pcb, length - paid + tcp_window_grow(tcp, length));
    /* A small window that has at least doubled is worth telling at once (Linux: tcp_cleanup_rbuf). A larger one goes
     * with the next acknowledgement, of which there will be one before the peer needs it. */
    if (2 * announced <= tcp_window_wanted(tcp) && pcb->rcv_ann_wnd >= 2 * announced &&
        pcb->rcv_ann_wnd - announced >= LWIP_MIN(pcb->mss, TCP_WND_MAX(pcb) / 2))
        tcp_acknowledge_window(tcp);
}

bool tcp_window_must_drop(const struct stack_tcp *tcp, uint32_t sequence, size_t size)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    size_t least = LWIP_MIN(SEGMENTS_MIN * (size_t)pcb->mss, MEMORY_FLOOR_MAX);

    if (!memory_is_short(tcp->user))
        return false;
    if (TCP_SEQ_GT(sequence, pcb->rcv_nxt)) /* it could not be consumed */
        return true;
    if (tcp->receive.queued == 0 && (size <= pcb->mss || !memory_is_full(tcp->user))) /* it is being read */
        return false;
    return tcp->receive.queued + size > LWIP_MAX(memory_floor(), least);
}

void tcp_window_change(struct stack_tcp *tcp)
{
    struct tcp_pcb *pcb = tcp->pcb;
    tcpwnd_size_t wanted, has;

    if (tcp->role != TCP_ROLE_CONNECTED || pcb->state != ESTABLISHED)
        return;
    wanted = tcp_window_wanted(tcp);
    has = pcb->rcv_wnd + (tcpwnd_size_t)tcp->receive.queued - tcp->window.debt;
    if (wanted < has) {
        tcp->window.debt += has - wanted;
    } else {
        size_t more = wanted - has, paid = LWIP_MIN(more, tcp->window.debt);

        tcp->window.debt -= (uint32_t)paid;
        tcp_window_give(pcb, more - paid);
    }
}

bool stack_tcp_send_is_worthwhile(const struct stack_tcp *tcp)
{
    return tcp->options[STACK_TCP_NOTSENT_LOWAT] > 0 || stack_tcp_send_room(tcp) >= tcp->send.queued / 2;
}

size_t tcp_window_send_room(const struct stack_tcp *tcp)
{
    size_t window = LWIP_MIN(tcp->sender.congestion.window, tcp->pcb->snd_wnd);
    size_t limit = LWIP_MAX(SEND_WINDOWS * window, SEND_MIN), segments = SEND_SEGMENTS_MIN * (size_t)tcp->pcb->mss, room;
    size_t share = memory_share(tcp->user, tcp->send.memory);

    if (tcp->options[STACK_TCP_SEND_BUFFER] > 0)
        limit = LWIP_MAX((size_t)tcp->options[STACK_TCP_SEND_BUFFER], segments);
    limit = LWIP_MIN(limit, SEND_MAX);
    room = limit > tcp->send.queued ? limit - tcp->send.queued : 0;
    if (share < tcp->send.memory + room) {
        size_t left = tcp_send_memory_room(tcp, share);

        memory_counters.throttled += left < room;
        room = LWIP_MIN(room, left);
    }
    if (tcp->options[STACK_TCP_NOTSENT_LOWAT] > 0) {
        size_t low_water = LWIP_MAX((size_t)tcp->options[STACK_TCP_NOTSENT_LOWAT], segments);
        size_t unsent = stack_tcp_send_unsent(tcp);

        room = LWIP_MIN(room, low_water > unsent ? low_water - unsent : 0);
    }
    return room;
}
