/* port.h - the clock and the randomness of the stack. */
#ifndef SIDESTACK_PORT_H
#define SIDESTACK_PORT_H

#include <stddef.h>
#include <stdint.h>

/* The time that stack_set_clock() gave last, in microseconds. */
extern uint64_t port_now_us;

/* Fill buffer with bytes that nobody can guess. Return: 0 or -errno. */
int port_get_entropy(void *buffer, size_t size);

/* Seed port_random(). Return: 0 or -errno. */
int port_seed_random(void);

uint32_t port_random(void);

#endif
