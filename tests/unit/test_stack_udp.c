/* test_stack_udp.c - UDP sockets on IPv4: who hears what, what is sent, and what hostile frames do. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "datagram_fixture.h"
#include "stack/wire/wire.h"

static struct heard one, two, three;

static void setup(void)
{
    stack_setup_plain();
    peer_resolve();
}

static void setup_offload(void)
{
    stack_setup_offload();
    peer_resolve();
}

static void teardown(void)
{
    struct stack_counters counters;

    heard_close(&one);
    heard_close(&two);
    heard_close(&three);
    stack_get_counters(&counters);
    ck_assert_uint_eq(counters.datagram_sockets, 0);
    stack_teardown();
}

static struct stack_counters counters_now(void)
{
    struct stack_counters counters;

    stack_get_counters(&counters);
    return counters;
}

static int bind_to(struct heard *heard, const char *ip, uint16_t port)
{
    union stack_address address = any_address_of(ip, port);

    return stack_datagram_bind(heard->datagram, &address);
}

static void set(struct heard *heard, enum stack_datagram_option option, int value)
{
    ck_assert_int_eq(stack_datagram_set_option(heard->datagram, option, value), 0);
}

static void open_udp(struct heard *heard)
{
    heard_open(heard, STACK_DATAGRAM_UDP, AF_INET, 0);
}

static bool is_address(const union stack_address *address, const char *ip, uint16_t port)
{
    union stack_address expected = any_address_of(ip, port);

    return memcmp(address, &expected, sizeof expected) == 0;
}

START_TEST(datagram_arrives_with_all_about_it)
{
    heard_open_udp(&one, "0.0.0.0", 53);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, 5);
    ck_assert_mem_eq(one.bytes, "query", 5);
    ck_assert(is_address(&one.info.peer, PEER_IP, 4000));
    ck_assert(is_address(&one.info.local, STACK_IP, 53));
    ck_assert_uint_eq(one.info.interface, 2);
    ck_assert_int_eq(one.info.ttl, 64);
    ck_assert_int_eq(one.info.tos, 0);
    ck_assert_uint_gt(one.info.received_ns, 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "", 0);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(one.length, 0);
    ck_assert_uint_eq(counters_now().datagrams_in, 2);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(datagram_leaves_with_a_good_header)
{
    struct packet packet;

    heard_open_udp(&one, "0.0.0.0", 53);
    set(&one, STACK_DATAGRAM_TTL, 9);
    set(&one, STACK_DATAGRAM_TOS, 0x10);
    for (size_t size = 0; size < 3; size++) {
        ck_assert_int_eq(heard_send(&one, PEER_IP, 4000, "ab", size), 0);
        packet = packet_take();
        ck_assert(is_address(&packet.from, STACK_IP, 53));
        ck_assert(is_address(&packet.to, PEER_IP, 4000));
        ck_assert_uint_eq(packet.ttl, 9);
        ck_assert_uint_eq(packet.tos, 0x10);
        ck_assert(packet.dont_fragment);
        ck_assert(packet.checksum_good);
        ck_assert_uint_eq(packet.size, 8 + size);
        ck_assert_mem_eq(packet.data + 8, "ab", size);
    }
    set(&one, STACK_DATAGRAM_NO_CHECK, 1);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 4000, "ab", 2), 0);
    packet = packet_take();
    ck_assert_uint_eq(packet.data[6] | packet.data[7], 0);
    ck_assert_uint_eq(counters_now().datagrams_out, 4);
}
END_TEST

START_TEST(datagram_waits_for_the_neighbour)
{
    struct packet packet;

    heard_open_udp(&one, "0.0.0.0", 0);
    ck_assert_int_eq(heard_send(&one, "10.1.0.77", 9, "ab", 2), 0);
    ck_assert_int_eq(heard_send(&one, "10.1.0.77", 9, "", 0), 0);
    ck_assert_uint_eq(wire_count(), 1); /* ARP */
    wire_drop_all();
    {
        uint8_t arp[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2,
                           2, 0, 0, 0, 0, 1, 10, 1, 0, 77, 2, 0, 0, 0, 0, 2, 10, 1, 0, 2};

        wire_put(NULL, arp, sizeof arp);
        stack_turn();
    }
    packet = packet_take();
    ck_assert(packet.checksum_good);
    ck_assert_uint_eq(packet.size, 10);
    ck_assert(packet_take().checksum_good);
}
END_TEST

