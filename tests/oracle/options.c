/*
 * options.c - getsockopt(2) and setsockopt(2): the common options' defaults, what set does to get, wrong lengths,
 * what an accepted socket inherits.
 */
#include "oracle.h"

#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

struct option {
    const char *text;
    int level, name;
    int value;      /* what to set it to */
    bool has_fixed; /* its default is the same for every stack: print it */
};

#define OPTION(level, name, value, has_fixed) {#name, level, name, value, has_fixed}

static const struct option options[] = {
    OPTION(SOL_SOCKET, SO_TYPE, 1, true),
    OPTION(SOL_SOCKET, SO_DOMAIN, 1, true),
    OPTION(SOL_SOCKET, SO_PROTOCOL, 1, true),
    OPTION(SOL_SOCKET, SO_ACCEPTCONN, 1, true),
    OPTION(SOL_SOCKET, SO_ERROR, 1, true),
    OPTION(SOL_SOCKET, SO_REUSEADDR, 1, true),
    OPTION(SOL_SOCKET, SO_REUSEPORT, 1, true),
    OPTION(SOL_SOCKET, SO_KEEPALIVE, 1, true),
    OPTION(SOL_SOCKET, SO_BROADCAST, 1, true),
    OPTION(SOL_SOCKET, SO_DONTROUTE, 1, true),
    OPTION(SOL_SOCKET, SO_OOBINLINE, 1, true),
    OPTION(SOL_SOCKET, SO_PRIORITY, 3, true),
    OPTION(SOL_SOCKET, SO_MARK, 7, true),
    OPTION(SOL_SOCKET, SO_RCVLOWAT, 5, true),
    OPTION(SOL_SOCKET, SO_SNDLOWAT, 5, true),
    OPTION(SOL_SOCKET, SO_TIMESTAMP, 1, true),
    OPTION(SOL_SOCKET, SO_PASSCRED, 1, true),
    OPTION(SOL_SOCKET, SO_NO_CHECK, 1, true),
    OPTION(SOL_SOCKET, SO_SNDBUF, 40000, false),
    OPTION(SOL_SOCKET, SO_RCVBUF, 40000, false),
    OPTION(SOL_SOCKET, SO_BUSY_POLL, 50, true),
    OPTION(SOL_SOCKET, SO_BINDTODEVICE, 'x', true),
    OPTION(SOL_SOCKET, SO_INCOMING_NAPI_ID, 1, true),
    OPTION(IPPROTO_TCP, TCP_NODELAY, 1, true),
    OPTION(IPPROTO_TCP, TCP_CORK, 1, true),
    OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 100, true),
    OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 10, true),
    OPTION(IPPROTO_TCP, TCP_KEEPCNT, 4, true),
    OPTION(IPPROTO_TCP, TCP_SYNCNT, 3, true),
    OPTION(IPPROTO_TCP, TCP_LINGER2, 30, true),
    OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, 5, true),
    OPTION(IPPROTO_TCP, TCP_QUICKACK, 0, false),
    OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, 1000, true),
    OPTION(IPPROTO_TCP, TCP_MAXSEG, 1000, true),
    OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP, 20000, false),
    OPTION(IPPROTO_TCP, TCP_FASTOPEN, 5, true),
    OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 10000, false),
    OPTION(IPPROTO_IP, IP_TOS, 16, true),
    OPTION(IPPROTO_IP, IP_TTL, 33, true),
    OPTION(IPPROTO_IP, IP_MTU_DISCOVER, 0, true),
    OPTION(IPPROTO_IP, IP_RECVERR, 1, true),
    OPTION(IPPROTO_IP, IP_MTU, 1000, true),
    OPTION(IPPROTO_IP, IP_FREEBIND, 1, true),
    OPTION(IPPROTO_IP, IP_MULTICAST_TTL, 4, true),
    OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, true),
    {"level 99", 99, 1, 1, true},
    {"SOL_SOCKET 9999", SOL_SOCKET, 9999, 1, true},
    {"IPPROTO_TCP 9999", IPPROTO_TCP, 9999, 1, true},
    {"IPPROTO_IP 9999", IPPROTO_IP, 9999, 1, true},
    {"IPPROTO_IPV6 26", IPPROTO_IPV6, 26, 1, true},
};
#define OPTIONS (sizeof options / sizeof options[0])

