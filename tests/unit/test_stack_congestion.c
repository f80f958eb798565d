/*
 * test_stack_congestion.c - the sender, segment by segment: how much may be on its way: RFC 5681, 6928, 9438, 9406,
 * 2861. Each test says by its name which rule of which RFC it holds to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender_fixture.h"
#include "stack/tcp/tcp_congestion.h"
#include "tests/suite.h"

START_TEST(rfc6928_the_first_window_is_ten_segments)
{
    sender_write(100);
    sender_expect(0, 10);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_snd_cwnd, 10);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 10);
}
END_TEST

START_TEST(rfc5681_slow_start_adds_what_is_acknowledged)
{
    sender_write(200);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(2);
    sender_expect(10, 14);
    ACK(10);
    sender_expect(14, 30);
    sender_expect_nothing();
    stack_advance(RTT_MS);
    ACK(30);
    sender_expect(30, 70);
    sender_expect_nothing();
}
END_TEST

START_TEST(rfc2861_a_window_that_was_not_used_does_not_grow)
{
    for (unsigned i = 0; i < 50; i++) {
        sender_write(1);
        wire_drop_all();
        stack_advance(RTT_MS);
        sender_start += MSS;
        sender_peer.expected += MSS;
        ACK(0);
        sender_start = sender_peer.expected;
    }
    ck_assert_uint_le(sender_info().tcpi_snd_cwnd, 11);
}
END_TEST

START_TEST(rfc2861_a_window_that_is_not_used_any_more_comes_down)
{
    sender_write(70);
    for (unsigned n = 10, before = 0; before < 70; before = n, n = n * 2 < 70 ? n * 2 : 70) {
        stack_advance(RTT_MS);
        ACK(n);
    }
    ck_assert_uint_gt(sender_info().tcpi_snd_cwnd, 60);
    for (unsigned i = 0; i < 40; i++) {
        sender_write(1);
        wire_drop_all();
        stack_advance(RTT_MS);
        ACK(71 + i);
    }
    ck_assert_uint_le(sender_info().tcpi_snd_cwnd, 12);
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, 10);
    ck_assert_uint_ge(sender_info().tcpi_snd_ssthresh, 45);
}
END_TEST

START_TEST(rfc5681_after_a_silence_the_window_is_the_first_one_again)
{
    sender_write(70);
    for (unsigned n = 10, before = 0; before < 70; before = n, n = n * 2 < 70 ? n * 2 : 70) {
        stack_advance(RTT_MS);
        ACK(n);
    }
    wire_drop_all();
    stack_advance(RTT_MS);
    ACK(70);
    ck_assert_uint_gt(sender_info().tcpi_snd_cwnd, 30);
    stack_advance(60000);
    sender_start += 70 * MSS;
    sender_write(100);
    sender_expect(0, 10);
    sender_expect_nothing();
}
END_TEST

START_TEST(rfc5681_reno_halves)
{
    ck_assert_int_eq(stack_tcp_set_congestion(sender_told.tcp, "reno"), 0);
    ck_assert_str_eq(stack_tcp_get_congestion(sender_told.tcp), "reno");
    ck_assert_int_eq(stack_tcp_set_congestion(sender_told.tcp, "vegas"), -ENOENT);
    sender_write(100);
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    ck_assert_uint_eq(sender_info().tcpi_snd_ssthresh, 5);
}
END_TEST

START_TEST(rfc6937_the_window_comes_down_to_the_threshold)
{
    unsigned sent = 0;

    sender_write(200);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    sender_expect(10, 30);
    stack_advance(RTT_MS);
    for (unsigned i = 12; i <= 30; i++) {
        SACK(10, 11, i);
        while (wire_count() > 0)
            sent += sender_take() < 200;
    }
    /* 20 were on their way, 14 may be in the end: of 19 SACKs each 10 let 7 out */
    ck_assert_uint_ge(sent, 12);
    ck_assert_uint_le(sent, 15);
    stack_advance(RTT_MS);
    ACK(32); /* two of which were sent before the recovery began */
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_eq(sender_info().tcpi_snd_cwnd, 14);
}
END_TEST

/* ---- Slow start that ends in time ---- */

#define LINK_US 120u   /* that a segment takes of the bottleneck: 100 Mbit/s */
#define PATH_US 20000u /* and of the way there and back */

static struct congestion congestion;

/* A sender behind a bottleneck with an endless queue, each segment acknowledged by itself. Runs until slow start is
 * over, the window is limit segments, or turns acknowledgements came. Return: the window, segments. */
