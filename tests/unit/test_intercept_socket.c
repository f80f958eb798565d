/* test_intercept_socket.c - the hooks against a fake service: making, naming, listening, accepting, options. */
#include "fake_service.h"
#include "intercept_fixture.h"

#include "intercept/control.h"
#include "intercept/descriptor.h"
#include "intercept/libc.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(socket_gets_lowest_number)
{
    int lowest = open("/dev/null", O_RDONLY);
    int fd;

    close(lowest);
    fd = intercept_make_socket();
    ck_assert_int_eq(fd, lowest);
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(intercept_make_socket(), lowest + 1);
}
END_TEST

START_TEST(socket_flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}
END_TEST

START_TEST(socket_refuses)
{
    intercept_expect_no_socket(AF_INET6, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_DGRAM, IPPROTO_DCCP, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_RAW, 0, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_STREAM, IPPROTO_UDP, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */, EPROTONOSUPPORT);
    intercept_expect_no_socket(AF_INET, SOCK_STREAM, -1, EINVAL);
    intercept_expect_no_socket(AF_INET, SOCK_STREAM | 0x100000, 0, EINVAL);
    intercept_expect_no_socket(AF_INET, SOCK_SEQPACKET, 0, ESOCKTNOSUPPORT);
}
END_TEST

START_TEST(other_families_untouched)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(descriptor_kind(fd), DESCRIPTOR_FOREIGN);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(address.ss_family, AF_UNIX);
}
END_TEST

START_TEST(errno_is_kept)
{
    int fd;

    errno = 1234;
    fd = intercept_make_socket();
    intercept_connection_used(fd);
    close(fd);
    ck_assert_int_eq(errno, 1234);
}
END_TEST

START_TEST(reused_number_is_left_alone)
{
    int fd = intercept_make_socket();
    int pipes[2];
    char byte;

    ck_assert_int_eq(pipe(pipes), 0);
    /* A program that closes every number and then puts its own thing on each. */
    for (int other = 64; other < 1024; other++)
        ck_assert_int_eq(dup2(pipes[1], other), other);
    ck_assert_int_eq(intercept_connection_used(fd), 2);
    for (int other = 64; other < 1024; other++)
        ck_assert_int_eq(fcntl(other, F_GETFD), 0);
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    ck_assert_int_eq(read(pipes[0], &byte, 1), -1); /* nothing was written into it */
    ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(bad_pointers)
{
    struct sockaddr_in address = fake_address(0);
    socklen_t length = sizeof address;
    int fd = intercept_make_socket();

    ck_assert_int_eq(bind(fd, (struct sockaddr *)8, sizeof address), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, 129), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(connect(fd, NULL, sizeof address), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)8, &length), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, NULL), -1);
    ck_assert_int_eq(errno, EFAULT);
    length = (socklen_t)-1;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, 1, NULL, 4), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, NULL, NULL), -1);
    ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(name_is_cut)
{
    int fd = intercept_make_socket();
    struct {
        struct sockaddr_in address;
        char rest[4];
    } room;
    socklen_t length = 4;

    memset(&room, 0x55, sizeof room);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&room, &length), 0);
    ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
    ck_assert_uint_eq(room.address.sin_port, htons(1));
    ck_assert_uint_eq(room.address.sin_addr.s_addr, 0x55555555);
    length = sizeof room;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&room, &length), 0);
    ck_assert_uint_eq(length, sizeof(struct sockaddr_in));
    ck_assert_int_eq(room.rest[0], 0x55);
}
END_TEST

START_TEST(option_is_cut)
{
    int fd = intercept_make_socket();
    char value[32] = {0};
    socklen_t length = 3;

    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, value, &length), 0);
    ck_assert_uint_eq(length, 3);
    ck_assert_mem_eq(value, "\1\2\3\0", 4);
    length = sizeof value;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 1, value, &length), 0);
    ck_assert_uint_eq(length, 16);
}
END_TEST

