/*
 * linger.c - close(2) of a socket with SO_LINGER waits until the peer has everything, or for the time that was set.
 *
 * Only who closes a socket last waits. That can be seen only when it is closed, so the service is asked before for the
 * socket's number, and after to say when all is sent. A program that lingers at all is rare; the others don't pay for
 * it.
 *
 * The pair keeps the option as well, and does nothing about it: so a process that inherits or receives the socket sees
 * that it lingers when it looks at the descriptor for the first time. DIFFERS: a program that was executed with such a
 * socket, and closes it without any other call on it before, does not wait.
 */
#include "linger.h"

#include "control.h"
#include "descriptor.h"
#include "libc.h"

#include <errno.h>

_Atomic bool linger_is_used;

void linger_set(int fd, const struct linger *linger)
{
    if (linger->l_onoff && linger->l_linger > 0)
        linger_is_used = true;
    if (linger_is_used)
        libc_setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, sizeof *linger);
}

void linger_see(int fd)
{
    struct linger linger;
    socklen_t length = sizeof linger;

    if (libc_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 && linger.l_onoff && linger.l_linger > 0)
        linger_is_used = true;
}

void linger_inherit(int fd, int new_fd)
{
    struct linger linger;
    socklen_t length = sizeof linger;

    if (linger_is_used && libc_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0)
        libc_setsockopt(new_fd, SOL_SOCKET, SO_LINGER, &linger, length);
}

int linger_close(int fd)
{
    struct protocol_message message;
    struct timeval limit;
    int error;

    control_prepare(&message, PROTOCOL_LINGER);
    error = control_request(&message, fd, NULL);
    limit = (struct timeval){.tv_sec = error == 0 ? message.args[2] : 0};
    /* Before it is closed, because then another thread may get the number. */
    descriptor_set(fd, DESCRIPTOR_UNKNOWN);
    error = libc_close(fd) < 0 ? -errno : 0;
    if (error == 0 && limit.tv_sec > 0) {
        int number[2] = {message.args[0], message.args[1]};

        control_prepare(&message, PROTOCOL_LINGER);
        message.flags = PROTOCOL_FLAG_WAIT;
        message.args[0] = number[0];
        message.args[1] = number[1];
        /* However the wait ends, the descriptor is closed and the data goes out. */
        (void)control_request_waiting(&message, -1, NULL, &limit);
    }
    return error;
}
