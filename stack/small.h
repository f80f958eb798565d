/* small.h - the memory of lwIP's own objects: lwipopts.h names these in place of the C library's. */
#ifndef SIDESTACK_SMALL_H
#define SIDESTACK_SMALL_H

#include <stddef.h>

/* As malloc(), calloc() and free(). */
void *small_malloc(size_t size);
void *small_calloc(size_t count, size_t size);
void small_free(void *object);

/* Bytes of objects that are in use, and of those that are not. Large ones don't count. */
extern size_t small_bytes_used, small_bytes_kept;

/* Return what is kept to the C library. */
void small_release_kept(void);

#endif
