/*
 * names_addrinfo.c - getaddrinfo() and getnameinfo().
 *
 * libc's getaddrinfo() cannot be let alone with a name: to sort several addresses it connects sockets of the kernel's,
 * and AI_ADDRCONFIG asks for the kernel's addresses. With one numeric address it does neither. So libc still judges
 * flags and services and makes the entries, for a numeric address: the program's own if it gave one, else any, as a
 * model. Addresses of names are found by names_find.c and sorted by names_sort.c, and each gets a copy of the model's
 * entries. What comes out is memory as libc's freeaddrinfo() frees it.
 */
#include "intercept/control.h"
#include "intercept/libc.h"
#include "names_find.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- international names ---- */

/* Call a function of libidn2, which may not be there: char in, char out. Return: 0 and *out (allocated), or EAI_*. */
static int convert_name(const char *function, const char *name, char **out)
{
    void *library = dlopen("libidn2.so.0", RTLD_LAZY);
    int (*convert)(const char *, char **, int) = NULL;
    void (*release)(void *) = NULL;
    char *converted = NULL;
    int error;

    if (library != NULL) {
        *(void **)&convert = dlsym(library, function);
        *(void **)&release = dlsym(library, "idn2_free");
    }
    if (convert == NULL || release == NULL)
        return EAI_IDN_ENCODE;
    error = convert(name, &converted, 0);
    if (error != 0)
        return error == -100 ? EAI_MEMORY : EAI_IDN_ENCODE; /* IDN2_MALLOC */
    *out = strdup(converted);
    release(converted);
    return *out != NULL ? 0 : EAI_MEMORY;
}

static bool is_ascii(const char *name)
{
    for (; *name != '\0'; name++)
        if ((unsigned char)*name >= 0x80)
            return false;
    return true;
}

/* ---- results ---- */

/* Append a copy of each entry of the model, with this address. Return: the new end, NULL: no memory. */
static struct addrinfo **append_entries(struct addrinfo **end, const struct addrinfo *model, int flags,
                                        const struct names_address *address)
{
    socklen_t length = address->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    for (; model != NULL; model = model->ai_next) {
        struct addrinfo *entry = calloc(1, sizeof *entry + length);
        /* The port is at the same place in both families. */
        in_port_t port = ((const struct sockaddr_in *)model->ai_addr)->sin_port;

        if (entry == NULL)
            return NULL;
        entry->ai_flags = flags;
        entry->ai_family = address->family;
        entry->ai_socktype = model->ai_socktype;
        entry->ai_protocol = model->ai_protocol;
        entry->ai_addrlen = length;
        entry->ai_addr = (struct sockaddr *)(entry + 1);
        if (address->family == AF_INET) {
            struct sockaddr_in *in = (struct sockaddr_in *)entry->ai_addr;

            in->sin_family = AF_INET;
            in->sin_port = port;
            memcpy(&in->sin_addr, address->bytes, sizeof in->sin_addr);
        } else {
            struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)entry->ai_addr;

            in6->sin6_family = AF_INET6;
            in6->sin6_port = port;
            in6->sin6_scope_id = address->scope;
            memcpy(&in6->sin6_addr, address->bytes, sizeof in6->sin6_addr);
        }
        *end = entry;
        end = &entry->ai_next;
    }
    return end;
}

/* Entries for all addresses that were found and are wanted. Return: 0 (there is one), or EAI_*. */
static int make_entries(const struct names_find *search, const struct addrinfo *model, int flags, struct addrinfo **result)
{
    struct addrinfo **end = result;
    bool drop_mapped = search->got_ipv6 && (search->flags & (AI_V4MAPPED | AI_ALL)) == AI_V4MAPPED;

    *result = NULL;
    for (size_t i = 0; i < search->host.address_count && end != NULL; i++) {
        const struct names_address *address = &search->host.addresses[i];

        if (drop_mapped && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address->bytes))
            continue;
        end = append_entries(end, model, flags, address);
    }
    if (end != NULL)
        return *result != NULL ? 0 : EAI_NONAME;
    freeaddrinfo(*result);
    *result = NULL;
    return EAI_MEMORY;
}

