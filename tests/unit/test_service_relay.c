/* test_service_relay.c - connections between two programs of one service: bytes, ends and errors cross as with TCP. */
#include "service/socket.h"
#include "stack/block.h"
#include "service_fixture.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALL_BITS (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR)

static struct service_connection c;

static void connect_fixture(void)
{
    service_setup();
    c = service_connection();
}

static void close_fixture(void)
{
    service_close_connection(&c);
    service_teardown();
}

/* Read what must be there now. */
static void expect_bytes(int fd, const char *text)
{
    char bytes[64];

    ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), (ssize_t)strlen(text));
    ck_assert_mem_eq(bytes, text, strlen(text));
}

static void expect_error(int fd, int error)
{
    char byte;

    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, error);
}

START_TEST(bytes_cross_both_ways)
{
    ck_assert_int_eq(write(c.client, "question", 8), 8);
    service_turn_until_polled(c.server, POLLIN);
    expect_bytes(c.server, "question");
    ck_assert_int_eq(write(c.server, "answer", 6), 6);
    service_turn_until_polled(c.client, POLLIN);
    expect_bytes(c.client, "answer");
}
END_TEST

START_TEST(a_single_byte_at_a_time)
{
    for (char byte = 'a'; byte <= 'z'; byte++) {
        char text[2] = {byte, '\0'};

        ck_assert_int_eq(write(c.client, &byte, 1), 1);
        service_turn_until_polled(c.server, POLLIN);
        expect_bytes(c.server, text);
    }
}
END_TEST

START_TEST(shutdown_is_an_end_of_file_and_the_other_way_goes_on)
{
    char byte;

    ck_assert_int_eq(write(c.client, "last", 4), 4);
    ck_assert_int_eq(shutdown(c.client, SHUT_WR), 0);
    service_turn_until_polled(c.server, POLLIN | POLLRDHUP);
    expect_bytes(c.server, "last");
    ck_assert_int_eq(read(c.server, &byte, 1), 0);
    ck_assert_int_eq(service_poll(c.server), POLLIN | POLLOUT | POLLRDHUP);
    ck_assert_int_eq(write(c.server, "still", 5), 5);
    service_turn_until_polled(c.client, POLLIN);
    expect_bytes(c.client, "still");
    ck_assert_int_eq(shutdown(c.server, SHUT_WR), 0);
    service_turn_until_polled(c.client, POLLHUP);
    ck_assert_int_eq(read(c.client, &byte, 1), 0);
    ck_assert_int_eq(service_poll(c.client), ALL_BITS & ~POLLERR);
}
END_TEST

START_TEST(what_was_written_before_close_arrives)
{
    char byte;

    ck_assert_int_eq(write(c.client, "bye", 3), 3);
    close(c.client);
    c.client = -1;
    service_turn_until_polled(c.server, POLLRDHUP);
    expect_bytes(c.server, "bye");
    ck_assert_int_eq(read(c.server, &byte, 1), 0);
}
END_TEST

START_TEST(close_with_data_unread_is_a_reset)
{
    ck_assert_int_eq(write(c.server, "unread", 6), 6);
    service_turn_until_polled(c.client, POLLIN);
    close(c.client);
    c.client = -1;
    service_turn_until_polled(c.server, POLLHUP);
    ck_assert_int_eq(service_poll(c.server), ALL_BITS);
    expect_error(c.server, ECONNRESET);
}
END_TEST

START_TEST(linger_zero_is_a_reset)
{
    struct linger linger = {1, 0};

    service_set_option(c.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger, 0);
    close(c.client);
    c.client = -1;
    service_turn_until_polled(c.server, POLLHUP);
    expect_error(c.server, ECONNRESET);
}
END_TEST

START_TEST(a_write_to_a_closed_peer_is_answered_by_a_reset)
{
    close(c.client);
    c.client = -1;
    service_turn_until_polled(c.server, POLLRDHUP);
    ck_assert_int_eq(write(c.server, "x", 1), 1);
    service_turn_until_polled(c.server, POLLHUP | POLLERR);
}
END_TEST

