/* test_stack_impair.c - the wire that loses, delays, reorders, repeats, corrupts, and has a rate; and segmentation. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/lwip_api.h"
#include "stack/port.h"
#include "stack/wire/wire_impair.h"
#include "stack/wire/wire_split.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define FRAMES_MAX 4096

/* The inner wire: what the layer wrote, and what it will read. */
static struct stored {
    size_t size;
    uint64_t at_us;
    uint8_t bytes[2000];
} written[FRAMES_MAX];
static size_t written_count, to_read;
static uint8_t input[WIRE_FRAME_MAX];
static size_t input_size;
static struct virtio_net_hdr input_header;
static struct wire inner, *wire;

static ssize_t inner_read(struct wire *it, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    (void)it;
    if (to_read == 0)
        return 0;
    to_read--;
    ck_assert_int_ge(count, 1);
    ck_assert_uint_ge(iov[0].iov_len, input_size);
    memcpy(iov[0].iov_base, input, input_size);
    *header = input_header;
    return (ssize_t)input_size;
}

static int inner_write(struct wire *it, const struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct stored *stored = &written[written_count++];

    (void)it;
    (void)header;
    ck_assert_uint_lt(written_count, FRAMES_MAX);
    stored->size = 0;
    stored->at_us = port_now_us;
    for (int i = 0; i < count; i++) {
        ck_assert_uint_le(stored->size + iov[i].iov_len, sizeof stored->bytes);
        memcpy(stored->bytes + stored->size, iov[i].iov_base, iov[i].iov_len);
        stored->size += iov[i].iov_len;
    }
    return 0;
}

static void inner_close(struct wire *it)
{
    (void)it;
}

static const struct wire_operations inner_operations = {
    .read_frame = inner_read, .write_frame = inner_write, .close = inner_close};

static void setup(void)
{
    port_now_us = 1000000;
    written_count = to_read = 0;
    inner = (struct wire){.operations = &inner_operations, .fd = -1};
    wire = wire_impair_open(&inner);
    ck_assert_ptr_nonnull(wire);
}

static void teardown(void)
{
    wire->operations->close(wire);
}

static void set(const char *text)
{
    const char *wrong = NULL;

    ck_assert_msg(wire_impair_set(wire, text, &wrong) == 0, "not understood: %s", wrong);
}

static void send_frame(uint32_t number, size_t size)
{
    static uint8_t frame[2000];
    const struct virtio_net_hdr header = {0};
    struct iovec iov = {frame, size};

    memset(frame, 0, sizeof frame);
    memcpy(frame + 20, &number, sizeof number);
    ck_assert_int_eq(wire->operations->write_frame(wire, &header, &iov, 1), 0);
}

static uint32_t number_of(const struct stored *stored)
{
    uint32_t number;

    memcpy(&number, stored->bytes + 20, sizeof number);
    return number;
}

/* Let time pass until nothing is under way. */
static void drain(void)
{
    uint64_t due_us;

    while ((due_us = wire->operations->due_us(wire)) != UINT64_MAX) {
        if (due_us > port_now_us)
            port_now_us = due_us;
        wire->operations->run(wire);
    }
}

START_TEST(nothing_is_set_and_nothing_happens)
{
    send_frame(1, 100);
    ck_assert_uint_eq(written_count, 1);
    ck_assert_uint_eq(wire->operations->due_us(wire), UINT64_MAX);
}
END_TEST

START_TEST(delay_holds_each_frame_that_long)
{
    set("out:delay=20ms");
    send_frame(1, 100);
    port_now_us += 5000;
    for (uint32_t i = 2; i < 10; i++)
        send_frame(i, 100);
    ck_assert_uint_eq(written_count, 0);
    ck_assert_uint_eq(wire->operations->due_us(wire), 1020000);
    drain();
    ck_assert_uint_eq(written_count, 9);
    for (size_t i = 0; i < written_count; i++) { /* in the order in which they came */
        ck_assert_uint_eq(written[i].at_us, i == 0 ? 1020000 : 1025000);
        ck_assert_uint_eq(number_of(&written[i]), i + 1);
    }
}
END_TEST

