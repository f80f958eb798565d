/* test_stack_address.c - several addresses on the wire, routes, and what is local. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "stack/ip/interface.h"
#include "stack_fixture.h"
#include "tests/suite.h"

/* Beside STACK_IP/24 and its gateway. */
static const char *const addresses[] = {"10.1.0.3", "10.2.0.2", "192.168.7.1"};
static const uint8_t bits[] = {24, 16, 31};

static struct stack_route route_of(const char *network, uint8_t network_bits, const char *via)
{
    return (struct stack_route){{address_of(network, 0), network_bits}, address_of(via, 0)};
}

static void setup(void)
{
    struct stack_prefix own[4] = {{address_of(STACK_IP, 0), 24}};
    struct stack_route routes[] = {route_of("0.0.0.0", 0, "10.1.0.254"), route_of("10.9.0.0", 16, "10.2.0.77"),
                                   route_of("10.9.9.0", 24, "10.1.0.7"), route_of("10.1.0.128", 25, "10.2.0.78")};

    for (int i = 0; i < 3; i++)
        own[i + 1] = (struct stack_prefix){address_of(addresses[i], 0), bits[i]};
    stack_setup_with(own, 4, routes, 4);
}

/* An ARP request for address; is it answered? */
static bool arp_is_answered(const char *address)
{
    uint8_t request[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
                           2,    0,    0,    0,    0,    1,    10, 1, 0, 1};
    const struct frame *answer;

    inet_pton(AF_INET, address, request + 38);
    wire_put(NULL, request, sizeof request);
    stack_turn();
    answer = wire_take();
    if (answer == NULL)
        return false;
    ck_assert_uint_eq(answer->bytes[21], 2);
    ck_assert_mem_eq(answer->bytes + 28, request + 38, 4);
    return true;
}

START_TEST(arp_is_answered_for_each_address)
{
    ck_assert(arp_is_answered(STACK_IP));
    for (int i = 0; i < 3; i++)
        ck_assert(arp_is_answered(addresses[i]));
    ck_assert(!arp_is_answered("10.1.0.4"));
    ck_assert(!arp_is_answered("127.0.0.1"));
    ck_assert(!arp_is_answered("0.0.0.0"));
}
END_TEST

/* Begin to connect; give the neighbour that is asked for, and in whose name. */
static void connect_and_see_question(const char *peer, const char *neighbour, const char *source)
{
    union stack_address address = address_of(peer, 80), local;
    struct told told = {0};
    const struct frame *question;
    char text[INET_ADDRSTRLEN];

    told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
    ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
    ck_assert_int_eq(stack_tcp_local_address(told.tcp, &local), 0);
    ck_assert_str_eq(inet_ntop(AF_INET, &local.in.sin_addr, text, sizeof text), source);
    stack_turn();
    question = wire_take();
    ck_assert_ptr_nonnull(question);
    ck_assert_uint_eq(question->bytes[13], 6);
    ck_assert_uint_eq(question->bytes[21], 1);
    ck_assert_str_eq(inet_ntop(AF_INET, question->bytes + 28, text, sizeof text), source);
    ck_assert_str_eq(inet_ntop(AF_INET, question->bytes + 38, text, sizeof text), neighbour);
    stack_tcp_abort(told.tcp);
    wire_drop_all();
}

START_TEST(the_longest_prefix_decides)
{
    connect_and_see_question("10.1.0.9", "10.1.0.9", STACK_IP);       /* a neighbour, of two of our addresses */
    connect_and_see_question("10.2.3.4", "10.2.3.4", "10.2.0.2");     /* a neighbour in another network */
    connect_and_see_question("192.168.7.0", "192.168.7.0", "192.168.7.1"); /* RFC 3021 */
    connect_and_see_question("8.8.8.8", "10.1.0.254", STACK_IP);      /* by default */
    connect_and_see_question("10.9.1.1", "10.2.0.77", "10.2.0.2");
    connect_and_see_question("10.9.9.1", "10.1.0.7", STACK_IP);       /* a network within that one */
    connect_and_see_question("10.1.0.200", "10.2.0.78", "10.2.0.2");  /* a part of a neighbouring network */
}
END_TEST

