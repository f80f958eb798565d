/*
 * control.c - requests to the service, each on a connection that it has to itself (control_pool.h).
 *
 * A connection on which a request can't be sent is replaced, once. A request that was sent is never repeated.
 */
#include "control.h"

#include "control_pool.h"
#include "descriptor.h"
#include "libc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* More than this may not come with a reply; those beyond what is asked for are closed. */
#define RECEIVED_MAX 8
_Static_assert(RECEIVED_MAX >= 1 + PROTOCOL_SPARES_MAX, "a socket and its spares");

/* Is this about the process or the system, not about the service? */
static bool is_out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* Send the request, with what follows it unless that is NULL. Return: 0 or -errno. */
static int send_request(const struct connection *connection, const struct protocol_message *message, int fd,
                        const struct control_tail *tail)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct iovec iov[2] = {{(void *)message, sizeof *message}};
    struct msghdr out = {.msg_iov = iov, .msg_iovlen = 1};
    ssize_t sent;

    if (tail != NULL) {
        iov[1] = (struct iovec){tail->bytes, tail->length};
        out.msg_iovlen = 2;
    }

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        out.msg_control = &control;
        out.msg_controllen = sizeof control;
    }
    do {
        sent = libc_sendmsg(connection->fd, &out, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static void close_received(const struct control_received *received)
{
    for (size_t i = 0; i < received->count; i++)
        libc_close(received->fds[i]);
}

/* Take the first `max` descriptors of a received message; all others are closed. */
static void take_received(struct msghdr *in, size_t max, struct control_received *received)
{
    received->count = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(in); header != NULL; header = CMSG_NXTHDR(in, header)) {
        size_t count;

        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (received->count < max)
                received->fds[received->count++] = fd;
            else
                libc_close(fd);
        }
    }
}

/* Wait until a reply is there, and make room for what follows it. cancel_state: the caller's, which holds while we
 * wait. Return: 0 or -errno. */
static int prepare_tail(const struct connection *connection, struct control_tail *tail, int cancel_state)
{
    ssize_t length;
    int state;

    do {
        pthread_setcancelstate(cancel_state, &state);
        length = libc_recv(connection->fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    } while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno == ECONNRESET ? -ENETDOWN : -errno;
    tail->length = length > (ssize_t)sizeof(struct protocol_message) ? (size_t)length - sizeof(struct protocol_message) : 0;
    tail->bytes = tail->length > 0 ? malloc(tail->length) : NULL;
    return tail->length > 0 && tail->bytes == NULL ? -ENOMEM : 0;
}

/* Wait for the reply. wait: a signal handler and a time limit may end it, and the caller's cancel_state holds. tail:
 * where what follows the reply goes; NULL: nothing may. Return: 0 (*message, *received and *tail are set), or
 * -errno. */
static int receive_reply(const struct connection *connection, struct protocol_message *message,
                         struct control_received *received, size_t received_max, bool wait, struct control_tail *tail, int cancel_state)
{
    struct protocol_message reply;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(RECEIVED_MAX * sizeof(int))];
    } control;
    struct iovec iov[2] = {{&reply, sizeof reply}};
    struct msghdr in = {.msg_iov = iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length;
    int state;

    if (tail != NULL) {
        iov[1] = (struct iovec){tail->bytes, tail->length};
        in.msg_iovlen = 2;
    }
    do {
        if (wait)
            pthread_setcancelstate(cancel_state, &state);
        length = libc_recvmsg(connection->fd, &in, MSG_CMSG_CLOEXEC);
        if (wait)
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    } while (length < 0 && errno == EINTR && !wait);
    // cppcheck-suppress uninitvar ; the loop has run once
    if (length < 0)
        return errno == ECONNRESET ? -ENETDOWN : -errno;
    if (length == 0)
        return -ENETDOWN;
    take_received(&in, received_max > 0 ? received_max : 1, received);
    if (length != (ssize_t)(sizeof reply + (tail != NULL ? tail->length : 0)) || (in.msg_flags & MSG_TRUNC) || reply.magic != PROTOCOL_MAGIC ||
        reply.version != PROTOCOL_VERSION || reply.operation != message->operation || reply.result > 0 ||
        reply.result < -4095 || reply.address.length > sizeof reply.address.bytes ||
        reply.option_length > sizeof reply.option || received->count > received_max) {
        close_received(received);
        received->count = 0;
        return -EPROTO;
    }
    if ((in.msg_flags & MSG_CTRUNC) && (received->count == 0 || received_max == 1)) { /* there was no number free for it */
        close_received(received);
        received->count = 0;
        return -EMFILE;
    }
    if (reply.result == -PROTOCOL_SHOW) {
        close_received(received);
        received->count = 0;
        return -PROTOCOL_SHOW; /* the request is still in *message */
    }
    *message = reply;
    return 0;
}

