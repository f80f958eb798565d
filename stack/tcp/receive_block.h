/* receive_block.h - received frames in memory: blocks that lwIP sees as pbufs and a socket queues as they are. */
#ifndef SIDESTACK_RECEIVE_BLOCK_H
#define SIDESTACK_RECEIVE_BLOCK_H

#include "stack/block.h"
#include "stack/lwip_api.h"

struct receive_block {
    struct pbuf_custom custom;  /* first: lwIP's pbuf is the block */
    struct receive_block *next; /* in a socket's queue */
    uint16_t capacity;          /* of data */
    uint8_t class;              /* enum block_class */
    _Alignas(8) uint8_t data[];
};

/* Return: a block of that class with one reference and no data, or NULL. */
struct receive_block *receive_block_get(enum block_class which);

/* Give up the block (pbuf_free() does the same by reference). */
void receive_block_put(struct receive_block *block);

static inline struct pbuf *receive_block_pbuf(struct receive_block *block)
{
    return &block->custom.pbuf;
}

/* Return: the block behind a pbuf; NULL for a pbuf that lwIP allocated itself. */
static inline struct receive_block *receive_block_of(struct pbuf *p)
{
    return (p->flags & PBUF_FLAG_IS_CUSTOM) != 0 ? (struct receive_block *)p : NULL;
}

/* Return: bytes of memory behind the block. */
static inline size_t receive_block_memory(const struct receive_block *block)
{
    return block_sizes[block->class];
}

/* Make a copy of a packet in fresh blocks, the first of them small and none larger than `largest`, headroom bytes before
 * its data. Return: its first pbuf or NULL. */
struct pbuf *receive_block_copy(const struct pbuf *p, size_t headroom, enum block_class largest);

#endif
