/*
 * names_async.c - getaddrinfo_a(), gai_suspend(), gai_cancel(): lookups by threads of ours.
 *
 * libc's own would call libc's getaddrinfo() without us. A request waits in a queue until one of at most WORKERS_MAX
 * threads has time for it; a thread that finds the queue empty ends. The lock is held for moments only, and never while
 * a lookup runs; a child of fork() begins with an empty queue and a new lock, and what its parent asked for never comes
 * there, as with libc.
 */
#include "intercept/control.h"
#include "intercept/libc.h"
#include "names.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 16

/* One call of getaddrinfo_a(). */
struct batch {
    size_t left; /* requests that are not finished; freed with the last */
    struct sigevent event;
};

struct job {
    struct gaicb *request; /* the program's */
    struct batch *batch;
    STAILQ_ENTRY(job) link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static STAILQ_HEAD(, job) queue = STAILQ_HEAD_INITIALIZER(queue);
static unsigned workers;
static _Atomic uint32_t finished; /* changes with every request that ends; waited for as a futex */
static atomic_bool has_fork_handler;

static void begin_child(void)
{
    pthread_mutex_init(&lock, NULL);
    STAILQ_INIT(&queue);
    workers = 0;
}

static void *notify_by_thread(void *event)
{
    struct sigevent copy = *(struct sigevent *)event;

    free(event);
    copy.sigev_notify_function(copy.sigev_value);
    return NULL;
}

/* Start a thread that nobody joins, with all signals blocked unless it is the program's. Return: 0 or errno. */
static int start_thread(void *(*function)(void *), void *argument, const pthread_attr_t *given, bool block_signals)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    int error;

    if (pthread_attr_init(&attributes) != 0)
        return ENOMEM;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    if (block_signals)
        pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&thread, given != NULL ? given : &attributes, function, argument);
    if (block_signals)
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

/* All of a batch is done: tell the program as it asked to be told. */
static void notify(const struct sigevent *event)
{
    struct sigevent *copy;

    switch (event->sigev_notify) {
    case SIGEV_SIGNAL:
        (void)sigqueue(getpid(), event->sigev_signo, event->sigev_value);
        break;
    case SIGEV_THREAD:
        copy = malloc(sizeof *copy);
        if (copy == NULL)
            break;
        *copy = *event;
        if (start_thread(notify_by_thread, copy, event->sigev_notify_attributes, false) != 0)
            free(copy);
        break;
    default:
        break;
    }
}

/* A request has its result, or was taken back. The lock is held. Return: its batch when that was the last, for the
 * caller to notify and free. */
static struct batch *finish(struct job *job, int result)
{
    struct batch *batch = job->batch;

    __atomic_store_n(&job->request->__return, result, __ATOMIC_RELEASE);
    free(job);
    atomic_fetch_add(&finished, 1);
    libc_syscall(SYS_futex, (long)&finished, FUTEX_WAKE_PRIVATE, INT32_MAX, 0, 0, 0);
    return --batch->left == 0 ? batch : NULL;
}

static void end_batch(struct batch *batch)
{
    if (batch == NULL)
        return;
    notify(&batch->event);
    free(batch);
}

