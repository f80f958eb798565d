/* icmp.c - ping sockets (datagram sockets of ICMP), raw sockets, and pings that the stack answers. */
#include "oracle_datagram.h"

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* <linux/icmp.h>, which does not go together with <netinet/ip_icmp.h> */
#define ICMP_FILTER_OPTION 1

/* A header and some data; id is what raw sockets have to choose themselves. */
struct echo {
    uint8_t type, code;
    uint16_t checksum, id, sequence;
    char data[24];
};

static int protocol(void)
{
    return oracle_family() == AF_INET ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;
}

static struct echo make_request(int sequence)
{
    struct echo echo = {.type = oracle_family() == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
                        .id = htons(0x1234), .sequence = htons((uint16_t)sequence)};

    memcpy(echo.data, "abcdefghijklmnopqrstuvwx", sizeof echo.data);
    return echo;
}

/* RFC 1071, for raw IPv4 sockets. */
static uint16_t checksum_of(const void *data, size_t length)
{
    const uint16_t *words = data;
    uint32_t sum = 0;

    for (size_t i = 0; i < length / 2; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~(sum + (sum >> 16));
}

static int open_ping(void)
{
    int fd = socket(oracle_family(), SOCK_DGRAM, protocol());

    if (fd < 0)
        oracle_die("socket");
    oracle_set_timeout(fd, SO_RCVTIMEO, 4000);
    return fd;
}

static void say_echo(const char *what, const struct echo *echo, long length)
{
    oracle_say("%s: %ld bytes, type %d, code %d, sequence %d, \"%.24s\"", what, length, echo->type, echo->code,
               ntohs(echo->sequence), length >= (long)sizeof *echo ? echo->data : "");
}

/* Receive one message of a ping socket. */
static void receive_echo(int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    struct echo echo = {0};
    long result = recvfrom(fd, &echo, sizeof echo, 0, (struct sockaddr *)&from, &length);

    if (result < 0) {
        oracle_say("recvfrom: %s", oracle_errno_text(errno));
        return;
    }
    say_echo(oracle_address_text(&from, length), &echo, result);
    oracle_say("the identifier is the port: %d", ntohs(echo.id) == oracle_local_port(fd));
}

/* ---- ping sockets ---- */

static void run_ping(void)
{
    int fd = open_ping(), value = -1;
    socklen_t length = sizeof value;
    struct echo request = make_request(1);

    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    oracle_say("%d", value == SOCK_DGRAM);
    CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
    oracle_say("%d", value == protocol());
    oracle_print_poll(fd);
    oracle_print_names(fd);
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    receive_echo(fd);
    oracle_name_port(oracle_local_port(fd), "identifier");
    oracle_print_names(fd);
}

static void run_ping_connected(void)
{
    int fd = open_ping();

    CALL(oracle_connect(fd, oracle_peer_address(0)));
    oracle_name_port(oracle_local_port(fd), "identifier");
    oracle_print_names(fd);
    for (int i = 1; i < 4; i++) {
        struct echo request = make_request(i);

        CALL(send(fd, &request, sizeof request, 0));
        receive_echo(fd);
    }
    CALL(write(fd, &(struct echo){.type = oracle_family() == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST}, 8));
    CALL(read(fd, &(char[100]){0}, 100));
}

static void run_ping_bound(void)
{
    int fd = open_ping(), other = open_ping();
    struct echo request = make_request(1);

    CALL(oracle_bind(fd, oracle_subject_address(777)));
    oracle_print_names(fd);
    oracle_say("%d", oracle_local_port(fd));
    CALL(oracle_bind(other, oracle_subject_address(777)));
    CALL(oracle_bind(other, oracle_peer_address(0)));
    close(other);
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    receive_echo(fd);
}

static void run_ping_errors(void)
{
    int fd = open_ping();
    struct echo request = make_request(1);

    CALL(send(fd, &request, sizeof request, 0));
    CALL(oracle_sendto(fd, &request, 4, 0, oracle_peer_address(0)));
    CALL(oracle_sendto(fd, &request, 0, 0, oracle_peer_address(0)));
    CALL(oracle_sendto(fd, &request, sizeof request, MSG_OOB, oracle_peer_address(0)));
    request.type = oracle_family() == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    request.type = 13;
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    request = make_request(1);
    request.code = 1;
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    CALL(recv(fd, &request, sizeof request, MSG_DONTWAIT));
    CALL(listen(fd, 1));
    CALL(accept(fd, NULL, NULL));
    CALL(shutdown(fd, SHUT_WR));
}

/* Each ping socket gets what answers its own. */
static void run_ping_two(void)
{
    int first = open_ping(), second = open_ping();
    struct echo request = make_request(1);

    CALL(oracle_sendto(first, &request, sizeof request, 0, oracle_peer_address(0)));
    request.sequence = htons(2);
    CALL(oracle_sendto(second, &request, sizeof request, 0, oracle_peer_address(0)));
    receive_echo(second);
    receive_echo(first);
    CALL(recv(first, &request, sizeof request, MSG_DONTWAIT));
    CALL(recv(second, &request, sizeof request, MSG_DONTWAIT));
}

static void run_ping_sizes(void)
{
    static const int sizes[] = {8, 9, 100, 1452, 1473, 4000, 20000};
    int fd = open_ping();
    char *data = oracle_pattern(20000), *answer = malloc(20000);

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct echo header = make_request((int)i);
        long length;

        memcpy(data, &header, 8);
        CALL(oracle_sendto(fd, data, (size_t)sizes[i], 0, oracle_peer_address(0)));
        length = CALL(recv(fd, answer, 20000, 0));
        oracle_say("%ld, the same data: %d", length, memcmp(data + 8, answer + 8, (size_t)sizes[i] - 8) == 0);
    }
    free(data);
    free(answer);
}

