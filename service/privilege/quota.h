/* quota.h - what one user may take of what there is, so that the others have theirs. */
#ifndef SIDESTACK_QUOTA_H
#define SIDESTACK_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

TAILQ_HEAD(retired_list, socket);

/* What a user has; held by each of the user's programs. */
struct quota {
    LIST_ENTRY(quota) link;
    unsigned holders;
    uid_t uid;
    size_t sockets, clients;
    size_t passed;        /* descriptors that its programs passed and that are not closed yet (service/passed.c) */
    struct retired_list retired; /* oldest first; socket.c's */
    size_t retired_count;
    struct cork_page *cork_page; /* held; NULL: none of its programs has corked a socket (service/cork.h) */
    uint64_t turn;        /* of the loop, when it asked last */
    unsigned in_turn;     /* requests in that turn */
    uint64_t earned_us;   /* until when what it may ask for has been counted */
    uint64_t allowance;   /* requests that it may make now, times a million */
};

/* Each user at most; 0: no limit; QUOTA_HALF: of what there is. Root and the service's own user have none. */
struct quota_limits {
    size_t sockets, clients;
    unsigned requests; /* a second */
};

struct quota_counters {
    uint64_t sockets_refused, clients_refused;
    uint64_t requests_delayed; /* times that a client had to wait, for its user had asked for too much */
};
extern struct quota_counters quota_counters;

#define QUOTA_HALF ((size_t)-1)
#define QUOTA_REQUESTS_DEFAULT 50000

/* From now on these hold. sockets, clients: how many there may be in all. */
void quota_set(const struct quota_limits *limits, size_t sockets, size_t clients);

/* The user's, held once more. Return: NULL when out of memory. */
struct quota *quota_hold(uid_t uid);

void quota_release(struct quota *quota);

/* One more socket, control connection: may it be? Each one that may is given back. */
bool quota_has_room(struct quota *quota); /* for a socket: counts it as refused if not */
bool quota_take_socket(struct quota *quota);
void quota_give_socket(struct quota *quota);
bool quota_take_client(struct quota *quota);
void quota_give_client(struct quota *quota);

/* Who has the most retired records. Return: NULL: there is nobody. */
struct quota *quota_with_most_retired(void);

/* One that was there before (--takeover): it may. */
void quota_restore_socket(struct quota *quota);
void quota_restore_client(struct quota *quota);

/* One more request, in this turn of the loop. Return: 0: now; QUOTA_NEXT_TURN: others come first; else microseconds to
 * wait. */
int64_t quota_take_request(struct quota *quota, uint64_t turn, uint64_t now_us);
#define QUOTA_NEXT_TURN (-1)

#endif
