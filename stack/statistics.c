/* statistics.c - every figure that the stack keeps, by name. */
#include "statistics.h"

#include <assert.h>

#include "stack/datagram/datagram_socket.h"
#include "stack/tcp/tcp_socket.h"
#include "stack/wire/gather.h"
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
    list->layer = "tcp";
    add(list, "TcpRetransSegs", tcp_counters.tcp_segments_retransmitted);
    add(list, "Sockets", tcp_counters.sockets);
    add(list, "SendMemory", tcp_counters.transmit_bytes);
    add(list, "ReceiveMemory", tcp_counters.receive_bytes);
}

size_t stack_get_statistics(struct stack_statistic statistics[STACK_STATISTICS_MAX])
{
    struct list list = {.at = statistics};

    add_wire(&list);
    add_datagrams(&list);
    add_tcp(&list);
    return list.count;
}
