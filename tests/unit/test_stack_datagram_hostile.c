/*
 * test_stack_datagram_hostile.c - mangled frames for datagram sockets of all kinds: nothing breaks, nothing leaks.
 *
 * Sound frames are taken as patterns; a few of their bytes are changed, they are cut or lengthened, and often their
 * checksums put right again, so that the change gets past the first look. What is drawn is the same in every run.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/bytes.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define FRAME_MAX 2048
#define ETHERNET_SIZE 14
#define ROUNDS 30000

static struct heard sockets[12];
static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(random_state >> 33) % below;
}

static void setup(void)
{
    static const struct {
        enum stack_datagram_kind kind;
        int family, protocol;
    } kinds[] = {{STACK_DATAGRAM_UDP, AF_INET, 0},     {STACK_DATAGRAM_UDP, AF_INET6, 0},
                 {STACK_DATAGRAM_UDP, AF_INET, 0},     {STACK_DATAGRAM_UDP, AF_INET6, 0},
                 {STACK_DATAGRAM_PING, AF_INET, 0},    {STACK_DATAGRAM_PING, AF_INET6, 0},
                 {STACK_DATAGRAM_RAW, AF_INET, 1},     {STACK_DATAGRAM_RAW, AF_INET6, 58},
                 {STACK_DATAGRAM_RAW, AF_INET, 17},    {STACK_DATAGRAM_RAW, AF_INET6, 89},
                 {STACK_DATAGRAM_UDP_LITE, AF_INET, 0}, {STACK_DATAGRAM_UDP_LITE, AF_INET6, 0}};
    static const char *const any[] = {"0.0.0.0", "::"};

    stack_setup_both();
    random_state = 1;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        union stack_address address = any_address_of(any[i % 2], 9);
        union stack_address group = any_address_of(i % 2 == 0 ? "224.1.2.3" : "ff02::1:3", 0);

        heard_open(&sockets[i], kinds[i].kind, kinds[i].family, kinds[i].protocol);
        heard_set(&sockets[i], STACK_DATAGRAM_REUSEADDR, 1);
        heard_set(&sockets[i], STACK_DATAGRAM_V6ONLY, 1);
        heard_set(&sockets[i], STACK_DATAGRAM_RECEIVE_ERRORS, 1);
        if (kinds[i].kind != STACK_DATAGRAM_RAW)
            ck_assert_int_eq(stack_datagram_bind(sockets[i].datagram, &address), 0);
        ck_assert_int_eq(stack_datagram_membership(sockets[i].datagram, STACK_JOIN, 2, &group, NULL), 0);
    }
    ck_assert_int_eq(heard_connect(&sockets[2], PEER_IP, 9), 0);
    ck_assert_int_eq(heard_connect(&sockets[3], PEER_IP6, 9), 0);
    heard_set(&sockets[9], STACK_DATAGRAM_CHECKSUM, 2);
    stack_turn();
    wire_drop_all();
}

static void teardown(void)
{
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++)
        heard_close(&sockets[i]);
    stack_teardown();
}

/* Put the checksums of a frame right, as far as it has any. */
static void put_sums(uint8_t *frame, size_t size)
{
    uint8_t *ip = frame + ETHERNET_SIZE;
    size_t left = size - ETHERNET_SIZE, at = 40;
    uint8_t protocol;
    uint32_t sum;

    if (frame[12] == 8 && left >= 20) {
        at = (size_t)(ip[0] & 15) * 4;
        if (at < 20 || at > left)
            return;
        checksum_put(ip, at, 10);
        protocol = ip[9];
        sum = checksum_add(protocol + (uint32_t)(left - at), ip + 12, 8);
    } else if (left >= 40) {
        protocol = ip[6];
        sum = checksum_add(protocol + (uint32_t)(left - at), ip + 8, 32);
    } else {
        return;
    }
    if (protocol == IPPROTO_UDP && left >= at + 8) {
        write_16(ip + at + 6, 0);
        write_16(ip + at + 6, ~checksum_add(sum, ip + at, left - at) & 0xffff);
    } else if (protocol == IPPROTO_UDPLITE && left >= at + 8) {
        size_t covered = (size_t)ip[at + 4] << 8 | ip[at + 5];

        write_16(ip + at + 6, 0);
        write_16(ip + at + 6, ~checksum_add(sum, ip + at, covered == 0 || covered > left - at ? left - at : covered) & 0xffff);
    } else if ((protocol == IPPROTO_ICMP || protocol == IPPROTO_IGMP || protocol == IPPROTO_ICMPV6) && left >= at + 8) {
        write_16(ip + at + 2, 0);
        write_16(ip + at + 2, ~checksum_add(protocol == IPPROTO_ICMPV6 ? sum : 0, ip + at, left - at) & 0xffff);
    }
}

