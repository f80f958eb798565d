/*
 * client.c - control connections: who they are, which there may be, and their ends.
 *
 * A client is in one of two states: it may send a request, or it waits, for a handshake (waiting_for) or for name
 * servers (lookup), and may only go away. Everything else ends the connection: a message of the wrong size, version or
 * operation, a second request before the reply, a reply that it does not read. A program loses nothing by that: its
 * sockets live by their descriptors, and the next request opens a new connection.
 *
 * client_request.c does what a client asks, client_lookup.c what it asks of name servers.
 */
#include "client.h"

#include "control_socket.h"
#include "service/privilege/access.h"
#include "service/log/log.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "service/rules/rules.h"
#include "service/resolver/resolver.h"
#include "service/takeover/takeover_program.h"
#include "stack/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct client_list all = TAILQ_HEAD_INITIALIZER(all);
static struct client_list paused = TAILQ_HEAD_INITIALIZER(paused); /* by .paused_link */
static struct client_list dead = TAILQ_HEAD_INITIALIZER(dead);
static size_t count_max;
static uint64_t last_id;
static int spare_fd = -1; /* owned; given up for the moment in which there is no other; -1: not there */

void client_setup(size_t max)
{
    count_max = max;
}

/* Out of the list of those whose user asked for too much. */
static void resume(struct client *client)
{
    if (client->paused_until_us != 0)
        TAILQ_REMOVE(&paused, client, paused_link);
    client->paused_until_us = 0;
}

void client_destroy(struct client *client)
{
    socket_end_wait(&client->waiter);
    if (client->lookup != NULL)
        resolver_cancel(client->lookup);
    client->lookup = NULL;
    free(client->asked);
    client->asked = NULL;
    resume(client);
    quota_give_client(client->program->quota);
    program_disconnect(client->program);
    client->program = NULL;
    rules_who_release(client->who);
    client->who = NULL;
    watch_close(client->fd);
    client->fd = -1;
    client->watch.kind = WATCH_DEAD;
    TAILQ_REMOVE(&all, client, link);
    TAILQ_INSERT_TAIL(&dead, client, link);
    control_counters.open--;
}

int client_keep_spare(void)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) /* what the sandbox has */
        return -errno;
    close(ends[1]);
    spare_fd = ends[0];
    return 0;
}

/* No descriptor is left for a program that wants to connect: let it know. Unaccepted it would wake the loop for ever.
 * Return: 0 or -errno. */
static int turn_away(int control_fd)
{
    int fd, error;

    close(spare_fd);
    spare_fd = -1;
    // cppcheck-suppress nullPointer ; who does not ask for the address gives none
    fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    error = fd < 0 ? -errno : 0;
    if (fd >= 0) {
        close(fd);
        control_counters.refused++;
        log_warnx("control: no descriptor is left, a program was turned away; raise the limit on open files");
    }
    if (client_keep_spare() < 0)
        log_warn("control: no spare descriptor");
    return error;
}

/* Take one connection. Return: 0, -EAGAIN when none waits, or -errno. */
static int accept_one(int control_fd)
{
    struct ucred credentials = {.uid = (uid_t)-1};
    socklen_t length = sizeof credentials;
    struct client *client;
    bool is_counted;
    int error;
    // cppcheck-suppress nullPointer ; who does not ask for the address gives none
    int fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && spare_fd >= 0)
        return turn_away(control_fd);
    if (fd < 0)
        return -errno;
    if (control_counters.open >= count_max) {
        close(fd);
        control_counters.refused++;
        log_warnx("control: the limit of %zu connections is reached, a program was turned away; raise the limit on open files", count_max);
        return 0;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(fd);
        return -ENOMEM;
    }
    client->watch.kind = WATCH_CLIENT;
    client->waiter.answer = client_answer_wait;
    client->fd = fd;
    client->id = ++last_id;
    error = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ? -errno : 0;
    client->program = program_connect(credentials.pid, credentials.uid, credentials.gid);
    if (client->program == NULL)
        error = -ENOMEM;
    else if (access_asks_for_groups)
        program_read_groups(client->program, fd);
    is_counted = error == 0 && quota_take_client(client->program->quota);
    if (error == 0)
        error = is_counted ? watch_add(fd, &client->watch, EPOLLIN) : -EUSERS;
    if (error < 0) {
        if (client->program != NULL && is_counted)
            quota_give_client(client->program->quota);
        program_disconnect(client->program);
        close(fd);
        free(client);
        return error == -EUSERS ? 0 : error; /* its end of file is all that it is told */
    }
    TAILQ_INSERT_TAIL(&all, client, link);
    control_counters.open++;
    control_counters.connections++;
    return 0;
}

