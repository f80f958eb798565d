/*
 * tcp_time_wait.c - connections in TIME-WAIT.
 *
 * lwIP keeps them in one list, which it walks for each segment that belongs to no live connection, so for each SYN:
 * with the 60 000 that a busy server has after a minute of 1000 connections a second, that is most of its time. But
 * the list is a plain global. So here is one such list for each bucket of a hash of both ends, and while a segment is
 * processed the list of its bucket is in place of lwIP's; outside of that lwIP's is empty.
 *
 * A connection enters TIME-WAIT nowhere but in the processing of one of its segments, and at the head of the list:
 * that is where tcp_time_wait_input() finds the new ones. They are also queued in the order in which they came, and
 * leave from its front (tcp_time_wait_run), because lwIP's timer no longer sees them.
 *
 * What comes for them is decided here, as Linux does (tcp_timewait_state_process()): a reset in order ends it, a SYN from
 * beyond what there was, by number or by timestamp, begins a new connection (RFC 1122 4.2.2.13, RFC 6191), and all else is
 * acknowledged, twice a second at most. A program that connects from a port which it has bound begins a new one as well (an FTP
 * server's data connections: all from port 20, to ports of the client's that come again).
 *
 * Measured: 100 000 connections one after another, closed by the stack first: 22 000 a second from the first to the
 * last; with lwIP's list 1 600 after 35 000.
 */
#include <string.h>

#include "stack/bytes.h"
#include "stack/port.h"
#include "stack/sockaddr.h"
#include "isn.h"
#include "tcp_socket.h"
#include "tcp_validate.h"

#define BUCKETS 65536u
#define TIME_WAIT_TICKS (2 * TCP_MSL / TCP_SLOW_INTERVAL)

static struct tcp_pcb *buckets[BUCKETS]; /* lists as lwIP makes them */
static struct tcp_pcb **in_place;        /* the bucket whose list lwIP has now; NULL: none */
static struct stack_tcp *oldest, *newest;

/* Addresses: as sockaddr_fold() gives them. */
static struct tcp_pcb **bucket_of(uint32_t local, uint32_t peer, uint16_t local_port, uint16_t peer_port)
{
    uint64_t mixed = (((uint64_t)local << 32 | peer) ^ ((uint64_t)local_port << 48 | (uint64_t)peer_port << 16)) *
                     0x9e3779b97f4a7c15ull; /* 2^64 by the golden ratio */

    return &buckets[(mixed >> 40) % BUCKETS];
}

static struct tcp_pcb **bucket_of_pcb(const struct tcp_pcb *pcb)
{
    return bucket_of(sockaddr_fold(&pcb->local_ip), sockaddr_fold(&pcb->remote_ip), pcb->local_port, pcb->remote_port);
}

/* Return: the bucket of a TCP packet's connection; NULL for others, for fragments, whose ports are not all there, and for
 * IPv6 packets with extension headers. */
static struct tcp_pcb **bucket_of_packet(const struct pbuf *p)
{
    const uint8_t *ip = p->payload;
    bool is_v6 = p->len >= IP6_HLEN && ip[0] >> 4 == 6;
    size_t header_size = is_v6 ? IP6_HLEN : (size_t)(ip[0] & 15) * 4;
    const uint8_t *tcp = ip + header_size;
    uint32_t source, destination;

    if (p->len < IP_HLEN || p->len < header_size + TCP_HLEN)
        return NULL;
    if (is_v6) {
        if (ip[6] != IP6_NEXTH_TCP)
            return NULL;
        source = sockaddr_fold_bytes(ip + 8);
        destination = sockaddr_fold_bytes(ip + 24);
    } else {
        if (ip[9] != IP_PROTO_TCP || (ip[6] & 0x3f) != 0 || ip[7] != 0)
            return NULL;
        memcpy(&source, ip + 12, 4);
        memcpy(&destination, ip + 16, 4);
    }
    return bucket_of(destination, source, (uint16_t)(tcp[2] << 8 | tcp[3]), (uint16_t)(tcp[0] << 8 | tcp[1]));
}

/* Append the connection to the queue. */
static void queue_append(struct stack_tcp *tcp)
{
    tcp->time_wait_prev = newest;
    tcp->time_wait_next = NULL;
    if (newest != NULL)
        newest->time_wait_next = tcp;
    else
        oldest = tcp;
    newest = tcp;
    tcp_statistics.time_waits++;
    tcp->in_time_wait = true;
    tcp->time_wait_ticks = tcp->pcb->tmr;
}

void tcp_time_wait_remove(struct stack_tcp *tcp)
{
    if (!tcp->in_time_wait)
        return;
    if (tcp->time_wait_prev != NULL)
        tcp->time_wait_prev->time_wait_next = tcp->time_wait_next;
    else
        oldest = tcp->time_wait_next;
    if (tcp->time_wait_next != NULL)
        tcp->time_wait_next->time_wait_prev = tcp->time_wait_prev;
    else
        newest = tcp->time_wait_prev;
    tcp->in_time_wait = false;
}

/* Give lwIP the list of a bucket (NULL: none). */
static void put_in_place(struct tcp_pcb **bucket)
{
    in_place = bucket;
    tcp_tw_pcbs = bucket != NULL ? *bucket : NULL;
}

/* Take lwIP's list back, with what has come to it. */
static void take_back(void)
{
    struct tcp_pcb *list = tcp_tw_pcbs;

    tcp_tw_pcbs = NULL;
    for (struct tcp_pcb *pcb = list; pcb != NULL; pcb = pcb->next) {
        struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);

        if (tcp->in_time_wait)
            break; /* and so are all behind it */
        pcb->tmr = tcp_ticks; /* lwIP counts from the last segment before the close */
        queue_append(tcp);
    }
    if (in_place != NULL) {
        *in_place = list;
        in_place = NULL;
        return;
    }
    while (list != NULL) { /* out of fragments */
        struct tcp_pcb *pcb = list;
        struct tcp_pcb **bucket = bucket_of_pcb(pcb);

        list = pcb->next;
        pcb->next = *bucket;
        *bucket = pcb;
    }
}

