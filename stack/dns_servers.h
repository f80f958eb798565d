/* dns_servers.h - the name servers that the network told us of. */
#ifndef SIDESTACK_DNS_SERVERS_H
#define SIDESTACK_DNS_SERVERS_H

/* Forget them: the stack starts. */
void dns_servers_clear(void);

#endif
