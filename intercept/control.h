/*
 * control.h - requests to the service.
 */
#ifndef SIDESTACK_CONTROL_H
#define SIDESTACK_CONTROL_H

#include "service/protocol.h"

#include <stdbool.h>
#include <sys/time.h>

/* Start a request; everything else in it is zero. */
void control_prepare(struct protocol_message *message, enum protocol_operation operation);

/*
 * Send the request in *message, with the descriptor fd riding along (-1: none), and wait for its reply, which replaces
 * *message. received: where a descriptor that comes with the reply goes, close-on-exec (the caller owns it, -1 when
 * none came); NULL: the operation has none. Not a cancellation point, not interrupted by signals, errno is kept.
 * Return: the reply's result; -ENETDOWN when there is no service, -EPROTO when it answers garbage, or another -errno.
 */
int control_request(struct protocol_message *message, int fd, int *received);

/*
 * The same for a request whose reply takes as long as a handshake: a cancellation point, and a signal handler without
 * SA_RESTART ends it (-EINTR). timeout: of the wait, zero for none (-EAGAIN when it ran out).
 */
int control_request_waiting(struct protocol_message *message, int fd, int *received, const struct timeval *timeout);

/* What can come with the reply to PROTOCOL_SOCKET. */
struct control_received {
    int fds[1 + PROTOCOL_SPARES_MAX];
    size_t count;
};

/* PROTOCOL_SOCKET: as control_request(), but that many descriptors may come. */
int control_request_sockets(struct protocol_message *message, struct control_received *received);

/* Send a request that wants no reply (PROTOCOL_FLAG_ONE_WAY is set here). Return: 0, -ENETDOWN when there is no
 * service, or another -errno. */
int control_send(struct protocol_message *message, int fd);

/* What follows a message in its packet: the queries of PROTOCOL_RESOLVE, the answers to them. */
struct control_tail {
    void *bytes;
    size_t length;
};

/*
 * A request with bytes behind it, and a reply that has some too, which are in allocated memory then (the caller owns
 * it; length 0: none). A cancellation point; signals do not interrupt it. Return: as control_request().
 */
int control_request_with_tail(struct protocol_message *message, const struct control_tail *out, struct control_tail *in);

/* PROTOCOL_STATUS of fd. Return: as control_request(). */
int control_status(int fd, struct protocol_message *message);

/* The errno that ended the socket fd, as the service knows it; fallback (positive) when it knows none or is gone. */
int control_cause(int fd, int fallback);

#endif
