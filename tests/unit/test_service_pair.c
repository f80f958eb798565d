/* test_service_pair.c - the pair's mechanics: held, released, read with the stale byte left behind. */
#include "service/pair.h"
#include "service/protocol.h"
#include "tests/descriptors.h"
#include "tests/suite.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct pair ends;
static int descriptors_before;

static void setup(void)
{
    ck_assert_int_eq(pair_setup(), 0); /* opens a file, for good */
    descriptors_before = count_descriptors();
    ck_assert_int_eq(pair_make(&ends, PROTOCOL_NAME_KIND_SOCKET), 0);
}

static void teardown(void)
{
    pair_close(&ends);
    ck_assert_int_eq(count_descriptors(), descriptors_before);
}

static int poll_bits(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    ck_assert_int_ge(poll(&poll_fd, 1, 0), 0);
    return poll_fd.revents;
}

START_TEST(name_says_that_it_is_ours)
{
    struct sockaddr_un name;
    socklen_t length = sizeof name;

    ck_assert_int_eq(getpeername(ends.program_fd, (struct sockaddr *)&name, &length), 0);
    ck_assert_int_eq(name.sun_path[0], '\0');
    ck_assert_mem_eq(name.sun_path + 1, PROTOCOL_NAME_PREFIX "s/", sizeof PROTOCOL_NAME_PREFIX + 1);
}
END_TEST

/* Do the ends belong together? */
static bool are_joined(const struct pair *pair)
{
    char byte = 0;

    return send(pair->service_fd, "y", 1, MSG_DONTWAIT) == 1 && recv(pair->program_fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 'y';
}

/* Connect to the name that the pairs' ends have, so often. */
static void connect_strangers(int *fds, int count)
{
    struct sockaddr_un name;
    socklen_t length = sizeof name;

    ck_assert_int_eq(getpeername(ends.program_fd, (struct sockaddr *)&name, &length), 0);
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&name, length);
    }
}

START_TEST(strangers_are_closed)
{
    const int count = _i;
    struct pair pair;
    int fds[200], status, go[2];
    char byte;
    pid_t child;

    ck_assert_int_eq(pipe(go), 0);
    child = fork();
    if (child == 0) {
        connect_strangers(fds, count);
        (void)!write(go[1], "x", 1);
        pause();
        _exit(0);
    }
    ck_assert_int_eq(read(go[0], &byte, 1), 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), 0);
        ck_assert(are_joined(&pair));
        ck_assert_int_eq(fcntl(pair.program_fd, F_GETFL) & O_NONBLOCK, 0);
        pair_close(&pair);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(go[0]);
    close(go[1]);
}
END_TEST

/* Connect there for ever. */
static void connect_without_end(const struct sockaddr_un *name, socklen_t length)
{
    int fds[128] = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
    for (size_t i = 0;; i = (i + 1) % (sizeof fds / sizeof *fds)) {
        if (fds[i] > 0)
            close(fds[i]);
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (const struct sockaddr *)name, length);
    }
}

/* With a queue of one, which is full again as soon as it was emptied, many of the pairs are made by other means. */
START_TEST(strangers_without_end_keep_nobody_out)
{
    struct sockaddr_un name, found;
    socklen_t length = sizeof name, found_length;
    pid_t children[3];
    struct pair pair;

    ck_assert_int_eq(getpeername(ends.program_fd, (struct sockaddr *)&name, &length), 0);
    for (int fd = 3; fd < 20; fd++) {
        found_length = sizeof found;
        if (getsockname(fd, (struct sockaddr *)&found, &found_length) == 0 && found_length == length && memcmp(&found, &name, length) == 0)
            (void)listen(fd, 0); /* the one of these that listens */
    }
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0)
            connect_without_end(&name, length);
    }
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), 0);
        ck_assert(are_joined(&pair));
        found_length = sizeof found;
        ck_assert_int_eq(getpeername(pair.program_fd, (struct sockaddr *)&found, &found_length), 0);
        ck_assert_int_ge(found_length, length);
        ck_assert_mem_eq(&found, &name, length);
        pair_close(&pair);
    }
    for (int i = 0; i < 3; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}
END_TEST

