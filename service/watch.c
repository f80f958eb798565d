/*
 * watch.c - what the service waits for, and the wait: awake for a while if that pays, then asleep.
 *
 * Waking a process takes the kernel some microseconds, and many more on a processor that went idle; a round trip
 * through the service has two such wake-ups on its way. So the loop asks for events again and again for a short while
 * (--busy-poll) before it sleeps, but only if that would have been worth it lately: each wait that ended so soon, awake
 * or asleep, gives a point, each longer one takes two away. A service with little to do thus sleeps at once. And only
 * if nobody else could use the processor: /proc/loadavg, looked at now and then, must not have more that want to run
 * than there are processors. (To give it away with sched_yield() is no way: on a busy machine it comes back
 * milliseconds later.)
 *
 * docs/performance.md has what that gives and costs.
 */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POINTS_MAX 16
#define POINTS_ENOUGH 8

/* How often the load is looked at, and how long a busy machine is left alone. */
#define LOAD_EVERY_US 200
#define LOAD_BUSY_US 2000

struct watch_counters watch_counters;

static int epoll_fd = -1;
static bool is_shared; /* another process has, or had, copies of our descriptors */
static uint64_t now_us;
static unsigned poll_max_us, points, processors;
static int load_fd = -1; /* owned; while poll_max_us is not 0 */

static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int watch_setup(void)
{
    now_us = clock_us();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? -errno : 0;
}

void watch_teardown(void)
{
    if (epoll_fd >= 0)
        close(epoll_fd);
    epoll_fd = -1;
}

uint64_t watch_now_us(void)
{
    return now_us;
}

int watch_add(int fd, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int watch_change(int fd, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) < 0 ? -errno : 0;
}

int watch_remove(int fd)
{
    return epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
}

void watch_note_shared(void)
{
    is_shared = true;
}

void watch_close(int fd)
{
    if (is_shared)
        (void)watch_remove(fd); /* it may not be watched any more */
    close(fd);
}

/* ---- The wait ---- */

void watch_set_busy_poll(unsigned poll_us)
{
    cpu_set_t allowed;

    processors = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? (unsigned)CPU_COUNT(&allowed) : 1;
    if (load_fd >= 0)
        close(load_fd);
    load_fd = poll_us > 0 && processors > 1 ? open("/proc/loadavg", O_RDONLY | O_CLOEXEC) : -1;
    poll_max_us = load_fd >= 0 ? poll_us : 0;
    points = 0;
}

static void learn(int64_t waited_us)
{
    if (waited_us <= poll_max_us)
        points += points < POINTS_MAX;
    else
        points -= points < 2 ? points : 2;
}

/* Return: how many want to run, this process among them; more than there can be when that is not known. */
static unsigned count_runnable(void)
{
    char text[64]; /* "0.20 0.18 0.12 3/80 11206": 3 of 80 */
    ssize_t size = pread(load_fd, text, sizeof text - 1, 0);
    char *field;

    text[size > 0 ? size : 0] = '\0';
    field = strchr(text, '/');
    while (field != NULL && field > text && field[-1] != ' ')
        field--;
    return field != NULL ? (unsigned)strtoul(field, NULL, 10) : UINT_MAX;
}

/* Would somebody else run here if this process slept? As of lately. */
static bool is_crowded(int64_t time_us)
{
    static int64_t look_us;
    static bool crowded;

    if (time_us >= look_us) {
        crowded = count_runnable() > processors;
        look_us = time_us + (crowded ? LOAD_BUSY_US : LOAD_EVERY_US);
    }
    return crowded;
}

/* Sleep, to the microsecond where the kernel can (Linux 5.11; not under valgrind), else to the millisecond. */
static int sleep_for_events(struct epoll_event *events, int max, int64_t wait_us)
{
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};
    static bool is_coarse;
    int64_t wait_ms = (wait_us + 999) / 1000;
    int count = -1;

    if (!is_coarse) {
        count = epoll_pwait2(epoll_fd, events, max, wait_us < 0 ? NULL : &wait, NULL);
        is_coarse = count < 0 && errno == ENOSYS;
    }
    if (!is_coarse)
        return count;
    return epoll_wait(epoll_fd, events, max, wait_us < 0 ? -1 : wait_ms < INT_MAX ? (int)wait_ms : INT_MAX);
}

/* Stay awake for a while if that pays, then sleep. */
static int wait_for_events(struct epoll_event *events, int max, int64_t wait_us)
{
    int64_t poll_us = 0, passed_us = 0, begin_us;
    int count = 0;

    if (poll_max_us == 0 || wait_us == 0)
        return sleep_for_events(events, max, wait_us);
    begin_us = (int64_t)clock_us();
    if (points >= POINTS_ENOUGH && !is_crowded(begin_us))
        poll_us = wait_us > 0 && wait_us < poll_max_us ? wait_us : poll_max_us;
    while (count == 0 && passed_us < poll_us) {
        count = watch_look(events, max);
        passed_us = (int64_t)clock_us() - begin_us;
    }
    if (count == 0 && (wait_us < 0 || passed_us < wait_us)) {
        count = sleep_for_events(events, max, wait_us < 0 ? wait_us : wait_us - passed_us);
        passed_us = (int64_t)clock_us() - begin_us;
    }
    if (count > 0)
        learn(passed_us);
    return count;
}

int watch_wait(struct epoll_event *events, int max, int64_t wait_us)
{
    int count = wait_for_events(events, max, wait_us);

    now_us = clock_us();
    watch_counters.waits++;
    watch_counters.events += count > 0 ? (unsigned)count : 0;
    watch_counters.timeouts += count == 0;
    return count;
}

int watch_look(struct epoll_event *events, int max)
{
    return epoll_wait(epoll_fd, events, max, 0);
}
