/*
 * storm.c - ADDRESS PORT (of an echo server): signals, cancellation and exit() at any moment of a socket call.
 *
 *   signals  a timer's signal every 300 us, without SA_RESTART, whose handler makes socket calls itself, while
 *            connections are made, used and closed
 *   cancel   threads that are cancelled at any moment of the same; the process goes on with no descriptor more
 *   exit     processes that call exit() while eight threads are in socket calls
 *
 * Each says in one line what failed; the figures, which differ from run to run, go to standard error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service/protocol.h"
#include "tests/descriptors.h"

#define STORM_ROUNDS   400
#define STORM_US       300
#define CANCEL_ROUNDS  300
#define CANCEL_THREADS 4
#define EXIT_ROUNDS    100
#define EXIT_THREADS   8
#define BLOCK_BYTES    40000
#define POLL_MS        20000

static struct sockaddr_in server = {.sin_family = AF_INET};
static int handlers_fd = -1; /* the connection that the signal handler uses */
static volatile sig_atomic_t handled, handler_failures;
static _Atomic unsigned exchanges;

static bool wait_for(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    int got;

    do {
        got = poll(&poll_fd, 1, POLL_MS);
    } while (got < 0 && errno == EINTR);
    return got == 1;
}

/* connect() that a signal may interrupt. */
static bool connect_whatever_comes(int fd)
{
    int error = 0;
    socklen_t length = sizeof error;

    if (connect(fd, (struct sockaddr *)&server, sizeof server) == 0)
        return true;
    if (errno != EINTR)
        return false;
    return wait_for(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

/* Send a block and hear it again. */
static bool exchange(int fd, unsigned char first)
{
    unsigned char out[BLOCK_BYTES], in[BLOCK_BYTES];
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)(first + i % 251);
    while (sent < sizeof out) {
        ssize_t n = send(fd, out + sent, sizeof out - sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0)
            sent += (size_t)n;
    }
    while (got < sizeof in) {
        ssize_t n = recv(fd, in + got, sizeof in - got, 0);

        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0)
            got += (size_t)n;
    }
    return memcmp(out, in, sizeof in) == 0;
}

/* Not to be cancelled: close() is a cancellation point, also the kernel's; who is cancelled on the way in leaves it
 * open. */
static void close_it(void *fd)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    close(*(int *)fd);
    pthread_setcancelstate(state, &state);
}

/* One connection, from socket() to close(). A cancelled thread closes it as well. */
static bool run_connection(unsigned number)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_right;

    if (fd < 0)
        return false;
    pthread_cleanup_push(close_it, &fd);
    is_right = connect_whatever_comes(fd) && exchange(fd, (unsigned char)number);
    if (!is_right)
        perror("a connection failed");
    pthread_cleanup_pop(1);
    exchanges++;
    return is_right;
}

static void handle(int number)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    char byte;
    int saved_errno = errno;
    bool is_right = getsockname(handlers_fd, (struct sockaddr *)&name, &length) == 0 && name.sin_port != 0;

    /* What the echo server sent for the last signal, if it is there yet; then one byte more. */
    (void)number;
    is_right &= recv(handlers_fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno == EAGAIN;
    is_right &= send(handlers_fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 || errno == EAGAIN;
    handled = handled + 1;
    handler_failures = handler_failures + !is_right;
    errno = saved_errno;
}

static void run_signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    struct itimerval timer = {.it_interval.tv_usec = STORM_US, .it_value.tv_usec = STORM_US};
    struct itimerval none = {0};
    unsigned failures = 0;

    handlers_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (!connect_whatever_comes(handlers_fd))
        failures++;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (unsigned i = 0; i < STORM_ROUNDS; i++)
        failures += !run_connection(i);
    setitimer(ITIMER_REAL, &none, NULL);
    close(handlers_fd);
    printf("signals: %u connections failed, %d handlers\n", failures, (int)handler_failures);
    fprintf(stderr, "%d signals\n", (int)handled);
}

static void *run_until_cancelled(void *number)
{
    for (unsigned i = 0;; i++)
        if (!run_connection((unsigned)(size_t)number + i))
            return "failed";
}

static void run_cancel(void)
{
    unsigned failures = 0;
    int before, after;

    run_connection(0);
    before = count_descriptors();
    srandom(1);
    for (unsigned i = 0; i < CANCEL_ROUNDS; i++) {
        pthread_t threads[CANCEL_THREADS];
        struct timespec moment = {.tv_nsec = random() % 2000000};

        for (size_t j = 0; j < CANCEL_THREADS; j++)
            pthread_create(&threads[j], NULL, run_until_cancelled, (void *)j);
        nanosleep(&moment, NULL);
        for (size_t j = 0; j < CANCEL_THREADS; j++)
            pthread_cancel(threads[j]);
        for (size_t j = 0; j < CANCEL_THREADS; j++) {
            void *result;

            pthread_join(threads[j], &result);
            failures += result != PTHREAD_CANCELED;
        }
    }
    failures += !run_connection(0);
    after = count_descriptors();
    /* The library keeps a few connections to the service, one for each thread that was busy at the same time, and a few
     * sockets that were made beforehand. */
    printf("cancel: %u failed, %s\n", failures,
           after <= before + CANCEL_THREADS + PROTOCOL_SPARES_MAX ? "no descriptors left" : "descriptors left");
    fprintf(stderr, "%u connections until now, %d descriptors before, %d after\n", exchanges, before, after);
}

static void run_exit(void)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < EXIT_ROUNDS; i++) {
        struct timespec moment = {.tv_nsec = random() % 10000000};
        int status;

        if (fork() == 0) {
            alarm(30);
            for (size_t j = 0; j < EXIT_THREADS; j++) {
                pthread_t thread;

                pthread_create(&thread, NULL, run_until_cancelled, (void *)j);
            }
            nanosleep(&moment, NULL);
            fclose(stderr);
            exit(0);
        }
        wait(&status);
        failures += status != 0;
    }
    printf("exit: %u processes failed\n", failures);
}

int main(int argc, char **argv)
{
    if (argc != 3 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        return 2;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    setvbuf(stdout, NULL, _IONBF, 0);
    run_signals();
    run_cancel();
    signal(SIGALRM, SIG_DFL);
    run_exit();
    return 0;
}
