/* ss_text.h - one socket in the words of ss(8). */
#ifndef SIDESTACK_SS_TEXT_H
#define SIDESTACK_SS_TEXT_H

#include "row.h"

#include <stdio.h>

/* What of a socket is shown. */
struct ss_show {
    bool numeric, resolve, processes, info, timers, extended, memory, one_line, no_header;
    bool netid, state; /* columns; ss leaves out one that says the same in each line */
};

/* The address column, without and with its port. */
void ss_format_address(const struct row *row, const struct row_address *address, bool resolve, char *text, size_t size);
void ss_format_port(const struct row *row, const struct row_address *address, bool numeric, char *text, size_t size);

/* What stands behind the columns: users:(...), timer:(...), uid:..., and the figures. */
void ss_print_details(FILE *out, const struct row *row, const struct ss_show *show);

#endif
