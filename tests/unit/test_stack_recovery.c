/*
 * test_stack_recovery.c - the sender, segment by segment: windows, losses, time-outs. Each test says by its name which rule of
 * which RFC it holds to; the round trip is 100 ms of virtual time.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"

#define MSS 1460u
#define RTT_MS 100u

static struct told told;
static struct peer peer;
static uint32_t start; /* sequence number of the first byte of data */
static uint8_t data[2 * 1024 * 1024];

static void connect_slowly(bool sack)
{
    union stack_address address = address_of(PEER_IP, 80);
    struct segment syn;
    struct segment answer = {.source_port = 80, .sequence = 1000, .flags = TH_SYN | TH_ACK, .window = 0xffff,
                             .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1}, .option_size = 12};

    peer_resolve();
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    syn = peer_take();
    stack_advance(RTT_MS);
    start = syn.sequence + 1;
    peer = (struct peer){.port = 80, .stack_port = syn.source_port, .sequence = 1001, .expected = start, .window = 0xffff};
    answer.port = peer.stack_port;
    answer.acknowledgement = start;
    if (!sack)
        answer.option_size = 8;
    peer_send(&answer);
    ck_assert_uint_eq(told.connected, 1);
    peer_say(&peer, TH_ACK, NULL, 0); /* a window that is scaled */
    wire_drop_all();
}

static void setup(void)
{
    stack_setup_plain();
    memset(&told, 0, sizeof told);
    connect_slowly(true);
}

static void setup_without_sack(void)
{
    stack_setup_plain();
    memset(&told, 0, sizeof told);
    connect_slowly(false);
}

static struct tcp_info info_now(void)
{
    struct tcp_info info;

    stack_tcp_get_info(told.tcp, &info);
    return info;
}

/* Acknowledge so many segments from the start, and SACK up to three ranges of segments, given as first and last + 1; 0, 0 ends them. */
struct range {
    unsigned first, end;
};

static void answer(unsigned segments, struct range a, struct range b, struct range c)
{
    struct range ranges[] = {a, b, c};
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                              .acknowledgement = start + segments * MSS, .flags = TH_ACK, .window = 0xffff};
    uint8_t *at = segment.options + 4;

    memcpy(segment.options, "\x01\x01\x05\x02", 4);
    for (int i = 0; i < 3 && ranges[i].end != 0; i++) {
        uint32_t edges[2] = {htonl(start + ranges[i].first * MSS), htonl(start + ranges[i].end * MSS)};

        memcpy(at, edges, 8);
        at += 8;
        segment.options[3] = (uint8_t)(segment.options[3] + 8);
    }
    segment.option_size = segment.options[3] > 2 ? (size_t)(at - segment.options) : 0;
    peer_send(&segment);
}

#define NO_RANGE (struct range){0, 0}
#define ACK(n) answer(n, NO_RANGE, NO_RANGE, NO_RANGE)
#define SACK(n, first, end) answer(n, (struct range){first, end}, NO_RANGE, NO_RANGE)

/* Take a segment of data. Return: its number. */
static unsigned take_number(void)
{
    struct segment segment = peer_take();
    uint32_t offset = segment.sequence - start;

    ck_assert(segment.checksum_good);
    ck_assert_uint_eq(offset % MSS, 0);
    ck_assert_uint_gt(segment.size, 0);
    for (size_t i = 0; i < segment.size; i++)
        ck_assert_uint_eq(((const uint8_t *)segment.data)[i], pattern_byte(offset + i));
    return offset / MSS;
}

/* Take what was sent, which is these segments, in a row. */
static void expect(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        ck_assert_uint_eq(take_number(), i);
}

static void expect_nothing(void)
{
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
}

static void send_segments(unsigned count)
{
    static size_t at;
    size_t size = (size_t)count * MSS;

    at = stack_tcp_send_queued(told.tcp) == 0 ? 0 : at;
    ck_assert_uint_le(size, sizeof data);
    pattern_fill(data, at, size);
    send_bytes(told.tcp, data, size);
    at += size;
    stack_turn();
}

