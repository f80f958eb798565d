/*
 * sockopt.c - getsockopt(2) and setsockopt(2) for what the pair itself does not hold.
 *
 * One table says for each option where its value lives: in the stack, in the record, or nowhere (a constant). Options with a structure or a rule of
 * their own have functions. What is in neither is ENOPROTOOPT, as on Linux. SO_ERROR, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT and SO_PEEK_OFF are the
 * pair's own and never come here.
 */
#include "sockopt.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

/* Linux's bounds (net/core/sock.c, net/ipv4/tcp.c; socket(7), tcp(7)). */
#define BUFFER_SET_MAX 212992 /* net.core.wmem_max and rmem_max by default */
#define SEND_BUFFER_MIN 4608
#define RECEIVE_BUFFER_MIN 2304
#define KEEPALIVE_TIME_MAX 32767
#define KEEPALIVE_COUNT_MAX 127
#define SYN_RETRY_PERIOD_MAX_S 120 /* TCP_RTO_MAX */
#define MSS_MIN 88
#define MSS_MAX 32767
#define MSS_UNCONNECTED 536
#define TTL_DEFAULT 64
#define ECN_MASK 3

enum place {
    PLACE_STACK,    /* stack_tcp_set_option() */
    PLACE_RECORD,   /* struct socket_options: noted, shown and inherited */
    PLACE_CONSTANT, /* can't be set: ENOPROTOOPT */
    PLACE_FIXED,    /* can't be set: EINVAL */
    PLACE_REFUSED,  /* EOPNOTSUPP both ways */
};

/* What PLACE_RECORD options are called in struct socket_options. */
enum recorded {
    RECORD_SEND_BUFFER,
    RECORD_RECEIVE_BUFFER,
    RECORD_DONT_ROUTE,
    RECORD_BROADCAST,
    RECORD_OOB_INLINE,
    RECORD_TIMESTAMP,
    RECORD_NO_CHECK,
    RECORD_PRIORITY,
    RECORD_MARK,
    RECORD_BUSY_POLL,
    RECORD_LINGER2,
    RECORD_DEFER_ACCEPT,
    RECORD_WINDOW_CLAMP,
    RECORD_QUICK_ACK,
    RECORD_NOTSENT_LOW_WATER,
    RECORD_FAST_OPEN,
    RECORD_MTU_DISCOVER,
    RECORD_RECEIVE_TTL,
    RECORD_RECEIVE_TOS,
    RECORD_PACKET_INFO,
    RECORD_RECEIVE_ERROR,
    RECORD_BIND_NO_PORT,
    RECORD_COUNT
};
_Static_assert(RECORD_COUNT <= SOCKET_RECORDED_MAX, "room for each");

struct row {
    int level, name;
    enum place place;
    int where;            /* the stack's option, the recorded one, or the constant */
    int initial;          /* PLACE_RECORD: of a new socket */
    int minimum, maximum; /* set: outside is EINVAL; 0 and 1: a switch, any value but 0 is 1 */
};

#define ANY_VALUE INT_MIN, INT_MAX
#define SWITCH 0, 1

