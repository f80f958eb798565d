/* script.h - cases: what segments come, and what a host does with them. The language is told in script.c. */
#ifndef TEST_SEGMENTS_SCRIPT_H
#define TEST_SEGMENTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_case {
    const char *file;
    const char *title;
    int first_line, line_count; /* of the steps */
    char **lines;               /* of the file; lines[0] is line 1 */
    int family;
    uint32_t peer_isn;
    bool has_host_isn;
    uint32_t host_isn;
    const char *only; /* name of the only host that it is for; NULL: every host */
    bool slow;        /* takes long on a real clock */
};

/* Load those of a glob pattern. Return: how many. Exits when there is none. */
size_t script_load_all(const char *pattern, struct script_case **cases);

/* Is the case for this host, and meant by this part of its title (NULL: any)? */
bool script_is_meant(const struct script_case *it, const char *host_name, const char *part);

/* Run one case; host.fail_case() is called when something is not as it says. */
void script_run(const struct script_case *it);

#endif
