/* test_service_datagram.c - UDP sockets of programs of one service: datagrams, ends and errors cross as on Linux. */
#include "service/loop.h"
#include "service/protocol.h"
#include "service/socket.h"
#include "service_fixture.h"
#include "stack/stack.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int a, b; /* two sockets, b bound to 127.0.0.1 */
static struct sockaddr_in b_address;

static int datagram_socket(int type, int protocol, int result)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_SOCKET, .args = {AF_INET, type, protocol}};

    return service_request(&request, -1, &reply, result);
}

static void setup(void)
{
    service_setup();
    a = datagram_socket(SOCK_DGRAM, 0, 0);
    b = datagram_socket(SOCK_DGRAM, IPPROTO_UDP, 0);
    b_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    service_bind(b, &b_address, 0);
    b_address = service_local_address(b);
    ck_assert_uint_ne(b_address.sin_port, 0);
}

static bool all_are_gone(void *context)
{
    (void)context;
    return socket_count() == 0;
}

static void teardown(void)
{
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    service_turn_until(all_are_gone, NULL);
    service_teardown();
}

static struct protocol_datagram header_to(const struct sockaddr_in *peer)
{
    struct protocol_datagram header = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .ttl = -1, .tos = -1};

    if (peer != NULL) {
        header.peer.length = sizeof *peer;
        memcpy(header.peer.bytes, peer, sizeof *peer);
    }
    return header;
}

/* As the library sends. */
static void send_with(int fd, const struct protocol_datagram *header, const void *bytes, size_t length)
{
    struct iovec iov[2] = {{(void *)header, sizeof *header}, {(void *)bytes, length}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    ck_assert_int_eq(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL), (ssize_t)(sizeof *header + length));
}

static void send_text(int fd, const struct sockaddr_in *peer, const char *text)
{
    struct protocol_datagram header = header_to(peer);

    send_with(fd, &header, text, strlen(text));
}

/* Receive what must come. Return: its header. */
static struct protocol_datagram expect(int fd, const char *text)
{
    struct protocol_datagram header;
    char bytes[100];
    struct iovec iov[2] = {{&header, sizeof header}, {bytes, sizeof bytes}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    service_turn_until_polled(fd, POLLIN);
    ck_assert_int_eq(recvmsg(fd, &message, MSG_DONTWAIT), (ssize_t)(sizeof header + strlen(text)));
    ck_assert_uint_eq(header.magic, PROTOCOL_MAGIC);
    ck_assert_mem_eq(bytes, text, strlen(text));
    return header;
}

static void expect_pending_error(int fd, int error)
{
    struct protocol_datagram header = expect(fd, "");

    ck_assert_uint_eq(header.flags, PROTOCOL_DATAGRAM_ERROR);
    ck_assert_int_eq(header.error, error);
}

static void expect_result(int fd, uint32_t number, int result)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_SEND_RESULT, .args = {(int32_t)number}};

    service_request(&request, fd, &reply, result);
}

static void set_int(int fd, int level, int name, int value)
{
    service_set_option(fd, level, name, &value, sizeof value, 0);
}

