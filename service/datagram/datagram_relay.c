/*
 * datagram_relay.c - carries datagrams and errors between a datagram socket's pair and the stack.
 *
 *      program --sendmsg--> pair ------to_wire()-----> stack_datagram_send() --> wire
 *      program <--recvmsg-- pair <--datagram_deliver()-- stack <-- wire
 *
 * Each message in the pair is one struct protocol_datagram and one datagram, both ways.
 *
 * To the wire: what the program wrote is read several messages at a time, and sent, those to one destination together
 * if the wire takes them so; a socket that has more than its share of a turn goes on in the next one, and its program
 * blocks when the pair is full. To the program: datagram_deliver.c.
 *
 * Errors. One that sending gave is asked for (PROTOCOL_SEND_RESULT) when the message had a number; it is a pending
 * error otherwise. One that ICMP brought is a pending error of a connected socket, and with IP_RECVERR goes to a
 * queue as well. A pending error is a message in the pair, so that the program wakes up by it; there is one at most,
 * as far as we know.
 */
#include "datagram_relay.h"

#include "service/address.h"
#include "datagram_deliver.h"
#include "service/log/log.h"
#include "service/pair.h"
#include "service/rules/rules_apply.h"
#include "stack/ip/interface.h"
#include "stack/archive.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Read at a time; one socket's share of a turn. */
#define BATCH 32
#define TURN_DATAGRAMS 128

/* More than these a pair does not hold (tests/platform/datagram_pair.c; SO_SNDBUF is twice as large as there). */
#define PAIR_DATAGRAMS 1024

/* Longer datagrams gain little from going as a train, and a train must fit one packet. */
#define TRAIN_DATAGRAM_MAX 1200
_Static_assert(BATCH * TRAIN_DATAGRAM_MAX < 65000 && BATCH <= STACK_DATAGRAM_IOV, "one packet");

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

void datagram_relay_put_error(struct socket *socket, int error)
{
    struct protocol_datagram header = {.magic = PROTOCOL_MAGIC,
                                       .version = PROTOCOL_VERSION,
                                       .flags = PROTOCOL_DATAGRAM_ERROR,
                                       .error = error};

    datagram_deliver_flush(); /* what came before it */
    if (socket->pair_fd < 0 || (socket->datagram->error_is_queued && !datagram_deliver_is_all_read(socket)))
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
        datagram_relay_put_error(socket, (int)extended.ee_errno);
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

void datagram_relay_handover(struct archive *archive, struct datagram *datagram)
{
    struct queued_error *entry;

    if (archive->is_writing) {
        TAILQ_FOREACH(entry, &datagram->errors, link) {
            if (!archive_begin(archive, "error"))
                return;
            ARCHIVE_RAW(archive, entry, wire);
            ARCHIVE_RAW(archive, entry, destination);
            archive_end(archive);
        }
        return;
    }
    while (archive_begin(archive, "error")) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        ARCHIVE_RAW(archive, entry, wire);
        ARCHIVE_RAW(archive, entry, destination);
        archive_end(archive);
        TAILQ_INSERT_TAIL(&datagram->errors, entry, link);
        datagram->error_count++;
    }
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
        datagram_relay_put_error(socket, (int)error->extended.ee_errno);
}

const struct stack_datagram_events datagram_relay_events = {.received = datagram_deliver, .failed = failed};

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
        datagram_relay_put_error(socket, -error);
}

/* May what this message begins be a train? The program asks for nothing but that it be sent, and the socket for nothing
 * special. */
static bool is_plain(const struct socket *socket, const struct mmsghdr *message)
{
    const struct datagram *datagram = socket->datagram;
    const struct protocol_datagram *header = message->msg_hdr.msg_iov->iov_base;

    return message->msg_len > sizeof *header && message->msg_len <= sizeof *header + TRAIN_DATAGRAM_MAX &&
           header->magic == PROTOCOL_MAGIC && header->version == PROTOCOL_VERSION && header->number == 0 &&
           header->segment == 0 && header->flags == 0 && datagram->kind == STACK_DATAGRAM_UDP &&
           !socket->rules.is_watched && datagram->cork == NULL && !datagram->is_corked &&
           stack_datagram_get_option(datagram->stack, STACK_DATAGRAM_SEGMENT) == 0;
}

/*
 * Datagrams to one destination, of one size but for the last, which may be shorter: the wire may take them as one
 * frame, and the other side is as glad. Return: how many were sent so; 0: none, send the first by itself.
 */
static int send_train(struct socket *socket, const struct mmsghdr *messages, int count)
{
    const struct protocol_datagram *header = messages->msg_hdr.msg_iov->iov_base;
    struct stack_datagram_info info;
    struct iovec iov[BATCH];
    size_t length = 0;
    int n;

    if (count < 2 || !is_plain(socket, messages) || read_header(socket, header, &info) < 0)
        return 0;
    for (n = 0; n < count && (n == 0 || messages[n - 1].msg_len == messages->msg_len); n++) {
        char *bytes = messages[n].msg_hdr.msg_iov->iov_base;

        if (messages[n].msg_len <= sizeof *header || messages[n].msg_len > messages->msg_len ||
            memcmp(bytes, header, sizeof *header) != 0)
            break;
        iov[n] = (struct iovec){bytes + sizeof *header, messages[n].msg_len - sizeof *header};
        length += iov[n].iov_len;
    }
    if (n < 2)
        return 0;
    info.segment = (uint16_t)iov[0].iov_len;
    return stack_datagram_send(socket->datagram->stack, &info, iov, n, length) == 0 ? n : 0;
}

/* Send at most `budget` datagrams. Return: true when the pair is empty. */
static bool to_wire(struct socket *socket, unsigned budget)
{
    static _Alignas(struct protocol_datagram) char buffers[BATCH][DATAGRAM_MESSAGE_MAX];
    static struct iovec iov[BATCH];
    static struct mmsghdr messages[BATCH];

    for (unsigned done = 0; done < budget;) {
        int count;

        for (int i = 0; i < BATCH; i++) {
            iov[i] = (struct iovec){buffers[i], DATAGRAM_MESSAGE_MAX};
            messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
        }
        count = recvmmsg(socket->pair_fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (count < 0 && (errno == ECONNRESET || errno == EINTR))
            continue; /* it was closed with datagrams unread; what it sent can still be read */
        if (count < 0 && errno != EAGAIN)
            return false; /* there may be some, of which no edge tells any more */
        for (int i = 0; i < count;) {
            int sent = send_train(socket, messages + i, count - i);

            i += sent;
            if (sent > 0)
                continue;
            if (messages[i].msg_len == 0)
                return true; /* the end: what has a header is longer */
            handle_message(socket, buffers[i], messages[i].msg_len);
            i++;
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
    (void)socket_take_work(socket);
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

void datagram_free(struct socket *socket)
{
    struct datagram *datagram = socket->datagram;

    datagram_deliver_forget(socket);
    if (datagram->stack != NULL)
        stack_datagram_close(datagram->stack);
    while (datagram_relay_take_error(socket, NULL))
        continue;
    free(datagram->cork);
    free(datagram);
    socket->datagram = NULL;
}

void datagram_end(struct socket *socket)
{
    datagram_relay_catch_up(socket);
    socket_destroy(socket);
}
