/*
 * tcp_path_mtu.c - connections whose path takes smaller packets than the link (RFC 1191, RFC 8201).
 *
 * Every segment goes out with "don't fragment" (gather.c; IPv6 has nothing else). A router that could not pass one on
 * says how large a packet may be (icmp_error.c). From then on all connections to that host make smaller segments; what
 * they have queued already is split, and what was too large and is on its way counts as lost, which is no sign of
 * congestion (Linux: tcp_simple_retransmit()). A new connection begins with what is known of its path. There is a limit to
 * how often all connections are looked at; a message beyond it counts as lost, and the router says it again.
 *
 * Black holes. A router, or a firewall behind it, may say nothing, and then every large packet vanishes while small
 * ones pass (RFC 2923). From the sender that looks like an outage: time-out after time-out. So when it has lasted for
 * as long as three of them (tcp_retries1), the first segment is cut, and its first piece goes out alone. Linux
 * (tcp_mtu_probing = 1) makes all segments small at this point, and larger ones again by probes (RFC 4821). Here the
 * small piece is the probe: in an outage it is lost as well, and when that is over, what follows it in full size
 * arrives, and all is as before. In a black hole the piece arrives, and what follows it does not: that makes the next
 * time-out the proof, and the connection's segments are small from then on, for ten minutes (tcp_mtu_probe.c).
 *
 *     time-outs for 3 s          piece acknowledged           time-out
 *     -----------------> trying --------------------> passed ---------> small segments
 *                           |                            |
 *                           | time-out: half the piece   | a larger segment acknowledged: it was an outage
 */
#include <errno.h>
#include <string.h>

#include "stack/wire/gather.h"
#include "stack/wire/loop_netif.h"
#include "stack/ip/path_mtu.h"
#include "stack/port.h"
#include "tcp_large.h"
#include "tcp_socket.h"
#include "stack/wire/wire_netif.h"

#define LOOP_MTU 65535
#define SILENCE_US 3000000u /* Linux: tcp_retries1 = 3 doublings from 200 ms on */
/* What a black hole lets pass: the size of a segment with its options. */
#define PIECE_V4 1024u /* Linux: tcp_base_mss */
#define PIECE_V6 1220u /* every path takes packets of 1280 bytes (RFC 8200 5) */
/* Who sees a connection may tell us of a narrower path a thousand times, and each time all connections are looked at. */
#define LOOKS_MAX 1000000u /* at one connection each, ... */
#define LOOKS_US 1000000u  /* ... a second */
#define PIECE_MIN 512u /* every host takes packets of 576 (RFC 1122 3.3.2) */

static uint32_t looks; /* at connections, because of routers, since: */
static uint64_t looks_since_us;

static uint16_t header_size(const struct stack_tcp *tcp)
{
    return (IP_IS_V6_VAL(tcp->peer) ? IP6_HLEN : IP_HLEN) + TCP_HLEN;
}

uint16_t tcp_path_mtu_get(const struct stack_tcp *tcp)
{
    if (IP_IS_V6_VAL(tcp->peer))
        return loop_is_local6(ip_2_ip6(&tcp->peer)) ? LOOP_MTU
                                                    : nd6_get_destination_mtu(ip_2_ip6(&tcp->peer), wire_netif_get());
    return loop_is_local(ip_2_ip4(&tcp->peer)) ? LOOP_MTU : path_mtu_get(ip_2_ip4(&tcp->peer), wire_netif_mtu());
}

uint16_t tcp_path_mtu_segment(const struct stack_tcp *tcp)
{
    return tcp_path_mtu_get(tcp) - header_size(tcp);
}

/* Split every segment of a list that is too large for the connection's MSS. Return: false when memory is short. */
static bool split_segments(struct tcp_pcb *pcb, struct tcp_seg *segment)
{
    struct tcp_seg *unsent = pcb->unsent;
    bool ok = true;

    for (; segment != NULL && ok; segment = segment->next) {
        u16_t options = LWIP_TCP_OPT_LENGTH(segment->flags);
        u16_t maximum = (u16_t)(pcb->mss - options);

        if (segment->len <= maximum)
            continue;
        pcb->unsent = segment; /* lwIP splits the first of this list, and leaves the rest behind it */
        ok = tcp_split_unsent_seg(pcb, maximum) == ERR_OK;
    }
    pcb->unsent = unsent;
    return ok;
}

/* Have a record for each of the segments that are on their way now. Those that were split are lost. Return: as
 * above. */
