/* test_stack_connect.c - beginnings: connect, listen, bind, and what can go wrong with them. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"

static struct told told;

static struct stack_tcp *open_socket(void)
{
    struct stack_tcp *tcp = stack_tcp_open(AF_INET, &told_events, &told);

    ck_assert_ptr_nonnull(tcp);
    return tcp;
}

static int bind_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);

    return stack_tcp_bind(tcp, &address);
}

static int connect_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);

    return stack_tcp_connect(tcp, &address);
}

static uint16_t port_of(const struct stack_tcp *tcp)
{
    union stack_address address;

    ck_assert_int_eq(stack_tcp_local_address(tcp, &address), 0);
    return ntohs(address.in.sin_port);
}

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
    told.tcp = open_socket();
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
    told.tcp = open_socket();
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
    told.tcp = open_socket();
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
    told.tcp = open_socket();
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
    told.tcp = open_socket();
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
    told.tcp = open_socket();
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
    struct stack_tcp *tcp = open_socket();

    ck_assert_int_eq(connect_to(tcp, "224.0.0.5", 80), -ENETUNREACH);
    ck_assert_int_eq(connect_to(tcp, "255.255.255.255", 80), -ENETUNREACH);
    stack_tcp_close(tcp);
}
END_TEST

START_TEST(far_addresses_go_to_the_gateway)
{
    struct stack_tcp *tcp = open_socket();
    const struct frame *frame;

    ck_assert_int_eq(connect_to(tcp, "192.0.2.1", 80), 0);
    stack_turn();
    frame = wire_take();
    ck_assert_ptr_nonnull(frame);
    ck_assert_mem_eq(frame->bytes + 38, "\12\1\0\376", 4); /* ARP for 10.1.0.254 */
    stack_tcp_close(tcp);
}
END_TEST

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

START_TEST(child_that_is_not_adopted_is_reset)
{
    struct told child = {0};
    struct peer peer;

    told.refuse = true;
    accept_from_peer(&told, &child, &peer);
    stack_turn();
    ck_assert_uint_eq(peer_take().flags & TH_RST, TH_RST);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(child_may_be_aborted_while_it_is_accepted)
{
    struct told child = {0};
    struct peer peer;

    told.abort_accepted = true;
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

START_TEST(full_listener_drops_syns)
{
    peer_resolve();
    told.tcp = open_socket();
    ck_assert_int_eq(bind_to(told.tcp, "0.0.0.0", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, refuse_all), 0);
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 1, .flags = TH_SYN, .window = 1000});
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 1, .flags = TH_SYN, .window = 1000});
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(listener_that_became_full_lets_the_peer_wait)
{
    struct segment answer;

    peer_resolve();
    told.tcp = open_socket();
    ck_assert_int_eq(bind_to(told.tcp, "0.0.0.0", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 1, .flags = TH_SYN, .window = 1000});
    answer = peer_take();
    ck_assert_int_eq(stack_tcp_listen(told.tcp, refuse_all), 0);
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 2, .acknowledgement = answer.sequence + 1,
                                .flags = TH_ACK, .window = 1000});
    ck_assert_uint_eq(told.accepted, 0);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(stack_tcp_listen(told.tcp, NULL), 0);
    stack_advance(1500);
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK); /* once more */
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = 2, .acknowledgement = answer.sequence + 1,
                                .flags = TH_ACK, .window = 1000});
    ck_assert_uint_eq(told.accepted, 1);
    stack_tcp_abort(told.child);
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

