/*
 * tcp_filter.c - looks at each segment before lwIP processes it.
 *
 *  - A SYN is dropped when the owner of the listening socket says that it can't take one more (may_accept), or when
 *    too many handshakes are under way; the peer tries again. So is the last segment of the handshake: as on Linux,
 *    the connection is then not established yet, and our SYN-ACK is sent again.
 *  - A SYN for a connection in TIME-WAIT may begin a new one (tcp_time_wait.c).
 *  - In all other states the segment must show that its sender knows the connection (tcp_validate.c).
 *  - lwIP believes an MSS option in any segment, and asserts that the MSS never shrinks while data waits: a peer could
 *    end the service with it. The option has no meaning but in a SYN (RFC 9293 3.7.1), so it is blanked elsewhere.
 *  - Of an option that begins in the last byte of the header lwIP reads the length behind the header, and perhaps behind the packet. So there
 *    the options end.
 *  - Of an established connection the sender takes note of it first, and drops what PAWS says is old (tcp_sender.c).
 */
#include <string.h>

#include "stack/memory.h"
#include "isn.h"
#include "tcp_cookie.h"
#include "tcp_socket.h"
#include "tcp_validate.h"

#define INCOMING_MAX 1024  /* handshakes under way that are remembered, per listening socket ... */
#define HALF_OPEN_MAX 4096 /* ... and of all */

static struct {
    struct pbuf *p;   /* owned; NULL: none */
    struct pbuf *syn; /* owned: that is to be input before it; NULL: none */
    uint32_t number;  /* which we answered that with */
    struct netif *netif;
} replay;

/* The segment is for a new connection with the same ports, and the old one is gone: the packet is to be input again. */
static void replay_later(struct tcp_hdr *header, struct pbuf *p)
{
    u8_t *ip = (u8_t *)(ip_current_is_v6() ? (uintptr_t)ip6_current_header() : (uintptr_t)ip4_current_header());
    u16_t back = (u16_t)((u8_t *)p->payload - ip);

    if (replay.p != NULL || p->next != NULL) {
        isn_forget(); /* its SYN comes again */
        return;
    }
    header->src = lwip_htons(header->src);
    header->dest = lwip_htons(header->dest);
    header->seqno = lwip_htonl(header->seqno);
    header->ackno = lwip_htonl(header->ackno);
    header->wnd = lwip_htons(header->wnd);
    if (pbuf_add_header_force(p, back) != 0) {
        isn_forget();
        return;
    }
    pbuf_ref(p);
    replay.p = p;
    replay.netif = ip_current_input_netif();
}

void tcp_filter_replay(void)
{
    struct pbuf *p = replay.p, *syn = replay.syn;

    if (p == NULL)
        return;
    replay.p = replay.syn = NULL;
    if (syn != NULL) {
        tcp_cookie_begin(replay.number);
        tcp_lookup_input(syn, replay.netif);
    }
    tcp_lookup_input(p, replay.netif);
    tcp_cookie_end();
    isn_forget(); /* nobody listens any more, or has room */
}

/* Make of the options what lwIP can be trusted with. blank_mss: put no-operations in place of an MSS option. */
static void clean_options(u8_t *options, u16_t size, bool blank_mss)
{
    u16_t at = 0;

    while (at < size && options[at] != LWIP_TCP_OPT_EOL) {
        u16_t length = 1;

        if (options[at] != LWIP_TCP_OPT_NOP) {
            if (at + 1 >= size)
                options[at] = LWIP_TCP_OPT_EOL;
            if (at + 1 >= size || options[at + 1] < 2)
                return; /* lwIP's parser stops here, too */
            length = options[at + 1];
            if (blank_mss && options[at] == LWIP_TCP_OPT_MSS)
                memset(options + at, LWIP_TCP_OPT_NOP, LWIP_MIN(length, size - at));
        }
        at = (u16_t)(at + length);
    }
}

/* Has the packet passed more routers than the socket puts up with (RFC 5082)? */
static bool came_too_far(const struct stack_tcp *tcp)
{
    if (ip_current_is_v6())
        return tcp->options[STACK_IPV6_MINHOPCOUNT] > IP6H_HOPLIM(ip6_current_header());
    return tcp->options[STACK_IP_MINTTL] > IPH_TTL(ip4_current_header());
}

