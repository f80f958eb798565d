/* resolver_config.h - which name servers are asked, how, and which domains are searched. */
#ifndef SIDESTACK_RESOLVER_CONFIG_H
#define SIDESTACK_RESOLVER_CONFIG_H

#include "stack/stack.h"

#include <stdbool.h>
#include <stddef.h>

#define RESOLVER_SERVERS_MAX 8
#define RESOLVER_DOMAINS_BYTES 256 /* PROTOCOL_OPTION_MAX: they go into one reply */

/* Domains to search, in order, each with its '\0'. */
struct resolver_domains {
    char text[RESOLVER_DOMAINS_BYTES];
    size_t length;
};

struct resolver_config {
    union stack_address servers[RESOLVER_SERVERS_MAX]; /* with their ports */
    size_t server_count;                               /* at least 1 */
    struct resolver_domains domains;
    int timeout_s, attempts;
    bool rotate;  /* begin with another server each time */
    bool use_tcp; /* never UDP */
};

/* The name servers and the domains that the service was given; none: what the network says holds, or else
 * /etc/resolv.conf. Servers beyond RESOLVER_SERVERS_MAX are left out; a port of 0 means 53. */
void resolver_set_servers(const union stack_address *servers, size_t count);
void resolver_set_domains(const struct resolver_domains *domains);

/* What holds now; reads /etc/resolv.conf again when it has changed. Valid until the next call. */
const struct resolver_config *resolver_config_get(void);

/* Read the text of a resolv.conf(5). For resolver_config_get(), and tests. */
void resolver_config_parse(char *text, struct resolver_config *config);

/* Append a domain, without a dot at its end. Return: false when there is no room. */
bool resolver_domains_add(struct resolver_domains *domains, const char *domain);

#endif
