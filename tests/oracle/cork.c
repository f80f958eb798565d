/*
 * cork.c - TCP_CORK: what is held back, for whom, and what ends it.
 */
#include "oracle.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct timespec corked_at;

/* Print what was written and waits to be sent. It waits for 200 ms only: after half of that expected is as good as what
 * there is. */
static void say_unsent(int fd, int expected)
{
    struct timespec now;
    int unsent = -1;

    CALL(ioctl(fd, SIOCOUTQNSD, &unsent));
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((now.tv_sec - corked_at.tv_sec) * 1000 + (now.tv_nsec - corked_at.tv_nsec) / 1000000 > 100)
        unsent = expected;
    oracle_say("unsent %d", unsent);
}

static void set_cork(int fd, int value)
{
    clock_gettime(CLOCK_MONOTONIC, &corked_at);
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value));
}

static void say_cork(int fd)
{
    int value = -1;
    socklen_t length = sizeof value;

    CALL(getsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, &length));
    oracle_say("cork %d", value);
}

/* A server's way to answer: cork, head, file, uncork. */
static void answer(int fd)
{
    int file = oracle_make_file(50000);

    for (int i = 0; i < 4; i++) {
        off_t offset = 0;
        int length = i == 2 ? 40000 : i == 3 ? 3000 : 100;

        set_cork(fd, 1);
        CALL(write(fd, "head", 4));
        say_unsent(fd, 4);
        CALL(sendfile(fd, file, &offset, (size_t)length));
        if (i < 2)
            say_unsent(fd, 104);
        set_cork(fd, 0);
        peer_do("recv 0 %d", length + 4);
    }
    peer_do("send 0 4");
    oracle_read_bytes(fd, 4);
    peer_do("close 0");
}

static void run_answers(void)
{
    answer(oracle_accept_peer());
}

static void run_answers_connected(void)
{
    answer(oracle_connect_peer());
}

/* One connection after another: the first is learned from, those that follow are corked from the start. */
static void run_connections(void)
{
    for (int i = 0; i < 3; i++) {
        int fd = oracle_accept_peer();

        set_cork(fd, 1);
        CALL(write(fd, "a", 1));
        say_unsent(fd, 1);
        set_cork(fd, 0);
        peer_do("recv 0 1");
        close(fd);
        peer_do("drain 0");
    }
}

/* What is held back goes out by whatever ends that. */
static void run_ends(void)
{
    int fd = oracle_accept_peer(), other, value = 1;
    struct iovec iov[] = {{"one", 3}, {"two", 3}};

    set_cork(fd, 1);
    CALL(send(fd, "held", 4, 0));
    say_cork(fd);
    say_unsent(fd, 4);
    set_cork(fd, 0);
    peer_do("recv 0 4");
    say_cork(fd);
    close(fd);

    fd = oracle_accept_peer();
    set_cork(fd, 1);
    CALL(writev(fd, iov, 2));
    other = dup(fd);
    CALL(write(other, "three", 5));
    say_unsent(fd, 11);
    set_cork(other, 0);
    peer_do("recv 0 11");
    set_cork(other, 1);
    CALL(write(fd, "four", 4));
    say_unsent(other, 4);
    set_cork(fd, 0);
    peer_do("recv 0 4");
    say_cork(other);

    fd = oracle_accept_peer();
    set_cork(fd, 1);
    set_cork(fd, 1);
    CALL(write(fd, "end", 3));
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
    fd = oracle_accept_peer();
    set_cork(fd, 1);
    CALL(write(fd, "nodelay", 7));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    peer_do("recv 0 7");
    say_cork(fd);
    fd = oracle_accept_peer();
    set_cork(fd, 1);
    CALL(write(fd, "close", 5));
    CALL(close(fd));
    peer_do("drain 0");
}

/* By calls other than write(). */
static void run_calls(void)
{
    int fd = oracle_accept_peer(), file = oracle_make_file(1000), ends[2];
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &(struct iovec){"two", 3}, .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &(struct iovec){"three", 5}, .msg_iovlen = 1}}};

    for (int i = 0; i < 2; i++) {
        set_cork(fd, 1);
        CALL(sendfile(fd, file, NULL, 100));
        say_unsent(fd, 100);
        CALL(sendmmsg(fd, messages, 2, 0));
        say_unsent(fd, 108);
        CALL(pipe(ends));
        CALL(write(ends[1], "spliced", 7));
        CALL(splice(ends[0], NULL, fd, NULL, 7, 0));
        say_unsent(fd, 115);
        CALL(pwritev2(fd, &(struct iovec){"last", 4}, 1, -1, 0));
        say_unsent(fd, 119);
        set_cork(fd, 0);
        peer_do("recv 0 119");
    }
}

