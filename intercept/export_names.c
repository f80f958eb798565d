/*
 * export_names.c - libc's names for looking up hosts, and for DNS.
 *
 * Those that only need libc to ask the right sources (names_config.c) see to that and go on to libc.
 */
#include "export.h"
#include "libc.h"
#include "intercept/names/names.h"
#include "service/protocol.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

/* One lookup by the name of a function, of a host and a service. result: 0 or EAI_*. */
static void trace_lookup(const char *function, int result, const char *host, const char *service)
{
    if (trace_is_on)
        trace_print(function, 0, "%s, %s: %s", host, service, result == 0 ? "found" : gai_strerror(result));
}

EXPORT int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int saved_errno = errno;
    int error = names_getaddrinfo(name, service, hints, result);

    trace_lookup("getaddrinfo", error, name, service);
    if (error != EAI_SYSTEM)
        errno = saved_errno;
    return error;
}

EXPORT int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_length,
                       char *service, socklen_t service_length, int flags)
{
    int error = names_getnameinfo(address, length, host, host_length, service, service_length, flags);

    if (trace_is_on)
        trace_lookup("getnameinfo", error, host_length > 0 && error == 0 ? host : NULL, NULL);
    return error;
}

EXPORT int getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event)
{
    return names_getaddrinfo_a(mode, list, count, event);
}

EXPORT int gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout)
{
    return names_gai_suspend(list, count, timeout);
}

EXPORT int gai_cancel(struct gaicb *request)
{
    return names_gai_cancel(request);
}

/* ---- hosts ---- */

/* What a function that returns a host says, when asked to. */
static struct hostent *trace_host(const char *function, const char *name, struct hostent *host)
{
    if (trace_is_on)
        trace_print(function, 0, "%s: %s", name, host != NULL ? host->h_name : hstrerror(h_errno));
    return host;
}

EXPORT struct hostent *gethostbyname(const char *name)
{
    names_prepare();
    return trace_host("gethostbyname", name, libc_gethostbyname(name));
}

EXPORT struct hostent *gethostbyname2(const char *name, int family)
{
    names_prepare();
    return trace_host("gethostbyname2", name, libc_gethostbyname2(name, family));
}

EXPORT struct hostent *gethostbyaddr(const void *address, socklen_t length, int family)
{
    names_prepare();
    return trace_host("gethostbyaddr", "", libc_gethostbyaddr(address, length, family));
}

EXPORT int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t length, struct hostent **result,
                           int *code)
{
    names_prepare();
    return libc_gethostbyname_r(name, host, buffer, length, result, code);
}

EXPORT int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t length,
                            struct hostent **result, int *code)
{
    names_prepare();
    return libc_gethostbyname2_r(name, family, host, buffer, length, result, code);
}

EXPORT int gethostbyaddr_r(const void *address, socklen_t address_length, int family, struct hostent *host, char *buffer,
                           size_t length, struct hostent **result, int *code)
{
    names_prepare();
    return libc_gethostbyaddr_r(address, address_length, family, host, buffer, length, result, code);
}

/* Without /etc/hostid it looks up the host's own name, by calls that pass us by. */
EXPORT long gethostid(void)
{
    names_prepare();
    return libc_gethostid();
}

/* ---- networks, which libc would look up by DNS, too ---- */

EXPORT struct netent *getnetbyname(const char *name)
{
    names_prepare();
    return libc_getnetbyname(name);
}

EXPORT struct netent *getnetbyaddr(uint32_t network, int family)
{
    names_prepare();
    return libc_getnetbyaddr(network, family);
}

EXPORT int getnetbyname_r(const char *name, struct netent *network, char *buffer, size_t length, struct netent **result,
                          int *code)
{
    names_prepare();
    return libc_getnetbyname_r(name, network, buffer, length, result, code);
}

EXPORT int getnetbyaddr_r(uint32_t number, int family, struct netent *network, char *buffer, size_t length,
                          struct netent **result, int *code)
{
    names_prepare();
    return libc_getnetbyaddr_r(number, family, network, buffer, length, result, code);
}

/* ---- DNS ---- */

#define HEADER_TRUNCATED 0x02 /* in the third byte */

/* Give an answer to the program, cut if need be, and h_errno. Return: its whole length, or -1. */
static int give_answer(res_state state, int code, struct names_answer answers[NAMES_QUESTIONS], uint8_t *answer, int size)
{
    int length = (int)answers[0].length;

    if (answers[0].bytes != NULL && size > 0)
        memcpy(answer, answers[0].bytes, (size_t)(length < size ? length : size));
    if (length > size && size >= NS_HFIXEDSZ)
        answer[2] |= HEADER_TRUNCATED;
    names_answers_free(answers);
    state->res_h_errno = code;
    if (code == 0)
        return length;
    h_errno = code;
    return -1;
}

