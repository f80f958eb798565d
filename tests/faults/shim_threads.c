/*
 * shim_threads.c - what threads do with the kernel and with each other, and system calls by their number; they fail.
 *
 * What can't fail, as it is used here: pthread_attr_init() and what sets attributes, pthread_sigmask(), sigaction() with
 * a signal that exists, mutexes of the default kind, sem_init(), FUTEX_WAKE.
 */
#include "shim.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Which errors a call of this number may have. */
static const int *errors_of(long number, long what)
{
    static const int never[SHIM_KINDS], some[SHIM_KINDS] = {ENOMEM, 0, EPERM};
    static const int wait[SHIM_KINDS] = {EAGAIN, EINTR, ETIMEDOUT}, signal[SHIM_KINDS] = {EAGAIN, 0, ESRCH};

    switch (number) {
    case SYS_seccomp: /* libseccomp loads its filter by this */
    case SYS_getdents64:
    case SYS_capget:
        return some;
    case SYS_futex:
        what &= FUTEX_CMD_MASK;
        return what == FUTEX_WAIT || what == FUTEX_WAIT_BITSET ? wait : never;
    case SYS_tgkill:
        return signal;
    default:
        return never;
    }
}

SHIM_EXPORT long syscall(long number, ...)
{
    static long (*next)(long, long, long, long, long, long, long);
    int error;
    long a[6];
    va_list list;

    if (next == NULL)
        next = shim_next("syscall");
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    error = shim_fails("syscall", errors_of(number, a[1]));
    if (error != 0) {
        errno = error;
        return -1;
    }
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

SHIM_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *argument)
{
    static __typeof__(pthread_create) *next;
    int error = shim_fails("pthread_create", (const int[SHIM_KINDS]){EAGAIN, 0, EPERM});

    if (next == NULL)
        next = shim_next("pthread_create");
    return error != 0 ? error : next(thread, how, run, argument);
}

/* Interrupted: it returns, and nobody has woken it (POSIX: "spurious wakeups may occur"). */
SHIM_EXPORT int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static __typeof__(pthread_cond_wait) *next;

    if (next == NULL)
        next = shim_next("pthread_cond_wait");
    return shim_fails("pthread_cond_wait", (const int[SHIM_KINDS]){0, EINTR, 0}) != 0 ? 0 : next(condition, mutex);
}

SHIM_EXPORT int sem_wait(sem_t *semaphore)
{
    static __typeof__(sem_wait) *next;
    int error = shim_fails("sem_wait", (const int[SHIM_KINDS]){0, EINTR, 0});

    if (next == NULL)
        next = shim_next("sem_wait");
    if (error == 0)
        return next(semaphore);
    errno = error;
    return -1;
}

SHIM_EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    static __typeof__(sigtimedwait) *next;
    int error = shim_fails("sigtimedwait", (const int[SHIM_KINDS]){0, EINTR, 0});

    if (next == NULL)
        next = shim_next("sigtimedwait");
    if (error == 0)
        return next(set, info, timeout);
    errno = error;
    return -1;
}
