/* stack.c - opening and closing the stack, and its turn in the loop. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "stack/ip/address.h"
#include "stack/ip/address_conflict.h"
#include "block.h"
#include "stack/datagram/datagram_packet.h"
#include "stack/ip/dhcp6_client.h"
#include "stack/ip/dhcp_client.h"
#include "stack/wire/gather.h"
#include "stack/tcp/isn.h"
#include "stack/ip/learned.h"
#include "stack/ip/network_list.h"
#include "stack/wire/blackhole_netif.h"
#include "stack/wire/loop_netif.h"
#include "stack/ip/path_mtu.h"
#include "memory.h"
#include "port.h"
#include "small.h"
#include "stack/tcp/tcp_socket.h"
#include "stack/tcp/tcp_timer.h"
#include "stack/wire/wire.h"
#include "stack/wire/wire_impair.h"
#include "stack/wire/wire_netif.h"
#include "tick.h"

#define LOOP_PACKETS_A_TURN 64 /* delivered before the wire gets its turn again */
#define RECEIVE_BYTES (256 * 1024) /* read at a time; then the programs have it, while it is in the cache */
#define FRAMES_A_TURN 64       /* that an impaired wire held back, at a time */
#define MTU_MIN 576            /* RFC 791: what every host takes */
#define MTU_MAX 65521          /* with its Ethernet header, 65 535 */

static struct wire *wire; /* owned; closed in stack_close(). NULL: the stack is not open */
static bool has_more;     /* the last read of the wire ended because it was much */
static bool impairable;   /* it has a layer of wire_impair.h */

int stack_open(const struct stack_config *config)
{
    static bool initialised;
    int error = -EINVAL;

    if (wire != NULL || config->mtu < MTU_MIN || config->mtu > MTU_MAX)
        goto out_wire;
    error = port_seed_random();
    if (error < 0)
        goto out_wire;
    error = isn_open();
    if (error == 0)
        error = tcp_lookup_open();
    if (error < 0)
        goto out_wire;
    if (!initialised)
        lwip_init();
    initialised = true;
    wire = config->wire;
    gather_is_mute = config->resumes;
    impairable = config->impairable;
    tcp_ecn_mode = config->ecn;
    memset(&lwip_stats, 0, sizeof lwip_stats);
    memory_counters = (struct memory_counters){0};
    tcp_socket_open_all();
    datagram_receive_open();
    path_mtu_open();
    tcp_timer_open();
    loop_netif_open();
    error = wire_netif_open(config);
    if (error == 0) {
        error = interface_open(config);
        learned_open(config);
        if (error == 0)
            error = dhcp_client_open(config);
        if (error == 0 && config->slaac)
            error = dhcp6_client_open();
        if (error < 0)
            wire_netif_close();
    }
    if (error < 0) {
        loop_netif_close();
        wire = NULL;
        goto out_wire;
    }
    return 0;
out_wire:
    if (config->wire != wire || wire == NULL)
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a configuration has a wire
        config->wire->operations->close(config->wire);
    return error;
}

void stack_close(void)
{
    if (wire == NULL)
        return;
    tcp_socket_close_all();
    datagram_socket_close_all();
    dhcp_client_close();
    dhcp6_client_close();
    gather_flush();
    blackhole_netif_close();
    loop_netif_close();
    wire_netif_close();
    wire->operations->close(wire);
    wire = NULL;
    memory_release_kept();
}

void stack_wire_is_back(void)
{
    wire_netif_forget_neighbours();
}

int stack_wire_fd(void)
{
    return wire->fd;
}

void stack_set_clock(uint64_t now_us)
{
    port_now_us = now_us;
    if (wire != NULL)
        tcp_timer_set_ticks();
}

int stack_receive(unsigned max_frames)
{
    const uint64_t before = wire_netif_counters.bytes;
    int frames = wire_netif_receive(max_frames, RECEIVE_BYTES);

    has_more = frames > 0 && wire_netif_counters.bytes - before >= RECEIVE_BYTES;
    return frames;
}

bool stack_has_more(void)
{
    return has_more;
}

/* Return: the earlier of two times to wait, of which -1 is the latest. */
static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Microseconds until the wire has something to do; -1: never. */
static int64_t wire_timer_us(void)
{
    uint64_t due_us = wire->operations->due_us != NULL ? wire->operations->due_us(wire) : UINT64_MAX;

    if (due_us == UINT64_MAX)
        return -1;
    return due_us <= port_now_us ? 0 : (int64_t)(due_us - port_now_us);
}

/* Microseconds until what we ask the network for has something to do; -1: never. */
static int64_t configuration_timer_us(void)
{
    return earlier(earlier(learned_timer_us(), address_conflict_timer_us()),
                   earlier(dhcp_client_timer_us(), dhcp6_client_timer_us()));
}

int64_t stack_timer_us(void)
{
    int tick = tick_ms();

    if (loop_pending())
        return 0;
    return earlier(earlier(wire_timer_us(), configuration_timer_us()),
                   earlier(tcp_timer_us(), tick < 0 ? -1 : tick * 1000ll));
}

int stack_timer_ms(void)
{
    int64_t timer_us = stack_timer_us();

    return timer_us < 0 ? -1 : (int)LWIP_MIN((timer_us + 999) / 1000, INT_MAX);
}

void stack_run_timers(void)
{
    if (wire_timer_us() == 0 && wire->operations->run(wire))
        (void)wire_netif_receive(FRAMES_A_TURN, SIZE_MAX); /* a broken wire shows when it is polled */
    loop_deliver(LOOP_PACKETS_A_TURN);
    tick_run();
    address_conflict_run();
    dhcp_client_run();
    dhcp6_client_run();
    tcp_timer_run();
    learned_run();
}

int stack_impair(const char *settings, char *text, size_t size)
{
    const char *wrong = "";
    int error = 0;

    if (!impairable)
        return -EOPNOTSUPP;
    if (settings != NULL)
        error = wire_impair_set(wire, settings, &wrong);
    if (error == 0)
        wire_impair_get(wire, text, size);
    else
        snprintf(text, size, "%s", wrong);
    return error;
}

bool stack_count_impairments(struct wire_impair_counters *counters)
{
    if (impairable)
        wire_impair_count(wire, counters);
    return impairable;
}

unsigned stack_wire_features(void)
{
    return wire->features;
}

void stack_flush(void)
{
    tcp_acknowledge_flush();
    gather_flush();
}

void stack_flush_data(void)
{
    gather_flush();
}

bool stack_acknowledgements_wait(void)
{
    return tcp_acknowledge_waits();
}

void stack_get_counters(struct stack_counters *counters)
{
    *counters = tcp_counters;
    counters->sockets += time_wait_count;
    counters->time_waits = time_wait_count;
    counters->sockets_unfinished = tcp_socket_count_unfinished();
    counters->frames_in = wire_netif_counters.frames;
    counters->bytes_in = wire_netif_counters.bytes;
    counters->frames_in_dropped = wire_netif_counters.dropped + lwip_stats.ip.drop + lwip_stats.ip6.drop +
                                  lwip_stats.tcp.drop;
    counters->datagrams_in = datagram_counters.in;
    counters->datagrams_out = datagram_counters.out;
    counters->datagrams_no_port = datagram_counters.no_port;
    counters->datagrams_dropped = datagram_counters.dropped;
    counters->datagrams_malformed = datagram_counters.malformed;
    counters->datagram_sockets = datagram_counters.sockets;
    counters->frames_out = gather_counters.frames;
    counters->bytes_out = gather_counters.bytes;
    counters->frames_out_dropped = gather_counters.dropped;
}
