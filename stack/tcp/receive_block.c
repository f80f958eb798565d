/* receive_block.c - blocks for received data. */
#include <stddef.h>

#include "receive_block.h"

/* lwIP gave up the last reference. */
static void receive_block_free(struct pbuf *p)
{
    struct receive_block *block = (struct receive_block *)p;

    block_put(block->class, block);
}

struct receive_block *receive_block_get(enum block_class which)
{
    struct receive_block *block = block_get(which);

    if (block == NULL)
        return NULL;
    block->next = NULL;
    block->class = (uint8_t)which;
    block->capacity = (uint16_t)(block_sizes[which] - offsetof(struct receive_block, data));
    block->custom.custom_free_function = receive_block_free;
    pbuf_alloced_custom(PBUF_RAW, 0, PBUF_RAM, &block->custom, block->data, block->capacity);
    return block;
}

void receive_block_put(struct receive_block *block)
{
    block_put(block->class, block);
}

struct pbuf *receive_block_copy(const struct pbuf *p, size_t headroom, enum block_class largest)
{
    struct pbuf *first = NULL;
    struct pbuf *last = NULL;
    u16_t left = p->tot_len;
    u16_t at = 0;

    do {
        struct receive_block *block =
            receive_block_get(first == NULL || left <= block_sizes[BLOCK_SMALL] / 2 ? BLOCK_SMALL : largest);
        struct pbuf *q;

        if (block == NULL) {
            if (first != NULL)
                pbuf_free(first);
            return NULL;
        }
        q = receive_block_pbuf(block);
        if (first == NULL) {
            q->payload = block->data + headroom;
            q->len = (u16_t)LWIP_MIN(left, block->capacity - headroom);
            first = q;
        } else {
            q->len = (u16_t)LWIP_MIN(left, block->capacity);
            last->next = q;
        }
        q->tot_len = left;
        pbuf_copy_partial(p, q->payload, q->len, at);
        at = (u16_t)(at + q->len);
        left = (u16_t)(left - q->len);
        last = q;
    } while (left > 0);
    return first;
}
