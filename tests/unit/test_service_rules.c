/* test_service_rules.c - rules: their text, what they match, what stays when others come. */
#include "service/log/journal.h"
#include "service/rules/rules.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHY_SIZE 256

static void teardown(void)
{
    struct rules_set none = {NULL, 0};

    rules_install(&none);
}

/* Put rules in force, up to NULL. */
static void install(const char *const *texts)
{
    struct rules_set set = {NULL, 0};
    char why[WHY_SIZE];

    for (unsigned line = 1; *texts != NULL; texts++, line++)
        ck_assert_int_eq(rules_set_add(&set, *texts, "rules.conf", line, why, sizeof why), 0);
    rules_install(&set);
}
#define INSTALL(...) install((const char *const[]){__VA_ARGS__, NULL})

static union stack_address address_of(const char *host, uint16_t port)
{
    union stack_address address = {.sa.sa_family = AF_INET};

    if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
        address.in.sin_port = htons(port);
        return address;
    }
    address.sa.sa_family = AF_INET6;
    ck_assert_int_eq(inet_pton(AF_INET6, host, &address.in6.sin6_addr), 1);
    address.in6.sin6_port = htons(port);
    return address;
}

static struct rules_verdict judge(const char *program, uid_t uid, enum rules_protocol protocol, unsigned role,
                                  const char *host, uint16_t port)
{
    union stack_address address = address_of(host, port);
    struct rules_question question = {protocol, role, &address};
    struct rules_who *who = rules_who_of_program(program, uid);
    struct rules_verdict verdict;

    ck_assert_ptr_nonnull(who);
    verdict = rules_judge(who, &question);
    rules_who_release(who);
    return verdict;
}

/* The rule that decides about a TCP connection of curl's, a user's; -1: none. */
static int index_of(const char *host, uint16_t port)
{
    return judge("/usr/bin/curl", 1000, RULES_TCP, RULES_CONNECT, host, port).index;
}

static struct rules_verdict judge_new(const char *program, enum rules_protocol protocol)
{
    return judge(program, 1000, protocol, 0, "0.0.0.0", 0);
}

static const struct {
    const char *text, *why;
} bad_rules[] = {
    {"", "expected stack, host, reject or blackhole first, found ''"},
    {"accept port=22", "expected stack, host, reject or blackhole first, found 'accept'"},
    {"host port", "expected NAME=VALUE, found 'port'"},
    {"host ports=22", "expected program, user, protocol, role, address, port or error before '=', found 'ports'"},
    {"host port=22 port=23", "port: given twice; a list has commas"},
    {"host port=70000", "port: expected N or N-M, 0 to 65535, found '70000'"},
    {"host port=23-22", "port: expected N or N-M, 0 to 65535, found '23-22'"},
    {"host port=22-", "port: expected N or N-M, 0 to 65535, found '22-'"},
    {"host port=-1", "port: expected N or N-M, 0 to 65535, found '-1'"},
    {"host port=", "port: expected N or N-M, 0 to 65535, found ''"},
    {"host port=1,2,3,4,5,6,7,8,9", "port: expected at most 8 values"},
    {"host address=10.0.0", "address: expected ADDRESS or ADDRESS/LENGTH, found '10.0.0'"},
    {"host address=10.0.0.0/33", "address: expected a length of 0 to 32 after '/', found '33'"},
    {"host address=fd00::/129", "address: expected a length of 0 to 128 after '/', found '129'"},
    {"host address=10.0.0.0/", "address: expected a length of 0 to 32 after '/', found ''"},
    {"host address=10.0.0.1/24", "address: '10.0.0.1/24' has bits set beyond its length"},
    {"host address=fd00::1/64", "address: 'fd00::1/64' has bits set beyond its length"},
    {"host protocol=sctp", "protocol: expected tcp, udp, udplite, icmp or raw, found 'sctp'"},
    {"host role=both", "role: expected connect or listen, found 'both'"},
    {"host user=no-such-user", "user: expected the name of a user of this machine, or a number, found 'no-such-user'"},
    {"host program=", "program: expected a path, a name or a pattern of either, found ''"},
    {"host program=a,,b", "program: expected a path, a name or a pattern of either, found 'a,,b'"},
    {"reject error=EWHATEVER", "error: expected the name of an errno like ECONNREFUSED, found 'EWHATEVER'"},
    {"host error=EPERM", "error: only a rule that rejects has one"},
    {"host protocol=icmp,raw port=7", "port: icmp and raw sockets have none"},
};

