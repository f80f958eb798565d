/* stack_peer.c - the crafted peer on the wire of memory, and owners of sockets that write down what they are told. */
#include "stack_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/bytes.h"
#include "tests/checksum.h"

#define ETHERNET_SIZE 14
#define IP_SIZE 20
#define IP6_SIZE 40


void peer_resolve(void)
{
    uint8_t arp[42] = {[12] = 8, [13] = 6, [15] = 1, [16] = 8, [18] = 6, [19] = 4, [21] = 2}; /* a reply */

    memcpy(arp, stack_mac, 6);
    memcpy(arp + 6, peer_mac, 6);
    memcpy(arp + 22, peer_mac, 6);
    inet_pton(AF_INET, PEER_IP, arp + 28);
    memcpy(arp + 32, stack_mac, 6);
    inet_pton(AF_INET, STACK_IP, arp + 38);
    wire_put(NULL, arp, sizeof arp);
    stack_turn();
}

/* Return: the sum over pseudo header and, if whole, payload; 0xffff when it is good. */
static uint32_t ip_sum(const uint8_t *ip, uint8_t protocol, const uint8_t *payload, size_t size, bool whole)
{
    uint8_t pseudo[4] = {0, protocol, (uint8_t)(size >> 8), (uint8_t)size};
    bool is_v6 = ip[0] >> 4 == 6;
    uint32_t sum = checksum_add(checksum_add(0, ip + (is_v6 ? 8 : 12), is_v6 ? 32 : 8), pseudo, 4);

    return whole ? checksum_add(sum, payload, size) : sum;
}

