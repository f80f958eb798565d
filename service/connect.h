/* connect.h - a socket's way from connect(2) to an established connection, or to an error. */
#ifndef SIDESTACK_CONNECT_H
#define SIDESTACK_CONNECT_H

#include "socket.h"

/*
 * connect(2). program_fd is the program's end, still the caller's. Return: -EINPROGRESS when it began or goes on and
 * the caller may wait for it (socket->waiters), -EALREADY when it went on already; 0, -EISCONN or the errno of an
 * attempt that has ended; -ESTALE when the socket has a new pair, whose end for the program is in socket->program_fd.
 */
int connect_begin(struct socket *socket, const union stack_address *peer, int program_fd);

/* connect(2) with AF_UNSPEC: end what is there; the socket is as new. Return: 0 when there was nothing, or as
 * connect_renew(). */
int connect_dissolve(struct socket *socket);

/* Give a socket whose pair is used up a new one. Return: -ESTALE, its end for the program in socket->program_fd, or
 * another -errno. */
int connect_renew(struct socket *socket);

/* Callbacks of the stack. */
void connect_established(void *owner);
void connect_failed(struct socket *socket, int error);

#endif
