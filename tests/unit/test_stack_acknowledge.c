/* test_stack_acknowledge.c - what we tell about what came: when, duplicates (RFC 2883), timestamps (RFC 7323). */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told;
static struct peer peer;
static uint32_t first; /* sequence number of the peer's first byte */
static uint8_t data[70000], got[70000];

/* ---- When ---- */

static void setup(void)
{
    stack_setup_plain();
    told = (struct told){0};
    connect_to_peer(&told, &peer);
    first = peer.sequence;
}

static void say_at(uint32_t offset, size_t size)
{
    peer.sequence = first + offset;
    peer_say(&peer, TH_ACK, data, size);
}

START_TEST(the_first_segments_are_acknowledged_at_once)
{
    for (uint32_t i = 0; i < 16; i++) {
        say_at(i * 100, 100);
        ck_assert_uint_eq(wire_count(), 1);
        ck_assert_uint_eq(peer_take().acknowledgement, first + (i + 1) * 100);
    }
    say_at(1600, 100);
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(60);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 1700);
}
END_TEST

START_TEST(acknowledgements_ride_on_answers)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    say_at(0, 100);
    wire_drop_all();
    send_bytes(told.tcp, "answer", 6);
    stack_turn();
    wire_drop_all();
    peer.expected += 6;
    say_at(100, 100);
    ck_assert_uint_eq(wire_count(), 0);
    send_bytes(told.tcp, "answer", 6);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 200);
}
END_TEST

/* A handshake of ours up to the SYN-ACK, which the stack has read in a turn that is not over. */
static void connect_in_a_turn(void)
{
    const union stack_address address = address_of(PEER_IP, 80);
    struct segment syn;

    stack_setup_plain();
    told = (struct told){0};
    peer_resolve();
    wire_drop_all();
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    syn = peer_take();
    peer = (struct peer){.family = AF_INET, .port = 80, .stack_port = syn.source_port, .sequence = 1000,
                         .expected = syn.sequence + 1, .window = 0xffff};
    peer_keeps_turn = true;
    peer_say(&peer, TH_SYN | TH_ACK, NULL, 0);
    first = peer.sequence;
    stack_receive(64);
    ck_assert_uint_eq(told.connected, 1);
    ck_assert_uint_eq(wire_count(), 0);
}

START_TEST(data_takes_the_acknowledgement_of_the_handshake_along)
{
    struct segment segment;

    send_bytes(told.tcp, "data", 4);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 4);
    ck_assert_uint_eq(segment.acknowledgement, first);
}
END_TEST

START_TEST(the_handshake_is_acknowledged_at_the_end_of_the_turn)
{
    struct segment segment;

    ck_assert(stack_acknowledgements_wait());
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 0);
    ck_assert_uint_eq(segment.flags, TH_ACK);
    ck_assert_uint_eq(segment.acknowledgement, first);
    stack_advance(1000);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(a_socket_that_ends_in_the_turn_of_its_handshake_leaves_nothing)
{
    stack_tcp_abort(told.tcp);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert((peer_take().flags & TH_RST) != 0);
}
END_TEST

/* ---- A moment for the answer ---- */

static struct told listener;

static void setup_accepted(void)
{
    stack_setup_plain();
    listener = told = (struct told){0};
    accept_from_peer(&listener, &told, &peer);
    first = peer.sequence;
    wire_drop_all();
}

/* The connection ends, and the listening socket has another one. */
static void accept_another(void)
{
    stack_tcp_abort(told.tcp);
    stack_turn();
    wire_drop_all();
    peer = (struct peer){.family = AF_INET, .port = (uint16_t)(peer.port + 1), .stack_port = peer.stack_port, .window = 0xffff};
    listener.child_told = &told;
    peer_say(&peer, TH_SYN, NULL, 0);
    peer.expected = peer_take().sequence + 1;
    peer_say(&peer, TH_ACK, NULL, 0);
    first = peer.sequence;
    wire_drop_all();
}

/* The peer's request, which the owner reads. */
static void ask(void)
{
    peer_say(&peer, TH_ACK | TH_PUSH, data, 100);
    stack_tcp_receive_consume(told.tcp, stack_tcp_receive_queued(told.tcp));
    stack_turn();
}

