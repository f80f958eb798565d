/*
 * test_stack_handover.c - the stack's state goes into an archive, the stack ends without its peer hearing of it, and
 * another one goes on with what is in the archive.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack/handover.h"
#include "stack/ip/interface.h"
#include "stack_fixture.h"
#include "tests/suite.h"

#define HELD_MAX 4

static struct told told, listener;
static struct peer peer;
static uint8_t data[1024 * 1024], got[1024 * 1024];

/* Sockets that have an owner, in the order in which the next stack's are given back to them. */
static struct told *held[HELD_MAX];
static size_t held_count;

static void setup(void)
{
    told = listener = (struct told){0};
    peer = (struct peer){0};
    held_count = 0;
    pattern_fill(data, 0, sizeof data);
    stack_setup(0);
}

/* The same, and a connection that we made. */
static void setup_connected(void)
{
    setup();
    connect_to_peer(&told, &peer);
    held[held_count++] = &told;
}

static void teardown(void)
{
    stack_teardown();
}

/* The next frame to the peer; what is for many is not. */
static struct segment next_segment(void)
{
    while (wire_count() > 0 && (wire_look()->bytes[0] & 1) != 0)
        (void)wire_take();
    return peer_take();
}

/* Is there one? */
static bool has_segment(void)
{
    while (wire_count() > 0 && (wire_look()->bytes[0] & 1) != 0)
        (void)wire_take();
    return wire_count() > 0;
}

/* Another process goes on. */
static void hand_over(void)
{
    const struct stack_prefix own = {address_of(STACK_IP, 0), 24};
    const struct stack_route gateway = {.via = address_of("10.1.0.254", 0)};
    uint32_t numbers[HELD_MAX];
    struct archive written, read;
    uint8_t *bytes;

    archive_write_begin(&written);
    stack_handover(&written);
    ck_assert_int_eq(written.error, 0);
    for (size_t i = 0; i < held_count; i++) {
        numbers[i] = stack_handover_number(held[i]->tcp);
        ck_assert_uint_ne(numbers[i], 0);
    }
    bytes = malloc(written.length);
    memcpy(bytes, written.bytes, written.length);
    archive_read_begin(&read, bytes, written.length, NULL, 0);
    archive_release(&written);

    wire_drop_all();
    stack_teardown(); /* and what it has to say goes with the wire */
    stack_setup_config((struct stack_config){
        .addresses = &own, .address_count = 1, .routes = &gateway, .route_count = 1, .resumes = true});
    stack_handover(&read);
    ck_assert_int_eq(read.error, 0);
    ck_assert_uint_eq(read.missing, 0);
    ck_assert_uint_eq(wire_count(), 0);
    for (size_t i = 0; i < held_count; i++) {
        held[i]->tcp = stack_handover_find(numbers[i]);
        ck_assert_ptr_nonnull(held[i]->tcp);
        stack_tcp_adopt(held[i]->tcp, &told_events, held[i]);
    }
    stack_handover_end();
    archive_release(&read);
    free(bytes);
    stack_resume();
    peer_resolve();
}

/* Take what the stack sends, and acknowledge it, until nothing more comes. Return: bytes; FIN is in *fin. */
static size_t take_stream(bool *fin)
{
    size_t size = 0;
    bool more = true;

    *fin = false;
    for (int idle = 0; idle < 20 && !*fin; idle = more ? 0 : idle + 1) {
        more = false;
        stack_turn();
        while (has_segment()) {
            struct segment segment = peer_take();
            uint32_t known = peer.expected - segment.sequence;

            ck_assert_uint_eq(segment.flags & TH_RST, 0);
            if (known > segment.size || (known == segment.size && (segment.flags & TH_FIN) == 0))
                continue; /* it comes again, or from beyond a gap */
            ck_assert_uint_le(size + segment.size - known, sizeof got);
            memcpy(got + size, (const uint8_t *)segment.data + known, segment.size - known);
            size += segment.size - known;
            peer.expected += (uint32_t)(segment.size - known);
            if ((segment.flags & TH_FIN) != 0) {
                *fin = true;
                peer.expected++;
            }
            more = true;
        }
        peer_say(&peer, TH_ACK, NULL, 0);
        stack_advance(300);
    }
    return size;
}

