/*
 * datagram_deliver.c - datagrams from the stack to the program's pair.
 *
 * Each is one message, struct protocol_datagram and the bytes. The first of a turn for a socket is written at once,
 * where it lies: if the program has closed the socket just now the stack must hear of it, and give the datagram to
 * another or refuse it. Short ones for the same socket that follow while the loop reads frames are collected and
 * written by one sendmmsg() when it has read what there was (datagram_deliver_flush()). If the pair is full (SO_RCVBUF)
 * a datagram is lost and counted, as Linux loses it. So nothing waits here beyond the frames of one turn, and a program
 * that does not read costs nothing but its pair.
 */
#include "datagram_deliver.h"

#include "service/address.h"
#include "datagram.h"
#include "service/log/log.h"
#include "service/pair.h"
#include "stack/ip/interface.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Pieces of a datagram that are written as they are; one that lies in more is put together first. */
#define PIECES_MAX 64

/* How many are collected, and how long they may be: what a frame of MTU 1500 brings. */
#define WAITING_MAX 32
#define WAITING_BYTES 1500

static struct {
    struct socket *socket; /* for whom they are: to whom the last datagram of this turn went; NULL: none did */
    unsigned count;
    struct mmsghdr messages[WAITING_MAX];
    struct iovec iov[WAITING_MAX];
    struct waiting {
        struct protocol_datagram header;
        char bytes[WAITING_BYTES];
    } data[WAITING_MAX];
} waiting;