START_TEST(bad_rules_say_what_was_expected)
{
    struct rules_set set = {NULL, 0};
    char why[WHY_SIZE];

    ck_assert_int_eq(rules_set_add(&set, bad_rules[_i].text, "rules.conf", 1, why, sizeof why), -EINVAL);
    ck_assert_str_eq(why, bad_rules[_i].why);
    ck_assert_uint_eq(set.count, 0);
    rules_set_clear(&set);
}
END_TEST

START_TEST(all_of_a_rule_is_read)
{
    struct rule rule;
    char why[WHY_SIZE];

    ck_assert_int_eq(rules_parse(" reject  program=/usr/bin/ssh,s?p\tuser=root,77 protocol=tcp,udp role=listen "
                                 "address=192.0.2.0/24,fd00::/8,::1 port=22-23,80 error=ECONNREFUSED ",
                                 &rule, why, sizeof why),
                     0);
    ck_assert_int_eq(rule.action, RULES_REJECT);
    ck_assert_int_eq(rule.error, ECONNREFUSED);
    ck_assert_uint_eq(rule.protocols, RULES_TCP | RULES_UDP);
    ck_assert_uint_eq(rule.roles, RULES_LISTEN);
    ck_assert_uint_eq(rule.user_count, 2);
    ck_assert_uint_eq(rule.users[0], 0);
    ck_assert_uint_eq(rule.users[1], 77);
    ck_assert_uint_eq(rule.prefix_count, 3);
    ck_assert_uint_eq(rule.prefixes[0].bits, 96 + 24);
    ck_assert_uint_eq(rule.prefixes[2].bits, 128);
    ck_assert_uint_eq(rule.port_count, 2);
    ck_assert_uint_eq(rule.ports[0].last, 23);
    ck_assert_mem_eq(rule.programs, "/usr/bin/ssh\0s?p\0", 18);
    ck_assert_str_eq(rule.text + strlen(rule.text) - 12, "ECONNREFUSED");
    rules_clear_rule(&rule);
}
END_TEST

START_TEST(a_long_rule_is_refused)
{
    char text[RULES_TEXT_MAX + 2], why[WHY_SIZE];
    struct rule rule;

    memset(text, 'a', sizeof text);
    memcpy(text, "host program=", 13);
    text[RULES_TEXT_MAX] = '\0';
    ck_assert_int_eq(rules_parse(text, &rule, why, sizeof why), 0);
    rules_clear_rule(&rule);
    text[RULES_TEXT_MAX] = 'a';
    text[RULES_TEXT_MAX + 1] = '\0';
    ck_assert_int_eq(rules_parse(text, &rule, why, sizeof why), -EINVAL);
    ck_assert_str_eq(why, "expected at most 255 bytes, found 256");
}
END_TEST

START_TEST(first_match_wins)
{
    INSTALL("stack address=192.0.2.7", "host address=192.0.2.0/24 port=22-23", "reject address=192.0.2.0/24");
    ck_assert_int_eq(index_of("192.0.2.7", 22), 0);
    ck_assert_int_eq(index_of("192.0.2.8", 22), 1);
    ck_assert_int_eq(index_of("192.0.2.8", 23), 1);
    ck_assert_int_eq(index_of("192.0.2.8", 24), 2);
    ck_assert_int_eq(index_of("192.0.3.8", 22), -1);
    ck_assert_int_eq(judge("/bin/x", 0, RULES_TCP, RULES_CONNECT, "192.0.3.8", 22).action, RULES_STACK);
}
END_TEST

START_TEST(programs_match_by_path_or_name)
{
    INSTALL("host program=/opt/*", "host program=ssh", "host program=python3.*,/usr/bin/p?rl");
    ck_assert_int_eq(judge_new("/opt/a/b/c", RULES_TCP).index, 0);
    ck_assert_int_eq(judge_new("/usr/bin/ssh", RULES_TCP).index, 1);
    ck_assert_int_eq(judge_new("/usr/bin/sshd", RULES_TCP).index, -1);
    ck_assert_int_eq(judge_new("/usr/local/bin/python3.11", RULES_TCP).index, 2);
    ck_assert_int_eq(judge_new("/usr/bin/perl", RULES_TCP).index, 2);
    ck_assert_int_eq(judge_new("/bin/perl", RULES_TCP).index, -1);
    ck_assert_int_eq(judge_new("", RULES_TCP).index, -1); /* not known: no pattern means it */
}
END_TEST

