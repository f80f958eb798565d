/* names.h - what programs ask about the stack in order to look up names: requests that need no name server. */
#ifndef SIDESTACK_NAMES_H
#define SIDESTACK_NAMES_H

#include "service/protocol.h"

/* PROTOCOL_RESOLVER. Return: 0. */
int names_describe(struct protocol_message *reply);

/* PROTOCOL_ROUTES. Return: 0 or -EINVAL. */
int names_find_routes(const struct protocol_message *request, struct protocol_message *reply);

#endif
