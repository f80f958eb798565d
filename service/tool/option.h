/* option.h - the options that all tools have, beside their own. */
#ifndef SIDESTACK_OPTION_H
#define SIDESTACK_OPTION_H

#include "ask.h"

#include <getopt.h>

#define TOOL_OPTION_HELP 0x4e02
/* The end of a tool's options: those of ask.h, --help, and the end. */
#define TOOL_OPTIONS_END {"help", no_argument, NULL, TOOL_OPTION_HELP}, {NULL, 0, NULL, 0}
#define TOOL_OPTIONS ASK_OPTIONS, TOOL_OPTIONS_END

struct tool_options {
    const char *command; /* how messages begin */
    const char *usage;   /* what --help prints */
    const char *letters; /* for getopt_long() */
    const struct option *options;
    struct service_path *path; /* set when all are read; NULL: of no service */
};

/* The next option that is the tool's own. Return: as getopt_long(), -1 when all are read; '?': the tool is to end with
 * *status, and all is said. */
int tool_next_option(const struct tool_options *tool, int argc, char **argv, int *status);

#endif
