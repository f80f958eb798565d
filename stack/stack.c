/* stack.c - opening and closing the stack, and its turn in the loop. */
#include <errno.h>
#include <string.h>

#include "address.h"
#include "block.h"
#include "dns_servers.h"
#include "gather.h"
#include "isn.h"
#include "loop_netif.h"
#include "port.h"
#include "tcp_socket.h"
#include "tcp_timer.h"
#include "wire.h"
#include "wire_netif.h"

#define LOOP_PACKETS_A_TURN 64 /* delivered before the wire gets its turn again */
#define MTU_MIN 576            /* RFC 791: what every host takes */
#define MTU_MAX 65521          /* with its Ethernet header, 65 535 */

static struct wire *wire; /* owned; closed in stack_close(). NULL: the stack is not open */

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
    if (error < 0)
        goto out_wire;
    if (!initialised)
        lwip_init();
    initialised = true;
    wire = config->wire;
    memset(&lwip_stats, 0, sizeof lwip_stats);
    dns_servers_clear();
    tcp_socket_open_all();
    tcp_timer_open();
    loop_netif_open();
    error = interface_open(config);
    if (error == 0)
        error = wire_netif_open(config);
    if (error < 0) {
        loop_netif_close();
        wire = NULL;
        goto out_wire;
    }
    return 0;
out_wire:
    if (config->wire != wire || wire == NULL)
        config->wire->operations->close(config->wire);
    return error;
}

void stack_close(void)
{
    if (wire == NULL)
        return;
    tcp_socket_close_all();
    gather_flush();
    loop_netif_close();
    wire_netif_close();
    wire->operations->close(wire);
    wire = NULL;
    block_close();
}

int stack_wire_fd(void)
{
    return wire->fd;
}

void stack_set_clock(uint64_t now_us)
{
    port_now_us = now_us;
}

int stack_receive(unsigned max_frames)
{
    return wire_netif_receive(max_frames);
}

int stack_timer_ms(void)
{
    int tcp_ms = tcp_timer_ms();
    int wire_ms = wire_netif_timer_ms();

    if (loop_pending())
        return 0;
    if (tcp_ms < 0 || (wire_ms >= 0 && wire_ms < tcp_ms))
        return wire_ms;
    return tcp_ms;
}

void stack_run_timers(void)
{
    loop_deliver(LOOP_PACKETS_A_TURN);
    wire_netif_run_timers();
    tcp_timer_run();
}

void stack_flush(void)
{
    gather_flush();
}

void stack_get_counters(struct stack_counters *counters)
{
    *counters = tcp_counters;
    counters->sockets_unfinished = tcp_socket_count_unfinished();
    counters->frames_in = wire_netif_counters.frames;
    counters->bytes_in = wire_netif_counters.bytes;
    counters->frames_in_dropped = wire_netif_counters.dropped + lwip_stats.ip.drop + lwip_stats.tcp.drop;
    counters->frames_out = gather_counters.frames;
    counters->bytes_out = gather_counters.bytes;
    counters->frames_out_dropped = gather_counters.dropped;
}
