/* test_stack_udp_lite.c - UDP-Lite on the wire: what the header says of the checksum, and what is not believed. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/bytes.h"
#include "tests/suite.h"

#define LITE_SIZE 8
#define SIZE_MAX_HERE 128
#define PORT 53
#define PEER_PORT 4000

static const struct family {
    int number;
    const char *own, *peer, *any;
} families[] = {{AF_INET, STACK_IP, PEER_IP, "0.0.0.0"}, {AF_INET6, STACK_IP6, PEER_IP6, "::"}};
static const struct family *family;
static void open_lite(struct heard *heard, uint16_t port)
{
    union stack_address address = any_address_of(family->any, port);

    heard_open(heard, STACK_DATAGRAM_UDP_LITE, family->number, 0);
    ck_assert_int_eq(stack_datagram_bind(heard->datagram, &address), 0);
}

/* The checksum of a packet's first bytes, its own field being 0: what lies beyond them counts as 0. */
static uint16_t sum_of(const char *source, const char *destination, const uint8_t *lite, size_t size, size_t coverage)
{
    uint8_t covered[SIZE_MAX_HERE] = {0};

    ck_assert(coverage <= size && size <= sizeof covered);
    memcpy(covered, lite, coverage);
    return packet_checksum(source, destination, IPPROTO_UDPLITE, covered, size);
}

/* A packet of the peer's: what the header says, how many bytes the checksum really is about, and changes. */
struct lite {
    size_t said, summed, size;
    size_t change;  /* this byte is changed after the checksum was computed; 0: none */
    bool no_sum;    /* the checksum's field is 0 */
    bool is_vouched; /* the wire says that the checksum was good */
    bool arrives;
};

static void send_lite(const struct lite *lite)
{
    uint8_t bytes[SIZE_MAX_HERE];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    write_16(bytes, PEER_PORT);
    write_16(bytes + 2, PORT);
    write_16(bytes + 4, lite->said);
    write_16(bytes + 6, 0);
    if (!lite->no_sum)
        write_16(bytes + 6, sum_of(family->peer, family->own, bytes, lite->size, lite->summed));
    if (lite->change != 0)
        bytes[lite->change] ^= 0x10;
    packet_send(&(struct packet){.source = family->peer, .destination = family->own, .protocol = IPPROTO_UDPLITE,
                                 .data = bytes, .size = lite->size,
                                 .header.flags = lite->is_vouched ? VIRTIO_NET_HDR_F_DATA_VALID : 0});
}

static const struct lite received[] = {
    {.said = 28, .summed = 28, .size = 28, .arrives = true},
    {.said = 0, .summed = 28, .size = 28, .arrives = true},
    {.said = 8, .summed = 8, .size = 28, .arrives = true},
    {.said = 8, .summed = 8, .size = 8, .arrives = true},
    {.said = 13, .summed = 13, .size = 28, .arrives = true},
    {.said = 27, .summed = 27, .size = 28, .arrives = true},
    {.said = 13, .summed = 13, .size = 29, .change = 13, .arrives = true}, /* the first that is not covered */
    {.said = 8, .summed = 8, .size = 28, .change = 27, .arrives = true},
    {.said = 13, .summed = 13, .size = 28, .change = 12}, /* the last that is */
    {.said = 8, .summed = 8, .size = 28, .change = 1},
    {.said = 0, .summed = 28, .size = 28, .change = 27},
    {.said = 28, .summed = 28, .size = 28, .change = 27},
    {.said = 28, .summed = 28, .size = 28, .change = 27, .is_vouched = true}, /* nothing knows this checksum but we */
    {.said = 0, .summed = 8, .size = 28},
    {.said = 28, .summed = 8, .size = 28},
    {.said = 8, .summed = 28, .size = 28},
    {.said = 28, .size = 28, .no_sum = true},
    {.said = 8, .size = 28, .no_sum = true},
    {.said = 0, .size = 28, .no_sum = true},
    {.said = 1, .summed = 1, .size = 28}, /* a header at least must be covered */
    {.said = 7, .summed = 7, .size = 28},
    {.said = 7, .summed = 28, .size = 28},
    {.said = 29, .summed = 28, .size = 28}, /* and no more than there is */
    {.said = 65535, .summed = 28, .size = 28},
    {.said = 9, .summed = 8, .size = 8},
    {.said = 7, .summed = 7, .size = 7}, /* not even a header */
    {.said = 0, .summed = 0, .size = 0},
};

