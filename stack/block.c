/*
 * block.c - blocks of memory in three sizes.
 *
 * free() gives a large block at the top of the heap back to the kernel, and the next malloc() faults its pages in
 * again: 16 faults for 64 KB, as dear as sending them. So some blocks of each size are kept, as long as the stack is busy
 * (memory_tick()) and within the bound on memory.
 */
#include "block.h"

#include "memory.h"

#include <stdlib.h>

const size_t block_sizes[BLOCK_CLASS_COUNT] = {2048, 16384, 65536};

/* How many free blocks are kept: 1 MiB, 4 MiB, 8 MiB; enough for a full window each way. */
#ifdef __SANITIZE_ADDRESS__
static const unsigned keep_limits[BLOCK_CLASS_COUNT]; /* none: a kept block would hide its use after release */
#else
static const unsigned keep_limits[BLOCK_CLASS_COUNT] = {512, 256, 128};
#endif

struct free_block {
    struct free_block *next;
};

static struct free_block *free_lists[BLOCK_CLASS_COUNT];
static unsigned free_counts[BLOCK_CLASS_COUNT];

size_t block_bytes_used, block_bytes_kept;

void *block_get(enum block_class which)
{
    struct free_block *block = free_lists[which];

    if (block == NULL) {
        if (!memory_may_keep(block_sizes[which]))
            memory_release_kept();
        block = malloc(block_sizes[which]);
        if (block == NULL)
            return NULL;
    } else {
        free_lists[which] = block->next;
        free_counts[which]--;
        block_bytes_kept -= block_sizes[which];
    }
    block_bytes_used += block_sizes[which];
    return block;
}

void block_put(enum block_class which, void *block)
{
    struct free_block *freed = block;

    block_bytes_used -= block_sizes[which];
    if (free_counts[which] >= keep_limits[which] || !memory_may_keep(block_sizes[which])) {
        free(block);
        return;
    }
    block_bytes_kept += block_sizes[which];
    freed->next = free_lists[which];
    free_lists[which] = freed;
    free_counts[which]++;
}

void block_release_kept(void)
{
    for (int which = 0; which < BLOCK_CLASS_COUNT; which++) {
        while (free_lists[which] != NULL) {
            struct free_block *block = free_lists[which];

            free_lists[which] = block->next;
            free(block);
        }
        free_counts[which] = 0;
    }
    block_bytes_kept = 0;
}
