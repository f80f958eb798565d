/*
 * moved.c - what a program sees of its descriptor from socket() to a connection: number, duplicates, flags, options,
 * owner, places in epoll sets. Made for sockets that a rule moves to the kernel's network in between (compare --moved),
 * where all of it must be as if nothing had happened.
 */
#include "oracle_datagram.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SETS_MAX 8

static struct {
    int level, name;
    const char *text;
    int value;
} numbers[] = {
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", 1},
    {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", 1},
    {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", 33333},
    {SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", 44444},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", 1},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", 5},
    {SOL_SOCKET, SO_MARK, "SO_MARK", 7},
    {IPPROTO_IP, IP_TOS, "IP_TOS", 0x10},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", 3}, /* which IP_TOS changes: in this order */
    {IPPROTO_IP, IP_TTL, "IP_TTL", 33},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", 1},
    {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY", 1},
    {IPPROTO_TCP, TCP_KEEPIDLE, "TCP_KEEPIDLE", 77},
    {IPPROTO_TCP, TCP_KEEPINTVL, "TCP_KEEPINTVL", 7},
    {IPPROTO_TCP, TCP_KEEPCNT, "TCP_KEEPCNT", 5},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT", 12345},
    {IPPROTO_TCP, TCP_SYNCNT, "TCP_SYNCNT", 3},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT", 7},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT", 65536},
};
#define NUMBER_COUNT (sizeof numbers / sizeof *numbers)

static void print_flags(int fd)
{
    oracle_say("descriptor %x, file %x", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
}

static void print_options(int fd)
{
    struct linger linger = {0, 0};
    struct timeval time = {0, 0};
    char text[32] = "";
    socklen_t length;

    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        int value = -1;

        length = sizeof value;
        if (getsockopt(fd, numbers[i].level, numbers[i].name, &value, &length) == 0)
            oracle_say("%s %d", numbers[i].text, value);
        else
            oracle_say("%s %s", numbers[i].text, oracle_errno_text(errno));
    }
    length = sizeof linger;
    CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    oracle_say("linger %d, %d", linger.l_onoff, linger.l_linger);
    length = sizeof time;
    CALL(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length));
    oracle_say("%ld.%06ld s", (long)time.tv_sec, (long)time.tv_usec);
    length = sizeof text;
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &length));
    oracle_say("congestion control: %s", text);
}

static void set_options(int fd)
{
    const struct linger linger = {1, 9};
    const struct timeval time = {3, 500000};

    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (setsockopt(fd, numbers[i].level, numbers[i].name, &numbers[i].value, sizeof numbers[i].value) < 0)
            oracle_say("setting %s: %s", numbers[i].text, oracle_errno_text(errno));
    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
}

/* Which numbers are open, from the first that a case gets. */
static void print_open(int first)
{
    char text[64] = "";

    for (int fd = first; fd < first + 16; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            sprintf(text + strlen(text), " +%d", fd - first);
    oracle_say("open:%s", text);
}

static void run_options_connect(void)
{
    int port = oracle_peer_listen(5), fd = oracle_socket();

    set_options(fd);
    print_options(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    print_options(fd);
    oracle_send_pattern(fd, 10);
    peer_do("recv 0 10");
    peer_do("send 0 10");
    oracle_read_bytes(fd, 10);
    print_open(fd);
    CALL(close(fd));
}

static void run_options_listen(void)
{
    int fd = oracle_socket();

    set_options(fd);
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){0}, sizeof(int)));
    CALL(listen(fd, 3));
    oracle_print_names(fd);
    print_options(fd);
    print_flags(fd);
}

static void run_bound_then_connected(void)
{
    int port = oracle_peer_listen(5), fd = oracle_socket();

    CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
    CALL(oracle_bind(fd, oracle_subject_address(0)));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    oracle_print_names(fd);
    peer_do("accept 0");
}

/* Close-on-exec and O_NONBLOCK, set in both ways; duplicates with flags of their own. */
static void run_duplicates(void)
{
    int port = oracle_peer_listen(5), fd = socket(oracle_family(), SOCK_STREAM | SOCK_CLOEXEC, 0), copy, other;

    copy = dup(fd);
    other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 7);
    oracle_say("numbers: +%d +%d", copy - fd, other - fd);
    oracle_set_nonblocking(copy, true);
    print_flags(fd);
    oracle_say("connect: %s", oracle_connect(copy, oracle_peer_address(port)) < 0 ? oracle_errno_text(errno) : "done");
    oracle_wait_bits(other, POLLOUT);
    peer_do("accept 0");
    for (int i = 0; i < 3; i++) {
        int which = i == 0 ? fd : i == 1 ? copy : other;

        print_flags(which);
        oracle_print_names(which);
        CALL(send(which, "abc", 3, 0));
        peer_do("recv 0 3");
    }
    print_open(fd);
    CALL(close(fd));
    CALL(close(copy));
    oracle_send_pattern(other, 5);
    peer_do("recv 0 5");
    CALL(close(other));
    peer_do("drain 0");
}

static void add(int set, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};

    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0)
        oracle_say("epoll_ctl: %s", oracle_errno_text(errno));
}

/* What a set reports once it has something to report that comes after the connection is there. */
static void print_events(const char *name, int set, int timeout_ms)
{
    struct epoll_event events[4];
    int count = epoll_wait(set, events, 4, timeout_ms);

    if (count == 2 && events[0].data.u64 > events[1].data.u64) { /* their order is the kernel's business */
        struct epoll_event first = events[0];

        events[0] = events[1];
        events[1] = first;
    }
    oracle_say("%s: %d events", name, count);
    for (int i = 0; i < count; i++)
        oracle_say("  %s, data %llx", oracle_bits_text(events[i].events), (unsigned long long)events[i].data.u64);
}

