/* tcp_cookie.h - SYN cookies. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_COOKIE_H
#define SIDESTACK_TCP_COOKIE_H

#include "stack/lwip_api.h"

struct stack_tcp;

/* A SYN is about to be processed, and there is no room for one more handshake: it is to be answered with a cookie. mss:
 * what it offers. */
void tcp_cookie_answer(struct tcp_hdr *header, uint16_t mss);

/* A segment for a listening socket, with ACK, and without SYN and RST. Return: the SYN that began this handshake, as an
 * IP packet, if it brings a cookie of ours back; NULL otherwise. Owned by the caller. */
struct pbuf *tcp_cookie_restore(const struct tcp_hdr *header);

/* From here on SYNs are ones that were restored, and answered long ago, with this number; until tcp_cookie_end(). */
void tcp_cookie_begin(uint32_t number);
void tcp_cookie_end(void);
bool tcp_cookie_is_restoring(void);

/* lwIP has made a control block for a SYN. */
void tcp_cookie_on_open(struct stack_tcp *tcp);
/* It is gone. */
void tcp_cookie_forget(const struct stack_tcp *tcp);
/* A SYN was processed: let go of what was only there to answer it. */
void tcp_cookie_after_input(void);
/* A SYN-ACK is written: its options. */
void tcp_cookie_write(const struct stack_tcp *tcp, struct tcp_hdr *header);

#endif