START_TEST(without_a_descriptor_the_next_pair_is_whole)
{
    struct rlimit limit, tight;
    struct pair pair;

    ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), 0);
    pair_close(&pair);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    tight = limit;
    tight.rlim_cur = (rlim_t)dup(0); /* the least number that is free */
    close((int)tight.rlim_cur);
    tight.rlim_cur++; /* room for one */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), -EMFILE);
    ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), -EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET), 0);
    ck_assert(are_joined(&pair));
    pair_close(&pair);
}
END_TEST

START_TEST(held_is_not_writable_until_released)
{
    ck_assert_int_eq(pair_hold(&ends), 0);
    ck_assert_int_eq(poll_bits(ends.program_fd), 0);
    ck_assert_int_eq(pair_release(ends.service_fd), 0);
    ck_assert_int_eq(poll_bits(ends.program_fd), POLLOUT);
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 0);
}
END_TEST

START_TEST(released_closes_as_a_reset)
{
    char byte;

    ck_assert_int_eq(pair_hold(&ends), 0);
    ck_assert_int_eq(pair_release(ends.service_fd), 0);
    close(ends.service_fd);
    ends.service_fd = -1;
    ck_assert_int_eq(poll_bits(ends.program_fd), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    ck_assert_int_eq(read(ends.program_fd, &byte, 1), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}
END_TEST

START_TEST(read_forwards_all_and_leaves_the_last_byte)
{
    char first[4] = "", second[4] = "", third;
    struct iovec iov[2] = {{first, 3}, {second, 3}};
    struct iovec one = {&third, 1};

    ck_assert_int_eq(pair_put_stale_byte(&ends), 0);
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 0);
    ck_assert_int_eq(write(ends.program_fd, "abcdef", 6), 6);
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 6);
    ck_assert_int_eq(pair_read(ends.service_fd, iov, 2, 6), 6);
    ck_assert_str_eq(first, "abc");
    ck_assert_str_eq(second, "def");
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 0);

    ck_assert_int_eq(write(ends.program_fd, "gh", 2), 2);
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 2);
    ck_assert_int_eq(pair_read(ends.service_fd, &one, 1, 1), 1);
    ck_assert_int_eq(third, 'g');
    ck_assert_int_eq(pair_read(ends.service_fd, &one, 1, 1), 1);
    ck_assert_int_eq(third, 'h');
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 0);
}
END_TEST

/* With a descriptor along, as no program would, but may. */
static void write_with_descriptor(const char *bytes, size_t size)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {(char *)bytes, size};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &ends.program_fd, sizeof ends.program_fd);
    ck_assert_int_eq(sendmsg(ends.program_fd, &message, 0), (ssize_t)size);
}

/* What pair_peek() sees, the stale byte left out. */
static void check_peek(const char *expected)
{
    char bytes[9] = {0};

    ck_assert_int_eq(pair_peek(ends.service_fd, bytes, sizeof bytes), (ssize_t)strlen(expected));
    ck_assert_mem_eq(bytes + 1, expected, strlen(expected));
}

START_TEST(peeked_stays_until_it_is_taken)
{
    char bytes[16];

    ck_assert_int_eq(pair_hold(&ends), 0);
    ck_assert_int_eq(pair_release(ends.service_fd), 0);
    check_peek("");
    ck_assert_int_eq(send(ends.program_fd, "one", 3, 0), 3);
    ck_assert_int_eq(send(ends.program_fd, "two", 3, 0), 3);
    for (int i = 0; i < 2; i++)
        check_peek("onetwo");
    ck_assert_int_eq(pair_take_peeked(ends.service_fd, bytes, 6), 0);
    check_peek("");
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 0);
    ck_assert_int_eq(send(ends.program_fd, "too much", 8, 0), 8); /* it may be just all, and it may not */
    ck_assert_int_eq(pair_peek(ends.service_fd, bytes, 9), -EMSGSIZE);
    ck_assert_int_eq(pair_fresh_bytes(ends.service_fd), 8);
}
END_TEST

