/*
 * datagram_relay.c - carries datagrams and errors between a datagram socket's pair and the stack.
 *
 *      program --sendmsg--> pair --to_wire()--> stack_datagram_send() --> wire
 *      program <--recvmsg-- pair <--received()-- stack <-- wire
 *
 * Each message in the pair is one struct protocol_datagram and one datagram, both ways.
 *
 * To the wire: what the program wrote is read several messages at a time, and sent; a socket that has more than its
 * share of a turn goes on in the next one, and its program blocks when the pair is full. To the program: the stack's
 * callback writes into the pair at once. If that is full (SO_RCVBUF) the datagram is lost and counted, as Linux loses
 * it. So nothing waits here, and a program that does not read costs nothing but its pair.
 *
 * Errors. One that sending gave is asked for (PROTOCOL_SEND_RESULT) when the message had a number; it is a pending
 * error otherwise. One that ICMP brought is a pending error of a connected socket, and with IP_RECVERR goes to a
 * queue as well. A pending error is a message in the pair, so that the program wakes up by it; there is one at most,
 * as far as we know.
 */
#include "datagram_relay.h"

#include "address.h"
#include "log.h"
#include "pair.h"
#include "rules_apply.h"
#include "stack/ip/interface.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Read at a time; one socket's share of a turn. */
#define BATCH 16
#define TURN_DATAGRAMS 128

/* More than these a pair does not hold (tests/platform/datagram_pair.c; SO_SNDBUF is twice as large as there). */
#define PAIR_DATAGRAMS 1024

/* The longest message: the header, and the longest datagram that IP has. */
#define MESSAGE_MAX (sizeof(struct protocol_datagram) + 65535)

/* Pieces of a received datagram that are written as they are; one that lies in more is put together first. */
#define PIECES_MAX 64

/* Errors that are kept for MSG_ERRQUEUE: as many as fit SO_RCVBUF by default on Linux. */
#define ERRORS_MAX 256

/* One of them. */
struct queued_error {
    TAILQ_ENTRY(queued_error) link;
    struct protocol_queued_error wire;
    union stack_address destination;
};
_Static_assert(sizeof(struct sock_extended_err) == sizeof((struct protocol_queued_error *)0)->extended, "on the wire");

/* ---- errors ---- */