/* ---- Windows ---- */

START_TEST(rfc6928_the_first_window_is_ten_segments)
{
    send_segments(100);
    expect(0, 10);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_snd_cwnd, 10);
    ck_assert_uint_eq(info_now().tcpi_unacked, 10);
}
END_TEST

START_TEST(rfc5681_slow_start_adds_what_is_acknowledged)
{
    send_segments(200);
    expect(0, 10);
    stack_advance(RTT_MS);
    ACK(2);
    expect(10, 14);
    ACK(10);
    expect(14, 30);
    expect_nothing();
    stack_advance(RTT_MS);
    ACK(30);
    expect(30, 70);
    expect_nothing();
}
END_TEST

START_TEST(rfc2861_a_window_that_was_not_used_does_not_grow)
{
    for (unsigned i = 0; i < 50; i++) {
        send_segments(1);
        wire_drop_all();
        stack_advance(RTT_MS);
        start += MSS;
        peer.expected += MSS;
        ACK(0);
        start = peer.expected;
    }
    ck_assert_uint_le(info_now().tcpi_snd_cwnd, 11);
}
END_TEST

START_TEST(rfc5681_after_a_silence_the_window_is_the_first_one_again)
{
    send_segments(70);
    for (unsigned n = 10, before = 0; before < 70; before = n, n = n * 2 < 70 ? n * 2 : 70) {
        stack_advance(RTT_MS);
        ACK(n);
    }
    wire_drop_all();
    stack_advance(RTT_MS);
    ACK(70);
    ck_assert_uint_gt(info_now().tcpi_snd_cwnd, 30);
    stack_advance(60000);
    start += 70 * MSS;
    send_segments(100);
    expect(0, 10);
    expect_nothing();
}
END_TEST

/* ---- Losses found by SACK ---- */

START_TEST(rfc3042_the_first_two_sacks_bring_new_segments)
{
    send_segments(100);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    expect(10, 11);
    SACK(0, 1, 3);
    expect(11, 12);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Disorder);
    ck_assert_uint_eq(info_now().tcpi_sacked, 2);
}
END_TEST

START_TEST(rfc8985_three_sacked_segments_resend_the_hole_at_once)
{
    send_segments(100);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    SACK(0, 1, 3);
    wire_drop_all();
    SACK(0, 1, 4);
    expect(0, 1);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Recovery);
    ck_assert_uint_eq(info_now().tcpi_lost, 1);
    ck_assert_uint_eq(info_now().tcpi_retrans, 1);
    ck_assert_uint_eq(info_now().tcpi_snd_ssthresh, 7); /* RFC 9438 4.6 */
}
END_TEST

START_TEST(rfc8985_a_late_segment_has_a_quarter_of_a_round_trip)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    expect_nothing();
    stack_advance(RTT_MS / 4 - 1);
    expect_nothing();
    stack_advance(1);
    expect(0, 1);
    expect_nothing();
}
END_TEST

START_TEST(rfc8985_segments_in_another_order_are_not_sent_again)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    stack_advance(RTT_MS / 8);
    ACK(2);
    SACK(2, 3, 4);
    stack_advance(RTT_MS / 8);
    ACK(10);
    stack_advance(1000);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_total_retrans, 0);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
}
END_TEST

START_TEST(rfc8985_a_network_that_reorders_gets_time_even_after_three)
{
    send_segments(20);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 2);
    ACK(2); /* so it reorders */
    ACK(10);
    expect(10, 20);
    stack_advance(RTT_MS);
    SACK(10, 11, 15);
    expect_nothing();
    stack_advance(RTT_MS / 4);
    expect(10, 11);
    expect_nothing();
}
END_TEST

