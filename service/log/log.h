/*
 * log.h - messages for the operator.
 *
 * "module: what failed: detail; what the reader can do". Error: the operator acts; warn: a client or the wire
 * misbehaves; info: start, stop, limits; debug: each event by name.
 */
#ifndef SIDESTACK_LOG_H
#define SIDESTACK_LOG_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern enum log_level log_threshold;

/* At most LOG_BURST messages a call site and LOG_WINDOW_MS; then one line that counts those left out. Not of debug: who
 * asks for it wants all of it. */
#define LOG_BURST 10
#define LOG_WINDOW_MS 5000

struct log_site {
    uint64_t window_start_ms;
    unsigned printed;
    unsigned suppressed;
    enum log_level level;
    char *example;         /* owned; the first that was left out in this window; NULL: none, or no memory */
    struct log_site *next; /* in the list of sites that left something out */
};

/* Write a message; error: a positive errno, whose text follows, or 0. site NULL: no limit. errno stays as it is. */
__attribute__((format(printf, 4, 5))) void log_write(struct log_site *site, enum log_level level, int error,
                                                     const char *format, ...);

/* Microseconds until log_run_timers() has something to say; -1: nothing. */
int64_t log_timer_us(uint64_t now_us);

/* Tell what was left out in windows that are over. now_us: CLOCK_MONOTONIC. */
void log_run_timers(uint64_t now_us);

/* The end of messages about what should not be: what the reader can do is to tell us. */
#define LOG_FAULT "; a fault of sidestackd, please report it"

#define LOG_AT(level, error, ...)                           \
    do {                                                    \
        static struct log_site log_site_;                   \
        if ((level) <= log_threshold)                       \
            log_write(&log_site_, level, error, __VA_ARGS__); \
    } while (0)

/* The plain form adds strerror(errno), the x form does not. */
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, errno, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, errno, __VA_ARGS__)
#define log_errorx(...) LOG_AT(LOG_LEVEL_ERROR, 0, __VA_ARGS__)
#define log_warnx(...) LOG_AT(LOG_LEVEL_WARN, 0, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, 0, __VA_ARGS__)

/* Without a limit: what the operator asked for, once. */
#define log_each(level, ...)                           \
    do {                                               \
        if ((level) <= log_threshold)                  \
            log_write(NULL, level, 0, __VA_ARGS__);    \
    } while (0)

#endif
