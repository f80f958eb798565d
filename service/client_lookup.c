/*
 * client_lookup.c - a client asks name servers (PROTOCOL_RESOLVE), and waits for the answers.
 *
 * What it asks is kept until then: a service that takes over asks anew.
 */
#include "client.h"

#include "program.h"
#include "service/resolver/resolver.h"
#include "stack/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What a client asked of name servers. */
struct asked {
    int32_t flags;
    uint32_t lengths[RESOLVER_QUESTIONS];
    uint8_t bytes[];
};

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
        client_destroy(client);
}

int client_lookup_ask(struct client *client)
{
    const struct asked *asked = client->asked;
    const struct lookup_question questions[RESOLVER_QUESTIONS] = {
        {asked->bytes, asked->lengths[0]}, {asked->bytes + asked->lengths[0], asked->lengths[1]}};

    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++)
        if (questions[i].length > 0 && !resolver_check_question(&questions[i]))
            return -EINVAL;
    return resolver_start(questions, asked->flags, client->program->uid, answer_lookup, client, &client->lookup);
}

int client_lookup_start(struct client *client, const struct protocol_message *request, const uint8_t *tail)
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
    error = client_lookup_ask(client);
    if (error < 0) {
        free(client->asked);
        client->asked = NULL;
    }
    return error;
}

void client_lookup_walk(struct archive *archive, struct client *client)
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