START_TEST(rfc6675_all_holes_are_filled_in_one_round_trip)
{
    send_segments(60);
    expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    expect(10, 30);
    stack_advance(RTT_MS);
    answer(10, (struct range){11, 14}, NO_RANGE, NO_RANGE);
    wire_drop_all();
    answer(10, (struct range){15, 20}, (struct range){11, 14}, NO_RANGE);
    answer(10, (struct range){21, 30}, (struct range){15, 20}, (struct range){11, 14});
    {
        bool seen[60] = {false};

        while (wire_count() > 0)
            seen[take_number()] = true;
        ck_assert(seen[14] && seen[20]);
        for (unsigned i = 11; i < 30; i++)
            ck_assert(i == 14 || i == 20 || !seen[i]);
    }
}
END_TEST

START_TEST(rfc8985_a_lost_retransmission_is_found)
{
    send_segments(100);
    expect(0, 10);
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    ck_assert_uint_eq(take_number(), 0);
    wire_drop_all(); /* new segments, and they arrive; the retransmission does not */
    stack_advance(RTT_MS);
    SACK(0, 1, 11);
    ck_assert_uint_eq(take_number(), 0);
}
END_TEST

START_TEST(rfc6937_the_window_comes_down_to_the_threshold)
{
    unsigned sent = 0;

    send_segments(200);
    expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    expect(10, 30);
    stack_advance(RTT_MS);
    for (unsigned i = 12; i <= 30; i++) {
        SACK(10, 11, i);
        while (wire_count() > 0)
            sent += take_number() < 200;
    }
    /* 20 were on their way, 14 may be in the end: of 19 SACKs each 10 let 7 out */
    ck_assert_uint_ge(sent, 12);
    ck_assert_uint_le(sent, 15);
    stack_advance(RTT_MS);
    ACK(32); /* two of which were sent before the recovery began */
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_eq(info_now().tcpi_snd_cwnd, 14);
}
END_TEST

START_TEST(rfc5681_reno_halves)
{
    ck_assert_int_eq(stack_tcp_set_congestion(told.tcp, "reno"), 0);
    ck_assert_str_eq(stack_tcp_get_congestion(told.tcp), "reno");
    ck_assert_int_eq(stack_tcp_set_congestion(told.tcp, "vegas"), -ENOENT);
    send_segments(100);
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    ck_assert_uint_eq(info_now().tcpi_snd_ssthresh, 5);
}
END_TEST

START_TEST(rfc2018_bad_blocks_are_ignored)
{
    static const struct range bad[] = {{10, 11}, {5, 30}, {200, 300}, {4, 2}, {5, 5}, {0x80000000u / MSS, 3}};

    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        answer(0, bad[i], bad[i], bad[i]);
    ck_assert_uint_eq(info_now().tcpi_sacked, 0);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
    ACK(10);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
}
END_TEST

START_TEST(rfc2018_a_block_counts_whole_segments_only)
{
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                              .acknowledgement = start, .flags = TH_ACK, .window = 0xffff, .option_size = 12};
    uint32_t edges[2] = {htonl(start + MSS + 1), htonl(start + 3 * MSS - 1)};

    memcpy(segment.options, "\x01\x01\x05\x0a", 4);
    memcpy(segment.options + 4, edges, 8);
    send_segments(10);
    stack_advance(RTT_MS);
    peer_send(&segment);
    ck_assert_uint_eq(info_now().tcpi_sacked, 0);
}
END_TEST

/* ---- The tail ---- */

START_TEST(rfc8985_the_tail_is_probed_after_two_round_trips)
{
    send_segments(5);
    expect(0, 5);
    stack_advance(2 * RTT_MS + 1);
    expect_nothing();
    stack_advance(2);
    expect(4, 5);
    expect_nothing();
    stack_advance(RTT_MS);
    SACK(3, 4, 5); /* the fourth is missing */
    stack_advance(RTT_MS / 4);
    expect(3, 4);
    ACK(5);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
}
END_TEST

START_TEST(rfc8985_the_probe_is_no_later_than_the_time_out)
{
    send_segments(1); /* whose acknowledgement the peer may hold for 200 ms */
    expect(0, 1);
    stack_advance(RTT_MS + 199);
    expect_nothing();
    stack_advance(2);
    expect(0, 1);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Loss);
}
END_TEST

