/* test_stack_udp_frames.c - UDP on IPv4, frame by frame: fragments, trains of datagrams, and what is wrong with
 * some. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/wire/wire.h"
#include "tests/suite.h"

START_TEST(large_datagram_leaves_in_fragments)
{
    static uint8_t bytes[65507], whole[65515];
    size_t at = 0;
    uint16_t identification = 0;

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp4(&one);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, sizeof bytes), 0);
    ck_assert_uint_eq(wire_count(), 45);
    for (bool more = true; more;) {
        struct packet packet = packet_take();

        if (at == 0)
            identification = packet.identification;
        ck_assert_uint_eq(packet.identification, identification);
        ck_assert_uint_eq(packet.offset, at);
        ck_assert(!packet.dont_fragment);
        memcpy(whole + at, packet.data, packet.size);
        at += packet.size;
        more = packet.more_fragments;
    }
    ck_assert_uint_eq(at, sizeof whole);
    ck_assert_mem_eq(whole + 8, bytes, sizeof bytes);
    /* and back, which also says that the checksum was right */
    heard_open_udp(&two, "0.0.0.0", 9);
    memcpy(whole, (uint8_t[]){0, 9, 0, 9}, 4);
    whole[6] = whole[7] = 0;
    {
        uint16_t sum = packet_checksum(PEER_IP, STACK_IP, IPPROTO_UDP, whole, sizeof whole);

        whole[6] = (uint8_t)(sum >> 8);
        whole[7] = (uint8_t)sum;
    }
    for (at = 0; at < sizeof whole; at += 1480) {
        size_t n = sizeof whole - at < 1480 ? sizeof whole - at : 1480;

        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = at + n < sizeof whole,
                                     .data = whole + at, .size = n});
    }
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(two.length, sizeof bytes);
    ck_assert_mem_eq(two.bytes, bytes, sizeof bytes);
}
END_TEST

START_TEST(fragments_of_more_than_a_packet_are_refused)
{
    static uint8_t bytes[1480];

    heard_open_udp(&one, "0.0.0.0", 9);
    bytes[1] = bytes[3] = 9;
    bytes[5] = 12;
    for (size_t at = 0; at + 8 <= 65535; at += 1480) { /* all want more to come, but for one in the middle */
        size_t n = 65535 - at < 1480 ? 65535 - at : 1480;

        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = true, .data = bytes, .size = n});
    }
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                 .identification = 7, .offset = 65528, .data = bytes, .size = 1480});
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                 .identification = 8, .offset = 65512, .data = bytes, .size = 4});
    ck_assert_uint_eq(one.received, 0);
    stack_advance(20000);
    peer_udp(PEER_IP, 1, STACK_IP, 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(overlapping_fragments_make_no_packet)
{
    uint8_t bytes[64] = {0, 9, 0, 9, 0, 64};

    heard_open_udp(&one, "0.0.0.0", 9);
    for (size_t offset = 0; offset < 64; offset += 8)
        for (size_t size = 0; size <= 64 - offset; size++)
            packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                         .identification = 7, .offset = offset, .more_fragments = (offset + size) % 3 != 0,
                                         .data = bytes + offset, .size = size});
    stack_advance(20000);
    wire_drop_all();
    peer_udp(PEER_IP, 1, STACK_IP, 9, "a", 1);
    ck_assert_uint_ge(one.received, 1);
}
END_TEST

START_TEST(tiny_fragments_are_put_together)
{
    uint8_t datagram[8 + 4000];
    uint16_t sum;

    heard_open_udp(&one, "0.0.0.0", 9);
    memset(datagram, 0, 8);
    datagram[1] = datagram[3] = 9;
    datagram[4] = sizeof datagram >> 8;
    datagram[5] = sizeof datagram & 255;
    pattern_fill(datagram + 8, 0, 4000);
    sum = packet_checksum(PEER_IP, STACK_IP, IPPROTO_UDP, datagram, sizeof datagram);
    datagram[6] = (uint8_t)(sum >> 8);
    datagram[7] = (uint8_t)sum;
    for (size_t at = 0; at < sizeof datagram; at += 8)
        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = at + 8 < sizeof datagram,
                                     .data = datagram + at, .size = 8});
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, 4000);
    ck_assert_mem_eq(one.bytes, datagram + 8, 4000);
}
END_TEST

