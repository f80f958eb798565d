/*
 * resolver_config.c - which name servers are asked, how, and which domains are searched.
 *
 * Servers and domains come from the options of the service, or else from what was learned on the wire, or else from
 * /etc/resolv.conf, each of the two by itself. How they are asked (the "options" lines) is always the file's. The file
 * is looked at before each lookup, and read when it is not the one that was read.
 */
#include "resolver_config.h"

#include "service/log/log.h"
#include "service/protocol.h"
#include "stack/ip/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(RESOLVER_DOMAINS_BYTES == PROTOCOL_OPTION_MAX, "they go into one reply");

#define FILE_PATH "/etc/resolv.conf"
#define FILE_MAX 16384 /* bytes that are read of it */
#define DNS_PORT 53

/* resolv.conf(5): the defaults and the limits of glibc. */
#define TIMEOUT_DEFAULT_S 5
#define TIMEOUT_MAX_S 30
#define ATTEMPTS_DEFAULT 2
#define ATTEMPTS_MAX 5

static union stack_address given_servers[RESOLVER_SERVERS_MAX];
static size_t given_count;
static struct resolver_domains given_domains;
static struct resolver_config file_config, current;
static struct stat file_read; /* the file that file_config is from */
static bool file_was_read;

static in_port_t *port_of(union stack_address *address)
{
    return address->sa.sa_family == AF_INET6 ? &address->in6.sin6_port : &address->in.sin_port;
}

/* Take over at most RESOLVER_SERVERS_MAX servers. Return: how many. */
static size_t copy_servers(union stack_address to[RESOLVER_SERVERS_MAX], const union stack_address *from, size_t count)
{
    count = count < RESOLVER_SERVERS_MAX ? count : RESOLVER_SERVERS_MAX;
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        if (*port_of(&to[i]) == 0)
            *port_of(&to[i]) = htons(DNS_PORT);
    }
    return count;
}

void resolver_set_servers(const union stack_address *servers, size_t count)
{
    given_count = copy_servers(given_servers, servers, count);
}

bool resolver_domains_add(struct resolver_domains *domains, const char *domain)
{
    size_t length = strlen(domain);

    while (length > 1 && domain[length - 1] == '.')
        length--;
    if (length == 0 || domains->length + length + 1 > sizeof domains->text)
        return false;
    memcpy(domains->text + domains->length, domain, length);
    domains->text[domains->length + length] = '\0';
    domains->length += length + 1;
    return true;
}

void resolver_set_domains(const struct resolver_domains *domains)
{
    given_domains = *domains;
}

/* ---- resolv.conf(5) ---- */

static void parse_server(const char *text, struct resolver_config *config)
{
    char address[INET6_ADDRSTRLEN];
    union stack_address *server = &config->servers[config->server_count];
    const char *scope = strchr(text, '%');
    size_t length = scope != NULL ? (size_t)(scope - text) : strlen(text);

    if (config->server_count == RESOLVER_SERVERS_MAX || length >= sizeof address)
        return;
    memcpy(address, text, length);
    address[length] = '\0';
    memset(server, 0, sizeof *server);
    if (inet_pton(AF_INET, text, &server->in.sin_addr) == 1) {
        server->in.sin_family = AF_INET;
        server->in.sin_port = htons(DNS_PORT);
    } else if (inet_pton(AF_INET6, address, &server->in6.sin6_addr) == 1) {
        server->in6.sin6_family = AF_INET6;
        server->in6.sin6_port = htons(DNS_PORT);
        if (scope != NULL)
            server->in6.sin6_scope_id = (uint32_t)strtoul(scope + 1, NULL, 10);
    } else {
        return;
    }
    config->server_count++;
}

/* The value of an option like "timeout:3", kept within 1 and max. */
static int option_value(const char *option, int max)
{
    long value = strtol(strchr(option, ':') + 1, NULL, 10);

    return value < 1 ? 1 : value > max ? max : (int)value;
}

static void parse_option(const char *option, struct resolver_config *config)
{
    if (strncmp(option, "timeout:", 8) == 0)
        config->timeout_s = option_value(option, TIMEOUT_MAX_S);
    else if (strncmp(option, "attempts:", 9) == 0)
        config->attempts = option_value(option, ATTEMPTS_MAX);
    else if (strcmp(option, "rotate") == 0)
        config->rotate = true;
    else if (strcmp(option, "use-vc") == 0)
        config->use_tcp = true;
}

