/* Ports, ends and timers when there are many connections. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/inspect.h"
#include "stack/memory.h"
#include "datagram_fixture.h"
#include "stack_fixture.h"

#define PORT 40000u

static struct told told[3];

static struct stack_tcp *open_for(struct told *who)
{
    *who = (struct told){.tcp = stack_tcp_open(AF_INET, &told_events, who)};
    ck_assert_ptr_nonnull(who->tcp);
    return who->tcp;
}

static int bind_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);

    return stack_tcp_bind(tcp, &address);
}

static int connect_to(struct stack_tcp *tcp, const char *ip, uint16_t port)
{
    union stack_address address = address_of(ip, port);
    int error = stack_tcp_connect(tcp, &address);

    stack_turn();
    return error;
}

static struct stack_tcp *open_with_one_port(struct told *who)
{
    (void)open_for(who);
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
        (void)open_for(&told[i]);
    ck_assert_int_eq(bind_to(told[0].tcp, "0.0.0.0", 0), 0);
    ck_assert_int_eq(stack_tcp_local_address(told[0].tcp, &address), 0);
    ck_assert_uint_eq(ntohs(address.in.sin_port) % 2, 1);
    ck_assert_int_eq(connect_to(told[1].tcp, PEER_IP, 80), 0);
    ck_assert_uint_eq(peer_take().source_port % 2, 0);
    stack_tcp_close(told[0].tcp);
    stack_tcp_abort(told[1].tcp);
}
END_TEST

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
    (void)open_for(who);
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

/* A SYN-ACK is sent again after a second, whatever else happens; nothing looks at the connection in between. */
START_TEST(timers_run_when_they_are_due)
{
    peer_resolve();
    (void)open_for(&told[0]);
    ck_assert_int_eq(connect_to(told[0].tcp, PEER_IP, 80), 0);
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
    stack_tcp_abort(told[0].tcp);
}
END_TEST

START_TEST(listener_may_go_before_a_handshake_is_complete)
{
    struct segment answer;

    peer_resolve();
    (void)open_for(&told[0]);
    ck_assert_int_eq(bind_to(told[0].tcp, "0.0.0.0", 7), 0);
    ck_assert_int_eq(stack_tcp_listen(told[0].tcp, NULL), 0);
    peer_send(&(struct segment){.source_port = 1234, .port = 7, .sequence = 500, .flags = TH_SYN, .window = 1000});
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    stack_tcp_close(told[0].tcp);
    peer_send(&(struct segment){.source_port = 1234, .port = 7, .sequence = 501, .acknowledgement = answer.sequence + 1,
                                .flags = TH_ACK, .window = 1000});
    ck_assert_uint_ne(peer_take().flags & TH_RST, 0);
    ck_assert_uint_eq(counters_now().sockets, 0);
}
END_TEST

/* ---- SYN cookies ---- */

#define HALF_OPEN_MAX 1024 /* tcp_filter.c: INCOMING_MAX */

/* MSS 1460, SACK, timestamp 0x01020304, window scale 9 */
static const uint8_t syn_options[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 9};

static int family; /* of the peer that comes when there is no more room; 0: IPv4 */

static void send_syn_with(uint16_t port, uint8_t flags, const uint8_t *options, size_t option_size)
{
    struct segment syn = {.family = family, .source_port = port, .port = 7, .sequence = 500, .flags = TH_SYN | flags, .window = 1000,
                          .option_size = option_size};

    memcpy(syn.options, options, option_size);
    peer_send(&syn);
}

static void send_syn(uint16_t port, size_t option_size)
{
    send_syn_with(port, 0, syn_options, option_size);
}

/* Listen on port 7, and have as many handshakes under way as are remembered. */
static void listen_and_fill(void)
{
    union stack_address any = address_of("::", 7);

    peer_resolve();
    told[0] = (struct told){.tcp = stack_tcp_open(AF_INET6, &told_events, &told[0]), .child_told = &told[1]};
    told[1] = (struct told){0};
    ck_assert_int_eq(stack_tcp_bind(told[0].tcp, &any), 0);
    ck_assert_int_eq(stack_tcp_listen(told[0].tcp, NULL), 0);
    family = 0;
    for (unsigned i = 0; i < HALF_OPEN_MAX; i++) {
        send_syn((uint16_t)(20000 + i), sizeof syn_options);
        ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    }
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX + 1);
}

