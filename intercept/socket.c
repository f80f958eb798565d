/*
 * socket.c - making sockets, listening, accepting, names, shutdown.
 */
#include "socket.h"

#include "address.h"
#include "control.h"
#include "cork.h"
#include "datagram.h"
#include "host.h"
#include "libc.h"
#include "linger.h"
#include "on_death.h"
#include "replace.h"
#include "spare.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#define TYPE_FLAGS     (SOCK_NONBLOCK | SOCK_CLOEXEC)
#define TYPE_MASK      0xf /* the kernel's SOCK_TYPE_MASK */
#define TYPE_COUNT     11  /* the kernel's SOCK_MAX */
#define PROTOCOL_COUNT 263 /* the kernel's IPPROTO_MAX: 262 is MPTCP */

bool socket_family_is_ours(int domain)
{
    return domain == AF_INET || domain == AF_INET6;
}

/* Does Linux refuse this before it looks for the family? Return: 0 or -errno. */
static int check_type(int domain, int type, int protocol)
{
    if ((type & ~TYPE_MASK & ~TYPE_FLAGS) != 0 || (type & TYPE_MASK) >= TYPE_COUNT)
        return -EINVAL;
    if (protocol < 0 || protocol >= PROTOCOL_COUNT)
        return -EINVAL;
    switch (type & TYPE_MASK) {
    case SOCK_STREAM:
        return protocol == 0 || protocol == IPPROTO_TCP ? 0 : -EPROTONOSUPPORT;
    case SOCK_DGRAM:
        return protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
                       protocol == (domain == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP)
                   ? 0
                   : -EPROTONOSUPPORT;
    case SOCK_RAW:
        return protocol != 0 ? 0 : -EPROTONOSUPPORT;
    default:
        return -ESOCKTNOSUPPORT;
    }
}

/* Our connection to the service may be from when the process had more of them. */
static bool has_capability(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    return libc_syscall(SYS_capget, (long)&header, (long)data, 0, 0, 0, 0) == 0 &&
           (data[capability / 32].effective & 1u << capability % 32) != 0;
}

/* Ask for a socket; without a service do as it is wished. Return: 0 and *fd, -PROTOCOL_ON_HOST, or -errno. */
static int ask_for_socket(int domain, int type, int protocol, int *fd)
{
    const bool is_stream = (type & TYPE_MASK) == SOCK_STREAM;
    struct protocol_message message;
    struct control_received received;
    struct descriptor_number first;
    spare_places places;
    enum protocol_on_death policy = PROTOCOL_ON_DEATH_WAIT;
    int error = -ENETDOWN;

    for (unsigned attempt = 0; policy == PROTOCOL_ON_DEATH_WAIT; attempt++) {
        control_prepare(&message, PROTOCOL_SOCKET);
        message.args[0] = domain;
        message.args[1] = type & TYPE_MASK;
        message.args[2] = protocol;
        message.args[3] = is_stream ? spare_count_wanted(&places) : (type & TYPE_MASK) == SOCK_RAW && !has_capability(CAP_NET_RAW);
        error = control_request_sockets(&message, &received);
        *fd = received.count > 0 ? received.fds[0] : -1;
        if (error == 0)
            on_death_note(message.args[0]);
        first = (struct descriptor_number){(uint32_t)message.args[2], (uint32_t)message.args[3]};
        if (is_stream)
            spare_keep(places, domain, &received, &first);
        if (is_stream && error == 0 && *fd >= 0)
            descriptor_set_number(*fd, &first);
        if (error != -ENETDOWN)
            return error;
        policy = on_death_decide(attempt);
    }
    return policy == PROTOCOL_ON_DEATH_HOST ? -PROTOCOL_ON_HOST : error;
}

int socket_create(int domain, int type, int protocol)
{
    int error = check_type(domain, type, protocol);
    bool is_spare;
    int fd;

    if (error < 0)
        return error;
    fd = (type & TYPE_MASK) == SOCK_STREAM ? spare_take(domain, type & SOCK_CLOEXEC) : -ENOENT;
    if (fd < 0 && fd != -ENOENT)
        return fd;
    is_spare = fd >= 0;
    error = is_spare ? 0 : ask_for_socket(domain, type, protocol, &fd);
    if (error == -PROTOCOL_ON_HOST) {
        fd = STATE_RESULT(libc_socket(domain, type, protocol));
        if (fd >= 0)
            descriptor_set(fd, DESCRIPTOR_FOREIGN);
        return fd;
    }
    if (error < 0) {
        if (fd >= 0)
            libc_close(fd);
        return error;
    }
    if (fd < 0)
        return -EPROTO;
    if (!(type & SOCK_CLOEXEC) && !is_spare)
        libc_fcntl(fd, F_SETFD, 0);
    if (type & SOCK_NONBLOCK)
        libc_fcntl(fd, F_SETFL, O_NONBLOCK);
    if ((type & TYPE_MASK) == SOCK_STREAM) {
        descriptor_set(fd, DESCRIPTOR_EARLY);
    } else {
        descriptor_set(fd, DESCRIPTOR_DATAGRAM);
        datagram_forget(fd);
    }
    return fd;
}

