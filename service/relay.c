/*
 * relay.c - carries bytes, ends and errors between a connection's pair and its TCP socket.
 *
 *      program --write--> pair --pair_read--> send queue --lwIP--> wire        to_wire()
 *      program <--read--- pair <-pair_write-- receive queue <-lwIP- wire        to_program()
 *
 * Nothing is dropped and nothing is buffered here: bytes that TCP's send queue has no room for stay in the pair, so the
 * program blocks; bytes that the pair has no room for stay in TCP's receive queue, so the window closes.
 *
 * Events (socket.h), how each is learned, what follows:
 *
 *   PROGRAM_ENDED  EPOLLRDHUP: shutdown(SHUT_WR) or close    read the pair empty, then FIN_SENT
 *   PROGRAM_GONE   EPOLLHUP: close or shutdown(SHUT_RDWR)    the same, then TCP finishes alone; retired
 *   PROGRAM_RESET  EPOLLERR with it: data was left unread    RST; retired
 *   PROGRAM_DEAF   EPIPE on writing: shutdown(SHUT_RD)       what comes is thrown away
 *   FIN_SENT       all that was written is TCP's, FIN behind
 *   EOF_GIVEN      peer's FIN, all before it written on      shutdown(SHUT_WR) on our end: the program reads 0
 *   FAILED         RST, time-out: TCP is gone                give what had come, then close with the stale byte: a reset
 *
 * FIN_SENT and EOF_GIVEN together are an orderly end: the stale byte is taken out, and the record waits for the program
 * to close.
 */
#include "relay.h"

#include "connect.h"
#include "cork.h"
#include "listener.h"
#include "service/log/log.h"
#include "pair.h"
#include "service/sockopt/sockopt.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* One socket's share of a turn, each way; then the others have theirs. */
#define RELAY_TURN_BYTES (256 * 1024)

/* What may be read the short way, and is brief work. */
#define RELAY_SHORT_BYTES 4096

/* Pieces for one write to the program. */
#define RELAY_IOV 64

struct relay_counters relay_counters;

_Static_assert(PAIR_IOV_MAX >= STACK_TCP_IOV, "one read fills what one reserve gives");

/*
 * Bytes between the program and us may be lost, or would be sent twice: the connection is reset, both ways, as nothing
 * else is honest. What lies here for the program is not worth waiting for.
 */
static void give_up(struct socket *socket, ssize_t error)
{
    log_warnx("relay: socket %llu: reading the pair: error %zd; the connection is reset" LOG_FAULT,
              (unsigned long long)socket->id, error);
    socket->error = ECONNABORTED;
    socket_note(socket, EVENT_FAILED);
    stack_tcp_receive_consume(socket->tcp, stack_tcp_receive_queued(socket->tcp));
    socket_queue_work(socket, WORK_TO_PROGRAM); /* which ends in settle() */
}

/* The first byte through an accepted connection says that accept() took it; it becomes the stale byte. */
static void note_taken(struct socket *socket)
{
    socket_note(socket, EVENT_TAKEN);
    listener_child_taken(socket);
}

/* Take that byte alone. Return: was it there? */
static bool take_accept_byte(struct socket *socket)
{
    char byte;
    struct iovec iov = {&byte, 1};
    ssize_t got = pair_fresh_bytes(socket->pair_fd) < 1 ? 0 : pair_read(socket->pair_fd, &iov, 1, 1);

    if (got < 0)
        give_up(socket, got);
    if (got != 1)
        return false;
    note_taken(socket);
    return true;
}

static size_t iov_bytes(const struct iovec *iov, int count)
{
    size_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return sum;
}

/*
 * Is the program's close a reset? It is with data left unread (RFC 1122 4.2.2.13), with SO_LINGER 0, and when no
 * accept() had taken the connection. No FIN goes before such a reset: the peer would read an end of file.
 */
static bool close_is_reset(const struct socket *socket)
{
    return (socket->events & EVENT_PROGRAM_GONE) &&
           (!(socket->events & EVENT_TAKEN) || (socket->options.linger_on && socket->options.linger_s == 0) ||
            (socket->events & (EVENT_PROGRAM_RESET | EVENT_FAILED)) || stack_tcp_receive_queued(socket->tcp) > 0);
}

