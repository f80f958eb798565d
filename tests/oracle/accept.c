/* accept.c - listen(2) and accept(2): readiness, flags, addresses, errors, what becomes of waiting connections. */
#include "oracle.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

/* The peer connects as number connection to this listener. */
static void connect_to(int listen_fd, int connection)
{
    peer_do("connect %d @ %d", connection, oracle_local_port(listen_fd));
}

static void print_flags(int fd)
{
    oracle_say("O_NONBLOCK %d, FD_CLOEXEC %d", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void run_blocking(void)
{
    int listen_fd = oracle_listen(5), fd;

    connect_to(listen_fd, 0);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_poll(fd);
    oracle_print_names(fd);
    oracle_print_so_error(fd);
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
    peer_do("send 0 10");
    oracle_read_bytes(fd, 10);
}

static void run_blocked(void)
{
    int listen_fd = oracle_listen(5), fd;

    peer_begin_when_blocked("connect 0 @ %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    peer_end();
    oracle_print_poll(fd);
}

static void run_poll(void)
{
    int listen_fd = oracle_listen(5);
    struct pollfd poll_fd = {.fd = listen_fd, .events = POLLIN | POLLOUT | POLLRDHUP};

    oracle_print_poll(listen_fd);
    connect_to(listen_fd, 0);
    CALL(poll(&poll_fd, 1, 5000));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents));
    CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_poll(listen_fd);
}

static void run_select(void)
{
    int listen_fd = oracle_listen(5);
    struct timeval time = {.tv_sec = 5};
    fd_set readable, writable;

    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(listen_fd, &readable);
    FD_SET(listen_fd, &writable);
    connect_to(listen_fd, 0);
    CALL(select(listen_fd + 1, &readable, &writable, NULL, &time));
    oracle_say("readable %d, writable %d", FD_ISSET(listen_fd, &readable) != 0, FD_ISSET(listen_fd, &writable) != 0);
}

static void run_epoll(void)
{
    int listen_fd = oracle_listen(5), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    connect_to(listen_fd, 0);
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
}

static void run_epoll_edge(void)
{
    int listen_fd = oracle_listen(5), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event));
    connect_to(listen_fd, 0);
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    connect_to(listen_fd, 1);
    CALL(epoll_wait(epoll_fd, &event, 1, 5000));
    oracle_say("%s", oracle_bits_text(event.events));
    oracle_set_nonblocking(listen_fd, true);
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
}

static void run_nonblocking(void)
{
    int listen_fd = oracle_listen(5), fd;

    oracle_set_nonblocking(listen_fd, true);
    CALL_FD(accept(listen_fd, NULL, NULL));
    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    print_flags(fd); /* on Linux O_NONBLOCK is not inherited */
    CALL_FD(accept(listen_fd, NULL, NULL));
}

static void run_flags(void)
{
    static const int flags[] = {0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};
    int listen_fd = oracle_listen(5);

    for (int i = 0; i < 4; i++) {
        connect_to(listen_fd, i);
        print_flags(CALL_FD(accept4(listen_fd, NULL, NULL, flags[i])));
        print_flags(listen_fd);
    }
    CALL_FD(accept4(listen_fd, NULL, NULL, 1));
    CALL_FD(accept4(listen_fd, NULL, NULL, SOCK_DGRAM));
    CALL_FD(accept4(listen_fd, NULL, NULL, 0x40000));
}

static void run_addresses(void)
{
    const socklen_t lengths[] = {oracle_address_size(), 128, 8, 0};
    int listen_fd = oracle_listen(5), fd;

    for (int i = 0; i < 4; i++) {
        struct sockaddr_storage address;
        socklen_t length = lengths[i];

        memset(&address, 0x55, sizeof address);
        connect_to(listen_fd, i);
        fd = CALL_FD(accept(listen_fd, (struct sockaddr *)&address, &length));
        oracle_say("length %u of %u, family %x, sin_zero %s, beyond %s", (unsigned)length, (unsigned)lengths[i],
                   address.ss_family, ((char *)&address)[8] == 0 ? "zero" : "not zero",
                   ((char *)&address)[oracle_address_size()] == 0x55 ? "untouched" : "touched");
        if (lengths[i] >= oracle_address_size())
            oracle_say("%s", oracle_address_text(&address, oracle_address_size()));
        oracle_print_names(fd);
    }
}

