/*
 * tick.c - the timers of what surrounds IP on the wire: ARP, neighbour discovery, reassembly, group membership.
 *
 * lwIP wants one tick a second for most of them and ten for groups. An idle stack needs neither: entries of the tables
 * only grow old, and that is made up for when the next frame comes (tick_catch_up). So ticks run in time only
 * while frames are sent, or something waits for them, and each pass finds out whether that is so. Memory that was kept
 * for a busy stack waits for one without frames.
 */
#include "tick.h"

#include <limits.h>

#include "stack/wire/gather.h"
#include "lwip_api.h"
#include "memory.h"
#include "port.h"
#include "stack/wire/wire_netif.h"

#define TICK_US 1000000u      /* ARP_TMR_INTERVAL, ND6_TMR_INTERVAL, IP_TMR_INTERVAL, IP6_REASS_TMR_INTERVAL */
#define FAST_TICK_US 100000u  /* MLD6_TMR_INTERVAL, IGMP_TMR_INTERVAL */
#define CATCH_UP_MAX 400      /* ticks; entries live for 300 (ARP_MAXAGE) */

static uint64_t tick_us;       /* when the ticks ran last */
static uint64_t fast_tick_us;
static uint64_t busy_until_us; /* until then the ticks must run in time */
static u32_t neighbours_ticks; /* so they must for neighbours, in so many ticks from the last; 0: never ... */
static bool groups_need;       /* ... and the fast ones for groups */
static uint64_t frames_seen;   /* how many had been sent when the ticks ran last */
static bool memory_waits;      /* memory can be returned when a second has passed without frames */

void tick_open(void)
{
    tick_us = fast_tick_us = port_now_us;
    busy_until_us = 0;
    neighbours_ticks = 0;
    groups_need = false;
    frames_seen = 0;
    memory_waits = false;
}

/* Call a function for each time, in seconds, that nd6.c counts down: of routers, prefixes and addresses. */
static void for_each_life(void (*what)(u32_t *life, u32_t argument), u32_t argument)
{
    struct netif *netif = wire_netif_get();

    for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; i++)
        if (default_router_list[i].neighbor_entry != NULL)
            what(&default_router_list[i].invalidation_timer, argument);
    for (int i = 0; i < LWIP_ND6_NUM_PREFIXES; i++)
        if (prefix_list[i].netif != NULL)
            what(&prefix_list[i].invalidation_timer, argument);
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++) {
        if (ip6_addr_isinvalid(netif_ip6_addr_state(netif, i)) || netif_ip6_addr_isstatic(netif, i))
            continue;
        what(&netif->ip6_addr_valid_life[i], argument);
        what(&netif->ip6_addr_pref_life[i], argument);
    }
}

static u32_t shortest_life; /* for note_life() */

static void note_life(u32_t *life, u32_t argument)
{
    (void)argument;
    if (*life != 0 && *life < shortest_life) /* 0: a preferred life that is over */
        shortest_life = *life;
}

static void shorten_life(u32_t *life, u32_t seconds)
{
    if (!ip6_addr_life_isinfinite(*life) && *life != 0)
        *life = *life > seconds ? *life - seconds : 1;
}

/* In how many ticks does a neighbour have to be asked, or an address or a router run out? 0: never. */
static u32_t check_neighbours(void)
{
    const struct netif *netif = wire_netif_get();

    for (int i = 0; i < LWIP_ND6_NUM_NEIGHBORS; i++)
        if (neighbor_cache[i].state == ND6_INCOMPLETE || neighbor_cache[i].state == ND6_DELAY ||
            neighbor_cache[i].state == ND6_PROBE)
            return 1;
    for (int i = 0; i < LWIP_IPV6_NUM_ADDRESSES; i++)
        if (ip6_addr_istentative(netif_ip6_addr_state(netif, i)))
            return 1;
    if (netif->rs_count > 0)
        return 1;
    shortest_life = IP6_ADDR_LIFE_INFINITE;
    for_each_life(note_life, 0);
    return shortest_life == IP6_ADDR_LIFE_INFINITE ? 0 : shortest_life;
}

/* Is a report about a group still to be sent? */
static bool check_groups(void)
{
    for (const struct mld_group *group = netif_mld6_data(wire_netif_get()); group != NULL; group = group->next)
        if (group->timer > 0)
            return true;
    for (const struct igmp_group *group = netif_igmp_data(wire_netif_get()); group != NULL; group = group->next)
        if (group->timer > 0)
            return true;
    return false;
}

void tick_wake(void)
{
    neighbours_ticks = check_neighbours();
    if (!groups_need)
        fast_tick_us = port_now_us;
    groups_need = check_groups();
}

static void run_ticks(void)
{
    uint64_t missed = (port_now_us - tick_us) / TICK_US;

    memory_waits = memory_tick(frames_seen != gather_counters.frames);
    frames_seen = gather_counters.frames;
    if (missed > CATCH_UP_MAX) {
        for_each_life(shorten_life, (u32_t)LWIP_MIN(missed - CATCH_UP_MAX, UINT32_MAX));
        tick_us += (missed - CATCH_UP_MAX) * TICK_US;
    }
    for (int i = 0; i < CATCH_UP_MAX && tick_us + TICK_US <= port_now_us; i++) {
        tick_us += TICK_US;
        etharp_tmr();
        ip_reass_tmr();
        nd6_tmr();
        ip6_reass_tmr();
    }
    neighbours_ticks = check_neighbours();
}

void tick_catch_up(void)
{
    if (tick_us + TICK_US <= port_now_us)
        run_ticks();
}

void tick_keep(uint64_t duration_us)
{
    tick_catch_up();
    if (busy_until_us < port_now_us + duration_us)
        busy_until_us = port_now_us + duration_us;
}

void tick_run(void)
{
    if (tick_us + TICK_US <= port_now_us) {
        run_ticks();
        tick_wake();
    }
    if (!groups_need || fast_tick_us + FAST_TICK_US > port_now_us)
        return;
    fast_tick_us = port_now_us;
    mld6_tmr();
    igmp_tmr();
    groups_need = check_groups();
}

static int milliseconds_until(uint64_t time_us)
{
    return time_us <= port_now_us ? 0 : (int)LWIP_MIN((time_us - port_now_us + 999) / 1000, INT_MAX);
}

int tick_ms(void)
{
    if (groups_need)
        return milliseconds_until(LWIP_MIN(fast_tick_us + FAST_TICK_US, tick_us + TICK_US));
    if (port_now_us < busy_until_us || frames_seen != gather_counters.frames || memory_waits)
        return milliseconds_until(tick_us + TICK_US);
    return neighbours_ticks > 0 ? milliseconds_until(tick_us + neighbours_ticks * (uint64_t)TICK_US) : -1;
}
