/* sidestack_kill.c - ends sockets that a filter names, as ss -K does. */
#include "ask.h"
#include "filter.h"
#include "option.h"
#include "sidestack.h"
#include "ss_text.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "sidestack kill"

static const char usage[] =
    "usage: sidestack kill [OPTION...] FILTER\n"
    "Ends connections of a running sidestackd: the program gets ECONNABORTED, and TCP's peer a reset. Only your own; root and\n"
    "the service's user may end all. FILTER is that of sidestack ss (sidestack ss --help); \"state all\" ends every one.\n"
    "Sockets that listen or have no peer only go when FILTER names their state (listening, unconnected).\n"
    "\n"
    "  -t, --tcp       only those of TCP\n"
    "  -u, --udp       only those of UDP\n"
    "  -n, --dry-run   only say which\n"
    "  -q, --quiet     don't say which\n"
    ASK_HELP
    "      --help      this text\n"
    "\n"
    "  sidestack kill dst 10.0.0.7\n"
    "  sidestack kill prog nginx and dport = :8080\n";

struct victims {
    uint64_t *ids; /* owned */
    size_t count;
};

static int add(struct victims *victims, uint64_t id)
{
    uint64_t *ids = reallocarray(victims->ids, victims->count + 1, sizeof *ids);

    if (ids == NULL)
        return -ENOMEM;
    victims->ids = ids;
    ids[victims->count++] = id;
    return 0;
}

static void say(const struct row *row)
{
    char local[80], local_port[32], peer[80], peer_port[32];

    ss_format_address(row, &row->local, false, local, sizeof local);
    ss_format_port(row, &row->local, true, local_port, sizeof local_port);
    ss_format_address(row, &row->peer, false, peer, sizeof peer);
    ss_format_port(row, &row->peer, true, peer_port, sizeof peer_port);
    printf("%s %s %s:%s %s:%s\n", row->netid, row_state_shown(row->state), local, local_port, peer, peer_port);
}

/* Find the sockets; sorts: PROTOCOL_QUERY_*. Return: 0 or -errno, said. */
static int find(const struct service_path *path, const struct filter *filter, unsigned sorts, bool quiet, struct victims *victims)
{
    const unsigned states = filter->states != 0 ? filter->states : filter_states_connected() | 1u << TCP_SYN_RECV;
    struct answer answer;
    json_t *object;
    int error = answer_open(&answer, COMMAND, path, PROTOCOL_QUERY_SOCKETS, sorts, states);

    if (error < 0)
        return error;
    while (error == 0 && (object = answer_next(&answer)) != NULL) {
        struct row row;

        if (row_read(&row, object) && row.id != 0 && (row.state != TCP_CLOSE || !row_is_tcp(&row)) && filter_matches(filter, &row)) {
            error = add(victims, row.id);
            if (!quiet)
                say(&row);
        }
        json_decref(object);
    }
    if (answer_close(&answer, COMMAND) < 0 && error == 0)
        error = -EIO;
    return error;
}

/* End them, as many a request as fit. Return: 0 or the first error. Those that ended by themselves meanwhile are
 * none. */
static int end(const struct service_path *path, const struct victims *victims)
{
    int first_error = 0;

    for (size_t at = 0; at < victims->count; at += PROTOCOL_KILL_MAX) {
        struct protocol_message message = {.operation = PROTOCOL_KILL};
        size_t count = victims->count - at < PROTOCOL_KILL_MAX ? victims->count - at : PROTOCOL_KILL_MAX;
        int error;

        message.option_length = (uint32_t)(count * sizeof *victims->ids);
        memcpy(message.option, victims->ids + at, message.option_length);
        error = ask_service(path, &message, NULL, 0, NULL);
        if (error == 0 && message.result != -ENOENT && message.result != -ENOTCONN)
            error = message.result;
        if (error < 0 && first_error == 0)
            first_error = error;
    }
    if (first_error < 0)
        fprintf(stderr, COMMAND ": %s: %s\n", path->text, strerror(-first_error));
    return first_error;
}

int sidestack_kill(int argc, char **argv)
{
    static const struct option options[] = {{"dry-run", no_argument, NULL, 'n'}, {"quiet", no_argument, NULL, 'q'},
                                            {"tcp", no_argument, NULL, 't'}, {"udp", no_argument, NULL, 'u'}, TOOL_OPTIONS};
    struct service_path path = {""};
    const struct tool_options tool = {COMMAND, usage, "nqtu", options, &path};
    struct victims victims = {NULL, 0};
    struct filter filter;
    unsigned sorts = 0;
    bool dry_run = false, quiet = false;
    char message[512];
    int option, status, error;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case 'n': dry_run = true; break;
        case 'q': quiet = true; break;
        case 't': sorts |= PROTOCOL_QUERY_TCP; break;
        case 'u': sorts |= PROTOCOL_QUERY_UDP; break;
        default: return status;
        }
    }
    if (optind == argc) {
        fputs(COMMAND ": which ones? (sidestack kill --help)\n", stderr);
        return SIDESTACK_EXIT_USAGE;
    }
    if (filter_parse(&filter, argc - optind, argv + optind, message, sizeof message) < 0) {
        fprintf(stderr, COMMAND ": %s\n", message);
        return SIDESTACK_EXIT_USAGE;
    }
    error = find(&path, &filter, sorts != 0 ? sorts : PROTOCOL_QUERY_TCP | PROTOCOL_QUERY_UDP | PROTOCOL_QUERY_RAW, quiet, &victims);
    if (error == 0 && !dry_run)
        error = end(&path, &victims);
    if (error == 0 && victims.count == 0 && !quiet)
        fputs(COMMAND ": there is none\n", stderr);
    free(victims.ids);
    filter_free(&filter);
    return error < 0 || victims.count == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
