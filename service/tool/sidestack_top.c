/* sidestack_top.c - the connections and programs of a running service, live, in a terminal; or as text, with -b. */
#include "option.h"
#include "sidestack.h"
#include "top_table.h"

#include <curses.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "sidestack top"
#define WIDTH_MIN 80
#define BATCH_WIDTH 120
#define KEY_ESCAPE 27

static const char usage[] =
    "usage: sidestack top [OPTION...] [FILTER]\n"
    "Shows the connections of a running sidestackd, or its programs, with their rates, live. FILTER is that of sidestack ss.\n"
    "\n"
    "  -d, --delay SECONDS  between two looks (1)\n"
    "  -o, --sort KEY       in, out, rtt, retrans, send-q, recv-q or program\n"
    "  -p, --programs       programs instead of connections\n"
    "  -a, --all            sockets that listen, are closed or in TIME-WAIT, too\n"
    "  -b, --batch          text instead of a terminal's screen\n"
    "  -n, --count N        end after N looks\n"
    ASK_HELP
    "      --help           this text\n"
    "\n"
    "In the terminal, ? tells the keys.\n";

static const char *const help[] = {
    "  q           end",
    "  Tab, p      connections or programs",
    "  a           sockets that listen, are closed or in TIME-WAIT, too",
    "  i o r t     sort by bits in, bits out, round trip, retransmissions",
    "  s v n       sort by send queue, receive queue, program",
    "  < >         sort by the column to the left, to the right",
    "  R           the other way round",
    "  /           filter, as of sidestack ss: dport = :443 and not src 10.0.0.0/8, prog nginx",
    "  d           seconds between two looks",
    "  arrows, PgUp, PgDn, Home    scroll",
    "  Space       look now",
    "",
    "  RTT is smoothed, of a program the mean; RETR counts segments that were sent again;",
    "  RECVQ and SENDQ are what waits for the program to read, for the peer to acknowledge.",
    "",
    "  Any key goes back.",
};
#define HELP_LINES (sizeof help / sizeof *help)

struct top {
    struct service_path path;
    struct top_choice choice;
    struct top_history *history;
    struct top_picture picture;
    double delay_s;
    unsigned long count; /* 0: no end */
    bool batch;
    size_t first;     /* line of the table at the top of the screen */
    bool shows_help;
    char message[160]; /* at the bottom, until the next key */
};

/* ---- the screen ---- */

static size_t rows_of_table(void)
{
    return LINES > TOP_HEADER_LINES + 2 ? (size_t)(LINES - TOP_HEADER_LINES - 2) : 0;
}

static void draw(struct top *top)
{
    const size_t rows = rows_of_table();

    if (top_draw(top->history, &top->choice, COLS > WIDTH_MIN ? COLS : WIDTH_MIN, &top->picture) < 0)
        return;
    if (top->first >= top->picture.count)
        top->first = top->picture.count > 0 ? top->picture.count - 1 : 0;
    erase();
    for (int i = 0; i < TOP_HEADER_LINES; i++)
        mvaddnstr(i, 0, top->picture.header[i], COLS);
    attron(A_REVERSE);
    mvprintw(TOP_HEADER_LINES, 0, "%-*.*s", COLS, COLS, top->shows_help ? "KEYS" : top->picture.titles);
    attroff(A_REVERSE);
    for (size_t i = 0; top->shows_help && i < HELP_LINES && i < rows; i++)
        mvaddnstr(TOP_HEADER_LINES + 1 + (int)i, 0, help[i], COLS);
    for (size_t i = 0; !top->shows_help && i < rows && top->first + i < top->picture.count; i++)
        mvaddnstr(TOP_HEADER_LINES + 1 + (int)i, 0, top->picture.lines[top->first + i], COLS);
    mvaddnstr(LINES - 1, 0, top->message, COLS);
    refresh();
}

/* Have a line typed at the bottom. Return: false when it was given up. */
static bool read_line(const char *prompt, char *text, size_t size)
{
    int result;

    move(LINES - 1, 0);
    clrtoeol();
    addstr(prompt);
    echo();
    curs_set(1);
    timeout(-1);
    result = getnstr(text, (int)size - 1);
    noecho();
    curs_set(0);
    return result == OK;
}

