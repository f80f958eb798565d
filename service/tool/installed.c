/* installed.c - the files that belong to the command. */
#include "sidestack.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int sidestack_find_installed(const char *name, char *path, size_t size)
{
    static const char *const places[] = {"", "../lib/sidestack/"};
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);

    if (length < 0)
        return -errno;
    own[length] = '\0';
    strrchr(own, '/')[1] = '\0'; /* the kernel's answer is absolute */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char real[PATH_MAX];

        if ((size_t)snprintf(path, size, "%s%s%s", own, places[i], name) >= size)
            return -ENAMETOOLONG;
        if (realpath(path, real) != NULL && access(real, R_OK) == 0)
            return (size_t)snprintf(path, size, "%s", real) < size ? 0 : -ENAMETOOLONG;
    }
    return -errno;
}
