/*
 * names_query.c - questions to name servers: the service asks them for us.
 *
 * Which names are tried, in which order, and what the failure of several means is libc's business elsewhere
 * (res_nsearch(3)), and ours here, by the same rules: a name with enough dots is tried as it is first; then with each
 * domain; then as it is. The domains are the service's, unless LOCALDOMAIN says.
 */
#include "intercept/control.h"
#include "names.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for with EDNS0 in bytes of a UDP answer; glibc says the same. */
#define EDNS_BYTES 1200
#define EDNS_RECORD_BYTES 11
#define EDNS_DNSSEC_OK 0x80

#define QUERY_BYTES (NS_HFIXEDSZ + NS_MAXCDNAME + NS_QFIXEDSZ + EDNS_RECORD_BYTES)

/* Bits of a header's fourth byte, and of its third. */
#define HEADER_AUTHENTIC 0x20
#define HEADER_RCODE 0x0f

void names_answers_free(struct names_answer answers[NAMES_QUESTIONS])
{
    for (size_t i = 0; i < NAMES_QUESTIONS; i++) {
        free(answers[i].bytes);
        answers[i] = (struct names_answer){.bytes = NULL};
    }
}

res_state names_state(void)
{
    uint8_t ignored[NS_HFIXEDSZ + NS_QFIXEDSZ + 1];
    int saved_errno = errno;

    /* Making a query is what sets the state up, and reads resolv.conf again if it has changed. */
    (void)res_mkquery(ns_o_query, ".", ns_c_in, ns_t_a, NULL, 0, NULL, ignored, sizeof ignored);
    errno = saved_errno;
    return &_res;
}

int names_ask_service(char *domains)
{
    struct protocol_message message;

    control_prepare(&message, PROTOCOL_RESOLVER);
    if (domains != NULL)
        *domains = '\0';
    if (control_request(&message, -1, NULL) < 0)
        return 0;
    if (domains != NULL && message.option_length <= PROTOCOL_OPTION_MAX) {
        memcpy(domains, message.option, message.option_length);
        domains[message.option_length] = '\0';
    }
    return message.args[0];
}

/* Take the answers out of what followed the reply. Return: 0, -EPROTO, -ENOMEM. */
static int split_answers(const struct protocol_message *reply, const struct control_tail *tail,
                         struct names_answer answers[NAMES_QUESTIONS])
{
    size_t at = 0;

    for (size_t i = 0; i < NAMES_QUESTIONS; i++) {
        int32_t length = reply->args[i], error = reply->args[NAMES_QUESTIONS + i];

        if (length < 0 || (size_t)length > tail->length - at || error > 0 || error < -4095)
            return -EPROTO;
        answers[i].error = -error;
        if (length == 0)
            continue;
        answers[i].bytes = malloc((size_t)length);
        if (answers[i].bytes == NULL)
            return -ENOMEM;
        memcpy(answers[i].bytes, (uint8_t *)tail->bytes + at, (size_t)length);
        answers[i].length = (size_t)length;
        at += (size_t)length;
    }
    return at == tail->length ? 0 : -EPROTO;
}

int names_send(const struct names_answer questions[NAMES_QUESTIONS], int flags, struct names_answer answers[NAMES_QUESTIONS])
{
    struct protocol_message message;
    uint8_t packet[NAMES_QUESTIONS * PROTOCOL_QUERY_MAX];
    struct control_tail out = {packet, 0}, in;
    struct protocol_message request;
    int error;

    for (size_t i = 0; i < NAMES_QUESTIONS; i++)
        answers[i] = (struct names_answer){.bytes = NULL};
    control_prepare(&message, PROTOCOL_RESOLVE);
    for (size_t i = 0; i < NAMES_QUESTIONS; i++) {
        if (questions[i].length > PROTOCOL_QUERY_MAX)
            return -EMSGSIZE;
        if (questions[i].length > 0)
            memcpy(packet + out.length, questions[i].bytes, questions[i].length);
        out.length += questions[i].length;
        message.args[i] = (int32_t)questions[i].length;
    }
    message.args[2] = flags;
    request = message;
    error = control_request_with_tail(&message, &out, &in);
    if (error == -ENETDOWN) { /* the answers were lost, but perhaps not the service */
        free(in.bytes);
        message = request;
        error = control_request_with_tail(&message, &out, &in);
    }
    if (error == 0)
        error = split_answers(&message, &in, answers);
    if (error < 0)
        names_answers_free(answers);
    free(in.bytes);
    return error;
}

/* ---- one question ---- */

/* Add what asks for answers longer than 512 bytes. Return: the new length. */
static int add_edns(const struct __res_state *state, uint8_t *query, int length)
{
    uint8_t *at = query + length;

    *at++ = 0; /* the root's name */
    NS_PUT16(ns_t_opt, at);
    NS_PUT16(EDNS_BYTES, at);
    *at++ = 0; /* no extended code */
    *at++ = 0; /* version */
    *at++ = state->options & RES_USE_DNSSEC ? EDNS_DNSSEC_OK : 0;
    *at++ = 0;
    NS_PUT16(0, at);
    query[11] = 1; /* ARCOUNT */
    return (int)(at - query);
}

