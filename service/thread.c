/* thread.c - starts the threads that help the service. */
#include "thread.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)65536)

struct start {
    void (*run)(void);
    enum thread_files files;
    int error;
    sem_t begun;
};

/* Leave the table of descriptors that all threads share. Return: 0 or -errno. */
static int leave_files(void)
{
    if (unshare(CLONE_FILES) < 0 || close_range(STDERR_FILENO + 1, UINT_MAX, 0) < 0)
        return -errno;
    return 0;
}

/* libc has made its own system calls by now. */
static void *begin(void *argument)
{
    struct start *start = argument;
    void (*run)(void) = start->run;
    int error = start->files == THREAD_FILES_NONE ? leave_files() : 0;

    start->error = error;
    sem_post(&start->begun);
    if (error == 0)
        run();
    return NULL;
}

int thread_start(void (*run)(void), enum thread_files files)
{
    struct start start = {.run = run, .files = files};
    sigset_t every, before;
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    sigfillset(&every);
    error = pthread_attr_init(&attributes);
    if (error != 0)
        return -error;
    sem_init(&start.begun, 0, 0); /* can't fail so */
    error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (error == 0)
        error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (error == 0)
        error = pthread_sigmask(SIG_SETMASK, &every, &before);
    if (error == 0) {
        error = pthread_create(&thread, &attributes, begin, &start);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    while (error == 0 && sem_wait(&start.begun) < 0)
        ; /* a signal */
    sem_destroy(&start.begun);
    pthread_attr_destroy(&attributes);
    return error != 0 ? -error : start.error;
}
