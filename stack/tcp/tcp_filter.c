/*
 * tcp_filter.c - looks at each segment before lwIP processes it.
 *
 *  - A SYN is dropped when the owner of the listening socket says that it can't take one more (may_accept), or when
 *    too many handshakes are under way; the peer tries again. So is the last segment of the handshake: as on Linux,
 *    the connection is then not established yet, and our SYN-ACK is sent again.
 *  - A SYN for a connection in TIME-WAIT may begin a new one.
 *  - Simultaneous open (RFC 9293 3.5), which is also how a socket connects to itself: lwIP in SYN-SENT knows no SYN
 *    without ACK. It is answered here with our SYN, now acknowledging theirs, and the state stays SYN-SENT, because
 *    what the peer does with that, or sends by itself, is the SYN-ACK that lwIP waits for.
 *  - lwIP believes an MSS option in any segment, and asserts that the MSS never shrinks while data waits: a peer could
 *    end the service with it. The option has no meaning but in a SYN (RFC 9293 3.7.1), so it is blanked elsewhere.
 *  - Of an established connection the sender takes note of it first, and drops what PAWS says is old (tcp_sender.c).
 */
#include <string.h>

#include "tcp_socket.h"

#define INCOMING_MAX 1024 /* handshakes under way, per listening socket */

static struct {
    struct pbuf *p; /* owned; NULL: none */
    struct netif *netif;
} replay;

/* A connection in TIME-WAIT gets a SYN beyond its window: the peer begins a new one with the same ports (RFC 1122
 * 4.2.2.13). The old one goes, and the packet is input again. Return: has it gone? */
static bool recycle_time_wait(struct tcp_pcb *pcb, struct tcp_hdr *header, struct pbuf *p)
{
    u8_t *ip = (u8_t *)(ip_current_is_v6() ? (uintptr_t)ip6_current_header() : (uintptr_t)ip4_current_header());
    u16_t back = (u16_t)((u8_t *)p->payload - ip);

    if (replay.p != NULL || !TCP_SEQ_GT(header->seqno, pcb->rcv_nxt) || p->next != NULL)
        return false;
    header->src = lwip_htons(header->src);
    header->dest = lwip_htons(header->dest);
    header->seqno = lwip_htonl(header->seqno);
    header->ackno = lwip_htonl(header->ackno);
    header->wnd = lwip_htons(header->wnd);
    if (pbuf_add_header_force(p, back) != 0)
        return false;
    pbuf_ref(p);
    replay.p = p;
    replay.netif = ip_current_input_netif();
    tcp_abort(pcb); /* sends nothing in this state */
    return true;
}

/* Our SYN was crossed by theirs: send it again as a SYN-ACK. */
static void answer_crossing_syn(struct tcp_pcb *pcb, const struct tcp_hdr *header)
{
    if (pcb->unacked == NULL)
        return; /* not sent yet, or about to be sent again */
    pcb->rcv_nxt = header->seqno + 1;
    TCPH_SET_FLAG(pcb->unacked->tcphdr, TCP_ACK);
    if (tcp_rexmit(pcb) == ERR_OK)
        tcp_output(pcb);
}

void tcp_filter_replay(void)
{
    struct pbuf *p = replay.p;

    if (p == NULL)
        return;
    replay.p = NULL;
    tcp_time_wait_input(p, replay.netif);
}

/* Put no-operations in place of an MSS option. */
static void blank_mss_option(u8_t *options, u16_t size)
{
    u16_t at = 0;

    while (at < size && options[at] != LWIP_TCP_OPT_EOL) {
        u16_t length = 1;

        if (options[at] != LWIP_TCP_OPT_NOP) {
            if (at + 1 >= size || options[at + 1] < 2)
                return; /* lwIP's parser stops here, too */
            length = options[at + 1];
            if (options[at] == LWIP_TCP_OPT_MSS)
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

/* Does a listening socket that is bound to an interface not hear of this SYN? It is refused then, as if nobody listened. */
static bool is_for_other_interface(const struct stack_tcp *tcp, const struct tcp_pcb *pcb, const struct tcp_hdr *header)
{
    unsigned bound = (unsigned)tcp->options[STACK_IP_BIND_INTERFACE];

    if (bound == 0 || bound == tcp_bind_interface_of(ip_current_dest_addr()))
        return false;
    tcp_rst(pcb, 0, header->seqno + 1, ip_current_dest_addr(), ip_current_src_addr(), header->dest, header->src);
    return true;
}

err_t tcp_filter_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_size, bool split, struct pbuf *p)
{
    struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);
    const struct stack_tcp *listener;
    u16_t flags = TCPH_FLAGS(header) & (TCP_SYN | TCP_ACK | TCP_RST);

    if (split)
        return ERR_VAL; /* our blocks hold any header whole */
    if (option_size > 0 && (flags & TCP_SYN) == 0)
        blank_mss_option((u8_t *)(header + 1), option_size);
    if (tcp != NULL && (came_too_far(tcp) || !tcp_sender_before_input(tcp, header, option_size, p->tot_len)))
        return ERR_VAL;
    if (pcb->state == ESTABLISHED || tcp == NULL)
        return ERR_OK;
    if (pcb->state == SYN_SENT && flags == TCP_SYN) {
        answer_crossing_syn(pcb, header);
        return ERR_ABRT;
    }
    if (pcb->state == TIME_WAIT && flags == TCP_SYN)
        return recycle_time_wait(pcb, header, p) ? ERR_ABRT : ERR_OK;
    if (pcb->state == LISTEN && flags == TCP_SYN && is_for_other_interface(tcp, pcb, header))
        return ERR_VAL;
    if (pcb->state == LISTEN && flags == TCP_SYN && tcp->incoming >= INCOMING_MAX)
        return ERR_MEM;
    if (pcb->state == LISTEN && flags == TCP_SYN)
        listener = tcp_listen_choose(tcp, ip_current_src_addr(), header->src);
    else if (pcb->state == SYN_RCVD && flags == TCP_ACK)
        listener = tcp->listener;
    else
        return ERR_OK;
    if (listener != NULL && listener->may_accept != NULL && !listener->may_accept(listener->owner))
        return ERR_MEM;
    return ERR_OK;
}
