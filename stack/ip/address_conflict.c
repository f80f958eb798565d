/*
 * address_conflict.c - is the IPv4 address that DHCP gave us somebody else's already? (RFC 5227)
 *
 * In place of lwIP's acd.c, for two reasons: that takes the RFC's times, made for slow networks, and so six to nine
 * seconds until an address may be used, and it wants a tick ten times a second. Here an address is asked for
 * three times in half a second, and nothing runs when nothing is due.
 *
 * There is one client, dhcp.c, and one address.
 */
#include "address_conflict.h"

#include <string.h>

#include "stack/port.h"
#include "stack/wire/wire_netif.h"

#define PROBES 3
#define PROBE_US 250000u         /* between them, and after the last */
#define ANNOUNCE_US 2000000u     /* RFC 5227: ANNOUNCE_INTERVAL */
#define DEFEND_US 10000000u      /* DEFEND_INTERVAL */

static struct acd *client;   /* borrowed, dhcp.c's; NULL: none */
static uint64_t due_us;      /* when acd_run() has something to do; 0: never */
static uint64_t defended_us; /* when the address was defended last; 0: never */

err_t acd_add(struct netif *netif, struct acd *acd, acd_conflict_callback_t callback)
{
    (void)netif;
    client = acd;
    client->acd_conflict_callback = callback;
    client->state = ACD_STATE_OFF;
    due_us = defended_us = 0;
    return ERR_OK;
}

void acd_remove(struct netif *netif, struct acd *acd)
{
    (void)netif;
    (void)acd;
    client = NULL;
    due_us = 0;
}

err_t acd_stop(struct acd *acd)
{
    acd->state = ACD_STATE_OFF;
    due_us = 0;
    return ERR_OK;
}

void acd_network_changed_link_down(struct netif *netif)
{
    (void)netif;
}

void acd_netif_ip_addr_changed(struct netif *netif, const ip_addr_t *old_address, const ip_addr_t *new_address)
{
    (void)netif;
    (void)old_address;
    (void)new_address;
}

err_t acd_start(struct netif *netif, struct acd *acd, ip4_addr_t address)
{
    ip4_addr_copy(acd->ipaddr, address);
    acd->state = ACD_STATE_PROBING;
    acd->sent_num = 1;
    etharp_acd_probe(netif, &acd->ipaddr);
    due_us = port_now_us + PROBE_US;
    return ERR_OK;
}

void address_conflict_run(void)
{
    struct netif *netif = wire_netif_get();

    if (client == NULL || due_us == 0 || port_now_us < due_us)
        return;
    due_us = 0;
    if (client->state == ACD_STATE_PROBING && client->sent_num < PROBES) {
        client->sent_num++;
        etharp_acd_probe(netif, &client->ipaddr);
        due_us = port_now_us + PROBE_US;
    } else if (client->state == ACD_STATE_PROBING) {
        client->state = ACD_STATE_ANNOUNCING;
        client->acd_conflict_callback(netif, ACD_IP_OK);
        etharp_acd_announce(netif, &client->ipaddr);
        due_us = port_now_us + ANNOUNCE_US;
    } else if (client->state == ACD_STATE_ANNOUNCING) {
        client->state = ACD_STATE_ONGOING;
        etharp_acd_announce(netif, &client->ipaddr);
    }
}

int64_t address_conflict_timer_us(void)
{
    if (client == NULL || due_us == 0)
        return -1;
    return due_us <= port_now_us ? 0 : (int64_t)(due_us - port_now_us);
}

/* The address is another's: DHCP tells the server and begins anew. */
static void give_up(struct netif *netif)
{
    struct acd *acd = client;

    acd_stop(acd);
    wire_netif_assume(NULL); /* the message is from nobody */
    acd->acd_conflict_callback(netif, ACD_DECLINE);
    acd->acd_conflict_callback(netif, ACD_RESTART_CLIENT);
}

/* lwIP: an ARP packet came. */
void acd_arp_reply(struct netif *netif, struct etharp_hdr *header)
{
    ip4_addr_t sender, target;

    if (client == NULL || memcmp(&header->shwaddr, netif->hwaddr, ETH_HWADDR_LEN) == 0)
        return;
    IPADDR_WORDALIGNED_COPY_TO_IP4_ADDR_T(&sender, &header->sipaddr);
    IPADDR_WORDALIGNED_COPY_TO_IP4_ADDR_T(&target, &header->dipaddr);
    switch (client->state) {
    case ACD_STATE_PROBING:
        if (ip4_addr_eq(&sender, &client->ipaddr) ||
            (ip4_addr_isany_val(sender) && ip4_addr_eq(&target, &client->ipaddr) &&
             header->opcode == PP_HTONS(ARP_REQUEST)))
            give_up(netif);
        break;
    case ACD_STATE_ANNOUNCING:
    case ACD_STATE_ONGOING:
        if (!ip4_addr_eq(&sender, &client->ipaddr))
            break;
        if (defended_us != 0 && port_now_us - defended_us < DEFEND_US) {
            give_up(netif);
        } else {
            defended_us = port_now_us;
            etharp_acd_announce(netif, &client->ipaddr);
        }
        break;
    default:
        break;
    }
}