/* Is FIN all that is left to send when the pair is empty? */
static bool fin_follows(const struct socket *socket)
{
    return (socket->events & EVENT_PROGRAM_ENDED) && !(socket->events & EVENT_FAILED) && !close_is_reset(socket);
}

/*
 * The short way: put what there is on the wire before it is taken out of the pair. One system call before the frame is
 * out, two in all, for one copy more. The accept byte, if it is still to come, is the first. Return: true when the pair
 * is empty; false when there is more than that, or no room for it, and what is left was not read.
 */
static bool read_short(struct socket *socket)
{
    char bytes[1 + RELAY_SHORT_BYTES];
    struct iovec iov[STACK_TCP_IOV];
    bool must_go = cork_look(socket), waits;
    ssize_t got = pair_peek(socket->pair_fd, bytes, sizeof bytes);
    size_t copied = (socket->events & EVENT_TAKEN) ? 1 : 2; /* the stale byte is the very first */
    size_t fresh = got > 0 ? 1 + (size_t)got - copied : 0;
    int pieces, error;

    if (got <= 0)
        return got == 0;
    pieces = fresh > 0 ? stack_tcp_send_reserve(socket->tcp, fresh, iov) : 0;
    if (iov_bytes(iov, pieces) < fresh)
        return false;
    if (!(socket->events & EVENT_TAKEN))
        note_taken(socket);
    if (fresh > 0) {
        relay_counters.reads++;
        relay_counters.bytes_read += fresh;
        for (int i = 0; i < pieces; i++) {
            memcpy(iov[i].iov_base, bytes + copied, iov[i].iov_len);
            copied += iov[i].iov_len;
        }
        waits = fin_follows(socket) || (!must_go && cork_hold(socket));
        if ((waits ? stack_tcp_send_commit_part(socket->tcp, fresh) : stack_tcp_send_commit(socket->tcp, fresh, false)) < 0 ||
            (socket->events & EVENT_FAILED))
            return true;
        if (!waits)
            stack_flush_data();
    }
    socket->pair_is_empty = (socket->events & EVENT_PROGRAM_GONE) && fin_follows(socket);
    error = socket->pair_is_empty ? pair_take_last(socket->pair_fd, bytes, (size_t)got)
                                  : pair_take_peeked(socket->pair_fd, bytes, (size_t)got);
    if (error < 0)
        give_up(socket, error);
    return true;
}

/* Read what the program wrote into TCP's send queue. Return: true when the pair is empty. */
static bool read_pair(struct socket *socket)
{
    size_t budget = RELAY_TURN_BYTES;

    if (!socket->writes_much && read_short(socket))
        return true;
    if (!(socket->events & EVENT_TAKEN) && !take_accept_byte(socket))
        return true;
    socket->writes_much = false;
    for (;;) {
        struct iovec iov[STACK_TCP_IOV];
        ssize_t fresh = pair_fresh_bytes(socket->pair_fd);
        size_t want, room;
        bool must_go, waits;
        ssize_t got;
        int pieces;

        if (fresh <= 0)
            return true;
        if (budget == 0) {
            socket_queue_work(socket, WORK_TO_WIRE);
            return false;
        }
        room = stack_tcp_send_room(socket->tcp);
        want = (size_t)fresh < room ? (size_t)fresh : room;
        want = want < budget ? want : budget;
        pieces = want > 0 ? stack_tcp_send_reserve(socket->tcp, want, iov) : 0;
        if (pieces == 0) {
            relay_counters.wire_full++;
            if (stack_tcp_send_queued(socket->tcp) > 0)
                socket->wire_full = true; /* sent() comes when the peer has acknowledged something */
            else
                socket_postpone_work(socket, WORK_TO_WIRE); /* memory is short */
            return false;
        }
        room = iov_bytes(iov, pieces);
        want = want < room ? want : room;
        socket->writes_much |= want >= RELAY_SHORT_BYTES;
        must_go = cork_look(socket);
        got = pair_read(socket->pair_fd, iov, pieces, want);
        if (got < 0) {
            give_up(socket, got);
            return true;
        }
        waits = (got == fresh && fin_follows(socket)) || (!must_go && cork_hold(socket));
        if ((waits ? stack_tcp_send_commit_part(socket->tcp, (size_t)got)
                   : stack_tcp_send_commit(socket->tcp, (size_t)got, got < fresh)) < 0)
            return true; /* failed() has been called, or is about to be */
        relay_counters.reads++;
        relay_counters.bytes_read += (size_t)got;
        budget -= (size_t)got;
        if (got == fresh)
            return true; /* what came since then brings an edge of its own */
    }
}

