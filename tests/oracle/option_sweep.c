/*
 * option_sweep.c - every option number of every level, whether it has a name or not: what get says to each length, what
 * set says to several values and lengths and what get says after it; on sockets that are fresh, connected, listening
 * and accepted, and what an accepted one inherits.
 *
 * So an option that nobody thought of, or that a newer kernel brings, shows as a difference and not in silence. One
 * line an option; neighbours that say the same share one, and what is unknown both ways (ENOPROTOOPT) has none.
 */
#include "oracle.h"

#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAMES 106      /* more than any level has: IPv6 goes to 80, SOL_SOCKET to 83, UDP to 104 */
#define LINE 1900
#define VALUE_MAX 1024 /* bytes of an option's value that are looked at */

struct number {
    int level, name;
};

/* Values that each stack, host or moment chooses: only that there is one, and its length, are compared. */
static const struct number chosen[] = {
    {SOL_SOCKET, SO_SNDBUF},          {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_INCOMING_CPU},    {SOL_SOCKET, SO_MEMINFO},
    {SOL_SOCKET, SO_COOKIE},          {SOL_SOCKET, SO_NETNS_COOKIE},
    {SOL_SOCKET, SO_RCVLOWAT /* its bound is tcp_rmem's */}, {SOL_SOCKET, SO_PEERNAME},
    {IPPROTO_IP, 52 /* IP_PROTOCOL, a port number */},
    {IPPROTO_IP, IP_MULTICAST_TTL /* an accepted one has what its SYN came with */},
    {IPPROTO_IPV6, IPV6_MTU /* of the loopback: 65535 here */}, {IPPROTO_IPV6, IPV6_MULTICAST_IF}, {IPPROTO_IPV6, IPV6_MULTICAST_HOPS}, /* the same */
    {IPPROTO_TCP, TCP_MAXSEG},        {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_INFO},          {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_TIMESTAMP},     {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
};

/*
 * Left out: what takes all that comes after along (TCP_REPAIR and its like), what is there or not by the kernel's
 * configuration (netfilter's numbers, MD5, TCP-AO), and the differences that docs/differences.md tells of (cases of
 * their own in options.c).
 */
static const struct number left_out[] = {
    {IPPROTO_TCP, TCP_REPAIR},       {IPPROTO_TCP, TCP_REPAIR_QUEUE},       {IPPROTO_TCP, TCP_REPAIR_OPTIONS},
    {IPPROTO_TCP, TCP_MD5SIG},       {IPPROTO_TCP, TCP_MD5SIG_EXT},         {IPPROTO_TCP, 38},
    {IPPROTO_TCP, 39},               {IPPROTO_TCP, 40},                     {IPPROTO_TCP, 41},
    {IPPROTO_TCP, 42},               {IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE},   {IPPROTO_TCP, TCP_TX_DELAY},
    {IPPROTO_IP, 4 /* IP_OPTIONS */}, {IPPROTO_IP, 16 /* IP_IPSEC_POLICY */}, {IPPROTO_IP, 17 /* IP_XFRM_POLICY */},
    {IPPROTO_IP, IP_ROUTER_ALERT}, {IPPROTO_IPV6, 34 /* IPV6_IPSEC_POLICY */}, {IPPROTO_IPV6, 35 /* IPV6_XFRM_POLICY */},
    {IPPROTO_IPV6, IPV6_HOPOPTS}, {IPPROTO_IPV6, IPV6_RTHDRDSTOPTS}, {IPPROTO_IPV6, IPV6_DSTOPTS}, {SOL_SOCKET, SO_ZEROCOPY},
    {IPPROTO_UDP, UDP_ENCAP}, {IPPROTO_UDPLITE, UDP_ENCAP},
};

static bool is_among(const struct number *numbers, size_t count, int level, int name)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i].level == level && numbers[i].name == name)
            return true;
    if (numbers == left_out && level == IPPROTO_IP && name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER)
        return true; /* a structure of another size than 256 */
    if (numbers == left_out && level == IPPROTO_IPV6)
        return (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER) ||
               name == 64 || name == 65 || name == 68 || name == 69 || name == 80; /* netfilter */
    return numbers == left_out && level == IPPROTO_IP && name >= 64;                  /* the same */
}
#define IS_AMONG(numbers, level, name) is_among(numbers, sizeof(numbers) / sizeof *(numbers), level, name)

/* Is this run about UDP sockets, which have no SO_PEEK_OFF here? */
static bool is_about_udp;

static bool is_left_out(int level, int name)
{
    return IS_AMONG(left_out, level, name) || (is_about_udp && level == SOL_SOCKET && name == SO_PEEK_OFF);
}

/* ---- lines ---- */

static struct {
    char text[LINE]; /* of the option that is being looked at */
    char last[LINE]; /* of those before it, not printed yet */
    int first_name, last_name;
} line;

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
    size_t used = strlen(line.text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line.text + used, sizeof line.text - used, format, arguments);
    va_end(arguments);
}