static void expect_stream(size_t at, size_t size, bool with_fin)
{
    bool fin;

    ck_assert_uint_eq(take_stream(&fin), size);
    ck_assert_int_eq(memcmp(got, data + at, size), 0);
    ck_assert_int_eq(fin, with_fin);
}

static int state_of(const struct told *it)
{
    struct tcp_info info;

    stack_tcp_get_info(it->tcp, &info);
    return info.tcpi_state;
}

START_TEST(an_idle_connection_goes_on_both_ways)
{
    hand_over();
    peer_say(&peer, TH_ACK | TH_PUSH, "hello", 5);
    ck_assert_uint_eq(told.received, 1);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 5);
    send_bytes(told.tcp, data, 3000);
    expect_stream(0, 3000, false);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_int_gt(told.sent, 0);
}
END_TEST

START_TEST(data_on_its_way_and_data_that_waits)
{
    peer.window = 20000;
    peer_say(&peer, TH_ACK, NULL, 0);
    send_bytes(told.tcp, data, 150000);
    stack_turn();
    hand_over();
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 150000);
    peer.window = 65535;
    expect_stream(0, 150000, false);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
    send_bytes(told.tcp, data + 150000, 1000);
    expect_stream(150000, 1000, false);
}
END_TEST

/* The peer has part of the first segment, and more of what follows. */
START_TEST(what_was_acknowledged_in_part)
{
    send_bytes(told.tcp, data, 5000);
    stack_turn();
    wire_drop_all();
    memcpy(got, data, 700);
    peer.expected += 700;
    peer_say(&peer, TH_ACK, NULL, 0);
    hand_over();
    expect_stream(700, 4300, false);
}
END_TEST

/* An acknowledgement that was for the old process's segments counts. */
START_TEST(the_peer_acknowledges_what_the_old_one_sent)
{
    bool fin;

    send_bytes(told.tcp, data, 10000);
    ck_assert_uint_eq(take_stream(&fin), 10000);
    send_bytes(told.tcp, data, 4000);
    stack_turn();
    peer.expected += 4000;
    hand_over();
    wire_drop_all();
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
    ck_assert_int_gt(told.sent, 0);
    stack_advance(3000);
    ck_assert(!has_segment()); /* nothing is sent again */
}
END_TEST

START_TEST(data_that_nobody_read_yet)
{
    uint32_t base = peer.sequence;

    peer_say(&peer, TH_ACK | TH_PUSH, data, 1000);
    peer.sequence = base + 2000; /* a gap of 1000 */
    peer_say(&peer, TH_ACK | TH_PUSH, data + 2000, 500);
    peer_say(&peer, TH_ACK | TH_PUSH | TH_FIN, data + 2500, 500);
    hand_over();
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 1000);
    peer.sequence = base + 1000;
    peer_say(&peer, TH_ACK | TH_PUSH, data + 1000, 1000);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 3000);
    ck_assert_int_eq(memcmp(got, data, 3000), 0);
    ck_assert(stack_tcp_receive_ended(told.tcp));
    peer.sequence = base + 3001;
    wire_drop_all();
    send_bytes(told.tcp, data, 100);
    expect_stream(0, 100, false);
}
END_TEST

START_TEST(a_fin_behind_data_that_waits)
{
    peer.window = 0;
    peer_say(&peer, TH_ACK, NULL, 0);
    send_bytes(told.tcp, data, 10000);
    stack_tcp_shutdown_send(told.tcp);
    hand_over();
    peer.window = 65535;
    expect_stream(0, 10000, true);
    ck_assert_int_eq(state_of(&told), TCP_FIN_WAIT2);
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    ck_assert(stack_tcp_receive_ended(told.tcp));
}
END_TEST