static int query_dns(res_state state, const char *name, int class, int type, uint8_t *answer, int size, bool search)
{
    const int types[NAMES_QUESTIONS] = {type, 0};
    struct names_answer answers[NAMES_QUESTIONS];
    int saved_errno = errno;
    int code = search ? names_search(state, name, class, types, answers) : names_query(state, name, class, types, answers);

    if (code == 0)
        errno = saved_errno;
    if (trace_is_on)
        trace_print(search ? "res_search" : "res_query", 0, "%s, %d, %d: %s", name, class, type,
                    code == 0 ? "found" : hstrerror(code));
    return give_answer(state, code, answers, answer, size);
}

/* The name in a domain, or as it is. Return: whether it fits. */
static bool join_names(const char *name, const char *domain, char joined[NS_MAXDNAME])
{
    size_t length = strlen(name), domain_length = domain != NULL ? strlen(domain) : 0;

    if (length + 1 + domain_length >= NS_MAXDNAME)
        return false;
    memcpy(joined, name, length + 1);
    if (domain != NULL) {
        joined[length] = '.';
        memcpy(joined + length + 1, domain, domain_length + 1);
    }
    return true;
}

static int query_domain(res_state state, const char *name, const char *domain, int class, int type, uint8_t *answer, int size)
{
    char joined[NS_MAXDNAME];

    if (join_names(name, domain, joined))
        return query_dns(state, joined, class, type, answer, size, false);
    h_errno = state->res_h_errno = NO_RECOVERY;
    return -1;
}

/* Return: the length of the answer, or -1 with errno. */
static int send_dns(res_state state, const uint8_t *message, int length, uint8_t *answer, int size)
{
    const struct names_answer questions[NAMES_QUESTIONS] = {{.bytes = (uint8_t *)message, .length = (size_t)length}};
    struct names_answer answers[NAMES_QUESTIONS];
    int flags = (state->options & RES_USEVC ? PROTOCOL_RESOLVE_TCP : 0) |
                (state->options & RES_IGNTC ? PROTOCOL_RESOLVE_KEEP_TRUNCATED : 0);
    int error;

    if (length < NS_HFIXEDSZ || size < NS_HFIXEDSZ) {
        errno = EINVAL;
        return -1;
    }
    error = names_send(questions, flags, answers);
    if (error == 0 && answers[0].bytes != NULL)
        return give_answer(state, 0, answers, answer, size);
    errno = error == -EMSGSIZE || error == -EINVAL ? -error
            : error == 0 && answers[0].error != ECONNREFUSED ? ETIMEDOUT : ECONNREFUSED;
    names_answers_free(answers);
    return -1;
}

/* res_query and res_nquery, and the names that programs built before glibc 2.34 call. */
#define EXPORT_DNS(function, call, parameters, n_parameters)                                                           \
    EXPORT int function parameters                                                                                     \
    {                                                                                                                  \
        res_state state = names_state();                                                                               \
        return call;                                                                                                   \
    }                                                                                                                  \
    EXPORT_ALIAS(function) int __##function parameters __THROW;                                                                \
    EXPORT int res_n##n_parameters                                                                                     \
    {                                                                                                                  \
        return call;                                                                                                   \
    }

#undef res_query
#undef res_search
#undef res_querydomain
#undef res_send
#undef res_nquery
#undef res_nsearch
#undef res_nquerydomain
#undef res_nsend

EXPORT_DNS(res_query, query_dns(state, name, class, type, answer, size, false),
           (const char *name, int class, int type, unsigned char *answer, int size),
           query(res_state state, const char *name, int class, int type, unsigned char *answer, int size))
EXPORT_DNS(res_search, query_dns(state, name, class, type, answer, size, true),
           (const char *name, int class, int type, unsigned char *answer, int size),
           search(res_state state, const char *name, int class, int type, unsigned char *answer, int size))
EXPORT_DNS(res_querydomain, query_domain(state, name, domain, class, type, answer, size),
           (const char *name, const char *domain, int class, int type, unsigned char *answer, int size),
           querydomain(res_state state, const char *name, const char *domain, int class, int type,
                       unsigned char *answer, int size))
EXPORT_DNS(res_send, send_dns(state, message, length, answer, size),
           (const unsigned char *message, int length, unsigned char *answer, int size),
           send(res_state state, const unsigned char *message, int length, unsigned char *answer, int size))

EXPORT_ALIAS(res_nquery) int __res_nquery(res_state state, const char *name, int class, int type,
                                          unsigned char *answer, int size) __THROW;
EXPORT_ALIAS(res_nsearch) int __res_nsearch(res_state state, const char *name, int class, int type,
                                            unsigned char *answer, int size) __THROW;
EXPORT_ALIAS(res_nquerydomain) int __res_nquerydomain(res_state state, const char *name, const char *domain, int class,
                                                      int type, unsigned char *answer, int size) __THROW;
EXPORT_ALIAS(res_nsend) int __res_nsend(res_state state, const unsigned char *message, int length,
                                        unsigned char *answer, int size) __THROW;
