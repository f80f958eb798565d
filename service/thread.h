/* thread.h - the service has one thread, and two that help it: loop_guard.c always, passed.c when it must. */
#ifndef SIDESTACK_THREAD_H
#define SIDESTACK_THREAD_H

/* What a thread sees of the service's descriptors. While any other shares them, the kernel counts who uses one for the
 * length of each call on it, which makes every call of the loop some 50 ns longer. */
enum thread_files {
    THREAD_FILES_NONE,  /* but standard input, output and error: a table of its own */
    THREAD_FILES_SHARED /* all */
};

/* Start one that runs for good, and hears no signals. It needs little: no library but libc, no messages, no memory of
 * the heap. What is needed to begin with has been done on return, so that the sandbox can close. Return: 0 or
 * -errno. */
int thread_start(void (*run)(void), enum thread_files files);

#endif
