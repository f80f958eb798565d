/*
 * names_find.c - all addresses of a host, for getaddrinfo(), source by source as nsswitch.conf says.
 *
 * What several sources and two families say is put together as libc does it, to the error code.
 */
#include "names_find.h"

#include "intercept/libc.h"

#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_FIRST 16384 /* enough for nearly all: each larger one costs another question to the name server */
#define BUFFER_MAX (1 << 20)

/* An NSS module's gethostbyname3_r. */
typedef enum nss_status find_host(const char *name, int family, struct hostent *result, char *buffer, size_t length,
                                  int *error, int *code, int32_t *ttl, char **canon);
/* libc's own gethostbyname4_r for /etc/hosts. */
typedef enum nss_status find_in_files(const char *name, struct gaih_addrtuple **list, char *buffer, size_t length,
                                      int *error, int *code, int32_t *ttl);

/* libc's functions for files are its own affair, but can be found. */
static void *find_symbol(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    void *module;

    if (symbol != NULL)
        return symbol;
    module = dlopen("libnss_files.so.2", RTLD_LAZY); /* libc before 2.34 */
    return module != NULL ? dlsym(module, name) : NULL;
}

/* Make the buffer larger. Return: false when it is large already, or there is no memory. */
static bool grow(char **buffer, size_t *size)
{
    size_t larger = *size == 0 ? BUFFER_FIRST : *size * 2;
    char *memory = larger <= BUFFER_MAX ? realloc(*buffer, larger) : NULL;

    if (memory == NULL)
        return false;
    *buffer = memory;
    *size = larger;
    return true;
}

static void note_absence(struct names_find *search)
{
    search->no_data = search->code == TRY_AGAIN ? EAI_AGAIN : search->code == NO_DATA;
}

/* Keep an address, mapped if IPv6 is wanted. Return: whether there was memory. */
static bool keep_address(struct names_find *search, int family, const void *bytes, uint32_t scope)
{
    uint8_t mapped[NS_IN6ADDRSZ] = {[10] = 0xff, [11] = 0xff};

    if (family != AF_INET || search->family != AF_INET6)
        return names_host_add(&search->host, family, bytes, scope);
    memcpy(mapped + 12, bytes, NS_INADDRSZ);
    return names_host_add(&search->host, AF_INET6, mapped, 0);
}

static bool keep_name(struct names_find *search, const char *name)
{
    if (search->host.name == NULL && name != NULL)
        search->host.name = strdup(name);
    return name == NULL || search->host.name != NULL;
}

/* ---- one source ---- */

/* Ask for one family. Return: 0 and *status, or EAI_*. */
static int find_family(struct names_find *search, find_host *find, int family, enum nss_status *status)
{
    struct hostent host;
    char *buffer = NULL, *canon = NULL;
    size_t size = 0;
    int error = 0, result = 0;

    search->no_data = 0;
    do {
        if (!grow(&buffer, &size)) {
            free(buffer);
            return EAI_MEMORY;
        }
        search->code = NETDB_SUCCESS;
        *status = find(search->name, family, &host, buffer, size, &error, &search->code, NULL, &canon);
    } while (*status == NSS_STATUS_TRYAGAIN && search->code == NETDB_INTERNAL && error == ERANGE);
    if (*status == NSS_STATUS_SUCCESS) {
        for (char **address = host.h_addr_list; *address != NULL && result == 0; address++)
            if (!keep_address(search, family, *address, 0))
                result = EAI_MEMORY;
        if (family == AF_INET6 && host.h_addr_list[0] != NULL)
            search->got_ipv6 = true;
        if (!keep_name(search, canon))
            result = EAI_MEMORY;
    } else if (search->code == NETDB_INTERNAL) {
        errno = error;
        result = EAI_SYSTEM;
    } else {
        note_absence(search);
    }
    free(buffer);
    return result;
}

/* One family after the other, IPv4 only if it is wanted or has to do. Return: 0 and *status, or EAI_*. */
static int find_families(struct names_find *search, find_host *find, enum nss_status *status)
{
    enum nss_status ipv6_status = NSS_STATUS_UNAVAIL;
    int result = 0;

    if (find == NULL) {
        *status = NSS_STATUS_UNAVAIL;
        return 0;
    }
    if (search->family != AF_INET) {
        result = find_family(search, find, AF_INET6, status);
        search->no_ipv6_data = search->no_data;
        ipv6_status = *status;
    }
    if (result == 0 && (search->family == AF_INET || ((search->flags & AI_V4MAPPED) &&
                                                      ((search->flags & AI_ALL) || !search->got_ipv6)))) {
        result = find_family(search, find, AF_INET, status);
        if (search->family == AF_INET) {
            search->no_ipv6_data = search->no_data;
            ipv6_status = *status;
        }
    }
    if (ipv6_status == NSS_STATUS_SUCCESS)
        *status = NSS_STATUS_SUCCESS;
    else if (*status != NSS_STATUS_SUCCESS && (ipv6_status == NSS_STATUS_TRYAGAIN || *status == NSS_STATUS_UNAVAIL))
        *status = ipv6_status;
    return result;
}

