/* capture_stream.h - PROTOCOL_CAPTURE: frames to a tool. */
#ifndef SIDESTACK_CAPTURE_STREAM_H
#define SIDESTACK_CAPTURE_STREAM_H

#include "service/protocol.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct program;

/* Start one. tail: the filter's instructions, which request_check() has found to be as many as the request says.
 * Return: 0 and *reader, the pipe to read, the caller's; or -errno. */
int capture_stream_start(const struct protocol_message *request, const uint8_t *tail, const struct program *program, int *reader);

/* The end of a turn: write what was captured in it. */
void capture_stream_flush(void);

struct capture_stream_counters {
    size_t open;
    uint64_t started, frames, dropped;
};
extern struct capture_stream_counters capture_stream_counters;

#endif