/* Is the segment's timestamp older than the last one (RFC 7323 5.2)? A reset's may be, after a minute (Linux: tcp_paws_reject()). */
static bool is_outdated(const struct stack_tcp *tcp, const u8_t *stamp, bool is_reset)
{
    if (stamp == NULL || (tcp->pcb->flags & TF_TIMESTAMP) == 0)
        return false;
    return (int32_t)(tcp->pcb->ts_recent - read_32(stamp + 2)) > 0 &&
           !(is_reset && port_now_us - tcp->received_us >= (uint64_t)2 * TCP_MSL * 1000);
}

bool tcp_time_wait_decide(struct tcp_pcb *pcb, const struct segment_facts *segment, const struct tcp_hdr *header)
{
    struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);
    const u8_t *stamp = tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS);
    bool is_reset = (segment->flags & TCP_RST) != 0, outdated = is_outdated(tcp, stamp, is_reset);

    if (!outdated && segment->sequence == pcb->rcv_nxt && (is_reset || segment->end == segment->sequence)) {
        if (is_reset)
            tcp_abort(pcb); /* RFC 1337 would not; Linux does by default */
        else
            pcb->tmr = tcp_ticks;
        return false;
    }
    if ((segment->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN && !outdated &&
        (TCP_SEQ_GT(segment->sequence, pcb->rcv_nxt) ||
         (stamp != NULL && (pcb->flags & TF_TIMESTAMP) != 0 && (int32_t)(pcb->ts_recent - read_32(stamp + 2)) < 0)))
        return true;
    if (is_reset)
        return false;
    if (outdated || (segment->flags & TCP_ACK) != 0)
        pcb->tmr = tcp_ticks;
    tcp_validate_answer(tcp);
    return false;
}

void tcp_time_wait_input(struct pbuf *p, struct netif *netif)
{
    put_in_place(bucket_of_packet(p));
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
    take_back();
    tcp_sender_after_input();
}

/*
 * A new connection that the program wants between the same ends takes the place of one in lwIP's list that has timestamps, which
 * tell its late segments from the new one's. Linux: tcp_twsk_unique() where the program has bound the port; a port that we choose is free.
 */
static void make_way(const struct tcp_pcb *pcb, const ip_addr_t *peer, u16_t port)
{
    struct tcp_pcb *old = tcp_tw_pcbs;

    while (old != NULL && (old->local_port != pcb->local_port || old->remote_port != port ||
                           !ip_addr_eq(&old->local_ip, &pcb->local_ip) || !ip_addr_eq(&old->remote_ip, peer)))
        old = old->next;
    if (old == NULL || (old->flags & TF_TIMESTAMP) == 0)
        return;
    isn_follow(old->snd_nxt);
    tcp_abort(old); /* sends nothing in this state */
}

err_t tcp_time_wait_connect(struct tcp_pcb *pcb, const ip_addr_t *peer, u16_t port, tcp_connected_fn connected)
{
    struct tcp_pcb **before = in_place;
    struct tcp_pcb *list = tcp_tw_pcbs;
    struct tcp_pcb **bucket = bucket_of(sockaddr_fold(&pcb->local_ip), sockaddr_fold(peer), pcb->local_port, port);
    err_t error;

    if (bucket != before) /* else it is in place already */
        tcp_tw_pcbs = *bucket;
    if (ip_get_option(pcb, SOF_REUSEADDR)) /* lwIP will look for the same pair */
        make_way(pcb, peer, port);
    error = tcp_connect(pcb, peer, port, connected);
    isn_forget(); /* if it did not get that far */
    if (bucket != before) {
        *bucket = tcp_tw_pcbs;
        tcp_tw_pcbs = list;
    }
    return error;
}

void tcp_time_wait_abort(struct tcp_pcb *pcb)
{
    struct tcp_pcb **bucket = bucket_of_pcb(pcb);
    struct tcp_pcb *list = tcp_tw_pcbs;
    struct tcp_pcb *other = list;

    /* A peer whose window is closed takes a reset at the window's edge only; lwIP would send it behind what it probed
     * the window with (Linux: tcp_acceptable_seq()). */
    if (TCP_SEQ_GT(pcb->snd_nxt, pcb->lastack + pcb->snd_wnd))
        pcb->snd_nxt = pcb->lastack + pcb->snd_wnd;
    while (other != NULL && other != pcb)
        other = other->next;
    if (pcb->state != TIME_WAIT || other == pcb) { /* lwIP will find it */
        tcp_abort(pcb);
        return;
    }
    tcp_tw_pcbs = *bucket;
    tcp_abort(pcb); /* sends nothing in this state */
    *bucket = tcp_tw_pcbs;
    tcp_tw_pcbs = list;
}

bool tcp_time_wait_pending(void)
{
    return oldest != NULL;
}

void tcp_time_wait_run(void)
{
    while (oldest != NULL) {
        struct stack_tcp *tcp = oldest;

        if ((u32_t)(tcp_ticks - tcp->time_wait_ticks) <= TIME_WAIT_TICKS)
            return;
        if (tcp->time_wait_ticks != tcp->pcb->tmr) { /* the peer's FIN came again: the time began anew */
            tcp_time_wait_remove(tcp);
            queue_append(tcp);
        } else {
            tcp_time_wait_abort(tcp->pcb);
        }
    }
}