static const struct row rows[] = {
    {SOL_SOCKET, SO_TYPE, PLACE_CONSTANT, SOCK_STREAM, 0, ANY_VALUE},
    {SOL_SOCKET, SO_DOMAIN, PLACE_CONSTANT, AF_INET, 0, ANY_VALUE},
    {SOL_SOCKET, SO_PROTOCOL, PLACE_CONSTANT, IPPROTO_TCP, 0, ANY_VALUE},
    {SOL_SOCKET, SO_SNDLOWAT, PLACE_CONSTANT, 1, 0, ANY_VALUE},
    {SOL_SOCKET, SO_INCOMING_NAPI_ID, PLACE_CONSTANT, 0, 0, ANY_VALUE},
    {SOL_SOCKET, SO_PASSCRED, PLACE_REFUSED, 0, 0, ANY_VALUE},
    {SOL_SOCKET, SO_ZEROCOPY, PLACE_CONSTANT, 0, 0, ANY_VALUE}, /* DIFFERS: the pair can't say when a page is free again (oracle options/set) */
    {SOL_SOCKET, SO_REUSEADDR, PLACE_STACK, STACK_TCP_REUSEADDR, 0, SWITCH},
    {SOL_SOCKET, SO_REUSEPORT, PLACE_STACK, STACK_TCP_REUSEPORT, 0, SWITCH},
    {SOL_SOCKET, SO_KEEPALIVE, PLACE_STACK, STACK_TCP_KEEPALIVE, 0, SWITCH},
    {SOL_SOCKET, SO_SNDBUF, PLACE_RECORD, RECORD_SEND_BUFFER, 16384, ANY_VALUE},
    {SOL_SOCKET, SO_RCVBUF, PLACE_RECORD, RECORD_RECEIVE_BUFFER, 131072, ANY_VALUE},
    {SOL_SOCKET, SO_DONTROUTE, PLACE_RECORD, RECORD_DONT_ROUTE, 0, SWITCH},
    {SOL_SOCKET, SO_BROADCAST, PLACE_RECORD, RECORD_BROADCAST, 0, SWITCH},
    {SOL_SOCKET, SO_OOBINLINE, PLACE_RECORD, RECORD_OOB_INLINE, 0, SWITCH},
    {SOL_SOCKET, SO_TIMESTAMP, PLACE_RECORD, RECORD_TIMESTAMP, 0, SWITCH},
    {SOL_SOCKET, SO_NO_CHECK, PLACE_RECORD, RECORD_NO_CHECK, 0, SWITCH},
    {SOL_SOCKET, SO_PRIORITY, PLACE_RECORD, RECORD_PRIORITY, 0, ANY_VALUE},
    {SOL_SOCKET, SO_MARK, PLACE_RECORD, RECORD_MARK, 0, ANY_VALUE},
    {SOL_SOCKET, SO_BUSY_POLL, PLACE_RECORD, RECORD_BUSY_POLL, 0, 0, INT_MAX},
    {IPPROTO_TCP, TCP_NODELAY, PLACE_STACK, STACK_TCP_NODELAY, 0, SWITCH},
    {IPPROTO_TCP, TCP_CORK, PLACE_STACK, STACK_TCP_CORK, 0, SWITCH},
    {IPPROTO_TCP, TCP_KEEPIDLE, PLACE_STACK, STACK_TCP_KEEPIDLE, 0, 1, KEEPALIVE_TIME_MAX},
    {IPPROTO_TCP, TCP_KEEPINTVL, PLACE_STACK, STACK_TCP_KEEPINTVL, 0, 1, KEEPALIVE_TIME_MAX},
    {IPPROTO_TCP, TCP_KEEPCNT, PLACE_STACK, STACK_TCP_KEEPCNT, 0, 1, KEEPALIVE_COUNT_MAX},
    {IPPROTO_TCP, TCP_SYNCNT, PLACE_STACK, STACK_TCP_SYNCNT, 0, 1, KEEPALIVE_COUNT_MAX},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, PLACE_STACK, STACK_TCP_USER_TIMEOUT, 0, 0, INT_MAX},
    {IPPROTO_TCP, TCP_LINGER2, PLACE_RECORD, RECORD_LINGER2, 60, ANY_VALUE},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, PLACE_RECORD, RECORD_DEFER_ACCEPT, 0, ANY_VALUE},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, PLACE_RECORD, RECORD_WINDOW_CLAMP, 0, ANY_VALUE},
    {IPPROTO_TCP, TCP_QUICKACK, PLACE_RECORD, RECORD_QUICK_ACK, 1, SWITCH},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, PLACE_RECORD, RECORD_NOTSENT_LOW_WATER, 0, ANY_VALUE},
    {IPPROTO_TCP, TCP_FASTOPEN, PLACE_RECORD, RECORD_FAST_OPEN, 0, 0, INT_MAX},
    {IPPROTO_IP, IP_MTU_DISCOVER, PLACE_RECORD, RECORD_MTU_DISCOVER, IP_PMTUDISC_WANT, 0, 5},
    {IPPROTO_IP, IP_MULTICAST_TTL, PLACE_FIXED, 1, 0, ANY_VALUE},
    {IPPROTO_IP, IP_RECVTTL, PLACE_RECORD, RECORD_RECEIVE_TTL, 0, SWITCH},
    {IPPROTO_IP, IP_RECVTOS, PLACE_RECORD, RECORD_RECEIVE_TOS, 0, SWITCH},
    {IPPROTO_IP, IP_PKTINFO, PLACE_RECORD, RECORD_PACKET_INFO, 0, SWITCH},
    {IPPROTO_IP, IP_RECVERR, PLACE_RECORD, RECORD_RECEIVE_ERROR, 0, SWITCH},
    {IPPROTO_IP, IP_FREEBIND, PLACE_STACK, STACK_IP_FREEBIND, 0, SWITCH},
    {IPPROTO_IP, IP_TRANSPARENT, PLACE_STACK, STACK_IP_TRANSPARENT, 0, SWITCH},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, PLACE_RECORD, RECORD_BIND_NO_PORT, 0, SWITCH},
};