START_TEST(users_protocols_and_roles_match)
{
    INSTALL("host user=33", "reject protocol=udp,icmp", "blackhole role=listen");
    ck_assert_int_eq(judge("/a", 33, RULES_TCP, RULES_CONNECT, "10.0.0.1", 1).index, 0);
    ck_assert_int_eq(judge("/a", 34, RULES_UDP, RULES_CONNECT, "10.0.0.1", 1).index, 1);
    ck_assert_int_eq(judge("/a", 34, RULES_ICMP, RULES_CONNECT, "10.0.0.1", 0).error, EACCES);
    ck_assert_int_eq(judge("/a", 34, RULES_RAW, RULES_CONNECT, "10.0.0.1", 0).index, -1);
    ck_assert_int_eq(judge("/a", 34, RULES_TCP, RULES_LISTEN, "0.0.0.0", 80).action, RULES_BLACKHOLE);
}
END_TEST

START_TEST(families_are_told_apart)
{
    INSTALL("host address=0.0.0.0/0 port=1", "host address=::/0 port=1", "host address=::1", "host address=127.0.0.0/8");
    ck_assert_int_eq(index_of("10.1.1.1", 1), 0);
    ck_assert_int_eq(index_of("::ffff:10.1.1.1", 1), 0);
    ck_assert_int_eq(index_of("fd00::1", 1), 1);
    ck_assert_int_eq(index_of("::1", 2), 2);
    ck_assert_int_eq(index_of("127.9.9.9", 2), 3);
    ck_assert_int_eq(index_of("128.0.0.1", 2), -1);
}
END_TEST

START_TEST(prefixes_of_any_length_match)
{
    char text[64], why[WHY_SIZE];

    for (int bits = 0; bits <= 32; bits++) {
        struct rules_set set = {NULL, 0};
        uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
        struct in_addr base = {htonl(0xcbad1357 & mask)}, outside = {htonl((0xcbad1357 ^ (bits ? 1u << (32 - bits) : 0)))};

        snprintf(text, sizeof text, "host address=%s/%d", inet_ntoa(base), bits);
        ck_assert_int_eq(rules_set_add(&set, text, NULL, 0, why, sizeof why), 0);
        rules_install(&set);
        ck_assert_int_eq(index_of("203.173.19.87", 9), 0);
        ck_assert_int_eq(index_of(inet_ntoa(outside), 9), bits == 0 ? 0 : -1);
    }
}
END_TEST

START_TEST(a_new_socket_is_decided_by_its_program_alone)
{
    INSTALL("host program=ssh", "reject program=curl protocol=udp", "host port=80 protocol=tcp", "blackhole program=wget");
    ck_assert_int_eq(judge_new("/bin/ssh", RULES_TCP).action, RULES_HOST);
    ck_assert_int_eq(judge_new("/bin/curl", RULES_UDP).action, RULES_REJECT);
    ck_assert(judge_new("/bin/curl", RULES_TCP).depends);
    ck_assert(judge_new("/bin/wget", RULES_TCP).depends); /* a rule before it asks for the port */
    ck_assert_int_eq(judge_new("/bin/wget", RULES_UDP).action, RULES_BLACKHOLE);
    ck_assert(!judge_new("/bin/other", RULES_UDP).depends);
}
END_TEST

START_TEST(hits_outlive_a_reload)
{
    struct rules_verdict verdict;

    INSTALL("host port=1", "host port=2", "host port=3");
    for (int i = 0; i < 5; i++) {
        verdict = judge("/a", 0, RULES_TCP, RULES_CONNECT, "10.0.0.1", 2);
        rules_note_hit(&verdict);
    }
    ck_assert_uint_eq(rules_get(1)->hits, 5);
    ck_assert_uint_eq(rules_get(1)->line, 2);
    ck_assert_str_eq(rules_get(1)->file, "rules.conf");
    INSTALL("host port=7", "host port=2");
    ck_assert_uint_eq(rules_count(), 2);
    ck_assert_uint_eq(rules_get(0)->hits, 0);
    ck_assert_uint_eq(rules_get(1)->hits, 5);
    ck_assert_ptr_null(rules_get(2));
    teardown();
    ck_assert(!rules_are_active);
}
END_TEST

START_TEST(who_asks_is_told_by_proc)
{
    struct rules_who *who = rules_who_of_process(getpid(), getuid());
    struct rules_question question = {.protocol = RULES_TCP};
    char path[256], text[300];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    snprintf(text, sizeof text, "host program=%s", path);
    INSTALL("host program=nothing", text);
    ck_assert_int_eq(rules_judge(who, &question).index, 1);
    INSTALL(text); /* it is found out again */
    ck_assert_int_eq(rules_judge(who, &question).index, 0);
    rules_who_release(who);
}
END_TEST

