/* cork.h - TCP_CORK of connected sockets, in memory that programs share (PROTOCOL_CORK). */
#ifndef SIDESTACK_CORK_H
#define SIDESTACK_CORK_H

#include "stack/archive.h"

#include <stdbool.h>
#include <stdint.h>

struct cork_page;
struct program;
struct socket;

/* Give the socket a slot in the page of who asks, uncorked; all that was written to it has been read. Return: 0: it has
 * one there; -EBUSY: it is corked otherwise; -EPERM: it has one in another user's page; -ENOSPC, or another -errno. */
int cork_attach(struct socket *socket, const struct program *asks);

/* Who accepts from a listening socket corks by the page of who asks, unless it is another user's already. */
void cork_attach_listener(struct socket *listener, const struct program *asks);

/* A child that was just accepted: give it a slot where the others of its listener have theirs, if there is one. */
void cork_attach_child(struct socket *child);

/* The socket has no pair any more. */
void cork_detach(struct socket *socket);

/* Where it is, for PROTOCOL_CORK and protocol_accepted; *page 0: in none. Return: the page's descriptor, which stays the
 * page's, or -1. */
int cork_describe(const struct socket *socket, uint32_t *page, uint32_t *slot);

/* TCP_CORK, for who asks by a request: is it on? Set it; what was written before has been read. */
bool cork_is_on(const struct socket *socket);
void cork_set(struct socket *socket, bool on);

/* Let go what was held back: who uncorked says so. */
void cork_release(struct socket *socket);

/* Before bytes of the socket are read: is there among them what must not wait? */
bool cork_look(const struct socket *socket);

/* They were read, and there was not: are they to wait? Then the program tells when it uncorks. */
bool cork_hold(const struct socket *socket);

/* Was it uncorked since the look? Then look once more, so that the next cork is not taken for that one. */
bool cork_went(const struct socket *socket);

/* A user is no more. NULL is as good. */
void cork_release_page(struct cork_page *page);

/* For a service that takes over: the pages, then in each socket which slot it has; and when all are read. */
void cork_handover_pages(struct archive *archive);
void cork_handover(struct archive *archive, struct socket *socket);
void cork_forget_pages(void);

#endif