/* Answer at once, until the stack has tried to wait for that. */
static void teach(void)
{
    bool waited;

    for (unsigned i = 0;; i++) {
        ck_assert_uint_le(i, 100);
        ask();
        waited = wire_count() == 0;
        send_bytes(told.tcp, "answer", 6);
        stack_turn();
        accept_another();
        if (waited)
            break;
    }
}

START_TEST(before_answers_came_soon_there_is_no_moment)
{
    for (unsigned i = 0; i < 10; i++) {
        ask();
        ck_assert_uint_eq(wire_count(), 1);
        ck_assert_uint_eq(peer_take().acknowledgement, first + 100);
        accept_another();
    }
}
END_TEST

START_TEST(the_answer_of_who_accepted_takes_the_acknowledgement_along)
{
    teach();
    ask();
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(3);
    ck_assert_uint_eq(wire_count(), 0);
    send_bytes(told.tcp, "answer", 6);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 100);
}
END_TEST

START_TEST(an_answer_that_does_not_come_is_waited_for_once)
{
    teach();
    ask();
    stack_advance(5);
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 100);
    ask();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 200);
}
END_TEST

/* As a client that writes little by little does, which may wait for the first acknowledgement. */
START_TEST(a_second_small_segment_is_not_waited_with)
{
    teach();
    ask();
    ck_assert_uint_eq(wire_count(), 0);
    ask();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 200);
}
END_TEST

START_TEST(tcp_quickack_leaves_no_moment)
{
    teach();
    ask();
    stack_tcp_set_option(told.tcp, STACK_TCP_QUICKACK, 1);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 100);
    ask();
    ck_assert_uint_eq(wire_count(), 1);
}
END_TEST

START_TEST(where_answers_take_longer_there_is_no_moment)
{
    unsigned waited = 0;

    teach();
    for (unsigned i = 0; i < 40; i++) {
        ask();
        waited += wire_count() == 0;
        stack_advance(5);
        ck_assert_uint_eq(peer_take().acknowledgement, peer.sequence);
        accept_another();
    }
    ck_assert_uint_ge(waited, 2); /* what was learned, and a try now and then */
    ck_assert_uint_le(waited, 4);
}
END_TEST

/* ---- Duplicates ---- */

/* Take an empty acknowledgement. Return: how many SACK blocks it has, relative to the peer's first byte. */
static int take_blocks(uint32_t blocks[4][2])
{
    struct segment segment = peer_take();
    size_t at = 0;
    int count = 0;

    ck_assert_uint_eq(segment.size, 0);
    while (at < segment.option_size && segment.options[at] != 0) {
        if (segment.options[at] == 1) {
            at++;
            continue;
        }
        ck_assert_uint_ge(segment.options[at + 1], 2);
        if (segment.options[at] == 5) {
            ck_assert_int_eq(count, 0); /* one option */
            for (size_t block = at + 2; block < at + segment.options[at + 1]; block += 8, count++) {
                memcpy(blocks[count], segment.options + block, 8);
                blocks[count][0] = ntohl(blocks[count][0]) - first;
                blocks[count][1] = ntohl(blocks[count][1]) - first;
            }
        }
        at += segment.options[at + 1];
    }
    ck_assert_uint_eq(at, segment.option_size);
    return count;
}

START_TEST(rfc2883_a_duplicate_below_the_acknowledgement_is_reported)
{
    uint32_t blocks[4][2];

    say_at(0, 1000);
    wire_drop_all();
    say_at(0, 1000);
    ck_assert_int_eq(take_blocks(blocks), 1);
    ck_assert_uint_eq(blocks[0][0], 0);
    ck_assert_uint_eq(blocks[0][1], 1000);
    say_at(1000, 1000); /* and only once */
    ck_assert_int_eq(take_blocks(blocks), 0);
}
END_TEST

START_TEST(rfc2883_a_duplicate_above_it_comes_before_its_block)
{
    uint32_t blocks[4][2];

    say_at(1000, 1000);
    say_at(2000, 1000);
    say_at(5000, 1000);
    wire_drop_all();
    say_at(2000, 1000);
    ck_assert_int_eq(take_blocks(blocks), 3);
    ck_assert_uint_eq(blocks[0][0], 2000);
    ck_assert_uint_eq(blocks[0][1], 3000);
    ck_assert_uint_eq(blocks[1][0], 1000); /* the one that holds it is next */
    ck_assert_uint_eq(blocks[1][1], 3000);
    ck_assert_uint_eq(blocks[2][0], 5000);
}
END_TEST

