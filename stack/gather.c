/*
 * gather.c - collects consecutive segments of one flow and writes them as one GSO frame.
 *
 * Theory of operation. tcp_output() emits a burst of segments, each an Ethernet frame of its own: headers in a pbuf,
 * payload by reference to the socket's send queue (PBUF_ROM). If the wire can segment (WIRE_TSO4), the first such frame
 * of a flow begins a batch: its headers are copied, its payload becomes pieces of an iovec. A frame that carries on
 * exactly where the batch ends adds its payload; pieces that touch in memory become one. The batch is written
 *   - by gather_flush(), which the loop calls before it sleeps,
 *   - when the next frame does not fit it (another flow, a gap, other options, no room: 65 535 bytes of IP packet),
 *   - before any memory that it points to is released: whoever frees sent data calls gather_flush() first.
 * A payload shorter than the first ends the batch: every segment but the last must be gso_size long. FIN ends it too.
 * PSH and the acknowledgement are those of the latest segment: the wire sets PSH and FIN on the last piece only, and a
 * newer acknowledgement is as true for the earlier bytes.
 *
 * Every other frame is written as it is, after the batch, so order is kept. Payload that lwIP may change or free (not
 * PBUF_ROM) is never kept.
 */
#include "gather.h"

#include <string.h>

#define ETHERNET_SIZE 14
#define IP_SIZE 20
#define TCP_AT (ETHERNET_SIZE + IP_SIZE)
#define HEADER_MAX (TCP_AT + 60)
#define PIECES_MAX 96 /* of payload; a 64 KB frame of 16 KB chunks needs 5 */
#define IP_PACKET_MAX 65535

struct gather_counters gather_counters;

static struct wire *wire; /* borrowed; the stack's */

static struct {
    bool open;             /* holds something */
    bool ended;            /* and takes nothing more */
    size_t header_size;    /* Ethernet, IP and TCP header */
    size_t payload_size;
    size_t segment_size;   /* payload of the first segment */
    uint32_t next_sequence;
    int piece_count;
    _Alignas(4) uint8_t header[HEADER_MAX];
    struct iovec pieces[1 + PIECES_MAX]; /* the first is header */
} batch;

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read_32(const uint8_t *at)
{
    return (uint32_t)read_16(at) << 16 | read_16(at + 2);
}

static void write_16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Hand one frame to the wire. */
static void write_frame(const struct virtio_net_hdr *header, const struct iovec *iov, int count, size_t length)
{
    if (wire->watch != NULL)
        wire->watch(wire->watch_context, true, iov, count, length);
    if (wire->operations->write_frame(wire, header, iov, count) < 0) {
        gather_counters.dropped++;
        return;
    }
    gather_counters.frames++;
    gather_counters.bytes += length;
}

/* Fill in the IP header's checksum, which lwIP leaves to us. */
static void finish_ip_header(uint8_t *ip)
{
    size_t size = (size_t)(ip[0] & 15) * 4;
    uint16_t sum;

    ip[10] = ip[11] = 0;
    sum = inet_chksum(ip, (u16_t)size);
    memcpy(ip + 10, &sum, sizeof sum);
}

/* Put the sum of the pseudo header where the wire completes it (virtio 1.2, 5.1.6.2), and say so in header. */
static void leave_checksum(struct virtio_net_hdr *header, uint8_t *ip, size_t ip_size, size_t length, uint8_t protocol)
{
    unsigned offset = protocol == IP_PROTO_TCP ? 16 : 6;
    uint32_t sum = protocol + (uint32_t)length;

    for (int i = 12; i < 20; i += 2)
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

    if (!batch.open)
        return;
    batch.open = false;
    length = batch.header_size + batch.payload_size;
    write_16(ip + 2, (uint16_t)(length - ETHERNET_SIZE));
    finish_ip_header(ip);
    leave_checksum(&header, ip, IP_SIZE, length - TCP_AT, IP_PROTO_TCP);
    if (batch.payload_size > batch.segment_size) {
        header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        header.gso_size = (uint16_t)batch.segment_size;
        header.hdr_len = (uint16_t)batch.header_size;
    }
    batch.pieces[0] = (struct iovec){batch.header, batch.header_size};
    write_frame(&header, batch.pieces, 1 + batch.piece_count, length);
}

