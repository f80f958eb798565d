/* wire_split.h - does by itself what a wire leaves to a device: segmentation and checksums. */
#ifndef SIDESTACK_WIRE_SPLIT_H
#define SIDESTACK_WIRE_SPLIT_H

#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any frame: Ethernet header and 65 535 bytes of IP packet, and one to spare for alignment. */
#define WIRE_FRAME_MAX (14 + 65535)

/* Called with each frame; it may change the bytes. */
typedef void wire_split_take(void *context, uint8_t *frame, size_t size);

/*
 * Make of a frame with its virtio header the frames that go over a cable: TCP super-segments are cut into segments,
 * checksums are complete. A frame whose header makes no sense is passed on as it is. frame is used as memory for the
 * pieces.
 */
void wire_split(const struct virtio_net_hdr *header, uint8_t *frame, size_t size, wire_split_take *take, void *context);

#endif
