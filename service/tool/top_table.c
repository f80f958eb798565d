/*
 * top_table.c - what sidestack top shows, as lines of text.
 *
 * Each look at the service makes a list of its sockets, by number, with what they have moved so far; the difference
 * from the list before, by the time between, are the rates. A socket that was not there before has moved all that it
 * has since.
 */
#include "top_table.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMAND "sidestack top"
#define STATES_QUIET (1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT)

struct item {
    struct row row; /* .object is held */
    uint64_t in, out, retransmits; /* so far */
    double in_rate, out_rate, retransmit_rate; /* a second */
    double rtt_us;
};

struct top_history {
    struct item *items; /* owned; by number */
    size_t count, capacity;
    uint64_t at_us; /* CLOCK_MONOTONIC */
    json_t *stats, *old_stats, *service; /* owned */
};

/* A line of the table before it is text: a socket, or a program's sockets together. */
struct entry {
    const struct row *row;
    const char *program;
    pid_t pid;
    unsigned sockets, listening;
    double in_rate, out_rate, retransmit_rate, rtt_us;
    uint64_t send_q, receive_q, retransmits;
    unsigned rtt_count;
};

static const char *const sort_names[TOP_SORT_COUNT] = {
    [TOP_BY_IN] = "in",           [TOP_BY_OUT] = "out",        [TOP_BY_RTT] = "rtt",         [TOP_BY_RETRANSMITS] = "retrans",
    [TOP_BY_SEND_Q] = "send-q", [TOP_BY_RECEIVE_Q] = "recv-q", [TOP_BY_PROGRAM] = "program",
};

const char *top_sort_name(enum top_sort sort)
{
    return sort_names[sort];
}

enum top_sort top_sort_find(const char *name)
{
    int sort = 0;

    while (sort < TOP_SORT_COUNT && strcmp(sort_names[sort], name) != 0)
        sort++;
    return (enum top_sort)sort;
}

/* ---- looking ---- */

void top_history_free(struct top_history *history)
{
    if (history == NULL)
        return;
    for (size_t i = 0; i < history->count; i++)
        json_decref(history->items[i].row.object);
    json_decref(history->stats);
    json_decref(history->old_stats);
    json_decref(history->service);
    free(history->items);
    free(history);
}

static int by_id(const void *left, const void *right)
{
    const struct item *a = left, *b = right;

    return a->row.id < b->row.id ? -1 : a->row.id > b->row.id;
}