/* What was written before the cork does not wait, nor what is written after. */
static void run_around(void)
{
    int fd = oracle_accept_peer();

    for (int i = 0; i < 3; i++) {
        CALL(write(fd, "before", 6));
        set_cork(fd, 1);
        peer_do("recv 0 6");
        CALL(write(fd, "held", 4));
        say_unsent(fd, 4);
        set_cork(fd, 0);
        CALL(write(fd, "after", 5));
        peer_do("recv 0 9");
    }
}

/* Full segments do not wait, their rest does. */
static void run_much(void)
{
    int fd = oracle_accept_peer(), mss = 0;
    socklen_t length = sizeof mss;

    CALL(getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &length));
    for (int i = 0; i < 2; i++) {
        set_cork(fd, 1);
        oracle_send_pattern(fd, (size_t)mss * 20 + 7);
        peer_ask("recv 0 %d", mss * 20);
        say_unsent(fd, 7);
        set_cork(fd, 0);
        peer_do("recv 0 7");
    }
}

/* ---- the option is the socket's, not the process's ---- */

static void wait_for_child(void)
{
    int status;

    wait(&status);
    if (WIFSIGNALED(status))
        oracle_say("killed by %d", WTERMSIG(status));
}

/* A child goes on with what its parent began, and the other way round. */
static void run_fork(void)
{
    int fd = oracle_accept_peer();

    for (int i = 0; i < 2; i++) {
        set_cork(fd, 1);
        CALL(write(fd, "head", 4));
        if (fork() == 0) {
            say_cork(fd);
            CALL(write(fd, "body", 4));
            say_unsent(fd, 8);
            set_cork(fd, 0);
            _exit(0);
        }
        wait_for_child();
        peer_do("recv 0 8");
        say_cork(fd);
    }
    if (fork() == 0) {
        set_cork(fd, 1);
        CALL(write(fd, "child", 5));
        _exit(0);
    }
    wait_for_child();
    say_cork(fd);
    CALL(write(fd, "parent", 6));
    set_cork(fd, 0);
    peer_do("recv 0 11");
    say_cork(fd);
}

/* Who corked is killed; the socket stays corked for the others. */
static void run_kill(void)
{
    int fd = oracle_accept_peer();

    set_cork(fd, 1);
    set_cork(fd, 0);
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            set_cork(fd, 1);
            CALL(write(fd, "child", 5));
            kill(getpid(), SIGKILL);
        }
        wait_for_child();
        say_cork(fd);
        set_cork(fd, 0);
        peer_do("recv 0 5");
    }
    set_cork(fd, 1);
    CALL(write(fd, "last", 4));
    if (fork() == 0)
        _exit(0);
    wait_for_child();
    close(fd);
    peer_do("drain 0");
}

/* A program that is executed goes on. */
static void run_exec(void)
{
    int fd = oracle_accept_peer();

    set_cork(fd, 1);
    CALL(write(fd, "head", 4));
    if (fork() == 0) {
        dup2(fd, STDOUT_FILENO);
        execlp("echo", "echo", "-n", "body", (char *)NULL);
        _exit(127);
    }
    wait_for_child();
    say_cork(fd);
    say_unsent(fd, 8);
    set_cork(fd, 0);
    peer_do("recv 0 8");
}

/* The listening socket was corked, and what it accepts is. */
static void run_inherited(void)
{
    int listen_fd = oracle_listen(5), fd;

    set_cork(listen_fd, 1);
    peer_ask("connect 0 %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    say_cork(fd);
    set_cork(fd, 1);
    CALL(write(fd, "a", 1));
    say_unsent(fd, 1);
    set_cork(fd, 0);
    peer_do("recv 0 1");
    set_cork(fd, 1);
    CALL(write(fd, "b", 1));
    say_unsent(fd, 1);
    set_cork(fd, 0);
    peer_do("recv 0 1");
    say_cork(fd);
}

const struct oracle_case oracle_cases[] = {
    {"answers", run_answers},
    {"answers_connected", run_answers_connected},
    {"connections", run_connections},
    {"ends", run_ends},
    {"calls", run_calls},
    {"around", run_around},
    {"much", run_much},
    {"fork", run_fork},
    {"kill", run_kill},
    {"exec", run_exec},
    {"inherited", run_inherited},
    {NULL, NULL},
};
