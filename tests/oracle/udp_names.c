/* udp_names.c - bind(2), connect(2) and names of datagram sockets: who may have which port, and who gets what. */
#include "oracle_datagram.h"

#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static void run_socket_arguments(void)
{
    int fd, value = -1;
    socklen_t length = sizeof value;

    fd = CALL_FD(socket(oracle_family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
    CALL(recv(fd, &value, 1, 0));
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    oracle_say("%d", value == SOCK_DGRAM);
    CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
    oracle_say("%d", value == IPPROTO_UDP);
    CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length));
    oracle_say("%d", value == oracle_family());
    CALL(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
    oracle_say("%d", value);
    CALL_FD(socket(oracle_family(), SOCK_DGRAM, IPPROTO_TCP));
    CALL_FD(socket(oracle_family(), SOCK_DGRAM, 255));
    CALL_FD(socket(oracle_family(), SOCK_DGRAM, -1));
    CALL_FD(socket(oracle_family(), SOCK_RAW, 0));
    CALL_FD(socket(oracle_family(), SOCK_RDM, 0));
}

static void run_wrong_kind(void)
{
    int fd = oracle_udp_connected(), value = 1;
    socklen_t length = sizeof value;

    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length));
    CALL(setsockopt(fd, IPPROTO_UDP, 9999, &value, sizeof value));
    CALL(getsockopt(fd, IPPROTO_UDP, 9999, &value, &length));
    CALL(setsockopt(fd, IPPROTO_ICMP, 1, &value, sizeof value));
    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value));
    fd = oracle_udp();
    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
}

static void run_stages(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    oracle_print_names(fd);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
}

/* The same with an address and a port of one's own choice: they stay. */
static void run_stages_bound(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_names(fd);
    CALL(send(fd, "abc", 3, 0));
    CALL(connect(fd, &nobody, sizeof nobody));
    CALL(shutdown(fd, SHUT_RD));
}

static void run_stages_any(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    CALL(connect(fd, &nobody, sizeof nobody));
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_address("loopback", port)));
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
}

static void run_bind_errors(void)
{
    int fd = oracle_udp();
    union oracle_sockaddr address = oracle_subject_address(0);

    CALL(bind(fd, &address.sa, 1));
    CALL(bind(fd, &address.sa, 15));
    CALL(bind(fd, &address.sa, 1000));
    CALL(bind(fd, NULL, sizeof address));
    address.sa.sa_family = oracle_family() == AF_INET ? AF_INET6 : AF_INET;
    CALL(bind(fd, &address.sa, sizeof address));
    address.sa.sa_family = AF_UNIX;
    CALL(bind(fd, &address.sa, sizeof address));
    CALL(oracle_bind(fd, oracle_peer_address(0)));
    CALL(oracle_bind(fd, oracle_address(oracle_pick("240.0.0.1", "2001:db8::c8"), 0)));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL(oracle_bind(fd, oracle_address("any", 0)));
    fd = oracle_udp_connected();
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    fd = oracle_udp();
    CALL(oracle_connect(fd, oracle_peer_address(9)));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
}

static void run_bind_odd(void)
{
    const char *const hosts[] = {oracle_pick("255.255.255.255", "ff0e::1"), oracle_pick("224.0.0.1", "ff05::1"),
                                 oracle_pick("10.99.0.255", "fd99::"), oracle_pick("127.0.0.7", "::1")};

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int fd = oracle_udp();

        oracle_say("%s", hosts[i]);
        CALL(oracle_bind(fd, oracle_address(hosts[i], 0)));
        oracle_print_names(fd);
    }
}

static void run_bind_free(void)
{
    int fd = oracle_udp();

    oracle_set(fd, IPPROTO_IP, IP_FREEBIND, 1);
    CALL(oracle_bind(fd, oracle_address(oracle_pick("192.0.2.200", "2001:db8::c8"), 0)));
    oracle_print_names(fd);
}

static void run_connect_errors(void)
{
    int fd = oracle_udp();
    union oracle_sockaddr address = oracle_peer_address(9);

    CALL(connect(fd, &address.sa, 1));
    CALL(connect(fd, &address.sa, 15));
    CALL(connect(fd, &address.sa, 1000));
    CALL(connect(fd, NULL, sizeof address));
    address.sa.sa_family = AF_UNIX;
    CALL(connect(fd, &address.sa, sizeof address));
    address.sa.sa_family = oracle_family() == AF_INET ? AF_INET6 : AF_INET;
    CALL(connect(fd, &address.sa, sizeof address));
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(0)));
    oracle_print_names(fd);
    CALL(send(fd, "abc", 3, 0));
    fd = oracle_udp();
    CALL(oracle_connect(fd, oracle_address("any", 9)));
    oracle_print_names(fd);
    fd = oracle_udp();
    CALL(oracle_connect(fd, oracle_address("loopback", 9)));
    oracle_print_names(fd);
    fd = oracle_udp();
    CALL(oracle_bind(fd, oracle_address("loopback", 0)));
    CALL(oracle_connect(fd, oracle_peer_address(9)));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(9)));
}