START_TEST(a_fin_that_was_sent)
{
    send_bytes(told.tcp, data, 100);
    stack_tcp_shutdown_send(told.tcp);
    stack_turn();
    ck_assert_int_eq(state_of(&told), TCP_FIN_WAIT1);
    hand_over();
    ck_assert_int_eq(state_of(&told), TCP_FIN_WAIT1);
    expect_stream(0, 100, true);
    ck_assert_int_eq(state_of(&told), TCP_FIN_WAIT2);
    hand_over();
    peer_say(&peer, TH_ACK | TH_PUSH, "still here", 10);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 10);
}
END_TEST

START_TEST(the_last_acknowledgement)
{
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    ck_assert_int_eq(state_of(&told), TCP_CLOSE_WAIT);
    hand_over();
    ck_assert_int_eq(state_of(&told), TCP_CLOSE_WAIT);
    stack_tcp_shutdown_send(told.tcp);
    stack_turn();
    hand_over();
    ck_assert_int_eq(state_of(&told), TCP_LAST_ACK);
    expect_stream(0, 0, true);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(told.failed, 0);
    stack_tcp_close(told.tcp);
    held_count = 0;
}
END_TEST

/* The program is gone; what it wrote is still on its way. */
START_TEST(a_closed_connection_sends_the_rest)
{
    peer.window = 1000;
    peer_say(&peer, TH_ACK, NULL, 0);
    send_bytes(told.tcp, data, 20000);
    stack_tcp_close(told.tcp);
    held_count = 0;
    hand_over();
    peer.window = 65535;
    expect_stream(0, 20000, true);
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    stack_advance(62000);
}
END_TEST

START_TEST(a_handshake_that_we_began)
{
    union stack_address address = address_of(PEER_IP, 80);
    struct segment syn;

    peer_resolve();
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    held[held_count++] = &told;
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    syn = next_segment();
    ck_assert_uint_eq(syn.flags, TH_SYN);
    hand_over();
    wire_drop_all();
    peer_send(&(struct segment){.source_port = 80, .port = syn.source_port, .sequence = 1000, .acknowledgement = syn.sequence + 1,
                                .flags = TH_SYN | TH_ACK, .window = 65535});
    stack_turn();
    ck_assert_uint_eq(told.connected, 1);
    peer = (struct peer){.port = 80, .stack_port = syn.source_port, .sequence = 1001, .expected = syn.sequence + 1, .window = 65535};
    wire_drop_all();
    send_bytes(told.tcp, data, 2000);
    expect_stream(0, 2000, false);
}
END_TEST

/* Again and again, if the SYN is lost. */
START_TEST(a_syn_is_sent_again)
{
    union stack_address address = address_of(PEER_IP, 80);

    peer_resolve();
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    held[held_count++] = &told;
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    wire_drop_all();
    hand_over();
    wire_drop_all();
    stack_advance(4000);
    ck_assert_uint_eq(next_segment().flags, TH_SYN);
    stack_advance(200000);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, ETIMEDOUT);
}
END_TEST

static void listen_on(uint16_t port)
{
    union stack_address address = address_of("0.0.0.0", port);

    listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
    listener.child_told = &told;
    held[held_count++] = &listener;
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
}

START_TEST(a_listening_socket_and_a_handshake_in_the_middle)
{
    struct segment answer;

    peer_resolve();
    listen_on(4000);
    peer_send(&(struct segment){.source_port = 5000, .port = 4000, .sequence = 1, .flags = TH_SYN, .window = 65535});
    stack_turn();
    answer = next_segment();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    hand_over();
    wire_drop_all();
    peer = (struct peer){.port = 5000, .stack_port = 4000, .sequence = 2, .expected = answer.sequence + 1, .window = 65535};
    peer_say(&peer, TH_ACK | TH_PUSH, "hi", 2);
    ck_assert_uint_eq(listener.accepted, 1);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 2);
    send_bytes(told.tcp, data, 2000);
    expect_stream(0, 2000, false);
    /* And another one, from the start. */
    peer_send(&(struct segment){.source_port = 5001, .port = 4000, .sequence = 1, .flags = TH_SYN, .window = 65535});
    stack_turn();
    ck_assert_uint_eq(next_segment().flags, TH_SYN | TH_ACK);
}
END_TEST

