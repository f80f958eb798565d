/* test_stack_ping_raw.c - ping sockets and raw sockets, on both families. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

/* Each test runs on both families. */
static const struct family {
    int family;
    const char *any, *loopback, *peer, *own, *wrong;
    uint8_t icmp, request, reply, unreachable, port_code;
    size_t ip_size;
} families[] = {
    {AF_INET, "0.0.0.0", "127.0.0.1", PEER_IP, STACK_IP, "::1", IPPROTO_ICMP, 8, 0, 3, 1, 20},
    {AF_INET6, "::", "::1", PEER_IP6, STACK_IP6, "::ffff:127.0.0.1", IPPROTO_ICMPV6, 128, 129, 1, 3, 40},
};
static const struct family *family;

static void put_sum(const char *source, const char *destination, uint8_t *message, size_t size)
{
    checksum_put(message, size, 2);
    if (family->family == AF_INET6) {
        write_16(message + 2, 0);
        write_16(message + 2, packet_checksum(source, destination, IPPROTO_ICMPV6, message, size));
    }
}

/* Is the sum of an ICMP message that the stack sent right? */
static bool sum_is_good(const struct packet *packet)
{
    uint8_t copy[2048];
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

    memcpy(copy, packet->data, packet->size);
    inet_ntop(family->family, family->family == AF_INET ? (const void *)&packet->from.in.sin_addr
                                                        : &packet->from.in6.sin6_addr, from, sizeof from);
    inet_ntop(family->family, family->family == AF_INET ? (const void *)&packet->to.in.sin_addr
                                                        : &packet->to.in6.sin6_addr, to, sizeof to);
    put_sum(from, to, copy, packet->size);
    return memcmp(copy + 2, packet->data + 2, 2) == 0;
}

/* The peer's ICMP message. */
static void icmp_send(const uint8_t *bytes, size_t size)
{
    uint8_t message[2048];

    memcpy(message, bytes, size);
    put_sum(family->peer, family->own, message, size);
    packet_send(&(struct packet){.source = family->peer, .destination = family->own, .protocol = family->icmp,
                                 .data = message, .size = size});
}

START_TEST(ping_goes_out_and_its_reply_comes_back)
{
    uint8_t request[12] = {family->request, 0, 1, 2, 3, 4, 0, 7, 'd', 'a', 't', 'a'};
    struct packet packet;
    uint16_t identifier;

    heard_open(&one, STACK_DATAGRAM_PING, family->family, 0);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, request, sizeof request), 0);
    packet = packet_take();
    identifier = heard_port(&one);
    ck_assert_uint_ne(identifier, 0);
    ck_assert_uint_eq(packet.protocol, family->icmp);
    ck_assert_uint_eq(packet.size, sizeof request);
    ck_assert_uint_eq(packet.data[4] << 8 | packet.data[5], identifier);
    ck_assert_mem_eq(packet.data + 6, request + 6, 6);
    ck_assert(sum_is_good(&packet));
    request[0] = family->reply;
    request[4] = (uint8_t)(identifier >> 8);
    request[5] = (uint8_t)identifier;
    icmp_send(request, sizeof request);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, sizeof request);
    ck_assert_mem_eq(one.bytes + 4, request + 4, 8);
    ck_assert_uint_eq(one.info.peer.in.sin_port, 0);
    request[5] ^= 1;
    icmp_send(request, sizeof request);
    request[5] ^= 1;
    request[0] = family->request;
    icmp_send(request, sizeof request);
    for (size_t size = 0; size < 8; size++)
        icmp_send(request, size);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(ping_sends_requests_alone)
{
    uint8_t request[8] = {family->request};

    heard_open(&one, STACK_DATAGRAM_PING, family->family, 0);
    ck_assert_int_eq(heard_send(&one, NULL, 0, request, 8), -EDESTADDRREQ);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, request, 7), -EINVAL);
    ck_assert_int_lt(heard_send(&one, family->wrong, 0, request, 8), 0);
    request[1] = 1;
    ck_assert_int_eq(heard_send(&one, family->peer, 0, request, 8), -EINVAL);
    request[1] = 0;
    request[0] = family->reply;
    ck_assert_int_eq(heard_send(&one, family->peer, 0, request, 8), -EINVAL);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(stack_answers_pings_on_its_loopback)
{
    static uint8_t request[65000];
    static const size_t sizes[] = {8, 9, 64, 1480, 1481, 9000, 65000};
    const char *addresses[] = {family->loopback, family->own};

    pattern_fill(request, 0, sizeof request);
    request[0] = family->request;
    request[1] = 0;
    heard_open(&one, STACK_DATAGRAM_PING, family->family, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(heard_connect(&one, addresses[i % 2], 0), 0);
        ck_assert_int_eq(heard_send(&one, NULL, 0, request, sizes[i]), 0);
        ck_assert_uint_eq(one.received, i + 1);
        ck_assert_uint_eq(one.length, sizes[i]);
        ck_assert_uint_eq(one.bytes[0], family->reply);
        ck_assert_mem_eq(one.bytes + 8, request + 8, sizes[i] - 8);
        if (sizes[i] < 2048) {
            uint8_t sum[2] = {one.bytes[2], one.bytes[3]};

            put_sum(addresses[i % 2], addresses[i % 2], one.bytes, one.length);
            ck_assert_mem_eq(sum, one.bytes + 2, 2); /* programs verify it */
        }
        {
            union stack_address unspec = {.sa.sa_family = AF_UNSPEC};

            ck_assert_int_eq(stack_datagram_connect(one.datagram, &unspec), 0);
        }
    }
}
END_TEST