START_TEST(a_datagram_crosses_and_says_from_where)
{
    struct protocol_datagram header;
    struct sockaddr_in from, to;

    send_text(a, &b_address, "question");
    header = expect(b, "question");
    ck_assert_uint_eq(header.flags, 0);
    ck_assert_uint_eq(header.peer.length, sizeof from);
    memcpy(&from, header.peer.bytes, sizeof from);
    memcpy(&to, header.local.bytes, sizeof to);
    ck_assert_uint_eq(from.sin_port, service_local_address(a).sin_port);
    ck_assert_uint_eq(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    ck_assert_uint_eq(to.sin_port, b_address.sin_port);
    send_text(b, &from, "answer");
    expect(a, "answer");
}
END_TEST

/* The packet is on its way when b is closed, and is there before the loop has heard of it. */
START_TEST(a_socket_closed_just_now_takes_nothing)
{
    service_connect(a, &b_address, 0);
    send_text(a, NULL, "late");
    (void)service_local_address(a); /* which is answered after what was sent before */
    close(b);
    b = -1;
    stack_run_timers();
    expect_pending_error(a, ECONNREFUSED);
}
END_TEST

START_TEST(one_without_bytes_is_a_datagram)
{
    send_text(a, &b_address, "");
    send_text(a, &b_address, "next");
    expect(b, "");
    expect(b, "next");
}
END_TEST

START_TEST(the_result_of_a_numbered_one_is_for_who_asks)
{
    struct protocol_datagram header = header_to(NULL);

    header.number = 7;
    send_with(a, &header, "nowhere", 7);
    expect_result(a, 7, -EDESTADDRREQ);
    expect_result(a, 8, 0);
    header = header_to(&b_address);
    header.number = 9;
    send_with(a, &header, "there", 5);
    expect_result(a, 9, 0);
    expect(b, "there");
    ck_assert_int_eq(service_poll(a) & POLLIN, 0);
}
END_TEST

START_TEST(an_error_that_nobody_asks_for_is_pending)
{
    send_text(a, NULL, "nowhere");
    expect_pending_error(a, EDESTADDRREQ);
    send_text(a, NULL, "again");
    send_text(a, NULL, "and again");
    expect_pending_error(a, EDESTADDRREQ);
    ck_assert_int_eq(service_poll(a) & POLLIN, 0); /* one at a time */
}
END_TEST

START_TEST(what_has_no_header_goes_to_the_peer)
{
    service_connect(a, &b_address, 0);
    ck_assert_int_eq(send(a, "plain", 5, 0), 5);
    expect(b, "plain");
}
END_TEST

START_TEST(a_request_comes_after_what_was_sent_before)
{
    ck_assert_uint_eq(service_local_address(a).sin_port, 0);
    send_text(a, &b_address, "binds");
    ck_assert_uint_ne(service_local_address(a).sin_port, 0);
}
END_TEST

START_TEST(a_slow_reader_loses_datagrams_and_is_told_how_many)
{
    struct protocol_datagram header;
    struct sockaddr_in c_address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int c = datagram_socket(SOCK_DGRAM, 0, 0), came = 0;

    service_bind(c, &c_address, 0);
    c_address = service_local_address(c);
    set_int(b, SOL_SOCKET, SO_RXQ_OVFL, 1);
    set_int(b, SOL_SOCKET, SO_RCVBUF, 20000);
    for (int i = 0; i < 1000; i++) {
        send_text(a, &b_address, "x");
        if (i % 100 == 0)
            service_local_address(a); /* until all that was sent is */
    }
    send_text(a, &c_address, "others go on");
    expect(c, "others go on");
    while (service_poll(b) & POLLIN) {
        expect(b, "x");
        came++;
    }
    ck_assert_int_gt(came, 10);
    ck_assert_int_lt(came, 100);
    send_text(a, &b_address, "after");
    header = expect(b, "after");
    ck_assert_uint_eq(header.number, (uint32_t)(1000 - came));
    ck_assert_uint_ne(header.flags & PROTOCOL_DATAGRAM_OVERFLOW, 0);
    close(c);
}
END_TEST

START_TEST(one_that_is_longer_than_the_buffer_comes_if_the_queue_is_empty)
{
    static char bytes[65507], received[sizeof(struct protocol_datagram) + sizeof bytes + 1];
    struct protocol_datagram header = header_to(&b_address);

    set_int(b, SOL_SOCKET, SO_RCVBUF, 1);
    send_with(a, &header, bytes, sizeof bytes);
    service_turn_until_polled(b, POLLIN);
    ck_assert_int_eq(recv(b, received, sizeof received, MSG_DONTWAIT), (ssize_t)sizeof received - 1);
    send_text(a, &b_address, "small");
    expect(b, "small");
}
END_TEST

START_TEST(what_was_sent_before_close_is_sent)
{
    for (int i = 0; i < 200; i++)
        send_text(a, &b_address, "bye");
    close(a);
    a = -1;
    for (int i = 0; i < 200; i++)
        expect(b, "bye");
}
END_TEST

START_TEST(closing_one_with_datagrams_unread_still_sends)
{
    struct sockaddr_in a_address;

    service_connect(a, &b_address, 0);
    a_address = service_local_address(a);
    send_text(b, &a_address, "unread");
    service_turn_until_polled(a, POLLIN);
    send_text(a, NULL, "bye");
    close(a);
    a = -1;
    expect(b, "bye");
}
END_TEST

START_TEST(shutdown_both_ways_is_no_close)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_SHUTDOWN, .args = {SHUT_RDWR}};
    char byte;

    service_request(&request, a, &reply, -ENOTCONN); /* and yet */
    ck_assert_int_eq(recv(a, &byte, 1, 0), 0);
    ck_assert_int_eq(send(a, &byte, 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_uint_eq(socket_count(), 2);
    service_connect(a, &b_address, 0);
    ck_assert_uint_eq(service_local_address(a).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    service_request(&(struct protocol_message){.operation = PROTOCOL_SHUTDOWN, .args = {SHUT_WR}}, a, &reply, 0);
    service_request(&(struct protocol_message){.operation = PROTOCOL_SHUTDOWN, .args = {3}}, a, &reply, -EINVAL);
    send_text(b, &b_address, "the loop goes on");
    expect(b, "the loop goes on");
    ck_assert_uint_eq(socket_count(), 2);
}
END_TEST

START_TEST(one_that_shut_itself_down_unasked_may_be_gone_in_the_middle_of_a_request)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_SHUTDOWN, .args = {SHUT_RDWR}};
    int c = datagram_socket(SOCK_DGRAM, 0, 0);

    ck_assert_int_eq(shutdown(a, SHUT_RDWR), 0);
    service_bind(a, &b_address, -ENOTSOCK);
    ck_assert_int_eq(shutdown(c, SHUT_RDWR), 0);
    service_request(&request, c, &reply, -ENOTCONN);
    close(c);
}
END_TEST

