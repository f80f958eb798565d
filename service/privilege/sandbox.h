/* sandbox.h - which system calls the service may make while it serves. */
#ifndef SIDESTACK_SANDBOX_H
#define SIDESTACK_SANDBOX_H

#include <stdbool.h>

/* The sanitizers' own calls are let through as well. */
#if !defined(SANDBOX_SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SANDBOX_SANITIZED
#elif !defined(SANDBOX_SANITIZED) && defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED
#endif
#endif

enum sandbox_kind {
    SANDBOX_STRICT, /* what the service itself calls; anything else ends the process with a message that names the call */
    SANDBOX_WIDE,   /* besides, what libraries need that bring a network of their own (vde: wires); anything else fails with EPERM */
};

/* From now on, and in every thread. Return: 0 or -errno. */
int sandbox_enter(enum sandbox_kind kind);

#endif