/* Write the headers below TCP. Return: where the payload begins. */
static size_t write_headers(uint8_t *frame, int family, uint8_t protocol, const char *source, const char *destination,
                            size_t payload_size)
{
    uint8_t *ip = frame + ETHERNET_SIZE;

    memcpy(frame, stack_mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    if (family == AF_INET6) {
        write_16(frame + 12, 0x86dd);
        memset(ip, 0, IP6_SIZE);
        ip[0] = 0x60;
        write_16(ip + 4, (uint32_t)payload_size);
        ip[6] = protocol;
        ip[7] = 255;
        inet_pton(AF_INET6, source, ip + 8);
        inet_pton(AF_INET6, destination, ip + 24);
        return ETHERNET_SIZE + IP6_SIZE;
    }
    write_16(frame + 12, 0x800);
    memset(ip, 0, IP_SIZE);
    ip[0] = 0x45;
    write_16(ip + 2, (uint32_t)(IP_SIZE + payload_size));
    ip[8] = 64;
    ip[9] = protocol;
    inet_pton(AF_INET, source, ip + 12);
    inet_pton(AF_INET, destination, ip + 16);
    write_16(ip + 10, ~checksum_add(0, ip, IP_SIZE) & 0xffff);
    return ETHERNET_SIZE + IP_SIZE;
}

/* Fill in the TOS octet of an IP header that is complete without. */
static void write_tos(uint8_t *ip, uint8_t tos)
{
    if (ip[0] >> 4 == 6) {
        ip[0] |= tos >> 4;
        ip[1] |= (uint8_t)(tos << 4);
        return;
    }
    ip[1] = tos;
    checksum_put(ip, IP_SIZE, 10);
}

bool peer_keeps_turn;

void peer_send(const struct segment *segment)
{
    static uint8_t frame[66000];
    bool is_v6 = segment->family == AF_INET6;
    size_t header_size = 20 + (segment->option_size + 3) / 4 * 4;
    size_t tcp_size = header_size + segment->size;
    size_t at = write_headers(frame, segment->family, 6, is_v6 ? PEER_IP6 : PEER_IP, is_v6 ? STACK_IP6 : STACK_IP, tcp_size);
    uint8_t *tcp = frame + at;

    write_tos(frame + ETHERNET_SIZE, segment->tos);
    memset(tcp, 0, 60);
    write_16(tcp, segment->source_port);
    write_16(tcp + 2, segment->port);
    write_32(tcp + 4, segment->sequence);
    write_32(tcp + 8, segment->acknowledgement);
    tcp[12] = (uint8_t)(header_size / 4 << 4);
    tcp[13] = segment->flags;
    write_16(tcp + 14, segment->window);
    memcpy(tcp + 20, segment->options, segment->option_size);
    if (segment->size > 0)
        memcpy(tcp + header_size, segment->data, segment->size);
    if ((segment->header.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) == 0)
        write_16(tcp + 16, ~ip_sum(frame + ETHERNET_SIZE, 6, tcp, tcp_size, true) & 0xffff);
    wire_put(&segment->header, frame, at + tcp_size);
    if (!peer_keeps_turn)
        stack_turn();
}

/* Check the headers below TCP of a frame to the peer. Return: where TCP begins. */
static size_t check_headers(const struct frame *frame)
{
    const uint8_t *ip = frame->bytes + ETHERNET_SIZE;

    ck_assert_mem_eq(frame->bytes, peer_mac, 6);
    ck_assert_mem_eq(frame->bytes + 6, stack_mac, 6);
    if (read_16(frame->bytes + 12) == 0x86dd) {
        ck_assert_uint_eq(ip[0] >> 4, 6);
        ck_assert_uint_eq(ip[6], 6);
        ck_assert_uint_eq(read_16(ip + 4), frame->size - ETHERNET_SIZE - IP6_SIZE);
        return ETHERNET_SIZE + IP6_SIZE;
    }
    ck_assert_uint_eq(read_16(frame->bytes + 12), 0x800);
    ck_assert_uint_eq(ip[0], 0x45);
    ck_assert_uint_eq(ip[9], 6);
    ck_assert_uint_eq(read_16(ip + 2), frame->size - ETHERNET_SIZE);
    ck_assert_uint_eq(checksum_add(0, ip, IP_SIZE), 0xffff);
    return ETHERNET_SIZE + IP_SIZE;
}

struct segment peer_take(void)
{
    const struct frame *frame = wire_take();
    struct segment segment = {0};
    const uint8_t *ip, *tcp;
    size_t header_size, tcp_size, at;

    ck_assert_msg(frame != NULL, "a segment was expected");
    ck_assert_uint_ge(frame->size, ETHERNET_SIZE + IP_SIZE + 20);
    at = check_headers(frame);
    ip = frame->bytes + ETHERNET_SIZE;
    tcp = frame->bytes + at;
    tcp_size = frame->size - at;
    header_size = (size_t)(tcp[12] >> 4) * 4;
    ck_assert_uint_le(header_size, tcp_size);
    segment.family = ip[0] >> 4 == 6 ? AF_INET6 : 0;
    segment.tos = segment.family == AF_INET6 ? (uint8_t)(ip[0] << 4 | ip[1] >> 4) : ip[1];
    segment.source_port = (uint16_t)read_16(tcp);
    segment.port = (uint16_t)read_16(tcp + 2);
    segment.sequence = read_32(tcp + 4);
    segment.acknowledgement = read_32(tcp + 8);
    segment.flags = tcp[13];
    segment.window = (uint16_t)read_16(tcp + 14);
    segment.option_size = header_size - 20;
    memcpy(segment.options, tcp + 20, segment.option_size);
    segment.data = tcp + header_size;
    segment.size = tcp_size - header_size;
    segment.header = frame->header;
    segment.packet_size = at - ETHERNET_SIZE + header_size + (frame->header.gso_type != 0 ? frame->header.gso_size : segment.size);
    if ((frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
        segment.checksum_good = frame->header.csum_start == at && frame->header.csum_offset == 16 &&
                                read_16(tcp + 16) == ip_sum(ip, 6, tcp, tcp_size, false);
    else
        segment.checksum_good = ip_sum(ip, 6, tcp, tcp_size, true) == 0xffff;
    return segment;
}

void peer_say(struct peer *peer, uint8_t flags, const void *data, size_t size)
{
    peer_send(&(struct segment){.family = peer->family, .source_port = peer->port, .port = peer->stack_port, .sequence = peer->sequence,
                                .acknowledgement = (flags & TH_ACK) != 0 ? peer->expected : 0, .flags = flags,
                                .window = peer->window, .data = data, .size = size});
    peer->sequence += (uint32_t)size + ((flags & (TH_SYN | TH_FIN)) != 0 ? 1 : 0);
}

static void on_connected(void *owner)
{
    struct told *told = owner;

    told->connected++;
    if (told->close_connected)
        stack_tcp_close(told->tcp);
}

static void on_accepted(void *owner, struct stack_tcp *child)
{
    struct told *told = owner;

    told->accepted++;
    if (told->refuse)
        return;
    if (told->child_told != NULL)
        told->child_told->tcp = child;
    stack_tcp_adopt(child, &told_events, told->child_told);
    told->child = child;
    if (told->abort_accepted)
        stack_tcp_abort(child);
}

static void on_received(void *owner)
{
    struct told *told = owner;

    told->received++;
    if (told->close_received)
        stack_tcp_close(told->tcp);
    else if (told->abort_received)
        stack_tcp_abort(told->tcp);
    else if (told->echo) {
        char bytes[4096];
        size_t size;

        while ((size = receive_bytes(told->tcp, bytes, sizeof bytes)) > 0)
            send_bytes(told->tcp, bytes, size);
    }
}

static void on_sent(void *owner)
{
    ((struct told *)owner)->sent++;
}

static void on_failed(void *owner, int error)
{
    struct told *told = owner;

    told->failed++;
    told->error = error;
}

const struct stack_tcp_events told_events = {on_connected, on_accepted, on_received, on_sent, on_failed};

union stack_address address_of(const char *ip, uint16_t port)
{
    union stack_address address = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

    if (inet_pton(AF_INET, ip, &address.in.sin_addr) == 1)
        return address;
    address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    ck_assert_int_eq(inet_pton(AF_INET6, ip, &address.in6.sin6_addr), 1);
    return address;
}

struct stack_tcp *open_told(struct told *told)
{
    told->tcp = stack_tcp_open(AF_INET, &told_events, told);
    ck_assert_ptr_nonnull(told->tcp);
    return told->tcp;
}

int bind_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);

    return stack_tcp_bind(tcp, &address);
}

int connect_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);
    int error = stack_tcp_connect(tcp, &address);

    stack_turn();
    return error;
}