static void print_option(int fd, const struct option *option, bool with_value)
{
    int value[4] = {0x55555555, 0x55555555, 0, 0};
    socklen_t length = sizeof value[0];

    if (getsockopt(fd, option->level, option->name, value, &length) < 0)
        oracle_say("%s: %s", option->text, oracle_errno_text(errno));
    else if (with_value)
        oracle_say("%s: length %u, value %d", option->text, (unsigned)length, value[0]);
    else
        oracle_say("%s: length %u, %s", option->text, (unsigned)length, value[0] > 0 ? "positive" : "not positive");
}

static void print_all(int fd)
{
    for (size_t i = 0; i < OPTIONS; i++)
        print_option(fd, &options[i], options[i].has_fixed);
}

static void set_all(int fd)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];

        if (setsockopt(fd, option->level, option->name, &option->value, sizeof option->value) < 0)
            oracle_say("set %s: %s", option->text, oracle_errno_text(errno));
        else
            oracle_say("set %s: done", option->text);
        print_option(fd, option, option->has_fixed || option->name == SO_SNDBUF || option->name == SO_RCVBUF);
    }
}

static void run_defaults(void)
{
    print_all(oracle_socket());
}

static void run_set(void)
{
    set_all(oracle_socket());
}

static void run_connected(void)
{
    int fd = oracle_connect_peer();

    for (size_t i = 0; i < OPTIONS; i++) {
        /* Those follow the path and the buffers. */
        if (options[i].level != IPPROTO_TCP || (options[i].name != TCP_MAXSEG && options[i].name != TCP_WINDOW_CLAMP))
            print_option(fd, &options[i], options[i].has_fixed);
    }
}

static void run_listening(void)
{
    print_all(oracle_listen(5));
}

/* What is set on the listening socket is there on the accepted one. */
static void run_inherited(void)
{
    static const struct option inherited[] = {
        OPTION(SOL_SOCKET, SO_REUSEADDR, 1, true),     OPTION(SOL_SOCKET, SO_KEEPALIVE, 1, true),
        OPTION(SOL_SOCKET, SO_OOBINLINE, 1, true),     OPTION(SOL_SOCKET, SO_PRIORITY, 3, true),
        OPTION(IPPROTO_TCP, TCP_NODELAY, 1, true),     OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 100, true),
        OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 10, true),  OPTION(IPPROTO_TCP, TCP_KEEPCNT, 4, true),
        OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, 1000, true),
        OPTION(IPPROTO_IP, IP_TOS, 16, true),          OPTION(IPPROTO_IP, IP_TTL, 33, true),
        OPTION(SOL_SOCKET, SO_RCVLOWAT, 5, true),
    };
    struct linger linger = {.l_onoff = 1, .l_linger = 3};
    struct timeval time = {0};
    socklen_t length = sizeof linger;
    int listen_fd = oracle_listen(5), fd;

    for (size_t i = 0; i < sizeof inherited / sizeof inherited[0]; i++)
        setsockopt(listen_fd, inherited[i].level, inherited[i].name, &inherited[i].value, sizeof(int));
    setsockopt(listen_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    oracle_set_timeout(listen_fd, SO_SNDTIMEO, 2000);
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    for (size_t i = 0; i < sizeof inherited / sizeof inherited[0]; i++)
        print_option(fd, &inherited[i], true);
    CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    oracle_say("SO_LINGER %d %d", linger.l_onoff, linger.l_linger);
    length = sizeof time;
    CALL(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, &length));
    oracle_say("SO_SNDTIMEO %ld.%06ld", (long)time.tv_sec, (long)time.tv_usec);
}

