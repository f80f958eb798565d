/* sidestack_stats.c - the counters of a running service: once, since the last call, or every few seconds. */
#include "ask.h"
#include "option.h"
#include "sidestack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "sidestack stats"
#define HEADER_EVERY 20 /* lines, as vmstat(8) */

enum { OPTION_JSON = 0x100 };

static const char usage[] =
    "usage: sidestack stats [OPTION...] [SECONDS [COUNT]]\n"
    "Shows the counters of a running sidestackd; their names are nstat(8)'s where it has them.\n"
    "With SECONDS: a line each so many seconds (COUNT times), with what happened in them, a second.\n"
    "\n"
    "  -d, --delta   what was counted since the last call with -d, as nstat(8)\n"
    "  -z, --zeros   those too that are 0\n"
    "      --json    JSON, as the service writes it; with SECONDS an object each time\n"
    ASK_HELP
    "      --help    this text\n";

struct request {
    struct service_path path;
    bool delta, zeros, json;
    double seconds;      /* 0: once */
    unsigned long count; /* 0: for ever */
};

/* Is it a state and no counter? Then it has no difference. */
static bool is_gauge(const char *name)
{
    static const char *const gauges[] = {"Sockets", "SendMemory", "ReceiveMemory", "Clients", "QueriesOpen",
                                         "MemoryPeakBytes", "CapturesOpen"};

    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        if (strcmp(name, gauges[i]) == 0)
            return true;
    return false;
}

/* Where nstat-like differences start from. Return: 0 or -ENAMETOOLONG. */
static int history_path(const struct request *request, char *path, size_t size)
{
    const char *directory = getenv("XDG_RUNTIME_DIR");
    uint64_t hash = 14695981039346656037u; /* FNV-1a of the service's path */
    int length;

    for (const char *c = request->path.text; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    length = snprintf(path, size, "%s/.sidestack-stats.u%u.%016llx", directory != NULL ? directory : "/tmp",
                      (unsigned)getuid(), (unsigned long long)hash);
    return length > 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

/* Read what the last call saw. Return: NULL: nothing that can be used. */
static json_t *read_history(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    json_t *object = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid())
        object = json_loadfd(fd, 0, NULL);
    close(fd);
    return object;
}

/* Return: 0 or -errno. */
static int write_history(const char *path, const json_t *object)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat status;
    int error = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid())
        error = -EPERM;
    else if (ftruncate(fd, 0) < 0)
        error = -errno;
    else if (json_dumpfd(object, fd, JSON_COMPACT) < 0)
        error = -EIO;
    close(fd);
    return error;
}

/* The value less what it was; all of it when the service was started anew. */
static uint64_t difference(const json_t *layer, const json_t *old_layer, const char *name)
{
    uint64_t now = json_number(layer, name), old = json_number(old_layer, name);

    return is_gauge(name) || old > now ? now : now - old;
}

static void print_all(const json_t *object, const json_t *old, bool zeros)
{
    const char *layer_name, *name;
    json_t *layer, *value;

    json_object_foreach((json_t *)object, layer_name, layer) {
        bool has_title = false;

        json_object_foreach(layer, name, value) {
            uint64_t number = difference(layer, json_object_get(old, layer_name), name);

            if ((number == 0 || (old != NULL && is_gauge(name))) && !zeros)
                continue;
            if (!has_title)
                printf("#%s\n", layer_name);
            has_title = true;
            printf("%-32s %llu\n", name, (unsigned long long)number);
        }
    }
}

/* ---- every few seconds ---- */

static const struct column {
    const char *title, *layer, *name;
    double scale; /* of what is shown a second; 0: the value itself */
} columns[] = {
    {"in-pkt", "wire", "FramesIn", 1},          {"out-pkt", "wire", "FramesOut", 1},
    {"in-Mbit", "wire", "BytesIn", 8e-6},       {"out-Mbit", "wire", "BytesOut", 8e-6},
    {"opens", "tcp", "TcpActiveOpens", 1},      {"accepts", "tcp", "TcpPassiveOpens", 1},
    {"socks", "tcp", "Sockets", 0},             {"retrans", "tcp", "TcpRetransSegs", 1},
    {"rto", "tcp", "TcpExtTCPTimeouts", 1},     {"resets", "tcp", "TcpOutRsts", 1},
    {"dgr-in", "udp", "UdpInDatagrams", 1},     {"dgr-out", "udp", "UdpOutDatagrams", 1},
    {"turns", "loop", "LoopTurns", 1},
};
#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static void print_titles(void)
{
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        printf("%*s ", (int)strlen(columns[i].title) < 7 ? 7 : (int)strlen(columns[i].title), columns[i].title);
    puts("  cpu%");
}

