/* tcp_ecn.h - explicit congestion notification, RFC 3168. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_ECN_H
#define SIDESTACK_TCP_ECN_H

#include <stdbool.h>

#include "stack/lwip_api.h"
#include "stack/stack.h"

struct stack_tcp;

struct tcp_ecn {
    bool asked;   /* our SYN asks for it, or the peer's did */
    bool on;      /* both ends take part */
    bool seen;    /* the peer's packets say so */
    bool echoing; /* a mark came: each segment of ours tells, until the peer tells that its window came down */
    bool reduced; /* our window came down: the next new data tells */
};

extern enum stack_ecn tcp_ecn_mode;

/* A SYN came for a listening socket; its connection begins. */
void tcp_ecn_look_at_syn(const struct tcp_hdr *header);
void tcp_ecn_forget_syn(void); /* whatever it says */
void tcp_ecn_passive_open(struct tcp_ecn *ecn);

/* We connect; the SYN-ACK came. */
void tcp_ecn_active_open(struct tcp_ecn *ecn);
void tcp_ecn_look_at_answer(struct tcp_ecn *ecn, const struct tcp_hdr *header);

/* A segment with size bytes of data came on a connection. Return: whether the peer tells that ours were marked. */
bool tcp_ecn_input(struct stack_tcp *tcp, const struct tcp_hdr *header, u16_t size);

/* A segment goes out: fill in the flags, and what the IP header will say. */
void tcp_ecn_write(struct stack_tcp *tcp, struct tcp_hdr *header, bool new_data);

/* The packet whose segment is processed: the two bits of its IP header. */
unsigned tcp_ecn_of_packet(void);

#endif