START_TEST(ping_to_all_is_answered_on_ip6)
{
    const char *all = family->family == AF_INET ? "224.0.0.1" : "ff02::1";
    uint8_t request[12] = {family->request, 0, 0, 0, 1, 2};
    struct packet packet;

    put_sum(family->peer, all, request, sizeof request);
    packet_send(&(struct packet){.source = family->peer, .destination = all, .protocol = family->icmp, .data = request,
                                 .size = sizeof request});
    if (family->family == AF_INET) {
        ck_assert_uint_eq(wire_count(), 0);
        return;
    }
    packet = packet_take();
    ck_assert_uint_eq(packet.data[0], family->reply);
    ck_assert(sum_is_good(&packet));
    {
        union stack_address own = any_address_of(STACK_IP6, 0);

        ck_assert_mem_eq(&packet.from, &own, sizeof own);
    }
}
END_TEST

START_TEST(ping_hears_of_errors)
{
    uint8_t request[12] = {family->request}, message[8 + 40 + 12] = {family->unreachable, family->port_code};
    const struct frame *frame;

    heard_open(&one, STACK_DATAGRAM_PING, family->family, 0);
    heard_set(&one, STACK_DATAGRAM_RECEIVE_ERRORS, 1);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, request, sizeof request), 0);
    frame = wire_take();
    memcpy(message + 8, frame->bytes + 14, family->ip_size + sizeof request);
    icmp_send(message, 8 + family->ip_size + sizeof request);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_int_eq((int)one.error.extended.ee_errno, EHOSTUNREACH);
    ck_assert_uint_eq(one.error.length, sizeof request);
    ck_assert_uint_eq(one.bytes[0], family->request);
}
END_TEST

START_TEST(raw_hears_every_packet_of_its_protocol)
{
    static const uint8_t bytes[20] = "some other protocol";
    struct packet packet = {.source = family->peer, .destination = family->own, .protocol = 89, .data = bytes,
                            .size = sizeof bytes};
    size_t header = family->family == AF_INET ? 20 : 0;

    packet_send(&packet);
    ck_assert_uint_eq(wire_count(), 1); /* protocol unreachable */
    wire_drop_all();
    heard_open(&one, STACK_DATAGRAM_RAW, family->family, 89);
    heard_open(&two, STACK_DATAGRAM_RAW, family->family, 89);
    packet_send(&packet);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(one.length, header + sizeof bytes);
    ck_assert_mem_eq(one.bytes + header, bytes, sizeof bytes);
    if (header != 0)
        ck_assert_uint_eq(one.bytes[0], 0x45);
    ck_assert_int_eq(heard_connect(&two, family->loopback, 0), 0);
    {
        union stack_address address = any_address_of(family->own, 0);

        ck_assert_int_eq(stack_datagram_bind(one.datagram, &address), 0);
    }
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(two.received, 1);
    packet.protocol = 90;
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
    heard_set(&one, STACK_DATAGRAM_BIND_INTERFACE, 1);
    packet.protocol = 89;
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
}
END_TEST

