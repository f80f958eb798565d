/* stream.h - the TCP sockets of programs: what is asked of them. */
#ifndef SIDESTACK_STREAM_H
#define SIDESTACK_STREAM_H

#include "request.h"
#include "socket.h"

/* Answer PROTOCOL_SOCKET for this type. Return: 0 and *made, or -errno. */
int stream_make(int domain, int protocol, struct socket **made);

/* Answer any other request about a stream socket. Return: as request_execute(). */
int stream_execute(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                   struct request_context *context);

/* PROTOCOL_LINGER after close(2). Return: 0: there is nothing to wait for, unless context->wait_for says so. */
int stream_wait_for_linger(const struct protocol_message *request, struct request_context *context);

#endif
