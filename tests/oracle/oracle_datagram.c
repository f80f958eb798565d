/* oracle_datagram.c - what the topics about datagram sockets share. */
#include "oracle_datagram.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 5000
#define CONTROL_BYTES 1024
#define MARKER_FD 203     /* beside ORACLE_PEER_FD */
#define MARKER_NUMBER 15  /* the peer's socket */

/* ---- sockets ---- */

int oracle_udp(void)
{
    int fd = socket(oracle_family(), SOCK_DGRAM, 0);

    if (fd < 0)
        oracle_die("socket");
    return fd;
}

int oracle_udp_bound(void)
{
    int fd = oracle_udp();

    if (oracle_bind(fd, oracle_subject_address(0)) < 0)
        oracle_die("bind");
    oracle_name_port(oracle_local_port(fd), "bound");
    return fd;
}

int oracle_peer_udp(int number)
{
    static const char *const names[] = {"peer-udp0", "peer-udp1", "peer-udp2", "peer-udp3"};
    int port = (int)peer_ask("udp %d", number);

    if (port < 0)
        oracle_die("a datagram socket of the peer's");
    oracle_name_port(port, names[number % 4]);
    return port;
}

int oracle_udp_connected(void)
{
    int fd = oracle_udp_bound();

    if (oracle_connect(fd, oracle_peer_address(oracle_peer_udp(0))) < 0)
        oracle_die("connect");
    return fd;
}

int oracle_udp_refused(void)
{
    int fd = oracle_udp_connected();

    peer_ask("udp-close 0");
    return fd;
}

void oracle_set(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) < 0)
        oracle_die("setsockopt");
}

/* ---- data ---- */

ssize_t oracle_sendto(int fd, const void *data, size_t length, int flags, union oracle_sockaddr to)
{
    return sendto(fd, data, length, flags, &to.sa, oracle_address_size());
}

void oracle_wait_datagram(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    if (poll(&poll_fd, 1, DEADLINE_MS) <= 0)
        oracle_say("waited for a datagram that did not come");
}

/* The bytes, or whether they follow each other as those of the pattern do. */
static const char *data_text(const char *data, size_t length, char text[80])
{
    if (length <= 64) {
        snprintf(text, 80, "\"%.*s\"", (int)length, data);
        return text;
    }
    for (size_t i = 1; i < length; i++) {
        if (data[i] != (data[i - 1] == 'z' ? 'a' : data[i - 1] + 1))
            return "NOT in order";
    }
    return "in order";
}

/* Print "what: N bytes DATA from WHOM", or the errno. */
static void say_received(const char *what, long result, const char *data, size_t size, const void *from,
                         socklen_t length)
{
    char text[80];
    int error = errno;

    if (result < 0)
        oracle_say("%s: %s", what, oracle_errno_text(error));
    else
        oracle_say("%s: %ld bytes %s from %s%s", what, result,
                   data_text(data, (size_t)result < size ? (size_t)result : size, text),
                   oracle_address_text(from, length), error != ORACLE_ERRNO_UNTOUCHED ? ", but errno was changed" : "");
    errno = error;
}

long oracle_recvfrom(int fd, size_t size, int flags)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    char *buffer = calloc(1, size + 1), what[64];
    long result;

    errno = ORACLE_ERRNO_UNTOUCHED;
    result = recvfrom(fd, buffer, size, flags, (struct sockaddr *)&from, &length);
    snprintf(what, sizeof what, "recvfrom %zu, flags %x", size, (unsigned)flags);
    say_received(what, result, buffer, size, &from, length);
    free(buffer);
    return result;
}

static const char *message_flags_text(int flags)
{
    static char text[80];

    snprintf(text, sizeof text, "%s%s%s%s%s", flags & MSG_TRUNC ? " TRUNC" : "", flags & MSG_CTRUNC ? " CTRUNC" : "",
             flags & MSG_ERRQUEUE ? " ERRQUEUE" : "", flags & MSG_EOR ? " EOR" : "",
             flags & ~(MSG_TRUNC | MSG_CTRUNC | MSG_ERRQUEUE | MSG_EOR | MSG_CMSG_CLOEXEC) ? " others" : "");
    return text[0] != '\0' ? text + 1 : "none";
}

/* The loopback's index is 1; the other's is the kernel's choice. */
static const char *interface_text(unsigned index)
{
    return index == 0 ? "none" : index == 1 ? "lo" : "the wire";
}

static bool is_now(const struct timespec *time)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return time->tv_sec <= now.tv_sec && time->tv_sec >= now.tv_sec - 10 && time->tv_nsec >= 0 &&
           time->tv_nsec < 1000000000;
}

static void say_error(const char *name, const struct cmsghdr *c)
{
    const struct sock_extended_err *error = (const void *)CMSG_DATA(c);
    const void *offender = SO_EE_OFFENDER(error);
    size_t rest = c->cmsg_len - CMSG_LEN(sizeof *error);

    oracle_say("  %s: %s, origin %d, type %d, code %d, info %u, data %u, offender %s", name,
               oracle_errno_text((int)error->ee_errno), error->ee_origin, error->ee_type, error->ee_code,
               error->ee_info, error->ee_data,
               ((const struct sockaddr *)offender)->sa_family == AF_UNSPEC
                   ? "unspecified"
                   : oracle_address_text(offender, (socklen_t)rest));
}