static void ask_for_filter(struct top *top)
{
    char text[sizeof top->choice.filter_text], *words[] = {text};
    struct filter filter;

    if (!read_line("filter: ", text, sizeof text))
        return;
    if (filter_parse(&filter, 1, words, top->message, sizeof top->message) < 0)
        return;
    filter_free(&top->choice.filter);
    top->choice.filter = filter;
    snprintf(top->choice.filter_text, sizeof top->choice.filter_text, "%s", text);
    top->first = 0;
}

static bool read_delay(const char *text, double *delay_s)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0.1 && value <= 86400))
        return false;
    *delay_s = value;
    return true;
}

static void ask_for_delay(struct top *top)
{
    char text[32];

    if (read_line("seconds: ", text, sizeof text) && !read_delay(text, &top->delay_s))
        snprintf(top->message, sizeof top->message, "'%.20s' is no number of seconds from 0.1 to 86400", text);
}

static void scroll_by(struct top *top, long lines)
{
    long first = (long)top->first + lines;

    top->first = first < 0 ? 0 : (size_t)first;
}

static void sort_by(struct top *top, enum top_sort sort)
{
    top->choice.sort = sort;
    top->first = 0;
}

/* Do what a key stands for. Return: false: it was the end. *look: look now. */
static bool handle_key(struct top *top, int key, bool *look)
{
    top->message[0] = '\0';
    if (top->shows_help) {
        top->shows_help = key == KEY_RESIZE;
        return true;
    }
    switch (key) {
    case 'q': case 'Q': return false;
    case '?': case 'h': top->shows_help = true; break;
    case '\t': case 'p':
        top->choice.view = top->choice.view == TOP_PROGRAMS ? TOP_CONNECTIONS : TOP_PROGRAMS;
        top->first = 0;
        break;
    case 'a': top->choice.shows_all = !top->choice.shows_all; break;
    case 'i': sort_by(top, TOP_BY_IN); break;
    case 'o': sort_by(top, TOP_BY_OUT); break;
    case 'r': sort_by(top, TOP_BY_RTT); break;
    case 't': sort_by(top, TOP_BY_RETRANSMITS); break;
    case 's': sort_by(top, TOP_BY_SEND_Q); break;
    case 'v': sort_by(top, TOP_BY_RECEIVE_Q); break;
    case 'n': sort_by(top, TOP_BY_PROGRAM); break;
    case '<': sort_by(top, (top->choice.sort + TOP_SORT_COUNT - 1) % TOP_SORT_COUNT); break;
    case '>': sort_by(top, (top->choice.sort + 1) % TOP_SORT_COUNT); break;
    case 'R': top->choice.reversed = !top->choice.reversed; break;
    case '/': ask_for_filter(top); break;
    case 'd': ask_for_delay(top); *look = true; break;
    case ' ': *look = true; break;
    case KEY_UP: scroll_by(top, -1); break;
    case KEY_DOWN: scroll_by(top, 1); break;
    case KEY_PPAGE: scroll_by(top, -(long)rows_of_table()); break;
    case KEY_NPAGE: scroll_by(top, (long)rows_of_table()); break;
    case KEY_HOME: top->first = 0; break;
    }
    return true;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Show pictures and heed keys until the end. Return: 0 or -errno; the screen is as it was then. */
static int run_screen(struct top *top)
{
    double next_s = now_s() + (top->delay_s < 0.3 ? top->delay_s : 0.3); /* the first rates soon */
    unsigned long looks = 1;
    bool goes_on = true;
    int error = 0;

    setlocale(LC_ALL, "");
    if (initscr() == NULL)
        return -ENOTTY;
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    set_escdelay(50);
    while (goes_on && error == 0) {
        double wait_s = next_s - now_s();
        bool look = wait_s <= 0;
        int key;

        draw(top);
        timeout(wait_s > 0 ? (int)(wait_s * 1000) + 1 : 0);
        key = getch();
        if (key != ERR)
            goes_on = handle_key(top, key, &look);
        if (!look || !goes_on)
            continue;
        if (looks == top->count)
            break;
        looks++;
        error = top_look(&top->path, &top->history);
        next_s = now_s() + top->delay_s;
    }
    endwin();
    if (error < 0) /* what was said before is not on the screen any more */
        fprintf(stderr, COMMAND ": %s: the service is gone: %s\n", top->path.text, strerror(-error));
    return error;
}

/* Return: 0 or -errno. */
static int run_batch(struct top *top)
{
    const struct timespec pause = {(time_t)top->delay_s, (long)((top->delay_s - (double)(time_t)top->delay_s) * 1e9)};
    int error = 0;

    for (unsigned long i = 0; error == 0 && (top->count == 0 || i < top->count); i++) {
        if (nanosleep(&pause, NULL) < 0)
            return 0;
        error = top_look(&top->path, &top->history);
        if (error == 0)
            error = top_draw(top->history, &top->choice, BATCH_WIDTH, &top->picture);
        if (error < 0)
            break;
        for (int line = 0; line < TOP_HEADER_LINES; line++)
            puts(top->picture.header[line]);
        puts(top->picture.titles);
        for (size_t line = 0; line < top->picture.count; line++)
            puts(top->picture.lines[line]);
        puts("");
        if (fflush(stdout) != 0)
            return 0; /* nobody reads any more */
    }
    return error;
}

/* ---- the command line ---- */

/* Return: 0, or -EINVAL after saying why. */
static int read_option(struct top *top, int option)
{
    char *end;

    switch (option) {
    case 'd':
        if (read_delay(optarg, &top->delay_s))
            return 0;
        fprintf(stderr, COMMAND ": '%s' is no number of seconds from 0.1 to 86400\n", optarg);
        return -EINVAL;
    case 'o':
        top->choice.sort = top_sort_find(optarg);
        if (top->choice.sort != TOP_SORT_COUNT)
            return 0;
        fprintf(stderr, COMMAND ": '%s': in, out, rtt, retrans, send-q, recv-q and program can be sorted by\n", optarg);
        return -EINVAL;
    case 'n':
        top->count = strtoul(optarg, &end, 10);
        if (*end == '\0' && top->count > 0)
            return 0;
        fprintf(stderr, COMMAND ": '%s' is no count\n", optarg);
        return -EINVAL;
    case 'p': top->choice.view = TOP_PROGRAMS; return 0;
    case 'a': top->choice.shows_all = true; return 0;
    case 'b': top->batch = true; return 0;
    }
    return 0;
}

/* Return: 0 or -EINVAL, said. */
static int read_filter(struct top *top, int count, char **words)
{
    char message[512];
    size_t length = 0;

    if (filter_parse(&top->choice.filter, count, words, message, sizeof message) < 0) {
        fprintf(stderr, COMMAND ": %s\n", message);
        return -EINVAL;
    }
    for (int i = 0; i < count && length < sizeof top->choice.filter_text; i++) {
        int n = snprintf(top->choice.filter_text + length, sizeof top->choice.filter_text - length, "%s%s",
                         i > 0 ? " " : "", words[i]);

        length += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int sidestack_top(int argc, char **argv)
{
    static const struct option options[] = {{"delay", required_argument, NULL, 'd'}, {"sort", required_argument, NULL, 'o'},
                                            {"programs", no_argument, NULL, 'p'}, {"all", no_argument, NULL, 'a'},
                                            {"batch", no_argument, NULL, 'b'}, {"count", required_argument, NULL, 'n'}, TOOL_OPTIONS};
    struct top top = {.delay_s = 1};
    const struct tool_options tool = {COMMAND, usage, "d:o:pabn:", options, &top.path};
    int option, status, error = 0;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1)
        if (option == '?' || read_option(&top, option) < 0)
            return status;
    if (read_filter(&top, argc - optind, argv + optind) < 0)
        return SIDESTACK_EXIT_USAGE;
    if (!top.batch && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))) {
        fputs(COMMAND ": this is no terminal: -b for text\n", stderr);
        error = -ENOTTY;
    }
    if (error == 0)
        error = top_look(&top.path, &top.history);
    if (error == 0)
        error = top.batch ? run_batch(&top) : run_screen(&top);
    top_history_free(top.history);
    top_picture_free(&top.picture);
    filter_free(&top.choice.filter);
    return error < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
