/* udp_errors.c - ICMP errors and a socket's own: to whom they are told, how often, and what the error queue says. */
#include "oracle_datagram.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Wait for an error, of a socket that has nothing to read. How it shows is the matter of poll_refused and refused_epoll
 * alone.
 */
static void wait_error(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    if (poll(&poll_fd, 1, 5000) <= 0)
        oracle_say("waited for an error that did not come");
}

/* Send to where nobody listens, and wait until that is known. */
static int make_refused(void)
{
    int fd = oracle_udp_refused();

    if (send(fd, "abc", 3, 0) != 3)
        oracle_die("send");
    wait_error(fd);
    return fd;
}

static void set_receive_errors(int fd)
{
    if (oracle_family() == AF_INET)
        oracle_set(fd, IPPROTO_IP, IP_RECVERR, 1);
    else
        oracle_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
}

static void run_refused_send(void)
{
    int fd = make_refused();

    CALL(send(fd, "def", 3, 0));
    oracle_print_so_error(fd);
    CALL(send(fd, "ghi", 3, 0));
}

static void run_refused_recv(void)
{
    int fd = make_refused();

    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_print_poll(fd);
}

static void run_refused_read(void)
{
    int fd = make_refused();

    CALL(read(fd, &(char){0}, 1));
    oracle_set_nonblocking(fd, true);
    CALL(read(fd, &(char){0}, 1));
}

static void run_refused_write(void)
{
    int fd = make_refused();

    CALL(write(fd, "abc", 3));
    CALL(write(fd, "abc", 3));
    wait_error(fd);
    CALL(writev(fd, &(struct iovec){"abc", 3}, 1));
}

static void run_refused_so_error(void)
{
    int fd = make_refused();

    oracle_print_so_error(fd);
    oracle_print_so_error(fd);
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

/* A call that waits is told, too. */
static void run_refused_blocked(void)
{
    int fd = oracle_udp_refused();

    CALL(send(fd, "abc", 3, 0));
    oracle_recvfrom(fd, 10, 0);
    CALL(send(fd, "abc", 3, 0));
    CALL(read(fd, &(char){0}, 1));
    CALL(send(fd, "abc", 3, 0));
    oracle_recvmsg(fd, 10, 100, 0);
}

static void run_poll_refused(void)
{
    int fd = make_refused();

    oracle_print_poll(fd);
    oracle_print_so_error(fd);
    oracle_print_poll(fd);
}

static void run_poll_queue(void)
{
    int fd = oracle_udp_refused();

    set_receive_errors(fd);
    CALL(send(fd, "abc", 3, 0));
    wait_error(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_print_poll(fd);
    oracle_recvmsg(fd, 10, 100, MSG_ERRQUEUE);
    oracle_print_poll(fd);
}

static void run_refused_epoll(void)
{
    int fd = oracle_udp_refused(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    CALL(send(fd, "abc", 3, 0));
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    oracle_print_so_error(fd);
    CALL(send(fd, "abc", 3, 0));
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    oracle_print_so_error(fd);
}

/* What came before the error is still there after it. */
static void run_refused_after_data(void)
{
    int fd = oracle_udp_connected();

    oracle_peer_sends(fd, 5);
    peer_ask("udp-close 0");
    CALL(send(fd, "abc", 3, 0));
    oracle_wait_bits(fd, POLLERR);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_refused_mmsg(void)
{
    int fd = make_refused();
    char buffer[16];
    struct iovec iov = {buffer, sizeof buffer};
    struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}},
                                  {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}}};

    CALL(recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL));
    CALL(recvmmsg(fd, messages, 2, MSG_DONTWAIT, NULL));
    iov.iov_len = 3;
    CALL(sendmmsg(fd, messages, 1, 0));
    wait_error(fd);
    CALL(sendmmsg(fd, messages, 2, 0));
}

static void run_refused_then_answered(void)
{
    int fd = make_refused(), port;

    oracle_print_so_error(fd);
    port = oracle_peer_udp(1);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 1");
    oracle_print_poll(fd);
}

/* Whoever is not connected hears nothing. */
static void run_unconnected(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    peer_ask("udp-close 0");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    port = oracle_peer_udp(1);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    peer_do("udp-recv 1");
    oracle_print_poll(fd);
    oracle_print_so_error(fd);
}

/* A connected socket that sends to somebody else hears nothing of that. */
static void run_sent_elsewhere(void)
{
    int fd = oracle_udp_connected(), port = oracle_peer_udp(1);

    peer_ask("udp-close 1");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    CALL(send(fd, "def", 3, 0));
    peer_do("udp-recv 0");
    oracle_print_poll(fd);
    oracle_print_so_error(fd);
}

