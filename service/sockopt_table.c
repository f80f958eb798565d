/*
 * sockopt_table.c - every option that a socket has: one row each.
 *
 * To add an option, add a row. The first that fits counts: same level and name, and .on names the kind of socket, so an
 * option that is not the same for TCP and for datagram sockets has two rows. What has none is ENOPROTOOPT. A row says
 *   - where the value lives (enum sockopt_place): in the stack, in the record (a switch or a number: add a name to
 *     sockopt.h), nowhere (a constant), or behind two functions of sockopt_socket.c, sockopt_ip.c or sockopt_tcp.c;
 *   - what a set may say: bounds, and flags for odd lengths, privileges and states (enum sockopt_flag);
 *   - what a new socket has, and whether accept() hands it on.
 * The macros at the top write the usual kinds of row.
 *
 * Every number of every level is compared with the kernel's (tests/oracle/option_sweep.c): add a row, and see it there.
 * What a row keeps in the record only is a matter of the kernel's that the stack has none of (routing by mark, busy
 * polling, priorities of a queue), or is acted on by whoever asks sockopt_switch() or sockopt_number(), or stands in
 * docs/differences.md.
 *
 * SO_ERROR, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT and SO_PEEK_OFF are the pair's own and never come here
 * (intercept/option.c).
 */
#include "sockopt_row.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

/* Linux's bounds: tcp(7), ip(7), net/ipv4/tcp.c. */
#define KEEPALIVE_TIME_MAX 32767
#define KEEPALIVE_COUNT_MAX 127
#define RTO_MS_MIN 1000
#define RTO_MS_MAX 120000
#define RTO_US_MIN 8000 /* two ticks of a kernel with 250 a second */
#define RTO_US_MAX 200000

/* Newer than Debian 12's headers. */
#define OPT_SO_RESERVE_MEM 73
#define OPT_SO_TXREHASH 74
#define OPT_SO_RCVMARK 75
#define OPT_SO_PASSPIDFD 76
#define OPT_SO_PEERPIDFD 77
#define OPT_SO_DEVMEM_DONTNEED 80
#define OPT_SO_RCVPRIORITY 82
#define OPT_SO_PASSRIGHTS 83
#define OPT_IP_LOCAL_PORT_RANGE 51
#define OPT_IP_PROTOCOL 52
#define OPT_TCP_IS_MPTCP 43
#define OPT_TCP_RTO_MAX_MS 44
#define OPT_TCP_RTO_MIN_US 45
#define OPT_TCP_DELACK_MAX_US 46

#define ANY_VALUE INT_MIN, INT_MAX
#define NATURAL 0, INT_MAX
#define BETWEEN(minimum, maximum) minimum, maximum

/* Any value but 0 is 1. */
#define SWITCH(level, name, on, which, flags)                                                                          \
    {level, name, on, OPT_TRUTH | (flags), PLACE_SWITCH, which, 0, 0, 1, 0, NULL, NULL}
/* The same, on by default. */
#define SWITCH_ON(level, name, on, which, flags)                                                                       \
    {level, name, on, OPT_TRUTH | (flags), PLACE_SWITCH, which, 1, 0, 1, 0, NULL, NULL}
/* 0 or 1, all else is EINVAL. */
#define STRICT(level, name, on, which, initial, flags)                                                                 \
    {level, name, on, flags, PLACE_SWITCH, which, initial, 0, 1, 0, NULL, NULL}
#define NUMBER(level, name, on, which, initial, bounds, flags)                                                         \
    {level, name, on, flags, PLACE_NUMBER, which, initial, bounds, 0, NULL, NULL}
#define STACK_SWITCH(level, name, which, flags)                                                                        \
    {level, name, ON_TCP, OPT_TRUTH | (flags), PLACE_STACK, which, 0, 0, 1, 0, NULL, NULL}
#define STACK_NUMBER(level, name, which, bounds) {level, name, ON_TCP, 0, PLACE_STACK, which, 0, bounds, 0, NULL, NULL}
/* Can be read; set fails with error. */
#define CONSTANT(level, name, on, value, error)                                                                        \
    {level, name, on, 0, PLACE_CONSTANT, value, 0, ANY_VALUE, error, NULL, NULL}