/* Has the program read all that is in its end? */
static bool is_all_read(const struct socket *socket)
{
    int unread = 0;

    return ioctl(socket->pair_fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

/* Have the program's next call fail with error, once. */
static void put_pending_error(struct socket *socket, int error)
{
    struct protocol_datagram header = {.magic = PROTOCOL_MAGIC,
                                       .version = PROTOCOL_VERSION,
                                       .flags = PROTOCOL_DATAGRAM_ERROR,
                                       .error = error};

    if (socket->pair_fd < 0 || (socket->datagram->error_is_queued && !is_all_read(socket)))
        return;
    /* A pair that is full has no room for it, and then there is enough to wake the program. */
    socket->datagram->error_is_queued =
        send(socket->pair_fd, &header, sizeof header, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof header;
}

bool datagram_relay_take_error(struct socket *socket, struct queued_error **taken)
{
    struct datagram *datagram = socket->datagram;
    struct queued_error *error = TAILQ_FIRST(&datagram->errors), *next;

    if (error == NULL)
        return false;
    TAILQ_REMOVE(&datagram->errors, error, link);
    datagram->error_count--;
    next = TAILQ_FIRST(&datagram->errors);
    if (next != NULL && taken != NULL) { /* the next call learns that there is more */
        struct sock_extended_err extended;

        memcpy(&extended, next->wire.extended, sizeof extended);
        put_pending_error(socket, (int)extended.ee_errno);
    }
    if (taken != NULL)
        *taken = error;
    else
        free(error);
    return true;
}

void datagram_relay_describe_error(const struct queued_error *error, struct protocol_message *reply)
{
    address_write(&reply->address, &error->destination);
    memcpy(reply->option, &error->wire, sizeof error->wire);
    reply->option_length = sizeof error->wire;
}

static void queue_error(struct datagram *datagram, const struct stack_datagram_error *error)
{
    struct queued_error *entry = datagram->error_count < ERRORS_MAX ? calloc(1, sizeof *entry) : NULL;

    if (entry == NULL)
        return; /* as on Linux: lost */
    memcpy(entry->wire.extended, &error->extended, sizeof entry->wire.extended);
    address_write(&entry->wire.offender, &error->offender);
    entry->destination = error->destination;
    entry->wire.length =
        (uint32_t)(error->length < sizeof entry->wire.payload ? error->length : sizeof entry->wire.payload);
    if (entry->wire.length > 0)
        memcpy(entry->wire.payload, error->payload, entry->wire.length);
    TAILQ_INSERT_TAIL(&datagram->errors, entry, link);
    datagram->error_count++;
}

static void failed(void *owner, const struct stack_datagram_error *error)
{
    struct socket *socket = owner;
    struct datagram *datagram = socket->datagram;

    if (stack_datagram_get_option(datagram->stack, STACK_DATAGRAM_RECEIVE_ERRORS) != 0)
        queue_error(datagram, error);
    if (error->hard) /* one that the call returned already is for MSG_ERRQUEUE alone */
        put_pending_error(socket, (int)error->extended.ee_errno);
}

/* ---- to the program ---- */

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
    int size, large = MESSAGE_MAX;
    socklen_t length = sizeof size;
    ssize_t sent;

    if (!is_all_read(socket) || getsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &size, &length) < 0 ||
        setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large) < 0)
        return -1;
    sent = sendmsg(socket->pair_fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    size /= 2; /* the kernel says twice what it was given */
    if (setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
        log_warn("datagram: socket %llu: SO_SNDBUF", (unsigned long long)socket->id);
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

static bool received(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                     size_t length)
{
    struct socket *socket = owner;
    struct datagram *datagram = socket->datagram;
    struct protocol_datagram header = {
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
    struct iovec parts[1 + PIECES_MAX] = {{&header, sizeof header}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    ssize_t sent;

    (void)length;
    if (socket->rules.is_deaf)
        return true; /* lost on its way here */
    address_write(&header.peer, &info->peer);
    address_write(&header.local, &info->local);
    if ((datagram->control_flags & PROTOCOL_DATAGRAM_PKTINFO) && info->local.sa.sa_family == AF_INET)
        find_own_address(info, header.own);
    if (count <= PIECES_MAX) {
        memcpy(parts + 1, iov, (size_t)count * sizeof *iov);
        message.msg_iovlen += (size_t)count;
    } else {
        parts[1] = join(iov, count);
        message.msg_iovlen++;
    }
    sent = sendmsg(socket->pair_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EMSGSIZE)
        sent = send_oversized(socket, &message);
    if (sent < 0)
        datagram->dropped++; /* full, shut down or closed */
    if (sent < 0 && errno == EPIPE && !datagram->is_shutting_down && pair_is_closed(socket->pair_fd))
        stack_datagram_leave(datagram->stack);
    return sent >= 0;
}

const struct stack_datagram_events datagram_relay_events = {.received = received, .failed = failed};

/* ---- to the wire ---- */

/* Note how the datagram went that the program will ask about. */
static void note_result(struct datagram *datagram, uint32_t number, int error)
{
    datagram->results[datagram->next_result] = (struct datagram_result){number, error};
    datagram->next_result = (datagram->next_result + 1) % DATAGRAM_RESULTS;
}

/*
 * What the header says about where and how. Addresses are taken as they are, the stack judges them; but for their
 * length, which only we know.
 * Return: 0 or -errno as sendto(2) gives it.
 */
static int read_header(const struct socket *socket, const struct protocol_datagram *header,
                       struct stack_datagram_info *info)
{
    union stack_address *peer = &info->peer;

    *info = (struct stack_datagram_info){
        .interface = header->interface, .ttl = header->ttl, .tos = header->tos, .segment = (uint16_t)header->segment};
    if (header->segment > UINT16_MAX || (header->local.length > 0 && address_read(&header->local, &info->local) < 0))
        return -EINVAL;
    if (header->interface != 0 && stack_get_interface(header->interface, &(struct stack_interface){.index = 0}) < 0)
        return -ENODEV;
    if (header->peer.length == 0)
        return 0;
    if (address_read(&header->peer, peer) < 0)
        return -EINVAL;
    if (socket->domain == AF_INET6 && peer->sa.sa_family == AF_INET6)
        return header->peer.length < ADDRESS_LENGTH6_MIN ? -EINVAL : 0;
    if (socket->domain == AF_INET6 && peer->sa.sa_family == AF_UNSPEC)
        return 0; /* to the connected peer */
    if (socket->domain == AF_INET6 && peer->sa.sa_family != AF_INET)
        return -EINVAL;
    if (header->peer.length < sizeof peer->in)
        return -EINVAL;
    if (peer->sa.sa_family == AF_UNSPEC)
        peer->sa.sa_family = AF_INET; /* udp_sendmsg() */
    return 0;
}

/* Add to the datagram that is being put together. Return: 0 or -errno. */
static int add_to_cork(struct datagram *datagram, const struct stack_datagram_info *info, const char *bytes,
                       size_t length)
{
    struct cork *cork = datagram->cork;

    if (cork == NULL) {
        cork = malloc(sizeof *cork);
        if (cork == NULL)
            return -ENOBUFS;
        cork->info = *info;
        cork->length = 0;
        datagram->cork = cork;
    }
    if (length > sizeof cork->bytes - cork->length)
        return -EMSGSIZE;
    memcpy(cork->bytes + cork->length, bytes, length);
    cork->length += length;
    return 0;
}

int datagram_relay_uncork(struct socket *socket)
{
    struct cork *cork = socket->datagram->cork;
    struct iovec iov;
    int error;

    if (cork == NULL)
        return 0;
    iov = (struct iovec){cork->bytes, cork->length};
    error = stack_datagram_send(socket->datagram->stack, &cork->info, &iov, 1, cork->length);
    free(cork);
    socket->datagram->cork = NULL;
    return error;
}

/* Send one datagram. Return: 0, -errno, or RULES_VANISH: the rules had it lost. */
static int send_one(struct socket *socket, const struct protocol_datagram *header, char *bytes, size_t length)
{
    struct datagram *datagram = socket->datagram;
    struct stack_datagram_info info;
    struct iovec iov = {bytes, length};
    int error;

    if (header == NULL) {
        error = rules_apply_datagram(socket, NULL, false);
        return error != 0 ? error : stack_datagram_send(datagram->stack, NULL, &iov, 1, length);
    }
    error = read_header(socket, header, &info);
    if (error == 0)
        error = rules_apply_datagram(socket, header->peer.length > 0 ? &info.peer : NULL, header->number != 0);
    if (error != 0)
        return error;
    if ((header->flags & PROTOCOL_DATAGRAM_SEND_OOB) &&
        (socket->domain != AF_INET6 || !stack_datagram_kind_is_udp(datagram->kind))) /* there Linux ignores it */
        return -EOPNOTSUPP;
    if (datagram->cork == NULL && !datagram->is_corked && !(header->flags & PROTOCOL_DATAGRAM_SEND_MORE))
        return stack_datagram_send(datagram->stack, &info, &iov, 1, length);
    error = add_to_cork(datagram, &info, bytes, length);
    if (error < 0 || datagram->is_corked || (header->flags & PROTOCOL_DATAGRAM_SEND_MORE))
        return error;
    return datagram_relay_uncork(socket);
}

/* What came out of the pair. */
static void handle_message(struct socket *socket, char *bytes, size_t length)
{
    struct protocol_datagram header = {.magic = 0};
    int error;

    memcpy(&header, bytes, length < sizeof header ? length : sizeof header);
    if (length < sizeof header || header.magic != PROTOCOL_MAGIC || header.version != PROTOCOL_VERSION) {
        error = send_one(socket, NULL, bytes, length); /* written past the library */
        header.number = 0;
    } else {
        error = send_one(socket, &header, bytes + sizeof header, length - sizeof header);
    }
    if (header.number != 0)
        note_result(socket->datagram, header.number, error);
    else if (error < 0)
        put_pending_error(socket, -error);
}

/* Send at most `budget` datagrams. Return: true when the pair is empty. */
static bool to_wire(struct socket *socket, unsigned budget)
{
    static char buffers[BATCH][MESSAGE_MAX];
    static struct iovec iov[BATCH];
    static struct mmsghdr messages[BATCH];

    for (unsigned done = 0; done < budget;) {
        int count;

        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){buffers[i], MESSAGE_MAX};
            messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
        }
        count = recvmmsg(socket->pair_fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (count < 0 && errno == ECONNRESET)
            continue; /* it was closed with datagrams unread; what it sent can still be read */
        for (int i = 0; i < count; i++) {
            if (messages[i].msg_len == 0)
                return true; /* the end: what has a header is longer */
            handle_message(socket, buffers[i], messages[i].msg_len);
        }
        if (count < BATCH)
            return true; /* what comes from now on brings an edge of its own */
        done += (unsigned)count;
    }
    return false;
}

void datagram_relay_catch_up(struct socket *socket)
{
    /* Once what the pair can hold, and not what the program goes on writing meanwhile. */
    (void)to_wire(socket, PAIR_DATAGRAMS);
}

void datagram_run(struct socket *socket)
{
    TAILQ_REMOVE(&socket_busy, socket, busy_link);
    socket->work = 0;
    if (!to_wire(socket, TURN_DATAGRAMS))
        socket_queue_work(socket, WORK_TO_WIRE);
    else if (socket->events & EVENT_PROGRAM_GONE)
        socket_destroy(socket);
}

void datagram_handle_pair(struct socket *socket, uint32_t epoll_events)
{
    if ((epoll_events & EPOLLHUP) && !socket->datagram->is_shutting_down)
        socket_note(socket, EVENT_PROGRAM_GONE);
    socket_queue_work(socket, WORK_TO_WIRE);
}

void datagram_end(struct socket *socket)
{
    datagram_relay_catch_up(socket);
    socket_destroy(socket);
}