void sockopt_set_defaults(struct socket_options *options)
{
    *options = (struct socket_options){.linger_on = 0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].place == PLACE_RECORD)
            options->recorded[rows[i].where] = rows[i].initial;
}

void sockopt_inherit(struct socket_options *options, const struct socket_options *listener)
{
    *options = *listener;
    options->recorded[RECORD_PRIORITY] = 0;
    options->recorded[RECORD_FAST_OPEN] = 0;
}

static const struct row *find_row(int level, int name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].level == level && rows[i].name == name)
            return &rows[i];
    return NULL;
}

static int get_stack(const struct socket *socket, enum stack_tcp_option option)
{
    return socket->tcp != NULL ? stack_tcp_get_option(socket->tcp, option) : 0;
}

static int set_stack(struct socket *socket, enum stack_tcp_option option, int value)
{
    /* TCP is gone: Linux keeps the value, and nothing will ever use it. */
    return socket->tcp != NULL ? stack_tcp_set_option(socket->tcp, option, value) : 0;
}

static int get_row(const struct socket *socket, const struct row *row)
{
    switch (row->place) {
    case PLACE_STACK:
        return get_stack(socket, (enum stack_tcp_option)row->where);
    case PLACE_RECORD:
        return socket->options.recorded[row->where];
    case PLACE_CONSTANT:
    case PLACE_FIXED:
    case PLACE_REFUSED:
        break;
    }
    return row->where;
}

/* The size that Linux would take: doubled for its overhead, within its bounds. */
static int buffer_size(int value, int minimum)
{
    if (value < 0 || value > BUFFER_SET_MAX)
        value = BUFFER_SET_MAX;
    return MAX(value * 2, minimum);
}

/* Seconds to wait for data, rounded up to when a SYN-ACK would be sent again (tcp(7), TCP_DEFER_ACCEPT). */
static int defer_accept_seconds(int value)
{
    int timeout = 1, period = 1;

    if (value <= 0)
        return 0;
    while (period < value) {
        timeout = MIN(timeout * 2, SYN_RETRY_PERIOD_MAX_S);
        period += timeout;
    }
    return period;
}

/* What Linux makes of a value before it notes it. */
static int recorded_value(enum recorded which, int value)
{
    switch (which) {
    case RECORD_SEND_BUFFER:
        return buffer_size(value, SEND_BUFFER_MIN);
    case RECORD_RECEIVE_BUFFER:
        return buffer_size(value, RECEIVE_BUFFER_MIN);
    case RECORD_DEFER_ACCEPT:
        return defer_accept_seconds(value);
    default:
        return value;
    }
}

static int set_row(struct socket *socket, const struct row *row, int value)
{
    if (row->minimum == 0 && row->maximum == 1)
        value = value != 0;
    if (value < row->minimum || value > row->maximum)
        return -EINVAL;
    switch (row->place) {
    case PLACE_STACK:
        return set_stack(socket, (enum stack_tcp_option)row->where, value);
    case PLACE_RECORD:
        socket->options.recorded[row->where] = recorded_value((enum recorded)row->where, value);
        return 0;
    case PLACE_CONSTANT:
        break;
    case PLACE_FIXED:
        return -EINVAL;
    case PLACE_REFUSED:
        return -EOPNOTSUPP;
    }
    return -ENOPROTOOPT;
}

