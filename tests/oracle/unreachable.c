/* unreachable.c - ICMP errors about segments: what connect() says, and a connection that is given up. */
#include "oracle.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Messages by what they say; IPv4's and IPv6's. */
#define NO_NET oracle_pick("icmp 3 0", "icmp 1 0")
#define NO_HOST oracle_pick("icmp 3 1", "icmp 1 3")
#define NO_PORT oracle_pick("icmp 3 3", "icmp 1 4")

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        oracle_die("setsockopt");
}

/* The peer reads what this socket sends. */
static void watch(int fd)
{
    if (peer_ask("watch %d", oracle_local_port(fd)) < 0)
        oracle_die("watch");
}

/* A bound socket that the peer watches. */
static int make_socket(void)
{
    int fd = oracle_socket();

    if (oracle_bind(fd, oracle_subject_address(0)) < 0)
        oracle_die("bind");
    watch(fd);
    return fd;
}

/* A connection whose peer is deaf, and which is given up after a second. */
static int make_connection(bool accepted)
{
    int fd = accepted ? oracle_accept_peer() : oracle_connect_peer();

    watch(fd);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
    peer_do("deaf 0");
    return fd;
}

static void run_connect(void)
{
    static const char *const messages[][2] = {
        {"icmp 3 0", "icmp 1 0"}, {"icmp 3 1", "icmp 1 1"}, {"icmp 3 2", "icmp 1 2"},  {"icmp 3 3", "icmp 1 3"},
        {"icmp 3 5", "icmp 1 4"}, {"icmp 3 7", "icmp 1 5"}, {"icmp 3 9", "icmp 1 6"},  {"icmp 3 13", "icmp 1 7"},
        {"icmp 11 0", "icmp 3 0"}, {"icmp 12 0", "icmp 4 1"},
    };

    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        int fd = make_socket();

        oracle_set_nonblocking(fd, true);
        CALL(oracle_connect(fd, oracle_address("silent", 80)));
        peer_do("%s", oracle_pick(messages[i][0], messages[i][1]));
        oracle_wait_bits(fd, POLLERR);
        oracle_print_so_error(fd);
        oracle_print_so_error(fd);
        close(fd);
    }
}

static void run_connect_blocked(void)
{
    int fd = make_socket();

    peer_begin_when_blocked("%s", NO_HOST);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    peer_end();
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_recv(fd, 10, 0);
    oracle_print_so_error(fd);
}

/* Not about the SYN that was sent. */
static void run_connect_forged(void)
{
    int fd = make_socket();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    peer_do("%s 2", NO_PORT);
    peer_do("%s -1", NO_PORT);
    peer_do("%s", NO_HOST);
    oracle_wait_bits(fd, POLLERR);
    oracle_print_so_error(fd);
}

static void run_given_up(void)
{
    int fd = make_connection(false);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_HOST);
    oracle_wait_bits(fd, POLLERR);
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_given_up_recv(void)
{
    int fd = make_connection(true);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_NET);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_given_up_send(void)
{
    int fd = make_connection(true);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_PORT);
    oracle_wait_bits(fd, POLLERR);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_recv(fd, 10, 0);
}

static void run_given_up_shut(void)
{
    int fd = make_connection(false);

    CALL(shutdown(fd, SHUT_WR));
    peer_do("%s", NO_HOST);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
}

/* What was said last counts; what is forged does not. */
static void run_given_up_last(void)
{
    int fd = make_connection(false);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_PORT);
    peer_do("%s", NO_NET);
    peer_do("%s 11", NO_HOST);
    peer_do("%s -1", NO_HOST);
    oracle_recv(fd, 10, 0);
}

/* It was unreachable for a while only. */
static void run_forgotten(void)
{
    int fd = make_connection(false);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_HOST);
    peer_do("hear 0");
    peer_do("recv 0 10");
    peer_do("send 0 5");
    oracle_read_bytes(fd, 5);
    oracle_print_so_error(fd);
    peer_do("deaf 0");
    oracle_send_pattern(fd, 10);
    oracle_recv(fd, 10, 0);
}

/* DIFFERS: Linux's SO_ERROR tells it, once; ours says what ended a connection, and this ends none. */
static void run_asked(void)
{
    int fd = make_connection(false);

    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_HOST);
    peer_do("ping 64"); /* answered behind it */
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
}

/* DIFFERS: with IP_RECVERR, Linux's next call fails, and the connection lives. */
static void run_recverr(void)
{
    int fd = make_connection(false);

    set_option(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
               oracle_family() == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    oracle_send_pattern(fd, 10);
    peer_do("%s", NO_HOST);
    oracle_recv(fd, 10, 0);
    peer_do("hear 0");
    peer_do("recv 0 10");
}

const struct oracle_case oracle_cases[] = {
    {"connect", run_connect},
    {"connect_blocked", run_connect_blocked},
    {"connect_forged", run_connect_forged},
    {"given_up", run_given_up},
    {"given_up_recv", run_given_up_recv},
    {"given_up_send", run_given_up_send},
    {"given_up_shut", run_given_up_shut},
    {"given_up_last", run_given_up_last},
    {"forgotten", run_forgotten},
    {"asked", run_asked},
    {"recverr", run_recverr},
    {NULL, NULL},
};
