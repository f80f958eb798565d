/* test_stack_hostile.c - frames that mean harm: whatever comes, the stack goes on, and holds on to nothing. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

static uint64_t random_state;
static unsigned rounds = 400; /* STACK_HOSTILE_ROUNDS in the environment: longer */
static uint8_t data[65536];

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % below;
}

/* A number that is near what the stack expects, or not. */
static uint32_t near(uint32_t sequence)
{
    static const int32_t steps[] = {0, 1, -1, 100, -100, 1460, 65535, -65535, 4 << 20, INT32_MAX, INT32_MIN};

    return draw(3) == 0 ? sequence : sequence + (uint32_t)steps[draw(sizeof steps / sizeof *steps)] + draw(3);
}

/* One segment, partly well-formed, on a connection or beside it. */
static void send_segment(struct peer *peer, uint16_t listening_port)
{
    static const uint8_t odd_flags[] = {TH_SYN, TH_SYN | TH_ACK, TH_FIN | TH_ACK, TH_RST, TH_RST | TH_ACK, 0, 0xff,
                                        TH_SYN | TH_FIN, TH_URG | TH_ACK};
    struct segment segment = {.source_port = (uint16_t)(draw(20) == 0 ? draw(65536) : peer->port),
                              .port = draw(8) == 0 ? listening_port : peer->stack_port,
                              .sequence = near(peer->sequence),
                              .acknowledgement = near(peer->expected),
                              .flags = draw(30) == 0 ? odd_flags[draw(sizeof odd_flags)] : TH_ACK, /* RST ends it */
                              .window = (uint16_t)(draw(3) == 0 ? draw(65536) : draw(3)),
                              .data = data,
                              .size = draw(3) == 0 ? 0 : draw(10) == 0 ? draw(65400) : draw(3000)};

    segment.option_size = draw(4) == 0 ? draw(41) : 0;
    for (size_t i = 0; i < segment.option_size; i++)
        segment.options[i] = (uint8_t)(draw(2) == 0 ? draw(6) : draw(256));
    segment.header.flags = (uint8_t)(draw(4) == 0 ? 0 : VIRTIO_NET_HDR_F_DATA_VALID);
    if (draw(10) == 0) {
        segment.header.gso_type = (uint8_t)draw(6);
        segment.header.gso_size = (uint16_t)draw(3000);
    }
    peer_send(&segment);
    if (draw(2) == 0 && (int32_t)(segment.sequence - peer->sequence) <= 0)
        peer->sequence = segment.sequence + (uint32_t)segment.size;
}

/* Bytes that look like a frame at first sight. */
static void send_garbage(void)
{
    uint8_t frame[2000] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
    struct virtio_net_hdr header = {.flags = (uint8_t)draw(4), .gso_type = (uint8_t)draw(8),
                                    .gso_size = (uint16_t)draw(2000), .csum_start = (uint16_t)draw(200),
                                    .csum_offset = (uint16_t)draw(50)};
    size_t size = draw(3) == 0 ? draw(60) + 1 : draw(sizeof frame - 1) + 1;

    for (size_t i = 15; i < size; i++)
        frame[i] = (uint8_t)draw(256);
    if (draw(4) == 0) {
        frame[13] = 6; /* ARP */
        memcpy(frame + 14, "\0\1\10\0\6\4\0\1", 8);
        if (draw(2) == 0)
            inet_pton(AF_INET, STACK_IP, frame + 38);
    } else {
        if (draw(3) == 0)
            frame[14] = (uint8_t)(0x40 + draw(16));
        frame[16] = (uint8_t)((size - 14) >> 8);
        frame[17] = (uint8_t)(size - 14 + draw(3) - 1);
        frame[20] = (uint8_t)(draw(3) == 0 ? 0x20 : 0); /* a fragment */
        frame[21] = (uint8_t)(draw(3) == 0 ? draw(4) * 16 : 0);
        frame[23] = draw(2) == 0 ? 6 : (uint8_t)draw(20);
        inet_pton(AF_INET, PEER_IP, frame + 26);
        inet_pton(AF_INET, STACK_IP, frame + 30);
        checksum_put(frame + 14, (size_t)(frame[14] & 15) * 4, 10);
    }
    wire_put(&header, frame, size);
    stack_turn();
}

