/*
 * blackhole_netif.c - an interface that leads nowhere.
 *
 * What is sent there is lost, and nothing comes from there: to a connection bound to it that is a network which drops
 * every packet, so its retransmissions and time-outs are those of a real one.
 */
#include "blackhole_netif.h"

#include "stack/ip/interface.h"

static struct netif blackhole;
static bool is_open;

static err_t drop(struct netif *netif, struct pbuf *p, const ip4_addr_t *destination)
{
    (void)netif;
    (void)p;
    (void)destination;
    return ERR_OK;
}

static err_t drop6(struct netif *netif, struct pbuf *p, const ip6_addr_t *destination)
{
    (void)netif;
    (void)p;
    (void)destination;
    return ERR_OK;
}

static err_t blackhole_init(struct netif *netif)
{
    netif->name[0] = 'b';
    netif->name[1] = 'h';
    netif->output = drop;
    netif->output_ip6 = drop6;
    netif->mtu = 1500;
    netif->flags = NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

struct netif *blackhole_netif(void)
{
    if (!is_open) {
        netif_add(&blackhole, IP4_ADDR_ANY4, IP4_ADDR_ANY4, IP4_ADDR_ANY4, NULL, blackhole_init, ip_input);
        blackhole.num = STACK_INTERFACE_COUNT; /* lwIP's index is one more, and no interface that a program sees */
        netif_set_up(&blackhole);
        is_open = true;
    }
    return &blackhole;
}

void blackhole_netif_close(void)
{
    if (is_open)
        netif_remove(&blackhole);
    is_open = false;
}
