/* test_stack_pace.c - the sender, segment by segment: how soon what the window allows leaves. */
#include "sender_fixture.h"
#include "stack/port.h"
#include "stack/tcp/tcp_socket.h"
#include "tests/suite.h"

#define STAMPED_MSS (MSS - 12)

static void setup(void)
{
    stack_setup_plain();
    sender_connect(&(struct sender_options){.paced = true});
}

static void setup_stamped(void)
{
    stack_setup_plain();
    sender_connect(&(struct sender_options){.paced = true, .stamped = true});
}

/* Take what was sent. Return: how many segments. */
static unsigned take_all(void)
{
    unsigned count = 0;

    stack_turn();
    for (; wire_count() > 0; count++)
        sender_take();
    return count;
}

/* The first window was acknowledged: 20 segments may be on their way. */
static void begin(unsigned segments)
{
    sender_write(segments);
    sender_expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
}

START_TEST(the_first_window_leaves_at_once)
{
    sender_write(100);
    sender_expect(0, 10);
    sender_expect_nothing();
}
END_TEST

START_TEST(in_slow_start_a_window_takes_half_a_round_trip)
{
    unsigned sent;

    begin(100);
    sent = take_all();
    ck_assert_uint_ge(sent, 1);
    ck_assert_uint_le(sent, 3);
    for (unsigned ms = 0; ms < RTT_MS / 4; ms++) {
        unsigned more;

        stack_advance(1);
        more = take_all();
        ck_assert_uint_le(more, 2);
        sent += more;
    }
    ck_assert_uint_ge(sent, 8);
    ck_assert_uint_le(sent, 13);
    stack_advance(RTT_MS / 4 + 2);
    sent += take_all();
    ck_assert_uint_eq(sent, 20);
    stack_advance(RTT_MS / 2);
    ck_assert_uint_eq(take_all(), 0);
}
END_TEST

START_TEST(what_is_left_of_a_stream_leaves_though_nothing_is_on_its_way)
{
    unsigned sent;

    begin(14);
    sent = take_all();
    ck_assert_uint_le(sent, 3);
    ACK(10 + sent);
    for (unsigned ms = 0; ms < RTT_MS; ms++) {
        unsigned more;

        stack_advance(1);
        more = take_all();
        sent += more;
        if (more > 0)
            ACK(10 + sent);
    }
    ck_assert_uint_eq(sent, 4);
}
END_TEST

START_TEST(what_was_lost_waits_for_its_time_as_well)
{
    unsigned sent;

    begin(30);
    stack_advance(RTT_MS);
    ck_assert_uint_eq(take_all(), 20);
    sender_answer(10, (struct range){26, 30}, NO_RANGE, NO_RANGE); /* 16 are lost */
    stack_advance(RTT_MS / 2);
    take_all();
    sender_answer(11, (struct range){26, 30}, NO_RANGE, NO_RANGE);
    sent = take_all();
    ck_assert_uint_le(sent, 2);
    for (unsigned ms = 0; ms < 400; ms++) {
        stack_advance(1);
        ck_assert_uint_le(take_all(), 3);
    }
}
END_TEST

START_TEST(a_short_path_has_no_pace)
{
    sender_told.tcp->sender.min_rtt_us = 1000;
    begin(100);
    sender_told.tcp->sender.min_rtt_us = 1000;
    ck_assert_uint_eq(take_all(), 20);
}
END_TEST

START_TEST(who_is_late_makes_up_for_little_of_it)
{
    unsigned sent;

    begin(200);
    sender_told.tcp->sender.congestion.window = 100 * MSS;
    stack_set_clock(port_now_us + RTT_MS / 10 * 1000); /* the loop slept */
    sent = take_all();
    ck_assert_uint_ge(sent, 4);
    ck_assert_uint_le(sent, 8);
}
END_TEST

/* Everything arrives in order, and is acknowledged a round trip later. Return: how many milliseconds until all is
 * there. */
static unsigned deliver(uint32_t bytes, uint32_t have)
{
    struct {
        unsigned due_ms;
        uint32_t end, echo_ms;
    } answers[512];
    unsigned first = 0, count = 0, ms = 0;

    for (; stack_tcp_send_queued(sender_told.tcp) > 0; ms++) {
        ck_assert_uint_lt(ms, 60000);
        for (; first < count && answers[first].due_ms <= ms; first++)
            sender_acknowledge(answers[first].end, NULL, 0, answers[first].echo_ms);
        stack_turn();
        while (wire_count() > 0) {
            struct segment segment = peer_take();
            uint32_t at = segment.sequence - sender_start, end = at + (uint32_t)segment.size;

            ck_assert_uint_le(at, have); /* nothing is missing */
            ck_assert_uint_lt(count, 512);
            /* RFC 7323 4.3: a segment that was there already is no news, nor is its timestamp */
            answers[count].echo_ms = end > have || count == 0 ? (uint32_t)(stack_time_us() / 1000) : answers[count - 1].echo_ms;
            have = end > have ? end : have;
            answers[count].end = have;
            answers[count++].due_ms = ms + RTT_MS;
        }
        stack_advance(1);
    }
    ck_assert_uint_eq(have, bytes);
    return ms;
}

/* Segments arrived, and the network broke before the acknowledgement was through: what it echoes later is old. */
START_TEST(after_an_outage_an_old_round_trip_slows_nothing)
{
    uint32_t sent_ms;

    sender_write(200);
    wire_drop_all();
    stack_advance(RTT_MS);
    sender_acknowledge(10 * STAMPED_MSS, NULL, 0, (uint32_t)(stack_time_us() / 1000) - RTT_MS);
    stack_advance(RTT_MS / 2 + 2);
    sent_ms = (uint32_t)(stack_time_us() / 1000) - 2;
    for (unsigned ms = 0; ms < 30000 || wire_count() == 0; ms += 10) {
        wire_drop_all();
        stack_advance(10);
    }
    wire_drop_all();
    stack_advance(RTT_MS);
    sender_acknowledge(31 * STAMPED_MSS, NULL, 0, sent_ms); /* and a probe with new data */
    ck_assert_uint_gt(sender_info().tcpi_rtt, 3000000);
    ck_assert_uint_le(deliver(200 * MSS, 31 * STAMPED_MSS), 8 * RTT_MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack pace");
    TCase *all = tcase_create("paced"), *stamped = tcase_create("with timestamps");

    tcase_add_checked_fixture(all, setup, stack_teardown);
    tcase_add_test(all, the_first_window_leaves_at_once);
    tcase_add_test(all, in_slow_start_a_window_takes_half_a_round_trip);
    tcase_add_test(all, what_is_left_of_a_stream_leaves_though_nothing_is_on_its_way);
    tcase_add_test(all, what_was_lost_waits_for_its_time_as_well);
    tcase_add_test(all, a_short_path_has_no_pace);
    tcase_add_test(all, who_is_late_makes_up_for_little_of_it);
    tcase_set_timeout(all, 60);
    suite_add_tcase(suite, all);
    tcase_add_checked_fixture(stamped, setup_stamped, stack_teardown);
    tcase_add_test(stamped, after_an_outage_an_old_round_trip_slows_nothing);
    tcase_set_timeout(stamped, 60);
    suite_add_tcase(suite, stamped);
    return suite_run(suite);
}
