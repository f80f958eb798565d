/* test_tool_filter.c - the filters of sidestack ss: what they match, and what is refused. */
#include "service/tool/filter.h"
#include "tests/suite.h"

#include <check.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static const char v4[] = "{\"id\":7,\"netid\":\"tcp\",\"state\":\"established\",\"family\":4,\"recv_q\":1,\"send_q\":2,"
                         "\"local\":{\"address\":\"10.1.0.2\",\"port\":443},\"peer\":{\"address\":\"192.168.7.9\","
                         "\"port\":5000},\"uid\":1000,\"inode\":99,\"program\":{\"pid\":42,\"name\":\"nginx\"}}";
static const char v6[] = "{\"id\":8,\"netid\":\"tcp\",\"state\":\"time-wait\",\"family\":6,\"recv_q\":0,\"send_q\":0,"
                         "\"local\":{\"address\":\"2001:db8::1\",\"port\":80},\"peer\":{\"address\":\"2001:db8:1::9\","
                         "\"port\":6000},\"uid\":0,\"inode\":0}";
static const char mapped[] = "{\"id\":9,\"netid\":\"tcp\",\"state\":\"established\",\"family\":6,\"recv_q\":0,\"send_q\":0,"
                             "\"local\":{\"address\":\"::ffff:10.1.0.2\",\"port\":22},\"peer\":{\"address\":"
                             "\"::ffff:10.9.9.9\",\"port\":1}}";

static const struct {
    const char *text;
    bool v4, v6, mapped;
} cases[] = {
    {"", true, true, true},
    {"src 10.1.0.2", true, false, true},
    {"src 10.1.0.0/16", true, false, true},
    {"src = 10.0.0.0/8 and dst 192.168.0.0/16", true, false, false},
    {"src 10.0.0.0/8 dst 10.9.9.9", false, false, true},
    {"src != 10.1.0.2", false, true, false},
    {"dst 192.168.7.9:5000", true, false, false},
    {"dst 192.168.7.9:5001", false, false, false},
    {"src :443", true, false, false},
    {"src *:443", true, false, false},
    {"dst [2001:db8:1::9]:6000", false, true, false},
    {"dst [2001:db8:1::]/48:6000", false, true, false},
    {"dst [2001:db8:1::]/48:6001", false, false, false},
    {"src 2001:db8::/32", false, true, false},
    {"src ::/0", true, true, true},
    {"sport = :443", true, false, false},
    {"sport eq 443", true, false, false},
    {"sport == :https", true, false, false},
    {"sport < :443", false, true, true},
    {"sport<:443", false, true, true},
    {"sport <= 443 and sport >= 80", true, true, false},
    {"dport > :5000", false, true, false},
    {"dport ge 5000", true, true, false},
    {"dport != :1", true, true, false},
    {"not sport = :443", false, true, true},
    {"! ( sport = :443 or sport = :80 )", false, false, true},
    {"(sport = :443 or sport = :80) and dport = :6000", false, true, false},
    {"sport = :443 or sport = :80 and dport = :6000", true, true, false},
    {"pid 42", true, false, false},
    {"prog nginx", true, false, false},
    {"prog != nginx", false, true, true},
    {"user = 1000", true, false, false},
    {"id 8", false, true, false},
    {"state established sport = :443", true, false, false},
};

static bool holds(const struct filter *filter, const char *text)
{
    json_t *object = json_loads(text, 0, NULL);
    struct row row;
    bool result;

    ck_assert_ptr_nonnull(object);
    ck_assert(row_read(&row, object));
    result = filter_matches(filter, &row);
    json_decref(object);
    return result;
}

START_TEST(a_filter_matches_what_it_says)
{
    char text[128], message[512], *words[] = {text};
    struct filter filter;

    strcpy(text, cases[_i].text);
    ck_assert_msg(filter_parse(&filter, 1, words, message, sizeof message) == 0, "%s: %s", text, message);
    ck_assert_msg(holds(&filter, v4) == cases[_i].v4, "%s: IPv4", text);
    ck_assert_msg(holds(&filter, v6) == cases[_i].v6, "%s: IPv6", text);
    ck_assert_msg(holds(&filter, mapped) == cases[_i].mapped, "%s: mapped", text);
    filter_free(&filter);
}
END_TEST

/* One word or many: the shell's cuts make no difference. */
START_TEST(words_are_joined)
{
    char *words[] = {(char *)"state", (char *)"established", (char *)"exclude", (char *)"syn-sent", (char *)"dst",
                     (char *)"192.168.0.0/16"};
    char message[512];
    struct filter filter;

    ck_assert_int_eq(filter_parse(&filter, 6, words, message, sizeof message), 0);
    ck_assert_uint_eq(filter.states, 1u << TCP_ESTABLISHED);
    ck_assert(holds(&filter, v4));
    filter_free(&filter);
}
END_TEST

static const char *const bad[] = {"state", "state foo", "src", "sport =", "sport = :99999", "sport = -1", "src 10.0.0.0/33",
                                  "src ::/129", "src [::1", "( sport = :1", "sport = :1 )", "not", "and", "foo bar",
                                  "src > 10.0.0.1", "pid x", "sport = :1 or", "src 1.2.3.4/", "src 1.2.3.4/x", "src [::]x"};

START_TEST(what_makes_no_sense_is_refused)
{
    char text[128], message[512], *words[] = {text};
    struct filter filter;

    strcpy(text, bad[_i]);
    ck_assert_msg(filter_parse(&filter, 1, words, message, sizeof message) < 0, "%s", text);
    ck_assert_int_ne(message[0], '\0');
}
END_TEST

START_TEST(depth_is_bounded)
{
    static char text[100000], message[512];
    char *words[] = {text};
    struct filter filter;

    memset(text, _i == 0 ? '(' : '!', sizeof text - 1);
    if (_i == 1)
        for (size_t i = 1; i < sizeof text - 1; i += 2)
            text[i] = ' ';
    ck_assert_int_lt(filter_parse(&filter, 1, words, message, sizeof message), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tool_filter");
    TCase *tcase = tcase_create("filter");

    tcase_add_loop_test(tcase, a_filter_matches_what_it_says, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tcase, words_are_joined);
    tcase_add_loop_test(tcase, what_makes_no_sense_is_refused, 0, (int)(sizeof bad / sizeof *bad));
    tcase_add_loop_test(tcase, depth_is_bounded, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
