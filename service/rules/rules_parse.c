/* rules_parse.c - reads the text of a rule. */
#include "rules.h"

#include "service/privilege/users.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\n"
#define ERRNO_MAX 133 /* EHWPOISON, the last that Linux has */

struct name {
    const char *name;
    unsigned value;
};

static const struct name actions[] = {
    {"stack", RULES_STACK}, {"host", RULES_HOST}, {"reject", RULES_REJECT}, {"blackhole", RULES_BLACKHOLE}, {NULL, 0}};
static const struct name protocols[] = {{"tcp", RULES_TCP},   {"udp", RULES_UDP}, {"udplite", RULES_UDP_LITE},
                                        {"icmp", RULES_ICMP}, {"raw", RULES_RAW}, {NULL, 0}};
static const struct name roles[] = {{"connect", RULES_CONNECT}, {"listen", RULES_LISTEN}, {NULL, 0}};

/* Where a message goes. */
struct complaint {
    char *why;
    size_t size;
};

/* Return: -EINVAL. */
static __attribute__((format(printf, 2, 3))) int complain(const struct complaint *complaint, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(complaint->why, complaint->size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static const struct name *find_name(const struct name *names, const char *text)
{
    while (names->name != NULL && strcmp(names->name, text) != 0)
        names++;
    return names->name != NULL ? names : NULL;
}

const char *rules_action_name(enum rules_action action)
{
    return actions[action].name;
}

int rules_errno_of_name(const char *name)
{
    for (int number = 1; number <= ERRNO_MAX; number++) {
        const char *candidate = strerrorname_np(number);

        if (candidate != NULL && strcmp(candidate, name) == 0)
            return number;
    }
    if (strcmp(name, "EWOULDBLOCK") == 0)
        return EWOULDBLOCK;
    return strcmp(name, "ENOTSUP") == 0 ? ENOTSUP : 0;
}

/* ---- values: each reads one; Return: 0 or -EINVAL, after complaining ---- */

static int read_user(struct rule *rule, const char *value, const struct complaint *complaint)
{
    gid_t group;

    if (!users_find(value, &rule->users[rule->user_count], &group))
        return complain(complaint, "user: expected the name of a user of this machine, or a number, found '%s'", value);
    rule->user_count++;
    return 0;
}

static int read_protocol(struct rule *rule, const char *value, const struct complaint *complaint)
{
    const struct name *name = find_name(protocols, value);

    if (name == NULL)
        return complain(complaint, "protocol: expected tcp, udp, udplite, icmp or raw, found '%s'", value);
    rule->protocols |= name->value;
    return 0;
}

static int read_role(struct rule *rule, const char *value, const struct complaint *complaint)
{
    const struct name *name = find_name(roles, value);

    if (name == NULL)
        return complain(complaint, "role: expected connect or listen, found '%s'", value);
    rule->roles |= name->value;
    return 0;
}

static int read_address(struct rule *rule, const char *value, const struct complaint *complaint)
{
    struct rule_prefix *prefix = &rule->prefixes[rule->prefix_count];
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchr(value, '/');
    size_t length = slash != NULL ? (size_t)(slash - value) : strlen(value);
    unsigned long bits, bits_max = 128, before = 0;
    char *end;

    *prefix = (struct rule_prefix){.bits = 128};
    if (length >= sizeof text)
        return complain(complaint, "address: expected ADDRESS or ADDRESS/LENGTH, found '%s'", value);
    memcpy(text, value, length);
    text[length] = '\0';
    if (inet_pton(AF_INET, text, prefix->bytes + 12) == 1) {
        prefix->bytes[10] = prefix->bytes[11] = 0xff;
        bits_max = 32;
        before = 96;
    } else if (inet_pton(AF_INET6, text, prefix->bytes) != 1) {
        return complain(complaint, "address: expected ADDRESS or ADDRESS/LENGTH, found '%s'", value);
    }
    if (slash != NULL) {
        bits = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > bits_max)
            return complain(complaint, "address: expected a length of 0 to %lu after '/', found '%s'", bits_max, slash + 1);
        prefix->bits = (uint8_t)(before + bits);
    }
    for (unsigned bit = prefix->bits; bit < 128; bit++)
        if (prefix->bytes[bit / 8] & 0x80 >> bit % 8)
            return complain(complaint, "address: '%s' has bits set beyond its length", value);
    rule->prefix_count++;
    return 0;
}

static int read_port(struct rule *rule, const char *value, const struct complaint *complaint)
{
    unsigned long first, last;
    char *end;

    if (*value < '0' || *value > '9')
        return complain(complaint, "port: expected N or N-M, 0 to 65535, found '%s'", value);
    first = last = strtoul(value, &end, 10);
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        last = strtoul(end + 1, &end, 10);
    if (*end != '\0' || first > last || last > UINT16_MAX)
        return complain(complaint, "port: expected N or N-M, 0 to 65535, found '%s'", value);
    rule->ports[rule->port_count++] = (struct rule_ports){(uint16_t)first, (uint16_t)last};
    return 0;
}

static int read_error(struct rule *rule, const char *value, const struct complaint *complaint)
{
    rule->error = rules_errno_of_name(value);
    return rule->error != 0 ? 0 : complain(complaint, "error: expected the name of an errno like ECONNREFUSED, found '%s'", value);
}

/* Globs are kept as text; `values` has as many bytes as they need. */
static int read_programs(struct rule *rule, const char *values, const struct complaint *complaint)
{
    size_t length = strlen(values);

    if (length == 0 || values[0] == ',' || values[length - 1] == ',' || strstr(values, ",,") != NULL)
        return complain(complaint, "program: expected a path, a name or a pattern of either, found '%s'", values);
    rule->programs = calloc(1, length + 2);
    if (rule->programs == NULL)
        return -ENOMEM;
    memcpy(rule->programs, values, length);
    for (char *at = rule->programs; *at != '\0'; at++)
        if (*at == ',')
            *at = '\0';
    return 0;
}

static const struct condition {
    const char *name;
    int (*read)(struct rule *rule, const char *value, const struct complaint *complaint);
    bool is_list;
} conditions[] = {
    {"program", read_programs, false}, /* it splits by itself */
    {"user", read_user, true},
    {"protocol", read_protocol, true},
    {"role", read_role, true},
    {"address", read_address, true},
    {"port", read_port, true},
    {"error", read_error, false},
};
#define CONDITION_COUNT (sizeof conditions / sizeof *conditions)

/* The values of a list, one by one; `values` is cut up. */
static int read_list(struct rule *rule, const struct condition *condition, char *values,
                     const struct complaint *complaint)
{
    int error = 0;
    unsigned count = 0;

    while (error == 0 && values != NULL) {
        const char *value = strsep(&values, ",");

        if (++count > RULES_LIST_MAX)
            return complain(complaint, "%s: expected at most %d values", condition->name, RULES_LIST_MAX);
        error = condition->read(rule, value, complaint);
    }
    return error;
}

/* One NAME=VALUE. */
static int read_condition(struct rule *rule, char *word, bool seen[CONDITION_COUNT], const struct complaint *complaint)
{
    char *equals = strchr(word, '=');

    if (equals == NULL)
        return complain(complaint, "expected NAME=VALUE, found '%s'", word);
    *equals = '\0';
    for (size_t i = 0; i < CONDITION_COUNT; i++) {
        if (strcmp(conditions[i].name, word) != 0)
            continue;
        if (seen[i])
            return complain(complaint, "%s: given twice; a list has commas", word);
        seen[i] = true;
        return conditions[i].is_list ? read_list(rule, &conditions[i], equals + 1, complaint)
                                     : conditions[i].read(rule, equals + 1, complaint);
    }
    return complain(complaint, "expected program, user, protocol, role, address, port or error before '=', found '%s'", word);
}

/* The rule's words; text is cut up. */
static int read_words(struct rule *rule, char *text, const struct complaint *complaint)
{
    bool seen[CONDITION_COUNT] = {false};
    char *rest = NULL, *word = strtok_r(text, BLANKS, &rest);
    const struct name *action = word != NULL ? find_name(actions, word) : NULL;
    int error = 0;

    if (action == NULL)
        return complain(complaint, "expected stack, host, reject or blackhole first, found '%s'", word != NULL ? word : "");
    rule->action = (enum rules_action)action->value;
    while (error == 0 && (word = strtok_r(NULL, BLANKS, &rest)) != NULL)
        error = read_condition(rule, word, seen, complaint);
    if (error < 0)
        return error;
    if (rule->error != 0 && rule->action != RULES_REJECT)
        return complain(complaint, "error: only a rule that rejects has one");
    if (rule->action == RULES_REJECT && rule->error == 0)
        rule->error = EACCES;
    if (rule->port_count > 0 && rule->protocols != 0 && (rule->protocols & ~(unsigned)(RULES_ICMP | RULES_RAW)) == 0)
        return complain(complaint, "port: icmp and raw sockets have none");
    return 0;
}

int rules_parse(const char *text, struct rule *rule, char *why, size_t why_size)
{
    const struct complaint complaint = {why, why_size};
    size_t length;
    char *copy;
    int error;

    *rule = (struct rule){.action = RULES_STACK};
    text += strspn(text, BLANKS);
    length = strlen(text);
    while (length > 0 && strchr(BLANKS, text[length - 1]) != NULL)
        length--;
    if (length > RULES_TEXT_MAX)
        return complain(&complaint, "expected at most %d bytes, found %zu", RULES_TEXT_MAX, length);
    rule->text = strndup(text, length);
    copy = strndup(text, length);
    error = rule->text == NULL || copy == NULL ? -ENOMEM : read_words(rule, copy, &complaint);
    free(copy);
    if (error < 0)
        rules_clear_rule(rule);
    return error;
}

void rules_clear_rule(struct rule *rule)
{
    free(rule->programs);
    free(rule->text);
    free(rule->file);
    *rule = (struct rule){.action = RULES_STACK};
}
