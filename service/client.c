/*
 * client.c - control connections: one request at a time from a program, one reply each.
 *
 * A client is in one of two states: it may send a request, or it waits, for a handshake (waiting_for) or for name
 * servers (lookup), and may only go away. Everything else ends the connection: a message of the wrong size, version or
 * operation, a second request before the reply, a reply that it does not read. A program loses nothing by that: its
 * sockets live by their descriptors, and the next request opens a new connection.
 */
#include "client.h"

#include "service/privilege/access.h"
#include "service/log/log.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "request.h"
#include "service/rules/rules.h"
#include "service/resolver/resolver.h"
#include "service/takeover/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than one to see that there are too many. */
#define CLIENT_FDS_MAX 8

/* Nobody: the kernel did not say. */
#define UNKNOWN_USER ((uid_t)-1)

/* Requests without reply that one client has done in a turn. */
#define ONE_WAY_MAX 16

struct client_counters client_counters;

/* What a client asked of name servers. */
struct asked {
    int32_t flags;
    uint32_t lengths[RESOLVER_QUESTIONS];
    uint8_t bytes[];
};

static struct client_list all = TAILQ_HEAD_INITIALIZER(all);
static struct client_list paused = TAILQ_HEAD_INITIALIZER(paused); /* by .paused_link */
static struct client_list dead = TAILQ_HEAD_INITIALIZER(dead);
static size_t count, count_max;
static uint64_t last_id;
static int spare_fd = -1; /* owned; given up for the moment in which there is no other; -1: not there */

void client_setup(size_t max)
{
    count_max = max;
}

static void stop_waiting(struct client *client)
{
    struct socket *socket = client->waiting_for;

    if (socket == NULL)
        return;
    client->waiting_for = NULL;
    TAILQ_REMOVE(&socket->waiters, client, wait_link);
}

/* Out of the list of those whose user asked for too much. */
static void resume(struct client *client)
{
    if (client->paused_until_us != 0)
        TAILQ_REMOVE(&paused, client, paused_link);
    client->paused_until_us = 0;
}

static void destroy(struct client *client)
{
    stop_waiting(client);
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
    loop_close(client->fd);
    client->fd = -1;
    client->source.kind = SOURCE_DEAD;
    TAILQ_REMOVE(&all, client, link);
    TAILQ_INSERT_TAIL(&dead, client, link);
    count--;
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
        client_counters.refused++;
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
    if (count >= count_max) {
        close(fd);
        client_counters.refused++;
        log_warnx("control: the limit of %zu connections is reached, a program was turned away; raise the limit on open files", count_max);
        return 0;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        close(fd);
        return -ENOMEM;
    }
    client->source.kind = SOURCE_CLIENT;
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
        error = is_counted ? loop_watch(fd, &client->source, EPOLLIN) : -EUSERS;
    if (error < 0) {
        if (client->program != NULL && is_counted)
            quota_give_client(client->program->quota);
        program_disconnect(client->program);
        close(fd);
        free(client);
        return error == -EUSERS ? 0 : error; /* its end of file is all that it is told */
    }
    TAILQ_INSERT_TAIL(&all, client, link);
    count++;
    client_counters.connections++;
    return 0;
}

size_t client_max(void)
{
    return count_max;
}

