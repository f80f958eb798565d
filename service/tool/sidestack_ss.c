/* sidestack_ss.c - the sockets of a running service, with ss(8)'s habits. */
#include "ask.h"
#include "filter.h"
#include "holders.h"
#include "option.h"
#include "sidestack.h"
#include "ss_text.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND "sidestack ss"
#define CELL_BYTES 80

enum { OPTION_JSON = 0x100 };

static const char usage[] =
    "usage: sidestack ss [OPTION...] [FILTER]\n"
    "Shows the sockets of a running sidestackd: your own; root and the service's user see all.\n"
    "\n"
    "  -t, --tcp           TCP sockets\n"
    "  -u, --udp           UDP and UDP-Lite sockets\n"
    "  -w, --raw           raw and ping sockets\n"
    "  -l, --listening     only those that listen, or wait for datagrams\n"
    "  -a, --all           these and the others, TIME-WAIT included\n"
    "  -4, --ipv4          IPv4 only\n"
    "  -6, --ipv6          IPv6 only\n"
    "  -n, --numeric       ports by number\n"
    "  -r, --resolve       hosts by name\n"
    "  -p, --processes     who holds it (of processes that you may look into), else who made it\n"
    "  -i, --info          figures of each connection: window, round trip, retransmissions, rates\n"
    "  -o, --options       timers\n"
    "  -m, --memory        memory of the queues\n"
    "  -e, --extended      user, inode, number of the socket in the service's log\n"
    "  -s, --summary       only how many there are\n"
    "  -H, --no-header     no header\n"
    "  -O, --oneline       one line a socket\n"
    "      --json          JSON, one object a line, as the service writes it\n"
    ASK_HELP
    "      --help          this text\n"
    "\n"
    "FILTER := [state STATE | exclude STATE]... [EXPRESSION]\n"
    "  STATE: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack,\n"
    "  listening, closing, all, connected, synchronized, bucket, big\n"
    "  EXPRESSION: src|dst [=|!=] ADDRESS[/BITS][:PORT], sport|dport OP :PORT, pid N, prog NAME, user UID, id N,\n"
    "  with and, or, not and ( )\n"
    "\n"
    "  sidestack ss -tnp state established 'dst 10.0.0.0/8 and not dport = :443'\n";

struct request {
    struct service_path path;
    struct ss_show show;
    unsigned sorts;  /* PROTOCOL_QUERY_* of sockets; 0: all */
    unsigned states; /* by option; 0: none said */
    int family;      /* 4, 6; 0: both */
    bool summary, json;
    struct filter filter;
};

/* The lines are kept until all are there: columns are as wide as what is in them. */
struct line {
    char cells[8][CELL_BYTES]; /* netid, state, queues, and address and port twice */
    char *details;             /* owned */
};

enum { CELL_NETID, CELL_STATE, CELL_RECEIVE, CELL_SEND, CELL_LOCAL, CELL_LOCAL_PORT, CELL_PEER, CELL_PEER_PORT, CELLS };

struct table {
    struct line *lines; /* owned */
    size_t count, capacity;
};

static int add_line(struct table *table, const struct row *row, const struct ss_show *show)
{
    struct line *line;
    size_t size;
    FILE *out;

    if (table->count == table->capacity) {
        size_t more = table->capacity == 0 ? 64 : table->capacity * 2;
        struct line *bigger = realloc(table->lines, more * sizeof *bigger);

        if (bigger == NULL)
            return -ENOMEM;
        table->lines = bigger;
        table->capacity = more;
    }
    line = &table->lines[table->count];
    *line = (struct line){.details = NULL};
    snprintf(line->cells[CELL_NETID], CELL_BYTES, "%s", row->netid);
    snprintf(line->cells[CELL_STATE], CELL_BYTES, "%s", row_state_shown(row->state));
    snprintf(line->cells[CELL_RECEIVE], CELL_BYTES, "%llu", (unsigned long long)row->receive_q);
    snprintf(line->cells[CELL_SEND], CELL_BYTES, "%llu", (unsigned long long)row->send_q);
    ss_format_address(row, &row->local, show->resolve, line->cells[CELL_LOCAL], CELL_BYTES);
    ss_format_port(row, &row->local, show->numeric, line->cells[CELL_LOCAL_PORT], CELL_BYTES);
    ss_format_address(row, &row->peer, show->resolve, line->cells[CELL_PEER], CELL_BYTES);
    ss_format_port(row, &row->peer, show->numeric, line->cells[CELL_PEER_PORT], CELL_BYTES);
    out = open_memstream(&line->details, &size);
    if (out == NULL)
        return -ENOMEM;
    ss_print_details(out, row, show);
    table->count++;
    return fclose(out) == 0 ? 0 : -ENOMEM;
}