START_TEST(nobody_there_is_answered)
{
    struct packet packet;

    peer_udp(PEER_IP, 4000, STACK_IP, 53, "query", 5);
    packet = packet_take();
    ck_assert_uint_eq(packet.protocol, IPPROTO_ICMP);
    ck_assert_uint_eq(packet.data[0], 3);
    ck_assert_uint_eq(packet.data[1], 3);
    ck_assert_uint_eq(packet.size, 8 + 20 + 8 + 5);
    ck_assert_mem_eq(packet.data + 36, "query", 5);
    ck_assert_uint_eq(packet.tos, 0xc0);
    ck_assert_uint_eq(counters_now().datagrams_no_port, 1);
    {
        static const uint8_t bytes[1400];

        peer_udp(PEER_IP, 4000, STACK_IP, 53, bytes, sizeof bytes);
        ck_assert_uint_eq(packet_take().size, 576 - 20);
    }
    peer_udp(PEER_IP, 4000, "10.1.0.255", 53, "query", 5);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(connected_socket_hears_its_peer_alone)
{
    heard_open_udp(&one, "0.0.0.0", 53);
    open_udp(&two);
    set(&one, STACK_DATAGRAM_REUSEADDR, 1);
    set(&two, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(bind_to(&two, "0.0.0.0", 53), 0);
    ck_assert_int_eq(heard_connect(&two, PEER_IP, 4000), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(two.received, 1);
    peer_udp(PEER_IP, 4001, STACK_IP, 53, "b", 1);
    peer_udp("10.1.0.7", 4000, STACK_IP, 53, "b", 1);
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_int_eq(heard_send(&two, NULL, 0, "c", 1), 0);
    ck_assert_uint_eq(ntohs(packet_take().to.in.sin_port), 4000);
    ck_assert_int_eq(heard_send(&two, PEER_IP, 4002, "c", 1), 0);
    ck_assert_uint_eq(ntohs(packet_take().to.in.sin_port), 4002);
}
END_TEST

START_TEST(connect_chooses_addresses_and_unspec_undoes_it)
{
    union stack_address address, unspec = {.sa.sa_family = AF_UNSPEC};
    uint16_t port;

    open_udp(&one);
    ck_assert_int_eq(stack_datagram_peer_address(one.datagram, &address), -ENOTCONN);
    ck_assert_int_eq(heard_connect(&one, PEER_IP, 4000), 0);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    port = ntohs(address.in.sin_port);
    ck_assert_uint_ge(port, 32768);
    ck_assert_uint_lt(port, 61000);
    ck_assert(is_address(&address, STACK_IP, port));
    ck_assert_int_eq(stack_datagram_peer_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, PEER_IP, 4000));
    ck_assert_int_eq(bind_to(&one, "0.0.0.0", 9), -EINVAL);
    ck_assert_int_eq(heard_connect(&one, "127.0.0.5", 4001), 0); /* again, but from the address that it has */
    ck_assert_int_eq(stack_datagram_connect(one.datagram, &unspec), 0);
    ck_assert_int_eq(stack_datagram_local_address(one.datagram, &address), 0);
    ck_assert(is_address(&address, "0.0.0.0", 0));
    ck_assert_int_eq(heard_send(&one, NULL, 0, "c", 1), -EDESTADDRREQ);

    heard_open_udp(&two, STACK_IP, 99);
    ck_assert_int_eq(heard_connect(&two, PEER_IP, 4000), 0);
    ck_assert_int_eq(stack_datagram_connect(two.datagram, &unspec), 0);
    ck_assert_int_eq(stack_datagram_local_address(two.datagram, &address), 0);
    ck_assert(is_address(&address, STACK_IP, 99));
}
END_TEST

START_TEST(what_cannot_be_sent_says_why)
{
    static const uint8_t bytes[65536];

    open_udp(&one);
    ck_assert_int_eq(heard_send(&one, NULL, 0, "c", 1), -EDESTADDRREQ);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 0, "c", 1), -EINVAL);
    ck_assert_int_eq(heard_send(&one, "10.1.0.255", 9, "c", 1), -EACCES);
    ck_assert_int_eq(heard_send(&one, "255.255.255.255", 9, "c", 1), -EACCES);
    ck_assert_int_eq(heard_connect(&one, "10.1.0.255", 9), -EACCES);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 65508), -EMSGSIZE);
    ck_assert_int_eq(heard_send(&one, "::1", 9, "c", 1), -EAFNOSUPPORT);
    set(&one, STACK_DATAGRAM_MTU_DISCOVER, IP_PMTUDISC_DO);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1473), -EMSGSIZE);
    ck_assert_uint_eq(wire_count(), 0);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1472), 0);
    ck_assert_uint_eq(wire_count(), 1);
    heard_open_udp(&two, "127.0.0.1", 0);
    ck_assert_int_eq(heard_send(&two, PEER_IP, 9, "c", 1), -EINVAL);
    {
        struct stack_datagram_info info = {.peer = any_address_of(PEER_IP, 9), .local = any_address_of("10.1.0.9", 0),
                                           .ttl = -1, .tos = -1};
        struct iovec iov = {(void *)(uintptr_t)"c", 1};

        ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1), -ENETUNREACH);
        info.local = any_address_of(STACK_IP, 0);
        info.interface = 9;
        ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1), -ENODEV);
    }
}
END_TEST

