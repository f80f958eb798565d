/* udp_ready.c - poll, select and epoll on datagram sockets; waiting, time-outs, signals; shutdown; a full queue. */
#include "oracle_datagram.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

static void run_poll_stages(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    oracle_print_poll(fd);
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_print_poll(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_poll(fd);
    oracle_peer_sends(fd, 3);
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_print_poll(fd);
    peer_ask("udp-close 0");
    oracle_print_poll(fd);
}

static void run_poll_waits(void)
{
    int fd = oracle_udp_bound();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    oracle_peer_udp(0);
    CALL(poll(&poll_fd, 1, 50));
    peer_begin_when_blocked("udp-send 0 3 @ %d", oracle_local_port(fd));
    CALL(poll(&poll_fd, 1, 5000));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents));
    peer_end();
}

static void run_select(void)
{
    int fd = oracle_udp_bound();
    fd_set readable, writable;
    struct timeval time = {.tv_usec = 0};

    oracle_peer_udp(0);
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    writable = readable;
    CALL(select(fd + 1, &readable, &writable, NULL, &time));
    oracle_say("readable %d, writable %d", FD_ISSET(fd, &readable) != 0, FD_ISSET(fd, &writable) != 0);
    oracle_peer_sends(fd, 0);
    FD_SET(fd, &readable);
    CALL(select(fd + 1, &readable, &writable, NULL, &time));
    oracle_say("readable %d, writable %d", FD_ISSET(fd, &readable) != 0, FD_ISSET(fd, &writable) != 0);
}

static void try_epoll(unsigned mode)
{
    int fd = oracle_udp_bound(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | mode};

    oracle_peer_udp(0);
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    for (int i = 0; i < 2; i++) {
        oracle_peer_sends(fd, 3);
        CALL(epoll_wait(epoll_fd, &event, 1, 3000));
        oracle_say("%s", oracle_bits_text(event.events));
        CALL(epoll_wait(epoll_fd, &event, 1, 0));
    }
    oracle_recvfrom(fd, 10, 0);
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    event.events = EPOLLIN | mode;
    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
}

static void run_epoll_level(void)
{
    try_epoll(0);
}

static void run_epoll_edge(void)
{
    try_epoll(EPOLLET);
}

static void run_epoll_once(void)
{
    try_epoll(EPOLLONESHOT);
}

static void run_epoll_out(void)
{
    int fd = oracle_udp_connected(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP};

    CALL(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    oracle_say("%s", oracle_bits_text(event.events));
    oracle_peer_sends(fd, 3);
    CALL(epoll_wait(epoll_fd, &event, 1, 0));
    oracle_say("%s", oracle_bits_text(event.events));
}

static void run_blocked(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    peer_begin_when_blocked("udp-send 0 3 @ %d", oracle_local_port(fd));
    oracle_recvfrom(fd, 10, 0);
    peer_end();
    peer_begin_when_blocked("udp-send 0 0 @ %d", oracle_local_port(fd));
    CALL(read(fd, &(char){0}, 1));
    peer_end();
    peer_begin_when_blocked("udp-send 0 4 @ %d", oracle_local_port(fd));
    oracle_recvmsg(fd, 10, 100, 0);
    peer_end();
    peer_begin_when_blocked("udp-send 0 5 @ %d", oracle_local_port(fd));
    oracle_recvfrom(fd, 10, MSG_PEEK);
    peer_end();
}

static void run_timeout(void)
{
    int fd = oracle_udp_bound();

    oracle_set_timeout(fd, SO_RCVTIMEO, 60);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvmsg(fd, 10, 0, 0);
    CALL(read(fd, &(char){0}, 1));
    oracle_set_timeout(fd, SO_RCVTIMEO, 0);
    oracle_set_timeout(fd, SO_SNDTIMEO, 60);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(oracle_peer_udp(0))));
    peer_do("udp-recv 0");
}

static void run_nonblocking(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_set_nonblocking(fd, true);
    oracle_recvfrom(fd, 10, 0);
    CALL(read(fd, &(char){0}, 1));
    oracle_recvmsg(fd, 10, 100, 0);
    oracle_peer_sends(fd, 3);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, 0);
}

static void do_nothing(int number)
{
    (void)number;
}

