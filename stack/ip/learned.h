/* learned.h - what the network told us of name servers and domains: by DHCP, DHCPv6, and router advertisements. */
#ifndef SIDESTACK_LEARNED_H
#define SIDESTACK_LEARNED_H

#include "interface.h"
#include "stack/archive.h"
#include "stack/lwip_api.h"

/* In the order of their weight (RFC 8106 5.3.1). */
enum learned_origin { LEARNED_DHCP, LEARNED_DHCP6, LEARNED_ROUTER, LEARNED_ORIGIN_COUNT };

#define LEARNED_FOR_EVER UINT32_MAX /* seconds */
#define LEARNED_DOMAIN_MAX 254      /* bytes of a domain's name, the final '\0' included */

/* Start with nothing. */
void learned_open(const struct stack_config *config);

/* A server, or a domain, is known for so many seconds; 0: no longer. One that was known before gets a new time. Those
 * that exceed the room are dropped. */
void learned_add_server(enum learned_origin origin, const ip_addr_t *server, uint32_t seconds);
void learned_add_domain(enum learned_origin origin, const char *domain, uint32_t seconds);

/*
 * Domains as DNS has them (RFC 1035 3.1): labels, each with its length before it, the empty one last; one after
 * another, padded with zeros. compressed: pointers may occur, into these same bytes (RFC 3397). What makes no sense
 * ends it.
 */
void learned_add_encoded_domains(enum learned_origin origin, const uint8_t *bytes, size_t size, bool compressed,
                                 uint32_t seconds);

/* Forget all of one origin. */
void learned_remove(enum learned_origin origin);

/* Something changed: addresses, routes, servers, domains. The owner is told once, from learned_run(). */
void learned_note_change(void);

/* All of one origin into an archive, or out of it. */
void learned_handover(struct archive *archive, enum learned_origin origin);

/* Tell the owner of changes, and forget what has run out. */
void learned_run(void);

/* Microseconds until learned_run() has something to do; -1: never. */
int64_t learned_timer_us(void);

#endif
