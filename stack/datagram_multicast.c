/* datagram_multicast.c - which groups a socket has joined, and whom it wants to hear there. */
#include <errno.h>

#include "datagram_socket.h"

bool datagram_multicast_allows(const struct stack_datagram *datagram, const ip_addr_t *group, const ip_addr_t *source,
                               unsigned interface)
{
    (void)source;
    (void)interface;
    return datagram->options[IP_IS_V6(group) ? STACK_DATAGRAM_MULTICAST_ALL6 : STACK_DATAGRAM_MULTICAST_ALL] != 0;
}
