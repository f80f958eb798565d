/*
 * sidestack_metrics.c - the counters of a running service for Prometheus (text format 0.0.4), once or over HTTP.
 *
 * HTTP is libmicrohttpd's business, in a process of its own: what somebody sends there can't do anything to the
 * service.
 */
#include "ask.h"
#include "option.h"
#include "row.h"
#include "sidestack.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMAND "sidestack metrics"
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define CONNECTIONS_MAX 32
#define IDLE_S 10
#define BACKLOG 64
#define NAME_BYTES 128

static const char usage[] =
    "usage: sidestack metrics [OPTION...]\n"
    "Prints the counters of a running sidestackd in the text format of Prometheus, or offers them over HTTP at /metrics.\n"
    "\n"
    "  -l, --listen unix:PATH     offer them on a Unix socket\n"
    "  -l, --listen ADDRESS:PORT  offer them on a TCP socket of the host, not of the stack ([::1]:9100 for IPv6)\n"
    ASK_HELP
    "      --help                 this text\n";

static struct service_path service;

/* ---- what is written ---- */

/* TcpExtTCPTimeouts -> tcp_ext_tcp_timeouts */
static void write_snake(const char *name, char *text, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; name[i] != '\0' && length + 2 < size; i++) {
        bool is_upper = isupper((unsigned char)name[i]) != 0;
        bool begins = is_upper && i > 0 &&
                      (!isupper((unsigned char)name[i - 1]) || (name[i + 1] != '\0' && islower((unsigned char)name[i + 1])));

        if (begins)
            text[length++] = '_';
        text[length++] = (char)tolower((unsigned char)name[i]);
    }
    text[length] = '\0';
}

/* The value of a label: backslash, quote and newline are escaped. */
static void write_label(FILE *out, const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '\\' || *value == '"')
            fputc('\\', out);
        if (*value == '\n')
            fputs("\\n", out);
        else
            fputc(*value, out);
    }
}

static void write_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool is_gauge(const char *name)
{
    static const char *const gauges[] = {"Sockets", "SendMemory", "ReceiveMemory", "Clients", "QueriesOpen",
                                         "MemoryPeakBytes", "CapturesOpen"};

    for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
        if (strcmp(name, gauges[i]) == 0)
            return true;
    return false;
}

/* Requests and errors by operation: one metric each, with a label. */
static void write_operations(FILE *out, const json_t *control, const char *prefix, const char *metric, const char *help)
{
    const char *name;
    json_t *value;

    write_head(out, metric, "counter", help);
    json_object_foreach((json_t *)control, name, value) {
        char operation[NAME_BYTES];

        if (strncmp(name, prefix, strlen(prefix)) != 0)
            continue;
        write_snake(name + strlen(prefix), operation, sizeof operation);
        fprintf(out, "%s{operation=\"%s\"} %llu\n", metric, operation, (unsigned long long)json_integer_value(value));
    }
}

static void write_layer(FILE *out, const char *layer, const json_t *counters)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)counters, name, value) {
        char snake[NAME_BYTES], metric[2 * NAME_BYTES + 32], help[NAME_BYTES + 64];
        size_t length = strlen(layer);

        if (strcmp(layer, "control") == 0 && (strncmp(name, "Request", 7) == 0 || strncmp(name, "Error", 5) == 0))
            continue;
        write_snake(name, snake, sizeof snake);
        snprintf(metric, sizeof metric, "sidestack_%s%s%s%s", strncmp(snake, layer, length) == 0 ? "" : layer,
                 strncmp(snake, layer, length) == 0 ? "" : "_", snake, is_gauge(name) ? "" : "_total");
        snprintf(help, sizeof help, "%s of the layer %s, as sidestack stats shows it.", name, layer);
        write_head(out, metric, is_gauge(name) ? "gauge" : "counter", help);
        fprintf(out, "%s %llu\n", metric, (unsigned long long)json_integer_value(value));
    }
}

static void write_service(FILE *out, const json_t *object)
{
    write_head(out, "sidestack_info", "gauge", "Which service this is; always 1.");
    fputs("sidestack_info{name=\"", out);
    write_label(out, json_text(object, "name"));
    fputs("\",version=\"", out);
    write_label(out, json_text(object, "version"));
    fputs("\"} 1\n", out);
    write_head(out, "sidestack_start_time_seconds", "gauge", "When the service was started, in seconds since 1970.");
    fprintf(out, "sidestack_start_time_seconds %llu\n", (unsigned long long)json_number(object, "started"));
}

/* Connections by their states. Return: 0 or -errno. */
static int write_states(FILE *out)
{
    unsigned long counts[ROW_STATES] = {0};
    struct answer answer;
    json_t *object;
    int error = answer_open(&answer, COMMAND, &service, PROTOCOL_QUERY_SOCKETS, PROTOCOL_QUERY_TCP, 0);

    if (error < 0)
        return error;
    while ((object = answer_next(&answer)) != NULL) {
        struct row row;

        if (row_read(&row, object))
            counts[row.state]++;
        json_decref(object);
    }
    error = answer_close(&answer, COMMAND);
    if (error < 0)
        return error;
    write_head(out, "sidestack_tcp_connections", "gauge", "TCP sockets by state.");
    for (int state = 1; state < ROW_STATES; state++)
        fprintf(out, "sidestack_tcp_connections{state=\"%s\"} %lu\n", row_state_word(state), counts[state]);
    return 0;
}