static void cancel_request(void *claim)
{
    control_release(claim, false);
}

/* What goes with a request; whatever it has not is 0. */
struct exchange {
    int fd;                         /* rides along; -1: none */
    struct control_received *received; /* for the descriptors that come back */
    size_t received_max;            /* how many may */
    bool wait;                      /* a signal handler may end it, and a time limit */
    const struct timeval *timeout;  /* with wait */
    const struct control_tail *out; /* NULL: nothing follows the request */
    struct control_tail *in;        /* NULL: nothing follows the reply */
};

/* Wait for the reply; who is cancelled meanwhile gives the connection back. Return: 0 or -errno. */
static int await_reply(struct claim *claim, struct protocol_message *message, const struct exchange *exchange,
                       int cancel_state)
{
    int error;

    pthread_cleanup_push(cancel_request, claim);
    error = exchange->in != NULL ? prepare_tail(claim->connection, exchange->in, cancel_state) : 0;
    if (error == 0)
        error = receive_reply(claim->connection, message, exchange->received, exchange->received_max, exchange->wait,
                              exchange->in, cancel_state);
    pthread_cleanup_pop(0);
    return error;
}

/* May such a request name the socket by its number? */
static bool operation_takes_number(uint16_t operation)
{
    switch (operation) {
    case PROTOCOL_BIND:
    case PROTOCOL_LISTEN:
    case PROTOCOL_CONNECT:
    case PROTOCOL_SHUTDOWN:
    case PROTOCOL_GETSOCKNAME:
    case PROTOCOL_GETPEERNAME:
    case PROTOCOL_GETSOCKOPT:
    case PROTOCOL_SETSOCKOPT:
    case PROTOCOL_CORK:
    case PROTOCOL_STATUS:
        return true;
    default:
        return false;
    }
}

/*
 * Say which socket the request is about: by its number, which spares passing its descriptor, or have the descriptor
 * ride along. A request without reply has no second try, so the number must be known to the service: not on a
 * connection that is fresh, when the older ones may be gone. Return: the descriptor to send, or -1.
 */
static int name_socket(struct protocol_message *message, int fd, bool is_fresh)
{
    const bool is_one_way = (message->flags & PROTOCOL_FLAG_ONE_WAY) != 0;
    struct descriptor_number number;

    if (message->flags & PROTOCOL_FLAG_BY_NUMBER) { /* of an earlier attempt */
        message->flags &= ~PROTOCOL_FLAG_BY_NUMBER;
        message->args[2] = message->args[3] = 0;
    }
    if (fd < 0 || !operation_takes_number(message->operation) || (is_one_way && is_fresh) ||
        !descriptor_find_number(fd, &number))
        return fd;
    message->flags |= PROTOCOL_FLAG_BY_NUMBER;
    message->args[2] = (int32_t)number.number;
    message->args[3] = (int32_t)number.instance;
    return -1;
}

