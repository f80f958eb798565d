/* small.h - the memory of lwIP's own objects: lwipopts.h names these in place of the C library's. */
#ifndef SIDESTACK_SMALL_H
#define SIDESTACK_SMALL_H

#include <stddef.h>

/* As malloc(), calloc() and free(). */
void *small_malloc(size_t size);
void *small_calloc(size_t count, size_t size);
void small_free(void *object);

/* Return what is kept to the C library. */
void small_close(void);

#endif
