/* test_stack_udp6.c - UDP sockets on IPv6, and those that speak both. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "tests/suite.h"

static void open_udp6(struct heard *heard)
{
    heard_open(heard, STACK_DATAGRAM_UDP, AF_INET6, 0);
}

START_TEST(datagram_arrives_with_all_about_it)
{
    heard_open_udp(&one, "::", 53);
    peer_udp(PEER_IP6, 4000, STACK_IP6, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_mem_eq(one.bytes, "query", 5);
    ck_assert(is_address(&one.info.peer, PEER_IP6, 4000));
    ck_assert(is_address(&one.info.local, STACK_IP6, 53));
    ck_assert_uint_eq(one.info.interface, 2);
    ck_assert_int_eq(one.info.ttl, 64);
    peer_udp(PEER_LINK_LOCAL, 4000, STACK_LINK_LOCAL, 53, "query", 5);
    ck_assert_uint_eq(one.received, 2);
    ck_assert(is_address(&one.info.peer, PEER_LINK_LOCAL, 4000));
    ck_assert_uint_eq(one.info.peer.in6.sin6_scope_id, 2);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(dual_socket_hears_both)
{
    heard_open_udp(&one, "::", 53);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert(is_address(&one.info.peer, "::ffff:" PEER_IP, 4000));
    ck_assert(is_address(&one.info.local, "::ffff:" STACK_IP, 53));
    ck_assert_int_eq(heard_send(&one, "::ffff:" PEER_IP, 9, "x", 1), 0);
    {
        struct packet packet = packet_take();

        ck_assert(is_address(&packet.from, STACK_IP, 53));
        ck_assert(packet.checksum_good);
    }
    heard_set(&one, STACK_DATAGRAM_V6ONLY, 1);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_int_eq(heard_send(&one, "::ffff:" PEER_IP, 9, "x", 1), -ENETUNREACH);
    ck_assert_int_eq(heard_connect(&one, "::ffff:" PEER_IP, 9), -ENETUNREACH);
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), -EAFNOSUPPORT);
}
END_TEST

START_TEST(own_family_goes_before_dual)
{
    heard_open(&two, STACK_DATAGRAM_UDP, AF_INET, 0);
    open_udp6(&one);
    heard_set(&one, STACK_DATAGRAM_REUSEADDR, 1);
    heard_set(&two, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(heard_bind(&two, "0.0.0.0", 53), 0);
    ck_assert_int_eq(heard_bind(&one, "::", 53), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    ck_assert_uint_eq(two.received, 1);
    peer_udp(PEER_IP6, 4000, STACK_IP6, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(datagram_leaves_with_a_good_header)
{
    struct packet packet;

    open_udp6(&one);
    heard_set(&one, STACK_DATAGRAM_HOP_LIMIT, 9);
    heard_set(&one, STACK_DATAGRAM_TRAFFIC_CLASS, 0x28);
    ck_assert_int_eq(heard_send(&one, PEER_IP6, 9, "abc", 3), 0);
    packet = packet_take();
    ck_assert(is_address(&packet.from, STACK_IP6, heard_port(&one)));
    ck_assert(is_address(&packet.to, PEER_IP6, 9));
    ck_assert_uint_eq(packet.ttl, 9);
    ck_assert_uint_eq(packet.tos, 0x28);
    ck_assert(packet.checksum_good);
    ck_assert_mem_eq(packet.data + 8, "abc", 3);
    ck_assert_int_eq(heard_send(&one, PEER_LINK_LOCAL, 9, "abc", 3), 0);
    packet = packet_take();
    packet.from.in6.sin6_scope_id = 2;
    ck_assert(is_address(&packet.from, STACK_LINK_LOCAL, heard_port(&one)));
    ck_assert(packet.checksum_good);
    wire_drop_all();
    ck_assert_int_eq(heard_send(&one, "fd00:1::77", 9, "", 0), 0); /* waits for its neighbour */
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(packet_take().protocol, IPPROTO_ICMPV6);
    peer_advertise6("fd00:1::77");
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, IPPROTO_UDP);
    ck_assert(packet.checksum_good);
}
END_TEST

