/* addresses.c - which socket a connection goes to, and from which address and port it comes. */
#include "oracle.h"

#include <string.h>
#include <unistd.h>

static void set_reuse(int fd)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        oracle_die("SO_REUSEADDR");
}

/* Which of these listening sockets has a connection? It is accepted. */
static void print_chosen(const int *listen_fds, int count)
{
    struct pollfd poll_fds[4];

    for (int i = 0; i < count; i++)
        poll_fds[i] = (struct pollfd){.fd = listen_fds[i], .events = POLLIN};
    poll(poll_fds, (nfds_t)count, 3000);
    for (int i = 0; i < count; i++) {
        if (!(poll_fds[i].revents & POLLIN))
            continue;
        oracle_say("listener %d has it", i);
        close(accept(listen_fds[i], NULL, NULL));
    }
}

/* Two ports of one number, on two addresses: each gets its own. */
static void run_two_addresses(void)
{
    int listen_fds[2] = {oracle_socket(), oracle_socket()}, fd = oracle_socket(), other = oracle_socket(), port;

    CALL(oracle_bind(listen_fds[0], oracle_subject_address(0)));
    port = oracle_local_port(listen_fds[0]);
    CALL(oracle_bind(listen_fds[1], oracle_address("loopback", port)));
    CALL(listen(listen_fds[0], 5));
    CALL(listen(listen_fds[1], 5));
    peer_do("connect 0 @ %d", port);
    print_chosen(listen_fds, 2);
    CALL(oracle_connect(fd, oracle_address("loopback", port)));
    print_chosen(listen_fds, 2);
    CALL(oracle_connect(other, oracle_subject_address(port)));
    print_chosen(listen_fds, 2);
}

/* A listener on the loopback is not to be reached from outside, and one on the address not by the loopback. */
static void run_wrong_address(void)
{
    int first = oracle_socket(), second = oracle_listen(5), fd = oracle_socket();

    CALL(oracle_bind(first, oracle_address("loopback", 0)));
    CALL(listen(first, 5));
    peer_do("connect 0 @ %d", oracle_local_port(first));
    CALL(oracle_connect(fd, oracle_address("loopback", oracle_local_port(second))));
}

static void run_from_loopback(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    oracle_set_nonblocking(fd, true); /* IPv6 begins, and nobody answers */
    CALL(oracle_bind(fd, oracle_address("loopback", 0)));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
}

/* The port of one's own choice, again at once after the peer has closed first, and after one has. */
static void run_port_again(void)
{
    int port = oracle_peer_listen(5), own;

    for (int i = 0; i < 2; i++) {
        int fd = oracle_socket(), again = oracle_socket();

        set_reuse(fd);
        set_reuse(again);
        CALL(oracle_bind(fd, oracle_subject_address(0)));
        own = oracle_local_port(fd);
        CALL(oracle_connect(fd, oracle_peer_address(port)));
        peer_do("accept 0");
        if (i == 0) {
            peer_do("close 0");
            oracle_wait_bits(fd, POLLRDHUP);
            close(fd);
        } else {
            CALL(shutdown(fd, SHUT_WR));
            peer_do("drain 0");
            peer_do("close 0");
            oracle_wait_bits(fd, POLLHUP);
            close(fd);
        }
        CALL(oracle_bind(again, oracle_subject_address(own)));
        close(again);
    }
}

/* Bound to no address: the one that the route says is shown after connect(). */
static void run_any_then_connect(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
}

static void run_privileged(void)
{
    int fd = oracle_socket();

    CALL(oracle_bind(fd, oracle_address("loopback", 7)));
    CALL(listen(fd, 1));
    oracle_say("port %d", oracle_local_port(fd));
}

static void run_listener_and_connections(void)
{
    int listen_fd = oracle_listen(5), fd, again = oracle_socket();

    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_names(fd);
    oracle_print_names(listen_fd);
    oracle_say("the same port: %d", oracle_local_port(fd) == oracle_local_port(listen_fd));
    CALL(oracle_bind(again, oracle_subject_address(oracle_local_port(fd))));
    peer_do("connect 1 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
    close(fd);
    peer_do("drain 0");
    peer_do("connect 2 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
}

const struct oracle_case oracle_cases[] = {
    {"two_addresses", run_two_addresses},
    {"wrong_address", run_wrong_address},
    {"from_loopback", run_from_loopback},
    {"port_again", run_port_again},
    {"any_then_connect", run_any_then_connect},
    {"privileged", run_privileged},
    {"listener_and_connections", run_listener_and_connections},
    {NULL, NULL},
};
