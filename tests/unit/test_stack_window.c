/* test_stack_window.c - what bounds a connection: the receive window and the send queue that were asked for. */
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"

#define WINDOW 8192
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

/* A connection that a listening socket with the option took. */
static void accept_with_window(void)
{
    union stack_address address = address_of("0.0.0.0", 7);

    stack_setup_plain();
    told = child = (struct told){0};
    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_RECEIVE_WINDOW, WINDOW), 0);
    ck_assert_int_eq(stack_tcp_bind(told.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    accept_from_peer(&told, &child, &peer);
    wire_drop_all();
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

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tcase = tcase_create("window");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, accept_with_window, end_accepted);
    tcase_add_test(tcase, window_is_never_larger_than_was_asked_for);
    tcase_add_test(tcase, window_shrinks_by_not_opening_again);
    tcase_add_test(tcase, window_is_at_least_two_segments);
    tcase_add_test(tcase, what_waits_is_acknowledged_when_asked);
    tcase_add_test(tcase, send_queue_takes_no_more_than_was_asked_for);
    tcase_add_test(tcase, what_was_not_sent_is_bounded);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
