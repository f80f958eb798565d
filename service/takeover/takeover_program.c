/* takeover_program.c - a program into an archive and out of it, each time that something of its comes by. */
#include "takeover_program.h"

#include "service/program.h"
#include "stack/archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reading: those that came, by number, each held once for this list. */
static struct program **programs;
static size_t program_count;

static struct program *find_program(const struct program *known)
{
    struct program **larger;

    for (size_t i = program_count; i > 0; i--) /* sockets of one program come one after another */
        if (programs[i - 1]->number == known->number)
            return programs[i - 1];
    larger = realloc(programs, (program_count + 1) * sizeof *programs);
    if (larger == NULL)
        return NULL;
    programs = larger;
    programs[program_count] = program_restore(known);
    return programs[program_count] != NULL ? programs[program_count++] : NULL;
}

void takeover_walk_program(struct archive *archive, struct program **program)
{
    struct program known = {0};
    const void *groups;
    size_t length;

    if (archive->is_writing && *program != NULL)
        known = **program;
    ARCHIVE_NUMBER(archive, &known, number);
    if (known.number == 0)
        return;
    ARCHIVE_NUMBER(archive, &known, pid);
    ARCHIVE_NUMBER(archive, &known, uid);
    ARCHIVE_NUMBER(archive, &known, gid);
    ARCHIVE_NUMBER(archive, &known, was_root);
    ARCHIVE_NUMBER(archive, &known, started);
    ARCHIVE_NUMBER(archive, &known, process);
    ARCHIVE_RAW(archive, &known, name);
    length = known.group_count * sizeof *known.groups;
    groups = archive_bytes(archive, "groups", known.groups, &length);
    if (archive->is_writing)
        return;
    *program = find_program(&known);
    if (*program == NULL) {
        archive_fail(archive, -ENOMEM);
        return;
    }
    (*program)->holders++;
    if ((*program)->groups != NULL || length == 0)
        return;
    (*program)->groups = malloc(length);
    if ((*program)->groups == NULL) {
        archive_fail(archive, -ENOMEM);
        return;
    }
    memcpy((*program)->groups, groups, length);
    (*program)->group_count = length / sizeof *known.groups;
}

void takeover_forget_programs(void)
{
    for (size_t i = 0; i < program_count; i++)
        program_release(programs[i]);
    free(programs);
    programs = NULL;
    program_count = 0;
}
