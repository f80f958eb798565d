/* test_stack_ecn.c - explicit congestion notification: RFC 3168, both ends, both families. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "sender_fixture.h"
#include "tests/suite.h"

#define TH_ECE 0x40
#define TH_CWR 0x80
#define ECT_0 2
#define CE 3

static int family;

static void use_v4(void)
{
    family = 0;
}

static void use_v6(void)
{
    family = AF_INET6;
}

static void resolve(void)
{
    if (family == AF_INET6)
        peer_resolve6(PEER_IP6);
    else
        peer_resolve();
    wire_drop_all();
}

/* Connect; the peer's SYN-ACK has these flags. Return: those of our SYN that are about ECN. */
static uint8_t connect_with(enum stack_ecn mode, uint8_t flags)
{
    struct segment syn;

    stack_setup_ecn(mode);
    sender_connect(&(struct sender_options){.family = family, .flags = flags, .syn = &syn});
    ck_assert_uint_eq(syn.tos & 3, 0);
    return syn.flags & (TH_ECE | TH_CWR);
}

/* An acknowledgement of so many segments with these flags. */
static void acknowledge(unsigned segments, uint8_t flags)
{
    unsigned size = family == AF_INET6 ? 1440 : MSS;

    peer_send(&(struct segment){.family = family, .source_port = 80, .port = sender_peer.stack_port,
                                .sequence = sender_peer.sequence, .acknowledgement = sender_start + segments * size,
                                .flags = TH_ACK | flags, .window = 0xffff});
}

/* Data with this ECN field and these flags comes. Return: the flags of the acknowledgement. */
static uint8_t receive(uint8_t tos, uint8_t flags)
{
    struct segment answer = {0};

    peer_send(&(struct segment){.family = family, .source_port = 80, .port = sender_peer.stack_port, .tos = tos,
                                .sequence = sender_peer.sequence, .acknowledgement = sender_start,
                                .flags = TH_ACK | flags, .window = 0xffff, .data = "data", .size = 4});
    sender_peer.sequence += 4;
    stack_advance(100);
    while (wire_count() > 0) {
        answer = peer_take();
        ck_assert_uint_eq(answer.tos & 3, 0); /* 6.1.4 */
    }
    ck_assert_uint_eq(answer.acknowledgement, sender_peer.sequence);
    return answer.flags & (TH_ECE | TH_CWR);
}

/* Data with this ECN field comes, and time stands still. Return: whether it was acknowledged. */
static bool is_answered(uint8_t tos, unsigned acknowledged)
{
    peer_send(&(struct segment){.family = family, .source_port = 80, .port = sender_peer.stack_port, .tos = tos,
                                .sequence = sender_peer.sequence, .acknowledgement = sender_start + acknowledged,
                                .flags = TH_ACK | TH_PUSH, .window = 0xffff, .data = "data", .size = 4});
    sender_peer.sequence += 4;
    stack_turn();
    return wire_count() > 0;
}

START_TEST(linux_a_mark_is_told_at_once_though_an_answer_could_take_it_along)
{
    unsigned size = family == AF_INET6 ? 1440 : MSS;

    connect_with(STACK_ECN_REQUEST, TH_ECE);
    is_answered(ECT_0, 0);
    sender_write(1); /* an answer: from now on acknowledgements wait for one */
    wire_drop_all();
    ck_assert(!is_answered(ECT_0, size));
    ck_assert(is_answered(CE, size));
    ck_assert_uint_ne(peer_take().flags & TH_ECE, 0);
}
END_TEST

START_TEST(rfc3168_6_1_1_only_who_is_told_to_asks)
{
    ck_assert_uint_eq(connect_with(STACK_ECN_ACCEPT, 0), 0);
    stack_teardown();
    ck_assert_uint_eq(connect_with(STACK_ECN_OFF, 0), 0);
    stack_teardown();
    ck_assert_uint_eq(connect_with(STACK_ECN_REQUEST, 0), TH_ECE | TH_CWR);
    ck_assert_uint_eq(sender_info().tcpi_options & TCPI_OPT_ECN, 0);
    sender_write(1);
    ck_assert_uint_eq(peer_take().tos & 3, 0);
    stack_teardown();
}
END_TEST

