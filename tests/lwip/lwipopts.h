/*
 * lwipopts.h - for lwIP's own unit tests: our options, but for what those tests need or can't have.
 *
 * The hooks lead into our driver, which is not there: the tests have netifs of their own. What the tests count is
 * counted.
 */
#ifndef SIDESTACK_TEST_LWIPOPTS_H
#define SIDESTACK_TEST_LWIPOPTS_H

#include "stack/lwipopts.h"

#undef MEM_STATS
#undef MEMP_STATS
#define MEM_STATS 1
#define MEMP_STATS 1

#undef LWIP_HOOK_FILENAME
#undef LWIP_HOOK_IP4_ROUTE_SRC
#undef LWIP_HOOK_ETHARP_GET_GW
#undef DHCP_DEFINE_CUSTOM_TIMEOUTS
#undef DHCP_SET_TIMEOUT_FROM_OFFERED_T0_LEASE
#undef DHCP_SET_TIMEOUT_FROM_OFFERED_T1_RENEW
#undef DHCP_SET_TIMEOUT_FROM_OFFERED_T2_REBIND

/* They count with the pool of time-outs, and drive the stack by lwIP's own. */
#undef LWIP_TIMERS
#define LWIP_TIMERS 1
#define MIB2_STATS 1

/* Sizes are theirs: they put segments into pool buffers of one MSS, which ours are too large for, and fill windows. */
#undef TCP_MSS
#undef TCP_WND
#undef TCP_RCV_SCALE
#undef TCP_SND_BUF
#undef TCP_SND_QUEUELEN
#undef TCP_OOSEQ_MAX_BYTES
#undef TCP_OOSEQ_MAX_PBUFS
#undef TCP_WND_UPDATE_THRESHOLD
#define TCP_MSS 536
#define TCP_WND (10 * TCP_MSS)
#define TCP_RCV_SCALE 0
#define TCP_SND_BUF (12 * TCP_MSS)
#define TCP_SND_QUEUELEN 40

/* Their loopback is lwIP's. */
#undef LWIP_HAVE_LOOPIF
#undef LWIP_NETIF_LOOPBACK
#define LWIP_HAVE_LOOPIF 1
#define LWIP_NETIF_LOOPBACK 1

/* The sequential API is not compiled, and the tests say that they want it nowhere but there. */
#define LWIP_TESTMODE 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1

#endif
