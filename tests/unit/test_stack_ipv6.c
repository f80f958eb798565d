/* test_stack_ipv6.c - TCP over IPv6: addresses of both families, offloads, ICMPv6, and the loopback. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/ip/interface.h"
#include "stack/wire/wire.h"
#include "stack_fixture.h"
#include "tests/suite.h"

static uint8_t data[200000], got[200000];

static void setup_plain(void)
{
    stack_setup_dual(0);
}

static void setup_offload(void)
{
    stack_setup_dual(WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6);
}

static struct stack_tcp *open_bound(int family, const char *ip, uint16_t port)
{
    struct stack_tcp *tcp = stack_tcp_open(family, &told_events, NULL);
    union stack_address address = address_of(ip, port);

    ck_assert_ptr_nonnull(tcp);
    ck_assert_int_eq(stack_tcp_bind(tcp, &address), 0);
    return tcp;
}

static void assert_address(const union stack_address *address, const char *ip)
{
    char text[INET6_ADDRSTRLEN];

    ck_assert_int_eq(address->sa.sa_family, AF_INET6);
    ck_assert_str_eq(inet_ntop(AF_INET6, &address->in6.sin6_addr, text, sizeof text), ip);
}

/* Data goes both ways, and both sides end. */
static void talk(struct stack_tcp *tcp, struct peer *peer)
{
    struct segment segment;

    send_bytes(tcp, "question", 8);
    stack_flush();
    segment = peer_take();
    ck_assert_int_eq(segment.family, AF_INET6);
    ck_assert(segment.checksum_good);
    ck_assert_uint_eq(segment.size, 8);
    ck_assert_mem_eq(segment.data, "question", 8);
    peer->expected += 8;
    peer_say(peer, TH_ACK | TH_PUSH, "answer", 6);
    ck_assert_uint_eq(receive_bytes(tcp, got, sizeof got), 6);
    ck_assert_mem_eq(got, "answer", 6);
    peer_say(peer, TH_ACK | TH_FIN, NULL, 0);
    ck_assert(stack_tcp_receive_ended(tcp));
    stack_tcp_close(tcp);
    stack_turn();
}

START_TEST(connection_to_the_peer_carries_data)
{
    struct told told = {0};
    struct peer peer;
    union stack_address address;

    connect_to_peer6(&told, &peer);
    ck_assert_int_eq(stack_tcp_local_address(told.tcp, &address), 0);
    assert_address(&address, STACK_IP6);
    ck_assert_int_eq(stack_tcp_peer_address(told.tcp, &address), 0);
    assert_address(&address, PEER_IP6);
    talk(told.tcp, &peer);
}
END_TEST

START_TEST(listener_on_any_takes_both_families)
{
    struct told listener = {0}, six = {0}, four = {0};
    struct peer peer6, peer4;
    union stack_address address;

    accept_from_peer6(&listener, &six, &peer6);
    ck_assert_int_eq(stack_tcp_peer_address(six.tcp, &address), 0);
    assert_address(&address, PEER_IP6);
    listener.accepted = 0;
    accept_from_peer(&listener, &four, &peer4);
    ck_assert_int_eq(stack_tcp_peer_address(four.tcp, &address), 0);
    assert_address(&address, "::ffff:" PEER_IP);
    ck_assert_int_eq(stack_tcp_local_address(four.tcp, &address), 0);
    assert_address(&address, "::ffff:" STACK_IP);
    talk(six.tcp, &peer6);
    stack_tcp_close(four.tcp);
    stack_tcp_close(listener.tcp);
}
END_TEST

