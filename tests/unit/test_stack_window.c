/* test_stack_window.c - what bounds a connection: the receive window and the send queue that were asked for. */
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

#define WINDOW 8192
#define MEGA (1024u * 1024u)
#define SEGMENT 1460

static struct told told, child;
static struct peer peer;
static uint8_t data[65536];

/* Return: the window that the stack's last segment announced; 0xffffffff: there was none. */
static uint32_t last_window(void)
{
    uint32_t window = 0xffffffff;

    stack_turn();
    while (wire_count() > 0)
        window = (uint32_t)peer_take().window << 7;
    return window;
}

/* A connection that a listening socket took, with this window asked for; 0: none. */
static void accept_with(int asked_for)
{
    union stack_address address = address_of("0.0.0.0", 7);

    stack_setup_plain();
    told = child = (struct told){0};
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_RECEIVE_WINDOW, asked_for), 0);
    ck_assert_int_eq(stack_tcp_bind(told.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    accept_from_peer(&told, &child, &peer);
    wire_drop_all();
}

static void accept_with_window(void)
{
    accept_with(WINDOW);
}

static void accept_near(void)
{
    accept_with(0);
}

static void accept_far(void)
{
    peer_handshake_ms = 100;
    accept_with(0);
    peer_handshake_ms = 0;
}

/* The peer sends so many bytes in full segments, the owner takes them. */
static void pass_on(size_t bytes)
{
    while (bytes > 0) {
        size_t n = bytes < SEGMENT ? bytes : SEGMENT;

        peer_say(&peer, TH_ACK, data, n);
        stack_tcp_receive_consume(child.tcp, n);
        bytes -= n;
    }
}

/* Return: the window that is announced after a segment. */
static uint32_t window_now(void)
{
    pass_on(1);
    stack_advance(60);
    return last_window();
}

static void end_accepted(void)
{
    stack_tcp_abort(child.tcp);
    stack_tcp_close(told.tcp);
    stack_teardown();
}

START_TEST(window_is_never_larger_than_was_asked_for)
{
    for (int i = 0; i < 20; i++) {
        uint32_t window;

        for (int j = 0; j < 4; j++)
            peer_say(&peer, TH_ACK | TH_PUSH, data, SEGMENT);
        window = last_window();
        ck_assert_uint_le(window, WINDOW - 4 * SEGMENT + 127);
        ck_assert_uint_eq(stack_tcp_receive_queued(child.tcp), 4 * SEGMENT);
        stack_tcp_receive_consume(child.tcp, 4 * SEGMENT);
        window = last_window(); /* it opens at once, and not with a delayed acknowledgement */
        ck_assert_uint_le(window, WINDOW);
        ck_assert_uint_ge(window, WINDOW - SEGMENT);
    }
}
END_TEST

START_TEST(window_shrinks_by_not_opening_again)
{
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_RECEIVE_WINDOW, 4096), 0);
    for (int j = 0; j < 4; j++)
        peer_say(&peer, TH_ACK | TH_PUSH, data, SEGMENT);
    ck_assert_uint_eq(stack_tcp_receive_queued(child.tcp), 4 * SEGMENT); /* what was promised is taken */
    stack_tcp_receive_consume(child.tcp, 4 * SEGMENT);
    stack_advance(60);
    ck_assert_uint_le(last_window(), 4096);
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_RECEIVE_WINDOW, 32768), 0);
    peer_say(&peer, TH_ACK | TH_PUSH, data, SEGMENT);
    stack_tcp_receive_consume(child.tcp, SEGMENT);
    stack_advance(60);
    ck_assert_uint_ge(last_window(), 32768 - SEGMENT - 127);
}
END_TEST

START_TEST(window_is_at_least_two_segments)
{
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_RECEIVE_WINDOW, 1), 0);
    for (int i = 0; i < 8; i++) {
        peer_say(&peer, TH_ACK | TH_PUSH, data, SEGMENT);
        ck_assert_uint_eq(stack_tcp_receive_queued(child.tcp), SEGMENT);
        stack_tcp_receive_consume(child.tcp, SEGMENT);
    }
    stack_advance(60);
    ck_assert_uint_ge(last_window(), 2 * SEGMENT - 127);
}
END_TEST

START_TEST(what_waits_is_acknowledged_when_asked)
{
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_QUICKACK, 0), 0);
    peer_say(&peer, TH_ACK | TH_PUSH, "abc", 3);
    stack_tcp_receive_consume(child.tcp, 3);
    ck_assert_uint_eq(last_window(), 0xffffffff); /* delayed */
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_QUICKACK, 1), 0);
    ck_assert_uint_ne(last_window(), 0xffffffff);
}
END_TEST

START_TEST(send_queue_takes_no_more_than_was_asked_for)
{
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_SEND_BUFFER, 20000), 0);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 20000);
    send_bytes(child.tcp, data, 20000);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 0);
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_SEND_BUFFER, 1), 0);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 0);
    stack_turn();
    while (wire_count() > 0)
        peer.expected += (uint32_t)peer_take().size;
    peer_say(&peer, TH_ACK, NULL, 0);
    stack_turn();
    while (wire_count() > 0)
        peer.expected += (uint32_t)peer_take().size;
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_ge(stack_tcp_send_room(child.tcp), 2 * SEGMENT); /* enough to keep going */
    ck_assert_uint_le(stack_tcp_send_room(child.tcp), 4 * SEGMENT);
}
END_TEST

