/* test_stack_path_mtu.c - TCP over paths that take smaller packets than the link, on both families. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/wire/wire.h"
#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define SIZE 60000

static uint8_t data[SIZE], got[SIZE];

static void setup_plain(void)
{
    stack_setup_dual(0);
}

static void setup_offload(void)
{
    stack_setup_dual(WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6);
}

static bool is_v6(int i)
{
    return i == 1;
}

static size_t headers(int i)
{
    return (is_v6(i) ? 40 : 20) + 20;
}

/* A router in the way says that a packet of ours, of which this segment is the TCP, was too big. */
static void send_too_big(int i, const struct segment *segment, uint32_t mtu, bool good)
{
    uint8_t message[8 + 40 + 20] = {is_v6(i) ? 2 : 3, is_v6(i) ? 0 : 4};
    uint8_t *quoted = message + 8, *tcp = quoted + (is_v6(i) ? 40 : 20);
    size_t size = (size_t)(tcp - message) + 20;
    const char *source = is_v6(i) ? PEER_IP6 : PEER_IP, *destination = is_v6(i) ? STACK_IP6 : STACK_IP;

    *(uint32_t *)(void *)(message + 4) = htonl(mtu);
    if (is_v6(i)) {
        quoted[0] = 0x60;
        quoted[6] = IPPROTO_TCP;
        inet_pton(AF_INET6, destination, quoted + 8);
        inet_pton(AF_INET6, source, quoted + 24);
    } else {
        quoted[0] = 0x45;
        quoted[2] = 1500 >> 8;
        quoted[3] = 1500 & 255;
        quoted[9] = IPPROTO_TCP;
        inet_pton(AF_INET, destination, quoted + 12);
        inet_pton(AF_INET, source, quoted + 16);
    }
    *(uint16_t *)(void *)tcp = htons(segment->source_port);
    *(uint16_t *)(void *)(tcp + 2) = htons(segment->port);
    *(uint32_t *)(void *)(tcp + 4) = htonl(segment->sequence + !good * 0x10000000);
    if (is_v6(i))
        write_16(message + 2, packet_checksum(source, destination, IPPROTO_ICMPV6, message, size));
    else
        checksum_put(message, size, 2);
    packet_send(&(struct packet){.source = source, .destination = destination,
                                 .protocol = is_v6(i) ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .ttl = 64, .data = message,
                                 .size = size});
    stack_turn();
}

/* Is the next frame one of TCP? */
static bool frame_is_tcp(int i)
{
    const uint8_t *bytes = wire_look()->bytes;

    if (bytes[12] == 8 && bytes[13] == 6) {
        peer_resolve();
        return false;
    }
    if (is_v6(i) && bytes[20] == IPPROTO_ICMPV6)
        peer_advertise6(PEER_IP6);
    return bytes[is_v6(i) ? 20 : 23] == IPPROTO_TCP;
}

/* Connect, and send SIZE bytes. Return: the first segment of them. */
static struct segment begin(int i, struct told *told, struct peer *peer)
{
    struct segment first;

    if (is_v6(i))
        connect_to_peer6(told, peer);
    else
        connect_to_peer(told, peer);
    pattern_fill(data, 0, SIZE);
    send_bytes(told->tcp, data, SIZE);
    stack_flush();
    first = peer_take();
    ck_assert_uint_gt(first.size, 0);
    return first;
}

/* Take and acknowledge what comes until the peer has SIZE bytes, from start on. A packet that is larger than mtu is lost, and a router says so, if it
 * speaks. Return: the largest packet that was sent. */
static size_t receive_all(int i, struct peer *peer, uint32_t start, size_t mtu, bool router_speaks)
{
    size_t have = 0, largest = 0;

    for (int round = 0; have < SIZE; round++) {
        ck_assert_int_lt(round, 300);
        while (wire_count() > 0) {
            struct segment segment;
            size_t at, packet;

            if (!frame_is_tcp(i)) {
                wire_take();
                continue;
            }
            segment = peer_take();
            ck_assert(segment.checksum_good);
            at = segment.sequence - start;
            packet = (segment.header.gso_type != 0 ? segment.header.gso_size : segment.size) + headers(i);
            if (segment.size > 0 && packet > largest)
                largest = packet;
            if (packet > mtu) {
                if (router_speaks)
                    send_too_big(i, &segment, (uint32_t)mtu, true);
                continue;
            }
            if (segment.size == 0 || at > have || at + segment.size <= have)
                continue;
            memcpy(got + at, segment.data, segment.size);
            have = at + segment.size;
        }
        peer->expected = start + (uint32_t)have;
        peer_say(peer, TH_ACK, NULL, 0);
        stack_advance(50);
    }
    ck_assert_mem_eq(got, data, SIZE);
    return largest;
}

