/* test_stack_udp.c - UDP sockets on IPv4: who hears what, and what is sent. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/wire/wire.h"
#include "tests/suite.h"

START_TEST(datagram_arrives_with_all_about_it)
{
    heard_open_udp(&one, "0.0.0.0", 53);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, 5);
    ck_assert_mem_eq(one.bytes, "query", 5);
    ck_assert(is_address(&one.info.peer, PEER_IP, 4000));
    ck_assert(is_address(&one.info.local, STACK_IP, 53));
    ck_assert_uint_eq(one.info.interface, 2);
    ck_assert_int_eq(one.info.ttl, 64);
    ck_assert_int_eq(one.info.tos, 0);
    ck_assert_uint_gt(one.info.received_ns, 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "", 0);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(one.length, 0);
    ck_assert_uint_eq(counters_now().datagrams_in, 2);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(datagram_leaves_with_a_good_header)
{
    struct packet packet;

    heard_open_udp(&one, "0.0.0.0", 53);
    heard_set(&one, STACK_DATAGRAM_TTL, 9);
    heard_set(&one, STACK_DATAGRAM_TOS, 0x10);
    for (size_t size = 0; size < 3; size++) {
        ck_assert_int_eq(heard_send(&one, PEER_IP, 4000, "ab", size), 0);
        packet = packet_take();
        ck_assert(is_address(&packet.from, STACK_IP, 53));
        ck_assert(is_address(&packet.to, PEER_IP, 4000));
        ck_assert_uint_eq(packet.ttl, 9);
        ck_assert_uint_eq(packet.tos, 0x10);
        ck_assert(packet.dont_fragment);
        ck_assert(packet.checksum_good);
        ck_assert_uint_eq(packet.size, 8 + size);
        ck_assert_mem_eq(packet.data + 8, "ab", size);
    }
    heard_set(&one, STACK_DATAGRAM_NO_CHECK, 1);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 4000, "ab", 2), 0);
    packet = packet_take();
    ck_assert_uint_eq(packet.data[6] | packet.data[7], 0);
    ck_assert_uint_eq(counters_now().datagrams_out, 4);
}
END_TEST

START_TEST(datagram_waits_for_the_neighbour)
{
    struct packet packet;

    heard_open_udp(&one, "0.0.0.0", 0);
    ck_assert_int_eq(heard_send(&one, "10.1.0.77", 9, "ab", 2), 0);
    ck_assert_int_eq(heard_send(&one, "10.1.0.77", 9, "", 0), 0);
    ck_assert_uint_eq(wire_count(), 1); /* ARP */
    wire_drop_all();
    {
        uint8_t arp[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2,
                           2, 0, 0, 0, 0, 1, 10, 1, 0, 77, 2, 0, 0, 0, 0, 2, 10, 1, 0, 2};

        wire_put(NULL, arp, sizeof arp);
        stack_turn();
    }
    packet = packet_take();
    ck_assert(packet.checksum_good);
    ck_assert_uint_eq(packet.size, 10);
    ck_assert(packet_take().checksum_good);
}
END_TEST

