/* script_load.c - reading files of cases. */
#include <glob.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define LINES_MAX 10000
#define PEER_ISN 1000

static void *require(void *memory)
{
    if (memory == NULL) {
        perror("memory");
        exit(2);
    }
    return memory;
}

static int read_lines(const char *file, char ***lines)
{
    FILE *stream = fopen(file, "re");
    char text[1024];
    int count = 0;

    if (stream == NULL) {
        perror(file);
        exit(2);
    }
    *lines = require(calloc(LINES_MAX, sizeof **lines));
    while (fgets(text, sizeof text, stream) != NULL && count < LINES_MAX) {
        char *from = text + strspn(text, " \t");

        from[strcspn(from, "#\n")] = 0;
        for (size_t end = strlen(from); end > 0 && from[end - 1] == ' '; end--)
            from[end - 1] = 0;
        (*lines)[count++] = require(strdup(from));
    }
    fclose(stream);
    return count;
}

/* Read what stands in brackets before a title. Return: the title. */
static char *read_attributes(char *from, struct script_case *it, bool *both)
{
    while (*from == '[') {
        char *word = from + 1;
        char *end = strchr(word, ']');

        if (end == NULL)
            return from;
        *end = 0;
        from = end + 1 + strspn(end + 1, " ");
        if (strcmp(word, "6") == 0)
            it->family = AF_INET6;
        else if (strcmp(word, "46") == 0)
            *both = true;
        else if (strcmp(word, "slow") == 0)
            it->slow = true;
        else if (strncmp(word, "isn ", 4) == 0)
            it->peer_isn = (uint32_t)strtoul(word + 4, NULL, 0);
        else if (strncmp(word, "ours ", 5) == 0) {
            it->host_isn = (uint32_t)strtoul(word + 5, NULL, 0);
            it->has_host_isn = true;
            it->only = "stack";
        } else {
            it->only = word;
        }
    }
    return from;
}

/* Read a file of cases. Return: how many were appended to *cases, which is reallocated. */
static size_t load_file(const char *file, struct script_case **cases, size_t count)
{
    char **lines;
    int line_count = read_lines(file, &lines);
    size_t before = count;
    char *name = require(strdup(file)); /* as the lines, kept for all cases */

    for (int i = 0; i < line_count; i++) {
        struct script_case it = {.file = name, .lines = lines, .family = AF_INET, .peer_isn = PEER_ISN};
        bool both = false;

        if (strncmp(lines[i], "case ", 5) != 0)
            continue;
        it.title = read_attributes(lines[i] + 5, &it, &both);
        it.first_line = i + 2;
        while (i + 1 < line_count && strncmp(lines[i + 1], "case ", 5) != 0) {
            i++;
            it.line_count++;
        }
        *cases = require(realloc(*cases, (count + 2) * sizeof **cases));
        (*cases)[count++] = it;
        if (both) {
            it.family = AF_INET6;
            (*cases)[count++] = it;
        }
    }
    return count - before;
}

size_t script_load_all(const char *pattern, struct script_case **cases)
{
    glob_t found;
    size_t count = 0;

    if (glob(pattern, 0, NULL, &found) != 0) {
        fprintf(stderr, "%s: no such file\n", pattern);
        exit(2);
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        count += load_file(found.gl_pathv[i], cases, count);
    globfree(&found);
    return count;
}

bool script_is_meant(const struct script_case *it, const char *host_name, const char *part)
{
    return (it->only == NULL || strcmp(it->only, host_name) == 0) && (part == NULL || strstr(it->title, part) != NULL);
}
