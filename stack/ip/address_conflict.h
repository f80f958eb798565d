/* address_conflict.h - the timers of address conflict detection; the rest is lwip/acd.h. */
#ifndef SIDESTACK_ADDRESS_CONFLICT_H
#define SIDESTACK_ADDRESS_CONFLICT_H

#include "stack/lwip_api.h"

#include "lwip/acd.h"

/* Run what is due. */
void address_conflict_run(void);

/* Microseconds until then; -1: never. */
int64_t address_conflict_timer_us(void);

#endif
