/* test_stack_syn_cookie.c - more handshakes than are remembered: SYN cookies, and what they can tell. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack_fixture.h"
#include "tests/suite.h"

static struct told told[2];

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

static void stack_setup_dual_plain(void)
{
    stack_setup_dual(0);
}

int main(void)
{
    Suite *suite = suite_create("stack SYN cookie");
    TCase *plain = tcase_create("IPv4"), *dual = tcase_create("both families");

    tcase_add_checked_fixture(plain, stack_setup_offload, stack_teardown);
    tcase_add_test(plain, cookie_answers_for_a_handshake_that_is_not_remembered);
    tcase_add_test(plain, cookie_without_timestamps_knows_the_mss_alone);
    tcase_add_test(plain, cookie_knows_ecn);
    tcase_add_test(plain, cookie_knows_what_the_peer_lacks);
    tcase_add_test(plain, cookie_is_never_from_the_future);
    tcase_add_test(plain, cookie_that_is_wrong_or_old_is_reset);
    tcase_add_test(plain, cookie_that_finds_no_room_is_dropped);
    tcase_add_test(plain, cookie_is_good_though_its_syn_was_remembered_later);
    tcase_add_test(plain, half_open_connections_do_not_stay);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(dual, stack_setup_dual_plain, stack_teardown);
    tcase_add_test(dual, cookie_works_on_ipv6);
    suite_add_tcase(suite, dual);
    return suite_run(suite);
}