START_TEST(segments_become_small_enough)
{
    const size_t mtu = 1300;
    struct told told = {0}, second = {0};
    struct peer peer;
    struct segment first = begin(_i, &told, &peer);
    struct tcp_info info;

    wire_drop_all(); /* the router drops them */
    send_too_big(_i, &first, mtu, true);
    ck_assert_uint_gt(wire_count(), 0); /* at once */
    receive_all(_i, &peer, first.sequence, mtu, false);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_pmtu, mtu);
    ck_assert_uint_eq(info.tcpi_snd_mss, mtu - headers(_i));
    ck_assert_uint_ge(info.tcpi_snd_cwnd, 10); /* that was no congestion */
    stack_tcp_abort(told.tcp);
    wire_drop_all();
    /* The next connection knows. */
    first = begin(_i, &second, &peer);
    ck_assert_uint_le(first.header.gso_type != 0 ? first.header.gso_size : first.size, mtu - headers(_i));
    stack_tcp_abort(second.tcp);
}
END_TEST

/* Send SIZE bytes more over such a path. Return: the largest packet that was sent. */
static size_t send_again(int i, struct told *told, struct peer *peer, size_t mtu)
{
    send_bytes(told->tcp, data, SIZE);
    stack_flush();
    return receive_all(i, peer, peer->expected, mtu, true);
}

/* RFC 1191 6.3, RFC 8201 5.3 */
START_TEST(after_ten_minutes_larger_ones_are_tried)
{
    const size_t mtu = 1300;
    struct told told = {0};
    struct peer peer;
    struct segment first = begin(_i, &told, &peer);
    struct tcp_info info;

    wire_drop_all();
    send_too_big(_i, &first, mtu, true);
    receive_all(_i, &peer, first.sequence, mtu, false);
    stack_advance(500000);
    ck_assert_uint_eq(send_again(_i, &told, &peer, mtu), mtu);
    stack_advance(120000); /* the path is as it was */
    ck_assert_uint_eq(send_again(_i, &told, &peer, mtu), 1500);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_snd_mss, mtu - headers(_i));
    stack_advance(500000);
    ck_assert_uint_eq(send_again(_i, &told, &peer, mtu), mtu);
    stack_advance(120000); /* it is wide again */
    ck_assert_uint_eq(send_again(_i, &told, &peer, 1500), 1500);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1500 - headers(_i));
    ck_assert_uint_eq(info.tcpi_pmtu, 1500);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(other_connections_to_the_host_follow)
{
    const size_t mtu = 1300;
    struct told told = {0}, listener = {0}, child = {0};
    struct peer peer, other;
    struct segment first;
    uint32_t start;

    if (is_v6(_i))
        accept_from_peer6(&listener, &child, &other);
    else
        accept_from_peer(&listener, &child, &other);
    start = other.expected;
    pattern_fill(data, 0, SIZE);
    send_bytes(child.tcp, data, SIZE);
    stack_flush();
    wire_drop_all();
    first = begin(_i, &told, &peer);
    send_too_big(_i, &first, mtu, true);
    stack_tcp_abort(told.tcp);
    wire_drop_all();
    stack_advance(3000);
    receive_all(_i, &other, start, mtu, false);
    stack_tcp_abort(child.tcp);
    stack_tcp_close(listener.tcp);
}
END_TEST

START_TEST(timestamps_take_their_part)
{
    const size_t mtu = 1300;
    struct told listener = {.child_told = &(struct told){0}};
    union stack_address any = address_of(is_v6(_i) ? "::" : "0.0.0.0", 7);
    int family = is_v6(_i) ? AF_INET6 : AF_INET;
    struct segment segment;

    if (is_v6(_i))
        peer_resolve6(PEER_IP6);
    else
        peer_resolve();
    wire_drop_all();
    listener.tcp = stack_tcp_open(family, &told_events, &listener);
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &any), 0);
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
    segment = (struct segment){.family = family, .source_port = 40000, .port = 7, .sequence = 5000, .flags = TH_SYN,
                               .window = 0xffff, .options = {2, 4, 1400 >> 8, 1400 & 255, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0,
                                                             4, 2}, .option_size = 16};
    peer_send(&segment);
    segment.acknowledgement = peer_take().sequence + 1;
    segment.sequence++;
    segment.flags = TH_ACK;
    memcpy(segment.options, (uint8_t[]){1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 1}, 12);
    segment.option_size = 12;
    peer_send(&segment);
    ck_assert_uint_eq(listener.accepted, 1);
    pattern_fill(data, 0, SIZE);
    send_bytes(listener.child, data, SIZE);
    stack_flush();
    segment = peer_take();
    ck_assert_uint_eq(segment.option_size, 12);
    wire_drop_all();
    send_too_big(_i, &segment, mtu, true);
    segment = peer_take();
    ck_assert_uint_eq(segment.option_size, 12);
    ck_assert_uint_eq(segment.header.gso_type != 0 ? segment.header.gso_size : segment.size, mtu - headers(_i) - 12);
    stack_tcp_abort(listener.child);
    stack_tcp_close(listener.tcp);
}
END_TEST