START_TEST(listener_with_v6only_leaves_ipv4_alone)
{
    struct told listener = {.tcp = stack_tcp_open(AF_INET6, &told_events, &listener)};
    union stack_address any = address_of("::", 7), any4 = address_of("0.0.0.0", 7);
    struct stack_tcp *four = stack_tcp_open(AF_INET, &told_events, NULL);

    ck_assert_int_eq(stack_tcp_set_option(listener.tcp, STACK_IPV6_V6ONLY, 1), 0);
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &any), 0);
    ck_assert_int_eq(stack_tcp_set_option(listener.tcp, STACK_IPV6_V6ONLY, 0), -EINVAL); /* too late */
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
    peer_resolve();
    wire_drop_all();
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 1, .flags = TH_SYN, .window = 1000});
    ck_assert_uint_eq(peer_take().flags, TH_RST | TH_ACK);
    ck_assert_int_eq(stack_tcp_bind(four, &any4), 0);
    stack_tcp_close(four);
    stack_tcp_close(listener.tcp);
}
END_TEST

/* What is bound first, what then, and what the second gets (Linux: inet_rcv_saddr_equal()). */
static const struct {
    int family;
    const char *ip;
    bool v6only;
    int other_family;
    const char *other_ip;
    bool other_v6only;
    int result;
} pairs[] = {
    {AF_INET6, "::", false, AF_INET, "0.0.0.0", false, -EADDRINUSE},
    {AF_INET6, "::", false, AF_INET, STACK_IP, false, -EADDRINUSE},
    {AF_INET6, "::", true, AF_INET, "0.0.0.0", false, 0},
    {AF_INET6, "::", true, AF_INET6, "::", true, -EADDRINUSE},
    {AF_INET6, "::", true, AF_INET6, "::", false, -EADDRINUSE},
    {AF_INET6, "::", true, AF_INET6, "::ffff:127.0.0.1", false, 0},
    {AF_INET6, "::", false, AF_INET6, "::ffff:127.0.0.1", false, -EADDRINUSE},
    {AF_INET6, "::1", false, AF_INET, "127.0.0.1", false, 0},
    {AF_INET6, "::1", false, AF_INET, "0.0.0.0", false, 0},
    {AF_INET6, "::1", false, AF_INET6, "::", false, -EADDRINUSE},
    {AF_INET6, "::1", false, AF_INET6, STACK_IP6, false, 0},
    {AF_INET6, "::ffff:127.0.0.1", false, AF_INET, "127.0.0.1", false, -EADDRINUSE},
    {AF_INET6, "::ffff:127.0.0.1", false, AF_INET, STACK_IP, false, 0},
    {AF_INET6, "::ffff:0.0.0.0", false, AF_INET, STACK_IP, false, -EADDRINUSE},
    {AF_INET6, "::ffff:0.0.0.0", false, AF_INET6, STACK_IP6, false, 0},
    {AF_INET, "0.0.0.0", false, AF_INET6, "::", false, -EADDRINUSE},
    {AF_INET, "0.0.0.0", false, AF_INET6, "::", true, 0},
    {AF_INET, STACK_IP, false, AF_INET6, STACK_IP6, false, 0},
};

START_TEST(addresses_are_in_use_as_on_linux)
{
    struct stack_tcp *first = stack_tcp_open(pairs[_i].family, &told_events, NULL);
    struct stack_tcp *second = stack_tcp_open(pairs[_i].other_family, &told_events, NULL);
    union stack_address address = address_of(pairs[_i].ip, 99), other = address_of(pairs[_i].other_ip, 99);

    if (pairs[_i].v6only)
        ck_assert_int_eq(stack_tcp_set_option(first, STACK_IPV6_V6ONLY, 1), 0);
    if (pairs[_i].other_v6only)
        ck_assert_int_eq(stack_tcp_set_option(second, STACK_IPV6_V6ONLY, 1), 0);
    ck_assert_int_eq(stack_tcp_bind(first, &address), 0);
    ck_assert_int_eq(stack_tcp_bind(second, &other), pairs[_i].result);
    stack_tcp_close(first);
    stack_tcp_close(second);
}
END_TEST

