/*
 * kernel.c - puts the cases to the kernel, each in a process of its own: [-j JOBS] [-s] [-l] [FILES] [PATTERN]
 *
 * -s: those that take long, too. -l: only say which there are. FILES: a glob pattern with a '/'; else all. A PATTERN is part
 * of a title. TRACE in the environment: show each segment.
 */
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host.h"
#include "script.h"

#define LIMIT_S 100 /* of one case */

/* The kernel's clock does not wait for us: who has to wait for a processor finds its probes and time-outs sent already.
 * Best effort. */
static void hurry(void)
{
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) < 0)
        perror("sched_setscheduler");
}

/* Wait for one process. Return: whether its case was good. */
static bool reap(void)
{
    int status = 1;

    if (wait(&status) < 0)
        return false;
    if (WIFSIGNALED(status))
        printf("FAILED  ended by signal %d\n", WTERMSIG(status));
    return status == 0;
}

int main(int argc, char **argv)
{
    const char *files = "tests/segments/*.case", *part = NULL;
    struct script_case *cases = NULL;
    size_t jobs = 1, running = 0, ran = 0, failed = 0, count;
    bool slow = false, list = false;
    int option;

    while ((option = getopt(argc, argv, "j:sl")) != -1) {
        if (option == 'j')
            jobs = strtoul(optarg, NULL, 0);
        slow |= option == 's';
        list |= option == 'l';
    }
    for (int i = optind; i < argc; i++)
        *(strchr(argv[i], '/') != NULL ? &files : &part) = argv[i];
    hurry();
    count = script_load_all(files, &cases);
    for (size_t i = 0; i < count; i++) {
        if (!script_is_meant(&cases[i], host.name, part) || (cases[i].slow && !slow))
            continue;
        ran++;
        if (list) {
            printf("%s%s\n", cases[i].title, cases[i].family == AF_INET6 ? " (IPv6)" : "");
            continue;
        }
        if (running == jobs) {
            failed += !reap();
            running--;
        }
        fflush(stdout);
        if (fork() == 0) {
            alarm(LIMIT_S);
            script_run(&cases[i]);
            exit(0);
        }
        running++;
    }
    for (; running > 0; running--)
        failed += !reap();
    printf("%zu cases on the kernel, %zu failed\n", ran, failed);
    return failed > 0 || ran == 0;
}
