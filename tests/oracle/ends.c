/*
 * ends.c - how a connection ends: end of file, half close, reset, close with unread data. Most cases run twice: with a
 * socket that connected and with one that was accepted.
 */
#include "oracle.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int make_socket(void);

static void try_peer_half_close(make_socket *make)
{
    int fd = make();

    peer_do("send 0 10");
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLIN | POLLRDHUP);
    oracle_read_bytes(fd, 20);
    oracle_print_poll(fd);
    oracle_recv(fd, 1, 0);
    oracle_send_pattern(fd, 100000);
    peer_do("recv 0 100000");
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
    oracle_wait_bits(fd, POLLHUP);
    oracle_print_so_error(fd);
}

static void try_own_half_close(make_socket *make)
{
    int fd = make();

    oracle_send_pattern(fd, 10);
    CALL(shutdown(fd, SHUT_WR));
    oracle_print_poll(fd);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
    peer_do("send 0 100000");
    peer_do("close 0");
    oracle_read_bytes(fd, 200000);
    oracle_wait_bits(fd, POLLHUP);
    oracle_recv(fd, 1, 0);
    oracle_print_so_error(fd);
}

static void try_peer_close(make_socket *make)
{
    int fd = make();

    peer_do("send 0 10");
    peer_do("close 0");
    oracle_wait_bits(fd, POLLIN | POLLRDHUP);
    oracle_recv(fd, 4, 0);
    oracle_print_poll(fd);
    oracle_recv(fd, 20, 0);
    oracle_recv(fd, 20, 0);
    oracle_print_poll(fd);
    oracle_print_names(fd);
}

/* The peer has closed: the first write succeeds and is answered by a reset, the second fails. */
static void try_write_after_peer_closed(make_socket *make)
{
    int fd = make();

    peer_do("close 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_wait_bits(fd, POLLHUP);
    oracle_print_poll(fd);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_print_so_error(fd);
    oracle_recv(fd, 1, 0);
}

/* The same, but only reading: it goes on to say that the data has ended. */
static void try_read_after_peer_closed(make_socket *make)
{
    int fd = make();

    peer_do("close 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_wait_bits(fd, POLLHUP);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void try_reset(make_socket *make)
{
    int fd = make();

    peer_do("reset 0");
    oracle_wait_bits(fd, POLLERR);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
    oracle_print_so_error(fd);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_print_names(fd);
}

static void try_reset_told_by_so_error(make_socket *make)
{
    int fd = make();

    peer_do("reset 0");
    oracle_wait_bits(fd, POLLERR);
    oracle_print_so_error(fd);
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
}

static void try_reset_told_by_send(make_socket *make)
{
    int fd = make();

    peer_do("reset 0");
    oracle_wait_bits(fd, POLLERR);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
}

static void try_reset_with_unread(make_socket *make)
{
    int fd = make();

    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    peer_do("reset 0");
    oracle_wait_bits(fd, POLLERR);
    oracle_recv(fd, 4, 0);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
}

static void try_reset_after_own_half_close(make_socket *make)
{
    int fd = make();

    CALL(shutdown(fd, SHUT_WR));
    peer_do("wait 0");
    peer_do("reset 0");
    oracle_wait_bits(fd, POLLHUP | POLLERR);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
}

static void try_reset_after_peer_half_close(make_socket *make)
{
    int fd = make();

    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    peer_do("reset 0");
    oracle_wait_bits(fd, POLLERR);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
}

static void try_reset_in_recv(make_socket *make)
{
    int fd = make();

    peer_begin_when_blocked("reset 0");
    oracle_recv(fd, 10, 0);
    peer_end();
    oracle_recv(fd, 10, 0);
}

static void try_reset_in_poll(make_socket *make)
{
    int fd = make();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    peer_begin_when_blocked("reset 0");
    CALL(poll(&poll_fd, 1, 5000));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents & ~(unsigned)POLLOUT));
    peer_end();
    oracle_recv(fd, 10, 0);
}

static void try_reset_in_epoll(make_socket *make)
{
    int fd = make(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    peer_begin_when_blocked("reset 0");
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    peer_end();
    oracle_wait_bits(fd, POLLERR);
    oracle_recv(fd, 10, 0);
}

static void try_reset_in_send(make_socket *make)
{
    int fd = make();

    oracle_fill(fd);
    peer_begin_when_blocked("reset 0");
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    peer_end();
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_recv(fd, 10, 0);
}

static void try_close_with_unread(make_socket *make)
{
    int fd = make();

    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    CALL(close(fd));
    peer_do("wait-gone 0");
    peer_do("recv 0 10");
}

static void try_close_part_read(make_socket *make)
{
    int fd = make();

    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    oracle_recv(fd, 9, 0);
    CALL(close(fd));
    peer_do("recv 0 10");
}

static void try_close_all_read(make_socket *make)
{
    int fd = make();

    peer_do("send 0 10");
    oracle_read_bytes(fd, 10);
    oracle_send_pattern(fd, 5);
    CALL(close(fd));
    peer_do("drain 0");
}

/* Data that comes after close() is answered by a reset. */
static void try_data_after_close(make_socket *make)
{
    int fd = make();

    CALL(close(fd));
    peer_do("drain 0");
    peer_do("send 0 10");
    peer_do("wait-gone 0");
    peer_do("send 0 1");
}

static void try_linger_zero(make_socket *make)
{
    int fd = make();
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    CALL(close(fd));
    peer_do("recv 0 10");
}

static void try_linger(make_socket *make)
{
    int fd = make();
    struct linger linger = {.l_onoff = 1, .l_linger = 5};

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    oracle_send_pattern(fd, 100000);
    peer_do("recv 0 100000");
    CALL(close(fd));
    peer_do("drain 0");
}

/* In a child: 1 MiB written, then exit or SIGKILL at once; all of it has to arrive, then the end of file. */
static void try_written_before_end(make_socket *make, bool by_kill)
{
    int status, fd = make();
    pid_t child = fork();

    if (child == 0) {
        oracle_send_pattern(fd, by_kill ? 100000 : 1 << 20);
        if (by_kill)
            kill(getpid(), SIGKILL);
        _exit(0);
    }
    close(fd);
    peer_do("drain 0");
    waitpid(child, &status, 0);
    oracle_say("the child %s", WIFSIGNALED(status) ? "was killed" : "exited");
}

static void try_written_before_exit(make_socket *make)
{
    try_written_before_end(make, false);
}

static void try_written_before_kill(make_socket *make)
{
    try_written_before_end(make, true);
}

static void on_pipe(int number)
{
    (void)number;
    oracle_say("SIGPIPE");
}

static void try_sigpipe(make_socket *make)
{
    int fd = make();

    signal(SIGPIPE, on_pipe);
    CALL(shutdown(fd, SHUT_WR));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(send(fd, "x", 1, 0));
    CALL(write(fd, "x", 1));
}

/* What each shutdown() does to poll, recv and send. */
static void try_shutdowns(make_socket *make)
{
    static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR, 3};

    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        int fd = make();

        oracle_say("how %d", hows[i]);
        CALL(shutdown(fd, hows[i]));
        oracle_print_poll(fd);
        oracle_recv(fd, 10, MSG_DONTWAIT);
        CALL(send(fd, "x", 1, MSG_NOSIGNAL));
        CALL(shutdown(fd, hows[i]));
        close(fd);
    }
}