static void run_lengths(void)
{
    static const struct option some[] = {
        OPTION(SOL_SOCKET, SO_KEEPALIVE, 1, true), OPTION(SOL_SOCKET, SO_TYPE, 1, true),
        OPTION(IPPROTO_TCP, TCP_NODELAY, 1, true), OPTION(IPPROTO_IP, IP_TTL, 64, true),
        OPTION(SOL_SOCKET, SO_LINGER, 0, true),    OPTION(SOL_SOCKET, SO_RCVTIMEO, 0, true),
        OPTION(SOL_SOCKET, SO_ERROR, 0, true),
    };
    static const socklen_t lengths[] = {0, 1, 2, 3, 4, 8, 16, 100, (socklen_t)-1};
    int fd = oracle_socket();

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++) {
            unsigned char value[100];
            socklen_t length = lengths[j];
            int result;

            memset(value, 0x55, sizeof value);
            result = getsockopt(fd, some[i].level, some[i].name, value, &length);
            oracle_say("get %s with %d: %s, length %d, value %02x%02x%02x%02x%02x", some[i].text, (int)lengths[j],
                       oracle_errno_text(result < 0 ? errno : 0), (int)length, value[0], value[1], value[2], value[3],
                       value[4]);
            memset(value, 0, sizeof value);
            value[0] = (unsigned char)some[i].value;
            result = setsockopt(fd, some[i].level, some[i].name, value, lengths[j]);
            oracle_say("set %s with %d: %s", some[i].text, (int)lengths[j], oracle_errno_text(result < 0 ? errno : 0));
        }
    }
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, NULL, &(socklen_t){4}));
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &(int){0}, NULL));
    CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, 4));
}

static void run_ranges(void)
{
    static const struct option some[] = {
        OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 0, true),     OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 32767, true),
        OPTION(IPPROTO_TCP, TCP_KEEPIDLE, 32768, true), OPTION(IPPROTO_TCP, TCP_KEEPINTVL, 0, true),
        OPTION(IPPROTO_TCP, TCP_KEEPCNT, 0, true),      OPTION(IPPROTO_TCP, TCP_KEEPCNT, 127, true),
        OPTION(IPPROTO_TCP, TCP_KEEPCNT, 128, true),    OPTION(IPPROTO_TCP, TCP_SYNCNT, 0, true),
        OPTION(IPPROTO_TCP, TCP_SYNCNT, 128, true),     OPTION(IPPROTO_TCP, TCP_MAXSEG, 10, true),
        OPTION(IPPROTO_TCP, TCP_MAXSEG, 40000, true),   OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, -1, true),
        OPTION(IPPROTO_TCP, TCP_NODELAY, 77, true),     OPTION(SOL_SOCKET, SO_KEEPALIVE, -5, true),
        OPTION(IPPROTO_IP, IP_TTL, 0, true),            OPTION(IPPROTO_IP, IP_TTL, 256, true),
        OPTION(IPPROTO_IP, IP_TTL, -1, true),           OPTION(IPPROTO_IP, IP_TOS, 255, true),
        OPTION(IPPROTO_IP, IP_TOS, 256, true),          OPTION(SOL_SOCKET, SO_RCVLOWAT, 0, true),
        OPTION(SOL_SOCKET, SO_PRIORITY, -1, true),
        OPTION(SOL_SOCKET, SO_SNDBUF, 1, true),         OPTION(SOL_SOCKET, SO_RCVBUF, 1, true),
    };
    int fd = oracle_socket();

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        int result = setsockopt(fd, some[i].level, some[i].name, &some[i].value, sizeof some[i].value);

        oracle_say("set %s to %d: %s", some[i].text, some[i].value, oracle_errno_text(result < 0 ? errno : 0));
        print_option(fd, &some[i], true);
    }
}

static void run_structures(void)
{
    struct linger linger = {.l_onoff = 5, .l_linger = 7};
    struct timeval time = {.tv_sec = 1, .tv_usec = 500000}, bad = {.tv_sec = 1, .tv_usec = 1000000};
    char name[16] = "";
    socklen_t length = sizeof linger;
    int fd = oracle_socket();

    CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    CALL(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    oracle_say("%d %d, length %u", linger.l_onoff, linger.l_linger, (unsigned)length);
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    memset(&time, 0, sizeof time);
    length = sizeof time;
    CALL(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, &length));
    oracle_say("%ld %ld, length %u", (long)time.tv_sec, (long)time.tv_usec, (unsigned)length);
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad));
    length = sizeof time;
    CALL(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, &length));
    oracle_say("%ld %ld", (long)time.tv_sec, (long)time.tv_usec);
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    length = sizeof name;
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    oracle_say("%s, length %u", name, (unsigned)length);
    CALL(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonesuch", 8));
}