START_TEST(rfc8985_the_probe_is_new_data_if_there_is_some)
{
    send_segments(100);
    expect(0, 10);
    stack_advance(2 * RTT_MS + 3);
    expect(10, 11);
    expect_nothing();
    stack_advance(RTT_MS / 2);
    ACK(11);
    ck_assert_uint_eq(info_now().tcpi_total_retrans, 0);
    ck_assert_uint_ge(info_now().tcpi_snd_cwnd, 20);
}
END_TEST

START_TEST(rfc8985_a_loss_that_the_probe_repaired_brings_the_window_down)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(2 * RTT_MS + 3);
    expect(9, 10);
    stack_advance(RTT_MS);
    send_segments(1); /* the window has no room, and then it has */
    ACK(10);
    expect(10, 11);
    ACK(11);
    ck_assert_uint_eq(info_now().tcpi_snd_ssthresh, 14);
}
END_TEST

/* ---- Time-outs ---- */

/* Let time pass until something is sent. Return: how many milliseconds, limit at most. */
static unsigned wait_for_segment(unsigned limit_ms)
{
    unsigned waited_ms = 0;

    while (wire_count() == 0 && waited_ms < limit_ms) {
        stack_advance(1);
        waited_ms++;
    }
    return waited_ms;
}

START_TEST(rfc6298_time_out_doubles_and_the_window_is_one_segment)
{
    unsigned before, after;

    send_segments(10);
    expect(0, 10);
    wait_for_segment(1000); /* the probe */
    expect(9, 10);
    before = wait_for_segment(10000);
    expect(0, 1);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Loss);
    ck_assert_uint_eq(info_now().tcpi_snd_cwnd, 1);
    ck_assert_uint_eq(info_now().tcpi_lost, 10);
    for (int i = 0; i < 6; i++) {
        after = wait_for_segment(100000);
        expect(0, 1);
        expect_nothing();
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
        send_segments(1);
        wire_drop_all();
        stack_advance(RTT_MS);
        ACK(i);
        sent = i;
    }
    ck_assert_uint_eq(sent, 30);
    ck_assert_uint_ge(info_now().tcpi_rto, 300000);
    ck_assert_uint_le(info_now().tcpi_rto, 301000);
    ck_assert_uint_ge(info_now().tcpi_rtt, 99000);
    ck_assert_uint_le(info_now().tcpi_rtt, 101000);
}
END_TEST

START_TEST(rfc6298_a_segment_that_was_resent_is_no_sample)
{
    uint32_t before = info_now().tcpi_rtt;

    send_segments(1);
    wait_for_segment(10000);
    wire_drop_all();
    wait_for_segment(10000);
    wire_drop_all();
    stack_advance(5);
    ACK(1);
    ck_assert_uint_eq(info_now().tcpi_rtt, before);
}
END_TEST

START_TEST(rfc6298_after_a_time_out_what_is_lost_is_sent_in_slow_start)
{
    send_segments(10);
    wire_drop_all();
    wait_for_segment(1000);
    wire_drop_all();
    wait_for_segment(1000);
    expect(0, 1);
    stack_advance(RTT_MS);
    ACK(1);
    expect(1, 3);
    expect_nothing();
    stack_advance(RTT_MS);
    ACK(3);
    expect(3, 7);
    expect_nothing();
    stack_advance(RTT_MS);
    ACK(10);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
}
END_TEST

START_TEST(rfc6675_after_a_time_out_what_was_sacked_is_not_sent)
{
    send_segments(10);
    wire_drop_all();
    stack_advance(RTT_MS);
    SACK(0, 5, 9);
    wire_drop_all(); /* retransmissions of 0 to 4 */
    wait_for_segment(3000);
    wire_drop_all();
    ACK(1);
    while (wire_count() > 0) {
        unsigned number = take_number();

        ck_assert(number < 5 || number == 9);
    }
}
END_TEST

