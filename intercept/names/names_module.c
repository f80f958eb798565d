/*
 * names_module.c - the module that libc asks for names in place of DNS (names_config.c says how that comes).
 *
 * The functions are those that nss(5) wants, in its way: results are laid out in the caller's buffer; too small a one
 * is TRYAGAIN with ERANGE and NETDB_INTERNAL, and libc asks again with a larger one.
 */
#include "intercept/export.h"
#include "names.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Memory of the caller's, handed out from the front. */
struct arena {
    char *at;
    size_t left;
};

/* Return: NULL when there is not enough. */
static void *take(struct arena *arena, size_t length, size_t alignment)
{
    size_t gap = (alignment - (uintptr_t)arena->at % alignment) % alignment;
    void *taken = arena->at + gap;

    if (arena->left < gap || arena->left - gap < length)
        return NULL;
    arena->at += gap + length;
    arena->left -= gap + length;
    return taken;
}

static char *take_string(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = take(arena, size, 1);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* Lay a host out as libc's structure. Return: whether the buffer was large enough. */
static bool lay_out(const struct names_host *host, int family, struct hostent *out, struct arena arena)
{
    size_t length = family == AF_INET ? NS_INADDRSZ : NS_IN6ADDRSZ;
    char **aliases = take(&arena, (host->alias_count + 1) * sizeof *aliases, _Alignof(char *));
    char **addresses = take(&arena, (host->address_count + 1) * sizeof *addresses, _Alignof(char *));

    if (aliases == NULL || addresses == NULL)
        return false;
    for (size_t i = 0; i < host->address_count; i++) {
        addresses[i] = take(&arena, length, _Alignof(uint32_t));
        if (addresses[i] == NULL)
            return false;
        memcpy(addresses[i], host->addresses[i].bytes, length);
    }
    for (size_t i = 0; i < host->alias_count; i++)
        if ((aliases[i] = take_string(&arena, host->aliases[i])) == NULL)
            return false;
    aliases[host->alias_count] = NULL;
    addresses[host->address_count] = NULL;
    *out = (struct hostent){.h_name = take_string(&arena, host->name),
                            .h_aliases = aliases,
                            .h_addrtype = family,
                            .h_length = (int)length,
                            .h_addr_list = addresses};
    return out->h_name != NULL;
}

/* Where libc wants to know what went wrong. */
struct outcome {
    int *error, *code;
};

static enum nss_status fail(const struct outcome *outcome, enum nss_status status, int error, int code)
{
    *outcome->error = error;
    *outcome->code = code;
    return status;
}

/* An answer came, of which names_read_answer() said this. Return: what libc hears. */
static enum nss_status conclude(int read_code, struct names_host *host, int family, struct hostent *result,
                                struct arena arena, const struct outcome *outcome)
{
    switch (read_code) {
    case 0:
        if (!lay_out(host, family, result, arena))
            return fail(outcome, NSS_STATUS_TRYAGAIN, ERANGE, NETDB_INTERNAL);
        *outcome->code = NETDB_SUCCESS;
        return NSS_STATUS_SUCCESS;
    case NETDB_INTERNAL:
        return fail(outcome, NSS_STATUS_TRYAGAIN, ENOMEM, NETDB_INTERNAL);
    case NO_DATA: /* only aliases, or names that no host can have; of an address libc says that it was not found */
        return fail(outcome, host->address_count > 0 ? NSS_STATUS_NOTFOUND : NSS_STATUS_TRYAGAIN, ENOENT, NO_RECOVERY);
    default:
        return fail(outcome, NSS_STATUS_UNAVAIL, EMSGSIZE, NO_RECOVERY);
    }
}

/* No server answered, or there is no such name. */
static enum nss_status give_up(int code, const struct outcome *outcome)
{
    enum nss_status status = names_status(code, errno);

    return fail(outcome, status, code == TRY_AGAIN ? EAGAIN : *outcome->error, code);
}

EXPORT enum nss_status _nss_sidestack_gethostbyname3_r(const char *name, int family, struct hostent *result, char *buffer,
                                                       size_t length, int *error, int *code, int32_t *ttl, char **canon)
{
    const int types[NAMES_QUESTIONS] = {family == AF_INET6 ? ns_t_aaaa : ns_t_a, 0};
    const struct outcome outcome = {error, code};
    struct names_answer answers[NAMES_QUESTIONS];
    struct names_host host = {.name = NULL};
    enum nss_status status;
    int search_code;

    (void)ttl;
    if (!res_hnok(name)) /* no host can be called that: nobody is asked */
        return fail(&outcome, NSS_STATUS_NOTFOUND, *error, HOST_NOT_FOUND);
    if (family != AF_INET && family != AF_INET6)
        return fail(&outcome, NSS_STATUS_UNAVAIL, EAFNOSUPPORT, NO_DATA);
    search_code = names_search(names_state(), name, ns_c_in, types, answers);
    if (search_code != 0)
        status = give_up(search_code, &outcome);
    else
        status = conclude(names_read_answer(&answers[0], types[0], &host), &host, family, result,
                          (struct arena){buffer, length}, &outcome);
    if (status == NSS_STATUS_SUCCESS && canon != NULL)
        *canon = result->h_name;
    names_answers_free(answers);
    names_host_free(&host);
    return status;
}

EXPORT enum nss_status _nss_sidestack_gethostbyname2_r(const char *name, int family, struct hostent *result, char *buffer,
                                                       size_t length, int *error, int *code)
{
    return _nss_sidestack_gethostbyname3_r(name, family, result, buffer, length, error, code, NULL, NULL);
}

EXPORT enum nss_status _nss_sidestack_gethostbyname_r(const char *name, struct hostent *result, char *buffer,
                                                      size_t length, int *error, int *code)
{
    return _nss_sidestack_gethostbyname3_r(name, AF_INET, result, buffer, length, error, code, NULL, NULL);
}

/* The name under which DNS has an address. */
static void write_reverse_name(int family, const uint8_t *bytes, char name[80])
{
    if (family == AF_INET) {
        snprintf(name, 80, "%u.%u.%u.%u.in-addr.arpa", bytes[3], bytes[2], bytes[1], bytes[0]);
        return;
    }
    for (int i = NS_IN6ADDRSZ - 1; i >= 0; i--)
        name += snprintf(name, 5, "%x.%x.", bytes[i] & 0xf, bytes[i] >> 4);
    strcpy(name, "ip6.arpa");
}

EXPORT enum nss_status _nss_sidestack_gethostbyaddr2_r(const void *address, socklen_t address_length, int family,
                                                       struct hostent *result, char *buffer, size_t length, int *error,
                                                       int *code, int32_t *ttl)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const int types[NAMES_QUESTIONS] = {ns_t_ptr, 0};
    const struct outcome outcome = {error, code};
    const uint8_t *bytes = address;
    struct names_answer answers[NAMES_QUESTIONS];
    struct names_host host = {.name = NULL};
    enum nss_status status;
    char name[80];
    int query_code;

    (void)ttl;
    if (family == AF_INET6 && address_length == NS_IN6ADDRSZ && memcmp(bytes, mapped, sizeof mapped) == 0) {
        bytes += sizeof mapped;
        family = AF_INET;
        address_length = NS_INADDRSZ;
    }
    if (family != AF_INET && family != AF_INET6)
        return fail(&outcome, NSS_STATUS_UNAVAIL, EAFNOSUPPORT, NETDB_INTERNAL);
    if (address_length != (family == AF_INET ? NS_INADDRSZ : NS_IN6ADDRSZ))
        return fail(&outcome, NSS_STATUS_UNAVAIL, EAFNOSUPPORT, NETDB_INTERNAL);
    write_reverse_name(family, bytes, name);
    query_code = names_query(names_state(), name, ns_c_in, types, answers);
    if (query_code != 0) {
        *code = query_code;
        status = errno == ECONNREFUSED ? NSS_STATUS_UNAVAIL : NSS_STATUS_NOTFOUND;
    } else {
        int read_code = names_read_answer(&answers[0], ns_t_ptr, &host);

        if (!names_host_add(&host, family, bytes, 0))
            read_code = NETDB_INTERNAL;
        status = conclude(read_code, &host, family, result, (struct arena){buffer, length}, &outcome);
    }
    names_answers_free(answers);
    names_host_free(&host);
    return status;
}

EXPORT enum nss_status _nss_sidestack_gethostbyaddr_r(const void *address, socklen_t address_length, int family,
                                                      struct hostent *result, char *buffer, size_t length, int *error,
                                                      int *code)
{
    return _nss_sidestack_gethostbyaddr2_r(address, address_length, family, result, buffer, length, error, code, NULL);
}
