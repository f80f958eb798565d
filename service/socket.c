/*
 * socket.c - the records of all sockets: made, found by inode, retired, destroyed.
 *
 * Who may hold a record: the tables by inode and by number (live and retired ones), the busy list, its listener's list
 * of untaken children, clients that wait for its handshake, the stack as an owner pointer, epoll. socket_destroy()
 * takes it out of all of them; the memory stays until socket_sweep(), because an event that epoll has already returned
 * may still point to it.
 */
#include "socket.h"

#include "cork.h"
#include "listener.h"
#include "service/datagram/datagram.h"
#include "service/log/journal.h"
#include "service/log/log.h"
#include "pair.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "stack/inspect.h"
#include "service/rules/rules.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <unistd.h>

#define HASH_BUCKETS 16384 /* 128 KiB; chains stay short to some 50 000 sockets */

/* Retired records kept for questions; each is some 400 bytes. */
#define SOCKET_RETIRED_MAX 4096

/* EPOLLOUT only while something waits for room (socket_watch_room()): the kernel tells of it whenever the program has
 * read a message, which would wake us each time. Of a datagram socket only what comes: what goes finds room or is lost,
 * and shutdown(2) is asked for. */
#define STREAM_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define DATAGRAM_EVENTS (EPOLLIN | EPOLLET)

struct socket_list socket_live = TAILQ_HEAD_INITIALIZER(socket_live);
struct socket_list socket_busy = TAILQ_HEAD_INITIALIZER(socket_busy);
struct socket_list socket_brief = TAILQ_HEAD_INITIALIZER(socket_brief);
struct socket_list socket_postponed = TAILQ_HEAD_INITIALIZER(socket_postponed);

static struct socket_list retired = TAILQ_HEAD_INITIALIZER(retired);
static struct socket_list dead = TAILQ_HEAD_INITIALIZER(dead);
static struct socket *by_inode[HASH_BUCKETS];
static struct socket *by_number[HASH_BUCKETS];
static size_t live_count, retired_count;
static struct quota nobody = {.retired = TAILQ_HEAD_INITIALIZER(nobody.retired)}; /* whose the retired ones of unknown programs are */
static size_t live_max, live_allowed;
static uint64_t last_id;

static const struct {
    enum socket_event event;
    const char *name;
} event_names[] = {
    {EVENT_TAKEN, "TAKEN"},
    {EVENT_PROGRAM_ENDED, "PROGRAM_ENDED"},
    {EVENT_PROGRAM_GONE, "PROGRAM_GONE"},
    {EVENT_PROGRAM_RESET, "PROGRAM_RESET"},
    {EVENT_PROGRAM_DEAF, "PROGRAM_DEAF"},
    {EVENT_FIN_SENT, "FIN_SENT"},
    {EVENT_EOF_GIVEN, "EOF_GIVEN"},
    {EVENT_FAILED, "FAILED"},
};
_Static_assert(1u << (sizeof event_names / sizeof *event_names) == EVENT_FAILED << 1, "one name an event");

void socket_setup(size_t max)
{
    live_allowed = max;
    live_max = max;
}

void socket_limit(size_t max)
{
    live_max = max > 0 ? MIN(max, live_allowed) : live_allowed;
}

bool socket_has_room(void)
{
    return live_count < live_max;
}

static struct socket **bucket_of(ino_t inode)
{
    return &by_inode[(inode * UINT64_C(0x9e3779b97f4a7c15)) >> 50];
}
_Static_assert(HASH_BUCKETS == 1 << (64 - 50), "the shift in bucket_of()");

struct socket *socket_find(ino_t inode)
{
    struct socket *socket = *bucket_of(inode);

    while (socket != NULL && socket->program_inode != inode)
        socket = socket->hash_next;
    return socket;
}

void socket_tell_number(const struct socket *socket, uint32_t *number, uint32_t *instance)
{
    *number = (uint32_t)socket->id;
    /* From then on, some may end alike; and one process must be known from another. */
    *instance = socket->id <= UINT32_MAX && socket->program != NULL && socket->program->started != 0 ? pair_instance() : 0;
}

struct socket *socket_find_number(uint32_t number)
{
    struct socket *socket = by_number[number % HASH_BUCKETS];

    while (socket != NULL && (uint32_t)socket->id != number)
        socket = socket->number_next;
    return socket;
}

