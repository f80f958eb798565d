/* ends_more.c - ends in unusual orders: close after half close, both at once, with data on the way, zero lengths. */
#include "oracle.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void run_close_after_half_close(void)
{
    int fd = oracle_connect_peer();

    oracle_send_pattern(fd, 10);
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
    CALL(close(fd));
    peer_do("send 0 5");
    peer_do("wait-gone 0");
    peer_do("send 0 5");
}

static void run_half_close_then_unread(void)
{
    int fd = oracle_connect_peer();

    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    CALL(close(fd));
    peer_do("wait-gone 0");
    peer_do("send 0 5");
}

static void run_answer_after_peer_half_close(void)
{
    int fd = oracle_accept_peer();

    peer_do("send 0 1000");
    peer_do("shut 0");
    oracle_read_bytes(fd, 2000);
    oracle_send_pattern(fd, 60000);
    CALL(close(fd));
    peer_do("drain 0");
}

static void run_both_close(void)
{
    int fd = oracle_connect_peer();

    peer_do("close 0");
    CALL(close(fd));
    fd = oracle_connect_peer();
    CALL(close(fd));
    peer_do("close 0");
    fd = oracle_connect_peer();
    oracle_send_pattern(fd, 5);
    CALL(close(fd));
    peer_do("drain 0");
}

static void run_shutdown_both_then_read(void)
{
    int fd = oracle_connect_peer();

    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    CALL(shutdown(fd, SHUT_RDWR));
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
}

static void run_linger_zero_with_data(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = oracle_connect_peer();

    oracle_fill(fd);
    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    CALL(close(fd));
    peer_do("wait-gone 0");
}

static void run_linger_zero_shutdown(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = oracle_connect_peer();

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    oracle_send_pattern(fd, 5);
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
}

/* SO_LINGER 0 holds for the last close, whoever makes it. */
static void run_linger_zero_in_child(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int fd = oracle_connect_peer(), status;

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    if (fork() == 0)
        _exit(0);
    wait(&status);
    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
    CALL(close(fd));
    peer_do("drain 0");
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* close() waits for the linger time at most, O_NONBLOCK or not; the data still arrives. */
static void try_linger_expires(bool nonblocking)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 1};
    int fd = oracle_connect_peer();
    long total = oracle_fill(fd), begin = now_ms(), waited;

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    oracle_set_nonblocking(fd, nonblocking);
    CALL(close(fd));
    waited = now_ms() - begin;
    oracle_say("it waited a second: %s", waited >= 900 && waited < 4000 ? "yes" : "no");
    oracle_say("all arrives: %s", peer_ask("drain 0") == total ? "yes" : "no");
}

static void run_linger_expires(void)
{
    try_linger_expires(false);
}

static void run_linger_expires_nonblocking(void)
{
    try_linger_expires(true);
}

/* close() returns when the peer has all. */
static void run_linger_done(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 10};
    int fd = oracle_connect_peer();
    long total = oracle_fill(fd), begin;

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    peer_begin_when_blocked("drain 0");
    begin = now_ms();
    CALL(close(fd));
    oracle_say("before the linger time is over: %s", now_ms() - begin < 9000 ? "yes" : "no");
    oracle_say("all has arrived: %s", peer_end_ask() == total ? "yes" : "no");
}

/* In the program that was executed: the socket is descriptor 0. */
static void run_linger_after_exec(void)
{
    long begin, waited;

    oracle_recv(0, 1, MSG_DONTWAIT);
    begin = now_ms();
    CALL(close(0));
    waited = now_ms() - begin;
    oracle_say("it waited a second: %s", waited >= 900 && waited < 4000 ? "yes" : "no");
}

/* A socket lingers in whatever program closes it last. */
static void run_linger_exec(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 1};
    int fd = oracle_connect_peer(), status;
    long total = oracle_fill(fd);

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    if (fork() == 0) {
        char *arguments[] = {(char *)"ends_more", (char *)"_linger_after_exec", NULL};

        setenv("ORACLE_PEER_FD", "3", 1);
        dup2(fd, 0);
        dup2(ORACLE_OUTPUT_FD, 1);
        dup2(ORACLE_PEER_FD, 3);
        close_range(4, ~0u, 0);
        execv("/proc/self/exe", arguments);
        _exit(1);
    }
    close(fd); /* not the last */
    wait(&status);
    oracle_say("the child ends with %d", status);
    oracle_say("all arrives: %s", peer_ask("drain 0") == total ? "yes" : "no");
}