static uint32_t run_slow_start(uint32_t limit, unsigned turns)
{
    static uint64_t arrivals[100000], sent_at[100000];
    uint64_t now_us = 1000000, link_free_us = 0;
    uint32_t sent = 0, acked = 0;

    congestion_start(&congestion, MSS, 10 * MSS);
    congestion.least_rtt_us = PATH_US + LINK_US;
    while (congestion.window < congestion.threshold && congestion.window < limit * MSS && acked < turns) {
        for (; sent - acked < congestion.window / MSS; sent++) {
            link_free_us = (link_free_us > now_us ? link_free_us : now_us) + LINK_US;
            sent_at[sent] = now_us;
            arrivals[sent] = link_free_us + PATH_US;
        }
        now_us = arrivals[acked];
        acked++;
        congestion_acked(&congestion, &(struct congestion_ack){.now_us = now_us, .acked = MSS, .limited = true,
                                                               .rtt_us = (uint32_t)(now_us - sent_at[acked - 1]),
                                                               .acknowledged = acked * MSS, .next = sent * MSS});
    }
    return congestion.window / MSS;
}

START_TEST(hystart_ends_slow_start_at_a_window_that_fills_the_path_and_little_more)
{
    const uint32_t pipe = (PATH_US + LINK_US) / LINK_US;
    uint32_t window = run_slow_start(100 * pipe, 100000);

    ck_assert_uint_le(congestion.threshold, congestion.window);
    ck_assert_uint_ge(window, pipe);
    ck_assert_uint_le(window, 2 * pipe);
}
END_TEST

START_TEST(hystart_does_not_take_ten_segments_for_a_long_train)
{
    ck_assert_uint_eq(run_slow_start(16, 100000), 16);
    ck_assert(!congestion.train_was_long);
}
END_TEST

/* One acknowledgement of a segment, a time after the last. */
static void acknowledge_one(uint64_t *now_us, uint32_t later_us)
{
    *now_us += later_us;
    congestion_acked(&congestion, &(struct congestion_ack){.now_us = *now_us, .acked = MSS, .limited = true});
}

static void start_avoiding(uint32_t segments)
{
    congestion_start(&congestion, MSS, segments * MSS);
    congestion.threshold = congestion.window;
    congestion.smoothed_rtt_us = RTT_MS * 1000;
}

/* RFC 5681 3.1: a segment for each round trip. */
START_TEST(rfc5681_reno_grows_by_a_segment_a_window)
{
    uint64_t now_us = 1000000;

    start_avoiding(100);
    congestion_choose(&congestion, &congestion_reno);
    for (int i = 0; i < 100; i++)
        acknowledge_one(&now_us, RTT_MS * 10);
    ck_assert_uint_eq((congestion.window + MSS / 2) / MSS, 101);
    for (int i = 0; i < 1020; i++)
        acknowledge_one(&now_us, RTT_MS * 10);
    ck_assert_uint_eq((congestion.window + MSS / 2) / MSS, 111); /* the root of 100^2 + 2 * 1120 */
}
END_TEST

/* RFC 9406 4.2, in rounds of ten segments: the caller says how long each round trip took. Of one that came as a train
 * nothing is tested here. */
static void pass_round(uint32_t rtt_us)
{
    static uint64_t now_us;
    static uint32_t next;
    uint32_t end = next + 10 * MSS;

    for (uint32_t acknowledged = next + MSS; acknowledged <= end; acknowledged += MSS) {
        now_us += 20000;
        congestion_acked(&congestion, &(struct congestion_ack){.now_us = now_us, .acked = MSS, .limited = true, .rtt_us = rtt_us,
                                                               .acknowledged = acknowledged, .next = acknowledged + 10 * MSS});
    }
    next = end;
}

static uint32_t growth_in_round(uint32_t rtt_us)
{
    uint32_t window = congestion.window;

    pass_round(rtt_us);
    return (congestion.window - window) / MSS;
}

START_TEST(rfc9406_a_longer_round_trip_slows_slow_start_down_and_five_rounds_end_it)
{
    congestion_start(&congestion, MSS, 10 * MSS);
    congestion.least_rtt_us = 50000;
    ck_assert_uint_eq(growth_in_round(50000), 10);
    ck_assert_uint_eq(growth_in_round(52000), 10); /* not longer by an eighth */
    (void)growth_in_round(70000);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_ge(growth_in_round(75000), 2);
        ck_assert_uint_le(congestion.window / MSS, 60);
        ck_assert_uint_eq(congestion.threshold, CONGESTION_NO_THRESHOLD);
    }
    (void)growth_in_round(75000);
    ck_assert_uint_le(congestion.threshold, congestion.window);
}
END_TEST

