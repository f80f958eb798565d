/*
 * tcp_time_wait.c - connections in TIME-WAIT.
 *
 * Of a connection that has come to TIME-WAIT nothing is left but its ends, its sequence numbers and its last timestamp:
 * a block of our own, a tenth of what a connection takes. lwIP's control block is freed then, and the socket with it if
 * its owner has let go. The blocks are in the hash table of tcp_lookup.c, in the port table (tcp_bind.c), and in a
 * queue in the order in which their time began, from whose front they leave: all in constant time.
 *
 * When a segment comes for one, lwIP finds a control block that is made for that occasion (tcp_time_wait_place()), and
 * what is to be done is decided here, as Linux does (tcp_timewait_state_process()): a reset in order ends it, a SYN
 * from beyond what there was, by number or by timestamp, begins a new connection (RFC 1122 4.2.2.13, RFC 6191), and all
 * else is acknowledged, twice a second at most.
 *
 * A new connection of our own takes the place of one whose timestamps tell late segments from the new one's: at once
 * where the program has bound the port (an FTP server's data connections: all from port 20, to ports of the client's
 * that come again), and after a second otherwise (Linux: tcp_twsk_unique()). DIFFERS: Linux does the latter on the
 * loopback only, unless net.ipv4.tcp_tw_reuse is 1; here programs have one address, and run out sooner.
 *
 * Measured: 100 000 connections one after another, closed by the stack first: 22 000 a second from the first to the
 * last; with lwIP's list 1 600 after 35 000.
 */
#include "tcp_time_wait.h"

#include <stdlib.h>
#include <string.h>

#include "stack/bytes.h"
#include "stack/inspect_cursors.h"
#include "stack/port.h"
#include "isn.h"
#include "tcp_clock.h"
#include "tcp_socket.h"
#include "tcp_validate.h"

#define TIME_WAIT_US (2 * TCP_MSL * 1000ull)
#define ROUND_UP_US 1000000u       /* they end together with those of the next second */
#define REUSE_AFTER_US 1000000u    /* Linux: tcp_twsk_unique(); what a timestamp must have moved on by */
#define ANSWER_INTERVAL_US 500000u /* Linux: tcp_invalid_ratelimit */

struct time_wait *time_wait_oldest;
size_t time_wait_count;

static struct time_wait *newest;
static struct time_wait *placed;   /* what lwIP's control block stands for at this moment; NULL: nothing */
static struct tcp_pcb placed_pcb;

static struct time_wait *find(const struct tcp_ends *ends)
{
    struct time_wait *wait = tcp_lookup_bucket(ends)->waits;

    while (wait != NULL && (wait->local_port != ends->local_port || wait->peer_port != ends->peer_port ||
                            !ip_addr_eq(&wait->local, ends->local) || !ip_addr_eq(&wait->peer, ends->peer)))
        wait = wait->next;
    return wait;
}

static void queue_append(struct time_wait *wait)
{
    wait->since_us = port_now_us;
    wait->older = newest;
    wait->newer = NULL;
    *(newest != NULL ? &newest->newer : &time_wait_oldest) = wait;
    newest = wait;
}

static void queue_remove(const struct time_wait *wait)
{
    *(wait->older != NULL ? &wait->older->newer : &time_wait_oldest) = wait->newer;
    *(wait->newer != NULL ? &wait->newer->older : &newest) = wait->older;
}

/* The time begins anew. */
static void restart(struct time_wait *wait)
{
    queue_remove(wait);
    queue_append(wait);
}

void tcp_time_wait_remove(struct time_wait *wait)
{
    inspect_forget_time_wait(wait);
    queue_remove(wait);
    tcp_bind_remove_wait(wait);
    *wait->link = wait->next;
    if (wait->next != NULL)
        wait->next->link = wait->link;
    if (placed == wait)
        placed = NULL;
    time_wait_count--;
    free(wait);
}

void tcp_time_wait_remove_all(void)
{
    while (time_wait_oldest != NULL)
        tcp_time_wait_remove(time_wait_oldest);
}