static void run_bad_address(void)
{
    int listen_fd = oracle_listen(5);
    struct sockaddr_storage address;
    socklen_t length = (socklen_t)-1;

    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    oracle_set_nonblocking(listen_fd, true);
    CALL_FD(accept(listen_fd, (struct sockaddr *)&address, &length));
    oracle_print_poll(listen_fd);
    peer_do("drain 0");
    length = sizeof address;
    connect_to(listen_fd, 1);
    oracle_wait_bits(listen_fd, POLLIN);
    CALL_FD(accept(listen_fd, NULL, &length));
}

static void run_wrong_state(void)
{
    int fd = oracle_socket();

    CALL_FD(accept(fd, NULL, NULL));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    CALL_FD(accept(fd, NULL, NULL));
    close(fd);
    fd = oracle_connect_peer();
    CALL_FD(accept(fd, NULL, NULL));
    CALL(listen(fd, 1));
    oracle_send_pattern(fd, 3);
    peer_do("recv 0 3");
}

static void run_listener_calls(void)
{
    int listen_fd = oracle_listen(5);

    oracle_recv(listen_fd, 10, 0);
    CALL(send(listen_fd, "x", 1, MSG_NOSIGNAL));
    oracle_recv(listen_fd, 10, MSG_DONTWAIT);
    CALL(read(listen_fd, &(char){0}, 1));
    oracle_print_so_error(listen_fd);
    oracle_print_names(listen_fd);
    CALL(listen(listen_fd, 10));
    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    oracle_recv(listen_fd, 100, MSG_DONTWAIT);
    CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_poll(listen_fd);
}

static void run_listen_unbound(void)
{
    int fd = oracle_socket();

    CALL(listen(fd, 5));
    oracle_say("a port was chosen: %s", oracle_local_port(fd) != 0 ? "yes" : "no");
    oracle_print_names(fd);
    connect_to(fd, 0);
    CALL_FD(accept(fd, NULL, NULL));
}

static void run_backlogs(void)
{
    static const int backlogs[] = {0, -1, 1000000};

    for (int i = 0; i < 3; i++) {
        int fd = oracle_socket();

        CALL(listen(fd, backlogs[i]));
        connect_to(fd, 0);
        CALL_FD(accept(fd, NULL, NULL));
        close(fd);
    }
}

static void run_many(void)
{
    int listen_fd = oracle_listen(16);

    for (int i = 0; i < 10; i++) {
        connect_to(listen_fd, i);
        peer_do("send %d %d", i, i + 1);
    }
    for (int i = 0; i < 10; i++) {
        int fd = CALL_FD(accept(listen_fd, NULL, NULL));

        oracle_wait_bytes(fd, i + 1);
        oracle_recv(fd, 100, 0);
    }
}

static void run_data_before(void)
{
    int listen_fd = oracle_listen(5), fd;

    connect_to(listen_fd, 0);
    peer_do("send 0 100000");
    peer_do("shut 0");
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_read_bytes(fd, 200000);
    oracle_send_pattern(fd, 10);
    close(fd);
    peer_do("drain 0");
}

static void run_closed_before(void)
{
    int listen_fd = oracle_listen(5), fd;

    connect_to(listen_fd, 0);
    peer_do("close 0");
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_print_names(fd);
    oracle_recv(fd, 10, 0);
}

static void run_reset_before(void)
{
    int listen_fd = oracle_listen(5), fd;

    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    peer_do("reset 0");
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_wait_bits(fd, POLLHUP);
    oracle_recv(fd, 10, 0);
    oracle_recv(fd, 10, 0);
}

static void run_listener_closed(void)
{
    int listen_fd = oracle_listen(5), fd;

    connect_to(listen_fd, 0);
    connect_to(listen_fd, 1);
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    close(listen_fd);
    peer_do("drain 1");
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
    close(fd);
    peer_do("drain 0");
}

