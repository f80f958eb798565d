/* sidestack_rules.c - the rules of a running service: which there are, how often each has decided, and what would
 * happen. */
#include "ask.h"
#include "option.h"
#include "service/rules/rules.h"
#include "sidestack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "sidestack rules"

enum { OPTION_JSON = 0x100, OPTION_USER, OPTION_PROTOCOL };

static const char usage[] =
    "usage: sidestack rules [OPTION...]\n"
    "       sidestack rules test [OPTION...] PROGRAM CALL ADDRESS\n"
    "Lists the rules of a running sidestackd, and how often each has decided; or tells what would happen if PROGRAM made\n"
    "CALL (socket, connect, sendto, bind or listen) with ADDRESS (as in 192.0.2.1:22 or [2001:db8::1]:22), and why.\n"
    "\n"
    "      --protocol P    tcp, udp, udplite, icmp or raw (default: tcp; of sendto udp)\n"
    "      --user USER     whose program it is (default: yours)\n"
    "      --json          JSON\n"
    ASK_HELP
    "      --help          this text\n";

static const struct call {
    const char *name;
    unsigned role;
    enum rules_protocol protocol;
    const char *when; /* it is decided */
} calls[] = {
    {"socket", 0, RULES_TCP, "socket()"},
    {"connect", RULES_CONNECT, RULES_TCP, "connect()"},
    {"sendto", RULES_CONNECT, RULES_UDP, "the first datagram to that address"},
    {"bind", RULES_LISTEN, RULES_TCP, "bind()"},
    {"listen", RULES_LISTEN, RULES_TCP, "bind() to a port, else listen()"},
};

static const struct {
    const char *name;
    enum rules_protocol protocol;
} protocols[] = {{"tcp", RULES_TCP}, {"udp", RULES_UDP}, {"udplite", RULES_UDP_LITE}, {"icmp", RULES_ICMP}, {"raw", RULES_RAW}};

static const char *const action_names[] = {[RULES_STACK] = "stack", [RULES_HOST] = "host", [RULES_REJECT] = "reject",
                                           [RULES_BLACKHOLE] = "blackhole"};

/* A rule as the service tells it. */
struct told_rule {
    char text[PROTOCOL_OPTION_MAX + 1];
    char file[PROTOCOL_OPTION_MAX + 1]; /* empty: the command line */
    unsigned line;
    uint64_t hits;
    size_t count; /* of all rules */
};

/* Return: SIDESTACK_EXIT_USAGE. */
static int fail(const char *what, const char *which)
{
    fprintf(stderr, COMMAND ": %s%s%s\n", what, which != NULL ? ": " : "", which != NULL ? which : "");
    return SIDESTACK_EXIT_USAGE;
}

static int fail_asking(const struct service_path *path, int error)
{
    fprintf(stderr, COMMAND ": %s: %s%s\n", path->text, strerror(-error),
            error == -ENOENT || error == -ECONNREFUSED ? " (is sidestackd running?)" : "");
    return SIDESTACK_EXIT_USAGE;
}

/* Return: 0 or -errno. */
static int ask(const struct service_path *path, struct protocol_message *message)
{
    int error = ask_service(path, message, NULL, 0, NULL);

    return error < 0 ? error : message->result;
}

static void copy_option(char *text, const struct protocol_message *message)
{
    memcpy(text, message->option, message->option_length);
    text[message->option_length] = '\0';
}

/* Return: 0 or -errno; an index beyond the last gives .count only. */
static int get_rule(const struct service_path *path, size_t index, struct told_rule *rule)
{
    struct protocol_message message = {.operation = PROTOCOL_RULES, .args = {(int32_t)index, 0}};
    int error = ask(path, &message);

    if (error < 0)
        return error;
    rule->count = (size_t)(uint32_t)message.args[0];
    rule->line = (unsigned)message.args[1];
    rule->hits = (uint64_t)(uint32_t)message.args[3] << 32 | (uint32_t)message.args[2];
    copy_option(rule->text, &message);
    message = (struct protocol_message){.operation = PROTOCOL_RULES, .args = {(int32_t)index, 1}};
    error = ask(path, &message);
    if (error == 0)
        copy_option(rule->file, &message);
    return error;
}