START_TEST(nobody_there_is_answered)
{
    struct packet packet;

    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, IPPROTO_ICMP);
    ck_assert_uint_eq(packet.data[0], 3);
    ck_assert_uint_eq(packet.data[1], 3);
    ck_assert_uint_eq(packet.size, 8 + 20 + 8 + 5);
    ck_assert_mem_eq(packet.data + 36, "query", 5);
    ck_assert_uint_eq(packet.tos, 0xc0);
    ck_assert_uint_eq(counters_now().datagrams_no_port, 1);
    {
        static const uint8_t bytes[1400];

        peer_udp(PEER_IP, 4000, STACK_IP, 53, bytes, sizeof bytes);
        ck_assert_uint_eq(packet_take().size, 576 - 20);
    }
    peer_udp(PEER_IP, 4000, "10.1.0.255", 53, "query", 5);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(connected_socket_hears_its_peer_alone)
{
    heard_open_udp(&one, "0.0.0.0", 53);
    heard_open_udp4(&two);
    heard_set(&one, STACK_DATAGRAM_REUSEADDR, 1);
    heard_set(&two, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(heard_bind(&two, "0.0.0.0", 53), 0);
    ck_assert_int_eq(heard_connect(&two, PEER_IP, 4000), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(two.received, 1);
    peer_udp(PEER_IP, 4001, STACK_IP, 53, "b", 1);
    peer_udp("10.1.0.7", 4000, STACK_IP, 53, "b", 1);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_int_eq(heard_send(&two, NULL, 0, "c", 1), 0);
    ck_assert_uint_eq(ntohs(packet_take().to.in.sin_port), 4000);
    ck_assert_int_eq(heard_send(&two, PEER_IP, 4002, "c", 1), 0);
    ck_assert_uint_eq(ntohs(packet_take().to.in.sin_port), 4002);
}
END_TEST

START_TEST(connect_chooses_addresses_and_unspec_undoes_it)
{
    union stack_address address, unspec = {.sa.sa_family = AF_UNSPEC};
    uint16_t port;

    heard_open_udp4(&one);
    ck_assert_int_eq(stack_datagram_peer_address(one.datagram, &address), -ENOTCONN);
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 4000), 0);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    port = ntohs(address.in.sin_port);
    ck_assert_uint_ge(port, 32768);
    ck_assert_uint_lt(port, 61000);
    ck_assert(is_address(&address, STACK_IP, port));
    ck_assert_int_eq(stack_datagram_peer_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, PEER_IP, 4000));
    ck_assert_int_eq(heard_bind(&one, "0.0.0.0", 9), -EINVAL);
    ck_assert_int_eq(heard_connect(&one, "127.0.0.5", 4001), 0); /* again, but from the address that it has */
    ck_assert_int_eq(stack_datagram_connect(one.datagram, &unspec), 0);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, "0.0.0.0", 0));
    ck_assert_int_eq(heard_send(&one, NULL, 0, "c", 1), -EDESTADDRREQ);

    heard_open_udp(&two, STACK_IP, 99);
    ck_assert_int_eq(heard_connect(&two, PEER_IP, 4000), 0);
    ck_assert_int_eq(stack_datagram_connect(two.datagram, &unspec), 0);
    ck_assert_int_eq(stack_datagram_local_address(two.datagram, &address), 0);
    ck_assert(is_address(&address, STACK_IP, 99));
}
END_TEST

START_TEST(what_cannot_be_sent_says_why)
{
    static const uint8_t bytes[65536];

    heard_open_udp4(&one);
    ck_assert_int_eq(heard_send(&one, NULL, 0, "c", 1), -EDESTADDRREQ);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, "c", 1), -EINVAL);
    ck_assert_int_eq(heard_send(&one, "10.1.0.255", 9, "c", 1), -EACCES);
    ck_assert_int_eq(heard_send(&one, "255.255.255.255", 9, "c", 1), -EACCES);
    ck_assert_int_eq(heard_connect(&one, "10.1.0.255", 9), -EACCES);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 65508), -EMSGSIZE);
    ck_assert_int_eq(heard_send(&one, "::1", 9, "c", 1), -EAFNOSUPPORT);
    heard_set(&one, STACK_DATAGRAM_MTU_DISCOVER, IP_PMTUDISC_DO);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1473), -EMSGSIZE);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1472), 0);
    ck_assert_uint_eq(wire_count(), 1);
    heard_open_udp(&two, "127.0.0.1", 0);
    ck_assert_int_eq(heard_send(&two, PEER_IP, 9, "c", 1), -EINVAL);
    {
        struct stack_datagram_info info = {.peer = any_address_of(PEER_IP, 9), .local = any_address_of("10.1.0.9", 0),
                                           .ttl = -1, .tos = -1};
        struct iovec iov = {(void *)(uintptr_t)"c", 1};

        ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1), -ENETUNREACH);
        info.local = any_address_of(STACK_IP, 0);
        info.interface = 9;
        ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1), -ENODEV);
    }
}
END_TEST

START_TEST(broadcast_goes_out_and_round)
{
    heard_open_udp(&one, "0.0.0.0", 67);
    heard_open_udp(&two, STACK_IP, 68);
    heard_set(&two, STACK_DATAGRAM_BROADCAST, 1);
    ck_assert_int_eq(heard_send(&two, "10.1.0.255", 67, "hello", 5), 0);
    ck_assert_uint_eq(one.received, 1);
    ck_assert(is_address(&one.info.local, "10.1.0.255", 67));
    ck_assert_uint_eq(one.info.interface, 2);
    ck_assert_mem_eq(wire_take()->bytes, "\xff\xff\xff\xff\xff\xff", 6);
    peer_udp(PEER_IP, 68, "255.255.255.255", 67, "hello", 5);
    peer_udp(PEER_IP, 68, "10.1.0.255", 67, "hello", 5);
    ck_assert_uint_eq(one.received, 3);
    peer_udp(PEER_IP, 67, "255.255.255.255", 68, "hello", 5); /* bound to one address */
    ck_assert_uint_eq(two.received, 0);
}
END_TEST

