/*
 * names_sort.c - the addresses of a host in the order in which a program should try them (RFC 6724, gai.conf(5)).
 *
 * libc's own sorting asks the kernel, by connecting sockets, from where it would send to each address. Here the service
 * says so. The rules and their details are libc's; where those are not the RFC's, libc's hold.
 *
 * gai.conf is read for each sorting that has something to decide; few machines have one.
 */
#include "intercept/control.h"
#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define GAI_CONF "/etc/gai.conf"

/* A line of a table: what an address that begins with these bits has. */
struct prefix_value {
    struct in6_addr prefix;
    unsigned bits;
    int value;
};

#define TABLE_MAX 64

struct table {
    struct prefix_value lines[TABLE_MAX];
    size_t count;
};

struct tables {
    struct table labels, precedences, scopes; /* scopes: of IPv4, as v4-mapped prefixes */
};

/* As in libc, which has two labels more than RFC 6724 for site-local and Teredo. */
static const struct {
    const char *prefix;
    unsigned bits;
    int value;
} default_labels[] = {{"::1", 128, 0}, {"::", 96, 3},     {"::ffff:0:0", 96, 4}, {"2001::", 32, 7},
                      {"2002::", 16, 2}, {"fec0::", 10, 5}, {"fc00::", 7, 6},      {"::", 0, 1}},
  default_precedences[] = {{"::1", 128, 50}, {"::", 96, 20}, {"::ffff:0:0", 96, 10}, {"2002::", 16, 30}, {"::", 0, 40}},
  default_scopes[] = {{"::ffff:169.254.0.0", 112, 2}, {"::ffff:127.0.0.0", 104, 2}, {"::ffff:0:0", 96, 14}};

#define SCOPE_LINK 2
#define SCOPE_SITE 5
#define SCOPE_GLOBAL 14

static void add_line(struct table *table, const struct in6_addr *prefix, unsigned bits, int value)
{
    if (table->count < TABLE_MAX)
        table->lines[table->count++] = (struct prefix_value){*prefix, bits, value};
}

#define FILL(table, defaults)                                                                                          \
    for (size_t i_ = 0; i_ < sizeof(defaults) / sizeof *(defaults); i_++) {                                            \
        struct in6_addr prefix_;                                                                                       \
        inet_pton(AF_INET6, (defaults)[i_].prefix, &prefix_);                                                          \
        add_line(table, &prefix_, (defaults)[i_].bits, (defaults)[i_].value);                                          \
    }

/* A table that the file has nothing of gets the defaults; one without a last resort gets that. */
static void complete(struct table *table, unsigned last_bits, int last_value)
{
    struct in6_addr any = IN6ADDR_ANY_INIT;

    for (size_t i = 0; i < table->count; i++)
        if (table->lines[i].bits == last_bits)
            return;
    if (last_bits == 96)
        any.s6_addr[10] = any.s6_addr[11] = 0xff;
    add_line(table, &any, last_bits, last_value);
}

/* "label ::1/128 0", "precedence ::ffff:0:0/96 100", "scopev4 ::ffff:127.0.0.0/104 2" or "scopev4 127.0.0.0/8 2". */
static void read_line(char *line, struct tables *tables)
{
    char *words = line, *keyword, *prefix_text, *value_text, *bits_text, *end;
    struct in6_addr prefix = IN6ADDR_ANY_INIT;
    bool is_scope, is_v4 = false;
    unsigned long bits, value;

    line[strcspn(line, "#\n")] = '\0';
    keyword = strtok_r(words, " \t", &end);
    prefix_text = keyword != NULL ? strtok_r(NULL, " \t", &end) : NULL;
    value_text = prefix_text != NULL ? strtok_r(NULL, " \t", &end) : NULL;
    if (prefix_text == NULL)
        return;
    bits_text = strchr(prefix_text, '/');
    if (bits_text != NULL)
        *bits_text++ = '\0';
    is_scope = strcmp(keyword, "scopev4") == 0;
    if (inet_pton(AF_INET6, prefix_text, &prefix) != 1) {
        if (!is_scope || inet_pton(AF_INET, prefix_text, &prefix.s6_addr[12]) != 1)
            return;
        is_v4 = true;
        prefix.s6_addr[10] = prefix.s6_addr[11] = 0xff;
    }
    bits = bits_text != NULL ? strtoul(bits_text, &end, 10) : is_v4 ? 32 : 128;
    if (bits_text != NULL && *end != '\0')
        return;
    bits += is_v4 ? 96 : 0;
    value = strtoul(value_text != NULL ? value_text : "", &end, 10); /* as libc: none is 0 */
    if (*end != '\0' || bits > 128 || value > INT32_MAX || (is_scope && bits < 96))
        return;
    if (is_scope)
        add_line(&tables->scopes, &prefix, (unsigned)bits, (int)value);
    else if (strcmp(keyword, "label") == 0)
        add_line(&tables->labels, &prefix, (unsigned)bits, (int)value);
    else if (strcmp(keyword, "precedence") == 0)
        add_line(&tables->precedences, &prefix, (unsigned)bits, (int)value);
}

