/*
 * option_values.c - options whose values are structures, masks or lists, on each kind of socket: what is kept, and which
 * values are refused. The plain numbers are in options.c and option_sweep.c.
 */
#include "oracle.h"

#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#define PREFER_COA 4 /* linux/in6.h: IPV6_PREFER_SRC_COA, which netinet/in.h does not go together with */
#define PREFER_HOME 0x400
#define ADDR_PREFERENCES 72

/* Set, and say what is there afterwards, byte by byte; size of both. */
static void set_and_get(int fd, const char *text, int level, int name, const void *value, size_t size)
{
    unsigned char got[256];
    socklen_t length = size < sizeof got ? (socklen_t)size : (socklen_t)sizeof got;
    char bytes[2 * sizeof got + 1] = "";

    errno = ORACLE_ERRNO_UNTOUCHED;
    oracle_print_result(text, setsockopt(fd, level, name, value, (socklen_t)size), false);
    memset(got, 0x55, sizeof got);
    if (getsockopt(fd, level, name, got, &length) < 0) {
        oracle_say("    now: %s", oracle_errno_text(errno));
        return;
    }
    for (socklen_t i = 0; i < length; i++)
        snprintf(bytes + 2 * i, 3, "%02x", got[i]);
    oracle_say("    now: %s", bytes);
}
#define SET(fd, level, name, ...)                                                                                      \
    do {                                                                                                               \
        const __VA_ARGS__;                                                                                             \
        set_and_get(fd, #level " " #name ": " #__VA_ARGS__, level, name, &value, sizeof value);                        \
    } while (0)

static void run_lists(void)
{
    int fd = oracle_socket();

    CALL(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, &(int){0}, sizeof(int))); /* nothing but the end; it is not kept here */
    SET(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, unsigned value = 50000u << 16 | 40000);
    SET(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, unsigned value = 40000u << 16 | 50000);
    SET(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, unsigned value = 50000u << 16);
    SET(fd, SOL_SOCKET, SO_MAX_PACING_RATE, unsigned long value = 1000000);
    SET(fd, SOL_SOCKET, SO_MAX_PACING_RATE, int value = -1);
    SET(fd, SOL_SOCKET, SO_LOCK_FILTER, int value = 1);
    SET(fd, SOL_SOCKET, SO_LOCK_FILTER, int value = 0);
    SET(fd, IPPROTO_IP, IP_XFRM_POLICY, char value[0] = {});
}

static void run_preferences(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);

    SET(fd, IPPROTO_IPV6, ADDR_PREFERENCES, int value = PREFER_COA);
    SET(fd, IPPROTO_IPV6, ADDR_PREFERENCES, int value = PREFER_HOME);
    SET(fd, IPPROTO_IPV6, ADDR_PREFERENCES, int value = PREFER_HOME | PREFER_COA);
}

static void run_filters(void)
{
    int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), icmp6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
    int other = socket(AF_INET, SOCK_RAW, 99), other6 = socket(AF_INET6, SOCK_RAW, 99);
    const struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
    struct icmp6_filter filter6;

    ICMP6_FILTER_SETBLOCKALL(&filter6);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter6);
    set_and_get(icmp, "ICMP_FILTER of ICMP", SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    set_and_get(icmp, "ICMP_FILTER, 2 bytes", SOL_RAW, ICMP_FILTER, &filter, 2);
    set_and_get(other, "ICMP_FILTER of another protocol", SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    set_and_get(icmp6, "ICMP6_FILTER of ICMPv6", IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof filter6);
    set_and_get(icmp6, "ICMP6_FILTER, 4 bytes", IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, 4);
    set_and_get(other6, "ICMP6_FILTER of another protocol", IPPROTO_ICMPV6, ICMP6_FILTER, &filter6, sizeof filter6);
    close(icmp);
    close(icmp6);
    close(other);
    close(other6);
}

/* As SET, without a look: what was joined can't be read. */
#define JOIN(fd, level, name, value) CALL(setsockopt(fd, level, name, &(value), sizeof(value)))

static void run_groups(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
    const struct ip_mreqn by_index = {.imr_ifindex = 1}, nowhere = {.imr_ifindex = 9999};
    struct ip_mreqn member = {.imr_multiaddr.s_addr = htonl(0xe0010203), .imr_ifindex = 1};
    struct ip_mreq_source source = {.imr_multiaddr = member.imr_multiaddr, .imr_interface.s_addr = htonl(INADDR_LOOPBACK),
                                    .imr_sourceaddr.s_addr = htonl(0x0a000001)};
    struct group_req group = {.gr_interface = 1}, group6 = {.gr_interface = 1};
    struct group_source_req group_source = {.gsr_interface = 1}, group_source6 = {.gsr_interface = 1};

    JOIN(fd, IPPROTO_IP, IP_MULTICAST_IF, by_index);
    JOIN(fd, IPPROTO_IP, IP_MULTICAST_IF, nowhere);
    JOIN(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, member);
    JOIN(fd, IPPROTO_IP, IP_BLOCK_SOURCE, source);
    JOIN(fd, IPPROTO_IP, IP_UNBLOCK_SOURCE, source);
    JOIN(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, member);
    /* Groups of the other family, and of none. */
    group.gr_group.ss_family = AF_INET6;
    group6.gr_group.ss_family = AF_INET;
    JOIN(fd, IPPROTO_IP, MCAST_JOIN_GROUP, group);
    JOIN(fd6, IPPROTO_IPV6, MCAST_JOIN_GROUP, group6);
    JOIN(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, group_source);
    JOIN(fd6, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, group_source6);
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &group, 4));
    CALL(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &group_source, 4));
    CALL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by_index, 2));
    close(fd);
    close(fd6);
}

/* bind(2) with what old programs give for "any address". */
static void run_bind_unspecified(void)
{
    const struct sockaddr_in any = {.sin_family = AF_UNSPEC}, other = {.sin_family = AF_UNSPEC, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};

    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, types[i], 0);

        CALL(bind(fd, (const struct sockaddr *)&other, sizeof other));
        CALL(bind(fd, (const struct sockaddr *)&any, sizeof any));
        CALL(bind(fd, (const struct sockaddr *)&any, sizeof any));
        CALL(getpeername(fd, (struct sockaddr *)&(struct sockaddr_in){0}, &(socklen_t){sizeof any}));
        close(fd);
    }
}

/* TCP_INFO of a socket that was connected once. */
static void run_info_afterwards(void)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};
    int fd = oracle_connect_peer();
    struct tcp_info info;
    socklen_t length = sizeof info;

    CALL(connect(fd, &none, sizeof none));
    memset(&info, 0x55, sizeof info);
    CALL(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length));
    oracle_say("state %d", info.tcpi_state);
    oracle_print_names(fd);
}

const struct oracle_case oracle_cases[] = {
    {"lists", run_lists},
    {"preferences_v6", run_preferences},
    {"filters_v4", run_filters},
    {"groups_v4", run_groups},
    {"bind_unspecified_v4", run_bind_unspecified},
    {"info_afterwards", run_info_afterwards},
    {NULL, NULL},
};
