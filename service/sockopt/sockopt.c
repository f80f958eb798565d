/*
 * sockopt.c - getsockopt(2) and setsockopt(2) for what the pair itself does not hold: finds the option's row
 * (sockopt_table.c), does what all rows have in common, and keeps what the record keeps.
 */
#include "sockopt_row.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

static unsigned kind_of(const struct socket *socket)
{
    switch (socket->type) {
    case SOCK_STREAM:
        return ON_TCP;
    case SOCK_RAW:
        return ON_RAW;
    default:
        return socket->protocol == IPPROTO_UDP       ? ON_PLAIN_UDP
               : socket->protocol == IPPROTO_UDPLITE ? ON_UDP_LITE
                                                     : ON_PING;
    }
}

bool sockopt_switch(const struct socket *socket, enum sockopt_switch which)
{
    return (socket->options.switches[which / 64] & UINT64_C(1) << which % 64) != 0;
}

void sockopt_note_switch(struct socket *socket, enum sockopt_switch which, bool on)
{
    uint64_t bit = UINT64_C(1) << which % 64;

    if (on)
        socket->options.switches[which / 64] |= bit;
    else
        socket->options.switches[which / 64] &= ~bit;
}

int sockopt_number(const struct socket *socket, enum sockopt_number which)
{
    return socket->options.numbers[which];
}

void sockopt_note_number(struct socket *socket, enum sockopt_number which, int value)
{
    socket->options.numbers[which] = value;
}

/* Does the row keep a number in the record? Those behind functions that do have an initial value or bounds of their
 * own to show for it. */
static bool keeps_number(const struct sockopt_row *row)
{
    return row->place == PLACE_NUMBER || row->get == sockopt_get_number || row->get == sockopt_get_whole_number ||
           row->get == sockopt_get_coverage;
}

static void set_default(struct socket *socket, const struct sockopt_row *row)
{
    if (row->place == PLACE_SWITCH)
        sockopt_note_switch(socket, (enum sockopt_switch)row->where,
                            row->initial != 0 && !((row->flags & OPT_OFF_ON_IPV6) && socket->domain == AF_INET6));
    else if (keeps_number(row))
        sockopt_note_number(socket, (enum sockopt_number)row->where, row->initial);
}

void sockopt_set_defaults(struct socket *socket)
{
    unsigned kind = kind_of(socket);

    socket->options = (struct socket_options){.pacing_rate = UINT64_MAX};
    for (size_t i = 0; i < sockopt_row_count; i++)
        if (sockopt_rows[i].on & kind)
            set_default(socket, &sockopt_rows[i]);
    if (kind == ON_RAW)
        sockopt_set_raw_defaults(socket);
    if (kind == ON_RAW || kind == ON_PING)
        sockopt_note_switch(socket, SWITCH_REUSE_ADDRESS, true); /* Linux: INET_PROTOSW_REUSE */
}

void sockopt_inherit(struct socket *socket, const struct socket *listener)
{
    socket->domain = listener->domain;
    socket->type = listener->type;
    socket->protocol = listener->protocol;
    socket->options = listener->options;
    for (size_t i = 0; i < sockopt_row_count; i++)
        if ((sockopt_rows[i].on & ON_TCP) && (sockopt_rows[i].flags & OPT_NOT_INHERITED))
            set_default(socket, &sockopt_rows[i]);
}

static const struct sockopt_row *find_row(const struct socket *socket, int level, int name)
{
    unsigned kind = kind_of(socket);

    if (level == IPPROTO_UDPLITE) /* Linux takes one for the other */
        level = IPPROTO_UDP;
    for (size_t i = 0; i < sockopt_row_count; i++)
        if (sockopt_rows[i].level == level && sockopt_rows[i].name == name && (sockopt_rows[i].on & kind))
            return &sockopt_rows[i];
    return NULL;
}

