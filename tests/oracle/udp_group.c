/* udp_group.c - broadcast and multicast. */
#include "oracle_datagram.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Groups of the calling case's own: by default a socket also hears what others, in cases beside this one, have
 * joined. */
#define GROUP group_text(__func__, 1)
#define OTHER_GROUP group_text(__func__, 2)

static const char *group_text(const char *function, int number)
{
    static char texts[2][32];
    char *text = texts[number - 1];
    unsigned hash = 0;

    for (; *function != '\0'; function++)
        hash = hash * 31 + (unsigned char)*function;
    snprintf(text, sizeof texts[0], oracle_pick("239.%u.%u.%d", "ff05::%x:%x:%d"), hash >> 8 & 255, hash & 255, number);
    return text;
}

static int level(void)
{
    return oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

/* Join or leave a group on an interface, by the family's own option; index 0: by the route. */
static int change_membership(int fd, bool join, const char *group, unsigned index)
{
    union oracle_sockaddr address = oracle_address(group, 0);
    struct ip_mreqn request4 = {.imr_multiaddr = address.in.sin_addr, .imr_ifindex = (int)index};
    struct ipv6_mreq request6 = {.ipv6mr_multiaddr = address.in6.sin6_addr, .ipv6mr_interface = index};

    if (oracle_family() == AF_INET)
        return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request4, sizeof request4);
    return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request6, sizeof request6);
}

/* The same by the options for both families (RFC 3678). */
static int change_by_protocol(int fd, int option, const char *group)
{
    union oracle_sockaddr address = oracle_address(group, 0);
    struct group_req request = {0};

    memcpy(&request.gr_group, &address, oracle_address_size());
    return setsockopt(fd, level(), option, &request, sizeof request);
}

static int change_source(int fd, int option, const char *group, const char *source)
{
    union oracle_sockaddr address = oracle_address(group, 0), from = oracle_address(source, 0);
    struct group_source_req request = {0};

    memcpy(&request.gsr_group, &address, oracle_address_size());
    memcpy(&request.gsr_source, &from, oracle_address_size());
    return setsockopt(fd, level(), option, &request, sizeof request);
}

/* A socket that is bound to no address, so that groups reach it. */
static int open_any(void)
{
    int fd = oracle_udp();

    oracle_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (oracle_bind(fd, oracle_address("any", 0)) < 0)
        oracle_die("bind");
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_peer_udp(0);
    return fd;
}

/* The peer sends 4 bytes to the group and then 2 to this socket: what comes? */
static void try_receive(int fd, const char *group)
{
    peer_ask("udp-send-to 0 %s 4 %d", group, oracle_local_port(fd));
    peer_ask("udp-send 0 2 %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    if (oracle_recvfrom(fd, 10, 0) == 4) {
        oracle_wait_datagram(fd);
        oracle_recvfrom(fd, 10, 0);
    }
}

/* ---- broadcast ---- */

static void run_broadcast_v4(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    peer_do("udp-show 0");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("10.99.0.255", port)));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("255.255.255.255", port)));
    CALL(oracle_connect(fd, oracle_address("10.99.0.255", port)));
    oracle_set(fd, SOL_SOCKET, SO_BROADCAST, 1);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("10.99.0.255", port)));
    peer_do("udp-recv 0");
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("255.255.255.255", port)));
    peer_do("udp-recv 0");
    CALL(oracle_connect(fd, oracle_address("10.99.0.255", port)));
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
}

static void run_broadcast_received_v4(void)
{
    int fd = open_any();

    oracle_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    peer_do("udp-send-to 0 10.99.0.255 3 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 100, 0);
    fd = oracle_udp_bound();
    try_receive(fd, "10.99.0.255");
}

static void run_broadcast_bound_v4(void)
{
    int fd = oracle_udp();

    oracle_peer_udp(0);
    CALL(oracle_bind(fd, oracle_address("10.99.0.255", 0)));
    peer_do("udp-send-to 0 10.99.0.255 3 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(oracle_peer_udp(1))));
    peer_do("udp-recv 1");
}

/* Each socket on the port gets a copy of a broadcast. */
static void run_broadcast_to_all_v4(void)
{
    int fd = open_any(), other = oracle_udp();

    oracle_set(other, SOL_SOCKET, SO_REUSEADDR, 1);
    CALL(oracle_bind(other, oracle_address("any", oracle_local_port(fd))));
    peer_do("udp-send-to 0 10.99.0.255 3 @ %d", oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_wait_datagram(other);
    oracle_recvfrom(other, 10, 0);
}

/* One's own broadcast comes back. */
static void run_broadcast_to_oneself_v4(void)
{
    int fd = open_any();

    oracle_set(fd, SOL_SOCKET, SO_BROADCAST, 1);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("10.99.0.255", oracle_local_port(fd))));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
}

/* ---- sending to groups ---- */

static void run_send(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    peer_do("udp-show 0");
    peer_do("udp-join 0 %s", GROUP);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
    peer_do("udp-recv 0");
    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, 9);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
    peer_do("udp-recv 0");
    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, 33);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
    peer_do("udp-recv 0");
    CALL(oracle_connect(fd, oracle_address(GROUP, port)));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_print_names(fd);
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
}