/* Can this frame be part of a batch? Return: the size of its headers, 0 when not. */
static size_t gatherable_header_size(const struct pbuf *p)
{
    const uint8_t *frame = p->payload;
    const uint8_t *tcp = frame + TCP_AT;
    size_t size;

    if ((wire->features & WIRE_TSO4) == 0 || p->next == NULL || p->len < TCP_AT + TCP_HLEN)
        return 0;
    if (read_16(frame + 12) != ETHTYPE_IP || frame[ETHERNET_SIZE] != 0x45 || frame[ETHERNET_SIZE + 9] != IP_PROTO_TCP)
        return 0;
    if ((read_16(frame + ETHERNET_SIZE + 6) & (IP_OFFMASK | IP_MF)) != 0)
        return 0;
    size = TCP_AT + (size_t)(tcp[12] >> 4) * 4;
    if (p->len != size || (tcp[13] & (TCP_SYN | TCP_RST | TCP_URG | TCP_ACK)) != TCP_ACK)
        return 0;
    for (const struct pbuf *q = p->next; q != NULL; q = q->next)
        if (q->type_internal != PBUF_ROM)
            return 0;
    return size;
}

/* Does the frame carry on where the batch ends, in the same way? */
static bool batch_fits(const uint8_t *frame, size_t header_size, size_t payload_size)
{
    const uint8_t *ip = frame + ETHERNET_SIZE;
    const uint8_t *tcp = frame + TCP_AT;
    const uint8_t *old_ip = batch.header + ETHERNET_SIZE;
    const uint8_t *old_tcp = batch.header + TCP_AT;

    return !batch.ended && header_size == batch.header_size && payload_size <= batch.segment_size &&
           header_size - ETHERNET_SIZE + batch.payload_size + payload_size <= IP_PACKET_MAX &&
           read_32(tcp + 4) == batch.next_sequence && memcmp(tcp, old_tcp, 4) == 0 &&                      /* ports */
           memcmp(ip + 12, old_ip + 12, 8) == 0 && ip[1] == old_ip[1] && ip[8] == old_ip[8] && /* addresses, TOS, TTL */
           memcmp(frame, batch.header, ETHERNET_SIZE) == 0 &&
           memcmp(tcp + 20, old_tcp + 20, header_size - TCP_AT - 20) == 0;
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

/* Write a frame by itself. */
static void write_single(struct pbuf *p)
{
    struct virtio_net_hdr header = {0};
    struct iovec pieces[PIECES_MAX];
    uint8_t *frame = p->payload;
    int count = 0;

    if (read_16(frame + 12) == ETHTYPE_IP && p->len >= TCP_AT) {
        uint8_t *ip = frame + ETHERNET_SIZE;
        size_t ip_size = (size_t)(ip[0] & 15) * 4;

        finish_ip_header(ip);
        if (ip[9] == IP_PROTO_TCP && (wire->features & WIRE_CHECKSUM) != 0 &&
            (read_16(ip + 6) & (IP_OFFMASK | IP_MF)) == 0 && p->len >= ETHERNET_SIZE + ip_size + TCP_HLEN)
            leave_checksum(&header, ip, ip_size, p->tot_len - ETHERNET_SIZE - ip_size, IP_PROTO_TCP);
        else if ((p->flags & GATHER_COMPLETE_CHECKSUM) != 0)
            leave_checksum(&header, ip, ip_size, p->tot_len - ETHERNET_SIZE - ip_size, IP_PROTO_UDP);
    }
    for (struct pbuf *q = p; q != NULL; q = q->next) {
        if (q->len == 0)
            continue;
        if (count == PIECES_MAX) {
            gather_counters.dropped++;
            return;
        }
        pieces[count++] = (struct iovec){q->payload, q->len};
    }
    write_frame(&header, pieces, count, p->tot_len);
}

void gather_frame(struct pbuf *p)
{
    const uint8_t *frame = p->payload;
    size_t header_size = gatherable_header_size(p);
    size_t payload_size = p->tot_len - header_size;
    uint8_t flags;

    if (header_size == 0) {
        gather_flush();
        write_single(p);
        return;
    }
    flags = frame[TCP_AT + 13];
    if (batch.open && batch_fits(frame, header_size, payload_size) && batch_add_payload(p->next)) {
        memcpy(batch.header + TCP_AT + 8, frame + TCP_AT + 8, 4); /* acknowledgement */
        memcpy(batch.header + TCP_AT + 14, frame + TCP_AT + 14, 2); /* window */
        batch.header[TCP_AT + 13] |= flags;
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
        batch.segment_size = payload_size;
        batch.payload_size = 0;
        batch.next_sequence = read_32(frame + TCP_AT + 4);
    }
    batch.payload_size += payload_size;
    batch.next_sequence += (uint32_t)payload_size;
    if (payload_size < batch.segment_size || (flags & TCP_FIN) != 0)
        batch.ended = true;
}
