/* query.h - PROTOCOL_QUERY: what is going on in the service, as JSON. docs/tools.md has the fields. */
#ifndef SIDESTACK_QUERY_H
#define SIDESTACK_QUERY_H

#include "json.h"
#include "outlet.h"
#include "service/protocol.h"
#include "stack/inspect.h"

struct program;

/* One answer that is being written. */
struct query {
    struct outlet outlet; /* first */
    enum protocol_query kind;
    unsigned flags;       /* PROTOCOL_QUERY_* */
    uint32_t states;      /* as PROTOCOL_QUERY has them; 0: all */
    bool sees_all;        /* root, and the service's user */
    struct stack_cursor cursor;
    uint64_t count;       /* objects written */
};

/* What the service is, for those who ask; the strings live as long as it. */
struct query_service {
    const char *name, *socket_path;
};
void query_setup(const struct query_service *service);

/* Start an answer. Return: 0 and *reader, the pipe to read, the caller's; or -errno: -EINVAL, -EAGAIN, ... */
int query_start(const struct protocol_message *request, const struct program *program, int *reader);

/* ---- for query.c: what each kind writes ---- */

/* No object is longer. */
#define QUERY_OBJECT_MAX 32768

void query_write_service(struct json *json);
void query_write_stats(struct json *json);
void query_write_network(struct json *json);
/* The member "interfaces": what they are, and their addresses. */
void query_put_interfaces(struct json *json);
/* The next few sockets. Return: false: that was all. */
bool query_write_sockets(struct query *query, struct json *json);

#endif
