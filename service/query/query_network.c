/* query_network.c - PROTOCOL_QUERY_NETWORK: interfaces, addresses, routes, neighbours, name servers, the wire. */
#include "query.h"

#include "service/resolver/resolver_config.h"
#include "stack/ip/interface.h"
#include "stack/ip/network_list.h"
#include "stack/wire/impairment.h"
#include "stack/wire/wire.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>

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

static const char *const origins[] = {[STACK_ORIGIN_STATIC] = "static",
                                      [STACK_ORIGIN_DHCP] = "dhcp",
                                      [STACK_ORIGIN_ROUTER] = "ra",
                                      [STACK_ORIGIN_KERNEL] = "kernel"};

/* Where an address of the wire came from, and how long it holds. */
static void put_origin(struct json *json, const union stack_address *address)
{
    uint32_t seconds_left, preferred_left;
    enum stack_origin origin;

    if (!stack_find_address_origin(address, &origin, &seconds_left, &preferred_left))
        return;
    json_put_string(json, "origin", origins[origin]);
    if (seconds_left != UINT32_MAX)
        json_put_number(json, "seconds_left", seconds_left);
    if (preferred_left != UINT32_MAX)
        json_put_number(json, "preferred_left", preferred_left);
}

static void put_mac(struct json *json, const char *key, const uint8_t mac[6])
{
    char text[18];

    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    json_put_string(json, key, text);
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
        if (interface != STACK_INTERFACE_LOOP)
            put_origin(json, &it->prefix.address);
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

        if (stack_get_interface(index, &interface) < 0)
            continue;
        json_open(json, NULL, '{');
        json_put_number(json, "index", index);
        json_put_string(json, "name", interface.name);
        json_put_number(json, "mtu", interface.mtu);
        json_put_bool(json, "loopback", index == STACK_INTERFACE_LOOP);
        if (index != STACK_INTERFACE_LOOP)
            put_mac(json, "mac", interface.mac);
        put_addresses(json, index);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_routes(struct json *json)
{
    struct stack_listed_route routes[STACK_LISTED_ROUTES_MAX];
    size_t count = stack_list_routes(routes);
    char text[INET6_ADDRSTRLEN];

    json_open(json, "routes", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(json, NULL, '{');
        json_put_string(json, "to", format_address(&routes[i].to.address, text));
        json_put_number(json, "prefix", routes[i].to.bits);
        if (routes[i].via.sa.sa_family != AF_UNSPEC)
            json_put_string(json, "via", format_address(&routes[i].via, text));
        json_put_string(json, "origin", origins[routes[i].origin]);
        if (routes[i].seconds_left != 0)
            json_put_number(json, "seconds_left", routes[i].seconds_left);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_neighbours(struct json *json)
{
    static const uint8_t unknown[6];
    struct stack_neighbour neighbours[STACK_NEIGHBOURS_MAX];
    size_t count = stack_list_neighbours(neighbours);
    char text[INET6_ADDRSTRLEN];

    json_open(json, "neighbours", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(json, NULL, '{');
        json_put_string(json, "address", format_address(&neighbours[i].address, text));
        if (memcmp(neighbours[i].mac, unknown, sizeof unknown) != 0)
            put_mac(json, "mac", neighbours[i].mac);
        json_put_string(json, "state", neighbours[i].state);
        if (neighbours[i].is_router)
            json_put_bool(json, "router", true);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_names(struct json *json)
{
    const struct resolver_config *config = resolver_config_get();
    char text[INET6_ADDRSTRLEN];

    json_open(json, "dns", '{');
    json_open(json, "servers", '[');
    for (size_t i = 0; i < config->server_count; i++)
        json_put_string(json, NULL, format_address(&config->servers[i], text));
    json_close(json, ']');
    json_open(json, "search", '[');
    for (size_t at = 0; at < config->domains.length; at += strlen(config->domains.text + at) + 1)
        json_put_string(json, NULL, config->domains.text + at);
    json_close(json, ']');
    json_close(json, '}');
}

static void put_wire(struct json *json)
{
    const unsigned features = stack_wire_features();
    struct stack_interface interface;
    char text[IMPAIRMENT_TEXT_MAX];

    json_open(json, "wire", '{');
    if (stack_get_interface(STACK_INTERFACE_WIRE, &interface) == 0)
        json_put_string(json, "device", interface.name);
    json_put_bool(json, "checksum", (features & WIRE_CHECKSUM) != 0);
    json_put_bool(json, "tso4", (features & WIRE_TSO4) != 0);
    json_put_bool(json, "tso6", (features & WIRE_TSO6) != 0);
    json_put_bool(json, "uso", (features & WIRE_USO) != 0);
    if (stack_impair(NULL, text, sizeof text) == 0)
        json_put_string(json, "impairment", text);
    json_close(json, '}');
}

void query_write_network(struct json *json)
{
    json_open(json, NULL, '{');
    query_put_interfaces(json);
    put_routes(json);
    put_neighbours(json);
    put_names(json);
    put_wire(json);
    json_close(json, '}');
    json_end_line(json);
}
