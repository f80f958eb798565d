/* log_output.h - where messages go, and in which form. */
#ifndef SIDESTACK_LOG_OUTPUT_H
#define SIDESTACK_LOG_OUTPUT_H

#include "log.h"

#define LOG_TEXT_MAX 1024

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNAL };
enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_JSON };

/* Read "error", "warn", "info" or "debug"; "stderr", "syslog" or "journal"; "plain" or "json". Return: false for anything
 * else. */
bool log_level_parse(const char *name, enum log_level *level);
bool log_target_parse(const char *name, enum log_target *target);
bool log_format_parse(const char *name, enum log_format *format);

/* From now on messages go there; service: the name that they bear, copied. Return: 0, or -errno when nothing takes
 * messages there; all is as it was then. */
int log_output_set(enum log_target target, enum log_format format, const char *service);

/* For log.c: write one message of clean text; error is the errno that belongs to it, or 0. What can't be delivered goes
 * to standard error; what can't be written there is lost. */
void log_output_message(enum log_level level, int error, const char *text);

/* Make one line of printable UTF-8 of a text, in place: what a client or a file says must not forge lines. */
void log_clean_text(char *text);

#endif
