/*
 * datagram_error.c - errors of datagram sockets of ours, and the control messages that recvmsg(2) gives.
 *
 * A pending error is a message in the pair like a datagram: whoever comes upon it takes it out, and the call fails
 * with it. What Linux keeps in a queue beside (IP_RECVERR) the service keeps, and MSG_ERRQUEUE asks for it.
 */
#include "datagram.h"

#include "address.h"
#include "control.h"
#include "libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <linux/errqueue.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

bool datagram_header_is_good(const struct protocol_datagram *header, size_t length)
{
    return length >= sizeof *header && header->magic == PROTOCOL_MAGIC && header->version == PROTOCOL_VERSION &&
           header->peer.length <= sizeof header->peer.bytes && header->local.length <= sizeof header->local.bytes;
}

int datagram_take_error(int fd)
{
    struct protocol_datagram header;
    int saved_errno = errno;
    ssize_t length = libc_recv(fd, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT);
    int error = 0;

    if (length == sizeof header && datagram_header_is_good(&header, sizeof header) &&
        (header.flags & PROTOCOL_DATAGRAM_ERROR)) {
        error = header.error;
        /* Another thread may take it at the same time, and then this takes the datagram behind it: a datagram is
         * lost. */
        (void)!libc_recv(fd, &header, sizeof header, MSG_DONTWAIT);
    }
    errno = saved_errno;
    return error;
}

int datagram_pair_error(int fd, int error)
{
    struct protocol_message message;

    switch (error) {
    case EAGAIN:
    case EINTR:
    case EFAULT:
    case ENOMEM:
    case ENOBUFS:
        return -error;
    case EMSGSIZE: /* longer than SO_SNDBUF; what is longer than a datagram can be was found before */
        return -ENOBUFS;
    default:
        break;
    }
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return DATAGRAM_FOREIGN;
    /* The other end is gone, or the program itself has shut this one down. */
    if (control_status(fd, &message) == -ENETDOWN)
        return -ENETDOWN;
    return -error;
}

int datagram_send_error(int fd, int error, bool has_peer)
{
    struct protocol_message message;

    /* Linux finds out first that it does not know where to. */
    if (error == EPIPE && !has_peer && datagram_is(fd) && control_status(fd, &message) == 0 &&
        message.args[0] == PROTOCOL_STATE_NEW)
        return -EDESTADDRREQ;
    return datagram_pair_error(fd, error);
}

/* Is a pending error the next thing in the pair? errno is kept. */
static bool has_pending_error(int fd)
{
    struct protocol_datagram header;
    int saved_errno = errno;
    ssize_t length = libc_recv(fd, &header, sizeof header, MSG_PEEK | MSG_DONTWAIT);

    errno = saved_errno;
    return length == sizeof header && datagram_header_is_good(&header, sizeof header) &&
           (header.flags & PROTOCOL_DATAGRAM_ERROR);
}

void datagram_correct_poll(struct pollfd *fds, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++) {
        if (!(fds[i].revents & (POLLIN | POLLRDNORM)) || fds[i].fd < 0 ||
            descriptor_kind(fds[i].fd) != DESCRIPTOR_DATAGRAM_ERRORS || !has_pending_error(fds[i].fd))
            continue;
        fds[i].revents = (short)((fds[i].revents & ~(POLLIN | POLLRDNORM)) | POLLERR);
    }
}

void control_out_put(struct control_out *out, int level, int type, const void *data, size_t length)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(length), .cmsg_level = level, .cmsg_type = type};
    size_t space = CMSG_SPACE(length);

    if (out->room < sizeof header) {
        out->is_cut = true;
        return;
    }
    if (out->room < header.cmsg_len) {
        out->is_cut = true;
        header.cmsg_len = out->room;
    }
    memcpy(out->next, &header, sizeof header);
    memcpy(out->next + CMSG_LEN(0), data, header.cmsg_len - CMSG_LEN(0));
    space = space < out->room ? space : out->room;
    out->next += space;
    out->room -= space;
}

/* A control message that is one int. */
static void put_number(struct control_out *out, int level, int name, int number)
{
    control_out_put(out, level, name, &number, sizeof number);
}

/* SOL_SOCKET's come first, then UDP's, then IP's, each in Linux's order. */
static void put_socket_control(struct control_out *out, const struct protocol_datagram *header)
{
    const uint64_t ns = header->received_ns;

    if (header->flags & PROTOCOL_DATAGRAM_TIMESTAMP) {
        struct timeval time = {.tv_sec = (time_t)(ns / 1000000000), .tv_usec = (suseconds_t)(ns % 1000000000 / 1000)};

        control_out_put(out, SOL_SOCKET, SO_TIMESTAMP, &time, sizeof time);
    }
    if (header->flags & PROTOCOL_DATAGRAM_TIMESTAMPNS) {
        struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};

        control_out_put(out, SOL_SOCKET, SO_TIMESTAMPNS, &time, sizeof time);
    }
    if (header->flags & PROTOCOL_DATAGRAM_TIMESTAMPING) {
        struct timespec times[3] = {{.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)}};

        control_out_put(out, SOL_SOCKET, SO_TIMESTAMPING, times, sizeof times);
    }
    if ((header->flags & PROTOCOL_DATAGRAM_OVERFLOW) && header->number != 0)
        control_out_put(out, SOL_SOCKET, SO_RXQ_OVFL, &header->number, sizeof header->number);
    if ((header->flags & PROTOCOL_DATAGRAM_GRO) && header->segment != 0)
        put_number(out, IPPROTO_UDP, UDP_GRO, (int)header->segment);
}

