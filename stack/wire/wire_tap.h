/* wire_tap.h - descriptors whose frames have a struct virtio_net_hdr before them, as wires. Private to the wires. */
#ifndef SIDESTACK_WIRE_TAP_H
#define SIDESTACK_WIRE_TAP_H

#include "wire.h"

/* Make a wire of a descriptor that is set up. fd is taken, also when this fails. Return: 0 and *wire, or -ENOMEM with
 * *message. */
int wire_tap_wrap(int fd, unsigned features, struct wire **wire, const char **message);

/* The same with a TAP device that has IFF_VNET_HDR. */
int wire_tap_adopt(int fd, bool offload, struct wire **wire, const char **message);

#endif