START_TEST(bad_datagrams_are_dropped_and_counted)
{
    uint8_t udp[12] = {0, 9, 0, 9, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
    struct packet packet = {.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp};

    heard_open_udp(&one, "0.0.0.0", 9);
    packet.size = sizeof udp;
    packet_send(&packet); /* no checksum is fine */
    ck_assert_uint_eq(one.received, 1);
    udp[7] = 1; /* a wrong one is not */
    packet_send(&packet);
    udp[7] = 0;
    for (packet.size = 0; packet.size < sizeof udp; packet.size++)
        packet_send(&packet); /* less than it claims */
    packet.size = sizeof udp;
    for (udp[5] = 0; udp[5] < 8; udp[5]++)
        packet_send(&packet); /* less than a header */
    udp[5] = 13;
    packet_send(&packet);
    udp[4] = 0xff;
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(counters_now().datagrams_malformed, 1 + 12 + 8 + 2);
    udp[4] = 0;
    udp[5] = 10; /* more came than it claims: padding */
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(one.length, 2);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(wrong_sum_passes_when_the_wire_vouches)
{
    uint8_t udp[12] = {0, 9, 0, 9, 0, 12, 0, 1, 'a', 'b', 'c', 'd'};
    struct packet packet = {.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp,
                            .size = sizeof udp};

    heard_open_udp(&one, "0.0.0.0", 9);
    packet.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    packet.header = (struct virtio_net_hdr){0};
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, "abc", 3), 0);
    {
        struct packet sent = packet_take();

        ck_assert(sent.checksum_good);
        ck_assert_uint_eq(sent.header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    }
    {
        uint8_t bytes[3000] = {1, 2, 3}; /* in fragments the sum is ours to make */

        ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, sizeof bytes), 0);
        ck_assert_uint_eq(packet_take().header.flags, 0);
    }
}
END_TEST

START_TEST(train_is_cut_into_datagrams)
{
    uint8_t bytes[1000];
    struct iovec iov[3] = {{bytes, 150}, {bytes + 150, 0}, {bytes + 150, 850}};
    struct stack_datagram_info info = {.ttl = -1, .tos = -1, .segment = 300};
    size_t at = 0;

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp4(&one);
    info.peer = any_address_of(PEER_IP, 9);
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, iov, 3, sizeof bytes), 0);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 4);
    for (int i = 0; i < 4; i++) {
        struct packet packet = packet_take();

        ck_assert(packet.checksum_good);
        ck_assert_uint_eq(packet.size - 8, i < 3 ? 300 : 100);
        ck_assert_mem_eq(packet.data + 8, bytes + at, packet.size - 8);
        at += packet.size - 8;
    }
}
END_TEST

START_TEST(train_is_left_to_a_wire_that_cuts)
{
    static uint8_t bytes[60000];
    struct iovec iov = {bytes, 1000};
    struct stack_datagram_info info = {.ttl = -1, .tos = -1, .segment = 300};
    struct packet packet;

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp4(&one);
    info.peer = any_address_of(PEER_IP, 9);
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1000), 0);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    packet = packet_take();
    ck_assert(packet.checksum_good);
    ck_assert_uint_eq(packet.header.gso_type, 5);
    ck_assert_uint_eq(packet.header.gso_size, 300);
    ck_assert_uint_eq(packet.header.hdr_len, 42);
    ck_assert_uint_eq(packet.size, 1008);
    ck_assert_mem_eq(packet.data + 8, bytes, 1000);
    ck_assert_uint_eq(counters_now().datagrams_out, 4);
    iov.iov_len = sizeof bytes;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), -EINVAL); /* more than 128 */
    info.segment = 1473;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), -EMSGSIZE);
    info.segment = 1472;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), 0);
    ck_assert_uint_eq(wire_count(), 1);
    wire_drop_all();
    info.peer = any_address_of("10.1.0.88", 9); /* not resolved: each waits by itself */
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 3000), 0);
    ck_assert_uint_eq(wire_take()->bytes[13], 6);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1000), 0); /* and the next is no train */
    ck_assert_uint_eq(packet_take().header.gso_type, 0);
}
END_TEST

static void setup_trains(void)
{
    stack_setup(WIRE_CHECKSUM | WIRE_USO);
    peer_resolve();
}

int main(void)
{
    Suite *suite = suite_create("udp frames");
    TCase *plain = tcase_create("plain"), *offload = tcase_create("offload"), *trains = tcase_create("trains");

    tcase_add_checked_fixture(plain, heard_setup_ip4, heard_teardown);
    tcase_add_test(plain, large_datagram_leaves_in_fragments);
    tcase_add_test(plain, fragments_of_more_than_a_packet_are_refused);
    tcase_add_test(plain, overlapping_fragments_make_no_packet);
    tcase_add_test(plain, tiny_fragments_are_put_together);
    tcase_add_test(plain, bad_datagrams_are_dropped_and_counted);
    tcase_add_test(plain, train_is_cut_into_datagrams);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(offload, heard_setup_offload, heard_teardown);
    tcase_add_test(offload, wrong_sum_passes_when_the_wire_vouches);
    suite_add_tcase(suite, offload);
    tcase_add_checked_fixture(trains, setup_trains, heard_teardown);
    tcase_add_test(trains, train_is_left_to_a_wire_that_cuts);
    suite_add_tcase(suite, trains);
    return suite_run(suite);
}