/* What an answer means by itself. */
static int code_of(const struct names_answer *answer)
{
    if (answer->bytes == NULL || answer->length < NS_HFIXEDSZ)
        return TRY_AGAIN;
    switch (answer->bytes[3] & HEADER_RCODE) {
    case ns_r_noerror:
        return answer->bytes[6] != 0 || answer->bytes[7] != 0 ? 0 : NO_DATA;
    case ns_r_nxdomain:
        return HOST_NOT_FOUND;
    case ns_r_servfail:
        return TRY_AGAIN;
    default:
        return NO_RECOVERY;
    }
}

/* What two mean together: what either found; else that one must ask again; else that there is a host. */
static int code_of_both(const struct names_answer answers[NAMES_QUESTIONS], size_t count)
{
    static const int order[] = {0, TRY_AGAIN, NO_RECOVERY, NO_DATA, HOST_NOT_FOUND};

    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (size_t j = 0; j < count; j++)
            if (code_of(&answers[j]) == order[i])
                return order[i];
    return TRY_AGAIN;
}

static int flags_of(const struct __res_state *state)
{
    return (state->options & RES_USEVC ? PROTOCOL_RESOLVE_TCP : 0) |
           (state->options & RES_IGNTC ? PROTOCOL_RESOLVE_KEEP_TRUNCATED : 0);
}

int names_query(res_state state, const char *name, int class, const int types[NAMES_QUESTIONS],
                struct names_answer answers[NAMES_QUESTIONS])
{
    uint8_t queries[NAMES_QUESTIONS][QUERY_BYTES];
    struct names_answer questions[NAMES_QUESTIONS] = {{.bytes = NULL}};
    size_t count = types[1] != 0 ? 2 : 1;
    int error;

    for (size_t i = 0; i < NAMES_QUESTIONS; i++)
        answers[i] = (struct names_answer){.bytes = NULL};
    for (size_t i = 0; i < count; i++) {
        int length = res_nmkquery(state, ns_o_query, name, class, types[i], NULL, 0, NULL, queries[i],
                                  QUERY_BYTES - EDNS_RECORD_BYTES);

        if (length < 0)
            return NO_RECOVERY;
        if (state->options & (RES_USE_EDNS0 | RES_USE_DNSSEC))
            length = add_edns(state, queries[i], length);
        questions[i] = (struct names_answer){.bytes = queries[i], .length = (size_t)length};
    }
    error = names_send(questions, flags_of(state), answers);
    if (error < 0) {
        /* Without a service there is nobody to ask. One that can't ask now (it has no memory, or this user too many
         * lookups under way) may later: EAGAIN ends the search, after which libc's rules might call it a lasting error. */
        errno = error == -EMFILE || error == -ENFILE ? -error : error == -ENETDOWN ? ECONNREFUSED : EAGAIN;
        return TRY_AGAIN;
    }
    for (size_t i = 0; i < count; i++) {
        if (answers[i].bytes == NULL)
            errno = answers[i].error == ECONNREFUSED ? ECONNREFUSED : answers[i].error == ENOMEM ? EAGAIN : ETIMEDOUT;
        else if (answers[i].length >= NS_HFIXEDSZ && !(state->options & RES_TRUSTAD))
            answers[i].bytes[3] &= (uint8_t)~HEADER_AUTHENTIC;
    }
    return code_of_both(answers, count);
}

/* ---- the names to try ---- */

static int query_in_domain(res_state state, const char *name, const char *domain, int class,
                           const int types[NAMES_QUESTIONS], struct names_answer answers[NAMES_QUESTIONS])
{
    char full[NS_MAXDNAME];
    size_t length = strlen(name), domain_length = strlen(domain);

    names_answers_free(answers);
    if (length + 1 + domain_length >= sizeof full)
        return NO_RECOVERY;
    memcpy(full, name, length);
    full[length] = '.';
    memcpy(full + length + 1, domain, domain_length + 1);
    return names_query(state, full, class, types, answers);
}

/* The name as it is. */
static int query_as_is(res_state state, const char *name, int class, const int types[NAMES_QUESTIONS],
                       struct names_answer answers[NAMES_QUESTIONS])
{
    char bare[NS_MAXDNAME];
    size_t length = strlen(name);

    names_answers_free(answers);
    if (length == 0 || length >= sizeof bare)
        return NO_RECOVERY;
    memcpy(bare, name, length + 1);
    if (bare[length - 1] == '.')
        bare[length - 1] = '\0';
    return names_query(state, bare, class, types, answers);
}