START_TEST(rfc2018_the_block_of_the_latest_segment_is_first)
{
    uint32_t blocks[4][2];

    say_at(1000, 1000);
    say_at(3000, 1000);
    wire_drop_all();
    say_at(5000, 1000);
    ck_assert_int_eq(take_blocks(blocks), 3);
    ck_assert_uint_eq(blocks[0][0], 5000);
    ck_assert_uint_eq(blocks[0][1], 6000);
}
END_TEST

START_TEST(duplicates_with_data_of_ours_do_no_harm)
{
    told.echo = true; /* so that something is always waiting to be sent */
    for (uint32_t i = 0; i < 60; i++) {
        say_at(i * 1000, 1000);
        say_at(i * 1000, 1000);
        say_at(i * 1000 + 500, 1000);
        peer.expected = 0; /* acknowledges nothing that was sent */
    }
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

/* ---- Timestamps ---- */

static uint32_t peer_ms; /* the peer's clock */

static void send_stamped(uint32_t sequence, size_t size, uint32_t value, uint32_t echo, uint8_t flags)
{
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = sequence,
                              .acknowledgement = peer.expected, .flags = flags, .window = 0xffff, .data = data,
                              .size = size, .option_size = 12};

    memcpy(segment.options, "\x01\x01\x08\x0a", 4);
    value = htonl(value);
    echo = htonl(echo);
    memcpy(segment.options + 4, &value, 4);
    memcpy(segment.options + 8, &echo, 4);
    peer_send(&segment);
}

static uint32_t now_ms(void)
{
    return (uint32_t)(stack_time_us() / 1000);
}

static void setup_stamped(void)
{
    union stack_address address = address_of(PEER_IP, 80);
    struct segment syn, answer = {.source_port = 80, .sequence = 1000, .flags = TH_SYN | TH_ACK, .window = 0xffff,
                                  .options = {2, 4, 1460 >> 8, 1460 & 255, 4, 2, 8, 10}, .option_size = 20};

    stack_setup_plain();
    told = (struct told){0};
    peer_resolve();
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    syn = peer_take();
    first = 1001;
    peer_ms = 5000;
    peer = (struct peer){.port = 80, .stack_port = syn.source_port, .sequence = first, .expected = syn.sequence + 1,
                         .window = 0xffff};
    answer.port = peer.stack_port;
    answer.acknowledgement = peer.expected;
    memcpy(answer.options + 8, (uint32_t[]){htonl(peer_ms), htonl(now_ms())}, 8);
    memcpy(answer.options + 16, "\x01\x03\x03\x07", 4);
    stack_advance(100);
    peer_send(&answer);
    ck_assert_uint_eq(told.connected, 1);
    send_stamped(first, 0, peer_ms, now_ms(), TH_ACK);
    wire_drop_all();
}

static struct tcp_info info_now(void)
{
    struct tcp_info info;

    stack_tcp_get_info(told.tcp, &info);
    return info;
}

START_TEST(rfc7323_segments_carry_timestamps_and_are_shorter)
{
    uint32_t stamp[2];
    struct segment segment;

    ck_assert_uint_ne(info_now().tcpi_options & TCPI_OPT_TIMESTAMPS, 0);
    ck_assert_uint_eq(info_now().tcpi_snd_mss, 1448);
    send_bytes(told.tcp, data, 5000);
    stack_turn();
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 1448);
    ck_assert_uint_eq(segment.option_size, 12);
    ck_assert_mem_eq(segment.options, "\x01\x01\x08\x0a", 4);
    memcpy(stamp, segment.options + 4, 8);
    ck_assert_uint_eq(ntohl(stamp[0]), now_ms());
    ck_assert_uint_eq(ntohl(stamp[1]), peer_ms);
}
END_TEST

START_TEST(tcp_info_counts_what_was_sent_and_came)
{
    struct stack_tcp_more_info more;

    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 5000);
    stack_turn();
    wire_drop_all();
    stack_advance(100);
    peer.expected += 1448;
    send_stamped(first, 700, peer_ms + 100, now_ms() - 100, TH_ACK);
    stack_tcp_get_more_info(told.tcp, &more);
    ck_assert_uint_eq(more.bytes_sent, 5000);
    ck_assert_uint_eq(more.bytes_acked, 1449);
    ck_assert_uint_eq(more.bytes_received, 700);
    ck_assert_uint_eq(more.delivered, 2); /* the SYN, too */
    ck_assert_uint_eq(more.data_segs_out, 4);
    ck_assert_uint_eq(more.data_segs_in, 1);
    ck_assert_uint_eq(more.min_rtt, 100000);
    stack_advance(1000);
    stack_tcp_get_more_info(told.tcp, &more);
    ck_assert_uint_gt(more.bytes_retrans, 0);
    ck_assert_uint_eq(more.bytes_retrans, more.bytes_sent - 5000);
    stack_tcp_receive_consume(told.tcp, 700);
}
END_TEST

