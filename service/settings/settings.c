/*
 * settings.c - every setting: its name, how its value is read, what is said of it.
 *
 * A new one is a line of the table below and a function that reads its value; --help, --check, the configuration file
 * and the reload know it then. What has to happen when it changes while the service runs stands in reload.c.
 */
#include "settings.h"

#include "service/control_path.h"
#include "service/log/log.h"
#include "service/log/log_output.h"
#include "service/watch.h"
#include "options.h"
#include "service/privilege/users.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTU_MIN 576
#define MTU_MAX 65521 /* the largest that a TAP device takes */

struct setting_place setting_place;
char setting_why[256];

/* Parse a whole decimal number within bounds. Return: false when it is none. */
static bool parse_number(const char *text, long minimum, long maximum, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= minimum && *number <= maximum;
}

/* Copy text that must fit. */
static bool copy_text(char *to, size_t size, const char *text)
{
    size_t length = strlen(text);

    if (length == 0 || length >= size)
        return false;
    memcpy(to, text, length + 1);
    return true;
}

static bool set_name(struct options *options, const char *value)
{
    return control_name_is_plain(value) && copy_text(options->name, sizeof options->name, value);
}

static bool set_socket(struct options *options, const char *value)
{
    return copy_text(options->socket_path, sizeof options->socket_path, value);
}

static bool set_netif(struct options *options, const char *value)
{
    long fd;

    if (!copy_text(options->netif, sizeof options->netif, value))
        return false;
    if (strncmp(value, "tap:", 4) == 0)
        return strchr(value, '/') == NULL && copy_text(options->interface, sizeof options->interface, value + 4);
    strcpy(options->interface, "eth0");
    return strncmp(value, "vde:", 4) == 0 || (strncmp(value, "fd:", 3) == 0 && parse_number(value + 3, 0, 1 << 20, &fd));
}

/* Parse an address of either family. */
static bool parse_address(const char *text, union stack_address *address)
{
    memset(address, 0, sizeof *address);
    address->sa.sa_family = AF_INET;
    if (inet_pton(AF_INET, text, &address->in.sin_addr) == 1)
        return true;
    address->sa.sa_family = AF_INET6;
    return inet_pton(AF_INET6, text, &address->in6.sin6_addr) == 1;
}

/* One that a single host can have. */
static bool is_unicast(const union stack_address *address)
{
    if (address->sa.sa_family == AF_INET)
        return address->in.sin_addr.s_addr != 0 && ntohl(address->in.sin_addr.s_addr) < 0xe0000000;
    return !IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr) && !IN6_IS_ADDR_MULTICAST(&address->in6.sin6_addr) &&
           !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr);
}

/* Parse A/LEN. */
static bool parse_prefix(const char *value, long minimum_bits, struct stack_prefix *prefix)
{
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchr(value, '/');
    long bits;

    if (slash == NULL || (size_t)(slash - value) >= sizeof text)
        return false;
    memcpy(text, value, (size_t)(slash - value));
    text[slash - value] = '\0';
    if (!parse_address(text, &prefix->address) ||
        !parse_number(slash + 1, minimum_bits, prefix->address.sa.sa_family == AF_INET ? 32 : 128, &bits))
        return false;
    prefix->bits = (uint8_t)bits;
    return true;
}

static bool set_address(struct options *options, const char *value)
{
    struct stack_prefix *prefix = &options->addresses[options->address_count];

    if (options->address_count == OPTIONS_ADDRESSES_MAX || !parse_prefix(value, 1, prefix) ||
        !is_unicast(&prefix->address))
        return false;
    for (size_t i = 0; i < options->address_count; i++)
        if (memcmp(&options->addresses[i].address, &prefix->address, sizeof prefix->address) == 0)
            return false;
    options->address_count++;
    return true;
}

static bool set_gateway(struct options *options, const char *value)
{
    union stack_address via;
    struct stack_route *gateway;

    if (!parse_address(value, &via) || !is_unicast(&via))
        return false;
    gateway = &options->gateways[via.sa.sa_family == AF_INET6];
    if (gateway->via.sa.sa_family != 0)
        return false;
    *gateway = (struct stack_route){.via = via};
    gateway->to.address.sa.sa_family = via.sa.sa_family;
    return true;
}

