/* sidestack_impair.c - asks a running service to make its wire a bad one. */
#include "ask.h"
#include "option.h"
#include "sidestack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Print a message. Return: SIDESTACK_EXIT_USAGE. */
static const char usage[] =
    "usage: sidestack impair [OPTION...] [LIST]\n"
    "Makes the wire of a running sidestackd as bad as LIST says (\"none\": a good one again), and prints how bad it is now.\n"
    "For root and the user that the service runs as. LIST is a list with commas of delay=TIME, jitter=TIME, loss=N%, duplicate=N%,\n"
    "reorder=N%, corrupt=N%, rate=RATE, queue=FRAMES, ecn and seed=N; in: or out: before a name: in that direction alone.\n"
    "\n"
    ASK_HELP
    "      --help          this text\n"
    "\n"
    "  sidestack impair delay=20ms,jitter=5ms,loss=1%,in:rate=10mbit\n";

static int fail(const char *what, int error)
{
    fprintf(stderr, "sidestack impair: %s%s%s\n", what, error < 0 ? ": " : "", error < 0 ? strerror(-error) : "");
    return SIDESTACK_EXIT_USAGE;
}

int sidestack_impair(int argc, char **argv)
{
    static const struct option options[] = {TOOL_OPTIONS};
    struct protocol_message message = {.operation = PROTOCOL_IMPAIR};
    struct service_path path = {""};
    const struct tool_options tool = {"sidestack impair", usage, "+", options, &path};
    int status, error;

    if (tool_next_option(&tool, argc, argv, &status) != -1)
        return status;
    if (optind + 1 < argc)
        return fail("one list of settings, with commas (sidestack impair --help)", 0);
    if (optind < argc) {
        size_t length = strlen(argv[optind]);

        if (length == 0 || length > sizeof message.option)
            return fail("the list is empty or too long", 0);
        message.option_length = (uint32_t)length;
        memcpy(message.option, argv[optind], length);
    }
    error = ask_service(&path, &message, NULL, 0, NULL);
    if (error < 0)
        return fail(path.text, error);
    if (message.result == -EINVAL) {
        fprintf(stderr, "sidestack impair: not understood: '%.*s'\n", (int)message.option_length, message.option);
        return SIDESTACK_EXIT_USAGE;
    }
    if (message.result < 0)
        return fail("the service says no", message.result);
    printf("%.*s\n", (int)message.option_length, message.option);
    return EXIT_SUCCESS;
}
