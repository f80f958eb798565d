/* test_stack_data.c - data that we send: bytes, windows, bounds, loss. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

#define MEGA (1024u * 1024u)

static struct told told;
static struct peer peer;
static uint8_t data[6 * MEGA], got[6 * MEGA];

/* Take all that the stack sent, in order, at most size bytes; acknowledge if asked. Return: bytes. */
static size_t take_data(uint8_t *bytes, size_t size, bool acknowledge)
{
    size_t total = 0;

    for (;;) {
        stack_turn();
        if (wire_count() == 0)
            return total;
        while (wire_count() > 0) {
            struct segment segment = peer_take();

            ck_assert(segment.checksum_good);
            if (segment.size == 0 || (int32_t)(segment.sequence - peer.expected) < 0) /* sent again */
                continue;
            ck_assert_uint_eq(segment.sequence, peer.expected);
            ck_assert_uint_le(total + segment.size, size);
            memcpy(bytes + total, segment.data, segment.size);
            total += segment.size;
            peer.expected += (uint32_t)segment.size;
            if ((segment.flags & TH_FIN) != 0)
                peer.expected++;
        }
        if (!acknowledge)
            return total;
        peer_say(&peer, TH_ACK, NULL, 0);
    }
}

START_TEST(bytes_arrive_as_they_were_sent)
{
    pattern_fill(data, 0, 100000);
    send_bytes(told.tcp, data, 100000);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 100000);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 100000);
    ck_assert_mem_eq(got, data, 100000);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
    ck_assert_uint_eq(stack_tcp_send_unsent(told.tcp), 0);
    ck_assert_uint_gt(told.sent, 0);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0); /* an idle socket holds nothing */
}
END_TEST

START_TEST(small_writes_of_odd_sizes_arrive_in_order)
{
    size_t sent = 0, taken = 0;

    pattern_fill(data, 0, 50000);
    for (size_t n = 1; sent + n <= 50000; n = n * 7 % 1009 + 1) {
        send_bytes(told.tcp, data + sent, n);
        sent += n;
        if (n % 3 == 0)
            taken += take_data(got + taken, sizeof got - taken, true);
    }
    taken += take_data(got + taken, sizeof got - taken, true);
    ck_assert_uint_eq(taken, sent);
    ck_assert_mem_eq(got, data, sent);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0);
}
END_TEST

START_TEST(reservation_may_be_larger_than_what_is_committed)
{
    struct iovec iov[STACK_TCP_IOV];

    for (int i = 0; i < 10; i++) {
        ck_assert_int_gt(stack_tcp_send_reserve(told.tcp, 500000, iov), 1);
        memcpy(iov[0].iov_base, "0123456789", 10);
        ck_assert_int_eq(stack_tcp_send_commit(told.tcp, i % 2 == 0 ? 10 : 0, false), 0);
    }
    ck_assert_uint_eq(take_data(got, sizeof got, true), 50);
    ck_assert_mem_eq(got, "01234567890123456789", 20);
    ck_assert_int_gt(stack_tcp_send_reserve(told.tcp, 500000, iov), 1);
    ck_assert_int_eq(stack_tcp_send_commit(told.tcp, 0, false), 0);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0);
}
END_TEST

START_TEST(send_queue_is_bounded)
{
    size_t total = 0, room;
    struct iovec iov[STACK_TCP_IOV];

    while ((room = stack_tcp_send_room(told.tcp)) > 0) {
        size_t n = room < 40000 ? room : 40000;

        pattern_fill(data, total, n);
        send_bytes(told.tcp, data, n);
        total += n;
        ck_assert_uint_le(total, 4 * MEGA);
    }
    ck_assert_int_eq(stack_tcp_send_reserve(told.tcp, 1, iov), 0);
    ck_assert_uint_le(counters_now().transmit_bytes, total + total / 4);
    ck_assert_uint_eq(take_data(got, sizeof got, true), total);
    for (size_t i = 0; i < total; i++)
        ck_assert_uint_eq(got[i], pattern_byte(i));
    ck_assert_uint_gt(stack_tcp_send_room(told.tcp), 0);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0);
}
END_TEST

START_TEST(segments_are_full_in_the_middle_of_a_stream)
{
    size_t total = 0;

    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    pattern_fill(data, 0, MEGA);
    stack_tcp_set_option(told.tcp, STACK_TCP_SEND_BUFFER, MEGA);
    send_bytes(told.tcp, data, MEGA);
    while (total < MEGA) {
        stack_turn();
        ck_assert_uint_gt(wire_count(), 0);
        while (wire_count() > 0) {
            struct segment segment = peer_take();

            if (total + segment.size < MEGA)
                ck_assert_uint_eq(segment.size % 1460, 0);
            total += segment.size;
            peer.expected += (uint32_t)segment.size;
        }
        peer_say(&peer, TH_ACK, NULL, 0);
    }
}
END_TEST

