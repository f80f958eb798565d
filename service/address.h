/* address.h - addresses as they cross the process line, and as the stack has them. */
#ifndef SIDESTACK_SERVICE_ADDRESS_H
#define SIDESTACK_SERVICE_ADDRESS_H

#include "protocol.h"
#include "stack/stack.h"

/* Linux takes an IPv6 address without its scope too (SIN6_LEN_RFC2133). */
#define ADDRESS_LENGTH6_MIN 24

/* Copy what the program gave, the rest is zero. Return: 0, or -EINVAL when it is too short to have a family. */
int address_read(const struct protocol_address *from, union stack_address *address);

/* The inverse; AF_UNSPEC: none. */
void address_write(struct protocol_address *to, const union stack_address *address);

/* The port of an address of either family, in host byte order. */
uint16_t address_port(const union stack_address *address);

#endif
