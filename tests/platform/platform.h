/*
 * platform.h - what the platform tests share.
 *
 * Each program in this directory states one thing that we rely on the kernel for, tries it, prints what it saw, and
 * exits with 0 when the kernel does it and 1 when it does not. None of them uses any part of sidestack.
 */
#ifndef SIDESTACK_PLATFORM_H
#define SIDESTACK_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

/* Print one line, "ok" or "FAILED" and the text, and remember a failure for platform_result().
 * Return: condition. */
bool platform_check(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What main() returns: 0 when every check held, else 1. */
int platform_result(void);

/* Print what failed, with errno's text, and exit 1: the test could not even be tried. */
void platform_die(const char *what) __attribute__((noreturn));

/* End the process with SIGALRM if the test is not through in this time. Called first in each main(). */
void platform_limit_seconds(unsigned seconds);

/* A non-blocking AF_UNIX stream pair: [0] plays the program's end, [1] the service's. */
void platform_make_pair(int pair[2]);

/* The same with the service's end bound to an abstract name, '\0' and name. */
void platform_make_named_pair(int pair[2], const char *name);

/* What poll() reports now, asked for everything. */
int platform_poll(int fd);

/* "IN|RDHUP", in a static buffer that lives until the fourth call after. */
const char *platform_bits_text(int bits);

/* platform_poll(fd) is exactly expected: a check with the text before it. */
bool platform_check_bits(int fd, int expected, const char *when);

/* Send length bytes with descriptor passed_fd (-1: none). Return: as sendmsg(). */
long platform_send_descriptor(int fd, const void *bytes, size_t length, int passed_fd);

/* Receive up to length bytes; *passed_fd is the first descriptor that rode along or -1; *count how many did.
 * Return: as recvmsg(). */
long platform_receive_descriptor(int fd, void *bytes, size_t length, int *passed_fd, int *count);

#endif
