/*
 * socket.h - the record of one socket that a program has: its pair, its TCP socket, what was seen of both.
 *
 * A record lives until the program's last copy of the descriptor is closed and TCP needs nothing more of it. One whose
 * pair is used up (reset, failed, shut down both ways) cannot see that close any more: it is retired, kept for those
 * who still ask about it, and the oldest retired ones of who has most go first (SOCKET_RETIRED_MAX).
 */
#ifndef SIDESTACK_SOCKET_H
#define SIDESTACK_SOCKET_H

#include "watch.h"
#include "protocol.h"
#include "stack/stack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

/* Events seen on a connection; the table of names is in socket.c, what follows from each in relay.c. */
enum socket_event {
    EVENT_TAKEN = 1u << 0,         /* the program accepted it, or connected it itself */
    EVENT_PROGRAM_ENDED = 1u << 1, /* the program will write no more */
    EVENT_PROGRAM_GONE = 1u << 2,  /* closed, or shut down both ways */
    EVENT_PROGRAM_RESET = 1u << 3, /* closed with data unread */
    EVENT_PROGRAM_DEAF = 1u << 4,  /* the program will read no more */
    EVENT_FIN_SENT = 1u << 5,      /* all that it wrote, and the FIN, are TCP's */
    EVENT_EOF_GIVEN = 1u << 6,     /* all that the peer sent, and its FIN, are the program's */
    EVENT_FAILED = 1u << 7,        /* TCP is gone, for the reason in .error */
};

/* What a relay has to look at in this turn of the loop. */
enum socket_work {
    WORK_TO_WIRE = 1u << 0,
    WORK_TO_PROGRAM = 1u << 1,
};

/* Options that the stack need not know, as getsockopt() shows them. sockopt_table.c says what is where. */
#define SOCKET_SWITCH_WORDS 2
#define SOCKET_NUMBERS 56
struct socket_options {
    uint64_t switches[SOCKET_SWITCH_WORDS]; /* a bit for each enum sockopt_switch */
    int numbers[SOCKET_NUMBERS];            /* by enum sockopt_number */
    int linger_on, linger_s;
    uint64_t pacing_rate; /* SO_MAX_PACING_RATE, bytes a second */
};

struct datagram;
struct program;
struct journal;
struct rules_who;
struct socket;

/* What the rules have to do with a socket (rules_apply.c). */
struct socket_rules {
    struct rules_who *who;   /* held; who asked last about it; NULL unless .is_watched */
    struct journal *journal; /* owned; what the program did to it; NULL: nothing */
    uint32_t decided;        /* rules_generation by which the program alone decides; 0: none */
    bool is_watched;         /* there were rules when it was made */
    bool is_used;            /* a datagram socket that can't move any more */
    bool is_deaf, is_mute;   /* blackhole: nothing comes in; nothing goes out */
};

/* Who waits for a socket: for the outcome of its handshake, or in close() for its last data to arrive. */
struct waiter {
    struct socket *socket; /* NULL: none is waited for */
    void (*answer)(struct waiter *waiter, int result); /* what became of it, 0 or -errno; the waiter waits no more */
    TAILQ_ENTRY(waiter) link;
};
TAILQ_HEAD(waiter_list, waiter);

TAILQ_HEAD(socket_list, socket);

struct socket {
    struct watch watch; /* first: what epoll gives back */
    uint64_t id;               /* in the log, and in the pair's name */
    struct program *program;   /* held; who made it, or its listening socket; NULL: not known */
    int domain, type, protocol; /* as socket(2) was asked; protocol: the true one, not 0 */
    enum protocol_state state;
    uint32_t events; /* enum socket_event */
    bool is_charged; /* counts in its user's quota */
    uint32_t work;   /* enum socket_work; while not 0 it is ... */
    struct socket_list *work_list; /* ... on this list: socket_busy, socket_brief or socket_postponed */

    int pair_fd;          /* owned; the service's end; -1: used up, the record is retired */
    ino_t program_inode;  /* of the program's end */
    struct stack_tcp *tcp; /* owned; NULL once TCP is done with it */
    void *last_info;       /* owned; what TCP_INFO said when that came (sockopt_keep_info()); NULL: nothing */
    struct datagram *datagram; /* owned; NULL: a TCP socket. All that follows but .options is TCP's */
    bool lingers;         /* a close() was announced that waits for the last acknowledgement */
    bool watches_room;    /* for EPOLLOUT as well */
    bool writes_much;     /* what was read last is no short message: ask how much there is */
    bool pair_grown;      /* pair_grow() was called */
    bool pair_is_empty;   /* the program is gone, and the stale byte went with the last that it wrote */
    bool wire_full;       /* TCP's send queue had no room: go on when there is */

    union stack_address local, peer; /* as they were when the connection was established */
    int error;                       /* positive errno that ended it, 0: none */
    struct socket_options options;
    struct socket_rules rules;
    struct cork_page *cork_page; /* held; where its TCP_CORK is (cork.h); NULL: it is the stack's option */
    unsigned cork_slot;          /* there */