static void run_ping_oneself(void)
{
    int fd = open_ping();
    struct echo request = make_request(1);

    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_address("loopback", 0)));
    receive_echo(fd);
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_subject_address(0)));
    receive_echo(fd);
}

static void run_ping_control(void)
{
    int fd = open_ping(), level = oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    struct echo request = make_request(1);
    struct sockaddr_storage from;
    _Alignas(struct cmsghdr) char control[200];
    struct iovec iov = {&request, sizeof request};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};

    oracle_set(fd, level, oracle_family() == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    CALL(recvmsg(fd, &message, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        int value;

        memcpy(&value, CMSG_DATA(c), sizeof value);
        oracle_say("level %d, type %d, %zu bytes, %d", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len,
                   c->cmsg_level == SOL_SOCKET ? 0 : value);
    }
}

/* An ICMP error about an echo request. */
static void run_ping_unreachable(void)
{
    int fd = open_ping();
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct echo request = make_request(1);

    if (oracle_family() == AF_INET)
        oracle_set(fd, IPPROTO_IP, IP_RECVERR, 1);
    else
        oracle_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    /* Linux sends few of these errors a second, and other cases have theirs. */
    for (int i = 0; i < 20; i++) {
        if (oracle_sendto(fd, &request, sizeof request, 0, oracle_address("unreachable", 0)) < 0 ||
            poll(&poll_fd, 1, 300) > 0)
            break;
    }
    poll(&poll_fd, 1, 5000); /* ERR on the kernel, IN here */
    CALL(recv(fd, &request, sizeof request, MSG_DONTWAIT));
    oracle_recvmsg(fd, 0, 500, MSG_ERRQUEUE);
}

/* ---- the stack answers ---- */

static void run_answers(void)
{
    peer_do("ping 8");
    peer_do("ping 64");
    peer_do("ping 1500");
    peer_do("ping 4000");
}

/* ---- raw sockets ---- */

static int open_raw(int number)
{
    int fd = socket(oracle_family(), SOCK_RAW, number);

    if (fd < 0)
        oracle_die("socket");
    oracle_set_timeout(fd, SO_RCVTIMEO, 4000);
    return fd;
}

/* Receive messages until the reply to ours comes (a raw socket gets everybody's). */
static void receive_raw_echo(int fd, const struct echo *request)
{
    bool ipv4 = oracle_family() == AF_INET;

    for (int i = 0; i < 1000; i++) {
        char buffer[1000];
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        long result = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
        const struct ip *ip = (const void *)buffer;
        const struct echo *echo = (const void *)(buffer + (ipv4 ? 20 : 0));

        if (result < 0) {
            oracle_say("recvfrom: %s", oracle_errno_text(errno));
            return;
        }
        if (echo->type != (ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) || echo->id != request->id)
            continue;
        if (ipv4)
            oracle_say("header: version %d, %d words, protocol %d, length %d, TTL %d, checksum %s", ip->ip_v, ip->ip_hl,
                       ip->ip_p, ntohs(ip->ip_len), ip->ip_ttl, checksum_of(ip, 20) == 0 ? "right" : "wrong");
        say_echo(oracle_address_text(&from, length), echo, result - (ipv4 ? 20 : 0));
        return;
    }
}

static void run_raw_ping(void)
{
    int fd = open_raw(protocol()), value = -1;
    socklen_t length = sizeof value;
    struct echo request = make_request(7);

    request.id = htons((uint16_t)getpid());
    if (oracle_family() == AF_INET)
        request.checksum = checksum_of(&request, sizeof request);
    CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    oracle_say("%d", value == SOCK_RAW);
    CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
    oracle_say("%d", value == protocol());
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_peer_address(0)));
    receive_raw_echo(fd, &request);
    CALL(oracle_connect(fd, oracle_peer_address(0)));
    CALL(send(fd, &request, sizeof request, 0));
    receive_raw_echo(fd, &request);
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_address("loopback", 0)));
}

