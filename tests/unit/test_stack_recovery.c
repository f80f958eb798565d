/*
 * test_stack_recovery.c - the sender, segment by segment: losses that acknowledgements tell of, with SACK and without.
 * Each test says by its name which rule of which RFC it holds to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender_fixture.h"
#include "tests/suite.h"

START_TEST(rfc3042_the_first_two_sacks_bring_new_segments)
{
    sender_write(100);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    sender_expect(10, 11);
    SACK(0, 1, 3);
    sender_expect(11, 12);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Disorder);
    ck_assert_uint_eq(sender_info().tcpi_sacked, 2);
}
END_TEST

START_TEST(rfc8985_three_sacked_segments_resend_the_hole_at_once)
{
    sender_write(100);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    SACK(0, 1, 3);
    wire_drop_all();
    SACK(0, 1, 4);
    sender_expect(0, 1);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Recovery);
    ck_assert_uint_eq(sender_info().tcpi_lost, 1);
    ck_assert_uint_eq(sender_info().tcpi_retrans, 1);
    ck_assert_uint_eq(sender_info().tcpi_snd_ssthresh, 7); /* RFC 9438 4.6 */
}
END_TEST

START_TEST(rfc8985_a_late_segment_has_a_quarter_of_a_round_trip)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    sender_expect_nothing();
    stack_advance(RTT_MS / 4 - 1);
    sender_expect_nothing();
    stack_advance(1);
    sender_expect(0, 1);
    sender_expect_nothing();
}
END_TEST

START_TEST(rfc8985_segments_in_another_order_are_not_sent_again)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    stack_advance(RTT_MS / 8);
    ACK(2);
    SACK(2, 3, 4);
    stack_advance(RTT_MS / 8);
    ACK(10);
    stack_advance(1000);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_total_retrans, 0);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
}
END_TEST

START_TEST(rfc8985_a_network_that_reorders_gets_time_even_after_three)
{
    sender_write(20);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    ACK(2); /* so it reorders */
    ACK(10);
    sender_expect(10, 20);
    stack_advance(RTT_MS);
    SACK(10, 11, 15);
    sender_expect_nothing();
    stack_advance(RTT_MS / 4);
    sender_expect(10, 11);
    sender_expect_nothing();
}
END_TEST

START_TEST(what_overtakes_others_does_not_make_them_late)
{
    unsigned first = 10, end;

    sender_write(90);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    ACK(2); /* so it reorders */
    ACK(10);
    wire_drop_all();
    for (int again = 0; again < 2; again++) { /* what was learned by the first time counts in the second */
        end = first + sender_info().tcpi_unacked;
        ck_assert_uint_ge(end, first + 15);
        stack_advance(RTT_MS / 2);
        SACK(first, end - 3, end); /* in half a round trip */
        wire_drop_all(); /* new segments */
        stack_advance(RTT_MS / 2);
        sender_expect_nothing();
        ACK(end);
        wire_drop_all();
        ck_assert_uint_eq(sender_info().tcpi_total_retrans, 0);
        ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
        first = end;
    }
}
END_TEST

START_TEST(rfc6675_all_holes_are_filled_in_one_round_trip)
{
    sender_write(60);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    sender_expect(10, 30);
    stack_advance(RTT_MS);
    sender_answer(10, (struct range){11, 14}, NO_RANGE, NO_RANGE);
    wire_drop_all();
    sender_answer(10, (struct range){15, 20}, (struct range){11, 14}, NO_RANGE);
    sender_answer(10, (struct range){21, 30}, (struct range){15, 20}, (struct range){11, 14});
    {
        bool seen[60] = {false};

        while (wire_count() > 0)
            seen[sender_take()] = true;
        ck_assert(seen[14] && seen[20]);
        for (unsigned i = 11; i < 30; i++)
            ck_assert(i == 14 || i == 20 || !seen[i]);
    }
}
END_TEST

START_TEST(rfc8985_a_lost_retransmission_is_found)
{
    sender_write(100);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    ck_assert_uint_eq(sender_take(), 0);
    wire_drop_all(); /* new segments, and they arrive; the retransmission does not */
    stack_advance(RTT_MS);
    SACK(0, 1, 11);
    ck_assert_uint_eq(sender_take(), 0);
}
END_TEST

START_TEST(rfc2018_bad_blocks_are_ignored)
{
    static const struct range bad[] = {{10, 11}, {5, 30}, {200, 300}, {4, 2}, {5, 5}, {0x80000000u / MSS, 3}};

    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        sender_answer(0, bad[i], bad[i], bad[i]);
    ck_assert_uint_eq(sender_info().tcpi_sacked, 0);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ACK(10);
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
}
END_TEST

START_TEST(rfc2018_a_block_counts_whole_segments_only)
{
    struct segment segment = {.source_port = 80, .port = sender_peer.stack_port, .sequence = sender_peer.sequence,
                              .acknowledgement = sender_start, .flags = TH_ACK, .window = 0xffff, .option_size = 12};
    uint32_t edges[2] = {htonl(sender_start + MSS + 1), htonl(sender_start + 3 * MSS - 1)};

    memcpy(segment.options, "\x01\x01\x05\x0a", 4);
    memcpy(segment.options + 4, edges, 8);
    sender_write(10);
    stack_advance(RTT_MS);
    peer_send(&segment);
    ck_assert_uint_eq(sender_info().tcpi_sacked, 0);
}
END_TEST