/* Only the peer that it is connected to is heard. */
static void run_filter(void)
{
    int fd = oracle_udp_connected(), port = oracle_local_port(fd);

    oracle_peer_udp(1);
    peer_do("udp-send 1 3 @ %d", port);
    peer_do("udp-send 0 5 @ %d", port);
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

/* What came before connect() stays, from whomever. */
static void run_filter_late(void)
{
    int fd = oracle_udp_bound(), first = oracle_peer_udp(0), port = oracle_local_port(fd);

    oracle_peer_udp(1);
    peer_do("udp-send 1 3 @ %d", port);
    oracle_wait_datagram(fd);
    CALL(oracle_connect(fd, oracle_peer_address(first)));
    peer_do("udp-send 1 4 @ %d", port);
    peer_do("udp-send 0 5 @ %d", port);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_elsewhere(void)
{
    int fd = oracle_udp_connected(), port = oracle_peer_udp(1);

    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    peer_do("udp-recv 1");
    peer_do("udp-send 1 4 @ %d", oracle_local_port(fd));
    CALL(send(fd, "def", 3, 0));
    peer_do("udp-recv 0");
    peer_do("udp-send 0 5 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    CALL(send(fd, "ghi", 3, 0));
    peer_do("udp-recv 1");
}

static void run_to_oneself(void)
{
    int fd = oracle_udp_bound();

    CALL(oracle_connect(fd, oracle_subject_address(oracle_local_port(fd))));
    oracle_print_names(fd);
    CALL(send(fd, "abc", 3, 0));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
}

static void run_loopback(void)
{
    const char *const hosts[] = {"loopback", "subject", oracle_pick("127.9.8.7", "loopback"), "any"};
    int fd = oracle_udp();

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int other = oracle_udp();

        oracle_say("to %s", hosts[i]);
        CALL(oracle_connect(other, oracle_address(hosts[i], oracle_local_port(fd))));
        CALL(send(other, "abc", 3, 0));
        oracle_wait_datagram(fd);
        oracle_recvfrom(fd, 10, 0);
        CALL(oracle_sendto(fd, "def", 3, 0, oracle_address(hosts[i], oracle_local_port(other))));
        close(other);
    }
}

/* What name lengths do. */
static void run_lengths(void)
{
    const socklen_t lengths[] = {sizeof(struct sockaddr_storage), oracle_address_size(), 8, 0};
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct sockaddr_storage from;
        socklen_t length = lengths[i];

        memset(&from, 0x55, sizeof from);
        oracle_peer_sends(fd, 3);
        CALL(recvfrom(fd, &(char[8]){0}, 8, 0, (struct sockaddr *)&from, &length));
        oracle_say("length %u of %u, beyond %x", (unsigned)length, (unsigned)lengths[i],
                   ((unsigned char *)&from)[lengths[i] < 100 ? lengths[i] : oracle_address_size()]);
    }
    oracle_peer_sends(fd, 3);
    CALL(recvfrom(fd, &(char[8]){0}, 8, 0, NULL, &(socklen_t){16}));
    oracle_peer_sends(fd, 3);
    CALL(recvfrom(fd, &(char[8]){0}, 8, 0, (struct sockaddr *)&(struct sockaddr_storage){0}, NULL));
    CALL(recvfrom(fd, &(char[8]){0}, 8, MSG_DONTWAIT, (struct sockaddr *)&(struct sockaddr_storage){0},
                  &(socklen_t){(socklen_t)-1}));
}

/* A second socket on the port of a first one. */
static void try_same_port(const char *first_role, const char *second_role, int option_first, int option_second)
{
    int first = oracle_udp(), second = oracle_udp();

    oracle_say("%s, then %s; options %d, %d", first_role, second_role, option_first, option_second);
    if (option_first != 0)
        oracle_set(first, SOL_SOCKET, option_first, 1);
    if (option_second != 0)
        oracle_set(second, SOL_SOCKET, option_second, 1);
    CALL(oracle_bind(first, oracle_address(first_role, 0)));
    if (CALL(oracle_bind(second, oracle_address(second_role, oracle_local_port(first)))) < 0) {
        CALL(close(first));
        CALL(oracle_bind(second, oracle_address(second_role, oracle_local_port(second))));
        close(second);
        return;
    }
    close(first);
    close(second);
}

static void run_in_use(void)
{
    static const char *const roles[] = {"subject", "loopback", "any"};

    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            try_same_port(roles[i], roles[j], 0, 0);
    }
}

