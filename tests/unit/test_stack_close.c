/* test_stack_close.c - ends: half closes, closes, resets, and what is left of them. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told;
static struct peer peer;
static uint8_t data[1024 * 1024], got[1024 * 1024];

static uint8_t state_now(void)
{
    struct tcp_info info;

    stack_tcp_get_info(told.tcp, &info);
    return info.tcpi_state;
}

/* Take what the stack sent; acknowledge data and FIN. *size grows by what is new. Return: the flags of all segments,
 * or-ed. */
static uint8_t take_all(size_t *size)
{
    uint8_t flags = 0;

    stack_turn();
    while (wire_count() > 0) {
        struct segment segment = peer_take();

        flags |= segment.flags;
        if (segment.sequence != peer.expected)
            continue;
        if (size != NULL)
            *size += segment.size;
        peer.expected += (uint32_t)segment.size + ((segment.flags & TH_FIN) != 0 ? 1 : 0);
    }
    return flags;
}

START_TEST(we_half_close_and_go_on_receiving)
{
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    ck_assert_uint_eq(take_all(NULL) & TH_FIN, TH_FIN);
    ck_assert_int_eq(stack_tcp_send_commit(told.tcp, 0, false), -EPIPE);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(state_now(), TCP_FIN_WAIT2);
    stack_advance(100000); /* a half-closed connection has no time limit */
    for (int i = 0; i < 60; i++)
        peer_say(&peer, TH_ACK | TH_PUSH, data, 1000);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 60000);
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    ck_assert(stack_tcp_receive_ended(told.tcp));
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_uint_eq(take_all(NULL), TH_ACK);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(counters_now().sockets, 1); /* TIME-WAIT */
    stack_advance(62000);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(peer_half_closes_and_goes_on_receiving)
{
    size_t size = 0;

    peer_say(&peer, TH_FIN | TH_ACK | TH_PUSH, "bye", 3);
    ck_assert(stack_tcp_receive_ended(told.tcp));
    ck_assert_uint_eq(stack_tcp_receive_queued(told.tcp), 3);
    ck_assert_uint_eq(state_now(), TCP_CLOSE_WAIT);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 3);
    send_bytes(told.tcp, data, 5000);
    for (int i = 0; i < 10; i++) {
        take_all(&size);
        peer_say(&peer, TH_ACK, NULL, 0);
    }
    ck_assert_uint_eq(size, 5000);
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    ck_assert_uint_eq(take_all(NULL) & TH_FIN, TH_FIN);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(told.failed, 0); /* an orderly end is no error */
    ck_assert_uint_eq(state_now(), TCP_CLOSE);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

/* The FIN rides on the last segment, and the peer's window makes lwIP split that. */
START_TEST(fin_comes_at_the_end_when_the_window_is_small)
{
    size_t size = 0;
    uint8_t flags = 0;

    peer.window = 0;
    peer_say(&peer, TH_ACK, NULL, 0);
    send_bytes(told.tcp, data, 1000);
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    for (int i = 0; i < 200 && (flags & TH_FIN) == 0; i++) {
        flags = take_all(&size);
        peer.window = 3; /* scaled, or not: less than a segment */
        peer_say(&peer, TH_ACK, NULL, 0);
        stack_advance(500);
    }
    ck_assert_uint_eq(flags & TH_FIN, TH_FIN);
    ck_assert_uint_eq(size, 1000);
}
END_TEST

START_TEST(data_queued_before_close_is_still_sent)
{
    size_t size = 0;
    uint8_t flags = 0;

    stack_tcp_set_option(told.tcp, STACK_TCP_SEND_BUFFER, sizeof data);
    send_bytes(told.tcp, data, sizeof data);
    stack_tcp_close(told.tcp);
    for (int i = 0; i < 2000 && (flags & TH_FIN) == 0; i++) {
        flags = take_all(&size);
        peer_say(&peer, TH_ACK, NULL, 0);
    }
    ck_assert_uint_eq(size, sizeof data);
    ck_assert_uint_eq(flags & (TH_FIN | TH_RST), TH_FIN);
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    ck_assert_uint_eq(take_all(NULL), TH_ACK);
    stack_advance(62000);
    ck_assert_uint_eq(counters_now().sockets, 0);
    ck_assert_uint_eq(told.received, 0);
}
END_TEST

