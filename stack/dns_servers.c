/*
 * dns_servers.c - the name servers that DHCP, DHCPv6 and router advertisements told us of.
 *
 * In place of lwIP's dns.c: its users hand the servers over here, and who resolves names asks here.
 */
#include "dns_servers.h"

#include "lwip_api.h"

static ip_addr_t servers[DNS_MAX_SERVERS]; /* the unspecified address: none */

void dns_servers_clear(void)
{
    for (u8_t i = 0; i < DNS_MAX_SERVERS; i++)
        ip_addr_set_zero(&servers[i]);
}

/* lwIP starts. */
void dns_init(void)
{
}

/* lwIP learned of a server; NULL: there is none at this place (any more). */
void dns_setserver(u8_t index, const ip_addr_t *server)
{
    if (index >= DNS_MAX_SERVERS)
        return;
    if (server != NULL)
        servers[index] = *server;
    else
        ip_addr_set_zero(&servers[index]);
}

/* Return: the server at this place, or the unspecified address. */
const ip_addr_t *dns_getserver(u8_t index)
{
    return index < DNS_MAX_SERVERS ? &servers[index] : IP_ADDR_ANY;
}
