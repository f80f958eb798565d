/*
 * resolver_socket.c - the sockets that c-ares uses: on the stack, not the kernel's.
 *
 * c-ares calls these functions instead of the system's. The stack's callbacks only keep what came (datagrams here, a
 * stream's bytes in the stack) and say that something changed; c-ares is called from the loop, never from a callback of
 * the stack, because it may close any of its sockets.
 */
#include "resolver_socket.h"

#include "service/log/log.h"
#include "resolver_config.h"
#include "stack/datagram.h"
#include "stack/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

/* Answers that wait for c-ares, a socket; it takes them in the same turn. */
#define DATAGRAMS_MAX 8

struct datagram {
    STAILQ_ENTRY(datagram) link;
    union stack_address from;
    size_t length;
    uint8_t bytes[];
};

struct resolver_socket {
    struct resolver_sockets *all;
    struct stack_datagram *udp; /* owned; one of the two */
    struct stack_tcp *tcp;      /* owned */
    bool connected;             /* TCP's handshake is complete */
    bool wants_read, wants_write;
    int error; /* positive errno, told once */
    STAILQ_HEAD(, datagram) datagrams;
    unsigned datagram_count;
};

static void note_change(struct resolver_socket *socket)
{
    socket->all->changed(socket->all->owner);
}

/* ---- what the stack says ---- */