/* Only the types that pass the filter are seen. */
static void run_raw_filter(void)
{
    int fd = open_raw(protocol());
    struct echo request = make_request(7);
    struct icmp6_filter filter6;
    uint32_t filter4 = ~(1u << ICMP_ECHOREPLY);

    request.id = htons((uint16_t)getpid());
    if (oracle_family() == AF_INET) {
        request.checksum = checksum_of(&request, sizeof request);
        CALL(setsockopt(fd, SOL_RAW, ICMP_FILTER_OPTION, &filter4, sizeof filter4));
    } else {
        ICMP6_FILTER_SETBLOCKALL(&filter6);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
        CALL(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof filter6));
    }
    CALL(oracle_sendto(fd, &request, sizeof request, 0, oracle_address("loopback", 0)));
    receive_raw_echo(fd, &request);
    filter4 = ~0u;
    ICMP6_FILTER_SETBLOCKALL(&filter6);
    if (oracle_family() == AF_INET)
        CALL(setsockopt(fd, SOL_RAW, ICMP_FILTER_OPTION, &filter4, sizeof filter4));
    else
        CALL(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof filter6));
}

/* A protocol of one's own (253 is for experiments, RFC 3692), over the loopback. */
static void run_raw_protocol(void)
{
    int fd = open_raw(253), other = open_raw(253);
    char buffer[100] = "";

    oracle_name_port(253, "protocol");
    oracle_print_names(fd);
    CALL(oracle_bind(fd, oracle_address("loopback", 0)));
    CALL(oracle_connect(other, oracle_address("loopback", 0)));
    oracle_print_names(fd);
    oracle_print_names(other);
    CALL(send(other, "abc", 3, 0));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    oracle_say("%s", buffer + (oracle_family() == AF_INET ? 20 : 0));
    oracle_recvmsg(other, 0, 0, 0);
    CALL(oracle_sendto(fd, "defg", 4, 0, oracle_subject_address(0)));
    CALL(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT));
}

/* With the header in it. */
static void run_raw_header_v4(void)
{
    int fd = open_raw(IPPROTO_RAW), receiver = open_raw(254);
    struct {
        struct ip header;
        char data[4];
    } packet = {.header = {.ip_v = 4, .ip_hl = 5, .ip_ttl = 99, .ip_p = 254, .ip_dst = oracle_subject_address(0).in.sin_addr},
                .data = "abc"};
    char buffer[100] = "";

    oracle_set(fd, IPPROTO_IP, IP_HDRINCL, 1);
    CALL(oracle_sendto(fd, &packet, sizeof packet, 0, oracle_subject_address(0)));
    CALL(recv(receiver, buffer, sizeof buffer, 0));
    oracle_say("TTL %d, \"%s\"", ((struct ip *)buffer)->ip_ttl, buffer + 20);
    oracle_say("source filled in: %d", ((struct ip *)buffer)->ip_src.s_addr == packet.header.ip_dst.s_addr);
    CALL(oracle_sendto(fd, &packet, 10, 0, oracle_subject_address(0)));
    CALL(recv(fd, buffer, sizeof buffer, MSG_DONTWAIT));
}

