/* test_stack_wire.c - frames: what the stack answers by itself, what it drops, and how checksums and offloads cross. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack/wire/wire.h"
#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

static uint8_t data[65535];

START_TEST(arp_request_is_answered)
{
    static const uint8_t request[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0,
                                        1, 2, 0, 0, 0, 0, 1, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 10, 1, 0, 2};
    const struct frame *answer;

    wire_put(NULL, request, sizeof request);
    stack_turn();
    answer = wire_take();
    ck_assert_ptr_nonnull(answer);
    ck_assert_uint_ge(answer->size, 42);
    ck_assert_uint_eq(answer->bytes[21], 2);
    ck_assert_mem_eq(answer->bytes + 22, "\2\0\0\0\0\2\12\1\0\2", 10);
}
END_TEST

START_TEST(echo_request_is_answered)
{
    uint8_t request[98] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 84, 0, 0, 0, 0, 64, 1, 0x66, 0xa5,
                           10, 1, 0, 1, 10, 1, 0, 2, 8, 0, 0, 0, 0x12, 0x34, 0, 1};
    const struct frame *answer;

    peer_resolve();
    for (int i = 42; i < 98; i += 2)
        request[i] = (uint8_t)i;
    checksum_put(request + 34, sizeof request - 34, 2);
    wire_put(NULL, request, sizeof request);
    stack_turn();
    answer = wire_take();
    ck_assert_ptr_nonnull(answer);
    ck_assert_uint_eq(answer->size, 98);
    ck_assert_uint_eq(answer->bytes[34], 0);
    ck_assert_mem_eq(answer->bytes + 38, request + 38, 60);
}
END_TEST

START_TEST(bad_frames_are_dropped_and_counted)
{
    uint8_t frame[200] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
    uint64_t before = counters_now().frames_in_dropped;

    wire_put(NULL, frame, 10); /* shorter than its own header */
    wire_put(NULL, frame, 20); /* shorter than an IP header */
    frame[17] = 60;            /* longer than it is */
    frame[16] = 1;
    wire_put(NULL, frame, 60);
    frame[0] = 4; /* for somebody else */
    wire_put(NULL, frame, 60);
    frame[0] = 2;
    frame[12] = 0x86; /* IPv6 */
    frame[13] = 0xdd;
    wire_put(NULL, frame, 60);
    stack_turn();
    ck_assert_uint_eq(counters_now().frames_in_dropped - before, 5);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(martian_sources_are_dropped)
{
    struct segment syn = {.source_port = 1, .port = 7, .flags = TH_SYN, .window = 1000};
    static const uint8_t frame[54] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0,
                                      127, 0, 0, 1, 10, 1, 0, 2};

    peer_resolve();
    wire_put(NULL, frame, sizeof frame);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
    peer_send(&syn); /* from the peer itself: refused */
    ck_assert_uint_eq(peer_take().flags, TH_RST | TH_ACK);
}
END_TEST

START_TEST(lies_of_the_offload_header_are_dropped)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;
    uint64_t before;

    connect_to_peer(&told, &peer);
    before = counters_now().frames_in_dropped;
    segment = (struct segment){.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                               .acknowledgement = peer.expected, .flags = TH_ACK, .window = 1000, .data = data,
                               .size = 3000};
    segment.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                             .csum_start = 34, .csum_offset = 16, .gso_size = 0};
    peer_send(&segment);
    segment.header.gso_size = 1460;
    segment.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
    peer_send(&segment);
    segment.header.gso_type = VIRTIO_NET_HDR_GSO_NONE;
    segment.header.csum_start = 4000;
    peer_send(&segment);
    ck_assert_uint_eq(counters_now().frames_in_dropped - before, 3);
    ck_assert_uint_eq(told.received, 0);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(bad_checksum_is_dropped_unless_marked_good)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer(&told, &peer);
    segment = (struct segment){.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                               .acknowledgement = peer.expected, .flags = TH_ACK, .window = 1000, .data = "abc",
                               .size = 3};
    /* peer_send() leaves the checksum zero for a marked frame: put the mark away on the way in. */
    segment.header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    peer_send(&segment);
    ck_assert_uint_eq(told.received, 1);
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 3);
    segment.sequence += 3;
    segment.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    segment.header.csum_start = 34;
    segment.header.csum_offset = 16;
    peer_send(&segment);
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 6);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(unmarked_wrong_checksum_is_dropped)
{
    static const uint8_t frame[54] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0x66,
                                      0xcc, 10, 1, 0, 1, 10, 1, 0, 2, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 1,
                                      0};
    uint64_t before;

    peer_resolve();
    before = counters_now().frames_in_dropped;
    wire_put(NULL, frame, sizeof frame); /* a SYN with no sum at all */
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_uint_eq(counters_now().frames_in_dropped - before, 1);
}
END_TEST

