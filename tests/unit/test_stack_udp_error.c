/* test_stack_udp_error.c - ICMP errors about UDP datagrams: who is told what, and what the path's MTU becomes. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

enum { ICMP = 8, IP = 20, UDP = 8, QUOTED = IP + UDP + 4 };

static uint8_t sent[2048]; /* the packet that the stack sent last, from its IP header on */
static uint8_t icmp[ICMP + QUOTED];

static void setup(void)
{
    heard_setup_ip4();
    heard_open_udp4(&one);
}

/* Send a datagram to the peer and keep the packet. */
static void send_one(const char *ip)
{
    const struct frame *frame;

    ck_assert_int_eq(heard_send(&one, ip, 9, "data", 4), 0);
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    memcpy(sent, frame->bytes + 14, IP + UDP + 4);
}

/* Make the message about it; the sum is put in when it is sent. */
static void make_message(uint8_t type, uint8_t code, uint32_t info)
{
    memset(icmp, 0, sizeof icmp);
    icmp[0] = type;
    icmp[1] = code;
    icmp[4] = (uint8_t)(info >> 24);
    icmp[5] = (uint8_t)(info >> 16);
    icmp[6] = (uint8_t)(info >> 8);
    icmp[7] = (uint8_t)info;
    memcpy(icmp + ICMP, sent, QUOTED);
}

static void send_message(const char *from, size_t size)
{
    checksum_put(icmp, size, 2);
    packet_send(&(struct packet){.source = from, .destination = STACK_IP, .protocol = IPPROTO_ICMP, .data = icmp,
                                 .size = size});
}

static const struct {
    uint8_t type, code;
    uint32_t info;
    int error;
    bool hard;
} messages[] = {
    {3, 0, 0, ENETUNREACH, false},  {3, 1, 0, EHOSTUNREACH, false}, {3, 2, 0, ENOPROTOOPT, true},
    {3, 3, 0, ECONNREFUSED, true},  {3, 4, 1400, EMSGSIZE, true},   {3, 5, 0, EOPNOTSUPP, false},
    {3, 13, 0, EHOSTUNREACH, true}, {11, 0, 0, EHOSTUNREACH, false}, {12, 0, 20u << 24, EPROTO, true},
};

START_TEST(socket_that_asks_is_told_all)
{
    heard_set(&one, STACK_DATAGRAM_RECEIVE_ERRORS, 1);
    send_one(PEER_IP);
    make_message(messages[_i].type, messages[_i].code, messages[_i].info);
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_int_eq((int)one.error.extended.ee_errno, messages[_i].error);
    ck_assert_uint_eq(one.error.extended.ee_origin, SO_EE_ORIGIN_ICMP);
    ck_assert_uint_eq(one.error.extended.ee_type, messages[_i].type);
    ck_assert_uint_eq(one.error.extended.ee_code, messages[_i].code);
    ck_assert_uint_eq(one.error.extended.ee_info, messages[_i].type == 12 ? 20 : messages[_i].info);
    ck_assert(one.error.hard);
    ck_assert_uint_eq(one.error.offender.in.sin_addr.s_addr, inet_addr("10.1.0.254"));
    ck_assert_uint_eq(one.error.destination.in.sin_addr.s_addr, inet_addr(PEER_IP));
    ck_assert_uint_eq(ntohs(one.error.destination.in.sin_port), 9);
    ck_assert_uint_eq(one.error.length, 4);
    ck_assert_mem_eq(one.error.payload, "data", 4);
}
END_TEST

START_TEST(connected_socket_is_told_what_is_final)
{
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), 0);
    send_one(NULL);
    make_message(messages[_i].type, messages[_i].code, messages[_i].info);
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_uint_eq(one.failed, messages[_i].hard);
}
END_TEST

START_TEST(others_are_told_nothing)
{
    send_one(PEER_IP);
    make_message(messages[_i].type, messages[_i].code, messages[_i].info);
    send_message(PEER_IP, sizeof icmp);
    ck_assert_uint_eq(one.failed, 0);
}
END_TEST

/* One bit wrong in what must be right: version, protocol, addresses, ports. */
static const size_t quoted_bytes[] = {0, 9, 15, 19, 21, 23};

START_TEST(message_about_something_else_is_ignored)
{
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), 0);
    send_one(NULL);
    make_message(3, 3, 0);
    icmp[ICMP + quoted_bytes[_i]] ^= 0x40;
    send_message(PEER_IP, sizeof icmp);
    ck_assert_uint_eq(one.failed, 0);
}
END_TEST

