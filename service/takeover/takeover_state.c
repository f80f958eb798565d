/*
 * takeover_state.c - the service's own state into an archive and out of it: sockets, control connections, programs.
 *
 * Each structure has one function for both directions. What refers to another object has its number, and is tied when
 * all are there. Not kept: what is under way towards a tool (queries, captures); they see an end.
 *
 * A pair needs nothing: what is in it, the stale byte, whether it is held, is the kernel's. The new service looks at
 * each for what came meanwhile.
 */
#include "takeover.h"
#include "takeover_program.h"

#include "service/client.h"
#include "service/cork.h"
#include "service/datagram/datagram.h"
#include "service/datagram/datagram_relay.h"
#include "service/log/journal.h"
#include "service/listener.h"
#include "service/pair.h"
#include "service/relay.h"
#include "service/rules/rules.h"
#include "service/socket.h"
#include "service/sockopt/sockopt.h"
#include "stack/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void takeover_walk_service(struct archive *archive, struct takeover *takeover)
{
    if (!archive_begin(archive, "service"))
        return;
    archive_fd(archive, "wire", &takeover->wire_fd);
    archive_fd(archive, "control", &takeover->control_fd);
    ARCHIVE_NUMBER(archive, takeover, control_is_systemds);
    ARCHIVE_RAW(archive, takeover, mac);
    ARCHIVE_RAW(archive, takeover, netif);
    ARCHIVE_NUMBER(archive, takeover, pid);
    archive_end(archive);
}

/* ---- sockets ---- */

/* Who asked last about a socket: for a datagram's destination nobody asks again. */
static void walk_who(struct archive *archive, struct socket_rules *rules)
{
    uid_t uid = (uid_t)-1;
    const char *program = archive->is_writing ? rules_who_get(rules->who, &uid) : NULL;
    size_t length = archive->is_writing ? strlen(program) + 1 : 0;

    archive_number(archive, "uid", &uid, sizeof uid);
    program = archive_bytes(archive, "program", program, &length);
    if (archive->is_writing || program == NULL)
        return;
    if (length == 0 || program[length - 1] != '\0') {
        archive_fail(archive, -EPROTO);
        return;
    }
    rules->who = rules_who_of_program(program, uid);
    if (rules->who == NULL)
        archive_fail(archive, -ENOMEM);
}

static void walk_rules(struct archive *archive, struct socket *socket)
{
    struct socket_rules *rules = &socket->rules; /* what was decided is decided again */

    if ((!archive->is_writing || rules->who != NULL) && archive_begin(archive, "who")) {
        walk_who(archive, rules);
        archive_end(archive);
    }
    ARCHIVE_NUMBER(archive, rules, is_watched);
    ARCHIVE_NUMBER(archive, rules, is_used);
    ARCHIVE_NUMBER(archive, rules, is_deaf);
    ARCHIVE_NUMBER(archive, rules, is_mute);
    journal_handover(archive, &rules->journal);
}

/* A datagram that is being put together. */
static void walk_cork(struct archive *archive, struct datagram *datagram)
{
    size_t length = datagram->cork != NULL ? sizeof *datagram->cork - sizeof datagram->cork->bytes + datagram->cork->length : 0;
    const void *kept = archive_bytes(archive, "cork", datagram->cork, &length);

    if (archive->is_writing || length == 0)
        return;
    datagram->cork = calloc(1, sizeof *datagram->cork);
    if (datagram->cork == NULL || length > sizeof *datagram->cork) {
        archive_fail(archive, datagram->cork == NULL ? -ENOMEM : -EPROTO);
        return;
    }
    memcpy(datagram->cork, kept, length);
    if (datagram->cork->length > sizeof datagram->cork->bytes)
        archive_fail(archive, -EPROTO);
}