/* Does this socket's protocol look at the level at all? */
static bool has_level(const struct socket *socket, int level)
{
    unsigned kind = kind_of(socket);
    bool is_6 = socket->domain == AF_INET6;

    switch (level) {
    case SOL_SOCKET:
        return true;
    case IPPROTO_IP:
        return !is_6 || kind != ON_RAW;
    case IPPROTO_IPV6:
        return is_6;
    case IPPROTO_TCP:
        return kind == ON_TCP;
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
        return (kind & ON_UDP) != 0;
    case SOL_RAW:
        return kind == ON_RAW;
    case IPPROTO_ICMPV6:
        return kind == ON_RAW && is_6;
    default:
        return false;
    }
}

int sockopt_get_stack(const struct socket *socket, enum stack_tcp_option option)
{
    return socket->tcp != NULL ? stack_tcp_get_option(socket->tcp, option) : 0;
}

int sockopt_set_stack(struct socket *socket, enum stack_tcp_option option, int value)
{
    return socket->tcp != NULL ? stack_tcp_set_option(socket->tcp, option, value) : 0;
}

int sockopt_answer(const struct protocol_message *request, struct protocol_message *reply, const void *value,
                   size_t length)
{
    reply->option_length = (uint32_t)MIN(length, request->option_length);
    memcpy(reply->option, value, reply->option_length);
    return 0;
}

int sockopt_answer_int(const struct protocol_message *request, struct protocol_message *reply, int value)
{
    unsigned char byte = (unsigned char)value;

    if (request->args[0] == IPPROTO_IP && request->option_length > 0 && request->option_length < sizeof value &&
        value >= 0 && value <= UCHAR_MAX)
        return sockopt_answer(request, reply, &byte, sizeof byte);
    return sockopt_answer(request, reply, &value, sizeof value);
}

int sockopt_get_zero(const struct socket *socket, const struct sockopt_row *row,
                     const struct protocol_message *request, struct protocol_message *reply)
{
    (void)socket;
    (void)row;
    return sockopt_answer_int(request, reply, 0);
}

int sockopt_get_empty(const struct socket *socket, const struct sockopt_row *row,
                      const struct protocol_message *request, struct protocol_message *reply)
{
    (void)socket;
    (void)row;
    return sockopt_answer(request, reply, "", 0);
}

int sockopt_get_number(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    return sockopt_answer_int(request, reply, sockopt_number(socket, (enum sockopt_number)row->where));
}

/* The same, never as one byte. */
int sockopt_get_whole_number(const struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, struct protocol_message *reply)
{
    int value = sockopt_number(socket, (enum sockopt_number)row->where);

    return sockopt_answer(request, reply, &value, sizeof value);
}

/* What Linux takes and nobody could see the effect of. */
int sockopt_set_nothing(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)socket;
    (void)row;
    (void)request;
    (void)value;
    (void)root;
    return 0;
}

int sockopt_get(const struct socket *socket, const struct protocol_message *request, struct protocol_message *reply)
{
    const struct sockopt_row *row = find_row(socket, request->args[0], request->args[1]);

    if (!has_level(socket, request->args[0]))
        return socket->domain == AF_INET6 ? -ENOPROTOOPT : -EOPNOTSUPP;
    if (row == NULL)
        return -ENOPROTOOPT;
    switch (row->place) {
    case PLACE_STACK:
        return sockopt_answer_int(request, reply, sockopt_get_stack(socket, (enum stack_tcp_option)row->where));
    case PLACE_SWITCH:
        return sockopt_answer_int(request, reply, sockopt_switch(socket, (enum sockopt_switch)row->where));
    case PLACE_NUMBER:
        return sockopt_get_number(socket, row, request, reply);
    case PLACE_CONSTANT:
        return sockopt_answer_int(request, reply, row->where);
    case PLACE_CALL:
        return row->get != NULL ? row->get(socket, row, request, reply) : -ENOPROTOOPT;
    case PLACE_REFUSED:
        break;
    }
    return -row->where;
}