START_TEST(jitter_stays_within_its_bounds_and_reorders)
{
    unsigned backwards = 0;

    set("delay=20ms,jitter=5ms,seed=1");
    for (uint32_t i = 0; i < 1000; i++)
        send_frame(i, 100);
    drain();
    ck_assert_uint_eq(written_count, 1000);
    for (size_t i = 0; i < written_count; i++) {
        ck_assert_uint_ge(written[i].at_us, 1015000);
        ck_assert_uint_le(written[i].at_us, 1025000);
        backwards += i > 0 && number_of(&written[i]) < number_of(&written[i - 1]);
    }
    ck_assert_uint_gt(backwards, 300);
    ck_assert_uint_lt(written[0].at_us, 1016000);
    ck_assert_uint_gt(written[999].at_us, 1024000);
}
END_TEST

START_TEST(loss_duplicate_and_reorder_have_their_shares)
{
    unsigned early = 0;

    set("loss=10%,seed=3");
    for (uint32_t i = 0; i < 2000; i++)
        send_frame(i, 100);
    ck_assert_uint_gt(written_count, 1720);
    ck_assert_uint_lt(written_count, 1880);
    written_count = 0;
    set("none,duplicate=10%");
    for (uint32_t i = 0; i < 2000; i++)
        send_frame(i, 100);
    ck_assert_uint_gt(written_count, 2120);
    ck_assert_uint_lt(written_count, 2280);
    written_count = 0;
    set("none,delay=10ms,reorder=10%");
    for (uint32_t i = 0; i < 2000; i++)
        send_frame(i, 100);
    early = (unsigned)written_count;
    drain();
    ck_assert_uint_gt(early, 120);
    ck_assert_uint_lt(early, 280);
    ck_assert_uint_eq(written_count, 2000);
}
END_TEST

START_TEST(corruption_flips_one_bit_behind_the_ethernet_header)
{
    set("corrupt=100%,seed=9");
    for (uint32_t i = 0; i < 200; i++) {
        unsigned bits = 0;

        send_frame(0, 64);
        for (size_t at = 0; at < 64; at++) {
            bits += (unsigned)__builtin_popcount(written[i].bytes[at]);
            if (at < 14)
                ck_assert_uint_eq(written[i].bytes[at], 0);
        }
        ck_assert_uint_eq(bits, 1);
    }
}
END_TEST

START_TEST(rate_spaces_frames_and_the_queue_is_bounded)
{
    struct wire_impair_counters counters[IMPAIRMENT_DIRECTIONS];

    set("out:rate=8mbit,out:queue=5"); /* a byte a microsecond */
    for (uint32_t i = 0; i < 8; i++)
        send_frame(i, 1000);
    drain();
    ck_assert_uint_eq(written_count, 5);
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(written[i].at_us, 1000000 + (i + 1) * 1000);
    wire_impair_count(wire, counters);
    ck_assert_uint_eq(counters[IMPAIRMENT_OUT].overflowed, 3);
    send_frame(9, 1000);
    drain();
    ck_assert_uint_eq(written_count, 6);
}
END_TEST

/* A packet with this ECN field, as TOS or traffic class has it, is sent. Return: the field that arrived; -1: nothing
 * did. */
static int send_ecn(bool is_v6, unsigned ecn)
{
    uint8_t frame[14 + 60] = {[12] = is_v6 ? 0x86 : 8, [13] = is_v6 ? 0xdd : 0, [14] = is_v6 ? 0x60 : 0x45};
    uint8_t *ip = frame + 14;
    struct iovec all = {frame, sizeof frame};
    const uint8_t *arrived = written[0].bytes + 14;
    uint16_t sum;

    if (is_v6) {
        ip[1] = (uint8_t)(ecn << 4);
    } else {
        ip[1] = (uint8_t)ecn;
        ip[3] = 60;
        sum = inet_chksum(ip, 20);
        memcpy(ip + 10, &sum, 2);
    }
    written_count = 0;
    ck_assert_int_eq(wire->operations->write_frame(wire, &(struct virtio_net_hdr){0}, &all, 1), 0);
    drain();
    if (written_count == 0)
        return -1;
    ck_assert(is_v6 || inet_chksum(arrived, 20) == 0);
    return is_v6 ? arrived[1] >> 4 & 3 : arrived[1] & 3;
}

START_TEST(rfc3168_what_would_be_lost_is_marked_if_it_can_be)
{
    struct wire_impair_counters counters[IMPAIRMENT_DIRECTIONS];

    set("out:loss=100%,out:ecn");
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        ck_assert_int_eq(send_ecn(is_v6, 0), -1);
        ck_assert_int_eq(send_ecn(is_v6, 1), 3);
        ck_assert_int_eq(send_ecn(is_v6, 2), 3);
        ck_assert_int_eq(send_ecn(is_v6, 3), 3);
    }
    wire_impair_count(wire, counters);
    ck_assert_uint_eq(counters[IMPAIRMENT_OUT].marked, 6);
    ck_assert_uint_eq(counters[IMPAIRMENT_OUT].lost, 2);
    set("ecn=0");
    ck_assert_int_eq(send_ecn(false, 2), -1);
}
END_TEST

