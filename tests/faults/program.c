/*
 * program.c - a program that uses its sockets in many ways, for faults.py to see what happens to it when calls of the
 * service, or of the library in it, fail.
 *
 *   program PEER PEER6 TCP_PORT UDP_PORT TRIES [STEP]...; program: lists the steps
 *
 * Each step is tried until it goes well, TRIES times at most. What failed is said: "STEP CALL ERRNO". A step may fail
 * with what POSIX and Linux's manual pages have for the call (program_outcome.c); anything else, a byte that is wrong, an
 * end of file too early, a descriptor left over or a step that takes longer than STEP_SECONDS is the end, with status 1.
 */
#include "program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOST_MS         500 /* an answer that did not come by then was lost, as datagrams are; each try waits longer */
#define LOST_MS_MAX     20000
#define TIMED_TRIES     8 /* of steps that a busy machine may be too slow for */
#define DESCRIPTORS_MAX 1024

static int step_seconds = 300;
int lost_ms;
struct sockaddr_in peer4, udp4;
struct sockaddr_in6 peer6;

static const struct {
    const char *name;
    bool (*run)(void);
    bool is_timed; /* it waits for something only for so long, as it may be lost */
    bool is_extra; /* only when asked for */
} steps[] = {
    {"short", step_short_exchange, false, false},
    {"blocking", step_blocking, false, false},
    {"long", step_long_exchange, false, false},
    {"exchange6", step_exchange6, false, false},
    {"accepting", step_accepting, true, false},
    {"loopback", step_own_loopback, false, false},
    {"datagram", step_datagram, true, false},
    {"connected", step_connected_datagrams, true, false},
    {"batches", step_batches, true, false},
    {"large", step_large, true, false},
    {"unheard", step_unheard, true, false},
    {"groups", step_groups, false, false},
    {"refused", step_refused, false, false},
    {"options", step_options, false, false},
    {"names", step_names, true, false},
    {"more_names", step_more_names, true, false},
    {"async_names", step_async_names, true, false},
    {"interfaces", step_interfaces, false, false},
    {"on_host", step_on_host, false, false},
    {"bound_on_host", step_bound_on_host, false, false},
    {"many", step_many_sockets, false, false},
    {"epoll", step_by_epoll, false, false},
    {"calls", step_calls, false, false},
    {"lingering", step_lingering, false, false},
    {"copies", step_copies, false, false},
    {"inherited", step_inherited, false, false},
    {"unaccepted", step_unaccepted, false, false},
    {"replaced", step_replaced, false, false},
    {"foreign", step_foreign, false, false},
    {"hold", step_hold, false, true},
};

#define STEPS (sizeof steps / sizeof *steps)

static void out_of_time(int number)
{
    (void)number;
    (void)!write(STDOUT_FILENO, step, strlen(step));
    (void)!write(STDOUT_FILENO, " WRONG: it hangs\n", 17);
    _exit(1);
}

/* How many descriptors does the program know of? The library's own are at its end of the numbers, or close on exec. */
static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        int flags = fcntl(fd, F_GETFD);

        count += flags >= 0 && !(flags & FD_CLOEXEC);
    }
    return count;
}

static void run(size_t which, int tries)
{
    int before = count_descriptors();
    bool done = false;

    step = steps[which].name;
    if (steps[which].is_timed && tries < TIMED_TRIES)
        tries = TIMED_TRIES;
    for (int i = 0; i < tries && !done; i++) {
        lost_ms = i < 6 ? LOST_MS << i : LOST_MS_MAX;
        alarm(steps[which].is_extra ? 0 : (unsigned)step_seconds);
        done = steps[which].run();
        alarm(0);
        if (count_descriptors() != before)
            end("a descriptor is left");
    }
    if (!done)
        end("it never goes well");
}

int main(int argc, char **argv)
{
    int tries;

    if (argc < 6) {
        for (size_t i = 0; i < STEPS; i++)
            if (!steps[i].is_extra)
                puts(steps[i].name);
        return 0;
    }
    step = "start";
    setlocale(LC_ALL, "C.UTF-8"); /* what names are written in */
    signal(SIGALRM, out_of_time);
    signal(SIGPIPE, SIG_IGN);
    peer4 = udp4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
    peer6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = peer4.sin_port};
    inet_pton(AF_INET, argv[1], &peer4.sin_addr);
    inet_pton(AF_INET6, argv[2], &peer6.sin6_addr);
    udp4.sin_addr = peer4.sin_addr;
    udp4.sin_port = htons((uint16_t)atoi(argv[4]));
    tries = atoi(argv[5]);
    if (getenv("FAULTS_LIMIT") != NULL)
        step_seconds = atoi(getenv("FAULTS_LIMIT"));
    for (size_t i = 0; i < STEPS; i++) {
        bool wanted = argc == 6 && !steps[i].is_extra;

        for (int at = 6; at < argc; at++)
            wanted |= strcmp(argv[at], steps[i].name) == 0;
        if (wanted)
            run(i, tries);
    }
    puts("done");
    return 0;
}