size_t client_count(void)
{
    return count;
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

/* Send a reply, with descriptors (they stay the caller's). Return: 0 or -errno. */
static int send_reply(const struct client *client, const struct protocol_message *reply, const int *fds, size_t fd_count)
{
    struct iovec iov = {(void *)reply, sizeof *reply};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(REQUEST_REPLY_FDS * sizeof(int))];
    } control = {.header = {CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count > 0) {
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    return sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * A process may have become another user since it connected (servers open connections before they do): it may then do
 * what that user may, and what it makes is that user's. Return: 0 or -ENOMEM.
 */
static int heed_sender(struct client *client, const struct ucred *sender)
{
    struct program *program;

    if (sender->uid == UNKNOWN_USER || sender->uid == client->program->uid)
        return 0;
    program = program_connect(client->program->pid, sender->uid, sender->gid);
    if (program == NULL)
        return -ENOMEM;
    if (!quota_take_client(program->quota)) {
        program_disconnect(program);
        return -EUSERS;
    }
    program->was_root = client->program->uid == 0 || client->program->was_root;
    quota_give_client(client->program->quota);
    program_disconnect(client->program);
    client->program = program;
    return 0;
}

/* For the rules: who sent the request? Of another process namespace: then who connected. Return: NULL when there are no
 * rules. */
static struct rules_who *find_who(struct client *client, struct ucred sender)
{
    if (!rules_are_active)
        return NULL;
    if (sender.pid == 0)
        sender.pid = client->program->pid;
    if (client->who == NULL || client->who_pid != sender.pid || client->who_uid != client->program->uid) {
        rules_who_release(client->who);
        client->who = rules_who_of_process(sender.pid, client->program->uid);
        client->who_pid = sender.pid;
        client->who_uid = client->program->uid;
    }
    return client->who;
}

/* Is it anything but a socket of AF_UNIX, as ours are? What is not is asked nothing else: a file system of a user's own
 * answers fstat(2) when that user likes, and with the inode number of anybody's socket. */
static bool is_foreign(int fd)
{
    int domain;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 || domain != AF_UNIX;
}

/* Close such a one. A socket of the kernel's could have us wait for its peer: whoever made it may have set SO_LINGER. */
static void close_foreign(int fd)
{
    const struct linger off = {0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off); /* what is no socket has none */
    close(fd);
}

/* Receive one request. *fd is the descriptor that rode along, the caller's to close, or -1; *tail_length is how many
 * bytes followed it in the packet.
 * *sender: who sent it, in the kernel's word (SO_PASSCRED, from the control socket).
 * Return: 1, 0 when there is none, -errno when the connection must end (-EPIPE: the program closed it). */
static int receive_request(const struct client *client, struct protocol_message *request, int *fd,
                           uint8_t tail[REQUEST_TAIL_MAX], size_t *tail_length, struct ucred *sender)
{
    struct iovec iov[2] = {{request, sizeof *request}, {tail, REQUEST_TAIL_MAX}};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(CLIENT_FDS_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct msghdr message = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    int received[sizeof control / sizeof(int)]; /* without credentials there is room for more descriptors */
    size_t fds = 0;
    ssize_t length = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    bool good;

    *fd = -1;
    *tail_length = 0;
    *sender = (struct ucred){.uid = UNKNOWN_USER};
    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
            size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            memcpy(received + fds, CMSG_DATA(part), n * sizeof(int));
            fds += n;
        } else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
            memcpy(sender, CMSG_DATA(part), sizeof *sender);
        }
    }
    good = length >= (ssize_t)sizeof *request && !(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) && fds <= 1;
    if (good)
        *tail_length = (size_t)length - sizeof *request;
    if (good && fds == 1)
        *fd = received[0];
    else
        for (size_t i = 0; i < fds; i++)
            close_foreign(received[i]);
    if (good)
        return 1;
    return length == 0 && fds == 0 ? -EPIPE : -EBADMSG;
}

/* lookup_done: the reply to PROTOCOL_RESOLVE, and the answers behind it. */
static void answer_lookup(void *owner, const struct lookup_answer answers[RESOLVER_QUESTIONS])
{
    struct client *client = owner;
    struct protocol_message reply = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_RESOLVE};
    struct iovec iov[1 + RESOLVER_QUESTIONS] = {{&reply, sizeof reply}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1 + RESOLVER_QUESTIONS};

    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++) {
        reply.args[i] = (int32_t)answers[i].length;
        reply.args[RESOLVER_QUESTIONS + i] = answers[i].error;
        iov[1 + i] = (struct iovec){answers[i].message, answers[i].length};
    }
    client->lookup = NULL;
    free(client->asked);
    client->asked = NULL;
    if (sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        destroy(client);
}

