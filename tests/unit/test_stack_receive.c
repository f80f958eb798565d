/* test_stack_receive.c - data that comes: bytes, order, bounds, our window. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

#define MEGA (1024u * 1024u)

static struct told told;
static struct peer peer;
static uint8_t data[6 * MEGA], got[6 * MEGA];

START_TEST(received_bytes_are_what_was_sent)
{
    size_t total = 0;

    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_RECEIVE_WINDOW, 4 * MEGA), 0);
    pattern_fill(data, 0, 200000);
    for (size_t n = 1; total + n <= 200000; n = n * 7 % 1451 + 1) {
        peer_say(&peer, TH_ACK | TH_PUSH, data + total, n);
        total += n;
    }
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), total);
    /* Small pieces share blocks: memory stays near the bytes. */
    ck_assert_uint_le(counters_now().receive_bytes, total + total / 2 + 16384);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), total);
    ck_assert_mem_eq(got, data, total);
    ck_assert_uint_eq(counters_now().receive_bytes, 0);
}
END_TEST

START_TEST(tiny_segments_do_not_pin_much_memory)
{
    for (int i = 0; i < 3000; i++) {
        peer_say(&peer, TH_ACK | TH_PUSH, "x", 1);
        wire_drop_all();
    }
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 3000);
    ck_assert_uint_le(counters_now().receive_bytes, 8192);
    receive_bytes(told.tcp, got, sizeof got);
}
END_TEST

START_TEST(out_of_order_data_waits_for_the_gap)
{
    struct segment late = {.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence + 3,
                           .acknowledgement = peer.expected, .flags = TH_ACK, .window = 0xffff, .data = "def",
                           .size = 3};
    struct segment answer;

    peer_send(&late);
    ck_assert_uint_eq(told.received, 0);
    answer = peer_take();
    ck_assert_uint_eq(answer.acknowledgement, peer.sequence);
    ck_assert_uint_eq(answer.option_size, 12); /* SACK of 3 bytes */
    ck_assert_uint_eq(answer.options[3], 10);
    peer_say(&peer, TH_ACK, "abc", 3);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 6);
    ck_assert_mem_eq(got, "abcdef", 6);
    ck_assert_uint_eq(counters_now().receive_bytes, 0);
}
END_TEST

/* Linux: tcp_prune_ofo_queue(). */
START_TEST(out_of_order_data_is_bounded_and_the_far_end_goes)
{
    enum { ISLANDS = 4000 };
    uint32_t start = peer.sequence, right = 0;
    struct segment last = {0};

    pattern_fill(data, 0, 2 * ISLANDS);
    for (uint32_t i = 0; i < ISLANDS; i++) { /* every second byte */
        peer.sequence = start + 2 * i + 1;
        peer_say(&peer, TH_ACK, data + 2 * i + 1, 1);
        last = peer_take();
        memcpy(&right, last.options + 8, sizeof right);
        if (ntohl(right) != start + 2 * i + 2)
            break; /* it was not kept */
        wire_drop_all();
    }
    ck_assert_uint_gt(ntohl(right) - start, 1000);
    ck_assert_uint_lt(ntohl(right) - start, 2 * ISLANDS - 100);
    peer.sequence = start; /* what waits is not lost by that */
    peer_say(&peer, TH_ACK, data, 1001);
    receive_bytes(told.tcp, got, sizeof got);
    ck_assert_mem_eq(got, data, 1001);
    wire_drop_all();
}
END_TEST

START_TEST(overlaps_and_repeats_are_trimmed)
{
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                              .acknowledgement = peer.expected, .flags = TH_ACK, .window = 0xffff, .data = "abcd",
                              .size = 4};

    peer_send(&segment);
    peer_send(&segment);
    segment.sequence += 2;
    segment.data = "cdef";
    peer_send(&segment);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 6);
    ck_assert_mem_eq(got, "abcdef", 6);
}
END_TEST

/* The window closes with what is not consumed, to zero, and opens on consumption. */
START_TEST(window_follows_the_queue)
{
    size_t total = 0;
    uint32_t window = 0xffffffff;
    struct segment segment = {0};

    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_RECEIVE_WINDOW, 4 * MEGA), 0);
    pattern_fill(data, 0, sizeof data);
    while (window > 1460 && total < sizeof data - 65536) {
        size_t n = window < 60000 ? window : 60000;

        segment = (struct segment){.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                                   .acknowledgement = peer.expected, .flags = TH_ACK, .window = 0xffff,
                                   .data = data + total, .size = n};
        segment.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                                 .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .csum_start = 34,
                                                 .csum_offset = 16, .gso_size = 1460, .hdr_len = 54};
        peer_send(&segment);
        peer.sequence += (uint32_t)n;
        total += n;
        stack_advance(60);
        while (wire_count() > 0) {
            segment = peer_take();
            window = (uint32_t)segment.window << 7;
            ck_assert_uint_eq(segment.acknowledgement, peer.sequence);
        }
    }
    ck_assert_uint_ge(total, 4 * MEGA - 2920);
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), total);
    ck_assert_uint_le(counters_now().receive_bytes, total + total / 4);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, 100000), 100000);
    stack_turn();
    ck_assert_uint_gt(wire_count(), 0);
    while (wire_count() > 0)
        segment = peer_take();
    ck_assert_uint_ge((uint32_t)segment.window << 7, 50000);
    ck_assert_uint_eq(receive_bytes(told.tcp, got + 100000, sizeof got), total - 100000);
    ck_assert_mem_eq(got, data, total);
    ck_assert_uint_eq(counters_now().receive_bytes, 0);
}
END_TEST

START_TEST(data_beyond_the_window_is_not_taken)
{
    struct segment segment = {.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence + 5 * MEGA,
                              .acknowledgement = peer.expected, .flags = TH_ACK, .window = 0xffff, .data = data,
                              .size = 1000};

    peer_send(&segment);
    ck_assert_uint_eq(told.received, 0);
    ck_assert_uint_eq(peer_take().acknowledgement, peer.sequence);
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
    Suite *suite = suite_create("stack receive");
    TCase *tcase = tcase_create("receive");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, received_bytes_are_what_was_sent);
    tcase_add_test(tcase, tiny_segments_do_not_pin_much_memory);
    tcase_add_test(tcase, out_of_order_data_waits_for_the_gap);
    tcase_add_test(tcase, out_of_order_data_is_bounded_and_the_far_end_goes);
    tcase_add_test(tcase, overlaps_and_repeats_are_trimmed);
    tcase_add_test(tcase, window_follows_the_queue);
    tcase_add_test(tcase, data_beyond_the_window_is_not_taken);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
