/*
 * names_answer.c - what an answer from a name server says: a host's addresses, or an address's name.
 *
 * An answer is what some server on the network likes to send. Every length is checked, only records that belong to the
 * name that was asked for, or to an alias on the way from it, are taken, and a program sees only names that hosts can
 * have (as libc has it).
 */
#include "names.h"

#include <arpa/nameser.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct reader {
    const uint8_t *start, *end, *at;
};

struct record {
    char owner[NS_MAXDNAME];
    unsigned type, class, length;
    const uint8_t *data;
};

void names_host_free(struct names_host *host)
{
    free(host->name);
    for (size_t i = 0; i < host->alias_count; i++)
        free(host->aliases[i]);
    free(host->addresses);
    *host = (struct names_host){.name = NULL};
}

bool names_host_add(struct names_host *host, int family, const void *bytes, uint32_t scope)
{
    struct names_address *addresses;

    if (host->address_count == NAMES_ADDRESSES_MAX)
        return false;
    addresses = realloc(host->addresses, (host->address_count + 1) * sizeof *addresses);
    if (addresses == NULL)
        return false;
    host->addresses = addresses;
    addresses += host->address_count++;
    *addresses = (struct names_address){.family = family, .scope = scope};
    memcpy(addresses->bytes, bytes, family == AF_INET ? NS_INADDRSZ : NS_IN6ADDRSZ);
    return true;
}

/* Read a name, which may point back into the message. Return: false when it is malformed. */
static bool read_name(struct reader *reader, char name[NS_MAXDNAME])
{
    int length = dn_expand(reader->start, reader->end, reader->at, name, NS_MAXDNAME);

    if (length < 0)
        return false;
    reader->at += length;
    return true;
}

static unsigned read_16(struct reader *reader)
{
    unsigned value = (unsigned)reader->at[0] << 8 | reader->at[1];

    reader->at += 2;
    return value;
}

static size_t bytes_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* Read a record, and go on behind it. Return: false when it is malformed. */
static bool read_record(struct reader *reader, struct record *record)
{
    if (!read_name(reader, record->owner) || bytes_left(reader) < NS_RRFIXEDSZ)
        return false;
    record->type = read_16(reader);
    record->class = read_16(reader);
    reader->at += 4; /* how long it holds */
    record->length = read_16(reader);
    if (bytes_left(reader) < record->length)
        return false;
    record->data = reader->at;
    reader->at += record->length;
    return true;
}

/* The name in a record's data. Return: false when it is malformed. */
static bool read_target(const struct reader *reader, const struct record *record, char name[NS_MAXDNAME])
{
    struct reader inner = {reader->start, reader->end, record->data};

    return read_name(&inner, name) && inner.at == record->data + record->length;
}

/* Make this the host's name; what it was becomes an alias. Return: false when there is no memory. */
static bool rename_host(struct names_host *host, const char *alias, const char *name)
{
    char *copy = strdup(name), *alias_copy = strdup(alias);

    if (copy == NULL || alias_copy == NULL) {
        free(copy);
        free(alias_copy);
        return false;
    }
    if (host->alias_count < NAMES_ALIASES_MAX && res_hnok(alias))
        host->aliases[host->alias_count++] = alias_copy;
    else
        free(alias_copy);
    free(host->name);
    host->name = copy;
    return true;
}

static bool name_host(struct names_host *host, const char *name)
{
    if (host->name == NULL)
        host->name = strdup(name);
    return host->name != NULL;
}

/* Take what one record says. *expected: the name that is being followed. Return: as names_read_answer(); NO_DATA:
 * nothing. */
static int take_record(const struct reader *reader, const struct record *record, unsigned type,
                       char expected[NS_MAXDNAME], struct names_host *host)
{
    const unsigned address_length = type == ns_t_a ? NS_INADDRSZ : NS_IN6ADDRSZ;
    char target[NS_MAXDNAME];

    if (record->class != ns_c_in || strcasecmp(record->owner, expected) != 0)
        return NO_DATA;
    if (record->type == ns_t_cname || record->type == ns_t_ptr) {
        bool is_alias = record->type == ns_t_cname;

        if (!is_alias && type != ns_t_ptr)
            return NO_DATA;
        if (!read_target(reader, record, target))
            return NO_RECOVERY;
        if (is_alias && type == ns_t_ptr) { /* of a network smaller than an octet (RFC 2317) */
            strcpy(expected, target);
            return NO_DATA;
        }
        if (!is_alias)
            return host->name != NULL || !res_hnok(target) ? NO_DATA : name_host(host, target) ? 0 : NETDB_INTERNAL;
        if (!(res_hnok(target) ? rename_host(host, expected, target) : name_host(host, expected)))
            return NETDB_INTERNAL;
        strcpy(expected, target); /* followed in any case */
        return NO_DATA;
    }
    if (record->type != type || record->length != address_length)
        return NO_DATA;
    if (!name_host(host, expected) ||
        !names_host_add(host, type == ns_t_a ? AF_INET : AF_INET6, record->data, 0))
        return NETDB_INTERNAL;
    return 0;
}

int names_read_answer(const struct names_answer *answer, int type, struct names_host *host)
{
    struct reader reader = {answer->bytes, answer->bytes + answer->length, answer->bytes};
    char expected[NS_MAXDNAME];
    struct record record;
    unsigned questions, count;
    int code = NO_DATA;

    if (answer->bytes == NULL || answer->length < NS_HFIXEDSZ)
        return NO_RECOVERY;
    reader.at += 4;
    questions = read_16(&reader);
    count = read_16(&reader);
    reader.at += 4;
    if (questions != 1 || !read_name(&reader, expected) || bytes_left(&reader) < NS_QFIXEDSZ)
        return NO_RECOVERY;
    reader.at += NS_QFIXEDSZ;
    while (count-- > 0 && reader.at < reader.end) {
        int its_code = read_record(&reader, &record) ? take_record(&reader, &record, (unsigned)type, expected, host)
                                                     : NO_RECOVERY;

        if (its_code == NETDB_INTERNAL)
            return its_code;
        if (its_code == NO_RECOVERY) /* what came before it holds */
            return code == 0 ? 0 : NO_RECOVERY;
        if (its_code == 0)
            code = 0;
    }
    return code;
}