START_TEST(addresses_that_can_not_be_bound)
{
    static const struct {
        const char *ip;
        uint32_t scope;
        int result;
    } rows[] = {{"fd00:1::9", 0, -EADDRNOTAVAIL}, {STACK_LINK_LOCAL, 0, -EINVAL},      {STACK_LINK_LOCAL, 9, -ENODEV},
                {STACK_LINK_LOCAL, 2, 0},         {STACK_LINK_LOCAL, 1, -EADDRNOTAVAIL}, {"ff02::1", 2, -EINVAL},
                {PEER_LINK_LOCAL, 2, -EADDRNOTAVAIL}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stack_tcp *tcp = stack_tcp_open(AF_INET6, &told_events, NULL);
        union stack_address address = address_of(rows[i].ip, 0);

        address.in6.sin6_scope_id = rows[i].scope;
        ck_assert_int_eq(stack_tcp_bind(tcp, &address), rows[i].result);
        if (rows[i].result == 0) {
            ck_assert_int_eq(stack_tcp_get_option(tcp, STACK_IPV6_V6ONLY), 1); /* as Linux shows it */
            ck_assert_int_eq(stack_tcp_local_address(tcp, &address), 0);
            ck_assert_uint_eq(address.in6.sin6_scope_id, 2);
        }
        stack_tcp_close(tcp);
    }
}
END_TEST

START_TEST(addresses_that_can_not_be_reached)
{
    static const struct {
        const char *from, *to;
        int result;
    } rows[] = {{NULL, PEER_LINK_LOCAL, -EINVAL},   {NULL, "ff02::1", -ENETUNREACH},
                {STACK_IP6, "::ffff:" PEER_IP, -ENETUNREACH}, {"::ffff:" STACK_IP, PEER_IP6, -EAFNOSUPPORT},
                {NULL, "::ffff:10.1.0.255", -ENETUNREACH},    {NULL, PEER_IP, -EAFNOSUPPORT}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct stack_tcp *tcp = rows[i].from != NULL ? open_bound(AF_INET6, rows[i].from, 0)
                                                     : stack_tcp_open(AF_INET6, &told_events, NULL);
        union stack_address peer = address_of(rows[i].to, 80);

        ck_assert_int_eq(stack_tcp_connect(tcp, &peer), rows[i].result);
        stack_tcp_close(tcp);
    }
}
END_TEST

START_TEST(mapped_address_is_reached_by_ipv4)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of("::ffff:" PEER_IP, 80), address;
    struct segment syn;

    peer_resolve();
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    syn = peer_take();
    ck_assert_int_eq(syn.family, 0);
    ck_assert_uint_eq(syn.flags, TH_SYN);
    ck_assert_int_eq(stack_tcp_local_address(told.tcp, &address), 0);
    assert_address(&address, "::ffff:" STACK_IP);
    stack_tcp_close(told.tcp);
}
END_TEST

/* A connection within the stack, to this address. */
static void talk_to_self(const char *ip, uint32_t scope, uint16_t port)
{
    struct told listener = {.tcp = stack_tcp_open(AF_INET6, &told_events, &listener)}, child = {0};
    struct told client = {.tcp = stack_tcp_open(AF_INET6, &told_events, &client)};
    union stack_address any = address_of("::", port), peer = address_of(ip, port);

    peer.in6.sin6_scope_id = scope;
    listener.child_told = &child;
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &any), 0);
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
    ck_assert_int_eq(stack_tcp_connect(client.tcp, &peer), 0);
    stack_turn();
    ck_assert_uint_eq(client.connected, 1);
    ck_assert_uint_eq(listener.accepted, 1);
    pattern_fill(data, 0, 100000);
    send_bytes(client.tcp, data, 100000);
    for (size_t at = 0; at < 100000;) {
        size_t size;

        stack_advance(100); /* for an acknowledgement that was delayed */
        size = receive_bytes(child.tcp, got + at, sizeof got - at);
        ck_assert_uint_gt(size, 0);
        at += size;
    }
    ck_assert_mem_eq(got, data, 100000);
    stack_tcp_close(client.tcp);
    stack_tcp_close(child.tcp);
    stack_tcp_close(listener.tcp);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
}

