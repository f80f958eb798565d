/* options.h - what the daemon was told, by its command line and its configuration file. */
#ifndef SIDESTACK_OPTIONS_H
#define SIDESTACK_OPTIONS_H

#include "service/resolver/resolver_config.h"
#include "stack/wire/impairment.h"
#include "stack/ip/interface.h"

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define OPTIONS_ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX)
#define OPTIONS_ROUTES_MAX (2 * STACK_ROUTES_MAX)

struct options {
    char name[64];
    char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char interface[IFNAMSIZ]; /* of the TAP device */
    struct stack_prefix addresses[OPTIONS_ADDRESSES_MAX];
    size_t address_count;
    struct stack_route gateways[2]; /* IPv4, IPv6; of family 0: none */
    struct stack_route routes[OPTIONS_ROUTES_MAX];
    size_t route_count;
    union stack_address dns[RESOLVER_SERVERS_MAX]; /* the port is 0 */
    size_t dns_count;
    struct resolver_domains search;
    bool dhcp;
    bool slaac;
    char hostname[64]; /* empty: none */
    uint16_t mtu;
    uint8_t mac[6];
    bool mac_given;
    bool offload;
    struct impairments impairments; /* of the wire, from the start */
    char *capture_path; /* owned; NULL: none */
    int ready_fd;       /* -1: none */
};

/*
 * Read the command line and the file that it names; what the command line says wins. Errors are told on standard error in one line.
 * Return: 0 to go on, or the process's exit status + 1 to end now (1 after --help and --version, 3 after an error: status 2).
 */
int options_read(int argc, char **argv, struct options *options);

void options_free(struct options *options);

#endif
