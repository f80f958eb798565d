/*
 * bound_tcp.c - as little of TCP as a path without loss allows.
 *
 * Nothing is kept to be sent again, there is no timer, no window but a fixed one and the peer's, no option but the
 * window's scale, and no acknowledgement by itself of what is little: the answer takes that along.
 */
#include "bound.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES (44 * SEGMENT) /* of data: the most that one IP packet takes */
#define WINDOW_SCALE 7
#define TURN_FRAMES 4              /* that one program may send, before the others have their turn */
#define FIRST_PORT 1024            /* of those that connections from programs have */

#define FIN 1
#define SYN 2
#define RST 4
#define PSH 8
#define ACK 16

#define READ (EPOLLIN | EPOLLRDHUP)

struct connection {
    struct endpoint pair;                       /* first */
    struct connection *next_touched;
    uint16_t port, other_port;                  /* network order */
    uint8_t scale;                              /* of the peer's window */
    uint32_t unacknowledged, next, window;      /* of what is sent */
    uint32_t received, acknowledged, announced; /* the last is the window, scaled */
    struct frame *first, *last;                 /* that wait for room in the pair */
    uint32_t waiting;                           /* their bytes */
    uint32_t events;                            /* of the pair, that epoll is asked for */
    bool watched;                               /* by epoll at all */
    bool touched;
    bool established, fin_sent, fin_received;
    bool must_acknowledge;
};

/* By both ports. One of them is the same for all connections of a load, so that two hardly ever have one slot. */
static struct connection *connections[65536];
static struct connection *touched; /* in this turn */

static struct connection **slot_of(uint16_t port, uint16_t other_port)
{
    return &connections[port ^ other_port];
}

static uint32_t free_window(const struct connection *connection)
{
    return (WINDOW - connection->waiting) >> WINDOW_SCALE;
}

/* Look at it at the end of the turn. */
static void touch(struct connection *connection)
{
    if (connection->touched)
        return;
    connection->touched = true;
    connection->next_touched = touched;
    touched = connection;
}

/* Write one segment, with length bytes from data. */
static void write_segment(struct connection *connection, uint8_t flags, void *data, size_t length)
{
    static uint8_t options[] = {2, 4, SEGMENT >> 8, SEGMENT & 0xff, 1, 3, 3, WINDOW_SCALE};
    struct {
        struct headers h;
        uint8_t options[sizeof options];
    } it;
    size_t size = sizeof it.h.tcp;
    struct iovec iov[2] = {{0}, {data, length}};

    begin_frame(&it.h, IPPROTO_TCP, connection->port, connection->other_port);
    if ((flags & SYN) != 0) {
        memcpy(it.options, options, sizeof options);
        size += sizeof options;
    }
    it.h.tcp.sequence = htonl(connection->next);
    it.h.tcp.acknowledged = htonl(connection->received);
    it.h.tcp.size = (uint8_t)(size / 4 << 4);
    it.h.tcp.flags = flags;
    it.h.tcp.window = htons((flags & SYN) != 0 ? 65535 : (uint16_t)free_window(connection));
    write_frame(&it.h, size, VIRTIO_NET_HDR_GSO_TCPV4, SEGMENT, iov, 2, length);
    connection->next += (uint32_t)length + ((flags & (SYN | FIN)) != 0);
    connection->acknowledged = connection->received;
    connection->announced = free_window(connection);
    connection->must_acknowledge = false;
}

/* Ask, or ask no longer, for an event of the pair. */
static void ask(struct connection *connection, uint32_t which, bool wanted)
{
    uint32_t events = wanted ? connection->events | which : connection->events & ~which;

    if (connection->events == events || connection->pair.fd < 0)
        return;
    watch(&connection->pair, connection->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, events);
    connection->watched = true;
    connection->events = events;
}

/* Hear of no event any more. */
static void leave(struct connection *connection)
{
    watch(&connection->pair, EPOLL_CTL_DEL, 0);
    connection->watched = false;
    connection->events = 0;
}

