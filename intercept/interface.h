/* interface.h - the stack's interfaces, as the program sees them. */
#ifndef SIDESTACK_INTERCEPT_INTERFACE_H
#define SIDESTACK_INTERCEPT_INTERFACE_H

#include "service/protocol.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

/* More than the stack has: 2 interfaces, and 17 addresses of each family. */
#define INTERFACE_ENTRIES_MAX 48

struct interface_list {
    size_t count;
    struct protocol_interface entries[INTERFACE_ENTRIES_MAX]; /* in the order of PROTOCOL_INTERFACES */
};

/* Ask the service. Return: 0; -ENETDOWN when there is none, or another -errno. errno is kept. */
int interface_get_list(struct interface_list *list);

/* Return: the interface of this name, or index; NULL when there is none. A name is compared up to IF_NAMESIZE - 1
 * bytes. */
const struct protocol_interface *interface_find_name(const struct interface_list *list, const char *name);
const struct protocol_interface *interface_find_index(const struct interface_list *list, unsigned index);

/* The interface's name, terminated. */
void interface_copy_name(const struct protocol_interface *interface, char name[IF_NAMESIZE]);

/* The netmask of an address, in network byte order; bytes: of an address of its family. */
void interface_get_mask(unsigned prefix_bits, uint8_t *mask, size_t bytes);

/* The broadcast address of an IPv4 address's network; 0.0.0.0 when it has none. */
uint32_t interface_get_broadcast(const struct protocol_interface *address, const struct protocol_interface *interface);

/* Is this ioctl about interfaces, addresses, routes or neighbours? */
bool interface_is_ioctl(unsigned long request);

/* Is it one on an AF_UNIX socket, for which it is as good as on any other (netdevice(7))? errno is kept. */
bool interface_is_unix_ioctl(int fd, unsigned long request);

/* Do it, on a socket of ours or of AF_UNIX. Return: what the call returns, or -errno. */
int interface_ioctl(int fd, unsigned long request, void *argument);

#endif