/* Did the owner end its socket inside a callback? */
static bool has_let_go(const struct told *told)
{
    return told->received > 0 && (told->close_received || told->abort_received);
}

START_TEST(whatever_comes_the_stack_goes_on)
{
    struct told listener = {.refuse = true}, told = {0};
    struct peer peer;
    struct stack_counters counters;
    union stack_address address = address_of("0.0.0.0", 7);

    random_state = 0x9e3779b97f4a7c15ull + (uint64_t)_i * 7919;
    told.close_received = draw(8) == 0;
    told.abort_received = draw(8) == 0;
    connect_to_peer(&told, &peer);
    listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
    for (unsigned round = 0; round < rounds; round++) {
        if (draw(4) == 0)
            send_garbage();
        else
            send_segment(&peer, 7);
        if (!has_let_go(&told) && draw(3) == 0 && stack_tcp_send_room(told.tcp) > 5000)
            send_bytes(told.tcp, data, draw(5000) + 1);
        if (!has_let_go(&told) && draw(5) == 0)
            stack_tcp_receive_consume(told.tcp, draw(100000));
        if (draw(6) == 0)
            stack_advance(draw(1000));
        while (wire_count() > 0) {
            const struct frame *frame = wire_take();

            if (draw(2) == 0 && frame->size >= 54 && frame->bytes[12] == 8 && frame->bytes[13] == 0)
                peer.expected = (uint32_t)frame->bytes[38] << 24 | (uint32_t)frame->bytes[39] << 16 |
                                (uint32_t)frame->bytes[40] << 8 | frame->bytes[41];
        }
        stack_get_counters(&counters);
        ck_assert_uint_le(counters.receive_bytes, 32u << 20);
        ck_assert_uint_le(counters.sockets, 1100);
    }
    if (!has_let_go(&told))
        stack_tcp_close(told.tcp);
    stack_tcp_close(listener.tcp);
    for (int i = 0; i < 1000; i++) {
        stack_advance(1000);
        wire_drop_all();
    }
    stack_get_counters(&counters);
    ck_assert_uint_eq(counters.sockets, 0);
}
END_TEST

/* The last byte of the header begins an option that has no length any more; behind it there is nothing. */
START_TEST(an_option_without_a_length_ends_the_options)
{
    static const uint8_t kinds[] = {2, 3, 4, 5, 8, 30, 255};
    struct told listener = {.refuse = true}, told = {0};
    struct peer peer;
    union stack_address address = address_of("0.0.0.0", 7);

    connect_to_peer(&told, &peer);
    listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
    ck_assert_int_eq(stack_tcp_bind(listener.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct segment segment = {.source_port = (uint16_t)(50000 + i), .port = 7, .flags = TH_SYN, .window = 1000,
                                  .options = {1, 1, 1, kinds[i]}, .option_size = 4};

        wire_drop_all();
        peer_send(&segment);
        ck_assert_uint_eq(peer_take().flags, TH_SYN | TH_ACK);
        segment.source_port = peer.port;
        segment.port = peer.stack_port;
        segment.sequence = peer.sequence;
        segment.acknowledgement = peer.expected;
        segment.flags = TH_ACK;
        peer_send(&segment);
    }
    ck_assert_uint_eq(told.failed, 0);
    stack_tcp_close(told.tcp);
    stack_tcp_close(listener.tcp);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack hostile");
    TCase *tcase = tcase_create("hostile");
    const char *text = getenv("STACK_HOSTILE_ROUNDS");

    if (text != NULL)
        rounds = (unsigned)atoi(text);
    tcase_set_timeout(tcase, 300);
    tcase_add_checked_fixture(tcase, stack_setup_offload, stack_teardown);
    tcase_add_test(tcase, an_option_without_a_length_ends_the_options);
    tcase_add_loop_test(tcase, whatever_comes_the_stack_goes_on, 0, 40);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