/* In sets of every kind before it connects: what they say afterwards. */
static void run_epoll(void)
{
    static const uint32_t kinds[] = {EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                                     EPOLLIN | EPOLLEXCLUSIVE};
    int port = oracle_peer_listen(5), fd = oracle_socket(), copy = dup(fd), outer = epoll_create1(0);
    int sets[SETS_MAX];
    const int count = (int)(sizeof kinds / sizeof *kinds);

    oracle_set_nonblocking(fd, true);
    for (int i = 0; i < count; i++) {
        sets[i] = epoll_create1(EPOLL_CLOEXEC);
        add(sets[i], fd, kinds[i], 0x1234567800000000u + (unsigned)i);
    }
    add(sets[0], copy, EPOLLIN, 0xc0ffee); /* the same socket by two numbers */
    add(outer, sets[0], EPOLLIN, 0xabc);   /* a set in a set */
    oracle_say("connect: %s", oracle_connect(fd, oracle_peer_address(port)) < 0 ? oracle_errno_text(errno) : "done");
    oracle_wait_bits(fd, POLLOUT);
    peer_do("accept 0");
    for (int i = 2; i < 4; i++) /* what was ready before it connected may have been told, or not */
        (void)epoll_wait(sets[i], &(struct epoll_event){0}, 1, 0);
    CALL(epoll_ctl(sets[3], EPOLL_CTL_MOD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 3}));
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    print_events("level", sets[0], 5000);
    print_events("level, in and out", sets[1], 5000);
    print_events("edge", sets[2], 5000);
    print_events("edge again", sets[2], 0);
    print_events("once", sets[3], 5000);
    print_events("once again", sets[3], 0);
    print_events("exclusive", sets[4], 5000);
    print_events("outer", outer, 5000);
    oracle_read_bytes(fd, 10);
    print_events("level, nothing", sets[0], 0);
    CALL(epoll_ctl(sets[0], EPOLL_CTL_DEL, fd, NULL));
    CALL(epoll_ctl(sets[1], EPOLL_CTL_MOD, fd, &(struct epoll_event){.events = EPOLLOUT, .data.u64 = 99}));
    print_events("changed", sets[1], 5000);
    CALL(epoll_ctl(sets[2], EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLOUT}));
    CALL(close(copy));
    CALL(close(fd));
    print_events("closed", sets[1], 0);
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

/* F_SETOWN, F_SETSIG, O_ASYNC. */
static void run_owner(void)
{
    int port = oracle_peer_listen(5), fd = oracle_socket();
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};

    signal(SIGUSR1, count_signal);
    CALL(fcntl(fd, F_SETOWN_EX, &owner));
    CALL(fcntl(fd, F_SETSIG, SIGUSR1));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    owner = (struct f_owner_ex){0, 0};
    CALL(fcntl(fd, F_GETOWN_EX, &owner));
    oracle_say("type %d, this process %d", owner.type, owner.pid == getpid());
    oracle_say("signal %d", fcntl(fd, F_GETSIG) == SIGUSR1);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC);
    signals = 0;
    peer_do("send 0 10");
    for (int i = 0; i < 500 && signals == 0; i++) /* it comes when the data is there */
        poll(NULL, 0, 10);
    oracle_say("signals came: %d", signals > 0);
}

/* A datagram socket, by sendto() on it. */
static void run_datagram(void)
{
    int fd = oracle_udp(), copy = dup(fd), set = epoll_create1(0), port = oracle_peer_udp(0);
    union oracle_sockaddr peer = oracle_peer_address(port);

    oracle_set_nonblocking(fd, true);
    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 55555);
    oracle_set(fd, IPPROTO_IP, IP_RECVTTL, 1);
    add(set, fd, EPOLLIN, 0x77);
    CALL(oracle_sendto(fd, "abc", 3, 0, peer));
    oracle_name_port(oracle_local_port(fd), "bound");
    peer_do("udp-recv 0");
    CALL(oracle_sendto(copy, "defg", 4, 0, peer));
    peer_do("udp-recv 0");
    peer_ask("udp-send 0 4 %d", oracle_local_port(fd));
    print_events("set", set, 5000);
    print_flags(fd);
    oracle_recvmsg(copy, 16, 128, 0);
    oracle_print_names(fd);
    CALL(oracle_connect(fd, peer));
    CALL(send(fd, "hi", 2, 0));
    peer_do("udp-recv 0");
}

/* The same by sendmmsg(), several at once. */
static void run_datagrams(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);
    union oracle_sockaddr peer = oracle_peer_address(port);
    struct iovec iov[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    struct mmsghdr messages[3];
    unsigned done = 0;

    for (int i = 0; i < 3; i++)
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &peer, .msg_namelen = oracle_address_size(), .msg_iov = &iov[i], .msg_iovlen = 1};
    CALL(sendmmsg(fd, messages, 3, 0));
    oracle_name_port(oracle_local_port(fd), "bound");
    for (; done < 3; done++)
        peer_do("udp-recv 0");
}

const struct oracle_case oracle_cases[] = {
    {"options_connect", run_options_connect},
    {"options_listen", run_options_listen},
    {"bound_then_connected", run_bound_then_connected},
    {"duplicates", run_duplicates},
    {"epoll", run_epoll},
    {"owner", run_owner},
    {"datagram", run_datagram},
    {"datagrams", run_datagrams},
    {NULL, NULL},
};
