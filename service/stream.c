/*
 * stream.c - what programs ask of their TCP sockets. The bytes are relay.c's, the states before them connect.c's and
 * listener.c's.
 */
#include "stream.h"

#include "address.h"
#include "connect.h"
#include "cork.h"
#include "listener.h"
#include "pair.h"
#include "pairs.h"
#include "relay.h"
#include "service/privilege/access.h"
#include "service/sockopt/sockopt.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

int stream_make(int domain, int protocol, struct socket **made)
{
    struct socket *socket;
    struct pair ends;
    int error;

    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (protocol != 0 && protocol != IPPROTO_TCP)
        return -EPROTONOSUPPORT;
    error = socket_make(PROTOCOL_NAME_KIND_SOCKET, &socket);
    if (error < 0)
        return error;
    socket->domain = domain;
    socket->type = SOCK_STREAM;
    socket->protocol = IPPROTO_TCP;
    ends = (struct pair){socket->pair_fd, socket->program_fd, socket->program_inode};
    error = pair_hold(&ends);
    socket->tcp = error < 0 ? NULL : stack_tcp_open(domain, &relay_tcp_events, socket);
    if (socket->tcp == NULL) {
        socket_destroy(socket);
        return error < 0 ? error : -ENOMEM;
    }
    *made = socket;
    return 0;
}

/* Read the address of a request. Return: 0, -EINVAL (too short for the socket's family) or -EAFNOSUPPORT (of
 * another). */
static int read_address(const struct socket *socket, const struct protocol_address *from, union stack_address *address)
{
    int error = address_read(from, address);

    if (error < 0)
        return error;
    if (from->length < (socket->domain == AF_INET6 ? ADDRESS_LENGTH6_MIN : sizeof address->in))
        return -EINVAL;
    return address->sa.sa_family == socket->domain ? 0 : -EAFNOSUPPORT;
}

static int bind_socket(struct socket *socket, const struct protocol_message *request, const struct program *program)
{
    union stack_address address;
    int error = read_address(socket, &request->address, &address);

    if (error == -EAFNOSUPPORT && socket->domain == AF_INET && address.sa.sa_family == AF_UNSPEC &&
        address.in.sin_addr.s_addr == INADDR_ANY) {
        address.sa.sa_family = AF_INET; /* ip(7): what old programs give */
        error = 0;
    }
    if (error < 0)
        return error;
    if (socket->state != PROTOCOL_STATE_NEW && socket->state != PROTOCOL_STATE_FAILED)
        return -EINVAL;
    if (socket->tcp == NULL)
        return -EINVAL;
    if (!access_may_bind(program, ntohs(address.in.sin_port)))
        return -EACCES;
    error = stack_tcp_bind(socket->tcp, &address);
    if (error == -EADDRINUSE) { /* by a socket that was closed just now, perhaps */
        pairs_catch_up();
        error = socket->tcp != NULL ? stack_tcp_bind(socket->tcp, &address) : -ENOTSOCK; /* it may have ended itself */
    }
    return error;
}

/* Pass on the new pair that a socket got. Return: -ESTALE. */
static int reply_with_new_pair(struct socket *socket, struct request_context *context)
{
    context->reply_fd = socket->program_fd;
    socket->program_fd = -1;
    return -ESTALE;
}

static int listen_socket(struct socket *socket, int backlog, struct request_context *context)
{
    int error;

    if (socket->state == PROTOCOL_STATE_FAILED) { /* also one that listened and was shut down */
        error = connect_renew(socket);
        return error == -ESTALE ? reply_with_new_pair(socket, context) : error;
    }
    error = listener_start(socket, backlog);
    if (error == -EADDRINUSE) {
        pairs_catch_up();
        error = socket->tcp != NULL ? listener_start(socket, backlog) : -ENOTSOCK;
    }
    return error;
}

static int connect_socket(struct socket *socket, const struct protocol_message *request,
                          struct request_context *context)
{
    union stack_address peer;
    int error = read_address(socket, &request->address, &peer);

    if (request->address.length >= sizeof peer.sa.sa_family && peer.sa.sa_family == AF_UNSPEC)
        error = connect_dissolve(socket);
    else if (error == 0 || (socket->state != PROTOCOL_STATE_NEW && socket->state != PROTOCOL_STATE_FAILED))
        error = connect_begin(socket, &peer, context->fd); /* what is under way comes before the address */
    if (error == -ESTALE)
        return reply_with_new_pair(socket, context);
    if ((error == -EINPROGRESS || error == -EALREADY) && (request->flags & PROTOCOL_FLAG_WAIT))
        context->wait_for = socket;
    return error;
}

static int shutdown_socket(struct socket *socket, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    switch (socket->state) {
    case PROTOCOL_STATE_LISTENING:
        if (how != SHUT_WR)
            listener_stop(socket);
        return 0;
    case PROTOCOL_STATE_CONNECTING:
        stack_tcp_disconnect(socket->tcp);
        connect_failed(socket, ECONNRESET);
        return 0;
    default:
        return -ENOTCONN;
    }
}

static int get_local_name(const struct socket *socket, struct protocol_message *reply)
{
    union stack_address address = socket->local;

    if (address.sa.sa_family == AF_UNSPEC) { /* not established yet */
        memset(&address, 0, sizeof address);
        address.sa.sa_family = (sa_family_t)socket->domain;
        if (socket->tcp != NULL)
            (void)stack_tcp_local_address(socket->tcp, &address);
    }
    address_write(&reply->address, &address);
    return 0;
}