int socket_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct protocol_message message;
    int error;

    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_bind(fd, address, length));
    datagram_forget(fd);
    control_prepare(&message, PROTOCOL_BIND);
    error = address_copy_in(&message.address, address, length);
    if (error == 0)
        error = control_request(&message, fd, NULL);
    if (error == -PROTOCOL_ON_HOST) {
        error = host_move(fd, &message);
        if (error == 0)
            error = STATE_RESULT(libc_bind(fd, address, length));
    }
    return error;
}

int socket_bindresvport(int fd, struct sockaddr_in *address)
{
    /* libc's own range: the privileged ports but for the lowest, from a place that differs from process to process. */
    const int first = 600;
    const int count = IPPORT_RESERVED - first;
    struct sockaddr_in any = {.sin_family = AF_INET};
    int error = -EADDRINUSE;

    if (address == NULL)
        address = &any;
    else if (address->sin_family != AF_INET)
        return -EAFNOSUPPORT;
    for (int i = 0; i < count && error == -EADDRINUSE; i++) {
        address->sin_port = htons((uint16_t)(first + (getpid() + i) % count));
        error = socket_bind(fd, (const struct sockaddr *)address, sizeof *address);
    }
    return error;
}

/* One listen request. Return: the service's answer, or -errno; -ESTALE with *new_fd. */
static int ask_to_listen(int fd, int backlog, int *new_fd, struct protocol_message *message)
{
    control_prepare(message, PROTOCOL_LISTEN);
    message->args[0] = backlog;
    return control_request(message, fd, new_fd);
}

int socket_listen(int fd, int backlog)
{
    struct protocol_message message;
    int new_fd;
    int error;

    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_listen(fd, backlog));
    error = ask_to_listen(fd, backlog, &new_fd, &message);
    if (error == -ESTALE && new_fd >= 0) {
        error = replace_pair(fd, new_fd);
        if (error == 0)
            error = ask_to_listen(fd, backlog, &new_fd, &message);
        else
            new_fd = -1;
    }
    if (new_fd >= 0)
        libc_close(new_fd);
    if (error == -PROTOCOL_ON_HOST) {
        error = host_move(fd, &message);
        return error < 0 ? error : STATE_RESULT(libc_listen(fd, backlog));
    }
    if (error == 0)
        descriptor_set(fd, DESCRIPTOR_LISTENING);
    return error;
}

/* The descriptor that came with an accepted connection. Return: it, or -1. */
static int accepted_descriptor(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

/* Will there be a number for the descriptor that is to come? A message whose descriptor has no place is lost, so this
 * is asked before. Return: 0 or -EMFILE. */
static int check_number_is_free(int fd)
{
    int copy = libc_fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        return -errno;
    libc_syscall(SYS_close, copy, 0, 0, 0, 0, 0); /* close() could be cancelled */
    return 0;
}

/*
 * Take the next connection from a listening socket. It is one message on the pair, so waiting for it (or not), time
 * limits, signals, and sharing the socket with other processes are the kernel's business.
 * Return: its descriptor, and *accepted, or -errno.
 */
static int receive_connection(int fd, struct protocol_accepted *accepted, int flags)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {accepted, sizeof *accepted};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = libc_recvmsg(fd, &message, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0);
    int new_fd;

    if (length == 0 || (length < 0 && errno == ECONNRESET)) { /* a pair tells the reset once */
        struct protocol_message status;

        return control_status(fd, &status) == -ENETDOWN ? -ENETDOWN : -EINVAL; /* shut down: it does not listen now */
    }
    if (length < 0)
        return -errno;
    new_fd = accepted_descriptor(&message);
    if (length == sizeof *accepted && accepted->magic == PROTOCOL_MAGIC && accepted->version == PROTOCOL_VERSION &&
        accepted->peer.length <= sizeof accepted->peer.bytes && new_fd >= 0)
        return new_fd;
    if (new_fd >= 0)
        libc_close(new_fd);
    /* DIFFERS: another thread took the last number since we looked, and the connection is lost; Linux keeps it. */
    return message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
}

