/* dhcp_client.h - an IPv4 address, routes and name servers by DHCP. */
#ifndef SIDESTACK_DHCP_CLIENT_H
#define SIDESTACK_DHCP_CLIENT_H

#include "interface.h"
#include "stack/archive.h"
#include "stack/lwip_api.h"

/* Begin to ask for an address on the wire. Return: 0 or -ENOMEM. */
int dhcp_client_open(const struct stack_config *config);

/* Give the address back to the server, and stop. */
void dhcp_client_close(void);

/* Does it ask for an address, or have one? */
bool dhcp_client_is_open(void);

/* Is there an address from DHCP? */
bool dhcp_client_is_bound(void);

/* For how many seconds its address is ours yet; 0: there is none. */
uint32_t dhcp_client_lease_left_s(void);

/* A frame with a DHCP message came from this Ethernet address. */
void dhcp_client_note_sender(const uint8_t mac[6]);

/* The lease, with what came with it, into an archive or out of it. Who has none writes nothing; who reads nothing, or
 * doesn't want one, goes on as it is. */
void dhcp_client_handover(struct archive *archive);

/* Run what is due. */
void dhcp_client_run(void);

/* Microseconds until then; -1: never. */
int64_t dhcp_client_timer_us(void);

#endif
