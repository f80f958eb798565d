/* control_socket.h - the listening socket at which programs find the service. */
#ifndef SIDESTACK_CONTROL_SOCKET_H
#define SIDESTACK_CONTROL_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

/* Who may connect: who may write it. */
struct control_access {
    uid_t user;
    gid_t group;
    mode_t mode;
};
#define CONTROL_MODE_DEFAULT 0660

/*
 * The socket that systemd hands over (LISTEN_FDS, sd_listen_fds(3)), or else a new one: bind and listen at path, making
 * its directory if that is missing and clearing away what a dead service left. access is for a new one. Return: the
 * descriptor, -EADDRINUSE when a service answers there, -ENOTSOCK or -EPROTOTYPE when systemd handed over something
 * else, or -errno.
 */
int control_socket_open(const char *path, const struct control_access *access);

/* Does systemd listen there on, too? The descriptor may come from another service that knows (takeover). */
bool control_socket_is_systemds(void);
void control_socket_set_systemds(bool is_systemds);

/* Close it and remove the path, unless it is systemd's. */
void control_socket_close(int fd, const char *path);

#endif
