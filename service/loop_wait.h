/* loop_wait.h - how the loop waits: awake for a while if that pays, then asleep. */
#ifndef SIDESTACK_LOOP_WAIT_H
#define SIDESTACK_LOOP_WAIT_H

#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_POLL_MAX_US 1000

/* How long it stays awake at most; 0: not at all. */
void loop_wait_setup(unsigned poll_us);

/* Wait for events, and no longer than wait_us; negative: for ever. Return: as epoll_wait(). */
int loop_wait(int epoll_fd, struct epoll_event *events, int max, int64_t wait_us);

#endif