static void say_control(const struct cmsghdr *c)
{
    union {
        int number;
        struct in_pktinfo info4;
        struct in6_pktinfo info6;
        struct timeval val;
        struct timespec spec;
    } v = {0};
    size_t length = c->cmsg_len - CMSG_LEN(0);

    memcpy(&v, CMSG_DATA(c), length < sizeof v ? length : sizeof v);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        union oracle_sockaddr to = {.in = {.sin_family = AF_INET, .sin_addr = v.info4.ipi_addr}};
        union oracle_sockaddr own = {.in = {.sin_family = AF_INET, .sin_addr = v.info4.ipi_spec_dst}};

        oracle_say("  IP_PKTINFO: to %s, own %s, interface %s", oracle_address_text(&to, sizeof to.in),
                   oracle_address_text(&own, sizeof own.in), interface_text((unsigned)v.info4.ipi_ifindex));
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        union oracle_sockaddr to = {.in6 = {.sin6_family = AF_INET6, .sin6_addr = v.info6.ipi6_addr}};

        oracle_say("  IPV6_PKTINFO: to %s, interface %s", oracle_address_text(&to, sizeof to.in6),
                   interface_text(v.info6.ipi6_ifindex));
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_ORIGDSTADDR) {
        oracle_say("  IP_ORIGDSTADDR: %s", oracle_address_text(CMSG_DATA(c), (socklen_t)length));
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_ORIGDSTADDR) {
        oracle_say("  IPV6_ORIGDSTADDR: %s", oracle_address_text(CMSG_DATA(c), (socklen_t)length));
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
        oracle_say("  IP_TTL: %d, %zu bytes", v.number, length);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
        oracle_say("  IP_TOS: %d, %zu bytes", v.number, length);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
        oracle_say("  IPV6_HOPLIMIT: %d, %zu bytes", v.number, length);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
        oracle_say("  IPV6_TCLASS: %d, %zu bytes", v.number, length);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP) {
        struct timespec time = {v.val.tv_sec, v.val.tv_usec * 1000};

        oracle_say("  SO_TIMESTAMP: %s, %zu bytes", is_now(&time) ? "now" : "NOT now", length);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
        oracle_say("  SO_TIMESTAMPNS: %s, %zu bytes", is_now(&v.spec) ? "now" : "NOT now", length);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
        oracle_say("  SO_TIMESTAMPING: %s, %zu bytes", is_now(&v.spec) ? "now" : "NOT now", length);
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
        oracle_say("  SO_RXQ_OVFL: %s", v.number > 0 ? "some" : "none");
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
        say_error("IP_RECVERR", c);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR) {
        say_error("IPV6_RECVERR", c);
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
        oracle_say("  UDP_GRO: %d, %zu bytes", v.number, length);
    } else {
        oracle_say("  control message of level %d, type %d: %zu bytes", c->cmsg_level, c->cmsg_type, length);
    }
}

long oracle_recvmsg(int fd, size_t size, size_t control_size, int flags)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    struct sockaddr_storage from;
    char *buffer = calloc(1, size + 1), what[64];
    struct iovec iov = {buffer, size};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = control_size > 0 ? control : NULL, .msg_controllen = control_size,
                             .msg_flags = -1};
    long result;

    errno = ORACLE_ERRNO_UNTOUCHED;
    result = recvmsg(fd, &message, flags);
    snprintf(what, sizeof what, "recvmsg %zu, flags %x", size, (unsigned)flags);
    say_received(what, result, buffer, size, &from, message.msg_namelen);
    if (result >= 0) {
        oracle_say("  flags %s, %s", message_flags_text(message.msg_flags),
                   message.msg_controllen > 0 ? "control messages" : "no control messages");
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c))
            say_control(c);
    }
    free(buffer);
    return result;
}

ssize_t oracle_send_control(int fd, const union oracle_sockaddr *to, int level, int type, const void *value,
                            size_t size)
{
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES] = {0};
    struct iovec iov = {"abc", 3};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to, .msg_namelen = to != NULL ? oracle_address_size() : 0,
                             .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = control, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), value, size);
    return sendmsg(fd, &message, 0);
}

void oracle_wait_for_peer(void)
{
    static bool opened;

    if (!opened) {
        int fd = oracle_udp();

        if (oracle_bind(fd, oracle_subject_address(0)) < 0 || dup2(fd, MARKER_FD) < 0)
            oracle_die("a socket for the marker");
        close(fd);
        oracle_set_timeout(MARKER_FD, SO_RCVTIMEO, DEADLINE_MS);
        peer_ask("udp %d", MARKER_NUMBER);
        opened = true;
    }
    if (peer_ask("udp-send %d 1 %d", MARKER_NUMBER, oracle_local_port(MARKER_FD)) < 0 ||
        recv(MARKER_FD, &(char){0}, 1, 0) != 1)
        oracle_die("the marker");
}

void oracle_peer_sends(int fd, int count)
{
    if (peer_ask("udp-send 0 %d %d", count, oracle_local_port(fd)) < 0)
        oracle_die("the peer cannot send");
    oracle_wait_for_peer();
}

char *oracle_pattern(size_t count)
{
    char *data = malloc(count + 1);

    for (size_t i = 0; i < count; i++)
        data[i] = (char)('a' + i % 26);
    data[count] = '\0';
    return data;
}