START_TEST(rfc2883_duplicates_of_all_that_was_resent_undo)
{
    unsigned before;

    sender_write(100);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    before = sender_info().tcpi_snd_cwnd;
    SACK(0, 1, 5);
    ck_assert_uint_eq(sender_take(), 0);
    wire_drop_all();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Recovery);
    ACK(10); /* it was only late */
    wire_drop_all();
    sender_answer(10, (struct range){0, 1}, NO_RANGE, NO_RANGE); /* D-SACK */
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, before);
    ck_assert_uint_gt(sender_info().tcpi_snd_ssthresh, 1000);
}
END_TEST

/* ---- With timestamps ---- */

#define STAMPED 1448u /* bytes of data in a segment */

static uint32_t now_ms(void)
{
    return (uint32_t)(stack_time_us() / 1000);
}

/* Twenty segments are on their way, the first at 10, since the time that is returned; the last four have overtaken. */
static uint32_t be_overtaken(void)
{
    const struct range sacked = {26 * STAMPED, 30 * STAMPED};
    uint32_t sent_ms;

    sender_connect(&(struct sender_options){.stamped = true});
    sender_write(60);
    wire_drop_all();
    stack_advance(RTT_MS);
    sender_acknowledge(10 * STAMPED, NULL, 0, now_ms() - RTT_MS);
    sent_ms = now_ms();
    wire_drop_all();
    stack_advance(RTT_MS);
    sender_acknowledge(10 * STAMPED, &sacked, 1, sent_ms - RTT_MS); /* the last that was in order */
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Recovery);
    ck_assert_uint_eq(peer_take().sequence, sender_start + 10 * STAMPED);
    wire_drop_all();
    return sent_ms;
}

START_TEST(linux_what_was_only_late_holds_up_retransmissions)
{
    const struct range sacked = {26 * STAMPED, 30 * STAMPED};
    uint32_t sent_ms;

    stack_setup_plain();
    sent_ms = be_overtaken();
    stack_advance(5);
    sender_acknowledge(11 * STAMPED, &sacked, 1, sent_ms); /* the first one's, not what was sent again */
    while (wire_count() > 0)
        ck_assert_uint_ge(peer_take().sequence - sender_start, 30 * STAMPED); /* new data */
    stack_teardown();
}
END_TEST

START_TEST(rfc3522_all_was_only_late_and_it_is_undone)
{
    unsigned window;
    uint32_t sent_ms;

    stack_setup_plain();
    sent_ms = be_overtaken();
    window = sender_info().tcpi_snd_ssthresh * 10 / 7;
    stack_advance(5);
    sender_acknowledge(30 * STAMPED, NULL, 0, sent_ms);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, window - 1);
    stack_teardown();
}
END_TEST

/* ---- Without SACK ---- */

START_TEST(rfc6582_three_duplicates_resend_the_first)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(0);
    ACK(0);
    sender_expect_nothing();
    ACK(0);
    sender_expect(0, 1);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Recovery);
}
END_TEST

START_TEST(rfc6582_a_partial_acknowledgement_resends_the_next)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    for (int i = 0; i < 6; i++)
        ACK(0);
    sender_expect(0, 1);
    stack_advance(RTT_MS);
    ACK(3);
    sender_expect(3, 4);
    stack_advance(RTT_MS);
    ACK(10);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, 7);
    ck_assert_uint_le(sender_info().tcpi_snd_cwnd, 8);
}
END_TEST

START_TEST(rfc5681_data_and_window_updates_are_no_duplicates)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    for (int i = 0; i < 5; i++)
        peer_send(&(struct segment){.source_port = 80, .port = sender_peer.stack_port, .sequence = sender_peer.sequence,
                                    .acknowledgement = sender_start, .flags = TH_ACK, .window = (uint16_t)(0x7000 + i)});
    for (int i = 0; i < 5; i++)
        peer_say(&sender_peer, TH_ACK, "x", 1);
    while (wire_count() > 0)
        ck_assert_uint_eq(peer_take().size, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack recovery");
    TCase *with = tcase_create("with SACK"), *without = tcase_create("without SACK");
    TCase *stamped = tcase_create("with timestamps");

    tcase_add_checked_fixture(with, sender_setup, stack_teardown);
    tcase_add_test(with, rfc3042_the_first_two_sacks_bring_new_segments);
    tcase_add_test(with, rfc8985_three_sacked_segments_resend_the_hole_at_once);
    tcase_add_test(with, rfc8985_a_late_segment_has_a_quarter_of_a_round_trip);
    tcase_add_test(with, rfc8985_segments_in_another_order_are_not_sent_again);
    tcase_add_test(with, rfc8985_a_network_that_reorders_gets_time_even_after_three);
    tcase_add_test(with, what_overtakes_others_does_not_make_them_late);
    tcase_add_test(with, rfc6675_all_holes_are_filled_in_one_round_trip);
    tcase_add_test(with, rfc8985_a_lost_retransmission_is_found);
    tcase_add_test(with, rfc2018_bad_blocks_are_ignored);
    tcase_add_test(with, rfc2018_a_block_counts_whole_segments_only);
    tcase_add_test(with, rfc2883_duplicates_of_all_that_was_resent_undo);
    tcase_set_timeout(with, 60);
    suite_add_tcase(suite, with);
    tcase_add_test(stamped, linux_what_was_only_late_holds_up_retransmissions);
    tcase_add_test(stamped, rfc3522_all_was_only_late_and_it_is_undone);
    suite_add_tcase(suite, stamped);
    tcase_add_checked_fixture(without, sender_setup_without_sack, stack_teardown);
    tcase_add_test(without, rfc6582_three_duplicates_resend_the_first);
    tcase_add_test(without, rfc6582_a_partial_acknowledgement_resends_the_next);
    tcase_add_test(without, rfc5681_data_and_window_updates_are_no_duplicates);
    suite_add_tcase(suite, without);
    return suite_run(suite);
}
