/*
 * names.h - looking up the names and addresses of hosts through the stack.
 *
 * Functions return the codes of <netdb.h>'s h_errno, 0 for success, unless they say otherwise.
 */
#ifndef SIDESTACK_NAMES_H
#define SIDESTACK_NAMES_H

#include <netdb.h>
#include <nss.h>
#include <resolv.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- names_config.c: who is asked ---- */

enum names_source_kind { NAMES_FILES, NAMES_DNS };

/* One word of nsswitch.conf's "hosts" line, and what follows from each outcome. */
struct names_source {
    enum names_source_kind kind;
    bool ends[5]; /* by enum nss_status + 2: do not ask the next one */
};
#define NAMES_SOURCES_MAX 8

struct names_sources {
    struct names_source list[NAMES_SOURCES_MAX];
    size_t count;
    char line[256]; /* for __nss_configure_lookup() */
};

/* See to it that libc's own functions ask files and our module, never the network. Once a process; cheap after that. */
void names_prepare(void);

/* The sources for hosts, in order. names_prepare() was called. */
const struct names_sources *names_sources(void);

/* Read the text of an nsswitch.conf(5). For names_prepare(), and tests. */
void names_sources_parse(const char *text, struct names_sources *sources);

/* ---- names_query.c: questions to name servers ---- */

#define NAMES_QUESTIONS 2 /* that are asked at the same time */

struct names_answer {
    uint8_t *bytes; /* allocated; NULL: none came */
    size_t length;
    int error;      /* then: positive errno */
};

/* Free both, and leave them empty. */
void names_answers_free(struct names_answer answers[NAMES_QUESTIONS]);

/* Send one or two DNS messages and take the answers. flags: PROTOCOL_RESOLVE_*. Return: 0, or -errno when nothing could
 * be asked at all. */
int names_send(const struct names_answer questions[NAMES_QUESTIONS], int flags, struct names_answer answers[NAMES_QUESTIONS]);

/*
 * Ask for name in class, for one or two types (types[1] 0: one), as res_nquery(3) does, or as res_nsearch(3) does, with
 * the domains to search. Answers that came are there also when the result is an error. errno says what kept servers
 * from answering (ETIMEDOUT, ECONNREFUSED). state: options and ndots.
 */
int names_query(res_state state, const char *name, int class, const int types[NAMES_QUESTIONS],
                struct names_answer answers[NAMES_QUESTIONS]);
int names_search(res_state state, const char *name, int class, const int types[NAMES_QUESTIONS],
                 struct names_answer answers[NAMES_QUESTIONS]);

/* This thread's resolver state, ready, and as resolv.conf has it now. */
res_state names_state(void);

/* PROTOCOL_RESOLVER: PROTOCOL_FAMILY_* of the stack's addresses; domains may be NULL, else PROTOCOL_OPTION_MAX + 1
 * bytes, with an empty one at the end. Return: the families; without a service none. */
int names_ask_service(char *domains);

/* The status of a lookup that our module or getaddrinfo() goes on with. */
enum nss_status names_status(int code, int error);

/* ---- names_answer.c: what an answer says ---- */

struct names_address {
    int family;
    uint32_t scope;
    uint8_t bytes[16];
};

#define NAMES_ALIASES_MAX 48
#define NAMES_ADDRESSES_MAX 8192 /* more than two answers can hold */

struct names_host {
    char *name; /* canonical; allocated, as all that it points to; NULL: none was found */
    char *aliases[NAMES_ALIASES_MAX];
    size_t alias_count;
    struct names_address *addresses;
    size_t address_count;
};

void names_host_free(struct names_host *host);

/* Append an address. Return: false when there is no memory, or too many. */
bool names_host_add(struct names_host *host, int family, const void *bytes, uint32_t scope);

/* Take the addresses of one type (T_A, T_AAAA) and the names on the way to them from an answer, or the name of an
 * address (T_PTR). Return: 0, NO_RECOVERY (malformed), NETDB_INTERNAL, NO_DATA (nothing in it is of that type). */
int names_read_answer(const struct names_answer *answer, int type, struct names_host *host);

/* ---- names_module.c: what libc calls (names_config.c) ---- */

enum nss_status _nss_sidestack_gethostbyname3_r(const char *name, int family, struct hostent *result, char *buffer,
                                                size_t length, int *error, int *code, int32_t *ttl, char **canon);
enum nss_status _nss_sidestack_gethostbyname2_r(const char *name, int family, struct hostent *result, char *buffer,
                                                size_t length, int *error, int *code);
enum nss_status _nss_sidestack_gethostbyname_r(const char *name, struct hostent *result, char *buffer, size_t length,
                                               int *error, int *code);
enum nss_status _nss_sidestack_gethostbyaddr2_r(const void *address, socklen_t address_length, int family,
                                                struct hostent *result, char *buffer, size_t length, int *error,
                                                int *code, int32_t *ttl);
enum nss_status _nss_sidestack_gethostbyaddr_r(const void *address, socklen_t address_length, int family,
                                               struct hostent *result, char *buffer, size_t length, int *error,
                                               int *code);

/* ---- names_sort.c ---- */

/* Sort as RFC 6724 has it, and gai.conf(5). */
void names_sort(struct names_address *addresses, size_t count);

/* What sorting knows of an address: for tests. */
struct names_candidate {
    struct names_address destination;
    struct names_address source; /* family 0: not reachable */
    uint8_t prefix_bits;
    bool deprecated;
    size_t position; /* before sorting */
};
void names_sort_candidates(struct names_candidate *candidates, size_t count);

/* ---- names_addrinfo.c, names_async.c: as libc's functions of these names ---- */

int names_getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result);
int names_getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_length, char *service,
                      socklen_t service_length, int flags);
int names_getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event);
int names_gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout);
int names_gai_cancel(struct gaicb *request);

#endif
