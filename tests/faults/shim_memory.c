/* shim_memory.c - allocations that fail. Preloaded before all else, a sanitizer's runtime included. */
#include "shim.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int errors[SHIM_KINDS] = {ENOMEM, 0, 0};

/* What takes a size and gives memory. dlsym() does not allocate, as long as it finds what it looks for. */
#define ALLOCATOR(name, parameters, arguments)                                                                         \
    SHIM_EXPORT void *name parameters                                                                                  \
    {                                                                                                                  \
        static void *(*next)parameters;                                                                                \
        int error = shim_fails(#name, errors);                                                                         \
                                                                                                                       \
        if (next == NULL)                                                                                              \
            next = shim_next(#name);                                                                                   \
        if (error != 0) {                                                                                              \
            errno = error;                                                                                             \
            return NULL;                                                                                               \
        }                                                                                                              \
        return next arguments;                                                                                         \
    }

ALLOCATOR(malloc, (size_t size), (size))
ALLOCATOR(calloc, (size_t count, size_t size), (count, size))
ALLOCATOR(realloc, (void *old, size_t size), (old, size))
ALLOCATOR(reallocarray, (void *old, size_t count, size_t size), (old, count, size))
ALLOCATOR(aligned_alloc, (size_t alignment, size_t size), (alignment, size))

/* A sanitizer's runtime has these of its own, which do not come by malloc(). */
#undef strdup
#undef strndup
SHIM_EXPORT char *strdup(const char *text)
{
    char *copy = malloc(strlen(text) + 1);

    return copy != NULL ? strcpy(copy, text) : NULL;
}

SHIM_EXPORT char *strndup(const char *text, size_t max)
{
    size_t length = strnlen(text, max);
    char *copy = malloc(length + 1);

    if (copy == NULL)
        return NULL;
    copy[length] = '\0';
    return memcpy(copy, text, length);
}