struct socket *socket_find_id(uint64_t id)
{
    struct socket *socket = socket_find_number((uint32_t)id);

    return socket != NULL && socket->id == id && socket->pair_fd >= 0 ? socket : NULL;
}

static void number_add(struct socket *socket)
{
    struct socket **place = &by_number[(uint32_t)socket->id % HASH_BUCKETS];

    socket->number_next = *place;
    *place = socket;
}

static void number_remove(struct socket *socket)
{
    struct socket **place = &by_number[(uint32_t)socket->id % HASH_BUCKETS];

    while (*place != socket)
        place = &(*place)->number_next;
    *place = socket->number_next;
}

static void hash_remove(struct socket *socket)
{
    for (struct socket **place = bucket_of(socket->program_inode); *place != NULL; place = &(*place)->hash_next) {
        if (*place == socket) {
            *place = socket->hash_next;
            return;
        }
    }
}

/* Why there is no socket, by a name that POSIX knows for socket(). */
static int name_shortage(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : -ENOBUFS;
}

/* Adopt the pair: known by its inode, watched. Return: 0 or -errno (the pair is still the caller's). */
static int take_pair(struct socket *socket, struct pair *pair, uint32_t epoll_events)
{
    struct socket *stranger = socket_find(pair->program_inode);
    int error;

    /* The kernel hands out an inode number again only after the old one's last descriptor is gone. */
    if (stranger != NULL)
        socket_destroy(stranger);
    error = watch_add(pair->service_fd, &socket->watch, epoll_events);
    if (error < 0)
        return error;
    socket->watches_room = false;
    socket->pair_fd = pair->service_fd;
    socket->pair_grown = false;
    socket->program_fd = pair->program_fd;
    socket->program_inode = pair->program_inode;
    socket->hash_next = *bucket_of(pair->program_inode);
    *bucket_of(pair->program_inode) = socket;
    return 0;
}

int socket_make(char kind, struct socket **made)
{
    struct socket *socket;
    struct pair pair;
    int error;

    if (live_count >= live_max) {
        log_warnx("socket: the limit of %zu sockets is reached; raise max-sockets or the limit on open files", live_max);
        return -ENFILE;
    }
    socket = calloc(1, sizeof *socket);
    if (socket == NULL)
        return -ENOMEM;
    socket->watch.kind = WATCH_SOCKET;
    socket->id = ++last_id;
    TAILQ_INIT(&socket->waiters);
    TAILQ_INIT(&socket->untaken);
    error = pair_make(&pair, kind);
    if (error < 0)
        goto out;
    error = take_pair(socket, &pair, kind == PROTOCOL_NAME_KIND_DATAGRAM ? DATAGRAM_EVENTS : STREAM_EVENTS);
    if (error < 0) {
        pair_close(&pair);
        goto out;
    }
    number_add(socket);
    TAILQ_INSERT_TAIL(&socket_live, socket, state_link);
    live_count++;
    *made = socket;
    return 0;
out:
    free(socket);
    return name_shortage(error);
}

/* It counts in its user's quota from now on, while it is live. Return: false: the user has enough. */
static bool charge(struct socket *socket)
{
    socket->is_charged = socket->program != NULL && quota_take_socket(socket->program->quota);
    return socket->is_charged || socket->program == NULL;
}

/* And no more. */
static void discharge(struct socket *socket)
{
    if (socket->is_charged)
        quota_give_socket(socket->program->quota);
    socket->is_charged = false;
}

static struct quota *owner_of(const struct socket *socket)
{
    return socket->program != NULL ? socket->program->quota : &nobody;
}

/* It has no pair any more: on the lists of those. */
static void enter_retired(struct socket *socket)
{
    struct quota *owner = owner_of(socket);

    TAILQ_INSERT_TAIL(&retired, socket, state_link);
    retired_count++;
    TAILQ_INSERT_TAIL(&owner->retired, socket, retired_link);
    owner->retired_count++;
}

static void leave_retired(struct socket *socket)
{
    struct quota *owner = owner_of(socket);

    TAILQ_REMOVE(&retired, socket, state_link);
    retired_count--;
    TAILQ_REMOVE(&owner->retired, socket, retired_link);
    owner->retired_count--;
}

/* There are too many: the oldest goes of who has most, so that nobody's go because of others. */
static void forget_retired(void)
{
    struct quota *most = quota_with_most_retired();

    if (most == NULL || nobody.retired_count > most->retired_count)
        most = &nobody;
    socket_destroy(TAILQ_FIRST(&most->retired));
}

