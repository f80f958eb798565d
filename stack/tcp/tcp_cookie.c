/*
 * tcp_cookie.c - SYN cookies: handshakes beyond those that we remember (RFC 4987 3.6), as Linux does them.
 *
 * Theory of operation. A listening socket remembers so many handshakes at most (tcp_filter.c), and so does the stack. A
 * SYN beyond that is answered, and forgotten: what has to be known of it is in the answer, and comes back with the
 * peer's acknowledgement:
 *
 *   in our sequence number   a keyed hash of both ends and of the minute, and two bits for the MSS
 *   in our timestamp         in its lowest six bits: the peer's window scale, SACK, ECN; without timestamps there is none of these
 *
 * Both halves are done by means of lwIP. The SYN goes to it as any; it makes a control block and answers, with the
 * cookie for a number (isn_follow()) and the bits that tcp_cookie_write() puts in, and then the control block is let go
 * without a word. When a cookie comes back, the SYN is put together as it was and is input again before the segment
 * that brought it (tcp_filter_replay()): lwIP chooses the same number, its answer, which the peer has, goes to the
 * black hole, and all is as if the handshake had been remembered.
 *
 * A cookie is worth something for two minutes, and is looked for only that long after the last one was sent: guessing
 * one takes 2^32 / 4 / 2 tries in that time.
 */
#include "tcp_cookie.h"

#include <string.h>

#include "stack/bytes.h"
#include "stack/port.h"
#include "stack/wire/blackhole_netif.h"
#include "isn.h"
#include "tcp_socket.h"
#include "tcp_validate.h"

#define MINUTE_US 60000000u
#define AGE_MAX 2          /* minutes. Linux: MAX_SYNCOOKIE_AGE */
#define MSS_BITS 2
#define STAMP_BITS 6       /* Linux: TSBITS */
#define STAMP_SCALE 0xfu   /* the window scale, or this: none */
#define STAMP_SACK 0x10u
#define STAMP_ECN 0x20u
#define HASH_ALWAYS 0x80000000u /* two hashes beside that of sequence numbers, which peers get to see */
#define HASH_MINUTE 0x40000000u
#define SYN_OPTIONS_MAX 20 /* MSS, scale, SACK, timestamp */

static const uint16_t sizes4[1 << MSS_BITS] = {536, 1300, 1440, 1460}; /* as Linux */
static const uint16_t sizes6[1 << MSS_BITS] = {1220, 1420, 1440, 8940};

static uint64_t last_sent_us; /* 0: never */

static struct {
    bool wanted;             /* the SYN that is processed is to be answered with a cookie */
    uint32_t bits;           /* for the timestamp */
    struct stack_tcp *tcp;   /* that lwIP's answer is from; NULL: none yet */
} answering;

static struct {
    bool on;
    struct stack_tcp *tcp; /* whose answer goes to the black hole; NULL: none */
} restoring;

static uint32_t hash_of(uint32_t more)
{
    const struct tcp_hdr *header = ip_next_header_ptr();

    /* lwIP has turned the ports round by now */
    return isn_hash(ip_current_dest_addr(), header->dest, ip_current_src_addr(), header->src, more);
}

/* Which entry of the table does not exceed the MSS? */
static uint32_t index_of(uint16_t mss)
{
    const uint16_t *sizes = ip_current_is_v6() ? sizes6 : sizes4;
    uint32_t index = (1 << MSS_BITS) - 1;

    while (index > 0 && sizes[index] > mss)
        index--;
    return index;
}

/* Put no-operations in place of an option. */
static void blank(const struct tcp_hdr *header, u8_t kind, u8_t length)
{
    u8_t *option;

    while ((option = (u8_t *)(uintptr_t)tcp_validate_find_option(header, kind, length)) != NULL)
        memset(option, LWIP_TCP_OPT_NOP, length);
}

