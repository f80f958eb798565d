/*
 * lwipopts.h - how lwIP is built into sidestack.
 *
 * Read by every file of lwIP and by the stack driver. One thread, no operating system layer: the service's loop calls
 * in, and stack.c drives the timers.
 */
#ifndef SIDESTACK_LWIPOPTS_H
#define SIDESTACK_LWIPOPTS_H

/* Structure: one thread, raw callbacks. */
#define NO_SYS 1
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_TIMERS 0 /* stack_timers.c calls what is due */
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define LWIP_STATS_DISPLAY 0
#define MEM_STATS 0
#define MEMP_STATS 0

/* Memory comes from the C library, small objects by way of small.c: what bounds it is the queue of each socket, not a
 * pool. */
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC small_malloc
#define MEM_CUSTOM_CALLOC small_calloc
#define MEM_CUSTOM_FREE small_free
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_POOL_FREE_OOSEQ 0 /* no pbuf pool, so it can't run dry */

/* Protocols. */
#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_ICMP 1
#define LWIP_RAW 1
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_DHCP 1
#define LWIP_NETIF_HOSTNAME 1
/* dhcp_client.c reads name servers and more: */
#define DHCP_ADD_EXTRA_REQUEST_OPTIONS , 6, 15, 26, 119, 121
#define DHCP_OPTIONS_LEN 256        /* room for ours */
#define DHCP_COARSE_TIMER_SECS 1
#define DHCP_TIMEOUT_SIZE_T u32_t
#define DHCP_DEFINE_CUSTOM_TIMEOUTS 1
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T0_LEASE(ticks, dhcp) ((ticks) = dhcp_client_ticks((dhcp)->offered_t0_lease))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T1_RENEW(ticks, dhcp) ((ticks) = dhcp_client_ticks((dhcp)->offered_t1_renew))
#define DHCP_SET_TIMEOUT_FROM_OFFERED_T2_REBIND(ticks, dhcp) ((ticks) = dhcp_client_ticks((dhcp)->offered_t2_rebind))
#define DHCP_NEXT_TIMEOUT_THRESHOLD 60 /* seconds: RFC 2131 4.4.5 */
#define DHCP_REQUEST_BACKOFF_SEQUENCE(tries) ((u16_t)(((tries) < 6 ? 1 << (tries) : 60) * 1000))
#define LWIP_IGMP 1
#define LWIP_DNS 0
#define IP_FORWARD 0
#define IP_OPTIONS_ALLOWED 1
#define IP_DEFAULT_TTL 64 /* as Linux */
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 1024 /* fragments that wait, of all datagrams; 64 KB at an MTU of 576 are 119 */
#define IP_FRAG 1

/* ARP: several packets may wait for an answer, as on Linux (unres_qlen). */
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 101 /* Linux: unres_qlen; a datagram of 64 KB is 45 fragments */
#define ETHARP_TRUST_IP_MAC 0
#define ETHARP_SUPPORT_STATIC_ENTRIES 1 /* for the server, when an address is given back */

/*
 * IPv6. The destination cache is searched from its start, and nd6.c counts its entries in signed 8-bit numbers; a
 * connection remembers its entry (LWIP_NETIF_HWADDRHINT; that of ARP, too), so the search is for others.
 */
#define LWIP_IPV6_FORWARD 0
#define LWIP_MULTICAST_PING 1 /* as Linux, of IPv6; datagram_receive.c sees to it that those of IPv4 go unanswered */
#define LWIP_IPV6_NUM_ADDRESSES 16 /* of an interface; the first is the link-local one */
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_DHCP6 1
#define LWIP_IPV6_DHCP6_STATELESS 1
#define LWIP_ICMP6_HL 64 /* as Linux */
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS 0 /* router_advert.c reads them */
#define LWIP_NETIF_STATUS_CALLBACK 1
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers are too wide to be kept in the header of a fragment */
#define LWIP_IPV6_SCOPES 1
#define LWIP_ND6_NUM_NEIGHBORS 126
#define LWIP_ND6_NUM_DESTINATIONS 126
#define LWIP_ND6_NUM_PREFIXES 16
#define LWIP_ND6_NUM_ROUTERS 8
#define MEMP_NUM_ND6_QUEUE 128 /* packets that wait for neighbours, all together */
#define LWIP_NETIF_HWADDRHINT 1

/* Checksums: each frame says whether its sum is already known good, each wire whether it fills them in. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* Loopback is a netif of our own (loop_netif.c). */
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0

/*
 * TCP. TCP_MSS is the loopback's (65535 - 40); on a wire the MTU limits it. lwIP's sanity checks are for pools and for
 * the sequential API's low-water mark; neither is used, and they don't allow for an MSS above 16 KB.
 */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1
#define TCP_MSS 65495
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024)
#define TCP_WND_UPDATE_THRESHOLD (2 * TCP_WND) /* never: tcp_window.c says when */
#define TCP_SND_BUF (4 * 1024 * 1024)         /* lwIP's own limit; tcp_push.c keeps what it hands over below it */
#define TCP_SND_QUEUELEN 16384                /* pbufs; 4 MiB of segments of 536 bytes need 15 650 */
#define TCP_OVERSIZE 0                        /* sent data is referenced */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES (2 * 1024 * 1024)
#define TCP_OOSEQ_MAX_PBUFS 1500
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_TIMESTAMPS 1 /* lwIP writes and keeps them; tcp_sender.c makes use of them */
#define LWIP_TCP_KEEPALIVE 1
#define SO_REUSE 1
#define TCP_LISTEN_BACKLOG 0 /* its counter is 8 bits wide; lwip_hooks.h asks the owner of the listening socket */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1

/*
 * Timers: fast 50 ms, slow 100 ms. When to give up is decided in tcp_timer.c, so lwIP's own counts are
 * set out of reach. init.c refuses more than 12, for a table that tcp.c has long indexed with a bound of its own; a
 * name that is no macro (arch/cc.h) is 0 to the preprocessor.
 */
#define TCP_TMR_INTERVAL 50
#define TCP_MSL 30000UL
#define LWIP_TCP_RTO_TIME 1000 /* RFC 6298 2.1 */
#define TCP_SYNMAXRTX port_retries_max
#define TCP_MAXRTX port_retries_max

/* The hooks. That for routes must be known before lwip/ip4.h is read. */
#define LWIP_HOOK_IP4_ROUTE_SRC(source, destination) wire_netif_route(source, destination)
#define LWIP_HOOK_ETHARP_GET_GW(netif, destination) wire_netif_gateway(netif, destination)
#define LWIP_HOOK_FILENAME "lwip_hooks.h"

#endif