static void to_wire(struct socket *socket)
{
    bool empty;

    if (socket->events & (EVENT_FIN_SENT | EVENT_FAILED)) {
        if (!(socket->events & EVENT_TAKEN))
            (void)take_accept_byte(socket);
        return;
    }
    socket->wire_full = false;
    empty = read_pair(socket);
    if (empty && cork_went(socket) && (socket->events & EVENT_FAILED) == 0)
        empty = read_pair(socket);
    if (empty && (socket->events & EVENT_TAKEN) && fin_follows(socket)) {
        socket_note(socket, EVENT_FIN_SENT);
        (void)stack_tcp_shutdown_send(socket->tcp);
    }
}

/* The program takes no more: is it gone, or did it only shut down its reading side? */
static void note_deaf(struct socket *socket)
{
    socket_note(socket, EVENT_PROGRAM_DEAF);
    if (pair_is_closed(socket->pair_fd))
        socket_note(socket, EVENT_PROGRAM_GONE);
}

static void to_program(struct socket *socket)
{
    size_t budget = RELAY_TURN_BYTES;

    while (!(socket->events & (EVENT_PROGRAM_DEAF | EVENT_PROGRAM_GONE))) {
        struct iovec iov[RELAY_IOV];
        int count = stack_tcp_receive_peek(socket->tcp, iov, RELAY_IOV);
        ssize_t written;

        if (count == 0) {
            socket_watch_room(socket, false);
            break;
        }
        if (budget == 0) {
            socket_queue_work(socket, WORK_TO_PROGRAM);
            return;
        }
        written = pair_write(socket->pair_fd, iov, count);
        if (written == -EAGAIN && !socket->pair_grown) {
            socket->pair_grown = true;
            pair_grow(socket->pair_fd);
            continue;
        }
        if (written == -EAGAIN) {
            relay_counters.program_full++;
            socket_watch_room(socket, true);
            return;
        }
        if (written == -EPIPE || written == -ECONNRESET) {
            note_deaf(socket);
            break;
        }
        if (written < 0) { /* memory is short: there is no edge to wait for */
            socket_postpone_work(socket, WORK_TO_PROGRAM);
            return;
        }
        relay_counters.writes++;
        relay_counters.bytes_written += (size_t)written;
        stack_tcp_receive_consume(socket->tcp, (size_t)written);
        budget -= (size_t)written < budget ? (size_t)written : budget;
    }
    if ((socket->events & EVENT_PROGRAM_DEAF) && !(socket->events & EVENT_PROGRAM_GONE))
        stack_tcp_receive_consume(socket->tcp, stack_tcp_receive_queued(socket->tcp));
    if (stack_tcp_receive_queued(socket->tcp) == 0 && stack_tcp_receive_ended(socket->tcp) &&
        !(socket->events & EVENT_EOF_GIVEN)) {
        socket_note(socket, EVENT_EOF_GIVEN);
        if (shutdown(socket->pair_fd, SHUT_WR) < 0)
            log_warn("relay: socket %llu: shutdown" LOG_FAULT, (unsigned long long)socket->id);
    }
}

/* SO_LINGER: will somebody wait, or waits already, in close() until the peer has everything? */
static bool is_lingering(const struct socket *socket)
{
    return socket->lingers && stack_tcp_send_queued(socket->tcp) > 0;
}

/* TCP's part is over, or can go on without us: keep the record for questions only. */
static void finish(struct socket *socket, void (*leave_tcp)(struct stack_tcp *))
{
    socket_answer_waiters(socket, 0);
    sockopt_keep_info(socket);
    leave_tcp(socket->tcp);
    socket->tcp = NULL;
    socket_leave_listener(socket);
    socket_retire(socket);
}

