/* tcp_timer.h - when TCP's timers run. */
#ifndef SIDESTACK_TCP_TIMER_H
#define SIDESTACK_TCP_TIMER_H

#include <stdint.h>

/* Start with no timer running. */
void tcp_timer_open(void);

/* Something happened on a connection: its timers may be needed. */
void tcp_timer_wake(void);

/* Microseconds until tcp_timer_run() has something to do; -1: never. */
int64_t tcp_timer_us(void);

/* Run what is due. */
void tcp_timer_run(void);

#endif
