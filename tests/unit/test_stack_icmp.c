/* test_stack_icmp.c - ICMP errors about a SYN: believed only when they quote what was really sent. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

enum { ETHERNET = 14, IP = 20, ICMP = 8, QUOTED = 28, SIZE = ETHERNET + IP + ICMP + QUOTED };

static struct told told;
static uint8_t syn[ETHERNET + IP + 60]; /* what the stack sent */
static uint8_t answer[SIZE];

static void setup(void)
{
    const struct frame *frame;
    union stack_address peer = address_of(PEER_IP, 80);

    stack_setup_plain();
    peer_resolve();
    memset(&told, 0, sizeof told);
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &peer), 0);
    stack_turn();
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    memcpy(syn, frame->bytes, ETHERNET + IP + 8);
}

static void teardown(void)
{
    stack_tcp_abort(told.tcp);
    stack_teardown();
}

/* The peer's ICMP message about the SYN. */
static void make_answer(uint8_t type, uint8_t code)
{
    uint8_t *ip = answer + ETHERNET, *icmp = ip + IP;

    memset(answer, 0, sizeof answer);
    memcpy(answer, syn + 6, 6); /* back to where it came from */
    memcpy(answer + 6, syn, 6);
    answer[12] = 8;
    ip[0] = 0x45;
    ip[3] = IP + ICMP + QUOTED;
    ip[8] = 64;
    ip[9] = IPPROTO_ICMP;
    memcpy(ip + 12, syn + ETHERNET + 16, 4);
    memcpy(ip + 16, syn + ETHERNET + 12, 4);
    icmp[0] = type;
    icmp[1] = code;
    memcpy(icmp + ICMP, syn + ETHERNET, QUOTED);
}

static void send_answer(size_t size)
{
    static const struct virtio_net_hdr plain;

    checksum_put(answer + ETHERNET + IP, ICMP + QUOTED, 2);
    checksum_put(answer + ETHERNET, IP, 10);
    wire_put(&plain, answer, size);
    stack_turn();
}

static const struct {
    uint8_t type, code;
    int error;
} messages[] = {
    {3, 0, ENETUNREACH}, {3, 1, EHOSTUNREACH}, {3, 3, ECONNREFUSED}, {3, 13, EHOSTUNREACH},
    {11, 0, EHOSTUNREACH}, {12, 0, EPROTO}, {3, 4, 0}, {3, 200, 0}, {5, 0, 0}, {0, 0, 0},
};

START_TEST(message_fails_the_connect)
{
    make_answer(messages[_i].type, messages[_i].code);
    send_answer(SIZE);
    ck_assert_uint_eq(told.failed, messages[_i].error != 0);
    ck_assert_int_eq(told.error, messages[_i].error);
}
END_TEST

/* One bit wrong in what must be right: version, protocol, addresses, ports, sequence number. */
static const size_t quoted_bytes[] = {0, 9, 15, 19, 21, 23, 24};

START_TEST(message_about_something_else_is_ignored)
{
    make_answer(3, 1);
    answer[ETHERNET + IP + ICMP + quoted_bytes[_i]] ^= 0x40;
    send_answer(SIZE);
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

START_TEST(message_cut_short_is_ignored)
{
    for (size_t size = ETHERNET; size < SIZE; size++) {
        make_answer(3, 1);
        send_answer(size);
        make_answer(3, 1);
        answer[ETHERNET + 3] = (uint8_t)(size - ETHERNET); /* and now says so itself */
        send_answer(size);
    }
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

START_TEST(message_with_a_wrong_sum_is_ignored)
{
    static const struct virtio_net_hdr plain;

    make_answer(3, 1);
    checksum_put(answer + ETHERNET + IP, ICMP + QUOTED, 2);
    checksum_put(answer + ETHERNET, IP, 10);
    answer[ETHERNET + IP + 2] ^= 1;
    wire_put(&plain, answer, SIZE);
    stack_turn();
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("icmp");
    TCase *tcase = tcase_create("icmp");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, message_fails_the_connect, 0, (int)(sizeof messages / sizeof *messages));
    tcase_add_loop_test(tcase, message_about_something_else_is_ignored, 0, (int)(sizeof quoted_bytes / sizeof *quoted_bytes));
    tcase_add_test(tcase, message_cut_short_is_ignored);
    tcase_add_test(tcase, message_with_a_wrong_sum_is_ignored);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
