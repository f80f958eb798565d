/* query_network.c - PROTOCOL_QUERY_NETWORK: interfaces, addresses, routes, neighbours, name servers, the wire. */
#include "query.h"

#include "stack/ip/interface.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <stdio.h>

#define ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX + 2)

/* An address as text. Return: text. */
static const char *format_address(const union stack_address *address, char text[INET6_ADDRSTRLEN])
{
    inet_ntop(address->sa.sa_family,
              address->sa.sa_family == AF_INET6 ? (const void *)&address->in6.sin6_addr
                                                : (const void *)&address->in.sin_addr,
              text, INET6_ADDRSTRLEN);
    return text;
}

static void put_addresses(struct json *json, unsigned interface)
{
    struct stack_interface_address addresses[ADDRESSES_MAX];
    size_t count = stack_get_addresses(addresses, ADDRESSES_MAX);
    char text[INET6_ADDRSTRLEN];

    json_open(json, "addresses", '[');
    for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        const struct stack_interface_address *it = &addresses[i];

        if (it->interface != interface)
            continue;
        json_open(json, NULL, '{');
        json_put_string(json, "address", format_address(&it->prefix.address, text));
        json_put_number(json, "prefix", it->prefix.bits);
        json_put_bool(json, "permanent", (it->flags & IFA_F_PERMANENT) != 0);
        json_put_bool(json, "tentative", (it->flags & IFA_F_TENTATIVE) != 0);
        json_put_bool(json, "deprecated", (it->flags & IFA_F_DEPRECATED) != 0);
        json_put_bool(json, "duplicate", (it->flags & IFA_F_DADFAILED) != 0);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void query_put_interfaces(struct json *json)
{
    json_open(json, "interfaces", '[');
    for (unsigned index = STACK_INTERFACE_LOOP; index <= STACK_INTERFACE_COUNT; index++) {
        struct stack_interface interface;
        char mac[18];

        if (stack_get_interface(index, &interface) < 0)
            continue;
        json_open(json, NULL, '{');
        json_put_number(json, "index", index);
        json_put_string(json, "name", interface.name);
        json_put_number(json, "mtu", interface.mtu);
        if (index != STACK_INTERFACE_LOOP) {
            snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", interface.mac[0], interface.mac[1],
                     interface.mac[2], interface.mac[3], interface.mac[4], interface.mac[5]);
            json_put_string(json, "mac", mac);
        }
        put_addresses(json, index);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void query_write_network(struct json *json)
{
    json_open(json, NULL, '{');
    query_put_interfaces(json);
    json_close(json, '}');
    json_end_line(json);
}
