/* test_stack_slaac.c - router advertisements and stateless DHCPv6: what the stack makes of them, and for how long. */
#include <arpa/inet.h>
#include <check.h>
#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>

#include "stack/ip/interface.h"
#include "stack_fixture.h"
#include "tests/checksum.h"
#include "tests/suite.h"

#define IP_AT 14
#define ICMP_AT 54 /* or UDP */
#define ROUTER "fe80::1"
#define MADE "fd01::ff:fe00:2" /* from the prefix and the stack's Ethernet address */
#define OTHER_CONFIGURATION 0x40

static unsigned changes;

static void on_changed(void *context)
{
    (void)context;
    changes++;
}

static void setup(void)
{
    changes = 0;
    stack_setup_config((struct stack_config){.slaac = true, .changed = on_changed});
}

static void setup_deaf(void)
{
    stack_setup_config((struct stack_config){.changed = on_changed});
}

/* Send an IPv6 packet to the stack; its checksum is at checksum_at of the message. */
static void put_packet(const char *from, const char *to, uint8_t next_header, const uint8_t *message, size_t size, size_t checksum_at)
{
    uint8_t frame[1500] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60};
    const uint8_t pseudo[] = {(uint8_t)(size >> 8), (uint8_t)size, 0, next_header};
    uint32_t sum;

    if (strncmp(to, "ff", 2) != 0)
        memcpy(frame, "\2\0\0\0\0\2", 6);
    frame[18] = (uint8_t)(size >> 8);
    frame[19] = (uint8_t)size;
    frame[20] = next_header;
    frame[21] = 255;
    ck_assert_int_eq(inet_pton(AF_INET6, from, frame + 22), 1);
    ck_assert_int_eq(inet_pton(AF_INET6, to, frame + 38), 1);
    memcpy(frame + ICMP_AT, message, size);
    sum = ~checksum_add(checksum_add(checksum_add(0, frame + 22, 32), pseudo, 4), message, size) & 0xffff;
    frame[ICMP_AT + checksum_at] = (uint8_t)(sum >> 8);
    frame[ICMP_AT + checksum_at + 1] = (uint8_t)sum;
    wire_put(NULL, frame, ICMP_AT + size);
    stack_turn();
}

/* An advertisement: a router for 7200 s, its Ethernet address, and these options. */
static void advertise(uint8_t flags, const void *options, size_t size)
{
    uint8_t message[1000] = {134, 0, 0, 0, 64, flags, 7200 >> 8, 7200 & 255, [16] = 1, 1, 2, 0, 0, 0, 0, 1};

    memcpy(message + 24, options, size);
    put_packet(ROUTER, "ff02::1", 58, message, 24 + size, 2);
}

/* fd01::/64, on the link, autonomous; its times in seconds. */
static void advertise_prefix(uint16_t valid_s, uint16_t preferred_s)
{
    const uint8_t option[32] = {3, 4, 64, 0xc0, 0, 0, (uint8_t)(valid_s >> 8), (uint8_t)valid_s, 0, 0,
                                (uint8_t)(preferred_s >> 8), (uint8_t)preferred_s, [16] = 0xfd, 1};

    advertise(0, option, sizeof option);
}

/* Return: flags of an address on the wire; -1: it is not there. */
static int flags_of(const char *address)
{
    struct stack_interface_address found[34];
    size_t count = stack_get_addresses(found, 34);
    struct in6_addr wanted;

    inet_pton(AF_INET6, address, &wanted);
    for (size_t i = 0; i < count; i++)
        if (found[i].prefix.address.sa.sa_family == AF_INET6 &&
            memcmp(&found[i].prefix.address.in6.sin6_addr, &wanted, sizeof wanted) == 0)
            return (int)found[i].flags;
    return -1;
}

/* Is there a frame of this ICMPv6 type on the wire? */
static bool was_sent(uint8_t type)
{
    const struct frame *frame;
    bool found = false;

    while ((frame = wire_take()) != NULL)
        found |= frame->size > ICMP_AT && frame->bytes[12] == 0x86 && frame->bytes[20] == 58 && frame->bytes[ICMP_AT] == type;
    return found;
}

START_TEST(routers_are_asked)
{
    stack_advance(3000);
    ck_assert(was_sent(133));
    ck_assert(!stack_is_configured());
}
END_TEST

START_TEST(prefix_makes_an_address)
{
    union stack_address peer = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)}}, local;
    struct stack_tcp *tcp = stack_tcp_open(AF_INET6, &told_events, NULL);
    char text[INET6_ADDRSTRLEN];

    inet_pton(AF_INET6, "fd07::1", &peer.in6.sin6_addr);
    advertise_prefix(3600, 1800);
    ck_assert(!stack_is_configured()); /* it may be somebody else's */
    ck_assert_int_eq(flags_of(MADE) & IFA_F_TENTATIVE, IFA_F_TENTATIVE);
    stack_advance(3000);
    ck_assert(stack_is_configured());
    ck_assert_int_eq(flags_of(MADE), 0);
    ck_assert_uint_ge(changes, 1);
    ck_assert_int_eq(stack_tcp_connect(tcp, &peer), 0);
    ck_assert_int_eq(stack_tcp_local_address(tcp, &local), 0);
    ck_assert_str_eq(inet_ntop(AF_INET6, &local.in6.sin6_addr, text, sizeof text), MADE);
    stack_tcp_abort(tcp);
}
END_TEST

