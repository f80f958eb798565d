/* test_stack_ports.c - local ports: bind, the choice of connect, and who keeps them in TIME-WAIT. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

#define PORT 40000u

static struct told told[3];

START_TEST(bind_follows_the_rules)
{
    struct stack_tcp *a = open_told(&told[0]), *b = open_told(&told[0]);

    ck_assert_int_eq(bind_to(a, "10.9.9.9", 80), -EADDRNOTAVAIL);
    ck_assert_int_eq(bind_to(a, "0.0.0.0", 80), 0);
    ck_assert_int_eq(bind_to(a, "0.0.0.0", 81), -EINVAL);
    ck_assert_int_eq(bind_to(b, "0.0.0.0", 80), -EADDRINUSE);
    ck_assert_int_eq(bind_to(b, "127.0.0.1", 80), -EADDRINUSE);
    stack_tcp_set_option(b, STACK_TCP_REUSEADDR, 1);
    ck_assert_int_eq(bind_to(b, "127.0.0.1", 80), -EADDRINUSE); /* both must want it */
    stack_tcp_set_option(a, STACK_TCP_REUSEADDR, 1);
    ck_assert_int_eq(bind_to(b, "127.0.0.1", 80), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0);
    ck_assert_int_eq(stack_tcp_listen(b, NULL), -EADDRINUSE);
    stack_tcp_close(a);
    ck_assert_int_eq(stack_tcp_listen(b, NULL), 0);
    stack_tcp_close(b);
}
END_TEST

START_TEST(specific_addresses_do_not_conflict)
{
    struct stack_tcp *a = open_told(&told[0]), *b = open_told(&told[0]);

    ck_assert_int_eq(bind_to(a, "127.0.0.1", 80), 0);
    ck_assert_int_eq(bind_to(b, STACK_IP, 80), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0);
    ck_assert_int_eq(stack_tcp_listen(b, NULL), 0);
    stack_tcp_close(a);
    stack_tcp_close(b);
}
END_TEST

START_TEST(bind_to_port_0_chooses_at_once)
{
    struct stack_tcp *a = open_told(&told[0]), *b = open_told(&told[0]);

    ck_assert_int_eq(bind_to(a, "127.0.0.1", 0), 0);
    ck_assert_int_eq(bind_to(b, "127.0.0.1", 0), 0);
    ck_assert_uint_ne(port_of(a), 0);
    ck_assert_uint_ne(port_of(a), port_of(b));
    stack_tcp_close(a);
    stack_tcp_close(b);
    a = open_told(&told[0]);
    ck_assert_uint_eq(port_of(a), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0); /* listen() without bind() */
    ck_assert_uint_ne(port_of(a), 0);
    stack_tcp_close(a);
}
END_TEST

START_TEST(bound_port_is_kept_over_a_failed_connect)
{
    open_told(&told[0]);
    ck_assert_int_eq(bind_to(told[0].tcp, "0.0.0.0", 4444), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(connect_to(told[0].tcp, "127.0.0.1", 9), 0);
        stack_turn();
        ck_assert_int_eq(told[0].error, ECONNREFUSED);
        ck_assert_uint_eq(port_of(told[0].tcp), 4444);
    }
    stack_tcp_close(told[0].tcp);
}
END_TEST

static struct stack_tcp *open_with_one_port(struct told *who)
{
    *who = (struct told){0};
    open_told(who);
    stack_tcp_set_option(who->tcp, STACK_IP_LOCAL_PORT_RANGE, (int)(PORT << 16 | PORT));
    return who->tcp;
}

START_TEST(one_port_serves_many_destinations)
{
    peer_resolve();
    ck_assert_int_eq(connect_to(open_with_one_port(&told[0]), PEER_IP, 80), 0);
    ck_assert_uint_eq(peer_take().source_port, PORT);
    ck_assert_int_eq(connect_to(open_with_one_port(&told[1]), PEER_IP, 81), 0);
    ck_assert_uint_eq(peer_take().source_port, PORT);
    ck_assert_int_eq(connect_to(open_with_one_port(&told[2]), PEER_IP, 80), -EADDRNOTAVAIL);
    for (int i = 0; i < 3; i++)
        stack_tcp_abort(told[i].tcp);
}
END_TEST

