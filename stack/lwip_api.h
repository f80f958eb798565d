/* lwip_api.h - lwIP as the stack driver uses it, in the one order in which it can be included beside the C library. */
#ifndef SIDESTACK_LWIP_API_H
#define SIDESTACK_LWIP_API_H

#include "stack.h"

/* <netinet/tcp.h> has a TCP_MSS of its own (512, the default of RFC 1122), and its TCP_CLOSE and the like are numbers
 * that lwIP does not use. */
#undef TCP_MSS

#include "lwip/opt.h"

#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp.h"
#include "lwip/icmp6.h"
#include "lwip/igmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/ip4.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/etharp.h"
#include "lwip/prot/icmp6.h"
#include "lwip/prot/nd6.h"
#include "lwip/prot/tcp.h"
#include "lwip/raw.h"
#include "lwip/stats.h"
#include "lwip/sys.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

#include "lwip_hooks.h"

#endif
