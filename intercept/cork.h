/* cork.h - TCP_CORK of connected sockets, without asking the service each time. */
#ifndef SIDESTACK_CORK_H
#define SIDESTACK_CORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* TCP_CORK is set to this on a socket of ours. Return: need the service not be told? */
bool cork_set(int fd, bool on);

/* Have the service cork the socket if only this process knows so far. Goes before whatever asks the service about it,
 * and before the socket has another number. */
void cork_tell(int fd);

/* Write bytes that others will follow, to a descriptor that is known to be ours; flags as for sendmsg(). Return: as
 * sendmsg(2), with its errno. */
ssize_t cork_send(int fd, const struct iovec *iov, size_t count, int flags);

/* Bytes that can't be marked are about to be written to a descriptor that is corked, at most length of them. */
void cork_pass(int fd, size_t length);

/* So many, at least one, were written, corked or not. */
void cork_passed(int fd, size_t length);

#endif