static int get_peer_name(const struct socket *socket, struct protocol_message *reply)
{
    const uint32_t both_ended = EVENT_FIN_SENT | EVENT_EOF_GIVEN;
    struct tcp_info info = {.tcpi_state = TCP_CLOSE};

    if (socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    if ((socket->events & both_ended) == both_ended) { /* Linux forgets the peer when the last FIN is acknowledged */
        if (socket->tcp != NULL)
            stack_tcp_get_info(socket->tcp, &info);
        if (info.tcpi_state == TCP_CLOSE || info.tcpi_state == TCP_TIME_WAIT)
            return -ENOTCONN;
    }
    address_write(&reply->address, &socket->peer);
    return 0;
}

static int get_status(const struct socket *socket, struct protocol_message *reply)
{
    ssize_t unread = socket->pair_fd >= 0 && socket->state == PROTOCOL_STATE_CONNECTED
                         ? pair_fresh_bytes(socket->pair_fd)
                         : 0;

    reply->args[0] = socket->state;
    reply->args[1] = socket->error;
    if (socket->tcp != NULL && socket->state == PROTOCOL_STATE_CONNECTED) {
        unread -= !(socket->events & EVENT_TAKEN); /* the byte that accept() writes */
        unread = unread > 0 ? unread : 0;
        reply->args[2] = (int32_t)stack_tcp_send_queued(socket->tcp) + (int32_t)unread;
        reply->args[3] = (int32_t)stack_tcp_send_unsent(socket->tcp) + (int32_t)unread;
    }
    return 0;
}

/* Before close(2): is there something to wait for, and how to ask for it then? Return: 0. */
static int begin_linger(struct socket *socket, struct protocol_message *reply)
{
    socket->lingers = socket->state == PROTOCOL_STATE_CONNECTED && socket->options.linger_on && socket->options.linger_s > 0;
    reply->args[0] = (int32_t)(uint32_t)socket->id;
    reply->args[1] = (int32_t)(uint32_t)(socket->id >> 32);
    reply->args[2] = socket->lingers ? socket->options.linger_s : 0;
    return 0;
}

int stream_wait_for_linger(const struct protocol_message *request, struct request_context *context)
{
    struct socket *socket;

    pairs_catch_up(); /* with that close */
    socket = socket_find_id((uint64_t)(uint32_t)request->args[1] << 32 | (uint32_t)request->args[0]);
    if (socket != NULL && (socket->events & EVENT_PROGRAM_GONE) && access_owns(context->program, socket->program))
        context->wait_for = socket;
    return 0;
}

/* What the program wrote before it asks belongs before what it asks for (TCP_NODELAY, TCP_CORK). */
static void bring_up_to_date(struct socket *socket)
{
    if (socket->state != PROTOCOL_STATE_CONNECTED || socket->pair_fd < 0)
        return;
    socket_queue_work(socket, WORK_TO_WIRE);
    relay_run(socket);
}

static int cork_socket(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                       struct request_context *context)
{
    uint32_t page, slot;

    if (request->args[0] == PROTOCOL_CORK_CHILDREN) {
        if (socket->state == PROTOCOL_STATE_LISTENING)
            cork_attach_listener(socket, context->program);
        return 0;
    }
    bring_up_to_date(socket);
    if (request->args[0] == PROTOCOL_CORK_RELEASE) {
        cork_release(socket);
        return 0;
    }
    if (socket->state == PROTOCOL_STATE_CONNECTED && socket->pair_fd >= 0 && cork_attach(socket, context->program) == 0) {
        context->reply_fd = cork_describe(socket, &page, &slot);
        context->keeps_reply_fd = true;
        reply->args[0] = (int32_t)page;
        reply->args[1] = (int32_t)slot;
        reply->args[2] = (int32_t)(uint32_t)socket->id;
    }
    cork_set(socket, true);
    return 0;
}

int stream_execute(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                   struct request_context *context)
{
    switch ((enum protocol_operation)request->operation) {
    case PROTOCOL_BIND:
        return bind_socket(socket, request, context->program);
    case PROTOCOL_LISTEN:
        return listen_socket(socket, request->args[0], context);
    case PROTOCOL_CONNECT:
        return connect_socket(socket, request, context);
    case PROTOCOL_SHUTDOWN:
        return shutdown_socket(socket, request->args[0]);
    case PROTOCOL_GETSOCKNAME:
        return get_local_name(socket, reply);
    case PROTOCOL_GETPEERNAME:
        return get_peer_name(socket, reply);
    case PROTOCOL_GETSOCKOPT:
        return sockopt_get(socket, request, reply);
    case PROTOCOL_SETSOCKOPT:
        if (!(request->flags & PROTOCOL_FLAG_ONE_WAY)) /* those may be overtaken, or come too early (protocol.h) */
            bring_up_to_date(socket);
        return sockopt_set(socket, request, access_may(context->program, ACCESS_RAW));
    case PROTOCOL_CORK:
        return cork_socket(socket, request, reply, context);
    case PROTOCOL_STATUS:
        return get_status(socket, reply);
    case PROTOCOL_LINGER:
        return begin_linger(socket, reply);
    case PROTOCOL_SEND_RESULT:
    case PROTOCOL_ERROR_QUEUE:
        return -EOPNOTSUPP;
    default:
        return -EPROTO; /* of no socket, or not known here */
    }
}
