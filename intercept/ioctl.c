/*
 * ioctl.c - ioctl(2) on sockets: what waits in their queues, and what is asked about interfaces.
 *
 * FIONREAD of a stream and FIONBIO are the pair's own.
 */
#include "address.h"
#include "control.h"
#include "datagram.h"
#include "interface.h"
#include "libc.h"
#include "socket.h"
#include "state.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>

/* SIOCOUTQ, SIOCOUTQNSD: field of PROTOCOL_STATUS. */
static int get_queued(int fd, int field, int *out)
{
    struct protocol_message message;
    int error;

    if (memory_check(out, sizeof *out) < 0)
        return -EFAULT;
    error = control_status(fd, &message);
    if (error < 0)
        return error == -ENETDOWN ? -ENOTCONN : error;
    if (message.args[0] == PROTOCOL_STATE_LISTENING)
        return -EINVAL;
    *out = message.args[field];
    return 0;
}

int socket_ioctl(int fd, unsigned long request, void *argument)
{
    if (interface_is_ioctl(request) && (descriptor_verify(fd) != DESCRIPTOR_FOREIGN || interface_is_unix_ioctl(fd, request)))
        return interface_ioctl(fd, request, argument);
    switch (request) {
    case SIOCINQ: /* FIONREAD */
        if (datagram_is(fd) && descriptor_verify(fd) != DESCRIPTOR_FOREIGN)
            return memory_check(argument, sizeof(int)) < 0 ? -EFAULT : datagram_next_length(fd, argument);
        if (state_find(fd) == DESCRIPTOR_LISTENING)
            return -EINVAL;
        break;
    case SIOCOUTQ: /* TIOCOUTQ */
        if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
            break;
        return get_queued(fd, 2, argument);
    case SIOCOUTQNSD:
        if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
            break;
        return get_queued(fd, 3, argument);
    case SIOCATMARK:
        if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
            break;
        if (datagram_is(fd))
            return -ENOTTY;
        if (memory_check(argument, sizeof(int)) < 0)
            return -EFAULT;
        memcpy(argument, &(int){0}, sizeof(int)); /* no urgent data, no mark */
        return 0;
    default:
        break;
    }
    return STATE_RESULT(libc_ioctl(fd, request, argument));
}
