/* test_service_cork.c - TCP_CORK in memory that service and programs share; the test plays the program's part. */
#include "service/cork.h"
#include "service/loop.h"
#include "service/protocol.h"
#include "service/socket.h"
#include "service_fixture.h"

#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES (PROTOCOL_CORK_SLOTS * sizeof(uint64_t))
#define FLAGS      (PROTOCOL_CORK_ON | PROTOCOL_CORK_GO | PROTOCOL_CORK_HELD)

static struct service_connection c;
static _Atomic uint64_t *page; /* mapped by attach() */

static void connect_fixture(void)
{
    service_setup();
    c = service_connection();
    page = NULL;
}

static void close_fixture(void)
{
    if (page != NULL)
        munmap((void *)page, PAGE_BYTES);
    service_close_connection(&c);
    service_teardown();
}

static struct socket *socket_of(int fd)
{
    struct stat status;

    ck_assert_int_eq(fstat(fd, &status), 0);
    return socket_find(status.st_ino);
}

/* Ask to have it corked. Return: the reply; its descriptor stays the service's. */
static struct protocol_message ask(int fd, int *page_fd)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_CORK, .args = {PROTOCOL_CORK_SET}};

    *page_fd = service_request(&request, fd, &reply, 0);
    return reply;
}

/* The slot that it gets, with the cork on. */
static _Atomic uint64_t *attach(int fd)
{
    int page_fd;
    struct protocol_message reply = ask(fd, &page_fd);
    uint64_t tag = protocol_cork_tag((uint32_t)reply.args[0], (uint32_t)reply.args[2]);

    ck_assert_int_ge(page_fd, 0);
    ck_assert_int_ne(reply.args[0], 0);
    ck_assert_uint_lt((uint32_t)reply.args[1], PROTOCOL_CORK_SLOTS);
    if (page == NULL) {
        page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
        ck_assert_ptr_ne((void *)page, MAP_FAILED);
    }
    ck_assert_uint_eq(page[reply.args[1]] & ~(uint64_t)UINT32_MAX, tag);
    return &page[reply.args[1]];
}

/* The slot that the service has given it. */
static _Atomic uint64_t *slot_of(int fd)
{
    return &page[socket_of(fd)->cork_slot];
}

static void uncork(_Atomic uint64_t *slot)
{
    atomic_fetch_or(slot, PROTOCOL_CORK_GO);
    atomic_fetch_and(slot, ~(uint64_t)(PROTOCOL_CORK_ON | PROTOCOL_CORK_HELD));
}

static void tell(int fd)
{
    struct protocol_message reply, request = {.operation = PROTOCOL_CORK, .flags = PROTOCOL_FLAG_ONE_WAY};

    ck_assert_int_eq(service_request(&request, fd, &reply, 0), -1);
}

static bool is_held(void *context)
{
    return (*(_Atomic uint64_t *)context & PROTOCOL_CORK_HELD) != 0;
}

static bool is_looked_at(void *context)
{
    return (*(_Atomic uint64_t *)context & PROTOCOL_CORK_GO) == 0;
}

static bool is_free(void *context)
{
    return *(_Atomic uint64_t *)context == 0;
}

static void expect_bytes(int fd, const char *text)
{
    char bytes[64];

    service_turn_until_polled(fd, POLLIN);
    ck_assert_int_eq(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), (ssize_t)strlen(text));
    ck_assert_mem_eq(bytes, text, strlen(text));
}

START_TEST(what_is_corked_is_held_and_told)
{
    _Atomic uint64_t *slot = attach(c.client);

    ck_assert_uint_eq(*slot & FLAGS, PROTOCOL_CORK_ON);
    ck_assert_int_eq(write(c.client, "he", 2), 2);
    service_turn_until(is_held, slot);
    ck_assert_int_eq(write(c.client, "ld", 2), 2);
    ck_assert_int_eq(service_poll(c.server) & POLLIN, 0);
    uncork(slot);
    tell(c.client);
    expect_bytes(c.server, "held");
    service_turn_until(is_looked_at, slot);
    ck_assert_uint_eq(*slot & FLAGS, 0);
}
END_TEST

