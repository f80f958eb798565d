/* program.h - the steps of program.c, what they share, and how they say what happened. */
#ifndef SIDESTACK_FAULTS_PROGRAM_H
#define SIDESTACK_FAULTS_PROGRAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* The name of the step that runs. */
extern const char *step;

/* Whom it talks to, and how long an answer may take before it is taken to be lost. */
extern struct sockaddr_in peer4, udp4;
extern struct sockaddr_in6 peer6;
extern int lost_ms;

/* Something is wrong: say so, and end. */
void end(const char *why) __attribute__((noreturn));

/* Note how a call went, with errno. An error that the call can't have is the end. Return: did it go well? */
bool good(const char *call, long result);

/* Bytes of a stream, from place `from` on: make them, and see that they are the ones. */
void fill(uint8_t *bytes, size_t size, size_t from);
void check(const uint8_t *bytes, size_t size, size_t from);

/* A connection. Return: its descriptor or -1. */
int dial(const void *to, socklen_t length, int flags);

/* Write a command and `size` bytes, end, and read them back, all at once. Return: did it go well? */
bool exchange(int fd, const char *command, size_t size);

/* Return: a listening socket and its port, or -1. */
int open_listener(int domain, in_port_t *port);

/* Each step: did it go well? */
bool step_short_exchange(void);
bool step_long_exchange(void);
bool step_exchange6(void);
bool step_blocking(void);
bool step_accepting(void);
bool step_own_loopback(void);
bool step_refused(void);
bool step_by_epoll(void);
bool step_datagram(void);
bool step_connected_datagrams(void);
bool step_batches(void);
bool step_large(void);
bool step_unheard(void);
bool step_groups(void);
bool step_hold(void);
bool step_options(void);
bool step_names(void);
bool step_more_names(void);
bool step_async_names(void);
bool step_interfaces(void);
bool step_on_host(void);
bool step_bound_on_host(void);
bool step_many_sockets(void);
bool step_calls(void);
bool step_lingering(void);
bool step_copies(void);
bool step_inherited(void);
bool step_unaccepted(void);
bool step_replaced(void);
bool step_foreign(void);

#endif
