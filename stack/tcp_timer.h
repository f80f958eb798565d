/* tcp_timer.h - when TCP's timers run. */
#ifndef SIDESTACK_TCP_TIMER_H
#define SIDESTACK_TCP_TIMER_H

/* Start with no timer running. */
void tcp_timer_open(void);

/* Something happened on a connection: its timers may be needed. */
void tcp_timer_wake(void);

/* Milliseconds until tcp_timer_run() has something to do; -1: never. */
int tcp_timer_ms(void);

/* Run what is due. */
void tcp_timer_run(void);

#endif
