/* statistics.c - every figure that the stack keeps, by name. */
#include "statistics.h"

#include <assert.h>

#include "stack/datagram/datagram_socket.h"
#include "stack/memory.h"
#include "stack/tcp/tcp_socket.h"
#include "lwip/stats.h"

#include "stack/wire/gather.h"
#include "stack/wire/wire_impair.h"
#include "stack/wire/wire_netif.h"

struct list {
    struct stack_statistic *at;
    size_t count;
    const char *layer;
};

static void add(struct list *list, const char *name, uint64_t value)
{
    assert(list->count < STACK_STATISTICS_MAX && "STACK_STATISTICS_MAX is too small");
    list->at[list->count++] = (struct stack_statistic){list->layer, name, value};
}

static void add_wire(struct list *list)
{
    list->layer = "wire";
    add(list, "FramesIn", wire_netif_counters.frames);
    add(list, "BytesIn", wire_netif_counters.bytes);
    add(list, "DroppedIn", wire_netif_counters.dropped);
    add(list, "FramesOut", gather_counters.frames);
    add(list, "BytesOut", gather_counters.bytes);
    add(list, "DroppedOut", gather_counters.dropped);
}

static void add_datagrams(struct list *list)
{
    list->layer = "udp";
    add(list, "UdpInDatagrams", datagram_counters.in);
    add(list, "UdpOutDatagrams", datagram_counters.out);
    add(list, "UdpNoPorts", datagram_counters.no_port);
    add(list, "UdpInErrors", datagram_counters.malformed);
    add(list, "UdpRcvbufErrors", datagram_counters.dropped);
    add(list, "Sockets", datagram_counters.sockets);
}

static void add_tcp(struct list *list)
{
    const struct tcp_statistics *tcp = &tcp_statistics;

    list->layer = "tcp";
    add(list, "TcpActiveOpens", tcp->active_opens);
    add(list, "TcpPassiveOpens", tcp->passive_opens);
    add(list, "TcpAttemptFails", tcp->attempt_fails);
    add(list, "TcpEstabResets", tcp->established_resets);
    add(list, "TcpInSegs", lwip_stats.tcp.recv);
    add(list, "TcpOutSegs", tcp->segments_out);
    add(list, "TcpRetransSegs", tcp_counters.tcp_segments_retransmitted);
    add(list, "TcpInErrs", lwip_stats.tcp.chkerr + lwip_stats.tcp.lenerr + lwip_stats.tcp.proterr);
    add(list, "TcpInCsumErrors", lwip_stats.tcp.chkerr);
    add(list, "TcpInDropped", lwip_stats.tcp.drop);
    add(list, "TcpOutRsts", tcp->resets_out);
    add(list, "TcpOutDataSegs", tcp->data_segments_out);
    add(list, "TcpOutBytes", tcp->bytes_out);
    add(list, "TcpExtTCPTimeouts", tcp->timeouts);
    add(list, "TcpExtTCPLossProbes", tcp->loss_probes);
    add(list, "TcpExtTCPSackRecovery", tcp->recoveries);
    add(list, "TcpExtTCPLossUndo", tcp->undone);
    add(list, "TcpExtTCPDSACKRecv", tcp->dsacks_in);
    add(list, "TcpExtTCPSACKReorder", tcp->reorderings);
    add(list, "TcpExtPAWSEstab", tcp->paws_dropped);
    add(list, "TcpExtListenDrops", tcp->listen_dropped);
    add(list, "TcpExtSyncookiesSent", tcp->cookies_sent);
    add(list, "TcpExtSyncookiesRecv", tcp->cookies_received);
    add(list, "TcpExtSyncookiesFailed", tcp->cookies_failed);
    add(list, "TcpExtTW", tcp->time_waits);
    add(list, "TcpExtTCPAbortOnTimeout", tcp->aborted_on_timeout);
    add(list, "TcpAborted", tcp->aborted_otherwise);
    add(list, "TcpKilled", tcp->killed);
    add(list, "Sockets", tcp_counters.sockets + time_wait_count);
    add(list, "TimeWaits", time_wait_count);
    add(list, "HalfOpen", tcp_listen_half_open);
    add(list, "MemoryUsed", memory_used());
    add(list, "MemoryKept", memory_kept());
    add(list, "MemoryLimit", memory_limit());
    add(list, "MemoryThrottled", memory_counters.throttled);
    add(list, "MemoryDropped", memory_counters.dropped);
    add(list, "MemoryRefused", memory_counters.refused);
    add(list, "SendMemory", tcp_counters.transmit_bytes);
    add(list, "ReceiveMemory", tcp_counters.receive_bytes);
}