static void print_table(const struct table *table, const struct ss_show *show)
{
    static const struct line header = {.cells = {"Netid", "State", "Recv-Q", "Send-Q", "Local Address", "Port",
                                                 "Peer Address", "Port"}};
    int widths[CELLS] = {0};

    for (int cell = 0; cell < CELLS; cell++) {
        widths[cell] = show->no_header ? 1 : (int)strlen(header.cells[cell]);
        for (size_t i = 0; i < table->count; i++)
            if ((int)strlen(table->lines[i].cells[cell]) > widths[cell])
                widths[cell] = (int)strlen(table->lines[i].cells[cell]);
    }
    for (size_t i = show->no_header ? 0 : SIZE_MAX; i == SIZE_MAX || i < table->count; i++) {
        const struct line *line = i == SIZE_MAX ? &header : &table->lines[i];

        if (show->netid)
            printf("%-*s ", widths[CELL_NETID], line->cells[CELL_NETID]);
        if (show->state)
            printf("%-*s ", widths[CELL_STATE], line->cells[CELL_STATE]);
        printf("%-*s %-*s %*s:%-*s %*s:%-*s", widths[CELL_RECEIVE], line->cells[CELL_RECEIVE], widths[CELL_SEND],
               line->cells[CELL_SEND], widths[CELL_LOCAL], line->cells[CELL_LOCAL], widths[CELL_LOCAL_PORT],
               line->cells[CELL_LOCAL_PORT], widths[CELL_PEER], line->cells[CELL_PEER], widths[CELL_PEER_PORT],
               line->cells[CELL_PEER_PORT]);
        puts(i != SIZE_MAX ? line->details : show->processes ? " Process" : "");
    }
}

static void free_table(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->lines[i].details);
    free(table->lines);
}

/* What -s counts. */
struct summary {
    unsigned long total, tcp, states[ROW_STATES], udp, raw, tcp6, udp6, raw6;
};

static void count_row(struct summary *summary, const struct row *row)
{
    const bool is_v6 = row->family == 6;

    summary->total++;
    if (row_is_tcp(row)) {
        summary->tcp++;
        summary->tcp6 += is_v6;
        summary->states[row->state]++;
    } else if (strncmp(row->netid, "udp", 3) == 0) {
        summary->udp++;
        summary->udp6 += is_v6;
    } else {
        summary->raw++;
        summary->raw6 += is_v6;
    }
}

static void print_summary(const struct summary *it)
{
    const unsigned long waiting = it->states[TCP_TIME_WAIT], synrecv = it->states[TCP_SYN_RECV];
    const unsigned long orphaned = it->states[TCP_FIN_WAIT1] + it->states[TCP_FIN_WAIT2] + it->states[TCP_LAST_ACK] +
                                   it->states[TCP_CLOSING];

    printf("Total: %lu\n", it->total);
    printf("TCP:   %lu (estab %lu, listening %lu, syn-recv %lu, closing %lu, closed %lu, timewait %lu)\n\n", it->tcp,
           it->states[TCP_ESTABLISHED], it->states[TCP_LISTEN], synrecv, orphaned, it->states[TCP_CLOSE], waiting);
    printf("%-9s %-9s %-9s %-9s\n", "Transport", "Total", "IP", "IPv6");
    printf("%-9s %-9lu %-9lu %-9lu\n", "RAW", it->raw, it->raw - it->raw6, it->raw6);
    printf("%-9s %-9lu %-9lu %-9lu\n", "UDP", it->udp, it->udp - it->udp6, it->udp6);
    printf("%-9s %-9lu %-9lu %-9lu\n", "TCP", it->tcp, it->tcp - it->tcp6, it->tcp6);
}

/* Which states: the filter's, else the options', else those that ss shows. */
static unsigned chosen_states(const struct request *request)
{
    if (request->filter.states != 0)
        return request->filter.states;
    if (request->states != 0)
        return request->states;
    return request->summary ? FILTER_STATES_ALL : filter_states_connected();
}

static bool is_wanted(const struct request *request, const struct row *row)
{
    /* A TCP socket that does neither is shown to who asks for the state, as by ss. */
    if (row_is_tcp(row) && row->state == TCP_CLOSE && request->filter.states == 0 && !request->summary)
        return false;
    return (request->family == 0 || request->family == row->family) && filter_matches(&request->filter, row);
}

