/*
 * learned.c - what the network told us of name servers and domains.
 *
 * Each entry has the source that it came from and a time until which it holds. The owner of the stack is told of
 * changes after the fact, in the turn of the timers, so that a packet with ten news is one change and nobody is entered
 * again.
 */
#include "learned.h"

#include <ctype.h>
#include <string.h>

#include "stack/port.h"
#include "stack/sockaddr.h"

#define SERVERS_MAX 8 /* of each origin */
#define DOMAINS_MAX 8
#define NEVER UINT64_MAX

struct server {
    ip_addr_t address;
    uint64_t until_us; /* 0: no entry */
};

struct domain {
    char name[LEARNED_DOMAIN_MAX];
    uint64_t until_us;
};

_Static_assert(LEARNED_ORIGIN_COUNT * SERVERS_MAX == STACK_NAME_SERVERS_MAX, "interface.h");
_Static_assert(LEARNED_ORIGIN_COUNT * DOMAINS_MAX == STACK_DOMAINS_MAX, "interface.h");

static struct server servers[LEARNED_ORIGIN_COUNT][SERVERS_MAX];
static struct domain domains[LEARNED_ORIGIN_COUNT][DOMAINS_MAX];
static void (*changed)(void *context);
static void *changed_context;
static bool change_pending;
static uint64_t next_end_us = NEVER; /* when the next entry runs out */

void learned_open(const struct stack_config *config)
{
    memset(servers, 0, sizeof servers);
    memset(domains, 0, sizeof domains);
    changed = config->changed;
    changed_context = config->changed_context;
    change_pending = false;
    next_end_us = NEVER;
}

/* Entries changed: find out when the next one runs out. */
static void find_next_end(void)
{
    uint64_t next = NEVER;

    for (int origin = 0; origin < LEARNED_ORIGIN_COUNT; origin++) {
        for (int i = 0; i < SERVERS_MAX; i++)
            if (servers[origin][i].until_us != 0)
                next = LWIP_MIN(next, servers[origin][i].until_us);
        for (int i = 0; i < DOMAINS_MAX; i++)
            if (domains[origin][i].until_us != 0)
                next = LWIP_MIN(next, domains[origin][i].until_us);
    }
    next_end_us = next;
}

void learned_note_change(void)
{
    change_pending = true;
}

static uint64_t until(uint32_t seconds)
{
    return seconds == 0                  ? 0
           : seconds == LEARNED_FOR_EVER ? NEVER
                                         : port_now_us + seconds * UINT64_C(1000000);
}

void learned_add_server(enum learned_origin origin, const ip_addr_t *server, uint32_t seconds)
{
    struct server *list = servers[origin], *place = NULL;

    for (int i = 0; i < SERVERS_MAX; i++) {
        if (list[i].until_us != 0 && ip_addr_eq(&list[i].address, server)) {
            list[i].until_us = until(seconds);
            change_pending |= seconds == 0;
            find_next_end();
            return;
        }
        if (place == NULL && list[i].until_us == 0)
            place = &list[i];
    }
    if (place == NULL || seconds == 0)
        return;
    *place = (struct server){*server, until(seconds)};
    change_pending = true;
    find_next_end();
}

/* Is it a name that the resolver may be given? */
static bool is_domain(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= LEARNED_DOMAIN_MAX || *name == '.')
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            return false;
    return true;
}

void learned_add_domain(enum learned_origin origin, const char *domain, uint32_t seconds)
{
    struct domain *list = domains[origin], *place = NULL;

    if (!is_domain(domain))
        return;
    for (int i = 0; i < DOMAINS_MAX; i++) {
        if (list[i].until_us != 0 && strcasecmp(list[i].name, domain) == 0) {
            list[i].until_us = until(seconds);
            change_pending |= seconds == 0;
            find_next_end();
            return;
        }
        if (place == NULL && list[i].until_us == 0)
            place = &list[i];
    }
    if (place == NULL || seconds == 0)
        return;
    strcpy(place->name, domain);
    place->until_us = until(seconds);
    change_pending = true;
    find_next_end();
}

/* Read one name, at *at, which moves behind it. Return: false when it makes no sense or is the empty one. */
static bool read_name(const uint8_t *bytes, size_t size, bool compressed, size_t *at, char name[LEARNED_DOMAIN_MAX])
{
    size_t from = *at, used = 0;
    bool jumped = false;

    while (from < size && bytes[from] != 0) {
        size_t length = bytes[from];

        if (compressed && length >= 0xc0 && from + 1 < size) {
            size_t target = (length & 0x3f) << 8 | bytes[from + 1];

            if (!jumped)
                *at = from + 2;
            jumped = true;
            if (target >= from)
                return false; /* a pointer leads back, so this ends */
            from = target;
            continue;
        }
        if (length > 63 || from + 1 + length >= size || used + length + 1 >= LEARNED_DOMAIN_MAX)
            return false;
        if (used > 0)
            name[used++] = '.';
        memcpy(name + used, bytes + from + 1, length);
        used += length;
        from += 1 + length;
    }
    if (from >= size)
        return false;
    if (!jumped)
        *at = from + 1;
    name[used] = '\0';
    return used > 0 && strlen(name) == used;
}

