/* peer_datagram.c - the peer's datagram sockets. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define DATAGRAM_BYTES 65536

/* linux/udp.h, which does not go with netinet's. */
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11

static struct {
    int fd; /* one more, so that 0 is none */
    int sent;
    bool shows;
    int last_port; /* of the sender of what came last */
} sockets[PEER_CONNECTIONS];

static int socket_of(int number)
{
    return sockets[number].fd - 1;
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* The index of the interface towards the subject. */
static unsigned find_interface(void)
{
    union peer_address own = peer_make_address(getenv("ORACLE_PEER_ADDRESS"), 0);
    struct ifaddrs *list = NULL;
    unsigned index = 0;

    getifaddrs(&list);
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        const union peer_address *address = (const void *)i->ifa_addr;

        if (address == NULL || address->sa.sa_family != peer_family())
            continue;
        if (peer_family() == AF_INET ? address->in.sin_addr.s_addr == own.in.sin_addr.s_addr
                                     : IN6_ARE_ADDR_EQUAL(&address->in6.sin6_addr, &own.in6.sin6_addr))
            index = if_nametoindex(i->ifa_name);
    }
    freeifaddrs(list);
    return index;
}

static long do_open(int number, int port, int protocol)
{
    union peer_address address = peer_make_address(NULL, port);
    struct ip_mreqn group_interface = {.imr_ifindex = (int)find_interface()};
    int fd = socket(peer_family(), SOCK_DGRAM | SOCK_CLOEXEC, protocol);
    socklen_t length = sizeof address;

    if (fd < 0)
        return -errno;
    peer_set_deadline(fd);
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    set_int(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
    if (peer_family() == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)find_interface());
    else
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group_interface, sizeof group_interface);
    if (bind(fd, &address.sa, peer_address_size()) < 0 || getsockname(fd, &address.sa, &length) < 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    if (sockets[number].fd != 0)
        close(socket_of(number));
    memset(&sockets[number], 0, sizeof sockets[number]);
    sockets[number].fd = fd + 1;
    return ntohs(address.in.sin_port);
}

/* Datagrams of count bytes: the first of the socket's begins with an a, the next with a b, and so on. */
static long do_send(int number, const char *host, int port, size_t count, int times)
{
    static char buffer[DATAGRAM_BYTES];
    union peer_address address = peer_make_address(host, port);

    if (count > sizeof buffer)
        return -EMSGSIZE;
    for (; times > 0; times--) {
        for (size_t i = 0; i < count; i++)
            buffer[i] = (char)('a' + (i + (size_t)sockets[number].sent) % 26);
        sockets[number].sent++;
        if (sendto(socket_of(number), buffer, count, 0, port > 0 ? &address.sa : NULL,
                   port > 0 ? peer_address_size() : 0) < 0)
            return -errno;
    }
    return (long)count;
}

static const char *role_of(const union peer_address *address, char text[INET6_ADDRSTRLEN])
{
    static const char *const roles[][2] = {{"ORACLE_SUBJECT_ADDRESS", "subject"}, {"ORACLE_PEER_ADDRESS", "peer"}};
    const void *bytes = peer_family() == AF_INET ? (const void *)&address->in.sin_addr : &address->in6.sin6_addr;

    inet_ntop(peer_family(), bytes, text, INET6_ADDRSTRLEN);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(text, getenv(roles[i][0])) == 0)
            return roles[i][1];
    }
    if (peer_family() == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr))
        return "link-local";
    return text;
}

/* What the control messages tell of a datagram: to whom it was sent, its TTL and TOS, or hop limit and class. */
static void show_control(struct msghdr *message)
{
    char text[INET6_ADDRSTRLEN];
    int value;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        union peer_address to = peer_make_address(NULL, 0);

        memcpy(&value, CMSG_DATA(c), c->cmsg_len >= CMSG_LEN(sizeof value) ? sizeof value : 1);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
            to.in.sin_addr = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr;
        else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
            to.in6.sin6_addr = ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr;
        else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
            peer_add_text(", TOS %d", *CMSG_DATA(c));
        else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL)
            peer_add_text(", TTL %d", value);
        else if (c->cmsg_type == IPV6_HOPLIMIT)
            peer_add_text(", hop limit %d", value);
        else if (c->cmsg_type == IPV6_TCLASS)
            peer_add_text(", traffic class %d", value);
        if (c->cmsg_type == IP_PKTINFO || c->cmsg_type == IPV6_PKTINFO)
            peer_add_text(", to %s", role_of(&to, text));
    }
}

static long do_receive(int number)
{
    static char buffer[DATAGRAM_BYTES];
    char control[256], text[INET6_ADDRSTRLEN];
    union peer_address from;
    struct iovec iov = {buffer, sizeof buffer};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(socket_of(number), &message, 0);
    bool in_order = true;

    if (length < 0)
        return -errno;
    sockets[number].last_port = ntohs(from.in.sin_port);
    for (ssize_t i = 1; i < length; i++)
        in_order = in_order && buffer[i] == (buffer[i - 1] == 'z' ? 'a' : buffer[i - 1] + 1);
    if (length <= 64)
        peer_add_text(" \"%.*s\"", (int)length, buffer);
    else
        peer_add_text(" %s", in_order ? "in order" : "NOT in order");
    peer_add_text(" from %s", role_of(&from, text));
    if (sockets[number].shows)
        show_control(&message);
    return (long)length;
}

