/* timeouts.c - a peer that is silent in the middle: keep-alive, TCP_USER_TIMEOUT, and that a short silence is
 * outlived. */
#include "oracle.h"

#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        oracle_die("setsockopt");
}

/* Probes after one second, each second, two of them. */
static void set_keepalive(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
}

static void run_keepalive_expires(void)
{
    int fd = oracle_connect_peer();

    set_keepalive(fd);
    peer_do("deaf 0");
    oracle_wait_bits(fd, POLLERR);
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
}

static void run_keepalive_in_recv(void)
{
    int fd = oracle_accept_peer();

    set_keepalive(fd);
    peer_do("deaf 0");
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
}

/* Set on the listening socket it holds for what it accepts. */
static void run_keepalive_inherited(void)
{
    int listen_fd = oracle_listen(5), fd;

    set_keepalive(listen_fd);
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    peer_do("deaf 0");
    oracle_recv(fd, 10, 0);
}

static void run_keepalive_answered(void)
{
    int fd = oracle_connect_peer();

    set_keepalive(fd);
    oracle_set_timeout(fd, SO_RCVTIMEO, 3500);
    oracle_recv(fd, 10, 0);
    oracle_print_poll(fd);
    peer_do("send 0 5");
    oracle_read_bytes(fd, 5);
}

static void run_user_timeout(void)
{
    int fd = oracle_connect_peer();

    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    peer_do("deaf 0");
    oracle_send_pattern(fd, 10);
    oracle_wait_bits(fd, POLLERR);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

/* What was received before is read before the error. */
static void run_user_timeout_unread(void)
{
    int fd = oracle_connect_peer();

    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    peer_do("send 0 5");
    oracle_wait_bytes(fd, 5);
    peer_do("deaf 0");
    oracle_send_pattern(fd, 10);
    oracle_wait_bits(fd, POLLERR);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
}

static void run_short_silence(void)
{
    int fd = oracle_connect_peer();

    peer_do("deaf 0");
    oracle_send_pattern(fd, 10000);
    oracle_set_timeout(fd, SO_RCVTIMEO, 700);
    oracle_recv(fd, 10, 0);
    peer_do("hear 0");
    peer_do("recv 0 10000");
    peer_do("send 0 5");
    oracle_read_bytes(fd, 5);
}

/* The end of a connection to a peer that does not hear: data and FIN arrive when it hears again. */
static void run_close_in_silence(void)
{
    int fd = oracle_connect_peer();

    peer_do("deaf 0");
    oracle_send_pattern(fd, 1000);
    CALL(close(fd));
    peer_do("hear 0");
    peer_do("drain 0");
}

const struct oracle_case oracle_cases[] = {
    {"keepalive_expires", run_keepalive_expires},
    {"keepalive_in_recv", run_keepalive_in_recv},
    {"keepalive_inherited", run_keepalive_inherited},
    {"keepalive_answered", run_keepalive_answered},
    {"user_timeout", run_user_timeout},
    {"user_timeout_unread", run_user_timeout_unread},
    {"short_silence", run_short_silence},
    {"close_in_silence", run_close_in_silence},
    {NULL, NULL},
};