START_TEST(a_seed_repeats_a_run)
{
    static uint32_t first[FRAMES_MAX];
    size_t count = 0;

    for (int run = 0; run < 2; run++) {
        written_count = 0;
        set("delay=3ms,jitter=3ms,loss=5%,duplicate=3%,reorder=4%,seed=77");
        for (uint32_t i = 0; i < 1000; i++)
            send_frame(i, 100);
        drain();
        if (run == 0)
            count = written_count;
        ck_assert_uint_eq(written_count, count);
        for (size_t i = 0; i < count; i++)
            if (run == 0)
                first[i] = number_of(&written[i]);
            else
                ck_assert_uint_eq(number_of(&written[i]), first[i]);
    }
}
END_TEST

START_TEST(directions_are_apart_and_what_is_under_way_stays)
{
    struct virtio_net_hdr header;
    uint8_t frame[2000];
    struct iovec iov = {frame, sizeof frame};

    set("in:delay=10ms");
    input_size = 60;
    input_header = (struct virtio_net_hdr){0};
    to_read = 1;
    send_frame(1, 100);
    ck_assert_uint_eq(written_count, 1);
    ck_assert_int_eq(wire->operations->read_frame(wire, &header, &iov, 1), 0);
    set("none");
    ck_assert_int_eq(wire->operations->read_frame(wire, &header, &iov, 1), 0);
    port_now_us = 1010000;
    ck_assert(wire->operations->run(wire));
    ck_assert_int_eq(wire->operations->read_frame(wire, &header, &iov, 1), 60);
}
END_TEST

START_TEST(settings_are_read_and_written)
{
    static const char *const good[][2] = {
        {"loss=1%", "loss=1%,seed=5"},
        {"delay=20ms,jitter=5ms,loss=1%,duplicate=0.1%,reorder=2%,corrupt=0.01%,rate=10mbit,queue=100",
         "delay=20ms,jitter=5ms,loss=1%,duplicate=0.1%,reorder=2%,corrupt=0.01%,rate=10mbit,queue=100,seed=5"},
        {"in:delay=1s,out:delay=300us", "in:delay=1000ms,out:delay=0.3ms,seed=5"},
        {"out:loss=3%,rate=2gbit", "out:loss=3%,rate=2000mbit,seed=5"},
        {"loss=2%,loss=0", "none"},
        {"delay=1ms,none,corrupt=2%", "corrupt=2%,seed=5"},
    };
    static const char *const bad[] = {"",          "loss",       "loss=",         "loss=101%",  "loss=-1%", "delay=5",
                                      "delay=5hz", "jitter=5ms", "up:delay=5ms", "rate=fast", "loss=1%,", "queue=1.5x"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct impairments impairments = {.seed = 5};
        char text[IMPAIRMENT_TEXT_MAX];
        const char *wrong;

        ck_assert_msg(impairment_parse(good[i][0], &impairments, &wrong) == 0, "%s at %s", good[i][0], wrong);
        impairment_format(&impairments, text, sizeof text);
        ck_assert_str_eq(text, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct impairments impairments = {.seed = 5};
        const char *wrong;

        ck_assert_msg(impairment_parse(bad[i], &impairments, &wrong) == -EINVAL, "%s", bad[i]);
    }
}
END_TEST

/* ---- Segmentation ---- */

static size_t pieces, payload_seen;

static void see_piece(void *context, uint8_t *frame, size_t size)
{
    bool is_ip4 = *(bool *)context;
    size_t ip_size = is_ip4 ? 20 : 40;
    const uint8_t *ip = frame + 14, *tcp = ip + ip_size;
    size_t tcp_size = size - 14 - ip_size;
    uint8_t pseudo[4] = {0, 6, (uint8_t)(tcp_size >> 8), (uint8_t)tcp_size};
    uint32_t sum = is_ip4 ? checksum_add(0, ip + 12, 8) : checksum_add(0, ip + 8, 32);
    size_t payload = tcp_size - 32;

    ck_assert_uint_eq(checksum_add(checksum_add(sum, pseudo, 4), tcp, tcp_size), 0xffff);
    if (is_ip4) {
        ck_assert_uint_eq(checksum_add(0, ip, 20), 0xffff);
        ck_assert_uint_eq((size_t)ip[2] << 8 | ip[3], size - 14);
        ck_assert_uint_eq((size_t)ip[4] << 8 | ip[5], 0x10 + pieces);
    } else {
        ck_assert_uint_eq((size_t)ip[4] << 8 | ip[5], tcp_size);
    }
    ck_assert_uint_eq((uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7],
                      0xfffffff0u + (uint32_t)payload_seen);
    for (size_t i = 0; i < payload; i++)
        ck_assert_uint_eq(tcp[32 + i], (uint8_t)((payload_seen + i) * 7));
    payload_seen += payload;
    pieces++;
    ck_assert_uint_eq(payload, payload_seen < 10000 ? 1400 : 10000 % 1400);
    ck_assert_uint_eq(tcp[13], payload_seen < 10000 ? (pieces == 1 ? 0x90 : 0x10) : 0x19);
}

static void split_10000(bool is_ip4)
{
    static uint8_t frame[WIRE_FRAME_MAX];
    size_t ip_size = is_ip4 ? 20 : 40;
    uint8_t *ip = frame + 14, *tcp = ip + ip_size;
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                    .gso_type = is_ip4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
                                    .gso_size = 1400, .csum_start = (uint16_t)(14 + ip_size), .csum_offset = 16};

    memset(frame, 3, 14 + ip_size + 32);
    memcpy(frame + 12, is_ip4 ? "\x08\x00" : "\x86\xdd", 2);
    ip[0] = is_ip4 ? 0x45 : 0x60;
    if (is_ip4) {
        ip[4] = 0;
        ip[5] = 0x10;
        ip[9] = 6;
    }
    memcpy(tcp + 4, "\xff\xff\xff\xf0", 4);
    tcp[12] = 8 << 4;
    tcp[13] = 0x99; /* CWR, ACK, PSH, FIN */
    for (size_t i = 0; i < 10000; i++)
        tcp[32 + i] = (uint8_t)(i * 7);
    pieces = payload_seen = 0;
    wire_split(&header, frame, 14 + ip_size + 32 + 10000, see_piece, &is_ip4);
    ck_assert_uint_eq(pieces, 8);
    ck_assert_uint_eq(payload_seen, 10000);
}

