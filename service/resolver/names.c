/*
 * names.c - what programs ask about the stack in order to look up names: requests that need no name server.
 *
 * A program sorts the addresses of a host by RFC 6724, for which it has to know from where it would reach each of them.
 */
#include "names.h"

#include "resolver_config.h"
#include "stack/datagram.h"
#include "stack/ip/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

#define ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX + 2)

#define PORT_DISCARD 9 /* as good as any: nothing is sent */

static bool is_loopback(const union stack_address *address)
{
    if (address->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
    return address->in.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

int names_describe(struct protocol_message *reply)
{
    const struct resolver_domains *domains = &resolver_config_get()->domains;
    struct stack_interface_address addresses[ADDRESSES_MAX];
    size_t count = stack_get_addresses(addresses, ADDRESSES_MAX);

    for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        const union stack_address *address = &addresses[i].prefix.address;

        if (!is_loopback(address))
            reply->args[0] |= address->sa.sa_family == AF_INET6 ? PROTOCOL_FAMILY_IPV6 : PROTOCOL_FAMILY_IPV4;
    }
    memcpy(reply->option, domains->text, domains->length);
    reply->option_length = (uint32_t)domains->length;
    return 0;
}

/* An address of the protocol, which has IPv4 as v4-mapped, as one of the stack. */
static union stack_address from_wire(const struct protocol_route *route)
{
    union stack_address address;
    struct in6_addr bytes;

    memcpy(&bytes, route->destination, sizeof bytes);
    memset(&address, 0, sizeof address);
    if (IN6_IS_ADDR_V4MAPPED(&bytes)) {
        address.in.sin_family = AF_INET;
        address.in.sin_port = htons(PORT_DISCARD);
        address.in.sin_addr.s_addr = bytes.s6_addr32[3];
    } else {
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(PORT_DISCARD);
        address.in6.sin6_addr = bytes;
        if (IN6_IS_ADDR_LINKLOCAL(&bytes))
            address.in6.sin6_scope_id = route->interface;
    }
    return address;
}

static void to_wire(const union stack_address *address, uint8_t bytes[16])
{
    struct in6_addr mapped = {.s6_addr32 = {0, 0, htonl(0xffff), 0}};

    if (address->sa.sa_family == AF_INET6)
        mapped = address->in6.sin6_addr;
    else
        mapped.s6_addr32[3] = address->in.sin_addr.s_addr;
    memcpy(bytes, &mapped, sizeof mapped);
}

static bool is_same_host(const union stack_address *one, const union stack_address *other)
{
    if (one->sa.sa_family != other->sa.sa_family)
        return false;
    if (one->sa.sa_family == AF_INET6)
        return IN6_ARE_ADDR_EQUAL(&one->in6.sin6_addr, &other->in6.sin6_addr);
    return one->in.sin_addr.s_addr == other->in.sin_addr.s_addr;
}

/* What is known of a source address. */
static void describe_source(const union stack_address *source, struct protocol_route *route)
{
    struct stack_interface_address addresses[ADDRESSES_MAX];
    size_t count = stack_get_addresses(addresses, ADDRESSES_MAX);

    for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        if (is_same_host(&addresses[i].prefix.address, source)) {
            route->prefix_bits = addresses[i].prefix.bits;
            route->deprecated = (addresses[i].flags & IFA_F_DEPRECATED) != 0;
            return;
        }
    }
}

/* As connect() of a UDP socket and getsockname() would tell. */
static void find_route(struct protocol_route *route)
{
    static const struct stack_datagram_events none;
    union stack_address destination = from_wire(route), source;
    struct stack_datagram *probe;

    memset(route->source, 0, sizeof route->source);
    route->reachable = route->prefix_bits = route->deprecated = 0;
    probe = stack_datagram_open(STACK_DATAGRAM_UDP, destination.sa.sa_family, 0, &none, NULL);
    if (probe == NULL)
        return;
    if (stack_datagram_connect(probe, &destination) == 0 && stack_datagram_local_address(probe, &source) == 0) {
        route->reachable = 1;
        to_wire(&source, route->source);
        describe_source(&source, route);
    }
    stack_datagram_close(probe);
}

int names_find_routes(const struct protocol_message *request, struct protocol_message *reply)
{
    struct protocol_route routes[PROTOCOL_ROUTES_MAX];

    if (request->option_length > sizeof routes || request->option_length % sizeof *routes != 0)
        return -EINVAL;
    memcpy(routes, request->option, request->option_length);
    for (size_t i = 0; i < request->option_length / sizeof *routes; i++)
        find_route(&routes[i]);
    memcpy(reply->option, routes, request->option_length);
    reply->option_length = request->option_length;
    return 0;
}