/* "FILE:LINE", or "--rule". */
static const char *place_of(const struct told_rule *rule)
{
    static char text[PROTOCOL_OPTION_MAX + 16];

    if (rule->file[0] == '\0')
        return "--rule";
    snprintf(text, sizeof text, "%s:%u", rule->file, rule->line);
    return text;
}

static json_t *rule_as_json(const struct told_rule *rule, size_t index)
{
    return json_pack("{sI ss ss sI sI}", "index", (json_int_t)index, "rule", rule->text, "file", rule->file, "line",
                     (json_int_t)rule->line, "hits", (json_int_t)rule->hits);
}

static void print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

static int list_rules(const struct service_path *path, bool json)
{
    struct told_rule rule = {.count = 1};

    for (size_t i = 0; i < rule.count; i++) {
        int error = get_rule(path, i, &rule);

        if (error < 0)
            return fail_asking(path, error);
        if (i >= rule.count)
            break;
        if (json) {
            print_json(rule_as_json(&rule, i));
            continue;
        }
        if (i == 0)
            printf("%10s  %s\n", "hits", "rule");
        printf("%10llu  %s  (%s)\n", (unsigned long long)rule.hits, rule.text, place_of(&rule));
    }
    if (rule.count == 0 && !json)
        puts("there are no rules: all sockets are on the stack");
    return EXIT_SUCCESS;
}

/* ADDRESS:PORT, [ADDRESS]:PORT, or an address alone. Return: false when it is none. */
static bool read_address(const char *text, struct protocol_address *address)
{
    union stack_address parsed = {.sa.sa_family = AF_INET};
    const char *colon = strrchr(text, ':');
    bool is_6 = text[0] == '[' || (colon != NULL && strchr(text, ':') != colon);
    char host[INET6_ADDRSTRLEN + 2];
    unsigned long port = 0;
    size_t length = strlen(text);
    char *end;

    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');

        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return false;
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
        text++;
        length = (size_t)(bracket - text);
    } else if (is_6) {
        colon = NULL;
    } else if (colon != NULL) {
        length = (size_t)(colon - text);
    }
    if (length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    if (colon != NULL) {
        port = strtoul(colon + 1, &end, 10);
        if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port > UINT16_MAX)
            return false;
    }
    if (is_6) {
        parsed.sa.sa_family = AF_INET6;
        parsed.in6.sin6_port = htons((uint16_t)port);
        address->length = sizeof parsed.in6;
        if (inet_pton(AF_INET6, host, &parsed.in6.sin6_addr) != 1)
            return false;
    } else {
        parsed.in.sin_port = htons((uint16_t)port);
        address->length = sizeof parsed.in;
        if (inet_pton(AF_INET, host, &parsed.in.sin_addr) != 1)
            return false;
    }
    memcpy(address->bytes, &parsed, address->length);
    return true;
}

/* The path that /proc would show of the program. Return: false when there is none. */
static bool read_program(const char *name, char path[PATH_MAX])
{
    char found[PATH_MAX];

    if (sidestack_find_program(name, found, sizeof found) < 0)
        return false;
    return realpath(found, path) != NULL;
}

static bool read_user(const char *name, uid_t *uid)
{
    const struct passwd *entry = getpwnam(name);
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    *uid = entry != NULL ? entry->pw_uid : (uid_t)number;
    return entry != NULL || (*name >= '0' && *name <= '9' && *end == '\0');
}

/* What is asked. */
struct question {
    const char *program;
    const struct call *call;
    enum rules_protocol protocol;
    struct protocol_address address;
    uid_t uid;
};

/* Return: 0 and the reply, or -errno. */
static int judge(const struct service_path *path, const struct question *question, unsigned role,
                 struct protocol_message *reply)
{
    *reply = (struct protocol_message){.operation = PROTOCOL_RULES,
                                       .flags = PROTOCOL_FLAG_TEST,
                                       .args = {0, (int32_t)question->protocol, (int32_t)role, (int32_t)question->uid},
                                       .address = question->address,
                                       .option_length = (uint32_t)strlen(question->program)};
    memcpy(reply->option, question->program, reply->option_length);
    return ask(path, reply);
}

