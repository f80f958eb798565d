/* thread.h - the service has one thread, and two that help it: loop_guard.c, passed.c. */
#ifndef SIDESTACK_THREAD_H
#define SIDESTACK_THREAD_H

/* Start one that runs for good, and hears no signals. It needs little: no library but libc, no messages, no memory of
 * the heap. What is needed to begin with has been done on return, so that the sandbox can close. Return: 0 or
 * -errno. */
int thread_start(void (*run)(void));

#endif
