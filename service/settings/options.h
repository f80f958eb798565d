/* options.h - what the daemon was told, by its command line and its configuration file. */
#ifndef SIDESTACK_OPTIONS_H
#define SIDESTACK_OPTIONS_H

#include "service/privilege/access.h"
#include "service/control_socket.h"
#include "service/log/log_output.h"
#include "service/privilege/quota.h"
#include "service/protocol.h"
#include "service/resolver/resolver_config.h"
#include "stack/stack.h"
#include "service/rules/rules.h"
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
#define OPTIONS_GATEWAYS_MAX 2

struct option_value {
    char *text; /* owned */
    int line;   /* of the file; 0: from the command line, or the initial one */
};

/* The values of one setting that hold: those of the command line if it has any, else those of the file, else the
 * initial one. */
struct option_values {
    struct option_value *all; /* owned */
    size_t count;
};

struct options {
    char name[64];
    char socket_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char netif[256];          /* as given */
    char interface[IFNAMSIZ]; /* of the TAP device; of other wires the stack's own name for it */
    struct stack_prefix addresses[OPTIONS_ADDRESSES_MAX];
    size_t address_count;
    struct stack_route gateways[OPTIONS_GATEWAYS_MAX]; /* IPv4, IPv6; of family 0: none */
    struct stack_route routes[OPTIONS_ROUTES_MAX];
    size_t route_count;
    union stack_address dns[RESOLVER_SERVERS_MAX]; /* the port is 0 */
    size_t dns_count;
    struct resolver_domains search;
    bool dhcp;
    bool slaac;
    char hostname[64]; /* empty: none */
    enum stack_ecn tcp_ecn;
    uint16_t mtu;
    uint8_t mac[6];
    bool mac_given;
    struct quota_limits quota;
    struct access_settings access;
    struct control_access socket_access; /* (uid_t)-1: who starts the service; (gid_t)-1: the group of .user */
    char *user; /* owned; NULL: see privilege_choose() */
    bool sandbox;
    bool offload;
    unsigned busy_poll_us;
    struct impairments impairments; /* of the wire, from the start */
    size_t memory_max;              /* bytes; 0: no bound */
    size_t sockets_max;             /* 0: what the limit on open files allows */
    enum protocol_on_death on_death;
    struct rules_set *rules;        /* owned; NULL: none */
    char *capture_path;             /* owned; NULL: none */
    enum log_level log_level;
    enum log_format log_format;
    enum log_target log_target;
    int ready_fd;             /* -1: none */
    const char *config_path;  /* of argv; NULL: none */
    struct option_values *values; /* owned; one for each of settings[] */
    bool takeover;            /* take the place of the service that runs there */
    int argc;                 /* the command line, to read it again; borrowed */
    char **argv;
};

/*
 * Read the command line and the file that it names; what the command line says wins. Each error is told in one line
 * (log.h). --check prints the settings that hold, as a configuration file. Return: 0 to go on, or the process's exit
 * status + 1 to end now (1 after --help, --version and --check, 3 after an error: status 2).
 */
int options_read(int argc, char **argv, struct options *options);

/* Read both again. Return: 0, or -EINVAL after telling each error; fresh needs no options_free() then. */
int options_read_again(const struct options *options, struct options *fresh);

/* The texts of a setting, by its name; they must be options', which it stays. */
const struct option_values *options_values(const struct options *options, const char *name);

/* Do two readings agree on the setting with this index in settings[]? */
bool options_agree(const struct options *one, const struct options *other, size_t setting);

/* Gateways and routes together. Return: how many. */
size_t options_get_routes(const struct options *options, struct stack_route routes[OPTIONS_ROUTES_MAX + OPTIONS_GATEWAYS_MAX]);

void options_free(struct options *options);

#endif
