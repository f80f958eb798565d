/* test_stack_connect.c - connect(), and what can go wrong with it. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told;

START_TEST(connect_completes_the_handshake)
{
    struct peer peer;
    union stack_address address;
    struct tcp_info info;
    char text[16];

    connect_to_peer(&told, &peer);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_int_eq(stack_tcp_local_address(told.tcp, &address), 0);
    ck_assert_str_eq(inet_ntop(AF_INET, &address.in.sin_addr, text, sizeof text), STACK_IP);
    ck_assert_uint_eq(ntohs(address.in.sin_port), peer.stack_port);
    ck_assert_int_eq(stack_tcp_peer_address(told.tcp, &address), 0);
    ck_assert_uint_eq(ntohs(address.in.sin_port), 80);
    stack_tcp_get_info(told.tcp, &info);
    ck_assert_uint_eq(info.tcpi_state, TCP_ESTABLISHED);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1460);
    ck_assert_uint_ge(peer.stack_port, 32768);
    ck_assert_uint_le(peer.stack_port, 60999);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(syn_offers_what_we_can)
{
    struct segment syn;
    uint8_t wanted[] = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7, 1, 1, 4, 2};
    uint32_t now_ms;

    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    stack_turn();
    syn = peer_take();
    ck_assert_uint_eq(syn.option_size, sizeof wanted);
    now_ms = htonl((uint32_t)(stack_time_us() / 1000));
    memcpy(wanted + 8, &now_ms, sizeof now_ms);
    ck_assert_mem_eq(syn.options, wanted, sizeof wanted);
    ck_assert_uint_eq(syn.window, 0xffff);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(maxseg_is_offered_and_obeyed)
{
    struct segment syn;

    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_MAXSEG, 600), 0);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    stack_turn();
    syn = peer_take();
    ck_assert_mem_eq(syn.options, "\2\4\2\130", 4);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(reset_of_a_syn_is_refused_and_the_socket_connects_again)
{
    struct segment syn;
    uint16_t first;

    peer_resolve();
    open_told(&told);
    for (unsigned i = 1; i <= 2; i++) {
        ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
        stack_turn();
        syn = peer_take();
        first = syn.source_port;
        peer_send(&(struct segment){.source_port = 80, .port = first, .acknowledgement = syn.sequence + 1,
                                    .flags = TH_RST | TH_ACK});
        ck_assert_uint_eq(told.failed, i);
        ck_assert_int_eq(told.error, ECONNREFUSED);
    }
    ck_assert_uint_eq(told.connected, 0);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(silence_times_out_after_syncnt_retries)
{
    unsigned syns = 0;
    uint64_t start;

    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(stack_tcp_set_option(told.tcp, STACK_TCP_SYNCNT, 3), 0);
    start = stack_time_us();
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    while (told.failed == 0 && stack_time_us() - start < 100000000)
        stack_advance(100);
    while (wire_count() > 0)
        syns += peer_take().flags == TH_SYN;
    ck_assert_int_eq(told.error, ETIMEDOUT);
    ck_assert_uint_eq(syns, 4);
    ck_assert_uint_ge(stack_time_us() - start, 14800000); /* 1 + 2 + 4 + 8 s */
    ck_assert_uint_le(stack_time_us() - start, 15600000);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(neighbour_that_is_not_there_is_unreachable)
{
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, "10.1.0.77", 80), 0);
    stack_advance(2800);
    ck_assert_uint_eq(told.failed, 0);
    stack_advance(400);
    ck_assert_uint_eq(told.failed, 1);
    ck_assert_int_eq(told.error, EHOSTUNREACH);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(close_while_connecting_is_quiet)
{
    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    stack_turn();
    peer_take();
    stack_tcp_close(told.tcp);
    stack_advance(5000);
    ck_assert_uint_eq(told.failed, 0);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(close_inside_connected)
{
    struct peer peer;
    struct segment segment;

    told.close_connected = true;
    connect_to_peer(&told, &peer);
    ck_assert_uint_eq(told.connected, 1);
    stack_turn();
    segment = peer_take();
    if (segment.flags == TH_ACK)
        segment = peer_take();
    ck_assert_uint_eq(segment.flags & (TH_FIN | TH_RST), TH_FIN);
    peer_say(&peer, TH_RST | TH_ACK, NULL, 0);
    ck_assert_uint_eq(told.failed, 0);
}
END_TEST

static void connect_again(void *owner, int error)
{
    struct told *it = owner;

    it->error = error;
    if (++it->failed == 1)
        ck_assert_int_eq(connect_to(it->tcp, PEER_IP, 81), 0);
}

START_TEST(connect_inside_failed)
{
    static const struct stack_tcp_events events = {.failed = connect_again};
    struct segment syn;

    peer_resolve();
    told.tcp = stack_tcp_open(AF_INET, &events, &told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    syn = peer_take();
    peer_send(&(struct segment){.source_port = 80, .port = syn.source_port, .acknowledgement = syn.sequence + 1,
                                .flags = TH_RST | TH_ACK});
    ck_assert_uint_eq(told.failed, 1);
    syn = peer_take();
    ck_assert_uint_eq(syn.flags, TH_SYN);
    ck_assert_uint_eq(syn.port, 81);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(no_way_leads_to_multicast)
{
    struct stack_tcp *tcp = open_told(&told);

    ck_assert_int_eq(connect_to(tcp, "224.0.0.5", 80), -ENETUNREACH);
    ck_assert_int_eq(connect_to(tcp, "255.255.255.255", 80), -ENETUNREACH);
    stack_tcp_close(tcp);
}
END_TEST

START_TEST(far_addresses_go_to_the_gateway)
{
    struct stack_tcp *tcp = open_told(&told);
    const struct frame *frame;

    ck_assert_int_eq(connect_to(tcp, "192.0.2.1", 80), 0);
    stack_turn();
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    ck_assert_mem_eq(frame->bytes + 38, "\12\1\0\376", 4); /* ARP for 10.1.0.254 */
    stack_tcp_close(tcp);
}
END_TEST

START_TEST(loopback_connects)
{
    static const char *const places[] = {"127.0.0.1", "127.0.0.5", STACK_IP, "0.0.0.0"};
    static const char *const sources[] = {"127.0.0.1", "127.0.0.1", STACK_IP, "127.0.0.1"};
    struct told child = {.echo = true};
    char text[16], got[8];
    union stack_address address;

    told.child_told = &child;
    open_told(&told);
    ck_assert_int_eq(bind_to(told.tcp, "0.0.0.0", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct told client = {0};

        client.tcp = stack_tcp_open(AF_INET, &told_events, &client);
        ck_assert_int_eq(connect_to(client.tcp, places[i], 7), 0);
        stack_turn();
        ck_assert_uint_eq(client.connected, 1);
        ck_assert_uint_eq(told.accepted, i + 1);
        ck_assert_int_eq(stack_tcp_local_address(client.tcp, &address), 0);
        ck_assert_str_eq(inet_ntop(AF_INET, &address.in.sin_addr, text, sizeof text), sources[i]);
        send_bytes(client.tcp, "hello", 5);
        stack_turn();
        ck_assert_uint_eq(receive_bytes(client.tcp, got, sizeof got), 5);
        ck_assert_mem_eq(got, "hello", 5);
        stack_tcp_close(client.tcp);
        stack_turn();
        ck_assert(stack_tcp_receive_ended(child.tcp));
        stack_tcp_close(child.tcp);
        stack_turn();
    }
    ck_assert_uint_eq(wire_count(), 0);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(loopback_refuses)
{
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, "127.0.0.1", 9), 0);
    stack_turn();
    ck_assert_int_eq(told.error, ECONNREFUSED);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(sequence_numbers_differ_and_move)
{
    struct segment first, second;

    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    first = peer_take();
    stack_tcp_close(told.tcp);
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 81), 0);
    second = peer_take();
    stack_tcp_close(told.tcp);
    ck_assert_uint_ne(first.sequence, second.sequence);
}
END_TEST

/* A SYN-ACK is sent again after a second, whatever else happens; nothing looks at the connection in between. */
START_TEST(timers_run_when_they_are_due)
{
    peer_resolve();
    open_told(&told);
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    (void)peer_take();
    stack_advance(200);
    ck_assert_int_gt(stack_timer_ms(), 600);
    stack_advance(700);
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(200);
    ck_assert_uint_eq(peer_take().flags, TH_SYN);
    stack_advance(1700);
    ck_assert_uint_eq(wire_count(), 0);
    stack_advance(300);
    ck_assert_uint_eq(peer_take().flags, TH_SYN);
    stack_tcp_abort(told.tcp);
}
END_TEST

START_TEST(idle_stack_needs_no_timer)
{
    struct peer peer;

    connect_to_peer(&told, &peer);
    stack_advance(7000);
    ck_assert_int_eq(stack_timer_ms(), -1);
    stack_tcp_abort(told.tcp);
}
END_TEST

static void setup(void)
{
    told = (struct told){0};
    stack_setup_offload();
}

int main(void)
{
    Suite *suite = suite_create("stack connect");
    TCase *tcase = tcase_create("connect");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, connect_completes_the_handshake);
    tcase_add_test(tcase, syn_offers_what_we_can);
    tcase_add_test(tcase, maxseg_is_offered_and_obeyed);
    tcase_add_test(tcase, reset_of_a_syn_is_refused_and_the_socket_connects_again);
    tcase_add_test(tcase, silence_times_out_after_syncnt_retries);
    tcase_add_test(tcase, neighbour_that_is_not_there_is_unreachable);
    tcase_add_test(tcase, close_while_connecting_is_quiet);
    tcase_add_test(tcase, close_inside_connected);
    tcase_add_test(tcase, connect_inside_failed);
    tcase_add_test(tcase, no_way_leads_to_multicast);
    tcase_add_test(tcase, far_addresses_go_to_the_gateway);
    tcase_add_test(tcase, loopback_connects);
    tcase_add_test(tcase, loopback_refuses);
    tcase_add_test(tcase, sequence_numbers_differ_and_move);
    tcase_add_test(tcase, timers_run_when_they_are_due);
    tcase_add_test(tcase, idle_stack_needs_no_timer);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
