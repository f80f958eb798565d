/* interface_list.c - what a program sees of the stack's interfaces. */
#include "interface_list.h"

#include "stack/ip/interface.h"

#include <errno.h>
#include <string.h>

#define ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX + 2)

static void describe_interface(unsigned index, struct protocol_interface *entry)
{
    struct stack_interface interface;

    if (stack_get_interface(index, &interface) < 0)
        return;
    entry->index = index;
    entry->flags = interface.flags;
    entry->mtu = interface.mtu;
    memcpy(entry->mac, interface.mac, sizeof interface.mac);
    _Static_assert(sizeof interface.name == sizeof entry->bytes, "names have IF_NAMESIZE bytes");
    memcpy(entry->bytes, interface.name, sizeof entry->bytes);
    entry->counters[0] = (uint32_t)interface.packets_in;
    entry->counters[1] = (uint32_t)interface.bytes_in;
    entry->counters[2] = (uint32_t)interface.dropped_in;
    entry->counters[3] = (uint32_t)interface.packets_out;
    entry->counters[4] = (uint32_t)interface.bytes_out;
    entry->counters[5] = (uint32_t)interface.dropped_out;
}

static void describe_address(const struct stack_interface_address *address, struct protocol_interface *entry)
{
    entry->index = address->interface;
    entry->flags = address->flags;
    entry->family = address->prefix.address.sa.sa_family;
    entry->prefix_bits = address->prefix.bits;
    if (entry->family == AF_INET)
        memcpy(entry->bytes, &address->prefix.address.in.sin_addr, sizeof address->prefix.address.in.sin_addr);
    else
        memcpy(entry->bytes, &address->prefix.address.in6.sin6_addr, sizeof entry->bytes);
}

int interface_list_get(const struct protocol_message *request, struct protocol_message *reply)
{
    struct stack_interface_address addresses[ADDRESSES_MAX];
    struct protocol_interface entries[PROTOCOL_INTERFACES_MAX];
    size_t total = stack_get_addresses(addresses, ADDRESSES_MAX);
    size_t count = 0;

    if (request->args[0] < 0)
        return -EINVAL;
    if (total > ADDRESSES_MAX)
        total = ADDRESSES_MAX;
    total += STACK_INTERFACE_COUNT;
    memset(entries, 0, sizeof entries);
    for (size_t i = (size_t)request->args[0]; i < total && count < PROTOCOL_INTERFACES_MAX; i++, count++) {
        if (i < STACK_INTERFACE_COUNT)
            describe_interface(STACK_INTERFACE_LOOP + (unsigned)i, &entries[count]);
        else
            describe_address(&addresses[i - STACK_INTERFACE_COUNT], &entries[count]);
    }
    reply->args[0] = (int32_t)total;
    reply->option_length = (uint32_t)(count * sizeof *entries);
    memcpy(reply->option, entries, reply->option_length);
    return 0;
}
