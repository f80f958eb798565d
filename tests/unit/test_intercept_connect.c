/* test_intercept_connect.c - the hooks against a fake service: connecting, failing, reset; what reads and writes
 * say. */
#include "fake_service.h"
#include "intercept_fixture.h"

#include "intercept/descriptor.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t pipes_broken;

static void on_sigpipe(int signal)
{
    (void)signal;
    pipes_broken++;
}

START_TEST(unconnected_socket_has_no_data)
{
    int fd = intercept_make_socket();
    char byte = 0;

    signal(SIGPIPE, on_sigpipe);
    ck_assert_int_eq(read(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    ck_assert_int_eq(read(fd, &byte, 0), 0);
    ck_assert_int_eq(write(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
    ck_assert_int_eq(send(fd, &byte, 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
}
END_TEST

START_TEST(data_shows_no_address)
{
    int fd = intercept_make_connected();
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &iov, .msg_iovlen = 1};

    fcntl(fd, F_SETFL, O_NONBLOCK);
    memset(&address, 0x55, sizeof address);
    fake_service_stop(intercept_service, intercept_service_path); /* so that there is something to receive: the end */
    intercept_service = 0;
    ck_assert_int_eq(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&address, &length), 0);
    ck_assert_uint_eq(length, 0);
    ck_assert_int_eq(recvmsg(fd, &message, 0), 0);
    ck_assert_uint_eq(message.msg_namelen, 0);
    ck_assert_int_eq(address.ss_family, 0x5555);
}
END_TEST

START_TEST(reset_has_its_cause)
{
    int fd = intercept_make_connected();
    char byte = 'x';

    /* The fake never reads: closing its end is a reset. */
    ck_assert_int_eq(write(fd, &byte, 1), 1);
    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = fake_service_start(intercept_service_path);
    intercept_set_state(fd, PROTOCOL_STATE_RESET, ETIMEDOUT);
    signal(SIGPIPE, on_sigpipe);
    if (_i == 0)
        ck_assert_int_eq(read(fd, &byte, 1), -1);
    else if (_i == 1)
        ck_assert_int_eq(write(fd, &byte, 1), -1);
    else if (_i == 2)
        ck_assert_int_eq(splice(fd, NULL, open("/dev/null", O_WRONLY), NULL, 1, 0), -1);
    else {
        int error = 0;
        socklen_t length = sizeof error;

        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        errno = error;
    }
    if (_i != 2)
        ck_assert_int_eq(errno, ETIMEDOUT);
    ck_assert_int_eq(pipes_broken, 0);
    if (_i == 2)
        return;
    ck_assert_int_eq(read(fd, &byte, 1), 0); /* once */
    ck_assert_int_eq(write(fd, &byte, 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(pipes_broken, 1);
}
END_TEST

START_TEST(connect_answers)
{
    int fd = intercept_make_socket();
    struct sockaddr_in refused = fake_address(ECONNREFUSED);
    struct sockaddr_in progress = fake_address(EINPROGRESS);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&refused, sizeof refused), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_EARLY);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&progress, sizeof progress), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_CONNECTING);
}
END_TEST

START_TEST(connect_replaces_stale_pair)
{
    struct sockaddr_in address = fake_address(FAKE_STALE);
    struct timeval timeout = {3, 0};
    socklen_t length = sizeof timeout;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int before;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, length);
    intercept_connection_used(fd);
    before = count_descriptors();
    /* The fake says so twice, the second time there is no answer but this. */
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, ESTALE);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    timeout.tv_sec = 0;
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length), 0);
    ck_assert_int_eq(timeout.tv_sec, 3);
}
END_TEST

START_TEST(connect_again_keeps_duplicates_and_epoll)
{
    struct sockaddr_in address = fake_address(FAKE_STALE);
    struct epoll_event event = {.events = EPOLLHUP, .data.u64 = 0x123456789abcdef0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int copy = dup(fd);
    int other = intercept_make_socket();
    int sets[2];
    struct stat old;
    struct stat new;
    struct stat status;

    for (int i = 0; i < 2; i++) {
        sets[i] = epoll_create1(0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_ADD, other, &event), 0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_ADD, i == 0 ? fd : copy, &event), 0);
    }
    fstat(fd, &old);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    fstat(fd, &new);
    ck_assert_uint_ne(new.st_ino, old.st_ino);
    fstat(copy, &status);
    ck_assert_uint_eq(status.st_ino, new.st_ino);
    fstat(other, &status);
    ck_assert_uint_ne(status.st_ino, new.st_ino);
    /* The sets know the new pair by the numbers and with the data that they knew the old one by. */
    close(other);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(epoll_wait(sets[i], &event, 1, 0), 0);
    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = 0;
    for (int i = 0; i < 2; i++) {
        event.data.u64 = 0;
        ck_assert_int_eq(epoll_wait(sets[i], &event, 1, 1000), 1);
        ck_assert_uint_eq(event.data.u64, 0x123456789abcdef0);
        ck_assert_int_eq(epoll_ctl(sets[i], EPOLL_CTL_DEL, i == 0 ? fd : copy, NULL), 0);
    }
}
END_TEST

START_TEST(connect_has_a_time_limit)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);
    struct timeval timeout = {0, 20000};
    int fd = intercept_make_socket();

    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EINPROGRESS);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EALREADY);
}
END_TEST

static void on_alarm(int signal)
{
    (void)signal;
}

START_TEST(connect_is_interrupted)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);
    struct sigaction action = {.sa_handler = on_alarm};
    int fd = intercept_make_socket();
    int before;

    sigaction(SIGALRM, &action, NULL);
    before = count_descriptors();
    ualarm(20000, 20000);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), -1);
    ck_assert_int_eq(errno, EINTR);
    ualarm(0, 0);
    ck_assert_int_lt(count_descriptors(), before);
}
END_TEST

static void *connect_forever(void *fd)
{
    struct sockaddr_in address = fake_address(FAKE_SILENT);

    connect(*(int *)fd, (struct sockaddr *)&address, sizeof address);
    return NULL;
}

START_TEST(connect_is_cancelled)
{
    int fd = intercept_make_socket();
    pthread_t thread;
    void *result;
    int before = count_descriptors();

    ck_assert_int_eq(pthread_create(&thread, NULL, connect_forever, &fd), 0);
    while (count_descriptors() == before + 1)
        sched_yield();
    ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
    ck_assert_int_lt(count_descriptors(), before);
    ck_assert_int_eq(intercept_connection_used(fd), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intercept connections");
    TCase *tcase = tcase_create("connections");

    tcase_add_checked_fixture(tcase, intercept_setup, intercept_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, unconnected_socket_has_no_data);
    tcase_add_test(tcase, data_shows_no_address);
    tcase_add_loop_test(tcase, reset_has_its_cause, 0, 4);
    tcase_add_test(tcase, connect_answers);
    tcase_add_test(tcase, connect_replaces_stale_pair);
    tcase_add_test(tcase, connect_again_keeps_duplicates_and_epoll);
    tcase_add_test(tcase, connect_has_a_time_limit);
    tcase_add_test(tcase, connect_is_interrupted);
    tcase_add_test(tcase, connect_is_cancelled);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