/* Ask what client->asked says. Return: 0 when the client waits now, or -errno. */
static int ask_again(struct client *client)
{
    const struct asked *asked = client->asked;
    const struct lookup_question questions[RESOLVER_QUESTIONS] = {
        {asked->bytes, asked->lengths[0]}, {asked->bytes + asked->lengths[0], asked->lengths[1]}};

    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++)
        if (questions[i].length > 0 && !resolver_check_question(&questions[i]))
            return -EINVAL;
    return resolver_start(questions, asked->flags, client->program->uid, answer_lookup, client, &client->lookup);
}

/* PROTOCOL_RESOLVE. Return: 0 when the client waits now, or -errno for the reply. */
static int start_lookup(struct client *client, const struct protocol_message *request, const uint8_t *tail)
{
    size_t length = (size_t)request->args[0] + (size_t)request->args[1];
    int error;

    client->asked = malloc(sizeof *client->asked + length);
    if (client->asked == NULL)
        return -ENOMEM;
    client->asked->flags = request->args[2];
    client->asked->lengths[0] = (uint32_t)request->args[0];
    client->asked->lengths[1] = (uint32_t)request->args[1];
    memcpy(client->asked->bytes, tail, length);
    error = ask_again(client);
    if (error < 0) {
        free(client->asked);
        client->asked = NULL;
    }
    return error;
}

/* Do one request and reply to it. Return: 0, 1 when it wanted no reply, or -errno when the connection must end. */
static int serve(struct client *client, const struct protocol_message *request, int fd, const uint8_t *tail,
                 size_t tail_length, const struct ucred *sender)
{
    struct protocol_message reply = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = request->operation};
    struct request_context context = {
        .tail = tail, .fd = fd, .is_foreign = fd >= 0 && is_foreign(fd), .reply_fd = -1};
    int fds[REQUEST_REPLY_FDS];
    size_t fd_count;
    int error;

    error = request_check(request, fd, tail_length);
    if (error == 0)
        error = heed_sender(client, sender);
    if (error < 0) {
        if (fd >= 0)
            close_foreign(fd);
        return error;
    }
    context.program = client->program;
    context.who = find_who(client, *sender);
    client_counters.requests[request->operation]++;
    if (request->operation == PROTOCOL_RESOLVE) {
        reply.result = start_lookup(client, request, tail);
        if (reply.result == 0)
            return 0;
    } else {
        reply.result = request_execute(request, &reply, &context);
    }
    client_counters.errors[request->operation] += reply.result < 0 && reply.result != -EINPROGRESS;
    if (context.fd >= 0 && context.is_foreign)
        close_foreign(context.fd);
    else if (context.fd >= 0)
        close(context.fd);
    if (context.wait_for != NULL) {
        client->waiting_for = context.wait_for;
        client->waiting_operation = request->operation;
        TAILQ_INSERT_TAIL(&context.wait_for->waiters, client, wait_link);
        return 0;
    }
    if (request->flags & PROTOCOL_FLAG_ONE_WAY)
        return 1;
    fds[0] = context.reply_fd;
    memcpy(fds + 1, context.spare_fds, context.spare_count * sizeof *fds);
    fd_count = context.reply_fd >= 0 ? 1 + context.spare_count : 0;
    error = send_reply(client, &reply, fds, fd_count);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    return error;
}

/* Has its user something left to ask for? If not it is heard later. */
static bool may_ask(struct client *client)
{
    int64_t wait_us = quota_take_request(client->program->quota, loop_counters.turns, loop_now_us());

    if (wait_us <= 0)
        return wait_us == 0; /* else it is there again in the next turn */
    if (loop_rewatch(client->fd, &client->source, 0) < 0)
        return true;
    client->paused_until_us = loop_now_us() + (uint64_t)wait_us;
    TAILQ_INSERT_TAIL(&paused, client, paused_link);
    return false;
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
        if (loop_rewatch(client->fd, &client->source, EPOLLIN) < 0)
            destroy(client);
    }
}