/* Give the first entry its canonical name. Return: 0 or EAI_*. */
static int set_canonical_name(struct addrinfo *first, const char *name, int flags)
{
    char *canonical = NULL;
    int error = EAI_IDN_ENCODE;

    if (first == NULL)
        return EAI_NONAME;
    if (flags & AI_CANONIDN)
        error = convert_name("idn2_to_unicode_lzlz", name, &canonical);
    if (error == EAI_IDN_ENCODE) /* then as it is */
        error = (canonical = strdup(name)) != NULL ? 0 : EAI_MEMORY;
    if (error == 0) {
        free(first->ai_canonname);
        first->ai_canonname = canonical;
    }
    return error;
}

/* ---- numeric addresses ---- */

/* The number of an interface that an address speaks of, by name or number. Return: false when there is none. */
static bool find_scope(const struct in6_addr *address, const char *text, uint32_t *scope)
{
    unsigned long number;
    char *end;

    if (IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_MC_LINKLOCAL(address)) {
        *scope = if_nametoindex(text);
        if (*scope != 0)
            return true;
    }
    if (*text < '0' || *text > '9')
        return false;
    number = strtoul(text, &end, 10);
    *scope = (uint32_t)number;
    return *end == '\0' && number <= UINT32_MAX;
}

/* If name is a numeric address, let libc do it, but for the interface behind '%'. Return: 0, EAI_NONAME when it is
 * none, or another EAI_*. */
static int make_numeric(const char *name, const char *service, const struct addrinfo *wanted, struct addrinfo **result)
{
    struct addrinfo numeric = *wanted;
    const char *percent = strchr(name, '%');
    char bare[INET6_ADDRSTRLEN];
    struct in6_addr address;
    uint32_t scope = 0;
    int error;

    numeric.ai_flags = (wanted->ai_flags & ~(AI_ADDRCONFIG | AI_IDN | AI_CANONIDN)) | AI_NUMERICHOST;
    if (percent != NULL) {
        if ((size_t)(percent - name) >= sizeof bare)
            return EAI_NONAME;
        memcpy(bare, name, (size_t)(percent - name));
        bare[percent - name] = '\0';
        if (inet_pton(AF_INET6, bare, &address) != 1)
            return EAI_NONAME;
    }
    error = libc_getaddrinfo(percent != NULL ? bare : name, service, &numeric, result);
    if (error != 0)
        return error;
    if (percent != NULL && !find_scope(&address, percent + 1, &scope)) {
        freeaddrinfo(*result);
        return EAI_NONAME;
    }
    for (struct addrinfo *entry = *result; entry != NULL; entry = entry->ai_next) {
        entry->ai_flags = wanted->ai_flags;
        if (scope != 0 && entry->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)entry->ai_addr)->sin6_scope_id = scope;
    }
    return percent != NULL && (wanted->ai_flags & AI_CANONNAME) ? set_canonical_name(*result, name, 0) : 0;
}

/* ---- getaddrinfo() ---- */

/* AI_ADDRCONFIG: only families that the stack has addresses of. Return: 0 or EAI_NONAME. */
static int narrow_family(struct addrinfo *wanted)
{
    int families = names_ask_service(NULL);

    switch (wanted->ai_family) {
    case AF_INET:
        return families & PROTOCOL_FAMILY_IPV4 ? 0 : EAI_NONAME;
    case AF_INET6:
        return families & PROTOCOL_FAMILY_IPV6 ? 0 : EAI_NONAME;
    default:
        if (families == PROTOCOL_FAMILY_IPV4)
            wanted->ai_family = AF_INET;
        else if (families == PROTOCOL_FAMILY_IPV6)
            wanted->ai_family = AF_INET6;
        return 0;
    }
}

/* No name: this host, to connect to or to listen on. Return: whether there was memory. */
static bool keep_own_addresses(struct names_find *search)
{
    const bool is_passive = search->flags & AI_PASSIVE;
    const struct in6_addr ipv6 = is_passive ? in6addr_any : in6addr_loopback;
    const struct in_addr ipv4 = {is_passive ? INADDR_ANY : htonl(INADDR_LOOPBACK)};

    return (search->family == AF_INET || names_host_add(&search->host, AF_INET6, &ipv6, 0)) &&
           (search->family == AF_INET6 || names_host_add(&search->host, AF_INET, &ipv4, 0));
}

/* Everything for a name that is not numeric, or for none. Return: 0 or EAI_*. */
static int make_from_name(const char *name, const struct addrinfo *wanted, const struct addrinfo *model,
                          struct addrinfo **result)
{
    struct names_find search = {.family = wanted->ai_family, .flags = wanted->ai_flags};
    char *converted = NULL;
    int error = 0;