START_TEST(broadcast_goes_out_and_round)
{
    heard_open_udp(&one, "0.0.0.0", 67);
    heard_open_udp(&two, STACK_IP, 68);
    set(&two, STACK_DATAGRAM_BROADCAST, 1);
    ck_assert_int_eq(heard_send(&two, "10.1.0.255", 67, "hello", 5), 0);
    ck_assert_uint_eq(one.received, 1);
    ck_assert(is_address(&one.info.local, "10.1.0.255", 67));
    ck_assert_uint_eq(one.info.interface, 2);
    ck_assert_mem_eq(wire_take()->bytes, "\xff\xff\xff\xff\xff\xff", 6);
    peer_udp(PEER_IP, 68, "255.255.255.255", 67, "hello", 5);
    peer_udp(PEER_IP, 68, "10.1.0.255", 67, "hello", 5);
    ck_assert_uint_eq(one.received, 3);
    peer_udp(PEER_IP, 67, "255.255.255.255", 68, "hello", 5); /* bound to one address */
    ck_assert_uint_eq(two.received, 0);
}
END_TEST

/* Who may share a port with whom: the options of both, and their addresses. */
static const struct {
    const char *first, *second;
    int reuseaddr[2], reuseport[2], interface[2];
    int result;
} sharing[] = {
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {0}, -EADDRINUSE},
    {"0.0.0.0", STACK_IP, {0}, {0}, {0}, -EADDRINUSE},
    {STACK_IP, "0.0.0.0", {0}, {0}, {0}, -EADDRINUSE},
    {STACK_IP, "127.0.0.1", {0}, {0}, {0}, 0},
    {"127.0.0.2", "127.0.0.1", {0}, {0}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {1, 0}, {0}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {1, 1}, {0}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {0}, {1, 0}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {0}, {1, 1}, {0}, 0},
    {"0.0.0.0", "0.0.0.0", {1, 0}, {0, 1}, {0}, -EADDRINUSE},
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {1, 2}, 0},
    {"0.0.0.0", "0.0.0.0", {0}, {0}, {1, 0}, -EADDRINUSE},
};

START_TEST(port_is_shared_by_the_rules)
{
    open_udp(&one);
    open_udp(&two);
    set(&one, STACK_DATAGRAM_REUSEADDR, sharing[_i].reuseaddr[0]);
    set(&two, STACK_DATAGRAM_REUSEADDR, sharing[_i].reuseaddr[1]);
    set(&one, STACK_DATAGRAM_REUSEPORT, sharing[_i].reuseport[0]);
    set(&two, STACK_DATAGRAM_REUSEPORT, sharing[_i].reuseport[1]);
    set(&one, STACK_DATAGRAM_BIND_INTERFACE, sharing[_i].interface[0]);
    set(&two, STACK_DATAGRAM_BIND_INTERFACE, sharing[_i].interface[1]);
    ck_assert_int_eq(bind_to(&one, sharing[_i].first, 53), 0);
    ck_assert_int_eq(bind_to(&two, sharing[_i].second, 53), sharing[_i].result);
    heard_close(&one);
    if (sharing[_i].result < 0)
        ck_assert_int_eq(bind_to(&two, sharing[_i].second, 53), 0);
}
END_TEST