START_TEST(send_queue_follows_the_path)
{
    size_t room = stack_tcp_send_room(child.tcp), size;

    ck_assert_uint_eq(room, 256 * 1024);
    peer.window = 0xffff; /* and a scale of 7: 8 MiB */
    for (int round = 0; round < 10; round++) {
        room = stack_tcp_send_room(child.tcp);
        for (size = 0; size < room; size += sizeof data)
            send_bytes(child.tcp, data, room - size < sizeof data ? room - size : sizeof data);
        ck_assert(!stack_tcp_send_is_worthwhile(child.tcp));
        while (stack_tcp_send_queued(child.tcp) > 0) { /* an acknowledgement for all that was sent */
            stack_advance(1);
            while (wire_count() > 0)
                peer.expected += (uint32_t)peer_take().size;
            peer_say(&peer, TH_ACK, NULL, 0);
        }
        ck_assert(stack_tcp_send_is_worthwhile(child.tcp));
    }
    ck_assert_uint_ge(stack_tcp_send_room(child.tcp), 300 * 1024);
    peer_say(&peer, TH_ACK | TH_PUSH, "x", 1);
    peer.window = 0; /* nobody reads; a window gets smaller only with news */
    peer_say(&peer, TH_ACK | TH_PUSH, "y", 1);
    stack_tcp_receive_consume(child.tcp, 2);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 256 * 1024);
}
END_TEST

START_TEST(what_was_not_sent_is_bounded)
{
    peer_say(&peer, TH_ACK | TH_PUSH, "x", 1);
    peer.window = 0;
    peer_say(&peer, TH_ACK | TH_PUSH, "y", 1); /* a window gets smaller only with news */
    stack_tcp_receive_consume(child.tcp, 2);
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_NOTSENT_LOWAT, 16384), 0);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 16384);
    send_bytes(child.tcp, data, 16384);
    ck_assert_uint_eq(stack_tcp_send_unsent(child.tcp), 16384);
    ck_assert_uint_eq(stack_tcp_send_room(child.tcp), 0);
    peer.window = 0xffff;
    peer_say(&peer, TH_ACK, NULL, 0);
    stack_turn();
    wire_drop_all();
    ck_assert_uint_gt(stack_tcp_send_room(child.tcp), 0); /* on its way counts no more */
}
END_TEST

START_TEST(window_begins_small)
{
    uint32_t window = window_now();

    ck_assert_uint_ge(window, 65535 - 2 * 128);
    ck_assert_uint_le(window, 65536);
}
END_TEST

/* As slow start does: twice as much each round trip. It never meets the edge. */
START_TEST(window_keeps_ahead_of_a_sender_on_a_long_path)
{
    unsigned rounds = 0;

    for (size_t burst = 10 * SEGMENT; burst < 2 * MEGA; burst *= 2, rounds++) {
        uint32_t window = window_now();

        ck_assert_uint_ge(window, burst);
        pass_on(burst);
        stack_advance(100);
        wire_drop_all();
    }
    ck_assert_uint_ge(window_now(), 3 * MEGA);
    ck_assert_uint_lt(rounds, 9);
}
END_TEST

START_TEST(window_is_bounded_on_a_short_path)
{
    for (int round = 0; round < 20; round++) {
        pass_on(MEGA / 2);
        stack_advance(2);
        wire_drop_all();
    }
    ck_assert_uint_le(window_now(), 256 * 1024);
    ck_assert_uint_ge(window_now(), 256 * 1024 - 2 * SEGMENT);
}
END_TEST

START_TEST(window_of_a_slow_owner_does_not_grow)
{
    for (int round = 0; round < 100; round++) {
        pass_on(8000);
        stack_advance(100);
    }
    ck_assert_uint_le(window_now(), 65536);
}
END_TEST

START_TEST(window_that_was_asked_for_does_not_grow)
{
    ck_assert_int_eq(stack_tcp_set_option(child.tcp, STACK_TCP_RECEIVE_WINDOW, 100000), 0);
    for (int round = 0; round < 20; round++) {
        pass_on(MEGA);
        stack_advance(100);
        wire_drop_all();
    }
    ck_assert_uint_le(window_now(), 100000);
}
END_TEST

START_TEST(data_out_of_order_beyond_the_window_is_dropped)
{
    uint32_t window = window_now();
    struct peer ahead = peer;

    ahead.sequence += window - 1000; /* begins within, ends beyond */
    peer_say(&ahead, TH_ACK | TH_PUSH, data, SEGMENT);
    stack_turn();
    ck_assert_uint_gt(wire_count(), 0);
    wire_drop_all();
    pass_on(4 * (size_t)window);
    ck_assert_uint_eq(stack_tcp_receive_queued(child.tcp), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tcase = tcase_create("window");

    tcase_add_checked_fixture(tcase, accept_with_window, end_accepted);
    tcase_add_test(tcase, window_is_never_larger_than_was_asked_for);
    tcase_add_test(tcase, window_shrinks_by_not_opening_again);
    tcase_add_test(tcase, window_is_at_least_two_segments);
    tcase_add_test(tcase, what_waits_is_acknowledged_when_asked);
    tcase_add_test(tcase, send_queue_takes_no_more_than_was_asked_for);
    tcase_add_test(tcase, what_was_not_sent_is_bounded);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("long path");
    tcase_add_checked_fixture(tcase, accept_far, end_accepted);
    tcase_add_test(tcase, window_begins_small);
    tcase_add_test(tcase, window_keeps_ahead_of_a_sender_on_a_long_path);
    tcase_add_test(tcase, window_of_a_slow_owner_does_not_grow);
    tcase_add_test(tcase, window_that_was_asked_for_does_not_grow);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("short path");
    tcase_add_checked_fixture(tcase, accept_near, end_accepted);
    tcase_add_test(tcase, window_begins_small);
    tcase_add_test(tcase, window_is_bounded_on_a_short_path);
    tcase_add_test(tcase, send_queue_follows_the_path);
    tcase_add_test(tcase, data_out_of_order_beyond_the_window_is_dropped);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