uint16_t port_of(const struct stack_tcp *tcp)
{
    union stack_address address;

    ck_assert_int_eq(stack_tcp_local_address(tcp, &address), 0);
    return ntohs(address.in.sin_port);
}

static void connect_on(int family, struct told *told, struct peer *peer)
{
    bool is_v6 = family == AF_INET6;
    union stack_address address = address_of(is_v6 ? PEER_IP6 : PEER_IP, 80);
    struct segment syn;

    if (is_v6)
        peer_resolve6(PEER_IP6);
    else
        peer_resolve();
    wire_drop_all();
    told->tcp = stack_tcp_open(family, &told_events, told);
    ck_assert_ptr_nonnull(told->tcp);
    ck_assert_int_eq(stack_tcp_connect(told->tcp, &address), 0);
    stack_turn();
    syn = peer_take();
    ck_assert_uint_eq(syn.flags, TH_SYN);
    *peer = (struct peer){.family = family, .port = 80, .stack_port = syn.source_port, .sequence = 1000, .expected = syn.sequence + 1,
                          .window = 0xffff};
    peer_send(&(struct segment){.family = family, .source_port = 80, .port = peer->stack_port, .sequence = 1000,
                                .acknowledgement = peer->expected, .flags = TH_SYN | TH_ACK, .window = 0xffff,
                                .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1}, .option_size = 12});
    peer->sequence++;
    ck_assert_uint_eq(told->connected, 1);
    if (told->close_connected)
        return;
    ck_assert_uint_eq(peer_take().flags, TH_ACK);
}

void connect_to_peer(struct told *told, struct peer *peer)
{
    connect_on(AF_INET, told, peer);
}

void connect_to_peer6(struct told *told, struct peer *peer)
{
    connect_on(AF_INET6, told, peer);
}

unsigned peer_handshake_ms;

static void accept_on(int family, struct told *listener, struct told *child, struct peer *peer)
{
    bool is_v6 = family == AF_INET6;
    union stack_address address = address_of(is_v6 ? "::" : "0.0.0.0", 7);
    struct segment answer;

    if (is_v6)
        peer_resolve6(PEER_IP6);
    else
        peer_resolve();
    wire_drop_all();
    listener->child_told = child;
    if (listener->tcp == NULL) {
        listener->tcp = stack_tcp_open(family, &told_events, listener);
        ck_assert_int_eq(stack_tcp_bind(listener->tcp, &address), 0);
        ck_assert_int_eq(stack_tcp_listen(listener->tcp, NULL), 0);
    }
    *peer = (struct peer){.family = family, .port = 40000, .stack_port = 7, .sequence = 5000, .window = 0xffff};
    peer_send(&(struct segment){.family = family, .source_port = 40000, .port = 7, .sequence = 5000, .flags = TH_SYN, .window = 0xffff,
                                .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1}, .option_size = 12});
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    peer->sequence++;
    peer->expected = answer.sequence + 1;
    stack_advance(peer_handshake_ms);
    ck_assert_uint_eq(listener->accepted, 0);
    peer_say(peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(listener->accepted, 1);
}

void accept_from_peer(struct told *listener, struct told *child, struct peer *peer)
{
    accept_on(AF_INET, listener, child, peer);
}

void accept_from_peer6(struct told *listener, struct told *child, struct peer *peer)
{
    accept_on(AF_INET6, listener, child, peer);
}

void send_bytes(struct stack_tcp *tcp, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    while (size > 0) {
        struct iovec iov[STACK_TCP_IOV];
        int pieces = stack_tcp_send_reserve(tcp, size, iov);
        size_t copied = 0;

        ck_assert_int_gt(pieces, 0);
        for (int i = 0; i < pieces; i++) {
            memcpy(iov[i].iov_base, from + copied, iov[i].iov_len);
            copied += iov[i].iov_len;
        }
        ck_assert_uint_le(copied, size);
        from += copied;
        size -= copied;
        ck_assert_int_eq(stack_tcp_send_commit(tcp, copied, size > 0), 0);
    }
}

size_t receive_bytes(struct stack_tcp *tcp, void *bytes, size_t size)
{
    struct iovec iov[64];
    size_t total = 0;

    while (total < size) {
        int pieces = stack_tcp_receive_peek(tcp, iov, 64);
        size_t copied = 0;

        for (int i = 0; i < pieces && total + copied < size; i++) {
            size_t n = iov[i].iov_len < size - total - copied ? iov[i].iov_len : size - total - copied;

            memcpy((uint8_t *)bytes + total + copied, iov[i].iov_base, n);
            copied += n;
        }
        if (copied == 0)
            break;
        stack_tcp_receive_consume(tcp, copied);
        total += copied;
    }
    return total;
}

uint8_t pattern_byte(size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + at / 65521);
}

void pattern_fill(void *bytes, size_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)bytes)[i] = pattern_byte(at + i);
}
