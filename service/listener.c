/*
 * listener.c - listening sockets: new connections become messages on the listening descriptor.
 *
 * Each established connection is one struct protocol_accepted in the listening socket's pair, its descriptor riding
 * along, so that readiness, blocking, time-outs and many processes on one listener work in the kernel. `untaken` is
 * Linux's accept queue: what is established and no accept() took yet, whether its message is in the pair or still waits
 * here because the pair is full. Its bound is the backlog; beyond it SYNs are dropped, and the peers try again.
 *
 * With TCP_DEFER_ACCEPT a connection first waits at the head of that list, not counted, until data comes or its time is
 * over.
 */
#include "listener.h"

#include "address.h"
#include "cork.h"
#include "service/log/log.h"
#include "pair.h"
#include "program.h"
#include "relay.h"
#include "service/rules/rules_apply.h"
#include "service/sockopt/sockopt.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG_MAX 4096 /* net.core.somaxconn's default */

/* What one message costs in SO_SNDBUF: measured on 6.18, 768 bytes for the first 72. */
#define MESSAGE_COST 1024

/* How often a deferred connection's time is looked at. */
#define DEFER_CHECK_US 500000

/* How often what could not be passed on is tried again when something was short. */
#define SHORT_RETRY_US 20000

static struct socket_list deferred = TAILQ_HEAD_INITIALIZER(deferred);
static uint64_t last_now_us; /* the time of this turn */
static bool is_short;        /* something could not be passed on, and no event tells when it can */
static uint64_t next_try_us;

static bool may_accept(void *owner)
{
    const struct socket *listener = owner;

    /* Linux admits one more than the backlog says. Without a descriptor for it the connection waits: the peer tries
     * again. */
    return listener->untaken_count <= (unsigned)listener->backlog && !listener->rules.is_deaf && socket_has_room();
}

int listener_start(struct socket *socket, int backlog)
{
    int send_buffer, error;

    if (socket->state != PROTOCOL_STATE_NEW && socket->state != PROTOCOL_STATE_LISTENING)
        return -EINVAL;
    socket->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : backlog;
    if (socket->state == PROTOCOL_STATE_NEW) {
        error = stack_tcp_listen(socket->tcp, may_accept);
        if (error < 0)
            return error;
        socket->state = PROTOCOL_STATE_LISTENING;
        rules_apply_settle(socket);
    }
    /* Room for the whole queue if the system lets us; what does not fit waits here. */
    send_buffer = (socket->backlog + 1) * MESSAGE_COST;
    if (setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer) < 0)
        log_warn("listener: socket %llu: its buffer keeps its size" LOG_FAULT, (unsigned long long)socket->id);
    return 0;
}

void listener_restore(struct socket *socket)
{
    (void)stack_tcp_listen(socket->tcp, may_accept); /* it listens already */
}

void listener_restore_child(struct socket *listener, struct socket *child, bool is_delivered)
{
    child->listener = listener;
    TAILQ_INSERT_TAIL(&listener->untaken, child, untaken_link);
    if (child->deferred_until_us != 0) {
        TAILQ_INSERT_TAIL(&deferred, child, deferred_link);
        return;
    }
    listener->untaken_count++;
    if (is_delivered || listener->undelivered != NULL)
        return;
    listener->undelivered = child;
    socket_watch_room(listener, true); /* it goes on when the loop runs */
}

void listener_stop(struct socket *socket)
{
    struct socket *child;

    while ((child = TAILQ_FIRST(&socket->untaken)) != NULL)
        socket_destroy(child);
    stack_tcp_disconnect(socket->tcp); /* its port stays */
    socket->state = PROTOCOL_STATE_FAILED;
    socket->connect_reported = true;
    pair_drain(socket->pair_fd); /* no error shows, only the end */
    socket_retire(socket);
}

