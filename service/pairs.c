/*
 * pairs.c - all sockets' turn: what their programs did to the pairs, and the work that came of it.
 *
 * Work is separate from events so that many frames for one socket become one write to its program, and many writes of
 * it one frame.
 */
#include "pairs.h"

#include "listener.h"
#include "relay.h"
#include "service/datagram/datagram.h"
#include "socket.h"
#include "watch.h"

#define EVENTS_AT_ONCE 256
/* pairs_catch_up() looks at no more than so many batches, whatever programs do meanwhile. */
#define CATCH_UP_ROUNDS 64

/* How often what was short is tried again. */
#define POSTPONED_RETRY_US 20000

static uint64_t next_retry_us;

static void handle_socket(struct socket *socket, uint32_t events)
{
    if (socket->pair_fd < 0)
        return; /* retired earlier in this turn */
    if (socket->datagram != NULL) {
        datagram_handle_pair(socket, events);
        return;
    }
    switch (socket->state) {
    case PROTOCOL_STATE_CONNECTED:
        relay_handle_pair(socket, events);
        break;
    case PROTOCOL_STATE_LISTENING:
        listener_handle_pair(socket, events);
        break;
    case PROTOCOL_STATE_NEW:
    case PROTOCOL_STATE_CONNECTING:
        if (events & EPOLLHUP)
            socket_destroy(socket);
        else if (events & EPOLLRDHUP)
            socket_note(socket, EVENT_PROGRAM_ENDED);
        break;
    case PROTOCOL_STATE_FAILED:
    case PROTOCOL_STATE_RESET:
        break;
    }
}

static enum watch_kind kind_of(const struct epoll_event *event)
{
    return ((const struct watch *)event->data.ptr)->kind;
}

void pairs_dispatch(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        if (kind_of(&events[i]) == WATCH_SOCKET)
            handle_socket(events[i].data.ptr, events[i].events);
}

/* One share for each socket of a list that has work now; what they leave undone is for the next turn. */
static void run_list(const struct socket_list *list)
{
    struct socket *last = TAILQ_LAST(list, socket_list);
    struct socket *socket;

    while ((socket = TAILQ_FIRST(list)) != NULL) {
        if (socket->datagram != NULL)
            datagram_run(socket);
        else if (socket->state == PROTOCOL_STATE_LISTENING)
            listener_run(socket);
        else
            relay_run(socket);
        if (socket == last)
            break;
    }
}

void pairs_run(void)
{
    run_list(&socket_brief);
    run_list(&socket_busy);
}

void pairs_run_brief(void)
{
    run_list(&socket_brief);
}

bool pairs_have_work(void)
{
    return !TAILQ_EMPTY(&socket_busy) || !TAILQ_EMPTY(&socket_brief);
}

int64_t pairs_timer_us(void)
{
    return TAILQ_EMPTY(&socket_postponed) ? -1 : POSTPONED_RETRY_US;
}

void pairs_run_timers(uint64_t now_us)
{
    struct socket *socket;

    if (now_us < next_retry_us || TAILQ_EMPTY(&socket_postponed))
        return;
    next_retry_us = now_us + POSTPONED_RETRY_US;
    while ((socket = TAILQ_FIRST(&socket_postponed)) != NULL)
        socket_queue_work(socket, 0);
}

/* Is one among these events that was seen before? *seen: the first one that is no pair; NULL: none yet. */
static bool comes_again(const struct epoll_event *events, int count, const void **seen)
{
    const void *before = *seen;

    for (int i = 0; i < count; i++) {
        if (kind_of(&events[i]) == WATCH_SOCKET)
            continue;
        if (*seen == NULL)
            *seen = events[i].data.ptr;
        if (events[i].data.ptr == before)
            return true;
    }
    return false;
}

void pairs_catch_up(void)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    const void *seen = NULL;
    int count, rounds = 0;

    /* What is level-triggered comes again and again, behind all others: when it does, everything has been here. */
    do {
        count = watch_look(events, EVENTS_AT_ONCE);
        pairs_dispatch(events, count);
        pairs_run();
    } while (count == EVENTS_AT_ONCE && ++rounds < CATCH_UP_ROUNDS && !comes_again(events, count, &seen));
}

void pairs_end(void)
{
    struct socket *socket, *next;

    for (socket = TAILQ_FIRST(&socket_live); socket != NULL; socket = next) {
        next = TAILQ_NEXT(socket, state_link);
        if (socket->state == PROTOCOL_STATE_CONNECTED && socket->listener == NULL)
            relay_end(socket);
    }
    /* What is left never carried a byte. */
    for (socket = TAILQ_FIRST(&socket_live); socket != NULL; socket = next) {
        socket_leave_children(socket); /* the next one may be among them */
        next = TAILQ_NEXT(socket, state_link);
        if (socket->state == PROTOCOL_STATE_CONNECTED && socket->listener == NULL)
            continue;
        if (socket->datagram != NULL)
            datagram_end(socket);
        else
            socket_destroy(socket);
    }
}
