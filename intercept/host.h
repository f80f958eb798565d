/* host.h - a socket that the rules send to the kernel's network. */
#ifndef SIDESTACK_INTERCEPT_HOST_H
#define SIDESTACK_INTERCEPT_HOST_H

#include "service/protocol.h"

#include <stdbool.h>
#include <sys/socket.h>

/* The service's answer about fd was -PROTOCOL_ON_HOST, this is its reply: put a socket of the kernel's in fd's place,
 * with all that the program has told the old one. Return: 0: fd is the kernel's now, or -errno: nothing has changed. */
int host_move(int fd, const struct protocol_message *reply);

/* The same, and connect it. Without waiting if the program does not, before anyone can see the new socket: in an epoll
 * set it is never one that is neither connected nor connecting. Return: as connect(2) or -errno. */
int host_move_and_connect(int fd, const struct protocol_message *reply, const struct sockaddr *address, socklen_t length);

#endif