START_TEST(rfc7323_old_segments_are_dropped)
{
    send_stamped(first, 100, peer_ms + 100, 0, TH_ACK);
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 100);
    wire_drop_all();
    send_stamped(first + 100, 100, peer_ms + 50, 0, TH_ACK); /* from before the sequence wrapped */
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 100);
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(peer_take().acknowledgement, first + 100);
    send_stamped(first + 100, 100, peer_ms + 99, 0, TH_ACK); /* Linux: one tick of leniency */
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 200);
    stack_tcp_receive_consume(told.tcp, 200);
}
END_TEST

START_TEST(rfc7323_a_timestamp_outdates_in_24_days)
{
    send_stamped(first, 100, peer_ms + 0x40000000, 0, TH_ACK);
    for (int i = 0; i < 25; i++)
        stack_advance(24u * 3600 * 1000);
    send_stamped(first + 100, 100, peer_ms + 5, 0, TH_ACK);
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 200);
    stack_tcp_receive_consume(told.tcp, 200);
}
END_TEST

START_TEST(rfc7323_a_reset_needs_no_timestamp_of_today)
{
    send_stamped(first, 100, peer_ms + 1000, 0, TH_ACK);
    send_stamped(first + 100, 0, peer_ms, 0, TH_RST | TH_ACK);
    ck_assert_uint_eq(told.failed, 1);
}
END_TEST

START_TEST(rfc7323_a_resent_segment_is_measured_by_its_echo)
{
    uint32_t before = info_now().tcpi_rtt;

    send_bytes(told.tcp, data, 1448);
    stack_turn();
    wire_drop_all();
    stack_advance(290); /* no probe yet, no time-out */
    for (int i = 0; i < 100 && wire_count() == 0; i++)
        stack_advance(1);
    ck_assert_uint_eq(peer_take().size, 1448);
    stack_advance(500);
    peer.expected += 1448;
    send_stamped(first, 0, peer_ms + 1000, now_ms() - 500, TH_ACK);
    ck_assert_uint_eq(info_now().tcpi_rtt, (before * 7 + 500000) / 8);
}
END_TEST

START_TEST(rfc3522_an_echo_from_before_undoes_a_time_out)
{
    uint32_t sent_ms;

    send_bytes(told.tcp, data, 40000);
    stack_turn();
    sent_ms = now_ms();
    wire_drop_all();
    for (int i = 0; i < 1000 && info_now().tcpi_ca_state != TCP_CA_Loss; i++)
        stack_advance(1);
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Loss);
    ck_assert_uint_eq(info_now().tcpi_snd_cwnd, 1);
    peer.expected += 1448;
    send_stamped(first, 0, peer_ms + 1000, sent_ms, TH_ACK); /* the first copy, late */
    if (info_now().tcpi_ca_state == TCP_CA_Loss) { /* new data first, F-RTO */
        peer.expected += 1448;
        send_stamped(first, 0, peer_ms + 1000, sent_ms, TH_ACK);
    }
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_ge(info_now().tcpi_snd_cwnd, 10);
}
END_TEST

/* RFC 7323 4.3: what is acknowledged while something is missing echoes what came before the gap, and says nothing. */
START_TEST(rfc3522_an_echo_from_before_a_gap_undoes_nothing)
{
    uint32_t block[2], before_ms;
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = first, .flags = TH_ACK,
                              .window = 0xffff, .option_size = 24};

    send_bytes(told.tcp, data, 60000);
    stack_turn();
    before_ms = now_ms();
    wire_drop_all();
    stack_advance(100);
    segment.acknowledgement = peer.expected;
    memcpy(segment.options, "\x01\x01\x08\x0a", 4);
    memcpy(segment.options + 4, (uint32_t[]){htonl(peer_ms), htonl(before_ms - 1)}, 8);
    memcpy(segment.options + 12, "\x01\x01\x05\x0a", 4);
    for (unsigned i = 2; i <= 10; i++) {
        block[0] = htonl(peer.expected + 1448);
        block[1] = htonl(peer.expected + i * 1448);
        memcpy(segment.options + 16, block, 8);
        peer_send(&segment);
        stack_advance(10);
    }
    ck_assert_uint_eq(info_now().tcpi_ca_state, TCP_CA_Recovery);
    ck_assert_uint_eq(info_now().tcpi_snd_ssthresh, 7);
    ck_assert_uint_le(info_now().tcpi_snd_cwnd, 8);
}
END_TEST