static void load_tables(struct tables *tables)
{
    char line[256];
    FILE *file = fopen(GAI_CONF, "rce");

    memset(tables, 0, sizeof *tables);
    if (file != NULL) {
        while (fgets(line, sizeof line, file) != NULL)
            read_line(line, tables);
        fclose(file);
    }
    if (tables->labels.count == 0)
        FILL(&tables->labels, default_labels)
    if (tables->precedences.count == 0)
        FILL(&tables->precedences, default_precedences)
    if (tables->scopes.count == 0)
        FILL(&tables->scopes, default_scopes)
    complete(&tables->labels, 0, 1);
    complete(&tables->precedences, 0, 40);
    complete(&tables->scopes, 96, SCOPE_GLOBAL);
}

static struct in6_addr as_ipv6(const struct names_address *address)
{
    struct in6_addr all = IN6ADDR_ANY_INIT;

    if (address->family == AF_INET6) {
        memcpy(&all, address->bytes, sizeof all);
    } else {
        all.s6_addr[10] = all.s6_addr[11] = 0xff;
        memcpy(all.s6_addr + 12, address->bytes, 4);
    }
    return all;
}

/* How many bits two addresses begin with in common. */
static unsigned common_bits(const uint8_t *one, const uint8_t *other, unsigned length_bytes)
{
    for (unsigned i = 0; i < length_bytes; i++)
        if (one[i] != other[i])
            return i * 8 + (unsigned)__builtin_clz((unsigned)(one[i] ^ other[i])) - 24;
    return length_bytes * 8;
}

/* The value of the longest prefix that matches. */
static int look_up(const struct table *table, const struct names_address *address)
{
    struct in6_addr all = as_ipv6(address);
    const struct prefix_value *best = NULL;

    for (size_t i = 0; i < table->count; i++) {
        const struct prefix_value *line = &table->lines[i];

        if (common_bits(line->prefix.s6_addr, all.s6_addr, 16) >= line->bits && (best == NULL || line->bits > best->bits))
            best = line;
    }
    return best != NULL ? best->value : 0;
}

