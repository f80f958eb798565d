/* wire_netif6.h - the IPv6 side of the wire's interface. */
#ifndef SIDESTACK_WIRE_NETIF6_H
#define SIDESTACK_WIRE_NETIF6_H

#include "stack/lwip_api.h"

/* Give the interface, which is up, its link-local address. configured_by_routers: and heed what they say
 * (stack_config.slaac). */
void wire_netif6_open(bool configured_by_routers);

/* lwIP sends an IPv6 packet (netif->output_ip6). */
err_t wire_netif6_output(struct netif *to, struct pbuf *p, const ip6_addr_t *destination);

/* An IPv6 packet came, its Ethernet header still there. trusted: its checksum of TCP or UDP is known good. Takes p when
 * true is returned; false: it is nothing for us. */
bool wire_netif6_input(struct pbuf *p, bool trusted);

/* Does a packet to this address have to wait for its neighbour's Ethernet address? false also when there is no
 * route. */
bool wire_netif6_is_unresolved(const ip6_addr_t *destination);

#endif