static void run_listener_closed_refuses(void)
{
    int listen_fd = oracle_listen(5), port = oracle_local_port(listen_fd);

    close(listen_fd);
    peer_do("connect 0 @ %d", port);
}

static void run_listener_shutdown(void)
{
    int listen_fd = oracle_listen(5);

    CALL(shutdown(listen_fd, SHUT_WR));
    oracle_print_poll(listen_fd);
    CALL(shutdown(listen_fd, SHUT_RD));
    oracle_set_nonblocking(listen_fd, true);
    CALL_FD(accept(listen_fd, NULL, NULL));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    CALL(listen(listen_fd, 5));
    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    CALL_FD(accept(listen_fd, NULL, NULL));
}

static void run_listener_shutdown_poll(void)
{
    int listen_fd = oracle_listen(5);

    CALL(shutdown(listen_fd, SHUT_RDWR));
    oracle_print_poll(listen_fd);
}

static void run_timeout(void)
{
    int listen_fd = oracle_listen(5), fd;

    oracle_set_timeout(listen_fd, SO_RCVTIMEO, 50);
    CALL_FD(accept(listen_fd, NULL, NULL));
    connect_to(listen_fd, 0);
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_recv(fd, 1, 0); /* Linux: the time-out is inherited */
}

static void on_signal(int number)
{
    (void)number;
}

static void run_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    int listen_fd = oracle_listen(5);

    sigaction(SIGUSR1, &action, NULL);
    peer_begin_when_blocked("signal @ %d %d", (int)getpid(), SIGUSR1);
    CALL_FD(accept(listen_fd, NULL, NULL));
    peer_end();
    connect_to(listen_fd, 0);
    CALL_FD(accept(listen_fd, NULL, NULL));
}

static void run_in_child(void)
{
    int listen_fd = oracle_listen(5), status;

    connect_to(listen_fd, 0);
    if (fork() == 0) {
        int fd = CALL_FD(accept(listen_fd, NULL, NULL));

        oracle_print_names(fd);
        oracle_send_pattern(fd, 10);
        _exit(0);
    }
    wait(&status);
    peer_do("drain 0");
    connect_to(listen_fd, 1);
    CALL_FD(accept(listen_fd, NULL, NULL));
}

static void run_parent_closed(void)
{
    int listen_fd = oracle_listen(5), port = oracle_local_port(listen_fd), go[2], status;

    if (pipe(go) < 0)
        oracle_die("pipe");
    if (fork() == 0) {
        int fd;

        if (read(go[0], &(char){0}, 1) != 1)
            _exit(1);
        fd = CALL_FD(accept(listen_fd, NULL, NULL));
        oracle_send_pattern(fd, 10);
        _exit(0);
    }
    close(listen_fd);
    peer_do("connect 0 @ %d", port);
    if (write(go[1], "g", 1) != 1)
        oracle_die("write");
    peer_do("drain 0");
    wait(&status);
    peer_do("connect 1 @ %d", port);
}

const struct oracle_case oracle_cases[] = {
    {"blocking", run_blocking},
    {"blocked", run_blocked},
    {"poll", run_poll},
    {"select", run_select},
    {"epoll", run_epoll},
    {"epoll_edge", run_epoll_edge},
    {"nonblocking", run_nonblocking},
    {"flags", run_flags},
    {"addresses", run_addresses},
    {"bad_address", run_bad_address},
    {"wrong_state", run_wrong_state},
    {"listener_calls", run_listener_calls},
    {"listen_unbound", run_listen_unbound},
    {"backlogs", run_backlogs},
    {"many", run_many},
    {"data_before", run_data_before},
    {"closed_before", run_closed_before},
    {"reset_before", run_reset_before},
    {"listener_closed", run_listener_closed},
    {"listener_closed_refuses", run_listener_closed_refuses},
    {"listener_shutdown", run_listener_shutdown},
    {"listener_shutdown_poll", run_listener_shutdown_poll},
    {"timeout", run_timeout},
    {"interrupted", run_interrupted},
    {"in_child", run_in_child},
    {"parent_closed", run_parent_closed},
    {NULL, NULL},
};
