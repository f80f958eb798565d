/*
 * takeover.h - a new service takes the place of a running one, connections and all (sidestackd --takeover).
 *
 * docs/takeover.md tells what is kept. The steps, over a SOCK_SEQPACKET pair of which the running service gives the new
 * one an end:
 *
 *   new                                   running
 *   PROTOCOL_TAKEOVER (control socket) -> between two turns of its loop:
 *                                      <- DESCRIPTORS, in batches; STATE, with a memfd
 *   builds everything, on a mute wire
 *   READY                              ->
 *                                      <- COMMIT
 *   TAKEN                              -> ends, without a word to anybody
 *   speaks
 *
 * Until TAKEN was sent the new one has changed nothing that the two share, so the running one goes on as if nothing had
 * been when the new one ends, or does not answer in time. Then it shuts the channel before it looks a last time: either
 * TAKEN came, or it can't be sent any more.
 */
#ifndef SIDESTACK_TAKEOVER_H
#define SIDESTACK_TAKEOVER_H

#include "service/program.h"
#include "stack/archive.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What both sides have beside the sockets; the descriptors are their holders' when they are given, and the new
 * service's when they are taken. */
struct takeover {
    int wire_fd;               /* the TAP device; -1: the new one opens its wire itself */
    int control_fd;            /* listens */
    bool control_is_systemds;  /* and goes on to */
    uint8_t mac[6];
    char netif[256];           /* the wire, as it was told to the running one */
    uint64_t pid;              /* of that */
};

/* Both directions. */
void takeover_walk_service(struct archive *archive, struct takeover *takeover);

/* ---- the running service ---- */

/* Hand everything over to who asked (takeover_channel.h). Return: 0: it is the new one's now, touch nothing; -errno: go on. */
int takeover_give(const struct takeover *takeover);

/* ---- the new service ---- */

/* Ask the service at this control socket, and receive its state. Return: 0 or -errno after saying what failed. */
int takeover_ask(const char *path, struct takeover *takeover);

/* Build everything; the stack is open and mute. Return: 0 or -errno after saying what failed: end without touching
 * anything. */
int takeover_build(void);

/* Say that all is there, and become the one. Return: 0, or -errno: the other one goes on, end without touching
 * anything. */
int takeover_commit(void);

/* ---- takeover_state.c: sockets and control connections, in both directions ---- */

void takeover_walk(struct archive *archive);

#endif