START_TEST(connect_leaves_ports_alone_that_bind_asked_for)
{
    peer_resolve();
    open_with_one_port(&told[0]);
    ck_assert_int_eq(bind_to(told[0].tcp, "0.0.0.0", 0), 0);
    ck_assert_int_eq(connect_to(open_with_one_port(&told[1]), PEER_IP, 80), -EADDRNOTAVAIL);
    stack_tcp_close(told[0].tcp);
    stack_tcp_close(told[1].tcp);
}
END_TEST

START_TEST(bind_and_connect_begin_with_ports_of_different_parity)
{
    union stack_address address;

    peer_resolve();
    for (int i = 0; i < 2; i++)
        open_told(&told[i]);
    ck_assert_int_eq(bind_to(told[0].tcp, "0.0.0.0", 0), 0);
    ck_assert_int_eq(stack_tcp_local_address(told[0].tcp, &address), 0);
    ck_assert_uint_eq(ntohs(address.in.sin_port) % 2, 1);
    ck_assert_int_eq(connect_to(told[1].tcp, PEER_IP, 80), 0);
    ck_assert_uint_eq(peer_take().source_port % 2, 0);
    stack_tcp_close(told[0].tcp);
    stack_tcp_abort(told[1].tcp);
}
END_TEST

/* ---- TIME-WAIT ---- */

/* Complete the handshake of the last connection and end it, so that it is in TIME-WAIT. Return: our SYN. */
static struct segment end_in_time_wait(struct told *who, bool stamps)
{
    struct segment syn = peer_take();
    struct segment answer = {.source_port = syn.port, .port = syn.source_port, .sequence = 1000, .acknowledgement = syn.sequence + 1,
                             .flags = TH_SYN | TH_ACK, .window = 0xffff, .option_size = stamps ? 16 : 4,
                             .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 8, 10, 0, 0, 0, 1}};

    ck_assert_uint_eq(syn.flags, TH_SYN);
    peer_send(&answer);
    ck_assert_uint_eq(who->connected, 1);
    stack_tcp_close(who->tcp);
    stack_turn();
    wire_drop_all();
    answer.sequence++;
    answer.acknowledgement++;
    answer.flags = TH_FIN | TH_ACK;
    memcpy(answer.options, (uint8_t[]){1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0}, 12);
    answer.option_size = stamps ? 12 : 0;
    peer_send(&answer);
    ck_assert_uint_eq(peer_take().flags, TH_ACK);
    return syn;
}

static struct stack_tcp *open_bound(struct told *who)
{
    *who = (struct told){0};
    open_told(who);
    stack_tcp_set_option(who->tcp, STACK_TCP_REUSEADDR, 1);
    ck_assert_int_eq(bind_to(who->tcp, "0.0.0.0", 4444), 0);
    return who->tcp;
}

START_TEST(bound_port_connects_again_in_time_wait)
{
    struct segment first, second;

    peer_resolve();
    ck_assert_int_eq(connect_to(open_bound(&told[0]), PEER_IP, 80), 0);
    first = end_in_time_wait(&told[0], true);
    ck_assert_int_eq(connect_to(open_bound(&told[0]), PEER_IP, 80), 0);
    second = end_in_time_wait(&told[0], true);
    ck_assert_uint_eq(second.sequence, first.sequence + 2 + 65536); /* a window beyond its SYN and FIN */
    stack_advance(62000);
    ck_assert_int_eq(connect_to(open_bound(&told[0]), PEER_IP, 80), 0);
    (void)end_in_time_wait(&told[0], false); /* nothing to tell late segments by */
    ck_assert_int_eq(connect_to(open_bound(&told[0]), PEER_IP, 80), -EADDRNOTAVAIL);
    stack_tcp_close(told[0].tcp);
}
END_TEST

