/* packet.h - IP packets with TCP segments, and ICMP errors about them. Numbers are in host byte order. */
#ifndef TEST_SEGMENTS_PACKET_H
#define TEST_SEGMENTS_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 66000

struct packet {
    int family;
    bool from_host; /* else to it */
    uint16_t peer_port, host_port;
    uint32_t sequence, acknowledgement;
    uint8_t flags;
    uint16_t window, urgent;
    uint8_t options[40];
    size_t option_size;
    const uint8_t *data;
    size_t size;
    bool bad_checksum;
};

/* Write the packet. Return: its size. */
size_t packet_write(const struct packet *packet, uint8_t bytes[PACKET_MAX]);

/* Read a packet of the host's; data points into it. Return: false: it is no TCP. why: what is wrong with it; NULL:
 * nothing. */
bool packet_read(const uint8_t *bytes, size_t size, struct packet *packet, const char **why);

/* Write an ICMP error to the host, about a segment that it sent. word: of the header's second four bytes. Return: its
 * size. */
size_t packet_write_icmp(const struct packet *about, uint8_t type, uint8_t code, uint32_t word, uint8_t bytes[PACKET_MAX]);

#endif