/* Return: the timestamp in a segment's options, or NULL. */
static const uint8_t *stamp_in(const struct segment *segment)
{
    for (size_t i = 0; i + 10 <= segment->option_size; i++)
        if (segment->options[i] == 8 && segment->options[i + 1] == 10)
            return segment->options + i + 2;
    return NULL;
}

static uint32_t stamp_of(const struct segment *segment)
{
    uint32_t stamp;

    ck_assert_ptr_nonnull(stamp_in(segment));
    memcpy(&stamp, stamp_in(segment), sizeof stamp);
    return ntohl(stamp);
}

/* Answer a SYN-ACK, with this timestamp if there was one. */
static void complete(const struct segment *answer, bool stamps)
{
    struct segment ack = {.family = family, .source_port = answer->port, .port = 7, .sequence = 501,
                          .acknowledgement = answer->sequence + 1, .flags = TH_ACK, .window = 1000, .option_size = stamps ? 12 : 0};

    memcpy(ack.options, (uint8_t[]){1, 1, 8, 10, 1, 2, 3, 5}, 8);
    if (stamps && stamp_in(answer) != NULL)
        memcpy(ack.options + 8, stamp_in(answer), 4);
    peer_send(&ack);
}

START_TEST(cookie_answers_for_a_handshake_that_is_not_remembered)
{
    struct segment answer;
    struct tcp_info info;

    listen_and_fill();
    send_syn(30000, sizeof syn_options);
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    ck_assert_uint_eq(answer.acknowledgement, 501);
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX + 1);
    stack_advance(500);
    ck_assert_uint_eq(wire_count(), 0);
    complete(&answer, true);
    ck_assert_uint_eq(told[0].accepted, 1);
    ck_assert_uint_eq(wire_count(), 0);
    stack_tcp_get_info(told[1].tcp, &info);
    ck_assert_uint_eq(info.tcpi_options & (TCPI_OPT_SACK | TCPI_OPT_TIMESTAMPS | TCPI_OPT_WSCALE),
                      TCPI_OPT_SACK | TCPI_OPT_TIMESTAMPS | TCPI_OPT_WSCALE);
    ck_assert_uint_eq(info.tcpi_snd_wscale, 9);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1460 - 12);
    peer_send(&(struct segment){.source_port = 30000, .port = 7, .sequence = 501, .acknowledgement = answer.sequence + 1,
                                .flags = TH_ACK | TH_PUSH, .window = 1000, .data = "hello", .size = 5, .option_size = 12,
                                .options = {1, 1, 8, 10, 1, 2, 3, 6, answer.options[8], 0, 0, 0}});
    ck_assert_uint_eq(stack_tcp_receive_queued(told[1].tcp), 5);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

START_TEST(cookie_without_timestamps_knows_the_mss_alone)
{
    struct segment answer;
    struct tcp_info info;

    listen_and_fill();
    send_syn(30000, 6); /* MSS, SACK */
    answer = peer_take();
    ck_assert_uint_eq(answer.option_size, 4);
    complete(&answer, false);
    ck_assert_uint_eq(told[0].accepted, 1);
    stack_tcp_get_info(told[1].tcp, &info);
    ck_assert_uint_eq(info.tcpi_options, 0);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1460);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* A SYN with these options, and ECN's flags, is answered with a cookie, and that answered. Return: what is known of the
 * connection then. */
static struct tcp_info accept_by_cookie(uint8_t flags, const uint8_t *options, size_t option_size, uint8_t expected_flags)
{
    struct segment answer;
    struct tcp_info info;

    send_syn_with(30000, flags, options, option_size);
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK | expected_flags);
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX + 1);
    complete(&answer, true);
    ck_assert_uint_eq(told[0].accepted, 1);
    ck_assert_uint_eq(wire_count(), 0);
    stack_tcp_get_info(told[1].tcp, &info);
    return info;
}