START_TEST(push_marks_the_end_of_what_was_written)
{
    struct segment segment;

    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 1460);
    stack_flush();
    ck_assert_uint_eq(peer_take().flags, TH_ACK | TH_PUSH);
    for (int i = 0; i < 2; i++) {
        struct iovec iov[STACK_TCP_IOV];

        ck_assert_int_gt(stack_tcp_send_reserve(told.tcp, 1460, iov), 0);
        ck_assert_int_eq(stack_tcp_send_commit(told.tcp, 1460, i == 0), 0);
        stack_flush();
        segment = peer_take();
        ck_assert_uint_eq(segment.flags & TH_PUSH, i == 0 ? 0 : TH_PUSH);
    }
}
END_TEST

START_TEST(nagle_holds_small_segments_and_nodelay_does_not)
{
    send_bytes(told.tcp, "a", 1);
    send_bytes(told.tcp, "b", 1);
    send_bytes(told.tcp, "c", 1);
    stack_flush();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(take_data(got, 1, false), 1);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(take_data(got, 2, true), 2);
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, "a", 1);
    stack_flush();
    send_bytes(told.tcp, "b", 1);
    stack_flush();
    ck_assert_uint_eq(wire_count(), 2);
}
END_TEST

START_TEST(cork_holds_what_does_not_fill_a_segment)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_CORK, 1);
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 2000);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 1460);
    ck_assert_uint_eq(stack_tcp_send_unsent(told.tcp), 540);
    stack_tcp_set_option(told.tcp, STACK_TCP_CORK, 0);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 540);
    stack_tcp_set_option(told.tcp, STACK_TCP_CORK, 1);
    send_bytes(told.tcp, data, 10);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(400);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 10);
}
END_TEST

/* As send_bytes(), and more will follow. */
static void send_part(size_t size)
{
    struct iovec iov[STACK_TCP_IOV];

    ck_assert_int_gt(stack_tcp_send_reserve(told.tcp, size, iov), 0);
    ck_assert_int_eq(stack_tcp_send_commit_part(told.tcp, size), 0);
}

START_TEST(part_holds_what_does_not_fill_a_segment)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_part(2000);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 1460);
    send_bytes(told.tcp, data, 100); /* the end: all in one segment */
    stack_flush();
    ck_assert_uint_eq(wire_count(), 1);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 640);
    send_part(10);
    stack_tcp_set_option(told.tcp, STACK_TCP_CORK, 0); /* it never was, but that ends it */
    ck_assert_uint_eq(take_data(got, sizeof got, true), 10);
    send_part(10);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(400);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 10);
    send_part(10);
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 10);
}
END_TEST

START_TEST(lost_segment_is_sent_again)
{
    struct segment first, again;

    send_bytes(told.tcp, "lost", 4);
    stack_flush();
    first = peer_take();
    stack_advance(300); /* a probe after 200 ms, because the peer may hold its acknowledgement that long */
    ck_assert_uint_eq(wire_count(), 1);
    again = peer_take();
    ck_assert_uint_eq(again.sequence, first.sequence);
    ck_assert_uint_eq(again.size, 4);
    ck_assert_mem_eq(again.data, "lost", 4);
    ck_assert(again.checksum_good);
    ck_assert_uint_eq(counters_now().tcp_segments_retransmitted, 1);
    peer.expected += 4;
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
}
END_TEST

/* A new connection, to a peer that does not know SACK. */
static void connect_without_sack(void)
{
    union stack_address address = address_of(PEER_IP, 80);
    struct segment syn;

    stack_tcp_close(told.tcp);
    told = (struct told){.tcp = stack_tcp_open(AF_INET, &told_events, &told)};
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    do
        syn = peer_take();
    while (syn.flags != TH_SYN);
    peer = (struct peer){.port = 80, .stack_port = syn.source_port, .sequence = 1001, .expected = syn.sequence + 1,
                         .window = 0xffff};
    peer_send(&(struct segment){.source_port = 80, .port = peer.stack_port, .sequence = 1000,
                                .acknowledgement = peer.expected, .flags = TH_SYN | TH_ACK, .window = 0xffff,
                                .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7}, .option_size = 8});
    wire_drop_all();
}

START_TEST(three_duplicate_acknowledgements_bring_the_segment_at_once)
{
    struct segment again;

    connect_without_sack();
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    pattern_fill(data, 0, 7300);
    send_bytes(told.tcp, data, 7300);
    stack_flush();
    wire_drop_all();
    for (int i = 0; i < 4; i++) /* the first is the first with a scaled window: an update, no duplicate */
        peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_ge(wire_count(), 1);
    again = peer_take();
    ck_assert_uint_eq(again.sequence, peer.expected);
    ck_assert_mem_eq(again.data, data, 1460);
}
END_TEST

