/* log.h - messages for the operator, on standard error. */
#ifndef SIDESTACK_LOG_H
#define SIDESTACK_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_ERROR, /* the operator acts */
    LOG_LEVEL_WARN,  /* a client or the wire misbehaves */
    LOG_LEVEL_INFO,  /* start, stop, limits */
    LOG_LEVEL_DEBUG, /* each event by name */
};

extern enum log_level log_threshold;

/* At most LOG_BURST messages a call site and LOG_WINDOW_MS; then one line that counts those left out. */
#define LOG_BURST 10
#define LOG_WINDOW_MS 5000

struct log_site {
    uint64_t window_start_ms;
    unsigned printed;
    unsigned suppressed;
};

/* Set the threshold by name (error, warn, info, debug). Return: false for no such name. */
bool log_set_threshold(const char *name);

__attribute__((format(printf, 4, 5))) void log_write(struct log_site *site, enum log_level level, int error,
                                                     const char *format, ...);

#define LOG_AT(level, error, ...)                           \
    do {                                                    \
        static struct log_site log_site_;                   \
        if ((level) <= log_threshold)                       \
            log_write(&log_site_, level, error, __VA_ARGS__); \
    } while (0)

/* "module: what failed: detail". The plain form adds strerror(errno), the x form does not. */
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, errno, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, errno, __VA_ARGS__)
#define log_errorx(...) LOG_AT(LOG_LEVEL_ERROR, 0, __VA_ARGS__)
#define log_warnx(...) LOG_AT(LOG_LEVEL_WARN, 0, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, 0, __VA_ARGS__)

#endif
