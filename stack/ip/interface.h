/*
 * interface.h - the stack's interfaces, addresses and routes, as the service sees them.
 *
 * There are two interfaces, as in a network namespace with one device: the loopback (127/8, ::1) and the wire. The
 * rules of stack.h hold.
 */
#ifndef SIDESTACK_INTERFACE_H
#define SIDESTACK_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/stack.h"

#define STACK_INTERFACE_LOOP 1u /* the indexes */
#define STACK_INTERFACE_WIRE 2u
#define STACK_INTERFACE_COUNT 2u

#define STACK_ADDRESSES_MAX 16 /* on the wire, of each family, those that are learned included */
#define STACK_ROUTES_MAX 32    /* of each family */

#define STACK_NAME_SERVERS_MAX 24 /* learned: 8 of each source */
#define STACK_DOMAINS_MAX 24

/* An address with the length of its network's prefix. The port and the scope are 0. */
struct stack_prefix {
    union stack_address address;
    uint8_t bits;
};

/* To a network by way of a neighbour; 0 bits: the default route. */
struct stack_route {
    struct stack_prefix to;
    union stack_address via;
};

struct stack_interface {
    unsigned index;
    char name[IF_NAMESIZE];
    unsigned flags; /* IFF_* */
    unsigned mtu;
    uint8_t mac[6]; /* all zero: the loopback */
    uint64_t packets_in, bytes_in, dropped_in, packets_out, bytes_out, dropped_out;
};

/* An address that an interface has. */
struct stack_interface_address {
    unsigned interface; /* index */
    struct stack_prefix prefix;
    unsigned flags; /* IFA_F_* of <linux/if_addr.h> */
};

/* Return: 0, or -ENODEV when there is no such interface. */
int stack_get_interface(unsigned index, struct stack_interface *interface);

/* All addresses: those of IPv4, the loopback's first, then the wire's as they were given; then those of IPv6. Return:
 * how many there are, which may be more than max. */
size_t stack_get_addresses(struct stack_interface_address *addresses, size_t max);

/* Does the stack have what the network was asked for (stack_config.dhcp, stack_config.slaac)? */
bool stack_is_configured(void);

/* Put these addresses in place of those of stack_config; what stays the same is left alone, and what the network gave,
 * too. Connections from an address that goes hear nothing any more. Return: 0, -EEXIST, -ENOSPC; some may be missing
 * then. */
int stack_set_addresses(const struct stack_prefix *addresses, size_t count);

/* Put these routes in place of those of stack_config. Return: 0, -EEXIST (IPv6: two to one network), -ENOSPC; some may
 * be missing then. */
int stack_set_routes(const struct stack_route *routes, size_t count);

/* The name servers that the network told us of, the ones to ask first first. The port is 0. Return: how many, at most
 * max. */
size_t stack_get_name_servers(union stack_address *servers, size_t max);

/* The domains in which to search for names, as the network told us; valid until the next change. Return: how many, at
 * most max. */
size_t stack_get_domains(const char **domains, size_t max);

#endif
