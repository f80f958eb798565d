/* helper.c - subcommands that are programs of their own: sidestack-NAME, beside this one as built, else where `make install` puts it. */
#include "sidestack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

int sidestack_helper(int argc, char **argv)
{
    const char *name = strchr(argv[0], ' ') + 1; /* "sidestack top" */
    char path[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    (void)argc;
    path[length > 0 ? length : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash != NULL && (size_t)(slash + 1 - path) + strlen("sidestack-") + strlen(name) < sizeof path) {
        sprintf(slash + 1, "sidestack-%s", name);
        execv(path, argv);
    }
    snprintf(path, sizeof path, "%s/sidestack-%s", SIDESTACK_LIBDIR, name);
    execv(path, argv);
    fprintf(stderr, "%s: %s: %s\n", argv[0], path, strerror(errno));
    return SIDESTACK_EXIT_CANNOT;
}
