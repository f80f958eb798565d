/*
 * rules.h - which network a program's socket belongs to: an ordered list of rules, the first that matches decides.
 *
 * A rule is a line of text, an action and conditions:
 *
 *     stack|host|reject|blackhole [program=GLOB] [user=NAME] [protocol=NAME] [role=connect|listen]
 *                                 [address=A[/LEN]] [port=N[-M]] [error=ERRNO]
 *
 * Values other than role and error may be lists with commas. docs/rules.md is for its reader.
 */
#ifndef SIDESTACK_RULES_H
#define SIDESTACK_RULES_H

#include "stack/stack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RULES_MAX      4096 /* rules in a set */
#define RULES_TEXT_MAX 255  /* bytes of one */
#define RULES_LIST_MAX 8    /* values of one condition */

enum rules_action {
    RULES_STACK,
    RULES_HOST,      /* the kernel's network */
    RULES_REJECT,    /* the call fails */
    RULES_BLACKHOLE, /* as if every packet were lost */
};

enum rules_protocol {
    RULES_TCP = 1u << 0,
    RULES_UDP = 1u << 1,
    RULES_UDP_LITE = 1u << 2,
    RULES_ICMP = 1u << 3, /* ping sockets, of both families */
    RULES_RAW = 1u << 4,
};

enum rules_role {
    RULES_CONNECT = 1u << 0, /* connect, send */
    RULES_LISTEN = 1u << 1,  /* listen, bind to a port */
};

struct rule_prefix {
    uint8_t bytes[16]; /* IPv4: v4-mapped */
    uint8_t bits;
};

struct rule_ports {
    uint16_t first, last;
};

struct rule {
    enum rules_action action;
    int error;           /* RULES_REJECT: positive errno */
    unsigned protocols;  /* enum rules_protocol; 0: all */
    unsigned roles;      /* enum rules_role; 0: both */
    char *programs;      /* owned; globs, each with its '\0', then an empty one; NULL: all */
    uid_t users[RULES_LIST_MAX];
    uint8_t user_count;  /* 0: all, as with the next two */
    uint8_t prefix_count, port_count;
    struct rule_prefix prefixes[RULES_LIST_MAX];
    struct rule_ports ports[RULES_LIST_MAX];
    char *text;          /* owned; as it was written, blanks at its ends removed */
    char *file;          /* owned; where from; NULL: the command line */
    unsigned line;
    uint64_t hits;
};

/* Read one rule. Return: 0 and *rule (freed by rules_clear_rule()), or -EINVAL with `why` saying what was expected, or
 * -ENOMEM. */
int rules_parse(const char *text, struct rule *rule, char *why, size_t why_size);
void rules_clear_rule(struct rule *rule);

/* "stack", "host", ... */
const char *rules_action_name(enum rules_action action);

/* The errno of a name like "EACCES". Return: 0 when there is none. */
int rules_errno_of_name(const char *name);

/* ---- A set of rules, not in force yet ---- */

struct rules_set {
    struct rule *rules; /* owned */
    size_t count;
};

/* Read a rule and put it at the end. file: NULL for the command line. Return: 0, -EINVAL with `why`, or -ENOMEM. */
int rules_set_add(struct rules_set *set, const char *text, const char *file, unsigned line, char *why, size_t why_size);
void rules_set_clear(struct rules_set *set);

/* ---- The set in force ---- */

/* Is there any rule? All that the rules cost while there is none. */
extern bool rules_are_active;

/* Put a set in force, in the place of the one before; what is left behind is empty. A rule that was there before keeps
 * its hits. */
void rules_install(struct rules_set *set);

size_t rules_count(void);
/* Return: NULL when there are not so many. */
const struct rule *rules_get(size_t index);

/* Do any of those in force ask which program it is? */
bool rules_name_programs(void);

/* Changes with each rules_install(). */
extern uint32_t rules_generation;

/*
 * Who asks: a program run by a user, with the rules that are about them. Kept as long as somebody holds it.
 * rules_who_of_process(): the program is what /proc says of the process; one that can't be read has no name, and no
 * rule with a program
 *     matches it. Return: NULL when out of memory.
 */
struct rules_who;
struct rules_who *rules_who_of_process(pid_t pid, uid_t uid);
struct rules_who *rules_who_of_program(const char *program, uid_t uid);
const char *rules_who_get(const struct rules_who *who, uid_t *uid); /* Return: the program */
struct rules_who *rules_who_hold(struct rules_who *who); /* Return: who */
void rules_who_release(struct rules_who *who);           /* NULL is fine */

struct rules_question {
    enum rules_protocol protocol;
    unsigned role;                /* enum rules_role; 0: the socket is only just made */
    const union stack_address *address; /* with a role */
};

struct rules_verdict {
    enum rules_action action;
    int error;            /* RULES_REJECT */
    int index;            /* of the rule; -1: none, by default on the stack */
    bool depends;         /* .role 0: it depends on what the socket is used for; the rest says nothing */
};

/* What do the rules say? */
struct rules_verdict rules_judge(struct rules_who *who, const struct rules_question *question);

/* It was acted on: the rule's hits go up. */
void rules_note_hit(const struct rules_verdict *verdict);

#endif
