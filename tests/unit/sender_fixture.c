/* sender_fixture.c - a connection whose sender is looked at. */
#include "datagram_fixture.h"
#include "sender_fixture.h"
#include "stack/tcp/tcp_pace.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct told sender_told;
struct peer sender_peer;
uint32_t sender_start;
static bool stamped;
static uint32_t peer_ms; /* its timestamp */
static uint8_t data[2 * 1024 * 1024];
static uint32_t first_sequence, written; /* where the data began; bytes */

/* What the receiver has. */
static bool came[8 * 1024 * 1024];
static uint32_t came_next, came_end; /* all before; nothing from here on */

/* Where the timestamp is in a segment. */
static const uint8_t *find_stamp(const struct segment *segment)
{
    size_t at = 0;

    while (at < segment->option_size && segment->options[at] != 8)
        at += segment->options[at] == 1 ? 1 : segment->options[at + 1];
    ck_assert_uint_lt(at, segment->option_size);
    return segment->options + at + 2;
}

void sender_connect(const struct sender_options *options)
{
    bool is_v6 = options->family == AF_INET6;
    union stack_address address = address_of(is_v6 ? PEER_IP6 : PEER_IP, 80);
    struct segment syn;
    struct segment answer = {.family = options->family, .source_port = 80, .sequence = 1000,
                             .flags = TH_SYN | TH_ACK | options->flags, .window = 0xffff,
                             .options = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 7, 4, 2, 1, 1},
                             .option_size = options->no_sack ? 8 : 12};

    tcp_pace_wanted = options->paced;
    memset(&sender_told, 0, sizeof sender_told);
    memset(came, 0, came_end);
    came_next = came_end = 0;
    if (is_v6)
        peer_resolve6(PEER_IP6);
    else
        peer_resolve();
    wire_drop_all();
    sender_told.tcp = stack_tcp_open(is_v6 ? AF_INET6 : AF_INET, &told_events, &sender_told);
    ck_assert_int_eq(stack_tcp_connect(sender_told.tcp, &address), 0);
    stack_turn();
    syn = peer_take();
    if (options->syn != NULL)
        *options->syn = syn;
    stamped = options->stamped;
    peer_ms = 1;
    if (stamped) {
        memcpy(answer.options + 12, (uint8_t[]){8, 10, 0, 0, 0, 1}, 6);
        memcpy(answer.options + 18, find_stamp(&syn), 4);
        memcpy(answer.options + 22, (uint8_t[]){1, 1}, 2);
        answer.option_size = 24;
    }
    stack_advance(RTT_MS);
    sender_start = first_sequence = syn.sequence + 1;
    written = 0;
    sender_peer = (struct peer){.family = options->family, .port = 80, .stack_port = syn.source_port, .sequence = 1001,
                                .expected = sender_start, .window = 0xffff};
    answer.port = sender_peer.stack_port;
    answer.acknowledgement = sender_start;
    peer_send(&answer);
    ck_assert_uint_eq(sender_told.connected, 1);
    if (stamped)
        sender_acknowledge(0, NULL, 0, (uint32_t)(stack_time_us() / 1000));
    else
        peer_say(&sender_peer, TH_ACK, NULL, 0); /* a window that is scaled */
    wire_drop_all();
}

void sender_setup(void)
{
    stack_setup_plain();
    sender_connect(&(struct sender_options){0});
}

void sender_setup_without_sack(void)
{
    stack_setup_plain();
    sender_connect(&(struct sender_options){.no_sack = true});
}

struct tcp_info sender_info(void)
{
    struct tcp_info info;

    stack_tcp_get_info(sender_told.tcp, &info);
    return info;
}