START_TEST(port_in_time_wait_serves_again_after_a_second)
{
    struct segment first;

    peer_resolve();
    ck_assert_int_eq(connect_to(open_with_one_port(&told[0]), PEER_IP, 80), 0);
    first = end_in_time_wait(&told[0], true);
    ck_assert_int_eq(connect_to(open_with_one_port(&told[1]), PEER_IP, 80), -EADDRNOTAVAIL);
    stack_advance(1000);
    ck_assert_int_eq(connect_to(told[1].tcp, PEER_IP, 80), 0);
    ck_assert_uint_eq(peer_take().sequence, first.sequence + 2 + 65536); /* a window beyond its SYN and FIN */
    ck_assert_uint_eq(counters_now().sockets, 1);
    stack_tcp_abort(told[1].tcp);
}
END_TEST

START_TEST(port_in_time_wait_without_timestamps_does_not)
{
    peer_resolve();
    ck_assert_int_eq(connect_to(open_with_one_port(&told[0]), PEER_IP, 80), 0);
    (void)end_in_time_wait(&told[0], false);
    stack_advance(58000);
    ck_assert_int_eq(connect_to(open_with_one_port(&told[1]), PEER_IP, 80), -EADDRNOTAVAIL);
    stack_advance(3000);
    ck_assert_int_eq(connect_to(told[1].tcp, PEER_IP, 80), 0);
    stack_tcp_abort(told[1].tcp);
}
END_TEST

START_TEST(time_wait_wakes_nobody_before_it_ends)
{
    peer_resolve();
    ck_assert_int_eq(connect_to(open_with_one_port(&told[0]), PEER_IP, 80), 0);
    (void)end_in_time_wait(&told[0], true);
    stack_advance(3000);
    ck_assert_int_gt(stack_timer_ms(), 50000);
    stack_advance(60000);
    ck_assert_uint_eq(counters_now().sockets, 0);
    ck_assert_int_eq(stack_timer_ms(), -1);
}
END_TEST

/* Listen with told[0], accept a connection and be the first to close it, which is who waits. Return: its peer. */
static struct peer accept_and_end_in_time_wait(void)
{
    struct told child = {0};
    struct peer peer;

    accept_from_peer(&told[0], &child, &peer);
    stack_tcp_close(child.tcp);
    stack_turn();
    wire_drop_all();
    peer.expected++;
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    wire_drop_all();
    return peer;
}

START_TEST(time_wait_blocks_the_port_without_reuseaddr)
{
    struct stack_tcp *other;

    (void)accept_and_end_in_time_wait();
    stack_tcp_close(told[0].tcp);
    other = open_told(&told[0]);
    ck_assert_int_eq(bind_to(other, "0.0.0.0", 7), -EADDRINUSE);
    stack_advance(62000);
    ck_assert_int_eq(bind_to(other, "0.0.0.0", 7), 0);
    stack_tcp_close(other);
}
END_TEST

START_TEST(syn_to_time_wait_begins_anew)
{
    struct peer peer;

    peer = accept_and_end_in_time_wait();
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = peer.sequence + 100000, .flags = TH_SYN,
                                .window = 1000});
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    stack_tcp_close(told[0].tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack ports");
    TCase *tcase = tcase_create("ports");

    tcase_add_checked_fixture(tcase, stack_setup_offload, stack_teardown);
    tcase_add_test(tcase, bind_follows_the_rules);
    tcase_add_test(tcase, specific_addresses_do_not_conflict);
    tcase_add_test(tcase, bind_to_port_0_chooses_at_once);
    tcase_add_test(tcase, bound_port_is_kept_over_a_failed_connect);
    tcase_add_test(tcase, one_port_serves_many_destinations);
    tcase_add_test(tcase, connect_leaves_ports_alone_that_bind_asked_for);
    tcase_add_test(tcase, bind_and_connect_begin_with_ports_of_different_parity);
    tcase_add_test(tcase, bound_port_connects_again_in_time_wait);
    tcase_add_test(tcase, port_in_time_wait_serves_again_after_a_second);
    tcase_add_test(tcase, port_in_time_wait_without_timestamps_does_not);
    tcase_add_test(tcase, time_wait_wakes_nobody_before_it_ends);
    tcase_add_test(tcase, time_wait_blocks_the_port_without_reuseaddr);
    tcase_add_test(tcase, syn_to_time_wait_begins_anew);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