static void print_columns(const json_t *object, const json_t *old)
{
    const double elapsed_s = ((double)json_number(object, "time_us") - (double)json_number(old, "time_us")) / 1e6;
    const json_t *loop = json_object_get(object, "loop"), *old_loop = json_object_get(old, "loop");
    double cpu_us = (double)difference(loop, old_loop, "CpuUserMicroseconds") +
                    (double)difference(loop, old_loop, "CpuSystemMicroseconds");

    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        const struct column *it = &columns[i];
        const json_t *layer = json_object_get(object, it->layer);
        int width = (int)strlen(it->title) < 7 ? 7 : (int)strlen(it->title);

        if (it->scale == 0)
            printf("%*llu ", width, (unsigned long long)json_number(layer, it->name));
        else
            printf("%*.*f ", width, it->scale < 1 ? 1 : 0,
                   elapsed_s > 0 ? (double)difference(layer, json_object_get(old, it->layer), it->name) * it->scale /
                                       elapsed_s
                                 : 0.0);
    }
    printf("%6.1f\n", elapsed_s > 0 ? cpu_us / elapsed_s / 1e4 : 0.0);
}

/* Return: 0 or -EIO, said. */
static int watch(const struct request *request)
{
    json_t *old = ask_for_object(COMMAND, &request->path, PROTOCOL_QUERY_STATS);
    struct timespec pause = {(time_t)request->seconds, (long)((request->seconds - (double)(time_t)request->seconds) * 1e9)};

    for (unsigned long i = 0; old != NULL && (request->count == 0 || i < request->count); i++) {
        json_t *object;

        if (nanosleep(&pause, NULL) < 0)
            break;
        object = ask_for_object(COMMAND, &request->path, PROTOCOL_QUERY_STATS);
        if (object != NULL && request->json) {
            json_dumpf(object, stdout, JSON_COMPACT);
            puts("");
        } else if (object != NULL) {
            if (i % HEADER_EVERY == 0)
                print_titles();
            print_columns(object, old);
        }
        fflush(stdout);
        json_decref(old);
        old = object;
    }
    if (old == NULL)
        return -EIO;
    json_decref(old);
    return 0;
}

/* Return: 0 or -EIO, said. */
static int show(const struct request *request)
{
    char path[256];
    json_t *old = NULL, *object = ask_for_object(COMMAND, &request->path, PROTOCOL_QUERY_STATS);
    int error = 0;

    if (object == NULL)
        return -EIO;
    if (request->delta) {
        error = history_path(request, path, sizeof path);
        if (error == 0) {
            old = read_history(path);
            error = write_history(path, object);
        }
        if (error < 0)
            fprintf(stderr, COMMAND ": can't keep what was seen for the next call: %s\n", strerror(-error));
    }
    if (request->json) {
        json_dumpf(object, stdout, JSON_COMPACT);
        puts("");
    } else {
        print_all(object, old, request->zeros);
    }
    json_decref(old);
    json_decref(object);
    return error;
}

int sidestack_stats(int argc, char **argv)
{
    static const struct option options[] = {{"delta", no_argument, NULL, 'd'}, {"zeros", no_argument, NULL, 'z'},
                                            {"json", no_argument, NULL, OPTION_JSON}, TOOL_OPTIONS};
    struct request request = {.seconds = 0};
    const struct tool_options tool = {COMMAND, usage, "dz", options, &request.path};
    int option, status, error;
    char *end;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case 'd': request.delta = true; break;
        case 'z': request.zeros = true; break;
        case OPTION_JSON: request.json = true; break;
        default: return status;
        }
    }
    if (optind < argc) {
        request.seconds = strtod(argv[optind], &end);
        if (*end != '\0' || !(request.seconds >= 0.01 && request.seconds <= 1e6)) {
            fprintf(stderr, COMMAND ": '%s' is no number of seconds\n", argv[optind]);
            return SIDESTACK_EXIT_USAGE;
        }
    }
    if (optind + 1 < argc) {
        request.count = strtoul(argv[optind + 1], &end, 10);
        if (*end != '\0' || request.count == 0) {
            fprintf(stderr, COMMAND ": '%s' is no count\n", argv[optind + 1]);
            return SIDESTACK_EXIT_USAGE;
        }
    }
    error = request.seconds > 0 ? watch(&request) : show(&request);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