    search.name = name;
    if (name != NULL && (wanted->ai_flags & AI_IDN) && !is_ascii(name)) {
        error = convert_name("idn2_lookup_ul", name, &converted);
        search.name = converted;
    }
    if (error == 0) {
        if (name != NULL)
            error = names_find_addresses(&search);
        else
            error = keep_own_addresses(&search) ? 0 : EAI_MEMORY;
    }
    if (error == 0) {
        names_sort(search.host.addresses, search.host.address_count);
        error = make_entries(&search, model, wanted->ai_flags, result);
    }
    if (error == 0 && (wanted->ai_flags & AI_CANONNAME)) {
        error = set_canonical_name(*result, search.host.name != NULL ? search.host.name : name, wanted->ai_flags);
        if (error != 0)
            freeaddrinfo(*result);
    }
    names_host_free(&search.host);
    free(converted);
    return error;
}

static int make_result(const char *name, const char *service, const struct addrinfo *wanted,
                       const struct addrinfo *model, struct addrinfo **result)
{
    int error = name != NULL ? make_numeric(name, service, wanted, result) : EAI_NONAME;

    if (error != EAI_NONAME || (name != NULL && (wanted->ai_flags & AI_NUMERICHOST)))
        return error;
    return make_from_name(name, wanted, model, result);
}

int names_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    struct addrinfo wanted = {.ai_flags = AI_V4MAPPED | AI_ADDRCONFIG}, model_wanted;
    struct addrinfo *model = NULL;
    int error, model_error;

    if (name != NULL && strcmp(name, "*") == 0)
        name = NULL;
    if (service != NULL && strcmp(service, "*") == 0)
        service = NULL;
    if (name == NULL && service == NULL)
        return EAI_NONAME;
    if (hints != NULL)
        wanted = (struct addrinfo){.ai_flags = hints->ai_flags,
                                   .ai_family = hints->ai_family,
                                   .ai_socktype = hints->ai_socktype,
                                   .ai_protocol = hints->ai_protocol};
    names_prepare();
    model_wanted = wanted;
    model_wanted.ai_flags = (wanted.ai_flags & ~(AI_ADDRCONFIG | AI_CANONNAME | AI_IDN | AI_CANONIDN)) | AI_NUMERICHOST;
    model_error = libc_getaddrinfo(wanted.ai_family == AF_INET6 ? "::" : "0.0.0.0", service, &model_wanted, &model);
    if (model_error == EAI_BADFLAGS || model_error == EAI_FAMILY)
        return model_error;
    if (name == NULL && (wanted.ai_flags & AI_CANONNAME))
        error = EAI_BADFLAGS;
    else
        error = wanted.ai_flags & AI_ADDRCONFIG ? narrow_family(&wanted) : 0;
    if (error == 0)
        error = model_error;
    if (error == 0)
        error = make_result(name, service, &wanted, model, result);
    if (model_error == 0)
        freeaddrinfo(model);
    return error;
}

/* ---- getnameinfo() ---- */

/* libc's own, but for the interface of a link-local address, which is the stack's. */
int names_getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_length, char *service,
                      socklen_t service_length, int flags)
{
    struct sockaddr_in6 in6;
    char scope[1 + IF_NAMESIZE] = "%";
    size_t used;
    int error;

    names_prepare();
    if (address == NULL || length < sizeof in6 || address->sa_family != AF_INET6 || host == NULL || host_length == 0)
        return libc_getnameinfo(address, length, host, host_length, service, service_length, flags);
    memcpy(&in6, address, sizeof in6);
    if (in6.sin6_scope_id == 0)
        return libc_getnameinfo(address, length, host, host_length, service, service_length, flags);
    if (!(IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr) || IN6_IS_ADDR_MC_LINKLOCAL(&in6.sin6_addr)) ||
        if_indextoname(in6.sin6_scope_id, scope + 1) == NULL)
        snprintf(scope, sizeof scope, "%%%u", in6.sin6_scope_id);
    in6.sin6_scope_id = 0;
    error = libc_getnameinfo((struct sockaddr *)&in6, sizeof in6, host, host_length, service, service_length, flags);
    if (error != 0 || strchr(host, ':') == NULL) /* a name */
        return error;
    used = strlen(host);
    if (used + strlen(scope) >= host_length)
        return EAI_OVERFLOW;
    strcpy(host + used, scope);
    return 0;
}