START_TEST(rfc9406_slow_start_goes_on_when_the_round_trip_was_only_longer_for_a_while)
{
    congestion_start(&congestion, MSS, 10 * MSS);
    congestion.least_rtt_us = 50000;
    (void)growth_in_round(50000);
    (void)growth_in_round(70000);
    ck_assert_uint_le(growth_in_round(75000), 5);
    (void)growth_in_round(55000); /* shorter than what began it */
    ck_assert_uint_eq(growth_in_round(55000), 10);
    ck_assert_uint_eq(congestion.threshold, CONGESTION_NO_THRESHOLD);
}
END_TEST

START_TEST(cubic_looks_for_more_before_the_first_loss)
{
    uint64_t now_us = 1000000;

    start_avoiding(100);
    for (int i = 0; i < 100; i++)
        acknowledge_one(&now_us, RTT_MS * 10);
    ck_assert_uint_ge(congestion.window / MSS, 104);
    ck_assert_uint_le(congestion.window / MSS, 106);
}
END_TEST

/* C (t - K)^3 + W_max: after a loss at 100 segments K is cbrt(30 / 0.4) = 4.2 s. */
START_TEST(rfc9438_after_a_loss_the_window_is_back_after_k_seconds)
{
    uint64_t now_us = 1000000;

    start_avoiding(100);
    congestion_reduce(&congestion);
    congestion.window = congestion.threshold;
    ck_assert_uint_eq(congestion.window / MSS, 70);
    for (uint64_t end_us = now_us + 4217000; now_us < end_us;)
        acknowledge_one(&now_us, RTT_MS * 1000 / (congestion.window / MSS));
    ck_assert_uint_ge(congestion.window / MSS, 98);
    ck_assert_uint_le(congestion.window / MSS, 101);
}
END_TEST

START_TEST(rfc9438_a_second_loss_below_the_first_gives_way)
{
    start_avoiding(100);
    congestion_reduce(&congestion);
    congestion.window = 80 * MSS;
    congestion_reduce(&congestion);
    ck_assert_uint_eq((unsigned)congestion.w_max, 68); /* 80 * 0.85 */
    ck_assert_uint_eq(congestion.threshold / MSS, 56);
}
END_TEST

START_TEST(rfc9438_a_time_out_makes_void_what_was_known)
{
    start_avoiding(100);
    congestion_reduce(&congestion);
    congestion_forget(&congestion);
    ck_assert_uint_eq(congestion.threshold / MSS, 70);
    ck_assert(congestion.w_max == 0 && congestion.searching);
    congestion_undo(&congestion);
    ck_assert_uint_eq(congestion.window / MSS, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack congestion");
    TCase *with = tcase_create("with SACK");

    tcase_add_checked_fixture(with, sender_setup, stack_teardown);
    tcase_add_test(with, rfc6928_the_first_window_is_ten_segments);
    tcase_add_test(with, rfc5681_slow_start_adds_what_is_acknowledged);
    tcase_add_test(with, rfc2861_a_window_that_was_not_used_does_not_grow);
    tcase_add_test(with, rfc2861_a_window_that_is_not_used_any_more_comes_down);
    tcase_add_test(with, rfc5681_after_a_silence_the_window_is_the_first_one_again);
    tcase_add_test(with, rfc5681_reno_halves);
    tcase_add_test(with, rfc6937_the_window_comes_down_to_the_threshold);
    tcase_add_test(with, hystart_ends_slow_start_at_a_window_that_fills_the_path_and_little_more);
    tcase_add_test(with, hystart_does_not_take_ten_segments_for_a_long_train);
    tcase_add_test(with, rfc5681_reno_grows_by_a_segment_a_window);
    tcase_add_test(with, rfc9406_a_longer_round_trip_slows_slow_start_down_and_five_rounds_end_it);
    tcase_add_test(with, rfc9406_slow_start_goes_on_when_the_round_trip_was_only_longer_for_a_while);
    tcase_add_test(with, cubic_looks_for_more_before_the_first_loss);
    tcase_add_test(with, rfc9438_after_a_loss_the_window_is_back_after_k_seconds);
    tcase_add_test(with, rfc9438_a_second_loss_below_the_first_gives_way);
    tcase_add_test(with, rfc9438_a_time_out_makes_void_what_was_known);
    tcase_set_timeout(with, 60);
    suite_add_tcase(suite, with);
    return suite_run(suite);
}