void tcp_cookie_answer(struct tcp_hdr *header, uint16_t mss)
{
    const u8_t *scale = tcp_validate_find_option(header, LWIP_TCP_OPT_WS, LWIP_TCP_OPT_LEN_WS);
    uint32_t minute = (uint32_t)(port_now_us / MINUTE_US);
    uint32_t secret = hash_of(HASH_ALWAYS) + header->seqno + (minute << 24); /* Linux: secure_tcp_syn_cookie() */

    answering.wanted = true;
    answering.tcp = NULL;
    answering.bits = scale != NULL ? LWIP_MIN(scale[2], 14) : STAMP_SCALE;
    if (tcp_validate_find_option(header, LWIP_TCP_OPT_SACK_PERM, LWIP_TCP_OPT_LEN_SACK_PERM) != NULL)
        answering.bits |= STAMP_SACK;
    if (tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS) == NULL) {
        blank(header, LWIP_TCP_OPT_WS, LWIP_TCP_OPT_LEN_WS);
        blank(header, LWIP_TCP_OPT_SACK_PERM, LWIP_TCP_OPT_LEN_SACK_PERM);
        tcp_ecn_forget_syn();
    }
    isn_set(secret + ((hash_of(HASH_MINUTE | minute) + index_of(mss)) & 0xffffff));
    last_sent_us = port_now_us;
    tcp_statistics.cookies_sent++;
}

/* Return: the MSS that a cookie stands for; 0: it is none of ours. */
static uint16_t check(uint32_t cookie, uint32_t sequence)
{
    uint32_t now = (uint32_t)(port_now_us / MINUTE_US), rest = cookie - hash_of(HASH_ALWAYS) - sequence;
    uint32_t age = (now - (rest >> 24)) & 0xff, minute = now - age, index;

    if (age >= AGE_MAX)
        return 0;
    index = (rest - hash_of(HASH_MINUTE | minute)) & 0xffffff;
    if (index >= 1 << MSS_BITS)
        return 0;
    return (ip_current_is_v6() ? sizes6 : sizes4)[index];
}

/* Write the options of the SYN that brings these. Return: their size. */
static size_t write_options(u8_t *at, uint16_t mss, const u8_t *stamp)
{
    u8_t *start = at;
    uint32_t bits;

    *at++ = LWIP_TCP_OPT_MSS;
    *at++ = LWIP_TCP_OPT_LEN_MSS;
    write_16(at, mss);
    at += 2;
    if (stamp == NULL)
        return (size_t)(at - start);
    bits = read_32(stamp + 6);
    *at++ = LWIP_TCP_OPT_TS;
    *at++ = LWIP_TCP_OPT_LEN_TS;
    memcpy(at, stamp + 2, 4);
    memset(at + 4, 0, 4);
    at += 8;
    if ((bits & STAMP_SACK) != 0) {
        *at++ = LWIP_TCP_OPT_SACK_PERM;
        *at++ = LWIP_TCP_OPT_LEN_SACK_PERM;
    } else {
        *at++ = LWIP_TCP_OPT_NOP;
        *at++ = LWIP_TCP_OPT_NOP;
    }
    *at++ = LWIP_TCP_OPT_NOP;
    *at++ = LWIP_TCP_OPT_WS;
    *at++ = LWIP_TCP_OPT_LEN_WS;
    *at++ = (u8_t)(bits & STAMP_SCALE);
    if ((bits & STAMP_SCALE) == STAMP_SCALE)
        memset(at - 4, LWIP_TCP_OPT_NOP, 4);
    return (size_t)(at - start);
}

/* Make an IP packet with the addresses of the one that is processed, for size bytes of TCP. Return: NULL: no memory. */
static struct pbuf *make_packet(size_t size)
{
    bool is_v6 = ip_current_is_v6();
    size_t ip_size = is_v6 ? IP6_HLEN : IP_HLEN;
    struct pbuf *p = pbuf_alloc(PBUF_LINK, (u16_t)(ip_size + size), PBUF_RAM);

    if (p == NULL)
        return NULL;
    memset(p->payload, 0, p->len);
    if (is_v6) {
        struct ip6_hdr *ip = p->payload;

        memcpy(ip, ip6_current_header(), IP6_HLEN);
        IP6H_VTCFL_SET(ip, 6, 0, 0);
        IP6H_PLEN_SET(ip, (u16_t)size);
        IP6H_NEXTH_SET(ip, IP6_NEXTH_TCP);
    } else {
        struct ip_hdr *ip = p->payload;

        IPH_VHL_SET(ip, 4, IP_HLEN / 4);
        IPH_LEN_SET(ip, lwip_htons(p->tot_len));
        IPH_TTL_SET(ip, IPH_TTL(ip4_current_header()));
        IPH_PROTO_SET(ip, IP_PROTO_TCP);
        ip->src = ip4_current_header()->src;
        ip->dest = ip4_current_header()->dest;
        IPH_CHKSUM_SET(ip, inet_chksum(ip, IP_HLEN));
    }
    return p;
}

