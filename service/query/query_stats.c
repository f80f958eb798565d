/* query_stats.c - PROTOCOL_QUERY_STATS: the counters of all layers. */
#include "query.h"

#include "capture_stream.h"
#include "service/control_socket.h"
#include "service/privilege/quota.h"
#include "service/relay.h"
#include "service/socket.h"
#include "stack/statistics.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static void put_stack(struct json *json)
{
    struct stack_statistic statistics[STACK_STATISTICS_MAX];
    size_t count = stack_get_statistics(statistics);
    const char *layer = NULL;

    for (size_t i = 0; i < count; i++) {
        if (layer == NULL || strcmp(layer, statistics[i].layer) != 0) {
            if (layer != NULL)
                json_close(json, '}');
            layer = statistics[i].layer;
            json_open(json, layer, '{');
        }
        json_put_number(json, statistics[i].name, statistics[i].value);
    }
    if (layer != NULL)
        json_close(json, '}');
}

/* By their numbers; the spelling of protocol.h. */
static const char *const operation_names[] = {
    [PROTOCOL_SOCKET] = "Socket",           [PROTOCOL_BIND] = "Bind",
    [PROTOCOL_LISTEN] = "Listen",           [PROTOCOL_CONNECT] = "Connect",
    [PROTOCOL_SHUTDOWN] = "Shutdown",       [PROTOCOL_GETSOCKNAME] = "Getsockname",
    [PROTOCOL_GETPEERNAME] = "Getpeername", [PROTOCOL_GETSOCKOPT] = "Getsockopt",
    [PROTOCOL_SETSOCKOPT] = "Setsockopt",   [PROTOCOL_STATUS] = "Status",
    [PROTOCOL_LINGER] = "Linger",           [PROTOCOL_IMPAIR] = "Impair",
    [PROTOCOL_INTERFACES] = "Interfaces",   [PROTOCOL_SEND_RESULT] = "SendResult",
    [PROTOCOL_ERROR_QUEUE] = "ErrorQueue",  [PROTOCOL_RESOLVER] = "Resolver",
    [PROTOCOL_RESOLVE] = "Resolve",         [PROTOCOL_ROUTES] = "Routes",
    [PROTOCOL_QUERY] = "Query",             [PROTOCOL_KILL] = "Kill",
    [PROTOCOL_CAPTURE] = "Capture",
};

static void put_relay(struct json *json)
{
    json_open(json, "relay", '{');
    json_put_number(json, "RelayReads", relay_counters.reads);
    json_put_number(json, "RelayBytesRead", relay_counters.bytes_read);
    json_put_number(json, "RelayWrites", relay_counters.writes);
    json_put_number(json, "RelayBytesWritten", relay_counters.bytes_written);
    json_put_number(json, "RelayWireFull", relay_counters.wire_full);
    json_put_number(json, "RelayProgramFull", relay_counters.program_full);
    json_close(json, '}');
}

static void put_captures(struct json *json)
{
    json_open(json, "capture", '{');
    json_put_number(json, "Captures", capture_stream_counters.started);
    json_put_number(json, "CapturedFrames", capture_stream_counters.frames);
    json_put_number(json, "CaptureDropped", capture_stream_counters.dropped);
    json_put_number(json, "CapturesOpen", capture_stream_counters.open);
    json_close(json, '}');
}

static void put_control(struct json *json)
{
    char name[64];

    json_open(json, "control", '{');
    json_put_number(json, "ControlConnections", control_counters.connections);
    json_put_number(json, "ControlRefused", control_counters.refused);
    json_put_number(json, "ControlBroken", control_counters.broken);
    for (size_t i = 1; i < PROTOCOL_OPERATION_COUNT; i++) {
        if (i >= sizeof operation_names / sizeof *operation_names || operation_names[i] == NULL)
            continue;
        snprintf(name, sizeof name, "Request%s", operation_names[i]);
        json_put_number(json, name, control_counters.requests[i]);
        snprintf(name, sizeof name, "Error%s", operation_names[i]);
        json_put_number(json, name, control_counters.errors[i]);
    }
    json_put_number(json, "UserSocketsRefused", quota_counters.sockets_refused);
    json_put_number(json, "UserClientsRefused", quota_counters.clients_refused);
    json_put_number(json, "UserRequestsDelayed", quota_counters.requests_delayed);
    json_put_number(json, "QueriesRefused", outlet_counters.refused);
    json_put_number(json, "QueriesStalled", outlet_counters.stalled);
    json_put_number(json, "Clients", control_counters.open);
    json_put_number(json, "Sockets", socket_count());
    json_put_number(json, "QueriesOpen", outlet_counters.open);
    json_close(json, '}');
}

static void put_loop(struct json *json)
{
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage);
    json_open(json, "loop", '{');
    json_put_number(json, "LoopTurns", watch_counters.waits);
    json_put_number(json, "LoopEvents", watch_counters.events);
    json_put_number(json, "LoopTimeouts", watch_counters.timeouts);
    json_put_number(json, "CpuUserMicroseconds",
                    (uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec);
    json_put_number(json, "CpuSystemMicroseconds",
                    (uint64_t)usage.ru_stime.tv_sec * 1000000 + (uint64_t)usage.ru_stime.tv_usec);
    json_put_number(json, "MemoryPeakBytes", (uint64_t)usage.ru_maxrss * 1024);
    json_close(json, '}');
}

void query_write_stats(struct json *json)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    json_open(json, NULL, '{');
    json_put_number(json, "time_us", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    put_stack(json);
    put_relay(json);
    put_control(json);
    put_captures(json);
    put_loop(json);
    json_close(json, '}');
    json_end_line(json);
}