/* Take a socket in. Takes object. Return: 0 or -ENOMEM. */
static int add_item(struct top_history *history, json_t *object)
{
    struct item *item;

    if (history->count == history->capacity) {
        size_t more = history->capacity == 0 ? 64 : history->capacity * 2;
        struct item *bigger = realloc(history->items, more * sizeof *bigger);

        if (bigger == NULL) {
            json_decref(object);
            return -ENOMEM;
        }
        history->items = bigger;
        history->capacity = more;
    }
    item = &history->items[history->count];
    *item = (struct item){.in = 0};
    if (!row_read(&item->row, object)) {
        json_decref(object);
        return 0;
    }
    item->in = json_number(item->row.info, "bytes_received");
    item->out = json_number(item->row.info, "bytes_sent");
    item->retransmits = json_number(item->row.info, "retrans_total");
    item->rtt_us = (double)json_number(item->row.info, "rtt_us");
    history->count++;
    return 0;
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static void find_rates(struct top_history *history, const struct top_history *old)
{
    const double seconds = old != NULL ? (double)(history->at_us - old->at_us) / 1e6 : 0;

    for (size_t i = 0; i < history->count; i++) {
        struct item *item = &history->items[i];
        const struct item *before = old != NULL && item->row.id != 0 && old->count > 0
                                        ? bsearch(item, old->items, old->count, sizeof *item, by_id)
                                        : NULL;

        item->in_rate = rate(item->in, before != NULL ? before->in : 0, seconds);
        item->out_rate = rate(item->out, before != NULL ? before->out : 0, seconds);
        item->retransmit_rate = rate(item->retransmits, before != NULL ? before->retransmits : 0, seconds);
    }
}

/* Return: 0 or -errno, said. */
static int read_sockets(const struct service_path *path, struct top_history *history)
{
    struct answer answer;
    json_t *object;
    int error = answer_open(&answer, COMMAND, path, PROTOCOL_QUERY_SOCKETS, PROTOCOL_QUERY_INFO, 0);

    if (error < 0)
        return error;
    while (error == 0 && (object = answer_next(&answer)) != NULL)
        error = add_item(history, object);
    if (answer_close(&answer, COMMAND) < 0 && error == 0)
        error = -EIO;
    return error;
}

int top_look(const struct service_path *path, struct top_history **history)
{
    struct top_history *old = *history, *fresh = calloc(1, sizeof *fresh);
    struct timespec now;
    int error;

    if (fresh == NULL)
        return -ENOMEM;
    clock_gettime(CLOCK_MONOTONIC, &now);
    fresh->at_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    error = read_sockets(path, fresh);
    if (error == 0) {
        fresh->stats = ask_for_object(COMMAND, path, PROTOCOL_QUERY_STATS);
        fresh->service = ask_for_object(COMMAND, path, PROTOCOL_QUERY_SERVICE);
        error = fresh->stats == NULL || fresh->service == NULL ? -EIO : 0;
    }
    if (error < 0) {
        top_history_free(fresh);
        return error;
    }
    if (fresh->count > 0)
        qsort(fresh->items, fresh->count, sizeof *fresh->items, by_id);
    find_rates(fresh, old);
    if (old != NULL) {
        fresh->old_stats = old->stats;
        old->stats = NULL;
        top_history_free(old);
    }
    *history = fresh;
    return 0;
}

/* ---- lines ---- */

/* A number in 5 columns or less: 999, 1.23k, 12.3M. Return: text. */
static const char *format_amount(double value, char text[16])
{
    static const char units[] = " kMGTP";
    size_t unit = 0;

    while (value >= 999.5 && units[unit + 1] != '\0') {
        value /= 1000;
        unit++;
    }
    if (unit == 0)
        snprintf(text, 16, "%.0f", value);
    else
        snprintf(text, 16, "%.*f%c", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
    return text;
}

static const char *format_rtt(double us, char text[16])
{
    if (us <= 0)
        snprintf(text, 16, "-");
    else if (us < 1000)
        snprintf(text, 16, "%.0fus", us);
    else if (us < 1000000)
        snprintf(text, 16, "%.*fms", us < 10000 ? 2 : us < 100000 ? 1 : 0, us / 1000);
    else
        snprintf(text, 16, "%.1fs", us / 1e6);
    return text;
}

static void format_endpoint(const struct row_address *address, char *text, size_t size)
{
    const char *host = address->text;

    if (strncmp(host, "::ffff:", 7) == 0 && strchr(host + 7, '.') != NULL)
        host += 7;
    if (*host == '\0')
        snprintf(text, size, "*");
    else if (strchr(host, ':') != NULL)
        snprintf(text, size, "[%s]:%u", host, address->port);
    else
        snprintf(text, size, "%s:%u", host, address->port);
}

/* The end of a text that is too long says most: of an address the port. */
static const char *fit(const char *text, int width)
{
    size_t length = strlen(text);

    return length > (size_t)width ? text + length - (size_t)width : text;
}

static double sort_value(const struct entry *entry, enum top_sort sort)
{
    switch (sort) {
    case TOP_BY_IN: return entry->in_rate;
    case TOP_BY_OUT: return entry->out_rate;
    case TOP_BY_RTT: return entry->rtt_us;
    case TOP_BY_RETRANSMITS: return entry->retransmit_rate * 1e9 + (double)entry->retransmits;
    case TOP_BY_SEND_Q: return (double)entry->send_q;
    case TOP_BY_RECEIVE_Q: return (double)entry->receive_q;
    default: return 0;
    }
}

/* What qsort() is to go by. */
static enum top_sort sorting_by;
static bool sorting_reversed;

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    double x = sort_value(a, sorting_by), y = sort_value(b, sorting_by);
    int order = x > y ? -1 : x < y;

    if (sorting_by == TOP_BY_PROGRAM)
        order = strcmp(a->program, b->program);
    if (order == 0) /* so that lines stand still that are equal */
        order = a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : a->row->id < b->row->id ? -1 : a->row->id > b->row->id;
    return sorting_reversed ? -order : order;
}

static bool is_shown(const struct top_choice *choice, const struct row *row)
{
    const unsigned states = choice->filter.states != 0 ? choice->filter.states
                            : choice->shows_all || choice->view == TOP_PROGRAMS || !row_is_tcp(row)
                                ? FILTER_STATES_ALL
                                : FILTER_STATES_ALL & ~STATES_QUIET;

    return (states & (1u << row->state)) != 0 && filter_matches(&choice->filter, row);
}

static void add_to_entry(struct entry *entry, const struct item *item)
{
    entry->sockets++;
    entry->listening += item->row.state == TCP_LISTEN;
    entry->in_rate += item->in_rate;
    entry->out_rate += item->out_rate;
    entry->retransmit_rate += item->retransmit_rate;
    entry->retransmits += item->retransmits;
    if (item->row.state != TCP_LISTEN) { /* whose queues are of connections */
        entry->send_q += item->row.send_q;
        entry->receive_q += item->row.receive_q;
    }
    if (item->rtt_us > 0) {
        entry->rtt_us += (item->rtt_us - entry->rtt_us) / ++entry->rtt_count; /* the mean */
    }
}

static int by_program(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = a->pid - b->pid;

    return order != 0 ? order : strcmp(a->program, b->program);
}

/* Put the entries of each program together. Return: how many are left. */
static size_t merge_programs(struct entry *entries, size_t count)
{
    size_t kept = 0;

    if (count == 0)
        return 0;
    qsort(entries, count, sizeof *entries, by_program);
    for (size_t i = 1; i < count; i++) {
        struct entry *into = &entries[kept], *from = &entries[i];

        if (by_program(into, from) != 0) {
            entries[++kept] = *from;
            continue;
        }
        into->sockets += from->sockets;
        into->listening += from->listening;
        into->in_rate += from->in_rate;
        into->out_rate += from->out_rate;
        into->retransmit_rate += from->retransmit_rate;
        into->retransmits += from->retransmits;
        into->send_q += from->send_q;
        into->receive_q += from->receive_q;
        if (from->rtt_count > 0) {
            into->rtt_us = (into->rtt_us * into->rtt_count + from->rtt_us * from->rtt_count) /
                           (into->rtt_count + from->rtt_count);
            into->rtt_count += from->rtt_count;
        }
    }
    return kept + 1;
}

/* Return: the entries, the caller's to free(), or NULL when out of memory. */
static struct entry *collect(const struct top_history *history, const struct top_choice *choice, size_t *count)
{
    struct entry *entries = calloc(history->count + 1, sizeof *entries);

    *count = 0;
    for (size_t i = 0; entries != NULL && i < history->count; i++) {
        const struct item *item = &history->items[i];
        struct entry *entry = &entries[*count];

        if (!is_shown(choice, &item->row))
            continue;
        entry->row = &item->row;
        entry->program = *item->row.program != '\0' ? item->row.program : "-";
        entry->pid = item->row.pid;
        add_to_entry(entry, item);
        ++*count;
    }
    if (entries != NULL && choice->view == TOP_PROGRAMS)
        *count = merge_programs(entries, *count);
    sorting_by = choice->sort;
    sorting_reversed = choice->reversed;
    if (entries != NULL && *count > 0)
        qsort(entries, *count, sizeof *entries, compare_entries);
    return entries;
}

/* The figures that both views end with. */
static void format_figures(const struct entry *entry, char text[80])
{
    char in[16], out[16], rtt[16], resent[16], send_q[16], receive_q[16];

    snprintf(text, 80, "%6s %6s %7s %5s %5s %5s", format_amount(entry->in_rate * 8, in),
             format_amount(entry->out_rate * 8, out), format_rtt(entry->rtt_us, rtt),
             format_amount((double)entry->retransmits, resent), format_amount((double)entry->receive_q, receive_q),
             format_amount((double)entry->send_q, send_q));
}

#define FIGURES_TITLE "IN b/s  OUT/s     RTT  RETR RECVQ SENDQ"
#define FIGURES_WIDTH 39
#define NAME_WIDTH 10
#define STATE_WIDTH 5

/* States in 5 columns. */
static const char *short_state(const struct row *row)
{
    static const char *const states[ROW_STATES] = {
        [TCP_ESTABLISHED] = "ESTAB", [TCP_SYN_SENT] = "SYN-S",  [TCP_SYN_RECV] = "SYN-R",   [TCP_FIN_WAIT1] = "FIN-1",
        [TCP_FIN_WAIT2] = "FIN-2",   [TCP_TIME_WAIT] = "T-WAI", [TCP_CLOSE] = "CLOSE",      [TCP_CLOSE_WAIT] = "CLO-W",
        [TCP_LAST_ACK] = "L-ACK",    [TCP_LISTEN] = "LISTN",    [TCP_CLOSING] = "CLOSI"};

    return row_is_tcp(row) ? states[row->state] : row->netid;
}

static void draw_connection(const struct entry *entry, int width, char line[TOP_LINE_BYTES])
{
    const int rest = width - NAME_WIDTH - STATE_WIDTH - FIGURES_WIDTH - 4;
    const int local_width = rest >= 44 ? rest / 2 : 5, peer_width = rest - local_width;
    char local[80], peer[80], figures[80];

    format_figures(entry, figures);
    format_endpoint(&entry->row->local, local, sizeof local);
    if (local_width == 5) /* no room for the address */
        snprintf(local, sizeof local, "%u", entry->row->local.port);
    format_endpoint(&entry->row->peer, peer, sizeof peer);
    snprintf(line, TOP_LINE_BYTES, "%-*.*s %-*s %*s %-*s %s", NAME_WIDTH, NAME_WIDTH, entry->program, STATE_WIDTH,
             short_state(entry->row), local_width, fit(local, local_width), peer_width, fit(peer, peer_width), figures);
}

static void draw_program(const struct entry *entry, int width, char line[TOP_LINE_BYTES])
{
    const int name_width = width - FIGURES_WIDTH - 7 - 8 - 7 - 4;
    char figures[80];

    format_figures(entry, figures);
    snprintf(line, TOP_LINE_BYTES, "%7d %-*.*s %8u %7u %s", (int)entry->pid, name_width, name_width, entry->program,
             entry->sockets, entry->listening, figures);
}

static void draw_titles(const struct top_choice *choice, int width, char line[TOP_LINE_BYTES])
{
    const int rest = width - NAME_WIDTH - STATE_WIDTH - FIGURES_WIDTH - 4;
    const int local_width = rest >= 44 ? rest / 2 : 5, peer_width = rest - local_width;

    if (choice->view == TOP_CONNECTIONS)
        snprintf(line, TOP_LINE_BYTES, "%-*s %-*s %*s %-*s %s", NAME_WIDTH, "PROGRAM", STATE_WIDTH, "STATE", local_width,
                 local_width == 5 ? "PORT" : "LOCAL", peer_width, "PEER", FIGURES_TITLE);
    else
        snprintf(line, TOP_LINE_BYTES, "%7s %-*s %8s %7s %s", "PID", width - FIGURES_WIDTH - 7 - 8 - 7 - 4, "PROGRAM",
                 "SOCKETS", "LISTEN", FIGURES_TITLE);
}

/* How much a counter grew, a second. */
static double counter_rate(const struct top_history *history, const char *layer, const char *name)
{
    const double seconds = ((double)json_number(history->stats, "time_us") -
                            (double)json_number(history->old_stats, "time_us")) / 1e6;

    if (history->old_stats == NULL)
        return 0;
    return rate(json_number(json_object_get(history->stats, layer), name),
                json_number(json_object_get(history->old_stats, layer), name), seconds);
}

static void draw_header(const struct top_history *history, const struct top_choice *choice, struct top_picture *picture)
{
    const unsigned long long up_s = json_number(history->service, "uptime_s");
    char in[16], out[16], in_packets[16], out_packets[16], resent[16];
    unsigned established = 0, listening = 0, waiting = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct row *row = &history->items[i].row;

        established += row_is_tcp(row) && row->state == TCP_ESTABLISHED;
        listening += row->state == TCP_LISTEN;
        waiting += row->state == TCP_TIME_WAIT;
    }
    snprintf(picture->header[0], TOP_LINE_BYTES,
             "sidestack %s up %llu:%02llu:%02llu  %zu sockets: %u established, %u listening, %u time-wait",
             json_text(history->service, "name"), up_s / 3600, up_s / 60 % 60, up_s % 60, history->count, established,
             listening, waiting);
    snprintf(picture->header[1], TOP_LINE_BYTES, "wire in %sbit/s %s pkt/s  out %sbit/s %s pkt/s  resent %s/s  cpu %.0f%%",
             format_amount(counter_rate(history, "wire", "BytesIn") * 8, in),
             format_amount(counter_rate(history, "wire", "FramesIn"), in_packets),
             format_amount(counter_rate(history, "wire", "BytesOut") * 8, out),
             format_amount(counter_rate(history, "wire", "FramesOut"), out_packets),
             format_amount(counter_rate(history, "tcp", "TcpRetransSegs"), resent),
             (counter_rate(history, "loop", "CpuUserMicroseconds") + counter_rate(history, "loop", "CpuSystemMicroseconds")) /
                 1e4);
    snprintf(picture->header[2], TOP_LINE_BYTES, "%s by %s%s%s%s  (? for help)",
             choice->view == TOP_PROGRAMS ? "programs" : choice->shows_all ? "all sockets" : "connections",
             top_sort_name(choice->sort), choice->reversed ? ", reversed" : "",
             choice->filter_text[0] != '\0' ? "  filter: " : "", choice->filter_text);
}

int top_draw(const struct top_history *history, const struct top_choice *choice, int width, struct top_picture *picture)
{
    size_t count;
    struct entry *entries = collect(history, choice, &count);

    if (width > TOP_LINE_BYTES - 1)
        width = TOP_LINE_BYTES - 1;
    if (entries == NULL)
        return -ENOMEM;
    if (count > picture->capacity) {
        void *bigger = realloc(picture->lines, count * sizeof *picture->lines);

        if (bigger == NULL) {
            free(entries);
            return -ENOMEM;
        }
        picture->lines = bigger;
        picture->capacity = count;
    }
    picture->count = count;
    draw_header(history, choice, picture);
    draw_titles(choice, width, picture->titles);
    for (size_t i = 0; i < count; i++) {
        if (choice->view == TOP_PROGRAMS)
            draw_program(&entries[i], width, picture->lines[i]);
        else
            draw_connection(&entries[i], width, picture->lines[i]);
    }
    free(entries);
    return 0;
}

void top_picture_free(struct top_picture *picture)
{
    free(picture->lines);
    picture->lines = NULL;
}
