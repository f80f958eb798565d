/*
 * loop_guard.c - a thread that interrupts the loop when one of its system calls waits.
 *
 * The loop calls nothing that waits, but for what programs can do to it: they send descriptors where they like, with
 * requests, in the bytes of a pair, to the name of the pairs. When the service is the last to have such a one, the
 * kernel closes it in the middle of whatever the service does: reads and ignores it, or closes the socket in which it
 * lies unread. A socket of the kernel's that has SO_LINGER on then waits for its peer, for as long as its maker said.
 * That can't be seen beforehand, nor prevented: who asks for all descriptors, to take that option away, gets some that
 * are worse to close (passed.c), and the option can be set again meanwhile. But a signal ends the wait.
 *
 * So the loop counts its steps: an odd number while it works. The thread looks at it LOOK_US after work began, and if
 * it is the same work sends a signal, again and again until that is done; a loop that is only slow does not mind. Who
 * sends one will send more: for a while after it looks sooner, so that each takes no more of the loop's time than one
 * of many in a row. When it finds the loop at rest it sleeps until that works again: an idle service has no wake-ups of its own by this, a
 * busy one some hundred in a second.
 */
#include "loop_guard.h"

#include "thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* From the beginning of some work to the first look, and from one signal to the next. */
#define LOOK_US 10000
#define AGAIN_US 500
/* So many looks are from the beginning of some work on as soon as a signal would follow another: 200 ms of work. */
#define SOONER_LOOKS 400

static atomic_uint step;        /* of the loop; odd: it works */
static atomic_uint is_sleeping; /* 0, 1: the thread, until work begins */
static atomic_uint never;       /* always 0: to wait for a time */
static pid_t guarded;

/* Wait while *word is `value`; timeout_us 0: without end. Return: for whatever reason. */
static void futex_wait(atomic_uint *word, unsigned value, unsigned timeout_us)
{
    const struct timespec timeout = {.tv_nsec = (long)timeout_us * 1000};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_us > 0 ? &timeout : NULL, NULL, 0);
}

static bool is_work(unsigned number)
{
    return number % 2 != 0;
}

/* Until the loop works. Return: its step. */
static unsigned wait_for_work(void)
{
    unsigned now;

    while (!is_work(now = atomic_load(&step))) {
        atomic_store(&is_sleeping, 1);
        if (!is_work(atomic_load(&step)))
            futex_wait(&is_sleeping, 1, 0);
        atomic_store(&is_sleeping, 0);
    }
    return now;
}

static void run(void)
{
    unsigned sooner = 0;

    for (;;) {
        unsigned work = wait_for_work();
        bool is_sooner = sooner > 0;

        futex_wait(&never, 0, is_sooner ? AGAIN_US : LOOK_US);
        if (is_sooner)
            sooner--;
        else if (atomic_load(&step) == work)
            sooner = SOONER_LOOKS;
        while (atomic_load(&step) == work) {
            (void)syscall(SYS_tgkill, getpid(), guarded, LOOP_GUARD_SIGNAL);
            futex_wait(&never, 0, AGAIN_US);
        }
    }
}

static void do_nothing(int signal)
{
    (void)signal;
}

int loop_guard_start(void)
{
    const struct sigaction action = {.sa_handler = do_nothing, .sa_flags = SA_RESTART};

    if (sigaction(LOOP_GUARD_SIGNAL, &action, NULL) < 0)
        return -errno;
    guarded = (pid_t)syscall(SYS_gettid);
    return thread_start(run, THREAD_FILES_NONE);
}

void loop_guard_begin(void)
{
    atomic_fetch_add(&step, 1);
    if (atomic_load(&is_sleeping) != 0 && atomic_exchange(&is_sleeping, 0) != 0)
        (void)syscall(SYS_futex, &is_sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void loop_guard_end(void)
{
    atomic_fetch_add(&step, 1);
}