static bool set_route(struct options *options, const char *value)
{
    static const char between[] = " via ";
    struct stack_route *route = &options->routes[options->route_count];
    const char *via = strstr(value, between);
    char text[INET6_ADDRSTRLEN + 4];

    if (options->route_count == OPTIONS_ROUTES_MAX || via == NULL || (size_t)(via - value) >= sizeof text)
        return false;
    memcpy(text, value, (size_t)(via - value));
    text[via - value] = '\0';
    if (!parse_prefix(text, 0, &route->to) || !parse_address(via + sizeof between - 1, &route->via) ||
        !is_unicast(&route->via) || route->to.address.sa.sa_family != route->via.sa.sa_family)
        return false;
    options->route_count++;
    return true;
}

static bool set_dns(struct options *options, const char *value)
{
    union stack_address *server = &options->dns[options->dns_count];

    if (options->dns_count == RESOLVER_SERVERS_MAX || !parse_address(value, server) || !is_unicast(server))
        return false;
    options->dns_count++;
    return true;
}

static bool set_switch(bool *on, const char *value)
{
    *on = strcmp(value, "on") == 0;
    return *on || strcmp(value, "off") == 0;
}

static bool set_dhcp(struct options *options, const char *value)
{
    return set_switch(&options->dhcp, value);
}

static bool set_slaac(struct options *options, const char *value)
{
    return set_switch(&options->slaac, value);
}

static bool set_hostname(struct options *options, const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-.", *c) == NULL)
            return false;
    return copy_text(options->hostname, sizeof options->hostname, value);
}

static bool set_search(struct options *options, const char *value)
{
    return strpbrk(value, " \t") == NULL && resolver_domains_add(&options->search, value);
}

static bool set_mtu(struct options *options, const char *value)
{
    long mtu;

    if (!parse_number(value, MTU_MIN, MTU_MAX, &mtu))
        return false;
    options->mtu = (uint16_t)mtu;
    return true;
}

static bool set_mac(struct options *options, const char *value)
{
    uint8_t *mac = options->mac;
    int used = 0;

    options->mac_given = true;
    return sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
                  &used) == 6 &&
           value[used] == '\0' && !(mac[0] & 1); /* a group address is nobody's own */
}

static bool set_offload(struct options *options, const char *value)
{
    return set_switch(&options->offload, value);
}

/* Return: the place of the value among these names, or -1. */
static int find_choice(const char *const names[], size_t count, const char *value)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], value) == 0)
            return (int)i;
    return -1;
}

static bool set_tcp_ecn(struct options *options, const char *value)
{
    static const char *const names[] = {[STACK_ECN_OFF] = "off", [STACK_ECN_REQUEST] = "request", [STACK_ECN_ACCEPT] = "accept"};
    int choice = find_choice(names, sizeof names / sizeof *names, value);

    options->tcp_ecn = (enum stack_ecn)choice;
    return choice >= 0;
}

static bool set_on_death(struct options *options, const char *value)
{
    static const char *const names[] = {[PROTOCOL_ON_DEATH_FAIL] = "fail", [PROTOCOL_ON_DEATH_WAIT] = "wait", [PROTOCOL_ON_DEATH_HOST] = "host"};
    int choice = find_choice(names, sizeof names / sizeof *names, value);

    options->on_death = (enum protocol_on_death)choice;
    return choice >= 0;
}

static bool set_busy_poll(struct options *options, const char *value)
{
    long poll_us;

    if (!parse_number(value, 0, WATCH_POLL_MAX_US, &poll_us))
        return false;
    options->busy_poll_us = (unsigned)poll_us;
    return true;
}

#define MEMORY_MIN (1024 * 1024) /* less than one busy connection wants */

static const char impair_example[] = "delay=20ms,jitter=5ms,loss=1%,in:rate=10mbit";

static bool set_impair(struct options *options, const char *value)
{
    const char *wrong;

    if (impairment_parse(value, &options->impairments, &wrong) == 0)
        return true;
    snprintf(setting_why, sizeof setting_why, "not understood from '%s' on, expected a list as in %s", wrong, impair_example);
    return false;
}

