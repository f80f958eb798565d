/* gather.h - from segments to frames: consecutive segments of one flow leave as one GSO frame. */
#ifndef SIDESTACK_GATHER_H
#define SIDESTACK_GATHER_H

#include <stdbool.h>

#include "netif/ethernet.h"
#include "stack/lwip_api.h"
#include "wire.h"

/* A flag of a pbuf that lwIP leaves alone: a UDP packet, not a fragment, whose checksum the wire completes. */
#define GATHER_COMPLETE_CHECKSUM 0x40u
/* Another: a packet that is not to be sent. */
#define GATHER_LEAVE_OUT 0x80u

/* The next frames with that flag are trains of datagrams of size bytes each, for the wire to cut (WIRE_USO); 0: they
 * are not. */
void gather_set_train(uint16_t size);

/* The next TCP segments are for the wire to cut into pieces of size bytes; 0: they are not. */
void gather_set_piece(uint16_t size);

/* Start, with nothing gathered, on this wire (borrowed). */
void gather_open(struct wire *wire);

/* Take a whole Ethernet frame from lwIP: keep it, or write it at once. Nothing of p is used after a gather_flush(). */
void gather_frame(struct pbuf *p);

/* The Ethernet address that the gathered segments go to, if their IP destination is this one of size bytes: what
 * follows them goes there, too. NULL: they have another, or there are none. */
const struct eth_addr *gather_neighbour(const void *destination, size_t size);

/* Frames are dropped: another process still speaks on this wire (handover.h). */
extern bool gather_is_mute;

/* Write what is gathered. Must be called before memory of sent data is released. */
void gather_flush(void);

/* What was written: frames, bytes, and frames that the wire did not take. */
struct gather_counters {
    uint64_t frames, bytes, dropped;
};
extern struct gather_counters gather_counters;

#endif
