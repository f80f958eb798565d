/* names.c - bind(2), getsockname(2), getpeername(2): at each stage, their errors, who may have which port. */
#include "oracle.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

static void set_reuse(int fd, int option)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) < 0)
        oracle_die("setsockopt");
}

static void run_stages(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    oracle_print_names(fd);
    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    peer_do("accept 0");
    peer_do("close 0");
    oracle_wait_bits(fd, POLLRDHUP);
    oracle_print_names(fd);
    CALL(shutdown(fd, SHUT_RDWR));
    oracle_print_names(fd);
}

static void run_stages_bound(void)
{
    int fd = oracle_socket();

    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    CALL(listen(fd, 1));
    oracle_print_names(fd);
}

static void run_connecting(void)
{
    int fd = oracle_socket();

    oracle_set_nonblocking(fd, true);
    CALL(oracle_connect(fd, oracle_address("silent", 80)));
    oracle_print_names(fd);
}

static void run_lengths(void)
{
    const socklen_t lengths[] = {sizeof(struct sockaddr_storage), oracle_address_size(), 8, 1, 0};
    int fd = oracle_connect_peer();

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct sockaddr_storage address;
        socklen_t length = lengths[i];

        memset(&address, 0x55, sizeof address);
        CALL(getsockname(fd, (struct sockaddr *)&address, &length));
        oracle_say("length %u of %u, byte 0 %x, byte 8 %x, byte 16 %x", (unsigned)length, (unsigned)lengths[i],
                   ((unsigned char *)&address)[0], ((unsigned char *)&address)[8], ((unsigned char *)&address)[16]);
        length = lengths[i];
        CALL(getpeername(fd, (struct sockaddr *)&address, &length));
        oracle_say("length %u of %u", (unsigned)length, (unsigned)lengths[i]);
    }
}

static void run_bad_lengths(void)
{
    int fd = oracle_connect_peer();
    struct sockaddr_storage address;
    socklen_t length = (socklen_t)-1;

    CALL(getsockname(fd, (struct sockaddr *)&address, &length));
    CALL(getpeername(fd, (struct sockaddr *)&address, &length));
    length = sizeof address;
    CALL(getsockname(fd, NULL, &length));
    length = sizeof address;
    CALL(getpeername(fd, NULL, &length));
    length = 0;
    CALL(getsockname(fd, NULL, &length));
    oracle_say("length %u", (unsigned)length);
}

static void run_bind_errors(void)
{
    int fd = oracle_socket();
    union oracle_sockaddr address = oracle_subject_address(0);

    CALL(bind(fd, &address.sa, 1));
    CALL(bind(fd, &address.sa, 8));
    CALL(bind(fd, &address.sa, 15));
    CALL(bind(fd, &address.sa, 1000));
    CALL(bind(fd, NULL, sizeof address));
    address.sa.sa_family = oracle_family() == AF_INET ? AF_INET6 : AF_INET;
    CALL(bind(fd, &address.sa, sizeof address));
    address.sa.sa_family = AF_UNIX;
    CALL(bind(fd, &address.sa, sizeof address));
    address.sa.sa_family = AF_UNSPEC; /* allowed by Linux with INADDR_ANY only */
    CALL(bind(fd, &address.sa, sizeof address));
    CALL(oracle_bind(fd, oracle_address(oracle_pick("192.0.2.200", "2001:db8::c8"), 0)));
    CALL(oracle_bind(fd, oracle_peer_address(0)));
    CALL(oracle_bind(fd, oracle_address(oracle_pick("240.0.0.1", "ff0e::1"), 0)));
    oracle_print_names(fd);
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL(oracle_bind(fd, oracle_address("any", 0)));
}

/* Linux lets one bind to addresses on which nothing can come. */
static void run_bind_odd(void)
{
    const char *const hosts[] = {oracle_pick("255.255.255.255", "ff0e::1"), oracle_pick("224.0.0.1", "ff02::1"),
                                 oracle_pick("10.99.0.255", "fd99::"), oracle_pick("10.99.0.0", "fd99::ffff")};

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int fd = oracle_socket();

        oracle_say("%s", hosts[i]);
        CALL(oracle_bind(fd, oracle_address(hosts[i], 0)));
        CALL(listen(fd, 1));
    }
}