START_TEST(bind_refuses_what_is_not_ours)
{
    open_udp(&one);
    ck_assert_int_eq(bind_to(&one, PEER_IP, 53), -EADDRNOTAVAIL);
    ck_assert_int_eq(bind_to(&one, "::", 53), -EAFNOSUPPORT);
    ck_assert_int_eq(bind_to(&one, STACK_IP, 53), 0);
    ck_assert_int_eq(bind_to(&one, STACK_IP, 54), -EINVAL);
    open_udp(&two);
    ck_assert_int_eq(bind_to(&two, "127.9.9.9", 0), 0);
    open_udp(&three);
    set(&three, STACK_DATAGRAM_FREEBIND, 1);
    ck_assert_int_eq(bind_to(&three, PEER_IP, 0), 0);
}
END_TEST

START_TEST(the_closest_match_hears_it)
{
    open_udp(&one);
    open_udp(&two);
    open_udp(&three);
    set(&one, STACK_DATAGRAM_REUSEADDR, 1);
    set(&two, STACK_DATAGRAM_REUSEADDR, 1);
    set(&three, STACK_DATAGRAM_REUSEADDR, 1);
    ck_assert_int_eq(bind_to(&one, STACK_IP, 53), 0);
    ck_assert_int_eq(bind_to(&two, "0.0.0.0", 53), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(one.received, 1); /* bound to the address */
    ck_assert_int_eq(bind_to(&three, STACK_IP, 53), 0);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(three.received, 1); /* of equals the latest */
    set(&one, STACK_DATAGRAM_BIND_INTERFACE, 2);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(one.received, 2); /* bound to the interface as well */
    set(&one, STACK_DATAGRAM_BIND_INTERFACE, 1);
    peer_udp(PEER_IP, 4000, STACK_IP, 53, "a", 1);
    ck_assert_uint_eq(three.received, 2); /* bound to another one */
}
END_TEST

START_TEST(reuseport_spreads_flows_and_keeps_each)
{
    struct heard *both[2] = {&one, &two};

    for (int i = 0; i < 2; i++) {
        open_udp(both[i]);
        set(both[i], STACK_DATAGRAM_REUSEPORT, 1);
        ck_assert_int_eq(bind_to(both[i], "0.0.0.0", 53), 0);
    }
    for (uint16_t port = 1000; port < 1400; port++) {
        unsigned before = one.received;

        peer_udp(PEER_IP, port, STACK_IP, 53, "a", 1);
        peer_udp(PEER_IP, port, STACK_IP, 53, "a", 1);
        ck_assert_uint_eq((one.received - before) % 2, 0);
    }
    ck_assert_uint_eq(one.received + two.received, 800);
    ck_assert_uint_gt(one.received, 200);
    ck_assert_uint_gt(two.received, 200);
}
END_TEST

START_TEST(loopback_carries_all_sizes)
{
    static uint8_t bytes[65507];
    static const size_t sizes[] = {0, 1, 1472, 1473, 30000, 65507};

    pattern_fill(bytes, 0, sizeof bytes);
    heard_open_udp(&one, "0.0.0.0", 53);
    open_udp(&two);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ck_assert_int_eq(heard_send(&two, i % 2 == 0 ? "127.0.0.1" : STACK_IP, 53, bytes, sizes[i]), 0);
        ck_assert_uint_eq(one.received, i + 1);
        ck_assert_uint_eq(one.length, sizes[i]);
        ck_assert_mem_eq(one.bytes, bytes, sizes[i]);
        ck_assert_uint_eq(one.info.interface, i % 2 == 0 ? 1 : 2); /* whose address it is */
        ck_assert(is_address(&one.info.peer, i % 2 == 0 ? "127.0.0.1" : STACK_IP, heard_port(&two)));
    }
    ck_assert_int_eq(heard_send(&two, "0.0.0.0", 53, "x", 1), 0);
    ck_assert(is_address(&one.info.local, "127.0.0.1", 53));
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(large_datagram_leaves_in_fragments)
{
    static uint8_t bytes[65507], whole[65515];
    size_t at = 0;
    uint16_t identification = 0;

    pattern_fill(bytes, 0, sizeof bytes);
    open_udp(&one);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, sizeof bytes), 0);
    ck_assert_uint_eq(wire_count(), 45);
    for (bool more = true; more;) {
        struct packet packet = packet_take();

        if (at == 0)
            identification = packet.identification;
        ck_assert_uint_eq(packet.identification, identification);
        ck_assert_uint_eq(packet.offset, at);
        ck_assert(!packet.dont_fragment);
        memcpy(whole + at, packet.data, packet.size);
        at += packet.size;
        more = packet.more_fragments;
    }
    ck_assert_uint_eq(at, sizeof whole);
    ck_assert_mem_eq(whole + 8, bytes, sizeof bytes);
    /* and back, which also says that the checksum was right */
    heard_open_udp(&two, "0.0.0.0", 9);
    memcpy(whole, (uint8_t[]){0, 9, 0, 9}, 4);
    whole[6] = whole[7] = 0;
    {
        uint16_t sum = packet_checksum(PEER_IP, STACK_IP, IPPROTO_UDP, whole, sizeof whole);

        whole[6] = (uint8_t)(sum >> 8);
        whole[7] = (uint8_t)sum;
    }
    for (at = 0; at < sizeof whole; at += 1480) {
        size_t n = sizeof whole - at < 1480 ? sizeof whole - at : 1480;

        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = at + n < sizeof whole,
                                     .data = whole + at, .size = n});
    }
    ck_assert_uint_eq(two.received, 1);
    ck_assert_uint_eq(two.length, sizeof bytes);
    ck_assert_mem_eq(two.bytes, bytes, sizeof bytes);
}
END_TEST