START_TEST(what_comes_is_checked_as_far_as_it_says)
{
    const struct lite *lite = &received[_i % (int)(sizeof received / sizeof *received)];
    uint64_t before;

    family = &families[_i / (int)(sizeof received / sizeof *received)];
    open_lite(&one, PORT);
    before = counters_now().datagrams_malformed;
    send_lite(lite);
    ck_assert_uint_eq(one.received, lite->arrives);
    ck_assert_uint_eq(counters_now().datagrams_malformed - before, !lite->arrives);
    if (lite->arrives)
        ck_assert_uint_eq(one.length, lite->size - LITE_SIZE); /* all of it, and not the part that is covered */
    ck_assert_uint_eq(wire_count(), 0);
    send_lite(&received[0]);
    ck_assert_uint_eq(one.received, 1u + lite->arrives);
}
END_TEST

START_TEST(a_socket_may_ask_for_more)
{
    static const struct {
        int least;
        size_t said;
        bool arrives;
    } cases[] = {{8, 8, true},   {9, 8, false},  {20, 19, false}, {20, 20, true}, {20, 0, true},
                 {29, 28, true}, {29, 27, false}, {0, 27, false},  {0, 28, true},  {0, 0, true}};
    unsigned arrived = 0;

    family = &families[_i];
    open_lite(&one, PORT);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        heard_set(&one, STACK_DATAGRAM_RECEIVE_COVERAGE, cases[i].least);
        send_lite(&(struct lite){.said = cases[i].said, .summed = cases[i].said == 0 ? 28 : cases[i].said, .size = 28});
        arrived += cases[i].arrives;
        ck_assert_uint_eq(one.received, arrived);
    }
    ck_assert_uint_eq(wire_count(), 0); /* nobody is told */
}
END_TEST

START_TEST(what_leaves_says_what_is_covered)
{
    static const struct {
        int wanted;
        size_t said, covered;
    } cases[] = {{-1, 29, 29}, {0, 0, 29}, {8, 8, 8}, {9, 9, 9}, {15, 15, 15}, {28, 28, 28}, {29, 29, 29}, {1000, 29, 29}};
    uint8_t data[21], lite[SIZE_MAX_HERE];

    family = &families[_i];
    open_lite(&one, PORT);
    memset(data, 0xa7, sizeof data);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct iovec iov[] = {{data, 3}, {data + 3, 0}, {data + 3, 1}, {data + 4, 17}}; /* odd pieces */
        struct stack_datagram_info info = {.ttl = -1, .tos = -1, .peer = any_address_of(family->peer, PEER_PORT)};
        struct packet packet;

        heard_set(&one, STACK_DATAGRAM_SEND_COVERAGE, cases[i].wanted);
        heard_set(&one, STACK_DATAGRAM_NO_CHECK, 1); /* UDP's alone */
        ck_assert_int_eq(stack_datagram_send(one.datagram, &info, iov, 4, sizeof data), 0);
        stack_turn();
        packet = packet_take();
        ck_assert_uint_eq(packet.protocol, IPPROTO_UDPLITE);
        ck_assert_uint_eq(packet.header.flags, 0); /* not left to the wire */
        ck_assert_uint_eq(packet.size, LITE_SIZE + sizeof data);
        ck_assert_uint_eq(read_16(packet.data), PORT);
        ck_assert_uint_eq(read_16(packet.data + 2), PEER_PORT);
        ck_assert_uint_eq(read_16(packet.data + 4), cases[i].said);
        ck_assert_mem_eq(packet.data + LITE_SIZE, data, sizeof data);
        memcpy(lite, packet.data, packet.size);
        write_16(lite + 6, 0);
        ck_assert_uint_eq(read_16(packet.data + 6),
                          sum_of(family->own, family->peer, lite, packet.size, cases[i].covered));
    }
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

