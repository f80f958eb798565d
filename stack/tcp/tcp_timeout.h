/* tcp_timeout.h - how long to wait for an answer. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_TIMEOUT_H
#define SIDESTACK_TCP_TIMEOUT_H

#include <stdint.h>

struct stack_tcp;

/* A round trip was measured. */
void tcp_timeout_add_rtt(struct stack_tcp *tcp, uint64_t sample_us);
/* Return: the time-out of RFC 6298, backed off. */
uint64_t tcp_timeout_us(const struct stack_tcp *tcp);
/* Choose the next timer and set the clock. */
void tcp_timeout_set_clock(struct stack_tcp *tcp);
/* The network could not deliver the segment with this number, for now: if it was sent again by a time-out, that does
 * not double the next (RFC 6069). */
void tcp_timeout_revert(struct stack_tcp *tcp, uint32_t sequence);

#endif
