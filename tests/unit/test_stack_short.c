/*
 * test_stack_short.c - memory is short: in each scenario the first allocation fails, then the second, and so on until a
 * run in which none did. Whatever failed, a stream comes whole or its socket is told, and nothing is left behind.
 *
 * The program is linked so that each malloc(), calloc() and realloc() comes by here (Makefile). What only the test
 * needs is not counted: frames on the wire of memory are allocated in another way.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/bytes.h"
#include "stack/handover.h"
#include "stack/inspect.h"
#include "stack/ip/interface.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define STREAM 40000      /* bytes that the stack sends to the peer */
#define ANSWER 6000       /* and hears from it */
#define LOOP_BYTES 200000 /* from one of its sockets to another */
#define PIECE 1000        /* of the answer, in a segment */
#define ACCEPTED_PORT 40000 /* of the peer that connects */
#define HALF_OPEN_MAX 1024  /* tcp_filter.c: INCOMING_MAX */
#define ROUNDS 400
#define ROUND_MS 100
#define FAILURES_MAX 5000

/* ---- Allocations that fail ---- */

static unsigned long fails_at; /* counted down; 0: none fails any more */
static bool armed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails(void)
{
    if (!armed || fails_at == 0 || --fails_at > 0)
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

/* Check remembers each assertion that holds, and allocates for it. Nothing here needs that. */
void __wrap__mark_point(const char *file, int line);

void __wrap__mark_point(const char *file, int line)
{
    (void)file, (void)line;
}

/* Run a scenario until none of its allocations fails. It calls stack_setup() or the like, and what begins there with
 * `armed`. */
static void fail_each(void (*scenario)(void))
{
    unsigned long at = 0;

    do {
        ck_assert_uint_lt(at, FAILURES_MAX);
        fails_at = ++at;
        scenario();
        armed = false;
        stack_teardown();
        ck_assert_uint_eq(counters_now().datagram_sockets, 0);
    } while (fails_at == 0);
    ck_assert_uint_gt(at, 1);
}

/* ---- A stream whose bytes are known by their place ---- */

struct stream {
    struct told told;
    size_t sent, got;
    size_t size;
    bool ended; /* all of it came, and the end */
};

static void stream_send(struct stream *stream)
{
    struct iovec iov[STACK_TCP_IOV];

    while (stream->told.failed == 0 && stream->sent < stream->size) {
        size_t want = stream->size - stream->sent < 3000 ? stream->size - stream->sent : 3000, length = 0;
        int pieces = stack_tcp_send_reserve(stream->told.tcp, want, iov);

        if (pieces <= 0)
            return; /* full, or no memory */
        for (int i = 0; i < pieces; i++) {
            pattern_fill(iov[i].iov_base, stream->sent + length, iov[i].iov_len);
            length += iov[i].iov_len;
        }
        if (stack_tcp_send_commit(stream->told.tcp, length, false) < 0)
            return;
        stream->sent += length;
        if (stream->sent == stream->size)
            (void)stack_tcp_shutdown_send(stream->told.tcp);
    }
}

static void stream_receive(struct stream *stream)
{
    static uint8_t bytes[65536];
    size_t size;

    if (stream->told.tcp == NULL || stream->told.failed > 0)
        return;
    while ((size = receive_bytes(stream->told.tcp, bytes, sizeof bytes)) > 0)
        for (size_t i = 0; i < size; i++)
            ck_assert_uint_eq(bytes[i], pattern_byte(stream->got++));
    stream->ended = stack_tcp_receive_ended(stream->told.tcp);
}

/* ---- From one socket of the stack to another ---- */

static void over_loopback(void)
{
    static struct told listener;
    static struct stream here, there;

    listener = (struct told){.child_told = &there.told};
    here = (struct stream){.size = LOOP_BYTES};
    there = (struct stream){0};
    stack_setup(0);
    armed = true;
    listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
    here.told.tcp = stack_tcp_open(AF_INET, &told_events, &here.told);
    if (listener.tcp != NULL && here.told.tcp != NULL && bind_to(listener.tcp, "127.0.0.1", 7) == 0 &&
        stack_tcp_listen(listener.tcp, NULL) == 0 && connect_to(here.told.tcp, "127.0.0.1", 7) == 0) {
        stack_tcp_set_label(here.told.tcp, &(struct stack_label){.user = 1});
        for (int i = 0; i < ROUNDS && here.told.failed == 0 && there.told.failed == 0 && !there.ended; i++) {
            stream_send(&here);
            stack_advance(ROUND_MS);
            stream_receive(&there);
        }
        ck_assert(here.told.failed > 0 || there.told.failed > 0 || (there.ended && there.got == LOOP_BYTES));
    }
    if (there.told.tcp != NULL)
        stack_tcp_close(there.told.tcp);
    if (here.told.tcp != NULL)
        stack_tcp_close(here.told.tcp);
    if (listener.tcp != NULL)
        stack_tcp_close(listener.tcp);
    stack_advance(1000);
}

START_TEST(a_stream_over_loopback)
{
    fail_each(over_loopback);
}
END_TEST

/* ---- A peer that loses segments, sends its own in disorder and says by SACK what it has ---- */

static struct peer peer;
static struct segment syn_answer; /* the stack's SYN with ACK; flags 0: it has not come */
static bool has[STREAM + 1];      /* bytes of the stream, and its end, that arrived */
static size_t stream_at, stream_end;
static uint32_t first, answer_first; /* numbers of both streams' first bytes */
static uint32_t acknowledged;        /* of the answer */
static unsigned segments;
static bool is_reset;

static void peer_begin(void)
{
    peer = (struct peer){.window = 0xffff};
    syn_answer = (struct segment){0};
    memset(has, 0, sizeof has);
    stream_at = stream_end = acknowledged = segments = 0;
    is_reset = false;
}

/* It is established on the peer's side. */
static void peer_is_connected(const struct segment *syn, uint32_t own)
{
    peer.port = syn->port;
    peer.stack_port = syn->source_port;
    peer.expected = first = syn->sequence + 1;
    peer.sequence = answer_first = own + 1;
}

static void acknowledge(size_t from, size_t to)
{
    struct segment segment = {.source_port = peer.port, .port = peer.stack_port, .sequence = peer.sequence, .flags = TH_ACK,
                              .acknowledgement = first + (uint32_t)stream_at, .window = 0xffff};

    if (from > stream_at) {
        memcpy(segment.options, (uint8_t[]){1, 1, 5, 10}, 4);
        write_32(segment.options + 4, first + (uint32_t)from);
        write_32(segment.options + 8, first + (uint32_t)to);
        segment.option_size = 12;
    }
    peer_send(&segment);
}

static void peer_take_data(const struct segment *segment)
{
    size_t at = segment->sequence - first, end = at + segment->size;

    if (segment->size == 0 && (segment->flags & TH_FIN) == 0)
        return;
    ck_assert_uint_le(end, STREAM);
    if (++segments % 7 == 3 && segments < 40)
        return; /* lost */
    for (size_t i = at; i < end; i++) {
        ck_assert_uint_eq(((const uint8_t *)segment->data)[i - at], pattern_byte(i));
        has[i] = true;
    }
    if ((segment->flags & TH_FIN) != 0)
        has[stream_end = end] = true;
    while (stream_at <= STREAM && has[stream_at])
        stream_at++;
    acknowledge(at, end);
}

/* A router's word that our packets are too big. */
static void send_too_big(unsigned mtu)
{
    uint8_t message[36] = {3, 4, [8] = 0x45, [10] = 1500 >> 8, [11] = 1500 & 255, [17] = IPPROTO_TCP};

    write_16(message + 6, mtu);
    inet_pton(AF_INET, STACK_IP, message + 20);
    inet_pton(AF_INET, PEER_IP, message + 24);
    write_16(message + 28, peer.stack_port);
    write_16(message + 30, peer.port);
    write_32(message + 32, first + (uint32_t)stream_at);
    checksum_put(message, sizeof message, 2);
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_ICMP, .data = message,
                                 .size = sizeof message});
}

