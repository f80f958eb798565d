/*
 * export.h - what the files that define libc's names share.
 *
 * Each hook is a few lines: foreign descriptors go on to libc; for ours the logic is called and its -errno is turned
 * into libc's -1.
 */
#ifndef SIDESTACK_EXPORT_H
#define SIDESTACK_EXPORT_H

#include <errno.h>
#include <stdint.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))
#define EXPORT_ALIAS(name) EXPORT __attribute__((alias(#name)))

_Static_assert(sizeof(off_t) == 8 && sizeof(long) == 8, "names with and without 64 mean the same");

/* -errno to errno and -1; errno is untouched on success. */
static inline ssize_t export_result(ssize_t result)
{
    if (__builtin_expect(result < 0, 0)) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

#endif
