/* control_pool.h - connections to the control socket: a pool that the process's requests share. */
#ifndef SIDESTACK_CONTROL_POOL_H
#define SIDESTACK_CONTROL_POOL_H

#include <stdbool.h>
#include <sys/types.h>

/* One connection, and what it was when it was made. */
struct connection {
    int fd; /* owned by the slot that this is in, or by the one request; -1: none */
    dev_t device;
    ino_t inode;
};

/* What one request uses. */
struct claim {
    struct slot *slot; /* of the pool; NULL: none was free, or the pool is not this process's */
    struct connection *connection;
    struct connection own; /* when slot is NULL */
};

/* Get a connection for one request, which may not be open yet. The caller gives it back; keep: the next request may use
 * it. */
void control_claim(struct claim *claim);
void control_release(struct claim *claim, bool keep);

/*
 * A process that gave up root may be barred from the control socket; then it has what control_keep() made, and its
 * threads take turns. Return: whether the request got a connection of the pool that is open; false after KEPT_WAIT_MS.
 */
bool control_wait_for_kept(struct claim *claim);

/* Connect to the service. Return: 0 or -errno. */
int control_connection_open(struct connection *connection);

/* Is the number still what we opened? Else it belongs to the program now. */
bool control_connection_is_ours(const struct connection *connection);

/* Close it if it is still ours. */
void control_connection_close(struct connection *connection);

/* Say once a process why Internet sockets fail. Return: -ENETDOWN. */
int control_complain(int error);

/* Move fd up, out of the way of the program's numbers, and close-on-exec. Return: the number that it has now. */
int control_move_up(int fd);

/* Is the pool, and what else belongs to one process, this process's? One that is a child that nobody told us of is made
 * ready here. */
bool control_is_own_process(void);

/* See to it that this process can make its next requests without connecting; one that gives up root may not have made
 * any yet. Says nothing when there is no service. */
void control_keep(void);

/* Read the environment, and make requests in the child of a fork work. From the constructor. */
void control_start(void);

#endif
