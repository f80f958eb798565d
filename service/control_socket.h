/* control_socket.h - the listening socket at which programs find the service. */
#ifndef SIDESTACK_CONTROL_SOCKET_H
#define SIDESTACK_CONTROL_SOCKET_H

#include "protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/* What comes by way of it; counted by client.c and client_request.c. */
struct control_counters {
    size_t open;                           /* control connections now */
    uint64_t connections, refused, broken; /* since the start; broken: closed because what they said made no sense */
    uint64_t requests[PROTOCOL_OPERATION_COUNT];
    uint64_t errors[PROTOCOL_OPERATION_COUNT]; /* of these, answered with an error */
};
extern struct control_counters control_counters;

/* Does systemd listen there on, too? The descriptor may come from another service that knows (takeover). */
bool control_socket_is_systemds(void);
void control_socket_set_systemds(bool is_systemds);

/* Close it and remove the path, unless it is systemd's. */
void control_socket_close(int fd, const char *path);

#endif
