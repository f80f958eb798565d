/* udp_control.c - what goes with a datagram: control messages in and out, TTL, TOS, times; many messages by one
 * call. */
#include "oracle_datagram.h"

#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Have all that Linux tells with a datagram told. */
static void ask_for_all(int fd)
{
    if (oracle_family() == AF_INET) {
        oracle_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
        oracle_set(fd, IPPROTO_IP, IP_RECVTTL, 1);
        oracle_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
    } else {
        oracle_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        oracle_set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
        oracle_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
}

static void run_none(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
}

static void run_all(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    ask_for_all(fd);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
    peer_do("udp-set 0 ttl 77");
    peer_do("udp-set 0 tos 40");
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, MSG_PEEK);
    oracle_recvmsg(fd, 10, 500, 0);
}

/* Asked for when the datagram was there already. */
static void run_asked_late(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_peer_sends(fd, 3);
    ask_for_all(fd);
    oracle_recvmsg(fd, 10, 500, 0);
}

static void run_bound_to_any(void)
{
    int fd = oracle_udp();

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_peer_udp(0);
    ask_for_all(fd);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_address("loopback", oracle_local_port(fd))));
    oracle_name_port(oracle_local_port(fd), "bound");
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 500, 0);
    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_subject_address(oracle_local_port(fd))));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 500, 0);
}

static void run_connected(void)
{
    int fd = oracle_udp_connected();

    ask_for_all(fd);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
}

/* The kernel begins to take times a moment after the first socket asks for them (netstamp_needed): wait for that. */
static void wait_for_stamps(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(1);
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    for (int i = 0; i < 1000; i++) {
        char byte, control[256];
        struct iovec iov = {&byte, 1};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

        if (peer_ask("udp-send 1 1 %d", oracle_local_port(fd)) < 0 || recvmsg(fd, &message, 0) < 0)
            oracle_die("no datagram");
        if (message.msg_controllen > 0)
            break;
    }
    close(fd);
}

static void run_times(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    wait_for_stamps();
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 0);
    oracle_set(fd, SOL_SOCKET, SO_TIMESTAMPING, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
}

static void run_original_destination(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_set(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
               oracle_family() == AF_INET ? IP_RECVORIGDSTADDR : IPV6_RECVORIGDSTADDR, 1);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 500, 0);
}

static void run_too_little_room(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    ask_for_all(fd);
    for (size_t room = 0; room <= 80; room += 8) {
        oracle_peer_sends(fd, 3);
        oracle_say("room %zu", room);
        oracle_recvmsg(fd, 10, room, 0);
    }
}

static void run_ttl_and_tos(void)
{
    int fd = oracle_udp_connected(), level = oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int ttl = oracle_family() == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS;
    int tos = oracle_family() == AF_INET ? IP_TOS : IPV6_TCLASS, value;

    peer_do("udp-show 0");
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
    oracle_set(fd, level, ttl, 33);
    oracle_set(fd, level, tos, 16);
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
    value = 44;
    CALL(oracle_send_control(fd, NULL, level, oracle_family() == AF_INET ? IP_TTL : IPV6_HOPLIMIT, &value,
                             sizeof value));
    peer_do("udp-recv 0");
    value = 24;
    CALL(oracle_send_control(fd, NULL, level, tos, &value, sizeof value));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
}

static void run_bad_control(void)
{
    int fd = oracle_udp_connected(), level = oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    int ttl = oracle_family() == AF_INET ? IP_TTL : IPV6_HOPLIMIT;
    int tos = oracle_family() == AF_INET ? IP_TOS : IPV6_TCLASS;

    CALL(oracle_send_control(fd, NULL, level, ttl, &(int){0}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, level, ttl, &(int){256}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, level, ttl, &(int){-2}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, level, ttl, &(char){1}, 1));
    CALL(oracle_send_control(fd, NULL, level, tos, &(int){256}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, level, tos, &(short){1}, sizeof(short)));
    CALL(oracle_send_control(fd, NULL, level, 9999, &(int){1}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, SOL_SOCKET, 9999, &(int){1}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, IPPROTO_UDP, 9999, &(int){1}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, IPPROTO_TCP, 1, &(int){1}, sizeof(int)));
    CALL(oracle_send_control(fd, NULL, SOL_SOCKET, SCM_RIGHTS, &fd, sizeof fd));
}