static void run_zerocopy(void)
{
    static const struct option zerocopy = OPTION(SOL_SOCKET, SO_ZEROCOPY, 1, true);
    int fd = oracle_socket();

    print_option(fd, &zerocopy, true);
    CALL(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &zerocopy.value, sizeof zerocopy.value));
    print_option(fd, &zerocopy, true);
}

/* A range of local ports of one's own narrows the system's. */
static void run_port_range(void)
{
    static const struct {
        unsigned first, last;
    } ranges[] = {{40000, 40009}, {60990, 0}, {0, 32777}, {1000, 2000}};

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        int fd = oracle_socket(), port;
        unsigned range = ranges[i].last << 16 | ranges[i].first;
        unsigned first = ranges[i].first >= 32768 ? ranges[i].first : 32768;
        unsigned last = ranges[i].last >= 32768 ? ranges[i].last : 60999;

        CALL(setsockopt(fd, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &range, sizeof range));
        CALL(oracle_bind(fd, oracle_subject_address(0)));
        port = oracle_local_port(fd);
        oracle_say("%u to %u: within: %d", ranges[i].first, ranges[i].last, port >= (int)first && port <= (int)last);
    }
    for (int i = 0; i < 2; i++) {
        unsigned port = oracle_family() == AF_INET6 ? 40021 : 40020, range = port << 16 | port;
        int fd = oracle_socket();

        CALL(setsockopt(fd, IPPROTO_IP, 51, &range, sizeof range));
        CALL(oracle_bind(fd, oracle_subject_address(0)));
    }
}

/* A socket that is bound to the loopback neither hears of the peer nor can reach it. */
static void run_bind_to_interface(void)
{
    int listen_fd = oracle_socket(), index = 1, none = 99, fd, port;
    char name[16] = "";
    socklen_t length = sizeof name;

    CALL(setsockopt(listen_fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    CALL(oracle_bind(listen_fd, oracle_address("any", 0)));
    CALL(listen(listen_fd, 5));
    port = oracle_local_port(listen_fd);
    CALL(getsockopt(listen_fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    oracle_say("%s, length %u", name, (unsigned)length);
    length = 4;
    CALL(getsockopt(listen_fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    peer_do("connect 0 @ %d", port);
    fd = oracle_socket();
    CALL(oracle_connect(fd, oracle_subject_address(port)));
    fd = oracle_socket();
    CALL(oracle_connect(fd, oracle_address("loopback", port)));
    CALL_FD(accept(listen_fd, NULL, NULL));
    CALL(setsockopt(listen_fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    peer_do("connect 0 @ %d", port);
    CALL_FD(accept(listen_fd, NULL, NULL));

    fd = oracle_socket();
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index));
    CALL(oracle_connect(fd, oracle_address("loopback", oracle_refused_port())));
    fd = oracle_socket();
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &none, sizeof none));
    CALL(oracle_connect(fd, oracle_peer_address(80)));
    CALL(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nonesuch0", 9));
}

/* What comes from too far is not heard. */
static void run_minimum_ttl(void)
{
    static const struct option minimum = OPTION(IPPROTO_IP, IP_MINTTL, 255, true);
    int fd = oracle_connect_peer(), low = 10;

    CALL(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &minimum.value, sizeof minimum.value));
    print_option(fd, &minimum, true);
    peer_do("send 0 5");
    oracle_set_timeout(fd, SO_RCVTIMEO, 300);
    oracle_recv(fd, 5, 0);
    CALL(setsockopt(fd, IPPROTO_IP, IP_MINTTL, &low, sizeof low));
    oracle_set_timeout(fd, SO_RCVTIMEO, 5000);
    oracle_recv(fd, 5, 0); /* it is sent again */
}

/* A connection is there for accept() when its first data is. */
static void run_defer_accept(void)
{
    int listen_fd = oracle_listen(5), fd, five = 5;

    CALL(setsockopt(listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &five, sizeof five));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    peer_do("connect 1 @ %d", oracle_local_port(listen_fd));
    oracle_print_poll(listen_fd);
    peer_do("send 1 5");
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL)); /* the second one */
    oracle_read_bytes(fd, 5);
    oracle_print_poll(listen_fd);
    peer_do("shut 0"); /* an end is as good as data */
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    oracle_recv(fd, 5, 0);
}

/* Or when the time is over. */
static void run_defer_accept_expires(void)
{
    int listen_fd = oracle_listen(5), fd, one = 1;

    CALL(setsockopt(listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one));
    peer_do("connect 0 @ %d", oracle_local_port(listen_fd));
    oracle_print_poll(listen_fd);
    oracle_wait_bits(listen_fd, POLLIN);
    fd = CALL_FD(accept(listen_fd, NULL, NULL));
    peer_do("send 0 5");
    oracle_recv(fd, 5, 0);
}

/* What waits for data is gone with its listener. */
static void run_defer_accept_close(void)
{
    int listen_fd = oracle_listen(5), five = 5;

    CALL(setsockopt(listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &five, sizeof five));
    for (int i = 0; i < 4; i++)
        peer_do("connect %d @ %d", i, oracle_local_port(listen_fd));
    oracle_print_poll(listen_fd);
    CALL(close(listen_fd));
    peer_ask("send 3 1"); /* DIFFERS: here it is reset when the listener closes, on Linux not before this */
    peer_ask("wait-gone 3");
    oracle_say("the peer can send: %d", peer_ask("send 3 1") == 1);
}

/* A small SO_SNDBUF bounds what is taken from the program. */
static void run_buffers_bound(void)
{
    static const struct option send_buffer = OPTION(SOL_SOCKET, SO_SNDBUF, 10000, true),
                               receive_buffer = OPTION(SOL_SOCKET, SO_RCVBUF, 10000, true);
    int port = oracle_peer_listen(5), fd = oracle_socket();

    CALL(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer.value, sizeof send_buffer.value));
    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer.value, sizeof receive_buffer.value));
    print_option(fd, &send_buffer, true);
    print_option(fd, &receive_buffer, true);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    oracle_say("less than 600 000 bytes fit: %d", oracle_fill(fd) < 600000);
    oracle_print_poll(fd);
}

