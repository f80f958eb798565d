/* udp_lite.c - UDP-Lite (udplite(7)): how much of a datagram the checksum is about, and what it has of its own
 * otherwise. */
#include "oracle_datagram.h"

#include <limits.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

/* linux/udp.h, which does not go with netinet's. */
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11

static int lite(void)
{
    int fd = socket(oracle_family(), SOCK_DGRAM, IPPROTO_UDPLITE);

    if (fd < 0)
        oracle_die("socket");
    return fd;
}

static int lite_bound(void)
{
    int fd = lite();

    if (oracle_bind(fd, oracle_subject_address(0)) < 0)
        oracle_die("bind");
    oracle_name_port(oracle_local_port(fd), "bound");
    return fd;
}

/* The peer's socket 0, of UDP-Lite. Return: its port. */
static int peer_lite(void)
{
    int port = (int)peer_ask("udp-lite 0");

    if (port < 0)
        oracle_die("a socket of the peer's");
    oracle_name_port(port, "peer-lite");
    return port;
}

static int lite_connected(void)
{
    int fd = lite_bound();

    if (oracle_connect(fd, oracle_peer_address(peer_lite())) < 0)
        oracle_die("connect");
    return fd;
}

static void print_option(int fd, const char *text, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;

    if (getsockopt(fd, level, name, &value, &length) < 0)
        oracle_say("%s: %s", text, oracle_errno_text(errno));
    else
        oracle_say("%s: %d, %u bytes", text, value, (unsigned)length);
}

static void run_socket(void)
{
    int fd = CALL_FD(socket(oracle_family(), SOCK_DGRAM, IPPROTO_UDPLITE));

    print_option(fd, "SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL);
    print_option(fd, "SO_TYPE", SOL_SOCKET, SO_TYPE);
    print_option(fd, "SO_DOMAIN", SOL_SOCKET, SO_DOMAIN);
    print_option(fd, "SO_ZEROCOPY", SOL_SOCKET, SO_ZEROCOPY);
    CALL(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int)));
    oracle_print_names(fd);
    oracle_print_poll(fd);
    CALL_FD(socket(oracle_family(), SOCK_STREAM, IPPROTO_UDPLITE));
}

static void run_transfer(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 64, 1001, 1452, 5000, 20000, 40000, 65479};
    int fd = lite_bound(), port = peer_lite();

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        CALL(oracle_sendto(fd, oracle_pattern(counts[i]), counts[i], 0, oracle_peer_address(port)));
        peer_do("udp-recv 0");
        oracle_peer_sends(fd, (int)counts[i]);
        oracle_recvfrom(fd, 66000, 0);
    }
    CALL(oracle_sendto(fd, oracle_pattern(66000), 66000, 0, oracle_peer_address(port)));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(0)));
    CALL(send(fd, "abc", 3, 0));
}

static void run_connected(void)
{
    int fd = lite_connected();

    oracle_print_names(fd);
    CALL(write(fd, "abc", 3));
    peer_do("udp-recv 0");
    oracle_peer_sends(fd, 4);
    oracle_recvmsg(fd, 3, 100, 0);
    if (peer_ask("udp-lite 1") < 0 || peer_ask("udp-send 1 5 %d", oracle_local_port(fd)) < 0)
        oracle_die("another socket of the peer's");
    oracle_peer_sends(fd, 6);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT); /* what the other sent is not for it */
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_oob(void)
{
    int fd = lite_connected();

    CALL(send(fd, "abc", 3, MSG_OOB));
}

static void run_options(void)
{
    static const int values[] = {0, 1, 7, 8, 9, 1000, 65535, 65536, INT_MAX, -1, INT_MIN};
    int fd = lite(), udp = oracle_udp();

    print_option(fd, "send, new", IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV);
    print_option(fd, "receive, new", IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        oracle_say("%d", values[i]);
        CALL(setsockopt(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &values[i], sizeof values[i]));
        print_option(fd, "send", IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV);
        CALL(setsockopt(fd, IPPROTO_UDP, UDPLITE_RECV_CSCOV, &values[i], sizeof values[i]));
        print_option(fd, "receive", IPPROTO_UDP, UDPLITE_RECV_CSCOV);
    }
    CALL(setsockopt(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &values[3], 3));
    CALL(setsockopt(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &values[3], 8));
    CALL(setsockopt(udp, IPPROTO_UDP, UDPLITE_SEND_CSCOV, &values[3], sizeof values[3]));
    CALL(setsockopt(udp, IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, &values[3], sizeof values[3]));
    print_option(udp, "UDP, send", IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV);
    print_option(oracle_socket(), "TCP, send", IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV);
}

