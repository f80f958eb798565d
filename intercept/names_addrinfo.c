/*
 * names_addrinfo.c - getaddrinfo() and getnameinfo().
 *
 * libc's getaddrinfo() cannot be let alone with a name: to sort several addresses it connects sockets of the kernel's, and AI_ADDRCONFIG asks for the
 * kernel's addresses. With one numeric address it does neither. So libc still judges flags and services and makes the entries, for a numeric address:
 * the program's own if it gave one, else any, as a model. Addresses of names are found here, source by source as nsswitch.conf says, sorted by
 * names_sort.c, and each gets a copy of the model's entries. What comes out is memory as libc's freeaddrinfo() frees it.
 */
#include "control.h"
#include "libc.h"
#include "names.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
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

/* What is under way for one name. */
struct search {
    const char *name;
    int family, flags; /* AI_* */
    struct names_host host;
    bool got_ipv6;
    int no_data, no_ipv6_data; /* EAI_AGAIN, or 1: the name has no such address */
    int code;                  /* h_errno of the last attempt */
};

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

static void note_absence(struct search *search)
{
    search->no_data = search->code == TRY_AGAIN ? EAI_AGAIN : search->code == NO_DATA;
}

/* Keep an address, mapped if IPv6 is wanted. Return: whether there was memory. */
static bool keep_address(struct search *search, int family, const void *bytes, uint32_t scope)
{
    uint8_t mapped[NS_IN6ADDRSZ] = {[10] = 0xff, [11] = 0xff};

    if (family != AF_INET || search->family != AF_INET6)
        return names_host_add(&search->host, family, bytes, scope);
    memcpy(mapped + 12, bytes, NS_INADDRSZ);
    return names_host_add(&search->host, AF_INET6, mapped, 0);
}

static bool keep_name(struct search *search, const char *name)
{
    if (search->host.name == NULL && name != NULL)
        search->host.name = strdup(name);
    return name == NULL || search->host.name != NULL;
}

/* ---- one source ---- */

/* Ask for one family. Return: 0 and *status, or EAI_*. */
static int find_family(struct search *search, find_host *find, int family, enum nss_status *status)
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
static int find_families(struct search *search, find_host *find, enum nss_status *status)
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
static int find_all_in_files(struct search *search, enum nss_status *status)
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
static int find_all_in_dns(struct search *search, enum nss_status *status)
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

static int find_in_source(struct search *search, enum names_source_kind kind, enum nss_status *status)
{
    if (search->family == AF_UNSPEC)
        return kind == NAMES_FILES ? find_all_in_files(search, status) : find_all_in_dns(search, status);
    return find_families(search,
                         kind == NAMES_FILES ? (find_host *)find_symbol("_nss_files_gethostbyname3_r")
                                             : _nss_sidestack_gethostbyname3_r,
                         status);
}

/* ---- all sources ---- */

/* The way that libc goes when only IPv4 addresses are wanted, and which tells errors a little differently. Return: 0 or EAI_*. */
static int find_ipv4_only(struct search *search)
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

/* Find all addresses of search->name. Return: 0 or EAI_*. */
static int find_addresses(struct search *search)
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

/* Entries for all addresses that were found. Return: 0 or EAI_*. */
static int make_entries(const struct search *search, const struct addrinfo *model, int flags, struct addrinfo **result)
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
        return 0;
    freeaddrinfo(*result);
    *result = NULL;
    return EAI_MEMORY;
}

/* Give the first entry its canonical name. Return: 0 or EAI_*. */
static int set_canonical_name(struct addrinfo *first, const char *name, int flags)
{
    char *canonical = NULL;
    int error = EAI_IDN_ENCODE;

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

/* If name is a numeric address, let libc do it, but for the interface behind '%'. Return: 0, EAI_NONAME when it is none, or another EAI_*. */
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
static bool keep_own_addresses(struct search *search)
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
    struct search search = {.family = wanted->ai_family, .flags = wanted->ai_flags};
    char *converted = NULL;
    int error = 0;

    search.name = name;
    if (name != NULL && (wanted->ai_flags & AI_IDN) && !is_ascii(name)) {
        error = convert_name("idn2_lookup_ul", name, &converted);
        search.name = converted;
    }
    if (error == 0) {
        if (name != NULL)
            error = find_addresses(&search);
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
