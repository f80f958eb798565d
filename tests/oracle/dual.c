/* dual.c - what only IPv6 sockets have: IPv4 through them (v4-mapped addresses), IPV6_V6ONLY, scopes. TCP and UDP. */
#include "oracle_datagram.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

/* The addresses of the IPv4 run, as IPv6 sockets write them. */
#define MAPPED_SUBJECT "::ffff:10.99.0.2"
#define MAPPED_PEER "::ffff:10.99.0.1"
#define MAPPED_LOOPBACK "::ffff:127.0.0.1"

static int bind_ipv4(int fd, const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, host, &address.sin_addr);
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

static int connect_ipv4(int fd, const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    inet_pton(AF_INET, host, &address.sin_addr);
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* The interface that is not the loopback. */
static unsigned wire_index(void)
{
    struct if_nameindex *list = if_nameindex();
    unsigned index = 0;

    for (struct if_nameindex *i = list; i != NULL && i->if_index != 0; i++) {
        if (strcmp(i->if_name, "lo") != 0)
            index = i->if_index;
    }
    if_freenameindex(list);
    return index;
}

static union oracle_sockaddr scoped_address(const char *role, int port, unsigned scope)
{
    union oracle_sockaddr address = oracle_address(role, port);

    address.in6.sin6_scope_id = scope;
    return address;
}

/* ---- TCP ---- */

/* A listener of both families is reached over each. */
static void run_accept_v6(void)
{
    int listen_fd = oracle_socket(), fd, client;

    CALL(oracle_bind(listen_fd, oracle_address("any", 0)));
    CALL(listen(listen_fd, 5));
    oracle_name_port(oracle_local_port(listen_fd), "listener");
    client = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect_ipv4(client, "127.0.0.1", oracle_local_port(listen_fd)));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_names(fd);
    CALL(send(client, "abc", 3, 0));
    oracle_recv(fd, 3, MSG_WAITALL);
    close(fd);
    client = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect_ipv4(client, "10.99.0.2", oracle_local_port(listen_fd)));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_names(fd);
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_names(fd);
}