START_TEST(peer_that_is_gone_times_out)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_USER_TIMEOUT, 5000);
    send_bytes(told.tcp, "x", 1);
    stack_advance(4000);
    ck_assert_uint_eq(told.failed, 0);
    stack_advance(4000);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, ETIMEDOUT);
    ck_assert_int_eq(stack_tcp_send_commit(told.tcp, 0, false), -EPIPE);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0);
}
END_TEST

START_TEST(without_a_limit_it_takes_a_quarter_of_an_hour)
{
    send_bytes(told.tcp, "x", 1);
    stack_advance(900000);
    ck_assert_uint_eq(told.failed, 0);
    stack_advance(60000);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, EHOSTUNREACH); /* the neighbour did not answer either; else ETIMEDOUT */
}
END_TEST

START_TEST(keep_alive_finds_a_dead_peer)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPALIVE, 1);
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPIDLE, 10);
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPINTVL, 2);
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPCNT, 3);
    stack_advance(9000);
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(9000);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, ETIMEDOUT);
    ck_assert_uint_eq(wire_count(), 4); /* 3 probes and the reset */
}
END_TEST

START_TEST(keep_alive_is_content_with_answers)
{
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPALIVE, 1);
    stack_tcp_set_option(told.tcp, STACK_TCP_KEEPIDLE, 10);
    for (int i = 0; i < 10; i++) {
        stack_advance(12000);
        ck_assert_uint_gt(wire_count(), 0);
        wire_drop_all();
        peer_say(&peer, TH_ACK, NULL, 0);
    }
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

START_TEST(zero_window_of_the_peer_is_probed)
{
    peer.window = 0;
    peer_say(&peer, TH_ACK, NULL, 0);
    wire_drop_all();
    send_bytes(told.tcp, "hello", 5);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(1000);
    ck_assert_uint_ge(wire_count(), 1);
    ck_assert_uint_le(peer_take().size, 1);
    wire_drop_all();
    peer.window = 1000;
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(take_data(got, sizeof got, true), 5);
    ck_assert_mem_eq(got, "hello", 5);
}
END_TEST

START_TEST(small_window_of_the_peer_is_obeyed)
{
    peer.window = 2; /* 256 bytes */
    peer_say(&peer, TH_ACK, NULL, 0);
    pattern_fill(data, 0, 10000);
    send_bytes(told.tcp, data, 10000);
    for (size_t total = 0; total < 10000;) {
        size_t n;

        stack_advance(300);
        n = take_data(got + total, sizeof got - total, false);
        ck_assert_uint_le(n, 256);
        total += n;
        peer_say(&peer, TH_ACK, NULL, 0);
    }
    ck_assert_mem_eq(got, data, 10000);
}
END_TEST

/* A connection of a peer with timestamps, that never lets more than this be under way. */
START_TEST(window_of_a_few_bytes_is_filled)
{
    const uint16_t window = (uint16_t)_i;
    const uint32_t size = window * 30u;
    struct told few = {0};
    struct segment syn, answer;

    open_told(&few);
    ck_assert_int_eq(connect_to(few.tcp, PEER_IP, 81), 0);
    syn = peer_take();
    answer = (struct segment){.source_port = 81, .port = syn.source_port, .sequence = 1000, .acknowledgement = syn.sequence + 1,
                              .flags = TH_SYN | TH_ACK, .window = window, .option_size = 16,
                              .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 8, 10, 0, 0, 0, 1}};
    peer_send(&answer);
    ck_assert_uint_eq(few.connected, 1);
    wire_drop_all();
    answer = (struct segment){.source_port = 81, .port = syn.source_port, .sequence = 1001, .acknowledgement = syn.sequence + 1,
                              .flags = TH_ACK, .window = window, .option_size = 12, .options = {1, 1, 8, 10, 0, 0, 0, 1}};
    pattern_fill(data, 0, size);
    send_bytes(few.tcp, data, size);
    for (int turns = 0; answer.acknowledgement != syn.sequence + 1 + size && turns < 2000; turns++) {
        stack_advance(20);
        while (wire_count() > 0) {
            struct segment segment = peer_take();

            ck_assert_uint_le(segment.sequence + segment.size - answer.acknowledgement, window);
            if (segment.size > 0 && segment.sequence == answer.acknowledgement) {
                ck_assert_mem_eq(segment.data, data + (segment.sequence - syn.sequence - 1), segment.size);
                answer.acknowledgement += (uint32_t)segment.size;
            }
        }
        peer_send(&answer);
    }
    ck_assert_uint_eq(answer.acknowledgement, syn.sequence + 1 + size);
    stack_tcp_abort(few.tcp);
}
END_TEST

