/* test_stack_multicast.c - groups: joining, leaving, sources, what is sent to them and what is heard. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "tests/suite.h"

/* Each test runs on both families. */
static const struct family {
    const char *any, *group, *other_group, *peer, *other_peer, *own;
    uint8_t report_protocol;
} families[] = {
    {"0.0.0.0", "224.1.2.3", "224.1.2.4", PEER_IP, "10.1.0.7", STACK_IP, IPPROTO_IGMP},
    {"::", "ff02::1:3", "ff02::1:4", PEER_IP6, "fd00:1::7", STACK_IP6, IPPROTO_HOPOPTS},
};
static const struct family *family;
static union stack_address group_of(const char *ip)
{
    union stack_address address = any_address_of(ip, 0);

    return address;
}

static int membership(struct heard *heard, enum stack_membership what, unsigned interface, const char *group_ip,
                      const char *source_ip)
{
    union stack_address group = group_of(group_ip);
    union stack_address source = any_address_of(source_ip != NULL ? source_ip : family->any, 0);
    int error = stack_datagram_membership(heard->datagram, what, interface, &group, source_ip != NULL ? &source : NULL);

    stack_turn();
    return error;
}

static void open_shared(struct heard *heard, uint16_t port)
{
    union stack_address address = any_address_of(family->any, port);

    heard_open(heard, STACK_DATAGRAM_UDP, address.sa.sa_family, 0);
    heard_set(heard, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(stack_datagram_bind(heard->datagram, &address), 0);
}

START_TEST(member_hears_and_others_do_not)
{
    family = &families[_i];
    open_shared(&one, 53);
    peer_udp(family->peer, 4000, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 0, family->group, NULL), 0);
    ck_assert_uint_eq(packet_take().protocol, family->report_protocol);
    peer_udp(family->peer, 4000, family->group, 53, "a", 1);
    peer_udp(family->peer, 4000, family->other_group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.info.interface, 2);
    open_shared(&two, 53); /* IP_MULTICAST_ALL: hears what others joined */
    peer_udp(family->peer, 4000, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(two.received, 1);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_ALL : STACK_DATAGRAM_MULTICAST_ALL6, 0);
    peer_udp(family->peer, 4000, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 3);
    ck_assert_uint_eq(two.received, 1);
    wire_drop_all();
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 0, family->group, NULL), 0);
    ck_assert_uint_gt(wire_count(), 0); /* says so */
    peer_udp(family->peer, 4000, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 3);
}
END_TEST

START_TEST(membership_has_its_rules)
{
    family = &families[_i];
    open_shared(&one, 53);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 2, family->peer, NULL), -EINVAL);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 9, family->group, NULL), -ENODEV);
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 2, family->group, NULL), -EADDRNOTAVAIL);
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 9, family->group, NULL), -EADDRNOTAVAIL);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 2, family->group, NULL), 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 2, family->group, NULL), -EADDRINUSE);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 0, family->group, NULL), -EADDRINUSE);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 1, family->group, NULL), 0);
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 1, family->group, NULL), 0);
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 2, family->group, NULL), 0);
}
END_TEST

START_TEST(sources_are_filtered)
{
    family = &families[_i];
    open_shared(&one, 53);
    ck_assert_int_eq(membership(&one, STACK_JOIN_SOURCE, 2, family->group, family->peer), 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN_SOURCE, 2, family->group, family->peer), -EADDRNOTAVAIL);
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    peer_udp(family->other_peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_int_eq(membership(&one, STACK_JOIN_SOURCE, 2, family->group, family->other_peer), 0);
    peer_udp(family->other_peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_int_eq(membership(&one, STACK_BLOCK_SOURCE, 2, family->group, family->peer), -EINVAL);
    ck_assert_int_eq(membership(&one, STACK_LEAVE_SOURCE, 2, family->group, family->peer), 0);
    ck_assert_int_eq(membership(&one, STACK_LEAVE_SOURCE, 2, family->group, family->peer), -EADDRNOTAVAIL);
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_int_eq(membership(&one, STACK_LEAVE_SOURCE, 2, family->group, family->other_peer), 0);
    ck_assert_int_eq(membership(&one, STACK_LEAVE, 2, family->group, NULL), -EADDRNOTAVAIL); /* left with the last */

    ck_assert_int_eq(membership(&one, STACK_BLOCK_SOURCE, 2, family->group, family->peer), -EINVAL);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 2, family->group, NULL), 0);
    ck_assert_int_eq(membership(&one, STACK_BLOCK_SOURCE, 2, family->group, family->peer), 0);
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2);
    peer_udp(family->other_peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 3);
    ck_assert_int_eq(membership(&one, STACK_UNBLOCK_SOURCE, 2, family->group, family->other_peer), -EADDRNOTAVAIL);
    ck_assert_int_eq(membership(&one, STACK_UNBLOCK_SOURCE, 2, family->group, family->peer), 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN_SOURCE, 2, family->group, family->peer), -EINVAL);
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 4);
}
END_TEST