static void run_only_v6(void)
{
    int listen_fd = oracle_socket(), client = socket(AF_INET, SOCK_STREAM, 0), value = -1;
    socklen_t length = sizeof value;

    CALL(getsockopt(listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &length));
    oracle_say("%d", value);
    oracle_set(listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CALL(oracle_bind(listen_fd, oracle_address("any", 0)));
    CALL(setsockopt(listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int)));
    CALL(listen(listen_fd, 5));
    CALL(connect_ipv4(client, "127.0.0.1", oracle_local_port(listen_fd)));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL(oracle_connect(oracle_socket(), oracle_address(MAPPED_PEER, 9)));
    listen_fd = oracle_socket();
    oracle_set(listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CALL(oracle_bind(listen_fd, oracle_address(MAPPED_SUBJECT, 0)));
    CALL(oracle_connect(listen_fd, oracle_address(MAPPED_LOOPBACK, 9)));
}

/* Connecting to an IPv4 address through an IPv6 socket. */
static void run_connect_v6(void)
{
    int listen_fd = socket(AF_INET, SOCK_STREAM, 0), fd = oracle_socket(), accepted;

    CALL(bind_ipv4(listen_fd, "127.0.0.1", 0));
    CALL(listen(listen_fd, 5));
    oracle_name_port(oracle_local_port(listen_fd), "listener");
    CALL(oracle_connect(fd, oracle_address(MAPPED_LOOPBACK, oracle_local_port(listen_fd))));
    oracle_print_names(fd);
    accepted = CALL_FD(accept(listen_fd, NULL, NULL));
    CALL(send(accepted, "abc", 3, 0));
    oracle_recv(fd, 3, MSG_WAITALL);
    fd = oracle_socket();
    CALL(oracle_connect(fd, oracle_address(MAPPED_LOOPBACK, 1)));
    oracle_print_names(fd);
    fd = oracle_socket();
    CALL(connect_ipv4(fd, "127.0.0.1", oracle_local_port(listen_fd)));
}

/* Bound to an address of one family, it does not reach the other. */
static void run_bound_v6(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    CALL(oracle_bind(fd, oracle_address(MAPPED_SUBJECT, 0)));
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    fd = oracle_socket();
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL(oracle_connect(fd, oracle_address(MAPPED_PEER, port)));
    CALL(oracle_bind(oracle_socket(), oracle_address(MAPPED_PEER, 0)));
    CALL(bind_ipv4(oracle_socket(), "10.99.0.2", 0));
}

/* Who may have which port beside whom. */
static void try_in_use(bool stream, const char *first_host, bool first_only, const char *second_host)
{
    int type = stream ? SOCK_STREAM : SOCK_DGRAM;
    int first = socket(AF_INET6, type, 0), second = socket(AF_INET, type, 0);

    oracle_say("%s, %s%s, then %s", stream ? "TCP" : "UDP", first_host, first_only ? " only" : "", second_host);
    if (first_only)
        oracle_set(first, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CALL(oracle_bind(first, oracle_address(first_host, 0)));
    CALL(bind_ipv4(second, second_host, oracle_local_port(first)));
    close(first);
    close(second);
}

static void run_in_use_v6(void)
{
    for (int stream = 0; stream < 2; stream++) {
        try_in_use(stream, "any", false, "0.0.0.0");
        try_in_use(stream, "any", true, "0.0.0.0");
        try_in_use(stream, "any", false, "10.99.0.2");
        try_in_use(stream, "any", true, "10.99.0.2");
        try_in_use(stream, "loopback", false, "127.0.0.1");
        try_in_use(stream, "loopback", false, "0.0.0.0");
        try_in_use(stream, MAPPED_LOOPBACK, false, "127.0.0.1");
        try_in_use(stream, MAPPED_LOOPBACK, false, "10.99.0.2");
    }
}

/* ---- UDP ---- */

static void run_udp_v6(void)
{
    int fd = oracle_udp(), other = socket(AF_INET, SOCK_DGRAM, 0);

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    CALL(bind_ipv4(other, "127.0.0.1", 0));
    oracle_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    CALL(connect_ipv4(other, "127.0.0.1", oracle_local_port(fd)));
    CALL(send(other, "abc", 3, 0));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 200, 0);
    CALL(oracle_sendto(fd, "def", 3, 0, oracle_address(MAPPED_LOOPBACK, oracle_local_port(other))));
    oracle_wait_datagram(other);
    oracle_recvfrom(other, 10, 0);
    CALL(oracle_connect(fd, oracle_address(MAPPED_LOOPBACK, oracle_local_port(other))));
    oracle_print_names(fd);
    CALL(send(fd, "ghi", 3, 0));
    oracle_wait_datagram(other);
    oracle_recvfrom(other, 10, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("loopback", oracle_local_port(other))));
}

static void run_udp_only_v6(void)
{
    int fd = oracle_udp(), other = socket(AF_INET, SOCK_DGRAM, 0);

    oracle_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    CALL(oracle_bind(fd, oracle_address("any", 0)));
    CALL(connect_ipv4(other, "127.0.0.1", oracle_local_port(fd)));
    CALL(send(other, "abc", 3, 0));
    oracle_wait_datagram(other); /* ERR on the kernel, IN here */
    oracle_recvfrom(other, 10, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(MAPPED_LOOPBACK, 9)));
    CALL(oracle_connect(fd, oracle_address(MAPPED_LOOPBACK, 9)));
}

static void run_udp_ipv4_address_v6(void)
{
    int fd = oracle_udp();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};

    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    CALL(sendto(fd, "abc", 3, 0, (struct sockaddr *)&address, sizeof address));
    CALL(connect_ipv4(fd, "127.0.0.1", 9));
    oracle_print_names(fd);
    CALL(bind_ipv4(oracle_udp(), "127.0.0.1", 0));
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("loopback", 9)));
    CALL(oracle_connect(fd, oracle_address("loopback", 9)));
}

