/*
 * on_death.c - what a new socket is to do when the service is gone: fail, wait for the service, or be one of the
 * host's.
 *
 * Who says it: the environment (SIDESTACK_ON_DEATH=fail|wait|host); else the service's setting on-death, as it was told
 * with the last socket that this process made, or its parent; else it fails. A program that never reached the service
 * has only the environment. What the library heard is a cache of one number: a process that has not heard it fails
 * clearly, which is the default.
 *
 * Sockets that exist are no part of this: their connections are gone with the service, and say so by themselves.
 */
#include "on_death.h"

#include "libc.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_FIRST_MS 5
#define WAIT_MAX_MS 100

static enum protocol_on_death asked; /* by the environment */
static bool is_asked;
static _Atomic int32_t told;

void on_death_start(void)
{
    static const char *const names[] = {[PROTOCOL_ON_DEATH_FAIL] = "fail", [PROTOCOL_ON_DEATH_WAIT] = "wait", [PROTOCOL_ON_DEATH_HOST] = "host"};
    const char *value = getenv("SIDESTACK_ON_DEATH");

    for (size_t i = 0; value != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            asked = (enum protocol_on_death)i;
            is_asked = true;
        }
    }
}

void on_death_note(int32_t by_service)
{
    atomic_store_explicit(&told, by_service, memory_order_relaxed);
}

enum protocol_on_death on_death_decide(unsigned attempt)
{
    int32_t policy = is_asked ? (int32_t)asked : atomic_load_explicit(&told, memory_order_relaxed);
    int wait_ms = attempt < 5 ? WAIT_FIRST_MS << attempt : WAIT_MAX_MS;
    int saved_errno = errno;

    if (policy == PROTOCOL_ON_DEATH_HOST)
        return PROTOCOL_ON_DEATH_HOST;
    if (policy != PROTOCOL_ON_DEATH_WAIT)
        return PROTOCOL_ON_DEATH_FAIL;
    (void)libc_poll(NULL, 0, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS); /* a cancellation point: nothing is held here */
    errno = saved_errno;
    return PROTOCOL_ON_DEATH_WAIT;
}
