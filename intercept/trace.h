/*
 * trace.h - prints each hooked call on our sockets, when SIDESTACK_TRACE is set.
 */
#ifndef SIDESTACK_TRACE_H
#define SIDESTACK_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Set once, by the constructor. */
extern bool trace_is_on;

/*
 * Print one call as "name(arguments) = result", with one write(2). result: as the logic functions return it, negative
 * for -errno. format, for the arguments: %d int  %x int in hexadecimal  %u size_t  %p pointer  %s string  %l socket
 * level  %m MSG_* flags %a const struct sockaddr *, then socklen_t errno is kept.
 */
void trace_print(const char *name, int64_t result, const char *format, ...);

void trace_start(void);

#endif