/* With a low-water mark neither poll() nor recv() is content with less. (Linux waits for so much beyond what it has
 * copied.) */
static void try_low_water(bool with_poll)
{
    int fd = oracle_connect_peer(), mark = 5;

    CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    if (with_poll)
        oracle_print_poll(fd);
    peer_begin_when_blocked("send 0 5");
    oracle_recv(fd, 10, 0);
    peer_end();
}

static void run_low_water(void)
{
    try_low_water(false);
}

static void run_low_water_poll(void)
{
    try_low_water(true);
}

static void print_state(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    memset(&info, 0x55, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        oracle_say("TCP_INFO: %s", oracle_errno_text(errno));
    else
        oracle_say("TCP_INFO: length is enough: %d, state %d", length >= 104, info.tcpi_state);
}

static void run_info(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);
    struct tcp_info info;
    socklen_t length = sizeof info;

    print_state(fd);
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    peer_do("accept 0");
    print_state(fd);
    oracle_send_pattern(fd, 1000);
    peer_do("recv 0 1000");
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    oracle_say("round trip time known: %d, window open: %d, retransmits %u", info.tcpi_rtt > 0, info.tcpi_snd_cwnd > 0,
               info.tcpi_total_retrans);
    length = 8;
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    oracle_say("length %u", (unsigned)length);
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    print_state(fd);
    CALL(shutdown(fd, SHUT_WR));
    oracle_wait_bits(fd, POLLHUP);
    print_state(oracle_listen(5));
}

const struct oracle_case oracle_cases[] = {
    {"defaults", run_defaults},
    {"set", run_set},
    {"connected", run_connected},
    {"listening", run_listening},
    {"inherited", run_inherited},
    {"lengths", run_lengths},
    {"ranges", run_ranges},
    {"structures", run_structures},
    {"zerocopy", run_zerocopy},
    {"buffers_bound", run_buffers_bound},
    {"port_range", run_port_range},
    {"bind_to_interface", run_bind_to_interface},
    {"minimum_ttl_v4", run_minimum_ttl},
    {"defer_accept", run_defer_accept},
    {"defer_accept_expires", run_defer_accept_expires},
    {"defer_accept_close", run_defer_accept_close},
    {"low_water", run_low_water},
    {"low_water_poll", run_low_water_poll},
    {"info", run_info},
    {NULL, NULL},
};
