/* listener.h - listening sockets: new connections become messages on the listening descriptor. */
#ifndef SIDESTACK_LISTENER_H
#define SIDESTACK_LISTENER_H

#include "socket.h"

/* listen(2). Return: 0 or -errno. */
int listener_start(struct socket *socket, int backlog);

/* shutdown(SHUT_RD) of a listening socket: as if it had never listened; what waits to be accepted is reset. */
/* A listening socket, and then each of its children in order, come from another service: is_delivered: the program has
 * it, or its message is in the pair. */
void listener_restore(struct socket *socket);
void listener_restore_child(struct socket *listener, struct socket *child, bool is_delivered);

void listener_stop(struct socket *socket);

/* The pair of a listening socket has something to say: epoll's bits. */
void listener_handle_pair(struct socket *socket, uint32_t epoll_events);

/* Its turn: pass on what was accepted. Later than what has come for it already, so that an accept() that waits is woken
 * once for both. */
void listener_run(struct socket *socket);

/* Callback of the stack: child is an established connection. */
void listener_accepted(void *owner, struct stack_tcp *child);

/* A deferred child (TCP_DEFER_ACCEPT) has data, or its end: accept() may have it. */
void listener_child_ready(struct socket *child);
/* It is no child any more. */
void listener_forget_deferred(struct socket *child);
/* Microseconds until listener_run_timers() may have something to do; -1: nothing is deferred. */
int64_t listener_timer_us(void);
/* The time of this turn of the loop: let accept() have those that have waited long enough. */
void listener_run_timers(uint64_t now_us);

/* accept() has taken this child. */
void listener_child_taken(struct socket *child);

#endif