START_TEST(fragments_of_more_than_a_packet_are_refused)
{
    static uint8_t bytes[1480];

    heard_open_udp(&one, "0.0.0.0", 9);
    bytes[1] = bytes[3] = 9;
    bytes[5] = 12;
    for (size_t at = 0; at + 8 <= 65535; at += 1480) { /* all want more to come, but for one in the middle */
        size_t n = 65535 - at < 1480 ? 65535 - at : 1480;

        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = true, .data = bytes, .size = n});
    }
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                 .identification = 7, .offset = 65528, .data = bytes, .size = 1480});
    packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                 .identification = 8, .offset = 65512, .data = bytes, .size = 4});
    ck_assert_uint_eq(one.received, 0);
    stack_advance(20000);
    peer_udp(PEER_IP, 1, STACK_IP, 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(overlapping_fragments_make_no_packet)
{
    uint8_t bytes[64] = {0, 9, 0, 9, 0, 64};

    heard_open_udp(&one, "0.0.0.0", 9);
    for (size_t offset = 0; offset < 64; offset += 8)
        for (size_t size = 0; size <= 64 - offset; size++)
            packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                         .identification = 7, .offset = offset, .more_fragments = (offset + size) % 3 != 0,
                                         .data = bytes + offset, .size = size});
    stack_advance(20000);
    wire_drop_all();
    peer_udp(PEER_IP, 1, STACK_IP, 9, "a", 1);
    ck_assert_uint_ge(one.received, 1);
}
END_TEST

START_TEST(tiny_fragments_are_put_together)
{
    uint8_t datagram[8 + 4000];
    uint16_t sum;

    heard_open_udp(&one, "0.0.0.0", 9);
    memset(datagram, 0, 8);
    datagram[1] = datagram[3] = 9;
    datagram[4] = sizeof datagram >> 8;
    datagram[5] = sizeof datagram & 255;
    pattern_fill(datagram + 8, 0, 4000);
    sum = packet_checksum(PEER_IP, STACK_IP, IPPROTO_UDP, datagram, sizeof datagram);
    datagram[6] = (uint8_t)(sum >> 8);
    datagram[7] = (uint8_t)sum;
    for (size_t at = 0; at < sizeof datagram; at += 8)
        packet_send(&(struct packet){.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP,
                                     .identification = 7, .offset = at, .more_fragments = at + 8 < sizeof datagram,
                                     .data = datagram + at, .size = 8});
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(one.length, 4000);
    ck_assert_mem_eq(one.bytes, datagram + 8, 4000);
}
END_TEST