static void run_raw_checksum_v6(void)
{
    int fd = open_raw(254), value = -1;
    socklen_t length = sizeof value;
    char buffer[16] = "abcd\0\0efgh";

    CALL(getsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &value, &length));
    oracle_say("%d", value);
    CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){3}, sizeof(int)));
    CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_CHECKSUM, &(int){4}, sizeof(int)));
    CALL(oracle_sendto(fd, buffer, 10, 0, oracle_address("loopback", 0)));
    CALL(recv(fd, buffer, sizeof buffer, 0));
    oracle_say("filled in: %d", buffer[4] != 0 || buffer[5] != 0);
}

/* Raw sockets see what UDP sockets get, too. */
static void run_raw_udp(void)
{
    int fd = open_raw(IPPROTO_UDP), udp = oracle_udp();
    char buffer[100] = "";
    long result;

    CALL(oracle_bind(udp, oracle_address("loopback", 0)));
    CALL(oracle_bind(fd, oracle_address("loopback", 0)));
    CALL(oracle_sendto(udp, "abc", 3, 0, oracle_address("loopback", oracle_local_port(udp))));
    for (int i = 0; i < 100; i++) {
        uint16_t port;
        size_t header = oracle_family() == AF_INET ? 20 : 0;

        result = recv(fd, buffer, sizeof buffer, 0);
        memcpy(&port, buffer + header, sizeof port);
        if (result < 0 || ntohs(port) == oracle_local_port(udp)) {
            oracle_say("%ld bytes, \"%s\"", result, buffer + header + 8);
            break;
        }
    }
    oracle_recvfrom(udp, 10, MSG_DONTWAIT);
}

static void run_raw_errors(void)
{
    int fd;

    CALL_FD(socket(oracle_family(), SOCK_RAW, 0));
    CALL_FD(socket(oracle_family(), SOCK_RAW, 256));
    CALL_FD(socket(oracle_family(), SOCK_RAW, -1));
    CALL_FD(socket(oracle_family(), SOCK_DGRAM, oracle_family() == AF_INET ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP));
    fd = open_raw(252);
    CALL(send(fd, "abc", 3, 0));
    CALL(listen(fd, 1));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
    CALL(oracle_bind(fd, oracle_peer_address(0)));
    CALL(shutdown(fd, SHUT_RD));
}

/* Raw sockets are for the privileged, ping sockets for those whose group may. */
static void run_unprivileged(void)
{
    pid_t child = fork();

    if (child == 0) {
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            oracle_die("setresuid");
        CALL_FD(socket(oracle_family(), SOCK_RAW, protocol()));
        CALL_FD(socket(oracle_family(), SOCK_DGRAM, protocol()));
        CALL_FD(socket(oracle_family(), SOCK_DGRAM, 0));
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

const struct oracle_case oracle_cases[] = {
    {"ping", run_ping},
    {"ping_connected", run_ping_connected},
    {"ping_bound", run_ping_bound},
    {"ping_errors", run_ping_errors},
    {"ping_two", run_ping_two},
    {"ping_sizes", run_ping_sizes},
    {"ping_oneself", run_ping_oneself},
    {"ping_control", run_ping_control},
    {"ping_unreachable", run_ping_unreachable},
    {"answers", run_answers},
    {"raw_ping", run_raw_ping},
    {"raw_filter", run_raw_filter},
    {"raw_protocol", run_raw_protocol},
    {"raw_header_v4", run_raw_header_v4},
    {"raw_checksum_v6", run_raw_checksum_v6},
    {"raw_udp", run_raw_udp},
    {"raw_errors", run_raw_errors},
    {"unprivileged", run_unprivileged},
    {NULL, NULL},
};