/* Answer with length bytes, cut to what was asked for. Return: 0. */
static int answer(const struct protocol_message *request, struct protocol_message *reply, const void *value,
                  size_t length)
{
    reply->option_length = (uint32_t)MIN(length, request->option_length);
    memcpy(reply->option, value, reply->option_length);
    return 0;
}

/* An int; at the IP level a short buffer gets a value that fits as one byte (ip_getsockopt()). */
static int answer_int(const struct protocol_message *request, struct protocol_message *reply, int value)
{
    unsigned char byte = (unsigned char)value;

    if (request->args[0] == IPPROTO_IP && request->option_length > 0 && request->option_length < sizeof value &&
        value >= 0 && value <= UCHAR_MAX)
        return answer(request, reply, &byte, sizeof byte);
    return answer(request, reply, &value, sizeof value);
}

static int get_mss(const struct socket *socket)
{
    struct tcp_info info;
    int wanted = 0;

    if (socket->tcp == NULL)
        return MSS_UNCONNECTED;
    if (socket->state != PROTOCOL_STATE_CONNECTED) {
        wanted = stack_tcp_get_option(socket->tcp, STACK_TCP_MAXSEG);
        return wanted != 0 ? wanted : MSS_UNCONNECTED;
    }
    stack_tcp_get_info(socket->tcp, &info);
    return (int)info.tcpi_snd_mss;
}

static int get_path_mtu(const struct socket *socket, int *mtu)
{
    struct tcp_info info;

    if (socket->tcp == NULL || socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    stack_tcp_get_info(socket->tcp, &info);
    *mtu = (int)info.tcpi_pmtu;
    return 0;
}

static int get_info(const struct socket *socket, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};

    if (socket->tcp != NULL)
        stack_tcp_get_info(socket->tcp, &info);
    return answer(request, reply, &info, sizeof info);
}

static int get_linger(const struct socket *socket, const struct protocol_message *request,
                      struct protocol_message *reply)
{
    struct linger linger = {.l_onoff = socket->options.linger_on, .l_linger = socket->options.linger_s};

    return answer(request, reply, &linger, sizeof linger);
}

/* SO_PEERNAME: getpeername() that wants no more room than there is an address for. */
static int get_peer_name(const struct socket *socket, const struct protocol_message *request,
                         struct protocol_message *reply)
{
    if (socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    if (request->option_length > sizeof socket->peer.in)
        return -EINVAL;
    return answer(request, reply, &socket->peer.in, sizeof socket->peer.in);
}

int sockopt_get(const struct socket *socket, const struct protocol_message *request, struct protocol_message *reply)
{
    static const char congestion[16] = "reno"; /* TCP_CA_NAME_MAX bytes */
    static const struct ucred nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    const int level = request->args[0], name = request->args[1];
    const struct row *row = find_row(level, name);
    int value, error;

    if (row != NULL && row->place == PLACE_REFUSED)
        return -EOPNOTSUPP;
    if (row != NULL)
        return answer_int(request, reply, get_row(socket, row));
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_ACCEPTCONN:
            return answer_int(request, reply, socket->state == PROTOCOL_STATE_LISTENING);
        case SO_LINGER:
            return get_linger(socket, request, reply);
        case SO_PEERCRED:
            return answer(request, reply, &nobody, sizeof nobody);
        case SO_PEERGROUPS:
            return -ENODATA;
        case SO_PEERNAME:
            return get_peer_name(socket, request, reply);
        case SO_BINDTODEVICE: /* to none */
            return answer(request, reply, "", 0);
        case SO_COOKIE:
            return request->option_length < sizeof socket->id ? -EINVAL
                                                              : answer(request, reply, &socket->id, sizeof socket->id);
        }
    } else if (level == IPPROTO_TCP) {
        switch (name) {
        case TCP_MAXSEG:
            return answer_int(request, reply, get_mss(socket));
        case TCP_INFO:
            return get_info(socket, request, reply);
        case TCP_CONGESTION:
            return answer(request, reply, congestion, sizeof congestion);
        case TCP_ULP: /* none */
            return answer(request, reply, "", 0);
        }
    } else if (level == IPPROTO_IP) {
        switch (name) {
        case IP_TTL:
            return answer_int(request, reply, get_stack(socket, STACK_IP_TTL));
        case IP_TOS:
            return answer_int(request, reply, get_stack(socket, STACK_IP_TOS));
        case IP_OPTIONS: /* none */
            return answer(request, reply, "", 0);
        case IP_MTU:
            error = get_path_mtu(socket, &value);
            return error < 0 ? error : answer_int(request, reply, value);
        }
    } else {
        return -EOPNOTSUPP;
    }
    return -ENOPROTOOPT;
}

