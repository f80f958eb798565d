/* access.c - who may do what. */
#include "access.h"

#include "service/program.h"
#include "users.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64

bool access_asks_for_groups;

/* Linux's, of a machine with systemd: everyone may ping. */
static struct access_settings in_force = {
    .lists = {[ACCESS_PORTS] = {.user_count = 1}, [ACCESS_RAW] = {.user_count = 1}, [ACCESS_ADMIN] = {.user_count = 1}, /* root */
              [ACCESS_PING] = {.has_everyone = true}},
    .privileged_ports = IPPORT_RESERVED,
};

/* Add the user or group of this name. Return: is there one, and room? */
static bool add_name(struct access_list *list, const char *name)
{
    uid_t user;
    gid_t group;

    if (strcmp(name, "all") == 0)
        return list->has_everyone = true;
    if (*name == '@' && list->group_count < ACCESS_IDS_MAX && users_find_group(name + 1, &group)) {
        list->groups[list->group_count++] = group;
        return true;
    }
    if (*name != '@' && list->user_count < ACCESS_IDS_MAX && users_find(name, &user, &group)) {
        list->users[list->user_count++] = user;
        return true;
    }
    return false;
}

bool access_list_parse(const char *text, struct access_list *list)
{
    char name[NAME_BYTES];

    *list = (struct access_list){0};
    if (strcmp(text, "none") == 0)
        return true;
    for (const char *end = text; *end != '\0'; text = end + 1) {
        size_t length;

        end = strchrnul(text, ',');
        length = (size_t)(end - text);
        if (length == 0 || length >= sizeof name)
            return false;
        memcpy(name, text, length);
        name[length] = '\0';
        if (!add_name(list, name))
            return false;
    }
    return list->has_everyone || list->user_count + list->group_count > 0;
}

void access_set(const struct access_settings *settings)
{
    in_force = *settings;
    access_asks_for_groups = false;
    for (size_t i = 0; i < ACCESS_RIGHTS; i++)
        access_asks_for_groups |= in_force.lists[i].group_count > 0;
}

static bool is_named(const struct access_list *list, const struct program *program)
{
    for (unsigned i = 0; i < list->user_count; i++)
        if (list->users[i] == program->uid)
            return true;
    for (unsigned i = 0; i < list->group_count; i++)
        if (program_is_in_group(program, list->groups[i]))
            return true;
    return list->has_everyone;
}

bool access_may(const struct program *program, enum access_right right)
{
    return program != NULL && (program->uid == geteuid() || is_named(&in_force.lists[right], program));
}

bool access_owns(const struct program *program, const struct program *owner)
{
    return (program != NULL && owner != NULL && program->uid == owner->uid) || access_may(program, ACCESS_ADMIN);
}

bool access_may_bind(const struct program *program, uint16_t port)
{
    return port == 0 || port >= in_force.privileged_ports || access_may(program, ACCESS_PORTS) ||
           (program != NULL && program_kept_capability(program, CAP_NET_BIND_SERVICE));
}