static bool set_max_sockets(struct options *options, const char *value)
{
    long sockets;

    if (!parse_number(value, 1, 1 << 24, &sockets))
        return false;
    options->sockets_max = (size_t)sockets;
    return true;
}

static bool set_max_memory(struct options *options, const char *value)
{
    static const char units[] = "KMG";
    char number[24];
    size_t length = strlen(value);
    const char *unit = length > 0 ? strchr(units, value[length - 1]) : NULL;
    long count;

    if (length == 0 || length >= sizeof number)
        return false;
    memcpy(number, value, length + 1);
    if (unit != NULL)
        number[length - 1] = '\0';
    if (!parse_number(number, 0, 1l << 40, &count))
        return false;
    options->memory_max = (size_t)count << (unit != NULL ? 10 * (unit - units + 1) : 0);
    return options->memory_max == 0 || (options->memory_max >= MEMORY_MIN && options->memory_max <= (size_t)1 << 40);
}

static bool set_limit(size_t *limit, const char *value)
{
    long number;

    if (strcmp(value, "half") == 0) {
        *limit = QUOTA_HALF;
        return true;
    }
    if (!parse_number(value, 0, 1 << 24, &number))
        return false;
    *limit = (size_t)number;
    return true;
}

static bool set_user_sockets(struct options *options, const char *value)
{
    return set_limit(&options->quota.sockets, value);
}

static bool set_user_clients(struct options *options, const char *value)
{
    return set_limit(&options->quota.clients, value);
}

static bool set_user_requests(struct options *options, const char *value)
{
    long requests;

    if (!parse_number(value, 0, 100000000, &requests))
        return false;
    options->quota.requests = (unsigned)requests;
    return true;
}

static bool set_rule(struct options *options, const char *value)
{
    if (options->rules == NULL)
        options->rules = calloc(1, sizeof *options->rules);
    return options->rules != NULL && rules_set_add(options->rules, value, setting_place.file, (unsigned)setting_place.line,
                                                   setting_why, sizeof setting_why) == 0;
}

static bool set_user(struct options *options, const char *value)
{
    uid_t user;
    gid_t group;

    free(options->user);
    options->user = strdup(value);
    return options->user != NULL && users_find(value, &user, &group);
}

static bool set_socket_user(struct options *options, const char *value)
{
    gid_t group;

    return users_find(value, &options->socket_access.user, &group);
}

static bool set_socket_group(struct options *options, const char *value)
{
    return users_find_group(value, &options->socket_access.group);
}

static bool set_socket_mode(struct options *options, const char *value)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);

    options->socket_access.mode = (mode_t)mode;
    return *value >= '0' && *value <= '7' && *end == '\0' && mode <= 0777;
}

static bool set_allow_ports(struct options *options, const char *value)
{
    return access_list_parse(value, &options->access.lists[ACCESS_PORTS]);
}

static bool set_allow_raw(struct options *options, const char *value)
{
    return access_list_parse(value, &options->access.lists[ACCESS_RAW]);
}

static bool set_allow_ping(struct options *options, const char *value)
{
    return access_list_parse(value, &options->access.lists[ACCESS_PING]);
}

static bool set_allow_admin(struct options *options, const char *value)
{
    return access_list_parse(value, &options->access.lists[ACCESS_ADMIN]);
}

static bool set_privileged_ports(struct options *options, const char *value)
{
    long ports;

    if (!parse_number(value, 0, UINT16_MAX + 1, &ports))
        return false;
    options->access.privileged_ports = (unsigned)ports;
    return true;
}

static bool set_sandbox(struct options *options, const char *value)
{
    return set_switch(&options->sandbox, value);
}

static bool set_pcap(struct options *options, const char *value)
{
    free(options->capture_path);
    options->capture_path = strdup(value);
    return options->capture_path != NULL && *value != '\0';
}

static bool set_log_level(struct options *options, const char *value)
{
    return log_level_parse(value, &options->log_level);
}

static bool set_log_format(struct options *options, const char *value)
{
    return log_format_parse(value, &options->log_format);
}