/* Do the request, once. Return: the reply's result, or -errno of our own. */
static int try_request(struct protocol_message *message, const struct exchange *exchange)
{
    static const struct timeval forever;
    const bool wait = exchange->wait;
    const struct timeval *timeout = exchange->timeout;
    bool is_limited = wait && (timeout->tv_sec != 0 || timeout->tv_usec != 0);
    struct claim claim;
    int error = -ENETDOWN;
    int open_error = 0; /* why no connection could be made, when one that was kept is used instead */
    int state;

    exchange->received->count = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    control_claim(&claim);
    for (int attempt = 0; attempt < 2; attempt++) {
        bool is_fresh = !control_connection_is_ours(claim.connection);

        if (is_fresh && claim.connection->inode != 0) /* it was lost, perhaps with all others */
            descriptor_forget_numbers();
        error = is_fresh ? control_connection_open(claim.connection) : 0;
        if (error == -EACCES || error == -EPERM || error == -ENOENT) {
            open_error = -error;
            error = control_wait_for_kept(&claim) ? 0 : error;
        }
        if (error < 0 && !is_out_of_resources(-error))
            error = control_complain(-error);
        if (error == 0)
            error = send_request(claim.connection, message, name_socket(message, exchange->fd, is_fresh), exchange->out);
        /* Only an old connection can have died before the request went out. */
        if (is_fresh || (error != -EPIPE && error != -ECONNRESET && error != -ENOTCONN))
            break;
        descriptor_forget_numbers();
        control_connection_close(claim.connection);
    }
    if (error == -EPIPE || error == -ECONNRESET)
        error = open_error ? control_complain(open_error) : -ENETDOWN;
    if (error == 0 && (message->flags & PROTOCOL_FLAG_ONE_WAY)) {
        message->result = 0;
    } else if (error == 0) {
        if (is_limited)
            libc_setsockopt(claim.connection->fd, SOL_SOCKET, SO_RCVTIMEO, timeout, sizeof *timeout);
        error = await_reply(&claim, message, exchange, state);
        if (is_limited && error == 0)
            libc_setsockopt(claim.connection->fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    }
    /* A connection whose reply did not come, or made no sense, is of no use to the next request. EMFILE is about the
     * descriptor that came with the reply, and the next connection would have no number either. */
    control_release(&claim, error == 0 || error == -EMFILE || error == -PROTOCOL_SHOW);
    pthread_setcancelstate(state, &state);
    if (error == 0 && message->result == -ENOTSOCK && exchange->fd >= 0)
        return -ENETDOWN; /* the service was started anew and does not know it: the network that it was on is gone */
    return error < 0 ? error : message->result;
}

/* Do the request. Return: the reply's result, or -errno of our own. */
static int do_request(struct protocol_message *message, const struct exchange *exchange)
{
    int result = try_request(message, exchange);

    if (result == -PROTOCOL_SHOW && exchange->fd >= 0) {
        descriptor_forget_number(exchange->fd);
        result = try_request(message, exchange);
    }
    return result == -PROTOCOL_SHOW ? -EPROTO : result;
}

void control_prepare(struct protocol_message *message, enum protocol_operation operation)
{
    memset(message, 0, sizeof *message);
    message->magic = PROTOCOL_MAGIC;
    message->version = PROTOCOL_VERSION;
    message->operation = (uint16_t)operation;
}

/* The lack of a descriptor, here or in the service, by a name that POSIX knows for the call; only socket() wanted
 * one. */
static int name_shortage(uint16_t operation, int result)
{
    if (result == -ETOOMANYREFS || ((result == -EMFILE || result == -ENFILE) && operation != PROTOCOL_SOCKET))
        return -ENOBUFS;
    return result;
}

/* For who has a place for one descriptor, or none. */
static int request_one(struct protocol_message *message, struct exchange *exchange, int *received)
{
    struct control_received came = {.count = 0};
    const uint16_t operation = message->operation;
    int saved_errno = errno, result;

    // cppcheck-suppress autoVariables ; nobody looks there after do_request()
    exchange->received = &came;
    exchange->received_max = received != NULL ? 1 : 0;
    result = name_shortage(operation, do_request(message, exchange));
    if (received != NULL)
        *received = came.count > 0 ? came.fds[0] : -1;
    errno = saved_errno;
    return result;
}

int control_request(struct protocol_message *message, int fd, int *received)
{
    struct exchange exchange = {.fd = fd};

    return request_one(message, &exchange, received);
}

int control_request_sockets(struct protocol_message *message, struct control_received *received)
{
    struct exchange exchange = {.fd = -1, .received = received, .received_max = 1 + PROTOCOL_SPARES_MAX};
    int saved_errno = errno, result = name_shortage(message->operation, do_request(message, &exchange));

    errno = saved_errno;
    return result;
}

int control_send(struct protocol_message *message, int fd)
{
    message->flags |= PROTOCOL_FLAG_ONE_WAY;
    return control_request(message, fd, NULL);
}

int control_request_waiting(struct protocol_message *message, int fd, int *received, const struct timeval *timeout)
{
    struct exchange exchange = {.fd = fd, .wait = true, .timeout = timeout};

    return request_one(message, &exchange, received);
}

int control_request_with_tail(struct protocol_message *message, const struct control_tail *out, struct control_tail *in)
{
    struct exchange exchange = {.fd = -1, .out = out, .in = in};
    int result;

    *in = (struct control_tail){NULL, 0};
    result = request_one(message, &exchange, NULL);
    if (result < 0) {
        int saved_errno = errno;

        free(in->bytes);
        *in = (struct control_tail){NULL, 0};
        errno = saved_errno;
    }
    return result;
}

int control_status(int fd, struct protocol_message *message)
{
    control_prepare(message, PROTOCOL_STATUS);
    return control_request(message, fd, NULL);
}

int control_cause(int fd, int fallback)
{
    struct protocol_message message;

    return control_status(fd, &message) == 0 && message.args[1] > 0 && message.args[1] < 4096 ? message.args[1]
                                                                                              : fallback;
}