START_TEST(figures_are_true)
{
    struct tcp_info info;

    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 4380);
    stack_advance(1); /* before a probe of the tail: what was sent twice is no sample */
    wire_drop_all();
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_unacked, 3);
    ck_assert_uint_eq(info.tcpi_snd_cwnd, 10);
    ck_assert_uint_eq(info.tcpi_advmss, 1460);
    ck_assert_uint_eq(info.tcpi_pmtu, 1500);
    ck_assert_uint_eq(info.tcpi_options, TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    ck_assert_uint_eq(info.tcpi_rcv_wscale, 7);
    peer.expected += 4380;
    peer_say(&peer, TH_ACK, NULL, 0);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_unacked, 0);
    ck_assert_uint_ge(info.tcpi_rtt, 100); /* an eighth of the sample: the handshake took no time */
    ck_assert_uint_le(info.tcpi_rtt, 1000);
}
END_TEST

/* One connection inside the stack, both ends ours, with a receiver that stops now and then. */
START_TEST(loopback_carries_bulk_data)
{
    struct told server = {0}, child = {0}, client = {0};
    union stack_address address = address_of("127.0.0.1", 99);
    size_t sent = 0, received = 0;

    server.child_told = &child;
    server.tcp = stack_tcp_open(AF_INET, &told_events, &server);
    ck_assert_int_eq(stack_tcp_bind(server.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(server.tcp, NULL), 0);
    client.tcp = stack_tcp_open(AF_INET, &told_events, &client);
    ck_assert_int_eq(stack_tcp_connect(client.tcp, &address), 0);
    stack_turn();
    ck_assert_uint_eq(client.connected, 1);
    pattern_fill(data, 0, sizeof data);
    for (int turn = 0; received < sizeof data; turn++) {
        size_t n = stack_tcp_send_room(client.tcp);

        ck_assert_int_lt(turn, 20000);
        n = n < 50000 ? n : 50000;
        n = n < sizeof data - sent ? n : sizeof data - sent;
        send_bytes(client.tcp, data + sent, n);
        sent += n;
        stack_advance(turn % 500 == 0 ? 300 : 0);
        if (turn % 100 > 30)
            received += receive_bytes(child.tcp, got + received,
                                      sizeof got - received < 70000 ? sizeof got - received : 70000);
    }
    ck_assert_mem_eq(got, data, sizeof data);
    stack_tcp_close(client.tcp);
    stack_turn();
    ck_assert(stack_tcp_receive_ended(child.tcp));
    stack_tcp_close(child.tcp);
    stack_tcp_close(server.tcp);
}
END_TEST

static void setup(void)
{
    told = (struct told){0};
    stack_setup_offload();
    connect_to_peer(&told, &peer);
}

static void teardown(void)
{
    stack_tcp_abort(told.tcp);
    stack_teardown();
}

int main(void)
{
    Suite *suite = suite_create("stack data");
    TCase *tcase = tcase_create("data");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, bytes_arrive_as_they_were_sent);
    tcase_add_test(tcase, small_writes_of_odd_sizes_arrive_in_order);
    tcase_add_test(tcase, reservation_may_be_larger_than_what_is_committed);
    tcase_add_test(tcase, send_queue_is_bounded);
    tcase_add_test(tcase, segments_are_full_in_the_middle_of_a_stream);
    tcase_add_test(tcase, push_marks_the_end_of_what_was_written);
    tcase_add_test(tcase, nagle_holds_small_segments_and_nodelay_does_not);
    tcase_add_test(tcase, cork_holds_what_does_not_fill_a_segment);
    tcase_add_test(tcase, part_holds_what_does_not_fill_a_segment);
    tcase_add_test(tcase, lost_segment_is_sent_again);
    tcase_add_test(tcase, three_duplicate_acknowledgements_bring_the_segment_at_once);
    tcase_add_test(tcase, peer_that_is_gone_times_out);
    tcase_add_test(tcase, without_a_limit_it_takes_a_quarter_of_an_hour);
    tcase_add_test(tcase, keep_alive_finds_a_dead_peer);
    tcase_add_test(tcase, keep_alive_is_content_with_answers);
    tcase_add_test(tcase, zero_window_of_the_peer_is_probed);
    tcase_add_test(tcase, small_window_of_the_peer_is_obeyed);
    tcase_add_loop_test(tcase, window_of_a_few_bytes_is_filled, 1, 64);
    tcase_add_test(tcase, figures_are_true);
    tcase_add_test(tcase, loopback_carries_bulk_data);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