void client_handle(struct client *client, uint32_t epoll_events)
{
    struct protocol_message request;
    uint8_t tail[REQUEST_TAIL_MAX];
    struct ucred sender;
    size_t tail_length;
    int fd, error = 1;

    if (client->waiting_for != NULL || client->lookup != NULL) { /* it went away, or says something when it should not */
        destroy(client);
        return;
    }
    if (!(epoll_events & EPOLLIN)) {
        destroy(client);
        return;
    }
    for (int i = 0; i < ONE_WAY_MAX && error > 0; i++) { /* what wants no reply is seldom alone */
        if (!may_ask(client))
            return;
        error = receive_request(client, &request, &fd, tail, &tail_length, &sender);
        if (error > 0)
            error = serve(client, &request, fd, tail, tail_length, &sender);
    }
    if (error == -EBADMSG || error == -EPROTO) {
        client_counters.broken++;
        log_warnx("control: client %llu sent something that is no request; closed (is its library of another version?)", (unsigned long long)client->id);
    }
    if (error < 0)
        destroy(client);
}

void client_answer_wait(struct client *client, int result)
{
    struct protocol_message reply = {.magic = PROTOCOL_MAGIC,
                                     .version = PROTOCOL_VERSION,
                                     .operation = client->waiting_operation,
                                     .result = result};

    stop_waiting(client);
    if (send_reply(client, &reply, NULL, 0) < 0)
        destroy(client);
}

/* What is asked, of a client that waits for names. */
static void walk_asked(struct archive *archive, struct client *client)
{
    const struct asked *asked = client->asked;
    size_t length = asked != NULL ? sizeof *asked + asked->lengths[0] + asked->lengths[1] : 0;
    const void *kept = archive_bytes(archive, "asked", asked, &length);
    struct asked head;

    if (archive->is_writing || length < sizeof head)
        return;
    memcpy(&head, kept, sizeof head);
    if (head.lengths[0] > PROTOCOL_QUERY_MAX || head.lengths[1] > PROTOCOL_QUERY_MAX ||
        length != sizeof head + head.lengths[0] + head.lengths[1]) {
        archive_fail(archive, -EPROTO);
        return;
    }
    client->asked = malloc(length);
    if (client->asked == NULL)
        archive_fail(archive, -ENOMEM);
    else
        memcpy(client->asked, kept, length);
}

static void walk_client(struct archive *archive, struct client *client, uint64_t *waiting_for)
{
    archive_fd(archive, "fd", &client->fd);
    ARCHIVE_NUMBER(archive, client, id);
    takeover_walk_program(archive, &client->program);
    archive_number(archive, "waiting_for", waiting_for, sizeof *waiting_for);
    ARCHIVE_NUMBER(archive, client, waiting_operation);
    walk_asked(archive, client);
}

/* One that was read: watched from now on. */
static void enter_client(struct archive *archive, struct client *client, struct socket *waiting_for)
{
    client->source.kind = SOURCE_CLIENT;
    if (client->id > last_id)
        last_id = client->id;
    if (client->fd < 0 || client->program == NULL || loop_watch(client->fd, &client->source, EPOLLIN) < 0) {
        archive_fail(archive, -EPROTO);
        return;
    }
    program_enter(client->program);
    quota_restore_client(client->program->quota);
    TAILQ_INSERT_TAIL(&all, client, link);
    count++;
    if (waiting_for != NULL) {
        client->waiting_for = waiting_for;
        TAILQ_INSERT_TAIL(&waiting_for->waiters, client, wait_link);
    }
}

void client_resume(void)
{
    struct client *client, *next;

    for (client = TAILQ_FIRST(&all); client != NULL; client = next) {
        next = TAILQ_NEXT(client, link);
        if (client->asked != NULL && client->lookup == NULL && ask_again(client) < 0)
            destroy(client); /* the library sees an end, and says that names can't be had now */
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
            waiting_for = client->waiting_for != NULL ? client->waiting_for->id : 0;
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
        destroy(client);
}

void client_sweep(void)
{
    struct client *client;

    while ((client = TAILQ_FIRST(&dead)) != NULL) {
        TAILQ_REMOVE(&dead, client, link);
        free(client);
    }
}
