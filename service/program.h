/* program.h - who is at the other end of a control connection, and so who made a socket. */
#ifndef SIDESTACK_PROGRAM_H
#define SIDESTACK_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_NAME_BYTES 16 /* TASK_COMM_LEN */

/*
 * A process at one time: who it was when it asked for its first socket on a control connection. After a fork the
 * child's own requests make another one, but what it inherited stays the parent's.
 */
struct program {
    unsigned holders;
    uint32_t number; /* not 0; of no other one */
    uint64_t started;          /* when the process was, in the kernel's ticks; with .pid it is one process for ever; 0: not known */
    uint64_t process;          /* the same for all control connections of a process, as long as it always has one */
    struct program *hash_next; /* while connected */
    pid_t pid; /* 0: of another pid namespace */
    uid_t uid;
    bool was_root; /* when it connected, or at an earlier request */
    gid_t gid;
    struct quota *quota; /* held; the user's */
    size_t group_count;
    gid_t *groups; /* owned; the others that it is in, if access lists ask for groups; NULL: none */
    char name[PROGRAM_NAME_BYTES]; /* of /proc/PID/comm; empty until it makes a socket, or if it can't be read */
};

/* Make one, held once, for a control connection. Return: NULL when out of memory. */
struct program *program_connect(pid_t pid, uid_t uid, gid_t gid);

/* One that was restored has a control connection. */
void program_enter(struct program *program);

/* That connection ended; held no longer. NULL is as good. */
void program_disconnect(struct program *program);

/* One that another service knew, held once: with its number, of which no other one may be made. Return: NULL when out
 * of memory. */
struct program *program_restore(const struct program *known);

/* Hold it once more, for a socket that it makes: from now on it has a name. NULL gives NULL. */
struct program *program_hold(struct program *program);

void program_release(struct program *program);

/* Ask the kernel for the other groups of who connected there. */
void program_read_groups(struct program *program, int fd);

/* Has it kept this capability (linux/capability.h), having been root? Nobody else is asked: of what a process was when
 * it sent a request the kernel vouches for its user alone, and any process could have become another program with
 * capabilities since. */
bool program_kept_capability(const struct program *program, unsigned capability);

bool program_is_in_group(const struct program *program, gid_t group);

#endif
