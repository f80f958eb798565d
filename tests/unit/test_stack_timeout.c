/*
 * test_stack_timeout.c - the sender, segment by segment: what the sender does when nothing comes back: probes,
 * time-outs, outages. Each test says by its name which rule of which RFC it holds to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender_fixture.h"
#include "tests/suite.h"

START_TEST(rfc8985_the_tail_is_probed_after_two_round_trips)
{
    sender_write(5);
    sender_expect(0, 5);
    stack_advance(2 * RTT_MS + 1);
    sender_expect_nothing();
    stack_advance(8);
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
    stack_advance(2 * RTT_MS + 9);
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
    stack_advance(2 * RTT_MS + 9);
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

/* Let time pass, and the peer receive. Return: milliseconds until it had all, limit_ms at most. */
static unsigned receive_all(size_t bytes, unsigned limit_ms, struct sender_network network)
{
    unsigned waited_ms = 0;

    for (; waited_ms < limit_ms && (sender_received() < bytes || stack_tcp_send_queued(sender_told.tcp) > 0); waited_ms += 5) {
        stack_advance(5);
        sender_receive(network);
    }
    return waited_ms;
}

/* Nothing passes for so long. Return: milliseconds between the last two tries. */
static unsigned cut_off(unsigned outage_ms)
{
    unsigned tries[2] = {0, 0};

    for (unsigned now_ms = 0; now_ms < outage_ms; now_ms += 10) {
        stack_advance(10);
        if (wire_count() > 0 && wire_look()->bytes[12 + 11] == 6) { /* the protocol of IPv4; ARP has other things there */
            tries[0] = tries[1];
            tries[1] = now_ms;
        }
        wire_drop_all();
    }
    return tries[1] - tries[0];
}

/* After 1, 10, 60 and 600 s: what is tried next comes as late after the last try as twice the time before that, but at
 * most 120 s. */
START_TEST(rfc6298_after_an_outage_all_goes_on_at_the_next_time_out)
{
    static const unsigned outages_ms[] = {1000, 10000, 60000, 600000};

    for (size_t i = 0; i < sizeof outages_ms / sizeof *outages_ms; i++) {
        unsigned gap_ms, took_ms;

        sender_write(40);
        gap_ms = cut_off(outages_ms[i]);
        if (i == 3)
            ck_assert_uint_le(gap_ms, 120010);
        took_ms = receive_all((i + 1) * 40 * MSS, 130000, (struct sender_network){0});
        ck_assert_uint_eq(sender_received(), (i + 1) * 40 * MSS);
        ck_assert_uint_le(took_ms, (2 * gap_ms < 120000 ? 2 * gap_ms : 120000) + 2000);
        ck_assert_uint_eq(sender_info().tcpi_backoff, 0);
    }
}
END_TEST

START_TEST(linux_tcp_retries2_ends_it_after_a_quarter_of_an_hour)
{
    sender_write(40);
    cut_off(920000);
    ck_assert_uint_eq(sender_told.failed, 0);
    ck_assert_uint_eq(sender_info().tcpi_rto, 120000000);
    cut_off(130000);
    ck_assert_uint_eq(sender_told.failed, 1);
    ck_assert_int_eq(sender_told.error, EHOSTUNREACH); /* the neighbour did not answer either; else ETIMEDOUT */
}
END_TEST

/* All of the first segment came, and the window is so large. */
static void announce_window(uint16_t window)
{
    peer_send(&(struct segment){.source_port = 80, .port = sender_peer.stack_port, .sequence = sender_peer.sequence,
                                .acknowledgement = sender_start + MSS, .flags = TH_ACK, .window = window});
}

static void close_window(void)
{
    sender_write(1);
    wire_drop_all();
    announce_window(0);
}

