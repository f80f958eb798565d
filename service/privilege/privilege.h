/* privilege.h - what the service may do to the machine: less and less while it starts, nothing much while it serves. */
#ifndef SIDESTACK_PRIVILEGE_H
#define SIDESTACK_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

/* Whom the service runs as. */
struct privilege_identity {
    uid_t user;
    gid_t group;
    bool is_chosen; /* by the setting `user`, not by us */
};

/* The user that root's service becomes when the setting names none and the machine has it. */
#define PRIVILEGE_USER "sidestack"

/* Choose: the user of this name; NULL: of a service that root starts PRIVILEGE_USER if there is one, else who it is
 * now. Return: 0, -ENOENT (no such user) or -EPERM (only root becomes another one). */
int privilege_choose(const char *user, struct privilege_identity *identity);

/*
 * Become that user for good, with its group alone, no capabilities, and no way to gain any (no_new_privs); leave no
 * core behind. sees_programs: keep CAP_SYS_PTRACE if it is there, which /proc/PID/exe of others' processes takes.
 * Return: 0 or -errno, after saying what failed.
 */
int privilege_drop(const struct privilege_identity *identity, bool sees_programs);

/* Were the rules to ask for programs from now on: could they be told? No: the capability was there and was given up. */
bool privilege_sees_programs(void);

#endif
