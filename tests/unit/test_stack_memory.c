/* test_stack_memory.c - the bound on memory that all connections share: who is throttled, and that none is ended. */
#include <check.h>
#include <stdlib.h>

#include "stack/inspect.h"
#include "stack/memory.h"
#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told[3];

#define MEMORY_LIMIT (1024 * 1024)

static struct peer peers[3];

/* Have a connection send all that it may, to a peer that acknowledges nothing. Return: how much it was. */
static size_t fill_queue(struct stack_tcp *tcp)
{
    static const char bytes[4096];
    size_t sum = 0;

    while (sum < 8 * MEMORY_LIMIT && stack_tcp_send_room(tcp) >= sizeof bytes) {
        send_bytes(tcp, bytes, sizeof bytes);
        sum += sizeof bytes;
    }
    wire_drop_all();
    return sum;
}

START_TEST(heavy_users_of_memory_are_throttled_first)
{
    size_t first, second;

    for (int i = 0; i < 3; i++)
        connect_to_peer(&told[i], &peers[i]);
    stack_tcp_set_option(told[0].tcp, STACK_TCP_SEND_BUFFER, 4 * MEMORY_LIMIT);
    stack_tcp_set_option(told[1].tcp, STACK_TCP_SEND_BUFFER, 4 * MEMORY_LIMIT);
    memory_set_limit(MEMORY_LIMIT);
    first = fill_queue(told[0].tcp);
    ck_assert_uint_gt(first, MEMORY_LIMIT / 4);
    ck_assert_uint_lt(first, MEMORY_LIMIT * 3 / 4);
    second = fill_queue(told[1].tcp);
    ck_assert_uint_gt(second, MEMORY_LIMIT / 8);
    ck_assert_uint_lt(second, first);
    ck_assert_uint_ge(fill_queue(told[2].tcp), 16384); /* a little everyone may have */
    ck_assert_uint_lt(memory_used(), MEMORY_LIMIT);
    ck_assert_uint_gt(memory_counters.throttled, 0);
    ck_assert_uint_eq(told[0].failed + told[1].failed + told[2].failed, 0);
    memory_set_limit(0);
    for (int i = 0; i < 3; i++)
        stack_tcp_abort(told[i].tcp);
}
END_TEST

#define MANY 6
#define LARGE_LIMIT (4 * MEMORY_LIMIT)

/* All of a user's connections together are one: there is room left for another user's first. */
START_TEST(many_connections_of_one_user_are_throttled_as_one)
{
    static struct told many[MANY];
    static struct peer their[MANY];
    size_t all = 0, other;

    for (int i = 0; i < MANY; i++) {
        connect_to_peer(&many[i], &their[i]);
        stack_tcp_set_option(many[i].tcp, STACK_TCP_SEND_BUFFER, LARGE_LIMIT);
        stack_tcp_set_label(many[i].tcp, &(struct stack_label){.user = i < MANY - 1 ? 1 : 2});
    }
    memory_set_limit(LARGE_LIMIT);
    for (int i = 0; i < MANY - 1; i++)
        all += fill_queue(many[i].tcp);
    ck_assert_uint_gt(all, LARGE_LIMIT * 3 / 4);
    ck_assert_uint_lt(all, LARGE_LIMIT * 92 / 100);
    other = fill_queue(many[MANY - 1].tcp);
    ck_assert_uint_gt(other, LARGE_LIMIT / 32);
    ck_assert_uint_lt(stack_tcp_send_room(many[MANY - 2].tcp), 4096); /* in the blocks that it has */
    memory_set_limit(0);
    for (int i = 0; i < MANY; i++)
        stack_tcp_abort(many[i].tcp);
}
END_TEST

