/* sockaddr.h - between the addresses of sockets and those of lwIP. */
#ifndef SIDESTACK_SOCKADDR_H
#define SIDESTACK_SOCKADDR_H

#include "lwip_api.h"

/*
 * Read a socket's address. A v4-mapped one becomes an IPv4 address; a link-local one gets its scope's zone, or none
 * when the scope is 0. Return: 0, -EAFNOSUPPORT, -ENODEV (no interface has this scope).
 */
int sockaddr_read(const union stack_address *from, ip_addr_t *to);

/* Write an address as a socket of this family shows it: IPv4 addresses v4-mapped on AF_INET6. port: host byte order. */
void sockaddr_write(const ip_addr_t *from, uint16_t port, int family, union stack_address *to);

/* Return: the port, in host byte order. */
uint16_t sockaddr_port(const union stack_address *address);

/* The unspecified address of a family; of AF_INET6 the one that stands for both. */
ip_addr_t sockaddr_any(int family);

/* Is it 0.0.0.0 or ::? */
static inline bool sockaddr_is_any(const ip_addr_t *address)
{
    return IP_IS_ANY_TYPE_VAL(*address) || ip_addr_isany_val(*address);
}

/* Return: 32 bits that depend on all of the address but for its zone. */
uint32_t sockaddr_fold(const ip_addr_t *address);

#endif
