/* request.c - what each request of the control protocol does; protocol.h says what each carries. */
#include "request.h"

#include "service/privilege/access.h"
#include "address.h"
#include "connect.h"
#include "service/datagram/datagram.h"
#include "service/datagram/datagram_option.h"
#include "interface_list.h"
#include "listener.h"
#include "service/log/log.h"
#include "service/resolver/names.h"
#include "pair.h"
#include "pairs.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "service/query/capture_stream.h"
#include "service/query/kill.h"
#include "service/query/query.h"
#include "relay.h"
#include "service/rules/rules_apply.h"
#include "service/sockopt/sockopt.h"
#include "service/takeover/takeover_channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum protocol_on_death request_on_death;

/* Is the request about the socket whose descriptor rides with it? */
static bool wants_descriptor(const struct protocol_message *request)
{
    if (request->flags & PROTOCOL_FLAG_BY_NUMBER)
        return false;
    switch (request->operation) {
    case PROTOCOL_SOCKET:
    case PROTOCOL_IMPAIR:
    case PROTOCOL_INTERFACES:
    case PROTOCOL_RESOLVER:
    case PROTOCOL_RESOLVE:
    case PROTOCOL_ROUTES:
    case PROTOCOL_QUERY:
    case PROTOCOL_KILL:
    case PROTOCOL_RULES:
    case PROTOCOL_CAPTURE:
    case PROTOCOL_TAKEOVER:
        return false;
    case PROTOCOL_LINGER:
        return request->flags == 0;
    default:
        return true;
    }
}

/* Return: the flags that such a request may have. */
static uint32_t flags_of(uint16_t operation)
{
    switch (operation) {
    case PROTOCOL_CONNECT:
        return PROTOCOL_FLAG_WAIT | PROTOCOL_FLAG_BY_NUMBER;
    case PROTOCOL_LINGER:
        return PROTOCOL_FLAG_WAIT;
    case PROTOCOL_SETSOCKOPT:
        return PROTOCOL_FLAG_ONE_WAY | PROTOCOL_FLAG_BY_NUMBER;
    case PROTOCOL_BIND:
    case PROTOCOL_LISTEN:
    case PROTOCOL_SHUTDOWN:
    case PROTOCOL_GETSOCKNAME:
    case PROTOCOL_GETPEERNAME:
    case PROTOCOL_GETSOCKOPT:
    case PROTOCOL_STATUS:
        return PROTOCOL_FLAG_BY_NUMBER;
    case PROTOCOL_RULES:
        return PROTOCOL_FLAG_TEST;
    default:
        return 0;
    }
}

/* Is what follows the request as long as it says? */
static bool tail_is_good(const struct protocol_message *request, size_t tail_length)
{
    const int32_t *lengths = request->args;

    if (request->operation == PROTOCOL_CAPTURE)
        return lengths[1] >= 0 && lengths[1] <= PROTOCOL_CAPTURE_FILTER_MAX &&
               tail_length == (size_t)lengths[1] * PROTOCOL_CAPTURE_INSTRUCTION;
    if (request->operation != PROTOCOL_RESOLVE)
        return tail_length == 0;
    return lengths[0] > 0 && lengths[0] <= PROTOCOL_QUERY_MAX && lengths[1] >= 0 && lengths[1] <= PROTOCOL_QUERY_MAX &&
           tail_length == (size_t)lengths[0] + (size_t)lengths[1];
}

int request_check(const struct protocol_message *request, int fd, size_t tail_length)
{
    if (request->magic != PROTOCOL_MAGIC || request->version != PROTOCOL_VERSION || request->operation < 1 ||
        request->operation >= PROTOCOL_OPERATION_COUNT || request->result != 0 ||
        (request->flags & ~flags_of(request->operation)) != 0 ||
        request->address.length > sizeof request->address.bytes || request->option_length > PROTOCOL_OPTION_MAX ||
        wants_descriptor(request) != (fd >= 0) || !tail_is_good(request, tail_length))
        return -EPROTO;
    return 0;
}

static int make_stream(int domain, int protocol, struct socket **made)
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

/* Root whose process gave up the capability is like everyone; who runs a service of their own never had it. */
static bool may_use_raw(const struct protocol_message *request, const struct program *program)
{
    return access_may(program, ACCESS_RAW) && (program->uid != 0 || request->args[3] == 0);
}

