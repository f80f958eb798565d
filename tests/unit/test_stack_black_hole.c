/* test_stack_black_hole.c - paths that swallow large packets and say nothing (RFC 2923), and outages, which are
 * something else. */
#include <stdlib.h>

#include "sender_fixture.h"
#include "tests/suite.h"

#define BYTES (40 * MSS)

static size_t headers(void)
{
    return (sender_peer.family == AF_INET6 ? 40 : 20) + 20;
}

/* 0: IPv4, 1: IPv6 */
static void connect_on(int family)
{
    stack_setup_dual(0);
    sender_connect(&(struct sender_options){.family = family == 1 ? AF_INET6 : 0});
}

/* The peer receives until it has all. Return: in how many milliseconds. */
static unsigned receive(size_t bytes, size_t mtu)
{
    unsigned waited_ms = 0;

    for (; sender_received() < bytes && waited_ms < 200000; waited_ms += 10) {
        stack_advance(10);
        sender_receive((struct sender_network){.mtu = mtu});
    }
    ck_assert_uint_eq(sender_received(), bytes);
    return waited_ms;
}

START_TEST(rfc2923_a_black_hole_is_found_out)
{
    const size_t mtu = 1400;
    unsigned took_ms;

    connect_on(_i);
    sender_write(40);
    took_ms = receive(BYTES, mtu);
    ck_assert_uint_le(took_ms, 15000);
    ck_assert_uint_le(sender_info().tcpi_snd_mss, mtu - headers());
    ck_assert_uint_ge(sender_info().tcpi_snd_mss, 1000);
    sender_write(40);
    ck_assert_uint_le(receive(2 * BYTES, mtu), 3000); /* once is enough */
    /* Ten minutes later larger ones are tried, one at a time: what passes is found, and nothing waits for a
     * time-out. */
    for (unsigned waited_ms = 0; waited_ms < 600000; waited_ms += 1000)
        stack_advance(1000);
    for (unsigned i = 3; i <= 10; i++) {
        sender_write(40);
        ck_assert_uint_le(receive(i * BYTES, mtu), 3000);
    }
    ck_assert_uint_le(sender_info().tcpi_snd_mss, mtu - headers());
    ck_assert_uint_ge(sender_info().tcpi_snd_mss, mtu - headers() - 8);
    for (unsigned waited_ms = 0; waited_ms < 600000; waited_ms += 1000)
        stack_advance(1000);
    sender_write(40);
    ck_assert_uint_le(receive(11 * BYTES, 0), 3000);
    ck_assert_uint_eq(sender_info().tcpi_snd_mss, 1500 - headers());
    stack_teardown();
}
END_TEST

START_TEST(rfc1122_3_3_2_a_path_of_the_smallest_size)
{
    connect_on(_i);
    sender_write(40);
    receive(BYTES, _i == 1 ? 1280 : 576);
    stack_teardown();
}
END_TEST

START_TEST(small_segments_pass_and_prove_nothing)
{
    connect_on(_i);
    for (unsigned i = 1; i <= 50; i++) {
        send_bytes(sender_told.tcp, (uint8_t[]){pattern_byte(i - 1)}, 1);
        receive(i, 1400);
    }
    ck_assert_uint_eq(sender_info().tcpi_snd_mss, 1500 - headers());
    stack_teardown();
}
END_TEST

START_TEST(an_outage_is_no_black_hole)
{
    connect_on(_i);
    for (unsigned i = 1; i <= 4; i++) {
        sender_write(40);
        for (unsigned waited_ms = 0; waited_ms < i * 13000; waited_ms += 10) {
            stack_advance(10);
            wire_drop_all();
        }
        receive(i * BYTES, 0);
        ck_assert_uint_eq(sender_info().tcpi_snd_mss, 1500 - headers());
    }
    stack_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack black hole");
    TCase *tcase = tcase_create("both families");

    tcase_add_loop_test(tcase, rfc2923_a_black_hole_is_found_out, 0, 2);
    tcase_add_loop_test(tcase, rfc1122_3_3_2_a_path_of_the_smallest_size, 0, 2);
    tcase_add_loop_test(tcase, small_segments_pass_and_prove_nothing, 0, 2);
    tcase_add_loop_test(tcase, an_outage_is_no_black_hole, 0, 2);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
