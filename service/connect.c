/*
 * connect.c - a socket's way from connect(2) to an established connection, or to an error.
 *
 * A failed attempt uses the pair up: closing our end is what makes the program see IN|OUT|HUP|ERR. TCP's socket stays,
 * with its options and its bound port, and the next connect() gets a new pair (-ESTALE).
 */
#include "connect.h"

#include "service/log/log.h"
#include "pair.h"
#include "relay.h"
#include "service/rules/rules_apply.h"
#include "service/sockopt/sockopt.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Tell everyone who waits; the outcome is reported then. */
static void answer_waiters(struct socket *socket, int result)
{
    if (!TAILQ_EMPTY(&socket->waiters))
        socket->connect_reported = true;
    socket_answer_waiters(socket, result);
}

/* Read the pending error of a descriptor, which clears it. Return: errno or 0. */
static int take_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        return errno;
    return error;
}

int connect_renew(struct socket *socket)
{
    int error;

    if (socket->tcp == NULL) /* it was connected, or listened, once */
        socket->tcp = stack_tcp_open(socket->domain, &relay_tcp_events, socket);
    if (socket->tcp == NULL)
        return -ENOMEM;
    socket_label(socket);
    error = socket_renew_pair(socket);
    if (error < 0)
        return error;
    socket->state = PROTOCOL_STATE_NEW;
    socket->events = 0;
    socket->error = 0;
    socket->connect_reported = false;
    memset(&socket->local, 0, sizeof socket->local);
    sockopt_apply_buffers(socket);
    return -ESTALE;
}

/* The first connect() after a failed attempt learns why, unless SO_ERROR told already; the next one may try again. */
static int after_failure(struct socket *socket, int program_fd)
{
    if (!socket->connect_reported) {
        socket->connect_reported = true;
        return take_error(program_fd) != 0 ? -socket->error : -ECONNABORTED;
    }
    return connect_renew(socket);
}

int connect_dissolve(struct socket *socket)
{
    struct socket *child;

    if (socket->state == PROTOCOL_STATE_NEW)
        return 0;
    while ((child = TAILQ_FIRST(&socket->untaken)) != NULL)
        socket_destroy(child);
    if (socket->tcp != NULL)
        stack_tcp_disconnect(socket->tcp);
    answer_waiters(socket, -ECONNABORTED);
    if (socket->pair_fd >= 0) {
        pair_drain(socket->pair_fd); /* whoever still holds a duplicate sees an end, no error */
        socket_retire(socket);
    }
    return connect_renew(socket);
}

int connect_begin(struct socket *socket, const union stack_address *peer, int program_fd)
{
    int error;

    switch (socket->state) {
    case PROTOCOL_STATE_CONNECTING:
        return -EALREADY;
    case PROTOCOL_STATE_CONNECTED:
        if (socket->connect_reported)
            return -EISCONN;
        socket->connect_reported = true; /* the one that asks how an earlier one went */
        return 0;
    case PROTOCOL_STATE_LISTENING:
    case PROTOCOL_STATE_RESET:
        return -EISCONN;
    case PROTOCOL_STATE_FAILED:
        return after_failure(socket, program_fd);
    case PROTOCOL_STATE_NEW:
        break;
    }
    socket->connect_reported = false;
    socket->state = PROTOCOL_STATE_CONNECTING; /* before the call: it may already fail in it */
    error = stack_tcp_connect(socket->tcp, peer);
    if (error < 0) {
        socket->state = PROTOCOL_STATE_NEW;
        return error;
    }
    if (socket->state != PROTOCOL_STATE_CONNECTING)
        return socket->state == PROTOCOL_STATE_FAILED ? after_failure(socket, program_fd) : 0;
    return -EINPROGRESS;
}

void connect_established(void *owner)
{
    struct socket *socket = owner;
    int error = pair_release(socket->pair_fd);

    if (error < 0) {
        errno = -error;
        log_warn("connect: socket %llu: releasing the pair" LOG_FAULT, (unsigned long long)socket->id);
        stack_tcp_abort(socket->tcp);
        socket->tcp = stack_tcp_open(socket->domain, &relay_tcp_events, socket);
        connect_failed(socket, ECONNABORTED);
        return;
    }
    socket->state = PROTOCOL_STATE_CONNECTED;
    rules_apply_settle(socket);
    socket_note(socket, EVENT_TAKEN);
    (void)stack_tcp_local_address(socket->tcp, &socket->local);
    (void)stack_tcp_peer_address(socket->tcp, &socket->peer);
    answer_waiters(socket, 0);
    log_debug("socket %llu: connected", (unsigned long long)socket->id);
    socket_queue_work(socket, WORK_TO_WIRE); /* libc's own writes may have come before */
}

void connect_failed(struct socket *socket, int error)
{
    socket->state = PROTOCOL_STATE_FAILED;
    socket->error = error;
    log_debug("socket %llu: connect failed: %d", (unsigned long long)socket->id, error);
    socket_retire(socket);
    answer_waiters(socket, -error);
}