/* A word of LOCALDOMAIN. Return: what follows it. */
static const char *next_word(const char *text, char domain[NS_MAXDNAME])
{
    size_t length;

    text += strspn(text, " \t\n");
    length = strcspn(text, " \t\n");
    if (length >= NS_MAXDNAME)
        length = 0;
    memcpy(domain, text, length);
    domain[length] = '\0';
    return text + length;
}

/* Names without dots may stand for others, in the file that HOSTALIASES names. Return: whether this one does. */
static bool find_alias(res_state state, const char *name, char alias[NS_MAXDNAME])
{
    const char *path = secure_getenv("HOSTALIASES");
    char line[2 * NS_MAXDNAME];
    bool found = false;
    FILE *file;

    if (path == NULL || (state->options & RES_NOALIASES))
        return false;
    file = fopen(path, "rce");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *rest = line, *word = strsep(&rest, " \t\n");

        if (strcasecmp(word, name) != 0 || rest == NULL)
            continue;
        rest += strspn(rest, " \t");
        rest[strcspn(rest, " \t\n")] = '\0';
        found = *rest != '\0' && strlen(rest) < NS_MAXDNAME;
        if (found)
            strcpy(alias, rest);
    }
    fclose(file);
    return found;
}

/* What is remembered of the names that were tried. */
struct search {
    bool saw_no_data, saw_servfail, is_over;
};

/* A name in a domain was not found: why, and does the search go on? */
static void note_failure(struct search *search, int code, const struct names_answer *answer)
{
    switch (code) {
    case NO_DATA:
        search->saw_no_data = true;
        break;
    case HOST_NOT_FOUND:
        break;
    case TRY_AGAIN:
        if (answer->length >= NS_HFIXEDSZ && (answer->bytes[3] & HEADER_RCODE) == ns_r_servfail)
            search->saw_servfail = true;
        else
            search->is_over = true;
        break;
    default:
        search->is_over = true;
    }
}

int names_search(res_state state, const char *name, int class, const int types[NAMES_QUESTIONS],
                 struct names_answer answers[NAMES_QUESTIONS])
{
    char domains[PROTOCOL_OPTION_MAX + 1], domain[NS_MAXDNAME];
    const char *local = getenv("LOCALDOMAIN"), *at = domains;
    size_t length = strlen(name), dots = 0;
    bool has_dot_at_end = length > 0 && name[length - 1] == '.';
    bool was_tried = false, was_searched = false;
    struct search search = {false, false, false};
    int code = HOST_NOT_FOUND, first_code = -1;

    for (size_t i = 0; i < NAMES_QUESTIONS; i++)
        answers[i] = (struct names_answer){.bytes = NULL};
    errno = 0;
    for (const char *c = name; *c != '\0'; c++)
        dots += *c == '.';
    if (dots == 0 && find_alias(state, name, domain))
        return names_query(state, domain, class, types, answers);
    if (dots >= state->ndots || has_dot_at_end) {
        code = first_code = query_as_is(state, name, class, types, answers);
        if (code == 0 || has_dot_at_end || errno == EAGAIN)
            return code;
        was_tried = true;
    }
    if (dots == 0 ? (state->options & RES_DEFNAMES) != 0 : (state->options & RES_DNSRCH) != 0) {
        if (local == NULL)
            names_ask_service(domains);
        else
            at = next_word(local, domain);
        while (!search.is_over && *(local == NULL ? at : domain) != '\0') {
            const char *this = local == NULL ? at : domain;

            was_searched = true;
            if (strcmp(this, ".") == 0) { /* the root: the name as it is */
                if (!was_tried)
                    code = query_as_is(state, name, class, types, answers);
                was_tried = true;
            } else {
                code = query_in_domain(state, name, this, class, types, answers);
            }
            if (code == 0)
                return 0;
            if (errno == ECONNREFUSED || errno == EAGAIN)
                return TRY_AGAIN;
            note_failure(&search, code, &answers[0]);
            if (!(state->options & RES_DNSRCH))
                search.is_over = true; /* only the first domain, then */
            at = local == NULL ? at + strlen(at) + 1 : next_word(at, domain);
        }
    }
    if (!was_tried && (dots > 0 || !was_searched || !(state->options & RES_NOTLDQUERY))) {
        code = query_as_is(state, name, class, types, answers);
        if (code == 0)
            return 0;
    }
    if (first_code != -1)
        return first_code;
    if (search.saw_no_data)
        return NO_DATA;
    return search.saw_servfail ? TRY_AGAIN : code;
}

enum nss_status names_status(int code, int error)
{
    if (code == 0)
        return NSS_STATUS_SUCCESS;
    if (error == ECONNREFUSED || error == ETIMEDOUT || error == EMFILE || error == ENFILE)
        return NSS_STATUS_UNAVAIL;
    return error == EAGAIN ? NSS_STATUS_TRYAGAIN : NSS_STATUS_NOTFOUND;
}
