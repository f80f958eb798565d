/*
 * test_stack_timeout.c - the sender, segment by segment: what the sender does when nothing comes back: probes, time-outs, outages. Each test says by its name
 * which rule of which RFC it holds to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender_fixture.h"

START_TEST(rfc8985_the_tail_is_probed_after_two_round_trips)
{
    sender_write(5);
    sender_expect(0, 5);
    stack_advance(2 * RTT_MS + 1);
    sender_expect_nothing();
    stack_advance(2);
    sender_expect(4, 5);
    sender_expect_nothing();
    stack_advance(RTT_MS);
    SACK(3, 4, 5); /* the fourth is missing */
    stack_advance(RTT_MS / 4);
    sender_expect(3, 4);
    ACK(5);
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
}
END_TEST

START_TEST(rfc8985_the_probe_is_no_later_than_the_time_out)
{
    sender_write(1); /* whose acknowledgement the peer may hold for 200 ms */
    sender_expect(0, 1);
    stack_advance(RTT_MS + 199);
    sender_expect_nothing();
    stack_advance(2);
    sender_expect(0, 1);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Loss);
}
END_TEST

START_TEST(rfc8985_the_probe_is_new_data_if_there_is_some)
{
    sender_write(100);
    sender_expect(0, 10);
    stack_advance(2 * RTT_MS + 3);
    sender_expect(10, 11);
    sender_expect_nothing();
    stack_advance(RTT_MS / 2);
    ACK(11);
    ck_assert_uint_eq(sender_info().tcpi_total_retrans, 0);
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, 20);
}
END_TEST

START_TEST(rfc8985_a_loss_that_the_probe_repaired_brings_the_window_down)
{
    sender_write(10);
    sender_expect(0, 10);
    stack_advance(2 * RTT_MS + 3);
    sender_expect(9, 10);
    stack_advance(RTT_MS);
    sender_write(1); /* the window has no room, and then it has */
    ACK(10);
    sender_expect(10, 11);
    ACK(11);
    ck_assert_uint_eq(sender_info().tcpi_snd_ssthresh, 14);
}
END_TEST

START_TEST(rfc6298_time_out_doubles_and_the_window_is_one_segment)
{
    unsigned before, after;

    sender_write(10);
    sender_expect(0, 10);
    sender_wait(1000); /* the probe */
    sender_expect(9, 10);
    before = sender_wait(10000);
    sender_expect(0, 1);
    sender_expect_nothing();
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Loss);
    ck_assert_uint_eq(sender_info().tcpi_snd_cwnd, 1);
    ck_assert_uint_eq(sender_info().tcpi_lost, 10);
    for (int i = 0; i < 6; i++) {
        after = sender_wait(100000);
        sender_expect(0, 1);
        sender_expect_nothing();
        ck_assert_uint_ge(after, before * 2 - 2);
        ck_assert_uint_le(after, before * 2 + 2);
        before = after;
    }
}
END_TEST

START_TEST(rfc6298_time_out_is_at_least_200_ms_more_than_the_round_trip)
{
    unsigned sent = 0;

    for (unsigned i = 1; i <= 30; i++) { /* so that the deviation comes to nothing */
        sender_write(1);
        wire_drop_all();
        stack_advance(RTT_MS);
        ACK(i);
        sent = i;
    }
    ck_assert_uint_eq(sent, 30);
    ck_assert_uint_ge(sender_info().tcpi_rto, 300000);
    ck_assert_uint_le(sender_info().tcpi_rto, 301000);
    ck_assert_uint_ge(sender_info().tcpi_rtt, 99000);
    ck_assert_uint_le(sender_info().tcpi_rtt, 101000);
}
END_TEST

START_TEST(rfc6298_a_segment_that_was_resent_is_no_sample)
{
    uint32_t before = sender_info().tcpi_rtt;

    sender_write(1);
    sender_wait(10000);
    wire_drop_all();
    sender_wait(10000);
    wire_drop_all();
    stack_advance(5);
    ACK(1);
    ck_assert_uint_eq(sender_info().tcpi_rtt, before);
}
END_TEST

START_TEST(rfc6298_after_a_time_out_what_is_lost_is_sent_in_slow_start)
{
    sender_write(10);
    wire_drop_all();
    sender_wait(1000);
    wire_drop_all();
    sender_wait(1000);
    sender_expect(0, 1);
    stack_advance(RTT_MS);
    ACK(1);
    sender_expect(1, 3);
    sender_expect_nothing();
    stack_advance(RTT_MS);
    ACK(3);
    sender_expect(3, 7);
    sender_expect_nothing();
    stack_advance(RTT_MS);
    ACK(10);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
}
END_TEST

START_TEST(rfc6675_after_a_time_out_what_was_sacked_is_not_sent)
{
    sender_write(10);
    wire_drop_all();
    stack_advance(RTT_MS);
    SACK(0, 5, 9);
    wire_drop_all(); /* retransmissions of 0 to 4 */
    sender_wait(3000);
    wire_drop_all();
    ACK(1);
    while (wire_count() > 0) {
        unsigned number = sender_take();

        ck_assert(number < 5 || number == 9);
    }
}
END_TEST

START_TEST(rfc2018_a_peer_that_forgets_what_it_sacked_gets_it_again)
{
    sender_write(10);
    wire_drop_all();
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    wire_drop_all();
    ACK(1); /* and of the rest it knows nothing */
    for (int i = 0; i < 20 && stack_tcp_send_queued(sender_told.tcp) > 0; i++) {
        unsigned end = 1;

        sender_wait(3000);
        while (wire_count() > 0) {
            unsigned number = sender_take();

            end = number + 1 > end ? number + 1 : end;
        }
        if (i > 0)
            ACK(end);
    }
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
}
END_TEST