/* Take all frames, and answer. */
static void peer_react(void)
{
    const struct frame *frame;

    while ((frame = wire_look()) != NULL) {
        struct segment segment;

        if (frame->bytes[12] == 8 && frame->bytes[13] == 6)
            peer_resolve();
        if (frame->bytes[12] != 8 || frame->bytes[13] != 0 || frame->bytes[23] != IPPROTO_TCP) {
            (void)wire_take();
            continue;
        }
        segment = peer_take();
        if ((segment.flags & TH_RST) != 0) {
            is_reset = true;
        } else if ((segment.flags & (TH_SYN | TH_ACK)) == TH_SYN) {
            peer_is_connected(&segment, 1000);
            peer_send(&(struct segment){.source_port = peer.port, .port = peer.stack_port, .sequence = 1000,
                                        .acknowledgement = first, .flags = TH_SYN | TH_ACK, .window = 0xffff,
                                        .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1}, .option_size = 12});
        } else if ((segment.flags & TH_SYN) != 0) {
            if (segment.port == ACCEPTED_PORT)
                syn_answer = segment;
        } else if (peer.port != 0) {
            acknowledged = segment.acknowledgement - answer_first;
            peer_take_data(&segment);
        }
    }
}

/* Say what the stack has not acknowledged, the last piece first. */
static void peer_say_answer(void)
{
    static uint8_t bytes[ANSWER];

    pattern_fill(bytes, 0, sizeof bytes);
    for (size_t at = ANSWER; at > 0 && acknowledged < ANSWER; at -= PIECE)
        if (at > acknowledged)
            peer_send(&(struct segment){.source_port = peer.port, .port = peer.stack_port,
                                        .sequence = answer_first + (uint32_t)(at - PIECE), .flags = TH_ACK | TH_PUSH,
                                        .acknowledgement = first + (uint32_t)stream_at, .window = 0xffff,
                                        .data = bytes + at - PIECE, .size = PIECE});
    if (acknowledged >= ANSWER)
        peer.sequence = answer_first + ANSWER;
}

