/* dhcp6_client.h - name servers and domains by stateless DHCPv6 (RFC 8415 18.2.6). */
#ifndef SIDESTACK_DHCP6_CLIENT_H
#define SIDESTACK_DHCP6_CLIENT_H

#include <stdint.h>

/* Start; nobody is asked before a router says that there is somebody. Return: 0 or -ENOMEM. */
int dhcp6_client_open(void);
void dhcp6_client_close(void);

/* Run what is due. */
void dhcp6_client_run(void);

/* Microseconds until then; -1: never. */
int64_t dhcp6_client_timer_us(void);

#endif
