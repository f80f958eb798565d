/*
 * test_service_resolver.c - lookups: what is sent to name servers, what is taken from them, and who may have how many.
 *
 * The name server is the test, at 127.0.0.1 of the stack; programs are its control connections.
 */
#include "service/client.h"
#include "service/control_socket.h"
#include "service/protocol.h"
#include "service/resolver/resolver.h"
#include "service/resolver/resolver_config.h"
#include "service_fixture.h"
#include "stack/datagram.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* "www.test", type A */
static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\4test\0\0\1\0\1";
#define QUERY_BYTES (sizeof query - 1)
#define RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"
#define RECORD_BYTES (sizeof RECORD - 1)

static char directory[] = "/tmp/test_resolver_XXXXXX";
static char path[64];
static int control_fd, fd;

/* ---- the name server ---- */

static struct stack_datagram *server;
static struct stack_tcp *listener, *connection;
static struct {
    unsigned count; /* questions that came; the rest is the last one's */
    uint8_t first_id[2];
    uint8_t bytes[512];
    size_t length;
    union stack_address from;
} asked;

static bool on_question(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count, size_t length)
{
    (void)owner;
    asked.length = 0;
    for (int i = 0; i < count; i++) {
        ck_assert_uint_le(asked.length + iov[i].iov_len, sizeof asked.bytes);
        memcpy(asked.bytes + asked.length, iov[i].iov_base, iov[i].iov_len);
        asked.length += iov[i].iov_len;
    }
    ck_assert_uint_eq(asked.length, length);
    asked.from = info->peer;
    if (asked.count++ == 0)
        memcpy(asked.first_id, asked.bytes, 2);
    return true;
}

static void on_connection(void *owner, struct stack_tcp *child)
{
    static const struct stack_tcp_events none;

    (void)owner;
    connection = child;
    stack_tcp_adopt(child, &none, NULL);
}

static bool was_asked(void *count)
{
    return asked.count >= *(unsigned *)count;
}

static void wait_for_questions(unsigned count)
{
    service_turn_until(was_asked, &count);
}

/* The answer to what was asked last, with the flags given and one record. Return: its length. */
static size_t make_answer(uint8_t *answer, unsigned flags)
{
    memcpy(answer, asked.bytes, asked.length);
    answer[2] = (uint8_t)(flags >> 8);
    answer[3] = (uint8_t)flags;
    answer[7] = 1;
    memcpy(answer + asked.length, RECORD, RECORD_BYTES);
    return asked.length + RECORD_BYTES;
}

static void say(const uint8_t *answer, size_t length)
{
    const struct stack_datagram_info info = {.peer = asked.from, .ttl = -1, .tos = -1};
    struct iovec iov = {(void *)answer, length};

    ck_assert_int_eq(stack_datagram_send(server, &info, &iov, 1, length), 0);
}

/* ---- the programs ---- */

static int connect_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(made, (struct sockaddr *)&address, sizeof address), 0);
    client_accept(control_fd);
    return made;
}

/* Ask for the query once or twice; says_length: what the request says of the first's length. */
static void ask(int from, int times, int says_length)
{
    struct protocol_message request = {.magic = PROTOCOL_MAGIC,
                                       .version = PROTOCOL_VERSION,
                                       .operation = PROTOCOL_RESOLVE,
                                       .args = {says_length, times > 1 ? QUERY_BYTES : 0}};
    struct iovec iov[3] = {{&request, sizeof request}, {(void *)query, QUERY_BYTES}, {(void *)query, QUERY_BYTES}};

    ck_assert_int_ge(writev(from, iov, 1 + times), (ssize_t)sizeof request);
}

struct answered {
    struct protocol_message reply;
    uint8_t tail[2048];
    size_t length;
};

static struct answered wait_for_answer(int at)
{
    struct answered answered;
    struct iovec iov[2] = {{&answered.reply, sizeof answered.reply}, {answered.tail, sizeof answered.tail}};
    ssize_t length;

    service_turn_until_polled(at, POLLIN);
    length = readv(at, iov, 2);
    ck_assert_int_ge(length, (ssize_t)sizeof answered.reply);
    answered.length = (size_t)length - sizeof answered.reply;
    ck_assert_uint_eq(answered.reply.operation, PROTOCOL_RESOLVE);
    return answered;
}

