/*
 * tcp_lookup.c - which connection a segment is for, in constant time.
 *
 * Theory of operation. lwIP keeps its control blocks in lists, which it walks for each segment, for each pass of its
 * timers and for each new connection. The heads of these lists are plain globals. So the connections are in a hash
 * table of ours, and lwIP's lists are empty, but for the moments when it works on one of them:
 *
 *   - a segment came: just before tcp_input(), when the IP layer has checked and reassembled the packet, tcp_lookup_place() makes the
 *     one control block that it is for all that the lists have: a connection, or one in TIME-WAIT (which is a block of our own;
 *     tcp_time_wait.c dresses it up), or a listening socket. What lwIP would find by walking it finds first; there is nothing else. After it
 *     tcp_lookup_input() empties the lists, and takes note of a connection that has come to TIME-WAIT.
 *   - a connection's timers are due: tcp_lookup_run().
 *
 * To take a control block off a list that it is not on is nothing to lwIP. So a connection may be closed or aborted at
 * any time, whatever the lists have; that it is gone the ext arg's destroy callback tells (tcp_socket.c), which calls
 * tcp_lookup_remove(). Two things remain to be done that lwIP does by walking: a connection whose listening socket goes
 * away must not point at it any longer (tcp_listen_forget()), and no two connections may have the same ends
 * (tcp_connect.c).
 *
 * The hash has a secret, so that nobody can choose ports to fill one bucket.
 */
#include "tcp_lookup.h"

#include <string.h>

#include "stack/bytes.h"
#include "stack/port.h"
#include "stack/sockaddr.h"
#include "tcp_cookie.h"
#include "tcp_socket.h"
#include "tcp_time_wait.h"

#define BUCKETS 131072u /* pages of it that nobody uses cost nothing */

static struct tcp_bucket buckets[BUCKETS];
static uint64_t secret[2];

int tcp_lookup_open(void)
{
    for (size_t i = 0; secret[0] != 0 && i < BUCKETS; i++)
        if (buckets[i].connections != NULL || buckets[i].waits != NULL)
            return 0; /* what is in the table keeps its place */
    return port_get_entropy(secret, sizeof secret);
}

/* Return: the two halves of the product of two numbers, folded (as wyhash does). */
static uint64_t fold_product(uint64_t one, uint64_t other)
{
    __extension__ unsigned __int128 product = (unsigned __int128)one * other;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t tcp_lookup_hash(const struct tcp_ends *ends)
{
    uint64_t ports = (uint64_t)ends->local_port << 16 | ends->peer_port, hash;

    if (IP_IS_V6(ends->local)) {
        uint64_t words[4];

        memcpy(words, ip_2_ip6(ends->local)->addr, 16);
        memcpy(words + 2, ip_2_ip6(ends->peer)->addr, 16);
        ports ^= fold_product(words[0] ^ secret[0], words[1] ^ secret[1]);
        hash = fold_product(words[2] ^ secret[0], words[3] ^ secret[1]) ^ ports;
    } else {
        uint64_t addresses = (uint64_t)ip4_addr_get_u32(ip_2_ip4(ends->local)) << 32 | ip4_addr_get_u32(ip_2_ip4(ends->peer));

        hash = fold_product(addresses ^ secret[0], ports ^ secret[1]);
    }
    return fold_product(hash ^ secret[0], 0x9e3779b97f4a7c15ull); /* 2^64 by the golden ratio: ports that follow each other differ in all bits */
}

struct tcp_bucket *tcp_lookup_bucket(const struct tcp_ends *ends)
{
    return &buckets[tcp_lookup_hash(ends) % BUCKETS];
}

static struct tcp_ends ends_of(const struct tcp_pcb *pcb)
{
    return (struct tcp_ends){&pcb->local_ip, &pcb->remote_ip, pcb->local_port, pcb->remote_port};
}

void tcp_lookup_add(struct stack_tcp *tcp)
{
    struct tcp_ends ends = ends_of(tcp->pcb);
    struct tcp_bucket *bucket = tcp_lookup_bucket(&ends);

    tcp->lookup_next = bucket->connections;
    if (bucket->connections != NULL)
        bucket->connections->lookup_link = &tcp->lookup_next;
    bucket->connections = tcp;
    tcp->lookup_link = &bucket->connections;
}

void tcp_lookup_remove(struct stack_tcp *tcp)
{
    if (tcp->lookup_link == NULL)
        return;
    *tcp->lookup_link = tcp->lookup_next;
    if (tcp->lookup_next != NULL)
        tcp->lookup_next->lookup_link = tcp->lookup_link;
    tcp->lookup_link = NULL;
}

struct stack_tcp *tcp_lookup_find(const struct tcp_ends *ends)
{
    struct stack_tcp *tcp = tcp_lookup_bucket(ends)->connections;

    while (tcp != NULL && (tcp->pcb->local_port != ends->local_port || tcp->pcb->remote_port != ends->peer_port ||
                           !ip_addr_eq(&tcp->pcb->local_ip, ends->local) || !ip_addr_eq(&tcp->pcb->remote_ip, ends->peer)))
        tcp = tcp->lookup_next;
    return tcp;
}

void tcp_lookup_clear(void)
{
    tcp_active_pcbs = NULL;
    tcp_listen_pcbs.pcbs = NULL;
}

/* lwIP's lists are to be empty. */
static void clear_lists(void)
{
    tcp_lookup_clear();
    tcp_tw_pcbs = NULL;
}

void tcp_lookup_place(const struct pbuf *p, size_t offset)
{
    uint8_t ports[4];
    struct tcp_ends ends = {.local = ip_current_dest_addr(), .peer = ip_current_src_addr()};
    struct stack_tcp *found;

    clear_lists();
    if (pbuf_copy_partial(p, ports, sizeof ports, (u16_t)offset) != sizeof ports)
        return;
    ends.peer_port = (uint16_t)read_16(ports);
    ends.local_port = (uint16_t)read_16(ports + 2);
    found = tcp_lookup_find(&ends);
    if (found != NULL) {
        tcp_active_pcbs = found->pcb;
        found->pcb->next = NULL;
        return;
    }
    tcp_tw_pcbs = tcp_time_wait_place(&ends);
    if (tcp_tw_pcbs != NULL)
        return;
    found = tcp_bind_find_listener(&ends);
    if (found == NULL)
        return;
    tcp_listen_pcbs.pcbs = found->pcb;
    found->pcb->next = NULL;
}

void tcp_lookup_input(struct pbuf *p, struct netif *netif)
{
    if (netif->input(p, netif) != ERR_OK)
        pbuf_free(p);
    tcp_sender_after_input();
    tcp_cookie_after_input();
    if (tcp_tw_pcbs != NULL)
        tcp_time_wait_take(tcp_tw_pcbs);
    clear_lists();
}

void tcp_lookup_run(struct stack_tcp *tcp, void (*what)(void))
{
    clear_lists();
    tcp_active_pcbs = tcp->pcb;
    tcp->pcb->next = NULL;
    what();
    clear_lists();
}