START_TEST(accept_takes_connections)
{
    int fd = intercept_make_socket();
    struct sockaddr_in address;
    socklen_t length;
    char byte;

    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(listen(fd, 2), 0);
    for (int i = 1; i <= 2; i++) {
        int flags = i == 1 ? 0 : SOCK_NONBLOCK | SOCK_CLOEXEC;
        int accepted;

        length = sizeof address;
        accepted = accept4(fd, (struct sockaddr *)&address, &length, flags);
        ck_assert_int_ge(accepted, 0);
        ck_assert_uint_eq(length, sizeof address);
        ck_assert_int_eq(ntohs(address.sin_port), i);
        ck_assert_int_eq(descriptor_kind(accepted), DESCRIPTOR_DATA);
        ck_assert_int_eq(fcntl(accepted, F_GETFD), i == 1 ? 0 : FD_CLOEXEC);
        ck_assert_int_eq(fcntl(accepted, F_GETFL) & O_NONBLOCK, i == 1 ? 0 : O_NONBLOCK);
        ck_assert_int_eq(accept(accepted, NULL, NULL), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(accept4(fd, NULL, NULL, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ENOTCONN);
}
END_TEST

START_TEST(accept_without_a_free_number_loses_nothing)
{
    int fd = intercept_make_socket();
    struct rlimit limit;
    struct rlimit none;
    int copy;

    ck_assert_int_eq(listen(fd, 1), 0);
    getrlimit(RLIMIT_NOFILE, &limit);
    none = limit;
    copy = dup(fd);
    none.rlim_cur = (rlim_t)copy; /* numbers below it are all in use */
    close(copy);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(accept(fd, NULL, NULL), -1);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_ge(accept(fd, NULL, NULL), 0);
}
END_TEST

START_TEST(socket_without_a_free_number)
{
    int fd = intercept_make_socket();
    struct rlimit limit;
    int copy = dup(fd);

    close(copy);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)copy;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    intercept_expect_no_socket(AF_INET, SOCK_STREAM, 0, EMFILE);
    ck_assert_int_eq(intercept_connection_used(fd), 1); /* which could not be made again */
    limit.rlim_cur = limit.rlim_max; /* the leak sanitizer opens files when the test is over */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
END_TEST

START_TEST(listening_survives_dup_and_fork)
{
    int fd = intercept_make_socket();
    int copy = dup(fd);
    int status;
    pid_t child;

    ck_assert_int_eq(listen(fd, 3), 0);
    intercept_set_state(fd, PROTOCOL_STATE_LISTENING, 0);
    ck_assert_int_ge(accept(copy, NULL, NULL), 0);
    child = fork();
    if (child == 0)
        _exit(accept(fd, NULL, NULL) >= 0 ? 0 : 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* As after exec: nothing is known. */
    descriptor_set(fd, DESCRIPTOR_UNKNOWN);
    ck_assert_int_ge(accept(fd, NULL, NULL), 0);
}
END_TEST

START_TEST(queue_figures)
{
    int fd = intercept_make_connected();
    int value = 0;

    ck_assert_int_eq(ioctl(fd, TIOCOUTQ, &value), 0);
    ck_assert_int_eq(value, 7);
    ck_assert_int_eq(ioctl(fd, 0x894B /* SIOCOUTQNSD */, &value), 0);
    ck_assert_int_eq(value, 5);
    ck_assert_int_eq(ioctl(fd, FIONREAD, &value), 0);
    ck_assert_int_eq(value, 0);
}
END_TEST

START_TEST(calls_by_number)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge((int)fd, 0);
    ck_assert_int_eq(descriptor_kind((int)fd), DESCRIPTOR_EARLY);
    ck_assert_int_eq((int)syscall(SYS_getsockname, (int)fd, &address, &length), 0);
    ck_assert_int_eq(address.sin_family, AF_INET);
    ck_assert_int_eq((int)syscall(SYS_read, (int)fd, &address, (size_t)1), -1);
    ck_assert_int_eq(errno, ENOTCONN);
    ck_assert_int_eq((int)syscall(SYS_getpid), (int)getpid());
}
END_TEST

/* Ask something about fd. Return: the number by which it was named; 0: by its descriptor. */
static int how_named(int fd)
{
    struct protocol_message message;
    int number;

    control_prepare(&message, PROTOCOL_GETSOCKOPT);
    message.args[1] = FAKE_HOW_NAMED;
    ck_assert_int_eq(control_request(&message, fd, NULL), 0);
    memcpy(&number, message.option, sizeof number);
    return number;
}

START_TEST(own_sockets_are_named_by_number)
{
    int fd = intercept_make_socket(), other = intercept_make_socket(), status, fds[2];
    pid_t child;

    ck_assert_int_eq(how_named(fd), 1);
    ck_assert_int_eq(how_named(other), 2);
    libc_close(fd); /* where we can't see it, and another takes its place */
    ck_assert_int_eq(libc_fcntl(other, F_DUPFD, fd), fd);
    ck_assert_int_eq(how_named(fd), 0);
    /* In a child they are its parent's. */
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(how_named(other));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(how_named(other), 2);
    /* When all connections to the service were lost it may know us no more. */
    for (fds[0] = 900; fds[0] < 1024; fds[0]++)
        libc_close(fds[0]);
    ck_assert_int_eq(how_named(other), 0);
    fd = intercept_make_socket();
    ck_assert_int_gt(how_named(fd), 0);
}
END_TEST

START_TEST(a_service_that_wants_the_descriptor_gets_it)
{
    int fd = intercept_make_socket();

    ck_assert_int_eq(how_named(fd), 1);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_ge(accept(fd, NULL, NULL), 0);
    ck_assert_int_eq(how_named(fd), 0); /* and is not asked again whether it does */
}
END_TEST

/* How many descriptors are open that are not the program's? */
static int count_hidden(void)
{
    int count = 0;

    for (int fd = 900; fd < 1024; fd++)
        count += libc_fcntl(fd, F_GETFD, 0) >= 0;
    return count;
}

/* Make and close sockets until some came beforehand: how soon that is depends on the machine. Return: the number of the
 * last. */
static int make_until_spares(void)
{
    for (int i = 0; i < 500; i++) {
        int lowest = open("/dev/null", O_RDONLY), fd, number;

        close(lowest);
        fd = socket(AF_INET, SOCK_STREAM | (i % 2 ? SOCK_CLOEXEC : 0) | (i % 3 ? SOCK_NONBLOCK : 0), 0);
        ck_assert_int_eq(fd, lowest);
        ck_assert_int_eq(fcntl(fd, F_GETFD), i % 2 ? FD_CLOEXEC : 0);
        ck_assert_int_eq((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, i % 3 != 0);
        number = how_named(fd);
        ck_assert_int_eq(number, 1 + i);
        close(fd);
        if (count_hidden() > 2)
            return number;
    }
    ck_abort_msg("none came");
}

START_TEST(socket_after_socket_comes_in_bulk)
{
    int number = make_until_spares(), status, fd;
    pid_t child;

    fd = intercept_make_socket();
    ck_assert_int_eq(how_named(fd), ++number);
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    /* A child has none of its parent's. */
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(count_hidden());
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* One of another family is made for it. */
    ck_assert_int_gt(how_named(socket(AF_INET6, SOCK_STREAM, 0)), number + 1);
    /* Those that the program closed are not handed out. */
    for (int other = 900; other < 1024; other++)
        libc_close(other);
    ck_assert_int_gt(how_named(intercept_make_socket()), number + 4);
}
END_TEST

START_TEST(spares_of_a_service_that_is_gone_are_not_handed_out)
{
    make_until_spares();
    fake_service_stop(intercept_service, intercept_service_path);
    intercept_service = 0;
    intercept_expect_no_socket(AF_INET, SOCK_STREAM, 0, ENETDOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("intercept sockets");
    TCase *tcase = tcase_create("sockets");

    tcase_add_checked_fixture(tcase, intercept_setup, intercept_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, socket_gets_lowest_number);
    tcase_add_test(tcase, socket_flags);
    tcase_add_test(tcase, socket_refuses);
    tcase_add_test(tcase, other_families_untouched);
    tcase_add_test(tcase, errno_is_kept);
    tcase_add_test(tcase, reused_number_is_left_alone);
    tcase_add_test(tcase, bad_pointers);
    tcase_add_test(tcase, name_is_cut);
    tcase_add_test(tcase, option_is_cut);
    tcase_add_test(tcase, accept_takes_connections);
    tcase_add_test(tcase, accept_without_a_free_number_loses_nothing);
    tcase_add_test(tcase, socket_without_a_free_number);
    tcase_add_test(tcase, listening_survives_dup_and_fork);
    tcase_add_test(tcase, queue_figures);
    tcase_add_test(tcase, calls_by_number);
    tcase_add_test(tcase, own_sockets_are_named_by_number);
    tcase_add_test(tcase, a_service_that_wants_the_descriptor_gets_it);
    tcase_add_test(tcase, socket_after_socket_comes_in_bulk);
    tcase_add_test(tcase, spares_of_a_service_that_is_gone_are_not_handed_out);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
