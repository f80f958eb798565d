/* network_list.h - routes, neighbours and leases, for those who want to look at them. The rules of stack.h hold. */
#ifndef SIDESTACK_NETWORK_LIST_H
#define SIDESTACK_NETWORK_LIST_H

#include "interface.h"

enum stack_origin { STACK_ORIGIN_STATIC, STACK_ORIGIN_DHCP, STACK_ORIGIN_ROUTER, STACK_ORIGIN_KERNEL };

#define STACK_LISTED_ROUTES_MAX 160

/* STACK_ORIGIN_KERNEL: the network of an address of ours, as `ip route` says of them. */
struct stack_listed_route {
    struct stack_prefix to;
    union stack_address via; /* AF_UNSPEC: on the link */
    enum stack_origin origin;
    uint32_t seconds_left; /* 0: for ever */
};
size_t stack_list_routes(struct stack_listed_route routes[STACK_LISTED_ROUTES_MAX]);

#define STACK_NEIGHBOURS_MAX 192

struct stack_neighbour {
    union stack_address address;
    uint8_t mac[6];    /* all zero: not known */
    bool is_router;
    const char *state; /* as `ip neighbour` has it */
};
size_t stack_list_neighbours(struct stack_neighbour neighbours[STACK_NEIGHBOURS_MAX]);

/* Where an address came from, and how long it holds. seconds_left, preferred_left: UINT32_MAX: for ever. Return: false:
 * it is not ours. */
bool stack_find_address_origin(const union stack_address *address, enum stack_origin *origin, uint32_t *seconds_left,
                               uint32_t *preferred_left);

/* WIRE_* of wire.h: what the device does for us. */
unsigned stack_wire_features(void);

#endif