static void walk_datagram(struct archive *archive, struct socket *socket)
{
    struct datagram *datagram = socket->datagram;

    ARCHIVE_NUMBER(archive, datagram, kind);
    if (!archive->is_writing) {
        TAILQ_INIT(&datagram->errors);
        datagram->stack = stack_datagram_open(datagram->kind, socket->domain, socket->protocol, &datagram_relay_events, socket);
        if (datagram->stack == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
    }
    stack_handover_datagram(archive, datagram->stack);
    ARCHIVE_NUMBER(archive, datagram, error_is_queued);
    ARCHIVE_NUMBER(archive, datagram, is_corked);
    ARCHIVE_NUMBER(archive, datagram, bind_interface);
    ARCHIVE_NUMBER(archive, datagram, control_flags);
    ARCHIVE_RAW(archive, datagram, filter);
    ARCHIVE_NUMBER(archive, datagram, dropped);
    ARCHIVE_RAW(archive, datagram, results);
    ARCHIVE_NUMBER(archive, datagram, next_result);
    walk_cork(archive, datagram);
    datagram_relay_handover(archive, datagram);
}

static void walk_socket(struct archive *archive, struct socket *socket)
{
    uint32_t tcp = stack_handover_number(socket->tcp);

    ARCHIVE_NUMBER(archive, socket, id);
    takeover_walk_program(archive, &socket->program);
    ARCHIVE_NUMBER(archive, socket, domain);
    ARCHIVE_NUMBER(archive, socket, type);
    ARCHIVE_NUMBER(archive, socket, protocol);
    ARCHIVE_NUMBER(archive, socket, state);
    ARCHIVE_NUMBER(archive, socket, events);
    archive_fd(archive, "pair", &socket->pair_fd);
    archive_fd(archive, "program", &socket->program_fd);
    ARCHIVE_NUMBER(archive, socket, program_inode);
    archive_number(archive, "tcp", &tcp, sizeof tcp);
    sockopt_handover_info(archive, socket);
    ARCHIVE_NUMBER(archive, socket, lingers);
    ARCHIVE_NUMBER(archive, socket, pair_grown);
    ARCHIVE_NUMBER(archive, socket, wire_full);
    ARCHIVE_RAW(archive, socket, local);
    ARCHIVE_RAW(archive, socket, peer);
    ARCHIVE_NUMBER(archive, socket, error);
    ARCHIVE_RAW(archive, socket, options);
    ARCHIVE_NUMBER(archive, socket, connect_reported);
    ARCHIVE_NUMBER(archive, socket, backlog);
    ARCHIVE_NUMBER(archive, socket, deferred_until_us);
    cork_handover(archive, socket);
    walk_rules(archive, socket);
    if ((!archive->is_writing || socket->datagram != NULL) && archive_begin(archive, "datagram")) {
        if (!archive->is_writing)
            socket->datagram = calloc(1, sizeof *socket->datagram);
        if (socket->datagram != NULL)
            walk_datagram(archive, socket);
        archive_end(archive);
    }
    if (archive->is_writing)
        return;
    socket->tcp = stack_handover_find(tcp);
    if (socket->tcp != NULL)
        stack_tcp_adopt(socket->tcp, &relay_tcp_events, socket);
}

/* One that was read: known from now on, and looked at for what is to be done. */
static void enter_socket(struct archive *archive, struct socket *socket)
{
    int error = socket_restore(socket);

    if (error < 0)
        archive_fail(archive, error);
    if (socket->state == PROTOCOL_STATE_LISTENING && socket->tcp != NULL)
        listener_restore(socket);
    if (socket->pair_fd >= 0 && socket->datagram == NULL && socket->state == PROTOCOL_STATE_CONNECTED && socket->tcp != NULL) {
        socket_queue_work(socket, WORK_TO_PROGRAM);
        socket_queue_work(socket, WORK_TO_WIRE);
    }
}

/* Reading: all that came, by id. */
static struct socket **by_id;
static size_t by_id_count;

static int compare_ids(const void *one, const void *other)
{
    uint64_t a = (*(struct socket *const *)one)->id, b = (*(struct socket *const *)other)->id;

    return a < b ? -1 : a > b;
}

static struct socket *find_socket(uint64_t id)
{
    struct socket key = {.id = id}, *key_place = &key, **place = NULL;

    if (by_id_count > 0)
        place = bsearch(&key_place, by_id, by_id_count, sizeof *by_id, compare_ids);
    return place != NULL ? *place : NULL;
}

static void write_sockets(struct archive *archive, const struct socket_list *list)
{
    struct socket *socket;

    TAILQ_FOREACH(socket, list, state_link) {
        if (!archive_begin(archive, "socket"))
            return;
        walk_socket(archive, socket);
        archive_end(archive);
    }
}

static void read_sockets(struct archive *archive)
{
    while (archive_begin(archive, "socket")) {
        struct socket *socket = socket_restore_new();
        struct socket **larger = realloc(by_id, (by_id_count + 1) * sizeof *by_id);

        if (larger != NULL)
            by_id = larger;
        if (socket == NULL || larger == NULL) {
            free(socket);
            archive_fail(archive, -ENOMEM);
            return;
        }
        walk_socket(archive, socket);
        archive_end(archive);
        by_id[by_id_count++] = socket;
        enter_socket(archive, socket);
    }
    if (by_id_count > 0)
        qsort(by_id, by_id_count, sizeof *by_id, compare_ids);
}

/* ---- the queues of listening sockets ---- */

/* A child in its listener's queue. */
struct queued_child {
    uint64_t listener, child;
    bool is_delivered;
};

static void walk_child(struct archive *archive, struct queued_child *queued)
{
    ARCHIVE_NUMBER(archive, queued, listener);
    ARCHIVE_NUMBER(archive, queued, child);
    ARCHIVE_NUMBER(archive, queued, is_delivered);
}

static void write_queues(struct archive *archive)
{
    struct socket *listener, *child;

    TAILQ_FOREACH(listener, &socket_live, state_link) {
        bool is_delivered = true;

        TAILQ_FOREACH(child, &listener->untaken, untaken_link) {
            is_delivered = is_delivered && child != listener->undelivered;
            if (!archive_begin(archive, "untaken"))
                return;
            walk_child(archive, &(struct queued_child){listener->id, child->id, is_delivered});
            archive_end(archive);
        }
    }
}

static void read_queues(struct archive *archive)
{
    while (archive_begin(archive, "untaken")) {
        struct queued_child queued = {0};
        struct socket *listener, *child;

        walk_child(archive, &queued);
        archive_end(archive);
        listener = find_socket(queued.listener);
        child = find_socket(queued.child);
        if (listener == NULL || child == NULL || child->listener != NULL || listener == child)
            archive_fail(archive, -EPROTO);
        else
            listener_restore_child(listener, child, queued.is_delivered);
    }
}

/* ---- all ---- */

void takeover_walk(struct archive *archive)
{
    uint64_t instance = pair_get_instance();

    if (!archive_begin(archive, "sockets"))
        return;
    archive_number(archive, "instance", &instance, sizeof instance); /* programs name sockets by it */
    if ((uint32_t)instance != 0)
        pair_set_instance(instance);
    cork_handover_pages(archive);
    if (archive->is_writing) {
        write_sockets(archive, socket_retired());
        write_sockets(archive, &socket_live);
        write_queues(archive);
    } else {
        read_sockets(archive);
        read_queues(archive);
    }
    client_handover(archive, find_socket);
    archive_end(archive);
    takeover_forget_programs();
    cork_forget_pages();
    free(by_id);
    by_id = NULL;
    by_id_count = 0;
}
