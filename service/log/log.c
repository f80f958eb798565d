/*
 * log.c - which messages are written: by level, and so many of each call site.
 *
 * A site that has said LOG_BURST messages within LOG_WINDOW_MS is silent for the rest of that time. It stands in the
 * list then, and one line at the end of the window tells how many were left out and what they were like.
 */
#include "log.h"

#include "log_output.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum log_level log_threshold = LOG_LEVEL_INFO;

static struct log_site *silent; /* sites that left something out */

static uint64_t now_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool window_is_over(const struct log_site *site, uint64_t now)
{
    return now - site->window_start_ms >= LOG_WINDOW_MS;
}

/* A site's window is over: tell what was left out, and take it from the list. */
static void end_silence(struct log_site *site)
{
    struct log_site **link = &silent;

    while (*link != NULL && *link != site)
        link = &(*link)->next;
    if (*link != NULL)
        *link = site->next;
    log_write(NULL, site->level, 0, "%u more suppressed in %d s%s%s", site->suppressed, LOG_WINDOW_MS / 1000,
              site->example != NULL ? ", the first: " : "", site->example != NULL ? site->example : "");
    free(site->example);
    *site = (struct log_site){0};
}

/* May this site speak now? */
static bool site_admit(struct log_site *site, enum log_level level)
{
    uint64_t now;

    if (site == NULL || level == LOG_LEVEL_DEBUG)
        return true;
    now = now_ms();
    if (site->printed > 0 && window_is_over(site, now)) {
        if (site->suppressed > 0)
            end_silence(site);
        site->printed = 0;
    }
    if (site->printed == 0)
        site->window_start_ms = now;
    if (site->printed == LOG_BURST)
        return false;
    site->printed++;
    return true;
}

/* Count a message that is left out, and remember the first one. */
static void site_suppress(struct log_site *site, enum log_level level, const char *text)
{
    if (site->suppressed++ > 0)
        return;
    site->level = level;
    site->example = strdup(text);
    site->next = silent;
    silent = site;
}

void log_write(struct log_site *site, enum log_level level, int error, const char *format, ...)
{
    int saved_errno = errno;
    char text[LOG_TEXT_MAX];
    bool is_admitted = site_admit(site, level);
    va_list args;
    int length;

    // cppcheck-suppress nullPointer ; what has no site is admitted
    if (is_admitted || site->suppressed == 0) {
        va_start(args, format);
        length = vsnprintf(text, sizeof text, format, args);
        va_end(args);
        if (error != 0 && length >= 0 && (size_t)length < sizeof text)
            snprintf(text + length, sizeof text - (size_t)length, ": %s", strerror(error));
        log_clean_text(text);
    }
    if (is_admitted)
        log_output_message(level, error, text);
    else
        site_suppress(site, level, text);
    errno = saved_errno;
}

int64_t log_timer_us(uint64_t now_us)
{
    int64_t wait = -1;

    for (const struct log_site *site = silent; site != NULL; site = site->next) {
        uint64_t end_us = (site->window_start_ms + LOG_WINDOW_MS) * 1000;
        int64_t left = now_us < end_us ? (int64_t)(end_us - now_us) : 0;

        wait = wait < 0 || left < wait ? left : wait;
    }
    return wait;
}

void log_run_timers(uint64_t now_us)
{
    struct log_site *site = silent;

    while (site != NULL) {
        struct log_site *next = site->next;

        if (window_is_over(site, now_us / 1000))
            end_silence(site);
        site = next;
    }
}
