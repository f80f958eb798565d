/*
 * address.h - socket addresses, and other memory of the program's, in and out.
 */
#ifndef SIDESTACK_ADDRESS_H
#define SIDESTACK_ADDRESS_H

#include "service/protocol.h"

#include <sys/socket.h>

/* Can length bytes at address be read? Return: 0 or -EFAULT. errno is kept. */
int memory_check(const void *address, size_t length);

/* The address that a program gave to bind() or connect(), as it is: the service judges its length and family, in
 * Linux's order. Return: 0, -EINVAL for a length that no address has, -EFAULT. */
int address_copy_in(struct protocol_address *out, const struct sockaddr *address, socklen_t length);

/* Give an address to the program as the kernel does: cut to *length, and *length then says what it would have been.
 * Return: 0, -EINVAL for a negative length, -EFAULT. */
int address_copy_out(const struct protocol_address *in, struct sockaddr *address, socklen_t *length);

#endif
