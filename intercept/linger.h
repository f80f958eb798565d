/* linger.h - close(2) of a socket with SO_LINGER waits until the peer has everything. */
#ifndef SIDESTACK_LINGER_H
#define SIDESTACK_LINGER_H

#include <stdbool.h>
#include <sys/socket.h>

/* Has this process asked any socket to linger? If not, no close() need ask about it. */
extern _Atomic bool linger_is_used;

/* setsockopt() has set SO_LINGER to this. */
void linger_note(const struct linger *linger);

/* close() of a socket of ours, which may linger. Return: 0 or -errno. */
int linger_close(int fd);

#endif