/* Both families, from /etc/hosts. Return: 0 and *status, or EAI_*. */
static int find_all_in_files(struct names_find *search, enum nss_status *status)
{
    find_in_files *find = (find_in_files *)find_symbol("_nss_files_gethostbyname4_r");
    struct gaih_addrtuple *list;
    char *buffer = NULL;
    size_t size = 0;
    int error = 0, result = 0;

    *status = NSS_STATUS_UNAVAIL;
    if (find == NULL)
        return 0;
    do {
        if (!grow(&buffer, &size)) {
            free(buffer);
            return EAI_MEMORY;
        }
        list = NULL;
        search->code = NETDB_SUCCESS;
        *status = find(search->name, &list, buffer, size, &error, &search->code, NULL);
    } while (*status == NSS_STATUS_TRYAGAIN && search->code == NETDB_INTERNAL && error == ERANGE);
    search->no_data = 0;
    if (*status == NSS_STATUS_SUCCESS) {
        if (!keep_name(search, list->name))
            result = EAI_MEMORY;
        for (; list != NULL && result == 0; list = list->next)
            if (!keep_address(search, list->family, list->addr, list->scopeid))
                result = EAI_MEMORY;
    } else {
        note_absence(search);
    }
    search->no_ipv6_data = search->no_data;
    free(buffer);
    return result;
}

/* Both families at once, from name servers. Return: 0 and *status, or EAI_*. */
static int find_all_in_dns(struct names_find *search, enum nss_status *status)
{
    static const int types[NAMES_QUESTIONS] = {ns_t_a, ns_t_aaaa};
    struct names_answer answers[NAMES_QUESTIONS];

    search->no_data = search->no_ipv6_data = 0;
    search->code = HOST_NOT_FOUND;
    *status = NSS_STATUS_NOTFOUND;
    if (!res_hnok(search->name))
        return 0;
    search->code = names_search(names_state(), search->name, ns_c_in, types, answers);
    *status = names_status(search->code, errno);
    if (search->code == 0) {
        int codes[NAMES_QUESTIONS];

        for (size_t i = 0; i < NAMES_QUESTIONS; i++)
            codes[i] = names_read_answer(&answers[i], types[i], &search->host);
        if (codes[0] != 0 && codes[1] != 0) {
            search->code = codes[0] == NETDB_INTERNAL || codes[1] == NETDB_INTERNAL ? NETDB_INTERNAL : NO_RECOVERY;
            *status = NSS_STATUS_UNAVAIL;
        }
    }
    if (search->code != 0)
        note_absence(search);
    search->no_ipv6_data = search->no_data;
    names_answers_free(answers);
    return search->code == NETDB_INTERNAL ? EAI_MEMORY : 0;
}

static int find_in_source(struct names_find *search, enum names_source_kind kind, enum nss_status *status)
{
    if (search->family == AF_UNSPEC)
        return kind == NAMES_FILES ? find_all_in_files(search, status) : find_all_in_dns(search, status);
    return find_families(search,
                         kind == NAMES_FILES ? (find_host *)find_symbol("_nss_files_gethostbyname3_r")
                                             : _nss_sidestack_gethostbyname3_r,
                         status);
}

/* ---- all sources ---- */

/* The way that libc goes when only IPv4 addresses are wanted, and which tells errors a little differently. Return: 0 or
 * EAI_*. */
static int find_ipv4_only(struct names_find *search)
{
    struct hostent host, *found = NULL;
    char *buffer = NULL;
    size_t size = 0;
    int error, result = 0;

    do {
        if (!grow(&buffer, &size)) {
            free(buffer);
            return EAI_MEMORY;
        }
        error = libc_gethostbyname2_r(search->name, AF_INET, &host, buffer, size, &found, &search->code);
    } while (error == ERANGE && search->code == NETDB_INTERNAL);
    if (error == 0 && found != NULL) {
        for (char **address = host.h_addr_list; *address != NULL && result == 0; address++)
            if (!keep_address(search, AF_INET, *address, 0))
                result = EAI_MEMORY;
    } else if (error == 0) {
        result = search->code == NO_DATA ? EAI_NODATA : EAI_NONAME;
    } else if (search->code == NETDB_INTERNAL) {
        errno = error;
        result = EAI_SYSTEM;
    } else {
        result = search->code == TRY_AGAIN ? EAI_AGAIN : EAI_NODATA;
    }
    free(buffer);
    return result;
}

int names_find_addresses(struct names_find *search)
{
    const struct names_sources *sources = names_sources();
    enum nss_status status = NSS_STATUS_UNAVAIL;

    if (search->family == AF_INET && !(search->flags & AI_CANONNAME))
        return find_ipv4_only(search);
    for (size_t i = 0; i < sources->count; i++) {
        int error = find_in_source(search, sources->list[i].kind, &status);

        if (error != 0)
            return error;
        if (sources->list[i].ends[status + 2])
            break;
    }
    if (search->host.address_count > 0)
        return 0;
    if (search->no_data != 0 && search->no_ipv6_data != 0)
        return search->no_data == EAI_AGAIN && search->no_ipv6_data == EAI_AGAIN ? EAI_AGAIN : EAI_NODATA;
    return EAI_NONAME;
}