START_TEST(loopback_connects)
{
    static const char *const places[] = {"127.0.0.1", "127.0.0.5", STACK_IP, "0.0.0.0"};
    static const char *const sources[] = {"127.0.0.1", "127.0.0.1", STACK_IP, "127.0.0.1"};
    struct told child = {.echo = true};
    char text[16], got[8];
    union stack_address address;

    told.child_told = &child;
    told.tcp = open_socket();
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
    told.tcp = open_socket();
    ck_assert_int_eq(connect_to(told.tcp, "127.0.0.1", 9), 0);
    stack_turn();
    ck_assert_int_eq(told.error, ECONNREFUSED);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(bind_follows_the_rules)
{
    struct stack_tcp *a = open_socket(), *b = open_socket();

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
    struct stack_tcp *a = open_socket(), *b = open_socket();

    ck_assert_int_eq(bind_to(a, "127.0.0.1", 80), 0);
    ck_assert_int_eq(bind_to(b, STACK_IP, 80), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0);
    ck_assert_int_eq(stack_tcp_listen(b, NULL), 0);
    stack_tcp_close(a);
    stack_tcp_close(b);
}
END_TEST

START_TEST(reuseport_shares_a_listening_port)
{
    struct stack_tcp *a = open_socket(), *b = open_socket();

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

START_TEST(bind_to_port_0_chooses_at_once)
{
    struct stack_tcp *a = open_socket(), *b = open_socket();

    ck_assert_int_eq(bind_to(a, "127.0.0.1", 0), 0);
    ck_assert_int_eq(bind_to(b, "127.0.0.1", 0), 0);
    ck_assert_uint_ne(port_of(a), 0);
    ck_assert_uint_ne(port_of(a), port_of(b));
    stack_tcp_close(a);
    stack_tcp_close(b);
    a = open_socket();
    ck_assert_uint_eq(port_of(a), 0);
    ck_assert_int_eq(stack_tcp_listen(a, NULL), 0); /* listen() without bind() */
    ck_assert_uint_ne(port_of(a), 0);
    stack_tcp_close(a);
}
END_TEST

START_TEST(bound_port_is_kept_over_a_failed_connect)
{
    told.tcp = open_socket();
    ck_assert_int_eq(bind_to(told.tcp, "0.0.0.0", 4444), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(connect_to(told.tcp, "127.0.0.1", 9), 0);
        stack_turn();
        ck_assert_int_eq(told.error, ECONNREFUSED);
        ck_assert_uint_eq(port_of(told.tcp), 4444);
    }
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(time_wait_blocks_the_port_without_reuseaddr)
{
    struct told child = {0};
    struct peer peer;
    struct stack_tcp *other;

    accept_from_peer(&told, &child, &peer);
    stack_tcp_close(child.tcp); /* the first to close waits */
    stack_turn();
    wire_drop_all();
    peer.expected++;
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    stack_tcp_close(told.tcp);
    other = open_socket();
    ck_assert_int_eq(bind_to(other, "0.0.0.0", 7), -EADDRINUSE);
    stack_advance(62000);
    ck_assert_int_eq(bind_to(other, "0.0.0.0", 7), 0);
    stack_tcp_close(other);
}
END_TEST

START_TEST(syn_to_time_wait_begins_anew)
{
    struct told child = {0};
    struct peer peer;

    accept_from_peer(&told, &child, &peer);
    stack_tcp_close(child.tcp);
    stack_turn();
    wire_drop_all();
    peer.expected++;
    peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    wire_drop_all();
    peer_send(&(struct segment){.source_port = 40000, .port = 7, .sequence = peer.sequence + 100000, .flags = TH_SYN,
                                .window = 1000});
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    stack_tcp_close(told.tcp);
}
END_TEST

START_TEST(sequence_numbers_differ_and_move)
{
    struct segment first, second;

    peer_resolve();
    told.tcp = open_socket();
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 80), 0);
    first = peer_take();
    stack_tcp_close(told.tcp);
    told.tcp = open_socket();
    ck_assert_int_eq(connect_to(told.tcp, PEER_IP, 81), 0);
    second = peer_take();
    stack_tcp_close(told.tcp);
    ck_assert_uint_ne(first.sequence, second.sequence);
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
    SRunner *runner = srunner_create(suite);
    int failed;

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
    tcase_add_test(tcase, listening_socket_accepts);
    tcase_add_test(tcase, child_that_is_not_adopted_is_reset);
    tcase_add_test(tcase, child_may_be_aborted_while_it_is_accepted);
    tcase_add_test(tcase, full_listener_drops_syns);
    tcase_add_test(tcase, listener_that_became_full_lets_the_peer_wait);
    tcase_add_test(tcase, nobody_listens);
    tcase_add_test(tcase, loopback_connects);
    tcase_add_test(tcase, loopback_refuses);
    tcase_add_test(tcase, bind_follows_the_rules);
    tcase_add_test(tcase, specific_addresses_do_not_conflict);
    tcase_add_test(tcase, reuseport_shares_a_listening_port);
    tcase_add_test(tcase, reuseport_spreads_connections_over_who_listens_now);
    tcase_add_test(tcase, bind_to_port_0_chooses_at_once);
    tcase_add_test(tcase, bound_port_is_kept_over_a_failed_connect);
    tcase_add_test(tcase, time_wait_blocks_the_port_without_reuseaddr);
    tcase_add_test(tcase, syn_to_time_wait_begins_anew);
    tcase_add_test(tcase, sequence_numbers_differ_and_move);
    tcase_add_test(tcase, idle_stack_needs_no_timer);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