struct pbuf *tcp_cookie_restore(const struct tcp_hdr *header)
{
    const u8_t *stamp;
    u8_t options[SYN_OPTIONS_MAX];
    size_t size, ip_size = ip_current_is_v6() ? IP6_HLEN : IP_HLEN;
    struct tcp_hdr *syn;
    struct pbuf *p;
    uint16_t mss;
    bool asks;

    if (restoring.on || last_sent_us == 0 || port_now_us - last_sent_us > AGE_MAX * (uint64_t)MINUTE_US)
        return NULL;
    mss = check(header->ackno - 1, header->seqno - 1);
    if (mss == 0) {
        tcp_statistics.cookies_failed++;
        return NULL;
    }
    stamp = tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS);
    size = write_options(options, mss, stamp);
    asks = stamp != NULL && (read_32(stamp + 6) & STAMP_ECN) != 0;
    p = make_packet(TCP_HLEN + size);
    if (p == NULL)
        return NULL;
    syn = (struct tcp_hdr *)(void *)((u8_t *)p->payload + ip_size);
    syn->src = lwip_htons(header->src);
    syn->dest = lwip_htons(header->dest);
    syn->seqno = lwip_htonl(header->seqno - 1);
    syn->wnd = lwip_htons(header->wnd);
    TCPH_HDRLEN_FLAGS_SET(syn, (TCP_HLEN + size) / 4, TCP_SYN | (asks ? TCP_ECE | TCP_CWR : 0));
    memcpy(syn + 1, options, size);
    pbuf_remove_header(p, ip_size);
    syn->chksum = ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, ip_current_src_addr(), ip_current_dest_addr());
    pbuf_add_header_force(p, (u16_t)ip_size);
    tcp_statistics.cookies_received++;
    return p;
}

void tcp_cookie_begin(uint32_t number)
{
    restoring.on = true;
    restoring.tcp = NULL;
    isn_set(number);
}

void tcp_cookie_end(void)
{
    restoring.on = false;
    isn_forget();
}

bool tcp_cookie_is_restoring(void)
{
    return restoring.on;
}

void tcp_cookie_on_open(struct stack_tcp *tcp)
{
    if (restoring.on) {
        restoring.tcp = tcp;
        tcp->restored = true;
        tcp_bind_netif(tcp->pcb, blackhole_netif());
    } else if (answering.wanted) {
        answering.tcp = tcp;
        if (tcp->ecn.on)
            answering.bits |= STAMP_ECN;
    }
}

void tcp_cookie_forget(const struct stack_tcp *tcp)
{
    if (answering.tcp == tcp)
        answering.tcp = NULL;
    if (restoring.tcp == tcp)
        restoring.tcp = NULL;
}

void tcp_cookie_after_input(void)
{
    if (restoring.tcp != NULL) {
        tcp_bind_netif(restoring.tcp->pcb, NULL);
        restoring.tcp = NULL;
    }
    if (!answering.wanted)
        return;
    answering.wanted = false;
    isn_forget();
    if (answering.tcp != NULL)
        tcp_abandon(answering.tcp->pcb, 0); /* frees the socket, too */
}

void tcp_cookie_write(const struct stack_tcp *tcp, struct tcp_hdr *header)
{
    u8_t *stamp;
    uint32_t now, value;

    if (answering.tcp != tcp)
        return;
    stamp = (u8_t *)(uintptr_t)tcp_validate_find_option(header, LWIP_TCP_OPT_TS, LWIP_TCP_OPT_LEN_TS);
    if (stamp == NULL)
        return;
    now = read_32(stamp + 2);
    value = (now >> STAMP_BITS << STAMP_BITS) | answering.bits;
    if (value > now) /* none is from the future */
        value -= 1u << STAMP_BITS;
    write_32(stamp + 2, value);
}
