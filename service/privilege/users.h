/* users.h - users and groups by name. */
#ifndef SIDESTACK_USERS_H
#define SIDESTACK_USERS_H

#include <stdbool.h>
#include <sys/types.h>

/* Find a user, by name or by number; *group: the one that the machine's database gives it, for a number that it does
 * not know the same number. Return: is there one? */
bool users_find(const char *name, uid_t *user, gid_t *group);

/* Find a group, by name or by number. */
bool users_find_group(const char *name, gid_t *group);

/* From now on no other program and no module of libc's is asked (nsswitch.conf(5)): only names that were looked up
 * before and those of /etc/passwd and /etc/group are known. */
void users_seclude(void);

#endif