static void run_recverr_unconnected(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    set_receive_errors(fd);
    peer_ask("udp-close 0");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    wait_error(fd);
    oracle_recvmsg(fd, 100, 500, MSG_ERRQUEUE);
    oracle_recvmsg(fd, 100, 500, MSG_ERRQUEUE);
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_recverr_connected(void)
{
    int fd = oracle_udp_refused();

    set_receive_errors(fd);
    CALL(send(fd, "abcdef", 6, 0));
    wait_error(fd);
    oracle_print_so_error(fd);
    oracle_recvmsg(fd, 4, 500, MSG_ERRQUEUE);
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_print_poll(fd);
}

static void run_recverr_call_first(void)
{
    int fd = oracle_udp_refused();

    set_receive_errors(fd);
    CALL(send(fd, "abcdef", 6, 0));
    wait_error(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_recvmsg(fd, 100, 0, MSG_ERRQUEUE);
    oracle_print_poll(fd);
}

static void run_recverr_two(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    set_receive_errors(fd);
    peer_ask("udp-close 0");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    wait_error(fd);
    CALL(oracle_sendto(fd, "def", 3, 0, oracle_peer_address(port)));
    CALL(oracle_sendto(fd, "def", 3, 0, oracle_peer_address(port)));
    for (int i = 0; i < 2; i++) {
        wait_error(fd);
        oracle_recvmsg(fd, 100, 500, MSG_ERRQUEUE);
    }
}

static void run_empty_queue(void)
{
    int fd = oracle_udp_bound();

    oracle_recvmsg(fd, 10, 100, MSG_ERRQUEUE);
    set_receive_errors(fd);
    oracle_recvmsg(fd, 10, 100, MSG_ERRQUEUE);
}

static void run_unreachable(void)
{
    int fd = oracle_udp_bound();

    CALL(oracle_connect(fd, oracle_address("unreachable", 9)));
    CALL(send(fd, "abc", 3, 0));
    oracle_recvmsg(fd, 10, 100, MSG_ERRQUEUE);
    oracle_set_timeout(fd, SO_RCVTIMEO, 300);
    oracle_recvfrom(fd, 10, 0); /* without IP_RECVERR only a refusal is told */
    oracle_print_so_error(fd);
}

static void run_unreachable_recverr(void)
{
    int fd = oracle_udp_bound();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    set_receive_errors(fd);
    /* Linux sends few of these errors a second, and other cases have theirs. */
    for (int i = 0; i < 20; i++) {
        if (oracle_sendto(fd, "abc", 3, 0, oracle_address("unreachable", 9)) < 0 || poll(&poll_fd, 1, 300) > 0)
            break;
    }
    wait_error(fd);
    oracle_recvmsg(fd, 100, 500, MSG_ERRQUEUE);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

/* A datagram that is too long for the wire, and must not be cut. */
static void run_dont_fragment(void)
{
    int fd = oracle_udp_connected(), value = 0;
    socklen_t length = sizeof value;
    char *data = oracle_pattern(3000);

    if (oracle_family() == AF_INET) {
        CALL(getsockopt(fd, IPPROTO_IP, IP_MTU, &value, &length));
        oracle_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    } else {
        CALL(getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &value, &length));
        oracle_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
        oracle_set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
    }
    oracle_say("%d", value);
    CALL(send(fd, data, 3000, 0));
    CALL(send(fd, data, oracle_family() == AF_INET ? 1473 : 1453, 0));
    CALL(send(fd, data, oracle_family() == AF_INET ? 1472 : 1452, 0));
    peer_do("udp-recv 0");
    set_receive_errors(fd);
    CALL(send(fd, data, 3000, 0));
    oracle_recvmsg(fd, 10, 500, MSG_ERRQUEUE);
    free(data);
}

static void run_loopback(void)
{
    int fd = oracle_udp(), other = oracle_udp(), port;

    CALL(oracle_bind(other, oracle_address("loopback", 0)));
    port = oracle_local_port(other);
    close(other);
    CALL(oracle_connect(fd, oracle_address("loopback", port)));
    CALL(send(fd, "abc", 3, 0));
    wait_error(fd);
    oracle_recvfrom(fd, 10, 0);
}

/* The peer hears that nobody listens here, and that somebody did. */
static void run_peer_refused(void)
{
    int fd = oracle_udp_bound(), port = oracle_local_port(fd);

    oracle_peer_udp(0);
    peer_do("udp-connect 0 @ %d", port);
    close(fd);
    close(oracle_udp()); /* the service has seen the close when it answers this */
    peer_do("udp-send 0 3 0");
    peer_do("udp-error 0");
}

/* An error does not outlive the connection that it is about. */
static void run_dissolved(void)
{
    int fd = make_refused();
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_so_error(fd);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_in_child(void)
{
    int fd = make_refused();

    pid_t child = fork();

    if (child == 0) {
        oracle_print_so_error(fd);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    oracle_print_so_error(fd);
}

const struct oracle_case oracle_cases[] = {
    {"refused_send", run_refused_send},
    {"refused_recv", run_refused_recv},
    {"refused_read", run_refused_read},
    {"refused_write", run_refused_write},
    {"refused_so_error", run_refused_so_error},
    {"refused_blocked", run_refused_blocked},
    {"refused_epoll", run_refused_epoll},
    {"poll_refused", run_poll_refused},
    {"poll_queue", run_poll_queue},
    {"refused_after_data", run_refused_after_data},
    {"refused_mmsg", run_refused_mmsg},
    {"refused_then_answered", run_refused_then_answered},
    {"unconnected", run_unconnected},
    {"sent_elsewhere", run_sent_elsewhere},
    {"recverr_unconnected", run_recverr_unconnected},
    {"recverr_connected", run_recverr_connected},
    {"recverr_call_first", run_recverr_call_first},
    {"recverr_two", run_recverr_two},
    {"empty_queue", run_empty_queue},
    {"unreachable", run_unreachable},
    {"unreachable_recverr", run_unreachable_recverr},
    {"dont_fragment", run_dont_fragment},
    {"loopback", run_loopback},
    {"peer_refused", run_peer_refused},
    {"dissolved", run_dissolved},
    {"in_child", run_in_child},
    {NULL, NULL},
};
