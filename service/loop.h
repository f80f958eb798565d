/* loop.h - the one loop of the service. */
#ifndef SIDESTACK_LOOP_H
#define SIDESTACK_LOOP_H

#include <stdbool.h>

/* Set up the watch, and set the stack's clock, which goes by turns. Return: 0 or -errno. */
int loop_setup(void);

/* Sleep until something happens, and do all of it. Return: 0 or -errno. */
int loop_turn(void);

/* The wire went down, and its descriptor has only errors to tell; or it is back. */
void loop_wire_is_down(bool is_down);

/* Take turns, with the wire and signals only, until something is done. Return: 0, -ETIMEDOUT, -EINTR when a signal said
 * to stop, or -errno. */
int loop_run_until(int signals, bool (*done)(void), unsigned timeout_ms);

/* Watch what every turn needs, and the control socket, once. Return: 0 or -errno. */
int loop_prepare(int signals, int control);

/* Take turns until SIGTERM or SIGINT and the last connection has ended. Return: 0, LOOP_HANDED_OVER, or -errno.
 * Prepared before. */
#define LOOP_HANDED_OVER 1 /* all is another service's now: touch nothing */
int loop_run(void);

/* What to do on SIGHUP; without it nothing is done. */
void loop_set_reload(void (*reload)(void));

/* Another service wants to take over: give() is called between two turns. Return of give(): is all its now? */
void loop_set_takeover(bool (*give)(void));

#endif
