/*
 * names_config.c - who is asked for the names of hosts.
 *
 * libc's functions for names stay in use. They are told (__nss_configure_lookup(), per process, public since ever) to
 * look in files and to ask a module of name "sidestack", which this library is itself: libc looks for
 * libnss_sidestack.so.2, and finds it loaded, because that is the library's soname. So gethostbyname() and its like
 * keep all of libc's behaviour (files, buffers, ERANGE, h_errno, aliases, threads), and nothing that libc does by
 * itself can reach the kernel's network: there is no "dns" in its list any more, nor nscd, nor a module that asks other
 * programs.
 *
 * What the list was comes from nsswitch.conf(5): "dns" and "resolve" become "sidestack"; all but that and "files" is
 * left out, with its actions. DIFFERS: mdns, myhostname, ldap and others know the host's network, not the stack's
 * (tests/apps/names.sh).
 *
 * No lock: threads that come here at the same time do the same twice, and what the first of them has read is what all
 * use.
 */
#include "intercept/libc.h"
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FILE_PATH "/etc/nsswitch.conf"
#define FILE_MAX 8192

static _Atomic(struct names_sources *) sources; /* allocated, once; NULL: nobody has prepared yet */

/* "[!UNAVAIL=return NOTFOUND=continue]": what an outcome leads to. text: after the '['. Return: after the ']'. */
static const char *parse_actions(const char *text, struct names_source *source)
{
    static const struct {
        const char *name;
        enum nss_status status;
    } outcomes[] = {{"TRYAGAIN", NSS_STATUS_TRYAGAIN},
                    {"UNAVAIL", NSS_STATUS_UNAVAIL},
                    {"NOTFOUND", NSS_STATUS_NOTFOUND},
                    {"SUCCESS", NSS_STATUS_SUCCESS}};

    while (*text != '\0' && *text != ']') {
        bool is_negated, ends;
        size_t length, action;

        text += strspn(text, " \t");
        is_negated = *text == '!';
        text += is_negated;
        length = strcspn(text, "= \t]");
        action = length + strspn(text + length, "= \t");
        ends = strncasecmp(text + action, "return", 6) == 0;
        for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
            bool is_meant = strlen(outcomes[i].name) == length && strncasecmp(text, outcomes[i].name, length) == 0;

            if (length > 0 && is_meant != is_negated)
                source->ends[outcomes[i].status + 2] = ends;
        }
        text += action;
        text += strcspn(text, " \t]");
    }
    return *text == ']' ? text + 1 : text;
}

static void append(char *line, size_t size, const char *text, size_t length)
{
    size_t used = strlen(line);

    if (used + length + 2 > size)
        return;
    if (used > 0)
        line[used++] = ' ';
    memcpy(line + used, text, length);
    line[used + length] = '\0';
}

static bool has_source(const struct names_sources *in, enum names_source_kind kind)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->list[i].kind == kind)
            return true;
    return false;
}

/* The words after "hosts:", up to the end of the line. */
static void parse_hosts(const char *text, struct names_sources *out)
{
    struct names_source *last = NULL;

    while (*text != '\0' && *text != '\n' && *text != '#') {
        size_t length = strcspn(text, " \t\n[#");
        bool is_files = length == 5 && strncmp(text, "files", 5) == 0;
        bool is_dns = (length == 3 && strncmp(text, "dns", 3) == 0) || (length == 7 && strncmp(text, "resolve", 7) == 0);

        if (*text == '[') {
            struct names_source ignored;
            const char *end = parse_actions(text + 1, last != NULL ? last : &ignored);

            if (last != NULL)
                append(out->line, sizeof out->line, text, (size_t)(end - text));
            text = end;
            continue;
        }
        if (length == 0) {
            text++;
            continue;
        }
        last = NULL;
        if ((is_files || is_dns) && !has_source(out, is_dns ? NAMES_DNS : NAMES_FILES)) {
            last = &out->list[out->count++];
            *last = (struct names_source){.kind = is_dns ? NAMES_DNS : NAMES_FILES};
            last->ends[NSS_STATUS_SUCCESS + 2] = true;
            append(out->line, sizeof out->line, is_dns ? "sidestack" : "files", is_dns ? 9 : 5);
        }
        text += length;
    }
}

void names_sources_parse(const char *text, struct names_sources *out)
{
    memset(out, 0, sizeof *out);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        line += strspn(line, " \t");
        if (strncmp(line, "hosts", 5) == 0 && line[5 + strspn(line + 5, " \t")] == ':') {
            parse_hosts(strchr(line, ':') + 1, out);
            return;
        }
        if (*line == '\0')
            break;
    }
    parse_hosts("files dns", out); /* as libc has it when the file does not say */
}

static void read_file(struct names_sources *out)
{
    char text[FILE_MAX + 1];
    ssize_t length = 0;
    int fd = open(FILE_PATH, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        length = libc_read(fd, text, FILE_MAX);
        libc_close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    names_sources_parse(text, out);
}

void names_prepare(void)
{
    int saved_errno = errno;
    struct names_sources read, *kept, *first = NULL;

    if (atomic_load_explicit(&sources, memory_order_acquire) != NULL)
        return;
    read_file(&read);
    __nss_configure_lookup("hosts", read.count > 0 ? read.line : "files");
    __nss_configure_lookup("networks", "files"); /* which libc would look up by DNS, too */
    kept = malloc(sizeof *kept);
    if (kept != NULL)
        *kept = read;
    if (kept != NULL && !atomic_compare_exchange_strong(&sources, &first, kept))
        free(kept);
    errno = saved_errno;
}

const struct names_sources *names_sources(void)
{
    static const struct names_sources none;
    const struct names_sources *kept = atomic_load_explicit(&sources, memory_order_acquire);

    return kept != NULL ? kept : &none; /* there was no memory for it */
}
