/* connect.c - connect(2): accepted, refused, silent, unreachable; again and again; errors. */
#include "oracle.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void run_accepted(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_poll(fd);
    oracle_print_so_error(fd);
    oracle_print_names(fd);
    peer_do("accept 0");
    peer_do("send 0 10");
    oracle_read_bytes(fd, 10);
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
}

static void run_refused(void)
{
    int fd = oracle_socket(), port = oracle_refused_port();

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_so_error(fd);
    oracle_print_names(fd);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_refused_nonblocking(void)
{
    int fd = oracle_socket(), port = oracle_refused_port();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    oracle_print_so_error(fd);
    oracle_print_so_error(fd);
    oracle_print_poll(fd);
    oracle_recv(fd, 10, 0);
}

/* The error is reported by the second connect(), once, if SO_ERROR was not asked. */
static void run_refused_told_by_connect(void)
{
    int fd = oracle_socket(), port = oracle_refused_port();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_so_error(fd);
}

static void run_refused_told_by_recv(void)
{
    int fd = oracle_socket(), port = oracle_refused_port();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
    oracle_print_so_error(fd);
}

static void run_refused_told_by_send(void)
{
    int fd = oracle_socket(), port = oracle_refused_port();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_print_so_error(fd);
}

static void run_again_after_refusal(void)
{
    int fd = oracle_socket(), port = oracle_refused_port(), open_port;

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    open_port = oracle_peer_listen(5);
    CALL(oracle_connect(fd, oracle_peer_address(open_port)));
    peer_do("accept 0");
    oracle_print_poll(fd);
    oracle_print_names(fd);
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
    peer_do("send 0 5");
    oracle_read_bytes(fd, 5);
}

static void run_again_after_refusal_nonblocking(void)
{
    int fd = oracle_socket(), port = oracle_refused_port(), open_port = 0;

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    oracle_print_so_error(fd);
    open_port = oracle_peer_listen(5);
    CALL(oracle_connect(fd, oracle_peer_address(open_port)));
    oracle_print_so_error(fd);
    peer_do("accept 0");
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
}

static void run_second_connect(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(oracle_connect(fd, oracle_peer_address(port + 1)));
    oracle_print_poll(fd);
}

static void run_second_connect_nonblocking(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    CALL(oracle_connect(fd, oracle_address("silent", 81)));
    close(fd);
    fd = oracle_socket();
    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLOUT);
    /* Linux: the first one after the handshake succeeds, then EISCONN. */
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
}

static void run_silent_nonblocking(void)
{
    int fd = oracle_socket();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    oracle_print_poll(fd);
    oracle_print_so_error(fd);
    oracle_recv(fd, 10, 0);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    oracle_print_poll(fd);
    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
    CALL(getpeername(fd, (struct sockaddr *)&(struct sockaddr_storage){0}, &(socklen_t){16}));
    oracle_say("a port was chosen: %s", oracle_local_port(fd) != 0 ? "yes" : "no");
}

static void run_timed_out(void)
{
    int fd = oracle_socket(), count = 1;

    CALL(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &count, sizeof count));
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    oracle_print_so_error(fd);
}

static void run_timed_out_nonblocking(void)
{
    int fd = oracle_socket(), count = 1;

    oracle_set_nonblocking(fd, true);
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &count, sizeof count));
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    oracle_wait_bits(fd, POLLERR);
    oracle_print_so_error(fd);
    oracle_print_so_error(fd);
    oracle_print_poll(fd);
}

static void run_send_timeout(void)
{
    int fd = oracle_socket();

    oracle_set_timeout(fd, SO_SNDTIMEO, 100);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    oracle_print_poll(fd);
    oracle_recv(fd, 1, MSG_DONTWAIT);
    oracle_set_timeout(fd, SO_SNDTIMEO, 100);
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
}

static void run_unreachable(void)
{
    int fd = oracle_socket();

    CALL(oracle_connect(fd, oracle_address("unreachable", 80)));
}

static void run_unreachable_nonblocking(void)
{
    int fd = oracle_socket();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("unreachable", 80)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    oracle_print_so_error(fd);
}

