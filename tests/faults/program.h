/* program.h - how the steps of program.c say what happened. */
#ifndef SIDESTACK_FAULTS_PROGRAM_H
#define SIDESTACK_FAULTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The name of the step that runs. */
extern const char *step;

/* Something is wrong: say so, and end. */
void end(const char *why) __attribute__((noreturn));

/* Note how a call went, with errno. An error that the call can't have is the end. Return: did it go well? */
bool good(const char *call, long result);

/* Bytes of a stream, from place `from` on: make them, and see that they are the ones. */
void fill(uint8_t *bytes, size_t size, size_t from);
void check(const uint8_t *bytes, size_t size, size_t from);

#endif
