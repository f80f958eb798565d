/*
 * datagram.c - the datagram sockets of programs: made, bound, connected, asked about, freed. datagram_relay.c moves
 * the datagrams.
 *
 * The pair of such a socket is writable from the start, and nothing about it ever changes but by shutdown(2): so it
 * serves for the whole life of the socket. Before any request is carried out, what the program had sent until then is
 * sent, so that order is as the program has it.
 *
 * Every way of sending in the library writes into the pair and goes on. How it went is asked afterwards, when the
 * library has a reason to think that it may have failed: PROTOCOL_SEND_RESULT. Other failures become pending errors.
 */
#include "datagram.h"

#include "service/privilege/access.h"

#include "service/address.h"
#include "datagram_deliver.h"
#include "datagram_option.h"
#include "datagram_relay.h"
#include "service/log/log.h"
#include "service/pairs.h"
#include "service/pair.h"
#include "service/rules/rules_apply.h"
#include "service/sockopt/sockopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What kind is a socket of this type? Return: 0, or -errno as socket(2) gives it. */
static int find_kind(int domain, int type, int protocol, unsigned rights, enum stack_datagram_kind *kind)
{
    if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) {
        *kind = STACK_DATAGRAM_UDP;
        return 0;
    }
    if (type == SOCK_DGRAM && protocol == IPPROTO_UDPLITE) {
        *kind = STACK_DATAGRAM_UDP_LITE;
        return 0;
    }
    if (type == SOCK_DGRAM && protocol == (domain == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)) {
        *kind = STACK_DATAGRAM_PING;
        return (rights & 1u << ACCESS_PING) != 0 ? 0 : -EACCES; /* as net.ipv4.ping_group_range has it */
    }
    if (type != SOCK_RAW || protocol == 0)
        return -EPROTONOSUPPORT;
    if ((rights & 1u << ACCESS_RAW) == 0)
        return -EPERM;
    *kind = STACK_DATAGRAM_RAW;
    return 0;
}

int datagram_make(int domain, int type, int protocol, unsigned rights, struct socket **made)
{
    enum stack_datagram_kind kind;
    struct datagram *datagram;
    struct socket *socket;
    int error = find_kind(domain, type, protocol, rights, &kind);

    if (error < 0)
        return error;
    datagram = calloc(1, sizeof *datagram);
    if (datagram == NULL)
        return -ENOMEM;
    TAILQ_INIT(&datagram->errors);
    datagram->kind = kind;
    error = socket_make(PROTOCOL_NAME_KIND_DATAGRAM, &socket);
    if (error < 0) {
        free(datagram);
        return error;
    }
    socket->datagram = datagram;
    socket->domain = domain;
    socket->type = type;
    socket->protocol = kind == STACK_DATAGRAM_UDP ? IPPROTO_UDP : protocol;
    datagram->stack = stack_datagram_open(kind, domain, socket->protocol, &datagram_relay_events, socket);
    if (datagram->stack == NULL) {
        socket_destroy(socket);
        return -ENOMEM;
    }
    *made = socket;
    return 0;
}

/* ---- requests ---- */

/* Read the address of bind(2). Return: 0 or -errno, in Linux's order. */
static int read_own_address(const struct socket *socket, const struct protocol_message *request,
                            union stack_address *address)
{
    int error = address_read(&request->address, address);

    if (error < 0)
        return error;
    if (socket->domain == AF_INET6) {
        if (request->address.length < ADDRESS_LENGTH6_MIN)
            return -EINVAL;
        return address->sa.sa_family == AF_INET6 ? 0 : -EAFNOSUPPORT;
    }
    if (request->address.length < sizeof address->in)
        return -EINVAL;
    if (address->sa.sa_family == AF_UNSPEC && address->in.sin_addr.s_addr == INADDR_ANY)
        address->sa.sa_family = AF_INET; /* ip(7): what old programs give */
    return address->sa.sa_family == AF_INET ? 0 : -EAFNOSUPPORT;
}

static int bind_socket(struct socket *socket, const struct protocol_message *request, const struct program *program)
{
    struct datagram *datagram = socket->datagram;
    union stack_address address;
    int error = read_own_address(socket, request, &address);
    uint16_t port;

    if (error < 0)
        return error;
    port = address_port(&address);
    if (stack_datagram_kind_is_udp(datagram->kind) && !access_may_bind(program, port))
        return -EACCES;
    error = stack_datagram_bind(datagram->stack, &address);
    if (error == -EADDRINUSE) { /* by a socket that was closed just now, perhaps */
        pairs_catch_up();
        /* Which may be the end of this one: a program can shut its end down without asking. */
        error = socket->datagram != NULL ? stack_datagram_bind(datagram->stack, &address) : -ENOTSOCK;
    }
    return error;
}