struct socket *socket_restore_new(void)
{
    struct socket *socket = calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    socket->watch.kind = WATCH_SOCKET;
    socket->pair_fd = socket->program_fd = -1;
    TAILQ_INIT(&socket->waiters);
    TAILQ_INIT(&socket->untaken);
    return socket;
}

int socket_restore(struct socket *socket)
{
    int error = 0;

    if (socket->pair_fd >= 0)
        error = watch_add(socket->pair_fd, &socket->watch, socket->datagram != NULL ? DATAGRAM_EVENTS : STREAM_EVENTS);
    socket->hash_next = *bucket_of(socket->program_inode);
    *bucket_of(socket->program_inode) = socket;
    number_add(socket);
    if (socket->pair_fd >= 0) {
        TAILQ_INSERT_TAIL(&socket_live, socket, state_link);
        live_count++;
        socket->is_charged = socket->program != NULL;
        if (socket->is_charged)
            quota_restore_socket(socket->program->quota);
    } else {
        enter_retired(socket);
    }
    if (socket->id > last_id)
        last_id = socket->id;
    return error;
}

const struct socket_list *socket_retired(void)
{
    return &retired;
}

int socket_renew_pair(struct socket *socket)
{
    struct pair pair;
    int error;

    assert(socket->pair_fd < 0 && "only a used-up pair is replaced");
    if (live_count >= live_max)
        return -ENFILE;
    if (!charge(socket))
        return -EMFILE;
    error = pair_make(&pair, PROTOCOL_NAME_KIND_SOCKET);
    if (error < 0)
        goto out;
    error = pair_hold(&pair);
    if (error == 0) {
        hash_remove(socket);
        error = take_pair(socket, &pair, STREAM_EVENTS);
    }
    if (error < 0) {
        pair_close(&pair);
        goto out;
    }
    leave_retired(socket);
    TAILQ_INSERT_TAIL(&socket_live, socket, state_link);
    live_count++;
    return 0;
out:
    discharge(socket);
    return name_shortage(error);
}

int socket_adopt(struct socket *socket, struct program *program)
{
    socket->program = program_hold(program);
    return charge(socket) ? 0 : -EMFILE;
}

void socket_label(const struct socket *socket)
{
    const struct program *program = socket->program;

    if (socket->tcp != NULL)
        stack_tcp_set_label(socket->tcp, &(struct stack_label){.id = socket->id,
                                                               .user = program != NULL ? program->uid : 0,
                                                               .program = program != NULL ? program->number : 0});
}

void socket_note(struct socket *socket, enum socket_event event)
{
    if (socket->events & event)
        return;
    socket->events |= event;
    if (log_threshold < LOG_LEVEL_DEBUG)
        return;
    for (size_t i = 0; i < sizeof event_names / sizeof *event_names; i++)
        if (event_names[i].event == event)
            log_debug("socket %llu: %s", (unsigned long long)socket->id, event_names[i].name);
}

/* Work for a list, unless the socket is on one already; what was postponed is not any more. */
static void queue_work(struct socket *socket, uint32_t work, struct socket_list *list)
{
    if (socket->work != 0 && socket->work_list == &socket_postponed)
        work |= socket_take_work(socket);
    if (socket->work == 0) {
        TAILQ_INSERT_TAIL(list, socket, busy_link);
        socket->work_list = list;
    }
    socket->work |= work;
}

void socket_queue_work(struct socket *socket, enum socket_work work)
{
    queue_work(socket, work, &socket_busy);
}

void socket_queue_brief_work(struct socket *socket, enum socket_work work)
{
    queue_work(socket, work, &socket_brief);
}

void socket_postpone_work(struct socket *socket, enum socket_work work)
{
    queue_work(socket, work, &socket_postponed);
}

uint32_t socket_take_work(struct socket *socket)
{
    uint32_t work = socket->work;

    if (work != 0)
        TAILQ_REMOVE(socket->work_list, socket, busy_link);
    socket->work = 0;
    return work;
}

