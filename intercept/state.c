/*
 * state.c - what a socket of ours is doing, when the table of descriptors does not say.
 */
#include "state.h"

#include "control.h"
#include "libc.h"

#include <errno.h>
#include <poll.h>

/* A connect failed. Does the pair still hold the error, which the next call on the socket reports? */
static bool holds_error(int fd)
{
    struct pollfd pair = {.fd = fd, .events = POLLIN};
    int saved_errno = errno;
    bool holds = libc_poll(&pair, 1, 0) == 1 && (pair.revents & POLLERR);

    errno = saved_errno;
    return holds;
}

enum descriptor_kind state_find(int fd)
{
    struct protocol_message message;
    enum descriptor_kind kind = descriptor_verify(fd);

    if (kind != DESCRIPTOR_EARLY)
        return kind;
    if (control_status(fd, &message) < 0)
        return DESCRIPTOR_DATA; /* without a service the pair tells the truth: it is reset */
    switch (message.args[0]) {
    case PROTOCOL_STATE_CONNECTING:
        kind = DESCRIPTOR_CONNECTING;
        break;
    case PROTOCOL_STATE_CONNECTED:
    case PROTOCOL_STATE_RESET:
        kind = DESCRIPTOR_DATA;
        break;
    case PROTOCOL_STATE_LISTENING:
        kind = DESCRIPTOR_LISTENING;
        break;
    case PROTOCOL_STATE_FAILED:
        /* Once the error was told the socket is like a new one; until then it is like a connection that was reset. */
        kind = holds_error(fd) ? DESCRIPTOR_DATA : DESCRIPTOR_EARLY;
        break;
    default:
        break;
    }
    descriptor_set(fd, kind);
    return kind;
}