/* Without a word on domains: the one that the machine is in. */
static void add_own_domain(struct resolver_domains *domains)
{
    char name[256];
    const char *dot;

    if (gethostname(name, sizeof name) < 0)
        return;
    name[sizeof name - 1] = '\0';
    dot = strchr(name, '.');
    if (dot != NULL)
        resolver_domains_add(domains, dot + 1);
}

void resolver_config_parse(char *text, struct resolver_config *config)
{
    char *line, *lines = text;
    bool domains_said = false;

    memset(config, 0, sizeof *config);
    config->timeout_s = TIMEOUT_DEFAULT_S;
    config->attempts = ATTEMPTS_DEFAULT;
    while ((line = strsep(&lines, "\n")) != NULL) {
        char *word, *words = line;
        const char *keyword;

        if (*line == '#' || *line == ';')
            continue;
        keyword = strsep(&words, " \t");
        if (strcmp(keyword, "search") == 0 || strcmp(keyword, "domain") == 0) {
            config->domains.length = 0; /* the last such line holds */
            domains_said = true;
        }
        while ((word = strsep(&words, " \t\r")) != NULL) {
            if (*word == '\0')
                continue;
            if (*word == '#' || *word == ';')
                break;
            if (strcmp(keyword, "nameserver") == 0)
                parse_server(word, config);
            else if (strcmp(keyword, "search") == 0)
                resolver_domains_add(&config->domains, word);
            else if (strcmp(keyword, "domain") == 0 && config->domains.length == 0)
                resolver_domains_add(&config->domains, word);
            else if (strcmp(keyword, "options") == 0)
                parse_option(word, config);
        }
    }
    if (!domains_said)
        add_own_domain(&config->domains);
    if (config->server_count == 0)
        parse_server("127.0.0.1", config);
}

static bool is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
           one->st_ctim.tv_sec == other->st_ctim.tv_sec && one->st_ctim.tv_nsec == other->st_ctim.tv_nsec;
}

/* A server at 127.0.0.0/8 is one that runs on this stack, which the writer of the file may not have meant. */
static void warn_of_loopback(const struct resolver_config *config)
{
    char text[INET_ADDRSTRLEN];
    const union stack_address *first = &config->servers[0];

    if (given_count > 0 || first->sa.sa_family != AF_INET || ntohl(first->in.sin_addr.s_addr) >> 24 != 127)
        return;
    inet_ntop(AF_INET, &first->in.sin_addr, text, sizeof text);
    log_warnx("resolver: the name server %s of " FILE_PATH " means the stack's own loopback; give --dns", text);
}

static void read_file(void)
{
    static char text[FILE_MAX + 1];
    struct stat status = {0};
    ssize_t length = 0;
    int fd;

    if (stat(FILE_PATH, &status) < 0)
        memset(&status, 0, sizeof status);
    if (file_was_read && is_same_file(&status, &file_read))
        return;
    fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        length = read(fd, text, FILE_MAX);
        close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    resolver_config_parse(text, &file_config);
    file_read = status;
    file_was_read = true;
    warn_of_loopback(&file_config);
}

/* What the network told us. */
static void use_learned(struct resolver_config *config)
{
    union stack_address servers[STACK_NAME_SERVERS_MAX];
    const char *domains[STACK_DOMAINS_MAX];
    size_t server_count = stack_get_name_servers(servers, STACK_NAME_SERVERS_MAX);
    size_t domain_count = stack_get_domains(domains, STACK_DOMAINS_MAX);

    if (server_count > 0)
        config->server_count = copy_servers(config->servers, servers, server_count);
    if (domain_count > 0)
        config->domains.length = 0;
    for (size_t i = 0; i < domain_count; i++)
        (void)resolver_domains_add(&config->domains, domains[i]);
}

const struct resolver_config *resolver_config_get(void)
{
    read_file();
    current = file_config;
    use_learned(&current);
    if (given_count > 0)
        current.server_count = copy_servers(current.servers, given_servers, given_count);
    if (given_domains.length > 0)
        current.domains = given_domains;
    return &current;
}