/*
 * Tell the service that a connection was taken. Without this byte it would take the program's first for it, so if it
 * can't be told there is no connection; one that was reset meanwhile, or whose service is gone, says so itself. Return:
 * 0 or -errno.
 */
static int tell_taken(int new_fd)
{
    ssize_t sent;

    do
        sent = libc_send(new_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 || errno == EPIPE || errno == ECONNRESET ? 0 : -errno;
}

/* What Linux lets an accepted socket have from the listening one, of the options that the pair keeps. */
static void inherit_options(int fd, int new_fd)
{
    static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVLOWAT};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        union {
            struct timeval time;
            int number;
        } value;
        socklen_t length = sizeof value;

        if (libc_getsockopt(fd, SOL_SOCKET, names[i], &value, &length) == 0 &&
            (length == sizeof value.number ? value.number > 1 : value.time.tv_sec != 0 || value.time.tv_usec != 0))
            libc_setsockopt(new_fd, SOL_SOCKET, names[i], &value, length);
    }
}

int socket_accept(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    struct protocol_accepted accepted;
    enum descriptor_kind kind = descriptor_kind(fd);
    bool is_slotted;
    int error = 0;
    int new_fd;
    int state;

    if (kind != DESCRIPTOR_LISTENING)
        kind = state_find(fd);
    if (kind == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_accept4(fd, address, length, flags));
    if ((flags & ~TYPE_FLAGS) == 0 && datagram_is(fd))
        return -EOPNOTSUPP;
    if ((flags & ~TYPE_FLAGS) != 0 || kind != DESCRIPTOR_LISTENING)
        return -EINVAL;
    error = check_number_is_free(fd);
    if (error < 0)
        return error;
    new_fd = receive_connection(fd, &accepted, flags);
    if (new_fd < 0)
        return new_fd;
    /* Waiting could be cancelled; now there is a connection, which must not get lost. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    error = tell_taken(new_fd);
    if (flags & SOCK_NONBLOCK)
        libc_fcntl(new_fd, F_SETFL, O_NONBLOCK);
    if (accepted.flags & PROTOCOL_ACCEPTED_OPTIONS)
        inherit_options(fd, new_fd);
    linger_inherit(fd, new_fd);
    if (descriptor_is_noted(fd, accepted.listener))
        descriptor_set_number(new_fd, &(struct descriptor_number){accepted.number, accepted.instance});
    is_slotted = cork_note(new_fd, accepted.cork_page, accepted.cork_slot, accepted.number);
    descriptor_set(new_fd, is_slotted ? DESCRIPTOR_SLOTTED : DESCRIPTOR_DATA);
    if (!is_slotted)
        cork_want_children(fd);
    if (error == 0 && address != NULL)
        error = address_copy_out(&accepted.peer, address, length);
    if (error < 0) {
        descriptor_set(new_fd, DESCRIPTOR_UNKNOWN);
        libc_close(new_fd);
    }
    pthread_setcancelstate(state, &state);
    return error < 0 ? error : new_fd;
}

/* getsockname(), getpeername(). */
static int get_name(int fd, enum protocol_operation operation, struct sockaddr *address, socklen_t *length)
{
    struct protocol_message message;
    int error;

    control_prepare(&message, operation);
    error = control_request(&message, fd, NULL);
    return error < 0 ? error : address_copy_out(&message.address, address, length);
}

int socket_getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_getsockname(fd, address, length));
    return get_name(fd, PROTOCOL_GETSOCKNAME, address, length);
}

int socket_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    int error;

    if (descriptor_verify(fd) == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_getpeername(fd, address, length));
    error = get_name(fd, PROTOCOL_GETPEERNAME, address, length);
    return error == -ENETDOWN ? -ENOTCONN : error; /* without the service there is no peer */
}

int socket_shutdown(int fd, int how)
{
    struct protocol_message message;
    enum descriptor_kind kind = state_find(fd);

    /* Connecting or connected: the service sees the pair's own shutdown, in order with the data. */
    if (kind == DESCRIPTOR_FOREIGN)
        return STATE_RESULT(libc_shutdown(fd, how));
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (descriptor_kind_is_data(kind) || kind == DESCRIPTOR_CONNECTING) {
        int error = control_status(fd, &message);

        if (error == 0 && message.args[0] == PROTOCOL_STATE_RESET)
            return -ENOTCONN;
        if (error < 0 || message.args[0] == PROTOCOL_STATE_CONNECTED)
            return STATE_RESULT(libc_shutdown(fd, how));
    }
    control_prepare(&message, PROTOCOL_SHUTDOWN);
    message.args[0] = how;
    return control_request(&message, fd, NULL);
}