static int connect_socket(struct socket *socket, const struct protocol_message *request)
{
    union stack_address peer;
    int error = address_read(&request->address, &peer);

    if (error < 0)
        return error;
    if (peer.sa.sa_family == AF_INET6 && request->address.length < ADDRESS_LENGTH6_MIN)
        return -EINVAL;
    if (peer.sa.sa_family != AF_INET6 && peer.sa.sa_family != AF_UNSPEC && request->address.length < sizeof peer.in)
        return -EINVAL;
    return stack_datagram_connect(socket->datagram->stack, &peer);
}

static bool is_connected(const struct socket *socket)
{
    union stack_address peer;

    return stack_datagram_peer_address(socket->datagram->stack, &peer) == 0;
}

/*
 * shutdown(2), on the pair's end that rode with the request, so that the kernel does what follows from it. It shows
 * here like a close if it is both ways; no program can close its last copy before this one is closed, so what is seen
 * during it is no close. (Linux shuts an unconnected socket down too, and yet says ENOTCONN.)
 */
static int shutdown_socket(struct socket *socket, int how, int program_fd)
{
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    socket->datagram->is_shutting_down = true;
    if (shutdown(program_fd, how) < 0)
        log_warn("datagram: socket %llu: shutdown" LOG_FAULT, (unsigned long long)socket->id);
    pairs_catch_up();
    if (socket->datagram == NULL) /* it was shut down before, without asking */
        return -ENOTCONN;
    socket->datagram->is_shutting_down = false;
    return is_connected(socket) ? 0 : -ENOTCONN;
}

static int get_name(const struct socket *socket, bool peer, struct protocol_message *reply)
{
    union stack_address address;
    int error = peer ? stack_datagram_peer_address(socket->datagram->stack, &address)
                     : stack_datagram_local_address(socket->datagram->stack, &address);

    if (error == 0 && peer && address_port(&address) == 0 && stack_datagram_kind_is_udp(socket->datagram->kind))
        return -ENOTCONN; /* as Linux has it */
    if (error == 0)
        address_write(&reply->address, &address);
    return error;
}

static int get_send_result(const struct datagram *datagram, uint32_t number)
{
    for (unsigned i = 0; i < DATAGRAM_RESULTS; i++)
        if (datagram->results[i].number == number)
            return datagram->results[i].error;
    return 0;
}

static int answer_send_result(const struct socket *socket, uint32_t number, struct protocol_message *reply)
{
    int result = get_send_result(socket->datagram, number);

    if (result == -PROTOCOL_ON_HOST)
        rules_apply_describe(socket, reply);
    else if (result == 0 && stack_datagram_kind_is_udp(socket->datagram->kind))
        reply->args[0] = socket->rules.is_watched ? 2 : 1;
    return result == RULES_VANISH ? 0 : result;
}

static int get_queued_error(struct socket *socket, struct protocol_message *reply)
{
    struct queued_error *error = NULL;

    if (!datagram_relay_take_error(socket, &error))
        return -EAGAIN;
    datagram_relay_describe_error(error, reply);
    free(error);
    return 0;
}

static int set_option(struct socket *socket, const struct protocol_message *request, bool is_privileged, int program_fd)
{
    int error = sockopt_set(socket, request, is_privileged);

    if (error == 0)
        datagram_option_changed(socket, program_fd);
    return error;
}

void datagram_abort(struct socket *socket, int error)
{
    const union stack_address nobody = {.sa.sa_family = AF_UNSPEC};

    datagram_relay_put_error(socket, error);
    (void)stack_datagram_connect(socket->datagram->stack, &nobody); /* which cannot fail */
}

int datagram_execute(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                     struct request_context *context)
{
    datagram_relay_catch_up(socket);
    switch ((enum protocol_operation)request->operation) {
    case PROTOCOL_BIND:
        return bind_socket(socket, request, context->program);
    case PROTOCOL_CONNECT:
        return connect_socket(socket, request);
    case PROTOCOL_SHUTDOWN:
        return shutdown_socket(socket, request->args[0], context->fd);
    case PROTOCOL_GETSOCKNAME:
        return get_name(socket, false, reply);
    case PROTOCOL_GETPEERNAME:
        return get_name(socket, true, reply);
    case PROTOCOL_GETSOCKOPT:
        return sockopt_get(socket, request, reply);
    case PROTOCOL_SETSOCKOPT:
        return set_option(socket, request, access_may(context->program, ACCESS_RAW), context->fd);
    case PROTOCOL_STATUS:
        reply->args[0] = is_connected(socket) ? PROTOCOL_STATE_CONNECTED : PROTOCOL_STATE_NEW;
        return 0;
    case PROTOCOL_SEND_RESULT:
        return answer_send_result(socket, (uint32_t)request->args[0], reply);
    case PROTOCOL_ERROR_QUEUE:
        return get_queued_error(socket, reply);
    case PROTOCOL_LINGER: /* nothing is ever waited for */
        return 0;
    case PROTOCOL_LISTEN:
        return -EOPNOTSUPP;
    default:
        return -EPROTO; /* of no socket, or not known here */
    }
}
