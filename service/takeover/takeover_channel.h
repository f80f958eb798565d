/* takeover_channel.h - messages between the running service and the new one. */
#ifndef SIDESTACK_TAKEOVER_CHANNEL_H
#define SIDESTACK_TAKEOVER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAKEOVER_WAIT_MS 10000 /* for each step of the other side */

enum takeover_step {
    TAKEOVER_DESCRIPTORS = 1, /* a batch rides along */
    TAKEOVER_STATE,           /* a memfd rides along; number: how many descriptors came before */
    TAKEOVER_READY,
    TAKEOVER_COMMIT,
    TAKEOVER_TAKEN,
};

#define TAKEOVER_BATCH 200 /* descriptors of one message; the kernel takes 253 */

/* ---- the running service's channel ---- */

/* PROTOCOL_TAKEOVER: *channel is the end for the new service, the caller's. Return: 0, -EBUSY: another one is at it, or
 * -errno. */
int takeover_channel_open(int *channel);

/* Was that asked for? To be looked at between two turns. */
bool takeover_is_wanted(void);

/* The end for the running service, from now on the caller's. */
int takeover_channel_take(void);

/* ---- both ---- */

/* Send a step, with descriptors (which stay the caller's). Return: 0 or -errno; -ETIMEDOUT. */
int takeover_send(int channel, enum takeover_step step, uint64_t number, const int *fds, size_t fd_count);

/* Wait for a message. fds: room for TAKEOVER_BATCH, the caller's to close. Return: 0, or -errno: -EPIPE when the other
 * side ended, -ETIMEDOUT, -EPROTO. */
int takeover_receive(int channel, enum takeover_step *step, uint64_t *number, int *fds, size_t *fd_count);

/* The same for one step and no descriptors. */
int takeover_await(int channel, enum takeover_step wanted);

#endif