START_TEST(slow_reader_gets_all_of_it_after_close)
{
    size_t size = 0;
    uint8_t flags = 0;

    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0); /* LAST-ACK is the state with a time limit in lwIP */
    peer.window = 20; /* 2560 bytes */
    send_bytes(told.tcp, data, 100000);
    stack_tcp_close(told.tcp);
    for (int i = 0; i < 200 && (flags & TH_FIN) == 0; i++) {
        flags = take_all(&size);
        stack_advance(2500);
        flags |= take_all(&size); /* what was sent meanwhile */
        peer_say(&peer, TH_ACK, NULL, 0);
    }
    ck_assert_uint_ge(size, 100000);
    ck_assert_uint_eq(flags & (TH_FIN | TH_RST), TH_FIN);
}
END_TEST

START_TEST(close_with_unread_data_resets)
{
    peer_say(&peer, TH_ACK | TH_PUSH, "unread", 6);
    take_all(NULL);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(take_all(NULL) & (TH_RST | TH_FIN), TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(close_after_all_was_read_does_not_reset)
{
    peer_say(&peer, TH_ACK | TH_PUSH, "read", 4);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 4);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(take_all(NULL) & (TH_RST | TH_FIN), TH_FIN);
}
END_TEST

START_TEST(close_after_fin_with_unread_data_resets)
{
    peer_say(&peer, TH_ACK | TH_FIN, "unread", 6);
    take_all(NULL);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(take_all(NULL) & (TH_RST | TH_FIN), TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(data_after_close_resets)
{
    stack_tcp_close(told.tcp);
    take_all(NULL);
    peer_say(&peer, TH_ACK | TH_PUSH, "late", 4);
    ck_assert_uint_eq(take_all(NULL) & TH_RST, TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(abort_resets_and_drops)
{
    send_bytes(told.tcp, data, 100000);
    stack_tcp_abort(told.tcp);
    ck_assert_uint_eq(take_all(NULL) & TH_RST, TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(reset_is_reported_and_received_data_stays)
{
    send_bytes(told.tcp, data, 100000);
    peer_say(&peer, TH_ACK | TH_PUSH, "last words", 10);
    take_all(NULL);
    peer_say(&peer, TH_RST, NULL, 0);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, ECONNRESET);
    ck_assert_uint_eq(receive_bytes(told.tcp, got, sizeof got), 10);
    ck_assert_uint_eq(stack_tcp_send_room(told.tcp), 0);
    ck_assert_uint_eq(stack_tcp_send_queued(told.tcp), 0);
    ck_assert_uint_eq(state_now(), TCP_CLOSE);
    stack_tcp_close(told.tcp);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(reset_after_fin_is_a_broken_pipe)
{
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    peer_say(&peer, TH_RST | TH_ACK, NULL, 0);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, EPIPE);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(blind_reset_is_challenged)
{
    peer.sequence += 100;
    peer_say(&peer, TH_RST, NULL, 0);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_uint_eq(take_all(NULL), TH_ACK);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(reset_after_close_ends_quietly)
{
    send_bytes(told.tcp, data, 100000);
    stack_tcp_close(told.tcp);
    take_all(NULL);
    peer_say(&peer, TH_RST, NULL, 0);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(close_inside_received)
{
    told.close_received = true;
    peer_say(&peer, TH_ACK | TH_FIN, NULL, 0);
    ck_assert_uint_eq(told.received, 1);
    ck_assert_uint_eq(take_all(NULL) & (TH_FIN | TH_RST), TH_FIN);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(close_inside_received_with_unread_data)
{
    told.close_received = true;
    peer_say(&peer, TH_ACK | TH_PUSH, "data", 4);
    ck_assert_uint_eq(take_all(NULL) & (TH_FIN | TH_RST), TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(abort_inside_received)
{
    told.abort_received = true;
    peer_say(&peer, TH_ACK | TH_PUSH | TH_FIN, "data", 4);
    ck_assert_uint_eq(told.received, 1);
    ck_assert_uint_eq(take_all(NULL) & (TH_FIN | TH_RST), TH_RST);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(both_close_at_once)
{
    stack_tcp_close(told.tcp);
    stack_turn();
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0); /* does not acknowledge our FIN */
    take_all(NULL);
    peer_say(&peer, TH_ACK, NULL, 0);
    ck_assert_uint_eq(counters_now().sockets, 1);
    stack_advance(62000);
    ck_assert_uint_eq(counters_now().sockets, 0);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(orphan_whose_peer_is_silent_goes_away)
{
    send_bytes(told.tcp, data, 1000);
    stack_tcp_close(told.tcp);
    stack_advance(1000000);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

/* The ways in which an owner may let go of a connection that is in TIME-WAIT, which goes on without it. */
static void (*const time_wait_ends[])(struct stack_tcp *) = {stack_tcp_close, stack_tcp_abort, stack_tcp_disconnect};

START_TEST(owner_lets_go_in_time_wait)
{
    ck_assert_int_eq(stack_tcp_shutdown_send(told.tcp), 0);
    take_all(NULL);
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    take_all(NULL);
    time_wait_ends[_i](told.tcp);
    ck_assert_uint_eq(wire_count(), 0);
    peer.sequence--;
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0); /* again: acknowledged */
    ck_assert_uint_eq(take_all(NULL), TH_ACK);
    stack_advance(50000);
    peer.sequence--;
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0); /* TIME-WAIT begins anew */
    stack_advance(50000);
    ck_assert_uint_eq(counters_now().sockets, time_wait_ends[_i] == stack_tcp_disconnect ? 2 : 1);
    if (time_wait_ends[_i] == stack_tcp_disconnect)
        stack_tcp_close(told.tcp);
    stack_advance(12000);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(peer_that_never_closes_is_forgotten_after_a_minute)
{
    stack_tcp_close(told.tcp);
    take_all(NULL);
    peer_say(&peer, TH_ACK, NULL, 0); /* FIN-WAIT-2 */
    stack_advance(58000);
    ck_assert_uint_eq(counters_now().sockets, 1);
    stack_advance(5000);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

START_TEST(closing_the_stack_resets_what_is_open)
{
    send_bytes(told.tcp, data, 100000);
    peer_say(&peer, TH_ACK | TH_PUSH, "unread", 6);
    stack_close();
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

static void setup(void)
{
    told = (struct told){0};
    stack_setup_offload();
    connect_to_peer(&told, &peer);
}

int main(void)
{
    Suite *suite = suite_create("stack close");
    TCase *tcase = tcase_create("close");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, we_half_close_and_go_on_receiving);
    tcase_add_test(tcase, peer_half_closes_and_goes_on_receiving);
    tcase_add_test(tcase, data_queued_before_close_is_still_sent);
    tcase_add_test(tcase, fin_comes_at_the_end_when_the_window_is_small);
    tcase_add_test(tcase, slow_reader_gets_all_of_it_after_close);
    tcase_add_test(tcase, close_with_unread_data_resets);
    tcase_add_test(tcase, close_after_all_was_read_does_not_reset);
    tcase_add_test(tcase, close_after_fin_with_unread_data_resets);
    tcase_add_test(tcase, data_after_close_resets);
    tcase_add_test(tcase, abort_resets_and_drops);
    tcase_add_test(tcase, reset_is_reported_and_received_data_stays);
    tcase_add_test(tcase, reset_after_fin_is_a_broken_pipe);
    tcase_add_test(tcase, blind_reset_is_challenged);
    tcase_add_test(tcase, reset_after_close_ends_quietly);
    tcase_add_test(tcase, close_inside_received);
    tcase_add_test(tcase, close_inside_received_with_unread_data);
    tcase_add_test(tcase, abort_inside_received);
    tcase_add_test(tcase, both_close_at_once);
    tcase_add_test(tcase, orphan_whose_peer_is_silent_goes_away);
    tcase_add_loop_test(tcase, owner_lets_go_in_time_wait, 0, 3);
    tcase_add_test(tcase, peer_that_never_closes_is_forgotten_after_a_minute);
    tcase_add_test(tcase, closing_the_stack_resets_what_is_open);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