static void run_in_use_reuse(void)
{
    static const int options[][2] = {{SO_REUSEADDR, SO_REUSEADDR}, {SO_REUSEADDR, 0}, {0, SO_REUSEADDR},
                                     {SO_REUSEPORT, SO_REUSEPORT}, {SO_REUSEPORT, 0}, {SO_REUSEPORT, SO_REUSEADDR}};

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        try_same_port("subject", "subject", options[i][0], options[i][1]);
        try_same_port("any", "subject", options[i][0], options[i][1]);
    }
}

static void run_port_again(void)
{
    int fd = oracle_udp_bound(), port = oracle_local_port(fd);

    close(fd);
    fd = oracle_udp();
    CALL(oracle_bind(fd, oracle_subject_address(port)));
    oracle_peer_udp(0);
    peer_do("udp-send 0 3 @ %d", port);
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
}

/* Which of these sockets has a datagram? It is read. */
static void print_chosen(const int *fds, int count)
{
    struct pollfd poll_fds[4];

    for (int i = 0; i < count; i++)
        poll_fds[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    poll(poll_fds, (nfds_t)count, 3000);
    for (int i = 0; i < count; i++) {
        if (!(poll_fds[i].revents & POLLIN))
            continue;
        oracle_say("socket %d has it", i);
        recv(fds[i], &(char){0}, 1, 0);
    }
}

/* The socket that fits best gets a datagram: connected before bound to an address before bound to none. */
static void run_best_match(void)
{
    int fds[3] = {oracle_udp(), oracle_udp(), oracle_udp()}, port, peer_port = oracle_peer_udp(0);

    oracle_peer_udp(1);
    for (int i = 0; i < 3; i++)
        oracle_set(fds[i], SOL_SOCKET, SO_REUSEADDR, 1);
    CALL(oracle_bind(fds[0], oracle_address("any", 0)));
    port = oracle_local_port(fds[0]);
    CALL(oracle_bind(fds[1], oracle_subject_address(port)));
    CALL(oracle_bind(fds[2], oracle_subject_address(port)));
    CALL(oracle_connect(fds[2], oracle_peer_address(peer_port)));
    peer_do("udp-send 0 3 @ %d", port);
    print_chosen(fds, 3);
    peer_do("udp-send 1 3 @ %d", port);
    print_chosen(fds, 3);
    CALL(oracle_sendto(fds[0], "abc", 3, 0, oracle_address("loopback", port)));
    print_chosen(fds, 3);
    close(fds[2]);
    close(oracle_udp()); /* the service has seen the close when it answers this */
    peer_do("udp-send 0 3 @ %d", port);
    print_chosen(fds, 2);
    close(fds[1]);
    close(oracle_udp());
    peer_do("udp-send 0 3 @ %d", port);
    print_chosen(fds, 1);
}

static void run_ephemeral(void)
{
    int fds[8], distinct = 1, in_range = 1;

    for (int i = 0; i < 8; i++) {
        fds[i] = oracle_udp();
        if (oracle_bind(fds[i], oracle_address("any", 0)) < 0)
            oracle_die("bind");
        if (oracle_local_port(fds[i]) < 32768 || oracle_local_port(fds[i]) > 60999)
            in_range = 0;
        for (int j = 0; j < i; j++) {
            if (oracle_local_port(fds[i]) == oracle_local_port(fds[j]))
                distinct = 0;
        }
    }
    oracle_say("distinct: %d, from 32768 to 60999: %d", distinct, in_range);
}

/* UDP's ports and TCP's have nothing to do with each other. */
static void run_tcp_beside(void)
{
    int tcp = oracle_listen(1), udp = oracle_udp();

    CALL(oracle_bind(udp, oracle_subject_address(oracle_local_port(tcp))));
    oracle_print_names(udp);
}

const struct oracle_case oracle_cases[] = {
    {"socket_arguments", run_socket_arguments},
    {"wrong_kind", run_wrong_kind},
    {"stages", run_stages},
    {"stages_bound", run_stages_bound},
    {"stages_any", run_stages_any},
    {"bind_errors", run_bind_errors},
    {"bind_odd", run_bind_odd},
    {"bind_free", run_bind_free},
    {"connect_errors", run_connect_errors},
    {"filter", run_filter},
    {"filter_late", run_filter_late},
    {"elsewhere", run_elsewhere},
    {"to_oneself", run_to_oneself},
    {"loopback", run_loopback},
    {"lengths", run_lengths},
    {"in_use", run_in_use},
    {"in_use_reuse", run_in_use_reuse},
    {"port_again", run_port_again},
    {"best_match", run_best_match},
    {"ephemeral", run_ephemeral},
    {"tcp_beside", run_tcp_beside},
    {NULL, NULL},
};