static void run_defaults(void)
{
    int fd = oracle_udp(), value = -1;
    socklen_t length = sizeof value;
    bool ipv4 = oracle_family() == AF_INET;

    CALL(getsockopt(fd, level(), ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &value, &length));
    oracle_say("%d, length %u", value, (unsigned)length);
    length = sizeof value;
    CALL(getsockopt(fd, level(), ipv4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, &value, &length));
    oracle_say("%d, length %u", value, (unsigned)length);
    length = sizeof value;
    CALL(getsockopt(fd, level(), ipv4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, &value, &length));
    oracle_say("%d, length %u", value, (unsigned)length);
    length = sizeof value;
    CALL(getsockopt(fd, level(), ipv4 ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, &value, &length));
    oracle_say("%d, length %u", value, (unsigned)length);
    CALL(setsockopt(fd, level(), ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &(int){256}, sizeof(int)));
    CALL(setsockopt(fd, level(), ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &(int){-1}, sizeof(int)));
    CALL(setsockopt(fd, level(), ipv4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, &(char){3}, sizeof(char)));
    CALL(setsockopt(fd, level(), ipv4 ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, &(int){9999}, sizeof(int)));
}

static void run_interface(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);
    union oracle_sockaddr own = oracle_subject_address(0);
    struct ip_mreqn by_address = {.imr_address = own.in.sin_addr};

    peer_do("udp-join 0 %s", GROUP);
    if (oracle_family() == AF_INET) {
        CALL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &own.in.sin_addr, sizeof own.in.sin_addr));
        CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
        peer_do("udp-recv 0");
        CALL(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by_address, sizeof by_address));
        CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
        peer_do("udp-recv 0");
    }
    CALL(setsockopt(fd, level(), oracle_family() == AF_INET ? IP_MULTICAST_IF : IPV6_MULTICAST_IF, &(int){0},
                    sizeof(int)));
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address(GROUP, port)));
    peer_do("udp-recv 0");
}

/* ---- membership ---- */

static void run_join(void)
{
    int fd = open_any();

    try_receive(fd, GROUP);
    CALL(change_membership(fd, true, GROUP, 0));
    try_receive(fd, GROUP);
    try_receive(fd, OTHER_GROUP);
    CALL(change_membership(fd, false, GROUP, 0));
    try_receive(fd, GROUP);
}

static void run_join_by_protocol(void)
{
    int fd = open_any();

    CALL(change_by_protocol(fd, MCAST_JOIN_GROUP, GROUP));
    try_receive(fd, GROUP);
    CALL(change_by_protocol(fd, MCAST_JOIN_GROUP, GROUP));
    CALL(change_by_protocol(fd, MCAST_LEAVE_GROUP, GROUP));
    try_receive(fd, GROUP);
    CALL(change_by_protocol(fd, MCAST_LEAVE_GROUP, GROUP));
}

static void run_join_errors(void)
{
    int fd = oracle_udp();

    CALL(change_membership(fd, true, GROUP, 0));
    CALL(change_membership(fd, true, GROUP, 0));
    CALL(change_membership(fd, false, OTHER_GROUP, 0));
    CALL(change_membership(fd, true, "peer", 0));
    CALL(change_membership(fd, true, "any", 0));
    CALL(change_membership(fd, true, OTHER_GROUP, 9999));
    CALL(change_membership(fd, false, GROUP, 9999));
    CALL(change_membership(fd, false, GROUP, 0));
    CALL(change_membership(fd, false, GROUP, 0));
    CALL(setsockopt(fd, level(), oracle_family() == AF_INET ? IP_ADD_MEMBERSHIP : IPV6_JOIN_GROUP, &(int){0},
                    sizeof(int)));
    CALL(change_by_protocol(fd, MCAST_JOIN_GROUP, "peer"));
    fd = oracle_socket();
    CALL(change_membership(fd, true, GROUP, 0));
}