START_TEST(a_socket_that_shut_itself_down_may_be_gone_in_the_middle_of_a_request)
{
    struct sockaddr_in address = service_local_address(c.listener);
    int fd = service_socket();

    ck_assert_int_eq(shutdown(fd, SHUT_RDWR), 0);
    service_bind(fd, &address, -ENOTSOCK);
    close(fd);
}
END_TEST

static unsigned blocks_refused; /* so many more */

/* For block_get(), by the linker: it has no memory for a while. */
void *__real_block_get(enum block_class which); // NOLINT(bugprone-reserved-identifier)
void *__wrap_block_get(enum block_class which); // NOLINT(bugprone-reserved-identifier)
void *__wrap_block_get(enum block_class which)  // NOLINT(bugprone-reserved-identifier)
{
    if (blocks_refused == 0)
        return __real_block_get(which);
    blocks_refused--;
    return NULL;
}

/* Nothing is on its way to the peer whose acknowledgement would have the service look again. */
START_TEST(a_write_for_which_there_is_no_memory_for_a_while_is_sent_then)
{
    for (unsigned times = 1; times <= 6; times++) {
        blocks_refused = times;
        ck_assert_int_eq(write(c.client, "question", 8), 8);
        service_turn_until_polled(c.server, POLLIN);
        expect_bytes(c.server, "question");
        ck_assert_uint_eq(blocks_refused, 0);
    }
}
END_TEST

struct transfer {
    int from, to;
    size_t sent, received, size;
};

static char pattern(size_t offset)
{
    return (char)(offset * 31 + (offset >> 8) * 7);
}

