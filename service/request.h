/* request.h - what each request of the control protocol does. */
#ifndef SIDESTACK_REQUEST_H
#define SIDESTACK_REQUEST_H

#include "protocol.h"
#include "socket.h"

#include <stdbool.h>

#define REQUEST_REPLY_FDS (1 + PROTOCOL_SPARES_MAX)

struct request_context {
    struct program *program; /* the client's: who asks */
    struct rules_who *who;   /* the client's; NULL: there are no rules */
    const uint8_t *tail;     /* what followed the request in its packet */
    int fd;                  /* the descriptor that rode with the request; who takes it leaves -1 */
    bool is_foreign;         /* .fd is no socket of AF_UNIX: nothing is asked of it */
    int reply_fd;            /* the descriptor to send with the reply, closed after; -1: none */
    bool keeps_reply_fd;     /* it is not: it stays whose it is */
    int spare_fds[PROTOCOL_SPARES_MAX]; /* PROTOCOL_SOCKET: likewise, behind it */
    size_t spare_count;
    struct socket *wait_for; /* no reply now: the client waits for this socket */
};

/* The setting on-death, which every program that makes a socket is told. */
extern enum protocol_on_death request_on_death;

/* What may follow a request in its packet: the queries of PROTOCOL_RESOLVE, the filter of PROTOCOL_CAPTURE. */
#define REQUEST_TAIL_MAX (2 * PROTOCOL_QUERY_MAX)

/* Is it well formed? fd is the descriptor that came along, or -1; tail_length: how many bytes followed it. Return: 0 or
 * -EPROTO. */
int request_check(const struct protocol_message *request, int fd, size_t tail_length);

/* Do it and fill in the reply but for its result. Return: the result, 0 or -errno. */
int request_execute(const struct protocol_message *request, struct protocol_message *reply,
                    struct request_context *context);

#endif