START_TEST(rfc2883_a_report_fits_beside_a_timestamp)
{
    uint32_t blocks[4][2];

    send_stamped(first + 1000, 1000, peer_ms, 0, TH_ACK);
    send_stamped(first + 3000, 1000, peer_ms, 0, TH_ACK);
    send_stamped(first + 5000, 1000, peer_ms, 0, TH_ACK);
    wire_drop_all();
    send_stamped(first + 3000, 1000, peer_ms, 0, TH_ACK);
    ck_assert_int_ge(take_blocks(blocks), 2);
    ck_assert_uint_eq(blocks[0][0], 3000);
    ck_assert_uint_eq(blocks[0][1], 4000);
    ck_assert_uint_eq(blocks[1][0], 3000);
    send_stamped(first, 1000, peer_ms, 0, TH_ACK);
    receive_bytes(told.tcp, got, sizeof got);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack acknowledge");
    TCase *plain = tcase_create("plain"), *handshake = tcase_create("handshake"), *stamped = tcase_create("stamped"),
          *accepted = tcase_create("accepted");

    tcase_add_checked_fixture(plain, setup, stack_teardown);
    tcase_add_test(plain, the_first_segments_are_acknowledged_at_once);
    tcase_add_test(plain, acknowledgements_ride_on_answers);
    tcase_add_test(plain, rfc2883_a_duplicate_below_the_acknowledgement_is_reported);
    tcase_add_test(plain, rfc2883_a_duplicate_above_it_comes_before_its_block);
    tcase_add_test(plain, rfc2018_the_block_of_the_latest_segment_is_first);
    tcase_add_test(plain, duplicates_with_data_of_ours_do_no_harm);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(handshake, connect_in_a_turn, stack_teardown);
    tcase_add_test(handshake, data_takes_the_acknowledgement_of_the_handshake_along);
    tcase_add_test(handshake, the_handshake_is_acknowledged_at_the_end_of_the_turn);
    tcase_add_test(handshake, a_socket_that_ends_in_the_turn_of_its_handshake_leaves_nothing);
    suite_add_tcase(suite, handshake);
    tcase_add_checked_fixture(accepted, setup_accepted, stack_teardown);
    tcase_add_test(accepted, before_answers_came_soon_there_is_no_moment);
    tcase_add_test(accepted, the_answer_of_who_accepted_takes_the_acknowledgement_along);
    tcase_add_test(accepted, an_answer_that_does_not_come_is_waited_for_once);
    tcase_add_test(accepted, a_second_small_segment_is_not_waited_with);
    tcase_add_test(accepted, tcp_quickack_leaves_no_moment);
    tcase_add_test(accepted, where_answers_take_longer_there_is_no_moment);
    suite_add_tcase(suite, accepted);
    tcase_add_checked_fixture(stamped, setup_stamped, stack_teardown);
    tcase_add_test(stamped, rfc7323_segments_carry_timestamps_and_are_shorter);
    tcase_add_test(stamped, tcp_info_counts_what_was_sent_and_came);
    tcase_add_test(stamped, rfc7323_old_segments_are_dropped);
    tcase_add_test(stamped, rfc7323_a_timestamp_outdates_in_24_days);
    tcase_add_test(stamped, rfc7323_a_reset_needs_no_timestamp_of_today);
    tcase_add_test(stamped, rfc7323_a_resent_segment_is_measured_by_its_echo);
    tcase_add_test(stamped, rfc3522_an_echo_from_before_undoes_a_time_out);
    tcase_add_test(stamped, rfc3522_an_echo_from_before_a_gap_undoes_nothing);
    tcase_add_test(stamped, rfc2883_a_report_fits_beside_a_timestamp);
    suite_add_tcase(suite, stamped);
    return suite_run(suite);
}