/* Who may share a port with whom. */
static const struct {
    const char *first, *second;
    int v6only[2];
    int result;
} sharing[] = {
    {"::", "::", {0}, -EADDRINUSE},
    {"::", "0.0.0.0", {0}, -EADDRINUSE},
    {"0.0.0.0", "::", {0}, -EADDRINUSE},
    {"::", "0.0.0.0", {1, 0}, 0},
    {"0.0.0.0", "::", {0, 1}, 0},
    {"::", STACK_IP, {0}, -EADDRINUSE},
    {"::", STACK_IP6, {0}, -EADDRINUSE},
    {STACK_IP6, "::", {0}, -EADDRINUSE},
    {STACK_IP6, "0.0.0.0", {0}, 0},
    {"0.0.0.0", STACK_IP6, {0}, 0},
    {STACK_IP6, "::1", {0}, 0},
    {"::ffff:" STACK_IP, STACK_IP, {0}, -EADDRINUSE},
    {"::ffff:" STACK_IP, "127.0.0.1", {0}, 0},
    {"::ffff:" STACK_IP, "::", {0, 1}, 0},
    {"::ffff:" STACK_IP, "::", {0}, -EADDRINUSE},
};

START_TEST(port_is_shared_by_the_rules)
{
    heard_open(&one, STACK_DATAGRAM_UDP, any_address_of(sharing[_i].first, 0).sa.sa_family, 0);
    heard_open(&two, STACK_DATAGRAM_UDP, any_address_of(sharing[_i].second, 0).sa.sa_family, 0);
    heard_set(&one, STACK_DATAGRAM_V6ONLY, sharing[_i].v6only[0]);
    heard_set(&two, STACK_DATAGRAM_V6ONLY, sharing[_i].v6only[1]);
    ck_assert_int_eq(heard_bind(&one, sharing[_i].first, 53), 0);
    ck_assert_int_eq(heard_bind(&two, sharing[_i].second, 53), sharing[_i].result);
}
END_TEST

START_TEST(bind_has_its_rules)
{
    union stack_address address;

    open_udp6(&one);
    ck_assert_int_eq(heard_bind(&one, PEER_IP6, 53), -EADDRNOTAVAIL);
    ck_assert_int_eq(heard_bind(&one, "0.0.0.0", 53), -EAFNOSUPPORT);
    address = any_address_of(STACK_LINK_LOCAL, 53);
    address.in6.sin6_scope_id = 0;
    ck_assert_int_eq(stack_datagram_bind(one.datagram, &address), -EINVAL);
    ck_assert_int_eq(stack_datagram_connect(one.datagram, &address), -EINVAL);
    address.in6.sin6_scope_id = 7;
    ck_assert_int_eq(stack_datagram_bind(one.datagram, &address), -ENODEV);
    heard_close(&one);
    open_udp6(&one);
    ck_assert_int_eq(heard_bind(&one, STACK_LINK_LOCAL, 53), 0);
    ck_assert_int_eq(stack_datagram_get_option(one.datagram, STACK_DATAGRAM_V6ONLY), 1);
    ck_assert_int_eq(stack_datagram_get_option(one.datagram, STACK_DATAGRAM_BIND_INTERFACE), 2);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, STACK_LINK_LOCAL, 53));
    peer_udp(PEER_LINK_LOCAL, 1, STACK_LINK_LOCAL, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_int_eq(heard_connect(&one, PEER_LINK_LOCAL, 1), 0);
    peer_udp(PEER_LINK_LOCAL, 1, STACK_LINK_LOCAL, 53, "a", 1);
    peer_udp(PEER_LINK_LOCAL, 2, STACK_LINK_LOCAL, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2);
    heard_open_udp(&two, "::ffff:127.0.0.1", 0);
    ck_assert_int_eq(heard_send(&two, "::1", 9, "x", 1), -EAFNOSUPPORT);
    heard_set(&one, STACK_DATAGRAM_V6ONLY, 1);
    heard_close(&two);
    open_udp6(&two);
    heard_set(&two, STACK_DATAGRAM_V6ONLY, 1);
    ck_assert_int_eq(heard_bind(&two, "::ffff:127.0.0.1", 53), -EINVAL);
}
END_TEST

START_TEST(connect_chooses_addresses)
{
    union stack_address address;

    open_udp6(&one);
    ck_assert_int_eq(heard_connect(&one, PEER_IP6, 9), 0);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, STACK_IP6, heard_port(&one)));
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1500);
    open_udp6(&two);
    ck_assert_int_eq(heard_connect(&two, "::ffff:127.0.0.1", 9), 0);
    ck_assert_int_eq(stack_datagram_local_address(two.datagram, &address), 0);
    ck_assert(is_address(&address, "::ffff:127.0.0.1", heard_port(&two)));
    ck_assert_int_eq(heard_send(&two, "::1", 9, "x", 1), -EAFNOSUPPORT);
    heard_close(&two);
    open_udp6(&two);
    ck_assert_int_eq(heard_connect(&two, "::", 9), 0);
    ck_assert_int_eq(stack_datagram_peer_address(two.datagram, &address), 0);
    ck_assert(is_address(&address, "::1", 9));
}
END_TEST

