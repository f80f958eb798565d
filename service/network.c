/* network.c - what the network tells the service: addresses and name servers, as they come and go. */
#include "network.h"

#include "log.h"
#include "loop.h"
#include "stack/ip/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 30000
#define ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX + 2)
#define LINE_BYTES 1024

/* A list for one line of the log. */
struct line {
    char text[LINE_BYTES];
    size_t length;
};

static void add_word(struct line *line, const char *word)
{
    int n = snprintf(line->text + line->length, sizeof line->text - line->length, "%s%s", line->length > 0 ? ", " : "", word);

    if (n > 0 && line->length + (size_t)n < sizeof line->text)
        line->length += (size_t)n;
}

static void format_address(const union stack_address *address, char text[INET6_ADDRSTRLEN])
{
    inet_ntop(address->sa.sa_family,
              address->sa.sa_family == AF_INET ? (const void *)&address->in.sin_addr
                                               : (const void *)&address->in6.sin6_addr,
              text, INET6_ADDRSTRLEN);
}

/* All addresses on the wire that may be used, or are about to be lost. */
static void list_addresses(struct line *line)
{
    struct stack_interface_address addresses[ADDRESSES_MAX];
    size_t count = stack_get_addresses(addresses, ADDRESSES_MAX);

    for (size_t i = 0; i < count && i < ADDRESSES_MAX; i++) {
        char text[INET6_ADDRSTRLEN], word[INET6_ADDRSTRLEN + 32];

        if (addresses[i].interface != STACK_INTERFACE_WIRE || (addresses[i].flags & IFA_F_TENTATIVE) != 0)
            continue;
        format_address(&addresses[i].prefix.address, text);
        snprintf(word, sizeof word, "%s/%u%s", text, addresses[i].prefix.bits,
                 (addresses[i].flags & IFA_F_DADFAILED) != 0    ? " (duplicate)"
                 : (addresses[i].flags & IFA_F_DEPRECATED) != 0 ? " (deprecated)"
                                                                : "");
        add_word(line, word);
    }
}

static void list_names(struct line *servers, struct line *domains)
{
    union stack_address found[STACK_NAME_SERVERS_MAX];
    const char *names[STACK_DOMAINS_MAX];
    size_t count = stack_get_name_servers(found, STACK_NAME_SERVERS_MAX);

    for (size_t i = 0; i < count; i++) {
        char text[INET6_ADDRSTRLEN];

        format_address(&found[i], text);
        add_word(servers, text);
    }
    count = stack_get_domains(names, STACK_DOMAINS_MAX);
    for (size_t i = 0; i < count; i++)
        add_word(domains, names[i]);
}

void network_log_addresses(void)
{
    struct line addresses = {.length = 0};

    list_addresses(&addresses);
    log_info("addresses: %s", addresses.length > 0 ? addresses.text : "none");
}

void network_changed(void *context)
{
    static char said[3 * LINE_BYTES + 64];
    struct line servers = {.length = 0}, domains = {.length = 0}, addresses = {.length = 0};
    char all[3 * LINE_BYTES + 64];

    (void)context;
    list_addresses(&addresses);
    list_names(&servers, &domains);
    snprintf(all, sizeof all, "addresses: %s; name servers: %s; domains: %s", addresses.length > 0 ? addresses.text : "none",
             servers.length > 0 ? servers.text : "none", domains.length > 0 ? domains.text : "none");
    if (strcmp(all, said) == 0)
        return; /* a lease was renewed as it was */
    strcpy(said, all);
    log_info("the network says: %s", all);
}

int network_wait(int signal_fd)
{
    int error;

    if (stack_is_configured())
        return 0;
    log_info("asking the network for addresses");
    error = loop_run_until(signal_fd, stack_is_configured, WAIT_MS);
    if (error == -ETIMEDOUT)
        log_errorx("no address from the network within %d s: is there a server on the device's network?", WAIT_MS / 1000);
    return error;
}
