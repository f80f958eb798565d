/* datagram_fixture.c - datagram sockets that write down what they are told, and the peer's packets. */
#include "datagram_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/ip.h>
#include <string.h>

#include "stack/bytes.h"
#include "stack/ip/interface.h"
#include "tests/checksum.h"

#define ETHERNET_SIZE 14
#define IP4_SIZE 20
#define IP6_SIZE 40
#define UDP_SIZE 8

struct heard one, two, three;

static bool on_received(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                        size_t length)
{
    struct heard *heard = owner;
    size_t at = 0;

    if (heard->full)
        return false;
    for (int i = 0; i < count; i++) {
        ck_assert_uint_le(at + iov[i].iov_len, sizeof heard->bytes);
        memcpy(heard->bytes + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    ck_assert_uint_eq(at, length);
    heard->length = length;
    heard->info = *info;
    heard->received++;
    if (heard->close_received)
        heard_close(heard);
    return true;
}

static void on_failed(void *owner, const struct stack_datagram_error *error)
{
    struct heard *heard = owner;

    heard->failed++;
    heard->error = *error;
    ck_assert_uint_le(error->length, sizeof heard->bytes);
    if (error->length > 0)
        memcpy(heard->bytes, error->payload, error->length);
    heard->length = error->length;
    heard->error.payload = heard->bytes;
}

static const struct stack_datagram_events events = {.received = on_received, .failed = on_failed};

union stack_address any_address_of(const char *ip, uint16_t port)
{
    union stack_address address;

    memset(&address, 0, sizeof address);
    if (inet_pton(AF_INET, ip, &address.in.sin_addr) == 1) {
        address.in.sin_family = AF_INET;
        address.in.sin_port = htons(port);
        return address;
    }
    ck_assert_int_eq(inet_pton(AF_INET6, ip, &address.in6.sin6_addr), 1);
    address.in6.sin6_family = AF_INET6;
    address.in6.sin6_port = htons(port);
    if (IN6_IS_ADDR_LINKLOCAL(&address.in6.sin6_addr))
        address.in6.sin6_scope_id = 2;
    return address;
}

bool is_address(const union stack_address *address, const char *ip, uint16_t port)
{
    union stack_address expected = any_address_of(ip, port);

    return memcmp(address, &expected, sizeof expected) == 0;
}

void heard_open(struct heard *heard, enum stack_datagram_kind kind, int family, int protocol)
{
    memset(heard, 0, sizeof *heard);
    heard->datagram = stack_datagram_open(kind, family, protocol, &events, heard);
    ck_assert_ptr_nonnull(heard->datagram);
}

void heard_open_udp(struct heard *heard, const char *ip, uint16_t port)
{
    union stack_address address = any_address_of(ip, port);

    heard_open(heard, STACK_DATAGRAM_UDP, address.sa.sa_family, 0);
    ck_assert_int_eq(stack_datagram_bind(heard->datagram, &address), 0);
}

void heard_open_udp4(struct heard *heard)
{
    heard_open(heard, STACK_DATAGRAM_UDP, AF_INET, 0);
}

void heard_close(struct heard *heard)
{
    if (heard->datagram != NULL)
        stack_datagram_close(heard->datagram);
    heard->datagram = NULL;
}

int heard_send(struct heard *heard, const char *ip, uint16_t port, const void *bytes, size_t size)
{
    struct stack_datagram_info info = {.ttl = -1, .tos = -1};
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    int error;

    if (ip != NULL)
        info.peer = any_address_of(ip, port);
    error = stack_datagram_send(heard->datagram, &info, &iov, 1, size);
    stack_turn();
    return error;
}

int heard_bind(struct heard *heard, const char *ip, uint16_t port)
{
    union stack_address address = any_address_of(ip, port);

    return stack_datagram_bind(heard->datagram, &address);
}

int heard_connect(struct heard *heard, const char *ip, uint16_t port)
{
    union stack_address address = any_address_of(ip, port);

    return stack_datagram_connect(heard->datagram, &address);
}

uint16_t heard_port(const struct heard *heard)
{
    union stack_address address;

    ck_assert_int_eq(stack_datagram_local_address(heard->datagram, &address), 0);
    return ntohs(address.in.sin_port);
}

void heard_set(struct heard *heard, enum stack_datagram_option option, int value)
{
    ck_assert_int_eq(stack_datagram_set_option(heard->datagram, option, value), 0);
}

void heard_setup(void)
{
    stack_setup_both();
}

void heard_setup_ip4(void)
{
    stack_setup_plain();
    peer_resolve();
}

void heard_setup_offload(void)
{
    stack_setup_offload();
    peer_resolve();
}

void heard_teardown(void)
{
    heard_close(&one);
    heard_close(&two);
    heard_close(&three);
    ck_assert_uint_eq(counters_now().datagram_sockets, 0);
    stack_teardown();
}

/* Return: the sum of the pseudo header. */
static uint32_t pseudo_sum(const union stack_address *from, const union stack_address *to, uint8_t protocol, size_t size)
{
    uint32_t sum = protocol + (uint32_t)size;

    if (from->sa.sa_family == AF_INET) {
        sum = checksum_add(sum, (const uint8_t *)&from->in.sin_addr, 4);
        return checksum_add(sum, (const uint8_t *)&to->in.sin_addr, 4);
    }
    sum = checksum_add(sum, (const uint8_t *)&from->in6.sin6_addr, 16);
    return checksum_add(sum, (const uint8_t *)&to->in6.sin6_addr, 16);
}

uint16_t packet_checksum(const char *source, const char *destination, uint8_t protocol, const void *data, size_t size)
{
    union stack_address from = any_address_of(source, 0), to = any_address_of(destination, 0);
    uint16_t sum = (uint16_t)~checksum_add(pseudo_sum(&from, &to, protocol, size), data, size);

    return sum == 0 ? 0xffff : sum;
}

/* Where frames to this address go. */
static void write_destination_mac(uint8_t mac[6], const union stack_address *to)
{
    const uint8_t *ip = (const uint8_t *)&to->in.sin_addr;

    memcpy(mac, stack_mac, 6);
    if (to->sa.sa_family == AF_INET6) {
        if (to->in6.sin6_addr.s6_addr[0] == 0xff) {
            mac[0] = mac[1] = 0x33;
            memcpy(mac + 2, to->in6.sin6_addr.s6_addr + 12, 4);
        }
    } else if (ip[3] == 255) {
        memset(mac, 0xff, 6);
    } else if (ip[0] >= 224 && ip[0] < 240) {
        memcpy(mac, (uint8_t[]){1, 0, 0x5e, ip[1] & 0x7f, ip[2], ip[3]}, 6);
    }
}

void packet_send(const struct packet *packet)
{
    static uint8_t frame[66000];
    union stack_address from = any_address_of(packet->source, 0), to = any_address_of(packet->destination, 0);
    uint8_t *ip = frame + ETHERNET_SIZE;
    size_t ip_size = to.sa.sa_family == AF_INET ? IP4_SIZE : IP6_SIZE;

    memset(frame, 0, ETHERNET_SIZE + IP6_SIZE);
    write_destination_mac(frame, &to);
    memcpy(frame + 6, peer_mac, 6);
    if (to.sa.sa_family == AF_INET) {
        write_16(frame + 12, 0x800);
        ip[0] = 0x45;
        ip[1] = packet->tos;
        write_16(ip + 2, ip_size + packet->size);
        write_16(ip + 4, packet->identification);
        write_16(ip + 6, packet->offset / 8 | (packet->more_fragments ? IP_MF : 0) |
                             (packet->dont_fragment ? IP_DF : 0));
        ip[8] = packet->ttl != 0 ? packet->ttl : 64;
        ip[9] = packet->protocol;
        memcpy(ip + 12, &from.in.sin_addr, 4);
        memcpy(ip + 16, &to.in.sin_addr, 4);
        write_16(ip + 10, ~checksum_add(0, ip, ip_size) & 0xffff);
    } else {
        write_16(frame + 12, 0x86dd);
        ip[0] = (uint8_t)(0x60 | packet->tos >> 4);
        ip[1] = (uint8_t)(packet->tos << 4);
        write_16(ip + 4, packet->size);
        ip[6] = packet->protocol;
        ip[7] = packet->ttl != 0 ? packet->ttl : 64;
        memcpy(ip + 8, &from.in6.sin6_addr, 16);
        memcpy(ip + 24, &to.in6.sin6_addr, 16);
    }
    ck_assert_uint_le(ETHERNET_SIZE + ip_size + packet->size, sizeof frame);
    memcpy(ip + ip_size, packet->data, packet->size);
    wire_put(&packet->header, frame, ETHERNET_SIZE + ip_size + packet->size);
    stack_turn();
}

void peer_udp(const char *source, uint16_t source_port, const char *destination, uint16_t port, const void *bytes,
              size_t size)
{
    static uint8_t udp[66000];

    ck_assert_uint_le(UDP_SIZE + size, sizeof udp);
    write_16(udp, source_port);
    write_16(udp + 2, port);
    write_16(udp + 4, UDP_SIZE + size);
    write_16(udp + 6, 0);
    if (size > 0)
        memcpy(udp + UDP_SIZE, bytes, size);
    write_16(udp + 6, packet_checksum(source, destination, IPPROTO_UDP, udp, UDP_SIZE + size));
    packet_send(&(struct packet){.source = source, .destination = destination, .protocol = IPPROTO_UDP, .data = udp,
                                 .size = UDP_SIZE + size});
}

/* Read an IPv4 header. */
static void read_ip4(struct packet *packet, const uint8_t *ip, size_t size)
{
    size_t fragment = read_16(ip + 6), header_size = (size_t)(ip[0] & 15) * 4;

    ck_assert(ip[0] >> 4 == 4 && header_size >= IP4_SIZE && header_size <= size);
    ck_assert_uint_eq(read_16(ip + 2), size);
    ck_assert_uint_eq(checksum_add(0, ip, header_size), 0xffff);
    packet->from.sa.sa_family = packet->to.sa.sa_family = AF_INET;
    memcpy(&packet->from.in.sin_addr, ip + 12, 4);
    memcpy(&packet->to.in.sin_addr, ip + 16, 4);
    packet->tos = ip[1];
    packet->identification = (uint16_t)read_16(ip + 4);
    packet->dont_fragment = (fragment & IP_DF) != 0;
    packet->more_fragments = (fragment & IP_MF) != 0;
    packet->offset = (fragment & IP_OFFMASK) * 8;
    packet->ttl = ip[8];
    packet->protocol = ip[9];
    packet->data = ip + header_size;
    packet->size = size - header_size;
}

/* Read an IPv6 header, and a fragment header behind it. */
static void read_ip6(struct packet *packet, const uint8_t *ip, size_t size)
{
    ck_assert_uint_ge(size, IP6_SIZE);
    ck_assert_uint_eq(ip[0] >> 4, 6);
    ck_assert_uint_eq(read_16(ip + 4), size - IP6_SIZE);
    packet->from.sa.sa_family = packet->to.sa.sa_family = AF_INET6;
    memcpy(&packet->from.in6.sin6_addr, ip + 8, 16);
    memcpy(&packet->to.in6.sin6_addr, ip + 24, 16);
    packet->tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
    packet->protocol = ip[6];
    packet->ttl = ip[7];
    packet->data = ip + IP6_SIZE;
    packet->size = size - IP6_SIZE;
    if (packet->protocol == IPPROTO_FRAGMENT) {
        packet->protocol = packet->data[0];
        packet->offset = read_16(packet->data + 2) & 0xfff8;
        packet->more_fragments = (packet->data[3] & 1) != 0;
        packet->identification = (uint16_t)read_16(packet->data + 6);
        packet->data += 8;
        packet->size -= 8;
    }
}

struct packet packet_take(void)
{
    const struct frame *frame = wire_take();
    struct packet packet = {0};
    size_t type;

    ck_assert_msg(frame != NULL, "a packet was expected");
    ck_assert_uint_ge(frame->size, ETHERNET_SIZE + IP4_SIZE);
    type = read_16(frame->bytes + 12);
    ck_assert(type == 0x800 || type == 0x86dd);
    packet.header = frame->header;
    if (type == 0x800)
        read_ip4(&packet, frame->bytes + ETHERNET_SIZE, frame->size - ETHERNET_SIZE);
    else
        read_ip6(&packet, frame->bytes + ETHERNET_SIZE, frame->size - ETHERNET_SIZE);
    if (packet.protocol == IPPROTO_UDP && packet.offset == 0 && packet.size >= UDP_SIZE) {
        uint32_t sum = pseudo_sum(&packet.from, &packet.to, packet.protocol, packet.size);

        packet.from.in.sin_port = htons((uint16_t)read_16(packet.data));
        packet.to.in.sin_port = htons((uint16_t)read_16(packet.data + 2));
        if ((frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
            packet.checksum_good = frame->header.csum_offset == 6 && read_16(packet.data + 6) == sum &&
                                   frame->header.csum_start == packet.data - frame->bytes;
        else
            packet.checksum_good = checksum_add(sum, packet.data, packet.size) == 0xffff ||
                                   (type == 0x800 && read_16(packet.data + 6) == 0);
    }
    return packet;
}

void stack_setup_both(void)
{
    const struct stack_prefix own[] = {{any_address_of(STACK_IP, 0), 24}, {any_address_of(STACK_IP6, 0), 64}};
    const struct stack_route gateways[] = {{.via = any_address_of("10.1.0.254", 0)},
                                           {.to = {.address = any_address_of("::", 0)},
                                            .via = any_address_of("fd00:1::fe", 0)}};

    stack_setup_with(own, 2, gateways, 2);
    peer_resolve();
    peer_resolve6(PEER_IP6);
    peer_resolve6(PEER_LINK_LOCAL);
    wire_drop_all();
}

void peer_resolve6(const char *ip)
{
    uint8_t solicitation[32] = {[0] = 135, [24] = 1, [25] = 1};
    const char *target = strncmp(ip, "fe80", 4) == 0 ? STACK_LINK_LOCAL : STACK_IP6;

    inet_pton(AF_INET6, target, solicitation + 8);
    memcpy(solicitation + 26, peer_mac, 6);
    write_16(solicitation + 2, packet_checksum(ip, target, IPPROTO_ICMPV6, solicitation, sizeof solicitation));
    packet_send(&(struct packet){.source = ip, .destination = target, .protocol = IPPROTO_ICMPV6, .ttl = 255,
                                 .data = solicitation, .size = sizeof solicitation});
    ck_assert_uint_gt(wire_count(), 0); /* it answers */
}

void peer_advertise6(const char *ip)
{
    uint8_t advertisement[32] = {[0] = 136, [4] = 0x60, [24] = 2, [25] = 1};

    inet_pton(AF_INET6, ip, advertisement + 8);
    memcpy(advertisement + 26, peer_mac, 6);
    write_16(advertisement + 2, packet_checksum(ip, STACK_IP6, IPPROTO_ICMPV6, advertisement, sizeof advertisement));
    packet_send(&(struct packet){.source = ip, .destination = STACK_IP6, .protocol = IPPROTO_ICMPV6, .ttl = 255,
                                 .data = advertisement, .size = sizeof advertisement});
}