#define CALL(level, name, on, get, set, flags) {level, name, on, flags, PLACE_CALL, 0, 0, ANY_VALUE, 0, get, set}
/* CALL with a number in the record that the functions share. */
#define CALL_NUMBER(level, name, on, which, initial, bounds, get, set, flags)                                          \
    {level, name, on, flags, PLACE_CALL, which, initial, bounds, 0, get, set}
#define REFUSED(level, name, on, get_error, set_error, flags)                                                          \
    {level, name, on, flags, PLACE_REFUSED, get_error, 0, ANY_VALUE, set_error, NULL, NULL}

/* For those who are not root set fails with error: always, or with OPT_ROOT_ON for values but 0. */
#define ROOT_SWITCH(level, name, on, which, error)                                                                     \
    {level, name, on, OPT_TRUTH | OPT_ROOT_ON, PLACE_SWITCH, which, 0, 0, 1, error, NULL, NULL}

/* clang-format off: one row a line */
const struct sockopt_row sockopt_rows[] = {
    /* ---- SOL_SOCKET ---- */
    ROOT_SWITCH(SOL_SOCKET, SO_DEBUG, ON_ALL, SWITCH_DEBUG, EACCES),
    STACK_SWITCH(SOL_SOCKET, SO_REUSEADDR, STACK_TCP_REUSEADDR, 0),
    STACK_SWITCH(SOL_SOCKET, SO_REUSEPORT, STACK_TCP_REUSEPORT, 0),
    CALL(SOL_SOCKET, SO_TYPE, ON_ALL, sockopt_get_type, NULL, 0),
    SWITCH(SOL_SOCKET, SO_DONTROUTE, ON_ALL, SWITCH_DONT_ROUTE, 0),
    SWITCH(SOL_SOCKET, SO_BROADCAST, ON_ALL, SWITCH_BROADCAST, 0),
    CALL_NUMBER(SOL_SOCKET, SO_SNDBUF, ON_TCP, NUMBER_SEND_BUFFER, 16384, ANY_VALUE, sockopt_get_number, sockopt_set_buffer, 0),
    CALL_NUMBER(SOL_SOCKET, SO_RCVBUF, ON_TCP, NUMBER_RECEIVE_BUFFER, 131072, ANY_VALUE, sockopt_get_number, sockopt_set_buffer, 0),
    CALL_NUMBER(SOL_SOCKET, SO_SNDBUF, ON_DATAGRAM, NUMBER_SEND_BUFFER, 212992, ANY_VALUE, sockopt_get_number, sockopt_set_buffer, 0),
    CALL_NUMBER(SOL_SOCKET, SO_RCVBUF, ON_DATAGRAM, NUMBER_RECEIVE_BUFFER, 212992, ANY_VALUE, sockopt_get_number, sockopt_set_buffer, 0),
    {SOL_SOCKET, SO_SNDBUFFORCE, ON_ALL, OPT_ROOT, PLACE_CALL, NUMBER_SEND_BUFFER, 0, ANY_VALUE, EPERM, NULL, sockopt_set_buffer},
    {SOL_SOCKET, SO_RCVBUFFORCE, ON_ALL, OPT_ROOT, PLACE_CALL, NUMBER_RECEIVE_BUFFER, 0, ANY_VALUE, EPERM, NULL, sockopt_set_buffer},
    STACK_SWITCH(SOL_SOCKET, SO_KEEPALIVE, STACK_TCP_KEEPALIVE, 0),
    SWITCH(SOL_SOCKET, SO_OOBINLINE, ON_ALL, SWITCH_OOB_INLINE, 0),
    SWITCH(SOL_SOCKET, SO_NO_CHECK, ON_ALL, SWITCH_NO_CHECK, 0),
    CALL_NUMBER(SOL_SOCKET, SO_PRIORITY, ON_ALL, NUMBER_PRIORITY, 0, ANY_VALUE, sockopt_get_number, sockopt_set_priority, OPT_NOT_INHERITED),
    CALL(SOL_SOCKET, SO_LINGER, ON_ALL, sockopt_get_linger, sockopt_set_linger, 0),
    CALL(SOL_SOCKET, SO_BSDCOMPAT, ON_ALL, sockopt_get_zero, sockopt_set_nothing, 0),
    REFUSED(SOL_SOCKET, SO_PASSCRED, ON_ALL, EOPNOTSUPP, EOPNOTSUPP, 0),
    CALL(SOL_SOCKET, SO_PEERCRED, ON_ALL, sockopt_get_peer_credentials, NULL, 0),
    CONSTANT(SOL_SOCKET, SO_SNDLOWAT, ON_ALL, 1, ENOPROTOOPT),
    CALL(SOL_SOCKET, SO_BINDTODEVICE, ON_ALL, sockopt_get_empty, sockopt_set_device, OPT_ANY_LENGTH),
    CALL(SOL_SOCKET, SO_ATTACH_FILTER, ON_ALL, sockopt_get_empty, sockopt_set_filter, 0),
    REFUSED(SOL_SOCKET, SO_DETACH_FILTER, ON_ALL, ENOPROTOOPT, ENOENT, 0), /* there never is one; SO_DETACH_BPF is the same */
    CALL(SOL_SOCKET, SO_PEERNAME, ON_ALL, sockopt_get_peer_name, NULL, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMP_OLD, ON_ALL, sockopt_get_timestamp, sockopt_set_timestamp, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMPNS_OLD, ON_ALL, sockopt_get_timestamp, sockopt_set_timestamp, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMP_NEW, ON_ALL, sockopt_get_timestamp, sockopt_set_timestamp, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMPNS_NEW, ON_ALL, sockopt_get_timestamp, sockopt_set_timestamp, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMPING_OLD, ON_ALL, sockopt_get_timestamping, sockopt_set_timestamping, 0),
    CALL(SOL_SOCKET, SO_TIMESTAMPING_NEW, ON_ALL, sockopt_get_timestamping, sockopt_set_timestamping, 0),
    CALL(SOL_SOCKET, SO_ACCEPTCONN, ON_ALL, sockopt_get_accepting, NULL, 0),
    REFUSED(SOL_SOCKET, SO_PASSSEC, ON_ALL, EOPNOTSUPP, EOPNOTSUPP, 0),
    {SOL_SOCKET, SO_MARK, ON_ALL, OPT_ROOT, PLACE_NUMBER, NUMBER_MARK, 0, ANY_VALUE, EPERM, NULL, NULL},
    CALL(SOL_SOCKET, SO_PROTOCOL, ON_ALL, sockopt_get_protocol, NULL, 0),
    CALL(SOL_SOCKET, SO_DOMAIN, ON_ALL, sockopt_get_domain, NULL, 0),
    SWITCH(SOL_SOCKET, SO_RXQ_OVFL, ON_ALL, SWITCH_OVERFLOW, 0),
    SWITCH(SOL_SOCKET, SO_WIFI_STATUS, ON_ALL, SWITCH_WIFI_STATUS, 0),
    SWITCH(SOL_SOCKET, SO_NOFCS, ON_ALL, SWITCH_NO_FCS, 0),
    {SOL_SOCKET, SO_LOCK_FILTER, ON_ALL, OPT_TRUTH, PLACE_CALL, 0, 0, 0, 1, 0, sockopt_get_filter_lock, sockopt_set_filter_lock},
    SWITCH(SOL_SOCKET, SO_SELECT_ERR_QUEUE, ON_ALL, SWITCH_SELECT_ERROR_QUEUE, 0),
    CALL_NUMBER(SOL_SOCKET, SO_BUSY_POLL, ON_ALL, NUMBER_BUSY_POLL, 0, NATURAL, sockopt_get_number, sockopt_set_busy_poll, 0),
    CALL(SOL_SOCKET, SO_MAX_PACING_RATE, ON_ALL, sockopt_get_pacing_rate, sockopt_set_pacing_rate, 0),
    CONSTANT(SOL_SOCKET, SO_BPF_EXTENSIONS, ON_ALL, 64, ENOPROTOOPT),
    CALL(SOL_SOCKET, SO_INCOMING_CPU, ON_ALL, sockopt_get_cpu, sockopt_set_cpu, 0),
    REFUSED(SOL_SOCKET, SO_ATTACH_BPF, ON_ALL, ENOPROTOOPT, EINVAL, 0),
    REFUSED(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, ON_ALL, ENOPROTOOPT, EINVAL, 0),
    REFUSED(SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, ON_ALL, ENOPROTOOPT, EINVAL, 0),
    CALL(SOL_SOCKET, SO_CNX_ADVICE, ON_ALL, NULL, sockopt_set_nothing, 0),
    CALL(SOL_SOCKET, SO_MEMINFO, ON_ALL, sockopt_get_memory, NULL, 0),
    CONSTANT(SOL_SOCKET, SO_INCOMING_NAPI_ID, ON_ALL, 0, ENOPROTOOPT),
    CALL(SOL_SOCKET, SO_COOKIE, ON_ALL, sockopt_get_cookie, NULL, 0),
    REFUSED(SOL_SOCKET, SO_PEERGROUPS, ON_ALL, ENODATA, ENOPROTOOPT, 0),
    CONSTANT(SOL_SOCKET, SO_ZEROCOPY, ON_TCP | ON_UDP, 0, ENOPROTOOPT), /* DIFFERS: the pair can't say when a page is free again (oracle options/zerocopy) */
    CONSTANT(SOL_SOCKET, SO_ZEROCOPY, ON_PING | ON_RAW, 0, EOPNOTSUPP),
    CALL(SOL_SOCKET, SO_TXTIME, ON_ALL, sockopt_get_transmit_time, NULL, OPT_ANY_LENGTH),
    NUMBER(SOL_SOCKET, SO_BINDTOIFINDEX, ON_ALL, NUMBER_BIND_INTERFACE, 0, NATURAL, 0),
    REFUSED(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, ON_ALL, ENOPROTOOPT, EINVAL, 0),
    ROOT_SWITCH(SOL_SOCKET, SO_PREFER_BUSY_POLL, ON_ALL, SWITCH_PREFER_BUSY_POLL, EPERM),
    {SOL_SOCKET, SO_BUSY_POLL_BUDGET, ON_ALL, OPT_ROOT_ON, PLACE_CALL, 0, 0, 0, USHRT_MAX, EPERM, NULL, sockopt_set_nothing},
    CALL(SOL_SOCKET, SO_NETNS_COOKIE, ON_ALL, sockopt_get_namespace_cookie, NULL, 0),
    NUMBER(SOL_SOCKET, SO_BUF_LOCK, ON_ALL, NUMBER_BUFFER_LOCK, 0, BETWEEN(0, 3), 0),
    {SOL_SOCKET, OPT_SO_RESERVE_MEM, ON_ALL, 0, PLACE_CALL, 0, 0, NATURAL, 0, sockopt_get_zero, sockopt_set_reserved_memory},
    CALL_NUMBER(SOL_SOCKET, OPT_SO_TXREHASH, ON_TCP, NUMBER_REHASH, 1, BETWEEN(-1, 1), sockopt_get_number, sockopt_set_rehash, 0),
    REFUSED(SOL_SOCKET, OPT_SO_TXREHASH, ON_DATAGRAM, EOPNOTSUPP, EOPNOTSUPP, 0),
    SWITCH(SOL_SOCKET, OPT_SO_RCVMARK, ON_ALL, SWITCH_RECEIVE_MARK, 0),
    REFUSED(SOL_SOCKET, OPT_SO_PASSPIDFD, ON_ALL, EOPNOTSUPP, EOPNOTSUPP, 0),
    REFUSED(SOL_SOCKET, OPT_SO_PEERPIDFD, ON_ALL, ENODATA, ENOPROTOOPT, 0),
    CALL(SOL_SOCKET, OPT_SO_DEVMEM_DONTNEED, ON_TCP, NULL, sockopt_set_device_memory, 0),
    REFUSED(SOL_SOCKET, OPT_SO_DEVMEM_DONTNEED, ON_DATAGRAM, ENOPROTOOPT, EBADF, 0),
    SWITCH(SOL_SOCKET, OPT_SO_RCVPRIORITY, ON_ALL, SWITCH_RECEIVE_PRIORITY, 0),
    REFUSED(SOL_SOCKET, OPT_SO_PASSRIGHTS, ON_ALL, EOPNOTSUPP, EOPNOTSUPP, 0),

    /* ---- IPPROTO_IPV6 ---- */
    STACK_SWITCH(IPPROTO_IPV6, IPV6_V6ONLY, STACK_IPV6_V6ONLY, 0),
    /* ---- IPPROTO_IP ---- */
    CALL(IPPROTO_IP, IP_TOS, ON_TCP, sockopt_get_tos, sockopt_set_tos, 0),
    CALL(IPPROTO_IP, IP_TTL, ON_TCP, sockopt_get_ttl, sockopt_set_ttl, OPT_BYTE),
    CONSTANT(IPPROTO_IP, IP_HDRINCL, ON_ALL & ~ON_RAW, 0, ENOPROTOOPT),
    CALL(IPPROTO_IP, IP_OPTIONS, ON_ALL, sockopt_get_empty, sockopt_set_options, 0),
    CONSTANT(IPPROTO_IP, IP_ROUTER_ALERT, ON_ALL & ~ON_RAW, 0, EINVAL),
    SWITCH(IPPROTO_IP, IP_RECVOPTS, ON_ALL, SWITCH_RECEIVE_OPTIONS, 0),
    SWITCH(IPPROTO_IP, IP_RETOPTS, ON_ALL, SWITCH_RETURN_OPTIONS, 0),
    SWITCH(IPPROTO_IP, IP_PKTINFO, ON_ALL, SWITCH_PACKET_INFO, 0),
    CALL(IPPROTO_IP, IP_PKTOPTIONS, ON_TCP, sockopt_get_empty, NULL, 0),
    NUMBER(IPPROTO_IP, IP_MTU_DISCOVER, ON_ALL, NUMBER_MTU_DISCOVER, IP_PMTUDISC_WANT, BETWEEN(0, 5), 0),
    SWITCH(IPPROTO_IP, IP_RECVERR, ON_ALL, SWITCH_RECEIVE_ERROR, 0),
    SWITCH(IPPROTO_IP, IP_RECVTTL, ON_ALL, SWITCH_RECEIVE_TTL, 0),
    SWITCH(IPPROTO_IP, IP_RECVTOS, ON_ALL, SWITCH_RECEIVE_TOS, 0),
    CALL(IPPROTO_IP, IP_MTU, ON_ALL, sockopt_get_mtu, NULL, 0),
    STACK_SWITCH(IPPROTO_IP, IP_FREEBIND, STACK_IP_FREEBIND, OPT_BYTE),
    REFUSED(IPPROTO_IP, IP_IPSEC_POLICY, ON_ALL, ENOPROTOOPT, EOPNOTSUPP, OPT_POLICY),
    REFUSED(IPPROTO_IP, IP_XFRM_POLICY, ON_ALL, ENOPROTOOPT, EINVAL, OPT_POLICY),
    SWITCH(IPPROTO_IP, IP_PASSSEC, ON_ALL, SWITCH_RECEIVE_SECURITY, 0),
    {IPPROTO_IP, IP_TRANSPARENT, ON_TCP, OPT_TRUTH | OPT_BYTE | OPT_ROOT_ON, PLACE_STACK, STACK_IP_TRANSPARENT, 0, 0, 1, EPERM, NULL, NULL},
    SWITCH(IPPROTO_IP, IP_RECVORIGDSTADDR, ON_ALL, SWITCH_RECEIVE_DESTINATION, 0),
    NUMBER(IPPROTO_IP, IP_MINTTL, ON_ALL, NUMBER_MINIMUM_TTL, 0, BETWEEN(0, UCHAR_MAX), OPT_BYTE),
    CONSTANT(IPPROTO_IP, IP_NODEFRAG, ON_ALL & ~ON_RAW, 0, ENOPROTOOPT),
    SWITCH(IPPROTO_IP, IP_NODEFRAG, ON_RAW, SWITCH_NO_DEFRAGMENT, 0),
    SWITCH(IPPROTO_IP, IP_CHECKSUM, ON_ALL, SWITCH_RECEIVE_CHECKSUM, 0),
    SWITCH(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, ON_ALL, SWITCH_BIND_NO_PORT, 0),
    CONSTANT(IPPROTO_IP, IP_RECVFRAGSIZE, ON_TCP, 0, EINVAL),
    SWITCH(IPPROTO_IP, IP_RECVFRAGSIZE, ON_DATAGRAM, SWITCH_RECEIVE_FRAGMENT_SIZE, 0),
    STRICT(IPPROTO_IP, IP_RECVERR_RFC4884, ON_ALL, SWITCH_RECEIVE_ERROR_RFC4884, 0, 0),
    {IPPROTO_IP, IP_MULTICAST_IF, ON_TCP, 0, PLACE_CALL, NUMBER_MULTICAST_ADDRESS, 0, ANY_VALUE, EINVAL, sockopt_get_whole_number, NULL},
    {IPPROTO_IP, IP_MULTICAST_TTL, ON_TCP, 0, PLACE_NUMBER, NUMBER_MULTICAST_TTL, 1, ANY_VALUE, EINVAL, NULL, NULL},
    SWITCH_ON(IPPROTO_IP, IP_MULTICAST_LOOP, ON_ALL, SWITCH_MULTICAST_LOOP, OPT_BYTE),
    REFUSED(IPPROTO_IP, IP_ADD_MEMBERSHIP, ON_TCP, ENOPROTOOPT, EPROTO, 0),
    REFUSED(IPPROTO_IP, IP_DROP_MEMBERSHIP, ON_TCP, ENOPROTOOPT, EPROTO, 0),
    REFUSED(IPPROTO_IP, IP_UNBLOCK_SOURCE, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, IP_BLOCK_SOURCE, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, IP_MSFILTER, ON_TCP, EINVAL, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_JOIN_GROUP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_BLOCK_SOURCE, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_UNBLOCK_SOURCE, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_LEAVE_GROUP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    REFUSED(IPPROTO_IP, MCAST_MSFILTER, ON_TCP, EINVAL, EINVAL, 0),
    STRICT(IPPROTO_IP, IP_MULTICAST_ALL, ON_ALL, SWITCH_MULTICAST_ALL, 1, OPT_BYTE),
    CALL_NUMBER(IPPROTO_IP, IP_UNICAST_IF, ON_ALL, NUMBER_UNICAST_INTERFACE, 0, ANY_VALUE, sockopt_get_number, sockopt_set_unicast_interface, OPT_EXACT),
    CALL_NUMBER(IPPROTO_IP, OPT_IP_LOCAL_PORT_RANGE, ON_ALL, NUMBER_PORT_RANGE, 0, ANY_VALUE, sockopt_get_number, sockopt_set_port_range, OPT_EXACT),
    CALL(IPPROTO_IP, OPT_IP_PROTOCOL, ON_ALL, sockopt_get_port, NULL, 0),

    /* ---- IPPROTO_TCP ---- */
    STACK_SWITCH(IPPROTO_TCP, TCP_NODELAY, STACK_TCP_NODELAY, 0),
    CALL(IPPROTO_TCP, TCP_MAXSEG, ON_TCP, sockopt_get_mss, sockopt_set_mss, 0),
    STACK_SWITCH(IPPROTO_TCP, TCP_CORK, STACK_TCP_CORK, 0),
    STACK_NUMBER(IPPROTO_TCP, TCP_KEEPIDLE, STACK_TCP_KEEPIDLE, BETWEEN(1, KEEPALIVE_TIME_MAX)),
    STACK_NUMBER(IPPROTO_TCP, TCP_KEEPINTVL, STACK_TCP_KEEPINTVL, BETWEEN(1, KEEPALIVE_TIME_MAX)),
    STACK_NUMBER(IPPROTO_TCP, TCP_KEEPCNT, STACK_TCP_KEEPCNT, BETWEEN(1, KEEPALIVE_COUNT_MAX)),
    STACK_NUMBER(IPPROTO_TCP, TCP_SYNCNT, STACK_TCP_SYNCNT, BETWEEN(1, KEEPALIVE_COUNT_MAX)),
    CALL(IPPROTO_TCP, TCP_LINGER2, ON_TCP, sockopt_get_linger2, sockopt_set_linger2, 0),
    CALL_NUMBER(IPPROTO_TCP, TCP_DEFER_ACCEPT, ON_TCP, NUMBER_DEFER_ACCEPT, 0, ANY_VALUE, sockopt_get_number, sockopt_set_defer_accept, OPT_NOT_INHERITED),
    CALL_NUMBER(IPPROTO_TCP, TCP_WINDOW_CLAMP, ON_TCP, NUMBER_WINDOW_CLAMP, 0, ANY_VALUE, sockopt_get_number, sockopt_set_window_clamp, 0),
    CALL(IPPROTO_TCP, TCP_INFO, ON_TCP, sockopt_get_info, NULL, 0),
    CALL_NUMBER(IPPROTO_TCP, TCP_QUICKACK, ON_TCP, NUMBER_QUICK_ACK, 1, ANY_VALUE, sockopt_get_number, sockopt_set_quick_ack, 0),
    CALL(IPPROTO_TCP, TCP_CONGESTION, ON_TCP, sockopt_get_congestion, sockopt_set_congestion, OPT_ANY_LENGTH),
    REFUSED(IPPROTO_TCP, TCP_MD5SIG, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    STRICT(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, ON_TCP, SWITCH_THIN_STREAM, 0, 0),
    {IPPROTO_TCP, TCP_THIN_DUPACK, ON_TCP, 0, PLACE_CALL, 0, 0, 0, 1, 0, sockopt_get_zero, sockopt_set_nothing},
    STACK_NUMBER(IPPROTO_TCP, TCP_USER_TIMEOUT, STACK_TCP_USER_TIMEOUT, NATURAL),
    CONSTANT(IPPROTO_TCP, TCP_REPAIR, ON_TCP, 0, EPERM), /* DIFFERS: a connection can't be taken apart and put together elsewhere */
    REFUSED(IPPROTO_TCP, TCP_REPAIR_QUEUE, ON_TCP, EINVAL, EPERM, 0),
    CALL(IPPROTO_TCP, TCP_QUEUE_SEQ, ON_TCP, sockopt_get_queue_sequence, sockopt_set_queue_sequence, 0),
    REFUSED(IPPROTO_TCP, TCP_REPAIR_OPTIONS, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    NUMBER(IPPROTO_TCP, TCP_FASTOPEN, ON_TCP, NUMBER_FAST_OPEN, 0, NATURAL, OPT_NOT_INHERITED | OPT_NOT_CONNECTED),
    {IPPROTO_TCP, TCP_TIMESTAMP, ON_TCP, 0, PLACE_CALL, 0, 0, ANY_VALUE, EPERM, sockopt_get_time, NULL},
    STACK_NUMBER(IPPROTO_TCP, TCP_NOTSENT_LOWAT, STACK_TCP_NOTSENT_LOWAT, ANY_VALUE),
    CALL(IPPROTO_TCP, TCP_CC_INFO, ON_TCP, sockopt_get_empty, NULL, 0),
    NUMBER(IPPROTO_TCP, TCP_SAVE_SYN, ON_TCP, NUMBER_SAVE_SYN, 0, BETWEEN(0, 2), 0),
    CALL(IPPROTO_TCP, TCP_SAVED_SYN, ON_TCP, sockopt_get_empty, NULL, 0),
    REFUSED(IPPROTO_TCP, TCP_REPAIR_WINDOW, ON_TCP, EINVAL, EPERM, 0),
    STRICT(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, ON_TCP, SWITCH_FAST_OPEN_CONNECT, 0, OPT_NOT_CONNECTED | OPT_NOT_LISTENING),
    CALL(IPPROTO_TCP, TCP_ULP, ON_TCP, sockopt_get_empty, sockopt_set_protocol_name, OPT_ANY_LENGTH),
    REFUSED(IPPROTO_TCP, TCP_MD5SIG_EXT, ON_TCP, ENOPROTOOPT, EINVAL, 0),
    {IPPROTO_TCP, TCP_FASTOPEN_KEY, ON_TCP, OPT_ANY_LENGTH, PLACE_CALL, 0, 0, ANY_VALUE, EINVAL, sockopt_get_empty, NULL},
    STRICT(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, ON_TCP, SWITCH_FAST_OPEN_NO_COOKIE, 0, OPT_NOT_CONNECTED),
    REFUSED(IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, ON_TCP, EINVAL, ENOPROTOOPT, 0), /* DIFFERS: as for SO_ZEROCOPY */
    STRICT(IPPROTO_TCP, TCP_INQ, ON_TCP, SWITCH_RECEIVE_INQ, 0, 0),
    {IPPROTO_TCP, TCP_TX_DELAY, ON_TCP, 0, PLACE_CONSTANT, 0, 0, ANY_VALUE, EINVAL, NULL, NULL}, /* DIFFERS: nothing is delayed */
    CONSTANT(IPPROTO_TCP, OPT_TCP_IS_MPTCP, ON_TCP, 0, ENOPROTOOPT),
    NUMBER(IPPROTO_TCP, OPT_TCP_RTO_MAX_MS, ON_TCP, NUMBER_RTO_MAX, RTO_MS_MAX, BETWEEN(RTO_MS_MIN, RTO_MS_MAX), 0),
    NUMBER(IPPROTO_TCP, OPT_TCP_RTO_MIN_US, ON_TCP, NUMBER_RTO_MIN, RTO_US_MAX, BETWEEN(RTO_US_MIN, RTO_US_MAX), 0),
    NUMBER(IPPROTO_TCP, OPT_TCP_DELACK_MAX_US, ON_TCP, NUMBER_DELAYED_ACK_MAX, RTO_US_MAX, BETWEEN(RTO_US_MIN, RTO_US_MAX), 0),

    /* ---- what datagram sockets have otherwise than TCP, or alone; datagram_option.c passes them on ---- */
    SWITCH(SOL_SOCKET, SO_KEEPALIVE, ON_DATAGRAM, SWITCH_KEEP_ALIVE, 0),
    SWITCH(SOL_SOCKET, SO_REUSEADDR, ON_DATAGRAM, SWITCH_REUSE_ADDRESS, 0),
    SWITCH(SOL_SOCKET, SO_REUSEPORT, ON_DATAGRAM, SWITCH_REUSE_PORT, 0),
    CALL_NUMBER(IPPROTO_IP, IP_TOS, ON_DATAGRAM, NUMBER_TOS, 0, ANY_VALUE, sockopt_get_number, sockopt_set_byte, 0),
    CALL_NUMBER(IPPROTO_IP, IP_TTL, ON_DATAGRAM, NUMBER_TTL, 64, BETWEEN(-1, UCHAR_MAX), sockopt_get_number, sockopt_set_hops, OPT_BYTE),
    SWITCH(IPPROTO_IP, IP_HDRINCL, ON_RAW, SWITCH_HEADER_INCLUDED, 0),
    SWITCH(IPPROTO_IP, IP_FREEBIND, ON_DATAGRAM, SWITCH_FREEBIND, OPT_BYTE),
    ROOT_SWITCH(IPPROTO_IP, IP_TRANSPARENT, ON_DATAGRAM, SWITCH_TRANSPARENT, EPERM),
    CALL_NUMBER(IPPROTO_IP, IP_MULTICAST_TTL, ON_DATAGRAM, NUMBER_MULTICAST_TTL, 1, BETWEEN(-1, UCHAR_MAX), sockopt_get_number, sockopt_set_hops, OPT_BYTE),
    SWITCH(IPPROTO_UDP, UDP_CORK, ON_UDP, SWITCH_CORK, 0),
    CONSTANT(IPPROTO_UDP, UDP_ENCAP, ON_UDP, 0, ENOPROTOOPT),
    SWITCH(IPPROTO_UDP, UDP_NO_CHECK6_TX, ON_UDP, SWITCH_NO_CHECK6_SEND, 0),
    SWITCH(IPPROTO_UDP, UDP_NO_CHECK6_RX, ON_UDP, SWITCH_NO_CHECK6_RECEIVE, 0),
    NUMBER(IPPROTO_UDP, UDP_SEGMENT, ON_UDP, NUMBER_SEGMENT, 0, BETWEEN(0, USHRT_MAX), 0),
    SWITCH(IPPROTO_UDP, UDP_GRO, ON_UDP, SWITCH_GRO, 0),
};
/* clang-format on */

const size_t sockopt_row_count = sizeof sockopt_rows / sizeof *sockopt_rows;
