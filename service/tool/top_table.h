/* top_table.h - what sidestack top shows, as lines of text: sockets or programs, with their rates, sorted. */
#ifndef SIDESTACK_TOP_TABLE_H
#define SIDESTACK_TOP_TABLE_H

#include "ask.h"
#include "filter.h"

#include <stdbool.h>
#include <stddef.h>

enum top_view { TOP_CONNECTIONS, TOP_PROGRAMS };

/* By what lines are sorted; a key each. */
enum top_sort { TOP_BY_IN, TOP_BY_OUT, TOP_BY_RTT, TOP_BY_RETRANSMITS, TOP_BY_SEND_Q, TOP_BY_RECEIVE_Q, TOP_BY_PROGRAM,
                TOP_SORT_COUNT };
const char *top_sort_name(enum top_sort sort);
/* Return: TOP_SORT_COUNT: there is none of this name. */
enum top_sort top_sort_find(const char *name);

/* What the user chose. */
struct top_choice {
    enum top_view view;
    enum top_sort sort;
    bool reversed;
    bool shows_all; /* those that listen, are closed or in TIME-WAIT, too */
    struct filter filter;
    char filter_text[256];
};

#define TOP_LINE_BYTES 512

/* One picture: the lines above the table, its titles, the table. */
#define TOP_HEADER_LINES 3
struct top_picture {
    char header[TOP_HEADER_LINES][TOP_LINE_BYTES];
    char titles[TOP_LINE_BYTES];
    char (*lines)[TOP_LINE_BYTES]; /* owned */
    size_t count, capacity;
};

/* What was seen last, to tell rates from. */
struct top_history;

/* Ask the service. Return: 0 or -errno, said on standard error. *history: what the call before made; NULL at first. */
int top_look(const struct service_path *path, struct top_history **history);

/* Draw what was seen. width: columns, at least 80. Return: 0 or -ENOMEM. */
int top_draw(const struct top_history *history, const struct top_choice *choice, int width, struct top_picture *picture);

void top_history_free(struct top_history *history);
void top_picture_free(struct top_picture *picture);

#endif
