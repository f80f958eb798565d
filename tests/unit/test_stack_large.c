/*
 * test_stack_large.c - segments larger than the MTU, which the wire cuts: what is lost, SACKed or sent again are the
 * pieces.
 *
 * That everything else is as with small ones, the other tests of the sender show, run on a wire that cuts
 * (SIDESTACK_TEST_CUTS).
 */
#include "sender_fixture.h"

#include <netinet/tcp.h>
#include <stdlib.h>

#include "stack/tcp/tcp_socket.h"
#include "stack/wire/wire.h"
#include "tests/suite.h"

static void setup_with(const struct sender_options *options)
{
    stack_setup_dual(WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6);
    sender_connect(options);
}

static void setup(void)
{
    setup_with(&(struct sender_options){0});
}

static void setup_without_sack(void)
{
    setup_with(&(struct sender_options){.no_sack = true});
}

/* How many segments lwIP has on their way. */
static uint32_t count_segments(void)
{
    return sender_told.tcp->sender.board.count;
}

/* Take a frame, which is these pieces and has so many bytes more; more than one piece: for the wire to cut. Return:
 * it. */
static struct segment expect_frame(unsigned first, unsigned end, size_t more)
{
    struct segment segment = peer_take();
    uint32_t offset = segment.sequence - sender_start;

    ck_assert(segment.checksum_good);
    ck_assert_uint_eq(offset, first * MSS);
    ck_assert_uint_eq(segment.size, (end - first) * MSS + more);
    ck_assert_int_eq(segment.header.gso_type, segment.size > MSS ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE);
    if (segment.size > MSS)
        ck_assert_uint_eq(segment.header.gso_size, MSS);
    for (size_t i = 0; i < segment.size; i++)
        ck_assert_uint_eq(((const uint8_t *)segment.data)[i], pattern_byte(offset + i));
    return segment;
}

START_TEST(what_the_window_lets_go_is_one_segment_and_counts_as_its_pieces)
{
    struct stack_tcp_more_info before, more;

    stack_tcp_get_more_info(sender_told.tcp, &before);
    sender_write(30);
    expect_frame(0, 10, 0);
    ck_assert_uint_eq(count_segments(), 1);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 10);
    ACK(10);
    expect_frame(10, 30, 0);
    ck_assert_uint_eq(count_segments(), 1);
    stack_tcp_get_more_info(sender_told.tcp, &more);
    ck_assert_uint_eq(more.data_segs_out, 30);
    ck_assert_uint_eq(more.delivered - before.delivered, 10);
    ck_assert_uint_eq(more.bytes_sent, 30 * MSS);
    ACK(30);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 0);
    sender_expect_nothing();
}
END_TEST

START_TEST(what_fills_no_piece_goes_along_in_the_same_frame)
{
    uint8_t bytes[4 * MSS + 100];

    pattern_fill(bytes, 0, sizeof bytes);
    send_bytes(sender_told.tcp, bytes, sizeof bytes);
    stack_flush();
    ck_assert_uint_eq(expect_frame(0, 4, 100).flags & TH_PUSH, TH_PUSH);
    ck_assert_uint_eq(count_segments(), 2);
}
END_TEST

START_TEST(fin_goes_along_with_the_last_data)
{
    sender_write(14);
    expect_frame(0, 10, 0);
    ck_assert_int_eq(stack_tcp_shutdown_send(sender_told.tcp), 0);
    ACK(10);
    ck_assert_uint_eq(expect_frame(10, 14, 0).flags & TH_FIN, TH_FIN);
    sender_expect_nothing();
}
END_TEST

START_TEST(an_acknowledgement_of_a_part_cuts_it_there)
{
    sender_write(10);
    expect_frame(0, 10, 0);
    sender_acknowledge(3 * MSS + 100, NULL, 0, 0); /* in the midst of a piece */
    ck_assert_uint_eq(count_segments(), 1);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 7);
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 7 * MSS);
    ACK(8);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 2);
    ACK(10);
    ck_assert_uint_eq(stack_tcp_send_queued(sender_told.tcp), 0);
    ck_assert_uint_eq(counters_now().transmit_bytes, 0);
}
END_TEST

