/*
 * rules.c - the set of rules in force, and what it says.
 *
 * Matching a program's path with a pattern is dear, an address cheap. So for each program and user that asks (struct
 * rules_who) there is a list of the rules that are about them, made when they first ask under a set of rules; what is
 * left to look at then are protocol, role, address and port. A process is one program as long as one of its control
 * connections lives, because these are closed on exec; so who it is is found out once per connection (client_request.c).
 */
#include "rules.h"

#include "service/log/log.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

struct rules_who {
    TAILQ_ENTRY(rules_who) link;
    unsigned holders;
    uid_t uid;
    uint32_t generation; /* that .about is for; 0: none */
    uint16_t *about;     /* owned; indices of rules, in order */
    size_t about_count;
    char program[];      /* a path; empty: not known */
};

bool rules_are_active;
uint32_t rules_generation = 1;

static struct rules_set in_force;
static TAILQ_HEAD(, rules_who) everyone = TAILQ_HEAD_INITIALIZER(everyone);

/* ---- sets ---- */

int rules_set_add(struct rules_set *set, const char *text, const char *file, unsigned line, char *why, size_t why_size)
{
    struct rule rule, *larger;
    int error;

    if (set->count >= RULES_MAX) {
        snprintf(why, why_size, "expected at most %d rules", RULES_MAX);
        return -EINVAL;
    }
    error = rules_parse(text, &rule, why, why_size);
    if (error < 0)
        return error;
    rule.line = line;
    rule.file = file != NULL ? strdup(file) : NULL;
    larger = file != NULL && rule.file == NULL ? NULL : reallocarray(set->rules, set->count + 1, sizeof rule);
    if (larger == NULL) {
        rules_clear_rule(&rule);
        return -ENOMEM;
    }
    set->rules = larger;
    set->rules[set->count++] = rule;
    return 0;
}

void rules_set_clear(struct rules_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        rules_clear_rule(&set->rules[i]);
    free(set->rules);
    *set = (struct rules_set){NULL, 0};
}

/* The hits of rules that were there before, in the same order; what was put between or left out is passed over. */
static void keep_hits(struct rules_set *new, const struct rules_set *old)
{
    size_t next = 0;

    for (size_t i = 0; i < new->count; i++) {
        for (size_t j = next; j < old->count; j++) {
            if (strcmp(new->rules[i].text, old->rules[j].text) == 0) {
                new->rules[i].hits = old->rules[j].hits;
                next = j + 1;
                break;
            }
        }
    }
}

void rules_install(struct rules_set *set)
{
    keep_hits(set, &in_force);
    rules_set_clear(&in_force);
    in_force = *set;
    *set = (struct rules_set){NULL, 0};
    rules_generation++;
    rules_are_active = in_force.count > 0;
}

size_t rules_count(void)
{
    return in_force.count;
}

const struct rule *rules_get(size_t index)
{
    return index < in_force.count ? &in_force.rules[index] : NULL;
}

bool rules_name_programs(void)
{
    for (size_t i = 0; i < in_force.count; i++)
        if (in_force.rules[i].programs != NULL)
            return true;
    return false;
}

/* ---- who asks ---- */

struct rules_who *rules_who_of_program(const char *program, uid_t uid)
{
    struct rules_who *who;
    size_t size = strlen(program) + 1;

    TAILQ_FOREACH(who, &everyone, link)
        if (who->uid == uid && strcmp(who->program, program) == 0)
            return rules_who_hold(who);
    who = calloc(1, sizeof *who + size);
    if (who == NULL)
        return NULL;
    who->uid = uid;
    memcpy(who->program, program, size);
    TAILQ_INSERT_HEAD(&everyone, who, link);
    return rules_who_hold(who);
}

struct rules_who *rules_who_of_process(pid_t pid, uid_t uid)
{
    static const char deleted[] = " (deleted)"; /* a newer one was installed meanwhile */
    char link[32], path[PATH_MAX];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        log_warn("rules: the program of process %d can't be told, no rule with a program matches it; one with its user would", (int)pid);
        length = 0;
    }
    path[length] = '\0';
    if ((size_t)length >= sizeof deleted && strcmp(path + length - (sizeof deleted - 1), deleted) == 0)
        path[(size_t)length - (sizeof deleted - 1)] = '\0';
    return rules_who_of_program(path, uid);
}

const char *rules_who_get(const struct rules_who *who, uid_t *uid)
{
    *uid = who->uid;
    return who->program;
}

struct rules_who *rules_who_hold(struct rules_who *who)
{
    who->holders++;
    return who;
}