START_TEST(message_cut_short_is_ignored)
{
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), 0);
    send_one(NULL);
    for (size_t size = 0; size < ICMP + IP + UDP; size++) {
        make_message(3, 3, 0);
        send_message(PEER_IP, size);
    }
    ck_assert_uint_eq(one.failed, 0);
    make_message(3, 3, 0);
    send_message(PEER_IP, ICMP + IP + UDP);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_uint_eq(one.error.length, 0);
}
END_TEST

START_TEST(message_with_a_wrong_sum_is_ignored)
{
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), 0);
    send_one(NULL);
    make_message(3, 3, 0);
    icmp[2] = 1;
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_ICMP, .data = icmp,
                                 .size = sizeof icmp});
    ck_assert_uint_eq(one.failed, 0);
}
END_TEST

START_TEST(refusal_comes_over_the_loopback)
{
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.9", STACK_IP};

    ck_assert_int_eq(heard_connect(&one, addresses[_i], 9), 0);
    ck_assert_int_eq(heard_send(&one, NULL, 0, "data", 4), 0);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_int_eq((int)one.error.extended.ee_errno, ECONNREFUSED);
    ck_assert_uint_eq(one.error.offender.in.sin_addr.s_addr, inet_addr(addresses[_i]));
    ck_assert_uint_eq(one.error.length, 4);
    ck_assert_mem_eq(one.error.payload, "data", 4);
}
END_TEST

START_TEST(path_mtu_is_learned_and_forgotten)
{
    static const uint8_t bytes[1472];

    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), -ENOTCONN);
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 9), 0);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1500);
    send_one(NULL);
    make_message(3, 4, 1400);
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_uint_eq(one.failed, 1);
    ck_assert_int_eq((int)one.error.extended.ee_errno, EMSGSIZE);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1400);
    make_message(3, 4, 1450); /* it does not grow so */
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1400);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, 1472), 0);
    ck_assert_uint_eq(wire_count(), 2);
    {
        struct packet packet = packet_take();

        ck_assert(packet.more_fragments && !packet.dont_fragment);
        ck_assert_uint_le(packet.size, 1380);
    }
    wire_drop_all();
    heard_set(&one, STACK_DATAGRAM_MTU_DISCOVER, IP_PMTUDISC_DO);
    heard_set(&one, STACK_DATAGRAM_RECEIVE_ERRORS, 1);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, 1373), -EMSGSIZE);
    ck_assert_uint_eq(one.error.extended.ee_origin, SO_EE_ORIGIN_LOCAL);
    ck_assert_uint_eq(one.error.extended.ee_info, 1400);
    ck_assert(!one.error.hard);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, 1372), 0);
    heard_set(&one, STACK_DATAGRAM_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    ck_assert_int_eq(heard_send(&one, NULL, 0, bytes, 1472), 0);
    wire_drop_all();
    make_message(3, 4, 68); /* less than anybody needs */
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 552);
    stack_advance(600001);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1500);
    make_message(3, 4, 0); /* from a router that doesn't say */
    icmp[ICMP + 2] = 1500 >> 8;
    icmp[ICMP + 3] = 1500 & 255;
    send_message("10.1.0.254", sizeof icmp);
    ck_assert_int_eq(stack_datagram_path_mtu(one.datagram), 1492);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("udp errors");
    TCase *tcase = tcase_create("udp errors");
    int count = (int)(sizeof messages / sizeof *messages);

    tcase_add_checked_fixture(tcase, setup, heard_teardown);
    tcase_add_loop_test(tcase, socket_that_asks_is_told_all, 0, count);
    tcase_add_loop_test(tcase, connected_socket_is_told_what_is_final, 0, count);
    tcase_add_loop_test(tcase, others_are_told_nothing, 0, count);
    tcase_add_loop_test(tcase, message_about_something_else_is_ignored, 0, (int)sizeof quoted_bytes / (int)sizeof *quoted_bytes);
    tcase_add_test(tcase, message_cut_short_is_ignored);
    tcase_add_test(tcase, message_with_a_wrong_sum_is_ignored);
    tcase_add_loop_test(tcase, refusal_comes_over_the_loopback, 0, 3);
    tcase_add_test(tcase, path_mtu_is_learned_and_forgotten);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