/* Somebody says that it is his. */
static void claim(const char *address)
{
    uint8_t message[24] = {136, 0, 0, 0, 0x20};

    inet_pton(AF_INET6, address, message + 8);
    put_packet("fe80::9", "ff02::1", 58, message, sizeof message, 2);
}

START_TEST(address_of_another_is_not_used)
{
    stack_advance(3000);
    advertise_prefix(3600, 1800);
    claim(MADE);
    stack_advance(3000);
    ck_assert_int_eq(flags_of(MADE) & IFA_F_DADFAILED, IFA_F_DADFAILED);
    ck_assert(!stack_is_configured());
}
END_TEST

START_TEST(address_that_we_have_is_not_given_up)
{
    stack_advance(3000);
    advertise_prefix(3600, 1800);
    stack_advance(3000);
    ck_assert(stack_is_configured());
    claim(MADE);
    claim("fe80::ff:fe00:2");
    ck_assert_int_eq(flags_of(MADE) & IFA_F_DADFAILED, 0);
    ck_assert_int_eq(flags_of("fe80::ff:fe00:2") & IFA_F_DADFAILED, 0);
    ck_assert(stack_is_configured());
}
END_TEST

START_TEST(address_grows_old_without_ticks)
{
    advertise_prefix(3600, 1800);
    stack_advance(60000);
    ck_assert_int_gt(stack_timer_ms(), 1600000); /* 1740 s are left */
    stack_advance(1700000);
    ck_assert_int_eq(flags_of(MADE), 0);
    stack_advance(60000);
    ck_assert_int_eq(flags_of(MADE), IFA_F_DEPRECATED);
    stack_advance(1750000);
    ck_assert_int_eq(flags_of(MADE), IFA_F_DEPRECATED);
    stack_advance(40000);
    ck_assert_int_eq(flags_of(MADE), -1);
    ck_assert(!stack_is_configured());
    stack_advance(10000);
    ck_assert_int_gt(stack_timer_ms(), 3500000); /* the router has more than 3500 s left */
}
END_TEST

START_TEST(advertisement_after_a_long_sleep_counts_from_then_on)
{
    advertise_prefix(3600, 3600);
    stack_advance(1000000);
    advertise_prefix(3600, 3600);
    stack_advance(3500000);
    ck_assert_int_eq(flags_of(MADE), 0);
    stack_advance(110000);
    ck_assert_int_eq(flags_of(MADE), -1);
}
END_TEST

/* Two servers for 600 s; domains a.net and b for 900 s. */
static const uint8_t names[] = {25, 5, 0, 0, 0, 0, 2, 0x58, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
                                0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x54,
                                31, 3, 0, 0, 0, 0, 3, 0x84, 1, 'a', 3, 'n', 'e', 't', 0, 1, 'b', 0, 0, 0, 0, 0, 0, 0};

START_TEST(name_servers_and_domains_for_their_time)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];
    const char *domains[STACK_DOMAINS_MAX];
    unsigned before;

    advertise(0, names, sizeof names);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 2);
    ck_assert_uint_eq(servers[1].in6.sin6_addr.s6_addr[15], 0x54);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 2);
    ck_assert_str_eq(domains[0], "a.net");
    ck_assert_str_eq(domains[1], "b");
    before = changes;
    stack_advance(500000);
    advertise(0, names, sizeof names); /* once more: for longer, and no news */
    stack_advance(500000);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 2);
    stack_advance(101000);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 0);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 2);
    ck_assert_uint_gt(changes, before);
    stack_advance(300000);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 0);
}
END_TEST

START_TEST(name_server_is_taken_back)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];
    uint8_t none[sizeof names];

    advertise(0, names, sizeof names);
    memcpy(none, names, sizeof none);
    none[6] = none[7] = 0;
    advertise(0, none, sizeof none);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 0);
}
END_TEST

START_TEST(advertisements_are_for_those_who_asked)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];

    advertise_prefix(3600, 1800);
    advertise(0, names, sizeof names);
    stack_advance(5000);
    ck_assert_int_eq(flags_of(MADE), -1);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 0);
    ck_assert(!was_sent(133));
}
END_TEST

