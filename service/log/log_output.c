/*
 * log_output.c - where messages go, and in which form.
 *
 *   stderr   plain   sidestackd: info: TEXT            sidestackd@NAME when the service is not called "default"
 *            json    {"time":...,"message":TEXT}       one object a line
 *                    <6> goes before either when standard error is the journal (sd-daemon(3)); plain has no more before its TEXT then
 *   syslog           a datagram to /dev/log, RFC 3164's form, as syslog(3) makes it; the TEXT is a JSON object with json
 *   journal          a datagram of fields to /run/systemd/journal/socket (systemd's native protocol)
 *
 * Nothing here blocks: the service must not wait for a log. A datagram that is not taken at once is written to standard
 * error instead.
 */
#include "log_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (LOG_TEXT_MAX * 2 + 512) /* JSON may escape a byte with one more */

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const target_names[] = {"stderr", "syslog", "journal"};
static const char *const format_names[] = {"plain", "json"};
static const char *const target_paths[] = {NULL, "/dev/log", "/run/systemd/journal/socket"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
_Static_assert(sizeof level_names / sizeof *level_names == LOG_LEVEL_DEBUG + 1, "one a level");
_Static_assert(sizeof priorities / sizeof *priorities == LOG_LEVEL_DEBUG + 1, "one a level");

static enum log_target target;
static enum log_format format;
static char service_name[64] = "default";
static int target_fd = -1;        /* of syslog or the journal */
static bool stderr_is_journal;

static bool find_name(const char *name, const char *const *names, size_t count, size_t *index)
{
    for (*index = 0; *index < count; (*index)++)
        if (strcmp(name, names[*index]) == 0)
            return true;
    return false;
}

bool log_level_parse(const char *name, enum log_level *found)
{
    size_t index;

    if (!find_name(name, level_names, sizeof level_names / sizeof *level_names, &index))
        return false;
    *found = (enum log_level)index;
    return true;
}

bool log_target_parse(const char *name, enum log_target *found)
{
    size_t index;

    if (!find_name(name, target_names, sizeof target_names / sizeof *target_names, &index))
        return false;
    *found = (enum log_target)index;
    return true;
}

bool log_format_parse(const char *name, enum log_format *found)
{
    size_t index;

    if (!find_name(name, format_names, sizeof format_names / sizeof *format_names, &index))
        return false;
    *found = (enum log_format)index;
    return true;
}

/* Is standard error a stream to the journal? systemd.exec(5): JOURNAL_STREAM has its device and inode. */
static bool check_stderr(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char own[64];

    if (stream == NULL || fstat(STDERR_FILENO, &status) < 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return strcmp(stream, own) == 0;
}

/* Return: a datagram socket to where the target listens, or -errno. */
static int open_target(enum log_target to)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd, error;

    strcpy(address.sun_path, target_paths[to]);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

int log_output_set(enum log_target to, enum log_format in, const char *service)
{
    int fd = to == LOG_TARGET_STDERR ? -1 : open_target(to);

    if (fd < 0 && to != LOG_TARGET_STDERR)
        return fd;
    if (target_fd >= 0)
        close(target_fd);
    target_fd = fd;
    target = to;
    format = in;
    snprintf(service_name, sizeof service_name, "%s", service);
    stderr_is_journal = check_stderr();
    return 0;
}

/* The length of the UTF-8 sequence that begins at text, 0 if it is none (RFC 3629). */
static size_t measure_utf8(const unsigned char *text)
{
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf5 ? 4 : 0;

    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf0 && text[1] < 0x90) ||
        (text[0] == 0xf4 && text[1] > 0x8f))
        return 0; /* too long a form, half a pair of UTF-16, beyond Unicode */
    return length;
}

void log_clean_text(char *text)
{
    while (*text != '\0') {
        unsigned char first = (unsigned char)*text;
        size_t length = measure_utf8((const unsigned char *)text);

        if (length == 0 || first < ' ' || first == 0x7f || (first == 0xc2 && (unsigned char)text[1] < 0xa0)) { /* C0, DEL, C1 */
            *text = '?';
            length = 1;
        }
        text += length;
    }
}