START_TEST(own_addresses_stay_inside)
{
    talk_to_self("::1", 0, 7);
    talk_to_self(STACK_IP6, 0, 8);
    talk_to_self(STACK_LINK_LOCAL, STACK_INTERFACE_WIRE, 9);
    talk_to_self("::", 0, 10);
}
END_TEST

/* An ICMPv6 error that quotes a SYN of ours. */
static void send_error(uint8_t type, uint8_t code, uint32_t value, const struct segment *syn, bool good)
{
    uint8_t message[8 + 40 + 20] = {type, code};
    uint8_t *quoted = message + 8;

    *(uint32_t *)(void *)(message + 4) = htonl(value);
    quoted[0] = 0x60;
    quoted[5] = 20;
    quoted[6] = IPPROTO_TCP;
    inet_pton(AF_INET6, STACK_IP6, quoted + 8);
    inet_pton(AF_INET6, PEER_IP6, quoted + 24);
    *(uint16_t *)(void *)(quoted + 40) = htons(syn->source_port);
    *(uint16_t *)(void *)(quoted + 42) = htons(syn->port);
    *(uint32_t *)(void *)(quoted + 44) = htonl(syn->sequence);
    *(uint16_t *)(void *)(message + 2) =
        htons((uint16_t)(packet_checksum(PEER_IP6, STACK_IP6, IPPROTO_ICMPV6, message, sizeof message) + !good));
    packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_ICMPV6, .ttl = 64,
                                 .data = message, .size = sizeof message});
}

START_TEST(icmp_error_fails_a_connect)
{
    static const struct {
        uint8_t type, code;
        int error;
    } rows[] = {{1, 0, ENETUNREACH}, {1, 1, EACCES},       {1, 3, EHOSTUNREACH}, {1, 4, ECONNREFUSED}, {1, 6, EACCES},
                {1, 7, EPROTO},      {3, 0, EHOSTUNREACH}, {4, 1, EPROTO},       {2, 0, 0},            {200, 0, 0}};

    peer_resolve6(PEER_IP6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
        union stack_address peer = address_of(PEER_IP6, 80);
        struct segment syn, wrong;

        wire_drop_all();
        ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
        wrong = syn = peer_take();
        wrong.sequence += 1000;
        send_error(rows[i].type, rows[i].code, 0, &wrong, true);
        send_error(rows[i].type, rows[i].code, 0, &syn, false);
        ck_assert_uint_eq(told.failed, 0);
        send_error(rows[i].type, rows[i].code, 0, &syn, true);
        ck_assert_int_eq(told.error, rows[i].error);
        stack_tcp_close(told.tcp);
    }
}
END_TEST

START_TEST(bulk_data_is_sent_as_gso_frames)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer6(&told, &peer);
    pattern_fill(data, 0, 14000);
    send_bytes(told.tcp, data, 14000);
    stack_flush();
    segment = peer_take();
    ck_assert(segment.checksum_good);
    ck_assert_uint_eq(segment.header.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
    ck_assert_uint_eq(segment.header.gso_size, 1440);
    ck_assert_uint_eq(segment.header.csum_start, 14 + 40);
    ck_assert_uint_eq(segment.size, 14000);
    ck_assert_mem_eq(segment.data, data, segment.size);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(super_segment_is_received_whole)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;
    size_t size = 60000;

    connect_to_peer6(&told, &peer);
    pattern_fill(data, 0, size);
    segment = (struct segment){.family = AF_INET6, .source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                               .acknowledgement = peer.expected, .flags = TH_ACK, .window = 1000, .data = data,
                               .size = size};
    segment.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6,
                                             .csum_start = 54, .csum_offset = 16, .gso_size = 1440, .hdr_len = 74};
    peer_send(&segment);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), size);
    ck_assert_mem_eq(got, data, size);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(syn_to_time_wait_begins_anew)
{
    struct told listener = {0}, child = {0}, second = {0};
    struct peer peer;

    accept_from_peer6(&listener, &child, &peer);
    stack_tcp_close(child.tcp);
    stack_turn();
    ck_assert_uint_eq(peer_take().flags & TH_FIN, TH_FIN);
    peer.expected++;
    peer_say(&peer, TH_ACK, NULL, 0);
    peer_say(&peer, TH_ACK | TH_FIN, NULL, 0);
    wire_drop_all();
    listener.child_told = &second;
    peer_send(&(struct segment){.family = AF_INET6, .source_port = 40000, .port = 7, .sequence = peer.sequence + 100000,
                                .flags = TH_SYN, .window = 1000});
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    stack_tcp_close(listener.tcp);
}
END_TEST