static void run_shutdown_while_connecting(void)
{
    int fd = oracle_socket();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    CALL(shutdown(fd, SHUT_WR));
    oracle_print_poll(fd);
}

/* What poll says of a socket whose connect() failed, and said so. */
static void run_poll_after_failure(void)
{
    int fd = oracle_socket(), port = oracle_refused_port(), open_port;

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_poll(fd);
    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_wait_bits(fd, POLLERR | POLLHUP);
    oracle_print_so_error(fd);
    open_port = oracle_peer_listen(5);
    CALL(oracle_connect(fd, oracle_peer_address(open_port)));
    oracle_wait_bits(fd, POLLOUT);
}

static void run_absent(void)
{
    int fd = oracle_socket();

    CALL(oracle_connect(fd, oracle_address("absent", 80)));
    oracle_print_so_error(fd);
}

static void run_bad_addresses(void)
{
    int fd = oracle_socket();
    union oracle_sockaddr address = oracle_peer_address(80);

    CALL(connect(fd, &address.sa, 1));
    CALL(connect(fd, &address.sa, 8));
    CALL(connect(fd, &address.sa, 15));
    CALL(connect(fd, &address.sa, 0));
    CALL(connect(fd, &address.sa, 1000));
    CALL(connect(fd, NULL, sizeof address));
    address.sa.sa_family = AF_UNIX;
    CALL(connect(fd, &address.sa, sizeof address));
    address.sa.sa_family = oracle_family() == AF_INET ? AF_INET6 : AF_INET;
    CALL(connect(fd, &address.sa, sizeof address));
    address.sa.sa_family = 99;
    CALL(connect(fd, &address.sa, sizeof address));
    oracle_print_names(fd);
}

/* A longer address than needed is fine. */
static void run_long_address(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    struct sockaddr_storage storage = {0};
    union oracle_sockaddr address = oracle_peer_address(port);

    memcpy(&storage, &address, sizeof address);
    CALL(connect(fd, (struct sockaddr *)&storage, sizeof storage));
    peer_do("accept 0");
}

static void run_port_zero(void)
{
    int fd = oracle_socket();

    CALL(oracle_connect(fd, oracle_peer_address(0)));
    oracle_print_so_error(fd);
}

static void run_broadcast_and_multicast(void)
{
    int fd = oracle_socket();

    CALL(oracle_connect(fd, oracle_address(oracle_pick("255.255.255.255", "ff0e::1"), 80)));
    CALL(oracle_connect(fd, oracle_address(oracle_pick("10.99.0.255", "ff05::1"), 80)));
    CALL(oracle_connect(fd, oracle_address(oracle_pick("224.0.0.1", "ff02::1"), 80)));
}

/* AF_UNSPEC dissolves the connection; the socket may connect again. */
static void run_unspec(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    CALL(connect(fd, &nobody, sizeof nobody));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_names(fd);
    peer_do("drain 0");
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 1");
    oracle_send_pattern(fd, 5);
    peer_do("recv 1 5");
}

static void run_poll_after_unspec(void)
{
    int fd = oracle_connect_peer();
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_poll(fd);
}

static void run_bound(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5), own;

    CALL(oracle_bind(fd, oracle_subject_address(0)));
    own = oracle_local_port(fd);
    oracle_name_port(own, "bound");
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    oracle_print_names(fd);
    oracle_say("the peer sees the bound port: %s", peer_ask("port 0") == own ? "yes" : "no");
}

/* Twice between the same two ports: what is left of the first connection, in TIME-WAIT here, makes way. */
static void run_bound_again(void)
{
    int port = oracle_peer_listen(5), own = 0, on = 1;

    for (int i = 0; i < 2; i++) {
        int fd = oracle_socket();

        CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
        CALL(oracle_bind(fd, oracle_subject_address(own)));
        own = oracle_local_port(fd);
        oracle_name_port(own, "bound");
        CALL(oracle_connect(fd, oracle_peer_address(port)));
        peer_do("accept %d", i);
        oracle_print_names(fd);
        CALL(send(fd, "hello", 5, 0));
        peer_do("recv %d 5", i);
        CALL(shutdown(fd, SHUT_WR));
        peer_do("drain %d", i);
        peer_do("close %d", i);
        oracle_recv(fd, 1, 0);
        CALL(close(fd));
    }
}