/* Both ways, until all came or it failed. */
static void exchange(struct stream *stream)
{
    bool done = false;

    for (int i = 0; i < ROUNDS && stream->told.failed == 0 && !is_reset && !done; i++) {
        if (stream->told.connected > 0)
            stream_send(stream);
        stack_turn();
        peer_react();
        if (i == 2 && peer.port != 0)
            send_too_big(1000);
        if (peer.port != 0)
            peer_say_answer();
        stream_receive(stream);
        stack_advance(ROUND_MS);
        done = stream->got == ANSWER && stream_end == STREAM && stream_at > STREAM;
    }
    ck_assert(done || stream->told.failed > 0 || is_reset);
}

/* The program closes; the peer as well. */
static void end(struct stream *stream)
{
    if (stream->told.tcp != NULL)
        stack_tcp_close(stream->told.tcp);
    peer_react();
    peer.expected = first + (uint32_t)stream_at;
    if (peer.port != 0)
        peer_say(&peer, TH_FIN | TH_ACK, NULL, 0);
    stack_advance(ROUND_MS);
}

static void to_a_peer(void)
{
    static struct stream stream;

    stream = (struct stream){.size = STREAM};
    peer_begin();
    stack_setup(0);
    armed = true;
    stream.told.tcp = stack_tcp_open(AF_INET, &told_events, &stream.told);
    if (stream.told.tcp != NULL) {
        stack_tcp_set_label(stream.told.tcp, &(struct stack_label){.user = 1});
        if (connect_to(stream.told.tcp, PEER_IP, 80) == 0)
            exchange(&stream);
    }
    end(&stream);
}

START_TEST(a_stream_to_a_peer)
{
    fail_each(to_a_peer);
}
END_TEST

static bool with_cookie;

/* As many handshakes as are remembered: the next one is answered with a cookie. */
static void fill_handshakes(void)
{
    peer_resolve();
    for (unsigned i = 0; i < HALF_OPEN_MAX; i++)
        peer_send(&(struct segment){.source_port = (uint16_t)(20000 + i), .port = 7, .sequence = 500, .flags = TH_SYN, .window = 1000});
    wire_drop_all();
}

/* The peer's SYN, and what it sends next, come again while nothing is heard of them. */
static void from_a_peer(void)
{
    static struct told listener;
    static struct stream stream;

    stream = (struct stream){.size = STREAM};
    listener = (struct told){.child_told = &stream.told};
    peer_begin();
    stack_setup(0);
    armed = !with_cookie;
    listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
    if (listener.tcp != NULL && bind_to(listener.tcp, "0.0.0.0", 7) == 0 && stack_tcp_listen(listener.tcp, NULL) == 0) {
        if (with_cookie)
            fill_handshakes();
        armed = true;
        for (int i = 0; i < 20 && syn_answer.flags == 0 && !is_reset; i++) {
            peer_send(&(struct segment){.source_port = ACCEPTED_PORT, .port = 7, .sequence = 1000, .flags = TH_SYN, .window = 0xffff,
                                        .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1}, .option_size = 12});
            peer_react();
            stack_advance(ROUND_MS);
        }
        ck_assert(syn_answer.flags != 0);
        peer_is_connected(&syn_answer, 1000);
        acknowledge(0, 0);
        stream.told.connected = listener.accepted;
        if (listener.accepted > 0 && !with_cookie)
            exchange(&stream);
    }
    end(&stream);
    if (listener.tcp != NULL)
        stack_tcp_close(listener.tcp);
    stack_advance(1000);
}

START_TEST(a_stream_from_a_peer)
{
    with_cookie = _i == 1;
    fail_each(from_a_peer);
}
END_TEST