/* Frames that begin like good ones. */
START_TEST(whatever_comes_the_stack_goes_on)
{
    static const uint8_t next_headers[] = {0, 6, 17, 43, 44, 50, 51, 58, 59, 60, 135, 255};
    struct stack_tcp *listener = open_bound(AF_INET6, "::", 7);
    uint8_t payload[600];

    ck_assert_int_eq(stack_tcp_listen(listener, NULL), 0);
    srand((unsigned)_i);
    for (int i = 0; i < 3000; i++) {
        size_t size = (size_t)rand() % sizeof payload;

        for (size_t at = 0; at < size; at++)
            payload[at] = (uint8_t)(rand() % 4 == 0 ? rand() : rand() % 8);
        if (size > 4 && rand() % 2 == 0) { /* ICMPv6 with a good sum */
            payload[0] = (uint8_t)(rand() % 2 == 0 ? 128 + rand() % 16 : rand() % 6);
            payload[2] = payload[3] = 0;
            *(uint16_t *)(void *)(payload + 2) = htons(packet_checksum(PEER_IP6, STACK_IP6, IPPROTO_ICMPV6, payload, size));
            packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_ICMPV6,
                                         .ttl = 255, .data = payload, .size = size});
        } else {
            packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6,
                                         .protocol = next_headers[rand() % (int)sizeof next_headers], .ttl = 64,
                                         .data = payload, .size = size});
        }
        wire_drop_all();
    }
    stack_advance(70000);
    wire_drop_all();
    stack_tcp_close(listener);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack ipv6");
    TCase *plain = tcase_create("plain"), *offload = tcase_create("offload");

    tcase_add_checked_fixture(plain, setup_plain, stack_teardown);
    tcase_add_test(plain, connection_to_the_peer_carries_data);
    tcase_add_test(plain, listener_on_any_takes_both_families);
    tcase_add_test(plain, listener_with_v6only_leaves_ipv4_alone);
    tcase_add_loop_test(plain, addresses_are_in_use_as_on_linux, 0, (int)(sizeof pairs / sizeof *pairs));
    tcase_add_test(plain, addresses_that_can_not_be_bound);
    tcase_add_test(plain, addresses_that_can_not_be_reached);
    tcase_add_test(plain, mapped_address_is_reached_by_ipv4);
    tcase_add_test(plain, own_addresses_stay_inside);
    tcase_add_test(plain, icmp_error_fails_a_connect);
    tcase_add_test(plain, syn_to_time_wait_begins_anew);
    tcase_add_loop_test(plain, whatever_comes_the_stack_goes_on, 0, 8);
    tcase_add_checked_fixture(offload, setup_offload, stack_teardown);
    tcase_add_test(offload, connection_to_the_peer_carries_data);
    tcase_add_test(offload, bulk_data_is_sent_as_gso_frames);
    tcase_add_test(offload, super_segment_is_received_whole);
    suite_add_tcase(suite, plain);
    suite_add_tcase(suite, offload);
    return suite_run(suite);
}
