/* test_service_guard.c - what programs pass can't have the service wait: the timer and the thread that see to that. */
#include "service/loop_guard.h"
#include "service/passed.h"
#include "service/privilege/quota.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Seconds; longer than a test may take. */
#define LINGER_S 3600

/* A socket whose closing lingers: its peer does not read. *peer and *listener: the test's to close. */
static int make_lingering(int *peer, int *listener)
{
    static const char bytes[65536];
    const struct linger linger = {1, LINGER_S};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(*listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(*listener, 1), 0);
    ck_assert_int_eq(getsockname(*listener, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    *peer = accept(*listener, NULL, NULL);
    ck_assert_int_ge(*peer, 0);
    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    return fd;
}

START_TEST(a_call_that_waits_is_interrupted)
{
    int peer, listener;

    ck_assert_int_eq(loop_guard_start(), 0);
    for (int i = 0; i < 20; i++) {
        int fd = make_lingering(&peer, &listener);

        loop_guard_begin();
        close(fd); /* else for an hour */
        loop_guard_end();
        close(peer);
        close(listener);
    }
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The first takes 10 ms, and each of those that come behind it would, too. */
START_TEST(one_after_the_other_takes_less_each)
{
    enum { ROUNDS = 20, COUNT = 10 };
    int64_t least_us = INT64_MAX;

    ck_assert_int_eq(loop_guard_start(), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int fds[COUNT], peers[COUNT], listeners[COUNT];
        int64_t begun_us;

        for (int i = 0; i < COUNT; i++)
            fds[i] = make_lingering(&peers[i], &listeners[i]);
        begun_us = now_us();
        for (int i = 0; i < COUNT; i++) {
            loop_guard_begin();
            close(fds[i]);
            loop_guard_end();
        }
        if (now_us() - begun_us < least_us)
            least_us = now_us() - begun_us;
        for (int i = 0; i < COUNT; i++) {
            close(peers[i]);
            close(listeners[i]);
        }
    }
    ck_assert_int_lt(least_us, COUNT * 10000 / 2);
}

START_TEST(the_loop_at_rest_is_left_alone)
{
    ck_assert_int_eq(loop_guard_start(), 0);
    for (int i = 0; i < 1000; i++) {
        loop_guard_begin();
        loop_guard_end();
    }
    (void)poll(NULL, 0, 100); /* which the last signal ends */
    ck_assert_int_eq(poll(NULL, 0, 100), 0);
}

/* The reading end of a pipe says when its writing end, which is passed, has been closed. */
static void wait_for_close(int reading)
{
    struct pollfd poll_fd = {.fd = reading};
    int count;

    do
        count = poll(&poll_fd, 1, -1);
    while (count < 0 || !(poll_fd.revents & POLLHUP));
}

START_TEST(what_is_passed_is_closed_by_a_thread)
{
    struct quota *quota = quota_hold(12345);
    int descriptors = count_descriptors(), ends[2];

    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        ck_assert(passed_is_foreign(ends[1]));
        passed_close(ends[1], quota);
        wait_for_close(ends[0]);
        close(ends[0]);
        while (!passed_may_come(quota) || quota->passed > 0)
            ; /* the thread says so at once */
    }
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_uint_eq(quota->holders, 1);
    quota_release(quota);
}

START_TEST(a_socket_of_ours_is_closed_at_once)
{
    struct quota *quota = quota_hold(12345);
    int descriptors = count_descriptors(), ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert(!passed_is_foreign(ends[0]));
    passed_close(ends[0], quota);
    passed_close(ends[1], quota);
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_uint_eq(quota->passed, 0);
    quota_release(quota);
}

int main(void)
{
    Suite *suite = suite_create("service_guard");
    TCase *guard = tcase_create("loop guard"), *passed = tcase_create("passed");

    tcase_add_test(guard, a_call_that_waits_is_interrupted);
    tcase_add_test(guard, one_after_the_other_takes_less_each);
    tcase_add_test(guard, the_loop_at_rest_is_left_alone);
    suite_add_tcase(suite, guard);
    tcase_add_test(passed, what_is_passed_is_closed_by_a_thread);
    tcase_add_test(passed, a_socket_of_ours_is_closed_at_once);
    suite_add_tcase(suite, passed);
    tcase_set_timeout(guard, 60);
    tcase_set_timeout(passed, 60);
    return suite_run(suite);
}