static void expect_record(const struct answered *answered)
{
    ck_assert_int_eq(answered->reply.result, 0);
    ck_assert_uint_eq(answered->length, QUERY_BYTES + RECORD_BYTES);
    ck_assert_int_eq(answered->reply.args[0], (int)answered->length);
    ck_assert_int_eq(answered->reply.args[1], 0);
    ck_assert_mem_eq(answered->tail, query, 2); /* the identifier is the program's own */
    ck_assert_mem_eq(answered->tail + QUERY_BYTES, RECORD, RECORD_BYTES);
}

static void setup(void)
{
    static const struct stack_datagram_events datagram_events = {.received = on_question};
    static const struct stack_tcp_events tcp_events = {.accepted = on_connection};
    union stack_address here = {.in = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

    service_setup();
    ck_assert_int_eq(resolver_setup(), 0);
    resolver_set_servers(&here, 1);
    memset(&asked, 0, sizeof asked);
    server = stack_datagram_open(STACK_DATAGRAM_UDP, AF_INET, 0, &datagram_events, NULL);
    ck_assert_int_eq(stack_datagram_bind(server, &here), 0);
    listener = stack_tcp_open(AF_INET, &tcp_events, NULL);
    ck_assert_int_eq(stack_tcp_bind(listener, &here), 0);
    ck_assert_int_eq(stack_tcp_listen(listener, NULL), 0);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s/control", directory);
    control_fd = control_socket_open(path, &(struct control_access){geteuid(), getegid(), CONTROL_MODE_DEFAULT});
    ck_assert_int_ge(control_fd, 0);
    fd = connect_control();
}

static void teardown(void)
{
    close(fd);
    control_socket_close(control_fd, path);
    *strrchr(path, '/') = '\0';
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    if (server != NULL)
        stack_datagram_close(server);
    stack_tcp_close(listener);
    if (connection != NULL)
        stack_tcp_close(connection);
    client_close_all();
    resolver_teardown();
    service_teardown();
}

START_TEST(an_answer_comes_with_the_programs_identifier)
{
    struct answered answered;
    uint8_t answer[600];

    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    ck_assert_uint_eq(asked.length, QUERY_BYTES);
    ck_assert_mem_eq(asked.bytes + 2, query + 2, QUERY_BYTES - 2);
    say(answer, make_answer(answer, 0x8180));
    answered = wait_for_answer(fd);
    expect_record(&answered);
}
END_TEST

START_TEST(two_questions_go_out_at_once)
{
    struct answered answered;
    uint8_t answer[600];

    ask(fd, 2, QUERY_BYTES);
    wait_for_questions(2);
    ck_assert_mem_ne(asked.bytes, asked.first_id, 2);
    say(answer, make_answer(answer, 0x8180));
    memcpy(asked.bytes, asked.first_id, 2);
    say(answer, make_answer(answer, 0x8183)); /* no such name */
    answered = wait_for_answer(fd);
    ck_assert_int_eq(answered.reply.args[0], QUERY_BYTES + RECORD_BYTES);
    ck_assert_int_eq(answered.reply.args[1], QUERY_BYTES + RECORD_BYTES);
    ck_assert_uint_eq(answered.length, 2 * (QUERY_BYTES + RECORD_BYTES));
}
END_TEST

START_TEST(what_does_not_fit_the_question_is_ignored)
{
    struct answered answered;
    uint8_t answer[600], other[600];
    size_t length;

    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    length = make_answer(answer, 0x8180);
    memcpy(other, answer, length);
    other[1] ^= 2; /* another identifier */
    say(other, length);
    memcpy(other, answer, length);
    other[13] = 'x'; /* another name */
    say(other, length);
    memcpy(other, answer, length);
    say(other, 7); /* no whole header */
    memset(other, 0xc0, sizeof other);
    say(other, sizeof other);
    say(answer, length);
    answered = wait_for_answer(fd);
    expect_record(&answered);
}
END_TEST

static bool has_connection(void *context)
{
    (void)context;
    return connection != NULL && stack_tcp_receive_queued(connection) == 2 + QUERY_BYTES;
}

START_TEST(a_truncated_answer_is_fetched_by_tcp)
{
    struct answered answered;
    uint8_t answer[600];
    struct iovec iov[STACK_TCP_IOV];
    size_t length;

    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    say(answer, make_answer(answer, 0x8380));
    service_turn_until(has_connection, NULL);
    ck_assert_int_eq(stack_tcp_receive_peek(connection, iov, 1), 1);
    memcpy(asked.bytes, (uint8_t *)iov[0].iov_base + 2, QUERY_BYTES);
    length = make_answer(answer + 2, 0x8180);
    answer[0] = 0;
    answer[1] = (uint8_t)length;
    for (size_t done = 0; done < length + 2; done += 5) { /* in small pieces */
        size_t part = length + 2 - done < 5 ? length + 2 - done : 5;

        ck_assert_int_eq(stack_tcp_send_reserve(connection, part, iov), 1);
        memcpy(iov[0].iov_base, answer + done, part);
        ck_assert_int_eq(stack_tcp_send_commit(connection, part, false), 0);
    }
    answered = wait_for_answer(fd);
    expect_record(&answered);
}
END_TEST

START_TEST(nobody_there)
{
    struct answered answered;

    stack_datagram_close(server);
    server = NULL;
    ask(fd, 1, QUERY_BYTES);
    answered = wait_for_answer(fd);
    ck_assert_int_eq(answered.reply.result, 0);
    ck_assert_uint_eq(answered.length, 0);
    ck_assert_int_eq(answered.reply.args[2], -ECONNREFUSED);
}
END_TEST

START_TEST(a_server_that_refuses_is_asked_again)
{
    struct answered answered;
    uint8_t answer[600];

    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    say(answer, make_answer(answer, 0x8182)); /* SERVFAIL */
    wait_for_questions(2);
    say(answer, make_answer(answer, 0x8185)); /* REFUSED */
    answered = wait_for_answer(fd);
    ck_assert_uint_eq(answered.length, 0);
    ck_assert_int_eq(answered.reply.args[2], -ETIMEDOUT);
}
END_TEST

/* What is no query, or not as long as it says, ends the connection or is refused. */
START_TEST(a_bad_request)
{
    static const int lengths[] = {0, -1, 1, QUERY_BYTES - 1, QUERY_BYTES + 1, PROTOCOL_QUERY_MAX, INT32_MAX, INT32_MIN};

    ask(fd, 1, lengths[_i]);
    service_turn_until_polled(fd, POLLHUP);
    ck_assert_uint_eq(asked.count, 0);
}
END_TEST

START_TEST(a_message_that_is_no_question)
{
    struct lookup_question question = {.length = QUERY_BYTES};
    uint8_t bytes[QUERY_BYTES];

    question.message = query;
    ck_assert(resolver_check_question(&question));
    question.message = bytes;
    for (size_t length = 0; length < QUERY_BYTES; length++) {
        memcpy(bytes, query, sizeof bytes);
        question.length = length;
        ck_assert(!resolver_check_question(&question));
    }
    question.length = QUERY_BYTES;
    bytes[2] |= 0x80; /* an answer */
    ck_assert(!resolver_check_question(&question));
    memcpy(bytes, query, sizeof bytes);
    bytes[5] = 2; /* two questions */
    ck_assert(!resolver_check_question(&question));
    memcpy(bytes, query, sizeof bytes);
    bytes[12] = 0xc0; /* a name that points elsewhere */
    ck_assert(!resolver_check_question(&question));
}
END_TEST

START_TEST(who_goes_away_ends_the_lookup)
{
    uint8_t answer[600];
    int descriptors = count_descriptors();

    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    close(fd);
    for (int i = 0; i < 4; i++)
        client_sweep();
    fd = connect_control();
    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(2);
    say(answer, make_answer(answer, 0x8180));
    (void)wait_for_answer(fd);
    ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

START_TEST(who_asks_while_it_waits_is_closed)
{
    ask(fd, 1, QUERY_BYTES);
    wait_for_questions(1);
    ask(fd, 1, QUERY_BYTES);
    service_turn_until_polled(fd, POLLHUP);
}
END_TEST

static bool is_asked_or_answered(void *context)
{
    (void)context;
    return asked.count > 0 || (service_poll(fd) & POLLIN);
}

START_TEST(lookups_have_a_bound)
{
    int fds[RESOLVER_LOOKUPS_USER];
    struct answered answered;

    for (unsigned i = 0; i < RESOLVER_LOOKUPS_USER; i++) {
        fds[i] = connect_control();
        ask(fds[i], 1, QUERY_BYTES);
        wait_for_questions(i + 1);
    }
    ask(fd, 1, QUERY_BYTES);
    answered = wait_for_answer(fd);
    ck_assert_int_eq(answered.reply.result, -EAGAIN);
    close(fds[0]);
    asked.count = 0;
    while (asked.count == 0) { /* the service may hear of the next question before it hears of that end */
        ask(fd, 1, QUERY_BYTES);
        service_turn_until(is_asked_or_answered, NULL);
        if (service_poll(fd) & POLLIN)
            (void)wait_for_answer(fd);
    }
    for (unsigned i = 1; i < RESOLVER_LOOKUPS_USER; i++)
        close(fds[i]);
}
END_TEST

/* ---- resolv.conf(5) ---- */

START_TEST(configuration)
{
    char text[] = "# a comment\n"
                  "nameserver 10.1.1.1\n"
                  "nameserver\tfe80::1%7 # behind it\n"
                  "nameserver nonsense\n"
                  "domain first.test\n"
                  "search one.test. two.test   three.test\n"
                  "options timeout:3 attempts:9 rotate ndots:2 unknown:1\n"
                  "options use-vc timeout:x\n"
                  "nameserver 10.1.1.3\nnameserver 10.1.1.4\nnameserver 10.1.1.5\nnameserver 10.1.1.6\n"
                  "nameserver 10.1.1.7\nnameserver 10.1.1.8\nnameserver 10.1.1.9\n";
    struct resolver_config config;

    resolver_config_parse(text, &config);
    ck_assert_uint_eq(config.server_count, RESOLVER_SERVERS_MAX);
    ck_assert_uint_eq(config.servers[0].in.sin_addr.s_addr, inet_addr("10.1.1.1"));
    ck_assert_uint_eq(ntohs(config.servers[0].in.sin_port), 53);
    ck_assert_uint_eq(config.servers[1].in6.sin6_scope_id, 7);
    ck_assert_uint_eq(config.servers[2].in.sin_addr.s_addr, inet_addr("10.1.1.3"));
    ck_assert_uint_eq(config.domains.length, sizeof "one.test" + sizeof "two.test" + sizeof "three.test");
    ck_assert_mem_eq(config.domains.text, "one.test\0two.test\0three.test", config.domains.length);
    ck_assert_int_eq(config.timeout_s, 1);
    ck_assert_int_eq(config.attempts, 5);
    ck_assert(config.rotate);
    ck_assert(config.use_tcp);
}
END_TEST

START_TEST(configuration_of_nothing)
{
    char text[] = "";
    struct resolver_config config;

    resolver_config_parse(text, &config);
    ck_assert_uint_eq(config.server_count, 1);
    ck_assert_uint_eq(config.servers[0].in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    ck_assert_int_eq(config.timeout_s, 5);
    ck_assert_int_eq(config.attempts, 2);
}
END_TEST

START_TEST(domains_have_a_bound)
{
    struct resolver_domains domains = {.length = 0};
    char name[64];
    unsigned count = 0;

    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    ck_assert(!resolver_domains_add(&domains, ""));
    while (resolver_domains_add(&domains, name))
        count++;
    ck_assert_uint_eq(count, RESOLVER_DOMAINS_BYTES / 64);
    ck_assert_uint_le(domains.length, sizeof domains.text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver");
    TCase *lookups = tcase_create("lookups"), *configurations = tcase_create("configuration");

    tcase_add_checked_fixture(lookups, setup, teardown);
    tcase_set_timeout(lookups, 60);
    tcase_add_test(lookups, an_answer_comes_with_the_programs_identifier);
    tcase_add_test(lookups, two_questions_go_out_at_once);
    tcase_add_test(lookups, what_does_not_fit_the_question_is_ignored);
    tcase_add_test(lookups, a_truncated_answer_is_fetched_by_tcp);
    tcase_add_test(lookups, nobody_there);
    tcase_add_test(lookups, a_server_that_refuses_is_asked_again);
    tcase_add_loop_test(lookups, a_bad_request, 0, 8);
    tcase_add_test(lookups, a_message_that_is_no_question);
    tcase_add_test(lookups, who_goes_away_ends_the_lookup);
    tcase_add_test(lookups, who_asks_while_it_waits_is_closed);
    tcase_add_test(lookups, lookups_have_a_bound);
    tcase_add_test(configurations, configuration);
    tcase_add_test(configurations, configuration_of_nothing);
    tcase_add_test(configurations, domains_have_a_bound);
    suite_add_tcase(suite, lookups);
    suite_add_tcase(suite, configurations);
    return suite_run(suite);
}