START_TEST(bad_datagrams_are_dropped_and_counted)
{
    uint8_t udp[12] = {0, 9, 0, 9, 0, 12, 0, 0, 'a', 'b', 'c', 'd'};
    struct packet packet = {.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp};

    heard_open_udp(&one, "0.0.0.0", 9);
    packet.size = sizeof udp;
    packet_send(&packet); /* no checksum is fine */
    ck_assert_uint_eq(one.received, 1);
    udp[7] = 1; /* a wrong one is not */
    packet_send(&packet);
    udp[7] = 0;
    for (packet.size = 0; packet.size < sizeof udp; packet.size++)
        packet_send(&packet); /* less than it claims */
    packet.size = sizeof udp;
    for (udp[5] = 0; udp[5] < 8; udp[5]++)
        packet_send(&packet); /* less than a header */
    udp[5] = 13;
    packet_send(&packet);
    udp[4] = 0xff;
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(counters_now().datagrams_malformed, 1 + 12 + 8 + 2);
    udp[4] = 0;
    udp[5] = 10; /* more came than it claims: padding */
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 2);
    ck_assert_uint_eq(one.length, 2);
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(wrong_sum_passes_when_the_wire_vouches)
{
    uint8_t udp[12] = {0, 9, 0, 9, 0, 12, 0, 1, 'a', 'b', 'c', 'd'};
    struct packet packet = {.source = PEER_IP, .destination = STACK_IP, .protocol = IPPROTO_UDP, .data = udp,
                            .size = sizeof udp};

    heard_open_udp(&one, "0.0.0.0", 9);
    packet.header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    packet.header = (struct virtio_net_hdr){0};
    packet_send(&packet);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, "abc", 3), 0);
    {
        struct packet sent = packet_take();

        ck_assert(sent.checksum_good);
        ck_assert_uint_eq(sent.header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
    }
    {
        uint8_t bytes[3000] = {1, 2, 3}; /* in fragments the sum is ours to make */

        ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, sizeof bytes), 0);
        ck_assert_uint_eq(packet_take().header.flags, 0);
    }
}
END_TEST

START_TEST(full_socket_loses_and_counts)
{
    heard_open_udp(&one, "0.0.0.0", 9);
    one.full = true;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "a", 1);
    one.full = false;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "b", 1);
    ck_assert_uint_eq(one.received, 1);
    ck_assert_uint_eq(counters_now().datagrams_dropped, 1);
}
END_TEST

START_TEST(socket_may_close_itself_when_it_hears)
{
    heard_open_udp(&one, "0.0.0.0", 9);
    one.close_received = true;
    peer_udp(PEER_IP, 9, STACK_IP, 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
    heard_open_udp(&one, "0.0.0.0", 9);
    one.close_received = true;
    peer_udp(PEER_IP, 9, "10.1.0.255", 9, "a", 1);
    ck_assert_uint_eq(one.received, 1);
}
END_TEST

START_TEST(many_sockets_are_found_by_themselves)
{
    enum { COUNT = 3000 };
    static struct heard many[COUNT];

    for (int i = 0; i < COUNT; i++) {
        heard_open(&many[i], STACK_DATAGRAM_UDP, AF_INET, 0);
        set(&many[i], STACK_DATAGRAM_REUSEADDR, 1);
        ck_assert_int_eq(bind_to(&many[i], "0.0.0.0", 53), 0);
        ck_assert_int_eq(heard_connect(&many[i], PEER_IP, (uint16_t)(1000 + i)), 0);
    }
    for (int i = 0; i < COUNT; i++)
        peer_udp(PEER_IP, (uint16_t)(1000 + i), STACK_IP, 53, "a", 1);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(many[i].received, 1);
        heard_close(&many[i]);
    }
}
END_TEST

START_TEST(train_is_cut_into_datagrams)
{
    uint8_t bytes[1000];
    struct iovec iov[3] = {{bytes, 150}, {bytes + 150, 0}, {bytes + 150, 850}};
    struct stack_datagram_info info = {.ttl = -1, .tos = -1, .segment = 300};
    size_t at = 0;

    pattern_fill(bytes, 0, sizeof bytes);
    open_udp(&one);
    info.peer = any_address_of(PEER_IP, 9);
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, iov, 3, sizeof bytes), 0);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 4);
    for (int i = 0; i < 4; i++) {
        struct packet packet = packet_take();

        ck_assert(packet.checksum_good);
        ck_assert_uint_eq(packet.size - 8, i < 3 ? 300 : 100);
        ck_assert_mem_eq(packet.data + 8, bytes + at, packet.size - 8);
        at += packet.size - 8;
    }
}
END_TEST

