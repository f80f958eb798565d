/* network.c - what the network tells the service: addresses and name servers, as they come and go. */
#include "network.h"

#include "service/log/log.h"
#include "loop.h"
#include "stack/ip/interface.h"
#include "service/settings/text_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 30000
#define ADDRESSES_MAX (2 * STACK_ADDRESSES_MAX + 2)
#define LINE_BYTES 1024

static void format_address(const union stack_address *address, char text[INET6_ADDRSTRLEN])
{
    inet_ntop(address->sa.sa_family,
              address->sa.sa_family == AF_INET ? (const void *)&address->in.sin_addr
                                               : (const void *)&address->in6.sin6_addr,
              text, INET6_ADDRSTRLEN);
}

/* All addresses on the wire that may be used, or are about to be lost. */
static void list_addresses(char line[LINE_BYTES])
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
        text_list_add(line, LINE_BYTES, word);
    }
}

static void list_names(char servers[LINE_BYTES], char domains[LINE_BYTES])
{
    union stack_address found[STACK_NAME_SERVERS_MAX];
    const char *names[STACK_DOMAINS_MAX];
    size_t count = stack_get_name_servers(found, STACK_NAME_SERVERS_MAX);

    for (size_t i = 0; i < count; i++) {
        char text[INET6_ADDRSTRLEN];

        format_address(&found[i], text);
        text_list_add(servers, LINE_BYTES, text);
    }
    count = stack_get_domains(names, STACK_DOMAINS_MAX);
    for (size_t i = 0; i < count; i++)
        text_list_add(domains, LINE_BYTES, names[i]);
}

void network_log_addresses(void)
{
    char addresses[LINE_BYTES] = "";

    list_addresses(addresses);
    log_info("addresses: %s", addresses[0] != '\0' ? addresses : "none");
}

void network_changed(void *context)
{
    static char said[3 * LINE_BYTES + 64];
    char servers[LINE_BYTES] = "", domains[LINE_BYTES] = "", addresses[LINE_BYTES] = "";
    char all[3 * LINE_BYTES + 64];

    (void)context;
    list_addresses(addresses);
    list_names(servers, domains);
    snprintf(all, sizeof all, "addresses: %s; name servers: %s; domains: %s", addresses[0] != '\0' ? addresses : "none",
             servers[0] != '\0' ? servers : "none", domains[0] != '\0' ? domains : "none");
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