START_TEST(the_last_of_it_leaves_nothing)
{
    char bytes[16] = {0};

    ck_assert_int_eq(pair_put_stale_byte(&ends), 0);
    ck_assert_int_eq(send(ends.program_fd, "one", 3, 0), 3);
    check_peek("one");
    ck_assert_int_eq(pair_take_peeked(ends.service_fd, bytes, 3), 0);
    ck_assert_int_eq(send(ends.program_fd, "two", 3, 0), 3);
    ck_assert_int_eq(shutdown(ends.program_fd, SHUT_RDWR), 0);
    check_peek("two");
    ck_assert_int_eq(pair_take_last(ends.service_fd, bytes, 3), 0);
    ck_assert_int_eq(recv(ends.service_fd, bytes, sizeof bytes, MSG_DONTWAIT), 0);
    close(ends.service_fd);
    ends.service_fd = -1;
    ck_assert_int_eq(recv(ends.program_fd, bytes, sizeof bytes, MSG_DONTWAIT), 0); /* no reset */
}
END_TEST

/* A read ends behind such a message; all that was asked for comes nevertheless, and nothing keeps the program's end. */
START_TEST(passed_descriptors_do_not_cut_what_is_read)
{
    char bytes[64] = "";
    struct iovec iov[2] = {{bytes, 3}, {bytes + 3, sizeof bytes - 4}};
    struct pollfd watched = {.fd = ends.service_fd};
    ssize_t fresh;

    ck_assert_int_eq(pair_put_stale_byte(&ends), 0);
    ck_assert_int_eq(write(ends.program_fd, "before", 6), 6);
    write_with_descriptor("one", 3);
    ck_assert_int_eq(pair_peek(ends.service_fd, bytes, sizeof bytes), -EMSGSIZE);
    write_with_descriptor("two", 3);
    ck_assert_int_eq(write(ends.program_fd, "after", 5), 5);
    write_with_descriptor("1", 1);
    close(ends.program_fd);
    ends.program_fd = -1;
    fresh = pair_fresh_bytes(ends.service_fd);
    ck_assert_int_eq(fresh, 18);
    ck_assert_int_eq(pair_read(ends.service_fd, iov, 2, (size_t)fresh - 1), fresh - 1);
    ck_assert_str_eq(bytes, "beforeonetwoafter");
    ck_assert_int_eq(pair_read(ends.service_fd, iov, 1, 1), 1);
    ck_assert_int_eq(bytes[0], '1');
    pair_drain(ends.service_fd);
    ck_assert_int_eq(poll(&watched, 1, 0), 1);
    ck_assert_int_eq(watched.revents & POLLHUP, POLLHUP);
}
END_TEST

START_TEST(without_the_stale_byte_closes_as_an_end)
{
    char byte;

    ck_assert_int_eq(pair_put_stale_byte(&ends), 0);
    pair_drain(ends.service_fd);
    close(ends.service_fd);
    ends.service_fd = -1;
    ck_assert_int_eq(read(ends.program_fd, &byte, 1), 0);
}
END_TEST

START_TEST(write_says_full_and_gone)
{
    static char block[1 << 20];
    struct iovec iov = {block, sizeof block};

    ck_assert_int_gt(pair_write(ends.service_fd, &iov, 1), 0);
    ck_assert_int_eq(pair_write(ends.service_fd, &iov, 1), -EAGAIN);
    close(ends.program_fd);
    ends.program_fd = -1;
    ck_assert_int_eq(pair_write(ends.service_fd, &iov, 1), -EPIPE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pair");
    TCase *tcase = tcase_create("pair");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, name_says_that_it_is_ours);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, strangers_are_closed, 1, 2);
    tcase_add_loop_test(tcase, strangers_are_closed, 100, 101); /* more than wait */
    tcase_add_test(tcase, strangers_without_end_keep_nobody_out);
    tcase_add_test(tcase, without_a_descriptor_the_next_pair_is_whole);
    tcase_add_test(tcase, held_is_not_writable_until_released);
    tcase_add_test(tcase, released_closes_as_a_reset);
    tcase_add_test(tcase, read_forwards_all_and_leaves_the_last_byte);
    tcase_add_test(tcase, peeked_stays_until_it_is_taken);
    tcase_add_test(tcase, the_last_of_it_leaves_nothing);
    tcase_add_test(tcase, passed_descriptors_do_not_cut_what_is_read);
    tcase_add_test(tcase, without_the_stale_byte_closes_as_an_end);
    tcase_add_test(tcase, write_says_full_and_gone);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