START_TEST(many_times_over_while_bytes_flow_both_ways)
{
    size_t sent = 0, taken = 0, said = 0, heard = 0;

    for (int round = 0; round < 12; round++) {
        bool fin;
        size_t n = 1 + (size_t)round * 7001;

        for (int i = 0; i < 5; i++) {
            peer_say(&peer, TH_ACK | TH_PUSH, data + said, 1000);
            said += 1000;
        }
        heard += receive_bytes(told.tcp, got, 1700); /* the rest stays */
        send_bytes(told.tcp, data + sent, n);
        sent += n;
        stack_turn();
        if (round % 3 == 0)
            wire_drop_all(); /* lost */
        hand_over();
        if (round % 2 == 0) {
            size_t size = take_stream(&fin);

            ck_assert_int_eq(memcmp(got, data + taken, size), 0);
            taken += size;
        }
    }
    {
        bool fin;
        size_t size = take_stream(&fin);

        ck_assert_int_eq(memcmp(got, data + taken, size), 0);
        taken += size;
    }
    ck_assert_uint_eq(taken, sent);
    ck_assert_uint_eq(heard, 12 * 1700);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), said - heard);
    ck_assert_int_eq(memcmp(got, data + heard, said - heard), 0);
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    struct archive written, read;
    uint8_t *bytes;
    size_t length;

    send_bytes(told.tcp, data, 3000);
    archive_write_begin(&written);
    stack_handover(&written);
    length = written.length;
    bytes = malloc(length);
    memcpy(bytes, written.bytes, length);
    archive_release(&written);
    stack_teardown();
    for (size_t cut = 0; cut < length; cut += 37) {
        uint8_t *part = malloc(cut + 1);

        memcpy(part, bytes, cut);
        stack_setup_config((struct stack_config){.resumes = true});
        archive_read_begin(&read, part, cut, NULL, 0);
        stack_handover(&read);
        ck_assert(read.error < 0 || read.missing > 0);
        stack_handover_end();
        archive_release(&read);
        free(part);
        stack_teardown();
    }
    free(bytes);
    setup();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handover");
    TCase *connected = tcase_create("connections");
    TCase *other = tcase_create("before a connection");

    tcase_add_checked_fixture(connected, setup_connected, teardown);
    tcase_add_test(connected, an_idle_connection_goes_on_both_ways);
    tcase_add_test(connected, data_on_its_way_and_data_that_waits);
    tcase_add_test(connected, what_was_acknowledged_in_part);
    tcase_add_test(connected, the_peer_acknowledges_what_the_old_one_sent);
    tcase_add_test(connected, data_that_nobody_read_yet);
    tcase_add_test(connected, a_fin_behind_data_that_waits);
    tcase_add_test(connected, a_fin_that_was_sent);
    tcase_add_test(connected, the_last_acknowledgement);
    tcase_add_test(connected, a_closed_connection_sends_the_rest);
    tcase_add_test(connected, many_times_over_while_bytes_flow_both_ways);
    tcase_add_test(connected, what_makes_no_sense_is_refused);
    suite_add_tcase(suite, connected);
    tcase_add_checked_fixture(other, setup, teardown);
    tcase_add_test(other, a_handshake_that_we_began);
    tcase_add_test(other, a_syn_is_sent_again);
    tcase_add_test(other, a_listening_socket_and_a_handshake_in_the_middle);
    suite_add_tcase(suite, other);
    return suite_run(suite);
}