void learned_add_encoded_domains(enum learned_origin origin, const uint8_t *bytes, size_t size, bool compressed,
                                 uint32_t seconds)
{
    char name[LEARNED_DOMAIN_MAX];
    size_t at = 0;

    while (at < size && read_name(bytes, size, compressed, &at, name))
        learned_add_domain(origin, name, seconds);
}

void learned_remove(enum learned_origin origin)
{
    for (int i = 0; i < SERVERS_MAX; i++)
        change_pending |= servers[origin][i].until_us != 0;
    for (int i = 0; i < DOMAINS_MAX; i++)
        change_pending |= domains[origin][i].until_us != 0;
    memset(servers[origin], 0, sizeof servers[origin]);
    memset(domains[origin], 0, sizeof domains[origin]);
    find_next_end();
}

/* ---- on their way to another process ---- */

static void walk_server(struct archive *archive, struct server *server)
{
    ARCHIVE_RAW(archive, server, address);
    ARCHIVE_NUMBER(archive, server, until_us);
}

static void walk_domain(struct archive *archive, struct domain *domain)
{
    ARCHIVE_RAW(archive, domain, name);
    domain->name[sizeof domain->name - 1] = '\0';
    ARCHIVE_NUMBER(archive, domain, until_us);
}

/* Reading: those that were there before go. */
void learned_handover(struct archive *archive, enum learned_origin origin)
{
    if (!archive_begin(archive, "learned"))
        return;
    if (!archive->is_writing)
        learned_remove(origin);
    for (int i = 0; i < SERVERS_MAX; i++) {
        if (archive->is_writing && servers[origin][i].until_us == 0)
            continue;
        if (!archive_begin(archive, "server"))
            break;
        walk_server(archive, &servers[origin][i]);
        archive_end(archive);
    }
    for (int i = 0; i < DOMAINS_MAX; i++) {
        if (archive->is_writing && domains[origin][i].until_us == 0)
            continue;
        if (!archive_begin(archive, "domain"))
            break;
        walk_domain(archive, &domains[origin][i]);
        archive_end(archive);
    }
    archive_end(archive);
    change_pending |= !archive->is_writing;
    find_next_end();
}

int64_t learned_timer_us(void)
{
    if (change_pending || next_end_us <= port_now_us)
        return 0;
    return next_end_us == NEVER ? -1 : (int64_t)(next_end_us - port_now_us);
}

/* Forget what has run out. */
static void expire(void)
{
    for (int origin = 0; origin < LEARNED_ORIGIN_COUNT; origin++) {
        for (int i = 0; i < SERVERS_MAX; i++)
            if (servers[origin][i].until_us != 0 && servers[origin][i].until_us <= port_now_us) {
                servers[origin][i].until_us = 0;
                change_pending = true;
            }
        for (int i = 0; i < DOMAINS_MAX; i++)
            if (domains[origin][i].until_us != 0 && domains[origin][i].until_us <= port_now_us) {
                domains[origin][i].until_us = 0;
                change_pending = true;
            }
    }
    find_next_end();
}

void learned_run(void)
{
    if (next_end_us <= port_now_us)
        expire();
    if (!change_pending)
        return;
    change_pending = false;
    if (changed != NULL)
        changed(changed_context);
}

size_t stack_get_name_servers(union stack_address *out, size_t max)
{
    size_t count = 0;

    for (int origin = 0; origin < LEARNED_ORIGIN_COUNT; origin++)
        for (int i = 0; i < SERVERS_MAX && count < max; i++)
            if (servers[origin][i].until_us != 0)
                sockaddr_write(&servers[origin][i].address, 0,
                               IP_IS_V6(&servers[origin][i].address) ? AF_INET6 : AF_INET, &out[count++]);
    return count;
}

size_t stack_get_domains(const char **out, size_t max)
{
    size_t count = 0;

    for (int origin = 0; origin < LEARNED_ORIGIN_COUNT; origin++)
        for (int i = 0; i < DOMAINS_MAX && count < max; i++)
            if (domains[origin][i].until_us != 0)
                out[count++] = domains[origin][i].name;
    return count;
}
