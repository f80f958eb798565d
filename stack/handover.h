/*
 * handover.h - the stack's state on its way to another process, which goes on where this one stopped.
 *
 * Both ends have one clock (CLOCK_MONOTONIC) and one wire. The writer does nothing between writing and its end; the
 * reader nothing but read until it is told to go on: it is opened with stack_config.resumes and its wire is mute until
 * stack_resume().
 *
 * Kept: TCP sockets in every state, with what is queued both ways, what arrived out of order, what is on its way,
 * timers and congestion state; datagram sockets with their groups; the key of the initial sequence numbers; neighbours,
 * routers, a lease and what came with it. Path MTUs are learned anew.
 */
#ifndef SIDESTACK_HANDOVER_H
#define SIDESTACK_HANDOVER_H

#include <stdint.h>

#include "archive.h"
#include "datagram.h"
#include "stack.h"

/* What is to be known before the stack is opened. */
struct stack_identity {
    uint8_t mac[6];
};

/* Write, or read, all TCP sockets and what belongs to none. Reading: after stack_open(), before anything else. */
void stack_handover(struct archive *archive);

/* A socket's number in the archive, 0: NULL's; and the socket of a number. Reading: it has no owner until
 * stack_tcp_adopt(); NULL: there is none. */
uint32_t stack_handover_number(const struct stack_tcp *tcp);
struct stack_tcp *stack_handover_find(uint32_t number);

/* Every socket that is to have an owner has one: those that nobody adopted end. */
void stack_handover_end(void);

/* A datagram socket's state, into one that was just opened. */
void stack_handover_datagram(struct archive *archive, struct stack_datagram *datagram);

/* Start to speak on the wire. */
void stack_resume(void);

#endif
