/* resolver_socket.h - the sockets that c-ares uses: on the stack, not the kernel's. */
#ifndef SIDESTACK_RESOLVER_SOCKET_H
#define SIDESTACK_RESOLVER_SOCKET_H

#include <ares.h>
#include <stdbool.h>

#define RESOLVER_SOCKETS 20 /* one lookup's at most: UDP and TCP for each server, and some that c-ares closes late */

struct resolver_socket;

/* The sockets of one channel. c-ares knows each by its index. */
struct resolver_sockets {
    struct resolver_socket *slots[RESOLVER_SOCKETS]; /* owned; NULL: free */
    void (*changed)(void *owner);                    /* one of them may be readable or writable now; inside callbacks of the stack: only note it */
    void *owner;
    bool heard; /* some server said something */
};

/* Have the channel use these sockets, which must stay where they are until it is destroyed. */
void resolver_sockets_attach(struct resolver_sockets *sockets, ares_channel channel);

/* c-ares says what it waits for (ares_sock_state_cb). */
void resolver_sockets_want(struct resolver_sockets *sockets, ares_socket_t index, bool readable, bool writable);

/* Find a socket from *index on for which c-ares has something to do. Return: false when there is none. */
bool resolver_sockets_next(const struct resolver_sockets *sockets, int *index, bool *readable, bool *writable);

/* Close what is left. */
void resolver_sockets_close(struct resolver_sockets *sockets);

#endif
