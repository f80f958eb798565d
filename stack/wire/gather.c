/*
 * gather.c - collects consecutive segments of one flow and writes them as one GSO frame.
 *
 * Theory of operation. tcp_output() emits a burst of segments, each an Ethernet frame of its own: headers in a pbuf,
 * payload by reference to the socket's send queue (PBUF_ROM). If the wire can segment (WIRE_TSO4, WIRE_TSO6), the first
 * such frame of a flow begins a batch: its headers are copied, its payload becomes pieces of an iovec. A frame that
 * carries on exactly where the batch ends adds its payload; pieces that touch in memory become one. The batch is
 * written
 *   - by gather_flush(), which the loop calls before it sleeps,
 *   - when the next frame does not fit it (another flow, a gap, other options, no room: 65 535 bytes of IP packet),
 *   - before any memory that it points to is released: whoever frees sent data calls gather_flush() first.
 * A segment larger than the MTU (gather_set_piece(), tcp_large.c) is a batch, or carries one on, in which all pieces
 * have the size that was set. A payload shorter than the first ends the batch: every segment but the last must be
 * gso_size long. FIN ends it too. PSH and the acknowledgement are those of the latest segment: the wire sets PSH and
 * FIN on the last piece only, and a newer acknowledgement is as true for the earlier bytes.
 *
 * Every other frame (and one that says CWR: it is for one segment only, and wires differ in what they make of that) is
 * written as it is, after the batch, so order is kept. Payload that lwIP may change or free (not PBUF_ROM) is never
 * kept.
 */
#include "gather.h"

#include <string.h>

#include "stack/bytes.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers older than Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define ETHERNET_SIZE 14
#define IP_SIZE 20  /* of IPv4, without options */
#define IP6_SIZE 40 /* of IPv6, without extension headers */
#define UDP_SIZE 8
#define HEADER_MAX (ETHERNET_SIZE + IP6_SIZE + 60)
#define PIECES_MAX 96 /* of payload; a 64 KB frame of 16 KB chunks needs 5 */
#define IP_PACKET_MAX 65535

struct gather_counters gather_counters;
bool gather_is_mute;

static struct wire *wire; /* borrowed; the stack's */

static uint16_t train_size; /* gather_set_train() */
static uint16_t piece_size; /* gather_set_piece() */

static struct {
    bool open;             /* holds something */
    bool ended;            /* and takes nothing more */
    size_t header_size;    /* Ethernet, IP and TCP header */
    size_t tcp_at;         /* where the last begins */
    size_t payload_size;
    size_t segment_size;   /* payload of the first segment, or of a piece of it */
    uint32_t next_sequence;
    int piece_count;
    _Alignas(4) uint8_t header[HEADER_MAX];
    struct iovec pieces[1 + PIECES_MAX]; /* the first is header */
} batch;

/* Hand one frame to the wire. */
static void write_frame(const struct virtio_net_hdr *header, const struct iovec *iov, int count, size_t length)
{
    if (gather_is_mute)
        return;
    if (wire->watch != NULL)
        wire->watch(wire->watch_context, true, iov, count, length);
    if (wire->operations->write_frame(wire, header, iov, count) < 0) {
        gather_counters.dropped++;
        return;
    }
    gather_counters.frames++;
    gather_counters.bytes += length;
}

/* Fill in the IP header's checksum, which lwIP leaves to us. TCP wants to hear of packets that are too large. */
static void finish_ip_header(uint8_t *ip)
{
    size_t size = (size_t)(ip[0] & 15) * 4;
    uint16_t sum;

    if (ip[9] == IP_PROTO_TCP && (read_16(ip + 6) & (IP_OFFMASK | IP_MF)) == 0)
        ip[6] |= IP_DF >> 8; /* tcp_path_mtu.c */
    ip[10] = ip[11] = 0;
    sum = inet_chksum(ip, (u16_t)size);
    memcpy(ip + 10, &sum, sizeof sum);
}

/* Put the sum of the pseudo header where the wire completes it (virtio 1.2, 5.1.6.2), and say so in header. */
static void leave_checksum(struct virtio_net_hdr *header, uint8_t *ip, size_t ip_size, size_t length, uint8_t protocol)
{
    unsigned offset = protocol == IP_PROTO_TCP ? 16 : 6;
    uint32_t sum = protocol + (uint32_t)length;
    int first = ip[0] >> 4 == 6 ? 8 : 12; /* the addresses */
    int end = ip[0] >> 4 == 6 ? IP6_SIZE : IP_SIZE;

    for (int i = first; i < end; i += 2)
        sum += read_16(ip + i);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    write_16(ip + ip_size + offset, (uint16_t)sum);
    header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    header->csum_start = (uint16_t)(ETHERNET_SIZE + ip_size);
    header->csum_offset = (uint16_t)offset;
}

void gather_open(struct wire *the_wire)
{
    wire = the_wire;
    memset(&batch, 0, sizeof batch);
    memset(&gather_counters, 0, sizeof gather_counters);
}

