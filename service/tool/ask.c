/* ask.c - asking a running service: requests, and queries whose answer is JSON. */
#include "ask.h"

#include "service/control_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int service_path_set(struct service_path *path, int option, const char *value)
{
    if (option == ASK_OPTION_NAME)
        return control_path_find(value, path->text, sizeof path->text);
    if (strlen(value) >= sizeof path->text)
        return -ENAMETOOLONG;
    strcpy(path->text, value);
    return 0;
}

int service_path_complete(struct service_path *path)
{
    return path->text[0] != '\0' ? 0 : control_path_from_environment(path->text, sizeof path->text);
}

int service_path_settle(struct service_path *path, const char *command, int error)
{
    if (error == 0)
        error = service_path_complete(path);
    if (error < 0)
        fprintf(stderr, "%s: can't tell where the service is: %s\n", command, strerror(-error));
    return error;
}

/* Receive the reply. Return: 0 or -errno. */
static int receive_reply(int control, struct protocol_message *message, int *fd)
{
    const uint16_t operation = message->operation;
    struct iovec iov = {message, sizeof *message};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct msghdr header = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary};
    ssize_t got = recvmsg(control, &header, MSG_CMSG_CLOEXEC);
    struct cmsghdr *part = got >= 0 ? CMSG_FIRSTHDR(&header) : NULL;
    int received = -1;

    if (got < 0)
        return -errno;
    if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
        part->cmsg_len == CMSG_LEN(sizeof received))
        memcpy(&received, CMSG_DATA(part), sizeof received);
    if (got == sizeof *message && message->magic == PROTOCOL_MAGIC && message->version == PROTOCOL_VERSION &&
        message->operation == operation && message->option_length <= sizeof message->option) {
        if (fd != NULL)
            *fd = received;
        else if (received >= 0)
            close(received);
        return 0;
    }
    if (received >= 0)
        close(received);
    return got == 0 ? -ECONNRESET : -EPROTO; /* reset: a service of another version, which does not know the request */
}

int ask_service(const struct service_path *path, struct protocol_message *message, const void *tail,
                size_t tail_length, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct iovec iov[2] = {{message, sizeof *message}, {(void *)tail, tail_length}};
    struct msghdr header = {.msg_iov = iov, .msg_iovlen = tail_length > 0 ? 2 : 1};
    int error = 0;
    int control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (control < 0)
        return -errno;
    strcpy(address.sun_path, path->text);
    message->magic = PROTOCOL_MAGIC;
    message->version = PROTOCOL_VERSION;
    if (fd != NULL)
        *fd = -1;
    if (connect(control, (struct sockaddr *)&address, sizeof address) < 0 || sendmsg(control, &header, MSG_NOSIGNAL) < 0)
        error = -errno;
    else
        error = receive_reply(control, message, fd);
    close(control);
    return error;
}

int answer_open(struct answer *answer, const char *command, const struct service_path *path, enum protocol_query kind,
                unsigned flags, unsigned states)
{
    struct protocol_message message = {.operation = PROTOCOL_QUERY,
                                       .args = {(int32_t)kind, (int32_t)flags, (int32_t)states}};
    int fd = -1;
    int error = ask_service(path, &message, NULL, 0, &fd);

    if (error == 0)
        error = message.result;
    if (error == 0 && fd < 0)
        error = -EPROTO;
    // cppcheck-suppress invalidFunctionArg ; without a descriptor there is an error
    *answer = (struct answer){.file = error == 0 ? fdopen(fd, "r") : NULL};
    if (error == 0 && answer->file == NULL)
        error = -errno;
    if (error < 0) {
        fprintf(stderr, "%s: %s: %s%s\n", command, path->text, strerror(-error),
                error == -ENOENT || error == -ECONNREFUSED ? " (is sidestackd running?)" : "");
        if (fd >= 0)
            close(fd);
    }
    return error;
}

json_t *answer_next(struct answer *answer)
{
    ssize_t length = getline(&answer->line, &answer->line_size, answer->file);
    json_t *object;

    if (length <= 0)
        return NULL;
    object = json_loadb(answer->line, (size_t)length, 0, NULL);
    if (object != NULL && json_object_get(object, "end") != NULL) {
        answer->is_complete = true;
        json_decref(object);
        return NULL;
    }
    return object;
}

int answer_close(struct answer *answer, const char *command)
{
    fclose(answer->file);
    free(answer->line);
    if (answer->is_complete)
        return 0;
    fprintf(stderr, "%s: the answer is not complete: the service ended, or gave up\n", command);
    return -EIO;
}

json_t *ask_for_object(const char *command, const struct service_path *path, enum protocol_query kind)
{
    struct answer answer;
    json_t *object;

    if (answer_open(&answer, command, path, kind, 0, 0) < 0)
        return NULL;
    object = answer_next(&answer);
    json_decref(object != NULL ? answer_next(&answer) : NULL);
    if (answer_close(&answer, command) < 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

uint64_t json_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : json_is_true(value) ? 1 : 0;
}

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}