START_TEST(rfc3168_6_1_1_a_syn_ack_agrees_with_ece_alone)
{
    connect_with(STACK_ECN_REQUEST, TH_ECE);
    ck_assert_uint_ne(sender_info().tcpi_options & TCPI_OPT_ECN, 0);
    stack_teardown();
    connect_with(STACK_ECN_REQUEST, TH_ECE | TH_CWR); /* a peer that sends back what it does not know */
    ck_assert_uint_eq(sender_info().tcpi_options & TCPI_OPT_ECN, 0);
    stack_teardown();
    connect_with(STACK_ECN_ACCEPT, TH_ECE); /* nobody asked */
    ck_assert_uint_eq(sender_info().tcpi_options & TCPI_OPT_ECN, 0);
    stack_teardown();
}
END_TEST

START_TEST(rfc3168_6_1_1_a_syn_that_is_sent_again_does_not_ask)
{
    union stack_address address = address_of(family == AF_INET6 ? PEER_IP6 : PEER_IP, 80);
    struct told told = {0};

    stack_setup_ecn(STACK_ECN_REQUEST);
    resolve();
    told.tcp = stack_tcp_open(family == 0 ? AF_INET : family, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    stack_turn();
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ECE | TH_CWR);
    sender_wait(1500);
    ck_assert_uint_eq(peer_take().flags, TH_SYN);
    stack_tcp_abort(told.tcp);
    stack_teardown();
}
END_TEST

/* Listen, and have a SYN with these flags and this ECN field. Return: the flags of the answer. */
static uint8_t answer_to_syn(enum stack_ecn mode, uint8_t flags, uint8_t tos)
{
    union stack_address address = address_of(family == AF_INET6 ? STACK_IP6 : STACK_IP, 7);
    struct told told = {0};
    struct segment answer;

    stack_setup_ecn(mode);
    resolve();
    told.tcp = stack_tcp_open(family == 0 ? AF_INET : family, &told_events, &told);
    ck_assert_int_eq(stack_tcp_bind(told.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    peer_send(&(struct segment){.family = family, .source_port = 40000, .port = 7, .sequence = 5000, .tos = tos,
                                .flags = TH_SYN | flags, .window = 0xffff, .options = {2, 4, 5, 180}, .option_size = 4});
    answer = peer_take();
    ck_assert_uint_eq(answer.tos & 3, 0);
    stack_tcp_abort(told.tcp);
    stack_teardown();
    return answer.flags;
}

START_TEST(rfc3168_6_1_1_a_listening_socket_agrees_when_asked)
{
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_ACCEPT, TH_ECE | TH_CWR, 0), TH_SYN | TH_ACK | TH_ECE);
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_REQUEST, TH_ECE | TH_CWR, 0), TH_SYN | TH_ACK | TH_ECE);
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_OFF, TH_ECE | TH_CWR, 0), TH_SYN | TH_ACK);
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_ACCEPT, 0, 0), TH_SYN | TH_ACK);
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_ACCEPT, TH_ECE, 0), TH_SYN | TH_ACK);
    ck_assert_uint_eq(answer_to_syn(STACK_ECN_ACCEPT, TH_ECE | TH_CWR, ECT_0), TH_SYN | TH_ACK);
}
END_TEST

START_TEST(rfc3168_6_1_2_new_data_is_ect_and_what_is_sent_again_is_not)
{
    connect_with(STACK_ECN_REQUEST, TH_ECE);
    sender_write(3);
    do
        ck_assert_uint_eq(peer_take().tos, ECT_0);
    while (wire_count() > 0);
    sender_wait(10000);
    while (wire_count() > 0)
        ck_assert_uint_eq(peer_take().tos, 0);
    sender_wait(10000);
    while (wire_count() > 0)
        ck_assert_uint_eq(peer_take().tos, 0);
    stack_teardown();
}
END_TEST