/* IP_FREEBIND and IP_TRANSPARENT: an address that nobody has here, yet. */
static void run_bind_free(void)
{
    static const int options[] = {IP_FREEBIND, IP_TRANSPARENT};

    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int fd = oracle_socket(), on = 1;

        CALL(setsockopt(fd, IPPROTO_IP, options[i], &on, sizeof on));
        CALL(oracle_bind(fd, oracle_address(oracle_pick("192.0.2.200", "2001:db8::c8"), 0)));
        CALL(listen(fd, 1));
        oracle_print_names(fd);
        close(fd);
    }
}

static void run_bind_unspec(void)
{
    int fd = oracle_socket();
    union oracle_sockaddr address = oracle_address("any", 0);

    address.sa.sa_family = AF_UNSPEC;
    CALL(bind(fd, &address.sa, oracle_address_size()));
    oracle_print_names(fd);
}

static void run_bind_loopback(void)
{
    const char *const hosts[] = {"loopback", oracle_pick("127.0.0.2", "loopback"), oracle_pick("127.255.0.1", "loopback")};

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        int fd = oracle_socket(), client, server;

        oracle_say("%s", hosts[i]);
        CALL(oracle_bind(fd, oracle_address(hosts[i], 0)));
        CALL(listen(fd, 1));
        oracle_print_names(fd);
        client = oracle_socket();
        CALL(oracle_connect(client, oracle_address(hosts[i], oracle_local_port(fd))));
        server = CALL_FD(accept(fd, NULL, NULL));
        oracle_print_names(client);
        oracle_print_names(server);
        peer_do("connect 0 @ %d", oracle_local_port(fd));
    }
}

static void run_bind_connected(void)
{
    int fd = oracle_connect_peer();

    CALL(oracle_bind(fd, oracle_subject_address(0)));
    fd = oracle_listen(1);
    CALL(oracle_bind(fd, oracle_subject_address(0)));
}

/* A port that is free on every address. */
static int find_free_port(void)
{
    int fd = oracle_socket(), port;

    if (oracle_bind(fd, oracle_address("any", 0)) < 0)
        oracle_die("bind");
    port = oracle_local_port(fd);
    close(fd);
    return port;
}

/* A second socket on the port of a first one: does bind() work, and does listen()? */
static void try_same_port(const char *first_role, const char *second_role, int option_first, int option_second,
                          bool first_listens)
{
    int first = oracle_socket(), second = oracle_socket(), port = find_free_port();

    oracle_say("%s, then %s; options %d, %d; the first one %s", first_role, second_role, option_first, option_second,
               first_listens ? "listens" : "is bound");
    if (option_first != 0)
        set_reuse(first, option_first);
    if (option_second != 0)
        set_reuse(second, option_second);
    if (oracle_bind(first, oracle_address(first_role, port)) < 0)
        oracle_die("bind");
    if (first_listens && listen(first, 5) < 0)
        oracle_die("listen");
    if (CALL(oracle_bind(second, oracle_address(second_role, port))) < 0) {
        CALL(close(first));
        CALL(oracle_bind(second, oracle_address(second_role, port)));
    }
    CALL(listen(second, 5));
    close(first);
    close(second);
}

static void try_in_use(const char *first_role)
{
    static const char *const roles[] = {"subject", "loopback", "any"};

    for (int i = 0; i < 3; i++) {
        try_same_port(first_role, roles[i], 0, 0, false);
        try_same_port(first_role, roles[i], 0, 0, true);
    }
}

static void run_in_use(void)
{
    try_in_use("subject");
}

static void run_in_use_loopback(void)
{
    try_in_use("loopback");
}

static void run_in_use_any(void)
{
    try_in_use("any");
}

static void run_in_use_reuseaddr(void)
{
    try_same_port("subject", "subject", SO_REUSEADDR, SO_REUSEADDR, false);
    try_same_port("subject", "subject", SO_REUSEADDR, SO_REUSEADDR, true);
    try_same_port("subject", "subject", SO_REUSEADDR, 0, false);
    try_same_port("subject", "subject", 0, SO_REUSEADDR, false);
    try_same_port("any", "subject", SO_REUSEADDR, SO_REUSEADDR, false);
    try_same_port("any", "subject", SO_REUSEADDR, SO_REUSEADDR, true);
    try_same_port("subject", "any", SO_REUSEADDR, SO_REUSEADDR, true);
}