START_TEST(only_the_pieces_that_are_missing_are_sent_again)
{
    sender_write(10);
    expect_frame(0, 10, 0);
    sender_answer(1, (struct range){3, 4}, (struct range){6, 9}, NO_RANGE);
    ck_assert_uint_eq(count_segments(), 9);
    expect_frame(1, 3, 0);
    ck_assert_uint_eq(sender_info().tcpi_sacked, 4);
    sender_answer(3, (struct range){6, 9}, NO_RANGE, NO_RANGE);
    stack_advance(RTT_MS);
    expect_frame(4, 6, 0);
}
END_TEST

START_TEST(without_sack_three_duplicates_resend_the_first_piece)
{
    sender_write(10);
    expect_frame(0, 10, 0);
    for (int i = 0; i < 3; i++)
        ACK(0);
    expect_frame(0, 1, 0);
    sender_expect_nothing();
}
END_TEST

START_TEST(the_probe_is_the_last_piece_and_a_time_out_sends_the_first)
{
    sender_write(10);
    expect_frame(0, 10, 0);
    ck_assert_uint_lt(sender_wait(1000), 1000);
    expect_frame(9, 10, 0);
    ck_assert_uint_lt(sender_wait(1000), 1000);
    expect_frame(0, 1, 0);
    ACK(10);
    sender_write(4); /* all is well again */
    ck_assert_uint_lt(sender_wait(1000), 1000);
    expect_frame(10, 14, 0);
}
END_TEST

START_TEST(a_probe_of_new_data_is_one_piece)
{
    sender_write(12);
    expect_frame(0, 10, 0);
    ck_assert_uint_lt(sender_wait(1000), 1000);
    expect_frame(10, 11, 0);
}
END_TEST

START_TEST(pieces_wait_for_a_neighbour)
{
    stack_wire_is_back(); /* with others on it: their Ethernet addresses are not known */
    wire_drop_all();
    sender_write(10);
    ck_assert_uint_eq(wire_take()->bytes[13], 6); /* ARP asks */
    ck_assert_uint_eq(sender_info().tcpi_unacked, 10);
    peer_resolve();
    sender_expect(0, 10);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 10);
    ACK(10);
    ck_assert_uint_eq(sender_info().tcpi_unacked, 0);
    sender_write(10);
    expect_frame(10, 20, 0);
    ck_assert_uint_eq(count_segments(), 1);
}
END_TEST

START_TEST(a_frame_has_at_most_64_kb)
{
    sender_write(200);
    for (unsigned i = 0; i < 100; i += 10) { /* slow start: the window becomes 110 */
        if (wire_count() > 0)
            wire_drop_all();
        ACK(i + 10);
    }
    wire_drop_all();
    ck_assert_uint_gt(count_segments(), 1);
    for (uint32_t i = 0; i < count_segments(); i++) {
        const struct sent_segment *sent = scoreboard_at(&sender_told.tcp->sender.board, i);

        ck_assert_uint_le(sent->end - sent->sequence, 44 * MSS);
        ck_assert_uint_eq((sent->end - sent->sequence) % MSS, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack large");
    TCase *with = tcase_create("with SACK"), *without = tcase_create("without SACK");

    tcase_add_checked_fixture(with, setup, stack_teardown);
    tcase_add_test(with, what_the_window_lets_go_is_one_segment_and_counts_as_its_pieces);
    tcase_add_test(with, what_fills_no_piece_goes_along_in_the_same_frame);
    tcase_add_test(with, fin_goes_along_with_the_last_data);
    tcase_add_test(with, an_acknowledgement_of_a_part_cuts_it_there);
    tcase_add_test(with, only_the_pieces_that_are_missing_are_sent_again);
    tcase_add_test(with, the_probe_is_the_last_piece_and_a_time_out_sends_the_first);
    tcase_add_test(with, a_probe_of_new_data_is_one_piece);
    tcase_add_test(with, pieces_wait_for_a_neighbour);
    tcase_add_test(with, a_frame_has_at_most_64_kb);
    suite_add_tcase(suite, with);
    tcase_add_checked_fixture(without, setup_without_sack, stack_teardown);
    tcase_add_test(without, without_sack_three_duplicates_resend_the_first_piece);
    suite_add_tcase(suite, without);
    return suite_run(suite);
}
