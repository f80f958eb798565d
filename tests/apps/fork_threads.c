/*
 * fork_threads.c - ADDRESS PORT FORKS: threads make connections all the time while the main thread forks.
 *
 * Every child makes a connection of its own and uses one that it inherited; every tenth does so after exec. What is
 * locked, cached or kept open in the parent at the moment of the fork must be no matter to it. At the end it says how
 * many children and threads' connections failed, and whether the process has more descriptors than before.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/protocol.h"
#include "tests/descriptors.h"

#define THREADS     3
#define AT_ONCE     4  /* children */
#define EXEC_EVERY  10 /* children */
#define TIMEOUT_S   20
#define INHERITED   50 /* the number of the inherited connection */

static struct sockaddr_in server = {.sin_family = AF_INET};
static _Atomic bool is_over;
static _Atomic unsigned connections, failures;

/* Send a word to the echo server, and hear it. */
static bool exchange(int fd, unsigned word)
{
    unsigned answer = ~word;

    return send(fd, &word, sizeof word, MSG_NOSIGNAL) == sizeof word &&
           recv(fd, &answer, sizeof answer, MSG_WAITALL) == sizeof answer && answer == word;
}

/* Return: a connection, or -1. */
static int make_connection(void)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 ||
                    connect(fd, (struct sockaddr *)&server, sizeof server) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool connect_and_exchange(unsigned word)
{
    int fd = make_connection();
    bool is_right = fd >= 0 && exchange(fd, word);

    if (!is_right)
        perror("a connection failed");
    if (fd >= 0)
        close(fd);
    return is_right;
}

static void *run_thread(void *number)
{
    unsigned word = (unsigned)(size_t)number << 24;

    while (!is_over) {
        connections++;
        failures += !connect_and_exchange(word++);
    }
    return NULL;
}

/* A child's work. Return: its exit status. */
static int run_child(unsigned word)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;

    if (!connect_and_exchange(word))
        return 2;
    /* The inherited connection is everyone's, so only its names are asked for. */
    if (getpeername(INHERITED, (struct sockaddr *)&peer, &length) < 0 || peer.sin_port != server.sin_port)
        return 3;
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    unsigned forks, bad = 0, running = 0;
    int fd, status, descriptors;

    if (argc < 4 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        return 2;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    forks = (unsigned)atoi(argv[3]);
    if (forks == 0) /* a child after exec */
        return run_child((unsigned)getpid());

    fd = make_connection();
    if (fd < 0 || dup2(fd, INHERITED) < 0)
        return 2;
    close(fd);
    connect_and_exchange(0);
    descriptors = count_descriptors();
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run_thread, (void *)i);
    for (unsigned i = 0; i < forks || running > 0;) {
        if (i < forks && running < AT_ONCE) {
            if (fork() == 0) {
                if (i % EXEC_EVERY == 0)
                    execl("/proc/self/exe", argv[0], argv[1], argv[2], "0", NULL);
                _exit(run_child(i));
            }
            i++;
            running++;
        } else {
            wait(&status);
            if (status != 0 && bad++ == 0)
                printf("a child ended with %#x\n", status);
            running--;
        }
    }
    is_over = true;
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%u children, %u failed\n", forks, bad);
    printf("threads' connections: %s, %u failed\n", connections > 0 ? "some" : "none", failures);
    /* The library keeps a few connections to the service, one for each thread that was busy at the same time, and a few
     * sockets that were made beforehand. */
    printf("descriptors: %s\n",
           count_descriptors() <= descriptors + THREADS + 1 + PROTOCOL_SPARES_MAX ? "as before" : "more than before");
    fprintf(stderr, "%u connections of the threads, %d descriptors before, %d after\n", connections, descriptors,
            count_descriptors());
    return 0;
}