static void print_verdict(const struct protocol_message *reply, const struct told_rule *rule, const char *when, bool json)
{
    const char *action = reply->args[0] >= 0 ? action_names[reply->args[0]] : "depends";
    const char *error = reply->args[0] == RULES_REJECT ? strerrorname_np(reply->args[2]) : NULL;

    if (json) {
        json_t *object = json_pack("{ss ss}", "action", action, "when", when);

        if (error != NULL)
            json_object_set_new(object, "errno", json_string(error));
        if (reply->args[1] >= 0)
            json_object_set_new(object, "rule", rule_as_json(rule, (size_t)reply->args[1]));
        print_json(object);
        return;
    }
    if (reply->args[0] < 0) {
        puts("depends on what the socket is used for: it is made on the stack, and may move");
        return;
    }
    printf("%s%s%s: ", action, error != NULL ? " with " : "", error != NULL ? error : "");
    if (reply->args[1] >= 0)
        printf("%s: %s\n", place_of(rule), rule->text);
    else
        puts("no rule matches");
    printf("when: %s\n", when);
}

static int test_rules(const struct service_path *path, const struct question *question, bool json)
{
    struct protocol_message reply;
    struct told_rule rule = {.count = 0};
    const char *when = calls[0].when;
    int error = judge(path, question, 0, &reply);

    if (error == 0 && reply.args[0] < 0 && question->call->role != 0) {
        when = question->call->when;
        error = judge(path, question, question->call->role, &reply);
    }
    if (error == 0 && reply.args[1] >= 0)
        error = get_rule(path, (size_t)reply.args[1], &rule);
    if (error < 0)
        return fail_asking(path, error);
    print_verdict(&reply, &rule, when, json);
    return EXIT_SUCCESS;
}

/* PROGRAM CALL ADDRESS. protocol 0: the call's own. Return: 0, or the exit status after a message. */
static int read_question(int argc, char **argv, unsigned protocol, struct question *question)
{
    static char program[PATH_MAX];

    if (argc < 2)
        return fail("expected PROGRAM CALL ADDRESS; see --help", NULL);
    if (!read_program(argv[0], program) || strlen(program) > PROTOCOL_OPTION_MAX)
        return fail("no such program", argv[0]);
    question->program = program;
    for (size_t i = 0; i < sizeof calls / sizeof *calls && question->call == NULL; i++)
        if (strcmp(calls[i].name, argv[1]) == 0)
            question->call = &calls[i];
    if (question->call == NULL)
        return fail("expected socket, connect, sendto, bind or listen", argv[1]);
    question->protocol = protocol != 0 ? (enum rules_protocol)protocol : question->call->protocol;
    if (argc != (question->call->role != 0 ? 3 : 2) && argc != 3)
        return fail("expected PROGRAM CALL ADDRESS; see --help", NULL);
    if (argc == 3 && !read_address(argv[2], &question->address))
        return fail("expected an address, as in 192.0.2.1:22 or [2001:db8::1]:22", argv[2]);
    return 0;
}

int sidestack_rules(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, OPTION_JSON},
                                            {"user", required_argument, NULL, OPTION_USER},
                                            {"protocol", required_argument, NULL, OPTION_PROTOCOL},
                                            TOOL_OPTIONS};
    struct service_path path = {""};
    const struct tool_options tool = {COMMAND, usage, "", options, &path};
    struct question question = {.uid = getuid()};
    unsigned protocol = 0;
    bool json = false;
    int option, status, error;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1) {
        switch (option) {
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_USER:
            if (!read_user(optarg, &question.uid))
                return fail("no such user", optarg);
            break;
        case OPTION_PROTOCOL:
            for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
                if (strcmp(protocols[i].name, optarg) == 0)
                    protocol = protocols[i].protocol;
            if (protocol == 0)
                return fail("expected tcp, udp, udplite, icmp or raw", optarg);
            break;
        default:
            return status;
        }
    }
    if (optind == argc)
        return list_rules(&path, json);
    if (strcmp(argv[optind], "test") != 0)
        return fail("expected test, or nothing", argv[optind]);
    error = read_question(argc - optind - 1, argv + optind + 1, protocol, &question);
    return error != 0 ? error : test_rules(&path, &question, json);
}