/* Ask, and show what comes. Return: 0 or -errno, said. */
static int run(const struct request *request)
{
    struct summary summary = {0};
    struct table table = {0};
    struct answer answer;
    json_t *object;
    int error = answer_open(&answer, COMMAND, &request->path, PROTOCOL_QUERY_SOCKETS,
                            request->sorts | (request->show.info || request->json ? PROTOCOL_QUERY_INFO : 0),
                            chosen_states(request));

    if (error < 0)
        return error;
    if (request->show.processes)
        (void)holders_read(); /* what is missing is missing in the column */
    while (error == 0 && (object = answer_next(&answer)) != NULL) {
        struct row row;

        if (row_read(&row, object) && is_wanted(request, &row)) {
            if (request->json)
                fputs(answer.line, stdout);
            else if (request->summary)
                count_row(&summary, &row);
            else
                error = add_line(&table, &row, &request->show);
        }
        json_decref(object);
    }
    if (error < 0)
        fprintf(stderr, COMMAND ": %s\n", strerror(-error));
    if (answer_close(&answer, COMMAND) < 0 && error == 0)
        error = -EIO;
    if (request->summary && !request->json)
        print_summary(&summary);
    else if (!request->json)
        print_table(&table, &request->show);
    free_table(&table);
    holders_free();
    return error;
}

static void read_option(int option, struct request *request)
{
    switch (option) {
    case 't': request->sorts |= PROTOCOL_QUERY_TCP; break;
    case 'u': request->sorts |= PROTOCOL_QUERY_UDP; break;
    case 'w': request->sorts |= PROTOCOL_QUERY_RAW | PROTOCOL_QUERY_PING; break;
    case 'l': request->states = 1u << TCP_LISTEN | 1u << TCP_CLOSE; break;
    case 'a': request->states = FILTER_STATES_ALL; break;
    case '4': request->family = 4; break;
    case '6': request->family = 6; break;
    case 'n': request->show.numeric = true; break;
    case 'r': request->show.resolve = true; break;
    case 'p': request->show.processes = true; break;
    case 'i': request->show.info = true; break;
    case 'o': request->show.timers = true; break;
    case 'm': request->show.memory = true; break;
    case 'e': request->show.extended = true; break;
    case 's': request->summary = true; break;
    case 'H': request->show.no_header = true; break;
    case 'O': request->show.one_line = true; break;
    case OPTION_JSON: request->json = true; break;
    }
}

/* Return: -1, or the exit status when the command is to end. */
static int read_arguments(int argc, char **argv, struct request *request)
{
    static const struct option options[] = {{"tcp", no_argument, NULL, 't'},
                                            {"udp", no_argument, NULL, 'u'},
                                            {"raw", no_argument, NULL, 'w'},
                                            {"listening", no_argument, NULL, 'l'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"ipv4", no_argument, NULL, '4'},
                                            {"ipv6", no_argument, NULL, '6'},
                                            {"numeric", no_argument, NULL, 'n'},
                                            {"resolve", no_argument, NULL, 'r'},
                                            {"processes", no_argument, NULL, 'p'},
                                            {"info", no_argument, NULL, 'i'},
                                            {"options", no_argument, NULL, 'o'},
                                            {"memory", no_argument, NULL, 'm'},
                                            {"extended", no_argument, NULL, 'e'},
                                            {"summary", no_argument, NULL, 's'},
                                            {"no-header", no_argument, NULL, 'H'},
                                            {"oneline", no_argument, NULL, 'O'},
                                            {"json", no_argument, NULL, OPTION_JSON},
                                            TOOL_OPTIONS};
    const struct tool_options tool = {COMMAND, usage, "tuwla46nrpiomesHO", options, &request->path};
    char message[512];
    int option, status;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        if (option == '?')
            return status;
        read_option(option, request);
    }
    if (filter_parse(&request->filter, argc - optind, argv + optind, message, sizeof message) < 0) {
        fprintf(stderr, COMMAND ": %s\n", message);
        return SIDESTACK_EXIT_USAGE;
    }
    return -1;
}

/* How many bits are set? */
static int count_bits(unsigned bits)
{
    return __builtin_popcount(bits);
}

int sidestack_ss(int argc, char **argv)
{
    struct request request = {.sorts = 0};
    int status = read_arguments(argc, argv, &request), error;

    if (status >= 0)
        return status;
    request.show.netid = count_bits(request.sorts) != 1;
    request.show.state = count_bits(chosen_states(&request)) != 1;
    error = run(&request);
    filter_free(&request.filter);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