START_TEST(rfc5682_a_time_out_that_was_none_is_undone)
{
    sender_write(200);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    wire_drop_all();
    sender_wait(10000);
    wire_drop_all(); /* a probe with new data */
    sender_wait(10000);
    sender_expect(10, 11);
    ck_assert_uint_eq(sender_info().tcpi_snd_cwnd, 1);
    ACK(11); /* the first one's, or the second's: new data goes out, to find out */
    ck_assert_uint_ge(sender_take(), 30);
    wire_drop_all();
    ACK(13); /* never sent again, and it is there */
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, 20);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_eq(sender_info().tcpi_lost, 0);
    while (wire_count() > 0)
        ck_assert_uint_ge(sender_take(), 30);
}
END_TEST

START_TEST(a_lost_fin_is_sent_again)
{
    sender_write(1);
    stack_tcp_close(sender_told.tcp);
    stack_turn();
    wire_drop_all();
    sender_wait(1000);
    ck_assert_uint_gt(wire_count(), 0);
    while (wire_count() > 0) {
        struct segment segment = peer_take();

        ck_assert_uint_eq(segment.sequence + segment.size, sender_start + MSS);
    }
    sender_peer.expected = sender_start + MSS + 1;
    peer_say(&sender_peer, TH_ACK | TH_FIN, NULL, 0);
    ck_assert_uint_eq(peer_take().flags, TH_ACK);
    stack_advance(10000);
    sender_expect_nothing();
}
END_TEST

/* A peer that receives as it should, over a network that loses. */
static struct receiver {
    bool have[1000];
    unsigned next; /* all before it came */
} receiver;

/* Take what was sent, of which each segment is lost with a chance of loss in 100, and answer it, if the answer is not lost. */
static void receive_all(unsigned count, int loss)
{
    struct range ranges[3] = {{0, 0}};
    int used = 0;

    if (wire_count() == 0)
        return;
    while (wire_count() > 0) {
        unsigned number = sender_take();

        ck_assert_uint_lt(number, count);
        if (rand() % 100 >= loss)
            receiver.have[number] = true;
    }
    while (receiver.next < count && receiver.have[receiver.next])
        receiver.next++;
    for (unsigned i = receiver.next; i < count && used < 3; i++) {
        if (!receiver.have[i])
            continue;
        ranges[used].first = i;
        while (i < count && receiver.have[i])
            i++;
        ranges[used++].end = i;
    }
    if (rand() % 100 >= loss)
        sender_answer(receiver.next, ranges[0], ranges[1], ranges[2]);
}

START_TEST(an_outage_ends_and_all_goes_on)
{
    memset(&receiver, 0, sizeof receiver);
    sender_write(40);
    wire_drop_all();
    stack_advance(10000);
    wire_drop_all();
    sender_wait(60000);
    for (int i = 0; i < 20 && receiver.next < 40; i++) {
        stack_advance(RTT_MS);
        receive_all(40, 0);
    }
    ck_assert_uint_eq(receiver.next, 40);
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
}
END_TEST

START_TEST(random_losses_lose_nothing)
{
    srand(7);
    for (int loss = 0; loss <= 10; loss++) {
        const unsigned count = 300;

        memset(&receiver, 0, sizeof receiver);
        sender_write(count);
        for (int turn = 0; turn < 20000 && stack_tcp_send_queued(sender_told.tcp) > 0; turn++) {
            stack_advance(5);
            receive_all(count, loss);
        }
        ck_assert_uint_eq(receiver.next, count);
        ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
        sender_start += count * MSS;
    }
}
END_TEST

/* ---- Without SACK ---- */

START_TEST(without_sack_there_is_no_probe)
{
    sender_write(5);
    sender_expect(0, 5);
    stack_advance(2 * RTT_MS + 50);
    sender_expect_nothing();
    sender_wait(1000);
    sender_expect(0, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack timeout");
    TCase *with = tcase_create("with SACK"), *without = tcase_create("without SACK");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(with, sender_setup, stack_teardown);
    tcase_add_test(with, rfc8985_the_tail_is_probed_after_two_round_trips);
    tcase_add_test(with, rfc8985_the_probe_is_no_later_than_the_time_out);
    tcase_add_test(with, rfc8985_the_probe_is_new_data_if_there_is_some);
    tcase_add_test(with, rfc8985_a_loss_that_the_probe_repaired_brings_the_window_down);
    tcase_add_test(with, rfc6298_time_out_doubles_and_the_window_is_one_segment);
    tcase_add_test(with, rfc6298_time_out_is_at_least_200_ms_more_than_the_round_trip);
    tcase_add_test(with, rfc6298_a_segment_that_was_resent_is_no_sample);
    tcase_add_test(with, rfc6298_after_a_time_out_what_is_lost_is_sent_in_slow_start);
    tcase_add_test(with, rfc6675_after_a_time_out_what_was_sacked_is_not_sent);
    tcase_add_test(with, rfc2018_a_peer_that_forgets_what_it_sacked_gets_it_again);
    tcase_add_test(with, rfc5682_a_time_out_that_was_none_is_undone);
    tcase_add_test(with, a_lost_fin_is_sent_again);
    tcase_add_test(with, an_outage_ends_and_all_goes_on);
    tcase_add_test(with, random_losses_lose_nothing);
    tcase_set_timeout(with, 60);
    suite_add_tcase(suite, with);
    tcase_add_checked_fixture(without, sender_setup_without_sack, stack_teardown);
    tcase_add_test(without, without_sack_there_is_no_probe);
    suite_add_tcase(suite, without);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
