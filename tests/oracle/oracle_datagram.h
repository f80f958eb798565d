/* oracle_datagram.h - what the topics about datagram sockets share, beside oracle.h. */
#ifndef SIDESTACK_ORACLE_DATAGRAM_H
#define SIDESTACK_ORACLE_DATAGRAM_H

#include "oracle.h"

/* ---- sockets ---- */

/* A blocking UDP socket, not bound. */
int oracle_udp(void);
/* One that is bound to the subject's address, its port named "bound". */
int oracle_udp_bound(void);
/* The peer's datagram socket of this number, opened. Return: its port, named "peer-udp0" and so on. */
int oracle_peer_udp(int number);
/* A bound socket that is connected to the peer's socket 0, which is opened. */
int oracle_udp_connected(void);
/* A bound socket that is connected to a port of the peer's on which nobody listens. */
int oracle_udp_refused(void);

/* setsockopt() of an int, which must work. */
void oracle_set(int fd, int level, int name, int value);

/* ---- data ---- */

/* sendto() without the casts. */
ssize_t oracle_sendto(int fd, const void *data, size_t length, int flags, union oracle_sockaddr to);
/* Wait until something can be read, or an error; prints nothing unless nothing comes. */
void oracle_wait_datagram(int fd);
/* One recvfrom() of at most size bytes; prints length, data, and from whom. */
long oracle_recvfrom(int fd, size_t size, int flags);
/* One recvmsg() with so much room; prints that and flags and control messages. */
long oracle_recvmsg(int fd, size_t size, size_t control_size, int flags);
/* One sendmsg() of "abc" with one control message. to: NULL: none. */
ssize_t oracle_send_control(int fd, const union oracle_sockaddr *to, int level, int type, const void *value,
                            size_t size);
/* Wait until all that the peer has sent is there: what it sends to another socket, by the same way, comes after it. */
void oracle_wait_for_peer(void);
/* The peer sends one datagram of this many bytes from its socket 0, and it is there. Prints nothing. */
void oracle_peer_sends(int fd, int count);
/* count bytes of the pattern, beginning with an a; from malloc(). */
char *oracle_pattern(size_t count);

#endif