START_TEST(loopback_carries_all_sizes)
{
    static uint8_t bytes[65488];
    static const size_t sizes[] = {0, 1, 1452, 1453, 30000, 65487};
    static const char *const addresses[] = {"::1", STACK_IP6, STACK_LINK_LOCAL};

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp(&one, "::", 53);
    open_udp6(&two);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(heard_send(&two, addresses[i % 3], 53, bytes, sizes[i]), 0);
        ck_assert_uint_eq(one.received, i + 1);
        ck_assert_uint_eq(one.length, sizes[i]);
        ck_assert_mem_eq(one.bytes, bytes, sizes[i]);
        ck_assert(is_address(&one.info.peer, addresses[i % 3], heard_port(&two)));
    }
    ck_assert_int_eq(heard_send(&two, "::1", 53, bytes, 65488), -EMSGSIZE);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(large_datagram_leaves_in_fragments_and_comes_in)
{
    static uint8_t bytes[65487], whole[65495], fragment[1500];
    size_t at = 0;

    pattern_fill(bytes, 0, sizeof bytes);
    open_udp6(&one);
    ck_assert_int_eq(heard_send(&one, PEER_IP6, 9, bytes, sizeof bytes), 0);
    for (bool more = true; more;) {
        struct packet packet = packet_take();

        ck_assert_uint_eq(packet.offset, at);
        memcpy(whole + at, packet.data, packet.size);
        at += packet.size;
        more = packet.more_fragments;
    }
    ck_assert_uint_eq(at, sizeof whole);
    ck_assert_mem_eq(whole + 8, bytes, sizeof bytes);
    heard_open_udp(&two, "::", 9);
    memcpy(whole, (uint8_t[]){0, 9, 0, 9}, 4);
    whole[6] = whole[7] = 0;
    {
        uint16_t sum = packet_checksum(PEER_IP6, STACK_IP6, IPPROTO_UDP, whole, sizeof whole);

        whole[6] = (uint8_t)(sum >> 8);
        whole[7] = (uint8_t)sum;
    }
    for (at = 0; at < sizeof whole; at += 1448) {
        size_t n = sizeof whole - at < 1448 ? sizeof whole - at : 1448;

        memset(fragment, 0, 8);
        fragment[0] = IPPROTO_UDP;
        fragment[2] = (uint8_t)(at >> 8);
        fragment[3] = (uint8_t)((at & 0xf8) | (at + n < sizeof whole));
        fragment[7] = 5;
        memcpy(fragment + 8, whole + at, n);
        packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_FRAGMENT,
                                     .data = fragment, .size = n + 8});
    }
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(two.length, sizeof bytes);
    ck_assert_mem_eq(two.bytes, bytes, sizeof bytes);
}
END_TEST

/* A fragment of the peer's. */
static void send_fragment(size_t offset, bool more, const uint8_t *bytes, size_t size)
{
    uint8_t fragment[1500] = {IPPROTO_UDP};

    fragment[2] = (uint8_t)(offset >> 8);
    fragment[3] = (uint8_t)((offset & 0xf8) | more);
    fragment[7] = 5;
    memcpy(fragment + 8, bytes, size);
    packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_FRAGMENT,
                                 .data = fragment, .size = size + 8});
}

