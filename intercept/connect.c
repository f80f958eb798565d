/*
 * connect.c - connect(2).
 *
 * The service does the handshake. A blocking connect waits for the reply to its request, in the kernel, so signals,
 * time limits and cancellation act on it as they do on the kernel's; giving up waiting does not give up the handshake.
 *
 * A pair can fail only once. When the program connects again after a failure the service sends a new pair, which
 * takes the number of the old one.
 */
#include "address.h"
#include "control.h"
#include "datagram.h"
#include "host.h"
#include "libc.h"
#include "replace.h"
#include "socket.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

/* The pair's own error, which is cleared. Return: errno or 0. */
static int take_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    return libc_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : 0;
}

/*
 * connect() to AF_UNSPEC dissolves what is there: the service sends a new pair (-ESTALE).
 * Return: 0 or -errno.
 */
static int dissolve(int fd, const struct protocol_address *nobody)
{
    struct protocol_message message;
    int new_fd;
    int error;

    if (control_status(fd, &message) == 0 && message.args[0] == PROTOCOL_STATE_NEW)
        return 0; /* there is nothing */
    control_prepare(&message, PROTOCOL_CONNECT);
    message.address = *nobody;
    error = control_request(&message, fd, &new_fd);
    if (error == -ESTALE && new_fd >= 0)
        return replace_pair(fd, new_fd);
    if (new_fd >= 0)
        libc_close(new_fd);
    return error;
}

/* One connect request. Return: the service's answer, or -errno; -ESTALE with *new_fd. *message is the reply. */
static int ask(int fd, const struct protocol_address *address, bool wait, const struct timeval *timeout, int *new_fd,
               struct protocol_message *message)
{
    control_prepare(message, PROTOCOL_CONNECT);
    message->address = *address;
    if (!wait)
        return control_request(message, fd, new_fd);
    message->flags = PROTOCOL_FLAG_WAIT;
    /* While we wait, other threads and the signal handlers see a socket that connects. */
    return control_request_waiting(message, fd, new_fd, timeout);
}

/* A datagram socket: the answer comes at once, and errors may come from now on. */
static int connect_datagram(int fd, const struct protocol_address *peer, const struct sockaddr *address, socklen_t length)
{
    struct protocol_message message;
    int error;

    datagram_forget(fd);
    control_prepare(&message, PROTOCOL_CONNECT);
    message.address = *peer;
    error = control_request(&message, fd, NULL);
    if (error == -PROTOCOL_ON_HOST)
        return host_move_and_connect(fd, &message, address, length);
    if (error == 0)
        descriptor_set(fd, DESCRIPTOR_DATAGRAM_ERRORS);
    return error;
}

int socket_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct protocol_address peer;
    struct protocol_message message;
    struct timeval timeout = {0, 0};
    socklen_t timeout_length = sizeof timeout;
    enum descriptor_kind kind = descriptor_verify(fd);
    int error;
    int new_fd;
    bool wait;

    if (kind == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_connect(fd, address, length));
    error = address_copy_in(&peer, address, length);
    if (error < 0)
        return error;
    if (length < sizeof(sa_family_t))
        return -EINVAL;
    if (datagram_is(fd))
        return connect_datagram(fd, &peer, address, length);
    if (address->sa_family == AF_UNSPEC)
        return dissolve(fd, &peer);
    wait = !(libc_fcntl(fd, F_GETFL, 0) & O_NONBLOCK);
    if (wait)
        libc_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &timeout_length);

    error = ask(fd, &peer, wait, &timeout, &new_fd, &message);
    if (error == -ESTALE && new_fd >= 0) {
        error = replace_pair(fd, new_fd);
        if (error < 0)
            return error;
        kind = DESCRIPTOR_EARLY;
        error = ask(fd, &peer, wait, &timeout, &new_fd, &message);
    }
    if (new_fd >= 0)
        libc_close(new_fd);
    if (error == -PROTOCOL_ON_HOST)
        return host_move_and_connect(fd, &message, address, length);

    switch (-error) {
    case 0:
        descriptor_set(fd, DESCRIPTOR_DATA);
        return 0;
    case EINPROGRESS:
    case EALREADY:
    case EINTR:
        descriptor_set(fd, DESCRIPTOR_CONNECTING);
        return error;
    case EISCONN:
        return error;
    case EAGAIN: /* SO_SNDTIMEO is over */
        descriptor_set(fd, DESCRIPTOR_CONNECTING);
        return kind == DESCRIPTOR_CONNECTING ? -EALREADY : -EINPROGRESS;
    default:
        /* It has failed, and this call says so: nothing is left for SO_ERROR to report. */
        (void)take_error(fd);
        descriptor_set(fd, DESCRIPTOR_EARLY);
        return error;
    }
}

int socket_wait_connected(int fd, int flags)
{
    static const struct sockaddr_in nobody = {.sin_family = AF_INET}; /* nothing new begins */
    struct pollfd pair = {.fd = fd, .events = POLLOUT};
    struct timeval timeout = {0, 0};
    socklen_t timeout_length = sizeof timeout;
    struct protocol_message message;
    struct protocol_address address;
    int saved_errno = errno, new_fd, error = 0;

    if (libc_poll(&pair, 1, 0) == 1) { /* it is, or it failed: the pair says which */
        errno = saved_errno;
        descriptor_set(fd, DESCRIPTOR_DATA);
        return 0;
    }
    if ((flags & MSG_DONTWAIT) || (libc_fcntl(fd, F_GETFL, 0) & O_NONBLOCK))
        return -EAGAIN;
    if (control_status(fd, &message) < 0 || message.args[0] != PROTOCOL_STATE_CONNECTING)
        return 0; /* just now */
    libc_getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &timeout_length);
    error = address_copy_in(&address, (const struct sockaddr *)&nobody, sizeof nobody);
    if (error == 0)
        error = ask(fd, &address, true, &timeout, &new_fd, &message);
    if (error == -EINTR || error == -EAGAIN)
        return error;
    if (error < 0)
        (void)take_error(fd);
    descriptor_set(fd, error < 0 ? DESCRIPTOR_EARLY : DESCRIPTOR_DATA);
    return error;
}
