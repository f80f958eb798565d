/* request.c - what each request of the control protocol does; protocol.h says what each carries. */
#include "request.h"

#include "service/privilege/access.h"
#include "service/datagram/datagram.h"
#include "service/datagram/datagram_option.h"
#include "interface_list.h"
#include "service/log/log.h"
#include "service/resolver/names.h"
#include "pair.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "service/query/capture_stream.h"
#include "service/query/kill.h"
#include "service/query/query.h"
#include "service/rules/rules_apply.h"
#include "service/sockopt/sockopt.h"
#include "stream.h"
#include "service/takeover/takeover_channel.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum protocol_on_death request_on_death;

/* What requests look like; those that are not here are not about a socket, and have no flags. */
static const struct operation {
    bool is_of_socket; /* a socket's descriptor rides along, unless one of the flags .instead is there */
    uint32_t flags;    /* the others that there may be */
    uint32_t instead;
} operations[PROTOCOL_OPERATION_COUNT] = {
    [PROTOCOL_BIND] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_LISTEN] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_CONNECT] = {true, PROTOCOL_FLAG_WAIT, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_SHUTDOWN] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_GETSOCKNAME] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_GETPEERNAME] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_GETSOCKOPT] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_SETSOCKOPT] = {true, PROTOCOL_FLAG_ONE_WAY, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_CORK] = {true, PROTOCOL_FLAG_ONE_WAY, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_STATUS] = {true, 0, PROTOCOL_FLAG_BY_NUMBER},
    [PROTOCOL_LINGER] = {true, 0, PROTOCOL_FLAG_WAIT}, /* then it is closed already */
    [PROTOCOL_SEND_RESULT] = {true, 0, 0},
    [PROTOCOL_ERROR_QUEUE] = {true, 0, 0},
    [PROTOCOL_SETTINGS] = {true, 0, 0},
    [PROTOCOL_RULES] = {false, PROTOCOL_FLAG_TEST, 0},
};

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

/* Is there a descriptor, if it needs one, and only then, and no other flag than it may have? */
static bool shape_is_good(const struct protocol_message *request, bool has_descriptor)
{
    const struct operation *operation = &operations[request->operation];

    return (request->flags & ~(operation->flags | operation->instead)) == 0 &&
           has_descriptor == (operation->is_of_socket && (request->flags & operation->instead) == 0);
}

int request_check(const struct protocol_message *request, int fd, size_t tail_length)
{
    if (request->magic != PROTOCOL_MAGIC || request->version != PROTOCOL_VERSION || request->operation < 1 ||
        request->operation >= PROTOCOL_OPERATION_COUNT || request->result != 0 ||
        request->address.length > sizeof request->address.bytes || request->option_length > PROTOCOL_OPTION_MAX ||
        !shape_is_good(request, fd >= 0) || !tail_is_good(request, tail_length))
        return -EPROTO;
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
    while (fd >= 0 && (int)context->spare_count < wanted && stream_make(request->args[0], request->args[2], &socket) == 0) {
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
        error = stream_make(domain, protocol, &socket);
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

/* That which has the number in the request. Return: NULL: there is none, or another process's. */
static struct socket *find_by_number(const struct protocol_message *request, const struct request_context *context)
{
    struct socket *socket = (uint32_t)request->args[3] == pair_instance() ? socket_find_number((uint32_t)request->args[2]) : NULL;

    if (socket == NULL || socket->program == NULL || socket->program->process != context->program->process || socket->datagram != NULL ||
        socket->state == PROTOCOL_STATE_FAILED) /* then a connect() looks at the descriptor itself */
        return NULL;
    return socket;
}

/* Whose descriptor came with the request, or whose number it has. Return: NULL: none, and *error is -errno. */
static struct socket *find_socket(const struct protocol_message *request, const struct request_context *context, int *error)
{
    struct stat status;

    if (request->flags & PROTOCOL_FLAG_BY_NUMBER) {
        *error = -PROTOCOL_SHOW;
        return find_by_number(request, context);
    }
    *error = -ENOTSOCK;
    if (context->is_foreign) /* whatever number it may have: a file in a file system of the user's own has any */
        return NULL;
    if (fstat(context->fd, &status) < 0) {
        *error = -errno;
        return NULL;
    }
    return socket_find(status.st_ino);
}

/* What is asked of the service, not of a socket. Return: as request_execute(). */
static int execute_service(const struct protocol_message *request, struct protocol_message *reply, struct request_context *context)
{
    switch ((enum protocol_operation)request->operation) {
    case PROTOCOL_SOCKET:
        return make_socket(request, reply, context);
    case PROTOCOL_IMPAIR:
        return impair_wire(request, reply, context->program);
    case PROTOCOL_INTERFACES:
        return interface_list_get(request, reply);
    case PROTOCOL_RESOLVER:
        return names_describe(reply);
    case PROTOCOL_ROUTES:
        return names_find_routes(request, reply);
    case PROTOCOL_QUERY:
        return query_start(request, context->program, &context->reply_fd);
    case PROTOCOL_KILL:
        return kill_sockets(request, reply, context->program);
    case PROTOCOL_RULES:
        return rules_apply_query(request, reply);
    case PROTOCOL_CAPTURE:
        return capture_stream_start(request, context->tail, context->program, &context->reply_fd);
    case PROTOCOL_TAKEOVER:
        return may_take_over(context->program) ? takeover_channel_open(&context->reply_fd) : -EPERM;
    default:
        return -EPROTO; /* PROTOCOL_RESOLVE is client_lookup.c's, because its reply has to wait */
    }
}

/* What is asked of a socket. Return: as request_execute(). */
static int execute_socket(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                          struct request_context *context)
{
    int error;

    if (request->operation == PROTOCOL_SETTINGS)
        return rules_apply_read_settings(socket, request, reply);
    error = rules_apply(socket, request, reply, context->who);
    if (error < 0)
        return error;
    if (socket->datagram != NULL)
        error = datagram_execute(socket, request, reply, context);
    else
        error = stream_execute(socket, request, reply, context);
    if (error == 0 && context->who != NULL)
        rules_apply_done(socket, request);
    return error;
}

int request_execute(const struct protocol_message *request, struct protocol_message *reply,
                    struct request_context *context)
{
    struct socket *socket;
    int error;

    if (!operations[request->operation].is_of_socket)
        return execute_service(request, reply, context);
    if (request->operation == PROTOCOL_LINGER && context->fd < 0)
        return stream_wait_for_linger(request, context);
    socket = find_socket(request, context, &error);
    return socket == NULL ? error : execute_socket(socket, request, reply, context);
}
