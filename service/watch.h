/* watch.h - what the service waits for, and the wait. */
#ifndef SIDESTACK_WATCH_H
#define SIDESTACK_WATCH_H

#include <stdint.h>
#include <sys/epoll.h>

/* How an event finds its object. */
enum watch_kind {
    WATCH_WIRE,    /* the TAP has frames */
    WATCH_SIGNAL,  /* signalfd */
    WATCH_CONTROL, /* a program wants a control connection */
    WATCH_CLIENT,  /* struct client: a request */
    WATCH_SOCKET,  /* struct socket: the service's end of a pair */
    WATCH_OUTLET,  /* struct outlet: the pipe to who asked something */
    WATCH_DEAD,    /* destroyed since the wait that told of it */
};

/* The first member of everything that is watched; an event's data.ptr. */
struct watch {
    enum watch_kind kind;
};

/* Since the start. */
struct watch_counters {
    uint64_t waits, events;
    uint64_t timeouts; /* waits that no event ended */
};
extern struct watch_counters watch_counters;

/* Create the epoll instance; close it. Return: 0 or -errno. */
int watch_setup(void);
void watch_teardown(void);

/* Watch fd for epoll events; the kernel forgets it when fd is closed. Return: 0 or -errno. */
int watch_add(int fd, struct watch *watch, uint32_t events);

/* Wait for other events from now on; what is there already is told (again). Return: 0 or -errno. */
int watch_change(int fd, struct watch *watch, uint32_t events);

/* Wait for no more of its events. Return: 0 or -errno. */
int watch_remove(int fd);

/* Close a descriptor that is watched. As long as another process has a copy (watch_note_shared()), the kernel does not
 * forget it by itself. */
void watch_close(int fd);

/* Another service has copies of our descriptors: the one whose place we take, or one that did not get to take ours. */
void watch_note_shared(void);

#define WATCH_POLL_MAX_US 1000

/* How long a wait stays awake at most before it sleeps; 0: not at all. */
void watch_set_busy_poll(unsigned poll_us);

/* Wait for events, and no longer than wait_us; negative: for ever. Return: as epoll_wait(). */
int watch_wait(struct epoll_event *events, int max, int64_t wait_us);

/* The events that are there. Return: as epoll_wait(). */
int watch_look(struct epoll_event *events, int max);

/* CLOCK_MONOTONIC as of the end of the last wait: the time of this turn. */
uint64_t watch_now_us(void);

#endif
