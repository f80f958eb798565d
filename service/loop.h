/* loop.h - the one loop: what it waits for, and how an event finds its object. */
#ifndef SIDESTACK_LOOP_H
#define SIDESTACK_LOOP_H

#include <stdbool.h>
#include <stdint.h>

enum loop_source_kind {
    SOURCE_WIRE,    /* the TAP has frames */
    SOURCE_SIGNAL,  /* signalfd */
    SOURCE_CONTROL, /* a program wants a control connection */
    SOURCE_CLIENT,  /* struct client: a request */
    SOURCE_SOCKET,  /* struct socket: the service's end of a pair */
    SOURCE_OUTLET,  /* struct outlet: the pipe to who asked something */
    SOURCE_DEAD,    /* destroyed earlier in this turn */
};

/* The first member of everything that epoll watches. */
struct loop_source {
    enum loop_source_kind kind;
};

/* Since the start. */
struct loop_counters {
    uint64_t turns, events;
    uint64_t timeouts; /* turns that no event began */
};
extern struct loop_counters loop_counters;

/* Create the epoll instance. Return: 0 or -errno. */
int loop_setup(void);

/* Watch fd for epoll events; the kernel forgets it when fd is closed. Return: 0 or -errno. */
int loop_watch(int fd, struct loop_source *source, uint32_t events);

/* Close a descriptor that is watched. As long as another process has a copy (loop_note_shared()), the kernel does not
 * forget it by itself. */
void loop_close(int fd);

/* Another service has copies of our descriptors: the one whose place we take, or one that did not get to take ours. */
void loop_note_shared(void);

/* Wait for other events from now on; what is there already is told (again). Return: 0 or -errno. */
int loop_rewatch(int fd, struct loop_source *source, uint32_t events);

/* The time of this turn, CLOCK_MONOTONIC. */
uint64_t loop_now_us(void);

/* Sleep until something happens, and do all of it. Return: 0 or -errno. */
int loop_turn(void);

/* The wire went down, and its descriptor has only errors to tell; or it is back. */
void loop_wire_is_down(bool is_down);

/* In the middle of a turn: handle what the pairs have to say by now. What a program did to one socket before it asks
 * about another may not have been looked at yet. Everything but pairs is level-triggered and comes again. */
void loop_catch_up(void);

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

/* Close the epoll instance. */
void loop_teardown(void);

#endif