START_TEST(own_addresses_are_local)
{
    for (int i = 0; i < 3; i++) {
        struct told listener = {0}, told = {0}, child = {0};
        union stack_address address = address_of(addresses[i], 7), local;

        listener.child_told = &child;
        listener.tcp = stack_tcp_open(AF_INET, &told_events, &listener);
        ck_assert_int_eq(stack_tcp_bind(listener.tcp, &address), 0);
        ck_assert_int_eq(stack_tcp_listen(listener.tcp, NULL), 0);
        told.tcp = stack_tcp_open(AF_INET, &told_events, &told);
        ck_assert_int_eq(stack_tcp_connect(told.tcp, &address), 0);
        ck_assert_int_eq(stack_tcp_local_address(told.tcp, &local), 0);
        /* As on Linux the first address of the same network. */
        ck_assert_uint_eq(local.in.sin_addr.s_addr, inet_addr(i == 0 ? STACK_IP : addresses[i]));
        stack_turn();
        ck_assert_uint_eq(told.connected, 1);
        ck_assert_uint_eq(listener.accepted, 1);
        stack_tcp_abort(told.tcp);
        stack_turn();
        stack_tcp_abort(child.tcp);
        stack_tcp_abort(listener.tcp);
    }
    ck_assert_uint_eq(wire_count(), 0);
}
END_TEST

START_TEST(broadcasts_are_no_peers)
{
    static const char *const bad[] = {"10.1.0.255", "10.2.255.255", "255.255.255.255"};

    for (int i = 0; i < 3; i++) {
        union stack_address address = address_of(bad[i], 7);
        struct stack_tcp *tcp = stack_tcp_open(AF_INET, &told_events, NULL);

        ck_assert_int_eq(stack_tcp_connect(tcp, &address), -ENETUNREACH);
        ck_assert_int_eq(stack_tcp_bind(tcp, &address), 0);
        stack_tcp_close(tcp);
    }
}
END_TEST

START_TEST(foreign_addresses_cannot_be_bound)
{
    union stack_address address = address_of("10.1.0.4", 0);
    struct stack_tcp *tcp = stack_tcp_open(AF_INET, &told_events, NULL);

    ck_assert_int_eq(stack_tcp_bind(tcp, &address), -EADDRNOTAVAIL);
    stack_tcp_close(tcp);
}
END_TEST

START_TEST(interfaces_and_addresses_are_listed)
{
    struct stack_interface interface;
    struct stack_interface_address found[16];

    ck_assert_int_eq(stack_get_interface(STACK_INTERFACE_LOOP, &interface), 0);
    ck_assert_str_eq(interface.name, "lo");
    ck_assert_uint_eq(interface.flags, (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | 0x10000)); /* IFF_LOWER_UP */
    ck_assert_int_eq(stack_get_interface(STACK_INTERFACE_WIRE, &interface), 0);
    ck_assert_str_eq(interface.name, "wire0");
    ck_assert_uint_eq(interface.mtu, 1500);
    ck_assert_mem_eq(interface.mac, "\2\0\0\0\0\2", 6);
    ck_assert_int_eq(stack_get_interface(3, &interface), -ENODEV);

    ck_assert_uint_ge(stack_get_addresses(found, 16), 5);
    ck_assert_uint_eq(found[0].interface, STACK_INTERFACE_LOOP);
    ck_assert_uint_eq(found[0].prefix.bits, 8);
    ck_assert_uint_eq(stack_get_addresses(found, 0), stack_get_addresses(found, 16));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack address");
    TCase *tcase = tcase_create("address");

    tcase_add_checked_fixture(tcase, setup, stack_teardown);
    tcase_add_test(tcase, arp_is_answered_for_each_address);
    tcase_add_test(tcase, the_longest_prefix_decides);
    tcase_add_test(tcase, own_addresses_are_local);
    tcase_add_test(tcase, broadcasts_are_no_peers);
    tcase_add_test(tcase, foreign_addresses_cannot_be_bound);
    tcase_add_test(tcase, interfaces_and_addresses_are_listed);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