START_TEST(lies_are_not_believed)
{
    struct told told = {0};
    struct peer peer;
    struct segment first = begin(_i, &told, &peer);
    struct tcp_info info;

    send_too_big(_i, &first, 1300, false);
    send_too_big(_i, &first, 2000, true);
    if (is_v6(_i))
        send_too_big(_i, &first, 1279, true);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_pmtu, 1500);
    if (!is_v6(_i)) {
        send_too_big(_i, &first, 100, true);
        stack_tcp_get_info(told.tcp, &info);
        ck_assert_uint_eq(info.tcpi_pmtu, 552); /* Linux: min_pmtu */
    }
    stack_tcp_abort(told.tcp);
}
END_TEST

static unsigned path_mtu_of(struct stack_tcp *tcp)
{
    struct tcp_info info;

    stack_tcp_get_info(tcp, &info);
    return info.tcpi_pmtu;
}

/* With each such news all sockets are looked at: who could bring it without end would have the stack do nothing else. */
START_TEST(narrower_again_and_again_is_not_believed_for_long)
{
    enum { OTHERS = 12500, LOOKS_A_SECOND = 1000000, NEWS = LOOKS_A_SECOND / OTHERS };
    static struct stack_tcp *others[OTHERS];
    struct told told = {0}, other = {0};
    struct peer peer;
    struct segment first = begin(_i, &told, &peer);
    unsigned mtu = 1500;

    for (int i = 0; i < OTHERS; i++)
        others[i] = stack_tcp_open(AF_INET, &told_events, &other);
    for (int i = 0; i < NEWS + 10; i++) {
        send_too_big(_i, &first, --mtu, true);
        wire_drop_all();
    }
    ck_assert_uint_eq(path_mtu_of(told.tcp), 1500 - NEWS);
    stack_advance(1000);
    send_too_big(_i, &first, --mtu, true);
    ck_assert_uint_eq(path_mtu_of(told.tcp), mtu);
    for (int i = 0; i < OTHERS; i++)
        stack_tcp_close(others[i]);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(a_fin_stays_at_the_end)
{
    const size_t mtu = 1300;
    struct told told = {0};
    struct peer peer;
    struct segment first, segment;

    if (is_v6(_i))
        connect_to_peer6(&told, &peer);
    else
        connect_to_peer(&told, &peer);
    pattern_fill(data, 0, 1400);
    send_bytes(told.tcp, data, 1400);
    stack_tcp_shutdown_send(told.tcp);
    stack_flush();
    first = peer_take();
    wire_drop_all();
    send_too_big(_i, &first, mtu, true);
    segment = peer_take();
    ck_assert_uint_eq(segment.size, mtu - headers(_i));
    ck_assert_uint_eq(segment.flags & TH_FIN, 0);
    peer.expected += (uint32_t)segment.size;
    peer_say(&peer, TH_ACK, NULL, 0);
    stack_advance(2000);
    ck_assert_uint_gt(wire_count(), 0);
    segment = peer_take();
    ck_assert_uint_eq(segment.sequence, peer.expected);
    if ((segment.flags & TH_FIN) == 0) {
        ck_assert_uint_eq(segment.size, 1400 - (mtu - headers(_i)));
        segment = peer_take();
    }
    ck_assert_uint_eq(segment.flags & TH_FIN, TH_FIN);
    ck_assert_uint_eq(segment.sequence + segment.size, first.sequence + 1400);
    stack_tcp_abort(told.tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack path mtu");
    TCase *plain = tcase_create("plain"), *offload = tcase_create("offload");
    TCase *const cases[] = {plain, offload};

    tcase_add_checked_fixture(plain, setup_plain, stack_teardown);
    tcase_add_checked_fixture(offload, setup_offload, stack_teardown);
    for (int i = 0; i < 2; i++) {
        tcase_add_loop_test(cases[i], segments_become_small_enough, 0, 2);
        tcase_add_loop_test(cases[i], after_ten_minutes_larger_ones_are_tried, 0, 2);
        tcase_add_loop_test(cases[i], other_connections_to_the_host_follow, 0, 2);
        tcase_add_loop_test(cases[i], timestamps_take_their_part, 0, 2);
        tcase_add_loop_test(cases[i], lies_are_not_believed, 0, 2);
        tcase_add_loop_test(cases[i], a_fin_stays_at_the_end, 0, 2);
        tcase_add_loop_test(cases[i], narrower_again_and_again_is_not_believed_for_long, 0, 2);
        suite_add_tcase(suite, cases[i]);
    }
    return suite_run(suite);
}
