/* datagram_deliver.h - datagrams from the stack to the program's pair. */
#ifndef SIDESTACK_DATAGRAM_DELIVER_H
#define SIDESTACK_DATAGRAM_DELIVER_H

#include "service/protocol.h"
#include "service/socket.h"
#include "stack/datagram.h"

/* The longest message in a pair: the header, the longest datagram that IP has, and a byte that makes it a multiple of
 * the header's alignment. */
#define DATAGRAM_MESSAGE_MAX (sizeof(struct protocol_datagram) + 65536)

/* The stack has a datagram for a socket: its received(). */
bool datagram_deliver(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count,
                      size_t length);

/* Write what waits to be written together with more. The loop calls this when it has read what the wire had. */
void datagram_deliver_flush(void);

/* The socket is about to go: so is what waits for it. */
void datagram_deliver_forget(const struct socket *socket);

/* Has the program read all that is in its end? */
bool datagram_deliver_is_all_read(const struct socket *socket);

#endif