static long do_show(int number)
{
    int fd = socket_of(number);

    sockets[number].shows = true;
    if (peer_family() == AF_INET)
        return set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) | set_int(fd, IPPROTO_IP, IP_RECVTTL, 1) |
               set_int(fd, IPPROTO_IP, IP_RECVTOS, 1);
    return set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) | set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) |
           set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
}

/* What is sent from now on has this TTL, or TOS, or their equals on IPv6. */
static long do_set(int number, const char *what, int value)
{
    int fd = socket_of(number);

    if (peer_family() == AF_INET) {
        set_int(fd, IPPROTO_IP, IP_MULTICAST_TTL, strcmp(what, "ttl") == 0 ? value : 1);
        return set_int(fd, IPPROTO_IP, strcmp(what, "ttl") == 0 ? IP_TTL : IP_TOS, value);
    }
    set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, strcmp(what, "ttl") == 0 ? value : 1);
    return set_int(fd, IPPROTO_IPV6, strcmp(what, "ttl") == 0 ? IPV6_UNICAST_HOPS : IPV6_TCLASS, value);
}

/* Join a group on the interface towards the subject. */
static long do_join(int number, const char *group)
{
    union peer_address address = peer_make_address(group, 0);
    struct ip_mreqn request4 = {.imr_multiaddr = address.in.sin_addr, .imr_ifindex = (int)find_interface()};
    struct ipv6_mreq request6 = {.ipv6mr_multiaddr = address.in6.sin6_addr, .ipv6mr_interface = find_interface()};
    int fd = socket_of(number);

    if (peer_family() == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request4, sizeof request4) < 0 ? -errno : 0;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request6, sizeof request6) < 0 ? -errno : 0;
}

static long do_error(int number)
{
    struct pollfd poll_fd = {.fd = socket_of(number)};
    int error = 0;
    socklen_t length = sizeof error;

    poll(&poll_fd, 1, PEER_DEADLINE_S * 1000);
    getsockopt(poll_fd.fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return -error;
}

/* Send an ICMP echo request to the subject. Return: the bytes of the reply, or -errno. */
static long do_ping(size_t count)
{
    bool ipv4 = peer_family() == AF_INET;
    union peer_address address = peer_make_address(getenv("ORACLE_SUBJECT_ADDRESS"), 0);
    int fd = socket(peer_family(), SOCK_DGRAM | SOCK_CLOEXEC, ipv4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
    char buffer[4096] = {(char)(ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST)};
    ssize_t length;
    int error;

    if (fd < 0 || count > sizeof buffer)
        return -errno;
    peer_set_deadline(fd);
    length = sendto(fd, buffer, count, 0, &address.sa, peer_address_size());
    if (length >= 0)
        length = recv(fd, buffer, sizeof buffer, 0);
    error = errno;
    close(fd);
    return length < 0 ? -error : length;
}

long peer_run_datagram_command(const char *command)
{
    char name[32] = "", word[64] = "";
    int number = -1, port = 0, count = 0, times = 1;

    sscanf(command, "%31s %d", name, &number);
    if (strcmp(name, "ping") == 0)
        return do_ping((size_t)number);
    if (strncmp(name, "udp", 3) != 0)
        return -ENOSYS;
    if (number < 0 || number >= PEER_CONNECTIONS)
        return -EINVAL;
    if (strcmp(name, "udp") == 0 || strcmp(name, "udp-lite") == 0) {
        sscanf(command, "%*s %*d %d", &port);
        return do_open(number, port, strcmp(name, "udp") == 0 ? IPPROTO_UDP : IPPROTO_UDPLITE);
    }
    if (sockets[number].fd == 0)
        return -EBADF;
    if (strcmp(name, "udp-send") == 0) {
        sscanf(command, "%*s %*d %d %d %d", &count, &port, &times);
        return do_send(number, getenv("ORACLE_SUBJECT_ADDRESS"), port, (size_t)count, times);
    }
    if (strcmp(name, "udp-send-to") == 0) {
        sscanf(command, "%*s %*d %63s %d %d", word, &count, &port);
        return do_send(number, word, port, (size_t)count, 1);
    }
    if (strcmp(name, "udp-connect") == 0) {
        union peer_address address = peer_make_address(getenv("ORACLE_SUBJECT_ADDRESS"), 0);

        sscanf(command, "%*s %*d %d", &port);
        address.in.sin_port = htons((uint16_t)port);
        return connect(socket_of(number), &address.sa, peer_address_size()) < 0 ? -errno : 0;
    }
    if (strcmp(name, "udp-recv") == 0)
        return do_receive(number);
    if (strcmp(name, "udp-from") == 0)
        return sockets[number].last_port;
    if (strcmp(name, "udp-show") == 0)
        return do_show(number);
    if (strcmp(name, "udp-error") == 0)
        return do_error(number);
    if (strcmp(name, "udp-set") == 0) {
        sscanf(command, "%*s %*d %63s %d", word, &count);
        return do_set(number, word, count);
    }
    if (strcmp(name, "udp-coverage") == 0) {
        sscanf(command, "%*s %*d %63s %d", word, &count);
        return set_int(socket_of(number), IPPROTO_UDPLITE,
                       strcmp(word, "send") == 0 ? UDPLITE_SEND_CSCOV : UDPLITE_RECV_CSCOV, count);
    }
    if (strcmp(name, "udp-join") == 0) {
        sscanf(command, "%*s %*d %63s", word);
        return do_join(number, word);
    }
    if (strcmp(name, "udp-close") == 0) {
        close(socket_of(number));
        sockets[number].fd = 0;
        return 0;
    }
    return -EINVAL;
}
