/* option.c - the options that all tools have, beside their own. */
#include "option.h"

#include "sidestack.h"

#include <stdlib.h>

int tool_next_option(const struct tool_options *tool, int argc, char **argv, int *status)
{
    int option, error = 0;

    *status = SIDESTACK_EXIT_USAGE;
    do {
        option = getopt_long(argc, argv, tool->letters, tool->options, NULL);
        if (option == ASK_OPTION_NAME || option == ASK_OPTION_SOCKET)
            error = service_path_set(tool->path, option, optarg);
    } while (error == 0 && (option == ASK_OPTION_NAME || option == ASK_OPTION_SOCKET));
    if (option == TOOL_OPTION_HELP) {
        fputs(tool->usage, stdout);
        *status = EXIT_SUCCESS;
        return '?';
    }
    if ((error < 0 || option == -1) && tool->path != NULL && service_path_settle(tool->path, tool->command, error) < 0)
        return '?';
    return option;
}