/* After the bytes have moved: what do the events seen so far come to? */
static void settle(struct socket *socket)
{
    const uint32_t events = socket->events;
    const uint32_t both_ended = EVENT_FIN_SENT | EVENT_EOF_GIVEN;

    if (events & EVENT_PROGRAM_GONE) {
        if (close_is_reset(socket)) {
            finish(socket, stack_tcp_abort);
        } else if ((events & EVENT_FIN_SENT) && !is_lingering(socket)) {
            if (!socket->pair_is_empty)
                pair_drain(socket->pair_fd); /* for whoever still looks: relay_end() */
            finish(socket, stack_tcp_close);
        }
        return;
    }
    if ((events & EVENT_FAILED) && stack_tcp_receive_queued(socket->tcp) == 0) {
        if (socket->state == PROTOCOL_STATE_CONNECTED)
            socket->state = PROTOCOL_STATE_RESET;
        finish(socket, stack_tcp_abort);
        return;
    }
    if ((events & both_ended) == both_ended)
        pair_drain(socket->pair_fd);
}

void relay_run(struct socket *socket)
{
    uint32_t work = socket_take_work(socket);

    if (work & WORK_TO_PROGRAM)
        to_program(socket);
    if (work & WORK_TO_WIRE)
        to_wire(socket);
    settle(socket);
}

void relay_handle_pair(struct socket *socket, uint32_t epoll_events)
{
    if (epoll_events & EPOLLRDHUP)
        socket_note(socket, EVENT_PROGRAM_ENDED);
    if (epoll_events & EPOLLHUP)
        socket_note(socket, EVENT_PROGRAM_GONE);
    if (epoll_events & EPOLLERR)
        socket_note(socket, EVENT_PROGRAM_RESET);
    if (socket->writes_much)
        socket_queue_work(socket, WORK_TO_WIRE);
    else
        socket_queue_brief_work(socket, WORK_TO_WIRE);
    if (epoll_events & EPOLLOUT)
        socket_queue_work(socket, WORK_TO_PROGRAM);
}

void relay_end(struct socket *socket)
{
    to_program(socket);
    socket_note(socket, EVENT_PROGRAM_ENDED);
    socket_note(socket, EVENT_PROGRAM_GONE);
    socket_queue_work(socket, WORK_TO_WIRE);
}

static void tcp_received(void *owner)
{
    const struct socket *socket = owner;

    listener_child_ready(owner);
    if (stack_tcp_receive_queued(socket->tcp) <= RELAY_SHORT_BYTES)
        socket_queue_brief_work(owner, WORK_TO_PROGRAM);
    else
        socket_queue_work(owner, WORK_TO_PROGRAM);
}

static void tcp_sent(void *owner)
{
    struct socket *socket = owner;

    if ((socket->wire_full && stack_tcp_send_is_worthwhile(socket->tcp)) || socket->lingers)
        socket_queue_work(socket, WORK_TO_WIRE);
}

/*
 * The connection was reset, and the pair has no room for what had come: the program may be blocked in a write, waiting
 * for a reset that waits for it to read. So its writes fail from now on (EPIPE), and poll says that it can write.
 */
static void end_writes(struct socket *socket)
{
    static char waste[64 * 1024];
    struct iovec iov = {waste, sizeof waste};
    ssize_t fresh;

    if (shutdown(socket->pair_fd, SHUT_RD) < 0)
        log_warn("relay: socket %llu: shutdown" LOG_FAULT, (unsigned long long)socket->id);
    while ((fresh = pair_fresh_bytes(socket->pair_fd)) > 0) {
        size_t want = (size_t)fresh < sizeof waste ? (size_t)fresh : sizeof waste;

        if (pair_read(socket->pair_fd, &iov, 1, want) <= 0)
            break;
    }
}

static void tcp_failed(void *owner, int error)
{
    struct socket *socket = owner;

    if (socket->state == PROTOCOL_STATE_CONNECTING) {
        connect_failed(socket, error);
        return;
    }
    socket->error = error;
    socket_note(socket, EVENT_FAILED);
    if (stack_tcp_receive_queued(socket->tcp) > 0)
        end_writes(socket);
    socket_queue_work(socket, WORK_TO_PROGRAM);
}

const struct stack_tcp_events relay_tcp_events = {
    .connected = connect_established,
    .accepted = listener_accepted,
    .received = tcp_received,
    .sent = tcp_sent,
    .failed = tcp_failed,
};
