/*
 * users.c - users and groups by name.
 *
 * At the start libc is asked, which may load modules, and have other programs asked, to know a name (nsswitch.conf(5)).
 * In the sandbox nothing of that goes any more. So what was looked up is remembered, for the reload that looks it up
 * again, and what was not is looked for in the files alone.
 */
#include "users.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct known {
    struct known *next;
    bool is_group;
    id_t id;
    gid_t group; /* of a user */
    char name[];
};

static struct known *all; /* for good; as many as settings name */
static bool is_secluded;

static const struct known *recall(const char *name, bool is_group)
{
    const struct known *known = all;

    while (known != NULL && (known->is_group != is_group || strcmp(known->name, name) != 0))
        known = known->next;
    return known;
}

/* For later. Out of memory: then it has to be in the files. */
static void remember(const char *name, bool is_group, id_t id, gid_t group)
{
    size_t size = strlen(name) + 1;
    struct known *known = recall(name, is_group) == NULL ? malloc(sizeof *known + size) : NULL;

    if (known == NULL)
        return;
    *known = (struct known){.next = all, .is_group = is_group, .id = id, .group = group};
    memcpy(known->name, name, size);
    all = known;
}

/* Read a number. Return: is it one? */
static bool read_id(const char *text, id_t *id)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    *id = (id_t)number;
    return *text >= '0' && *text <= '9' && *end == '\0' && number < (id_t)-1;
}

static bool find_in_passwd(const char *name, uid_t *user, gid_t *group)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *entry = NULL;

    if (file == NULL)
        return false;
    while ((entry = fgetpwent(file)) != NULL && strcmp(entry->pw_name, name) != 0)
        ;
    if (entry != NULL) {
        *user = entry->pw_uid;
        *group = entry->pw_gid;
    }
    fclose(file);
    return entry != NULL;
}

static bool find_in_group(const char *name, gid_t *group)
{
    FILE *file = fopen("/etc/group", "re");
    const struct group *entry = NULL;

    if (file == NULL)
        return false;
    while ((entry = fgetgrent(file)) != NULL && strcmp(entry->gr_name, name) != 0)
        ;
    if (entry != NULL)
        *group = entry->gr_gid;
    fclose(file);
    return entry != NULL;
}

bool users_find(const char *name, uid_t *user, gid_t *group)
{
    const struct known *known = recall(name, false);
    const struct passwd *entry;
    id_t number;

    if (known != NULL) {
        *user = known->id;
        *group = known->group;
        return true;
    }
    if (is_secluded)
        return read_id(name, user) ? (*group = *user, true) : find_in_passwd(name, user, group);
    entry = read_id(name, &number) ? getpwuid(number) : getpwnam(name);
    if (entry == NULL && !read_id(name, &number))
        return false;
    *user = entry != NULL ? entry->pw_uid : number;
    *group = entry != NULL ? entry->pw_gid : number;
    remember(name, false, *user, *group);
    return true;
}

bool users_find_group(const char *name, gid_t *group)
{
    const struct known *known = recall(name, true);
    const struct group *entry;

    if (known != NULL) {
        *group = known->id;
        return true;
    }
    if (read_id(name, group))
        return true;
    if (is_secluded)
        return find_in_group(name, group);
    entry = getgrnam(name);
    if (entry == NULL)
        return false;
    *group = entry->gr_gid;
    remember(name, true, *group, 0);
    return true;
}

void users_seclude(void)
{
    is_secluded = true;
}
