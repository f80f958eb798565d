/* tick.h - the timers of what surrounds IP on the wire. */
#ifndef SIDESTACK_TICK_H
#define SIDESTACK_TICK_H

#include <stdint.h>

/* How long something needs the ticks. */
#define TICK_ARP_US 6000000u         /* lwIP asks for 5 s (ARP_MAXPENDING) */
#define TICK_REASSEMBLY_US 17000000u /* lwIP waits for 15 s (IP_REASS_MAXAGE) */
#define TICK_REASSEMBLY6_US 62000000u /* IPV6_REASS_MAXAGE */

void tick_open(void);

/* The time may have passed without ticks, because nothing needed them: make up for it before something does. */
void tick_catch_up(void);

/* Let the ticks run for at least this long. */
void tick_keep(uint64_t duration_us);

/* Something was asked or heard of: let them run for as long as a neighbour or a group needs them. */
void tick_wake(void);

/* Run what is due. */
void tick_run(void);

/* Return: milliseconds until the next that matters; -1: none does. */
int tick_ms(void);

#endif
