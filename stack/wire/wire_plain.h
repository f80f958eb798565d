/*
 * wire_plain.h - a wire of plain frames over anything that carries them: what a descriptor and a VDE network have in
 * common.
 *
 * Frames that can't go at once wait in a short queue. When the other end is gone the wire is down: that is reported
 * once, frames are dropped, and nothing is polled any more, until it can be opened again (if ever).
 */
#ifndef SIDESTACK_WIRE_PLAIN_H
#define SIDESTACK_WIRE_PLAIN_H

#include "wire.h"

/* How frames go over it. All get `context`. */
struct plain_transport {
    /* Receive a frame into iov. Return: bytes, 0 when none waits, or -errno when the other end is gone (-EPIPE: in
     * order). */
    ssize_t (*receive)(void *context, const struct iovec *iov, int count);
    /* Send a frame. Return: 0, -EAGAIN when there is no room now, -EMSGSIZE and the like: this frame can't go; -EPIPE:
     * the other end is gone. */
    int (*send)(void *context, const uint8_t *frame, size_t size);
    /* The other end is gone: close what there is. Then, now and again: open it anew. Return: 0 or -errno. NULL: never
     * again. */
    void (*shut)(void *context);
    int (*open_again)(void *context);
    void (*free)(void *context);
};

/* Make the wire. name: in reports; copied. context is taken, also when this fails. Return: NULL when out of
 * resources. */
struct wire *wire_plain_open(const struct plain_transport *transport, void *context, const char *name);

/* Poll fd from now on; a transport does this when it is open. is_alarm: when something comes there, which is not read,
 * the other end is gone. Return: 0 or -errno. */
int wire_plain_watch(struct wire *wire, int fd, bool is_alarm);

#endif
