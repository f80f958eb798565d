/*
 * fragment.c - fragments and extension headers that lwIP must not see.
 *
 * lwIP counts the bytes of a packet in 16 bits and does not look whether fragments make a packet of more: on IPv4 the
 * count wraps round, on IPv6 an assertion fails, for whoever sends fragments that reach far enough. It also takes a
 * fragment header behind other extension headers, whose length it then trusts to be the same in every fragment, and
 * other extension headers, fragments even, behind a fragment header; nobody sends such packets, and they are refused as
 * well.
 *
 * Of IPv6's extension headers it reads the length before it looks whether they are there, and an option's length behind
 * the end of the header, of the packet even. So the headers are walked here first, and each option in them.
 *
 * DIFFERS: Linux takes IPv6 packets that are longer by their header: datagrams of up to 65 527 bytes (oracle
 * udp_transfer6/sizes_in).
 */
#include "stack/lwip_api.h"

#include "stack/bytes.h"

#define PACKET_MAX 65535

/* Take the packet away from lwIP. Return: that it was. */
static int refuse(struct pbuf *p)
{
    lwip_stats.ip.drop++;
    pbuf_free(p);
    return 1;
}

/* lwIP begins with an IPv4 packet. Return: not 0: it was taken away. */
int fragment_filter4(struct pbuf *p)
{
    const u8_t *ip = p->payload;
    unsigned header_size = (ip[0] & 15) * 4;
    unsigned field = read_16(ip + 6), length = read_16(ip + 2);

    if ((field & (IP_MF | IP_OFFMASK)) == 0)
        return 0;
    if (length < header_size || (field & IP_OFFMASK) * 8 + length - header_size > PACKET_MAX - IP_HLEN)
        return refuse(p);
    return 0;
}

static bool is_extension(u8_t next)
{
    return next == IP6_NEXTH_HOPBYHOP || next == IP6_NEXTH_DESTOPTS || next == IP6_NEXTH_ROUTING || next == IP6_NEXTH_FRAGMENT;
}

/* Do the options of a header, of size bytes, end where it does? */
static bool options_are_whole(const u8_t *header, unsigned size)
{
    unsigned at = 2;

    while (at < size)
        if (header[at] == IP6_PAD1_OPTION)
            at++;
        else if (at + 1 < size)
            at += 2u + header[at + 1];
        else
            return false;
    return at == size;
}

/* A fragment: its own header, and what is behind it. */
static bool fragment_is_good(const struct pbuf *p, const u8_t *ip, unsigned length)
{
    return p->len >= IP6_HLEN + IP6_FRAG_HLEN && length >= IP6_FRAG_HLEN && !is_extension(ip[IP6_HLEN]) &&
           (read_16(ip + IP6_HLEN + 2) & IP6_FRAG_OFFSET_MASK) + length - IP6_FRAG_HLEN <= PACKET_MAX - IP6_HLEN;
}

/* The same for IPv6. */
int fragment_filter6(struct pbuf *p)
{
    const u8_t *ip = p->payload;
    unsigned length = read_16(ip + 4), at = IP6_HLEN;
    unsigned end = LWIP_MIN(p->len, IP6_HLEN + length); /* of what lwIP will find in one piece */
    u8_t next = ip[6];

    if (next == IP6_NEXTH_FRAGMENT)
        return fragment_is_good(p, ip, length) ? 0 : refuse(p);
    while (is_extension(next)) {
        unsigned size;

        if (next == IP6_NEXTH_FRAGMENT || at + 8 > end)
            return refuse(p);
        size = (ip[at + 1] + 1u) * 8;
        if (size > end - at || (next != IP6_NEXTH_ROUTING && !options_are_whole(ip + at, size)))
            return refuse(p);
        next = ip[at];
        at += size;
    }
    return 0;
}
