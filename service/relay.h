/* relay.h - carries bytes, ends and errors between a connection's pair and its TCP socket. */
#ifndef SIDESTACK_RELAY_H
#define SIDESTACK_RELAY_H

#include "socket.h"

/* What was moved, since the start. */
struct relay_counters {
    uint64_t reads, bytes_read, writes, bytes_written;
    uint64_t wire_full;    /* TCP's send queue had no room: the program waits */
    uint64_t program_full; /* the pair had no room: the window closes */
};
extern struct relay_counters relay_counters;

/* What every socket of a program tells its record; also for children of listening sockets. */
extern const struct stack_tcp_events relay_tcp_events;

/* The pair of a connected socket has something to say: epoll's bits. */
void relay_handle_pair(struct socket *socket, uint32_t epoll_events);

/* Do the work that was queued for this socket. */
void relay_run(struct socket *socket);

/* The service stops: send what the program wrote so far, then FIN; give the program what came, then end of file. */
void relay_end(struct socket *socket);

#endif
