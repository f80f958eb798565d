/*
 * option.c - getsockopt(2), setsockopt(2).
 *
 * An option is kept either by the pair, because the kernel acts on it when the program reads and writes, or by the
 * service, which knows the connection. pair_has() is the list of the first; all others are asked of the service, which
 * refuses those that it does not know.
 */
#include "address.h"
#include "control.h"
#include "cork.h"
#include "datagram.h"
#include "libc.h"
#include "linger.h"
#include "socket.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Does the pair itself do what the option says? */
static bool pair_has(int fd, int level, int name)
{
    if (level != SOL_SOCKET)
        return false;
    switch (name) {
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
    case SO_RCVLOWAT: /* DIFFERS: recv() waits for that much, poll() does not (docs/differences.md) */
        return true;
    case SO_PEEK_OFF:
        return !datagram_is(fd); /* their header is in the way: the service refuses it */
    default:
        return false;
    }
}

/* SO_ERROR: the pair knows that there is one, and that it is read once; the service knows which. */
static int get_error(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (datagram_is(fd))
        return datagram_take_error(fd);
    if (libc_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error == 0)
        return 0;
    return control_cause(fd, error);
}

int socket_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct protocol_message message;
    int result;
    socklen_t room;

    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN || pair_has(fd, level, name))
        return STATE_RESULT(libc_getsockopt(fd, level, name, value, length));
    if (memory_check(length, sizeof *length) < 0)
        return -EFAULT;
    room = *length;
    if ((int)room < 0)
        return -EINVAL;
    if (level == SOL_SOCKET && name == SO_ERROR) {
        int error;

        if (room > sizeof error)
            room = sizeof error;
        if (memory_check(value, room) < 0)
            return -EFAULT;
        error = get_error(fd);
        memcpy(value, &error, room);
        *length = room;
        return 0;
    }
    control_prepare(&message, PROTOCOL_GETSOCKOPT);
    message.args[0] = level;
    message.args[1] = name;
    message.option_length = room < sizeof message.option ? room : sizeof message.option;
    result = control_request(&message, fd, NULL);
    if (result < 0)
        return result;
    if (message.option_length < room)
        room = message.option_length;
    if (memory_check(value, room) < 0)
        return -EFAULT;
    if (room > 0)
        memcpy(value, message.option, room);
    *length = room;
    return 0;
}

/* Filters that are given as a descriptor: is it one of this process? The service can't know. */
static bool names_no_descriptor(int level, int name, const void *value, socklen_t length)
{
    int fd;

    if (level != SOL_SOCKET || (name != SO_ATTACH_BPF && name != SO_ATTACH_REUSEPORT_EBPF) || length != sizeof fd)
        return false;
    memcpy(&fd, value, sizeof fd);
    return libc_fcntl(fd, F_GETFD, 0) < 0;
}

/*
 * Can setting this neither go wrong nor matter to anything but the connection's own segments? What programs set on each
 * connection, or for each answer (TCP_CORK: nginx with tcp_nopush), is worth sparing the wait for a reply. But bytes
 * that are written after it may overtake it: what holds them back (TCP_CORK, Nagle's algorithm) has to be there before
 * them; what lets them go may be late.
 */
static bool need_not_wait(int fd, int level, int name, const struct protocol_message *message)
{
    int on;

    if (!descriptor_kind_is_data(descriptor_kind(fd)) || message->option_length < sizeof on)
        return false;
    memcpy(&on, message->option, sizeof on);
    return (level == IPPROTO_TCP && name == TCP_NODELAY && on) || (level == IPPROTO_TCP && name == TCP_CORK && !on) ||
           (level == IPPROTO_TCP && name == TCP_QUICKACK) || (level == SOL_SOCKET && name == SO_KEEPALIVE);
}

/* An option that the pair has. A socket that may come to listen has its children inherit it: accept() learns so from
 * the service. */
static int set_of_pair(int fd, int level, int name, const void *value, socklen_t length)
{
    struct protocol_message message;
    int error = STATE_RESULT(libc_setsockopt(fd, level, name, value, length));

    if (error < 0 || descriptor_kind_is_data(descriptor_kind(fd)) || datagram_is(fd))
        return error;
    control_prepare(&message, PROTOCOL_SETSOCKOPT);
    message.args[0] = level;
    message.args[1] = name;
    /* Without a service nothing is accepted. While it listens, the next connection may come before a request that
     * nobody waits for. */
    (void)(descriptor_kind(fd) == DESCRIPTOR_LISTENING ? control_request(&message, fd, NULL) : control_send(&message, fd));
    return 0;
}

/* TCP_CORK of a socket whose slot we know: the kernel is not asked whose descriptor it is, because the next write does that.
 * Return: was that all? */
static bool cork_is_set(int fd, int level, int name, const void *value, socklen_t length)
{
    int on;

    if (level != IPPROTO_TCP || name != TCP_CORK || length < sizeof on || (int)length < 0 ||
        !descriptor_kind_is_slotted(fd) || memory_check(value, sizeof on) < 0)
        return false;
    memcpy(&on, value, sizeof on);
    return cork_set(fd, on != 0);
}

/* It is set to the value, and not yet so in memory that we share with the service. Return: was that all? */
static bool cork_is_asked(int fd, const struct protocol_message *message)
{
    int on;

    if (message->args[0] != IPPROTO_TCP || message->args[1] != TCP_CORK || message->option_length < sizeof on ||
        !descriptor_kind_is_data(descriptor_kind(fd)))
        return false;
    memcpy(&on, message->option, sizeof on);
    return on != 0 && cork_ask(fd);
}

int socket_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    struct protocol_message message;

    if (cork_is_set(fd, level, name, value, length))
        return 0;
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_setsockopt(fd, level, name, value, length));
    if (pair_has(fd, level, name))
        return set_of_pair(fd, level, name, value, length);
    if ((int)length < 0)
        return -EINVAL;
    control_prepare(&message, PROTOCOL_SETSOCKOPT);
    message.args[0] = level;
    message.args[1] = name;
    message.option_length = length < sizeof message.option ? length : sizeof message.option;
    if (memory_check(value, message.option_length) < 0)
        return -EFAULT;
    if (names_no_descriptor(level, name, value, length))
        return -EBADF;
    if (message.option_length > 0)
        memcpy(message.option, value, message.option_length);
    if (level == SOL_SOCKET && name == SO_LINGER && length >= sizeof(struct linger))
        linger_set(fd, value);
    if (datagram_is(fd))
        datagram_note_option(fd, level, name);
    if (cork_is_asked(fd, &message))
        return 0;
    if (need_not_wait(fd, level, name, &message))
        return control_send(&message, fd);
    return control_request(&message, fd, NULL);
}