/* Write and read as much as goes, checking each byte. */
static bool transfer_some(void *context)
{
    struct transfer *transfer = context;
    char block[65536];
    ssize_t n;

    while (transfer->sent < transfer->size) {
        size_t length = transfer->size - transfer->sent < sizeof block ? transfer->size - transfer->sent : sizeof block;

        for (size_t i = 0; i < length; i++)
            block[i] = pattern(transfer->sent + i);
        n = send(transfer->from, block, length, MSG_DONTWAIT);
        if (n <= 0)
            break;
        transfer->sent += (size_t)n;
    }
    while ((n = recv(transfer->to, block, sizeof block, MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (block[i] != pattern(transfer->received++))
                ck_abort_msg("byte %zu is wrong", transfer->received - 1);
    return transfer->received == transfer->size;
}

START_TEST(many_bytes_arrive_whole)
{
    struct transfer to_server = {c.client, c.server, 0, 0, 20000003}, to_client = {c.server, c.client, 0, 0, 20000003};

    service_turn_until(transfer_some, &to_server);
    service_turn_until(transfer_some, &to_client);
}
END_TEST

struct stuffing {
    int fd, idle;
    size_t written;
};

/* Write until nothing more is taken for many turns. */
static bool is_stuffed(void *context)
{
    static char block[65536];
    struct stuffing *stuffing = context;
    ssize_t n = send(stuffing->fd, block, sizeof block, MSG_DONTWAIT);

    if (n > 0) {
        stuffing->written += (size_t)n;
        stuffing->idle = 0;
    }
    return ++stuffing->idle > 20;
}

START_TEST(a_reader_that_stops_stops_the_writer)
{
    struct stuffing stuffing = {.fd = c.client};

    service_turn_until(is_stuffed, &stuffing);
    ck_assert_uint_lt(stuffing.written, 16u << 20); /* both pairs, both TCP queues; bounded, whatever the sizes are */
    ck_assert_int_eq(service_poll(c.client) & POLLOUT, 0);
}
END_TEST

/* A program that is blocked in a write must hear of a reset, although its pair has no room for what came before it. */
START_TEST(a_reset_behind_unread_data_ends_a_blocked_write)
{
    struct stuffing to_server = {.fd = c.client}, to_client = {.fd = c.server};
    struct linger linger = {1, 0};
    static char block[65536];
    ssize_t n;

    service_turn_until(is_stuffed, &to_server);
    service_turn_until(is_stuffed, &to_client);
    ck_assert_int_eq(service_poll(c.client) & POLLOUT, 0);
    service_set_option(c.server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger, 0);
    close(c.server);
    c.server = -1;
    service_turn_until_polled(c.client, POLLOUT);
    ck_assert_int_eq(send(c.client, block, 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    do {
        service_turn_until_polled(c.client, POLLIN); /* and what came before the reset is still there */
        n = recv(c.client, block, sizeof block, MSG_DONTWAIT);
    } while (n > 0);
    ck_assert_int_eq(n, -1);
    ck_assert_int_eq(errno, ECONNRESET);
}
END_TEST

START_TEST(refused_connect_shows_as_the_kernel_shows_it)
{
    struct sockaddr_in address;
    int listener = service_listener(1, &address), fd = service_socket(), error = 0;
    socklen_t length = sizeof error;

    close(listener);
    ck_assert_int_eq(service_poll(fd), 0);
    service_connect(fd, &address, -EINPROGRESS);
    service_turn_until_polled(fd, POLLHUP);
    ck_assert_int_eq(service_poll(fd), ALL_BITS);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    ck_assert_int_eq(error, ECONNRESET);          /* the pair's "there was one"; the library asks for the cause */
    service_connect(fd, &address, -ECONNABORTED); /* the outcome, its cause already told */
    service_connect(fd, &address, -ESTALE);
    service_connect(fd, &address, -EINPROGRESS);
    service_turn_until_polled(fd, POLLHUP);
    close(fd);
}
END_TEST

START_TEST(connect_reports_progress_and_success_once)
{
    struct sockaddr_in address;
    int listener = service_listener(1, &address), fd = service_socket();

    service_connect(fd, &address, -EINPROGRESS);
    service_connect(fd, &address, -EALREADY);
    service_turn_until_polled(fd, POLLOUT);
    service_connect(fd, &address, 0);
    service_connect(fd, &address, -EISCONN);
    close(fd);
    close(listener);
}
END_TEST

static bool nothing_left(void *context)
{
    struct stack_counters counters;

    (void)context;
    stack_get_counters(&counters);
    return counters.sockets == 0 && socket_count() == 0;
}

START_TEST(close_while_connecting_ends_the_handshake)
{
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a090801)};
    int fd = service_socket(), copy = dup(fd);

    service_connect(fd, &nobody, -EINPROGRESS);
    close(fd);
    ck_assert_int_eq(service_poll(copy), 0);
    ck_assert(!nothing_left(NULL));
    close(copy);
    service_turn_until(nothing_left, NULL);
}
END_TEST

static bool none_untaken(void *context)
{
    return service_poll(*(int *)context) & POLLHUP;
}

START_TEST(what_nobody_accepted_is_reset_with_its_listener)
{
    struct sockaddr_in address;
    int listener = service_listener(1, &address), fd = service_socket();

    service_connect(fd, &address, -EINPROGRESS);
    service_turn_until_polled(listener, POLLIN);
    close(listener);
    service_turn_until(none_untaken, &fd);
    expect_error(fd, ECONNRESET);
    close(fd);
}
END_TEST

START_TEST(many_wait_to_be_accepted)
{
    enum { COUNT = 600 }; /* more than fit one pair's default buffer */
    static int clients[COUNT];
    struct sockaddr_in address;
    int listener = service_listener(COUNT, &address);

    for (int i = 0; i < COUNT; i++) {
        clients[i] = service_socket();
        service_connect(clients[i], &address, -EINPROGRESS);
        service_turn_until_polled(clients[i], POLLOUT);
    }
    for (int i = 0; i < COUNT; i++) {
        int fd;

        service_turn_until_polled(listener, POLLIN);
        fd = service_accept(listener);
        ck_assert_int_eq(write(fd, "x", 1), 1);
        close(fd);
    }
    for (int i = 0; i < COUNT; i++) {
        service_turn_until_polled(clients[i], POLLRDHUP);
        expect_bytes(clients[i], "x");
        close(clients[i]);
    }
    close(listener);
}
END_TEST

START_TEST(low_ports_are_for_root_and_the_services_user)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    int fd = service_socket();

    service_client_uid = geteuid() + 1000;
    service_bind(fd, &address, -EACCES);
    service_client_uid = geteuid();
    service_bind(fd, &address, 0);
    close(fd);
}
END_TEST

START_TEST(some_options_are_for_root_and_the_services_user)
{
    int fd = service_socket(), off = 0, one = 1, six = 6, seven = 7, large = 1000000;

    service_client_uid = geteuid() + 1000;
    service_set_option(fd, SOL_SOCKET, SO_MARK, &one, sizeof one, -EPERM);
    service_set_option(fd, SOL_SOCKET, SO_DEBUG, &one, sizeof one, -EACCES);
    service_set_option(fd, SOL_SOCKET, SO_DEBUG, &off, sizeof off, 0);
    service_set_option(fd, SOL_SOCKET, SO_PRIORITY, &six, sizeof six, 0);
    service_set_option(fd, SOL_SOCKET, SO_PRIORITY, &seven, sizeof seven, -EPERM);
    service_set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large, -EPERM);
    service_set_option(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof one, -EPERM);
    service_client_uid = geteuid();
    service_set_option(fd, SOL_SOCKET, SO_MARK, &one, sizeof one, 0);
    service_set_option(fd, SOL_SOCKET, SO_PRIORITY, &seven, sizeof seven, 0);
    service_set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large, 0);
    ck_assert_int_eq(service_get_option(fd, SOL_SOCKET, SO_RCVBUF), 2 * large);
    close(fd);
}
END_TEST