/* A frame of the peer's around a payload. Return: its size. */
static size_t make_frame(uint8_t *frame, bool is_ip6, bool to_group, uint8_t protocol, const uint8_t *payload, size_t size)
{
    static const uint8_t macs[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
    uint8_t *ip = frame + ETHERNET_SIZE;
    size_t ip_size = is_ip6 ? 40 : 20;

    memset(frame, 0, ETHERNET_SIZE + 40);
    memcpy(frame, macs, sizeof macs);
    if (to_group)
        memcpy(frame, is_ip6 ? (uint8_t[]){0x33, 0x33, 0, 1, 0, 3} : (uint8_t[]){1, 0, 0x5e, 1, 2, 3}, 6);
    write_16(frame + 12, is_ip6 ? 0x86dd : 0x800);
    if (is_ip6) {
        ip[0] = 0x60;
        write_16(ip + 4, size);
        ip[6] = protocol;
        ip[7] = protocol == IPPROTO_ICMPV6 ? 255 : 64;
        inet_pton(AF_INET6, PEER_IP6, ip + 8);
        inet_pton(AF_INET6, to_group ? "ff02::1:3" : STACK_IP6, ip + 24);
    } else {
        ip[0] = 0x45;
        write_16(ip + 2, 20 + size);
        ip[8] = 64;
        ip[9] = protocol;
        inet_pton(AF_INET, PEER_IP, ip + 12);
        inet_pton(AF_INET, to_group ? "224.1.2.3" : STACK_IP, ip + 16);
    }
    memcpy(ip + ip_size, payload, size);
    put_sums(frame, ETHERNET_SIZE + ip_size + size);
    return ETHERNET_SIZE + ip_size + size;
}

/* A packet of ours, as an ICMP message quotes it. Return: its size. */
static size_t make_quoted(uint8_t *ip, bool is_ip6, uint8_t protocol)
{
    static const uint8_t transport[12] = {0, 9, 0, 9, 0, 12, 0, 0, 'd', 'a', 't', 'a'};
    uint8_t frame[ETHERNET_SIZE + 40 + sizeof transport];
    size_t size = make_frame(frame, is_ip6, false, protocol, transport, sizeof transport) - ETHERNET_SIZE;

    memcpy(ip, frame + ETHERNET_SIZE, size);
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        ip[size - sizeof transport] = is_ip6 ? ICMP6_ECHO_REQUEST : 8;
        write_16(ip + size - sizeof transport + 4, 9);
    }
    if (is_ip6) {
        inet_pton(AF_INET6, STACK_IP6, ip + 8);
        inet_pton(AF_INET6, PEER_IP6, ip + 24);
    } else {
        inet_pton(AF_INET, STACK_IP, ip + 12);
        inet_pton(AF_INET, PEER_IP, ip + 16);
    }
    return size;
}

