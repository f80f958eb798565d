/* fuzz.c - what the fuzz targets share: the input, and a world in which the same input does the same. */
#include "fuzz.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t fuzz_time_us;
unsigned fuzz_time_step_us;

static uint8_t random_byte;

struct fuzz_input fuzz_begin(const uint8_t *bytes, size_t size)
{
    random_byte = 0;
    return (struct fuzz_input){bytes, size};
}

size_t fuzz_take_bytes(struct fuzz_input *input, size_t wanted, const uint8_t **bytes)
{
    size_t length = wanted < input->left ? wanted : input->left;

    *bytes = input->at;
    input->at += length;
    input->left -= length;
    return length;
}

size_t fuzz_take_into(struct fuzz_input *input, void *out, size_t room)
{
    const uint8_t *bytes;
    size_t length = fuzz_take_bytes(input, room, &bytes);

    memcpy(out, bytes, length);
    return length;
}

/* Return: the next `count` bytes as a number; those that are missing are 0. */
static uint32_t take_number(struct fuzz_input *input, size_t count)
{
    const uint8_t *bytes;
    size_t length = fuzz_take_bytes(input, count, &bytes);
    uint32_t number = 0;

    for (size_t i = 0; i < count; i++)
        number = number << 8 | (i < length ? bytes[i] : 0);
    return number;
}

uint8_t fuzz_take_8(struct fuzz_input *input)
{
    return (uint8_t)take_number(input, 1);
}

uint16_t fuzz_take_16(struct fuzz_input *input)
{
    return (uint16_t)take_number(input, 2);
}

uint32_t fuzz_take_32(struct fuzz_input *input)
{
    return take_number(input, 4);
}

/* In libc's place: the same numbers for the same input. */
ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)(++random_byte * 37);
    return (ssize_t)size;
}

/* In libc's place: time passes when the target says so. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (fuzz_time_us == 0 || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE))
        return (int)syscall(SYS_clock_gettime, clock, time);
    fuzz_time_us += fuzz_time_step_us;
    time->tv_sec = (time_t)(fuzz_time_us / 1000000);
    time->tv_nsec = (long)(fuzz_time_us % 1000000) * 1000;
    return 0;
}

/* In Check's place, for the fixtures of the unit tests. */
void _ck_assert_failed(const char *file, int line, const char *expression, const char *message, ...)
{
    va_list arguments;

    fprintf(stderr, "%s:%d: %s: ", file, line, expression);
    va_start(arguments, message);
    if (message != NULL)
        vfprintf(stderr, message, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    abort();
}

void _mark_point(const char *file, int line)
{
    (void)file, (void)line;
}