/* ---- scopes ---- */

static void run_scope_v6(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    union oracle_sockaddr name;
    socklen_t length = sizeof name;

    CALL(oracle_connect(fd, oracle_address("peer-link", port)));
    CALL(oracle_connect(fd, scoped_address("peer-link", port, 9999)));
    fd = oracle_socket();
    CALL(oracle_connect(fd, scoped_address("peer-link", port, wire_index())));
    peer_do("accept 0");
    oracle_print_names(fd);
    CALL(getpeername(fd, &name.sa, &length));
    oracle_say("the wire's scope: %d", name.in6.sin6_scope_id == wire_index());
    CALL(getsockname(fd, &name.sa, &length));
    oracle_say("the wire's scope: %d", name.in6.sin6_scope_id == wire_index());
    oracle_send_pattern(fd, 5);
    peer_do("recv 0 5");
    /* A scope that an address does not need is not looked at. */
    fd = oracle_socket();
    CALL(oracle_connect(fd, scoped_address("peer", port, 9999)));
    peer_do("accept 1");
    CALL(getpeername(fd, &name.sa, &length));
    oracle_say("scope %u", name.in6.sin6_scope_id);
}

static void run_scope_udp_v6(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("peer-link", port)));
    CALL(oracle_sendto(fd, "abc", 3, 0, scoped_address("peer-link", port, 9999)));
    CALL(oracle_sendto(fd, "abc", 3, 0, scoped_address("peer-link", port, wire_index())));
    peer_do("udp-recv 0 @");
    CALL(oracle_connect(fd, scoped_address("peer-link", port, wire_index())));
    CALL(send(fd, "def", 3, 0));
    CALL(oracle_bind(oracle_udp(), oracle_address("peer-link", 0)));
    CALL(oracle_bind(oracle_udp(), scoped_address("peer-link", 0, wire_index())));
}

/* Bound to a device: only what comes and goes there. */
static void run_bound_to_device_v6(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nothing", 8));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(port)));
    peer_do("udp-recv 0");
    CALL(oracle_connect(fd, oracle_address("peer-link", port)));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &(int){(int)wire_index()}, sizeof(int)));
    CALL(oracle_connect(fd, oracle_address("peer-link", port)));
    CALL(send(fd, "def", 3, 0));
}

/* IPv6 wants 24 bytes of an address. */
static void run_lengths_v6(void)
{
    int fd = oracle_udp();
    union oracle_sockaddr address = oracle_subject_address(0);

    CALL(bind(fd, &address.sa, 23));
    CALL(bind(fd, &address.sa, 24));
    address = oracle_peer_address(9);
    CALL(connect(fd, &address.sa, 23));
    CALL(connect(fd, &address.sa, 24));
    CALL(sendto(fd, "abc", 3, 0, &address.sa, 23));
    CALL(sendto(fd, "abc", 3, 0, &address.sa, 24));
    fd = oracle_socket();
    address = oracle_peer_address(oracle_peer_listen(5));
    CALL(connect(fd, &address.sa, 24));
    peer_do("accept 0");
}

const struct oracle_case oracle_cases[] = {
    {"accept_v6", run_accept_v6},
    {"only_v6", run_only_v6},
    {"connect_v6", run_connect_v6},
    {"bound_v6", run_bound_v6},
    {"in_use_v6", run_in_use_v6},
    {"udp_v6", run_udp_v6},
    {"udp_only_v6", run_udp_only_v6},
    {"udp_ipv4_address_v6", run_udp_ipv4_address_v6},
    {"scope_v6", run_scope_v6},
    {"scope_udp_v6", run_scope_udp_v6},
    {"bound_to_device_v6", run_bound_to_device_v6},
    {"lengths_v6", run_lengths_v6},
    {NULL, NULL},
};