START_TEST(rfc3168_6_1_2_the_window_comes_down_once_a_round_trip_and_new_data_says_so)
{
    unsigned told = 0, sent = 0;

    connect_with(STACK_ECN_REQUEST, TH_ECE);
    sender_write(100);
    wire_drop_all();
    stack_advance(RTT_MS);
    for (unsigned i = 1; i <= 10; i++) {
        acknowledge(i, TH_ECE);
        ck_assert_uint_eq(sender_info().tcpi_snd_ssthresh, 7);
        ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_CWR);
        while (wire_count() > 0) {
            struct segment segment = peer_take();

            ck_assert_uint_eq(segment.tos, ECT_0);
            told += (segment.flags & TH_CWR) != 0;
            ck_assert(told == 1); /* the first one, and no other */
            sent++;
            if (sent > 1)
                ck_assert_uint_eq(segment.flags & TH_CWR, 0);
        }
    }
    ck_assert_uint_eq(told, 1);
    stack_advance(RTT_MS);
    acknowledge(11, 0); /* the first one that told */
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_eq(sender_info().tcpi_snd_cwnd, 7);
    ck_assert_uint_eq(sender_info().tcpi_total_retrans, 0);
    acknowledge(12, TH_ECE); /* another round trip */
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_CWR);
    ck_assert_uint_le(sender_info().tcpi_snd_ssthresh, 5);
    stack_teardown();
}
END_TEST

START_TEST(rfc3168_6_1_2_who_did_not_agree_does_not_heed)
{
    connect_with(STACK_ECN_ACCEPT, 0);
    sender_write(100);
    wire_drop_all();
    stack_advance(RTT_MS);
    acknowledge(5, TH_ECE);
    ck_assert_uint_eq(sender_info().tcpi_ca_state, TCP_CA_Open);
    ck_assert_uint_ge(sender_info().tcpi_snd_cwnd, 15);
    stack_teardown();
}
END_TEST

START_TEST(rfc3168_6_1_3_a_mark_is_echoed_until_the_window_came_down)
{
    connect_with(STACK_ECN_REQUEST, TH_ECE);
    ck_assert_uint_eq(receive(ECT_0, 0), 0);
    ck_assert_uint_ne(sender_info().tcpi_options & TCPI_OPT_ECN_SEEN, 0);
    ck_assert_uint_eq(receive(CE, 0), TH_ECE);
    ck_assert_uint_eq(receive(ECT_0, 0), TH_ECE);
    ck_assert_uint_eq(receive(ECT_0, TH_CWR), 0);
    ck_assert_uint_eq(receive(ECT_0, 0), 0);
    ck_assert_uint_eq(receive(CE, TH_CWR), TH_ECE); /* another one */
    stack_teardown();
    connect_with(STACK_ECN_ACCEPT, 0);
    ck_assert_uint_eq(receive(CE, 0), 0);
    stack_teardown();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack ecn");

    for (int i = 0; i < 2; i++) {
        TCase *tcase = tcase_create(i == 0 ? "IPv4" : "IPv6");

        tcase_add_unchecked_fixture(tcase, i == 0 ? use_v4 : use_v6, NULL);
        tcase_add_test(tcase, rfc3168_6_1_1_only_who_is_told_to_asks);
    tcase_add_test(tcase, linux_a_mark_is_told_at_once_though_an_answer_could_take_it_along);
        tcase_add_test(tcase, rfc3168_6_1_1_a_syn_ack_agrees_with_ece_alone);
        tcase_add_test(tcase, rfc3168_6_1_1_a_syn_that_is_sent_again_does_not_ask);
        tcase_add_test(tcase, rfc3168_6_1_1_a_listening_socket_agrees_when_asked);
        tcase_add_test(tcase, rfc3168_6_1_2_new_data_is_ect_and_what_is_sent_again_is_not);
        tcase_add_test(tcase, rfc3168_6_1_2_the_window_comes_down_once_a_round_trip_and_new_data_says_so);
        tcase_add_test(tcase, rfc3168_6_1_2_who_did_not_agree_does_not_heed);
        tcase_add_test(tcase, rfc3168_6_1_3_a_mark_is_echoed_until_the_window_came_down);
        suite_add_tcase(suite, tcase);
    }
    return suite_run(suite);
}