static bool set_log_to(struct options *options, const char *value)
{
    return log_target_parse(value, &options->log_target);
}

static bool set_ready_fd(struct options *options, const char *value)
{
    long fd;

    if (!parse_number(value, 0, 1 << 20, &fd))
        return false;
    options->ready_fd = (int)fd;
    return true;
}

static const char access_expected[] = "all, none, or names of users and @groups of this machine with commas between";

const struct setting settings[] = {
    {"name", set_name, "NAME", "letters, digits, '.', '_' and '-'", "name of this service (default: default)", 0, CONTROL_NAME_DEFAULT},
    {"socket", set_socket, "PATH", "a path of at most 107 bytes",
     "control socket (default: /run/sidestack/NAME.sock, or\n"
     "$XDG_RUNTIME_DIR/sidestack/NAME.sock for users)", 0, NULL},
    {"netif", set_netif, "NETIF", "tap: and the name of a device, vde: and a URL, or fd: and the number of a descriptor",
     "the wire: tap:IFNAME, a TAP device to attach to, or to make;\n"
     "vde:URL, a VDE network (a switch's directory, slirp://,\n"
     "vxvde://...); fd:N, a descriptor that is open: of a TAP\n"
     "device, or a socket that carries frames (default:\n"
     "tap:sidestack0)", 0, "tap:sidestack0"},
    {"address", set_address, "A/LEN", "an address and its prefix length, as in 10.1.2.3/24 or 2001:db8::3/64, once",
     "an address of the stack's own, IPv4 or IPv6; may be repeated", SETTING_REPEATS, NULL},
    {"gateway", set_gateway, "A", "an address, one of IPv4 and one of IPv6 at most",
     "default route; once for IPv4 and once for IPv6", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"route", set_route, "ROUTE", "NET/LEN via A, as in '10.2.0.0/16 via 10.1.2.1'",
     "'NET/LEN via A', a route by way of A; may be repeated", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"dhcp", set_dhcp, "[=on|off]", "on or off", "get an IPv4 address, routes and name servers by DHCP, and\n"
     "wait for it, for 30 seconds at most", SETTING_SWITCH, "off"},
    {"slaac", set_slaac, "[=on|off]", "on or off", "get IPv6 addresses, routes and name servers by router\n"
     "advertisements (and stateless DHCPv6), and wait for them", SETTING_SWITCH, "off"},
    {"hostname", set_hostname, "NAME", "letters, digits, '.' and '-', at most 63", "name to tell a DHCP server", 0, NULL},
    {"dns", set_dns, "A", "an address, at most 8 of them", "name server; may be repeated (default: what the network says,\n"
     "else those of /etc/resolv.conf; asked through the stack)", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"search", set_search, "DOMAIN", "a domain; all of them together 256 bytes at most",
     "domain to search for names without dots; may be repeated", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"mtu", set_mtu, "N", "576 to 65521", "largest IP packet in bytes (default: 1500)", 0, "1500"},
    {"mac", set_mac, "MAC", "six octets as in 02:00:00:00:00:01, not a group address",
     "the stack's Ethernet address (default: random)", 0, NULL},
    {"offload", set_offload, "on|off", "on or off", "leave checksums and segmentation to the device (default: on)", 0, "on"},
    {"tcp-ecn", set_tcp_ecn, "WHEN", "request, accept or off",
     "explicit congestion notification: asked for by connections\n"
     "from here, too, agreed to when asked, or never (default:\n"
     "accept)", 0, "accept"},
    {"busy-poll", set_busy_poll, "USEC", "microseconds, 0 to 1000",
     "while there is much to do, stay awake so long for more\n"
     "before sleeping; 0: never (default: 50)", SETTING_RELOADS, "50"},
    {"impair", set_impair, "LIST", "a list of settings of the wire",
     "make the wire as bad as a real network: delay, jitter, loss,\n"
     "duplicate, reorder, corrupt, rate, queue, seed, each\n"
     "=VALUE, and ecn; in: or out: before one means that way only; may be\n"
     "repeated; to change it later: sidestack impair", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"max-sockets", set_max_sockets, "N", "1 to 16777216", "sockets of all programs at most (default: what the limit on\n"
     "open files allows)", SETTING_RELOADS, NULL},
    {"max-memory", set_max_memory, "SIZE", "bytes, from 1M to 1024G, or with K, M or G behind; 0",
     "what connections and their data take at most, with the\n"
     "heaviest throttled first; 0: no bound (default: 0)", SETTING_RELOADS, "0"},
    {"on-death", set_on_death, "WHAT", "fail, wait or host",
     "what programs do that want a socket while the service is\n"
     "gone: fail with ENETDOWN, wait for it, or take one of the\n"
     "host's (default: fail)", SETTING_RELOADS, "fail"},
    {"user-sockets", set_user_sockets, "N", "0 to 16777216, or half",
     "sockets of one user at most, root and the service's own user\n"
     "apart; 0: no limit (default: half of all)", SETTING_RELOADS, "half"},
    {"user-clients", set_user_clients, "N", "0 to 16777216, or half",
     "control connections of one user, likewise (default: half)", SETTING_RELOADS, "half"},
    {"user-requests", set_user_requests, "N", "0 to 100000000",
     "requests of one user in a second, likewise; more have to wait\n"
     "(default: 50000)", SETTING_RELOADS, "50000"},
    {"rule", set_rule, "RULE", "a rule as in 'host program=ssh address=192.0.2.0/24 port=22'",
     "ACTION CONDITION...: which sockets are on the stack, on the\n"
     "host's network, rejected or swallowed; may be repeated, the\n"
     "first that matches decides (default: all are on the stack)", SETTING_REPEATS | SETTING_RELOADS, NULL},
    {"socket-user", set_socket_user, "USER", "the name of a user of this machine, or a number",
     "whose the control socket is (default: who starts the service)", 0, NULL},
    {"socket-group", set_socket_group, "GROUP", "the name of a group of this machine, or a number",
     "and of which group (default: the service's)", 0, NULL},
    {"socket-mode", set_socket_mode, "MODE", "permissions as in 0660",
     "who of them may use the stack (default: 0660)", 0, "0660"},
    {"privileged-ports", set_privileged_ports, "N", "a number from 0 to 65536",
     "ports below N are for those of allow-ports (default: 1024)", SETTING_RELOADS, "1024"},
    {"allow-ports", set_allow_ports, "WHO", access_expected,
     "who may bind these: names of users and @groups with commas\n"
     "between, all or none; the service's own user may always\n"
     "(default: root)", SETTING_RELOADS, "root"},
    {"allow-raw", set_allow_raw, "WHO", access_expected, "who may have raw sockets (default: root)", SETTING_RELOADS, "root"},
    {"allow-ping", set_allow_ping, "WHO", access_expected, "who may have ping sockets (default: all)", SETTING_RELOADS, "all"},
    {"allow-admin", set_allow_admin, "WHO", access_expected,
     "who may see and end the sockets of others, record the wire\n"
     "and impair it (default: root)", SETTING_RELOADS, "root"},
    {"user", set_user, "USER", "the name of a user of this machine, or a number",
     "whom to run as when root starts it (default: sidestack if\n"
     "there is such a user, else root without capabilities)", 0, NULL},
    {"sandbox", set_sandbox, "on|off", "on or off",
     "let the kernel refuse system calls that the service does\n"
     "not need (default: on)", 0, "on"},
    {"pcap", set_pcap, "FILE", "a file name", "record every frame in FILE", 0, NULL},
    {"log-level", set_log_level, "LEVEL", "error, warn, info or debug", "how much to say (default: info)", SETTING_RELOADS, "info"},
    {"log-format", set_log_format, "FORMAT", "plain or json", "plain for people, json for machines (default: plain)",
     SETTING_RELOADS, "plain"},
    {"log-to", set_log_to, "WHERE", "stderr, syslog or journal", "where messages go: stderr, syslog or journal (default: stderr)",
     SETTING_RELOADS, "stderr"},
    {"ready-fd", set_ready_fd, "N", "the number of an open descriptor",
     "write a newline to descriptor N when ready, and close it", 0, NULL},
};
const size_t setting_count = sizeof settings / sizeof *settings;
