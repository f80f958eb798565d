/*
 * quota.c - what one user may take of what there is, so that the others have theirs.
 *
 * Sockets and control connections have a number that a user can have. Requests have a rate: an allowance grows with
 * time up to that of one second, and each request takes one from it; who has none waits, and with it its other
 * requests. Besides, while more than one user has something here, one of them gets no more than TURN_REQUESTS done in a
 * turn of the loop, so that a flood from a thousand connections delays nobody by more than that.
 */
#include "quota.h"

#include "service/cork.h"
#include "service/log/log.h"

#include <stdlib.h>
#include <sys/param.h>
#include <unistd.h>

/* Some 10 us each: measured, a socket made and closed. */
#define TURN_REQUESTS 32

#define MILLION UINT64_C(1000000)

struct quota_counters quota_counters;

static LIST_HEAD(, quota) all = LIST_HEAD_INITIALIZER(all); /* a few: users, not programs */
static struct quota_limits limits;

void quota_set(const struct quota_limits *wanted, size_t sockets, size_t clients)
{
    limits = *wanted;
    if (limits.sockets == QUOTA_HALF)
        limits.sockets = MAX(sockets / 2, 1);
    if (limits.clients == QUOTA_HALF)
        limits.clients = MAX(clients / 2, 1);
}

static bool is_exempt(const struct quota *quota)
{
    return quota->uid == 0 || quota->uid == geteuid();
}

struct quota *quota_hold(uid_t uid)
{
    struct quota *quota;

    LIST_FOREACH(quota, &all, link)
        if (quota->uid == uid)
            break;
    if (quota == NULL) {
        quota = calloc(1, sizeof *quota);
        if (quota == NULL)
            return NULL;
        quota->uid = uid;
        TAILQ_INIT(&quota->retired);
        quota->allowance = limits.requests * MILLION;
        LIST_INSERT_HEAD(&all, quota, link);
    }
    quota->holders++;
    return quota;
}

void quota_release(struct quota *quota)
{
    if (quota == NULL || --quota->holders > 0)
        return;
    LIST_REMOVE(quota, link);
    cork_release_page(quota->cork_page);
    free(quota);
}

bool quota_has_room(struct quota *quota)
{
    if (limits.sockets == 0 || quota->sockets < limits.sockets || is_exempt(quota))
        return true;
    quota_counters.sockets_refused++;
    log_warnx("quota: user %u has %zu sockets, and gets no more (user-sockets)", (unsigned)quota->uid, quota->sockets);
    return false;
}

bool quota_take_socket(struct quota *quota)
{
    bool has_room = quota_has_room(quota);

    quota->sockets += has_room;
    return has_room;
}

void quota_give_socket(struct quota *quota)
{
    quota->sockets--;
}

bool quota_take_client(struct quota *quota)
{
    if (limits.clients > 0 && quota->clients >= limits.clients && !is_exempt(quota)) {
        quota_counters.clients_refused++;
        log_warnx("quota: user %u has %zu control connections, and gets no more (user-clients)", (unsigned)quota->uid, quota->clients);
        return false;
    }
    quota->clients++;
    return true;
}

void quota_give_client(struct quota *quota)
{
    quota->clients--;
}

struct quota *quota_with_most_retired(void)
{
    struct quota *quota, *most = LIST_FIRST(&all);

    LIST_FOREACH(quota, &all, link)
        if (quota->retired_count > most->retired_count)
            most = quota;
    return most;
}

void quota_restore_socket(struct quota *quota)
{
    quota->sockets++;
}

void quota_restore_client(struct quota *quota)
{
    quota->clients++;
}

/* Is there nobody to come first? */
static bool is_alone(const struct quota *quota)
{
    return LIST_FIRST(&all) == quota && LIST_NEXT(quota, link) == NULL;
}

/* Let the allowance grow. */
static void earn(struct quota *quota, uint64_t now_us)
{
    uint64_t passed_us = MIN(now_us - quota->earned_us, MILLION);

    quota->allowance = MIN(quota->allowance + passed_us * limits.requests, limits.requests * MILLION);
    quota->earned_us = now_us;
}

int64_t quota_take_request(struct quota *quota, uint64_t turn, uint64_t now_us)
{
    if (quota->turn != turn)
        quota->in_turn = 0;
    quota->turn = turn;
    if (quota->in_turn >= TURN_REQUESTS && !is_alone(quota))
        return QUOTA_NEXT_TURN;
    if (limits.requests > 0 && !is_exempt(quota)) {
        earn(quota, now_us);
        if (quota->allowance < MILLION) {
            quota_counters.requests_delayed++;
            log_warnx("quota: user %u asks more than %u times a second, and has to wait (user-requests)", (unsigned)quota->uid,
                      limits.requests);
            return (int64_t)((MILLION - quota->allowance) / limits.requests + 1);
        }
        quota->allowance -= MILLION;
    }
    quota->in_turn++;
    return 0;
}
