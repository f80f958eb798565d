/*
 * client_request.c - one request of a client: received, checked, done, and replied to.
 *
 * Whatever a client sends, it is the client that pays for it: what is no request ends its connection (client.c).
 */
#include "client.h"

#include "control_socket.h"
#include "service/log/log.h"
#include "passed.h"
#include "program.h"
#include "service/privilege/quota.h"
#include "request.h"
#include "service/rules/rules.h"

#include <errno.h>
#include <stddef.h>
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
            passed_close(received[i], client->program->quota);
    if (good)
        return 1;
    return length == 0 && fds == 0 ? -EPIPE : -EBADMSG;
}

/* Do one request and reply to it. Return: 0, 1 when it wanted no reply, or -errno when the connection must end. */
static int serve(struct client *client, const struct protocol_message *request, int fd, const uint8_t *tail,
                 size_t tail_length, const struct ucred *sender)
{
    struct protocol_message reply = {
        .magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = request->operation};
    struct request_context context = {
        .tail = tail, .fd = fd, .is_foreign = fd >= 0 && passed_is_foreign(fd), .reply_fd = -1};
    int fds[REQUEST_REPLY_FDS];
    size_t fd_count;
    int error;

    error = request_check(request, fd, tail_length);
    if (error == 0)
        error = heed_sender(client, sender);
    if (error < 0) {
        if (fd >= 0)
            passed_close(fd, client->program->quota);
        return error;
    }
    context.program = client->program;
    context.who = find_who(client, *sender);
    control_counters.requests[request->operation]++;
    if (request->operation == PROTOCOL_RESOLVE) {
        reply.result = client_lookup_start(client, request, tail);
        if (reply.result == 0)
            return 0;
    } else {
        reply.result = request_execute(request, &reply, &context);
    }
    control_counters.errors[request->operation] += reply.result < 0 && reply.result != -EINPROGRESS;
    if (context.fd >= 0 && context.is_foreign)
        passed_close(context.fd, client->program->quota);
    else if (context.fd >= 0)
        close(context.fd);
    if (context.wait_for != NULL) {
        client->waiting_operation = request->operation;
        socket_wait(context.wait_for, &client->waiter);
        return 0;
    }
    if (request->flags & PROTOCOL_FLAG_ONE_WAY)
        return 1;
    fds[0] = context.reply_fd;
    memcpy(fds + 1, context.spare_fds, context.spare_count * sizeof *fds);
    fd_count = context.reply_fd >= 0 ? 1 + context.spare_count : 0;
    error = send_reply(client, &reply, fds, fd_count);
    for (size_t i = 0; i < fd_count && !context.keeps_reply_fd; i++)
        close(fds[i]);
    return error;
}

/* Has its user something left to ask for? If not it is heard later. */
static bool may_ask(struct client *client)
{
    int64_t wait_us = quota_take_request(client->program->quota, watch_counters.waits, watch_now_us());

    if (wait_us <= 0)
        return wait_us == 0; /* else it is there again in the next turn */
    return !client_pause(client, (uint64_t)wait_us);
}

void client_handle(struct client *client, uint32_t epoll_events)
{
    struct protocol_message request;
    uint8_t tail[REQUEST_TAIL_MAX];
    struct ucred sender;
    size_t tail_length;
    int fd, error = 1;

    if (client->waiter.socket != NULL || client->lookup != NULL) { /* it went away, or says something when it should not */
        client_destroy(client);
        return;
    }
    if (!(epoll_events & EPOLLIN)) {
        client_destroy(client);
        return;
    }
    for (int i = 0; i < ONE_WAY_MAX && error > 0; i++) { /* what wants no reply is seldom alone */
        if (!passed_may_come(client->program->quota)) {
            control_counters.refused++;
            client_destroy(client);
            return;
        }
        if (!may_ask(client))
            return;
        error = receive_request(client, &request, &fd, tail, &tail_length, &sender);
        if (error > 0)
            error = serve(client, &request, fd, tail, tail_length, &sender);
    }
    if (error == -EBADMSG || error == -EPROTO) {
        control_counters.broken++;
        log_warnx("control: client %llu sent something that is no request; closed (is its library of another version?)", (unsigned long long)client->id);
    }
    if (error < 0)
        client_destroy(client);
}

void client_answer_wait(struct waiter *waiter, int result)
{
    struct client *client = (struct client *)(void *)((char *)waiter - offsetof(struct client, waiter));
    struct protocol_message reply = {.magic = PROTOCOL_MAGIC,
                                     .version = PROTOCOL_VERSION,
                                     .operation = client->waiting_operation,
                                     .result = result};

    if (send_reply(client, &reply, NULL, 0) < 0)
        client_destroy(client);
}
