/* blackhole_netif.h - an interface that leads nowhere, for connections that are to hang. */
#ifndef SIDESTACK_BLACKHOLE_NETIF_H
#define SIDESTACK_BLACKHOLE_NETIF_H

#include "stack/lwip_api.h"

/* The interface; made when it is first asked for. No address, no route leads to it: only control blocks that are bound
 * to it use it. */
struct netif *blackhole_netif(void);

void blackhole_netif_close(void);

#endif