START_TEST(train_is_left_to_a_wire_that_cuts)
{
    static uint8_t bytes[60000];
    struct iovec iov = {bytes, 1000};
    struct stack_datagram_info info = {.ttl = -1, .tos = -1, .segment = 300};
    struct packet packet;

    pattern_fill(bytes, 0, sizeof bytes);
    open_udp(&one);
    info.peer = any_address_of(PEER_IP, 9);
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 1000), 0);
    stack_turn();
    ck_assert_uint_eq(wire_count(), 1);
    packet = packet_take();
    ck_assert(packet.checksum_good);
    ck_assert_uint_eq(packet.header.gso_type, 5);
    ck_assert_uint_eq(packet.header.gso_size, 300);
    ck_assert_uint_eq(packet.header.hdr_len, 42);
    ck_assert_uint_eq(packet.size, 1008);
    ck_assert_mem_eq(packet.data + 8, bytes, 1000);
    ck_assert_uint_eq(counters_now().datagrams_out, 4);
    iov.iov_len = sizeof bytes;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), -EINVAL); /* more than 128 */
    info.segment = 1473;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), -EMSGSIZE);
    info.segment = 1472;
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, sizeof bytes), 0);
    ck_assert_uint_eq(wire_count(), 1);
    wire_drop_all();
    info.peer = any_address_of("10.1.0.88", 9); /* not resolved: each waits by itself */
    ck_assert_int_eq(stack_datagram_send(one.datagram, &info, &iov, 1, 3000), 0);
    ck_assert_uint_eq(wire_take()->bytes[13], 6);
    ck_assert_int_eq(heard_send(&one, PEER_IP, 9, bytes, 1000), 0); /* and the next is no train */
    ck_assert_uint_eq(packet_take().header.gso_type, 0);
}
END_TEST

static void setup_trains(void)
{
    stack_setup(WIRE_CHECKSUM | WIRE_USO);
    peer_resolve();
}

int main(void)
{
    Suite *suite = suite_create("udp");
    TCase *plain = tcase_create("plain"), *offload = tcase_create("offload"), *trains = tcase_create("trains");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(plain, setup, teardown);
    tcase_add_test(plain, datagram_arrives_with_all_about_it);
    tcase_add_test(plain, datagram_leaves_with_a_good_header);
    tcase_add_test(plain, datagram_waits_for_the_neighbour);
    tcase_add_test(plain, nobody_there_is_answered);
    tcase_add_test(plain, connected_socket_hears_its_peer_alone);
    tcase_add_test(plain, connect_chooses_addresses_and_unspec_undoes_it);
    tcase_add_test(plain, what_cannot_be_sent_says_why);
    tcase_add_test(plain, broadcast_goes_out_and_round);
    tcase_add_loop_test(plain, port_is_shared_by_the_rules, 0, (int)(sizeof sharing / sizeof *sharing));
    tcase_add_test(plain, bind_refuses_what_is_not_ours);
    tcase_add_test(plain, the_closest_match_hears_it);
    tcase_add_test(plain, reuseport_spreads_flows_and_keeps_each);
    tcase_add_test(plain, loopback_carries_all_sizes);
    tcase_add_test(plain, large_datagram_leaves_in_fragments);
    tcase_add_test(plain, fragments_of_more_than_a_packet_are_refused);
    tcase_add_test(plain, overlapping_fragments_make_no_packet);
    tcase_add_test(plain, tiny_fragments_are_put_together);
    tcase_add_test(plain, bad_datagrams_are_dropped_and_counted);
    tcase_add_test(plain, full_socket_loses_and_counts);
    tcase_add_test(plain, socket_may_close_itself_when_it_hears);
    tcase_add_test(plain, many_sockets_are_found_by_themselves);
    tcase_add_test(plain, train_is_cut_into_datagrams);
    suite_add_tcase(suite, plain);
    tcase_add_checked_fixture(offload, setup_offload, teardown);
    tcase_add_test(offload, wrong_sum_passes_when_the_wire_vouches);
    tcase_add_test(offload, datagram_waits_for_the_neighbour);
    suite_add_tcase(suite, offload);
    tcase_add_checked_fixture(trains, setup_trains, teardown);
    tcase_add_test(trains, train_is_left_to_a_wire_that_cuts);
    suite_add_tcase(suite, trains);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
