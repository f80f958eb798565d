/* tcp_acknowledge.h - when we tell the peer what came. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_ACKNOWLEDGE_H
#define SIDESTACK_TCP_ACKNOWLEDGE_H

#include "stack/lwip_api.h"
#include "tcp_clock.h"

struct acknowledger {
    bool wanted;               /* at the end of this turn */
    struct stack_tcp *next;    /* that wants one, too */
    struct tcp_clock clock;    /* at the latest then */
    bool scheduled;            /* something came that was not acknowledged ... */
    bool small, small_again;   /* ... and one of its segments was small, or two */
    bool answers;              /* data flows both ways: an acknowledgement can ride on ours (Linux: pingpong) */
    bool serves;               /* it was accepted: its owner may answer what comes ... */
    bool held;                 /* ... and there is a moment's time for that */
    uint8_t quick;             /* segments that are still acknowledged at once */
    uint16_t segment;          /* size of the peer's segments, as far as it was seen (Linux: rcv_mss) */
    uint16_t last_size;        /* of one that might be a full one */
    uint32_t delay_us;         /* Linux: ato; 0: no data came yet */
    uint64_t bytes;            /* received in order */
    uint32_t acknowledged;     /* what the peer was told last: RCV.NXT of then (Linux: rcv_wup) */
    bool gap, pushed;          /* the segment that is being processed came while something was missing; has PSH */
};

/* The connection is established. */
void tcp_acknowledge_start(struct stack_tcp *tcp);
/* It was accepted. */
void tcp_acknowledge_serve(struct stack_tcp *tcp);
/* It ends. */
void tcp_acknowledge_release(struct stack_tcp *tcp);
/* Data came in order, so many bytes: choose when to acknowledge it. */
void tcp_acknowledge_data(struct stack_tcp *tcp, size_t size);
/* The peer's FIN came in order. */
void tcp_acknowledge_fin(struct stack_tcp *tcp);
/* The SYN-ACK came: what lwIP sends next, while it processes that, acknowledges it. */
void tcp_acknowledge_established(struct stack_tcp *tcp);
/* That has been processed. */
void tcp_acknowledge_forget(void);
/* A segment goes out, of so many bytes. Return: it is that acknowledgement, without anything else: don't, it goes at the
 * end of the turn, or with data before. */
bool tcp_acknowledge_leaves_out(struct stack_tcp *tcp, uint32_t size, u16_t flags);
/* The owner has taken data. */
void tcp_acknowledge_consumed(struct stack_tcp *tcp);
/* TCP_QUICKACK, as on Linux: 0: wait for answers to ride on; 1: until one is sent, don't; 2: only this once. */
void tcp_acknowledge_set_quick(struct stack_tcp *tcp, int value);
/* A segment goes out, which acknowledges. */
void tcp_acknowledge_on_segment(struct stack_tcp *tcp);
/* We send data. */
void tcp_acknowledge_sending(struct stack_tcp *tcp);
/* The window is to be announced. */
void tcp_acknowledge_window(struct stack_tcp *tcp);
/* It is the end of a turn: acknowledge what was put off until then. */
void tcp_acknowledge_flush(void);

/* Would tcp_acknowledge_flush() acknowledge something? */
bool tcp_acknowledge_waits(void);

/* A segment of size bytes comes, to be processed. */
void tcp_acknowledge_look(struct stack_tcp *tcp, uint32_t sequence, u16_t size, u16_t flags);
/* Acknowledge up to so many segments at once, and wait for no answer to ride on (Linux: tcp_enter_quickack_mode()). */
void tcp_acknowledge_enter_quick(struct stack_tcp *tcp, unsigned segments);
#define TCP_ACKNOWLEDGE_QUICK_MAX 16u /* Linux: TCP_MAX_QUICKACKS */

#endif