/* It is over; the endpoint is freed when no event and no list has it. */
static void drop(struct connection *connection)
{
    struct frame *next;

    for (struct frame *it = connection->first; it != NULL; it = next) {
        next = it->next;
        free_frame(it);
    }
    connection->first = NULL;
    *slot_of(connection->port, connection->other_port) = NULL;
    discard(&connection->pair);
}

/* The program is gone, with something that it will not read. */
static void reset(struct connection *connection)
{
    write_segment(connection, RST | ACK, NULL, 0);
    drop(connection);
}

/* What the program wrote goes to the wire, as far as the peer's window allows. ended: and after that comes its end. */
static void send_written(struct connection *connection, bool ended)
{
    for (int i = 0; i < TURN_FRAMES; i++) {
        uint32_t room = connection->window - (connection->next - connection->unacknowledged);
        bool last;
        ssize_t got;

        if (!connection->established || (int32_t)room < SEGMENT) {
            ask(connection, READ, false);
            return;
        }
        room = room < FRAME_BYTES ? room / SEGMENT * SEGMENT : FRAME_BYTES;
        got = recv(connection->pair.fd, frame->bytes, room, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0) {
            reset(connection);
            return;
        }
        last = got == 0 || (ended && got < (ssize_t)room);
        write_segment(connection, ACK | (got > 0 ? PSH : 0) | (last ? FIN : 0), frame->bytes, (size_t)got);
        if (last) {
            connection->fin_sent = true;
            ask(connection, READ, false);
            return;
        }
        if (got < (ssize_t)room)
            return;
    }
}

/* Write to the program what waits, as far as there is room; then the end of file, if that came. */
static void write_waiting(struct connection *connection)
{
    while (connection->first != NULL) {
        struct frame *it = connection->first;
        ssize_t sent = send(connection->pair.fd, it->bytes + it->at, it->length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            reset(connection);
            return;
        }
        connection->waiting -= (uint32_t)sent;
        it->at += (size_t)sent;
        it->length -= (size_t)sent;
        if (it->length > 0)
            continue;
        connection->first = it->next;
        free_frame(it);
    }
    ask(connection, EPOLLOUT, connection->first != NULL);
    if (connection->first == NULL && connection->fin_received)
        shutdown(connection->pair.fd, SHUT_WR);
    touch(connection);
}

static void handle(struct endpoint *endpoint, uint32_t events)
{
    struct connection *connection = (struct connection *)endpoint;

    if ((events & EPOLLOUT) != 0 && endpoint->fd >= 0)
        write_waiting(connection);
    if (endpoint->fd < 0)
        return;
    if (!connection->fin_sent)
        send_written(connection, (events & EPOLLRDHUP) != 0);
    else if ((events & EPOLLHUP) != 0) /* which epoll would tell again and again */
        leave(connection);
}

static struct connection *make_connection(int fd, uint16_t port, uint16_t other_port)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct timespec now;

    if (connection == NULL)
        die("memory");
    clock_gettime(CLOCK_MONOTONIC, &now);
    connection->pair = (struct endpoint){.fd = fd, .handle = handle};
    connection->port = port;
    connection->other_port = other_port;
    connection->next = connection->unacknowledged = (uint32_t)now.tv_sec * 250000 + (uint32_t)now.tv_nsec / 4000;
    *slot_of(port, other_port) = connection;
    return connection;
}

void tcp_accept(int fd)
{
    static uint16_t port = FIRST_PORT;

    do
        port = port == 65535 ? FIRST_PORT : port + 1;
    while (*slot_of(htons(port), peer_port) != NULL);
    write_segment(make_connection(fd, htons(port), peer_port), SYN, NULL, 0);
}

/* The peer's window scale, from the options of its SYN. */
static uint8_t find_scale(const struct headers *h)
{
    const uint8_t *options = frame->bytes + sizeof h->virtio + BEFORE_TRANSPORT + sizeof h->tcp;
    const uint8_t *end = options + (size_t)(h->tcp.size >> 4) * 4 - sizeof h->tcp;

    while (options < end && *options != 0) {
        if (*options == 3)
            return options[2];
        options += *options == 1 ? 1 : options[1] > 1 ? options[1] : 2;
    }
    return 0;
}