static void run_listening(void)
{
    int fd = oracle_listen(1), port = oracle_peer_listen(5);

    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
}

static void on_signal(int number)
{
    (void)number;
}

/* A connect() that a signal interrupted goes on by itself. */
static void run_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    int fd = oracle_socket();

    sigaction(SIGUSR1, &action, NULL);
    peer_begin_when_blocked("signal @ %d %d", (int)getpid(), SIGUSR1);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    peer_end();
    oracle_print_poll(fd);
    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
}

static void run_to_oneself(void)
{
    int fd = oracle_socket();

    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_name_port(oracle_local_port(fd), "own");
    CALL(oracle_connect(fd, oracle_subject_address(oracle_local_port(fd))));
    oracle_print_names(fd);
    oracle_send_pattern(fd, 10);
    oracle_read_bytes(fd, 10);
}

/* The subject's own listener, by its address, by the loopback's and by 0.0.0.0. */
static void run_own_listener(void)
{
    int listen_fd = oracle_socket(), fd, other_fd;
    const char *const roles[] = {"subject", "loopback", oracle_pick("127.9.8.7", "loopback"), "any"};

    CALL(oracle_bind(listen_fd, oracle_address("any", 0)));
    CALL(listen(listen_fd, 5));
    oracle_name_port(oracle_local_port(listen_fd), "listener");
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        oracle_say("to %s", roles[i]);
        fd = oracle_socket();
        CALL(oracle_connect(fd, oracle_address(roles[i], oracle_local_port(listen_fd))));
        other_fd = CALL_FD(accept(listen_fd, NULL, NULL));
        oracle_print_names(fd);
        oracle_print_names(other_fd);
        CALL(send(fd, "hello", 5, 0));
        oracle_read_bytes(other_fd, 5);
        close(fd);
        oracle_recv(other_fd, 1, 0);
        close(other_fd);
    }
}

static void run_own_refused(void)
{
    int fd = oracle_socket(), listen_fd = oracle_listen(1), port = oracle_local_port(listen_fd);

    close(listen_fd);
    CALL(oracle_connect(fd, oracle_subject_address(port)));
    CALL(oracle_connect(fd, oracle_address("loopback", port)));
}

const struct oracle_case oracle_cases[] = {
    {"accepted", run_accepted},
    {"refused", run_refused},
    {"refused_nonblocking", run_refused_nonblocking},
    {"refused_told_by_connect", run_refused_told_by_connect},
    {"refused_told_by_recv", run_refused_told_by_recv},
    {"refused_told_by_send", run_refused_told_by_send},
    {"again_after_refusal", run_again_after_refusal},
    {"again_after_refusal_nonblocking", run_again_after_refusal_nonblocking},
    {"second_connect", run_second_connect},
    {"second_connect_nonblocking", run_second_connect_nonblocking},
    {"silent_nonblocking", run_silent_nonblocking},
    {"timed_out", run_timed_out},
    {"timed_out_nonblocking", run_timed_out_nonblocking},
    {"send_timeout", run_send_timeout},
    {"unreachable", run_unreachable},
    {"unreachable_nonblocking", run_unreachable_nonblocking},
    {"shutdown_while_connecting", run_shutdown_while_connecting},
    {"poll_after_failure", run_poll_after_failure},
    {"poll_after_unspec", run_poll_after_unspec},
    {"absent", run_absent},
    {"bad_addresses", run_bad_addresses},
    {"long_address", run_long_address},
    {"port_zero", run_port_zero},
    {"broadcast_and_multicast", run_broadcast_and_multicast},
    {"unspec", run_unspec},
    {"bound", run_bound},
    {"bound_again", run_bound_again},
    {"listening", run_listening},
    {"interrupted", run_interrupted},
    {"to_oneself", run_to_oneself},
    {"own_listener", run_own_listener},
    {"own_refused", run_own_refused},
    {NULL, NULL},
};
