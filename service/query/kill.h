/* kill.h - PROTOCOL_KILL: end connections from outside. */
#ifndef SIDESTACK_KILL_H
#define SIDESTACK_KILL_H

#include "service/protocol.h"

#include <sys/types.h>

struct program;

/* Return: 0 or the first error; reply->args[0]: how many ended. */
int kill_sockets(const struct protocol_message *request, struct protocol_message *reply, const struct program *program);

#endif