/* Send with each coverage to a peer that takes no less than so much. What it does not take, the next one overtakes. */
static void run_coverage_sent(void)
{
    static const int sent[] = {0, 8, 9, 20, 21, 27, 28, 29, 1000};
    static const int taken[] = {8, 21, 28, 0};
    int fd = lite_connected(), number = 0;

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        peer_do("udp-coverage 0 recv %d", taken[i]);
        for (size_t j = 0; j < sizeof sent / sizeof *sent; j++) {
            char text[21] = "abcdefghijklmnopqrs";

            oracle_set(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, sent[j]);
            text[19] = (char)('0' + number++ % 10);
            oracle_say("coverage %d, \"%s\"", sent[j], text);
            if (send(fd, text, 20, 0) != 20)
                oracle_die("send");
            oracle_set(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 0);
            if (send(fd, "end", 3, 0) != 3)
                oracle_die("send");
            if (peer_do("udp-recv 0") == 20)
                peer_do("udp-recv 0");
        }
    }
}

/* Fragments: the coverage ends in the first, in the second, or nowhere. */
static void run_coverage_of_fragments(void)
{
    static const int sent[] = {8, 1000, 1481, 2000, 3333, 4000, 0};
    int fd = lite_connected();

    peer_do("udp-coverage 0 recv 8");
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        oracle_set(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, sent[i]);
        CALL(send(fd, oracle_pattern(3333), 3333, 0));
        peer_do("udp-recv 0");
        peer_do("udp-coverage 0 send %d", sent[i]);
        oracle_peer_sends(fd, 3333);
        oracle_recvfrom(fd, 4000, 0);
    }
}

static void run_coverage_received(void)
{
    static const int sent[] = {0, 8, 9, 20, 27, 28, 1000};
    static const int taken[] = {-1, 8, 20, 28, 0};
    int fd = lite_connected();

    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (taken[i] >= 0)
            oracle_set(fd, IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, taken[i]);
        for (size_t j = 0; j < sizeof sent / sizeof *sent; j++) {
            peer_do("udp-coverage 0 send %d", sent[j]);
            oracle_peer_sends(fd, 20);
            oracle_say("at least %d", taken[i]);
            oracle_recvfrom(fd, 100, MSG_DONTWAIT);
        }
    }
}

/* The same between two of the subject's. */
static void run_coverage_on_loopback(void)
{
    static const int sent[] = {8, 20, 1000, 0};
    static const int taken[] = {8, 20, 0};
    int to = lite(), from = lite();
    union oracle_sockaddr address;
    socklen_t length = sizeof address;

    if (oracle_bind(to, oracle_address("loopback", 0)) < 0 || getsockname(to, &address.sa, &length) < 0)
        oracle_die("bind");
    oracle_set_timeout(to, SO_RCVTIMEO, 5000);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        oracle_set(to, IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, taken[i]);
        for (size_t j = 0; j < sizeof sent / sizeof *sent; j++) {
            oracle_say("coverage %d, at least %d", sent[j], taken[i]);
            oracle_set(from, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, sent[j]);
            if (oracle_sendto(from, oracle_pattern(20), 20, 0, address) != 20)
                oracle_die("sendto");
            oracle_set(from, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 0);
            if (oracle_sendto(from, "end", 3, 0, address) != 3)
                oracle_die("sendto");
            if (oracle_recv(to, 100, 0) == 20)
                oracle_recv(to, 100, 0);
        }
    }
}

/* Ports of UDP are not those of UDP-Lite. */
static void run_ports(void)
{
    int fd = lite_bound(), udp = oracle_udp(), other = lite();
    int port = oracle_local_port(fd);

    CALL(oracle_bind(udp, oracle_subject_address(port)));
    CALL(oracle_bind(other, oracle_subject_address(port)));
    peer_lite();
    oracle_peer_sends(fd, 3);
    oracle_print_poll(udp);
    oracle_recv(fd, 10, MSG_DONTWAIT);
    oracle_peer_udp(0);
    oracle_peer_sends(udp, 4);
    oracle_print_poll(fd);
    oracle_recv(udp, 10, MSG_DONTWAIT);
    close(fd);
    CALL(oracle_bind(other, oracle_subject_address(port)));
    peer_lite();
    oracle_peer_sends(other, 5);
    oracle_recv(other, 10, MSG_DONTWAIT);
}