/* The peer fills the window that it was promised, and nobody reads: nothing is ended, and there is an end to it. */
START_TEST(data_beyond_the_bound_comes_again)
{
    static char bytes[1400];
    size_t before;

    connect_to_peer(&told[0], &peers[0]);
    stack_tcp_set_option(told[0].tcp, STACK_TCP_RECEIVE_WINDOW, 1024 * 1024);
    memory_set_limit(128 * 1024);
    for (int i = 0; i < 30; i++)
        peer_say(&peers[0], TH_ACK | TH_PUSH, bytes, sizeof bytes);
    while (memory_counters.dropped == 0 && stack_tcp_receive_queued(told[0].tcp) < 1024 * 1024)
        peer_say(&peers[0], TH_ACK | TH_PUSH, bytes, sizeof bytes);
    ck_assert_uint_gt(memory_counters.dropped, 0);
    before = stack_tcp_receive_queued(told[0].tcp);
    ck_assert_uint_lt(before, 192 * 1024);
    stack_tcp_receive_consume(told[0].tcp, before);
    peers[0].sequence -= sizeof bytes;
    peer_say(&peers[0], TH_ACK | TH_PUSH, bytes, sizeof bytes);
    ck_assert_uint_eq(stack_tcp_receive_queued(told[0].tcp), sizeof bytes);
    ck_assert_uint_eq(told[0].failed, 0);
    memory_set_limit(0);
    stack_tcp_abort(told[0].tcp);
}
END_TEST

#define CROWD 4096

/* The peer of `like` asks for a connection from another port. Return: it was accepted, and is listener->child. */
static bool accept_another(struct told *listener, const struct peer *like, uint16_t port)
{
    struct peer another = {.family = AF_INET, .port = port, .stack_port = like->stack_port, .window = 0xffff};
    const unsigned accepted = listener->accepted;

    peer_say(&another, TH_SYN, NULL, 0);
    if (wire_count() == 0)
        return false;
    another.expected = peer_take().sequence + 1;
    peer_say(&another, TH_ACK, NULL, 0);
    wire_drop_all();
    return listener->accepted == accepted + 1;
}

/* What is throttled leaves room for connections. None is ended for another; when one ends there is room again. */
START_TEST(connections_are_refused_last)
{
    static struct told listener;
    static struct stack_tcp *crowd[CROWD];
    size_t sent, count = 0;

    accept_from_peer(&listener, &told[0], &peers[0]);
    listener.child_told = &told[1];
    stack_tcp_set_option(told[0].tcp, STACK_TCP_SEND_BUFFER, 4 * MEMORY_LIMIT);
    memory_set_limit(MEMORY_LIMIT);
    sent = fill_queue(told[0].tcp);
    ck_assert_uint_gt(sent, MEMORY_LIMIT / 4);
    ck_assert_uint_lt(stack_tcp_send_room(told[0].tcp), 4096); /* it waits, and others get in: */
    stack_turn();
    wire_drop_all();
    while (count < CROWD && accept_another(&listener, &peers[0], (uint16_t)(10000 + count)))
        crowd[count++] = listener.child;
    ck_assert_uint_gt(count, 100);
    ck_assert_uint_lt(count, CROWD);
    ck_assert_uint_ge(memory_used(), MEMORY_LIMIT);
    ck_assert_uint_lt(memory_used(), MEMORY_LIMIT + MEMORY_LIMIT / 4);
    ck_assert_uint_eq(memory_counters.refused, 1);
    ck_assert_uint_eq(told[0].failed + told[1].failed, 0);
    for (int i = 0; i < 8; i++)
        stack_tcp_abort(crowd[--count]);
    stack_turn();
    wire_drop_all();
    ck_assert(accept_another(&listener, &peers[0], 9999));
    crowd[count++] = listener.child;
    memory_set_limit(0);
    while (count > 0)
        stack_tcp_abort(crowd[--count]);
    stack_tcp_abort(told[0].tcp);
    stack_tcp_abort(listener.tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack memory");
    TCase *tcase = tcase_create("memory");

    tcase_add_checked_fixture(tcase, stack_setup_offload, stack_teardown);
    tcase_add_test(tcase, heavy_users_of_memory_are_throttled_first);
    tcase_add_test(tcase, many_connections_of_one_user_are_throttled_as_one);
    tcase_add_test(tcase, data_beyond_the_bound_comes_again);
    tcase_add_test(tcase, connections_are_refused_last);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