/* The IPv4 address in local, which may be a v4-mapped one. Return: false: it is none. */
static bool find_ip4(const struct protocol_address *local, struct sockaddr_in *ip4)
{
    struct sockaddr_in6 ip6;

    memcpy(ip4, local->bytes, sizeof *ip4);
    if (local->length == sizeof *ip4)
        return true;
    memcpy(&ip6, local->bytes, sizeof ip6);
    if (local->length != sizeof ip6 || !IN6_IS_ADDR_V4MAPPED(&ip6.sin6_addr))
        return false;
    *ip4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = ip6.sin6_port};
    memcpy(&ip4->sin_addr, &ip6.sin6_addr.s6_addr[12], sizeof ip4->sin_addr);
    return true;
}

static void put_ip4_control(struct control_out *out, const struct protocol_datagram *header,
                            const struct sockaddr_in *local)
{
    if (header->flags & PROTOCOL_DATAGRAM_PKTINFO) {
        struct in_pktinfo info = {.ipi_ifindex = (int)header->interface, .ipi_addr = local->sin_addr};

        memcpy(&info.ipi_spec_dst, header->own, sizeof header->own);
        if (info.ipi_spec_dst.s_addr == INADDR_ANY)
            info.ipi_spec_dst = local->sin_addr;
        control_out_put(out, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    if (header->flags & PROTOCOL_DATAGRAM_TTL)
        put_number(out, IPPROTO_IP, IP_TTL, header->ttl);
    if (header->flags & PROTOCOL_DATAGRAM_TOS) {
        uint8_t tos = (uint8_t)header->tos; /* a byte here, an int with IPv6 */

        control_out_put(out, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    }
    if (header->flags & PROTOCOL_DATAGRAM_DESTINATION)
        control_out_put(out, IPPROTO_IP, IP_ORIGDSTADDR, local, sizeof *local);
}

static void put_ip6_control(struct control_out *out, const struct protocol_datagram *header)
{
    if (header->flags & PROTOCOL_DATAGRAM_HOP_LIMIT)
        put_number(out, IPPROTO_IPV6, IPV6_HOPLIMIT, header->ttl);
    if (header->flags & PROTOCOL_DATAGRAM_CLASS)
        put_number(out, IPPROTO_IPV6, IPV6_TCLASS, header->tos);
    if (header->flags & PROTOCOL_DATAGRAM_DESTINATION6)
        control_out_put(out, IPPROTO_IPV6, IPV6_ORIGDSTADDR, header->local.bytes, header->local.length);
}

void datagram_put_control(struct control_out *out, const struct protocol_datagram *header)
{
    struct sockaddr_in ip4;

    if (header->flags == 0)
        return;
    put_socket_control(out, header);
    if (header->flags & PROTOCOL_DATAGRAM_PKTINFO6) {
        struct sockaddr_in6 local;
        struct in6_pktinfo info = {.ipi6_ifindex = header->interface};

        memcpy(&local, header->local.bytes, sizeof local);
        info.ipi6_addr = local.sin6_addr;
        control_out_put(out, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (find_ip4(&header->local, &ip4))
        put_ip4_control(out, header, &ip4);
    else
        put_ip6_control(out, header);
}

/* Copy the payload of an error into the program's pieces. Return: how many bytes it had. */
static size_t scatter(const struct msghdr *message, const uint8_t *bytes, size_t length)
{
    size_t done = 0;

    for (size_t i = 0; i < message->msg_iovlen && done < length; i++) {
        size_t want = message->msg_iov[i].iov_len < length - done ? message->msg_iov[i].iov_len : length - done;

        memcpy(message->msg_iov[i].iov_base, bytes + done, want);
        done += want;
    }
    return done;
}

ssize_t datagram_receive_error(int fd, struct msghdr *message, int flags)
{
    struct control_out out = {message->msg_control, message->msg_control ? message->msg_controllen : 0, false};
    struct {
        struct sock_extended_err extended;
        struct sockaddr_in6 offender;
    } ip6 = {.extended = {0}};
    struct protocol_queued_error queued;
    struct protocol_message reply;
    bool is_ip6;
    size_t got;
    int error;

    control_prepare(&reply, PROTOCOL_ERROR_QUEUE);
    reply.args[0] = datagram_take_error(fd); /* the queue's own, or else it comes back */
    error = control_request(&reply, fd, NULL);
    if (error < 0)
        return error;
    if (reply.option_length != sizeof queued)
        return -EPROTO;
    memcpy(&queued, reply.option, sizeof queued);
    if (queued.length > sizeof queued.payload || queued.offender.length > sizeof queued.offender.bytes)
        return -EPROTO;
    got = scatter(message, queued.payload, queued.length);
    if (message->msg_name != NULL) {
        socklen_t room = message->msg_namelen < reply.address.length ? message->msg_namelen : reply.address.length;

        memcpy(message->msg_name, reply.address.bytes, room);
        message->msg_namelen = reply.address.length;
    }
    memcpy(&ip6.extended, queued.extended, sizeof ip6.extended);
    memcpy(&ip6.offender, queued.offender.bytes, queued.offender.length);
    is_ip6 = reply.address.length == sizeof(struct sockaddr_in6);
    control_out_put(&out, is_ip6 ? IPPROTO_IPV6 : IPPROTO_IP, is_ip6 ? IPV6_RECVERR : IP_RECVERR, &ip6,
                    sizeof ip6.extended + (is_ip6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)));
    message->msg_controllen = message->msg_control ? (size_t)(out.next - (char *)message->msg_control) : 0;
    message->msg_flags = MSG_ERRQUEUE | (out.is_cut ? MSG_CTRUNC : 0) | (got < queued.length ? MSG_TRUNC : 0);
    (void)flags;
    return (ssize_t)got;
}
