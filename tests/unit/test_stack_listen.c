/* test_stack_listen.c - listening sockets: who is accepted, refused or has to wait, and ports that several share. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told;

START_TEST(listening_socket_accepts)
{
    struct told child = {0};
    struct peer peer;
    union stack_address address;

    accept_from_peer(&told, &child, &peer);
    ck_assert_ptr_nonnull(child.tcp);
    ck_assert_int_eq(stack_tcp_peer_address(child.tcp, &address), 0);
    ck_assert_uint_eq(ntohs(address.in.sin_port), 40000);
    ck_assert_uint_eq(port_of(child.tcp), 7);
    stack_tcp_close(child.tcp);
    stack_tcp_close(told.tcp);
}
END_TEST

/* Not adopted, or aborted while it is accepted. */
START_TEST(child_that_nobody_keeps_is_reset)
{
    struct told child = {0};
    struct peer peer;

    told.refuse = _i == 0;
    told.abort_accepted = _i == 1;
    accept_from_peer(&told, &child, &peer);
    stack_turn();
    ck_assert_uint_eq(peer_take().flags & TH_RST, TH_RST);
    stack_tcp_close(told.tcp);
}
END_TEST

static bool refuse_all(void *owner)
{
    (void)owner;
    return false;
}

static void listen_at_7(bool (*may_accept)(void *owner))
{
    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(bind_to(told.tcp, "0.0.0.0", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, may_accept), 0);
}

static void send_syn(void)
{
    peer_send(&(struct segment){.source_port = 1234, .port = 7, .sequence = 500, .flags = TH_SYN, .window = 1000});
}

/* The third segment of the handshake; answer: the second. */
static void send_ack(const struct segment *answer)
{
    peer_send(&(struct segment){.source_port = 1234, .port = 7, .sequence = 501, .acknowledgement = answer->sequence + 1,
                                .flags = TH_ACK, .window = 1000});
}

static struct segment take_syn_ack(void)
{
    struct segment answer = peer_take();

    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    return answer;
}

