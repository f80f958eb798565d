/*
 * options.c - what the daemon was told, by its command line and its configuration file.
 *
 * Every setting has one name and one function, whether it comes as --name value or as a line `name = value` of the file. The file is read first, so that
 * the command line wins; a setting that may be repeated starts anew on the command line.
 */
#include "options.h"

#include "control_path.h"
#include "log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SIDESTACK_VERSION
#define SIDESTACK_VERSION "0.1"
#endif

#define MTU_MIN 576
#define MTU_MAX 65521 /* the largest that a TAP device takes */
#define MTU_DEFAULT 1500

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
    char path[sizeof options->socket_path];

    return copy_text(options->name, sizeof options->name, value) &&
           control_path_of_name(value, path, sizeof path) != -EINVAL;
}

static bool set_socket(struct options *options, const char *value)
{
    return copy_text(options->socket_path, sizeof options->socket_path, value);
}

static bool set_netif(struct options *options, const char *value)
{
    return strncmp(value, "tap:", 4) == 0 && strchr(value, '/') == NULL &&
           copy_text(options->interface, sizeof options->interface, value + 4);
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

static bool set_impair(struct options *options, const char *value)
{
    const char *wrong;

    return impairment_parse(value, &options->impairments, &wrong) == 0;
}

static bool set_pcap(struct options *options, const char *value)
{
    free(options->capture_path);
    options->capture_path = strdup(value);
    return options->capture_path != NULL && *value != '\0';
}

static bool set_log_level(struct options *options, const char *value)
{
    (void)options;
    return log_set_threshold(value);
}

static bool set_ready_fd(struct options *options, const char *value)
{
    long fd;

    if (!parse_number(value, 0, 1 << 20, &fd))
        return false;
    options->ready_fd = (int)fd;
    return true;
}

/* The argument of settings that stand alone on the command line, or with "=on" or "=off". */
static const char switch_argument[] = "[=on|off]";

static const struct setting {
    const char *name;
    bool (*set)(struct options *options, const char *value);
    const char *argument;
    const char *expected;
    const char *help;
} settings[] = {
    {"name", set_name, "NAME", "letters, digits, '.', '_' and '-'", "name of this service (default: default)"},
    {"socket", set_socket, "PATH", "a path of at most 107 bytes",
     "control socket (default: /run/sidestack/NAME.sock, or\n"
     "                      $XDG_RUNTIME_DIR/sidestack/NAME.sock for users)"},
    {"netif", set_netif, "tap:IFNAME", "tap: and the name of a device",
     "TAP device to attach to, or to make (default: sidestack0)"},
    {"address", set_address, "A/LEN", "an address and its prefix length, as in 10.1.2.3/24 or 2001:db8::3/64, once",
     "an address of the stack's own, IPv4 or IPv6; may be repeated"},
    {"gateway", set_gateway, "A", "an address, one of IPv4 and one of IPv6 at most",
     "default route; once for IPv4 and once for IPv6"},
    {"route", set_route, "ROUTE", "NET/LEN via A, as in '10.2.0.0/16 via 10.1.2.1'",
     "'NET/LEN via A', a route by way of A; may be repeated"},
    {"dhcp", set_dhcp, switch_argument, "on or off", "get an IPv4 address, routes and name servers by DHCP, and\n"
     "                      wait for it, for 30 seconds at most"},
    {"slaac", set_slaac, switch_argument, "on or off", "get IPv6 addresses, routes and name servers by router\n"
     "                      advertisements (and stateless DHCPv6), and wait for them"},
    {"hostname", set_hostname, "NAME", "letters, digits, '.' and '-', at most 63", "name to tell a DHCP server"},
    {"dns", set_dns, "A", "an address, at most 8 of them", "name server; may be repeated (default: what the network says,\n"
     "                      else those of /etc/resolv.conf; asked through the stack)"},
    {"search", set_search, "DOMAIN", "a domain; all of them together 256 bytes at most",
     "domain to search for names without dots; may be repeated"},
    {"mtu", set_mtu, "N", "576 to 65521", "largest IP packet in bytes (default: 1500)"},
    {"mac", set_mac, "MAC", "six octets as in 02:00:00:00:00:01, not a group address",
     "the stack's Ethernet address (default: random)"},
    {"offload", set_offload, "on|off", "on or off", "leave checksums and segmentation to the device (default: on)"},
    {"impair", set_impair, "LIST", "a list as in delay=20ms,jitter=5ms,loss=1%,in:rate=10mbit",
     "make the wire as bad as a real network: delay, jitter, loss,\n"
     "                      duplicate, reorder, corrupt, rate, queue, seed, each\n"
     "                      =VALUE; in: or out: before one means that way only;\n"
     "                      to change it later: sidestack impair"},
    {"pcap", set_pcap, "FILE", "a file name", "record every frame in FILE"},
    {"log-level", set_log_level, "LEVEL", "error, warn, info or debug", "how much to say (default: info)"},
    {"ready-fd", set_ready_fd, "N", "the number of an open descriptor",
     "write a newline to descriptor N when ready, and close it"},
};
#define SETTING_COUNT (sizeof settings / sizeof *settings)

static void print_help(void)
{
    printf("Usage: sidestackd [OPTION]...\n"
           "Give programs a TCP/IP stack of their own. Runs in the foreground, logs to standard error;\n"
           "SIGTERM ends every connection in order, a second one at once.\n\n"
           "  --config FILE       read settings from FILE, one `name = value` a line;\n"
           "                      names are those of the options below\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char left[32];

        snprintf(left, sizeof left, "--%s%s%s", settings[i].name, settings[i].argument == switch_argument ? "" : " ",
                 settings[i].argument);
        printf("  %-18s  %s\n", left, settings[i].help);
    }
    printf("  --help              show this help\n"
           "  --version           show the version\n");
}

static const struct setting *find_setting(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* inih's handler. Return: 1 when the line is good. */
static int read_line(void *context, const char *section, const char *name, const char *value)
{
    const struct setting *setting = *section == '\0' ? find_setting(name) : NULL;

    if (setting == NULL)
        fprintf(stderr, "sidestackd: configuration: no setting is called '%s%s%s'\n", section,
                *section != '\0' ? "." : "", name);
    else if (!setting->set(context, value))
        fprintf(stderr, "sidestackd: configuration: %s: expected %s, found '%s'\n", name, setting->expected, value);
    else
        return 1;
    return 0;
}

static bool read_file(const char *path, struct options *options)
{
    int line = ini_parse(path, read_line, options);

    if (line < 0)
        fprintf(stderr, "sidestackd: %s: %s\n", path, line == -1 ? strerror(errno) : "out of memory");
    else if (line > 0)
        fprintf(stderr, "sidestackd: %s: line %d is not a good setting\n", path, line);
    return line == 0;
}

/* Repeatable and once-only settings of the file give way to the same on the command line. */
static void forget_for_command_line(const char *name, struct options *options)
{
    if (strcmp(name, "dns") == 0)
        options->dns_count = 0;
    else if (strcmp(name, "search") == 0)
        options->search.length = 0;
    else if (strcmp(name, "address") == 0)
        options->address_count = 0;
    else if (strcmp(name, "gateway") == 0)
        memset(options->gateways, 0, sizeof options->gateways);
    else if (strcmp(name, "route") == 0)
        options->route_count = 0;
}

enum { OPTION_CONFIG = SETTING_COUNT, OPTION_HELP, OPTION_VERSION, OPTION_COUNT };

static void fill_long_options(struct option *table)
{
    memset(table, 0, (OPTION_COUNT + 1) * sizeof *table);
    for (size_t i = 0; i < SETTING_COUNT; i++)
        table[i] = (struct option){
            settings[i].name, settings[i].argument == switch_argument ? optional_argument : required_argument, NULL, 'a'};
    table[OPTION_CONFIG] = (struct option){"config", required_argument, NULL, 'c'};
    table[OPTION_HELP] = (struct option){"help", no_argument, NULL, 'h'};
    table[OPTION_VERSION] = (struct option){"version", no_argument, NULL, 'V'};
}

/* The command line, once for --config alone and once for the rest. Return: as options_read(). */
static int read_arguments(int argc, char **argv, struct options *options, bool config_only)
{
    struct option table[OPTION_COUNT + 1];
    bool seen[SETTING_COUNT] = {false};
    int letter, index = 0;

    fill_long_options(table);
    optind = 0; /* glibc: start over */
    opterr = config_only;
    while ((letter = getopt_long(argc, argv, "", table, &index)) != -1) {
        if (letter == '?')
            return 3;
        if (config_only) {
            if (letter == 'c' && !read_file(optarg, options))
                return 3;
            if (letter == 'h')
                print_help();
            else if (letter == 'V')
                printf("sidestackd %s\n", SIDESTACK_VERSION);
            if (letter == 'h' || letter == 'V')
                return 1;
        } else if (letter == 'a') {
            if (!seen[index])
                forget_for_command_line(settings[index].name, options);
            seen[index] = true;
            if (!settings[index].set(options, optarg != NULL ? optarg : "on")) {
                fprintf(stderr, "sidestackd: --%s: expected %s, found '%s'\n", settings[index].name,
                        settings[index].expected, optarg != NULL ? optarg : "on");
                return 3;
            }
        }
    }
    if (optind < argc) {
        fprintf(stderr, "sidestackd: unexpected argument '%s'; see --help\n", argv[optind]);
        return 3;
    }
    return 0;
}

int options_read(int argc, char **argv, struct options *options)
{
    int status;

    *options = (struct options){.name = CONTROL_NAME_DEFAULT,
                                .interface = "sidestack0",
                                .mtu = MTU_DEFAULT,
                                .offload = true,
                                .ready_fd = -1};
    status = read_arguments(argc, argv, options, true);
    if (status == 0)
        status = read_arguments(argc, argv, options, false);
    if (status != 0)
        return status;
    if (options->socket_path[0] == '\0' &&
        control_path_of_name(options->name, options->socket_path, sizeof options->socket_path) < 0) {
        fprintf(stderr, "sidestackd: no place for the control socket: XDG_RUNTIME_DIR is not set; give --socket\n");
        return 3;
    }
    return 0;
}

void options_free(struct options *options)
{
    free(options->capture_path);
    options->capture_path = NULL;
}