START_TEST(rfc2018_a_peer_that_forgets_what_it_sacked_gets_it_again)
{
    send_segments(10);
    wire_drop_all();
    stack_advance(RTT_MS);
    SACK(0, 1, 10);
    wire_drop_all();
    ACK(1); /* and of the rest it knows nothing */
    for (int i = 0; i < 20 && stack_tcp_send_queued(told.tcp) > 0; i++) {
        unsigned end = 1;

        wait_for_segment(3000);
        while (wire_count() > 0) {
            unsigned number = take_number();

            end = number + 1 > end ? number + 1 : end;
        }
        if (i > 0)
            ACK(end);
    }
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
}
END_TEST

START_TEST(rfc5682_a_time_out_that_was_none_is_undone)
{
    send_segments(200);
    expect(0, 10);
    stack_advance(RTT_MS);
    ACK(10);
    wire_drop_all();
    wait_for_segment(10000);
    wire_drop_all(); /* a probe with new data */
    wait_for_segment(10000);
    expect(10, 11);
    ck_assert_uint_eq(info_now().tcpi_snd_cwnd, 1);
    ACK(11); /* the first one's, or the second's: new data goes out, to find out */
    ck_assert_uint_ge(take_number(), 30);
    wire_drop_all();
    ACK(13); /* never sent again, and it is there */
    ck_assert_uint_ge(info_now().tcpi_snd_cwnd, 20);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_eq(info_now().tcpi_lost, 0);
    while (wire_count() > 0)
        ck_assert_uint_ge(take_number(), 30);
}
END_TEST

START_TEST(rfc2883_duplicates_of_all_that_was_resent_undo)
{
    unsigned before;

    send_segments(100);
    expect(0, 10);
    stack_advance(RTT_MS);
    before = info_now().tcpi_snd_cwnd;
    SACK(0, 1, 5);
    ck_assert_uint_eq(take_number(), 0);
    wire_drop_all();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Recovery);
    ACK(10); /* it was only late */
    wire_drop_all();
    answer(10, (struct range){0, 1}, NO_RANGE, NO_RANGE); /* D-SACK */
    ck_assert_uint_ge(info_now().tcpi_snd_cwnd, before);
    ck_assert_uint_gt(info_now().tcpi_snd_ssthresh, 1000);
}
END_TEST

/* ---- Without SACK ---- */

START_TEST(rfc6582_three_duplicates_resend_the_first)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    ACK(0);
    ACK(0);
    expect_nothing();
    ACK(0);
    expect(0, 1);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Recovery);
}
END_TEST

START_TEST(rfc6582_a_partial_acknowledgement_resends_the_next)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    for (int i = 0; i < 6; i++)
        ACK(0);
    expect(0, 1);
    stack_advance(RTT_MS);
    ACK(3);
    expect(3, 4);
    stack_advance(RTT_MS);
    ACK(10);
    expect_nothing();
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_ge(info_now().tcpi_snd_cwnd, 7);
    ck_assert_uint_le(info_now().tcpi_snd_cwnd, 8);
}
END_TEST

START_TEST(rfc5681_data_and_window_updates_are_no_duplicates)
{
    send_segments(10);
    expect(0, 10);
    stack_advance(RTT_MS);
    for (int i = 0; i < 5; i++)
        peer_send(&(struct segment){.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                                    .acknowledgement = start, .flags = TH_ACK, .window = (uint16_t)(0x7000 + i)});
    for (int i = 0; i < 5; i++)
        peer_say(&peer, TH_ACK, "x", 1);
    while (wire_count() > 0)
        ck_assert_uint_eq(peer_take().size, 0);
}
END_TEST

START_TEST(without_sack_there_is_no_probe)
{
    send_segments(5);
    expect(0, 5);
    stack_advance(2 * RTT_MS + 50);
    expect_nothing();
    wait_for_segment(1000);
    expect(0, 1);
}
END_TEST

/* ---- The end ---- */