/* Note what the segments of the connection are answered by. */
static void fill(struct time_wait *wait, const struct tcp_pcb *pcb, const struct stack_tcp *tcp)
{
    *wait = (struct time_wait){.local = pcb->local_ip,
                               .peer = pcb->remote_ip,
                               .local_port = pcb->local_port,
                               .peer_port = pcb->remote_port,
                               .sent = pcb->snd_nxt,
                               .received = pcb->rcv_nxt,
                               .window = pcb->rcv_ann_wnd,
                               .stamp = pcb->ts_recent,
                               .answered_us = tcp->answered_us,
                               .received_us = tcp->received_us,
                               .label = tcp->label,
                               .family = (uint8_t)tcp->family,
                               .ttl = pcb->ttl,
                               .tos = pcb->tos,
                               .scale = pcb->rcv_scale,
                               .interface = (uint8_t)tcp->options[STACK_IP_BIND_INTERFACE]};
    if ((pcb->flags & TF_TIMESTAMP) != 0)
        wait->flags |= TIME_WAIT_HAS_STAMPS;
    if ((pcb->flags & TF_WND_SCALE) != 0)
        wait->flags |= TIME_WAIT_HAS_SCALE;
    if (tcp->options[STACK_TCP_REUSEADDR])
        wait->flags |= TIME_WAIT_REUSE_ADDRESS;
    if (tcp->options[STACK_TCP_REUSEPORT])
        wait->flags |= TIME_WAIT_REUSE_PORT;
    if (tcp->options[STACK_IPV6_V6ONLY])
        wait->flags |= TIME_WAIT_V6ONLY;
}

/* It is filled in: into all tables. */
static void enter(struct time_wait *wait)
{
    struct tcp_bucket *bucket =
        tcp_lookup_bucket(&(struct tcp_ends){&wait->local, &wait->peer, wait->local_port, wait->peer_port});

    wait->next = bucket->waits;
    if (bucket->waits != NULL)
        bucket->waits->link = &wait->next;
    bucket->waits = wait;
    wait->link = &bucket->waits;
    tcp_bind_enter_wait(wait);
    queue_append(wait);
    time_wait_count++;
}

void tcp_time_wait_restore(const void *from_local)
{
    struct time_wait *wait = calloc(1, sizeof *wait);
    uint64_t since_us;

    if (wait == NULL)
        return;
    memcpy(&wait->local, from_local, sizeof *wait - offsetof(struct time_wait, local));
    since_us = wait->since_us;
    enter(wait);
    wait->since_us = since_us; /* they come in the order of it */
}

void tcp_time_wait_take(struct tcp_pcb *pcb)
{
    struct stack_tcp *tcp = tcp_ext_arg_get(pcb, 0);
    struct time_wait *wait;

    if (pcb == &placed_pcb) {
        placed = NULL;
        return;
    }
    wait = malloc(sizeof *wait);
    if (wait != NULL) {
        fill(wait, pcb, tcp);
        enter(wait);
        tcp_statistics.time_waits++;
    } /* else late segments will be reset: better than to end something else */
    tcp->finished = true;
    tcp_err(pcb, NULL);
    tcp_abort(pcb); /* sends nothing in this state */
}

struct tcp_pcb *tcp_time_wait_place(const struct tcp_ends *ends)
{
    struct time_wait *wait = find(ends);
    struct tcp_pcb *pcb = &placed_pcb;

    placed = wait;
    if (wait == NULL)
        return NULL;
    memset(pcb, 0, sizeof *pcb);
    pcb->state = TIME_WAIT;
    pcb->local_ip = wait->local;
    pcb->remote_ip = wait->peer;
    pcb->local_port = wait->local_port;
    pcb->remote_port = wait->peer_port;
    pcb->ttl = wait->ttl;
    pcb->tos = wait->tos;
    pcb->snd_nxt = pcb->lastack = pcb->snd_lbb = wait->sent;
    pcb->rcv_nxt = wait->received;
    pcb->rcv_wnd = pcb->rcv_ann_wnd = wait->window;
    pcb->rcv_ann_right_edge = wait->received + wait->window;
    pcb->ts_recent = wait->stamp;
    pcb->rcv_scale = wait->scale;
    pcb->rtime = -1;
    pcb->mss = TCP_MSS;
    pcb->flags = ((wait->flags & TIME_WAIT_HAS_STAMPS) != 0 ? TF_TIMESTAMP : 0) |
                 ((wait->flags & TIME_WAIT_HAS_SCALE) != 0 ? TF_WND_SCALE : 0);
    return pcb;
}

