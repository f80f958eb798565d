/*
 * resolver.h - DNS lookups through the stack, by c-ares.
 */
#ifndef SIDESTACK_RESOLVER_H
#define SIDESTACK_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RESOLVER_QUESTIONS 2 /* that one lookup may ask at the same time */

/* More lookups than this at once are refused: for one user, and for all. */
#define RESOLVER_LOOKUPS_USER 256
#define RESOLVER_LOOKUPS_MAX 1024

struct lookup;

/* A DNS message to send. */
struct lookup_question {
    const uint8_t *message;
    size_t length; /* 0: none */
};

/* What came of it. */
struct lookup_answer {
    uint8_t *message; /* NULL: none came; only for the time of lookup_done() */
    size_t length;
    int error;        /* then: -ETIMEDOUT, -ECONNREFUSED (no server would answer), -ENOMEM, ... */
};

/* Every question is answered, or given up. The lookup is gone after the call. */
typedef void lookup_done(void *owner, const struct lookup_answer answers[RESOLVER_QUESTIONS]);

/* Start c-ares. Return: 0 or -errno. */
int resolver_setup(void);

/* End all lookups, without telling their owners, and c-ares. */
void resolver_teardown(void);

/* Is it a DNS message with one question, fit to be sent? */
bool resolver_check_question(const struct lookup_question *question);

/* Send the questions; flags: PROTOCOL_RESOLVE_*. done() is called later, from resolver_run().
 * Return: 0, -EAGAIN (too many lookups under way), -ENOMEM. */
int resolver_start(const struct lookup_question questions[RESOLVER_QUESTIONS], int flags, uid_t uid, lookup_done *done,
                   void *owner, struct lookup **lookup);

/* The owner is no longer interested; done() is not called. */
void resolver_cancel(struct lookup *lookup);

/* Microseconds until resolver_run() has something to do; -1: nothing. now_us: the time of this turn of the loop. */
int64_t resolver_timer_us(uint64_t now_us);

/* Go on with each lookup for which something came, or whose time is over. Once a turn of the loop. */
void resolver_run(uint64_t now_us);

#endif