START_TEST(a_thousand_rules_are_looked_through)
{
    enum { RULES = 1000 };
    struct rules_set set = {NULL, 0};
    union stack_address none = address_of("192.0.2.1", 80), last = address_of("10.3.249.1", RULES);
    const struct rules_question of_none = {RULES_TCP, RULES_CONNECT, &none}, of_last = {RULES_TCP, RULES_CONNECT, &last};
    struct rules_who *who = rules_who_of_program("/usr/bin/curl", 1000);
    char text[96], why[WHY_SIZE];

    for (int i = 0; i < RULES; i++) {
        snprintf(text, sizeof text, "host protocol=tcp role=connect address=10.%d.%d.0/24 port=%d", i / 250, i % 250, i + 1);
        ck_assert_int_eq(rules_set_add(&set, text, NULL, 0, why, sizeof why), 0);
    }
    rules_install(&set);
    ck_assert_int_eq(rules_judge(who, &of_none).index, -1);
    ck_assert_int_eq(rules_judge(who, &of_last).index, RULES - 1);
    rules_who_release(who);
}
END_TEST

static void note_option(struct journal **journal, int level, int name, int value)
{
    struct protocol_message request = {.args = {level, name}, .option_length = sizeof value};

    memcpy(request.option, &value, sizeof value);
    journal_note_option(journal, &request);
}

START_TEST(the_journal_keeps_the_order_and_what_counts)
{
    struct journal *journal = NULL;
    struct protocol_message reply = {.magic = 0};
    struct protocol_address address = {.length = 16};
    struct protocol_setting setting;
    static const int32_t want[][2] = {
        {SOL_SOCKET, SO_REUSEADDR}, {PROTOCOL_SETTING_BIND, 1}, {IPPROTO_TCP, TCP_NODELAY}, {SOL_SOCKET, SO_REUSEADDR}};
    uint32_t at = 0;

    note_option(&journal, SOL_SOCKET, SO_REUSEADDR, 1);
    journal_note_bind(&journal, &address, true);
    note_option(&journal, SOL_SOCKET, SO_REUSEADDR, 1);
    note_option(&journal, IPPROTO_TCP, TCP_NODELAY, 1);
    note_option(&journal, SOL_SOCKET, SO_REUSEADDR, 0); /* the one after the bind does not count any more */
    ck_assert_uint_eq(journal_read(journal, 0, &reply), 0);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        memcpy(&setting, reply.option + at, sizeof setting);
        ck_assert_int_eq(setting.level, want[i][0]);
        ck_assert_int_eq(setting.name, want[i][1]);
        at += (uint32_t)sizeof setting + setting.length;
    }
    ck_assert_uint_eq(at, reply.option_length);
    journal_free(&journal);
}
END_TEST

START_TEST(a_long_journal_is_read_in_parts)
{
    struct journal *journal = NULL;
    struct protocol_message reply = {.magic = 0};
    uint32_t offset = 0, total = 0;

    for (int i = 0; i < 100; i++)
        note_option(&journal, SOL_SOCKET, 1000 + i, i);
    do {
        offset = journal_read(journal, offset, &reply);
        ck_assert_uint_eq(reply.option_length % 16, 0);
        total += reply.option_length;
    } while (offset != 0);
    ck_assert_uint_eq(total, 100 * 16);
    for (int i = 0; i < 1000; i++) /* no more than it may hold */
        note_option(&journal, SOL_SOCKET, 2000 + i, i);
    journal_free(&journal);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rules");
    TCase *tcase = tcase_create("rules");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_loop_test(tcase, bad_rules_say_what_was_expected, 0, (int)(sizeof bad_rules / sizeof *bad_rules));
    tcase_add_test(tcase, all_of_a_rule_is_read);
    tcase_add_test(tcase, a_long_rule_is_refused);
    tcase_add_test(tcase, first_match_wins);
    tcase_add_test(tcase, programs_match_by_path_or_name);
    tcase_add_test(tcase, users_protocols_and_roles_match);
    tcase_add_test(tcase, families_are_told_apart);
    tcase_add_test(tcase, prefixes_of_any_length_match);
    tcase_add_test(tcase, a_new_socket_is_decided_by_its_program_alone);
    tcase_add_test(tcase, hits_outlive_a_reload);
    tcase_add_test(tcase, who_asks_is_told_by_proc);
    tcase_add_test(tcase, a_thousand_rules_are_looked_through);
    tcase_add_test(tcase, the_journal_keeps_the_order_and_what_counts);
    tcase_add_test(tcase, a_long_journal_is_read_in_parts);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