/* Print the options that said the same. */
static void flush_lines(const char *what)
{
    if (line.last[0] != '\0' && line.first_name == line.last_name)
        oracle_say("%s %d:%s", what, line.first_name, line.last);
    else if (line.last[0] != '\0')
        oracle_say("%s %d to %d:%s", what, line.first_name, line.last_name, line.last);
    line.last[0] = '\0';
}

/* The option's line is complete; one that says nothing is dropped. */
static void end_line(const char *what, int name, bool known)
{
    if (!known)
        line.text[0] = '\0';
    if (strcmp(line.text, line.last) != 0) {
        flush_lines(what);
        line.first_name = name;
        strcpy(line.last, line.text);
    }
    line.last_name = name;
    line.text[0] = '\0';
}

/* ---- options ---- */

/* Add a value in hexadecimal, without the zeros at its end, and its length if that is not an int's. */
static void add_value(const unsigned char *value, size_t length)
{
    size_t shown = length < 64 ? length : 64;

    while (shown > 0 && value[shown - 1] == 0)
        shown--;
    add("%s", shown == 0 ? " 0" : " ");
    for (size_t i = 0; i < shown; i++)
        add("%02x", value[i]);
    if (length != sizeof(int))
        add("/%zu", length);
}

/* Add what getsockopt() says when asked for length bytes. Return: is the option known? */
static bool add_get(int fd, int level, int name, socklen_t asked)
{
    unsigned char value[VALUE_MAX] = {0}; /* some are read, too: a structure that says what it wants */
    socklen_t length = asked;

    if (getsockopt(fd, level, name, value, &length) < 0) {
        int error = errno;

        add(" %s", oracle_errno_text(error));
        return error != ENOPROTOOPT;
    }
    if (IS_AMONG(chosen, level, name))
        add(" some/%u", (unsigned)length);
    else
        add_value(value, length < sizeof value ? length : sizeof value);
    return true;
}

/* What the kernel's figures look like depends on the algorithm: take one that everybody has. */
static int with_reno(int fd, int level)
{
    if (level == IPPROTO_TCP && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) < 0)
        oracle_die("TCP_CONGESTION");
    return fd;
}

static void get_level(int fd, const char *text, int level)
{
    static const socklen_t lengths[] = {4, 0, 1, 2, 3, 8, 256};

    for (int name = 0; name < NAMES; name++) {
        bool known = false;

        if (is_left_out(level, name))
            continue;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
            known |= add_get(with_reno(fd, level), level, name, lengths[i]);
        end_line(text, name, known);
    }
    flush_lines(text);
}

/* Each value on a socket of its own, because many options have to do with each other. */
static void set_level(int (*make)(void), const char *text, int level)
{
    static const struct {
        int value;
        socklen_t length;
    } tries[] = {{0, 4}, {1, 4}, {3, 4}, {-1, 4}, {1000, 4}, {1, 0}, {1, 1}, {1, 3}, {1, 256}};

    for (int name = 0; name < NAMES; name++) {
        bool known = false;

        if (is_left_out(level, name))
            continue;
        for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
            unsigned char value[256] = {0};
            int fd = make(), error;

            memcpy(value, &tries[i].value, sizeof tries[i].value);
            error = setsockopt(fd, level, name, value, tries[i].length) == 0 ? 0 : errno;
            add(" [%d/%u %s", tries[i].value, (unsigned)tries[i].length, oracle_errno_text(error));
            known |= error != ENOPROTOOPT && error != EINVAL;
            if (error == 0)
                add_get(fd, level, name, 4);
            add("]");
            close(fd);
        }
        end_line(text, name, known);
    }
    flush_lines(text);
}

static int make_datagram(int type, int protocol)
{
    int fd = socket(oracle_family(), type, protocol);

    if (fd < 0)
        oracle_die("socket");
    return fd;
}

static int listen_somewhere(void)
{
    return oracle_listen(5);
}

static int connect_somewhere(void)
{
    static int listen_fd = -1;
    int fd = oracle_socket();

    if (listen_fd < 0)
        listen_fd = oracle_listen(2000);
    if (oracle_connect(fd, oracle_subject_address(oracle_local_port(listen_fd))) < 0)
        oracle_die("connect");
    return fd;
}

/* Is the value one that keeps the peer from connecting, rightly so? And SO_PEEK_OFF is moved by the message that
 * brings the connection. */
static bool is_not_for_listeners(int level, int name)
{
    return (level == SOL_SOCKET && name == SO_BINDTOIFINDEX) /* 1 is the loopback */
           || (level == SOL_SOCKET && name == SO_PEEK_OFF) || (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT);
}

/* What a connection gets from a listener that has the option set. */
static void inherit_level(const char *text, int level)
{
    for (int name = 0; name < NAMES; name++) {
        int listen_fd, fd, value = 1;

        if (IS_AMONG(left_out, level, name) || is_not_for_listeners(level, name))
            continue;
        listen_fd = oracle_listen(5);
        if (setsockopt(listen_fd, level, name, &value, sizeof value) < 0) {
            close(listen_fd);
            continue;
        }
        if (peer_ask("connect 0 %d", oracle_local_port(listen_fd)) < 0)
            oracle_die("connect of the peer");
        fd = accept(listen_fd, NULL, NULL);
        if (fd < 0)
            oracle_die("accept");
        end_line(text, name, add_get(fd, level, name, 4));
        close(fd);
        close(listen_fd);
        peer_ask("close 0");
    }
    flush_lines(text);
}