/* Write text as the inside of a JSON string. Return: how many bytes. */
static size_t escape_json(char *to, size_t size, const char *text)
{
    size_t used = 0;

    for (; *text != '\0' && used + 2 < size; text++) {
        if (*text == '"' || *text == '\\')
            to[used++] = '\\';
        to[used++] = *text;
    }
    to[used] = '\0';
    return used;
}

static void format_json(char *line, size_t size, enum log_level level, int error, const char *text)
{
    char message[LOG_TEXT_MAX * 2], date[32] = "";
    const char *error_name = error != 0 ? strerrorname_np(error) : NULL;
    struct timespec now = {0};
    struct tm parts;

    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) != NULL)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    escape_json(message, sizeof message, text);
    snprintf(line, size, "{\"time\":\"%s.%06ldZ\",\"level\":\"%s\",\"service\":\"%s\",\"pid\":%d,%s%s%s\"message\":\"%s\"}", date,
             now.tv_nsec / 1000, level_names[level], service_name, (int)getpid(), error_name != NULL ? "\"error\":\"" : "",
             error_name != NULL ? error_name : "", error_name != NULL ? "\"," : "", message);
}

/* "sidestackd", and the service's name unless that is the usual one. */
static const char *identifier(char text[80])
{
    snprintf(text, 80, "sidestackd%s%s", strcmp(service_name, "default") == 0 ? "" : "@",
             strcmp(service_name, "default") == 0 ? "" : service_name);
    return text;
}

/* Write one whole line, with one call. */
static void write_stderr(enum log_level level, int error, const char *text)
{
    char line[LINE_MAX_BYTES], own[80];
    size_t used = 0;
    ssize_t written;

    if (stderr_is_journal)
        used = (size_t)snprintf(line, sizeof line, "<%d>", priorities[level]);
    if (format == LOG_FORMAT_JSON)
        format_json(line + used, sizeof line - used - 1, level, error, text);
    else if (stderr_is_journal)
        snprintf(line + used, sizeof line - used - 1, "%s", text);
    else
        snprintf(line + used, sizeof line - used - 1, "%s: %s: %s", identifier(own), level_names[level], text);
    strcat(line, "\n");
    do
        written = write(STDERR_FILENO, line, strlen(line));
    while (written < 0 && errno == EINTR);
}

static void format_syslog(char *line, size_t size, enum log_level level, int error, const char *text)
{
    char date[32] = "", own[80];
    time_t now = time(NULL);
    struct tm parts;
    int used;

    if (localtime_r(&now, &parts) != NULL)
        strftime(date, sizeof date, "%h %e %T", &parts);
    used = snprintf(line, size, "<%d>%s %s[%d]: ", LOG_DAEMON | priorities[level], date, identifier(own), (int)getpid());
    if (format == LOG_FORMAT_JSON)
        format_json(line + used, size - (size_t)used, level, error, text);
    else
        snprintf(line + used, size - (size_t)used, "%s", text);
}

/* Fields, a line each: the text is clean, so none needs the form with a length. */
static void format_journal(char *line, size_t size, enum log_level level, int error, const char *text)
{
    char number[32] = "";

    if (error != 0)
        snprintf(number, sizeof number, "ERRNO=%d\n", error);
    snprintf(line, size, "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=sidestackd\nSYSLOG_FACILITY=%d\nSIDESTACK_NAME=%s\n%s", text,
             priorities[level], LOG_DAEMON >> 3, service_name, number);
}

/* Send a datagram, to a listener that may have been started anew. Return: was it taken? */
static bool send_to_target(const char *line)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (target_fd >= 0 && send(target_fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return true;
        if (target_fd >= 0 && errno != ECONNREFUSED && errno != ENOTCONN && errno != ECONNRESET)
            return false;
        if (target_fd >= 0)
            close(target_fd);
        target_fd = open_target(target);
    }
    return false;
}

void log_output_message(enum log_level level, int error, const char *text)
{
    char line[LINE_MAX_BYTES];

    if (target == LOG_TARGET_SYSLOG)
        format_syslog(line, sizeof line, level, error, text);
    else if (target == LOG_TARGET_JOURNAL)
        format_journal(line, sizeof line, level, error, text);
    if (target == LOG_TARGET_STDERR || !send_to_target(line))
        write_stderr(level, error, text);
}