#define TH_ECE 0x40
#define TH_CWR 0x80

START_TEST(cookie_knows_ecn)
{
    struct tcp_info info;

    listen_and_fill();
    info = accept_by_cookie(TH_ECE | TH_CWR, syn_options, sizeof syn_options, TH_ECE);
    ck_assert_uint_eq(info.tcpi_options & (TCPI_OPT_ECN | TCPI_OPT_SACK | TCPI_OPT_WSCALE),
                      TCPI_OPT_ECN | TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* Neither SACK nor a window scale; an MSS between two of those that a cookie can tell. */
START_TEST(cookie_knows_what_the_peer_lacks)
{
    static const uint8_t options[] = {2, 4, 1400 >> 8, 1400 & 255, 1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0};
    struct tcp_info info;

    listen_and_fill();
    info = accept_by_cookie(0, options, sizeof options, 0);
    ck_assert_uint_eq(info.tcpi_options & (TCPI_OPT_ECN | TCPI_OPT_SACK | TCPI_OPT_WSCALE | TCPI_OPT_TIMESTAMPS), TCPI_OPT_TIMESTAMPS);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1300 - 12);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* What a cookie says is in our timestamp, which must not be ahead of the clock, whatever its last bits are. */
START_TEST(cookie_is_never_from_the_future)
{
    struct segment answer;
    uint32_t last = 0;

    listen_and_fill();
    for (unsigned i = 0; i < 200; i++) {
        uint32_t stamp;

        stack_advance(1);
        wire_drop_all();
        send_syn((uint16_t)(30000 + i), sizeof syn_options);
        answer = peer_take();
        stamp = stamp_of(&answer);
        ck_assert(last == 0 || (stamp >= last && stamp - last <= 64));
        last = stamp;
    }
    complete(&answer, true);
    ck_assert_uint_eq(told[0].accepted, 1);
    /* a segment that is not a handshake's has the clock as it is */
    send_bytes(told[1].tcp, "x", 1);
    stack_turn();
    answer = peer_take();
    ck_assert_uint_ge(stamp_of(&answer), last);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

START_TEST(cookie_works_on_ipv6)
{
    struct tcp_info info;

    listen_and_fill();
    peer_resolve6(PEER_IP6);
    wire_drop_all();
    family = AF_INET6;
    info = accept_by_cookie(0, syn_options, sizeof syn_options, 0);
    ck_assert_uint_eq(info.tcpi_options & (TCPI_OPT_SACK | TCPI_OPT_WSCALE), TCPI_OPT_SACK | TCPI_OPT_WSCALE);
    ck_assert_uint_eq(info.tcpi_snd_mss, 1440 - 12);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

START_TEST(cookie_that_is_wrong_or_old_is_reset)
{
    struct segment answer;

    listen_and_fill();
    send_syn(30000, sizeof syn_options);
    answer = peer_take();
    answer.sequence += 5;
    complete(&answer, true);
    ck_assert_uint_eq(peer_take().flags, TH_RST);
    answer.sequence -= 5;
    stack_advance(130000);
    wire_drop_all();
    complete(&answer, true);
    ck_assert_uint_eq(peer_take().flags, TH_RST);
    ck_assert_uint_eq(told[0].accepted, 0);
    stack_tcp_close(told[0].tcp);
}
END_TEST

static bool has_room;

static bool tell_room(void *owner)
{
    (void)owner;
    return has_room;
}

/* The peer takes the connection for established by then: it must not be reset, but may try again. */
START_TEST(cookie_that_finds_no_room_is_dropped)
{
    struct segment answer;

    listen_and_fill();
    has_room = true;
    ck_assert_int_eq(stack_tcp_listen(told[0].tcp, tell_room), 0);
    send_syn(30000, sizeof syn_options);
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    has_room = false;
    complete(&answer, true);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_uint_eq(told[0].accepted, 0);
    answer.sequence += 5; /* what is no cookie is reset all the same */
    complete(&answer, true);
    ck_assert_uint_eq(peer_take().flags, TH_RST);
    answer.sequence -= 5;
    has_room = true;
    complete(&answer, true);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_uint_eq(told[0].accepted, 1);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* The SYN was answered with a cookie, came again, and was remembered then; the peer acknowledges the first answer. */
START_TEST(cookie_is_good_though_its_syn_was_remembered_later)
{
    struct segment cookie, answer;

    listen_and_fill();
    has_room = true;
    ck_assert_int_eq(stack_tcp_listen(told[0].tcp, tell_room), 0);
    send_syn(30000, sizeof syn_options);
    cookie = peer_take();
    ck_assert_uint_eq(cookie.flags, TH_SYN | TH_ACK);
    peer_send(&(struct segment){.source_port = 20000, .port = 7, .sequence = 501, .flags = TH_RST});
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX);
    send_syn(30000, sizeof syn_options);
    answer = peer_take();
    ck_assert_uint_eq(answer.flags, TH_SYN | TH_ACK);
    ck_assert_uint_ne(answer.sequence, cookie.sequence);
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX + 1);
    has_room = false;
    complete(&cookie, true);
    ck_assert_uint_eq(wire_count(), 0);
    has_room = true;
    complete(&cookie, true);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_uint_eq(told[0].accepted, 1);
    ck_assert_uint_eq(counters_now().sockets, HALF_OPEN_MAX + 1);
    stack_tcp_abort(told[1].tcp);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* Those that were never answered are given up, and there is room again. */
START_TEST(half_open_connections_do_not_stay)
{
    listen_and_fill();
    for (int i = 0; i < 90; i++) { /* the test's wire holds so many frames */
        stack_advance(1000);
        wire_drop_all();
    }
    ck_assert_uint_eq(counters_now().sockets, 1);
    send_syn(30000, sizeof syn_options);
    ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
    ck_assert_uint_eq(counters_now().sockets, 2);
    stack_tcp_close(told[0].tcp);
}
END_TEST

/* ---- The bound on memory ---- */

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
    ck_assert_uint_eq(stack_tcp_send_room(many[MANY - 2].tcp), 0);
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

static void stack_setup_dual_plain(void)
{
    stack_setup_dual(0);
}

int main(void)
{
    Suite *suite = suite_create("stack many");
    TCase *tcase = tcase_create("many"), *tcase6 = tcase_create("many on both families");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, stack_setup_offload, stack_teardown);
    tcase_add_test(tcase, one_port_serves_many_destinations);
    tcase_add_test(tcase, connect_leaves_ports_alone_that_bind_asked_for);
    tcase_add_test(tcase, bind_and_connect_begin_with_ports_of_different_parity);
    tcase_add_test(tcase, bound_port_connects_again_in_time_wait);
    tcase_add_test(tcase, port_in_time_wait_serves_again_after_a_second);
    tcase_add_test(tcase, port_in_time_wait_without_timestamps_does_not);
    tcase_add_test(tcase, time_wait_wakes_nobody_before_it_ends);
    tcase_add_test(tcase, timers_run_when_they_are_due);
    tcase_add_test(tcase, listener_may_go_before_a_handshake_is_complete);
    tcase_add_test(tcase, cookie_answers_for_a_handshake_that_is_not_remembered);
    tcase_add_test(tcase, cookie_without_timestamps_knows_the_mss_alone);
    tcase_add_test(tcase, cookie_knows_ecn);
    tcase_add_test(tcase, cookie_knows_what_the_peer_lacks);
    tcase_add_test(tcase, cookie_is_never_from_the_future);
    tcase_add_test(tcase, cookie_that_is_wrong_or_old_is_reset);
    tcase_add_test(tcase, cookie_that_finds_no_room_is_dropped);
    tcase_add_test(tcase, cookie_is_good_though_its_syn_was_remembered_later);
    tcase_add_test(tcase, half_open_connections_do_not_stay);
    tcase_add_test(tcase, heavy_users_of_memory_are_throttled_first);
    tcase_add_test(tcase, many_connections_of_one_user_are_throttled_as_one);
    tcase_add_test(tcase, data_beyond_the_bound_comes_again);
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase6, stack_setup_dual_plain, stack_teardown);
    tcase_add_test(tcase6, cookie_works_on_ipv6);
    suite_add_tcase(suite, tcase6);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
