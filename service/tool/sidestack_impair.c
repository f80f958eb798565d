/* sidestack_impair.c - asks a running service to make its wire a bad one. */
#include "ask.h"
#include "sidestack.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Print a message. Return: SIDESTACK_EXIT_USAGE. */
static int fail(const char *what, int error)
{
    fprintf(stderr, "sidestack impair: %s%s%s\n", what, error < 0 ? ": " : "", error < 0 ? strerror(-error) : "");
    return SIDESTACK_EXIT_USAGE;
}

int sidestack_impair(int argc, char **argv)
{
    static const struct option options[] = {
        ASK_OPTIONS, {NULL, 0, NULL, 0}};
    struct protocol_message message = {.operation = PROTOCOL_IMPAIR};
    struct service_path path = {""};
    int option, error = 0;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == '?')
            return SIDESTACK_EXIT_USAGE; /* getopt_long() said why */
        error = service_path_set(&path, option, optarg);
    }
    if (error == 0)
        error = service_path_complete(&path);
    if (error < 0)
        return fail("can't tell where the service is", error);
    if (optind + 1 < argc)
        return fail("one list of settings, with commas (sidestack --help)", 0);
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
