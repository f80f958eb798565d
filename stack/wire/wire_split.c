/*
 * wire_split.c - segmentation and checksums in software, as the kernel does them for a device that can't.
 *
 * Each piece gets the headers of the whole with what differs from piece to piece: length, identification (IPv4),
 * sequence number; FIN and PSH belong to the last piece, CWR to the first (RFC 3168 6.1.2). The headers of a piece are
 * written in front of its payload, over the payload of the piece before it, which is gone by then.
 */
#include "wire_split.h"

#include <stdbool.h>
#include <string.h>

#include "stack/bytes.h"

#define ETHERNET_SIZE 14
#define TYPE_IP4 0x0800
#define TYPE_IP6 0x86dd
#define IP4_SIZE 20
#define IP6_SIZE 40
#define TCP_SIZE 20
#define HEADER_MAX (ETHERNET_SIZE + 60 + 60)
#define FLAG_FIN 0x01
#define FLAG_PSH 0x08
#define FLAG_CWR 0x80

/* Return: the ones' complement sum of bytes, on top of sum, folded to 16 bits. */
static uint32_t add_sum(uint32_t start, const uint8_t *bytes, size_t size)
{
    uint64_t sum = 0;
    size_t at = 0;

    for (; at + 4 <= size; at += 4) {
        uint32_t word;

        memcpy(&word, bytes + at, 4);
        sum += word;
    }
    if (size - at >= 2) {
        uint16_t word;

        memcpy(&word, bytes + at, 2);
        sum += word;
        at += 2;
    }
    if (at < size)
        sum += bytes[at]; /* little-endian: the low byte comes first */
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = __builtin_bswap16((uint16_t)sum) + start;
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

/* Complete the sum that begins at csum_start and goes to the end (virtio 1.2, 5.1.6.2). */
static void complete_checksum(const struct virtio_net_hdr *header, uint8_t *frame, size_t size)
{
    size_t at = (size_t)header->csum_start + header->csum_offset;
    uint32_t sum;

    if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || header->csum_start > size || at + 2 > size)
        return;
    sum = ~add_sum(0, frame + header->csum_start, size - header->csum_start) & 0xffff;
    write_16(frame + at, sum == 0 ? 0xffff : sum);
}

/* Where TCP begins in a super-segment that is what its virtio header says. Return: 0 when it is not. */
static size_t tcp_offset(const struct virtio_net_hdr *header, const uint8_t *frame, size_t size)
{
    unsigned gso = header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    size_t at;

    if (size < ETHERNET_SIZE + IP4_SIZE + TCP_SIZE || header->gso_size == 0)
        return 0;
    if (gso == VIRTIO_NET_HDR_GSO_TCPV4 && read_16(frame + 12) == TYPE_IP4)
        at = ETHERNET_SIZE + (size_t)(frame[ETHERNET_SIZE] & 15) * 4;
    else if (gso == VIRTIO_NET_HDR_GSO_TCPV6 && read_16(frame + 12) == TYPE_IP6 &&
             (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
        at = header->csum_start; /* behind extension headers, if any */
    else
        return 0;
    if (at < ETHERNET_SIZE + IP4_SIZE || at + TCP_SIZE > size || at > HEADER_MAX - 60 ||
        at + (size_t)(frame[at + 12] >> 4) * 4 > size || frame[at + 12] >> 4 < 5)
        return 0;
    return at;
}

/* Put length and checksums into the headers of a piece. */
static void finish_piece(uint8_t *frame, size_t tcp_at, size_t size)
{
    bool is_ip4 = read_16(frame + 12) == TYPE_IP4;
    uint8_t *ip = frame + ETHERNET_SIZE;
    uint8_t *tcp = frame + tcp_at;
    uint32_t sum = 6 + (uint32_t)(size - tcp_at); /* the protocol's number and the length */

    if (is_ip4) {
        write_16(ip + 2, (uint32_t)(size - ETHERNET_SIZE));
        write_16(ip + 10, 0);
        write_16(ip + 10, ~add_sum(0, ip, tcp_at - ETHERNET_SIZE) & 0xffff);
        sum = add_sum(sum, ip + 12, 8);
    } else {
        write_16(ip + 4, (uint32_t)(size - ETHERNET_SIZE - IP6_SIZE));
        sum = add_sum(sum, ip + 8, 32);
    }
    write_16(tcp + 16, 0);
    write_16(tcp + 16, ~add_sum(sum, tcp, size - tcp_at) & 0xffff);
}

void wire_split(const struct virtio_net_hdr *header, uint8_t *frame, size_t size, wire_split_take *take, void *context)
{
    size_t tcp_at = tcp_offset(header, frame, size);
    size_t header_size, at;
    uint8_t model[HEADER_MAX];
    uint32_t index = 0;

    if (tcp_at == 0) {
        complete_checksum(header, frame, size);
        take(context, frame, size);
        return;
    }
    header_size = tcp_at + (size_t)(frame[tcp_at + 12] >> 4) * 4;
    memcpy(model, frame, header_size);
    for (at = header_size; at < size; at += header->gso_size, index++) {
        size_t payload = size - at < header->gso_size ? size - at : header->gso_size;
        uint8_t *piece = frame + at - header_size;
        uint8_t *flags = piece + tcp_at + 13;

        memcpy(piece, model, header_size);
        write_32(piece + tcp_at + 4, read_32(model + tcp_at + 4) + index * header->gso_size);
        if (at + payload < size)
            *flags &= (uint8_t)~(FLAG_FIN | FLAG_PSH);
        if (index > 0)
            *flags &= (uint8_t)~FLAG_CWR;
        if (read_16(piece + 12) == TYPE_IP4)
            write_16(piece + ETHERNET_SIZE + 4, read_16(model + ETHERNET_SIZE + 4) + index);
        finish_piece(piece, tcp_at, header_size + payload);
        take(context, piece, header_size + payload);
    }
    if (index == 0) { /* no payload at all */
        complete_checksum(header, frame, size);
        take(context, frame, size);
    }
}