static int scope_of(const struct tables *tables, const struct names_address *address)
{
    struct in6_addr all = as_ipv6(address);

    if (address->family == AF_INET)
        return look_up(&tables->scopes, address);
    if (IN6_IS_ADDR_MULTICAST(&all))
        return all.s6_addr[1] & 0xf;
    if (IN6_IS_ADDR_LINKLOCAL(&all) || IN6_IS_ADDR_LOOPBACK(&all))
        return SCOPE_LINK;
    return IN6_IS_ADDR_SITELOCAL(&all) ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* Bits in common with the source; of IPv4 only within one network, because elsewhere they mean nothing. */
static unsigned matching_bits(const struct names_candidate *candidate)
{
    const uint8_t *destination = candidate->destination.bytes, *source = candidate->source.bytes;
    unsigned bits = common_bits(destination, source, candidate->destination.family == AF_INET ? 4 : 16);
    unsigned network_bits = candidate->prefix_bits > 0 ? candidate->prefix_bits : 32;

    return candidate->destination.family == AF_INET && bits < network_bits ? 0 : bits;
}

/* Return: negative when a comes first. */
static int compare(const void *pa, const void *pb, void *context)
{
    const struct names_candidate *a = pa, *b = pb;
    const struct tables *tables = context;
    bool is_reachable = a->source.family != 0;
    int a_scope, b_scope, a_value, b_value;

    if (is_reachable != (b->source.family != 0)) /* rule 1 */
        return is_reachable ? -1 : 1;
    a_scope = scope_of(tables, &a->destination);
    b_scope = scope_of(tables, &b->destination);
    if (is_reachable) {
        a_value = a_scope == scope_of(tables, &a->source); /* rule 2 */
        b_value = b_scope == scope_of(tables, &b->source);
        if (a_value != b_value)
            return b_value - a_value;
        if (a->deprecated != b->deprecated) /* rule 3 */
            return a->deprecated ? 1 : -1;
        a_value = look_up(&tables->labels, &a->destination) == look_up(&tables->labels, &a->source); /* rule 5 */
        b_value = look_up(&tables->labels, &b->destination) == look_up(&tables->labels, &b->source);
        if (a_value != b_value)
            return b_value - a_value;
    }
    a_value = look_up(&tables->precedences, &a->destination); /* rule 6 */
    b_value = look_up(&tables->precedences, &b->destination);
    if (a_value != b_value)
        return a_value > b_value ? -1 : 1;
    if (a_scope != b_scope) /* rule 8 */
        return a_scope < b_scope ? -1 : 1;
    if (is_reachable && a->destination.family == b->destination.family) { /* rule 9 */
        unsigned a_bits = matching_bits(a), b_bits = matching_bits(b);

        if (a_bits != b_bits)
            return a_bits > b_bits ? -1 : 1;
    }
    return a->position < b->position ? -1 : 1; /* rule 10 */
}

void names_sort_candidates(struct names_candidate *candidates, size_t count)
{
    struct tables tables;

    load_tables(&tables);
    qsort_r(candidates, count, sizeof *candidates, compare, &tables);
}

/* Ask the service about up to PROTOCOL_ROUTES_MAX candidates. Without a service none is reachable. */
static void find_routes(struct names_candidate *candidates, size_t count)
{
    struct protocol_route routes[PROTOCOL_ROUTES_MAX];
    struct protocol_message message;

    memset(routes, 0, sizeof routes);
    for (size_t i = 0; i < count; i++) {
        struct in6_addr destination = as_ipv6(&candidates[i].destination);

        memcpy(routes[i].destination, &destination, sizeof destination);
        routes[i].interface = candidates[i].destination.scope;
    }
    control_prepare(&message, PROTOCOL_ROUTES);
    message.option_length = (uint32_t)(count * sizeof *routes);
    memcpy(message.option, routes, message.option_length);
    if (control_request(&message, -1, NULL) < 0 || message.option_length != count * sizeof *routes)
        return;
    memcpy(routes, message.option, message.option_length);
    for (size_t i = 0; i < count; i++) {
        struct names_candidate *candidate = &candidates[i];

        if (!routes[i].reachable)
            continue;
        candidate->source.family = candidate->destination.family;
        if (candidate->source.family == AF_INET)
            memcpy(candidate->source.bytes, routes[i].source + 12, 4);
        else
            memcpy(candidate->source.bytes, routes[i].source, 16);
        candidate->prefix_bits = routes[i].prefix_bits;
        candidate->deprecated = routes[i].deprecated;
    }
}

void names_sort(struct names_address *addresses, size_t count)
{
    struct names_candidate *candidates;

    if (count < 2)
        return;
    candidates = calloc(count, sizeof *candidates);
    if (candidates == NULL)
        return; /* any order is better than none */
    for (size_t i = 0; i < count; i++) {
        candidates[i].destination = addresses[i];
        candidates[i].position = i;
    }
    for (size_t i = 0; i < count; i += PROTOCOL_ROUTES_MAX)
        find_routes(candidates + i, count - i < PROTOCOL_ROUTES_MAX ? count - i : PROTOCOL_ROUTES_MAX);
    names_sort_candidates(candidates, count);
    for (size_t i = 0; i < count; i++)
        addresses[i] = candidates[i].destination;
    free(candidates);
}