/* A port where there is UDP, and no UDP-Lite. */
static void run_refused(void)
{
    int fd = lite_bound();

    CALL(oracle_connect(fd, oracle_peer_address(oracle_peer_udp(0))));
    CALL(send(fd, "abc", 3, 0));
    oracle_recvfrom(fd, 10, 0);
    oracle_print_so_error(fd);
}

static void run_refused_queue(void)
{
    int fd = lite_bound(), port = oracle_peer_udp(0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    oracle_set(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
               oracle_family() == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    oracle_set(fd, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, 8);
    CALL(oracle_sendto(fd, "abcdef", 6, 0, oracle_peer_address(port)));
    poll(&poll_fd, 1, 5000);
    oracle_recvmsg(fd, 10, 200, MSG_ERRQUEUE);
    oracle_print_so_error(fd);
}

static void run_refuses(void)
{
    int udp = oracle_udp_bound();

    peer_lite();
    peer_do("udp-connect 0 @ %d", oracle_local_port(udp));
    peer_do("udp-send 0 5 0");
    peer_do("udp-error 0");
    oracle_print_poll(udp);
}

/* What the kernel knows of trains for UDP, it has not for UDP-Lite. */
static void run_train(void)
{
    int fd = lite_connected();

    CALL(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){10}, sizeof(int)));
    CALL(send(fd, oracle_pattern(30), 30, 0));
    CALL(send(fd, oracle_pattern(5), 5, 0));
    CALL(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){0}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, IPPROTO_UDP, UDP_SEGMENT, &(uint16_t){2}, sizeof(uint16_t)));
    CALL(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &(int){1}, sizeof(int)));
    oracle_peer_sends(fd, 6);
    oracle_recvmsg(fd, 10, 200, 0);
}

static void run_cork(void)
{
    int fd = lite_connected();

    peer_do("udp-coverage 0 recv 0");
    CALL(setsockopt(fd, IPPROTO_UDPLITE, UDP_CORK, &(int){1}, sizeof(int)));
    CALL(send(fd, "abc", 3, 0));
    CALL(send(fd, "def", 3, 0));
    CALL(setsockopt(fd, IPPROTO_UDPLITE, UDP_CORK, &(int){0}, sizeof(int)));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, MSG_MORE));
    CALL(send(fd, "def", 3, 0));
    peer_do("udp-recv 0");
}

/* There is always a checksum. */
static void run_no_check(void)
{
    int fd = lite_connected();

    CALL(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &(int){1}, sizeof(int)));
    CALL(setsockopt(fd, IPPROTO_UDP, UDP_NO_CHECK6_TX, &(int){1}, sizeof(int)));
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
}

static void run_group(void)
{
    const char *group = oracle_pick("239.1.2.3", "ff15::1:2:3");
    int fd = lite(), udp = oracle_udp();
    struct group_req request = {.gr_interface = 0};
    union oracle_sockaddr address = oracle_address(group, 0);

    memcpy(&request.gr_group, &address, sizeof address);
    if (oracle_bind(fd, oracle_address("any", 0)) < 0 ||
        oracle_bind(udp, oracle_address("any", oracle_local_port(fd))) < 0)
        oracle_die("bind");
    CALL(setsockopt(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP, &request,
                    sizeof request));
    peer_lite();
    peer_do("udp-send-to 0 %s 7 @ %d", group, oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_print_poll(udp);
}

const struct oracle_case oracle_cases[] = {
    {"socket", run_socket},
    {"transfer", run_transfer},
    {"connected", run_connected},
    {"oob", run_oob},
    {"options", run_options},
    {"coverage_sent", run_coverage_sent},
    {"coverage_of_fragments", run_coverage_of_fragments},
    {"coverage_received", run_coverage_received},
    {"coverage_on_loopback", run_coverage_on_loopback},
    {"ports", run_ports},
    {"refused", run_refused},
    {"refused_queue", run_refused_queue},
    {"refuses", run_refuses},
    {"train", run_train},
    {"cork", run_cork},
    {"no_check", run_no_check},
    {"group", run_group},
    {NULL, NULL},
};