/* ---- Datagrams ---- */

static bool on_datagram(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count, size_t length)
{
    size_t sum = 0;

    (void)info;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    ck_assert_uint_eq(sum, length);
    (*(unsigned *)owner)++;
    return true;
}

static void on_datagram_error(void *owner, const struct stack_datagram_error *error)
{
    (void)owner;
    ck_assert_int_ne((int)error->extended.ee_errno, 0);
}

static const struct stack_datagram_events datagram_events = {.received = on_datagram, .failed = on_datagram_error};

static const struct kind {
    enum stack_datagram_kind kind;
    int family, protocol;
    const char *any, *peer, *own, *group;
    size_t size; /* of what is sent: in fragments */
} kinds[] = {
    {STACK_DATAGRAM_UDP, AF_INET, 0, "0.0.0.0", PEER_IP, STACK_IP, "224.1.2.3", 5000},
    {STACK_DATAGRAM_UDP, AF_INET6, 0, "::", PEER_IP6, STACK_IP6, "ff02::1:3", 5000},
    {STACK_DATAGRAM_UDP_LITE, AF_INET, 0, "0.0.0.0", PEER_IP, STACK_IP, "224.1.2.3", 1000},
    {STACK_DATAGRAM_PING, AF_INET, 0, "0.0.0.0", PEER_IP, "127.0.0.1", "224.1.2.3", 100},
    {STACK_DATAGRAM_RAW, AF_INET, 99, "0.0.0.0", PEER_IP, STACK_IP, "224.1.2.3", 3000},
    {STACK_DATAGRAM_RAW, AF_INET6, 99, "::", PEER_IP6, STACK_IP6, "ff02::1:3", 3000},
};
#define DATAGRAM_PORT 53

static const struct kind *kind;

/* A datagram in two fragments. */
static void fragments_from_peer(void)
{
    static uint8_t udp[2000];

    write_16(udp, 4000);
    write_16(udp + 2, DATAGRAM_PORT);
    write_16(udp + 4, sizeof udp);
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp, .size = 1000,
                                 .identification = 7, .more_fragments = true});
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp + 1000,
                                 .size = 1000, .identification = 7, .offset = 1000});
}

static void memberships(struct stack_datagram *datagram)
{
    union stack_address group = any_address_of(kind->group, 0), source = any_address_of(kind->peer, 0),
                        other = any_address_of(kind->own, 0);

    if (stack_datagram_membership(datagram, STACK_JOIN_SOURCE, 2, &group, &source) == 0) {
        (void)stack_datagram_membership(datagram, STACK_JOIN_SOURCE, 2, &group, &other);
        (void)stack_datagram_membership(datagram, STACK_LEAVE_SOURCE, 2, &group, &source);
    }
    (void)stack_datagram_membership(datagram, STACK_LEAVE, 2, &group, NULL);
    (void)stack_datagram_membership(datagram, STACK_JOIN, 2, &group, NULL);
}

static void datagrams(void)
{
    static uint8_t bytes[8000] = {8}; /* of a ping: an echo request */
    union stack_address any = any_address_of(kind->any, kind->kind == STACK_DATAGRAM_RAW ? 0 : DATAGRAM_PORT);
    const char *const to[] = {kind->peer, kind->own, kind->group};
    struct iovec iov = {bytes, kind->size};
    struct stack_datagram *datagram;
    unsigned received = 0;

    stack_setup_both();
    armed = true;
    datagram = stack_datagram_open(kind->kind, kind->family, kind->protocol, &datagram_events, &received);
    if (datagram == NULL)
        return;
    if (stack_datagram_bind(datagram, &any) == 0) {
        memberships(datagram);
        for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
            struct stack_datagram_info info = {.peer = any_address_of(to[i], DATAGRAM_PORT), .ttl = -1, .tos = -1};

            (void)stack_datagram_send(datagram, &info, &iov, 1, kind->size);
            stack_turn();
        }
        peer_udp(kind->peer, 4000, kind->own, DATAGRAM_PORT, bytes, 1000);
        fragments_from_peer();
        stack_advance(ROUND_MS);
    }
    wire_drop_all();
    stack_datagram_close(datagram);
    stack_advance(60000); /* fragments that never came whole */
}

START_TEST(datagrams_of_each_kind)
{
    kind = &kinds[_i];
    fail_each(datagrams);
}
END_TEST

/* ---- The stack itself, and its state on the way to another process ---- */