void rules_who_release(struct rules_who *who)
{
    if (who == NULL || --who->holders > 0)
        return;
    TAILQ_REMOVE(&everyone, who, link);
    free(who->about);
    free(who);
}

/* Does one of the globs mean the program? Those without a '/' are about its name. */
static bool program_matches(const char *globs, const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;

    if (*program == '\0')
        return false;
    for (; *globs != '\0'; globs += strlen(globs) + 1)
        if (fnmatch(globs, strchr(globs, '/') != NULL ? program : name, 0) == 0)
            return true;
    return false;
}

static bool user_matches(const struct rule *rule, uid_t uid)
{
    for (unsigned i = 0; i < rule->user_count; i++)
        if (rule->users[i] == uid)
            return true;
    return rule->user_count == 0;
}

/* Note which rules are about them. Out of memory: as if there were none, until the next question. */
static void find_rules(struct rules_who *who)
{
    free(who->about);
    who->about_count = 0;
    who->about = calloc(in_force.count > 0 ? in_force.count : 1, sizeof *who->about);
    if (who->about == NULL) {
        log_warnx("rules: out of memory: sockets stay on the stack");
        return;
    }
    for (size_t i = 0; i < in_force.count; i++) {
        const struct rule *rule = &in_force.rules[i];

        if (user_matches(rule, who->uid) && (rule->programs == NULL || program_matches(rule->programs, who->program)))
            who->about[who->about_count++] = (uint16_t)i;
    }
    who->generation = rules_generation;
}

/* ---- judging ---- */

/* An address as rules have it. Return: false when it is of no family that has rules. */
static bool read_address(const union stack_address *address, uint8_t bytes[16], uint16_t *port)
{
    if (address->sa.sa_family == AF_INET6) {
        memcpy(bytes, &address->in6.sin6_addr, 16);
        *port = ntohs(address->in6.sin6_port);
        return true;
    }
    memset(bytes, 0, 16);
    bytes[10] = bytes[11] = 0xff;
    memcpy(bytes + 12, &address->in.sin_addr, 4);
    *port = ntohs(address->in.sin_port);
    return address->sa.sa_family == AF_INET;
}

static bool prefix_matches(const struct rule_prefix *prefix, const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    unsigned whole = prefix->bits / 8, rest = prefix->bits % 8;

    /* ::/0 is about IPv6 */
    if (prefix->bits < 96 && memcmp(bytes, mapped, sizeof mapped) == 0)
        return false;
    return memcmp(prefix->bytes, bytes, whole) == 0 &&
           (rest == 0 || (prefix->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0);
}

static bool address_matches(const struct rule *rule, const uint8_t bytes[16])
{
    for (unsigned i = 0; i < rule->prefix_count; i++)
        if (prefix_matches(&rule->prefixes[i], bytes))
            return true;
    return rule->prefix_count == 0;
}

static bool port_matches(const struct rule *rule, uint16_t port, bool has_port)
{
    for (unsigned i = 0; i < rule->port_count; i++)
        if (has_port && port >= rule->ports[i].first && port <= rule->ports[i].last)
            return true;
    return rule->port_count == 0;
}

struct rules_verdict rules_judge(struct rules_who *who, const struct rules_question *question)
{
    const struct rules_verdict by_default = {.action = RULES_STACK, .index = -1};
    const bool has_port = question->protocol != RULES_ICMP && question->protocol != RULES_RAW;
    uint8_t bytes[16];
    uint16_t port = 0;

    if (question->role != 0 && !read_address(question->address, bytes, &port))
        return by_default;
    if (who->generation != rules_generation)
        find_rules(who);
    for (size_t i = 0; i < who->about_count; i++) {
        const struct rule *rule = &in_force.rules[who->about[i]];

        if (rule->protocols != 0 && !(rule->protocols & question->protocol))
            continue;
        if (question->role == 0) {
            if (rule->roles != 0 || rule->prefix_count > 0 || rule->port_count > 0)
                return (struct rules_verdict){.action = RULES_STACK, .index = -1, .depends = true};
        } else if ((rule->roles != 0 && !(rule->roles & question->role)) || !address_matches(rule, bytes) ||
                   !port_matches(rule, port, has_port)) {
            continue;
        }
        return (struct rules_verdict){.action = rule->action, .error = rule->error, .index = who->about[i]};
    }
    return by_default;
}

void rules_note_hit(const struct rules_verdict *verdict)
{
    if (verdict->index >= 0 && (size_t)verdict->index < in_force.count)
        in_force.rules[verdict->index].hits++;
}