static bool udp_received(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                         size_t length)
{
    struct resolver_socket *socket = owner;
    struct datagram *datagram;
    size_t at = 0;

    if (socket->datagram_count == DATAGRAMS_MAX)
        return false;
    datagram = malloc(sizeof *datagram + length);
    if (datagram == NULL)
        return false;
    datagram->from = info->peer;
    datagram->length = length;
    for (int i = 0; i < count; i++) {
        memcpy(datagram->bytes + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    STAILQ_INSERT_TAIL(&socket->datagrams, datagram, link);
    socket->datagram_count++;
    socket->all->heard = true;
    note_change(socket);
    return true;
}

static void udp_failed(void *owner, const struct stack_datagram_error *error)
{
    struct resolver_socket *socket = owner;

    if (!error->hard)
        return;
    socket->error = (int)error->extended.ee_errno;
    note_change(socket);
}

static const struct stack_datagram_events udp_events = {.received = udp_received, .failed = udp_failed};

static void tcp_connected(void *owner)
{
    struct resolver_socket *socket = owner;

    socket->connected = true;
    note_change(socket);
}

static void tcp_changed(void *owner)
{
    note_change(owner);
}

static void tcp_failed(void *owner, int error)
{
    struct resolver_socket *socket = owner;

    socket->error = error;
    note_change(socket);
}

static const struct stack_tcp_events tcp_events = {
    .connected = tcp_connected, .received = tcp_changed, .sent = tcp_changed, .failed = tcp_failed};

/* ---- what c-ares calls: as the system's functions, -1 and errno ---- */

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct resolver_socket *socket_of(const struct resolver_sockets *sockets, ares_socket_t index)
{
    return index >= 0 && index < RESOLVER_SOCKETS ? sockets->slots[index] : NULL;
}

static ares_socket_t open_socket(int domain, int type, int protocol, void *user)
{
    struct resolver_sockets *sockets = user;
    struct resolver_socket *socket;
    int index = 0;

    (void)protocol;
    while (index < RESOLVER_SOCKETS && sockets->slots[index] != NULL)
        index++;
    socket = index < RESOLVER_SOCKETS ? calloc(1, sizeof *socket) : NULL;
    if (socket == NULL) {
        errno = index < RESOLVER_SOCKETS ? ENOMEM : EMFILE;
        return ARES_SOCKET_BAD;
    }
    socket->all = sockets;
    STAILQ_INIT(&socket->datagrams);
    if (type == SOCK_DGRAM)
        socket->udp = stack_datagram_open(STACK_DATAGRAM_UDP, domain, 0, &udp_events, socket);
    else
        socket->tcp = stack_tcp_open(domain, &tcp_events, socket);
    if (socket->udp == NULL && socket->tcp == NULL) {
        free(socket);
        errno = ENOMEM;
        return ARES_SOCKET_BAD;
    }
    sockets->slots[index] = socket;
    return index;
}

static int close_socket(ares_socket_t index, void *user)
{
    struct resolver_sockets *sockets = user;
    struct resolver_socket *socket = socket_of(sockets, index);
    struct datagram *datagram;

    if (socket == NULL)
        return 0;
    if (socket->udp != NULL)
        stack_datagram_close(socket->udp);
    if (socket->tcp != NULL)
        stack_tcp_close(socket->tcp);
    while ((datagram = STAILQ_FIRST(&socket->datagrams)) != NULL) {
        STAILQ_REMOVE_HEAD(&socket->datagrams, link);
        free(datagram);
    }
    free(socket);
    sockets->slots[index] = NULL;
    return 0;
}

/* c-ares knows no scopes: that of a link-local server is in the configuration. */
static void add_scope(union stack_address *peer)
{
    const struct resolver_config *config = resolver_config_get();

    if (peer->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&peer->in6.sin6_addr))
        return;
    for (size_t i = 0; i < config->server_count; i++)
        if (config->servers[i].sa.sa_family == AF_INET6 &&
            IN6_ARE_ADDR_EQUAL(&config->servers[i].in6.sin6_addr, &peer->in6.sin6_addr))
            peer->in6.sin6_scope_id = config->servers[i].in6.sin6_scope_id;
}

static int connect_socket(ares_socket_t index, const struct sockaddr *address, ares_socklen_t length, void *user)
{
    struct resolver_socket *socket = socket_of(user, index);
    union stack_address peer;
    int error;

    if (socket == NULL)
        return fail(EBADF);
    memset(&peer, 0, sizeof peer);
    memcpy(&peer, address, length < sizeof peer ? length : sizeof peer);
    add_scope(&peer);
    error = socket->udp != NULL ? stack_datagram_connect(socket->udp, &peer) : stack_tcp_connect(socket->tcp, &peer);
    if (error == 0 && socket->tcp != NULL)
        error = -EINPROGRESS;
    return error == 0 ? 0 : fail(-error);
}

/* Return: the error that waits to be told, or 0. */
static int take_error(struct resolver_socket *socket)
{
    int error = socket->error;

    if (socket->udp != NULL)
        socket->error = 0; /* the next datagram may well arrive */
    return error;
}

static ares_ssize_t receive_datagram(struct resolver_socket *socket, void *buffer, size_t size, struct sockaddr *from,
                                     ares_socklen_t *from_length)
{
    struct datagram *datagram = STAILQ_FIRST(&socket->datagrams);
    size_t length;

    if (datagram == NULL)
        return fail(EAGAIN);
    STAILQ_REMOVE_HEAD(&socket->datagrams, link);
    socket->datagram_count--;
    length = datagram->length < size ? datagram->length : size;
    memcpy(buffer, datagram->bytes, length);
    if (from != NULL && from_length != NULL) {
        size_t wanted = datagram->from.sa.sa_family == AF_INET6 ? sizeof datagram->from.in6 : sizeof datagram->from.in;

        memcpy(from, &datagram->from, wanted < *from_length ? wanted : *from_length);
        *from_length = (ares_socklen_t)wanted;
    }
    free(datagram);
    return (ares_ssize_t)length;
}

static ares_ssize_t receive_stream(struct resolver_socket *socket, void *buffer, size_t size)
{
    struct iovec piece;
    size_t done = 0;

    while (done < size && stack_tcp_receive_peek(socket->tcp, &piece, 1) == 1) {
        size_t part = piece.iov_len < size - done ? piece.iov_len : size - done;

        memcpy((uint8_t *)buffer + done, piece.iov_base, part);
        stack_tcp_receive_consume(socket->tcp, part);
        done += part;
        socket->all->heard = true;
    }
    if (done > 0 || stack_tcp_receive_ended(socket->tcp))
        return (ares_ssize_t)done;
    return fail(EAGAIN);
}

static ares_ssize_t receive_from(ares_socket_t index, void *buffer, size_t size, int flags, struct sockaddr *from,
                                 ares_socklen_t *from_length, void *user)
{
    struct resolver_socket *socket = socket_of(user, index);
    int error;

    (void)flags;
    if (socket == NULL)
        return fail(EBADF);
    if (socket->datagram_count == 0 && (error = take_error(socket)) != 0)
        return fail(error);
    return socket->udp != NULL ? receive_datagram(socket, buffer, size, from, from_length)
                               : receive_stream(socket, buffer, size);
}

static size_t iov_length(const struct iovec *iov, int count)
{
    size_t length = 0;

    for (int i = 0; i < count; i++)
        length += iov[i].iov_len;
    return length;
}

static ares_ssize_t send_stream(struct resolver_socket *socket, const struct iovec *iov, int count)
{
    struct iovec room[STACK_TCP_IOV];
    size_t wanted = iov_length(iov, count), done = 0, from_at = 0;
    int rooms, error;

    rooms = socket->connected ? stack_tcp_send_reserve(socket->tcp, wanted, room) : 0;
    for (int i = 0, from = 0; i < rooms; i++) {
        for (size_t at = 0; at < room[i].iov_len && from < count;) {
            size_t part = iov[from].iov_len - from_at;

            part = part < room[i].iov_len - at ? part : room[i].iov_len - at;
            memcpy((uint8_t *)room[i].iov_base + at, (uint8_t *)iov[from].iov_base + from_at, part);
            at += part;
            from_at += part;
            done += part;
            if (from_at == iov[from].iov_len) {
                from++;
                from_at = 0;
            }
        }
    }
    if (done == 0) {
        errno = EAGAIN;
        return -1;
    }
    error = stack_tcp_send_commit(socket->tcp, done, false);
    if (error < 0) {
        errno = -error;
        return -1;
    }
    return (ares_ssize_t)done;
}

static ares_ssize_t send_vector(ares_socket_t index, const struct iovec *iov, int count, void *user)
{
    struct resolver_socket *socket = socket_of(user, index);
    int error = socket != NULL ? take_error(socket) : EBADF;

    if (error == 0 && socket->tcp != NULL)
        return send_stream(socket, iov, count);
    if (error == 0)
        error = -stack_datagram_send(socket->udp, NULL, iov, count, iov_length(iov, count));
    if (error == 0)
        return (ares_ssize_t)iov_length(iov, count);
    errno = error;
    return -1;
}

static const struct ares_socket_functions functions = {open_socket, close_socket, connect_socket, receive_from,
                                                       send_vector};

/* ---- for the lookup ---- */

void resolver_sockets_attach(struct resolver_sockets *sockets, ares_channel channel)
{
    ares_set_socket_functions(channel, &functions, sockets);
}

void resolver_sockets_want(struct resolver_sockets *sockets, ares_socket_t index, bool readable, bool writable)
{
    struct resolver_socket *socket = socket_of(sockets, index);

    if (socket == NULL)
        return;
    socket->wants_read = readable;
    socket->wants_write = writable;
}

bool resolver_sockets_next(const struct resolver_sockets *sockets, int *index, bool *readable, bool *writable)
{
    for (; *index < RESOLVER_SOCKETS; (*index)++) {
        struct resolver_socket *socket = sockets->slots[*index];

        if (socket == NULL)
            continue;
        *readable = socket->wants_read &&
                    (socket->error != 0 || socket->datagram_count > 0 ||
                     (socket->tcp != NULL &&
                      (stack_tcp_receive_queued(socket->tcp) > 0 || stack_tcp_receive_ended(socket->tcp))));
        *writable = socket->wants_write && (socket->error != 0 || socket->udp != NULL ||
                                            (socket->connected && stack_tcp_send_room(socket->tcp) > 0));
        if (*readable || *writable)
            return true;
    }
    return false;
}

void resolver_sockets_close(struct resolver_sockets *sockets)
{
    for (int i = 0; i < RESOLVER_SOCKETS; i++)
        close_socket(i, sockets);
}
