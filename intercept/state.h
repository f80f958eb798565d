/*
 * state.h - what a socket of ours is doing, when the table of descriptors does not say.
 */
#ifndef SIDESTACK_STATE_H
#define SIDESTACK_STATE_H

#include "descriptor.h"

/* Ask the kernel whose fd is, then, if it is ours and EARLY, the service what it is doing; the table learns the answer.
 * Return: FOREIGN, DATA, LISTENING, or EARLY: neither connects nor is connected nor listens. errno is kept. */
enum descriptor_kind state_find(int fd);

/* libc's return convention to ours. */
#define STATE_RESULT(call)                                                                                             \
    ({                                                                                                                 \
        __typeof__(call) state_result = (call);                                                                        \
        state_result < 0 ? -errno : state_result;                                                                      \
    })

#endif