void gather_flush(void)
{
    struct virtio_net_hdr header = {0};
    uint8_t *ip = batch.header + ETHERNET_SIZE;
    size_t length;
    bool is_v6;

    if (!batch.open)
        return;
    batch.open = false;
    length = batch.header_size + batch.payload_size;
    is_v6 = ip[0] >> 4 == 6;
    if (is_v6) {
        write_16(ip + 4, (uint16_t)(length - batch.tcp_at));
    } else {
        write_16(ip + 2, (uint16_t)(length - ETHERNET_SIZE));
        finish_ip_header(ip);
    }
    leave_checksum(&header, ip, batch.tcp_at - ETHERNET_SIZE, length - batch.tcp_at, IP_PROTO_TCP);
    if (batch.payload_size > batch.segment_size) {
        header.gso_type = is_v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        header.gso_size = (uint16_t)batch.segment_size;
        header.hdr_len = (uint16_t)batch.header_size;
    }
    batch.pieces[0] = (struct iovec){batch.header, batch.header_size};
    write_frame(&header, batch.pieces, 1 + batch.piece_count, length);
}

/* Return: where the TCP header of a frame begins that the wire can segment; 0: it is no such frame. */
static size_t segmentable_at(const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + ETHERNET_SIZE;
    unsigned type = read_16(frame + 12);

    if (type == ETHTYPE_IP && (wire->features & WIRE_TSO4) != 0)
        return size >= ETHERNET_SIZE + IP_SIZE + TCP_HLEN && ip[0] == 0x45 && ip[9] == IP_PROTO_TCP &&
                       (read_16(ip + 6) & (IP_OFFMASK | IP_MF)) == 0
                   ? ETHERNET_SIZE + IP_SIZE
                   : 0;
    if (type == ETHTYPE_IPV6 && (wire->features & WIRE_TSO6) != 0)
        return size >= ETHERNET_SIZE + IP6_SIZE + TCP_HLEN && ip[6] == IP_PROTO_TCP ? ETHERNET_SIZE + IP6_SIZE : 0;
    return 0;
}

/* Can this frame be part of a batch? Return: the size of its headers and where that of TCP begins, 0 when not. */
static size_t gatherable_header_size(const struct pbuf *p, size_t *tcp_at)
{
    const uint8_t *frame = p->payload;
    const uint8_t *tcp;
    size_t size;

    if (p->next == NULL)
        return 0;
    *tcp_at = segmentable_at(frame, p->len);
    if (*tcp_at == 0)
        return 0;
    tcp = frame + *tcp_at;
    size = *tcp_at + (size_t)(tcp[12] >> 4) * 4;
    if (p->len != size || (tcp[13] & (TCP_SYN | TCP_RST | TCP_URG | TCP_ACK | TCP_CWR)) != TCP_ACK)
        return 0;
    for (const struct pbuf *q = p->next; q != NULL; q = q->next)
        if (q->type_internal != PBUF_ROM)
            return 0;
    return size;
}

/* Are the parts of the IP header equal that are the same for all packets of a flow? */
static bool ip_header_fits(const uint8_t *ip, const uint8_t *old)
{
    if (ip[0] >> 4 == 6) /* class and flow label, next header and hop limit, addresses */
        return memcmp(ip, old, 4) == 0 && memcmp(ip + 6, old + 6, IP6_SIZE - 6) == 0;
    return memcmp(ip + 12, old + 12, 8) == 0 && ip[1] == old[1] && ip[8] == old[8]; /* addresses, TOS, TTL */
}

/* Does the frame carry on where the batch ends, in the same way? */
static bool batch_fits(const uint8_t *frame, size_t tcp_at, size_t header_size, size_t payload_size)
{
    const uint8_t *tcp = frame + tcp_at;
    const uint8_t *old_tcp = batch.header + tcp_at;

    return !batch.ended && header_size == batch.header_size && tcp_at == batch.tcp_at &&
           (piece_size != 0 ? piece_size == batch.segment_size : payload_size <= batch.segment_size) &&
           header_size - ETHERNET_SIZE + batch.payload_size + payload_size <= IP_PACKET_MAX &&
           read_32(tcp + 4) == batch.next_sequence && memcmp(tcp, old_tcp, 4) == 0 && /* ports */
           memcmp(frame, batch.header, ETHERNET_SIZE) == 0 &&
           ip_header_fits(frame + ETHERNET_SIZE, batch.header + ETHERNET_SIZE) &&
           memcmp(tcp + 20, old_tcp + 20, header_size - tcp_at - 20) == 0;
}