/* Write everything. Return: the text, the caller's to free(); NULL when out of memory. What can't be had is left out,
 * but for sidestack_up. */
static char *write_all(size_t *length)
{
    json_t *stats = ask_for_object(COMMAND, &service, PROTOCOL_QUERY_STATS);
    json_t *self = stats != NULL ? ask_for_object(COMMAND, &service, PROTOCOL_QUERY_SERVICE) : NULL;
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    const char *layer;
    json_t *counters;
    bool is_up = self != NULL;

    if (out == NULL)
        goto out;
    if (is_up) {
        write_service(out, self);
        json_object_foreach(stats, layer, counters)
            if (json_is_object(counters))
                write_layer(out, layer, counters);
        write_operations(out, json_object_get(stats, "control"), "Request", "sidestack_control_requests_total",
                         "Requests on the control socket.");
        write_operations(out, json_object_get(stats, "control"), "Error", "sidestack_control_errors_total",
                         "Requests that were answered with an error.");
        is_up = write_states(out) == 0;
    }
    write_head(out, "sidestack_up", "gauge", "Did the service answer?");
    fprintf(out, "sidestack_up %d\n", is_up);
    if (fclose(out) != 0) {
        free(text);
        text = NULL;
    }
out:
    json_decref(self);
    json_decref(stats);
    return text;
}

/* ---- HTTP ---- */

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, char *text, size_t length,
                                   enum MHD_ResponseMemoryMode memory, const char *type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, memory);
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state)
{
    static char index_text[] = "sidestack: the metrics are at /metrics\n", missing[] = "not here: /metrics\n",
                wrong[] = "GET and HEAD only\n";
    size_t length = 0;
    char *text;

    (void)context, (void)version, (void)upload, (void)upload_size, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, wrong, strlen(wrong), MHD_RESPMEM_PERSISTENT, "text/plain");
    if (strcmp(url, "/") == 0)
        return answer_text(connection, MHD_HTTP_OK, index_text, strlen(index_text), MHD_RESPMEM_PERSISTENT, "text/plain");
    if (strcmp(url, "/metrics") != 0)
        return answer_text(connection, MHD_HTTP_NOT_FOUND, missing, strlen(missing), MHD_RESPMEM_PERSISTENT, "text/plain");
    text = write_all(&length);
    if (text == NULL)
        return MHD_NO;
    return answer_text(connection, MHD_HTTP_OK, text, length, MHD_RESPMEM_MUST_FREE, CONTENT_TYPE);
}

/* Listen on a Unix socket; one that nobody listens on is replaced. Return: the descriptor or -errno. */
static int listen_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno == ECONNREFUSED)
        (void)unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, BACKLOG) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* Listen on ADDRESS:PORT. Return: the descriptor or -errno (-EINVAL: it makes no sense). */
static int listen_tcp(const char *text)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    char host[64];
    const char *colon = strrchr(text, ':');
    const int on = 1;
    int fd, error = 0;
    size_t length;

    if (colon == NULL || (size_t)(colon - text) >= sizeof host)
        return -EINVAL;
    length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    if (getaddrinfo(*host != '\0' ? host : NULL, colon + 1, &hints, &found) != 0)
        return -EINVAL;
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        error = -errno;
    freeaddrinfo(found);
    if (error < 0 && fd >= 0)
        close(fd);
    return error < 0 ? error : fd;
}

/* Offer the metrics until SIGTERM or SIGINT. Return: the exit status. */
static int serve(const char *where)
{
    const bool is_unix = strncmp(where, "unix:", 5) == 0;
    struct MHD_Daemon *daemon;
    sigset_t set;
    int fd, which;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return EXIT_FAILURE;
    fd = is_unix ? listen_unix(where + 5) : listen_tcp(where);
    if (fd < 0) {
        fprintf(stderr, COMMAND ": %s: %s\n", where,
                fd == -EINVAL ? "unix:PATH or ADDRESS:PORT is expected" : strerror(-fd));
        return fd == -EINVAL ? SIDESTACK_EXIT_USAGE : EXIT_FAILURE;
    }
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, NULL,
                              MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, COMMAND ": %s: the HTTP server did not start\n", where);
        close(fd);
        return EXIT_FAILURE;
    }
    fprintf(stderr, COMMAND ": at %s\n", where);
    (void)sigwait(&set, &which);
    MHD_stop_daemon(daemon); /* closes fd */
    if (is_unix)
        (void)unlink(where + 5);
    return EXIT_SUCCESS;
}

int sidestack_metrics(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'}, TOOL_OPTIONS};
    const struct tool_options tool = {COMMAND, usage, "l:", options, &service};
    const char *where = NULL;
    size_t length = 0;
    int option, status, error;
    char *text;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case 'l': where = optarg; break;
        default: return status;
        }
    }
    if (optind < argc) {
        fprintf(stderr, COMMAND ": '%s'? (sidestack metrics --help)\n", argv[optind]);
        return SIDESTACK_EXIT_USAGE;
    }
    if (where != NULL)
        return serve(where);
    text = write_all(&length);
    if (text == NULL)
        return EXIT_FAILURE;
    error = fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0 ? 0 : -EIO;
    if (strstr(text, "\nsidestack_up 1\n") == NULL)
        error = -EIO;
    free(text);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