START_TEST(super_segments_are_cut)
{
    split_10000(true);
    split_10000(false);
}
END_TEST

static void see_frame(void *context, uint8_t *frame, size_t size)
{
    (void)frame;
    *(size_t *)context += size;
}

START_TEST(lies_about_a_frame_do_no_harm)
{
    static uint8_t frame[WIRE_FRAME_MAX];

    srand(1);
    for (int i = 0; i < 20000; i++) {
        struct virtio_net_hdr header;
        size_t size = (size_t)rand() % 3000 + 1, seen = 0;

        for (size_t at = 0; at < sizeof header; at++)
            ((uint8_t *)&header)[at] = (uint8_t)(rand() % 4 == 0 ? rand() : 0);
        header.gso_type = (uint8_t)(rand() % 2 == 0 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
        for (size_t at = 0; at < size; at++)
            frame[at] = (uint8_t)rand();
        memcpy(frame + 12, rand() % 2 == 0 ? "\x08\x00" : "\x86\xdd", 2);
        wire_split(&header, frame, size, see_frame, &seen);
        ck_assert_uint_gt(seen, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack impair");
    TCase *one = tcase_create("impair");

    tcase_add_checked_fixture(one, setup, teardown);
    tcase_add_test(one, nothing_is_set_and_nothing_happens);
    tcase_add_test(one, delay_holds_each_frame_that_long);
    tcase_add_test(one, jitter_stays_within_its_bounds_and_reorders);
    tcase_add_test(one, loss_duplicate_and_reorder_have_their_shares);
    tcase_add_test(one, corruption_flips_one_bit_behind_the_ethernet_header);
    tcase_add_test(one, rate_spaces_frames_and_the_queue_is_bounded);
    tcase_add_test(one, rfc3168_what_would_be_lost_is_marked_if_it_can_be);
    tcase_add_test(one, a_seed_repeats_a_run);
    tcase_add_test(one, directions_are_apart_and_what_is_under_way_stays);
    tcase_add_test(one, settings_are_read_and_written);
    tcase_add_test(one, super_segments_are_cut);
    tcase_add_test(one, lies_about_a_frame_do_no_harm);
    suite_add_tcase(suite, one);
    return suite_run(suite);
}
