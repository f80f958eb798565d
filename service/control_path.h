/* control_path.h - where the service's control socket is. Shared by the daemon, the tools and the library. */
#ifndef SIDESTACK_CONTROL_PATH_H
#define SIDESTACK_CONTROL_PATH_H

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_NAME_DEFAULT "default"

/* Is this one plain file name, of letters, digits, '.', '_' and '-', and not a directory's own? So must a service's
 * name be. */
bool control_name_is_plain(const char *name);

/*
 * Write the path of the control socket of the service called name into path: /run/sidestack/NAME.sock for root,
 * $XDG_RUNTIME_DIR/sidestack/NAME.sock otherwise. name must be one plain file name ([A-Za-z0-9._-], not "." or "..").
 * Safe in a stranger's process: no allocation, no stdio.
 * Return: 0, -EINVAL for a bad name, -ENOENT when there is no runtime directory, -ENAMETOOLONG when it does not fit.
 */
int control_path_of_name(const char *name, char *path, size_t size);

/*
 * Where a program finds the service called name: as above, but when a user has none of that name, the system's (in
 * /run/sidestack) if there is one.
 */
int control_path_find(const char *name, char *path, size_t size);

/*
 * What a program should use: SIDESTACK_SOCKET (a path), else SIDESTACK_NAME, else the default name.
 * Return: as control_path_of_name().
 */
int control_path_from_environment(char *path, size_t size);

#endif