void sender_acknowledge(uint32_t end, const struct range *ranges, int count, uint32_t echo_ms)
{
    struct segment segment = {.family = sender_peer.family, .source_port = 80, .port = sender_peer.stack_port,
                              .sequence = sender_peer.sequence, .acknowledgement = sender_start + end, .flags = TH_ACK,
                              .window = 0xffff};
    uint8_t *at = segment.options;

    if (stamped) {
        uint32_t stamps[2] = {htonl(++peer_ms), htonl(echo_ms)};

        memcpy(at, (uint8_t[]){1, 1, 8, 10}, 4);
        memcpy(at + 4, stamps, 8);
        at += 12;
    }
    if (count > 0) {
        memcpy(at, (uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * count)}, 4);
        at += 4;
    }
    for (int i = 0; i < count; i++) {
        uint32_t edges[2] = {htonl(sender_start + ranges[i].first), htonl(sender_start + ranges[i].end)};

        memcpy(at, edges, 8);
        at += 8;
    }
    segment.option_size = (size_t)(at - segment.options);
    peer_send(&segment);
}

void sender_answer(unsigned segments, struct range a, struct range b, struct range c)
{
    struct range ranges[] = {a, b, c};
    int count = 0;

    for (; count < 3 && ranges[count].end != 0; count++) {
        ranges[count].first *= MSS;
        ranges[count].end *= MSS;
    }
    sender_acknowledge(segments * MSS, ranges, count, 0);
}

/* Take a segment of data. Return: its number. */
unsigned sender_take(void)
{
    struct segment segment = peer_take();
    uint32_t offset = segment.sequence - sender_start;

    ck_assert(segment.checksum_good);
    ck_assert_uint_eq(offset % MSS, 0);
    ck_assert_uint_gt(segment.size, 0);
    for (size_t i = 0; i < segment.size; i++)
        ck_assert_uint_eq(((const uint8_t *)segment.data)[i], pattern_byte(offset + i));
    return offset / MSS;
}

/* A frame that is no segment: somebody asks for the peer's Ethernet address. Return: whether it is one. */
static bool answer_neighbour(const struct frame *frame)
{
    const uint8_t *bytes = frame->bytes;

    if (bytes[12] == 8 && bytes[13] == 6)
        peer_resolve();
    else if (bytes[12] == 0x86 && bytes[20] != 6)
        peer_advertise6(PEER_IP6);
    else
        return false;
    return true;
}

void sender_receive(struct sender_network network)
{
    struct range ranges[3];
    int used = 0;
    bool any = false;

    while (wire_count() > 0) {
        struct segment segment;
        uint32_t at;

        if (answer_neighbour(wire_look())) {
            wire_take();
            continue;
        }
        segment = peer_take();
        at = segment.sequence - sender_start;
        any = true;
        ck_assert(segment.checksum_good);
        ck_assert_uint_le(at + segment.size, sizeof came);
        for (size_t i = 0; i < segment.size; i++)
            ck_assert_uint_eq(((const uint8_t *)segment.data)[i], pattern_byte(at + i));
        if (rand() % 100 < network.loss || (network.mtu != 0 && segment.packet_size > network.mtu))
            continue;
        memset(came + at, 1, segment.size);
        if (at + segment.size > came_end)
            came_end = (uint32_t)(at + segment.size);
    }
    if (!any)
        return;
    while (came_next < came_end && came[came_next])
        came_next++;
    for (uint32_t i = came_next; i < came_end && used < 3; i++) {
        if (!came[i])
            continue;
        ranges[used].first = i;
        while (i < came_end && came[i])
            i++;
        ranges[used++].end = i;
    }
    if (rand() % 100 >= network.loss)
        sender_acknowledge(came_next, ranges, used, 0);
}

size_t sender_received(void)
{
    return came_next;
}

void sender_expect(unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++)
        ck_assert_uint_eq(sender_take(), i);
}

void sender_expect_nothing(void)
{
    stack_turn();
    ck_assert_uint_eq(wire_count(), 0);
}

void sender_write(unsigned segments)
{
    size_t size = (size_t)segments * MSS;

    ck_assert_uint_le(size, sizeof data);
    pattern_fill(data, first_sequence + written - sender_start, size);
    stack_tcp_set_option(sender_told.tcp, STACK_TCP_SEND_BUFFER, 4 * 1024 * 1024);
    send_bytes(sender_told.tcp, data, size);
    written += (uint32_t)size;
    stack_turn();
}

unsigned sender_wait(unsigned limit_ms)
{
    unsigned waited_ms = 0;

    while (wire_count() == 0 && waited_ms < limit_ms) {
        stack_advance(1);
        waited_ms++;
    }
    return waited_ms;
}