/* Put one connection into the listening socket's pair. Return: 0 or -errno. */
static int send_child(const struct socket *listener, const struct socket *child)
{
    struct protocol_accepted accepted = {
        .magic = PROTOCOL_MAGIC,
        .version = PROTOCOL_VERSION,
        .flags = sockopt_switch(child, SWITCH_PAIR_OPTIONS) ? PROTOCOL_ACCEPTED_OPTIONS : 0,
    };
    struct iovec iov = {&accepted, sizeof accepted};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

    address_write(&accepted.local, &child->local);
    address_write(&accepted.peer, &child->peer);
    accepted.listener = (uint32_t)listener->id;
    socket_tell_number(child, &accepted.number, &accepted.instance);
    (void)cork_describe(child, &accepted.cork_page, &accepted.cork_slot);
    memcpy(CMSG_DATA(&control.header), &child->program_fd, sizeof child->program_fd);
    return sendmsg(listener->pair_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Pass on as many connections as the pair takes. */
static void deliver(struct socket *listener)
{
    struct socket *child;

    while ((child = listener->undelivered) != NULL) {
        int error = send_child(listener, child);

        if (error < 0) {
            /* Full: goes on when one is taken. Of too many descriptors in flight (unix(7), ETOOMANYREFS), or too little
             * memory, nothing tells the end. */
            socket_watch_room(listener, true);
            is_short |= error != -EAGAIN && error != -EPIPE;
            if (error != -EAGAIN && error != -ETOOMANYREFS && error != -EPIPE) {
                errno = -error;
                log_warn("listener: socket %llu: a connection could not be passed to its program (is the limit on open files too low?)", (unsigned long long)listener->id);
            }
            return;
        }
        listener->undelivered = TAILQ_NEXT(child, untaken_link);
        close(child->program_fd); /* from now on its close is the program's to see */
        child->program_fd = -1;
    }
    socket_watch_room(listener, false);
}

void listener_handle_pair(struct socket *socket, uint32_t epoll_events)
{
    if (epoll_events & EPOLLHUP)
        socket_destroy(socket); /* and resets what was not taken */
    else
        deliver(socket);
}

/* TCP_DEFER_ACCEPT: set the child aside if it has to wait for data. Return: has it? */
static bool defer(struct socket *listener, struct socket *child)
{
    int seconds = sockopt_number(listener, NUMBER_DEFER_ACCEPT);

    if (seconds == 0 || stack_tcp_receive_queued(child->tcp) > 0 || stack_tcp_receive_ended(child->tcp))
        return false;
    child->deferred_until_us = last_now_us + (uint64_t)seconds * 1000000;
    TAILQ_INSERT_HEAD(&listener->untaken, child, untaken_link);
    TAILQ_INSERT_TAIL(&deferred, child, deferred_link);
    return true;
}

/* At the end of the queue. */
static void append(struct socket *listener, struct socket *child)
{
    TAILQ_INSERT_TAIL(&listener->untaken, child, untaken_link);
    listener->untaken_count++;
    if (listener->undelivered == NULL)
        listener->undelivered = child;
}

void listener_forget_deferred(struct socket *child)
{
    TAILQ_REMOVE(&deferred, child, deferred_link);
    child->deferred_until_us = 0;
}

void listener_child_ready(struct socket *child)
{
    struct socket *listener = child->listener;

    if (child->deferred_until_us == 0)
        return;
    listener_forget_deferred(child);
    TAILQ_REMOVE(&listener->untaken, child, untaken_link);
    append(listener, child);
    deliver(listener);
}

int64_t listener_timer_us(void)
{
    if (is_short)
        return SHORT_RETRY_US;
    return TAILQ_EMPTY(&deferred) ? -1 : DEFER_CHECK_US;
}

/* Try again what could not be passed on when something was short. */
static void deliver_all(void)
{
    struct socket *socket;

    is_short = false;
    TAILQ_FOREACH(socket, &socket_live, state_link)
        if (socket->undelivered != NULL)
            deliver(socket);
}

void listener_run_timers(uint64_t now_us)
{
    struct socket *child, *next;

    last_now_us = now_us;
    for (child = TAILQ_FIRST(&deferred); child != NULL; child = next) {
        next = TAILQ_NEXT(child, deferred_link);
        if (now_us >= child->deferred_until_us)
            listener_child_ready(child);
    }
    if (is_short && now_us >= next_try_us) {
        next_try_us = now_us + SHORT_RETRY_US;
        deliver_all();
    }
}

/* Make a record for the child and queue it. Return: 0 or -errno. */
static int enqueue(struct socket *listener, struct stack_tcp *tcp)
{
    struct socket *child;
    struct pair ends;
    int error = socket_make(PROTOCOL_NAME_KIND_ACCEPTED, &child);

    if (error < 0)
        return error;
    error = socket_adopt(child, listener->program);
    if (error < 0) {
        socket_destroy(child);
        return error;
    }
    ends = (struct pair){child->pair_fd, child->program_fd, child->program_inode};
    error = pair_put_stale_byte(&ends);
    if (error < 0) {
        socket_destroy(child);
        return error;
    }
    child->state = PROTOCOL_STATE_CONNECTED;
    child->connect_reported = true;
    sockopt_inherit(child, listener);
    child->tcp = tcp;
    socket_label(child);
    sockopt_apply_buffers(child);
    stack_tcp_adopt(tcp, &relay_tcp_events, child);
    (void)stack_tcp_local_address(tcp, &child->local);
    (void)stack_tcp_peer_address(tcp, &child->peer);
    child->listener = listener;
    cork_attach_child(child);
    if (!defer(listener, child))
        append(listener, child);
    log_debug("socket %llu: accepted by socket %llu", (unsigned long long)child->id,
              (unsigned long long)listener->id);
    return 0;
}

void listener_accepted(void *owner, struct stack_tcp *tcp)
{
    struct socket *listener = owner;
    int error = enqueue(listener, tcp);

    if (error < 0) { /* not adopted: the stack resets it */
        errno = -error;
        log_warn("listener: socket %llu: a connection was reset, no socket could be made for it (is the limit on open files too low?)", (unsigned long long)listener->id);
        return;
    }
    socket_queue_work(listener, WORK_TO_PROGRAM);
}

void listener_run(struct socket *socket)
{
    (void)socket_take_work(socket);
    deliver(socket);
}

void listener_child_taken(struct socket *child)
{
    struct socket *listener = child->listener;

    socket_leave_listener(child);
    if (listener != NULL)
        deliver(listener);
}
