/*
 * datagram.h - datagram sockets of the stack, as the service sees them: UDP, UDP-Lite, ICMP echo ("ping"), raw IP.
 *
 * The rules of stack.h hold: one thread, errors are 0 or -errno, no lwIP type shows. Addresses are those of sockets; a
 * socket made for AF_INET6 takes and shows IPv4 addresses as v4-mapped ones unless it is IPv6 only.
 */
#ifndef SIDESTACK_DATAGRAM_H
#define SIDESTACK_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/errqueue.h> /* wants struct timespec */

#include "stack.h"

struct stack_datagram; /* a socket */

enum stack_datagram_kind {
    STACK_DATAGRAM_UDP,
    STACK_DATAGRAM_UDP_LITE, /* udplite(7), RFC 3828: UDP in all but its checksum, with ports of its own */
    STACK_DATAGRAM_PING, /* icmp(7): ICMP echo requests out, their replies in; the "port" is the echo identifier */
    STACK_DATAGRAM_RAW,  /* raw(7): packets of one IP protocol, on IPv4 received with their IP header */
};

/* What goes with the bytes of one datagram. */
struct stack_datagram_info {
    union stack_address peer;  /* received: from whom. To send: to whom; AF_UNSPEC: to the connected peer */
    union stack_address local; /* received: where it was sent to. To send: from where; AF_UNSPEC: chosen */
    unsigned interface;        /* index; received: where it came in. To send: 0: by the route */
    int ttl, tos;              /* TTL or hop limit, TOS or traffic class; to send: -1: the socket's */
    uint16_t segment;          /* bytes of each datagram but the last in a train (UDP_SEGMENT, UDP_GRO); 0: no train */
    uint64_t received_ns;      /* received: CLOCK_REALTIME */
};

/* An error about a datagram that this socket sent: an ICMP message, or (ee_origin LOCAL) EMSGSIZE that the call
 * returned as well. The socket is told as Linux does: of all errors with STACK_DATAGRAM_RECEIVE_ERRORS; without it,
 * when it is connected, of final ones. */
struct stack_datagram_error {
    struct sock_extended_err extended; /* as recvmsg(2) with MSG_ERRQUEUE gives it; ee_errno is the error */
    union stack_address offender;      /* who said so */
    union stack_address destination;   /* where the datagram was to go */
    const void *payload;               /* as much of it as came back */
    size_t length;
    bool hard;                         /* sets SO_ERROR: the next call fails with it. Else for MSG_ERRQUEUE alone */
};

/* Is it UDP, or UDP-Lite? */
static inline bool stack_datagram_kind_is_udp(enum stack_datagram_kind kind)
{
    return kind == STACK_DATAGRAM_UDP || kind == STACK_DATAGRAM_UDP_LITE;
}

struct stack_datagram_events {
    /* A datagram came. The bytes are the stack's, for the time of the call: copy them on or lose them. Return: false:
     * there was no room, count it as dropped. */
    bool (*received)(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                     size_t length);
    void (*failed)(void *owner, const struct stack_datagram_error *error);
};

/* Make a socket. protocol: of a raw one, else ignored. Return: NULL when out of memory. */
struct stack_datagram *stack_datagram_open(enum stack_datagram_kind kind, int family, int protocol,
                                           const struct stack_datagram_events *events, void *owner);
void stack_datagram_close(struct stack_datagram *datagram);

/* The program closed it: no packet is for it any more. Called by received() when it finds out, the packet then goes to
 * whom it is for without this socket, or is refused. It is still to be closed. */
void stack_datagram_leave(struct stack_datagram *datagram);

/* A datagram that received() took found no room after all. */
void stack_datagram_count_lost(void);

/* bind(2), with Linux's rules for reuse; port 0 chooses one at once.
 * Return: 0, -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL, -EAFNOSUPPORT, -ENODEV. */
int stack_datagram_bind(struct stack_datagram *datagram, const union stack_address *address);

/* connect(2): from now on only this peer is heard, and sent to by default; AF_UNSPEC dissolves it. Binds by itself.
 * Return: 0, -ENETUNREACH, -EACCES (broadcast without SO_BROADCAST), -EAGAIN (no port), -EINVAL, -EAFNOSUPPORT. */
int stack_datagram_connect(struct stack_datagram *datagram, const union stack_address *peer);

/* Send one datagram (or a train) in at most STACK_DATAGRAM_IOV pieces; the memory is the caller's again afterwards.
 * info may be NULL: to the connected peer. Binds to a port by itself. Return: 0 or -errno as sendto(2) gives it:
 * -EDESTADDRREQ, -EMSGSIZE, -ENETUNREACH, -EACCES, -EINVAL, -ENOBUFS, ... */