/* A checksum that comes out as 0 is sent as all ones, because 0 would mean that there is none. */
START_TEST(a_sum_of_nothing_is_all_ones)
{
    uint8_t lite[LITE_SIZE + 2] = {0};
    struct packet packet;

    family = &families[_i];
    open_lite(&one, PORT);
    write_16(lite, PORT);
    write_16(lite + 2, PEER_PORT);
    write_16(lite + 4, sizeof lite);
    write_16(lite + LITE_SIZE, sum_of(family->own, family->peer, lite, sizeof lite, sizeof lite));
    ck_assert_int_eq(heard_send(&one, family->peer, PEER_PORT, lite + LITE_SIZE, 2), 0);
    packet = packet_take();
    ck_assert_uint_eq(read_16(packet.data + 6), 0xffff);
}
END_TEST

START_TEST(a_sum_of_nothing_must_be_all_ones)
{
    uint8_t lite[LITE_SIZE + 2] = {0};
    struct packet packet;

    family = &families[_i];
    open_lite(&one, PORT);
    packet = (struct packet){.source = family->peer, .destination = family->own, .protocol = IPPROTO_UDPLITE,
                             .data = lite, .size = sizeof lite};
    write_16(lite, PEER_PORT);
    write_16(lite + 2, PORT);
    write_16(lite + 4, sizeof lite);
    write_16(lite + LITE_SIZE, sum_of(family->peer, family->own, lite, sizeof lite, sizeof lite));
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 0);
    write_16(lite + 6, 0xffff);
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(nobody_there_is_answered)
{
    struct packet packet;

    family = &families[_i];
    heard_open_udp(&one, family->any, PORT); /* another protocol's */
    send_lite(&received[0]);
    ck_assert_uint_eq(one.received, 0);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, family->number == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    ck_assert_uint_eq(packet.data[0], family->number == AF_INET ? 3 : 1);
    ck_assert_uint_eq(packet.data[1], family->number == AF_INET ? 3 : 4);
    open_lite(&two, PORT);
    send_lite(&received[0]);
    peer_udp(family->peer, PEER_PORT, family->own, PORT, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, 5);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(two.length, 20);
}
END_TEST

/* By the loopback, the checksum computed and verified all the same. */
START_TEST(sizes_and_coverages_go_together)
{
    static const size_t sizes[] = {0, 1, 1000, 32759, 32760, 40001, 65479};
    static const int coverages[] = {-1, 0, 8, 9, 1001, 32767, 32768, 40000, 65535};
    static uint8_t data[65479];
    unsigned count = 0;

    family = &families[_i];
    open_lite(&one, PORT);
    open_lite(&two, PORT + 1);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i ^ i >> 8);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof coverages / sizeof *coverages; j++) {
            heard_set(&two, STACK_DATAGRAM_SEND_COVERAGE, coverages[j]);
            ck_assert_int_eq(heard_send(&two, family->own, PORT, data, sizes[i]), 0);
            ck_assert_uint_eq(one.received, ++count);
            ck_assert_uint_eq(one.length, sizes[i]);
            ck_assert_mem_eq(one.bytes, data, sizes[i]);
        }
    ck_assert_uint_eq(counters_now().datagrams_malformed, 0);
}
END_TEST

START_TEST(trains_are_not_for_it)
{
    family = &families[_i];
    open_lite(&one, PORT);
    heard_set(&one, STACK_DATAGRAM_SEGMENT, 10);
    ck_assert_int_eq(heard_send(&one, family->peer, PEER_PORT, "0123456789abcdef", 16), -EIO);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

int main(void)
{
    const int both = (int)(sizeof families / sizeof *families);
    Suite *suite = suite_create("stack_udp_lite");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, heard_setup, heard_teardown);
    tcase_add_loop_test(tests, what_comes_is_checked_as_far_as_it_says, 0,
                        both * (int)(sizeof received / sizeof *received));
    tcase_add_loop_test(tests, a_socket_may_ask_for_more, 0, both);
    tcase_add_loop_test(tests, what_leaves_says_what_is_covered, 0, both);
    tcase_add_loop_test(tests, a_sum_of_nothing_is_all_ones, 0, both);
    tcase_add_loop_test(tests, a_sum_of_nothing_must_be_all_ones, 0, both);
    tcase_add_loop_test(tests, nobody_there_is_answered, 0, both);
    tcase_add_loop_test(tests, sizes_and_coverages_go_together, 0, both);
    tcase_add_loop_test(tests, trains_are_not_for_it, 0, both);
    suite_add_tcase(suite, tests);
    return suite_run(suite);
}
