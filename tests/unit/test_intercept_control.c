/* test_intercept_control.c - the hooks against a fake service: control connections, kept, lost and made again. */
#include "fake_service.h"
#include "intercept_fixture.h"

#include "intercept/descriptor.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(connection_is_reused)
{
    int fd = intercept_make_socket();

    ck_assert_int_eq(intercept_connection_used(fd), 1);
    ck_assert_int_eq(intercept_connection_used(fd), 1);
}
END_TEST

START_TEST(connection_survives_closefrom)
{
    int fd = intercept_make_socket();
    int before = intercept_connection_used(fd);

    closefrom(fd + 1);
    ck_assert_int_gt(intercept_connection_used(fd), before);
    close_range((unsigned)fd + 1, ~0u, 0);
    ck_assert_int_gt(intercept_connection_used(fd), before + 1);
}
END_TEST

START_TEST(fork_gets_its_own_connection)
{
    int fd = intercept_make_socket();
    int status;
    pid_t child;

    ck_assert_int_eq(intercept_connection_used(fd), 1);
    child = fork();
    if (child == 0) {
        int before = count_descriptors();

        /* The parent's copy is gone, and one is made. */
        if (intercept_connection_used(fd) != 2 || count_descriptors() != before + 1 || intercept_connection_used(fd) != 2)
            _exit(1);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(intercept_connection_used(fd), 1);
}
END_TEST

START_TEST(vfork_leaves_parent_alone)
{
    int fd = intercept_make_socket();
    int status;
    int before = count_descriptors();
    volatile int used = 0;
    pid_t child = vfork();

    if (child == 0) {
        used = intercept_connection_used(fd);
        close(fd);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(used, 2);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(intercept_connection_used(fd), 1);
}
END_TEST

START_TEST(raw_fork_gets_its_own_connection)
{
    int fd = intercept_make_socket();
    int status;
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0)
        _exit(intercept_connection_used(fd) == 2 && intercept_connection_used(fd) == 2 ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(intercept_connection_used(fd), 1);
}
END_TEST

START_TEST(child_keeps_reach_when_it_gives_up_root)
{
    int fd = intercept_make_socket();
    int status;
    pid_t child = _i < 2 ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (child == 0) {
        /* setup() made the directory for its owner alone. */
        if (_i % 2 == 0 ? setresuid(12345, 12345, 12345) != 0 : chroot("/proc") != 0)
            _exit(1);
        _exit(access(intercept_service_path, F_OK) < 0 && intercept_connection_used(fd) == 2 ? 0 : 2);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(service_comes_back)
{
    int fd = intercept_make_socket();
    int other;

    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = 0;
    ck_assert_int_eq(socket(AF_INET, SOCK_STREAM, 0), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    intercept_service = fake_service_start(intercept_service_path);
    other = intercept_make_socket();
    ck_assert_int_eq(intercept_connection_used(other), 1);
    close(fd);
}
END_TEST

/* All that lists interfaces fails with this errno. */
static void assert_no_interfaces(int error)
{
    struct ifaddrs *list;
    char name[IF_NAMESIZE];

    ck_assert_int_eq(getifaddrs(&list), -1);
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_uint_eq(if_nametoindex("lo"), 0);
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(if_indextoname(1, name));
    ck_assert_int_eq(errno, error);
    errno = 0;
    ck_assert_ptr_null(if_nameindex());
    ck_assert_int_eq(errno, error);
}

/* The kernel's are never shown in their place. */
START_TEST(interfaces_are_the_services)
{
    struct ifreq line = {.ifr_name = "lo"};
    int fd = intercept_make_socket();

    assert_no_interfaces(EPROTO); /* the fake says that there are none */
    ck_assert_int_eq(ioctl(fd, SIOCGIFINDEX, &line), -1);
    ck_assert_int_eq(errno, EPROTO);
    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = 0;
    assert_no_interfaces(ENETDOWN);
    ck_assert_int_eq(ioctl(fd, SIOCGIFINDEX, &line), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    close(fd);
}
END_TEST

START_TEST(restarted_service_costs_no_failure)
{
    int fd;

    intercept_make_socket();
    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = fake_service_start(intercept_service_path);
    fd = intercept_make_socket();
    ck_assert_int_eq(intercept_connection_used(fd), 1);
}
END_TEST

START_TEST(complains_once)
{
    int pipes[2];
    char text[1024];
    ssize_t length;

    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    for (int i = 0; i < 3; i++)
        intercept_expect_no_socket(AF_INET, SOCK_STREAM, 0, ENETDOWN);
    length = read(pipes[0], text, sizeof text - 1);
    ck_assert_int_gt(length, 0);
    text[length] = '\0';
    ck_assert_ptr_nonnull(strstr(text, intercept_service_path));
    ck_assert_ptr_eq(strchr(text, '\n'), text + length - 1); /* one line */
}
END_TEST

static const int garbage[] = {FAKE_BAD_MAGIC, FAKE_SHORT, FAKE_OTHER_OPERATION, FAKE_EXTRA_DESCRIPTORS, FAKE_POSITIVE};

START_TEST(garbage_is_refused)
{
    int fd = intercept_make_socket();
    struct sockaddr_in address = fake_address(garbage[_i]);
    int before;

    intercept_connection_used(fd);
    before = count_descriptors();
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_int_lt(count_descriptors(), before); /* its connection was closed, and what came with it */
    ck_assert_int_eq(intercept_connection_used(fd), 2);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(hang_up_is_not_repeated)
{
    int fd = intercept_make_socket();
    struct sockaddr_in address = fake_address(FAKE_HANG_UP);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, ENETDOWN);
    ck_assert_int_eq(intercept_connection_used(fd), 2);
}
END_TEST

START_TEST(reply_is_passed_on)
{
    int fd = intercept_make_socket();
    struct sockaddr_in address = fake_address(EADDRINUSE);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
}
END_TEST

static void *make_requests(void *fd)
{
    for (int i = 0; i < 200; i++)
        intercept_connection_used(*(int *)fd);
    return NULL;
}

START_TEST(threads_make_requests_at_once)
{
    pthread_t threads[24]; /* more than the pool has connections */
    int fd = intercept_make_socket();

    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, make_requests, &fd), 0);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_le(count_descriptors(), fd + 32);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intercept control connections");
    TCase *tcase = tcase_create("control connections");

    tcase_add_checked_fixture(tcase, intercept_setup, intercept_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, connection_is_reused);
    tcase_add_test(tcase, connection_survives_closefrom);
    tcase_add_test(tcase, fork_gets_its_own_connection);
    tcase_add_test(tcase, vfork_leaves_parent_alone);
    tcase_add_test(tcase, raw_fork_gets_its_own_connection);
    tcase_add_loop_test(tcase, child_keeps_reach_when_it_gives_up_root, 0, 4);
    tcase_add_test(tcase, service_comes_back);
    tcase_add_test(tcase, interfaces_are_the_services);
    tcase_add_test(tcase, restarted_service_costs_no_failure);
    tcase_add_test(tcase, complains_once);
    tcase_add_loop_test(tcase, garbage_is_refused, 0, sizeof garbage / sizeof *garbage);
    tcase_add_test(tcase, hang_up_is_not_repeated);
    tcase_add_test(tcase, reply_is_passed_on);
    tcase_add_test(tcase, threads_make_requests_at_once);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