/* From beyond the link, with a bad checksum, with options of no length, cut short, of any bytes. */
START_TEST(hostile_advertisements)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];
    uint8_t message[16 + sizeof names] = {134, 0, 0, 0, 64, 0, 7, 8}, options[sizeof names];

    memcpy(message + 16, names, sizeof names);
    put_packet("fd01::1", "ff02::1", 58, message, sizeof message, 2);
    put_packet(ROUTER, "ff02::1", 58, message, sizeof message, 11); /* its bytes are swapped */
    advertise(0, "\x19\0\0\0\0\0\2\x58", 8);
    advertise(0, "\x19\x05\0\0\0\0\2\x58", 8);
    advertise(0, "\x19\x01\0\0\0\0\2\x58", 8);
    advertise(0, "\x1f\x02\0\0\0\0\2\x58\x3f" "abcdefg", 16);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 0);
    srand(1);
    for (int i = 0; i < 20000; i++) {
        memcpy(options, names, sizeof options);
        for (int k = 0; k < 4; k++)
            options[(size_t)rand() % sizeof options] = (uint8_t)rand();
        advertise((uint8_t)rand(), options, (size_t)rand() % (sizeof options + 1));
        wire_drop_all();
    }
}
END_TEST

/* The DHCPv6 request that was sent. Return: its size, 0: none. */
static size_t take_request(uint8_t request[200])
{
    const struct frame *frame;
    size_t size = 0;

    while ((frame = wire_take()) != NULL)
        if (frame->bytes[12] == 0x86 && frame->bytes[20] == 17 && frame->bytes[ICMP_AT + 3] == (547 & 255)) {
            size = frame->size - ICMP_AT - 8;
            ck_assert_uint_le(size, 200);
            memcpy(request, frame->bytes + ICMP_AT + 8, size);
        }
    return size;
}

/* Answer it with a server of this last byte and the domain "x"; refresh after so many seconds. */
static void reply(const uint8_t *request, uint8_t server, uint16_t refresh_s)
{
    uint8_t message[100] = {547 >> 8, 547 & 255, 546 >> 8, 546 & 255, 0, 0, 0, 0, 7};
    const uint8_t options[] = {0, 2, 0, 4, 0, 3, 0, 1, 0, 23, 0, 16, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, server,
                               0, 24, 0, 3, 1, 'x', 0, 0, 32, 0, 4, 0, 0, (uint8_t)(refresh_s >> 8), (uint8_t)refresh_s};

    message[5] = 12 + sizeof options;
    memcpy(message + 9, request + 1, 3);
    memcpy(message + 12, options, sizeof options);
    put_packet(ROUTER, "fe80::ff:fe00:2", 17, message, 12 + sizeof options, 6);
}

START_TEST(the_rest_by_dhcpv6)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];
    const char *domains[STACK_DOMAINS_MAX];
    uint8_t request[200], again[200];

    stack_advance(5000);
    ck_assert_uint_eq(take_request(request), 0);
    advertise(OTHER_CONFIGURATION, "", 0);
    ck_assert_uint_gt(take_request(request), 0);
    ck_assert_uint_eq(request[0], 11);
    ck_assert_uint_eq(request[5], 1); /* who we are */
    stack_advance(1100);
    ck_assert_uint_gt(take_request(again), 0);
    ck_assert_mem_eq(request, again, 4);
    advertise(OTHER_CONFIGURATION, "", 0);
    ck_assert_uint_eq(take_request(again), 0);

    again[1] = (uint8_t)(request[1] + 1);
    reply(again, 0x66, 700); /* to another request */
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 0);
    reply(request, 0x55, 700);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 1);
    ck_assert_uint_eq(servers[0].in6.sin6_addr.s6_addr[15], 0x55);
    ck_assert_uint_eq(stack_get_domains(domains, STACK_DOMAINS_MAX), 1);
    ck_assert_str_eq(domains[0], "x");

    stack_advance(690000);
    ck_assert_uint_eq(take_request(request), 0);
    stack_advance(11000);
    ck_assert_uint_gt(take_request(request), 0);
    reply(request, 0x77, 700);
    ck_assert_uint_eq(stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX), 1);
    ck_assert_uint_eq(servers[0].in6.sin6_addr.s6_addr[15], 0x77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slaac");
    TCase *tcase = tcase_create("slaac"), *deaf = tcase_create("deaf");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, routers_are_asked);
    tcase_add_test(tcase, prefix_makes_an_address);
    tcase_add_test(tcase, address_of_another_is_not_used);
    tcase_add_test(tcase, address_that_we_have_is_not_given_up);
    tcase_add_test(tcase, address_grows_old_without_ticks);
    tcase_add_test(tcase, advertisement_after_a_long_sleep_counts_from_then_on);
    tcase_add_test(tcase, name_servers_and_domains_for_their_time);
    tcase_add_test(tcase, name_server_is_taken_back);
    tcase_add_test(tcase, hostile_advertisements);
    tcase_add_test(tcase, the_rest_by_dhcpv6);
    tcase_add_checked_fixture(deaf, setup_deaf, stack_teardown);
    tcase_add_test(deaf, advertisements_are_for_those_who_asked);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, deaf);
    return suite_run(suite);
}
