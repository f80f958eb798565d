/* network_handover.h - what was learned of the network on its way to another process: neighbours, routers, addresses,
 * leases. */
#ifndef SIDESTACK_NETWORK_HANDOVER_H
#define SIDESTACK_NETWORK_HANDOVER_H

#include "stack/archive.h"

/* Write, or read. Reading: the wire is open and mute, nothing was asked for yet that was answered. */
void network_handover(struct archive *archive);

#endif