static int make_datagram(const struct protocol_message *request, const struct program *program, struct socket **made)
{
    const int domain = request->args[0], type = request->args[1], protocol = request->args[2];
    const unsigned rights = (may_use_raw(request, program) ? 1u << ACCESS_RAW : 0) |
                            (access_may(program, ACCESS_PING) ? 1u << ACCESS_PING : 0);

    return datagram_make(domain, type, protocol, rights, made);
}

/* It gets everything: root, and the user that the service runs as. */
static bool may_take_over(const struct program *program)
{
    return program->uid == 0 || program->uid == geteuid();
}

/* The record is made: whose it is, and what it begins with. Return: the program's end, the caller's from now on; or
 * -EMFILE, and it is no more. */
static int finish_socket(struct socket *socket, const struct request_context *context, const struct socket_rules *rules)
{
    int fd = socket->program_fd;
    int error = socket_adopt(socket, context->program);

    if (error < 0) {
        socket_destroy(socket);
        return error;
    }
    socket_label(socket);
    sockopt_set_defaults(socket);
    if (context->who != NULL)
        rules_apply_made(socket, rules);
    if (socket->datagram != NULL)
        datagram_option_changed(socket, -1);
    socket->program_fd = -1;
    return fd;
}

/* A program that makes one TCP socket after another gets some beforehand. Without rules: these look at each when it is
 * made. */
static void make_spares(const struct protocol_message *request, struct protocol_message *reply, struct request_context *context)
{
    const int wanted = request->args[3] < PROTOCOL_SPARES_MAX ? request->args[3] : PROTOCOL_SPARES_MAX;
    struct socket *socket;
    int fd = 0;

    if (context->who != NULL)
        return;
    while (fd >= 0 && (int)context->spare_count < wanted && make_stream(request->args[0], request->args[2], &socket) == 0) {
        fd = finish_socket(socket, context, NULL);
        if (fd >= 0)
            context->spare_fds[context->spare_count++] = fd;
    }
    reply->args[1] = (int32_t)context->spare_count;
}

static int make_socket(const struct protocol_message *request, struct protocol_message *reply, struct request_context *context)
{
    const int domain = request->args[0], type = request->args[1], protocol = request->args[2];
    struct socket_rules rules = {.who = NULL};
    uint32_t number, instance;
    struct socket *socket;
    int error;

    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (context->who != NULL) {
        error = rules_apply_new(request, context->who, &rules);
        if (error < 0)
            return error;
    }
    if (!quota_has_room(context->program->quota))
        return -EMFILE;
    switch (type) {
    case SOCK_STREAM:
        error = make_stream(domain, protocol, &socket);
        break;
    case SOCK_DGRAM:
    case SOCK_RAW:
        error = make_datagram(request, context->program, &socket);
        break;
    default:
        return -ESOCKTNOSUPPORT;
    }
    if (error < 0)
        return error;
    error = finish_socket(socket, context, &rules);
    if (error < 0)
        return error;
    context->reply_fd = error;
    reply->args[0] = (int32_t)request_on_death;
    if (type == SOCK_STREAM) {
        socket_tell_number(socket, &number, &instance);
        reply->args[2] = (int32_t)number;
        reply->args[3] = (int32_t)instance;
        make_spares(request, reply, context);
    }
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

/* After close(2). Return: 0 when there is nothing to wait for. */
static int wait_for_linger(const struct protocol_message *request, struct request_context *context)
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

/* sidestack impair. */
static int impair_wire(const struct protocol_message *request, struct protocol_message *reply, const struct program *program)
{
    char settings[PROTOCOL_OPTION_MAX + 1], text[PROTOCOL_OPTION_MAX];
    int error;

    if (request->option_length > 0 && !access_may(program, ACCESS_ADMIN))
        return -EPERM;
    memcpy(settings, request->option, request->option_length);
    settings[request->option_length] = '\0';
    error = stack_impair(request->option_length > 0 ? settings : NULL, text, sizeof text);
    if (error == 0 || error == -EINVAL) {
        reply->option_length = (uint32_t)strlen(text);
        memcpy(reply->option, text, reply->option_length);
    }
    if (error == 0 && request->option_length > 0)
        log_info("wire: impaired by user %u: %s", (unsigned)program->uid, text);
    return error;
}

/* A request about a stream socket. Return: as request_execute(). */
static int execute_stream(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
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
        bring_up_to_date(socket);
        return sockopt_set(socket, request, access_may(context->program, ACCESS_RAW));
    case PROTOCOL_STATUS:
        return get_status(socket, reply);
    case PROTOCOL_LINGER:
        return begin_linger(socket, reply);
    case PROTOCOL_SEND_RESULT:
    case PROTOCOL_ERROR_QUEUE:
        return -EOPNOTSUPP;
    case PROTOCOL_SOCKET:
    case PROTOCOL_IMPAIR:
    case PROTOCOL_INTERFACES:
    case PROTOCOL_RESOLVER:
    case PROTOCOL_RESOLVE: /* client_lookup.c, because its reply has to wait */
    case PROTOCOL_ROUTES:
    case PROTOCOL_QUERY:
    case PROTOCOL_KILL:
    case PROTOCOL_SETTINGS:
    case PROTOCOL_RULES:
    case PROTOCOL_CAPTURE:
    case PROTOCOL_TAKEOVER:
    case PROTOCOL_OPERATION_COUNT:
        break;
    }
    return -EPROTO; /* request_check() let it pass, this function does not know it */
}

