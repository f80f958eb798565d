/* icmp_error.h - ICMP messages that say why a TCP segment did not arrive. */
#ifndef SIDESTACK_ICMP_ERROR_H
#define SIDESTACK_ICMP_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Look at an IPv4 packet to us, size bytes from its IP header on, all of it there; does nothing unless it is such a
 * message. */
void icmp_error_input(const uint8_t *packet, size_t size);

/* The same for an ICMPv6 packet without extension headers. Return: false: it is nothing that lwIP should see. */
bool icmp_error_input6(const uint8_t *packet, size_t size);

#endif
