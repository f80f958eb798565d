/*
 * sockopt.c - getsockopt(2) and setsockopt(2) for what the pair itself does not hold.
 *
 * One table says for each option where its value lives: in the stack, in the record, or nowhere (a constant). Options with a structure or a rule of
 * their own have functions. What is in neither is ENOPROTOOPT, as on Linux. SO_ERROR, SO_RCVTIMEO, SO_SNDTIMEO and SO_PEEK_OFF are the
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
#define SEND_BUFFER_DEFAULT 16384
#define RECEIVE_BUFFER_MIN 2304
#define RECEIVE_BUFFER_DEFAULT 131072
#define KEEPALIVE_TIME_MAX 32767
#define KEEPALIVE_COUNT_MAX 127
#define MSS_MIN 88
#define MSS_MAX 32767
#define MSS_UNCONNECTED 536
#define TTL_DEFAULT 64
#define ECN_MASK 3

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

enum place {
    PLACE_STACK,    /* stack_tcp_set_option() */
    PLACE_RECORD,   /* an int in struct socket_options */
    PLACE_CONSTANT, /* read only */
};

struct row {
    int level, name;
    enum place place;
    int minimum, maximum; /* set: outside is EINVAL; 0 and 1: a switch, any value but 0 is 1 */
    int where;            /* the stack's option, the offset in struct socket_options, or the constant */
    int initial;          /* PLACE_RECORD: shown for 0 */
};

#define RECORD(field) PLACE_RECORD, INT_MIN, INT_MAX, offsetof(struct socket_options, field)
#define RECORD_SWITCH(field) PLACE_RECORD, 0, 1, offsetof(struct socket_options, field)

static const struct row rows[] = {
    {SOL_SOCKET, SO_TYPE, PLACE_CONSTANT, 0, 0, SOCK_STREAM, 0},
    {SOL_SOCKET, SO_DOMAIN, PLACE_CONSTANT, 0, 0, AF_INET, 0},
    {SOL_SOCKET, SO_PROTOCOL, PLACE_CONSTANT, 0, 0, IPPROTO_TCP, 0},
    {SOL_SOCKET, SO_SNDLOWAT, PLACE_CONSTANT, 0, 0, 1, 0},
    {SOL_SOCKET, SO_REUSEADDR, PLACE_STACK, 0, 1, STACK_TCP_REUSEADDR, 0},
    {SOL_SOCKET, SO_REUSEPORT, PLACE_STACK, 0, 1, STACK_TCP_REUSEPORT, 0},
    {SOL_SOCKET, SO_KEEPALIVE, PLACE_STACK, 0, 1, STACK_TCP_KEEPALIVE, 0},
    {SOL_SOCKET, SO_DONTROUTE, RECORD_SWITCH(dont_route), 0},
    {SOL_SOCKET, SO_BROADCAST, RECORD_SWITCH(broadcast), 0},
    {SOL_SOCKET, SO_OOBINLINE, RECORD_SWITCH(oob_inline), 0},
    {SOL_SOCKET, SO_TIMESTAMP, RECORD_SWITCH(timestamp), 0},
    {SOL_SOCKET, SO_PRIORITY, PLACE_RECORD, 0, 6, offsetof(struct socket_options, priority), 0},
    {SOL_SOCKET, SO_MARK, RECORD(mark), 0},
    {SOL_SOCKET, SO_RCVLOWAT, PLACE_RECORD, 0, INT_MAX, offsetof(struct socket_options, receive_low_water), 1},
    {IPPROTO_TCP, TCP_NODELAY, PLACE_STACK, 0, 1, STACK_TCP_NODELAY, 0},
    {IPPROTO_TCP, TCP_CORK, PLACE_STACK, 0, 1, STACK_TCP_CORK, 0},
    {IPPROTO_TCP, TCP_KEEPIDLE, PLACE_STACK, 1, KEEPALIVE_TIME_MAX, STACK_TCP_KEEPIDLE, 0},
    {IPPROTO_TCP, TCP_KEEPINTVL, PLACE_STACK, 1, KEEPALIVE_TIME_MAX, STACK_TCP_KEEPINTVL, 0},
    {IPPROTO_TCP, TCP_KEEPCNT, PLACE_STACK, 1, KEEPALIVE_COUNT_MAX, STACK_TCP_KEEPCNT, 0},
    {IPPROTO_TCP, TCP_SYNCNT, PLACE_STACK, 1, KEEPALIVE_COUNT_MAX, STACK_TCP_SYNCNT, 0},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, PLACE_STACK, 0, INT_MAX, STACK_TCP_USER_TIMEOUT, 0},
    {IPPROTO_TCP, TCP_LINGER2, RECORD(linger2), 60},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, RECORD(defer_accept), 0},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, RECORD(window_clamp), 0},
    {IPPROTO_TCP, TCP_QUICKACK, RECORD_SWITCH(quick_ack), 1},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, RECORD(notsent_low_water), 0},
    {IPPROTO_IP, IP_MTU_DISCOVER, PLACE_RECORD, 0, 5, offsetof(struct socket_options, mtu_discover), IP_PMTUDISC_WANT},
    {IPPROTO_IP, IP_RECVTTL, RECORD_SWITCH(receive_ttl), 0},
    {IPPROTO_IP, IP_RECVTOS, RECORD_SWITCH(receive_tos), 0},
    {IPPROTO_IP, IP_PKTINFO, RECORD_SWITCH(packet_info), 0},
    {IPPROTO_IP, IP_RECVERR, RECORD_SWITCH(receive_error), 0},
    {IPPROTO_IP, IP_FREEBIND, RECORD_SWITCH(freebind), 0},
    {IPPROTO_IP, IP_TRANSPARENT, RECORD_SWITCH(transparent), 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, RECORD_SWITCH(bind_no_port), 0},
};

