/* address.c - addresses as they cross the process line, and as the stack has them. */
#include "address.h"

#include <errno.h>
#include <string.h>

int address_read(const struct protocol_address *from, union stack_address *address)
{
    memset(address, 0, sizeof *address);
    if (from->length < sizeof address->sa.sa_family || from->length > sizeof from->bytes)
        return -EINVAL;
    memcpy(address, from->bytes, from->length);
    return 0;
}

void address_write(struct protocol_address *to, const union stack_address *address)
{
    to->length = address->sa.sa_family == AF_INET    ? sizeof address->in
                 : address->sa.sa_family == AF_INET6 ? sizeof address->in6
                                                     : 0;
    memcpy(to->bytes, address, to->length);
}

uint16_t address_port(const union stack_address *address)
{
    return ntohs(address->sa.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port);
}