static void *work(void *unused)
{
    struct batch *ended;
    struct job *job;

    (void)unused;
    pthread_mutex_lock(&lock);
    while ((job = STAILQ_FIRST(&queue)) != NULL) {
        int result;

        STAILQ_REMOVE_HEAD(&queue, link);
        pthread_mutex_unlock(&lock);
        result = names_getaddrinfo(job->request->ar_name, job->request->ar_service, job->request->ar_request,
                                   &job->request->ar_result);
        pthread_mutex_lock(&lock);
        ended = finish(job, result);
        pthread_mutex_unlock(&lock);
        end_batch(ended);
        pthread_mutex_lock(&lock);
    }
    workers--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static bool is_pending(const struct gaicb *request)
{
    return request != NULL && __atomic_load_n(&request->__return, __ATOMIC_ACQUIRE) == EAI_INPROGRESS;
}

/* Wait until something has ended since `seen`. Return: 0, EAI_AGAIN (time-out), EAI_INTR. */
static int wait_for_change(uint32_t seen, const struct timespec *deadline)
{
    long result = libc_syscall(SYS_futex, (long)&finished, FUTEX_WAIT_BITSET_PRIVATE, (long)seen, (long)deadline, 0,
                               (long)FUTEX_BITSET_MATCH_ANY);

    if (result == 0 || errno == EAGAIN)
        return 0;
    return errno == ETIMEDOUT ? EAI_AGAIN : errno == EINTR ? EAI_INTR : 0;
}

int names_gai_suspend(const struct gaicb *const list[], int count, const struct timespec *timeout)
{
    struct timespec deadline;
    int pending = 0, error = 0;

    if (timeout != NULL) {
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += timeout->tv_sec;
        deadline.tv_nsec += timeout->tv_nsec;
        if (deadline.tv_nsec >= 1000000000) {
            deadline.tv_sec++;
            deadline.tv_nsec -= 1000000000;
        }
    }
    for (int i = 0; i < count; i++)
        pending += is_pending(list[i]);
    if (pending == 0)
        return EAI_ALLDONE;
    while (error == 0) {
        uint32_t seen = atomic_load(&finished);
        int now = 0;

        for (int i = 0; i < count; i++)
            now += is_pending(list[i]);
        if (now < pending)
            return 0;
        error = wait_for_change(seen, timeout != NULL ? &deadline : NULL);
    }
    return error;
}

/* Take it out of the queue if it is still there. Return: the job's batch's end through *ended, and EAI_CANCELED,
 * EAI_NOTCANCELED, EAI_ALLDONE. */
static int cancel_one(struct gaicb *request, struct batch **ended)
{
    struct job *job;

    *ended = NULL;
    STAILQ_FOREACH(job, &queue, link) {
        if (job->request != request)
            continue;
        STAILQ_REMOVE(&queue, job, job, link);
        *ended = finish(job, EAI_CANCELED);
        return EAI_CANCELED;
    }
    return is_pending(request) ? EAI_NOTCANCELED : EAI_ALLDONE;
}

int names_gai_cancel(struct gaicb *request)
{
    struct batch *ended = NULL;
    int result = EAI_ALLDONE;
    struct job *job;

    pthread_mutex_lock(&lock);
    if (request != NULL) {
        result = cancel_one(request, &ended);
    } else {
        while ((job = STAILQ_FIRST(&queue)) != NULL) {
            result = cancel_one(job->request, &ended);
            pthread_mutex_unlock(&lock);
            end_batch(ended);
            pthread_mutex_lock(&lock);
            ended = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    end_batch(ended);
    return result;
}

/* Queue the requests, and have threads to work on them. Return: 0, EAI_AGAIN. */
static int enqueue(struct gaicb *list[], int count, struct batch *batch)
{
    int queued = 0;

    for (int i = 0; i < count; i++) {
        struct job *job = list[i] != NULL ? malloc(sizeof *job) : NULL;

        if (list[i] == NULL)
            continue;
        if (job == NULL) {
            list[i]->__return = EAI_SYSTEM;
            batch->left--;
            continue;
        }
        *job = (struct job){.request = list[i], .batch = batch};
        list[i]->__return = EAI_INPROGRESS;
        STAILQ_INSERT_TAIL(&queue, job, link);
        queued++;
    }
    for (int i = 0; i < queued && workers < WORKERS_MAX; i++) {
        if (start_thread(work, NULL, NULL, true) != 0)
            break;
        workers++;
    }
    if (workers > 0)
        return 0;
    for (int i = 0; i < count; i++) { /* nobody would do it */
        struct batch *ended;

        if (list[i] != NULL)
            (void)cancel_one(list[i], &ended);
    }
    return EAI_AGAIN;
}

int names_getaddrinfo_a(int mode, struct gaicb *list[], int count, struct sigevent *event)
{
    struct batch *batch;
    int requests = 0, error;

    if (mode != GAI_WAIT && mode != GAI_NOWAIT) {
        errno = EINVAL;
        return EAI_SYSTEM;
    }
    for (int i = 0; i < count; i++)
        requests += list[i] != NULL;
    batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return EAI_MEMORY;
    batch->left = (size_t)requests + 1; /* one for us */
    batch->event.sigev_notify = SIGEV_NONE;
    if (event != NULL && mode == GAI_NOWAIT)
        batch->event = *event;
    if (!atomic_exchange(&has_fork_handler, true))
        pthread_atfork(NULL, NULL, begin_child);
    pthread_mutex_lock(&lock);
    error = requests > 0 ? enqueue(list, count, batch) : 0;
    batch = --batch->left == 0 ? batch : NULL;
    pthread_mutex_unlock(&lock);
    end_batch(batch);
    if (mode == GAI_WAIT && error == 0) {
        for (int i = 0; i < count; i++)
            while (is_pending(list[i]))
                (void)names_gai_suspend((const struct gaicb *const *)&list[i], 1, NULL);
    }
    return error;
}
