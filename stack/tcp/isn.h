/* isn.h - the secret behind initial sequence numbers. */
#ifndef SIDESTACK_ISN_H
#define SIDESTACK_ISN_H

#include <stdint.h>

/* Choose a new secret. Return: 0 or -errno. */
int isn_open(void);

/* The next connection has the ends of an old one: begin beyond where that one was (RFC 1122 4.2.2.13, RFC 6191). */
void isn_follow(uint32_t sequence);
/* It did not come about. */
void isn_forget(void);

#endif
