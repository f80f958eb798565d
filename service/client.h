/* client.h - control connections: one request at a time from a program, one reply each. */
#ifndef SIDESTACK_CLIENT_H
#define SIDESTACK_CLIENT_H

#include "watch.h"
#include "protocol.h"
#include "socket.h"

struct client {
    struct watch watch; /* first */
    int fd;                    /* owned */
    uint64_t id;
    struct program *program;              /* held; who connected */
    struct rules_who *who;                /* held; who sent a request last, .who_pid and .who_uid; NULL: not asked yet */
    pid_t who_pid;
    uid_t who_uid;
    struct waiter waiter;                 /* PROTOCOL_FLAG_WAIT: for this socket */
    uint16_t waiting_operation;           /* and the request that waits */
    struct lookup *lookup;                /* owned; the DNS lookup that is waited for; NULL: none */
    struct asked *asked;                  /* owned; what it asks, for who takes over; while .lookup */
    uint64_t paused_until_us;             /* not heard before, its user having asked for too much; 0: heard */
    TAILQ_ENTRY(client) paused_link;      /* while .paused_until_us */
    TAILQ_ENTRY(client) link;             /* on the list of all, or of the dead */
};
TAILQ_HEAD(client_list, client);

/* Allow at most max control connections; the listening descriptor is the loop's to watch and ours to read. */
void client_setup(size_t max);

/* Hold a descriptor for the moment in which there is no other. Return: 0 or -errno. */
int client_keep_spare(void);

/* Take the connections that wait at the control socket. */
void client_accept(int control_fd);

/* How one answers what it waited for: .waiter.answer. */
void client_answer_wait(struct waiter *waiter, int result);

/* Read and answer requests, until there are none or the client misbehaved (then it is closed). */
void client_handle(struct client *client, uint32_t epoll_events);

/* All of them go to another service (stack/archive.h); find_socket: by number. */
struct archive;
void client_handover(struct archive *archive, struct socket *(*find_socket)(uint64_t id));
/* They have come, and the wire is ours: ask the name servers again. */
void client_resume(void);

/* How many there may be. */
size_t client_max(void);

/* Microseconds until client_run_timers() has something to do; -1: nothing. */
int64_t client_timer_us(uint64_t now_us);

/* Hear those again that had to wait. */
void client_run_timers(uint64_t now_us);

/* For client_request.c and client_lookup.c: end one; hear it later (false: that can't be). */
void client_destroy(struct client *client);
bool client_pause(struct client *client, uint64_t wait_us);

/* PROTOCOL_RESOLVE; and once more what it asked. Return: 0 when the client waits now, or -errno for the reply. */
int client_lookup_start(struct client *client, const struct protocol_message *request, const uint8_t *tail);
int client_lookup_ask(struct client *client);

/* What it asked goes to another service (stack/archive.h). */
void client_lookup_walk(struct archive *archive, struct client *client);

/* Close every control connection; no more are taken. */
void client_close_all(void);

/* The end of a turn: free what died in it. */
void client_sweep(void);

#endif