size_t client_max(void)
{
    return count_max;
}

void client_accept(int control_fd)
{
    int error;

    do
        error = accept_one(control_fd);
    while (error == 0);
    if (error != -EAGAIN && error != -ECONNABORTED) {
        errno = -error;
        log_warn("control: a program can't connect (is the limit on open files too low?)");
    }
}

bool client_pause(struct client *client, uint64_t wait_us)
{
    if (watch_change(client->fd, &client->watch, 0) < 0)
        return false;
    client->paused_until_us = watch_now_us() + wait_us;
    TAILQ_INSERT_TAIL(&paused, client, paused_link);
    return true;
}

int64_t client_timer_us(uint64_t now_us)
{
    const struct client *first = TAILQ_FIRST(&paused); /* some microseconds off is good enough: all of a user wait for the same */

    if (first == NULL)
        return -1;
    return first->paused_until_us > now_us ? (int64_t)(first->paused_until_us - now_us) : 0;
}

void client_run_timers(uint64_t now_us)
{
    struct client *client;

    while ((client = TAILQ_FIRST(&paused)) != NULL && client->paused_until_us <= now_us) {
        resume(client);
        if (watch_change(client->fd, &client->watch, EPOLLIN) < 0)
            client_destroy(client);
    }
}

static void walk_client(struct archive *archive, struct client *client, uint64_t *waiting_for)
{
    archive_fd(archive, "fd", &client->fd);
    ARCHIVE_NUMBER(archive, client, id);
    takeover_walk_program(archive, &client->program);
    archive_number(archive, "waiting_for", waiting_for, sizeof *waiting_for);
    ARCHIVE_NUMBER(archive, client, waiting_operation);
    client_lookup_walk(archive, client);
}

/* One that was read: watched from now on. */
static void enter_client(struct archive *archive, struct client *client, struct socket *waiting_for)
{
    client->watch.kind = WATCH_CLIENT;
    client->waiter.answer = client_answer_wait;
    if (client->id > last_id)
        last_id = client->id;
    if (client->fd < 0 || client->program == NULL || watch_add(client->fd, &client->watch, EPOLLIN) < 0) {
        archive_fail(archive, -EPROTO);
        return;
    }
    program_enter(client->program);
    quota_restore_client(client->program->quota);
    TAILQ_INSERT_TAIL(&all, client, link);
    control_counters.open++;
    if (waiting_for != NULL) {
        socket_wait(waiting_for, &client->waiter);
    }
}

void client_resume(void)
{
    struct client *client, *next;

    for (client = TAILQ_FIRST(&all); client != NULL; client = next) {
        next = TAILQ_NEXT(client, link);
        if (client->asked != NULL && client->lookup == NULL && client_lookup_ask(client) < 0)
            client_destroy(client); /* the library sees an end, and says that names can't be had now */
    }
}

void client_handover(struct archive *archive, struct socket *(*find_socket)(uint64_t id))
{
    struct client *client;
    uint64_t waiting_for;

    if (archive->is_writing) {
        TAILQ_FOREACH(client, &all, link) {
            if (!archive_begin(archive, "client"))
                return;
            waiting_for = client->waiter.socket != NULL ? client->waiter.socket->id : 0;
            walk_client(archive, client, &waiting_for);
            archive_end(archive);
        }
        return;
    }
    while (archive_begin(archive, "client")) {
        client = calloc(1, sizeof *client);
        if (client == NULL) {
            archive_fail(archive, -ENOMEM);
            return;
        }
        waiting_for = 0;
        walk_client(archive, client, &waiting_for);
        archive_end(archive);
        enter_client(archive, client, waiting_for != 0 ? find_socket(waiting_for) : NULL);
    }
}

void client_close_all(void)
{
    struct client *client;

    while ((client = TAILQ_FIRST(&all)) != NULL)
        client_destroy(client);
}

void client_sweep(void)
{
    struct client *client;

    while ((client = TAILQ_FIRST(&dead)) != NULL) {
        TAILQ_REMOVE(&dead, client, link);
        free(client);
    }
}
