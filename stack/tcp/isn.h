/* isn.h - the secret behind initial sequence numbers. */
#ifndef SIDESTACK_ISN_H
#define SIDESTACK_ISN_H

#include <stdint.h>

#include "stack/lwip_api.h"

/* Choose a new secret. Return: 0 or -errno. */
int isn_open(void);

/* The next connection has the ends of an old one: begin beyond where that one was (RFC 1122 4.2.2.13, RFC 6191). */
void isn_follow(uint32_t sequence);
/* It begins with this number. */
void isn_set(uint32_t number);
/* It did not come about. */
void isn_forget(void);

/* Return: a number that depends on both ends, on more (below 2^32; initial sequence numbers use 0), and on the
 * secret. */
uint32_t isn_hash(const ip_addr_t *local, u16_t local_port, const ip_addr_t *peer, u16_t peer_port, uint32_t more);

struct archive;
/* The secret goes along, so that numbers between two ends go on growing. */
void isn_handover(struct archive *archive);

#endif
