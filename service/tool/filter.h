/*
 * filter.h - which sockets: filters as ss(8) has them.
 *
 *     [state STATE | exclude STATE]... [EXPRESSION]
 *
 * EXPRESSION: predicates with and, or, not and parentheses; two that stand side by side are joined by "and".
 *     src|dst [OP] PREFIX[:PORT]    sport|dport OP :PORT    pid [=] N    prog [=] NAME    user [=] UID    id [=] N
 */
#ifndef SIDESTACK_FILTER_H
#define SIDESTACK_FILTER_H

#include "row.h"

struct filter_node;

struct filter {
    unsigned states; /* a bit for each; 0: none was named */
    struct filter_node *root; /* owned; NULL: everything */
};

/* All states; those that ss shows by itself. */
#define FILTER_STATES_ALL 0xffeu
unsigned filter_states_connected(void);

/* Read the words of a command line. Return: 0, or -EINVAL with a message for people. */
int filter_parse(struct filter *filter, int count, char **words, char *message, size_t size);

/* Does the expression hold? States are the caller's to compare. */
bool filter_matches(const struct filter *filter, const struct row *row);

void filter_free(struct filter *filter);

#endif
