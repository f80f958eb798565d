/* access.h - who may do what. */
#ifndef SIDESTACK_ACCESS_H
#define SIDESTACK_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct program;

/* What not everyone may. Root and others by the settings allow-...; the service's own user may all: the stack is that
 * user's. */
enum access_right {
    ACCESS_PORTS, /* ports below the setting privileged-ports */
    ACCESS_RAW,   /* raw sockets, and what Linux wants CAP_NET_ADMIN for in setsockopt(2) */
    ACCESS_PING,  /* ping sockets: echo requests and nothing else */
    ACCESS_ADMIN, /* other users' sockets: see them, end them; record the wire, impair it */
    ACCESS_RIGHTS,
};

#define ACCESS_IDS_MAX 32

/* Who. */
struct access_list {
    bool has_everyone;
    unsigned user_count, group_count;
    uid_t users[ACCESS_IDS_MAX];
    gid_t groups[ACCESS_IDS_MAX];
};

struct access_settings {
    struct access_list lists[ACCESS_RIGHTS];
    unsigned privileged_ports; /* ports below this one */
};

/* Read "all", "none", or names of users and, behind an @, of groups, with commas between. Return: is it that? */
bool access_list_parse(const char *text, struct access_list *list);

/* From now on these hold; it is copied. */
void access_set(const struct access_settings *settings);

/* Does one of the lists name a group? Then programs need theirs. */
extern bool access_asks_for_groups;

bool access_may(const struct program *program, enum access_right right);

/* Is a socket that the owner made its own, or one that it may do as it likes with? owner NULL: not known any more. */
bool access_owns(const struct program *program, const struct program *owner);

/* May it bind a socket to this port? */
bool access_may_bind(const struct program *program, uint16_t port);

#endif
