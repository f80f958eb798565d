/*
 * tcp_receive.c - the receive queue of a connection.
 *
 * lwIP hands over what arrived in order as pbufs, which are our own receive blocks; they are queued as they are. The
 * window closes by what is queued and opens when the owner consumes (tcp_recved). When the owner does not keep up, or
 * memory is short, blocks that hold little would pin much: data that fits into the free room of the queue's last block
 * is copied there, as Linux collapses its queue, and a little data in a large block into small ones.
 */
#include <errno.h>
#include <string.h>

#include "stack/port.h"
#include "stack/poison.h"
#include "tcp_socket.h"

#define COPY_ALWAYS_MAX 2048        /* bytes that are cheaper to copy than to keep a block for */
#define COPY_SMALL_MAX 4096          /* for this much small blocks take less memory than a larger one */
#define COPY_QUEUED_MIN (128 * 1024) /* with more than this queued the owner is slow, and memory comes first */

/* Drop what is queued. */
void tcp_receive_release(struct stack_tcp *tcp)
{
    struct receive_queue *queue = &tcp->receive;

    while (queue->head != NULL) {
        struct receive_block *block = queue->head;

        queue->head = block->next;
        pbuf_free(receive_block_pbuf(block));
    }
    tcp_counters.receive_bytes -= queue->memory;
    memory_remove(queue->user, queue->memory);
    *queue = (struct receive_queue){.user = queue->user};
}

/* Free room behind the data of a block. */
static size_t block_room(const struct receive_block *block)
{
    const struct pbuf *p = &block->custom.pbuf;

    return (size_t)(block->data + block->capacity - ((const uint8_t *)p->payload + p->len));
}

/* Append one pbuf that stands alone. Takes it. Return: false when memory is short; it is dropped then. */
static bool receive_queue_append(struct receive_queue *queue, struct pbuf *p)
{
    struct receive_block *block = receive_block_of(p);
    struct receive_block *tail = queue->tail;
    size_t length = p->len;
    bool is_tight = queue->queued > COPY_QUEUED_MIN || memory_is_short(queue->user);

    if (tail != NULL && length <= block_room(tail) && (length <= COPY_ALWAYS_MAX || is_tight)) {
        struct pbuf *into = receive_block_pbuf(tail);

        poison_remove((uint8_t *)into->payload + into->len, length); /* the tests' wire puts it behind each frame */
        memcpy((uint8_t *)into->payload + into->len, p->payload, length);
        into->len = (u16_t)(into->len + length);
        into->tot_len = into->len;
        pbuf_free(p);
    } else {
        bool is_large = block != NULL && block->class != BLOCK_SMALL && is_tight && length <= COPY_SMALL_MAX;

        if (block == NULL || p->ref > 1 || is_large) { /* not ours, or not ours alone */
            struct pbuf *copy = receive_block_copy(p, 0, is_large ? BLOCK_SMALL : BLOCK_MEDIUM);

            pbuf_free(p);
            if (copy == NULL)
                return false;
            for (p = copy; p != NULL; p = copy) {
                copy = p->next;
                p->next = NULL;
                p->tot_len = p->len;
                receive_queue_append(queue, p);
            }
            return true;
        }
        block->next = NULL;
        if (tail != NULL)
            tail->next = block;
        else
            queue->head = block;
        queue->tail = block;
        queue->memory += receive_block_memory(block);
        tcp_counters.receive_bytes += receive_block_memory(block);
        memory_add(queue->user, receive_block_memory(block));
    }
    queue->queued += length;
    return true;
}

bool tcp_receive_append(struct stack_tcp *tcp, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    while (length > 0) {
        struct receive_block *block = receive_block_get(length > block_sizes[BLOCK_SMALL] / 2 ? BLOCK_MEDIUM : BLOCK_SMALL);
        struct pbuf *p;
        size_t n;

        if (block == NULL)
            return false;
        p = receive_block_pbuf(block);
        n = LWIP_MIN(length, block->capacity);
        memcpy(p->payload, at, n);
        p->len = p->tot_len = (u16_t)n;
        if (!receive_queue_append(&tcp->receive, p))
            return false;
        at += n;
        length -= n;
    }
    return true;
}

/* lwIP: data came, or the peer's FIN (p is NULL). */
err_t tcp_receive_on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
    struct stack_tcp *tcp = arg;

    (void)error; /* always ERR_OK */
    if (tcp->abort_pending || !tcp->owned) {
        if (p != NULL)
            pbuf_free(p);
        return ERR_OK;
    }
    tcp_socket_enter(tcp);
    if (p == NULL) {
        tcp->received_fin = true;
        tcp_acknowledge_fin(tcp);
    } else {
        tcp_acknowledge_data(tcp, p->tot_len);
    }
    tcp->received_us = port_now_us;
    while (p != NULL) {
        struct pbuf *next = p->next;

        p->next = NULL;
        p->tot_len = p->len;
        if (p->len == 0)
            pbuf_free(p);
        else if (!receive_queue_append(&tcp->receive, p))
            tcp->abort_pending = true; /* acknowledged data can't be lost in silence */
        p = next;
    }
    if (tcp->abort_pending) {
        if (tcp->events != NULL && tcp->events->failed != NULL)
            tcp->events->failed(tcp->owner, ENOMEM);
        tcp->role = TCP_ROLE_FAILED;
        tcp_err(pcb, NULL);
    } else if (tcp->events != NULL && tcp->events->received != NULL) {
        tcp->events->received(tcp->owner);
    }
    return tcp_socket_leave(tcp);
}

size_t stack_tcp_receive_queued(const struct stack_tcp *tcp)
{
    return tcp->receive.queued;
}

bool stack_tcp_receive_ended(const struct stack_tcp *tcp)
{
    return tcp->received_fin;
}

int stack_tcp_receive_peek(const struct stack_tcp *tcp, struct iovec *iov, int max)
{
    int count = 0;

    for (struct receive_block *block = tcp->receive.head; block != NULL && count < max; block = block->next) {
        const struct pbuf *p = receive_block_pbuf(block);

        iov[count++] = (struct iovec){p->payload, p->len};
    }
    return count;
}

void stack_tcp_receive_consume(struct stack_tcp *tcp, size_t length)
{
    struct receive_queue *queue = &tcp->receive;
    size_t consumed = LWIP_MIN(length, queue->queued);

    queue->queued -= consumed;
    for (size_t left = consumed; left > 0;) {
        struct receive_block *block = queue->head;
        struct pbuf *p = receive_block_pbuf(block);

        if (left < p->len) {
            p->payload = (u8_t *)p->payload + left;
            p->len = (u16_t)(p->len - left);
            p->tot_len = p->len;
            break;
        }
        left -= p->len;
        queue->head = block->next;
        if (queue->head == NULL)
            queue->tail = NULL;
        queue->memory -= receive_block_memory(block);
        tcp_counters.receive_bytes -= receive_block_memory(block);
        memory_remove(queue->user, receive_block_memory(block));
        pbuf_free(p);
    }
    if (tcp->pcb != NULL && consumed > 0) {
        tcp_window_open(tcp, consumed);
        tcp_acknowledge_consumed(tcp);
    }
}