/* Who may share a port with whom: the options of both, and their addresses. */
static const struct {
    const char *first, *second;
    int reuseaddr[2], reuseport[2], interface[2];
    int result;
} sharing[] = {
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {0}, -EADDRINUSE},
    {"0.0.0.0", STACK_IP, {0}, {0}, {0}, -EADDRINUSE},
    {STACK_IP, "0.0.0.0", {0}, {0}, {0}, -EADDRINUSE},
    {STACK_IP, "127.0.0.1", {0}, {0}, {0}, 0},
    {"127.0.0.2", "127.0.0.1", {0}, {0}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {1, 0}, {0}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {1, 1}, {0}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {0}, {1, 0}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {0}, {1, 1}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {1, 0}, {0, 1}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {1, 2}, 0},
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {1, 0}, -EADDRINUSE},
};

START_TEST(port_is_shared_by_the_rules)
{
    heard_open_udp4(&one);
    heard_open_udp4(&two);
    heard_set(&one, STACK_DATAGRAM_REUSEADDR, sharing[_i].reuseaddr[0]);
    heard_set(&two, STACK_DATAGRAM_REUSEADDR, sharing[_i].reuseaddr[1]);
    heard_set(&one, STACK_DATAGRAM_REUSEPORT, sharing[_i].reuseport[0]);
    heard_set(&two, STACK_DATAGRAM_REUSEPORT, sharing[_i].reuseport[1]);
    heard_set(&one, STACK_DATAGRAM_BIND_INTERFACE, sharing[_i].interface[0]);
    heard_set(&two, STACK_DATAGRAM_BIND_INTERFACE, sharing[_i].interface[1]);
    ck_assert_int_eq(heard_bind(&one, sharing[_i].first, 53), 0);
    ck_assert_int_eq(heard_bind(&two, sharing[_i].second, 53), sharing[_i].result);
    heard_close(&one);
    if (sharing[_i].result < 0)
        ck_assert_int_eq(heard_bind(&two, sharing[_i].second, 53), 0);
}
END_TEST

START_TEST(bind_refuses_what_is_not_ours)
{
    heard_open_udp4(&one);
    ck_assert_int_eq(heard_bind(&one, PEER_IP, 53), -EADDRNOTAVAIL);
    ck_assert_int_eq(heard_bind(&one, "::", 53), -EAFNOSUPPORT);
    ck_assert_int_eq(heard_bind(&one, STACK_IP, 53), 0);
    ck_assert_int_eq(heard_bind(&one, STACK_IP, 54), -EINVAL);
    heard_open_udp4(&two);
    ck_assert_int_eq(heard_bind(&two, "127.9.9.9", 0), 0);
    heard_open_udp4(&three);
    heard_set(&three, STACK_DATAGRAM_FREEBIND, 1);
    ck_assert_int_eq(heard_bind(&three, PEER_IP, 0), 0);
}
END_TEST

