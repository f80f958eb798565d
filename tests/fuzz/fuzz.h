/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is a file fuzz_PART_NAME.c with LLVMFuzzerTestOneInput() in it, which libFuzzer, AFL++ (`make fuzz`) or
 * replay.c (`make check`) calls. It reads its input as a list of commands, and begins and ends each with nothing left
 * behind, so that an input does the same every time: random numbers and, where fuzz_time_us is used, the time are the
 * harness's own.
 */
#ifndef SIDESTACK_TEST_FUZZ_H
#define SIDESTACK_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is left of the input. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* Begin with an input: random numbers start over. */
struct fuzz_input fuzz_begin(const uint8_t *bytes, size_t size);

/* Take a number, big-endian; 0 when there is nothing left. */
uint8_t fuzz_take_8(struct fuzz_input *input);
uint16_t fuzz_take_16(struct fuzz_input *input);
uint32_t fuzz_take_32(struct fuzz_input *input);

/* Take up to `wanted` bytes. Return: how many there are; they are part of the input. */
size_t fuzz_take_bytes(struct fuzz_input *input, size_t wanted, const uint8_t **bytes);

/* The same, copied to where there is room for so many. */
size_t fuzz_take_into(struct fuzz_input *input, void *out, size_t room);

/* CLOCK_MONOTONIC for the code under test, in microseconds; 0, as at the start: the real one. */
extern uint64_t fuzz_time_us;

/* By how much that grows with each look at it: for code that waits until a time. */
extern unsigned fuzz_time_step_us;

#endif
