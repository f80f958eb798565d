/* tcp_large.h - segments larger than the MTU, which the wire cuts. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_LARGE_H
#define SIDESTACK_TCP_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sender_event;
struct stack_tcp;
struct tcp_pcb;

/* Return: how many pieces (segments of the connection's MSS) a segment may have now; 1: none may be large. */
uint32_t tcp_large_most(const struct stack_tcp *tcp);

/* lwIP is about to make a segment of so many pieces; and has done so. */
void tcp_large_begin(struct stack_tcp *tcp, uint32_t pieces);
void tcp_large_end(struct stack_tcp *tcp);

/* Send it, all that lwIP has unsent. Return: false when it could not be sent: then it was cut, and waits; tcp->pcb is
 * NULL when memory was short, too. */
bool tcp_large_send(struct stack_tcp *tcp);

/* A segment came, and lwIP is about to process it. Return: false when memory is short: it must be dropped. */
bool tcp_large_before_input(struct stack_tcp *tcp, const struct sender_event *event);

/* Cut all that are on their way. Return: false when memory is short; some are cut then. */
bool tcp_large_cut_all(struct stack_tcp *tcp);

/* The same; when memory is short the connection fails. Return: whether it lives. */
bool tcp_large_cut_or_fail(struct stack_tcp *tcp);

/* Return: of how many pieces so many bytes of one segment are. */
uint32_t tcp_large_pieces(const struct tcp_pcb *pcb, uint32_t length);

/* Return: how many pieces are on their way. */
uint32_t tcp_large_count(const struct stack_tcp *tcp);

#endif