START_TEST(a_cork_makes_one_of_many)
{
    struct protocol_datagram header = header_to(&b_address);

    set_int(a, IPPROTO_UDP, UDP_CORK, 1);
    send_text(a, &b_address, "one");
    send_text(a, &b_address, "and");
    set_int(a, IPPROTO_UDP, UDP_CORK, 0);
    expect(b, "oneand");
    header.flags = PROTOCOL_DATAGRAM_SEND_MORE;
    send_with(a, &header, "first", 5);
    send_text(a, &b_address, "last");
    expect(b, "firstlast");
}
END_TEST

START_TEST(options_that_ask_for_control_messages_come_with_each_datagram)
{
    set_int(b, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(b, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    send_text(a, &b_address, "x");
    ck_assert_uint_eq(expect(b, "x").flags, PROTOCOL_DATAGRAM_PKTINFO | PROTOCOL_DATAGRAM_TIMESTAMPNS);
    set_int(b, IPPROTO_IP, IP_PKTINFO, 0);
    send_text(a, &b_address, "y");
    ck_assert_uint_eq(expect(b, "y").flags, PROTOCOL_DATAGRAM_TIMESTAMPNS);
}
END_TEST

START_TEST(what_is_not_for_everyone)
{
    struct sockaddr_in low = {.sin_family = AF_INET, .sin_port = htons(53)};
    int ping;

    service_client_uid = 4242;
    service_bind(a, &low, -EACCES);
    datagram_socket(SOCK_RAW, IPPROTO_ICMP, -EPERM);
    ping = datagram_socket(SOCK_DGRAM, IPPROTO_ICMP, 0);
    close(ping);
    datagram_socket(SOCK_DGRAM, IPPROTO_DCCP, -EPROTONOSUPPORT);
    service_client_uid = 0;
    service_bind(a, &low, 0);
}
END_TEST

START_TEST(requests_that_are_for_streams_are_refused)
{
    service_listen(a, 5, -EOPNOTSUPP);
}
END_TEST

START_TEST(those_that_go_together_stay_apart)
{
    static const char *const texts[] = {"first", "1", "22", "33", "44", "5", "66", "", "77", "8888", "9999", "x"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        send_text(a, &b_address, texts[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect(b, texts[i]);
    ck_assert_int_eq(service_poll(b) & POLLIN, 0);
}
END_TEST

START_TEST(a_flood_leaves_others_their_turn)
{
    struct sockaddr_in c_address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int c = datagram_socket(SOCK_DGRAM, 0, 0), d = datagram_socket(SOCK_DGRAM, 0, 0), unsent;

    service_bind(c, &c_address, 0);
    c_address = service_local_address(c);
    for (int i = 0; i < 400; i++)
        send_text(a, &b_address, "flood");
    send_text(d, &c_address, "mine");
    ck_assert_int_eq(loop_turn(), 0);
    ck_assert_int_eq(ioctl(d, SIOCOUTQ, &unsent), 0);
    ck_assert_int_eq(unsent, 0);
    ck_assert_int_eq(ioctl(a, SIOCOUTQ, &unsent), 0);
    ck_assert_int_gt(unsent, 0);
    expect(c, "mine");
    close(c);
    close(d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("service datagram");
    TCase *tcase = tcase_create("datagram");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_datagram_crosses_and_says_from_where);
    tcase_add_test(tcase, a_socket_closed_just_now_takes_nothing);
    tcase_add_test(tcase, one_without_bytes_is_a_datagram);
    tcase_add_test(tcase, the_result_of_a_numbered_one_is_for_who_asks);
    tcase_add_test(tcase, an_error_that_nobody_asks_for_is_pending);
    tcase_add_test(tcase, what_has_no_header_goes_to_the_peer);
    tcase_add_test(tcase, a_request_comes_after_what_was_sent_before);
    tcase_add_test(tcase, a_slow_reader_loses_datagrams_and_is_told_how_many);
    tcase_add_test(tcase, one_that_is_longer_than_the_buffer_comes_if_the_queue_is_empty);
    tcase_add_test(tcase, what_was_sent_before_close_is_sent);
    tcase_add_test(tcase, closing_one_with_datagrams_unread_still_sends);
    tcase_add_test(tcase, shutdown_both_ways_is_no_close);
    tcase_add_test(tcase, one_that_shut_itself_down_unasked_may_be_gone_in_the_middle_of_a_request);
    tcase_add_test(tcase, a_cork_makes_one_of_many);
    tcase_add_test(tcase, options_that_ask_for_control_messages_come_with_each_datagram);
    tcase_add_test(tcase, what_is_not_for_everyone);
    tcase_add_test(tcase, requests_that_are_for_streams_are_refused);
    tcase_add_test(tcase, those_that_go_together_stay_apart);
    tcase_add_test(tcase, a_flood_leaves_others_their_turn);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