/* Whose descriptor came with the request, or whose number it has. Return: 0 or -errno. */
static int find_socket(const struct protocol_message *request, const struct request_context *context, struct socket **found)
{
    struct socket *socket = NULL;
    struct stat status;

    if (request->flags & PROTOCOL_FLAG_BY_NUMBER) {
        if ((uint32_t)request->args[3] == pair_instance())
            socket = socket_find_number((uint32_t)request->args[2]);
        if (socket == NULL || socket->program == NULL || socket->program->process != context->program->process || socket->datagram != NULL ||
            socket->state == PROTOCOL_STATE_FAILED) /* then a connect() looks at the descriptor itself */
            return -PROTOCOL_SHOW;
    } else {
        if (context->is_foreign)
            return -ENOTSOCK; /* whatever number it may have: a file in a file system of the user's own has any */
        if (fstat(context->fd, &status) < 0)
            return -EBADF;
        socket = socket_find(status.st_ino);
        if (socket == NULL)
            return -ENOTSOCK;
    }
    *found = socket;
    return 0;
}

int request_execute(const struct protocol_message *request, struct protocol_message *reply,
                    struct request_context *context)
{
    struct socket *socket = NULL;
    int error;

    if (request->operation == PROTOCOL_SOCKET)
        return make_socket(request, reply, context);
    if (request->operation == PROTOCOL_IMPAIR)
        return impair_wire(request, reply, context->program);
    if (request->operation == PROTOCOL_LINGER && context->fd < 0)
        return wait_for_linger(request, context);
    if (request->operation == PROTOCOL_INTERFACES)
        return interface_list_get(request, reply);
    if (request->operation == PROTOCOL_RESOLVER)
        return names_describe(reply);
    if (request->operation == PROTOCOL_ROUTES)
        return names_find_routes(request, reply);
    if (request->operation == PROTOCOL_QUERY)
        return query_start(request, context->program, &context->reply_fd);
    if (request->operation == PROTOCOL_CAPTURE)
        return capture_stream_start(request, context->tail, context->program, &context->reply_fd);
    if (request->operation == PROTOCOL_TAKEOVER)
        return may_take_over(context->program) ? takeover_channel_open(&context->reply_fd) : -EPERM;
    if (request->operation == PROTOCOL_KILL)
        return kill_sockets(request, reply, context->program);
    if (request->operation == PROTOCOL_RULES)
        return rules_apply_query(request, reply);
    error = find_socket(request, context, &socket);
    if (error < 0)
        return error;
    if (request->operation == PROTOCOL_SETTINGS)
        return rules_apply_read_settings(socket, request, reply);
    error = rules_apply(socket, request, reply, context->who);
    if (error < 0)
        return error;
    if (socket->datagram != NULL)
        error = datagram_execute(socket, request, reply, context);
    else
        error = execute_stream(socket, request, reply, context);
    if (error == 0 && context->who != NULL)
        rules_apply_done(socket, request);
    return error;
}