/* Is the segment's timestamp older than the last one (RFC 7323 5.2)? A reset's may be, after a minute (Linux:
 * tcp_paws_reject()). */
static bool is_outdated(const struct time_wait *wait, const u8_t *stamp, bool is_reset)
{
    if (stamp == NULL || (wait->flags & TIME_WAIT_HAS_STAMPS) == 0)
        return false;
    return (int32_t)(wait->stamp - read_32(stamp + 2)) > 0 && !(is_reset && port_now_us - wait->received_us >= TIME_WAIT_US);
}

/* Acknowledge a segment that needs no answer, unless that was done just before. */
static void answer(struct time_wait *wait)
{
    if (wait->answered_us != 0 && port_now_us - wait->answered_us < ANSWER_INTERVAL_US)
        return;
    wait->answered_us = port_now_us;
    tcp_send_empty_ack(&placed_pcb);
}

/* The next connection takes the place of this one, and its numbers begin behind. */
static void make_way(struct time_wait *wait)
{
    isn_follow(wait->sent);
    tcp_time_wait_remove(wait);
}

bool tcp_time_wait_decide(const struct segment_facts *segment, const struct tcp_hdr *header)
{
    struct time_wait *wait = placed;
    const u8_t *stamp = tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS);
    bool is_reset = (segment->flags & TCP_RST) != 0, outdated;

    if (wait == NULL)
        return false;
    outdated = is_outdated(wait, stamp, is_reset);
    if (!outdated && segment->sequence == wait->received && (is_reset || segment->end == segment->sequence)) {
        if (is_reset)
            tcp_time_wait_remove(wait); /* RFC 1337 would not; Linux does by default */
        else
            restart(wait);
        return false;
    }
    if ((segment->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN && !outdated &&
        (TCP_SEQ_GT(segment->sequence, wait->received) ||
         (stamp != NULL && (wait->flags & TIME_WAIT_HAS_STAMPS) != 0 && (int32_t)(wait->stamp - read_32(stamp + 2)) < 0))) {
        make_way(wait);
        return true;
    }
    if (is_reset)
        return false;
    if (outdated || (segment->flags & TCP_ACK) != 0)
        restart(wait);
    answer(wait);
    return false;
}

/* May this one make way for a connection of ours? */
static bool makes_way(const struct time_wait *wait, bool bound)
{
    return (wait->flags & TIME_WAIT_HAS_STAMPS) != 0 && (bound || port_now_us - wait->since_us >= REUSE_AFTER_US);
}

bool tcp_time_wait_would_make_way(const struct tcp_ends *ends, bool bound)
{
    const struct time_wait *wait = find(ends);

    return wait == NULL || makes_way(wait, bound);
}

bool tcp_time_wait_make_way(const struct tcp_ends *ends, bool bound)
{
    struct time_wait *wait = find(ends);

    if (wait == NULL)
        return true;
    if (!makes_way(wait, bound))
        return false;
    make_way(wait);
    return true;
}

uint64_t tcp_time_wait_due_us(void)
{
    if (time_wait_oldest == NULL)
        return TCP_CLOCK_NEVER;
    return (time_wait_oldest->since_us + TIME_WAIT_US + ROUND_UP_US - 1) / ROUND_UP_US * ROUND_UP_US;
}

void tcp_time_wait_run(void)
{
    if (tcp_time_wait_due_us() > port_now_us)
        return;
    while (time_wait_oldest != NULL && time_wait_oldest->since_us + TIME_WAIT_US <= port_now_us)
        tcp_time_wait_remove(time_wait_oldest);
}