START_TEST(a_lost_fin_is_sent_again)
{
    send_segments(1);
    stack_tcp_close(told.tcp);
    stack_turn();
    wire_drop_all();
    wait_for_segment(1000);
    ck_assert_uint_gt(wire_count(), 0);
    while (wire_count() > 0) {
        struct segment segment = peer_take();

        ck_assert_uint_eq(segment.sequence + segment.size, start + MSS);
    }
    peer.expected = start + MSS + 1;
    peer_say(&peer, TH_ACK | TH_FIN, NULL, 0);
    ck_assert_uint_eq(peer_take().flags, TH_ACK);
    stack_advance(10000);
    expect_nothing();
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
        unsigned number = take_number();

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
        answer(receiver.next, ranges[0], ranges[1], ranges[2]);
}

START_TEST(an_outage_ends_and_all_goes_on)
{
    memset(&receiver, 0, sizeof receiver);
    send_segments(40);
    wire_drop_all();
    stack_advance(10000);
    wire_drop_all();
    wait_for_segment(60000);
    for (int i = 0; i < 20 && receiver.next < 40; i++) {
        stack_advance(RTT_MS);
        receive_all(40, 0);
    }
    ck_assert_uint_eq(receiver.next, 40);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
}
END_TEST

START_TEST(random_losses_lose_nothing)
{
    srand(7);
    for (int loss = 0; loss <= 10; loss++) {
        const unsigned count = 300;

        memset(&receiver, 0, sizeof receiver);
        send_segments(count);
        for (int turn = 0; turn < 20000 && stack_tcp_send_queued(told.tcp) > 0; turn++) {
            stack_advance(5);
            receive_all(count, loss);
        }
        ck_assert_uint_eq(receiver.next, count);
        ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
        start += count * MSS;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack recovery");
    TCase *with = tcase_create("with SACK"), *without = tcase_create("without SACK");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(with, setup, stack_teardown);
    tcase_add_test(with, rfc6928_the_first_window_is_ten_segments);
    tcase_add_test(with, rfc5681_slow_start_adds_what_is_acknowledged);
    tcase_add_test(with, rfc2861_a_window_that_was_not_used_does_not_grow);
    tcase_add_test(with, rfc5681_after_a_silence_the_window_is_the_first_one_again);
    tcase_add_test(with, rfc3042_the_first_two_sacks_bring_new_segments);
    tcase_add_test(with, rfc8985_three_sacked_segments_resend_the_hole_at_once);
    tcase_add_test(with, rfc8985_a_late_segment_has_a_quarter_of_a_round_trip);
    tcase_add_test(with, rfc8985_segments_in_another_order_are_not_sent_again);
    tcase_add_test(with, rfc8985_a_network_that_reorders_gets_time_even_after_three);
    tcase_add_test(with, rfc6675_all_holes_are_filled_in_one_round_trip);
    tcase_add_test(with, rfc8985_a_lost_retransmission_is_found);
    tcase_add_test(with, rfc6937_the_window_comes_down_to_the_threshold);
    tcase_add_test(with, rfc5681_reno_halves);
    tcase_add_test(with, rfc2018_bad_blocks_are_ignored);
    tcase_add_test(with, rfc2018_a_block_counts_whole_segments_only);
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
    tcase_add_test(with, rfc2883_duplicates_of_all_that_was_resent_undo);
    tcase_add_test(with, a_lost_fin_is_sent_again);
    tcase_add_test(with, an_outage_ends_and_all_goes_on);
    tcase_add_test(with, random_losses_lose_nothing);
    tcase_set_timeout(with, 60);
    suite_add_tcase(suite, with);
    tcase_add_checked_fixture(without, setup_without_sack, stack_teardown);
    tcase_add_test(without, rfc6582_three_duplicates_resend_the_first);
    tcase_add_test(without, rfc6582_a_partial_acknowledgement_resends_the_next);
    tcase_add_test(without, rfc5681_data_and_window_updates_are_no_duplicates);
    tcase_add_test(without, without_sack_there_is_no_probe);
    suite_add_tcase(suite, without);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
