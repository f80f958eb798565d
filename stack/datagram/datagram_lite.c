/*
 * datagram_lite.c - what UDP-Lite has of its own (RFC 3828, udplite(7)): a checksum that may be about a part only.
 *
 * Where UDP has the datagram's length, which IP knows as well, UDP-Lite says how many bytes from its header on the
 * checksum covers; 0: all. There always is one, over the pseudo header with the whole length, and neither side ever
 * leaves it to the wire, or out on the loopback. All else is UDP's.
 */
#include "datagram_packet.h"

/* The checksum of the first coverage bytes, of at most all; 0 if the right one is in the header already.
 * (ip_chksum_pseudo_partial() can't do more than 32 KB.) */
static uint16_t compute(struct pbuf *p, size_t coverage, const ip_addr_t *source, const ip_addr_t *destination)
{
    struct pbuf *last = p, *rest;
    uint16_t length, sum;

    while (last->len < coverage && last->next != NULL) {
        coverage -= last->len;
        last = last->next;
    }
    rest = last->next;
    length = last->len;
    last->next = NULL;
    last->len = (u16_t)coverage;
    sum = ip_chksum_pseudo(p, IP_PROTO_UDPLITE, p->tot_len, source, destination);
    last->next = rest;
    last->len = length;
    return sum;
}

uint16_t datagram_lite_checksum(struct pbuf *p, uint16_t coverage, const struct datagram_route *route)
{
    return compute(p, coverage, &route->source, &route->destination);
}

uint16_t datagram_lite_cover(const struct stack_datagram *datagram, struct datagram_packet *packet, uint16_t length)
{
    int wanted = datagram->options[STACK_DATAGRAM_SEND_COVERAGE];

    packet->coverage = length;
    if (wanted < 0 || wanted >= length)
        return length;
    if (wanted > 0)
        packet->coverage = (uint16_t)wanted;
    return (uint16_t)wanted;
}

bool datagram_lite_is_sound(struct pbuf *p, size_t offset, struct udp_hdr *header)
{
    size_t size = p->tot_len - offset;
    size_t coverage;
    bool good;

    if (pbuf_copy_partial(p, header, UDP_SIZE, (u16_t)offset) != UDP_SIZE || header->chksum == 0)
        return false;
    coverage = header->len == 0 ? size : ntohs(header->len);
    if (coverage < UDP_SIZE || coverage > size)
        return false;
    pbuf_remove_header(p, offset);
    good = compute(p, coverage, ip_current_src_addr(), ip_current_dest_addr()) == 0;
    pbuf_add_header_force(p, offset);
    return good;
}

bool datagram_lite_suffices(const struct stack_datagram *datagram, const struct udp_hdr *header, size_t size)
{
    int least = datagram->options[STACK_DATAGRAM_RECEIVE_COVERAGE];
    int coverage = ntohs(header->len);

    if (coverage == 0 || (size_t)coverage == size)
        return true;
    return least < 0 || (least != 0 && coverage >= least);
}