/* Close the window, queue data, and answer each probe, for so long. Return: how many came. */
static unsigned keep_closed(unsigned seconds)
{
    unsigned probes = 0;

    for (unsigned i = 0; i < seconds * 10 && sender_told.failed == 0; i++) {
        stack_advance(100);
        if (wire_count() == 0)
            continue;
        while (wire_count() > 0 && sender_told.failed == 0) {
            if (wire_look()->bytes[13] == 6) {
                peer_resolve();
                wire_take();
                continue;
            }
            ck_assert_uint_le(peer_take().size, 1);
            probes++;
            announce_window(0);
        }
        wire_drop_all();
    }
    return probes;
}

START_TEST(rfc9293_3_8_6_1_a_closed_window_is_probed_for_ever)
{
    close_window();
    sender_write(10);
    ck_assert_uint_ge(keep_closed(3 * 3600), 3 * 3600 / 125); /* no more than 120 s apart */
    ck_assert_uint_eq(sender_told.failed, 0);
    announce_window(0xffff);
    sender_expect(1, 11);
}
END_TEST

START_TEST(linux_a_closed_window_whose_peer_is_gone_is_given_up)
{
    close_window();
    sender_write(10);
    cut_off(900000);
    ck_assert_uint_eq(sender_told.failed, 0);
    cut_off(200000);
    ck_assert_uint_eq(sender_told.failed, 1);
    ck_assert_int_eq(sender_told.error, ETIMEDOUT);
}
END_TEST

START_TEST(tcp_7_user_timeout_is_for_data_that_waits_for_a_window_too)
{
    stack_tcp_set_option(sender_told.tcp, STACK_TCP_USER_TIMEOUT, 30000);
    close_window();
    stack_advance(60000); /* no data, no limit */
    ck_assert_uint_eq(sender_told.failed, 0);
    sender_write(10);
    keep_closed(29);
    ck_assert_uint_eq(sender_told.failed, 0);
    keep_closed(5);
    ck_assert_uint_eq(sender_told.failed, 1);
    ck_assert_int_eq(sender_told.error, ETIMEDOUT);
}
END_TEST

START_TEST(tcp_7_user_timeout_ends_what_nobody_acknowledges)
{
    stack_tcp_set_option(sender_told.tcp, STACK_TCP_USER_TIMEOUT, 5000);
    sender_write(10);
    cut_off(5000);
    ck_assert_uint_eq(sender_told.failed, 0);
    cut_off(2000);
    ck_assert_uint_eq(sender_told.failed, 1);
    ck_assert_int_eq(sender_told.error, ETIMEDOUT);
}
END_TEST

START_TEST(random_losses_lose_nothing)
{
    const size_t bytes = 300 * MSS;

    srand(7);
    for (int loss = 0; loss <= 10; loss++) {
        sender_write(300);
        receive_all((size_t)(loss + 1) * bytes, 100000, (struct sender_network){.loss = loss});
        ck_assert_uint_eq(sender_received(), (size_t)(loss + 1) * bytes);
        ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
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
    tcase_add_test(with, rfc6298_after_an_outage_all_goes_on_at_the_next_time_out);
    tcase_add_test(with, linux_tcp_retries2_ends_it_after_a_quarter_of_an_hour);
    tcase_add_test(with, rfc9293_3_8_6_1_a_closed_window_is_probed_for_ever);
    tcase_add_test(with, linux_a_closed_window_whose_peer_is_gone_is_given_up);
    tcase_add_test(with, tcp_7_user_timeout_is_for_data_that_waits_for_a_window_too);
    tcase_add_test(with, tcp_7_user_timeout_ends_what_nobody_acknowledges);
    tcase_add_test(with, random_losses_lose_nothing);
    tcase_set_timeout(with, 60);
    suite_add_tcase(suite, with);
    tcase_add_checked_fixture(without, sender_setup_without_sack, stack_teardown);
    tcase_add_test(without, without_sack_there_is_no_probe);
    suite_add_tcase(suite, without);
    return suite_run(suite);
}