void socket_watch_room(struct socket *socket, bool wanted)
{
    int error;

    if (socket->watches_room == wanted || socket->pair_fd < 0)
        return;
    error = watch_change(socket->pair_fd, &socket->watch, STREAM_EVENTS | (wanted ? EPOLLOUT : 0));
    if (error < 0) {
        errno = -error;
        log_warn("socket %llu: waiting for room" LOG_FAULT, (unsigned long long)socket->id);
    }
    socket->watches_room = wanted;
}

void socket_leave_listener(struct socket *child)
{
    struct socket *listener = child->listener;

    if (listener == NULL)
        return;
    if (listener->undelivered == child)
        listener->undelivered = TAILQ_NEXT(child, untaken_link);
    TAILQ_REMOVE(&listener->untaken, child, untaken_link);
    if (child->deferred_until_us == 0)
        listener->untaken_count--;
    else
        listener_forget_deferred(child);
    child->listener = NULL;
}

static void close_descriptors(struct socket *socket)
{
    if (socket->pair_fd >= 0)
        watch_close(socket->pair_fd);
    if (socket->program_fd >= 0)
        close(socket->program_fd);
    socket->pair_fd = socket->program_fd = -1;
    cork_detach(socket);
}

void socket_retire(struct socket *socket)
{
    assert(socket->pair_fd >= 0 && "retired once");
    discharge(socket);
    (void)socket_take_work(socket);
    close_descriptors(socket);
    TAILQ_REMOVE(&socket_live, socket, state_link);
    live_count--;
    enter_retired(socket);
    if (retired_count > SOCKET_RETIRED_MAX)
        forget_retired();
}

void socket_leave_children(struct socket *listener)
{
    struct socket *child;

    /* A child that was delivered may have been taken by an accept() whose byte is still to come. If it was not, the
     * listener's queue dies with its descriptor, which shows as PROGRAM_GONE on a child that is not TAKEN. */
    while ((child = TAILQ_FIRST(&listener->untaken)) != NULL) {
        bool delivered = child->program_fd < 0;

        socket_leave_listener(child);
        if (!delivered)
            socket_destroy(child);
    }
}

void socket_wait(struct socket *socket, struct waiter *waiter)
{
    waiter->socket = socket;
    TAILQ_INSERT_TAIL(&socket->waiters, waiter, link);
}

void socket_end_wait(struct waiter *waiter)
{
    if (waiter->socket != NULL)
        TAILQ_REMOVE(&waiter->socket->waiters, waiter, link);
    waiter->socket = NULL;
}

void socket_answer_waiters(struct socket *socket, int result)
{
    struct waiter *waiter;

    while ((waiter = TAILQ_FIRST(&socket->waiters)) != NULL) {
        socket_end_wait(waiter);
        waiter->answer(waiter, result);
    }
}

void socket_destroy(struct socket *socket)
{
    socket_leave_children(socket);
    socket_answer_waiters(socket, -ECONNABORTED);
    socket_leave_listener(socket);
    (void)socket_take_work(socket);
    if (socket->tcp != NULL && socket->state == PROTOCOL_STATE_CONNECTING)
        stack_tcp_close(socket->tcp); /* without a word, as on Linux */
    else if (socket->tcp != NULL)
        stack_tcp_abort(socket->tcp);
    socket->tcp = NULL;
    if (socket->datagram != NULL)
        datagram_free(socket);
    if (socket->pair_fd >= 0) {
        TAILQ_REMOVE(&socket_live, socket, state_link);
        live_count--;
    } else {
        leave_retired(socket);
    }
    discharge(socket);
    program_release(socket->program);
    socket->program = NULL;
    journal_free(&socket->rules.journal);
    rules_who_release(socket->rules.who);
    socket->rules = (struct socket_rules){.who = NULL};
    hash_remove(socket);
    number_remove(socket);
    close_descriptors(socket);
    socket->watch.kind = WATCH_DEAD;
    TAILQ_INSERT_TAIL(&dead, socket, state_link);
}

void socket_destroy_all(void)
{
    struct socket *socket;

    while ((socket = TAILQ_FIRST(&socket_live)) != NULL || (socket = TAILQ_FIRST(&retired)) != NULL)
        socket_destroy(socket);
}

void socket_sweep(void)
{
    struct socket *socket;

    while ((socket = TAILQ_FIRST(&dead)) != NULL) {
        TAILQ_REMOVE(&dead, socket, state_link);
        free(socket->last_info);
        free(socket);
    }
}

size_t socket_max(void)
{
    return live_max;
}

size_t socket_count(void)
{
    return live_count;
}
