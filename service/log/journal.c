/*
 * journal.c - what a program has done to a socket so far: one struct protocol_setting after the other, in order.
 *
 * Order matters: SO_REUSEADDR before bind() is not the same as after. What a later value makes void is left out, back
 * to the last bind(); but not the options that add up (memberships in groups).
 */
#include "journal.h"

#include "stack/archive.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define JOURNAL_BYTES_MAX 4096 /* some 200 options */

struct journal {
    uint32_t length;
    uint32_t after_bind; /* where the last bind ends */
    uint8_t bytes[];
};

/* Bytes of an entry: its value begins and ends at a multiple of four. */
static uint32_t entry_size(const struct protocol_setting *setting)
{
    return (uint32_t)sizeof *setting + ((setting->length + 3) & ~UINT32_C(3));
}

/* Does each one count, not only the last? */
static bool adds_up(int32_t level, int32_t name)
{
    if (level == IPPROTO_IP)
        return (name >= IP_ADD_MEMBERSHIP && name <= MCAST_MSFILTER);
    return level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP || name == IPV6_LEAVE_GROUP || name == IPV6_JOIN_ANYCAST ||
                                     name == IPV6_LEAVE_ANYCAST || (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER));
}

static void remove_older(struct journal *journal, int32_t level, int32_t name)
{
    uint32_t at = journal->after_bind;

    while (at < journal->length) {
        struct protocol_setting setting;
        uint32_t size;

        memcpy(&setting, journal->bytes + at, sizeof setting);
        size = entry_size(&setting);
        if (setting.level == level && setting.name == name) {
            memmove(journal->bytes + at, journal->bytes + at + size, journal->length - at - size);
            journal->length -= size;
            return;
        }
        at += size;
    }
}

static void append(struct journal **journal, const struct protocol_setting *setting, const void *value)
{
    uint32_t size = entry_size(setting), length = *journal != NULL ? (*journal)->length : 0;
    struct journal *larger;

    if (size > PROTOCOL_OPTION_MAX || length + size > JOURNAL_BYTES_MAX)
        return;
    larger = realloc(*journal, sizeof *larger + length + size);
    if (larger == NULL)
        return;
    if (*journal == NULL)
        *larger = (struct journal){.length = 0};
    memset(larger->bytes + length, 0, size);
    memcpy(larger->bytes + length, setting, sizeof *setting);
    memcpy(larger->bytes + length + sizeof *setting, value, setting->length);
    larger->length += size;
    *journal = larger;
}

void journal_note_option(struct journal **journal, const struct protocol_message *request)
{
    const struct protocol_setting setting = {request->args[0], request->args[1], request->option_length};

    if (*journal != NULL && !adds_up(setting.level, setting.name))
        remove_older(*journal, setting.level, setting.name);
    append(journal, &setting, request->option);
}

void journal_note_bind(struct journal **journal, const struct protocol_address *address, bool is_chosen)
{
    const struct protocol_setting setting = {PROTOCOL_SETTING_BIND, is_chosen, address->length};

    append(journal, &setting, address->bytes);
    if (*journal != NULL)
        (*journal)->after_bind = (*journal)->length;
}

uint32_t journal_read(const struct journal *journal, uint32_t offset, struct protocol_message *reply)
{
    uint32_t end = offset;

    reply->option_length = 0;
    while (journal != NULL && end < journal->length) {
        struct protocol_setting setting;

        memcpy(&setting, journal->bytes + end, sizeof setting);
        if (end - offset + entry_size(&setting) > sizeof reply->option)
            break;
        end += entry_size(&setting);
    }
    if (end > offset) {
        reply->option_length = end - offset;
        memcpy(reply->option, journal->bytes + offset, end - offset);
    }
    return journal != NULL && end > offset && end < journal->length ? end : 0;
}

void journal_handover(struct archive *archive, struct journal **journal)
{
    size_t length = *journal != NULL ? sizeof **journal + (*journal)->length : 0;
    const struct journal *kept = archive_bytes(archive, "journal", *journal, &length);
    struct journal head;

    if (archive->is_writing || length < sizeof head)
        return;
    memcpy(&head, kept, sizeof head);
    if (head.length != length - sizeof head || head.after_bind > head.length) {
        archive_fail(archive, -EPROTO);
        return;
    }
    *journal = malloc(length);
    if (*journal == NULL)
        archive_fail(archive, -ENOMEM);
    else
        memcpy(*journal, kept, length);
}

void journal_free(struct journal **journal)
{
    free(*journal);
    *journal = NULL;
}