/* One of the patterns. Return: its size. */
static size_t make_pattern(uint8_t *frame)
{
    static const uint8_t errors[] = {3, 11, 12}, errors6[] = {1, 2, 3, 4}, protocols[] = {17, 1, 89, 136}, protocols6[] = {17, 58, 89, 136};
    uint8_t payload[FRAME_MAX] = {0};
    bool is_ip6 = draw(2) == 0;
    size_t size = 8 + draw(40);

    switch (draw(8)) {
    case 6: /* one of UDP-Lite */
        payload[1] = payload[3] = 9;
        write_16(payload + 4, draw(2) == 0 ? size : draw((unsigned)size + 2));
        return make_frame(frame, is_ip6, draw(3) == 0, IPPROTO_UDPLITE, payload, size);
    case 0: /* a datagram */
        payload[1] = payload[3] = 9;
        write_16(payload + 4, size);
        return make_frame(frame, is_ip6, draw(3) == 0, IPPROTO_UDP, payload, size);
    case 1: /* an error */
    case 2:
        payload[0] = is_ip6 ? errors6[draw(4)] : errors[draw(3)];
        payload[1] = (uint8_t)draw(6);
        payload[6] = (uint8_t)draw(6);
        payload[7] = (uint8_t)draw(256);
        size = 8 + make_quoted(payload + 8, is_ip6, is_ip6 ? protocols6[draw(4)] : protocols[draw(4)]);
        return make_frame(frame, is_ip6, false, is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, payload, size);
    case 3: /* an echo, or its reply */
        payload[0] = is_ip6 ? (uint8_t)(128 + draw(2)) : (uint8_t)(8 * draw(2));
        payload[5] = 9;
        return make_frame(frame, is_ip6, false, is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, payload, size);
    case 4: /* a fragment */
        size = 8 + draw(8) * 8;
        if (is_ip6) {
            payload[0] = IPPROTO_UDP;
            write_16(payload + 2, draw(16) * 8 | draw(2));
            payload[7] = (uint8_t)draw(4);
            return make_frame(frame, true, false, IPPROTO_FRAGMENT, payload, size + 8);
        }
        size = make_frame(frame, false, false, IPPROTO_UDP, payload, size);
        write_16(frame + ETHERNET_SIZE + 4, draw(4));
        write_16(frame + ETHERNET_SIZE + 6, draw(16) | draw(2) << 13);
        put_sums(frame, size);
        return size;
    case 5: /* a router asks for groups */
        payload[0] = is_ip6 ? 130 : 0x11;
        payload[1] = 10;
        return make_frame(frame, is_ip6, true, is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_IGMP, payload, is_ip6 ? 24 : 8);
    default: /* extension headers, or another protocol */
        payload[0] = (uint8_t[]){0, 17, 43, 44, 58, 60, 89}[draw(7)];
        payload[1] = (uint8_t)draw(4);
        for (size_t i = 2; i < size; i++)
            payload[i] = (uint8_t)draw(256);
        return make_frame(frame, is_ip6, false, (uint8_t[]){0, 43, 60, 89}[is_ip6 ? draw(4) : 3], payload, size);
    }
}

/* Change a frame. Return: its size now. */
static size_t mangle(uint8_t *frame, size_t size)
{
    for (unsigned i = draw(4); i > 0; i--)
        frame[ETHERNET_SIZE + draw((unsigned)(size - ETHERNET_SIZE))] = (uint8_t)(draw(2) == 0 ? draw(256) : draw(4) * 85);
    if (draw(6) == 0)
        size = ETHERNET_SIZE + draw((unsigned)(size - ETHERNET_SIZE + 1));
    else if (draw(6) == 0) {
        size_t more = draw(64);

        memset(frame + size, (int)draw(256), more);
        size += more;
    }
    if (draw(3) == 0 && size >= ETHERNET_SIZE + 40)
        write_16(frame + ETHERNET_SIZE + (frame[12] == 8 ? 2 : 4), size - ETHERNET_SIZE - (frame[12] == 8 ? 0 : 40));
    if (draw(4) != 0)
        put_sums(frame, size);
    return size;
}

START_TEST(mangled_frames_do_no_harm)
{
    static const char *const peers[] = {PEER_IP, PEER_IP6}, *const own[] = {STACK_IP, STACK_IP6};
    uint8_t frame[FRAME_MAX];
    unsigned heard = 0, failed = 0;

    for (int i = 0; i < ROUNDS; i++) {
        size_t size = make_pattern(frame);

        if (draw(8) != 0)
            size = mangle(frame, size);
        wire_put(NULL, frame, size);
        stack_turn();
        wire_drop_all();
        if (i % 500 == 0)
            stack_advance(1000);
    }
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        heard += sockets[i].received;
        failed += sockets[i].failed;
    }
    ck_assert_uint_gt(heard, ROUNDS / 10); /* it was no waste of time */
    ck_assert_uint_gt(failed, ROUNDS / 100);
    stack_advance(70000);
    wire_drop_all();
    for (int i = 0; i < 2; i++) {
        unsigned before = sockets[i].received;

        peer_udp(peers[i], 77, own[i], 9, "still there", 11);
        ck_assert_uint_eq(sockets[i].received, before + 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("datagram hostile");
    TCase *tcase = tcase_create("datagram hostile");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, mangled_frames_do_no_harm);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