/* A process that exits does not linger. */
static void run_linger_exit(void)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 10};
    int fd = oracle_connect_peer(), status;
    long total = oracle_fill(fd), begin = now_ms();
    pid_t child;

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    child = fork();
    if (child == 0) {
        poll(NULL, 0, -1);
        _exit(0);
    }
    CALL(close(fd)); /* not the last one */
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    oracle_say("at once: %s", now_ms() - begin < 4000 ? "yes" : "no");
    oracle_say("all arrives: %s", peer_ask("drain 0") == total ? "yes" : "no");
}

static void run_zero_lengths(void)
{
    int fd = oracle_connect_peer();

    CALL(send(fd, NULL, 0, MSG_NOSIGNAL));
    CALL(write(fd, NULL, 0));
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(recv(fd, NULL, 0, 0));
    CALL(read(fd, NULL, 0));
    CALL(shutdown(fd, SHUT_WR));
    CALL(send(fd, NULL, 0, MSG_NOSIGNAL));
    CALL(write(fd, NULL, 0));
}

static void run_zero_lengths_new(void)
{
    int fd = oracle_socket();

    CALL(recv(fd, NULL, 0, 0));
    CALL(read(fd, NULL, 0));
    CALL(send(fd, NULL, 0, MSG_NOSIGNAL));
}

static void run_nodelay_then_close(void)
{
    int fd = oracle_connect_peer(), on = 1;

    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    for (int i = 0; i < 50; i++) {
        char byte = (char)('a' + i % 26);

        if (write(fd, &byte, 1) != 1)
            oracle_die("write");
    }
    CALL(close(fd));
    peer_do("drain 0");
}

/* Corked data goes out when the socket is closed. */
static void run_cork_then_close(void)
{
    int fd = oracle_connect_peer(), on = 1;

    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    oracle_send_pattern(fd, 50);
    CALL(close(fd));
    peer_do("drain 0");
}

/* ... and after at most 200 ms by itself. */
static void run_cork_timer(void)
{
    int fd = oracle_connect_peer(), on = 1;

    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    oracle_send_pattern(fd, 50);
    peer_do("recv 0 50");
}

static void run_pending_at_end(void)
{
    int fd = oracle_connect_peer(), pending = -1;

    peer_do("send 0 5");
    peer_do("close 0");
    oracle_wait_bits(fd, POLLRDHUP);
    oracle_wait_bytes(fd, 5);
    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
    oracle_recv(fd, 10, MSG_PEEK);
    oracle_read_bytes(fd, 10);
    CALL(ioctl(fd, FIONREAD, &pending));
    oracle_say("%d", pending);
}

/* The end of file comes behind more data than the pair holds. */
static void run_end_behind_much(void)
{
    int fd = oracle_connect_peer(), status;

    if (fork() == 0) {
        peer_ask("send 0 2000000");
        peer_ask("close 0");
        _exit(0);
    }
    oracle_wait_bytes(fd, 100000);
    oracle_read_bytes(fd, 3000000);
    wait(&status);
}

static void run_reset_behind_much(void)
{
    int fd = oracle_connect_peer();

    peer_do("send 0 20000");
    oracle_wait_bytes(fd, 20000);
    peer_do("reset 0");
    oracle_wait_bits(fd, POLLHUP);
    oracle_read_bytes(fd, 30000);
    oracle_print_poll(fd);
}

static void run_oneshot_end(void)
{
    int fd = oracle_connect_peer(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    peer_do("send 0 3");
    CALL(epoll_wait(epoll_fd, &event, 1, 2000));
    peer_do("close 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 2000));
    oracle_say("%s", oracle_bits_text(event.events));
}

const struct oracle_case oracle_cases[] = {
    {"close_after_half_close", run_close_after_half_close},
    {"half_close_then_unread", run_half_close_then_unread},
    {"answer_after_peer_half_close", run_answer_after_peer_half_close},
    {"both_close", run_both_close},
    {"shutdown_both_then_read", run_shutdown_both_then_read},
    {"linger_zero_with_data", run_linger_zero_with_data},
    {"linger_zero_shutdown", run_linger_zero_shutdown},
    {"linger_zero_in_child", run_linger_zero_in_child},
    {"linger_expires", run_linger_expires},
    {"linger_expires_nonblocking", run_linger_expires_nonblocking},
    {"linger_done", run_linger_done},
    {"linger_exit", run_linger_exit},
    {"linger_exec", run_linger_exec},
    {"zero_lengths", run_zero_lengths},
    {"zero_lengths_new", run_zero_lengths_new},
    {"nodelay_then_close", run_nodelay_then_close},
    {"cork_then_close", run_cork_then_close},
    {"cork_timer", run_cork_timer},
    {"pending_at_end", run_pending_at_end},
    {"end_behind_much", run_end_behind_much},
    {"reset_behind_much", run_reset_behind_much},
    {"oneshot_end", run_oneshot_end},
    {"_linger_after_exec", run_linger_after_exec},
    {NULL, NULL},
};