/* SHUT_RD does not stop what the peer sends on Linux: it is still read. */
static void try_data_after_shut_rd(make_socket *make)
{
    int fd = make();

    CALL(shutdown(fd, SHUT_RD));
    oracle_recv(fd, 10, 0);
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    oracle_recv(fd, 20, 0);
    oracle_recv(fd, 20, 0);
    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
}

static void try_rdhup_edges(make_socket *make)
{
    int fd = make(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    peer_do("send 0 3");
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    peer_do("shut 0");
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    oracle_read_bytes(fd, 10);
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
}

#define BOTH(name)                                                        \
    static void connected_##name(void) { try_##name(oracle_connect_peer); } \
    static void accepted_##name(void) { try_##name(oracle_accept_peer); }
#define CASES(name) {#name "_connected", connected_##name}, {#name "_accepted", accepted_##name}

BOTH(peer_half_close)
BOTH(own_half_close)
BOTH(peer_close)
BOTH(write_after_peer_closed)
BOTH(read_after_peer_closed)
BOTH(reset)
BOTH(reset_told_by_so_error)
BOTH(reset_told_by_send)
BOTH(reset_with_unread)
BOTH(reset_after_own_half_close)
BOTH(reset_after_peer_half_close)
BOTH(reset_in_recv)
BOTH(reset_in_poll)
BOTH(reset_in_epoll)
BOTH(reset_in_send)
BOTH(close_with_unread)
BOTH(close_part_read)
BOTH(close_all_read)
BOTH(data_after_close)
BOTH(linger_zero)
BOTH(linger)
BOTH(written_before_exit)
BOTH(written_before_kill)
BOTH(sigpipe)
BOTH(shutdowns)
BOTH(data_after_shut_rd)
BOTH(rdhup_edges)

const struct oracle_case oracle_cases[] = {
    CASES(peer_half_close),
    CASES(own_half_close),
    CASES(peer_close),
    CASES(write_after_peer_closed),
    CASES(read_after_peer_closed),
    CASES(reset),
    CASES(reset_told_by_so_error),
    CASES(reset_told_by_send),
    CASES(reset_with_unread),
    CASES(reset_after_own_half_close),
    CASES(reset_after_peer_half_close),
    CASES(reset_in_recv),
    CASES(reset_in_poll),
    CASES(reset_in_epoll),
    CASES(reset_in_send),
    CASES(close_with_unread),
    CASES(close_part_read),
    CASES(close_all_read),
    CASES(data_after_close),
    CASES(linger_zero),
    CASES(linger),
    CASES(written_before_exit),
    CASES(written_before_kill),
    CASES(sigpipe),
    CASES(shutdowns),
    CASES(data_after_shut_rd),
    CASES(rdhup_edges),
    {NULL, NULL},
};