static void try_interrupted(int flags)
{
    int fd = oracle_udp_bound();
    struct sigaction action = {.sa_handler = do_nothing, .sa_flags = flags};

    oracle_peer_udp(0);
    sigaction(SIGUSR1, &action, NULL);
    peer_begin_when_blocked("signal-then %d %d udp-send 0 3 %d", getpid(), SIGUSR1, oracle_local_port(fd));
    if (oracle_recvfrom(fd, 10, 0) < 0) {
        peer_end_ask();
        oracle_wait_datagram(fd);
    } else {
        peer_end_ask();
    }
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

/* After a signal the peer sends when this thread sleeps again, in recvfrom() or in waiting for the peer. */
static void run_interrupted(void)
{
    try_interrupted(0);
}

static void run_restarted(void)
{
    try_interrupted(SA_RESTART);
}

/* ---- shutdown ---- */

static void try_shutdown(int fd, int how)
{
    signal(SIGPIPE, SIG_IGN);
    oracle_say("shutdown %d", how);
    CALL(shutdown(fd, how));
    oracle_print_poll(fd);
    CALL(send(fd, "abc", 3, 0));
    CALL(send(fd, "abc", 3, MSG_NOSIGNAL));
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_print_names(fd);
}

static void run_shutdown_connected(void)
{
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
        try_shutdown(oracle_udp_connected(), how);
}

static void run_shutdown_unconnected(void)
{
    for (int how = SHUT_RD; how <= SHUT_RDWR; how++)
        try_shutdown(oracle_udp_bound(), how);
    CALL(shutdown(oracle_udp(), 7));
}

/* What is there may still be read. */
static void run_shutdown_with_data(void)
{
    int fd = oracle_udp_connected();

    oracle_peer_sends(fd, 3);
    CALL(shutdown(fd, SHUT_RDWR));
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_recvfrom(fd, 10, 0);
    CALL(read(fd, &(char){0}, 1));
}

static void run_shutdown_sigpipe(void)
{
    int fd = oracle_udp_connected();

    CALL(shutdown(fd, SHUT_WR));
    CALL(write(fd, "abc", 3));
    oracle_say("not killed");
}

/* The peer's datagrams come after shutdown(SHUT_WR) as before. */
static void run_shutdown_half(void)
{
    int fd = oracle_udp_connected();

    CALL(shutdown(fd, SHUT_WR));
    oracle_peer_sends(fd, 3);
    oracle_recvfrom(fd, 10, 0);
    oracle_print_poll(fd);
}

static void *shut_later(void *argument)
{
    poll(NULL, 0, 100); /* the other thread sleeps by then, or finds it done: both are the same to it */
    shutdown(*(int *)argument, SHUT_RD);
    return NULL;
}

static void run_shutdown_wakes(void)
{
    int fd = oracle_udp_connected();
    pthread_t thread;

    pthread_create(&thread, NULL, shut_later, &fd);
    oracle_recvfrom(fd, 10, 0);
    pthread_join(thread, NULL);
}

/* ---- a full queue ---- */

/* Nothing of what came first is lost, and nothing of what came last is kept. */
static void run_overflow(void)
{
    int fd = oracle_udp_bound(), other = oracle_udp_bound(), value = -1, count = 0, in_order = 1;
    socklen_t length = sizeof value;
    char buffer[1024];

    oracle_peer_udp(0);
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int)));
    CALL(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length));
    oracle_say("%d", value);
    /* The peer's kernel drops the oldest of those that wait for our Ethernet address: so it has that first. */
    oracle_peer_udp(1);
    peer_ask("udp-send 1 1 @ %d", oracle_local_port(other));
    oracle_wait_datagram(other);
    recv(other, buffer, sizeof buffer, 0);
    peer_do("udp-send 0 1000 @ %d 100", oracle_local_port(fd));
    peer_do("udp-send 0 1000 @ %d", oracle_local_port(fd));
    peer_ask("udp-send 1 1 @ %d", oracle_local_port(other));
    oracle_wait_datagram(other); /* so all of them have come */
    oracle_set_timeout(fd, SO_RCVTIMEO, 300);
    while (recv(fd, buffer, sizeof buffer, 0) == 1000) {
        in_order = in_order && buffer[0] == 'a' + count % 26;
        count++;
    }
    oracle_say("some: %d, all: %d, the first ones: %d", count > 1, count > 100, in_order);
    oracle_print_poll(fd);
    peer_do("udp-send 0 5 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
}

static void run_overflow_counted(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    peer_do("udp-send 0 1000 @ %d 100", oracle_local_port(fd));
    oracle_wait_for_peer();
    oracle_set_timeout(fd, SO_RCVTIMEO, 300);
    while (recv(fd, &(char){0}, 1, 0) > 0)
        continue;
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 100, 0);
}

/* One socket that nobody reads takes nothing from the others. */
static void run_overflow_elsewhere(void)
{
    int fd = oracle_udp_bound(), other = oracle_udp();

    CALL(oracle_bind(other, oracle_subject_address(0)));
    oracle_peer_udp(0);
    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 4096);
    for (int i = 0; i < 20; i++)
        peer_ask("udp-send 0 1400 %d 100", oracle_local_port(fd));
    peer_do("udp-send 0 5 @ %d", oracle_local_port(other));
    oracle_wait_datagram(other);
    oracle_recvfrom(other, 10, 0);
}

/* A sender never waits for long. */
static void run_many_sent(void)
{
    int fd = oracle_udp_connected(), sent = 0;
    static char data[1400];

    for (int i = 0; i < 5000; i++)
        sent += send(fd, data, sizeof data, 0) == sizeof data;
    oracle_say("%d", sent);
    oracle_wait_bits(fd, POLLOUT);
}

const struct oracle_case oracle_cases[] = {
    {"poll_stages", run_poll_stages},
    {"poll_waits", run_poll_waits},
    {"select", run_select},
    {"epoll_level", run_epoll_level},
    {"epoll_edge", run_epoll_edge},
    {"epoll_once", run_epoll_once},
    {"epoll_out", run_epoll_out},
    {"blocked", run_blocked},
    {"timeout", run_timeout},
    {"nonblocking", run_nonblocking},
    {"interrupted", run_interrupted},
    {"restarted", run_restarted},
    {"shutdown_connected", run_shutdown_connected},
    {"shutdown_unconnected", run_shutdown_unconnected},
    {"shutdown_with_data", run_shutdown_with_data},
    {"shutdown_sigpipe", run_shutdown_sigpipe},
    {"shutdown_half", run_shutdown_half},
    {"shutdown_wakes", run_shutdown_wakes},
    {"overflow", run_overflow},
    {"overflow_counted", run_overflow_counted},
    {"overflow_elsewhere", run_overflow_elsewhere},
    {"many_sent", run_many_sent},
    {NULL, NULL},
};
