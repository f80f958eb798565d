/* interface_list.h - what a program sees of the stack's interfaces. */
#ifndef SIDESTACK_INTERFACE_LIST_H
#define SIDESTACK_INTERFACE_LIST_H

#include "protocol.h"

/* PROTOCOL_INTERFACES. Return: 0, -EINVAL. */
int interface_list_get(const struct protocol_message *request, struct protocol_message *reply);

#endif
