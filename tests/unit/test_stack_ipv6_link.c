/* test_stack_ipv6_link.c - TCP over IPv6 and the link: neighbours, gateways, redirects, scopes, and addresses that
 * can not come from it. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "datagram_fixture.h"
#include "stack/bytes.h"
#include "stack/ip/interface.h"
#include "stack_fixture.h"
#include "tests/suite.h"

#define TYPE_SOLICITATION 135
#define ICMP6_AT (14 + 40)

/* Take the next frame, which must ask who has ip. */
static void take_solicitation(const char *ip)
{
    const struct frame *frame = wire_take();
    struct in6_addr target;

    ck_assert_ptr_nonnull(frame);
    ck_assert_uint_eq(frame->bytes[0], 0x33);
    ck_assert_uint_eq(frame->bytes[ICMP6_AT], TYPE_SOLICITATION);
    inet_pton(AF_INET6, ip, &target);
    ck_assert_mem_eq(frame->bytes + ICMP6_AT + 8, &target, 16);
}

START_TEST(packets_wait_for_the_neighbour_and_then_go)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of(PEER_IP6, 80);
    struct segment syn;

    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_turn();
    take_solicitation(PEER_IP6);
    ck_assert_uint_eq(wire_count(), 0);
    peer_advertise6(PEER_IP6);
    syn = peer_take();
    ck_assert_uint_eq(syn.flags, TH_SYN);
    ck_assert_uint_eq(syn.options[0], TCPOPT_MAXSEG);
    ck_assert_uint_eq(syn.options[2] << 8 | syn.options[3], 1500 - 40 - 20);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(neighbour_that_does_not_answer_is_unreachable)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of("fd00:1::77", 80);

    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_advance(2900);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_uint_ge(wire_count(), 3); /* it was asked for each second */
    take_solicitation("fd00:1::77");
    stack_advance(400);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, EHOSTUNREACH);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(far_addresses_go_by_the_gateway)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of("2001:db8::1", 80);

    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_turn();
    take_solicitation("fd00:1::fe");
    stack_tcp_close(told.tcp);
}
END_TEST

/* Send a part of an ICMPv6 packet to the stack, behind an extension header of 8 bytes if there is one. */
static void send_behind(const char *source, uint8_t kind, const uint8_t *header, const uint8_t *part, size_t size)
{
    uint8_t data[8 + 100];
    size_t header_size = header != NULL ? 8 : 0;

    if (header != NULL)
        memcpy(data, header, header_size);
    memcpy(data + header_size, part, size);
    packet_send(&(struct packet){.source = source, .destination = STACK_IP6, .protocol = kind, .ttl = 255, .data = data,
                                 .size = header_size + size});
    stack_turn();
}

/* What a message comes in. */
enum { PLAIN, BEHIND_OPTIONS, IN_ONE_FRAGMENT, IN_FRAGMENTS, WAYS };

static void send_icmp6(const char *source, int way, uint8_t *message, size_t size)
{
    write_16(message + 2, packet_checksum(source, STACK_IP6, IPPROTO_ICMPV6, message, size));
    switch (way) {
    case PLAIN:
        send_behind(source, IPPROTO_ICMPV6, NULL, message, size);
        break;
    case BEHIND_OPTIONS:
        send_behind(source, IPPROTO_DSTOPTS, (const uint8_t[8]){IPPROTO_ICMPV6, 0, 1, 4}, message, size);
        break;
    case IN_ONE_FRAGMENT:
        send_behind(source, IPPROTO_FRAGMENT, (const uint8_t[8]){IPPROTO_ICMPV6, [7] = 1}, message, size);
        break;
    default:
        send_behind(source, IPPROTO_FRAGMENT, (const uint8_t[8]){IPPROTO_ICMPV6, 0, 0, 40, [7] = 2}, message + 40, size - 40);
        send_behind(source, IPPROTO_FRAGMENT, (const uint8_t[8]){IPPROTO_ICMPV6, 0, 0, 1, [7] = 2}, message, 40);
    }
}

/* A redirect: to destination by way of target, by who is a link-local router or not. */
static void send_redirect(const char *source, const char *destination, const char *target, int way)
{
    uint8_t message[48] = {[0] = 137, [40] = 2, [41] = 1, [42] = 2, [47] = 9};

    inet_pton(AF_INET6, target, message + 8);
    inet_pton(AF_INET6, destination, message + 24);
    send_icmp6(source, way, message, sizeof message);
}