static const struct row *find_row(int level, int name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].level == level && rows[i].name == name)
            return &rows[i];
    return NULL;
}

static int *record_field(const struct socket *socket, const struct row *row)
{
    return (int *)((char *)&socket->options + row->where);
}

static int row_value(const struct socket *socket, const struct row *row)
{
    int value;

    switch (row->place) {
    case PLACE_STACK:
        return socket->tcp != NULL ? stack_tcp_get_option(socket->tcp, (enum stack_tcp_option)row->where) : 0;
    case PLACE_RECORD:
        value = *record_field(socket, row);
        return value != 0 ? value : row->initial;
    case PLACE_CONSTANT:
        break;
    }
    return row->where;
}

static int set_stack(struct socket *socket, enum stack_tcp_option option, int value)
{
    /* TCP is gone: Linux keeps the value, and nothing will ever use it. */
    return socket->tcp != NULL ? stack_tcp_set_option(socket->tcp, option, value) : 0;
}

static int set_row(struct socket *socket, const struct row *row, int value)
{
    if (row->minimum == 0 && row->maximum == 1)
        value = value != 0;
    if (row->place == PLACE_CONSTANT)
        return -ENOPROTOOPT;
    if (value < row->minimum || value > row->maximum)
        return -EINVAL;
    if (row->place == PLACE_STACK)
        return set_stack(socket, (enum stack_tcp_option)row->where, value);
    *record_field(socket, row) = value;
    return 0;
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

static int get_stack(const struct socket *socket, enum stack_tcp_option option)
{
    return socket->tcp != NULL ? stack_tcp_get_option(socket->tcp, option) : 0;
}

int sockopt_get(const struct socket *socket, const struct protocol_message *request, struct protocol_message *reply)
{
    static const char congestion[16] = "reno"; /* TCP_CA_NAME_MAX bytes */
    const int level = request->args[0], name = request->args[1];
    const struct row *row = find_row(level, name);
    int value, error;

    if (row != NULL)
        return answer_int(request, reply, row_value(socket, row));
    if (level == SOL_SOCKET) {
        switch (name) {
        case SO_ACCEPTCONN:
            return answer_int(request, reply, socket->state == PROTOCOL_STATE_LISTENING);
        case SO_SNDBUF:
            value = socket->options.send_buffer;
            return answer_int(request, reply, value != 0 ? value : SEND_BUFFER_DEFAULT);
        case SO_RCVBUF:
            value = socket->options.receive_buffer;
            return answer_int(request, reply, value != 0 ? value : RECEIVE_BUFFER_DEFAULT);
        case SO_LINGER:
            return get_linger(socket, request, reply);
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

/* The size that Linux would take: doubled for its overhead, within its bounds. */
static int buffer_size(int value, int minimum)
{
    if (value < 0 || value > BUFFER_SET_MAX)
        value = BUFFER_SET_MAX;
    return MAX(value * 2, minimum);
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
    const int level = request->args[0], name = request->args[1];
    const struct row *row = find_row(level, name);
    int value, error;

    if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP)
        return -ENOPROTOOPT;
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(socket, request);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(request);
    error = read_int(request, &value);
    if (error < 0)
        return error;
    if (row != NULL)
        return set_row(socket, row, value);
    if (level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_SNDBUFFORCE)) {
        socket->options.send_buffer = buffer_size(value, SEND_BUFFER_MIN);
        return 0;
    }
    if (level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE)) {
        socket->options.receive_buffer = buffer_size(value, RECEIVE_BUFFER_MIN);
        return 0;
    }
    if (level == IPPROTO_TCP && name == TCP_MAXSEG)
        return set_mss(socket, value);
    if (level == IPPROTO_IP && name == IP_TTL)
        return set_ttl(socket, value);
    if (level == IPPROTO_IP && name == IP_TOS)
        return set_tos(socket, value);
    return -ENOPROTOOPT;
}