#define STACK_DATAGRAM_IOV 64
int stack_datagram_send(struct stack_datagram *datagram, const struct stack_datagram_info *info, const struct iovec *iov,
                        int count, size_t length);

/* Return: 0, -ENOTCONN (peer, when there is none). An unbound socket's local address is all zero. */
int stack_datagram_local_address(const struct stack_datagram *datagram, union stack_address *address);
int stack_datagram_peer_address(const struct stack_datagram *datagram, union stack_address *address);

/* Options; values and units are those of the Linux option of the same name, the caller has checked ranges. */
enum stack_datagram_option {
    STACK_DATAGRAM_REUSEADDR,
    STACK_DATAGRAM_REUSEPORT,
    STACK_DATAGRAM_BROADCAST,
    STACK_DATAGRAM_V6ONLY,
    STACK_DATAGRAM_TTL,            /* IP_TTL */
    STACK_DATAGRAM_TOS,
    STACK_DATAGRAM_HOP_LIMIT,      /* IPV6_UNICAST_HOPS */
    STACK_DATAGRAM_TRAFFIC_CLASS,  /* IPV6_TCLASS */
    STACK_DATAGRAM_MTU_DISCOVER,   /* IP_MTU_DISCOVER: IP_PMTUDISC_* */
    STACK_DATAGRAM_MTU_DISCOVER6,
    STACK_DATAGRAM_MULTICAST_TTL,
    STACK_DATAGRAM_MULTICAST_HOPS,
    STACK_DATAGRAM_MULTICAST_LOOP,
    STACK_DATAGRAM_MULTICAST_LOOP6,
    STACK_DATAGRAM_MULTICAST_ALL,  /* IP_MULTICAST_ALL */
    STACK_DATAGRAM_MULTICAST_ALL6,
    STACK_DATAGRAM_MULTICAST_INTERFACE,  /* index; 0: by the route */
    STACK_DATAGRAM_MULTICAST_INTERFACE6,
    STACK_DATAGRAM_BIND_INTERFACE, /* SO_BINDTOIFINDEX: index; 0: any */
    STACK_DATAGRAM_FREEBIND,
    STACK_DATAGRAM_TRANSPARENT,
    STACK_DATAGRAM_HEADER_INCLUDED,/* IP_HDRINCL, raw sockets */
    STACK_DATAGRAM_CHECKSUM,       /* IPV6_CHECKSUM, raw sockets: offset or -1 */
    STACK_DATAGRAM_GRO,            /* UDP_GRO: trains may come */
    STACK_DATAGRAM_SEGMENT,        /* UDP_SEGMENT: default for sending */
    STACK_DATAGRAM_NO_CHECK,       /* SO_NO_CHECK */
    STACK_DATAGRAM_SEND_COVERAGE,    /* UDPLITE_SEND_CSCOV; 0: all, -1: not set */
    STACK_DATAGRAM_RECEIVE_COVERAGE, /* UDPLITE_RECV_CSCOV: at least; 0: all, -1: not set */
    STACK_DATAGRAM_RECEIVE_ERRORS, /* IP_RECVERR, IPV6_RECVERR: unconnected sockets hear of errors too */
    STACK_DATAGRAM_OPTION_COUNT
};
int stack_datagram_set_option(struct stack_datagram *datagram, enum stack_datagram_option option, int value);
int stack_datagram_get_option(const struct stack_datagram *datagram, enum stack_datagram_option option);

/* ICMP_FILTER, ICMP6_FILTER of a raw socket: types to drop, one bit each (ICMPv4: 32, ICMPv6: 256). */
void stack_datagram_set_filter(struct stack_datagram *datagram, const uint32_t filter[8]);

/*
 * Multicast membership (IP_ADD_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP and their like).
 * interface: index, 0: by the route. source: NULL: any; else only what it sends (include), or all but that (exclude).
 * Return: 0, -EADDRINUSE (a member already), -EADDRNOTAVAIL (not a member), -EINVAL (not a group), -ENODEV, -ENOBUFS.
 */
enum stack_membership {
    STACK_JOIN,
    STACK_LEAVE,
    STACK_JOIN_SOURCE,
    STACK_LEAVE_SOURCE,
    STACK_BLOCK_SOURCE,
    STACK_UNBLOCK_SOURCE
};
int stack_datagram_membership(struct stack_datagram *datagram, enum stack_membership what, unsigned interface,
                              const union stack_address *group, const union stack_address *source);

/* The path MTU of a connected socket (IP_MTU). Return: bytes or -ENOTCONN. */
int stack_datagram_path_mtu(const struct stack_datagram *datagram);

#endif