START_TEST(redirects_of_strangers_are_not_followed)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of("2001:db8::1", 80);
    const struct frame *frame;

    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_turn();
    peer_advertise6("fd00:1::fe");
    frame = wire_take(); /* the question */
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    ck_assert_uint_eq(frame->bytes[5], 1); /* the gateway's Ethernet address is the peer's */
    send_redirect(PEER_LINK_LOCAL, "2001:db8::1", "fe80::9", _i);
    stack_advance(1100);
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    ck_assert_uint_eq(frame->bytes[5], 1);
    stack_tcp_close(told.tcp);
}
END_TEST

/* Its Ethernet address would be taken from behind the packet. */
START_TEST(question_whose_option_has_no_length_is_not_answered)
{
    uint8_t message[32] = {[0] = TYPE_SOLICITATION, [24] = 1, [25] = 1, [26] = 2, [31] = 9};

    inet_pton(AF_INET6, STACK_IP6, message + 8);
    wire_drop_all();
    for (size_t size = 25; size < sizeof message; size++) {
        message[25] = 0;
        write_16(message + 2, 0);
        send_icmp6("fd00:1::9", PLAIN, message, size);
        ck_assert_uint_eq(wire_count(), 0);
    }
    message[25] = 1;
    write_16(message + 2, 0);
    send_icmp6("fd00:1::9", PLAIN, message, sizeof message);
    ck_assert_uint_eq(wire_count(), 1);
}
END_TEST

START_TEST(link_local_peer_is_reached_in_its_scope)
{
    struct told told = {.tcp = stack_tcp_open(AF_INET6, &told_events, &told)};
    union stack_address peer = address_of(PEER_LINK_LOCAL, 80), local;
    const struct frame *frame;

    peer.in6.sin6_scope_id = STACK_INTERFACE_WIRE;
    peer_resolve6(PEER_LINK_LOCAL);
    wire_drop_all();
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_turn();
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    ck_assert_mem_eq(frame->bytes + 14 + 24, &peer.in6.sin6_addr, 16);
    ck_assert_int_eq(stack_tcp_local_address(told.tcp, &local), 0);
    ck_assert(is_address(&local, STACK_LINK_LOCAL, ntohs(local.in6.sin6_port)));
    ck_assert_uint_eq(local.in6.sin6_scope_id, STACK_INTERFACE_WIRE);
    stack_tcp_close(told.tcp);
}
END_TEST

/* A SYN with these addresses; is it answered? */
static bool syn_is_answered(const char *source, const char *destination)
{
    uint8_t tcp[20] = {[0] = 0x9c, [1] = 0x40, [3] = 7, [12] = 0x50, [13] = TH_SYN, [14] = 1};

    *(uint16_t *)(void *)(tcp + 16) = htons(packet_checksum(source, destination, IPPROTO_TCP, tcp, sizeof tcp));
    wire_drop_all();
    packet_send(&(struct packet){.source = source, .destination = destination, .protocol = IPPROTO_TCP, .ttl = 64,
                                 .data = tcp, .size = sizeof tcp});
    stack_turn();
    return wire_count() > 0;
}

START_TEST(addresses_of_our_own_do_not_come_from_outside)
{
    struct stack_tcp *listener = stack_tcp_open(AF_INET6, &told_events, NULL);

    ck_assert_ptr_nonnull(listener);
    ck_assert_int_eq(bind_to(listener, "::", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(listener, NULL), 0);
    peer_resolve6(PEER_IP6);
    ck_assert(syn_is_answered(PEER_IP6, STACK_IP6));
    ck_assert(!syn_is_answered("::1", STACK_IP6));
    ck_assert(!syn_is_answered(STACK_IP6, STACK_IP6));
    ck_assert(!syn_is_answered(PEER_IP6, "::1"));
    ck_assert(!syn_is_answered("::ffff:10.1.0.1", STACK_IP6));
    ck_assert(!syn_is_answered(PEER_IP6, "fd00:1::3"));
    ck_assert(!syn_is_answered("ff02::1", STACK_IP6));
    stack_tcp_close(listener);
    stack_turn();
}
END_TEST

static void setup(void)
{
    stack_setup_dual(0);
}

int main(void)
{
    Suite *suite = suite_create("stack ipv6 link");
    TCase *tcase = tcase_create("link");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, packets_wait_for_the_neighbour_and_then_go);
    tcase_add_test(tcase, neighbour_that_does_not_answer_is_unreachable);
    tcase_add_test(tcase, far_addresses_go_by_the_gateway);
    tcase_add_loop_test(tcase, redirects_of_strangers_are_not_followed, 0, WAYS);
    tcase_add_test(tcase, question_whose_option_has_no_length_is_not_answered);
    tcase_add_test(tcase, link_local_peer_is_reached_in_its_scope);
    tcase_add_test(tcase, addresses_of_our_own_do_not_come_from_outside);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