START_TEST(plain_wire_gets_whole_checksums)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer(&told, &peer);
    pattern_fill(data, 0, 4000);
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 4000);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 3);
    for (size_t at = 0; at < 4000; at += segment.size) {
        segment = peer_take();
        ck_assert_uint_eq(segment.header.flags, 0);
        ck_assert_uint_eq(segment.header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
        ck_assert(segment.checksum_good);
        ck_assert_mem_eq(segment.data, data + at, segment.size);
    }
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(segments_are_gathered_into_one_frame)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer(&told, &peer);
    pattern_fill(data, 0, 10000);
    stack_tcp_set_option(told.tcp, STACK_TCP_NODELAY, 1);
    send_bytes(told.tcp, data, 10000); /* 6 segments of 1460 and one of 1240, within the initial window */
    ck_assert_uint_eq(wire_count(), 0);
    stack_flush();
    ck_assert_uint_eq(wire_count(), 1);
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 10000);
    ck_assert_mem_eq(segment.data, data, 10000);
    ck_assert_uint_eq(segment.sequence, peer.expected);
    ck_assert_uint_eq(segment.flags, TH_ACK | TH_PUSH);
    ck_assert_uint_eq(segment.header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    ck_assert_uint_eq(segment.header.gso_size, 1460);
    ck_assert_uint_eq(segment.header.hdr_len, 54);
    ck_assert_uint_eq(segment.header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    ck_assert(segment.checksum_good);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(one_segment_is_no_gso_frame)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer(&told, &peer);
    send_bytes(told.tcp, "hello", 5);
    stack_flush();
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 5);
    ck_assert_uint_eq(segment.header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
    ck_assert_uint_eq(segment.header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    ck_assert(segment.checksum_good);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(fin_rides_on_the_last_segment)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;

    connect_to_peer(&told, &peer);
    send_bytes(told.tcp, data, 3000);
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    stack_flush();
    segment = peer_take();
    ck_assert_uint_eq(segment.size, 3000);
    if ((segment.flags & TH_FIN) == 0)
        segment = peer_take(); /* or follows by itself */
    ck_assert_uint_eq(segment.flags & TH_FIN, TH_FIN);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(super_segment_is_received_whole_and_acknowledged_at_once)
{
    struct told told = {0};
    struct peer peer;
    struct segment segment;
    static uint8_t got[65535];
    size_t size = 65535 - 40;

    connect_to_peer(&told, &peer);
    pattern_fill(data, 0, size);
    segment = (struct segment){.source_port = 80, .port = peer.stack_port, .sequence = peer.sequence,
                               .acknowledgement = peer.expected, .flags = TH_ACK, .window = 1000, .data = data,
                               .size = size};
    segment.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
                                             .csum_start = 34, .csum_offset = 16, .gso_size = 1460, .hdr_len = 54};
    peer_send(&segment);
    ck_assert_uint_eq(told.received, 1);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), size);
    ck_assert_mem_eq(got, data, size);
    stack_flush();
    ck_assert_uint_eq(peer_take().acknowledgement, peer.sequence + size);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(packets_wait_for_arp_and_then_go)
{
    struct told told = {0};
    union stack_address address = address_of(PEER_IP, 80);

    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1); /* the question */
    ck_assert_uint_eq(wire_take()->bytes[13], 6);
    peer_resolve();
    ck_assert_uint_eq(peer_take().flags, TH_SYN);
    stack_tcp_close(told.tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack wire");
    TCase *plain = tcase_create("plain");
    TCase *offload = tcase_create("offload");

    tcase_add_checked_fixture(plain, stack_setup_plain, stack_teardown);
    tcase_add_test(plain, arp_request_is_answered);
    tcase_add_test(plain, echo_request_is_answered);
    tcase_add_test(plain, bad_frames_are_dropped_and_counted);
    tcase_add_test(plain, martian_sources_are_dropped);
    tcase_add_test(plain, unmarked_wrong_checksum_is_dropped);
    tcase_add_test(plain, plain_wire_gets_whole_checksums);
    tcase_add_test(plain, packets_wait_for_arp_and_then_go);
    tcase_add_checked_fixture(offload, stack_setup_offload, stack_teardown);
    tcase_add_test(offload, lies_of_the_offload_header_are_dropped);
    tcase_add_test(offload, bad_checksum_is_dropped_unless_marked_good);
    tcase_add_test(offload, segments_are_gathered_into_one_frame);
    tcase_add_test(offload, one_segment_is_no_gso_frame);
    tcase_add_test(offload, fin_rides_on_the_last_segment);
    tcase_add_test(offload, super_segment_is_received_whole_and_acknowledged_at_once);
    suite_add_tcase(suite, plain);
    suite_add_tcase(suite, offload);
    return suite_run(suite);
}
