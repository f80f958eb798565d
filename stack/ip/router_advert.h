/* router_advert.h - what routers announce besides addresses and routes: name servers and domains (RFC 8106). */
#ifndef SIDESTACK_ROUTER_ADVERT_H
#define SIDESTACK_ROUTER_ADVERT_H

#include "stack/lwip_api.h"

/* Heed what routers say from now on, and ask them, or don't. */
void router_advert_open(bool wanted);

/* An ICMPv6 message came, at offset of p, its checksum not looked at yet. Return: shall lwIP see it? */
bool router_advert_input(struct pbuf *p, size_t offset, struct netif *input);

#endif
