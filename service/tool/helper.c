/* helper.c - subcommands that are programs of their own: sidestack-NAME, which come with this one. */
#include "sidestack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

int sidestack_helper(int argc, char **argv)
{
    char name[64], path[PATH_BYTES];
    int error;

    (void)argc;
    snprintf(name, sizeof name, "sidestack-%s", strchr(argv[0], ' ') + 1); /* "sidestack top" */
    error = sidestack_find_installed(name, path, sizeof path);
    if (error == 0) {
        execv(path, argv);
        error = -errno;
    }
    fprintf(stderr, "%s: %s: %s; it comes with sidestack, is it installed whole?\n", argv[0], path, strerror(-error));
    return SIDESTACK_EXIT_CANNOT;
}