/* Does a listening socket that is bound to an interface not hear of this SYN? It is refused then, as if nobody
 * listened. */
static bool is_for_other_interface(const struct stack_tcp *tcp, const struct tcp_pcb *pcb, const struct tcp_hdr *header)
{
    unsigned bound = (unsigned)tcp->options[STACK_IP_BIND_INTERFACE];

    if (bound == 0 || bound == tcp_bind_interface_of(ip_current_dest_addr()))
        return false;
    tcp_rst(pcb, 0, header->seqno + 1, ip_current_dest_addr(), ip_current_src_addr(), header->dest, header->src);
    return true;
}

/* Take from the front of a segment out of order what waits already: of two segments with the same number lwIP keeps the
 * first, though the second may be longer. Return: bytes that were taken away. */
static u16_t trim_waiting(const struct tcp_pcb *pcb, struct segment_facts *segment, struct pbuf *p)
{
    if (pcb->ooseq == NULL || (pcb->flags & TF_SACK) == 0 || p->next != NULL || !TCP_SEQ_GT(segment->sequence, pcb->rcv_nxt))
        return 0;
    for (u8_t i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++) {
        uint32_t known = pcb->rcv_sacks[i].right - segment->sequence;

        if (TCP_SEQ_GT(pcb->rcv_sacks[i].left, segment->sequence) || !TCP_SEQ_GT(pcb->rcv_sacks[i].right, segment->sequence) ||
            known >= segment->size)
            continue;
        pbuf_remove_header(p, known);
        segment->sequence += known;
        segment->size = (uint16_t)(segment->size - known);
        return (u16_t)known;
    }
    return 0;
}

/* There is no room for one more connection; the peer tries again. Return: ERR_MEM. */
static err_t drop_for_listener(void)
{
    tcp_statistics.listen_dropped++;
    return ERR_MEM;
}

/* Does the owner of a listening socket take one more connection? */
static bool filter_may_accept(const struct stack_tcp *listener)
{
    return listener->may_accept == NULL || listener->may_accept(listener->owner);
}

/* Does a segment bring a SYN cookie back? Then it is to be input again, behind the SYN that began its handshake; where
 * there is no room it is dropped without a word (Linux: tcp_get_cookie_sock()): the peer has our answer, and a reset
 * would end what it takes for a connection. Return: ERR_OK: none; ERR_VAL: to be input again; ERR_MEM: dropped. */
static err_t restore_cookie(const struct stack_tcp *listener, struct tcp_hdr *header, struct pbuf *p)
{
    uint32_t number = header->ackno - 1;
    struct pbuf *syn = tcp_cookie_restore(header);

    if (syn == NULL)
        return ERR_OK;
    if (replay.p != NULL || !filter_may_accept(listener)) {
        pbuf_free(syn);
        return drop_for_listener();
    }
    replay_later(header, p);
    if (replay.p == NULL) { /* it comes again */
        pbuf_free(syn);
        return ERR_MEM;
    }
    replay.syn = syn;
    replay.number = number;
    return ERR_VAL;
}

/* The peer acknowledges another answer than the one that a handshake remembers: a cookie, which its SYN got when there
 * was no room, before it sent that again and there was (Linux: tcp_check_req() leaves it to the listening socket).
 * Return: ERR_OK: it does not; ERR_ABRT: the handshake is forgotten, without a word; ERR_MEM: the segment is
 * dropped. */
