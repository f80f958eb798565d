/* ask.h - asking a running service: requests, and queries whose answer is JSON. */
#ifndef SIDESTACK_ASK_H
#define SIDESTACK_ASK_H

#include "service/protocol.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/un.h>

/* Where the service is; empty: not said yet. */
struct service_path {
    char text[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/* The options --stack, also written --name, and --socket, for getopt_long(); of values that no letter has. */
#define ASK_OPTION_NAME 0x4e00
#define ASK_OPTION_SOCKET 0x4e01
#define ASK_OPTIONS \
    {"stack", required_argument, NULL, ASK_OPTION_NAME}, {"name", required_argument, NULL, ASK_OPTION_NAME}, \
        {"socket", required_argument, NULL, ASK_OPTION_SOCKET}
#define ASK_HELP \
    "      --stack NAME    the service called NAME, instead of SIDESTACK_NAME or \"default\"\n" \
    "      --socket PATH   the service with this control socket\n"

/* One of them was given. Return: 0 or -errno. */
int service_path_set(struct service_path *path, int option, const char *value);

/* All options are read: look in the environment if none said it. Return: 0 or -errno. */
int service_path_complete(struct service_path *path);

/* The same for a tool that has met error, or 0, so far. Return: 0 or -errno, said on standard error as "COMMAND:
 * ...". */
int service_path_settle(struct service_path *path, const char *command, int error);

/* Send a request, with tail_length bytes behind it, and wait for the reply, which takes its place. fd: for the
 * descriptor that comes with it, -1 if none does; NULL: none is wanted. Return: 0 or -errno, the reply's result
 * aside. */
int ask_service(const struct service_path *path, struct protocol_message *message, const void *tail,
                size_t tail_length, int *fd);

/* A query that is being answered. */
struct answer {
    FILE *file; /* owned */
    char *line; /* owned; what the last object was read from, with its '\n' */
    size_t line_size;
    bool is_complete; /* the last line came */
};

/* Ask. Return: 0 or -errno, said on standard error as "COMMAND: ...". */
int answer_open(struct answer *answer, const char *command, const struct service_path *path, enum protocol_query kind,
                unsigned flags, unsigned states);

/* Return: the next object, the caller's to json_decref(); NULL: there are no more. */
json_t *answer_next(struct answer *answer);

/* Return: 0, or -EIO when the answer was not complete, said on standard error. */
int answer_close(struct answer *answer, const char *command);

/* For queries of one object. Return: the object, or NULL after saying why. */
json_t *ask_for_object(const char *command, const struct service_path *path, enum protocol_query kind);

/* Members of an object, 0 or "" when they are not there. */
uint64_t json_number(const json_t *object, const char *key);
const char *json_text(const json_t *object, const char *key);

#endif
