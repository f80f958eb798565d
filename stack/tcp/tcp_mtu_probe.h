/* tcp_mtu_probe.h - larger segments again, once the path may take them. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_MTU_PROBE_H
#define SIDESTACK_TCP_MTU_PROBE_H

#include <stdbool.h>
#include <stdint.h>

struct stack_tcp;
struct sent_segment;

/* Sizes are those of lwIP's mss: with options. */
struct mtu_probe {
    uint16_t full;   /* what peer and link take; 0: not known, nothing is tried */
    uint16_t high;   /* one of this size was lost; 0: none was */
    uint16_t size;   /* one of this size is on its way; 0: none */
    uint32_t end;    /* of it */
    uint64_t due_us; /* when the search begins; 0: there is nothing to find */
};

/* A connection begins, with segments of this size but for what is known of its path. */
void tcp_mtu_probe_start(struct stack_tcp *tcp, uint16_t full);
/* Segments have become smaller, or can't be larger: for ten minutes. */
void tcp_mtu_probe_later(struct stack_tcp *tcp);
/* Return: bytes of data to send as one segment now, 0: none. Its owner makes it, and has it sent. */
uint16_t tcp_mtu_probe_wanted(struct stack_tcp *tcp);
/* It was. Return: whether the connection lives. */
bool tcp_mtu_probe_sent(struct stack_tcp *tcp, uint16_t length);
/* One is on its way, and this segment was delivered, or is lost with others or without. */
void tcp_mtu_probe_on_delivery(struct stack_tcp *tcp, const struct sent_segment *sent);
bool tcp_mtu_probe_is_lost(const struct stack_tcp *tcp);
/* It is lost: cut it. Return: whether the connection lives. */
bool tcp_mtu_probe_fail(struct stack_tcp *tcp);

#endif