START_TEST(fragments_of_more_than_a_packet_are_refused)
{
    static uint8_t bytes[1448];

    heard_open_udp(&one, "::", 9);
    for (size_t last = 65480; last <= 65528; last += 8)
        for (size_t at = 0; at <= last; at += 1448) {
            size_t n = last + 7 - at < 1448 ? last + 7 - at : 1448;

            send_fragment(at, at + n < last + 7, bytes, n);
        }
    ck_assert_uint_eq(one.received, 0);
    stack_advance(70000);
    wire_drop_all();
    peer_udp(PEER_IP6, 1, STACK_IP6, 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(mangled_fragments_do_no_harm)
{
    uint8_t bytes[128] = {0, 9, 0, 9, 0, 64};

    heard_open_udp(&one, "::", 9);
    for (size_t offset = 0; offset < 64; offset += 8)
        for (size_t size = 0; size <= 64 - offset; size++)
            send_fragment(offset, (offset + size) % 3 != 0, bytes + offset, size);
    for (size_t size = 0; size < 8; size++) /* less than a fragment header, than extension headers */
        for (int next = 0; next < 256; next++)
            packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = (uint8_t)next,
                                         .data = bytes, .size = size});
    bytes[0] = IPPROTO_FRAGMENT;
    bytes[1] = 2;
    for (size_t size = 8; size < 64; size++) {
        packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_DSTOPTS,
                                     .data = bytes, .size = size});
        packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_HOPOPTS,
                                     .data = bytes, .size = size});
    }
    stack_advance(70000);
    wire_drop_all();
    peer_udp(PEER_IP6, 1, STACK_IP6, 9, "a", 1);
    ck_assert_uint_ge(one.received, 1);
}
END_TEST

/* Fragments of what is made of fragments, a packet of too many bytes: behind the first fragment header, or behind one
 * more header. */
START_TEST(fragments_in_fragments_are_refused)
{
    static const uint8_t kinds[] = {IPPROTO_FRAGMENT, IPPROTO_DSTOPTS, IPPROTO_ROUTING, IPPROTO_HOPOPTS};
    const size_t whole = 65530, most = 1408;

    heard_open_udp(&one, "::", 9);
    for (size_t kind = 0; kind < sizeof kinds; kind++)
        for (size_t offset = 0; offset < whole; offset += most) {
            size_t n = whole - offset < most ? whole - offset : most, head = kinds[kind] == IPPROTO_FRAGMENT ? 8 : 16, cut;
            uint8_t outer[8 + 16 + 1408] = {kinds[kind], 0, 0, 1, 0, 0, (uint8_t)(offset / most), (uint8_t)(6 + kind)};
            uint8_t *inner = outer + head; /* the last header */

            if (head > 8)
                memcpy(outer + 8, (uint8_t[]){IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0}, 8);
            inner[0] = IPPROTO_UDP;
            inner[2] = (uint8_t)(offset >> 8);
            inner[3] = (uint8_t)((offset & 0xf8) | (offset + n < whole));
            cut = (head + n - 1) / 8 * 8;
            packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_FRAGMENT, .data = outer,
                                         .size = 8 + cut});
            outer[2] = (uint8_t)(cut >> 8);
            outer[3] = (uint8_t)cut;
            packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_FRAGMENT, .data = outer,
                                         .size = 8 + head + n - cut});
        }
    ck_assert_uint_eq(one.received, 0);
}
END_TEST

/* An option at the end of its header, with no room for its length; a header that ends the packet. */
START_TEST(options_stay_in_their_header)
{
    uint8_t header[8] = {IPPROTO_NONE, 0, 1, 3, 0, 0, 0, 0x1e};

    heard_open_udp(&one, "::", 9);
    for (int last = 0; last < 256; last++) {
        header[7] = (uint8_t)last;
        packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_DSTOPTS, .data = header, .size = 8});
        packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_HOPOPTS, .data = header, .size = 8});
    }
    header[0] = IPPROTO_DSTOPTS;
    header[7] = 0;
    packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_DSTOPTS, .data = header, .size = 8});
    ck_assert_uint_eq(one.received, 0);
}
END_TEST

START_TEST(extension_headers_are_passed_over)
{
    uint8_t packet[24 + 12] = {17, 0, 1, 4}; /* destination options, padded to 8 bytes */

    heard_open_udp(&one, "::", 9);
    packet[8] = packet[10] = 0;
    packet[9] = packet[11] = 9;
    packet[13] = 12;
    memcpy(packet + 16, "data", 4);
    {
        uint16_t sum = packet_checksum(PEER_IP6, STACK_IP6, IPPROTO_UDP, packet + 8, 12);

        packet[14] = (uint8_t)(sum >> 8);
        packet[15] = (uint8_t)sum;
    }
    packet_send(&(struct packet){.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_DSTOPTS,
                                 .data = packet, .size = 20});
    ck_assert_uint_eq(one.received, 1);
    ck_assert_mem_eq(one.bytes, "data", 4);
}
END_TEST