/* The peer wants to connect to a program. */
static void answer_syn(const struct headers *h)
{
    struct connection *connection;
    int fd = reach_program(h->tcp.destination_port);

    if (fd < 0) {
        struct connection none = {.port = h->tcp.destination_port,
                                  .other_port = h->tcp.source_port,
                                  .received = ntohl(h->tcp.sequence) + 1};

        write_segment(&none, RST | ACK, NULL, 0);
        return;
    }
    connection = make_connection(fd, h->tcp.destination_port, h->tcp.source_port);
    connection->received = ntohl(h->tcp.sequence) + 1;
    connection->scale = find_scale(h);
    write_segment(connection, SYN | ACK, NULL, 0);
    ask(connection, READ, true);
}

/* What is new in a segment goes to the program. at: where its data is in the frame. */
static void take_data(struct connection *connection, const struct headers *h, size_t at, size_t length)
{
    bool is_first = connection->first == NULL;

    connection->received += (uint32_t)length + ((h->tcp.flags & FIN) != 0);
    connection->fin_received |= (h->tcp.flags & FIN) != 0;
    if (length > 0) {
        frame->next = NULL;
        frame->at = at;
        frame->length = length;
        if (is_first)
            connection->first = frame;
        else
            connection->last->next = frame;
        connection->last = frame;
        connection->waiting += (uint32_t)length;
        frame = get_frame();
    }
    if (is_first)
        write_waiting(connection);
}

void tcp_input(const struct headers *h, size_t length)
{
    struct connection *connection = *slot_of(h->tcp.destination_port, h->tcp.source_port);
    size_t header_size = (size_t)(h->tcp.size >> 4) * 4;
    uint32_t acknowledged = ntohl(h->tcp.acknowledged);
    bool is_syn = (h->tcp.flags & SYN) != 0;

    if (connection == NULL && (h->tcp.flags & (SYN | ACK)) == SYN)
        answer_syn(h);
    if (connection == NULL || connection->port != h->tcp.destination_port)
        return;
    if ((h->tcp.flags & RST) != 0) {
        drop(connection);
        return;
    }
    if (is_syn) { /* the answer to ours */
        connection->received = ntohl(h->tcp.sequence) + 1;
        connection->scale = find_scale(h);
        connection->must_acknowledge = true;
    }
    length -= header_size;
    connection->established = true;
    if ((int32_t)(acknowledged - connection->unacknowledged) > 0)
        connection->unacknowledged = acknowledged;
    connection->window = (uint32_t)ntohs(h->tcp.window) << (is_syn ? 0 : connection->scale);
    if (!connection->fin_sent)
        ask(connection, READ, true);
    touch(connection);
    if (is_syn) {
        send_written(connection, false); /* which acknowledges it */
    } else if (length > 0 || (h->tcp.flags & FIN) != 0) {
        int32_t ahead = (int32_t)(ntohl(h->tcp.sequence) - connection->received);

        if (ahead > 0) {
            errno = EPROTO;
            die("a frame was lost");
        }
        if (ahead < 0) /* sent again, for want of an acknowledgement */
            connection->must_acknowledge = true;
        else
            take_data(connection, h, sizeof h->virtio + BEFORE_TRANSPORT + header_size, length);
    }
}

void tcp_end_turn(void)
{
    struct connection *next;

    for (struct connection *it = touched; it != NULL; it = next) {
        uint32_t fresh = it->received - it->acknowledged;

        next = it->next_touched;
        it->touched = false;
        if (it->pair.fd < 0)
            continue;
        if (fresh >= 2 * SEGMENT || it->must_acknowledge || (it->fin_received && fresh > 0) ||
            free_window(it) >= it->announced + (WINDOW >> WINDOW_SCALE) / 2)
            write_segment(it, ACK, NULL, 0);
        if (it->fin_sent && it->fin_received && it->unacknowledged == it->next && it->first == NULL)
            drop(it);
    }
    touched = NULL;
}