/* A message whose control data is no message at all. */
static void run_broken_control(void)
{
    int fd = oracle_udp_connected();
    struct cmsghdr c = {.cmsg_len = 3, .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
    struct iovec iov = {"abc", 3};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};

    CALL(sendmsg(fd, &message, 0));
    c.cmsg_len = 500;
    CALL(sendmsg(fd, &message, 0));
    message.msg_controllen = 5;
    CALL(sendmsg(fd, &message, 0));
    peer_do("udp-recv 0");
}

static ssize_t send_from(int fd, const char *role, unsigned interface, union oracle_sockaddr to)
{
    union oracle_sockaddr from = oracle_address(role, 0);
    struct in_pktinfo info4 = {.ipi_spec_dst = from.in.sin_addr, .ipi_ifindex = (int)interface};
    struct in6_pktinfo info6 = {.ipi6_addr = from.in6.sin6_addr, .ipi6_ifindex = interface};

    if (oracle_family() == AF_INET)
        return oracle_send_control(fd, &to, IPPROTO_IP, IP_PKTINFO, &info4, sizeof info4);
    return oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
}

static void run_source(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    peer_do("udp-show 0");
    CALL(send_from(fd, "subject", 0, oracle_peer_address(port)));
    peer_do("udp-recv 0");
    CALL(send_from(fd, "any", 0, oracle_peer_address(port)));
    peer_do("udp-recv 0");
    CALL(send_from(fd, "peer", 0, oracle_peer_address(port)));
    CALL(send_from(fd, oracle_pick("192.0.2.200", "2001:db8::c8"), 0, oracle_peer_address(port)));
    CALL(send_from(fd, "subject", 9999, oracle_peer_address(port)));
}

static void run_source_loopback(void)
{
    int fd = oracle_udp(), other = oracle_udp();

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    CALL(send_from(other, "subject", 0, oracle_address("loopback", oracle_local_port(fd))));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 0, 0);
    CALL(send_from(other, "loopback", 1, oracle_address("loopback", oracle_local_port(fd))));
    oracle_wait_datagram(fd);
    oracle_recvmsg(fd, 10, 0, 0);
}

/* An echo server that answers from the address it was asked at. */
static void run_answer_from_same(void)
{
    int fd = oracle_udp();

    CALL(oracle_bind(fd, oracle_address("any", 0)));
    oracle_peer_udp(0);
    peer_do("udp-connect 0 @ %d", oracle_local_port(fd));
    oracle_peer_sends(fd, 3);
    CALL(send_from(fd, "subject", 0, oracle_peer_address((int)peer_ask("udp 1"))));
    peer_do("udp-recv 1");
}

/* ---- many at once ---- */

#define MANY 4

static struct mmsghdr many[MANY];
static char many_bytes[MANY][16];
static struct iovec many_iov[MANY];
static struct sockaddr_storage many_names[MANY];

static void prepare_many(size_t size)
{
    memset(many, 0, sizeof many);
    memset(many_bytes, 0, sizeof many_bytes);
    for (int i = 0; i < MANY; i++) {
        many_iov[i] = (struct iovec){many_bytes[i], size};
        many[i].msg_hdr.msg_iov = &many_iov[i];
        many[i].msg_hdr.msg_iovlen = 1;
        many[i].msg_hdr.msg_name = &many_names[i];
        many[i].msg_hdr.msg_namelen = sizeof many_names[i];
    }
}

static void say_many(int count)
{
    for (int i = 0; i < count; i++)
        oracle_say("%u \"%s\" from %s%s", many[i].msg_len, many_bytes[i],
                   oracle_address_text(&many_names[i], many[i].msg_hdr.msg_namelen),
                   many[i].msg_hdr.msg_flags & MSG_TRUNC ? ", TRUNC" : "");
}

static void run_recvmmsg(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    prepare_many(8);
    CALL(recvmmsg(fd, many, MANY, MSG_DONTWAIT, NULL));
    oracle_peer_sends(fd, 3);
    oracle_peer_sends(fd, 0);
    oracle_peer_sends(fd, 12);
    say_many((int)CALL(recvmmsg(fd, many, MANY, MSG_DONTWAIT, NULL)));
    prepare_many(8);
    for (int i = 0; i < 6; i++)
        oracle_peer_sends(fd, i);
    say_many((int)CALL(recvmmsg(fd, many, MANY, 0, NULL)));
    say_many((int)CALL(recvmmsg(fd, many, MANY, MSG_WAITFORONE, NULL)));
    prepare_many(8);
    oracle_peer_sends(fd, 3);
    say_many((int)CALL(recvmmsg(fd, many, 1, 0, NULL)));
    CALL(recvmmsg(fd, many, 0, MSG_DONTWAIT, NULL));
}

