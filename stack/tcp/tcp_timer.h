/* tcp_timer.h - when TCP's timers run. */
#ifndef SIDESTACK_TCP_TIMER_H
#define SIDESTACK_TCP_TIMER_H

#include <stdint.h>

/* The stack opens: no timer is running. */
void tcp_timer_open(void);

/* The time has moved on. */
void tcp_timer_set_ticks(void);

/* Microseconds until tcp_timer_run() has something to do; -1: never. */
int64_t tcp_timer_us(void);

/* Run what is due. */
void tcp_timer_run(void);

#endif
