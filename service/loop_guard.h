/* loop_guard.h - a timer that interrupts the loop when one of its system calls waits. */
#ifndef SIDESTACK_LOOP_GUARD_H
#define SIDESTACK_LOOP_GUARD_H

/* The signal by which it does so. */
#define LOOP_GUARD_SIGNAL SIGUSR1

/* Make the timer, for good; this thread is to be guarded. Return: 0 or -errno. */
int loop_guard_start(void);

/* The loop begins to work, and is at rest again. Before the timer is there they do nothing that matters. */
void loop_guard_begin(void);
void loop_guard_end(void);

#endif
