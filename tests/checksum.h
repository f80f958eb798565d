/* checksum.h - the Internet checksum (RFC 1071), for packets that tests make and read; the stack has its own. */
#ifndef TEST_CHECKSUM_H
#define TEST_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "stack/bytes.h"

/* Add bytes to a sum; all but the last piece of a packet must be of even size. Return: the sum, folded to 16 bits. */
static inline uint32_t checksum_add(uint32_t sum, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Put the checksum of a message without pseudo header into its field at this offset. */
static inline void checksum_put(uint8_t *message, size_t size, size_t field)
{
    write_16(message + field, 0);
    write_16(message + field, ~checksum_add(0, message, size) & 0xffff);
}

#endif
