/* log.c - messages on standard error, one write(2) each, limited per call site. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum log_level log_threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
_Static_assert(sizeof level_names / sizeof *level_names == LOG_LEVEL_DEBUG + 1, "one name a level");

bool log_set_threshold(const char *name)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            log_threshold = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &now) < 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Write one whole line. What can't be written is lost: there is nobody left to tell. */
static void write_line(const char *line, size_t length)
{
    ssize_t written;

    do
        written = write(STDERR_FILENO, line, length);
    while (written < 0 && errno == EINTR);
}

/* May this site speak now? Debug is not limited: who asks for it wants all of it. */
static bool site_admit(struct log_site *site, enum log_level level)
{
    uint64_t now = now_ms();

    if (level == LOG_LEVEL_DEBUG)
        return true;
    if (site->window_start_ms == 0 || now - site->window_start_ms >= LOG_WINDOW_MS) {
        if (site->suppressed > 0) {
            char line[96];
            int length = snprintf(line, sizeof line, "sidestackd: %s: (%u more of the next message were left out)\n",
                                  level_names[level], site->suppressed);

            write_line(line, (size_t)length);
        }
        *site = (struct log_site){.window_start_ms = now};
    }
    if (site->printed < LOG_BURST) {
        site->printed++;
        return true;
    }
    site->suppressed++;
    return false;
}

void log_write(struct log_site *site, enum log_level level, int error, const char *format, ...)
{
    int saved_errno = errno;
    char line[512];
    size_t used;
    va_list args;

    if (!site_admit(site, level)) {
        errno = saved_errno;
        return;
    }
    used = (size_t)snprintf(line, sizeof line, "sidestackd: %s: ", level_names[level]);
    va_start(args, format);
    int added = vsnprintf(line + used, sizeof line - used, format, args);
    va_end(args);
    if (added > 0)
        used += (size_t)added;
    if (error != 0 && used < sizeof line)
        used += (size_t)snprintf(line + used, sizeof line - used, ": %s", strerror(error));
    if (used > sizeof line - 2)
        used = sizeof line - 2;
    line[used++] = '\n';
    write_line(line, used);
    errno = saved_errno;
}