/* The time is looked at after each datagram, and waits for none. */
static void run_recvmmsg_time(void)
{
    int fd = oracle_udp_bound();
    struct timespec time = {.tv_sec = 0}, bad = {.tv_sec = -1};

    oracle_peer_udp(0);
    prepare_many(8);
    CALL(recvmmsg(fd, many, MANY, 0, &bad));
    for (int i = 0; i < 3; i++)
        oracle_peer_sends(fd, i);
    say_many((int)CALL(recvmmsg(fd, many, MANY, 0, &time)));
    say_many((int)CALL(recvmmsg(fd, many, MANY, 0, &time)));
    time.tv_sec = 5;
    prepare_many(8);
    say_many((int)CALL(recvmmsg(fd, many, 1, 0, &time)));
    oracle_say("time is left: %d", time.tv_sec >= 1);
}

static void run_sendmmsg(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    prepare_many(3);
    for (int i = 0; i < MANY; i++) {
        union oracle_sockaddr to = oracle_peer_address(port);

        memset(many_bytes[i], 'p' + i, 3);
        memcpy(&many_names[i], &to, sizeof to);
        many[i].msg_hdr.msg_namelen = oracle_address_size();
    }
    CALL(sendmmsg(fd, many, MANY, 0));
    for (int i = 0; i < MANY; i++) {
        oracle_say("%u", many[i].msg_len);
        peer_do("udp-recv 0");
    }
    CALL(sendmmsg(fd, many, 0, 0));
    ((struct sockaddr_in *)&many_names[2])->sin_port = 0;
    CALL(sendmmsg(fd, many, MANY, 0));
    CALL(sendmmsg(fd, many + 2, MANY - 2, 0));
    peer_do("udp-recv 0");
    peer_do("udp-recv 0");
    prepare_many(3);
    for (int i = 0; i < MANY; i++) {
        many[i].msg_hdr.msg_name = NULL;
        many[i].msg_hdr.msg_namelen = 0;
    }
    CALL(sendmmsg(fd, many, MANY, 0));
    CALL(oracle_connect(fd, oracle_peer_address(port)));
    CALL(sendmmsg(fd, many, MANY, 0));
}

/* One buffer, several datagrams. */
static void run_segment(void)
{
    int fd = oracle_udp_connected(), value = -1;
    socklen_t length = sizeof value;
    uint16_t size = 4;

    CALL(getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &length));
    oracle_say("%d", value);
    CALL(oracle_send_control(fd, NULL, IPPROTO_UDP, UDP_SEGMENT, &(uint16_t){2}, sizeof(uint16_t)));
    peer_do("udp-recv 0");
    peer_do("udp-recv 0");
    oracle_set(fd, IPPROTO_UDP, UDP_SEGMENT, 4);
    CALL(send(fd, "abcdefghij", 10, 0));
    peer_do("udp-recv 0");
    peer_do("udp-recv 0");
    peer_do("udp-recv 0");
    CALL(oracle_send_control(fd, NULL, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size));
    peer_do("udp-recv 0");
    CALL(oracle_send_control(fd, NULL, IPPROTO_UDP, UDP_SEGMENT, &(int){4}, sizeof(int)));
    CALL(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){-1}, sizeof(int)));
    CALL(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &(int){65536}, sizeof(int)));
    oracle_set(fd, IPPROTO_UDP, UDP_GRO, 1);
    length = sizeof value;
    CALL(getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &length));
    oracle_say("%d", value);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 100, 0);
}

const struct oracle_case oracle_cases[] = {
    {"none", run_none},
    {"all", run_all},
    {"asked_late", run_asked_late},
    {"bound_to_any", run_bound_to_any},
    {"connected", run_connected},
    {"times", run_times},
    {"original_destination", run_original_destination},
    {"too_little_room", run_too_little_room},
    {"ttl_and_tos", run_ttl_and_tos},
    {"bad_control", run_bad_control},
    {"broken_control", run_broken_control},
    {"source", run_source},
    {"source_loopback", run_source_loopback},
    {"answer_from_same", run_answer_from_same},
    {"recvmmsg", run_recvmmsg},
    {"recvmmsg_time", run_recvmmsg_time},
    {"sendmmsg", run_sendmmsg},
    {"segment", run_segment},
    {NULL, NULL},
};