static bool renew_scoreboard(struct stack_tcp *tcp)
{
    struct scoreboard old = tcp->sender.board, *board = &tcp->sender.board;
    struct tcp_seg *segment = tcp->pcb->unacked;
    bool ok = true;

    memset(board, 0, sizeof *board);
    for (uint32_t i = 0; i < old.count; i++) {
        const struct sent_segment *sent = scoreboard_at(&old, i);
        bool lost = segment != NULL && segment == sent->segment && TCP_TCPLEN(segment) < sent->end - sent->sequence &&
                    (sent->flags & SENT_SACKED) == 0;

        for (; segment != NULL && TCP_SEQ_LT(lwip_ntohl(segment->tcphdr->seqno), sent->end); segment = segment->next) {
            if (!scoreboard_append(board, segment, lwip_ntohl(segment->tcphdr->seqno), TCP_TCPLEN(segment), sent->sent_us)) {
                ok = false;
                continue;
            }
            scoreboard_mark(board, scoreboard_at(board, board->count - 1), lost ? SENT_LOST : sent->flags, 0);
        }
    }
    scoreboard_release(&old);
    return ok;
}

bool tcp_path_mtu_shrink(struct stack_tcp *tcp, uint16_t size)
{
    struct tcp_pcb *pcb = tcp->pcb;

    gather_flush(); /* it may refer to what is split */
    if (!tcp_large_cut_or_fail(tcp))
        return false;
    pcb->mss = size;
    tcp->sender.congestion.mss = tcp_sender_mss(pcb);
    if (!split_segments(pcb, pcb->unacked) || !split_segments(pcb, pcb->unsent) || !renew_scoreboard(tcp)) {
        tcp_socket_fail(tcp, ENOMEM, true);
        return false;
    }
    tcp_send_count_fill(tcp);
    tcp_mtu_probe_later(tcp);
    tcp->sender.resend_from = pcb->lastack;
    return true;
}

/* Cut the first segment that is on its way. Return: whether the connection lives. */
static bool cut_first(struct stack_tcp *tcp, uint16_t size)
{
    struct tcp_pcb *pcb = tcp->pcb;
    struct tcp_seg *unsent = pcb->unsent;
    bool ok;

    gather_flush();
    pcb->unsent = pcb->unacked;
    ok = tcp_split_unsent_seg(pcb, size) == ERR_OK && renew_scoreboard(tcp);
    pcb->unsent = unsent;
    if (!ok)
        tcp_socket_fail(tcp, ENOMEM, true);
    return ok;
}

bool tcp_path_mtu_on_time_out(struct stack_tcp *tcp)
{
    struct tcp_sender *sender = &tcp->sender;
    const struct sent_segment *first;
    uint32_t options = tcp->pcb->mss - tcp_sender_mss(tcp->pcb), size;

    if (sender->mtu_probe.size != 0 && !tcp_mtu_probe_fail(tcp))
        return false;
    first = scoreboard_at(&sender->board, 0);
    size = first->end - first->sequence + options;
    if (tcp->pcb->nrtx == 0)
        sender->silent_us = port_now_us;
    if (sender->hole_passed && size > sender->hole_piece) {
        uint16_t proven = sender->hole_piece;

        sender->hole_piece = 0;
        sender->hole_passed = false;
        return tcp_path_mtu_shrink(tcp, proven);
    }
    if (port_now_us - sender->silent_us < SILENCE_US)
        return true;
    if (sender->hole_piece == 0)
        sender->hole_piece = IP_IS_V6_VAL(tcp->peer) ? PIECE_V6 : PIECE_V4;
    else if (!sender->hole_passed && sender->hole_piece / 2 >= PIECE_MIN)
        sender->hole_piece /= 2;
    return size <= sender->hole_piece || cut_first(tcp, (uint16_t)(sender->hole_piece - options));
}

void tcp_path_mtu_on_delivery(struct stack_tcp *tcp, uint32_t length)
{
    struct tcp_sender *sender = &tcp->sender;

    uint32_t size = length + (tcp->pcb->mss - tcp_sender_mss(tcp->pcb));

    if (size == sender->hole_piece) {
        sender->hole_passed = true;
    } else if (size > sender->hole_piece) { /* of smaller ones nothing follows */
        sender->hole_piece = 0;
        sender->hole_passed = false;
    }
}

bool tcp_path_mtu_is_less(const struct stack_tcp *tcp)
{
    return tcp_path_mtu_segment(tcp) < LWIP_MAX(tcp->pcb->mss, tcp->sender.mtu_probe.size);
}

bool tcp_path_mtu_may_change(void)
{
    if (port_now_us - looks_since_us >= LOOKS_US) {
        looks_since_us = port_now_us;
        looks = 0;
    }
    return looks < LOOKS_MAX;
}

void tcp_path_mtu_changed(const ip_addr_t *peer)
{
    struct stack_tcp *next;

    for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = next) {
        next = tcp->all_next;
        looks++;
        if (tcp->pcb == NULL || tcp->role != TCP_ROLE_CONNECTED || !tcp->sender.started ||
            (peer != NULL && !ip_addr_eq(&tcp->peer, peer)))
            continue;
        if (tcp_path_mtu_is_less(tcp) && tcp_path_mtu_shrink(tcp, LWIP_MIN(tcp_path_mtu_segment(tcp), tcp->pcb->mss)))
            tcp_sender_transmit(tcp);
    }
}