START_TEST(the_closest_match_hears_it)
{
    heard_open_udp4(&one);
    heard_open_udp4(&two);
    heard_open_udp4(&three);
    heard_set(&one, STACK_DATAGRAM_REUSEADDR, 1);
    heard_set(&two, STACK_DATAGRAM_REUSEADDR, 1);
    heard_set(&three, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(heard_bind(&one, STACK_IP, 53), 0);
    ck_assert_int_eq(heard_bind(&two, "0.0.0.0", 53), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1); /* bound to the address */
    ck_assert_int_eq(heard_bind(&three, STACK_IP, 53), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(three.received, 1); /* of equals the latest */
    heard_set(&one, STACK_DATAGRAM_BIND_INTERFACE, 2);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2); /* bound to the interface as well */
    heard_set(&one, STACK_DATAGRAM_BIND_INTERFACE, 1);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(three.received, 2); /* bound to another one */
}
END_TEST

START_TEST(reuseport_spreads_flows_and_keeps_each)
{
    struct heard *both[2] = {&one, &two};

    for (int i = 0; i < 2; i++) {
        heard_open_udp4(both[i]);
        heard_set(both[i], STACK_DATAGRAM_REUSEPORT, 1);
        ck_assert_int_eq(heard_bind(both[i], "0.0.0.0", 53), 0);
    }
    for (uint16_t port = 1000; port < 1400; port++) {
        unsigned before = one.received;

        peer_udp(PEER_IP, port, STACK_IP, 53, "a", 1);
        peer_udp(PEER_IP, port, STACK_IP, 53, "a", 1);
        ck_assert_uint_eq((one.received - before) % 2, 0);
    }
    ck_assert_uint_eq(one.received + two.received, 800);
    ck_assert_uint_gt(one.received, 200);
    ck_assert_uint_gt(two.received, 200);
}
END_TEST

START_TEST(loopback_carries_all_sizes)
{
    static uint8_t bytes[65507];
    static const size_t sizes[] = {0, 1, 1472, 1473, 30000, 65507};

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp(&one, "0.0.0.0", 53);
    heard_open_udp4(&two);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(heard_send(&two, i % 2 == 0 ? "127.0.0.1" : STACK_IP, 53, bytes, sizes[i]), 0);
        ck_assert_uint_eq(one.received, i + 1);
        ck_assert_uint_eq(one.length, sizes[i]);
        ck_assert_mem_eq(one.bytes, bytes, sizes[i]);
        ck_assert_uint_eq(one.info.interface, i % 2 == 0 ? 1 : 2); /* whose address it is */
        ck_assert(is_address(&one.info.peer, i % 2 == 0 ? "127.0.0.1" : STACK_IP, heard_port(&two)));
    }
    ck_assert_int_eq(heard_send(&two, "0.0.0.0", 53, "x", 1), 0);
    ck_assert(is_address(&one.info.local, "127.0.0.1", 53));
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(full_socket_loses_and_counts)
{
    heard_open_udp(&one, "0.0.0.0", 9);
    one.full = true;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "a", 1);
    one.full = false;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "b", 1);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(counters_now().datagrams_dropped, 1);
}
END_TEST

START_TEST(socket_may_close_itself_when_it_hears)
{
    heard_open_udp(&one, "0.0.0.0", 9);
    one.close_received = true;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    heard_open_udp(&one, "0.0.0.0", 9);
    one.close_received = true;
    peer_udp(PEER_IP, 9, "10.1.0.255", 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(many_sockets_are_found_by_themselves)
{
    enum { COUNT = 3000 };
    static struct heard many[COUNT];

    for (int i = 0; i < COUNT; i++) {
        heard_open(&many[i], STACK_DATAGRAM_UDP, AF_INET, 0);
        heard_set(&many[i], STACK_DATAGRAM_REUSEADDR, 1);
        ck_assert_int_eq(heard_bind(&many[i], "0.0.0.0", 53), 0);
        ck_assert_int_eq(heard_connect(&many[i], PEER_IP, (uint16_t)(1000 + i)), 0);
    }
    for (int i = 0; i < COUNT; i++)
        peer_udp(PEER_IP, (uint16_t)(1000 + i), STACK_IP, 53, "a", 1);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(many[i].received, 1);
        heard_close(&many[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("udp");
    TCase *plain = tcase_create("plain"), *offload = tcase_create("offload");

    tcase_add_checked_fixture(plain, heard_setup_ip4, heard_teardown);
    tcase_add_test(plain, datagram_arrives_with_all_about_it);
    tcase_add_test(plain, datagram_leaves_with_a_good_header);
    tcase_add_test(plain, datagram_waits_for_the_neighbour);
    tcase_add_test(plain, nobody_there_is_answered);
    tcase_add_test(plain, connected_socket_hears_its_peer_alone);
    tcase_add_test(plain, connect_chooses_addresses_and_unspec_undoes_it);
    tcase_add_test(plain, what_cannot_be_sent_says_why);
    tcase_add_test(plain, broadcast_goes_out_and_round);
    tcase_add_loop_test(plain, port_is_shared_by_the_rules, 0, (int)(sizeof sharing / sizeof *sharing));
    tcase_add_test(plain, bind_refuses_what_is_not_ours);
    tcase_add_test(plain, the_closest_match_hears_it);
    tcase_add_test(plain, reuseport_spreads_flows_and_keeps_each);
    tcase_add_test(plain, loopback_carries_all_sizes);
    tcase_add_test(plain, full_socket_loses_and_counts);
    tcase_add_test(plain, socket_may_close_itself_when_it_hears);
    tcase_add_test(plain, many_sockets_are_found_by_themselves);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(offload, heard_setup_offload, heard_teardown);
    tcase_add_test(offload, datagram_waits_for_the_neighbour);
    suite_add_tcase(suite, offload);
    return suite_run(suite);
}
