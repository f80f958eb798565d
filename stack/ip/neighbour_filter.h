/* neighbour_filter.h - looks at ICMPv6 messages that nd6.c believes, before it does. */
#ifndef SIDESTACK_STACK_NEIGHBOUR_FILTER_H
#define SIDESTACK_STACK_NEIGHBOUR_FILTER_H

#include <stdbool.h>
#include <stddef.h>

struct pbuf;

/* An ICMPv6 message lies offset bytes after the start of the packet. Return: may lwIP see it? */
bool neighbour_filter_passes(const struct pbuf *p, size_t offset);

#endif