#define LEVEL(name, level)                                                                                             \
    static void run_##name##_fresh(void)                                                                               \
    {                                                                                                                  \
        get_level(oracle_socket(), #level, level);                                                                     \
    }                                                                                                                  \
    static void run_##name##_connected(void)                                                                           \
    {                                                                                                                  \
        get_level(oracle_connect_peer(), #level, level);                                                               \
    }                                                                                                                  \
    static void run_##name##_accepted(void)                                                                            \
    {                                                                                                                  \
        get_level(oracle_accept_peer(), #level, level);                                                                \
    }                                                                                                                  \
    static void run_##name##_listening(void)                                                                           \
    {                                                                                                                  \
        get_level(oracle_listen(5), #level, level);                                                                    \
    }                                                                                                                  \
    static void run_##name##_set(void)                                                                                 \
    {                                                                                                                  \
        set_level(oracle_socket, #level, level);                                                                       \
    }                                                                                                                  \
    static void run_##name##_set_listening(void)                                                                       \
    {                                                                                                                  \
        set_level(listen_somewhere, #level, level);                                                                    \
    }                                                                                                                  \
    static void run_##name##_set_connected(void)                                                                       \
    {                                                                                                                  \
        set_level(connect_somewhere, #level, level);                                                                   \
    }                                                                                                                  \
    static void run_##name##_inherited(void)                                                                           \
    {                                                                                                                  \
        inherit_level(#level, level);                                                                                  \
    }
LEVEL(socket, SOL_SOCKET)
LEVEL(ip, IPPROTO_IP)
LEVEL(tcp, IPPROTO_TCP)
LEVEL(ipv6, IPPROTO_IPV6)

/* ---- datagram sockets, new ones ---- */

static int make_udp(void)
{
    is_about_udp = true;
    return make_datagram(SOCK_DGRAM, 0);
}

static int make_lite(void)
{
    is_about_udp = true;
    return make_datagram(SOCK_DGRAM, IPPROTO_UDPLITE);
}

static int make_ping(void)
{
    return make_datagram(SOCK_DGRAM, oracle_family() == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static int make_raw(void)
{
    return make_datagram(SOCK_RAW, oracle_family() == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

#define DATAGRAM_LEVEL(kind, name, level)                                                                              \
    static void run_##kind##_##name##_fresh(void)                                                                      \
    {                                                                                                                  \
        get_level(make_##kind(), #level, level);                                                                       \
    }                                                                                                                  \
    static void run_##kind##_##name##_set(void)                                                                        \
    {                                                                                                                  \
        set_level(make_##kind, #level, level);                                                                         \
    }
#define DATAGRAM_LEVELS(kind)                                                                                          \
    DATAGRAM_LEVEL(kind, socket, SOL_SOCKET)                                                                           \
    DATAGRAM_LEVEL(kind, ip, IPPROTO_IP)                                                                               \
    DATAGRAM_LEVEL(kind, ipv6, IPPROTO_IPV6)                                                                           \
    DATAGRAM_LEVEL(kind, udp, IPPROTO_UDP)                                                                             \
    DATAGRAM_LEVEL(kind, udplite, IPPROTO_UDPLITE)
DATAGRAM_LEVELS(udp)
DATAGRAM_LEVELS(lite)
DATAGRAM_LEVELS(ping)
DATAGRAM_LEVELS(raw)

#define DATAGRAM_CASES(kind)                                                                                           \
    {#kind "_socket_fresh", run_##kind##_socket_fresh}, {#kind "_socket_set", run_##kind##_socket_set},                \
        {#kind "_ip_fresh", run_##kind##_ip_fresh}, {#kind "_ip_set", run_##kind##_ip_set},                            \
        {#kind "_ipv6_fresh", run_##kind##_ipv6_fresh}, {#kind "_ipv6_set", run_##kind##_ipv6_set},                    \
        {#kind "_udp_fresh", run_##kind##_udp_fresh}, {#kind "_udp_set", run_##kind##_udp_set},                        \
        {#kind "_udplite_fresh", run_##kind##_udplite_fresh}, {#kind "_udplite_set", run_##kind##_udplite_set}

#define CASES(name)                                                                                                    \
    {#name "_fresh", run_##name##_fresh}, {#name "_connected", run_##name##_connected},                                \
        {#name "_accepted", run_##name##_accepted}, {#name "_listening", run_##name##_listening},                      \
        {#name "_set", run_##name##_set}, {#name "_set_listening", run_##name##_set_listening},                        \
        {#name "_set_connected", run_##name##_set_connected}, {#name "_inherited", run_##name##_inherited}

const struct oracle_case oracle_cases[] = {
    CASES(socket), CASES(ip), CASES(tcp), CASES(ipv6), DATAGRAM_CASES(udp), DATAGRAM_CASES(lite), DATAGRAM_CASES(ping),
    DATAGRAM_CASES(raw), {NULL, NULL},
};