static err_t prefer_cookie(const struct stack_tcp *tcp, struct tcp_pcb *pcb, struct tcp_hdr *header, struct pbuf *p)
{
    err_t error;

    if (pcb->state != SYN_RCVD || (TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_ACK || header->ackno == pcb->snd_nxt ||
        tcp->listener == NULL)
        return ERR_OK;
    error = restore_cookie(tcp->listener, header, p);
    if (error != ERR_VAL)
        return error;
    tcp_abandon(pcb, 0); /* frees the socket, too */
    return ERR_ABRT;
}

/* A SYN or the last segment of a handshake: is there room for one more connection? Return: ERR_OK, or not: it is
 * dropped. */
static err_t filter_handshake(const struct stack_tcp *tcp, const struct tcp_pcb *pcb, const struct tcp_hdr *header)
{
    const struct stack_tcp *listener = tcp->listener;

    if (pcb->state == LISTEN) {
        if (is_for_other_interface(tcp, pcb, header))
            return ERR_VAL;
        if (memory_is_full(tcp->user)) {
            memory_counters.refused++;
            return drop_for_listener();
        }
        listener = tcp;
    }
    if (listener != NULL && !filter_may_accept(listener))
        return drop_for_listener();
    return ERR_OK;
}

/* A segment for a listening socket (Linux: tcp_rcv_state_process()). */
static err_t filter_listen(const struct stack_tcp *tcp, struct tcp_pcb *pcb, struct tcp_hdr *header, struct pbuf *p)
{
    uint16_t mss;
    err_t error;

    switch (TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) {
    case TCP_SYN:
        mss = tcp_validate_mss(header);
        tcp_listen_note_mss(mss);
        tcp_ecn_look_at_syn(header);
        error = filter_handshake(tcp, pcb, header);
        if (error == ERR_OK && !tcp_cookie_is_restoring() &&
            (tcp->incoming >= INCOMING_MAX || tcp_listen_half_open >= HALF_OPEN_MAX))
            tcp_cookie_answer(header, mss);
        return error;
    case TCP_SYN | TCP_FIN:
        return ERR_VAL;
    case TCP_ACK:
    case TCP_ACK | TCP_FIN:
        if (tcp_cookie_is_restoring())
            return ERR_VAL; /* there was no room for its SYN */
        return restore_cookie(tcp, header, p); /* what is none lwIP resets */
    default:
        return ERR_OK; /* lwIP drops it, or resets what has ACK */
    }
}

err_t tcp_filter_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_size, bool split, struct pbuf *p,
                         u32_t *sequence, u8_t *flags, u16_t *length)
{
    struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);
    struct segment_facts segment = {.sequence = header->seqno, .acknowledgement = header->ackno, .flags = *flags,
                                    .end = header->seqno + p->tot_len + ((*flags & TCP_SYN) != 0) + ((*flags & TCP_FIN) != 0),
                                    .size = p->tot_len, .port = header->dest, .peer_port = header->src};
    err_t error = ERR_OK;

    if (split)
        return ERR_VAL; /* our blocks hold any header whole */
    if (option_size > 0)
        clean_options((u8_t *)(header + 1), option_size, (segment.flags & TCP_SYN) == 0);
    if (pcb->state == TIME_WAIT) {
        if (tcp_time_wait_decide(&segment, header))
            replay_later(header, p);
        return ERR_ABRT;
    }
    if (tcp == NULL)
        return ERR_OK;
    if (came_too_far(tcp))
        return ERR_VAL;
    if (pcb->state == LISTEN)
        return filter_listen(tcp, pcb, header, p);
    tcp_timer_wake(tcp);
    error = prefer_cookie(tcp, pcb, header, p);
    if (error != ERR_OK)
        return error;
    if (pcb->state == SYN_SENT) {
        error = tcp_validate_syn_sent(tcp, &segment, header);
        if (error == ERR_OK && (segment.flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
            tcp_ecn_look_at_answer(&tcp->ecn, header);
    } else if (p->tot_len > 0 && tcp_window_must_drop(tcp, segment.sequence, p->tot_len)) {
        memory_counters.dropped++;
        return ERR_MEM;
    } else {
        if (!tcp_sender_before_input(tcp, header, option_size, p->tot_len)) {
            tcp_validate_outdated(tcp, &segment);
            return ERR_VAL;
        }
        error = tcp_validate_segment(tcp, &segment);
        if (error == ERR_OK && pcb->state == SYN_RCVD && (segment.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_ACK)
            error = filter_handshake(tcp, pcb, header);
        if (error == ERR_OK && (segment.flags & TCP_RST) == 0)
            error = tcp_validate_data_after_close(tcp, &segment);
        if (error == ERR_ABRT)
            return error;
        if (error != ERR_OK)
            tcp_sender_forget_input(tcp);
        else
            *length = (u16_t)(*length - trim_waiting(pcb, &segment, p));
    }
    *sequence = header->seqno = segment.sequence;
    *flags = segment.flags;
    return error;
}
