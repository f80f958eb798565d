/* linger.h - close(2) of a socket with SO_LINGER waits until the peer has everything. */
#ifndef SIDESTACK_LINGER_H
#define SIDESTACK_LINGER_H

#include <stdbool.h>
#include <sys/socket.h>

/* Has this process asked any socket to linger? If not, no close() need ask about it. */
extern _Atomic bool linger_is_used;

/* setsockopt() has set SO_LINGER of a socket of ours to this. */
void linger_set(int fd, const struct linger *linger);

/* A descriptor of ours that this process sees for the first time. May change errno. */
void linger_see(int fd);

/* new_fd was accepted from fd. */
void linger_inherit(int fd, int new_fd);

/* close() of a socket of ours, which may linger. Return: 0 or -errno. */
int linger_close(int fd);

#endif