START_TEST(options_keep_what_was_set)
{
    int on = 1, thirty = 30, bad = 40000;

    ck_assert_int_eq(service_get_option(c.client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    ck_assert_int_eq(service_get_option(c.listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    service_set_option(c.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on, 0);
    ck_assert_int_eq(service_get_option(c.client, IPPROTO_TCP, TCP_NODELAY), 1);
    service_set_option(c.client, IPPROTO_TCP, TCP_KEEPIDLE, &thirty, sizeof thirty, 0);
    ck_assert_int_eq(service_get_option(c.client, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    service_set_option(c.client, IPPROTO_TCP, TCP_KEEPIDLE, &bad, sizeof bad, -EINVAL);
    service_set_option(c.client, IPPROTO_TCP, TCP_NODELAY, &on, 1, -EINVAL);
    service_set_option(c.client, IPPROTO_TCP, 9999, &on, sizeof on, -ENOPROTOOPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("relay");
    TCase *connected = tcase_create("connected"), *alone = tcase_create("alone");

    tcase_add_checked_fixture(connected, connect_fixture, close_fixture);
    tcase_set_timeout(connected, 60);
    tcase_add_test(connected, a_socket_that_shut_itself_down_may_be_gone_in_the_middle_of_a_request);
    tcase_add_test(connected, bytes_cross_both_ways);
    tcase_add_test(connected, a_single_byte_at_a_time);
    tcase_add_test(connected, shutdown_is_an_end_of_file_and_the_other_way_goes_on);
    tcase_add_test(connected, what_was_written_before_close_arrives);
    tcase_add_test(connected, close_with_data_unread_is_a_reset);
    tcase_add_test(connected, linger_zero_is_a_reset);
    tcase_add_test(connected, a_write_to_a_closed_peer_is_answered_by_a_reset);
    tcase_add_test(connected, a_write_for_which_there_is_no_memory_for_a_while_is_sent_then);
    tcase_add_test(connected, many_bytes_arrive_whole);
    tcase_add_test(connected, a_reader_that_stops_stops_the_writer);
    tcase_add_test(connected, a_reset_behind_unread_data_ends_a_blocked_write);
    tcase_add_test(connected, options_keep_what_was_set);
    suite_add_tcase(suite, connected);
    tcase_add_checked_fixture(alone, service_setup, service_teardown);
    tcase_set_timeout(alone, 60);
    tcase_add_test(alone, refused_connect_shows_as_the_kernel_shows_it);
    tcase_add_test(alone, connect_reports_progress_and_success_once);
    tcase_add_test(alone, close_while_connecting_ends_the_handshake);
    tcase_add_test(alone, what_nobody_accepted_is_reset_with_its_listener);
    tcase_add_test(alone, many_wait_to_be_accepted);
    tcase_add_test(alone, low_ports_are_for_root_and_the_services_user);
    tcase_add_test(alone, some_options_are_for_root_and_the_services_user);
    suite_add_tcase(suite, alone);
    return suite_run(suite);
}
