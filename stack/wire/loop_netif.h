/* loop_netif.h - the stack's own loopback. */
#ifndef SIDESTACK_LOOP_NETIF_H
#define SIDESTACK_LOOP_NETIF_H

#include "stack/lwip_api.h"

/* Make the loopback. */
void loop_netif_open(void);

/* Drop what waits and remove the loopback. */
void loop_netif_close(void);

/* lwIP's netif. */
struct netif *loop_netif(void);

/* Does traffic to this address stay inside? */
bool loop_is_local(const ip4_addr_t *address);
bool loop_is_local6(const ip6_addr_t *address);

/* Send a packet round: a copy of it will be input by loop_deliver(). */
err_t loop_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination);

/* A copy of a packet that leaves by the wire will be input as if it had come in there, for members on this host. */
void loop_output_from_wire(struct pbuf *p);

/* Is a packet waiting? */
bool loop_pending(void);

/* Input at most max packets that wait. */
void loop_deliver(unsigned max);

#endif
