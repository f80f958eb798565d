/* test_service_interfaces.c - the list of interfaces and addresses that programs are given. */
#include "service/protocol.h"
#include "service_fixture.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* Ask from a place on. Return: how many entries came. */
static size_t ask(int first, struct protocol_interface entries[PROTOCOL_INTERFACES_MAX], int *total)
{
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION,
                                       .operation = PROTOCOL_INTERFACES, .args = {first}};
    struct protocol_message reply;

    ck_assert_int_eq(service_request(&request, -1, &reply, 0), -1);
    ck_assert_uint_eq(reply.option_length % sizeof *entries, 0);
    memcpy(entries, reply.option, reply.option_length);
    *total = reply.args[0];
    return reply.option_length / sizeof *entries;
}

START_TEST(interfaces_come_first_then_addresses)
{
    struct protocol_interface entries[PROTOCOL_INTERFACES_MAX];
    int total;

    ck_assert_uint_eq(ask(0, entries, &total), PROTOCOL_INTERFACES_MAX);
    ck_assert_int_eq(total, 6); /* lo, wire9; 127.0.0.1, 10.9.8.7; ::1, a link-local one */
    ck_assert_str_eq((char *)entries[0].bytes, "lo");
    ck_assert_uint_eq(entries[0].index, 1);
    ck_assert_uint_ne(entries[0].flags & IFF_LOOPBACK, 0);
    ck_assert_str_eq((char *)entries[1].bytes, "wire9");
    ck_assert_uint_eq(entries[1].mtu, 1500);
    ck_assert_mem_eq(entries[1].mac, "\2\0\0\0\0\1\0\0", 8);
    ck_assert_uint_eq(entries[2].family, AF_INET);
    ck_assert_uint_eq(entries[2].prefix_bits, 8);
    ck_assert_uint_eq(entries[3].index, 2);
    ck_assert_mem_eq(entries[3].bytes, "\12\11\10\7", 4);
    ck_assert_uint_eq(entries[3].flags, IFA_F_PERMANENT);
}
END_TEST

START_TEST(list_goes_on_where_it_ended)
{
    struct protocol_interface entries[PROTOCOL_INTERFACES_MAX];
    int total;

    ck_assert_uint_eq(ask(PROTOCOL_INTERFACES_MAX, entries, &total), 6 - PROTOCOL_INTERFACES_MAX);
    ck_assert_uint_eq(entries[0].family, AF_INET6);
    ck_assert_uint_eq(entries[0].index, 1);
    ck_assert_uint_eq(entries[0].prefix_bits, 128);
    ck_assert_uint_eq(ask(6, entries, &total), 0);
    ck_assert_uint_eq(ask(1000000, entries, &total), 0);
    ck_assert_int_eq(total, 6);
}
END_TEST

START_TEST(no_place_before_the_first)
{
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION,
                                       .operation = PROTOCOL_INTERFACES, .args = {-1}};
    struct protocol_message reply;

    service_request(&request, -1, &reply, -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interfaces");
    TCase *tcase = tcase_create("interfaces");

    tcase_add_checked_fixture(tcase, service_setup, service_teardown);
    tcase_add_test(tcase, interfaces_come_first_then_addresses);
    tcase_add_test(tcase, list_goes_on_where_it_ended);
    tcase_add_test(tcase, no_place_before_the_first);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