START_TEST(raw_hears_what_others_hear)
{
    size_t header = family->family == AF_INET ? 20 : 0;

    heard_open(&one, STACK_DATAGRAM_RAW, family->family, IPPROTO_UDP);
    heard_open_udp(&two, family->any, 53);
    peer_udp(family->peer, 1, family->own, 53, "data", 4);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(one.length, header + 12);
    ck_assert_mem_eq(one.bytes + header + 8, "data", 4);
    ck_assert_int_eq(heard_send(&two, family->loopback, 53, "data", 4), 0);
    ck_assert_uint_eq(one.received, 2);
}
END_TEST

START_TEST(raw_filters_icmp)
{
    uint8_t reply[8] = {family->reply};
    uint32_t filter[8] = {0};

    heard_open(&one, STACK_DATAGRAM_RAW, family->family, family->icmp);
    icmp_send(reply, sizeof reply);
    ck_assert_uint_eq(one.received, 1);
    filter[family->reply / 32] = 1u << family->reply % 32;
    stack_datagram_set_filter(one.datagram, filter);
    icmp_send(reply, sizeof reply);
    ck_assert_uint_eq(one.received, 1);
    reply[0] = family->request;
    icmp_send(reply, sizeof reply);
    ck_assert_uint_eq(one.received, 2);
}
END_TEST

START_TEST(raw_sends_its_protocol)
{
    uint8_t bytes[3000] = {1, 2, 3, 4, 5};
    struct packet packet;

    heard_open(&one, STACK_DATAGRAM_RAW, family->family, 89);
    ck_assert_uint_eq(heard_port(&one), 89);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, bytes, 100), 0);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, 89);
    ck_assert_uint_eq(packet.size, 100);
    ck_assert_mem_eq(packet.data, bytes, 100);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, bytes, sizeof bytes), 0);
    ck_assert_uint_ge(wire_count(), 2);
    wire_drop_all();
    ck_assert_int_eq(heard_send(&one, family->wrong, 0, bytes, 10) < 0, 1);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, 10), -EDESTADDRREQ);
    if (family->family == AF_INET6) {
        heard_set(&one, STACK_DATAGRAM_CHECKSUM, 2);
        ck_assert_int_eq(heard_send(&one, family->peer, 0, bytes, 3), -EINVAL);
        ck_assert_int_eq(heard_send(&one, family->peer, 0, bytes, 101), 0);
        packet = packet_take();
        bytes[2] = bytes[3] = 0;
        ck_assert_uint_eq(packet_checksum(family->own, family->peer, 89, bytes, 101),
                          packet.data[2] << 8 | packet.data[3]);
    }
}
END_TEST

START_TEST(raw_checksum_is_verified_when_asked)
{
    uint8_t bytes[10] = {0, 0, 0, 0, 7};
    struct packet packet = {.source = PEER_IP6, .destination = STACK_IP6, .protocol = 89, .data = bytes,
                            .size = sizeof bytes};
    uint16_t sum = packet_checksum(PEER_IP6, STACK_IP6, 89, bytes, sizeof bytes);

    heard_open(&one, STACK_DATAGRAM_RAW, AF_INET6, 89);
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    heard_set(&one, STACK_DATAGRAM_CHECKSUM, 2);
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    bytes[2] = (uint8_t)(sum >> 8);
    bytes[3] = (uint8_t)sum;
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
}
END_TEST