/* Nothing was read before the uncork: nothing is held, and nobody has to tell. */
START_TEST(what_was_uncorked_in_time_goes_by_itself)
{
    _Atomic uint64_t *slot = attach(c.client);

    ck_assert_int_eq(write(c.client, "head", 4), 4);
    ck_assert_int_eq(write(c.client, "body", 4), 4);
    uncork(slot);
    expect_bytes(c.server, "headbody");
    ck_assert_uint_eq(*slot & FLAGS, 0);
}
END_TEST

START_TEST(what_was_written_before_does_not_wait)
{
    _Atomic uint64_t *slot = attach(c.client);

    uncork(slot);
    ck_assert_int_eq(write(c.client, "before", 6), 6);
    atomic_fetch_or(slot, PROTOCOL_CORK_GO);
    atomic_fetch_or(slot, PROTOCOL_CORK_ON);
    expect_bytes(c.server, "before");
    ck_assert_uint_eq(*slot & FLAGS, PROTOCOL_CORK_ON);
    ck_assert_int_eq(write(c.client, "held", 4), 4);
    service_turn_until(is_held, slot);
    ck_assert_int_eq(service_poll(c.server) & POLLIN, 0);
}
END_TEST

START_TEST(requests_change_the_slot)
{
    _Atomic uint64_t *slot = attach(c.client);
    int off = 0, on = 1;

    ck_assert_int_eq(service_get_option(c.client, IPPROTO_TCP, TCP_CORK), 1);
    ck_assert_int_eq(write(c.client, "held", 4), 4);
    service_set_option(c.client, IPPROTO_TCP, TCP_CORK, &off, sizeof off, 0);
    ck_assert_uint_eq(*slot & FLAGS, 0);
    expect_bytes(c.server, "held");
    service_set_option(c.client, IPPROTO_TCP, TCP_CORK, &on, sizeof on, 0);
    ck_assert_uint_eq(*slot & FLAGS, PROTOCOL_CORK_ON);
    uncork(slot);
    ck_assert_int_eq(service_get_option(c.client, IPPROTO_TCP, TCP_CORK), 0);
}
END_TEST

START_TEST(it_goes_out_when_the_program_is_gone)
{
    _Atomic uint64_t *slot = attach(c.client);

    ck_assert_int_eq(write(c.client, "last", 4), 4);
    service_turn_until(is_held, slot);
    close(c.client);
    c.client = -1;
    expect_bytes(c.server, "last");
}
END_TEST

/* Of another user who holds the descriptor, too: corked, by requests. */
START_TEST(a_page_is_one_users)
{
    _Atomic uint64_t *slot = attach(c.client);
    int page_fd, off = 0;

    uncork(slot);
    service_client_uid = 4711;
    ck_assert_int_eq(ask(c.client, &page_fd).args[0], 0);
    ck_assert_int_eq(page_fd, -1);
    ck_assert_uint_eq(*slot & FLAGS, PROTOCOL_CORK_ON);
    service_set_option(c.client, IPPROTO_TCP, TCP_CORK, &off, sizeof off, 0);
    ck_assert_uint_eq(*slot & PROTOCOL_CORK_ON, 0);
    service_client_uid = 0;
}
END_TEST

START_TEST(one_that_is_corked_otherwise_has_no_slot)
{
    int page_fd, on = 1, off = 0;

    service_set_option(c.client, IPPROTO_TCP, TCP_CORK, &on, sizeof on, 0);
    ck_assert_int_eq(ask(c.client, &page_fd).args[0], 0);
    ck_assert_ptr_null(socket_of(c.client)->cork_page);
    ck_assert_int_eq(service_get_option(c.client, IPPROTO_TCP, TCP_CORK), 1);
    service_set_option(c.client, IPPROTO_TCP, TCP_CORK, &off, sizeof off, 0);
    uncork(attach(c.client));
}
END_TEST

