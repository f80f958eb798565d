/*
 * control_path.c - where the service's control socket is.
 */
#include "control_path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define SYSTEM_DIRECTORY "/run"

bool control_name_is_plain(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    return *name != '\0' && name[strspn(name, allowed)] == '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Append text to path at *length. Return: does it fit, with the terminating zero? */
static bool append(char *path, size_t size, size_t *length, const char *text)
{
    size_t more = strlen(text);

    if (more >= size - *length)
        return false;
    memcpy(path + *length, text, more + 1);
    *length += more;
    return true;
}

/* The path below a runtime directory. Return: as control_path_of_name(). */
static int path_in(const char *directory, const char *name, char *path, size_t size)
{
    size_t length = 0;

    if (!control_name_is_plain(name))
        return -EINVAL;
    if (directory == NULL || directory[0] != '/')
        return -ENOENT;
    if (size == 0 || !append(path, size, &length, directory) || !append(path, size, &length, "/sidestack/") ||
        !append(path, size, &length, name) || !append(path, size, &length, ".sock"))
        return -ENAMETOOLONG;
    return 0;
}

int control_path_of_name(const char *name, char *path, size_t size)
{
    return path_in(geteuid() == 0 ? SYSTEM_DIRECTORY : getenv("XDG_RUNTIME_DIR"), name, path, size);
}

int control_path_find(const char *name, char *path, size_t size)
{
    int error = control_path_of_name(name, path, size);
    int saved_errno = errno;
    char shared[sizeof(((struct sockaddr_un *)0)->sun_path)];

    if (geteuid() != 0 && (error < 0 || access(path, F_OK) < 0) && path_in(SYSTEM_DIRECTORY, name, shared, sizeof shared) == 0 &&
        access(shared, F_OK) == 0 && strlen(shared) < size) {
        memcpy(path, shared, strlen(shared) + 1);
        error = 0;
    }
    errno = saved_errno;
    return error;
}

int control_path_from_environment(char *path, size_t size)
{
    const char *value = getenv("SIDESTACK_SOCKET");
    size_t length = 0;

    if (value != NULL && *value != '\0')
        return size > 0 && append(path, size, &length, value) ? 0 : -ENAMETOOLONG;
    value = getenv("SIDESTACK_NAME");
    return control_path_find(value != NULL && *value != '\0' ? value : CONTROL_NAME_DEFAULT, path, size);
}