static int set_linger(struct socket *socket, const struct protocol_message *request)
{
    struct linger linger;

    if (request->option_length < sizeof linger)
        return -EINVAL;
    memcpy(&linger, request->option, sizeof linger);
    socket->options.linger_on = linger.l_onoff != 0;
    if (linger.l_onoff)
        socket->options.linger_s = linger.l_linger;
    return 0;
}

static int set_congestion(const struct protocol_message *request)
{
    if (request->option_length < 1)
        return -EINVAL;
    return strncmp((const char *)request->option, "reno", request->option_length) == 0 ? 0 : -ENOENT;
}

static int set_tos(struct socket *socket, int value)
{
    /* A stream socket's ECN bits are TCP's own (ip(7)). */
    int ecn = get_stack(socket, STACK_IP_TOS) & ECN_MASK;

    return set_stack(socket, STACK_IP_TOS, (value & UCHAR_MAX & ~ECN_MASK) | ecn);
}

static int set_ttl(struct socket *socket, int value)
{
    if (value == -1)
        value = TTL_DEFAULT;
    return value < 1 || value > UCHAR_MAX ? -EINVAL : set_stack(socket, STACK_IP_TTL, value);
}

static int set_mss(struct socket *socket, int value)
{
    if (value != 0 && (value < MSS_MIN || value > MSS_MAX))
        return -EINVAL;
    return set_stack(socket, STACK_TCP_MAXSEG, value);
}

/* Read the int of a set request; the IP level also takes one byte, or nothing for 0. Return: 0 or -EINVAL. */
static int read_int(const struct protocol_message *request, int *value)
{
    *value = 0;
    if (request->option_length >= sizeof *value)
        memcpy(value, request->option, sizeof *value);
    else if (request->args[0] != IPPROTO_IP)
        return -EINVAL;
    else if (request->option_length > 0)
        *value = request->option[0];
    return 0;
}

int sockopt_set(struct socket *socket, const struct protocol_message *request)
{
    const int level = request->args[0];
    const int name = request->args[1] == SO_SNDBUFFORCE && level == SOL_SOCKET   ? SO_SNDBUF
                     : request->args[1] == SO_RCVBUFFORCE && level == SOL_SOCKET ? SO_RCVBUF
                                                                                 : request->args[1];
    const struct row *row = find_row(level, name);
    int value, error;

    if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP)
        return -ENOPROTOOPT;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(socket, request);
    if (level == SOL_SOCKET && name == SO_BINDTODEVICE) /* the stack has no devices with names: to none, or ENODEV */
        return request->option_length == 0 || request->option[0] == '\0' ? 0 : -ENODEV;
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(request);
    error = read_int(request, &value);
    if (error < 0)
        return error;
    if (row != NULL)
        return set_row(socket, row, value);
    if (level == IPPROTO_TCP && name == TCP_MAXSEG)
        return set_mss(socket, value);
    if (level == IPPROTO_IP && name == IP_TTL)
        return set_ttl(socket, value);
    if (level == IPPROTO_IP && name == IP_TOS)
        return set_tos(socket, value);
    return -ENOPROTOOPT;
}