static void run_in_use_reuseport(void)
{
    try_same_port("subject", "subject", SO_REUSEPORT, SO_REUSEPORT, false);
    try_same_port("subject", "subject", SO_REUSEPORT, SO_REUSEPORT, true);
    try_same_port("subject", "subject", SO_REUSEPORT, 0, true);
    try_same_port("subject", "subject", 0, SO_REUSEPORT, true);
    try_same_port("subject", "subject", SO_REUSEPORT, SO_REUSEADDR, true);
}

/* A server that is started again while connections of its predecessor live, or wait in TIME_WAIT. */
static void try_restart(bool reuse, bool closed)
{
    int listen_fd = oracle_socket(), fd, port, again;

    oracle_say("SO_REUSEADDR %d, the connection %s", reuse, closed ? "is in TIME_WAIT" : "lives");
    if (reuse)
        set_reuse(listen_fd, SO_REUSEADDR);
    CALL(oracle_bind(listen_fd, oracle_subject_address(0)));
    CALL(listen(listen_fd, 5));
    port = oracle_local_port(listen_fd);
    peer_do("connect 0 @ %d", port);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    close(listen_fd);
    if (closed) {
        close(fd);
        peer_do("drain 0");
        peer_do("close 0");
    }
    again = oracle_socket();
    if (reuse)
        set_reuse(again, SO_REUSEADDR);
    CALL(oracle_bind(again, oracle_subject_address(port)));
    CALL(listen(again, 5));
    if (!closed)
        close(fd);
    close(again);
}

static void run_restart(void)
{
    try_restart(false, false);
    try_restart(true, false);
    try_restart(true, true);
    try_restart(false, true);
}

/* The port of a closed socket is free at once. */
static void run_port_free_after_close(void)
{
    int fd = oracle_listen(1), port = oracle_local_port(fd);

    close(fd);
    fd = oracle_socket();
    CALL(oracle_bind(fd, oracle_subject_address(port)));
    CALL(listen(fd, 1));
}

/* Two connections from one bound port to two peers' ports. */
static void run_two_from_one_port(void)
{
    int first = oracle_socket(), second = oracle_socket(), port = oracle_peer_listen(5);

    set_reuse(first, SO_REUSEADDR);
    set_reuse(second, SO_REUSEADDR);
    CALL(oracle_bind(first, oracle_subject_address(0)));
    CALL(oracle_bind(second, oracle_subject_address(oracle_local_port(first))));
    CALL(oracle_connect(first, oracle_peer_address(port)));
    peer_do("accept 0");
    CALL(oracle_connect(second, oracle_peer_address(port)));
    port = oracle_peer_listen(5);
    CALL(oracle_connect(second, oracle_peer_address(port)));
    peer_do("accept 1");
    oracle_send_pattern(second, 5);
    peer_do("recv 1 5");
}

static void run_ephemeral(void)
{
    int fds[8], distinct = 1, in_range = 1;

    for (int i = 0; i < 8; i++) {
        fds[i] = oracle_socket();
        if (oracle_bind(fds[i], oracle_subject_address(0)) < 0)
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

const struct oracle_case oracle_cases[] = {
    {"stages", run_stages},
    {"stages_bound", run_stages_bound},
    {"connecting", run_connecting},
    {"lengths", run_lengths},
    {"bad_lengths", run_bad_lengths},
    {"bind_errors", run_bind_errors},
    {"bind_odd", run_bind_odd},
    {"bind_free", run_bind_free},
    {"bind_unspec", run_bind_unspec},
    {"bind_loopback", run_bind_loopback},
    {"bind_connected", run_bind_connected},
    {"in_use", run_in_use},
    {"in_use_loopback", run_in_use_loopback},
    {"in_use_any", run_in_use_any},
    {"in_use_reuseaddr", run_in_use_reuseaddr},
    {"in_use_reuseport", run_in_use_reuseport},
    {"restart", run_restart},
    {"port_free_after_close", run_port_free_after_close},
    {"two_from_one_port", run_two_from_one_port},
    {"ephemeral", run_ephemeral},
    {NULL, NULL},
};
