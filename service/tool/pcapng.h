/*
 * pcapng.h - writes a capture file of pcapng (draft-ietf-opsawg-pcapng): one section, one Ethernet interface.
 *
 * libpcap writes the older format only, which has no room for a frame's direction and for what was dropped; Wireshark's
 * own library is not for others.
 */
#ifndef SIDESTACK_PCAPNG_H
#define SIDESTACK_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Section header and interface description. filter: NULL: none. Return: 0 or -EIO. */
int pcapng_begin(FILE *file, const char *application, const char *interface, const char *filter, uint32_t snap_length);

struct pcapng_frame {
    uint64_t time_ns;
    bool outgoing;
    uint32_t length, captured;
    uint64_t dropped; /* since the frame before it */
    const void *bytes;
};
int pcapng_write(FILE *file, const struct pcapng_frame *frame);

/* Interface statistics: what there was in all. */
int pcapng_end(FILE *file, uint64_t time_ns, uint64_t frames, uint64_t dropped);

#endif