/* Is the value long enough, by the rules of its level? Return: 0 or -errno. */
static int check_length(const struct protocol_message *request, unsigned flags)
{
    const uint32_t length = request->option_length;

    if (flags & OPT_ANY_LENGTH)
        return 0;
    if ((flags & OPT_POLICY) && length == 0)
        return -EMSGSIZE;
    if ((flags & OPT_EXACT) && length != sizeof(int))
        return -EINVAL;
    if (request->args[0] == IPPROTO_IP)
        return (flags & OPT_BYTE) && length == 0 ? -EINVAL : 0;
    if (request->args[0] == SOL_RAW || request->args[0] == IPPROTO_ICMPV6)
        return 0;
    return length < sizeof(int) && !(flags & OPT_EMPTY) ? -EINVAL : 0;
}

/* The value as an int; the IP level takes one byte too. */
static int read_int(const struct protocol_message *request)
{
    int value = 0;

    if (request->option_length >= sizeof value)
        memcpy(&value, request->option, sizeof value);
    else if (request->args[0] == IPPROTO_IP && request->option_length > 0)
        value = request->option[0];
    return value;
}

/* Does the row let this value in, from this client, in this state? Return: 0 or -errno. */
static int check_set(const struct socket *socket, const struct sockopt_row *row, int value, bool root)
{
    bool allowed = (row->flags & (OPT_ROOT | OPT_ROOT_ON)) && (root || ((row->flags & OPT_ROOT_ON) && value == 0));

    if (row->set_error != 0 && !allowed)
        return -row->set_error;
    if (value < row->minimum || value > row->maximum)
        return -EINVAL;
    if ((row->flags & OPT_NOT_CONNECTED) &&
        (socket->state == PROTOCOL_STATE_CONNECTED || socket->state == PROTOCOL_STATE_CONNECTING))
        return -EINVAL;
    if ((row->flags & OPT_UNBOUND) && sockopt_local_port(socket) != 0)
        return -EINVAL;
    if ((row->flags & OPT_NOT_LISTENING) && socket->state == PROTOCOL_STATE_LISTENING)
        return -EINVAL;
    return 0;
}

/* Options that the pair keeps (intercept/option.c): we are only told that there are such. */
static bool is_pair_option(int level, int name)
{
    return level == SOL_SOCKET && (name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW || name == SO_SNDTIMEO_OLD ||
                                   name == SO_SNDTIMEO_NEW || name == SO_RCVLOWAT);
}

int sockopt_set(struct socket *socket, const struct protocol_message *request, bool root)
{
    const struct sockopt_row *row = find_row(socket, request->args[0], request->args[1]);
    int value = read_int(request), error;

    if (is_pair_option(request->args[0], request->args[1])) {
        sockopt_note_switch(socket, SWITCH_PAIR_OPTIONS, true);
        return 0;
    }
    if (!has_level(socket, request->args[0]))
        return -ENOPROTOOPT;
    if (row == NULL) /* the IP levels look at the name first, the others at the length */
        return request->args[0] == IPPROTO_IP || request->args[0] == IPPROTO_IPV6 || check_length(request, 0) == 0
                   ? -ENOPROTOOPT
                   : -EINVAL;
    if (row->flags & OPT_TRUTH)
        value = value != 0;
    error = check_length(request, row->flags);
    if (error == 0)
        error = check_set(socket, row, value, root);
    if (error < 0)
        return error;
    switch (row->place) {
    case PLACE_STACK:
        return sockopt_set_stack(socket, (enum stack_tcp_option)row->where, value);
    case PLACE_SWITCH:
        sockopt_note_switch(socket, (enum sockopt_switch)row->where, value != 0);
        return 0;
    case PLACE_NUMBER:
        sockopt_note_number(socket, (enum sockopt_number)row->where, value);
        return 0;
    case PLACE_CALL:
        return row->set != NULL ? row->set(socket, row, request, value, root) : -ENOPROTOOPT;
    case PLACE_CONSTANT:
    case PLACE_REFUSED:
        break;
    }
    return -ENOPROTOOPT;
}
