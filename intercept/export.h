/*
 * export.h - what the files that define libc's names share.
 *
 * Each hook is a few lines: foreign descriptors go on to libc; for ours the logic is called and its -errno is turned
 * into libc's -1.
 */
#ifndef SIDESTACK_EXPORT_H
#define SIDESTACK_EXPORT_H

#include "trace.h"

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#define EXPORT             __attribute__((visibility("default")))
#define EXPORT_ALIAS(name) EXPORT __attribute__((alias(#name)))

_Static_assert(sizeof(off_t) == 8 && sizeof(long) == 8, "names with and without 64 mean the same");

/*
 * Do the call of the logic, print it if asked to (the rest of the arguments: see trace_print()), and turn its -errno
 * into libc's -1. On success errno is what it was.
 */
#define EXPORT_CALL(name, call, ...)                                                                                   \
    ({                                                                                                                 \
        int export_errno = errno;                                                                                      \
        __typeof__(call) export_result = (call);                                                                       \
        if (__builtin_expect(trace_is_on, 0))                                                                          \
            trace_print(name, (int64_t)export_result, __VA_ARGS__);                                                    \
        errno = export_result < 0 ? (int)-export_result : export_errno;                                                \
        export_result < 0 ? -1 : export_result;                                                                        \
    })

#endif
