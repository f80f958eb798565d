/* lwip_hooks.h - where lwIP calls us. For lwIP's files (LWIP_HOOK_FILENAME) and those which implement the hooks. */
#ifndef SIDESTACK_LWIP_HOOKS_H
#define SIDESTACK_LWIP_HOOKS_H

#include <stdbool.h>

#include "lwip/ip_addr.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/tcp.h"

struct tcp_hdr;

/* isn.c: initial sequence numbers, RFC 6528. */
u32_t isn_choose(const ip_addr_t *local, u16_t local_port, const ip_addr_t *peer, u16_t peer_port);
#define LWIP_HOOK_TCP_ISN isn_choose

/* wire_netif.c: which netif a packet leaves by, and who is asked for by ARP (macros in lwipopts.h). */
struct netif *wire_netif_route(const ip4_addr_t *source, const ip4_addr_t *destination);
const ip4_addr_t *wire_netif_gateway(struct netif *netif, const ip4_addr_t *next_hop);

/* The same for IPv6: loop_netif.c and route6.c. */
struct netif *loop_route6(const ip6_addr_t *source, const ip6_addr_t *destination);
const ip6_addr_t *route6_gateway(struct netif *netif, const ip6_addr_t *destination);
#define LWIP_HOOK_IP6_ROUTE(source, destination) loop_route6(source, destination)
#define LWIP_HOOK_ND6_GET_GW(netif, destination) route6_gateway(netif, destination)

/* fragment.c: called for each packet before it is looked at; not 0: it was taken away. */
int fragment_filter4(struct pbuf *p);
int fragment_filter6(struct pbuf *p);
#define LWIP_HOOK_IP4_INPUT(p, netif) fragment_filter4(p)
#define LWIP_HOOK_IP6_INPUT(p, netif) fragment_filter6(p)

/* dhcp_client.c: dhcp.c sets an address, writes a message, has an option that it does not know, counts its times. */
void dhcp_client_set_address(struct netif *netif, const ip4_addr_t *address, const ip4_addr_t *mask,
                             const ip4_addr_t *router);
void dhcp_client_on_option(u8_t option, u8_t length, struct pbuf *p, u16_t at);
u32_t dhcp_client_ticks(u32_t seconds);
u16_t dhcp_client_append(u8_t type, u8_t *options, u16_t length);
#define netif_set_addr(netif, address, mask, router) dhcp_client_set_address(netif, address, mask, router)
#define LWIP_HOOK_DHCP_APPEND_OPTIONS(netif, dhcp, state, message, type, length) \
    (*(length) = dhcp_client_append(type, (message)->options, *(length)))
#define LWIP_HOOK_DHCP_PARSE_OPTION(netif, dhcp, state, message, type, option, length, p, at) \
    do { \
        (void)(message); \
        dhcp_client_on_option(option, length, p, at); \
    } while (0)

/* tcp_filter.c: called for each segment that found its control block, before it is processed; not ERR_OK drops it.
 * seqno, flags and tcplen are lwIP's own variables, which may be changed. */
err_t tcp_filter_segment(struct tcp_pcb *pcb, struct tcp_hdr *header, u16_t option_size, bool split, struct pbuf *p,
                         u32_t *sequence, u8_t *flags, u16_t *length);
#define LWIP_HOOK_TCP_INPACKET_PCB(pcb, header, optlen, opt1len, opt2, p) \
    tcp_filter_segment(pcb, header, optlen, (opt2) != NULL, p, &seqno, &flags, &tcplen)

/* tcp_sack.c: bytes of options that are not lwIP's: room for one more block of this connection. */
#define TCP_SACK_EXTRA_SIZE 12u
extern const struct tcp_pcb *tcp_sack_extra;
#define LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH(pcb, internal) \
    ((u8_t)((internal) + ((pcb) != NULL && (pcb) == tcp_sack_extra ? TCP_SACK_EXTRA_SIZE : 0)))

/* tcp_send.c: called for each segment on its way out, when its options were written. */
u32_t *tcp_socket_on_segment(struct pbuf *p, struct tcp_hdr *header, const struct tcp_pcb *pcb, u32_t *options);
#define LWIP_HOOK_TCP_OUT_ADD_TCPOPTS(p, header, pcb, options) tcp_socket_on_segment(p, header, pcb, options)

#endif
