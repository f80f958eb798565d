/*
 * shim.h - makes calls fail that in truth would go well: what shim_memory.c and shim_calls.c ask before each call.
 *
 * Two objects are preloaded, which share one file (FAULTS_STATE) with faults.py, who says in it which calls shall fail
 * and reads what happened. Nothing here makes a system call once that file is mapped, so it works in the service's
 * sandbox.
 */
#ifndef SIDESTACK_FAULTS_SHIM_H
#define SIDESTACK_FAULTS_SHIM_H

#include <stdbool.h>
#include <stdint.h>

/* Of each call three ways to fail; 0: not this one. */
enum shim_kind {
    SHIM_SHORT,       /* of memory, descriptors, buffers */
    SHIM_INTERRUPTED, /* by a signal */
    SHIM_BROKEN,      /* whatever else */
    SHIM_KINDS,
};

/* Shall this call fail? A call counts when the program of interest is among its callers. Return: 0 or errno. */
int shim_fails(const char *name, const int errors[SHIM_KINDS]);

/* Is the program itself of interest, or a library in it? */
bool shim_is_service(void);

/* Which way is it now? */
enum shim_kind shim_kind(void);

/* The function that we stand before. It never fails. */
void *shim_next(const char *name);

#define SHIM_EXPORT __attribute__((visibility("default")))

#endif