static void run_join_by_address_v4(void)
{
    int fd = open_any();
    struct ip_mreq request = {.imr_multiaddr = oracle_address(GROUP, 0).in.sin_addr,
                              .imr_interface = oracle_subject_address(0).in.sin_addr};

    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    try_receive(fd, GROUP);
    request.imr_interface.s_addr = htonl(0x01020304);
    CALL(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
    request.imr_interface.s_addr = htonl(INADDR_ANY);
    CALL(setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
    try_receive(fd, GROUP);
}

/* A membership ends with its socket. */
static void run_join_closed(void)
{
    int fd = open_any(), other = oracle_udp();

    CALL(change_membership(other, true, GROUP, 0));
    try_receive(fd, GROUP);
    CALL(close(other));
    try_receive(fd, GROUP);
}

/* Groups that others joined come too, unless one says no. */
static void run_all(void)
{
    int fd = open_any(), other = oracle_udp();

    CALL(change_membership(other, true, GROUP, 0));
    try_receive(fd, GROUP);
    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 0);
    try_receive(fd, GROUP);
    CALL(change_membership(fd, true, GROUP, 0));
    try_receive(fd, GROUP);
}

/* Each socket on the port gets a copy. */
static void run_two(void)
{
    int fd = open_any(), other = oracle_udp();

    oracle_set(other, SOL_SOCKET, SO_REUSEADDR, 1);
    CALL(oracle_bind(other, oracle_address("any", oracle_local_port(fd))));
    CALL(change_membership(fd, true, GROUP, 0));
    CALL(change_membership(other, true, GROUP, 0));
    peer_do("udp-send-to 0 %s 3 @ %d", GROUP, oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_wait_datagram(other);
    oracle_recvfrom(other, 10, 0);
}

/* Bound to the group's address: nothing else comes. */
static void run_bound_to_group(void)
{
    int fd = oracle_udp();

    oracle_peer_udp(0);
    CALL(oracle_bind(fd, oracle_address(GROUP, 0)));
    CALL(change_membership(fd, true, GROUP, 0));
    CALL(change_membership(fd, true, OTHER_GROUP, 0));
    peer_do("udp-send 0 2 @ %d", oracle_local_port(fd));
    peer_do("udp-send-to 0 %s 3 @ %d", OTHER_GROUP, oracle_local_port(fd));
    peer_do("udp-send-to 0 %s 4 @ %d", GROUP, oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(oracle_peer_udp(1))));
    peer_do("udp-recv 1");
}

static void run_destination(void)
{
    int fd = open_any();

    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
    CALL(change_membership(fd, true, GROUP, 0));
    peer_do("udp-send-to 0 %s 3 @ %d", GROUP, oracle_local_port(fd));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 100, 0);
}

/* What one sends to a group of one's own comes back, unless one says no. */
static void run_loop(void)
{
    int fd = open_any();
    union oracle_sockaddr to = oracle_address(GROUP, oracle_local_port(fd));

    CALL(change_membership(fd, true, GROUP, 0));
    CALL(oracle_sendto(fd, "abc", 3, 0, to));
    oracle_wait_datagram(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, 0);
    CALL(oracle_sendto(fd, "def", 3, 0, to));
    try_receive(fd, GROUP);
}

/* ---- sources ---- */

static void run_source(void)
{
    int fd = open_any();

    oracle_set(fd, level(), oracle_family() == AF_INET ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 0);
    CALL(change_source(fd, MCAST_JOIN_SOURCE_GROUP, GROUP, "peer"));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_LEAVE_SOURCE_GROUP, GROUP, "peer"));
    CALL(change_source(fd, MCAST_JOIN_SOURCE_GROUP, GROUP, "absent"));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_JOIN_SOURCE_GROUP, GROUP, "peer"));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_LEAVE_SOURCE_GROUP, GROUP, "silent"));
}

static void run_block_source(void)
{
    int fd = open_any();

    CALL(change_source(fd, MCAST_BLOCK_SOURCE, GROUP, "peer"));
    CALL(change_by_protocol(fd, MCAST_JOIN_GROUP, GROUP));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_BLOCK_SOURCE, GROUP, "peer"));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_UNBLOCK_SOURCE, GROUP, "peer"));
    try_receive(fd, GROUP);
    CALL(change_source(fd, MCAST_UNBLOCK_SOURCE, GROUP, "peer"));
    CALL(change_source(fd, MCAST_JOIN_SOURCE_GROUP, GROUP, "peer"));
}

static void run_source_by_address_v4(void)
{
    int fd = open_any();
    struct ip_mreq_source request = {.imr_multiaddr = oracle_address(GROUP, 0).in.sin_addr,
                                     .imr_interface = oracle_subject_address(0).in.sin_addr,
                                     .imr_sourceaddr = oracle_peer_address(0).in.sin_addr};

    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request));
    try_receive(fd, GROUP);
    CALL(setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof request));
    CALL(setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof request));
}

const struct oracle_case oracle_cases[] = {
    {"broadcast_v4", run_broadcast_v4},
    {"broadcast_received_v4", run_broadcast_received_v4},
    {"broadcast_bound_v4", run_broadcast_bound_v4},
    {"broadcast_to_all_v4", run_broadcast_to_all_v4},
    {"broadcast_to_oneself_v4", run_broadcast_to_oneself_v4},
    {"send", run_send},
    {"defaults", run_defaults},
    {"interface", run_interface},
    {"join", run_join},
    {"join_by_protocol", run_join_by_protocol},
    {"join_errors", run_join_errors},
    {"join_by_address_v4", run_join_by_address_v4},
    {"join_closed", run_join_closed},
    {"all", run_all},
    {"two", run_two},
    {"bound_to_group", run_bound_to_group},
    {"destination", run_destination},
    {"loop", run_loop},
    {"source", run_source},
    {"block_source", run_block_source},
    {"source_by_address_v4", run_source_by_address_v4},
    {NULL, NULL},
};
