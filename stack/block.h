/* block.h - the memory that holds data on its way: blocks of three sizes, kept for the next user. */
#ifndef SIDESTACK_BLOCK_H
#define SIDESTACK_BLOCK_H

#include <stddef.h>
#include <stdint.h>

enum block_class {
    BLOCK_SMALL,  /* holds a frame of MTU 1500, or a few small writes */
    BLOCK_MEDIUM, /* the rest of a super-segment */
    BLOCK_LARGE,  /* bulk data on its way out */
    BLOCK_CLASS_COUNT
};

extern const size_t block_sizes[BLOCK_CLASS_COUNT];

/* Bytes of blocks that are in use, and of those that are not. */
extern size_t block_bytes_used, block_bytes_kept;

/* Return: memory of block_sizes[which] bytes, uninitialised, or NULL. */
void *block_get(enum block_class which);

void block_put(enum block_class which, void *block);

/* Return the kept blocks to the C library. */
void block_release_kept(void);

#endif
