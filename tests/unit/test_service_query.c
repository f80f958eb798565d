/* test_service_query.c - PROTOCOL_QUERY: who sees what, answers in pieces, readers that don't read, requests that make
 * no sense. */
#include "service/loop.h"
#include "service/query/json.h"
#include "service/query/outlet.h"
#include "service/query/capture_stream.h"
#include "service/query/query.h"
#include "service/request.h"
#include "service_fixture.h"
#include "stack/inspect.h"

#include <arpa/inet.h>
#include "service/program.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOMEBODY 12345 /* a user who is neither root nor us */

/* Ask. Return: the pipe. */
static int ask(int kind, int flags, int states)
{
    struct protocol_message request = {.operation = PROTOCOL_QUERY, .args = {kind, flags, states}}, reply;
    int fd = service_request(&request, -1, &reply, 0);

    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Read all of the answer, the loop turning. Return: the objects without the end, which must be there. Closes fd. */
static json_t *read_answer(int fd)
{
    json_t *objects = json_array(), *object, *end = NULL;
    size_t length = 0, size = 1 << 20;
    char *text = malloc(size), *line;

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    for (int turn = 0; turn < 100000; turn++) {
        ssize_t got = read(fd, text + length, size - 1 - length);

        if (got == 0)
            break;
        if (got > 0) {
            length += (size_t)got;
            if (length > size / 2)
                text = realloc(text, size *= 2);
            continue;
        }
        ck_assert_int_eq(errno, EAGAIN);
        ck_assert_int_eq(loop_turn(), 0);
    }
    text[length] = '\0';
    close(fd);
    for (char *next = text; (line = strsep(&next, "\n")) != NULL && *line != '\0';) {
        ck_assert_ptr_null(end);
        object = json_loads(line, 0, NULL);
        ck_assert_msg(object != NULL, "no JSON: %s", line);
        end = json_object_get(object, "end");
        if (end == NULL) {
            json_array_append_new(objects, object);
        } else {
            ck_assert_int_eq(json_integer_value(json_object_get(end, "count")), (json_int_t)json_array_size(objects));
            json_decref(object);
        }
    }
    ck_assert_msg(end != NULL, "the answer is not complete");
    free(text);
    return objects;
}

static size_t count_sockets(int flags, int states)
{
    json_t *objects = read_answer(ask(PROTOCOL_QUERY_SOCKETS, flags, states));
    size_t count = json_array_size(objects);

    json_decref(objects);
    return count;
}

START_TEST(a_connection_is_described)
{
    struct service_connection connection = service_connection();
    json_t *objects = read_answer(ask(PROTOCOL_QUERY_SOCKETS, PROTOCOL_QUERY_INFO, 1 << TCP_ESTABLISHED));
    const char *text;
    json_int_t pid;

    ck_assert_uint_eq(json_array_size(objects), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *object = json_array_get(objects, i);
        json_t *info = json_object_get(object, "info");

        ck_assert_int_eq(json_unpack(object, "{s:{s:s},s:{s:i}}", "local", "address", &text, "program", "pid", &pid), 0);
        ck_assert_str_eq(text, "127.0.0.1");
        ck_assert_str_eq(json_string_value(json_object_get(info, "congestion")), "cubic");
    }
    json_decref(objects);
    ck_assert_uint_eq(count_sockets(0, 0), 3);
    ck_assert_uint_eq(count_sockets(PROTOCOL_QUERY_UDP, 0), 0);
    ck_assert_uint_eq(count_sockets(PROTOCOL_QUERY_TCP, 1 << TCP_LISTEN), 1);
    service_close_connection(&connection);
}
END_TEST

START_TEST(a_user_sees_only_his_own)
{
    struct service_connection connection = service_connection();
    int own;

    service_client_uid = SOMEBODY;
    ck_assert_uint_eq(count_sockets(0, 0), 0);
    own = service_socket();
    ck_assert_uint_eq(count_sockets(0, 0), 1);
    service_client_uid = 0;
    ck_assert_uint_eq(count_sockets(0, 0), 4);
    close(own);
    service_close_connection(&connection);
}
END_TEST

/* What the program has closed is its user's still, and known by its number. */
START_TEST(a_closed_connection_keeps_its_user)
{
    struct service_connection connection;

    service_client_uid = SOMEBODY;
    connection = service_connection();
    close(connection.client);
    close(connection.server);
    for (int i = 0; i < 50 && count_sockets(0, 1 << TCP_TIME_WAIT) == 0; i++)
        continue; /* each question is a turn or two */
    ck_assert_uint_ge(count_sockets(0, 1 << TCP_TIME_WAIT), 1); /* both, if they closed at the same time */
    service_client_uid = SOMEBODY + 1;
    ck_assert_uint_eq(count_sockets(0, 1 << TCP_TIME_WAIT), 0);
    service_client_uid = 0;
    close(connection.listener);
}
END_TEST

/* 1000 sockets are many pieces; half of them go while the answer is written. */
START_TEST(an_answer_in_pieces_stands_a_change)
{
    enum { COUNT = 1000 };
    int fds[COUNT], fd;
    json_t *objects;

    for (int i = 0; i < COUNT; i++)
        fds[i] = service_socket();
    fd = ask(PROTOCOL_QUERY_SOCKETS, PROTOCOL_QUERY_INFO, 0);
    ck_assert_int_eq(loop_turn(), 0);
    ck_assert_int_eq(loop_turn(), 0);
    for (int i = 0; i < COUNT; i += 2) {
        close(fds[i]);
        if (i % 50 == 0)
            ck_assert_int_eq(loop_turn(), 0);
    }
    objects = read_answer(fd);
    ck_assert_uint_ge(json_array_size(objects), COUNT / 2);
    ck_assert_uint_le(json_array_size(objects), COUNT);
    for (size_t i = 0; i < json_array_size(objects); i++)
        for (size_t j = 0; j < i; j++)
            ck_assert(json_integer_value(json_object_get(json_array_get(objects, i), "id")) !=
                      json_integer_value(json_object_get(json_array_get(objects, j), "id")));
    json_decref(objects);
    for (int i = 1; i < COUNT; i += 2)
        close(fds[i]);
    ck_assert_uint_le(count_sockets(0, 0), COUNT / 2);
}
END_TEST

/* A reader that does not read holds a place, which is bounded, and no more than that. */
START_TEST(who_does_not_read_is_refused_more)
{
    struct protocol_message request = {.operation = PROTOCOL_QUERY, .args = {PROTOCOL_QUERY_SOCKETS}}, reply;
    enum { SOCKETS = 600 };
    int fds[OUTLETS_USER_MAX], sockets[SOCKETS];

    service_client_uid = SOMEBODY;
    for (int i = 0; i < SOCKETS; i++)
        sockets[i] = service_socket();
    for (int i = 0; i < OUTLETS_USER_MAX; i++)
        fds[i] = ask(PROTOCOL_QUERY_SOCKETS, PROTOCOL_QUERY_INFO, 0);
    ck_assert_int_eq(service_request(&request, -1, &reply, -EAGAIN), -1);
    service_client_uid = SOMEBODY + 1;
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(count_sockets(0, 0), 0); /* others are not concerned */
    ck_assert_uint_eq(outlet_counters.open, OUTLETS_USER_MAX); /* all wait */
    service_client_uid = 0;
    for (int i = 0; i < OUTLETS_USER_MAX; i++)
        close(fds[i]);
    (void)count_sockets(0, 0);
    ck_assert_uint_eq(outlet_counters.open, 0); /* who goes away is forgotten */
    for (int i = 0; i < SOCKETS; i++)
        close(sockets[i]);
}
END_TEST

START_TEST(every_kind_is_an_object)
{
    static const int kinds[] = {PROTOCOL_QUERY_SERVICE, PROTOCOL_QUERY_STATS, PROTOCOL_QUERY_NETWORK};
    json_t *objects = read_answer(ask(kinds[_i], 0, 0));

    ck_assert_uint_eq(json_array_size(objects), 1);
    ck_assert_uint_gt(json_object_size(json_array_get(objects, 0)), 0);
    json_decref(objects);
}
END_TEST

START_TEST(a_bad_question_is_refused)
{
    struct protocol_message request = {.operation = PROTOCOL_QUERY, .args = {PROTOCOL_QUERY_SOCKETS}}, reply;

    switch (_i) {
    case 0: request.args[0] = 0; break;
    case 1: request.args[0] = PROTOCOL_QUERY_COUNT; break;
    case 2: request.args[0] = -1; break;
    case 3: request.args[0] = INT_MAX; break;
    case 4: request.args[1] = PROTOCOL_QUERY_FLAGS + 1; break;
    case 5: request.args[1] = -1; break;
    case 6: request.args[3] = 1; break;
    case 7: request.option_length = 1; break;
    case 8: request.address.length = 1; break;
    case 9: request.args[0] = PROTOCOL_QUERY_STATS, request.args[1] = PROTOCOL_QUERY_INFO; break;
    case 10: request.args[0] = PROTOCOL_QUERY_STATS, request.args[2] = 1; break;
    }
    ck_assert_int_eq(service_request(&request, -1, &reply, -EINVAL), -1);
    ck_assert_uint_eq(outlet_counters.open, 0);
}
END_TEST

START_TEST(strings_of_any_bytes_are_json)
{
    char text[4096], value[256];
    struct json json = {.text = text, .size = sizeof text};
    json_t *object;

    for (int i = 0; i < 255; i++)
        value[i] = (char)(i + 1);
    value[255] = '\0';
    json_open(&json, NULL, '{');
    json_put_string(&json, value, value);
    json_put_signed(&json, "n", INT64_MIN);
    json_open(&json, "a", '[');
    json_put_number(&json, NULL, UINT64_MAX / 2);
    json_put_bool(&json, NULL, false);
    json_close(&json, ']');
    json_close(&json, '}');
    json_end_line(&json);
    ck_assert(!json.overflowed);
    object = json_loadb(text, json.length, 0, NULL);
    ck_assert_ptr_nonnull(object);
    ck_assert_uint_eq(json_object_size(object), 3);
    json_decref(object);
    json = (struct json){.text = text, .size = 10};
    json_open(&json, NULL, '{');
    json_put_string(&json, "key", "value");
    ck_assert(json.overflowed);
    ck_assert_uint_le(json.length, 10);
}
END_TEST

static int service_datagram(void)
{
    struct protocol_message request = {.operation = PROTOCOL_SOCKET, .args = {AF_INET, SOCK_DGRAM, 0}}, reply;

    return service_request(&request, -1, &reply, 0);
}

static uint64_t id_of(int flags, int states)
{
    json_t *objects = read_answer(ask(PROTOCOL_QUERY_SOCKETS, flags, states));
    uint64_t id = (uint64_t)json_integer_value(json_object_get(json_array_get(objects, 0), "id"));

    json_decref(objects);
    return id;
}

static void kill_one(uint64_t id, int result)
{
    struct protocol_message request = {.operation = PROTOCOL_KILL, .option_length = sizeof id}, reply;

    memcpy(request.option, &id, sizeof id);
    ck_assert_int_eq(service_request(&request, -1, &reply, result), -1);
    ck_assert_int_eq(reply.args[0], result == 0);
}

static int error_of(int fd)
{
    struct protocol_message request = {.operation = PROTOCOL_STATUS}, reply;

    ck_assert_int_eq(service_request(&request, fd, &reply, 0), -1);
    return reply.args[1];
}

START_TEST(a_connection_can_be_ended_by_who_may)
{
    struct service_connection connection;
    uint64_t id;
    int error, datagram;

    service_client_uid = SOMEBODY;
    connection = service_connection();
    id = id_of(0, 1 << TCP_ESTABLISHED);
    service_client_uid = SOMEBODY + 1;
    kill_one(id, -EPERM);
    kill_one(0, -ENOENT);
    kill_one(UINT64_MAX, -ENOENT);
    service_client_uid = SOMEBODY;
    kill_one(id, 0);
    kill_one(id, -ENOTCONN);
    service_turn_until_polled(connection.client, POLLHUP);
    service_turn_until_polled(connection.server, POLLHUP);
    error = error_of(connection.client) + error_of(connection.server);
    ck_assert_int_eq(error, ECONNABORTED + ECONNRESET);
    kill_one(id_of(0, 1 << TCP_LISTEN), 0);
    ck_assert_uint_eq(count_sockets(0, 1 << TCP_LISTEN), 0);
    service_client_uid = 0;
    datagram = service_datagram();
    kill_one(id_of(PROTOCOL_QUERY_UDP, 0), 0);
    close(datagram);
    service_close_connection(&connection);
}
END_TEST

START_TEST(a_bad_wish_to_end_is_refused)
{
    struct protocol_message request = {.operation = PROTOCOL_KILL, .option_length = 8}, reply;

    switch (_i) {
    case 0: request.option_length = 0; break;
    case 1: request.option_length = 7; break;
    case 2: request.option_length = 9; break;
    case 3: request.args[0] = 1; break;
    case 4: request.args[3] = -1; break;
    case 5: request.address.length = 1; break;
    }
    ck_assert_int_eq(service_request(&request, -1, &reply, -EINVAL), -1);
}
END_TEST

/* Filters that the kernel would not take either: jumps out of the program, unknown instructions, no end, division by 0,
 * memory that is not there. */
static const struct bpf_insn bad_filters[][2] = {
    {{BPF_JMP | BPF_JA, 0, 0, 5}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{0xffff, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_MISC | 0x38, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_LD | BPF_ABS | 0x18, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_RET | BPF_X, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_LD | BPF_IMM, 0, 0, 1}, {BPF_LD | BPF_IMM, 0, 0, 1}},
    {{BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_ST, 0, 0, 16}, {BPF_RET | BPF_K, 0, 0, 1}},
    {{BPF_JMP | BPF_JEQ | BPF_K, 200, 0, 0}, {BPF_RET | BPF_K, 0, 0, 1}},
};

START_TEST(a_bad_capture_filter_is_refused)
{
    struct protocol_message request = {.operation = PROTOCOL_CAPTURE, .args = {0, 2}};
    int reader = -1;

    ck_assert_int_eq(capture_stream_start(&request, (const uint8_t *)bad_filters[_i], &(struct program){0}, &reader), -EINVAL);
    ck_assert_int_eq(reader, -1);
    ck_assert_uint_eq(capture_stream_counters.open, 0);
}
END_TEST

START_TEST(a_bad_capture_is_refused)
{
    struct protocol_message request = {.operation = PROTOCOL_CAPTURE};
    int reader = -1, expected = -EINVAL;
    struct program who = {0};

    switch (_i) {
    case 0: who.uid = SOMEBODY, expected = -EPERM; break;
    case 1: request.args[0] = -1; break;
    case 2: request.args[0] = PROTOCOL_CAPTURE_SNAP_MAX + 1; break;
    case 3: request.args[2] = -1; break;
    case 4: request.args[3] = 1; break;
    case 5: request.option_length = 16; break;
    case 6: request.option_length = 3; break; /* of zeros */
    case 7: request.address.length = 1; break;
    }
    ck_assert_int_eq(capture_stream_start(&request, NULL, &who, &reader), expected);
}
END_TEST

/* What follows the request is as long as it says. */
START_TEST(a_capture_filter_has_the_length_that_is_said)
{
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_CAPTURE};

    ck_assert_int_eq(request_check(&request, -1, 0), 0);
    ck_assert_int_eq(request_check(&request, -1, 8), -EPROTO);
    request.args[1] = 2;
    ck_assert_int_eq(request_check(&request, -1, 16), 0);
    ck_assert_int_eq(request_check(&request, -1, 15), -EPROTO);
    request.args[1] = -1;
    ck_assert_int_eq(request_check(&request, -1, 0), -EPROTO);
    request.args[1] = PROTOCOL_CAPTURE_FILTER_MAX + 1;
    ck_assert_int_eq(request_check(&request, -1, (PROTOCOL_CAPTURE_FILTER_MAX + 1) * 8), -EPROTO);
    request.args[1] = INT_MAX;
    ck_assert_int_eq(request_check(&request, -1, 8), -EPROTO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service_query");
    TCase *tcase = tcase_create("query");

    tcase_add_checked_fixture(tcase, service_setup, service_teardown);
    tcase_set_timeout(tcase, 60); /* for a loaded machine */
    tcase_add_test(tcase, a_connection_is_described);
    tcase_add_test(tcase, a_user_sees_only_his_own);
    tcase_add_test(tcase, a_closed_connection_keeps_its_user);
    tcase_add_test(tcase, an_answer_in_pieces_stands_a_change);
    tcase_add_test(tcase, who_does_not_read_is_refused_more);
    tcase_add_test(tcase, a_connection_can_be_ended_by_who_may);
    tcase_add_loop_test(tcase, a_bad_wish_to_end_is_refused, 0, 6);
    tcase_add_loop_test(tcase, a_bad_capture_filter_is_refused, 0, (int)(sizeof bad_filters / sizeof *bad_filters));
    tcase_add_loop_test(tcase, a_bad_capture_is_refused, 0, 8);
    tcase_add_test(tcase, a_capture_filter_has_the_length_that_is_said);
    tcase_add_loop_test(tcase, every_kind_is_an_object, 0, 3);
    tcase_add_loop_test(tcase, a_bad_question_is_refused, 0, 11);
    tcase_add_test(tcase, strings_of_any_bytes_are_json);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