START_TEST(full_listener_drops_syns)
{
    listen_at_7(refuse_all);
    send_syn();
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    send_syn();
    (void)take_syn_ack();
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(listener_that_became_full_lets_the_peer_wait)
{
    struct segment answer;

    listen_at_7(NULL);
    send_syn();
    answer = take_syn_ack();
    ck_assert_int_eq(stack_tcp_listen(told.tcp, refuse_all), 0);
    send_ack(&answer);
    ck_assert_uint_eq(told.accepted, 0);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    stack_advance(1500);
    (void)take_syn_ack(); /* once more */
    send_ack(&answer);
    ck_assert_uint_eq(told.accepted, 1);
    stack_tcp_abort(told.child);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(listener_may_go_before_a_handshake_is_complete)
{
    struct segment answer;

    listen_at_7(NULL);
    send_syn();
    answer = take_syn_ack();
    stack_tcp_close(told.tcp);
    send_ack(&answer);
    ck_assert_uint_ne(peer_take().flags & TH_RST, 0);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

/* Listen, have a SYN come, and wait until its SYN-ACK is sent again, five times in all. Return: the first. */
static struct segment wait_for_last_syn_ack(void)
{
    struct segment answer;

    listen_at_7(NULL);
    send_syn();
    answer = take_syn_ack();
    stack_advance(200);
    for (unsigned ms = 1000; ms <= 16000; ms *= 2) {
        stack_advance(ms - 400);
        ck_assert_uint_eq(wire_count(), 0);
        stack_advance(400);
        (void)take_syn_ack();
    }
    return answer;
}

/* Linux: tcp_synack_retries. A peer whose acknowledgement was lost each time still gets through. */
START_TEST(syn_ack_is_sent_again_five_times)
{
    struct segment answer = wait_for_last_syn_ack();
    struct told child = {0};

    told.child_told = &child;
    stack_advance(30000);
    ck_assert_uint_eq(wire_count(), 0);
    send_ack(&answer);
    ck_assert_uint_eq(told.accepted, 1);
    stack_tcp_abort(told.child);
    stack_tcp_close(told.tcp);
}
END_TEST

/* 63 seconds after its SYN, without a word. */
START_TEST(handshake_that_nobody_completes_is_forgotten)
{
    (void)wait_for_last_syn_ack();
    stack_advance(30000);
    ck_assert_uint_eq(counters_now().sockets, 2);
    stack_advance(3000);
    ck_assert_uint_eq(counters_now().sockets, 1);
    ck_assert_uint_eq(wire_count(), 0);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(nobody_listens)
{
    peer_resolve();
    peer_send(&(struct segment){.source_port = 40000, .port = 9, .sequence = 77, .flags = TH_SYN, .window = 1000});
    struct segment answer = peer_take();

    ck_assert_uint_eq(answer.flags, TH_RST | TH_ACK);
    ck_assert_uint_eq(answer.acknowledgement, 78);
}
END_TEST

START_TEST(reuseport_shares_a_listening_port)
{
    struct stack_tcp *a = open_told(&told), *b = open_told(&told);

    stack_tcp_set_option(a, STACK_TCP_REUSEPORT, 1);
    stack_tcp_set_option(b, STACK_TCP_REUSEPORT, 1);
    ck_assert_int_eq(bind_to(a, "0.0.0.0", 80), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0);
    ck_assert_int_eq(bind_to(b, "0.0.0.0", 80), 0);
    ck_assert_int_eq(stack_tcp_listen(b, NULL), 0);
    stack_tcp_close(a);
    stack_tcp_close(b);
}
END_TEST

/* The peer connects from count ports, which differ each time; the children live on. */
static void knock(unsigned count)
{
    static uint16_t port = 40000;

    for (unsigned i = 0; i < count; i++) {
        struct segment segment = {.source_port = port++, .port = 80, .sequence = 1000, .flags = TH_SYN, .window = 65535};

        peer_send(&segment);
        stack_turn();
        segment.acknowledgement = peer_take().sequence + 1;
        segment.sequence++;
        segment.flags = TH_ACK;
        peer_send(&segment);
        stack_turn();
    }
}

START_TEST(reuseport_spreads_connections_over_who_listens_now)
{
    struct told children[3], listeners[3];

    peer_resolve();
    for (int i = 0; i < 3; i++) {
        children[i] = (struct told){0};
        listeners[i] = (struct told){.child_told = &children[i]};
        listeners[i].tcp = stack_tcp_open(AF_INET, &told_events, &listeners[i]);
        stack_tcp_set_option(listeners[i].tcp, STACK_TCP_REUSEPORT, 1);
        ck_assert_int_eq(bind_to(listeners[i].tcp, STACK_IP, 80), 0);
    }
    ck_assert_int_eq(stack_tcp_listen(listeners[0].tcp, NULL), 0);
    knock(10); /* these are older than the other two, */
    ck_assert_int_eq(stack_tcp_listen(listeners[1].tcp, NULL), 0);
    ck_assert_int_eq(stack_tcp_listen(listeners[2].tcp, NULL), 0);
    knock(60); /* and these younger */
    ck_assert_uint_eq(listeners[0].accepted + listeners[1].accepted + listeners[2].accepted, 70);
    ck_assert_uint_gt(listeners[0].accepted, 10);
    ck_assert_uint_gt(listeners[1].accepted, 5);
    ck_assert_uint_gt(listeners[2].accepted, 5);
    stack_tcp_disconnect(listeners[2].tcp); /* it keeps the port */
    listeners[0].accepted = listeners[1].accepted = listeners[2].accepted = 0;
    knock(30);
    ck_assert_uint_eq(listeners[0].accepted + listeners[1].accepted, 30);
    ck_assert_uint_gt(listeners[0].accepted, 2);
    ck_assert_uint_gt(listeners[1].accepted, 2);
    for (int i = 0; i < 3; i++)
        stack_tcp_close(listeners[i].tcp);
    wire_drop_all();
}
END_TEST

static void setup(void)
{
    told = (struct told){0};
    stack_setup_offload();
}

int main(void)
{
    Suite *suite = suite_create("stack listen");
    TCase *tcase = tcase_create("listen");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, listening_socket_accepts);
    tcase_add_loop_test(tcase, child_that_nobody_keeps_is_reset, 0, 2);
    tcase_add_test(tcase, full_listener_drops_syns);
    tcase_add_test(tcase, listener_that_became_full_lets_the_peer_wait);
    tcase_add_test(tcase, listener_may_go_before_a_handshake_is_complete);
    tcase_add_test(tcase, syn_ack_is_sent_again_five_times);
    tcase_add_test(tcase, handshake_that_nobody_completes_is_forgotten);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, reuseport_shares_a_listening_port);
    tcase_add_test(tcase, reuseport_spreads_connections_over_who_listens_now);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
