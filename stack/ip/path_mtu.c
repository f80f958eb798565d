/*
 * path_mtu.c - what routers said about how large packets to an IPv4 host may be (RFC 1191).
 *
 * A table of fixed size, by a hash of the destination; a newer entry takes the place of another one. Entries are
 * forgotten after ten minutes, so that a path that has become wider is found (RFC 1191 6.3; Linux: mtu_expires). For
 * IPv6 lwIP keeps the same in its destination cache.
 */
#include "path_mtu.h"

#include <string.h>

#include "stack/port.h"

#define ENTRIES 256
#define EXPIRE_US (600 * 1000000ull)
#define PATH_MTU_MIN 552 /* Linux: min_pmtu; whoever says less wants us to send crumbs */

static struct {
    ip4_addr_t destination;
    uint16_t mtu; /* 0: no entry */
    uint64_t until_us;
} entries[ENTRIES];

void path_mtu_open(void)
{
    memset(entries, 0, sizeof entries);
}

static size_t place_of(const ip4_addr_t *destination)
{
    return (destination->addr * 0x9e3779b1u) >> 24;
}

/* Return: the next smaller of the usual MTUs (RFC 1191 7.1). */
static uint16_t next_plateau(uint16_t size)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};

    for (size_t i = 0; i < sizeof plateaus / sizeof *plateaus; i++)
        if (plateaus[i] < size)
            return plateaus[i];
    return PATH_MTU_MIN;
}

void path_mtu_learn(const ip4_addr_t *destination, uint16_t mtu, uint16_t size)
{
    size_t place = place_of(destination);

    if (mtu == 0)
        mtu = next_plateau(size);
    if (mtu < PATH_MTU_MIN)
        mtu = PATH_MTU_MIN;
    if (mtu >= path_mtu_get(destination, UINT16_MAX))
        return; /* an old message, or a lie: a path does not get wider by complaints */
    entries[place].destination = *destination;
    entries[place].mtu = mtu;
    entries[place].until_us = port_now_us + EXPIRE_US;
}

uint16_t path_mtu_get(const ip4_addr_t *destination, uint16_t link_mtu)
{
    size_t place = place_of(destination);

    if (entries[place].mtu == 0 || !ip4_addr_eq(destination, &entries[place].destination) ||
        entries[place].until_us <= port_now_us || entries[place].mtu > link_mtu)
        return link_mtu;
    return entries[place].mtu;
}
