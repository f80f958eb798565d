/* names_find.h - all addresses of a host, for getaddrinfo(). */
#ifndef SIDESTACK_NAMES_FIND_H
#define SIDESTACK_NAMES_FIND_H

#include "names.h"

/* A name to look up, and what came of it; the caller frees .host. */
struct names_find {
    const char *name;
    int family, flags; /* AI_* */
    struct names_host host;
    bool got_ipv6;
    int no_data, no_ipv6_data; /* EAI_AGAIN, or 1: the name has no such address */
    int code;                  /* h_errno of the last attempt */
};

/* Look up search->name, source by source. Return: 0 or EAI_*. */
int names_find_addresses(struct names_find *search);

#endif
