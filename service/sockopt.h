/* sockopt.h - getsockopt(2) and setsockopt(2) for what the pair itself does not hold. */
#ifndef SIDESTACK_SOCKOPT_H
#define SIDESTACK_SOCKOPT_H

#include "socket.h"

/* The options of a new socket. */
void sockopt_set_defaults(struct socket_options *options);

/* The options of a connection that was accepted: the listening socket's, but for those that Linux does not pass on. */
void sockopt_inherit(struct socket_options *options, const struct socket_options *listener);

/* Both: args[0] level, args[1] name, as protocol.h says. Return: 0 or -errno as Linux gives it. */
int sockopt_get(const struct socket *socket, const struct protocol_message *request,
                struct protocol_message *reply);
int sockopt_set(struct socket *socket, const struct protocol_message *request);

#endif
