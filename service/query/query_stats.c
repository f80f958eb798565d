/* query_stats.c - PROTOCOL_QUERY_STATS: the counters of all layers. */
#include "query.h"

#include "service/client.h"
#include "service/socket.h"
#include "stack/statistics.h"

#include <string.h>
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

static void put_control(struct json *json)
{
    json_open(json, "control", '{');
    json_put_number(json, "Clients", client_count());
    json_put_number(json, "Sockets", socket_count());
    json_put_number(json, "Queries", outlet_counters.opened);
    json_put_number(json, "QueriesOpen", outlet_counters.open);
    json_put_number(json, "QueriesRefused", outlet_counters.refused);
    json_put_number(json, "QueriesStalled", outlet_counters.stalled);
    json_close(json, '}');
}

void query_write_stats(struct json *json)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    json_open(json, NULL, '{');
    json_put_number(json, "time_us", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    put_stack(json);
    put_control(json);
    json_close(json, '}');
    json_end_line(json);
}