START_TEST(raw_header_is_the_programs)
{
    uint8_t bytes[24 + 4] = {0x46, 0x20, 0, 0, 0, 0, 0, 0, 9, 200, 0, 0, 0, 0, 0, 0, 10, 1, 0, 1, 1, 1, 1, 1, 'd', 'a', 't', 'a'};
    static uint8_t large[1501] = {0x45};
    struct packet packet;

    heard_open(&one, STACK_DATAGRAM_RAW, AF_INET, IPPROTO_RAW);
    ck_assert_int_eq(stack_datagram_get_option(one.datagram, STACK_DATAGRAM_HEADER_INCLUDED), 1);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, bytes, sizeof bytes), 0);
    packet = packet_take(); /* checks length and sum */
    ck_assert_uint_eq(packet.protocol, 200);
    ck_assert_uint_eq(packet.ttl, 9);
    ck_assert_uint_eq(packet.tos, 0x20);
    ck_assert_uint_eq(packet.size, 4);
    ck_assert_uint_eq(packet.from.in.sin_addr.s_addr, inet_addr(STACK_IP));
    ck_assert_mem_eq(packet.data, "data", 4);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, bytes, 19), -EINVAL);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, bytes, 23), -EINVAL);
    bytes[0] = 0x44;
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, bytes, sizeof bytes), -EINVAL);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, large, sizeof large), -EMSGSIZE);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, large, 1500), 0);
    ck_assert_uint_eq(wire_count(), 1);
}
END_TEST

START_TEST(raw_header_of_ip6_is_the_programs)
{
    uint8_t bytes[44] = {0x60, 0, 0, 0, 0, 4, 200, 9};
    struct packet packet;

    inet_pton(AF_INET6, STACK_IP6, bytes + 8);
    inet_pton(AF_INET6, PEER_IP6, bytes + 24);
    heard_open(&one, STACK_DATAGRAM_RAW, AF_INET6, IPPROTO_RAW);
    ck_assert_int_eq(heard_send(&one, PEER_IP6, 0, bytes, sizeof bytes), 0);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, 200);
    ck_assert_uint_eq(packet.ttl, 9);
    ck_assert_int_eq(heard_send(&one, PEER_IP6, 0, bytes, 39), -EINVAL);
}
END_TEST

START_TEST(raw_hears_of_errors)
{
    uint8_t bytes[12] = {1, 2, 3}, message[8 + 40 + 12] = {family->unreachable, family->port_code};
    const struct frame *frame;

    heard_open(&one, STACK_DATAGRAM_RAW, family->family, 89);
    heard_open(&two, STACK_DATAGRAM_RAW, family->family, 89);
    heard_set(&one, STACK_DATAGRAM_RECEIVE_ERRORS, 1);
    ck_assert_int_eq(heard_send(&one, family->peer, 0, bytes, sizeof bytes), 0);
    frame = wire_take();
    memcpy(message + 8, frame->bytes + 14, family->ip_size + sizeof bytes);
    icmp_send(message, 8 + family->ip_size + sizeof bytes);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_int_eq((int)one.error.extended.ee_errno, EHOSTUNREACH);
    ck_assert_uint_eq(one.error.length, sizeof bytes);
    ck_assert_uint_eq(two.failed, 0);
}
END_TEST

static void setup_family_0(void)
{
    family = &families[0];
    heard_setup();
}

static void setup_family_1(void)
{
    family = &families[1];
    heard_setup();
}

int main(void)
{
    static void (*const setups[])(void) = {setup_family_0, setup_family_1};
    Suite *suite = suite_create("ping and raw");

    for (int i = 0; i < 2; i++) {
        TCase *tcase = tcase_create(i == 0 ? "IPv4" : "IPv6");

        tcase_add_checked_fixture(tcase, setups[i], heard_teardown);
        tcase_add_test(tcase, ping_goes_out_and_its_reply_comes_back);
        tcase_add_test(tcase, ping_sends_requests_alone);
        tcase_add_test(tcase, stack_answers_pings_on_its_loopback);
        tcase_add_test(tcase, ping_to_all_is_answered_on_ip6);
        tcase_add_test(tcase, ping_hears_of_errors);
        tcase_add_test(tcase, raw_hears_every_packet_of_its_protocol);
        tcase_add_test(tcase, raw_hears_what_others_hear);
        tcase_add_test(tcase, raw_filters_icmp);
        tcase_add_test(tcase, raw_sends_its_protocol);
        tcase_add_test(tcase, raw_hears_of_errors);
        if (i == 0)
            tcase_add_test(tcase, raw_header_is_the_programs);
        else
            tcase_add_test(tcase, raw_header_of_ip6_is_the_programs);
        if (i == 1)
            tcase_add_test(tcase, raw_checksum_is_verified_when_asked);
        suite_add_tcase(suite, tcase);
    }
    return suite_run(suite);
}
