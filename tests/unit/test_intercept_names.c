/* test_intercept_names.c - what answers of name servers say, the order of addresses, and nsswitch.conf. */
#include "intercept/names/names.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

struct message {
    uint8_t bytes[2048];
    size_t length;
};

static void put(struct message *message, const void *bytes, size_t length)
{
    ck_assert_uint_le(message->length + length, sizeof message->bytes);
    memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

static void put_16(struct message *message, unsigned value)
{
    put(message, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_name(struct message *message, const char *name)
{
    while (*name != '\0') {
        size_t length = strcspn(name, ".");

        put(message, (uint8_t[]){(uint8_t)length}, 1);
        put(message, name, length);
        name += length + (name[length] == '.');
    }
    put(message, "", 1);
}

/* An answer to a question about name, with no records yet. */
static struct message begin(const char *name, unsigned type)
{
    struct message message = {.length = 0};

    put(&message, "\x12\x34\x81\x80\0\1\0\0\0\0\0\0", 12);
    put_name(&message, name);
    put_16(&message, type);
    put_16(&message, ns_c_in);
    return message;
}

static void add(struct message *message, const char *owner, unsigned type, const void *data, size_t length)
{
    message->bytes[7]++;
    put_name(message, owner);
    put_16(message, type);
    put_16(message, ns_c_in);
    put(message, "\0\0\0\x3c", 4);
    put_16(message, (unsigned)length);
    put(message, data, length);
}

static void add_name(struct message *message, const char *owner, unsigned type, const char *target)
{
    struct message data = {.length = 0};

    put_name(&data, target);
    add(message, owner, type, data.bytes, data.length);
}

static int read_message(const struct message *message, int type, struct names_host *host)
{
    /* In memory of its own, so that a sanitizer sees a byte too many. */
    struct names_answer answer = {.bytes = malloc(message->length), .length = message->length};
    int code;

    ck_assert_ptr_nonnull(answer.bytes);
    memcpy(answer.bytes, message->bytes, message->length);
    memset(host, 0, sizeof *host);
    code = names_read_answer(&answer, type, host);
    free(answer.bytes);
    return code;
}

START_TEST(addresses_and_aliases)
{
    struct message message = begin("www.test", ns_t_a);
    struct names_host host;

    add_name(&message, "www.test", ns_t_cname, "a.test");
    add_name(&message, "A.TEST", ns_t_cname, "b.test");
    add(&message, "b.test", ns_t_a, "\1\2\3\4", 4);
    add(&message, "b.test", ns_t_a, "\5\6\7\x8", 4);
    ck_assert_int_eq(read_message(&message, ns_t_a, &host), 0);
    ck_assert_str_eq(host.name, "b.test");
    ck_assert_uint_eq(host.alias_count, 2);
    ck_assert_str_eq(host.aliases[0], "www.test");
    ck_assert_uint_eq(host.address_count, 2);
    ck_assert_mem_eq(host.addresses[1].bytes, "\5\6\7\x8", 4);
    names_host_free(&host);
}
END_TEST

START_TEST(what_was_not_asked_for_is_left_out)
{
    struct message message = begin("www.test", ns_t_a);
    struct names_host host;

    add(&message, "bank.test", ns_t_a, "\6\6\6\6", 4);       /* of another host */
    add(&message, "www.test", ns_t_a, "\6\6\6\6\6", 5);      /* too long */
    add(&message, "www.test", ns_t_aaaa, "0123456789abcdef", 16);
    add_name(&message, "bank.test", ns_t_cname, "www.test");
    add(&message, "www.test", ns_t_a, "\1\2\3\4", 4);
    ck_assert_int_eq(read_message(&message, ns_t_a, &host), 0);
    ck_assert_str_eq(host.name, "www.test");
    ck_assert_uint_eq(host.alias_count, 0);
    ck_assert_uint_eq(host.address_count, 1);
    ck_assert_mem_eq(host.addresses[0].bytes, "\1\2\3\4", 4);
    names_host_free(&host);
}
END_TEST

START_TEST(names_of_addresses)
{
    struct message message = begin("4.3.2.1.in-addr.arpa", ns_t_ptr);
    struct names_host host;

    add_name(&message, "4.3.2.1.in-addr.arpa", ns_t_cname, "4.0-63.3.2.1.in-addr.arpa");
    add_name(&message, "4.0-63.3.2.1.in-addr.arpa", ns_t_ptr, "not a host!");
    add_name(&message, "4.0-63.3.2.1.in-addr.arpa", ns_t_ptr, "first.test");
    add_name(&message, "4.0-63.3.2.1.in-addr.arpa", ns_t_ptr, "second.test");
    ck_assert_int_eq(read_message(&message, ns_t_ptr, &host), 0);
    ck_assert_str_eq(host.name, "first.test");
    names_host_free(&host);
}
END_TEST

START_TEST(nothing_in_it)
{
    struct message message = begin("www.test", ns_t_a);
    struct names_host host;

    ck_assert_int_eq(read_message(&message, ns_t_a, &host), NO_DATA);
    names_host_free(&host);
    add_name(&message, "www.test", ns_t_cname, "www.test"); /* around and around */
    add_name(&message, "www.test", ns_t_cname, "www.test");
    ck_assert_int_eq(read_message(&message, ns_t_a, &host), NO_DATA);
    names_host_free(&host);
}
END_TEST

/* Every shortened answer, and every answer with one byte changed, is read without harm. */
START_TEST(broken_answers)
{
    struct message message = begin("www.test", ns_t_a), broken;
    struct names_host host;

    add_name(&message, "www.test", ns_t_cname, "a.test");
    add(&message, "a.test", ns_t_a, "\1\2\3\4", 4);
    add(&message, "a.test", ns_t_a, "\1\2\3\5", 4);
    for (size_t length = 0; length < message.length; length++) {
        broken = message;
        broken.length = length;
        (void)read_message(&broken, ns_t_a, &host);
        ck_assert_uint_le(host.address_count, 2);
        names_host_free(&host);
    }
    for (size_t at = 0; at < message.length; at++)
        for (unsigned value = 0; value < 256; value++) {
            broken = message;
            broken.bytes[at] = (uint8_t)value;
            (void)read_message(&broken, ns_t_a, &host);
            ck_assert_uint_le(host.address_count, 2);
            names_host_free(&host);
        }
}
END_TEST

/* ---- order ---- */

static void set_address(struct names_address *address, const char *text)
{
    address->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    ck_assert_int_eq(inet_pton(address->family, text, address->bytes), 1);
}

/* Sort pairs of destination and source ("": not reachable); the destinations must come out as wanted, by their
 * positions. */
static void check_order(const char *pairs[][2], const char *wanted)
{
    struct names_candidate candidates[16];
    size_t count = strlen(wanted);

    memset(candidates, 0, sizeof candidates);
    for (size_t i = 0; i < count; i++) {
        candidates[i].position = i;
        candidates[i].prefix_bits = 24;
        set_address(&candidates[i].destination, pairs[i][0]);
        if (*pairs[i][1] != '\0')
            set_address(&candidates[i].source, pairs[i][1]);
    }
    names_sort_candidates(candidates, count);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(candidates[i].position == (size_t)(wanted[i] - '0'), "place %zu has %zu, wanted %c", i,
                      candidates[i].position, wanted[i]);
}

START_TEST(order_by_rule)
{
    const char *reachable[][2] = {{"2001:db8::1", ""}, {"10.0.0.1", "10.0.0.2"}};
    const char *scope[][2] = {{"2001:db8:1::1", "fe80::2"}, {"198.51.100.121", "198.51.100.117"}};
    const char *label[][2] = {{"2002:c633:6401::1", "2001:db8::2"}, {"2001:db8::1", "2001:db8::2"}};
    const char *precedence[][2] = {{"10.1.2.3", "10.1.2.4"}, {"2001:db8:1::1", "2001:db8:1::2"}};
    const char *smaller[][2] = {{"2001:db8:1::1", "2001:db8:1::2"}, {"fe80::1", "fe80::2"}};
    const char *prefix[][2] = {{"2001:db8:3ffe::1", "2001:db8:1::2"}, {"2001:db8:1::1", "2001:db8:1::2"}};
    const char *subnet[][2] = {{"10.9.9.9", "10.77.0.2"}, {"192.0.2.1", "10.77.0.2"}, {"10.77.0.3", "10.77.0.2"}};
    const char *same[][2] = {{"192.0.2.7", "10.77.0.2"}, {"10.9.9.9", "10.77.0.2"}, {"192.0.2.1", "10.77.0.2"}};

    check_order(reachable, "10");
    check_order(scope, "10");
    check_order(label, "10");
    check_order(precedence, "10");
    check_order(smaller, "10");
    check_order(prefix, "10");
    check_order(subnet, "201");
    check_order(same, "012");
}
END_TEST

START_TEST(order_avoids_deprecated)
{
    struct names_candidate candidates[2];

    memset(candidates, 0, sizeof candidates);
    for (size_t i = 0; i < 2; i++) {
        candidates[i].position = i;
        set_address(&candidates[i].destination, i == 0 ? "2001:db8:1::1" : "2001:db8:2::1");
        set_address(&candidates[i].source, i == 0 ? "2001:db8:1::2" : "2001:db8:9::2");
        candidates[i].deprecated = i == 0;
    }
    names_sort_candidates(candidates, 2);
    ck_assert_uint_eq(candidates[0].position, 1);
}
END_TEST

/* ---- nsswitch.conf ---- */

static void check_sources(const char *text, const char *line)
{
    struct names_sources sources;

    names_sources_parse(text, &sources);
    ck_assert_str_eq(sources.line, line);
}

START_TEST(sources_for_hosts)
{
    struct names_sources sources;

    check_sources("passwd: files\nhosts: files dns\nnetworks: dns\n", "files sidestack");
    check_sources("hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns myhostname # all\n", "files sidestack");
    check_sources("hosts: mymachines resolve [!UNAVAIL=return] files dns\n", "sidestack [!UNAVAIL=return] files");
    check_sources("  hosts : dns\n", "sidestack");
    check_sources("hosts: files", "files");
    check_sources("hosts: mdns4\n", "");
    check_sources("", "files sidestack");
    check_sources("hostsx: files\n", "files sidestack");
    check_sources("hosts: files [", "files [");

    names_sources_parse("hosts: files [NOTFOUND=return] dns [!UNAVAIL=return TRYAGAIN=continue]\n", &sources);
    ck_assert_uint_eq(sources.count, 2);
    ck_assert_int_eq(sources.list[0].kind, NAMES_FILES);
    ck_assert(sources.list[0].ends[NSS_STATUS_NOTFOUND + 2]);
    ck_assert(sources.list[0].ends[NSS_STATUS_SUCCESS + 2]);
    ck_assert(!sources.list[0].ends[NSS_STATUS_UNAVAIL + 2]);
    ck_assert_int_eq(sources.list[1].kind, NAMES_DNS);
    ck_assert(sources.list[1].ends[NSS_STATUS_NOTFOUND + 2]);
    ck_assert(!sources.list[1].ends[NSS_STATUS_UNAVAIL + 2]);
    ck_assert(!sources.list[1].ends[NSS_STATUS_TRYAGAIN + 2]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intercept_names");
    TCase *answers = tcase_create("answers"), *order = tcase_create("order"), *sources = tcase_create("sources");

    tcase_add_test(answers, addresses_and_aliases);
    tcase_add_test(answers, what_was_not_asked_for_is_left_out);
    tcase_add_test(answers, names_of_addresses);
    tcase_add_test(answers, nothing_in_it);
    tcase_add_test(answers, broken_answers);
    tcase_set_timeout(answers, 60);
    tcase_add_test(order, order_by_rule);
    tcase_add_test(order, order_avoids_deprecated);
    tcase_add_test(sources, sources_for_hosts);
    suite_add_tcase(suite, answers);
    suite_add_tcase(suite, order);
    suite_add_tcase(suite, sources);
    return suite_run(suite);
}
