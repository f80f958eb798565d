/*
 * loop_guard.c - a timer that interrupts the loop when one of its system calls waits.
 *
 * The loop calls nothing that waits, but for what programs can do to it: they send descriptors where they like, with
 * requests, in the bytes of a pair, to the name of the pairs. When the service is the last to have such a one, the
 * kernel closes it in the middle of whatever the service does: reads and ignores it, or closes the socket in which it
 * lies unread. A socket of the kernel's that has SO_LINGER on then waits for its peer, for as long as its maker said.
 * That can't be seen beforehand, nor prevented: who asks for all descriptors, to take that option away, gets some that
 * are worse to close (passed.c), and the option can be set again meanwhile. But a signal ends the wait.
 *
 * So while the loop works a signal comes every LOOK_US, whatever it does: calls that do not wait never notice. When it
 * finds the same piece of work as the last one the next comes AGAIN_US later. Who sends such a descriptor will send
 * more: so it goes on for SOONER_LOOKS, and each takes no more of the loop's time than one of many in a row. When it
 * finds the loop at rest it is the last one until there is work again: an idle service is woken by none, one that has
 * little to do once more for each time.
 *
 * It is no thread of its own, because libc takes shortcuts with a process that has only one (docs/performance.md).
 */
#include "loop_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LOOK_US 10000
#define AGAIN_US 500
#define SOONER_LOOKS 400 /* 200 ms of work */

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile sig_atomic_t is_working;
static volatile sig_atomic_t is_timed; /* a signal will come */
static volatile unsigned work;         /* the number of the piece of work, ... */
static volatile unsigned timed_work;   /* ... and of that which the timer was set for */
static volatile unsigned sooner;       /* so many looks more are AGAIN_US apart */
static timer_t timer;
static bool has_timer;

static void set_timer(void)
{
    const struct itimerspec time = {.it_value.tv_nsec = (sooner > 0 ? AGAIN_US : LOOK_US) * 1000l};

    timed_work = work;
    is_timed = timer_settime(timer, 0, &time, NULL) == 0;
}

/* The signal, which has interrupted what waits already. */
static void look(int signal)
{
    const int error = errno;

    (void)signal;
    if (is_working && work == timed_work)
        sooner = SOONER_LOOKS;
    else if (sooner > 0)
        sooner = sooner - 1;
    is_timed = false;
    if (is_working)
        set_timer();
    errno = error;
}

int loop_guard_start(void)
{
    const struct sigaction action = {.sa_handler = look, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LOOP_GUARD_SIGNAL};

    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (sigaction(LOOP_GUARD_SIGNAL, &action, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) < 0)
        return -errno;
    has_timer = true;
    return 0;
}

void loop_guard_begin(void)
{
    work++;
    is_working = true;
    if (!is_timed && has_timer)
        set_timer();
}

void loop_guard_end(void)
{
    is_working = false;
}