/* Add the payload's pieces to the batch. Return: false when there are too many; the batch is unchanged then. */
static bool batch_add_payload(const struct pbuf *p)
{
    int count = batch.piece_count;
    size_t last_size = batch.pieces[count].iov_len;

    for (; p != NULL; p = p->next) {
        struct iovec *last = &batch.pieces[batch.piece_count];

        if (p->len == 0)
            continue;
        if (batch.piece_count > 0 && (uint8_t *)last->iov_base + last->iov_len == p->payload) {
            last->iov_len += p->len;
        } else if (batch.piece_count == PIECES_MAX) {
            batch.piece_count = count;
            batch.pieces[count].iov_len = last_size;
            return false;
        } else {
            batch.pieces[++batch.piece_count] = (struct iovec){p->payload, p->len};
        }
    }
    return true;
}

/* Fill in, or leave to the wire, the sums of a frame that goes by itself. */
static void finish_single(struct virtio_net_hdr *header, struct pbuf *p)
{
    uint8_t *ip = (uint8_t *)p->payload + ETHERNET_SIZE;
    unsigned type = read_16((uint8_t *)p->payload + 12);
    uint8_t protocol;
    size_t ip_size;
    bool whole = true;

    if (type == ETHTYPE_IP && p->len >= ETHERNET_SIZE + IP_SIZE) {
        ip_size = (size_t)(ip[0] & 15) * 4;
        protocol = ip[9];
        whole = (read_16(ip + 6) & (IP_OFFMASK | IP_MF)) == 0;
        finish_ip_header(ip);
    } else if (type == ETHTYPE_IPV6 && p->len >= ETHERNET_SIZE + IP6_SIZE) {
        ip_size = IP6_SIZE;
        protocol = ip[6];
    } else {
        return;
    }
    if ((p->flags & GATHER_COMPLETE_CHECKSUM) != 0 ||
        (protocol == IP_PROTO_TCP && whole && (wire->features & WIRE_CHECKSUM) != 0 &&
         p->len >= ETHERNET_SIZE + ip_size + TCP_HLEN))
        leave_checksum(header, ip, ip_size, p->tot_len - ETHERNET_SIZE - ip_size, protocol);
    if ((p->flags & GATHER_COMPLETE_CHECKSUM) != 0 && train_size != 0) {
        header->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
        header->gso_size = train_size;
        header->hdr_len = (uint16_t)(ETHERNET_SIZE + ip_size + UDP_SIZE);
    }
}

void gather_set_train(uint16_t size)
{
    train_size = size;
}

void gather_set_piece(uint16_t size)
{
    piece_size = size;
}

/* Write a frame by itself. */
static void write_single(struct pbuf *p)
{
    struct virtio_net_hdr header = {0};
    struct iovec pieces[PIECES_MAX];
    int count = 0;

    if (piece_size != 0) { /* it is too large for that */
        gather_counters.dropped++;
        return;
    }
    finish_single(&header, p);
    for (struct pbuf *q = p; q != NULL; q = q->next) {
        if (q->len == 0)
            continue;
        if (count == PIECES_MAX) {
            gather_counters.dropped++;
            return;
        }
        pieces[count++] = (struct iovec){q->payload, q->len};
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there is a packet, finish_single() has read it
    write_frame(&header, pieces, count, p->tot_len);
}

const struct eth_addr *gather_neighbour(const void *destination, size_t size)
{
    return batch.open && memcmp(batch.header + batch.tcp_at - size, destination, size) == 0
               ? (const struct eth_addr *)(const void *)batch.header
               : NULL;
}

void gather_frame(struct pbuf *p)
{
    const uint8_t *frame = p->payload;
    size_t tcp_at;
    size_t header_size = gatherable_header_size(p, &tcp_at);
    size_t payload_size = p->tot_len - header_size;
    const uint8_t *tcp;
    uint8_t flags;

    if ((p->flags & GATHER_LEAVE_OUT) != 0)
        return;
    if (header_size == 0) {
        gather_flush();
        write_single(p);
        return;
    }
    tcp = frame + tcp_at;
    flags = tcp[13];
    if (batch.open && batch_fits(frame, tcp_at, header_size, payload_size) && batch_add_payload(p->next)) {
        memcpy(batch.header + tcp_at + 8, tcp + 8, 4); /* acknowledgement */
        memcpy(batch.header + tcp_at + 14, tcp + 14, 2); /* window */
        batch.header[tcp_at + 13] |= flags;
    } else {
        gather_flush();
        batch.piece_count = 0;
        batch.pieces[0].iov_len = 0;
        if (!batch_add_payload(p->next)) {
            write_single(p);
            return;
        }
        memcpy(batch.header, frame, header_size);
        batch.open = true;
        batch.ended = false;
        batch.header_size = header_size;
        batch.tcp_at = tcp_at;
        batch.segment_size = piece_size != 0 ? piece_size : payload_size;
        batch.payload_size = 0;
        batch.next_sequence = read_32(tcp + 4);
    }
    batch.payload_size += payload_size;
    batch.next_sequence += (uint32_t)payload_size;
    if (payload_size % batch.segment_size != 0 || (flags & TCP_FIN) != 0)
        batch.ended = true;
}
