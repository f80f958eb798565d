/* tcp_handover.h - TCP sockets into an archive and out of it. */
#ifndef SIDESTACK_TCP_HANDOVER_H
#define SIDESTACK_TCP_HANDOVER_H

#include "stack/archive.h"

struct acknowledger;
struct congestion;
struct receive_window;
struct stack_tcp;
struct tcp_ecn;
struct tcp_pcb;
struct tcp_sender;

/* All of them. */
void tcp_handover(struct archive *archive);

/* The parts: their numbers (tcp_handover_state.c). */
void tcp_handover_congestion(struct archive *archive, struct congestion *congestion);
void tcp_handover_sender(struct archive *archive, struct tcp_sender *sender);
void tcp_handover_acknowledger(struct archive *archive, struct acknowledger *acknowledger);
void tcp_handover_ecn(struct archive *archive, struct tcp_ecn *ecn);
void tcp_handover_window(struct archive *archive, struct receive_window *window);
void tcp_handover_pcb(struct archive *archive, struct tcp_pcb *pcb);
void tcp_handover_socket(struct archive *archive, struct stack_tcp *tcp);

/* Bytes that came in order and the owner has not taken; what the peer has not acknowledged, and what came beyond a gap
 * (tcp_handover_queue.c). */
void tcp_handover_received(struct archive *archive, struct stack_tcp *tcp);
void tcp_handover_segments(struct archive *archive, struct stack_tcp *tcp);

#endif