/* Children of a listening socket for which somebody wants it have slots of their own from the start. */
START_TEST(children_have_slots)
{
    struct sockaddr_in address = service_local_address(c.listener);
    struct protocol_message reply,
        request = {.operation = PROTOCOL_CORK, .flags = PROTOCOL_FLAG_ONE_WAY, .args = {PROTOCOL_CORK_CHILDREN}};
    int client = service_socket(), child;

    uncork(attach(c.server));
    ck_assert_int_eq(service_request(&request, c.client, &reply, 0), -1); /* of no use */
    service_client_uid = 4711;
    ck_assert_int_eq(service_request(&request, c.server, &reply, 0), -1);
    service_client_uid = 0;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(service_request(&request, c.listener, &reply, 0), -1);
    service_client_uid = 4711;
    ck_assert_int_eq(service_request(&request, c.listener, &reply, 0), -1); /* too late */
    service_client_uid = 0;
    service_connect(client, &address, -EINPROGRESS);
    service_turn_until_polled(c.listener, POLLIN);
    child = service_accept(c.listener);
    ck_assert_ptr_nonnull(socket_of(child)->cork_page);
    ck_assert_ptr_ne(slot_of(child), slot_of(c.server));
    ck_assert_uint_eq(*slot_of(child) & FLAGS, 0);
    ck_assert_ptr_null(socket_of(client)->cork_page);
    close(child);
    close(client);
}
END_TEST

START_TEST(a_slot_is_free_when_its_socket_is_closed)
{
    _Atomic uint64_t *slot = attach(c.client);

    uncork(slot);
    service_close_connection(&c);
    service_turn_until(is_free, slot);
    c = service_connection();
    ck_assert_ptr_eq(attach(c.client), slot);
    uncork(slot);
}
END_TEST

START_TEST(nobody_can_make_a_page_smaller)
{
    int page_fd;

    uncork(attach(c.client));
    (void)ask(c.client, &page_fd);
    ck_assert_int_eq(ftruncate(page_fd, 0), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(ftruncate(page_fd, PAGE_BYTES + 4096), -1);
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

/* Whatever stands there, bytes come in order; they are held for 200 ms at most. */
START_TEST(scribbling_harms_nobody)
{
    char sent = 'a', expected = 'a', bytes[256];
    ssize_t got;

    (void)attach(c.client);
    (void)attach(c.server);
    srandom(1);
    for (int i = 0; i < 3000; i++) {
        for (int slot = 0; slot < 4; slot++)
            page[slot] = (uint64_t)random() << 40 | (uint64_t)random();
        if (write(c.client, &sent, 1) == 1)
            sent = sent == 'z' ? 'a' : (char)(sent + 1);
        if (i % 7 == 0)
            tell(i % 2 ? c.client : c.server);
        ck_assert_int_eq(loop_turn(), 0);
        got = recv(c.server, bytes, sizeof bytes, MSG_DONTWAIT);
        for (ssize_t k = 0; k < got; k++) {
            ck_assert_int_eq(bytes[k], expected);
            expected = expected == 'z' ? 'a' : (char)(expected + 1);
        }
    }
    memset((void *)page, 0, PAGE_BYTES);
    tell(c.client);
    while (expected != sent) {
        service_turn_until_polled(c.server, POLLIN);
        ck_assert_int_eq(recv(c.server, bytes, 1, MSG_DONTWAIT), 1);
        ck_assert_int_eq(bytes[0], expected);
        expected = expected == 'z' ? 'a' : (char)(expected + 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cork");
    TCase *tcase = tcase_create("cork");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, connect_fixture, close_fixture);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_corked_is_held_and_told);
    tcase_add_test(tcase, what_was_uncorked_in_time_goes_by_itself);
    tcase_add_test(tcase, what_was_written_before_does_not_wait);
    tcase_add_test(tcase, requests_change_the_slot);
    tcase_add_test(tcase, it_goes_out_when_the_program_is_gone);
    tcase_add_test(tcase, a_page_is_one_users);
    tcase_add_test(tcase, one_that_is_corked_otherwise_has_no_slot);
    tcase_add_test(tcase, children_have_slots);
    tcase_add_test(tcase, a_slot_is_free_when_its_socket_is_closed);
    tcase_add_test(tcase, nobody_can_make_a_page_smaller);
    tcase_add_test(tcase, scribbling_harms_nobody);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
