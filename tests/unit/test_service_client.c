/* test_service_client.c - control connections: what is answered, and what ends them. */
#include "service/client.h"
#include "service/control_socket.h"
#include "service/control_socket.h"
#include "service/loop.h"
#include "service/program.h"
#include "service/request.h"
#include "service_fixture.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 16

static char directory[] = "/tmp/test_client_XXXXXX";
static char path[64];
static int control_fd, fd;

static struct control_access access_of_self;

static int connect_control(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    ck_assert_int_eq(connect(made, (struct sockaddr *)&address, sizeof address), 0);
    client_accept(control_fd);
    return made;
}

static void setup(void)
{
    service_setup();
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s/control", directory);
    access_of_self = (struct control_access){geteuid(), getegid(), CONTROL_MODE_DEFAULT};
    control_fd = control_socket_open(path, &access_of_self);
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
    service_teardown();
}

static struct protocol_message good_request(void)
{
    return (struct protocol_message){.magic = PROTOCOL_MAGIC,
                                     .version = PROTOCOL_VERSION,
                                     .operation = PROTOCOL_SOCKET,
                                     .args = {AF_INET, SOCK_STREAM, 0}};
}

static void send_bytes(const void *bytes, size_t length, const int *fds, size_t count)
{
    struct iovec iov = {(void *)bytes, length};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control = {.header = {CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (count > 0) {
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)length);
}

/* Wait for the reply. Return: its descriptor or -1. */
static int receive_reply(struct protocol_message *reply)
{
    struct iovec iov = {reply, sizeof *reply};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int received = -1;

    service_turn_until_polled(fd, POLLIN);
    ck_assert_int_eq(recvmsg(fd, &message, MSG_DONTWAIT), sizeof *reply);
    if (message.msg_controllen > 0)
        memcpy(&received, CMSG_DATA(&control.header), sizeof received);
    return received;
}

/* The service closes the connection, and keeps no descriptor that came along. */
static void expect_closed(int descriptors)
{
    char byte;

    service_turn_until_polled(fd, POLLHUP);
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    ck_assert_int_eq(count_descriptors(), descriptors - 1);
}

static bool has_no_clients(void *context)
{
    (void)context;
    return control_counters.open == 0;
}

static bool has_no_sockets(void *context)
{
    (void)context;
    return socket_count() == 0;
}

START_TEST(a_good_request_is_answered)
{
    struct protocol_message request = good_request(), reply;
    int made;

    send_bytes(&request, sizeof request, NULL, 0);
    made = receive_reply(&reply);
    ck_assert_int_ge(made, 0);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_uint_eq(reply.operation, PROTOCOL_SOCKET);
    close(made);
}
END_TEST

/* Ask by number. Return: the result. */
static int ask_by_number(int32_t number, int32_t instance)
{
    struct protocol_message request = good_request(), reply;

    request.operation = PROTOCOL_STATUS;
    request.flags = PROTOCOL_FLAG_BY_NUMBER;
    request.args[2] = number;
    request.args[3] = instance;
    send_bytes(&request, sizeof request, NULL, 0);
    ck_assert_int_eq(receive_reply(&reply), -1);
    return reply.result;
}

/* A socket of another process. */
static int make_others(struct protocol_message *reply)
{
    struct program *program = program_connect(getppid(), 0, 0);
    struct protocol_message request = good_request();
    struct request_context context = {.program = program, .fd = -1, .reply_fd = -1};

    memset(reply, 0, sizeof *reply);
    ck_assert_int_eq(request_execute(&request, reply, &context), 0);
    program_disconnect(program);
    return context.reply_fd;
}

START_TEST(a_program_names_its_own_sockets_by_number)
{
    struct protocol_message request = good_request(), reply, other;
    int made, others;

    send_bytes(&request, sizeof request, NULL, 0);
    made = receive_reply(&reply);
    ck_assert_int_eq(ask_by_number(reply.args[2], reply.args[3]), 0);
    ck_assert_int_eq(ask_by_number(reply.args[2], reply.args[3] + 1), -PROTOCOL_SHOW);
    ck_assert_int_eq(ask_by_number(reply.args[2] + 1, reply.args[3]), -PROTOCOL_SHOW);
    others = make_others(&other);
    ck_assert_int_eq(ask_by_number(other.args[2], other.args[3]), -PROTOCOL_SHOW);
    close(others);
    /* Another connection of this process is as good; without any it is another process. */
    close(fd);
    fd = connect_control();
    ck_assert_int_eq(ask_by_number(reply.args[2], reply.args[3]), 0);
    close(fd);
    service_turn_until(has_no_clients, NULL);
    fd = connect_control();
    ck_assert_int_eq(ask_by_number(reply.args[2], reply.args[3]), -PROTOCOL_SHOW);
    close(made);
}
END_TEST

START_TEST(a_program_gets_sockets_in_bulk)
{
    struct protocol_message request = good_request(), reply;
    int descriptors = count_descriptors(), made, fds[PROTOCOL_SPARES_MAX];
    struct iovec iov = {&reply, sizeof reply};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    request.args[3] = -1;
    send_bytes(&request, sizeof request, NULL, 0);
    made = receive_reply(&reply);
    ck_assert_int_eq(reply.args[1], 0);
    request.args[3] = INT32_MAX;
    send_bytes(&request, sizeof request, NULL, 0);
    service_turn_until_polled(fd, POLLIN);
    ck_assert_int_eq(recvmsg(fd, &message, MSG_DONTWAIT), sizeof reply);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_int_eq(reply.args[1], PROTOCOL_SPARES_MAX);
    ck_assert_uint_eq(control.header.cmsg_len, CMSG_LEN((1 + PROTOCOL_SPARES_MAX) * sizeof(int)));
    memcpy(fds, CMSG_DATA(&control.header) + sizeof(int), sizeof fds);
    for (int i = 0; i < PROTOCOL_SPARES_MAX; i++) {
        ck_assert_int_eq(ask_by_number(reply.args[2] + 1 + i, reply.args[3]), 0);
        close(fds[i]);
    }
    memcpy(fds, CMSG_DATA(&control.header), sizeof(int));
    close(fds[0]);
    close(made);
    service_turn_until(has_no_sockets, NULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
}
END_TEST

START_TEST(other_families_are_refused_with_their_errno)
{
    struct protocol_message request = good_request(), reply;

    request.args[0] = AF_IPX;
    send_bytes(&request, sizeof request, NULL, 0);
    ck_assert_int_eq(receive_reply(&reply), -1);
    ck_assert_int_eq(reply.result, -EAFNOSUPPORT);
}
END_TEST

/* Each makes one thing of a good request wrong. */
static void spoil(struct protocol_message *request, size_t *length, int which)
{
    switch (which) {
    case 0: *length -= 1; break;
    case 1: *length = 1; break;
    case 2: request->magic ^= 1; break;
    case 3: request->version++; break;
    case 4: request->operation = 0; break;
    case 5: request->operation = PROTOCOL_OPERATION_COUNT; break;
    case 6: request->operation = 0xffff; break;
    case 7: request->result = 1; break;
    case 8: request->flags = PROTOCOL_FLAG_WAIT; break;
    case 9: request->flags = 0x80000000u; break;
    case 10: request->address.length = sizeof request->address.bytes + 1; break;
    case 11: request->address.length = UINT32_MAX; break;
    case 12: request->option_length = PROTOCOL_OPTION_MAX + 1; break;
    case 13: request->operation = PROTOCOL_BIND; break; /* no descriptor */
    case 14: request->flags = PROTOCOL_FLAG_ONE_WAY; break;
    }
}

START_TEST(a_bad_request_ends_the_connection)
{
    struct protocol_message request = good_request();
    size_t length = sizeof request;
    int descriptors = count_descriptors();

    spoil(&request, &length, _i);
    send_bytes(&request, length, NULL, 0);
    expect_closed(descriptors);
}
END_TEST

START_TEST(descriptors_too_many_are_closed)
{
    struct protocol_message request = good_request();
    int descriptors = count_descriptors(), fds[FDS_MAX];

    for (int i = 0; i < FDS_MAX; i++)
        fds[i] = fd;
    if (_i > 1)
        request.operation = PROTOCOL_STATUS;
    send_bytes(&request, sizeof request, fds, (size_t)_i);
    expect_closed(descriptors);
}
END_TEST

START_TEST(a_message_too_long_ends_the_connection)
{
    char bytes[sizeof(struct protocol_message) + 1] = "";
    struct protocol_message request = good_request();
    int descriptors = count_descriptors();

    memcpy(bytes, &request, sizeof request);
    send_bytes(bytes, sizeof bytes, NULL, 0);
    expect_closed(descriptors);
}
END_TEST

START_TEST(a_strangers_descriptor_is_no_socket_of_ours)
{
    struct protocol_message request = good_request(), reply;
    int strangers[] = {fd, open("/dev/null", O_RDONLY | O_CLOEXEC), open("/", O_RDONLY | O_CLOEXEC)};

    request.operation = PROTOCOL_STATUS;
    for (size_t i = 0; i < 3; i++) {
        send_bytes(&request, sizeof request, &strangers[i], 1);
        ck_assert_int_eq(receive_reply(&reply), -1);
        ck_assert_int_eq(reply.result, -ENOTSOCK);
    }
    close(strangers[1]);
    close(strangers[2]);
}
END_TEST

/* Two options set without a reply: the only reply is that to the question. */
START_TEST(what_wants_no_reply_gets_none)
{
    struct protocol_message request = good_request(), reply;
    struct service_connection connection = service_connection();
    int on = 1;

    request.operation = PROTOCOL_SETSOCKOPT;
    request.flags = PROTOCOL_FLAG_ONE_WAY;
    request.args[0] = IPPROTO_TCP;
    request.args[1] = TCP_CORK;
    request.option_length = sizeof on;
    memcpy(request.option, &on, sizeof on);
    send_bytes(&request, sizeof request, &connection.client, 1);
    request.args[1] = TCP_NODELAY;
    send_bytes(&request, sizeof request, &connection.client, 1);
    request.operation = PROTOCOL_GETSOCKOPT;
    request.flags = 0;
    request.args[1] = TCP_CORK;
    send_bytes(&request, sizeof request, &connection.client, 1);
    ck_assert_int_eq(receive_reply(&reply), -1);
    ck_assert_uint_eq(reply.operation, PROTOCOL_GETSOCKOPT);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_mem_eq(reply.option, &on, sizeof on);
    ck_assert_int_eq(service_get_option(connection.client, IPPROTO_TCP, TCP_NODELAY), 1);
    service_close_connection(&connection);
}
END_TEST

START_TEST(a_waiting_connect_is_answered_when_it_ends)
{
    struct protocol_message request = good_request(), reply;
    struct sockaddr_in address;
    int listener = service_listener(1, &address), client = service_socket();

    request.operation = PROTOCOL_CONNECT;
    request.flags = PROTOCOL_FLAG_WAIT;
    request.address.length = sizeof address;
    memcpy(request.address.bytes, &address, sizeof address);
    send_bytes(&request, sizeof request, &client, 1);
    ck_assert_int_eq(receive_reply(&reply), -1);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_int_eq(service_poll(client), POLLOUT);
    close(client);
    close(listener);
}
END_TEST

START_TEST(who_stops_waiting_does_not_stop_the_handshake)
{
    struct protocol_message request = good_request();
    struct sockaddr_in address;
    int listener = service_listener(1, &address), client = service_socket();

    request.operation = PROTOCOL_CONNECT;
    request.flags = PROTOCOL_FLAG_WAIT;
    request.address.length = sizeof address;
    memcpy(request.address.bytes, &address, sizeof address);
    send_bytes(&request, sizeof request, &client, 1);
    close(fd);
    service_turn_until_polled(client, POLLOUT);
    fd = connect_control();
    close(client);
    close(listener);
}
END_TEST

/* Write until nothing more is taken for many turns: every queue on the way is full. */
static bool is_stuffed(void *context)
{
    static const char block[65536];
    static int idle;

    idle = send(*(int *)context, block, sizeof block, MSG_DONTWAIT) > 0 ? 0 : idle + 1;
    return idle > 20;
}

/* Read until the end of file. */
static bool is_read_out(void *context)
{
    static char block[65536];
    ssize_t n;

    do
        n = recv(*(int *)context, block, sizeof block, MSG_DONTWAIT);
    while (n > 0);
    return n == 0;
}

START_TEST(a_lingering_close_is_answered_when_all_is_acknowledged)
{
    struct protocol_message request = good_request(), reply;
    struct service_connection c = service_connection();
    struct linger linger = {1, 60};

    service_set_option(c.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger, 0);
    service_turn_until(is_stuffed, &c.client);
    request.operation = PROTOCOL_LINGER;
    send_bytes(&request, sizeof request, &c.client, 1);
    receive_reply(&reply);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_int_eq(reply.args[2], 60);

    if (_i == 1) { /* else others hold it still: nothing to wait for */
        close(c.client);
        c.client = -1;
    }
    request.flags = PROTOCOL_FLAG_WAIT;
    request.args[0] = reply.args[0];
    request.args[1] = reply.args[1];
    send_bytes(&request, sizeof request, NULL, 0);
    if (_i == 1) {
        for (int turn = 0; turn < 3; turn++) {
            ck_assert_int_eq(loop_turn(), 0);
            ck_assert_int_eq(service_poll(fd) & POLLIN, 0);
        }
        service_turn_until(is_read_out, &c.server);
    }
    receive_reply(&reply);
    ck_assert_int_eq(reply.result, 0);
    ck_assert_uint_eq(reply.operation, PROTOCOL_LINGER);
    service_close_connection(&c);
}
END_TEST

START_TEST(who_stops_lingering_does_not_stop_the_sending)
{
    struct protocol_message request = good_request(), reply;
    struct service_connection c = service_connection();

    service_turn_until(is_stuffed, &c.client);
    request.operation = PROTOCOL_LINGER;
    send_bytes(&request, sizeof request, &c.client, 1);
    receive_reply(&reply);
    close(c.client);
    c.client = -1;
    request.flags = PROTOCOL_FLAG_WAIT;
    request.args[0] = reply.args[0];
    request.args[1] = reply.args[1];
    send_bytes(&request, sizeof request, NULL, 0);
    ck_assert_int_eq(loop_turn(), 0);
    close(fd);
    service_turn_until(is_read_out, &c.server);
    fd = connect_control();
    service_close_connection(&c);
}
END_TEST

START_TEST(a_second_service_at_the_same_path_is_refused)
{
    ck_assert_int_eq(control_socket_open(path, &access_of_self), -EADDRINUSE);
}
END_TEST

START_TEST(a_dead_services_socket_is_replaced)
{
    int again;

    close(control_fd); /* without removing the path, as after kill -9 */
    again = control_socket_open(path, &access_of_self);
    ck_assert_int_ge(again, 0);
    control_fd = again;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *tcase = tcase_create("client");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_good_request_is_answered);
    tcase_add_test(tcase, a_program_names_its_own_sockets_by_number);
    tcase_add_test(tcase, a_program_gets_sockets_in_bulk);
    tcase_add_test(tcase, other_families_are_refused_with_their_errno);
    tcase_add_loop_test(tcase, a_bad_request_ends_the_connection, 0, 15);
    tcase_add_loop_test(tcase, descriptors_too_many_are_closed, 1, FDS_MAX + 1);
    tcase_add_test(tcase, a_message_too_long_ends_the_connection);
    tcase_add_test(tcase, a_strangers_descriptor_is_no_socket_of_ours);
    tcase_add_test(tcase, what_wants_no_reply_gets_none);
    tcase_add_test(tcase, a_waiting_connect_is_answered_when_it_ends);
    tcase_add_test(tcase, who_stops_waiting_does_not_stop_the_handshake);
    tcase_add_loop_test(tcase, a_lingering_close_is_answered_when_all_is_acknowledged, 0, 2);
    tcase_add_test(tcase, who_stops_lingering_does_not_stop_the_sending);
    tcase_add_test(tcase, a_second_service_at_the_same_path_is_refused);
    tcase_add_test(tcase, a_dead_services_socket_is_replaced);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
