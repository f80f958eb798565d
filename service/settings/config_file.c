/*
 * config_file.c - reads the configuration file with inih.
 *
 * inih gets its lines from read_line() here, which knows the number of the line that inih is at and keeps three things
 * of inih's format out: lines that go on in the next one, sections, and lines that are cut where inih's buffer ends.
 */
#include "config_file.h"

#include "service/log/log.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    const char *path;
    FILE *file;  /* owned; closed in config_file_read() */
    char *text;  /* owned; of the line, for getline() */
    size_t size;
    int line;
    bool is_good;
    config_line *callback;
    void *context;
};

/* What is wrong with a line by itself, without leading blanks? Return: NULL when it is a pair, a comment, or empty. */
static const char *find_fault(const char *text, size_t size)
{
    if (*text == '\0' || strchr(";#", *text) != NULL)
        return NULL;
    if (*text == '[')
        return "there are no sections; remove this line";
    if (*text == '=' || strpbrk(text, "=:") == NULL)
        return "expected `name = value`";
    if (strlen(text) + 2 > size)
        return "the line is too long; a list may be written in several lines of the same name";
    return NULL;
}

/* inih's reader, as fgets(). What is at fault becomes an empty line. */
static char *read_line(char *to, int size, void *stream)
{
    struct reading *reading = stream;
    const char *fault;
    char *text;
    ssize_t length = getline(&reading->text, &reading->size, reading->file);

    if (length < 0)
        return NULL;
    reading->line++;
    text = reading->text;
    fault = strlen(text) == (size_t)length ? NULL : "a zero byte";
    text[strcspn(text, "\r\n")] = '\0';
    if (reading->line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3; /* an editor's mark of UTF-8 */
    text += strspn(text, " \t");
    if (fault == NULL)
        fault = find_fault(text, (size_t)size);
    if (fault != NULL) {
        log_each(LOG_LEVEL_ERROR, "%s:%d: %s, found '%.40s'", reading->path, reading->line, fault, text);
        reading->is_good = false;
        text = (char *)"";
    }
    memcpy(to, text, strlen(text) + 1);
    strcat(to, "\n");
    return to;
}

/* inih's handler. Return: 1 when the line is good. */
static int handle_pair(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;

    (void)section; /* read_line() lets none pass */
    if (reading->callback(reading->context, reading->line, name, value))
        return 1;
    reading->is_good = false;
    return 0;
}

bool config_file_read(const char *path, config_line *callback, void *context)
{
    struct reading reading = {.path = path, .is_good = true, .callback = callback, .context = context};
    int result;

    reading.file = fopen(path, "re");
    if (reading.file == NULL) {
        log_each(LOG_LEVEL_ERROR, "%s: %s; --config names the file to read", path, strerror(errno));
        return false;
    }
    errno = 0;
    result = ini_parse_stream(read_line, &reading, handle_pair, &reading);
    /* Without memory getline() ends early, and without an error of the file's. */
    if (!feof(reading.file) || (result != 0 && reading.is_good)) {
        log_each(LOG_LEVEL_ERROR, "%s:%d: can't be read: %s", path, reading.line, strerror(errno != 0 ? errno : EIO));
        reading.is_good = false;
    }
    free(reading.text);
    fclose(reading.file);
    return reading.is_good;
}