/* What lwIP counts of a protocol: came, sent, dropped and why. names: six, NULL: not shown. */
static void add_protocol(struct list *list, const struct stats_proto *it, const char *const names[6])
{
    const uint64_t values[6] = {it->recv, it->xmit, it->drop, it->chkerr,
                                (uint64_t)it->lenerr + it->proterr + it->opterr + it->err, (uint64_t)it->memerr + it->rterr};

    for (int i = 0; i < 6; i++)
        if (names[i] != NULL)
            add(list, names[i], values[i]);
}

static void add_network(struct list *list)
{
    static const char *const arp[6] = {"ArpIn", "ArpOut", "ArpDropped", NULL, "ArpInErrors", "ArpOutErrors"};
    static const char *const ip[6] = {"IpInReceives", "IpOutRequests", "IpInDiscards", "IpInCsumErrors", "IpInHdrErrors",
                                      "IpOutNoRoutes"};
    static const char *const icmp[6] = {"IcmpInMsgs", "IcmpOutMsgs", "IcmpInDiscards", "IcmpInCsumErrors", "IcmpInErrors",
                                        "IcmpOutErrors"};
    static const char *const ip6[6] = {"Ip6InReceives", "Ip6OutRequests", "Ip6InDiscards", "Ip6InCsumErrors",
                                       "Ip6InHdrErrors", "Ip6OutNoRoutes"};
    static const char *const icmp6[6] = {"Icmp6InMsgs", "Icmp6OutMsgs", "Icmp6InDiscards", "Icmp6InCsumErrors",
                                         "Icmp6InErrors", "Icmp6OutErrors"};
    static const char *const nd[6] = {"NdIn", "NdOut", "NdDropped", "NdCsumErrors", "NdInErrors", "NdOutErrors"};
    static const char *const fragments[6] = {"IpReasmReqds", "IpFragCreates", "IpReasmFails", NULL, NULL, NULL};
    static const char *const fragments6[6] = {"Ip6ReasmReqds", "Ip6FragCreates", "Ip6ReasmFails", NULL, NULL, NULL};

    list->layer = "ethernet";
    add(list, "EthIn", lwip_stats.link.recv);
    add(list, "EthOut", lwip_stats.link.xmit);
    add(list, "EthInDiscards", lwip_stats.link.drop);
    list->layer = "arp";
    add_protocol(list, &lwip_stats.etharp, arp);
    list->layer = "ip";
    add_protocol(list, &lwip_stats.ip, ip);
    add_protocol(list, &lwip_stats.ip_frag, fragments);
    list->layer = "ip6";
    add_protocol(list, &lwip_stats.ip6, ip6);
    add_protocol(list, &lwip_stats.ip6_frag, fragments6);
    list->layer = "icmp";
    add_protocol(list, &lwip_stats.icmp, icmp);
    list->layer = "icmp6";
    add_protocol(list, &lwip_stats.icmp6, icmp6);
    list->layer = "nd";
    add_protocol(list, &lwip_stats.nd6, nd);
    list->layer = "groups";
    add(list, "IgmpIn", lwip_stats.igmp.recv);
    add(list, "IgmpOut", lwip_stats.igmp.xmit);
    add(list, "IgmpDropped", lwip_stats.igmp.drop);
    add(list, "Mld6In", lwip_stats.mld6.recv);
    add(list, "Mld6Out", lwip_stats.mld6.xmit);
    add(list, "Mld6Dropped", lwip_stats.mld6.drop);
}

static void add_impairments(struct list *list)
{
    static const char *const names[IMPAIRMENT_DIRECTIONS][6] = {
        [IMPAIRMENT_IN] = {"ImpairIn", "ImpairInLost", "ImpairInOverflowed", "ImpairInDuplicated", "ImpairInReordered",
                           "ImpairInCorrupted"},
        [IMPAIRMENT_OUT] = {"ImpairOut", "ImpairOutLost", "ImpairOutOverflowed", "ImpairOutDuplicated",
                            "ImpairOutReordered", "ImpairOutCorrupted"}};
    struct wire_impair_counters counters[IMPAIRMENT_DIRECTIONS];

    if (!stack_count_impairments(counters))
        return;
    list->layer = "impairment";
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++) {
        const struct wire_impair_counters *it = &counters[i];

        add(list, names[i][0], it->frames);
        add(list, names[i][1], it->lost);
        add(list, names[i][2], it->overflowed);
        add(list, names[i][3], it->duplicated);
        add(list, names[i][4], it->reordered);
        add(list, names[i][5], it->corrupted);
    }
}

size_t stack_get_statistics(struct stack_statistic statistics[STACK_STATISTICS_MAX])
{
    struct list list = {.at = statistics};

    add_wire(&list);
    add_impairments(&list);
    add_network(&list);
    add_datagrams(&list);
    add_tcp(&list);
    return list.count;
}