static void opening(void)
{
    const struct stack_prefix own[] = {{address_of(STACK_IP, 0), 24}, {address_of(STACK_IP6, 0), 64}};
    const struct stack_route gateways[] = {{.via = address_of("10.1.0.254", 0)},
                                           {.to.address.sa.sa_family = AF_INET6, .via = address_of("fd00:1::fe", 0)}};
    int error;

    armed = true;
    error = stack_try_config((struct stack_config){.addresses = own, .address_count = 2, .routes = gateways, .route_count = 2,
                                                   .dhcp = true, .slaac = true, .hostname = "tester"});
    ck_assert(error == 0 || error == -ENOMEM);
    if (error == 0)
        stack_advance(5000);
    wire_drop_all();
}

START_TEST(a_stack_that_opens)
{
    fail_each(opening);
}
END_TEST

/* Give the sockets to another stack. Return: false: there was no memory to write it down, or to read it. */
static bool hand_over(struct stream *stream, struct stack_datagram *datagram, unsigned *received)
{
    const struct stack_prefix own = {address_of(STACK_IP, 0), 24};
    struct stack_datagram *other = NULL;
    struct archive written, read;
    uint8_t *bytes;
    uint32_t number;
    bool good;

    archive_write_begin(&written);
    stack_handover(&written);
    stack_handover_datagram(&written, datagram);
    number = stack_handover_number(stream->told.tcp);
    if (written.error != 0) {
        ck_assert_int_eq(written.error, -ENOMEM);
        archive_release(&written);
        return false;
    }
    bytes = __real_malloc(written.length);
    memcpy(bytes, written.bytes, written.length);
    archive_read_begin(&read, bytes, written.length, NULL, 0);
    archive_release(&written);
    stack_datagram_close(datagram);
    wire_drop_all();
    stack_teardown();
    ck_assert_int_eq(stack_try_config((struct stack_config){.addresses = &own, .address_count = 1, .resumes = true}), 0);
    stack_handover(&read);
    other = stack_datagram_open(STACK_DATAGRAM_UDP, AF_INET, 0, &datagram_events, received);
    if (other != NULL)
        stack_handover_datagram(&read, other);
    good = read.error == 0 && other != NULL;
    ck_assert(read.error == 0 || fails_at == 0);
    stream->told.tcp = read.error == 0 ? stack_handover_find(number) : NULL;
    if (stream->told.tcp != NULL)
        stack_tcp_adopt(stream->told.tcp, &told_events, &stream->told);
    stack_handover_end();
    archive_release(&read);
    free(bytes);
    if (other != NULL)
        stack_datagram_close(other);
    return good;
}

/* With data that is on its way, that waits, that nobody read, that came out of order; a group with a source. */
static void handing_over(void)
{
    static struct stream stream;
    union stack_address group = address_of("224.1.2.3", 0), source = address_of(PEER_IP, 0), any = address_of("0.0.0.0", 53);
    struct stack_datagram *datagram;
    unsigned received = 0;

    stream = (struct stream){.size = STREAM};
    peer_begin();
    stack_setup(0);
    connect_to_peer(&stream.told, &peer);
    first = peer.expected;
    answer_first = peer.sequence;
    stream_send(&stream);
    stack_turn();
    wire_drop_all();
    datagram = stack_datagram_open(STACK_DATAGRAM_UDP, AF_INET, 0, &datagram_events, &received);
    ck_assert_int_eq(stack_datagram_bind(datagram, &any), 0);
    ck_assert_int_eq(stack_datagram_membership(datagram, STACK_JOIN_SOURCE, 2, &group, &source), 0);
    peer_say(&peer, TH_ACK | TH_PUSH, "unread", 6);
    peer.sequence += 1000;
    peer_say(&peer, TH_ACK | TH_PUSH, "out of order", 12);
    armed = true;
    if (hand_over(&stream, datagram, &received)) {
        ck_assert(stream.told.tcp != NULL);
        stack_resume();
        peer_resolve();
        stack_advance(1000);
        ck_assert(stream.told.failed > 0 || stack_tcp_receive_queued(stream.told.tcp) == 6);
    }
    wire_drop_all();
    if (stream.told.tcp != NULL)
        stack_tcp_abort(stream.told.tcp);
}

START_TEST(a_handover)
{
    fail_each(handing_over);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack_short");
    TCase *tcase = tcase_create("each allocation fails");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_stream_over_loopback);
    tcase_add_test(tcase, a_stream_to_a_peer);
    tcase_add_loop_test(tcase, a_stream_from_a_peer, 0, 2);
    tcase_add_loop_test(tcase, datagrams_of_each_kind, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(tcase, a_stack_that_opens);
    tcase_add_test(tcase, a_handover);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