    /* until it is the program's, and while connecting */
    int program_fd;             /* owned; the program's end, until it is passed on: in a reply, or through a listener's queue */
    bool connect_reported;      /* a connect() was told the outcome */
    struct waiter_list waiters; /* for that, or in close() for the last data to arrive */

    /* listening */
    int backlog;
    unsigned untaken_count; /* without the deferred ones, as on Linux */
    struct socket_list untaken; /* children that no accept() took yet: the deferred ones, then the others, oldest first */
    struct cork_page *cork_children; /* held; where the children's TCP_CORK is; NULL: nowhere yet */
    struct socket *undelivered; /* the first of them whose message is not in the pair yet; NULL: all are */

    /* a child not yet taken */
    struct socket *listener; /* NULL: taken, or the listener is gone */
    TAILQ_ENTRY(socket) untaken_link;
    uint64_t deferred_until_us; /* TCP_DEFER_ACCEPT: no accept() before data comes, or then; 0: not deferred */
    TAILQ_ENTRY(socket) deferred_link; /* while .deferred_until_us */

    TAILQ_ENTRY(socket) busy_link;  /* while .work */
    TAILQ_ENTRY(socket) retired_link; /* on its user's list, while it is retired */
    TAILQ_ENTRY(socket) state_link; /* on the list of all live, of all retired, or of all dead sockets */
    struct socket *hash_next;       /* by program_inode */
    struct socket *number_next;     /* by id */
};

/* Wait for it; stop waiting, before the answer (if it waits). */
void socket_wait(struct socket *socket, struct waiter *waiter);
void socket_end_wait(struct waiter *waiter);

/* Answer everyone who waits. */
void socket_answer_waiters(struct socket *socket, int result);

/* Allow at most max records, retired ones not counted. */
void socket_setup(size_t max);

/* Is there room for one more? */
bool socket_has_room(void);

/* Allow at most max of what socket_setup() allows; 0: all of it. */
void socket_limit(size_t max);

/* Make a record with a pair of kind, known by its inode and watched by the loop; its program_fd is in the record for
 * the caller to pass on. Return: 0 and *socket, or -ENFILE at the limit, or -errno. */
int socket_make(char kind, struct socket **socket);

/* A record that another service had, filled in: known, watched, and on its list from now on. Return: 0 or -errno. */
struct socket *socket_restore_new(void);
int socket_restore(struct socket *socket);

/* The records that are kept for questions, oldest first. */
const struct socket_list *socket_retired(void);

/* Give a failed socket a fresh, held pair, as after socket(). Return: 0 or -errno. */
int socket_renew_pair(struct socket *socket);

/* Find by the inode of the program's end. Return: NULL when it is none of ours. */
struct socket *socket_find(ino_t inode);

/* By what number and instance may the program that made it name it (PROTOCOL_FLAG_BY_NUMBER)? instance 0: by none. */
void socket_tell_number(const struct socket *socket, uint32_t *number, uint32_t *instance);

/* Find a live or retired socket by the end of its number. Return: NULL when there is none. */
struct socket *socket_find_number(uint32_t number);

/* Find a live socket by its number. Return: NULL when there is none. */
struct socket *socket_find_id(uint64_t id);

/* It is the program's, whose user may have so many. Return: 0, or -EMFILE: then it is for the caller to destroy. */
int socket_adopt(struct socket *socket, struct program *program);

/* Its TCP socket is new: give it the record's number and user. */
void socket_label(const struct socket *socket);

/* Note an event, and say so at debug level. */
void socket_note(struct socket *socket, enum socket_event event);

/* Ask for work in this turn of the loop. */
void socket_queue_work(struct socket *socket, enum socket_work work);

/* The same for little data: its turn comes before those of all that move much. */
void socket_queue_brief_work(struct socket *socket, enum socket_work work);

/* Ask for work some milliseconds later: something was short, and no event tells when there is enough. Whatever asks for
 * other work meanwhile ends the wait. */
void socket_postpone_work(struct socket *socket, enum socket_work work);

/* Off the list of those with work. Return: what there was to do, enum socket_work. */
uint32_t socket_take_work(struct socket *socket);

/* Wait, or wait no longer, for room in the pair of a stream socket: EPOLLOUT. */
void socket_watch_room(struct socket *socket, bool wanted);

/* A child was taken, or is no more: out of its listener's queue. */
void socket_leave_listener(struct socket *child);

/* A listener ends: destroy what it has accepted and not passed on; what was passed on is no longer its. */
void socket_leave_children(struct socket *listener);

/* Close the pair and keep the record for questions. With the stale byte in place the program sees a reset. */
void socket_retire(struct socket *socket);

/* Forget the record: abort TCP if it is still there, close everything. The memory goes at the end of the turn. */
void socket_destroy(struct socket *socket);

/* Destroy every record, live and retired. */
void socket_destroy_all(void);

/* The end of a turn: free what died in it. */
void socket_sweep(void);

/* Lists for walking: every live socket, and those with work: much, brief, and postponed. */
extern struct socket_list socket_live;
extern struct socket_list socket_busy, socket_brief, socket_postponed;

size_t socket_count(void);

/* How many there may be. */
size_t socket_max(void);

#endif
