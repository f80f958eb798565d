/* tcp_sack.h - what our SACK option says beyond lwIP's own blocks. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_SACK_H
#define SIDESTACK_TCP_SACK_H

#include "stack/lwip_api.h"

struct stack_tcp;

/* A segment of size bytes comes, and may be one that we have: lwIP's acknowledgement is to tell (RFC 2883). */
void tcp_sack_look(struct stack_tcp *tcp, uint32_t sequence, u16_t size, bool fin);
/* It was processed, or something else is about to be sent. */
void tcp_sack_forget(void);
/* A FIN came out of order: have it in the block that ends there. options: their end. */
void tcp_sack_include_fin(struct stack_tcp *tcp, struct tcp_hdr *header, u32_t *options);
/* Write the extra block into the options of a segment. Return: the end of the options. */
u32_t *tcp_sack_write(const struct pbuf *p, struct tcp_hdr *header, u32_t *options);

#endif