START_TEST(what_is_sent_goes_out_and_round)
{
    struct packet packet;
    const uint8_t *mac;

    family = &families[_i];
    open_shared(&one, 53);
    open_shared(&two, 54);
    ck_assert_int_eq(heard_send(&two, family->group, 53, "a", 1), 0);
    mac = wire_take()->bytes;
    ck_assert(_i == 0 ? memcmp(mac, "\1\0\x5e\1\2\3", 6) == 0 : memcmp(mac, "\x33\x33\0\1\0\3", 6) == 0);
    ck_assert_uint_eq(one.received, 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 0, family->group, NULL), 0);
    wire_drop_all();
    ck_assert_int_eq(heard_send(&two, family->group, 53, "a", 1), 0);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.info.interface, 2);
    packet = packet_take();
    ck_assert(packet.checksum_good);
    ck_assert_uint_eq(packet.ttl, 1);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_TTL : STACK_DATAGRAM_MULTICAST_HOPS, 7);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_LOOP : STACK_DATAGRAM_MULTICAST_LOOP6, 0);
    ck_assert_int_eq(heard_send(&two, family->group, 53, "a", 1), 0);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(packet_take().ttl, 7);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_TTL : STACK_DATAGRAM_MULTICAST_HOPS, 0);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_LOOP : STACK_DATAGRAM_MULTICAST_LOOP6, 1);
    ck_assert_int_eq(heard_send(&two, family->group, 53, "a", 1), 0);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(wire_count(), 0); /* for this host only */
}
END_TEST

START_TEST(loopback_has_groups_too)
{
    family = &families[_i];
    open_shared(&one, 53);
    open_shared(&two, 54);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 1, family->group, NULL), 0);
    heard_set(&two, _i == 0 ? STACK_DATAGRAM_MULTICAST_INTERFACE : STACK_DATAGRAM_MULTICAST_INTERFACE6, 1);
    if (_i == 0) {
        ck_assert_int_eq(heard_send(&two, family->group, 53, "a", 1), 0);
    } else {
        union stack_address group = any_address_of(family->group, 53);
        struct stack_datagram_info info = {.peer = group, .ttl = -1, .tos = -1};
        struct iovec iov = {(void *)(uintptr_t)"a", 1};

        ck_assert_int_eq(stack_datagram_send(two.datagram, &info, &iov, 1, 1), 0);
        stack_turn();
    }
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.info.interface, 1);
    ck_assert_uint_eq(wire_count(), 0);
    peer_udp(family->peer, 1, family->group, 53, "a", 1); /* not joined there */
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(router_that_asks_is_answered)
{
    static const uint8_t query[8] = {0x11, 100, 0xee, 0x9b};

    family = &families[0];
    open_shared(&one, 53);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 2, family->group, NULL), 0);
    stack_advance(20000);
    wire_drop_all();
    packet_send(&(struct packet){.source = "10.1.0.254", .destination = "224.0.0.1", .protocol = IPPROTO_IGMP, .ttl = 1,
                                 .data = query, .size = sizeof query});
    stack_advance(11000);
    ck_assert_uint_ge(wire_count(), 1);
}
END_TEST

START_TEST(many_members_are_counted_right)
{
    enum { COUNT = 300 }; /* more than lwIP's 8 bits */
    static struct heard many[COUNT];

    family = &families[_i];
    for (int i = 0; i < COUNT; i++) {
        open_shared(&many[i], 53);
        ck_assert_int_eq(membership(&many[i], STACK_JOIN, 0, family->group, NULL), 0);
    }
    for (int i = 1; i < COUNT; i++)
        heard_close(&many[i]);
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(many[0].received, 1);
    heard_close(&many[0]);
}
END_TEST

START_TEST(socket_bound_to_the_group_hears_nothing_else)
{
    union stack_address group;

    family = &families[_i];
    group = any_address_of(family->group, 53);
    if (_i == 1)
        group.in6.sin6_scope_id = 2;
    heard_open(&one, STACK_DATAGRAM_UDP, group.sa.sa_family, 0);
    ck_assert_int_eq(stack_datagram_bind(one.datagram, &group), 0);
    ck_assert_int_eq(membership(&one, STACK_JOIN, 0, family->group, NULL), 0);
    wire_drop_all();
    peer_udp(family->peer, 1, family->group, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    peer_udp(family->peer, 1, family->own, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    wire_drop_all();
    ck_assert_int_eq(heard_send(&one, family->peer, 9, "a", 1), 0);
    {
        struct packet packet = packet_take();
        union stack_address own = any_address_of(family->own, 53);

        ck_assert_mem_eq(&packet.from, &own, sizeof own); /* from the interface's address */
    }
}
END_TEST

START_TEST(memberships_of_a_socket_are_bounded)
{
    char ip[20];

    family = &families[0];
    open_shared(&one, 53);
    for (int i = 0; i < 20; i++) {
        snprintf(ip, sizeof ip, "239.0.0.%d", i + 1);
        ck_assert_int_eq(membership(&one, STACK_JOIN, 0, ip, NULL), 0);
    }
    ck_assert_int_eq(membership(&one, STACK_JOIN, 0, "239.0.1.1", NULL), -ENOBUFS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("multicast");
    TCase *tcase = tcase_create("multicast");

    tcase_add_checked_fixture(tcase, heard_setup, heard_teardown);
    tcase_add_loop_test(tcase, member_hears_and_others_do_not, 0, 2);
    tcase_add_loop_test(tcase, membership_has_its_rules, 0, 2);
    tcase_add_loop_test(tcase, sources_are_filtered, 0, 2);
    tcase_add_loop_test(tcase, what_is_sent_goes_out_and_round, 0, 2);
    tcase_add_loop_test(tcase, loopback_has_groups_too, 0, 2);
    tcase_add_test(tcase, router_that_asks_is_answered);
    tcase_add_loop_test(tcase, many_members_are_counted_right, 0, 2);
    tcase_add_loop_test(tcase, socket_bound_to_the_group_hears_nothing_else, 0, 2);
    tcase_add_test(tcase, memberships_of_a_socket_are_bounded);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
