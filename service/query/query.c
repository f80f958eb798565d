/*
 * query.c - PROTOCOL_QUERY: what is going on in the service, as JSON.
 *
 * The answer goes through a pipe, a piece at a time (outlet.c): so 50 000 sockets don't hold up their own traffic, and
 * a tool that reads slowly, or not at all, costs a buffer and nothing else.
 */
#include "query.h"

#include "service/privilege/access.h"
#include "service/program.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES 65536 /* as much as a pipe takes */

static struct query_service self;
static time_t started;        /* as people tell the time ... */
static time_t started_steady; /* ... and by a clock that nobody sets */

static time_t steady_now(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

void query_setup(const struct query_service *service)
{
    self = *service;
    started = time(NULL);
    started_steady = steady_now();
}

void query_write_service(struct json *json)
{
    json_open(json, NULL, '{');
    json_put_string(json, "name", self.name != NULL ? self.name : "");
    json_put_string(json, "socket", self.socket_path != NULL ? self.socket_path : "");
    json_put_string(json, "version", SIDESTACK_VERSION);
    json_put_number(json, "pid", (uint64_t)getpid());
    json_put_number(json, "uid", geteuid());
    json_put_number(json, "started", (uint64_t)started);
    json_put_number(json, "uptime_s", (uint64_t)(steady_now() - started_steady));
    query_put_interfaces(json);
    json_close(json, '}');
    json_end_line(json);
}

/* The last line. */
static void write_end(const struct query *query, struct json *json)
{
    json_open(json, NULL, '{');
    json_open(json, "end", '{');
    json_put_number(json, "count", query->count);
    json_close(json, '}');
    json_close(json, '}');
    json_end_line(json);
}

/* Append the next piece. Return: false: that was all. */
static bool fill(struct outlet *outlet)
{
    struct query *query = (struct query *)outlet;
    struct json json = {0};
    bool more = false;

    json.size = outlet_room(outlet, &json.text);
    switch (query->kind) {
    case PROTOCOL_QUERY_SERVICE:
        query_write_service(&json);
        query->count++;
        break;
    case PROTOCOL_QUERY_SOCKETS:
        more = query_write_sockets(query, &json);
        break;
    case PROTOCOL_QUERY_STATS:
        query_write_stats(&json);
        query->count++;
        break;
    case PROTOCOL_QUERY_NETWORK:
        query_write_network(&json);
        query->count++;
        break;
    case PROTOCOL_QUERY_COUNT:
        break;
    }
    if (!more && !json.overflowed)
        write_end(query, &json);
    if (json.overflowed)
        return false; /* without the last line, so that it shows */
    outlet->end += json.length;
    return more;
}

static void close_query(struct outlet *outlet)
{
    stack_cursor_close(&((struct query *)outlet)->cursor);
}

static const struct outlet_kind query_outlet = {.fill = fill, .close = close_query, .piece_max = QUERY_OBJECT_MAX};

/* Does every field say something that it may? */
static bool is_good(const struct protocol_message *request)
{
    return request->args[0] > 0 && request->args[0] < PROTOCOL_QUERY_COUNT &&
           (request->args[1] & ~PROTOCOL_QUERY_FLAGS) == 0 && request->args[3] == 0 && request->option_length == 0 &&
           request->address.length == 0 &&
           (request->args[0] == PROTOCOL_QUERY_SOCKETS || (request->args[1] == 0 && request->args[2] == 0));
}

int query_start(const struct protocol_message *request, const struct program *program, int *reader)
{
    struct query *query;
    int fd;

    if (!is_good(request))
        return -EINVAL;
    query = calloc(1, sizeof *query);
    if (query == NULL)
        return -ENOMEM;
    query->kind = (enum protocol_query)request->args[0];
    query->flags = (unsigned)request->args[1];
    query->states = (uint32_t)request->args[2];
    query->sees_all = access_may(program, ACCESS_ADMIN);
    stack_cursor_open(&query->cursor);
    fd = outlet_open(&query->outlet, &query_outlet, program->uid, BUFFER_BYTES);
    if (fd < 0)
        return fd;
    *reader = fd;
    return 0;
}