START_TEST(bad_datagrams_are_dropped)
{
    uint8_t udp[12] = {0, 9, 0, 9, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
    struct packet packet = {.source = PEER_IP6, .destination = STACK_IP6, .protocol = IPPROTO_UDP, .data = udp,
                            .size = sizeof udp};

    heard_open_udp(&one, "::", 9);
    packet_send(&packet); /* there must be a checksum */
    udp[7] = 1;
    packet_send(&packet);
    for (packet.size = 0; packet.size < sizeof udp; packet.size++)
        packet_send(&packet);
    ck_assert_uint_eq(one.received, 0);
}
END_TEST

START_TEST(refusal_goes_both_ways)
{
    static const char *const addresses[] = {"::1", STACK_IP6, STACK_LINK_LOCAL};
    struct packet packet;

    peer_udp(PEER_IP6, 4000, STACK_IP6, 53, "query", 5);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, IPPROTO_ICMPV6);
    ck_assert_uint_eq(packet.data[0], 1);
    ck_assert_uint_eq(packet.data[1], 4);
    open_udp6(&one);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(heard_connect(&one, addresses[i], 9), 0);
        ck_assert_int_eq(heard_send(&one, NULL, 0, "data", 4), 0);
        ck_assert_uint_eq(one.failed, i + 1);
        ck_assert_int_eq((int)one.error.extended.ee_errno, ECONNREFUSED);
        ck_assert_uint_eq(one.error.extended.ee_origin, SO_EE_ORIGIN_ICMP6);
        ck_assert(is_address(&one.error.destination, addresses[i], 9));
        ck_assert_uint_eq(one.error.length, 4);
        ck_assert_mem_eq(one.error.payload, "data", 4);
        heard_close(&one);
        open_udp6(&one);
        one.failed = i + 1;
    }
}
END_TEST

START_TEST(packet_too_big_is_learned)
{
    uint8_t message[8 + 40 + 8] = {2, [6] = 1400 >> 8, [7] = 1400 & 255};
    static const uint8_t bytes[1452];
    const struct frame *frame;

    open_udp6(&one);
    ck_assert_int_eq(heard_connect(&one, PEER_IP6, 9), 0);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, sizeof bytes), 0);
    frame = wire_take();
    memcpy(message + 8, frame->bytes + 14, 48);
    {
        uint16_t sum = packet_checksum("fd00:1::fe", STACK_IP6, IPPROTO_ICMPV6, message, sizeof message);

        message[2] = (uint8_t)(sum >> 8);
        message[3] = (uint8_t)sum;
    }
    packet_send(&(struct packet){.source = "fd00:1::fe", .destination = STACK_IP6, .protocol = IPPROTO_ICMPV6,
                                 .data = message, .size = sizeof message});
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1400);
    wire_drop_all();
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, sizeof bytes), 0);
    ck_assert_uint_eq(wire_count(), 2);
    ck_assert(packet_take().more_fragments);
    heard_set(&one, STACK_DATAGRAM_MTU_DISCOVER6, IP_PMTUDISC_DO);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, sizeof bytes), -EMSGSIZE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("udp6");
    TCase *tcase = tcase_create("udp6");

    tcase_add_checked_fixture(tcase, heard_setup, heard_teardown);
    tcase_add_test(tcase, datagram_arrives_with_all_about_it);
    tcase_add_test(tcase, dual_socket_hears_both);
    tcase_add_test(tcase, own_family_goes_before_dual);
    tcase_add_test(tcase, datagram_leaves_with_a_good_header);
    tcase_add_loop_test(tcase, port_is_shared_by_the_rules, 0, (int)(sizeof sharing / sizeof *sharing));
    tcase_add_test(tcase, bind_has_its_rules);
    tcase_add_test(tcase, connect_chooses_addresses);
    tcase_add_test(tcase, loopback_carries_all_sizes);
    tcase_add_test(tcase, large_datagram_leaves_in_fragments_and_comes_in);
    tcase_add_test(tcase, fragments_of_more_than_a_packet_are_refused);
    tcase_add_test(tcase, mangled_fragments_do_no_harm);
    tcase_add_test(tcase, fragments_in_fragments_are_refused);
    tcase_add_test(tcase, options_stay_in_their_header);
    tcase_add_test(tcase, extension_headers_are_passed_over);
    tcase_add_test(tcase, bad_datagrams_are_dropped);
    tcase_add_test(tcase, refusal_goes_both_ways);
    tcase_add_test(tcase, packet_too_big_is_learned);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