bool datagram_deliver_is_all_read(const struct socket *socket)
{
    int unread = 0;

    return ioctl(socket->pair_fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

/* A datagram in many pieces, put together. Return: it as one piece. */
static struct iovec join(const struct iovec *iov, int count)
{
    static char bytes[65536];
    size_t length = 0;

    for (int i = 0; i < count && length + iov[i].iov_len <= sizeof bytes; i++) {
        memcpy(bytes + length, iov[i].iov_base, iov[i].iov_len);
        length += iov[i].iov_len;
    }
    return (struct iovec){bytes, length};
}

/* Linux takes one datagram of any size when the queue is empty, whatever SO_RCVBUF says; a pair refuses what is larger
 * than its buffer. Return: as sendmsg(). */
static ssize_t send_oversized(struct socket *socket, const struct msghdr *message)
{
    int size, large = DATAGRAM_MESSAGE_MAX;
    socklen_t length = sizeof size;
    ssize_t sent;

    if (!datagram_deliver_is_all_read(socket) ||
        getsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 ||
        setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large) < 0)
        return -1;
    sent = sendmsg(socket->pair_fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    size /= 2; /* the kernel says twice what it was given */
    if (setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
        log_warn("datagram: socket %llu: its buffer keeps its size" LOG_FAULT, (unsigned long long)socket->id);
    return sent;
}

/* The first address that the interface has, if the datagram was sent to none of its own. */
static void find_own_address(const struct stack_datagram_info *info, uint8_t own[4])
{
    struct stack_interface_address addresses[2 * STACK_ADDRESSES_MAX + 2];
    size_t count = stack_get_addresses(addresses, sizeof addresses / sizeof *addresses);
    const struct in_addr *first = NULL;

    for (size_t i = 0; i < count && i < sizeof addresses / sizeof *addresses; i++) {
        const union stack_address *address = &addresses[i].prefix.address;

        if (address->sa.sa_family != AF_INET)
            continue;
        if (address->in.sin_addr.s_addr == info->local.in.sin_addr.s_addr)
            return;
        if (first == NULL && addresses[i].interface == info->interface)
            first = &address->in.sin_addr;
    }
    if (first != NULL && info->interface != STACK_INTERFACE_LOOP)
        memcpy(own, first, sizeof *first);
}

/* What the program gets to know of a datagram. */
static void write_header(const struct datagram *datagram, const struct stack_datagram_info *info,
                         struct protocol_datagram *header)
{
    *header = (struct protocol_datagram){
        .magic = PROTOCOL_MAGIC,
        .version = PROTOCOL_VERSION,
        .flags = datagram->control_flags,
        .interface = info->interface,
        .ttl = info->ttl,
        .tos = info->tos,
        .segment = info->segment,
        .number = datagram->dropped,
        .received_ns = info->received_ns,
    };
    address_write(&header->peer, &info->peer);
    address_write(&header->local, &info->local);
    if ((datagram->control_flags & PROTOCOL_DATAGRAM_PKTINFO) && info->local.sa.sa_family == AF_INET)
        find_own_address(info, header->own);
}

/* A datagram was not taken by the pair: it was full, is shut down or closed. error: positive errno. */
static void note_refusal(struct socket *socket, int error)
{
    socket->datagram->dropped++;
    if (error == EPIPE && !socket->datagram->is_shutting_down && pair_is_closed(socket->pair_fd))
        stack_datagram_leave(socket->datagram->stack);
}

/* Return: as sendmsg(). */
static ssize_t send_message(struct socket *socket, const struct msghdr *message)
{
    ssize_t sent;

    do
        sent = sendmsg(socket->pair_fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EMSGSIZE)
        sent = send_oversized(socket, message);
    return sent;
}

/* Write a datagram where it lies. Return: did the pair take it? */
static bool send_now(struct socket *socket, const struct stack_datagram_info *info, const struct iovec *iov, int count)
{
    struct protocol_datagram header;
    struct iovec parts[1 + PIECES_MAX] = {{&header, sizeof header}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};

    write_header(socket->datagram, info, &header);
    if (count <= PIECES_MAX) {
        memcpy(parts + 1, iov, (size_t)count * sizeof *iov);
        message.msg_iovlen += (size_t)count;
    } else {
        parts[1] = join(iov, count);
        message.msg_iovlen++;
    }
    if (send_message(socket, &message) >= 0)
        return true;
    note_refusal(socket, errno);
    return false;
}

void datagram_deliver_flush(void)
{
    struct socket *socket = waiting.socket;
    const unsigned count = waiting.count;
    bool full = false;
    unsigned done = 0;

    waiting.socket = NULL;
    waiting.count = 0;
    while (done < count) {
        int sent = -1;

        if (!full)
            sent = sendmmsg(socket->pair_fd, waiting.messages + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            done += (unsigned)sent;
            continue;
        }
        if (!full && errno == EINTR)
            continue;
        full = full || errno == EAGAIN; /* for those behind it as well: the program has enough to read meanwhile */
        if (full || errno != EMSGSIZE || send_message(socket, &waiting.messages[done].msg_hdr) < 0) {
            note_refusal(socket, full ? EAGAIN : errno);
            stack_datagram_count_lost();
            for (unsigned i = done + 1; i < count; i++)
                waiting.data[i].header.number = socket->datagram->dropped;
        }
        done++;
    }
}

void datagram_deliver_forget(const struct socket *socket)
{
    if (waiting.socket != socket)
        return;
    waiting.socket = NULL;
    waiting.count = 0;
}

bool datagram_deliver(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                      size_t length)
{
    struct socket *socket = owner;
    struct waiting *place;

    if (socket->rules.is_deaf)
        return true; /* lost on its way here */
    if (waiting.socket != socket || length > WAITING_BYTES || waiting.count == WAITING_MAX) {
        datagram_deliver_flush();
        waiting.socket = socket;
        return send_now(socket, info, iov, count);
    }
    place = &waiting.data[waiting.count];
    write_header(socket->datagram, info, &place->header);
    length = 0;
    for (int i = 0; i < count; i++) {
        memcpy(place->bytes + length, iov[i].iov_base, iov[i].iov_len);
        length += iov[i].iov_len;
    }
    waiting.iov[waiting.count] = (struct iovec){place, sizeof place->header + length};
    waiting.messages[waiting.count].msg_hdr =
        (struct msghdr){.msg_iov = &waiting.iov[waiting.count], .msg_iovlen = 1};
    waiting.count++;
    return true;
}
