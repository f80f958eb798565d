/*
 * filter.c - which sockets: filters as ss(8) has them.
 *
 * The words of the command line are joined and cut into tokens: so an expression may come as one word or as many. A
 * parser by recursive descent makes a tree of them.
 */
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64 /* of parentheses */
#define TOKENS_MAX 4096

enum node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_SOURCE, NODE_DESTINATION, NODE_PID, NODE_PROGRAM, NODE_USER, NODE_ID };
enum operator { OP_EQ, OP_NE, OP_GE, OP_LE, OP_GT, OP_LT };

struct filter_node {
    enum node_kind kind;
    struct filter_node *left, *right; /* owned */
    enum operator operator;
    uint8_t prefix[16];
    unsigned bits; /* of prefix */
    bool has_port;
    uint16_t port;
    uint64_t number;
    char *name; /* owned */
};

struct parser {
    char **tokens; /* owned, with the strings */
    size_t count, at;
    unsigned depth;
    char *message;
    size_t message_size;
};

unsigned filter_states_connected(void)
{
    return FILTER_STATES_ALL & ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT | 1u << TCP_SYN_RECV);
}

/* ---- tokens ---- */

/* Complain, once. Return: -EINVAL. */
__attribute__((format(printf, 2, 3))) static int refuse(struct parser *parser, const char *format, ...)
{
    va_list arguments;

    if (parser->message[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(parser->message, parser->message_size, format, arguments);
        va_end(arguments);
    }
    return -EINVAL;
}

static int add_token(struct parser *parser, const char *from, size_t length)
{
    char **tokens;

    if (parser->count == TOKENS_MAX)
        return -E2BIG;
    tokens = realloc(parser->tokens, (parser->count + 1) * sizeof *tokens);
    if (tokens == NULL)
        return -ENOMEM;
    parser->tokens = tokens;
    tokens[parser->count] = strndup(from, length);
    return tokens[parser->count++] != NULL ? 0 : -ENOMEM;
}

/* Parentheses and operators stand for themselves; the rest is words. */
static int cut(struct parser *parser, const char *text)
{
    int error = 0;

    while (error == 0 && *text != '\0') {
        size_t length = strspn(text, " \t\n");

        text += length;
        if (*text == '\0')
            break;
        if (strchr("()", *text) != NULL)
            length = 1;
        else if (strchr("=!<>&|", *text) != NULL)
            length = text[1] == '=' || (text[1] == text[0] && strchr("&|", *text) != NULL) ? 2 : 1;
        else
            length = strcspn(text, " \t\n()=!<>&|");
        error = add_token(parser, text, length);
        text += length;
    }
    return error;
}

static const char *peek(const struct parser *parser)
{
    return parser->at < parser->count ? parser->tokens[parser->at] : NULL;
}

/* Is it the next token? Then it is taken. */
static bool take(struct parser *parser, const char *token)
{
    const char *next = peek(parser);

    if (next == NULL || strcmp(next, token) != 0)
        return false;
    parser->at++;
    return true;
}

/* ---- states ---- */

/* Return: the bits of a state's name, or of a group's; 0: there is none of this name. */
static unsigned states_of(const char *word)
{
    const unsigned connected = FILTER_STATES_ALL & ~(1u << TCP_LISTEN | 1u << TCP_CLOSE);
    const unsigned bucket = 1u << TCP_SYN_RECV | 1u << TCP_TIME_WAIT;

    for (int state = 1; state < ROW_STATES; state++)
        if (strcasecmp(word, row_state_word(state)) == 0 || strcasecmp(word, row_state_shown(state)) == 0)
            return 1u << state;
    if (strcasecmp(word, "all") == 0)
        return FILTER_STATES_ALL;
    if (strcasecmp(word, "connected") == 0)
        return connected;
    if (strcasecmp(word, "synchronized") == 0)
        return connected & ~(1u << TCP_SYN_SENT);
    if (strcasecmp(word, "bucket") == 0)
        return bucket;
    if (strcasecmp(word, "big") == 0)
        return FILTER_STATES_ALL & ~bucket;
    if (strcasecmp(word, "listen") == 0)
        return 1u << TCP_LISTEN;
    if (strcasecmp(word, "close") == 0)
        return 1u << TCP_CLOSE;
    return 0;
}

static int parse_states(struct parser *parser, struct filter *filter)
{
    for (;;) {
        bool adds = take(parser, "state");
        const char *word;
        unsigned bits;

        if (!adds && !take(parser, "exclude") && !take(parser, "excl"))
            return 0;
        word = peek(parser);
        bits = word != NULL ? states_of(word) : 0;
        if (bits == 0)
            return refuse(parser, "'%s' is no state: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, "
                          "time-wait, closed, close-wait, last-ack, listening, closing, all, connected, synchronized, "
                          "bucket, big", word != NULL ? word : "");
        parser->at++;
        if (adds)
            filter->states |= bits;
        else
            filter->states = (filter->states != 0 ? filter->states : FILTER_STATES_ALL) & ~bits;
    }
}

/* ---- predicates ---- */

static void free_node(struct filter_node *node)
{
    if (node == NULL)
        return;
    free_node(node->left);
    free_node(node->right);
    free(node->name);
    free(node);
}

static struct filter_node *make_node(enum node_kind kind, struct filter_node *left, struct filter_node *right)
{
    struct filter_node *node = calloc(1, sizeof *node);

    if (node == NULL) {
        free_node(left);
        free_node(right);
        return NULL;
    }
    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static enum operator take_operator(struct parser *parser)
{
    static const struct {
        const char *text;
        enum operator operator;
    } operators[] = {{"=", OP_EQ},  {"==", OP_EQ}, {"eq", OP_EQ}, {"!=", OP_NE}, {"ne", OP_NE}, {"neq", OP_NE},
                     {">=", OP_GE}, {"ge", OP_GE}, {"geq", OP_GE}, {"<=", OP_LE}, {"le", OP_LE}, {"leq", OP_LE},
                     {">", OP_GT},  {"gt", OP_GT}, {"<", OP_LT},  {"lt", OP_LT}};

    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (take(parser, operators[i].text))
            return operators[i].operator;
    return OP_EQ;
}

/* Read a number of at most max. Return: false when it is none. */
static bool read_number(const char *text, uint64_t max, uint64_t *number)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 && *number <= max;
}

/* A port by number or by a service's name. */
static int read_port(struct parser *parser, const char *text, struct filter_node *node)
{
    const struct servent *service;
    uint64_t number;

    if (strcmp(text, "*") == 0)
        return 0;
    node->has_port = true;
    if (read_number(text, UINT16_MAX, &number)) {
        node->port = (uint16_t)number;
        return 0;
    }
    service = getservbyname(text, NULL);
    if (service == NULL)
        return refuse(parser, "'%s' is no port", text);
    node->port = ntohs((uint16_t)service->s_port);
    return 0;
}

/* A host's name. Return: false when nobody knows it. */
static bool resolve(const char *name, struct filter_node *node)
{
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_flags = AI_V4MAPPED, .ai_socktype = SOCK_STREAM}, *found;

    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return false;
    memcpy(node->prefix, &((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, sizeof node->prefix);
    freeaddrinfo(found);
    return true;
}

/* ADDRESS[/BITS], where * and nothing mean all. text is written to. */
static int read_prefix(struct parser *parser, char *text, struct filter_node *node)
{
    char *slash = strchr(text, '/');
    bool is_v4 = false;
    uint64_t bits;
    uint8_t v4[4];

    if (*text == '\0' || strcmp(text, "*") == 0)
        return 0; /* 0 bits */
    if (slash != NULL)
        *slash = '\0';
    if (inet_pton(AF_INET, text, v4) == 1) {
        memset(node->prefix + 10, 0xff, 2);
        memcpy(node->prefix + 12, v4, sizeof v4);
        is_v4 = true;
    } else if (inet_pton(AF_INET6, text, node->prefix) != 1 && !resolve(text, node)) {
        return refuse(parser, "'%s' is no address", text);
    }
    bits = is_v4 ? 32 : 128;
    if (slash != NULL && !read_number(slash + 1, bits, &bits))
        return refuse(parser, "'/%s' is no length of a prefix", slash + 1);
    node->bits = (unsigned)bits + (is_v4 ? 96 : 0);
    return 0;
}

/* HOST, HOST:PORT, :PORT, [HOST]:PORT; an IPv6 address with a port wants brackets. */
static int read_endpoint(struct parser *parser, const char *token, struct filter_node *node)
{
    char *text = strdup(token);
    char *host = text, *port = NULL;
    int error = 0;

    if (text == NULL)
        return -ENOMEM;
    if (*text == '[') {
        char *end = strchr(text, ']');

        host = text + 1;
        if (end == NULL || (end[1] != '\0' && end[1] != ':' && end[1] != '/')) {
            error = refuse(parser, "'%s': where does the address end?", token);
            goto out;
        }
        if (end[1] == '/') { /* [2001:db8::]/32:80 */
            port = strchr(end, ':');
            memmove(end, end + 1, strlen(end));
            port = port != NULL ? port - 1 : NULL;
        } else {
            *end = '\0';
            port = end[1] == ':' ? end + 1 : NULL;
        }
    } else if (strchr(text, ':') == strrchr(text, ':')) {
        port = strchr(text, ':');
    }
    if (port != NULL)
        *port++ = '\0';
    if (port != NULL)
        error = read_port(parser, port, node);
    if (error == 0)
        error = read_prefix(parser, host, node);
out:
    free(text);
    return error;
}

static int read_operand(struct parser *parser, bool is_port, struct filter_node *node)
{
    const char *token;
    int error = 0;

    node->operator = take_operator(parser);
    token = peek(parser);
    if (token == NULL)
        return refuse(parser, "the filter ends where a value is expected");
    parser->at++;
    switch (node->kind) {
    case NODE_PID:
    case NODE_USER:
    case NODE_ID:
        if (!read_number(token, UINT64_MAX, &node->number))
            error = refuse(parser, "'%s' is no number", token);
        break;
    case NODE_PROGRAM:
        node->name = strdup(token);
        error = node->name != NULL ? 0 : -ENOMEM;
        break;
    default:
        error = is_port ? read_port(parser, *token == ':' ? token + 1 : token, node)
                        : read_endpoint(parser, token, node);
        if (error == 0 && !is_port && node->operator > OP_NE)
            error = refuse(parser, "addresses are equal or not, nothing else");
    }
    return error;
}

static struct filter_node *parse_predicate(struct parser *parser)
{
    static const struct {
        const char *word;
        enum node_kind kind;
        bool is_port;
    } predicates[] = {{"src", NODE_SOURCE, false},   {"dst", NODE_DESTINATION, false}, {"sport", NODE_SOURCE, true},
                      {"dport", NODE_DESTINATION, true}, {"pid", NODE_PID, false},     {"prog", NODE_PROGRAM, false},
                      {"user", NODE_USER, false},    {"id", NODE_ID, false}};

    for (size_t i = 0; i < sizeof predicates / sizeof *predicates; i++) {
        struct filter_node *node;

        if (!take(parser, predicates[i].word))
            continue;
        node = make_node(predicates[i].kind, NULL, NULL);
        if (node != NULL && read_operand(parser, predicates[i].is_port, node) < 0) {
            free_node(node);
            node = NULL;
        }
        return node;
    }
    refuse(parser, "'%s' is not understood: src, dst, sport, dport, pid, prog, user, id, not, and, or, ( ) are",
           peek(parser) != NULL ? peek(parser) : "");
    return NULL;
}

/* ---- expressions ---- */

static struct filter_node *parse_or(struct parser *parser);

static struct filter_node *parse_not(struct parser *parser)
{
    struct filter_node *inner;

    if (++parser->depth > DEPTH_MAX) {
        refuse(parser, "the filter is too deep");
        return NULL;
    }
    if (take(parser, "not") || take(parser, "!")) {
        inner = parse_not(parser);
        inner = inner != NULL ? make_node(NODE_NOT, inner, NULL) : NULL;
    } else if (take(parser, "(")) {
        inner = parse_or(parser);
        if (inner != NULL && !take(parser, ")")) {
            refuse(parser, "a ) is missing");
            free_node(inner);
            inner = NULL;
        }
    } else {
        inner = parse_predicate(parser);
    }
    parser->depth--;
    return inner;
}

/* Does an operand of "and" follow, with or without the word? */
static bool and_follows(struct parser *parser)
{
    const char *next;

    if (take(parser, "and") || take(parser, "&") || take(parser, "&&"))
        return true;
    next = peek(parser);
    return next != NULL && strcmp(next, ")") != 0 && strcmp(next, "or") != 0 && strcmp(next, "|") != 0 &&
           strcmp(next, "||") != 0;
}

static struct filter_node *parse_and(struct parser *parser)
{
    struct filter_node *left = parse_not(parser);

    while (left != NULL && and_follows(parser)) {
        struct filter_node *right = parse_not(parser);

        if (right == NULL) {
            free_node(left);
            return NULL;
        }
        left = make_node(NODE_AND, left, right);
    }
    return left;
}

static struct filter_node *parse_or(struct parser *parser)
{
    struct filter_node *left = parse_and(parser);

    while (left != NULL && (take(parser, "or") || take(parser, "|") || take(parser, "||"))) {
        struct filter_node *right = parse_and(parser);

        if (right == NULL) {
            free_node(left);
            return NULL;
        }
        left = make_node(NODE_OR, left, right);
    }
    return left;
}

int filter_parse(struct filter *filter, int count, char **words, char *message, size_t size)
{
    struct parser parser = {.message = message, .message_size = size};
    int error = 0;

    *filter = (struct filter){0};
    message[0] = '\0';
    for (int i = 0; i < count && error == 0; i++)
        error = cut(&parser, words[i]);
    if (error == 0)
        error = parse_states(&parser, filter);
    if (error == 0 && peek(&parser) != NULL) {
        filter->root = parse_or(&parser);
        if (filter->root == NULL)
            error = -EINVAL;
        else if (peek(&parser) != NULL)
            error = refuse(&parser, "'%s' is not understood", peek(&parser));
    }
    if (error < 0) {
        if (message[0] == '\0')
            snprintf(message, size, "%s", strerror(-error));
        filter_free(filter);
    }
    for (size_t i = 0; i < parser.count; i++)
        free(parser.tokens[i]);
    free(parser.tokens);
    return error;
}

void filter_free(struct filter *filter)
{
    free_node(filter->root);
    filter->root = NULL;
}

/* ---- matching ---- */

static bool compare(enum operator operator, uint64_t left, uint64_t right)
{
    switch (operator) {
    case OP_EQ: return left == right;
    case OP_NE: return left != right;
    case OP_GE: return left >= right;
    case OP_LE: return left <= right;
    case OP_GT: return left > right;
    case OP_LT: return left < right;
    }
    return false;
}

static bool prefix_matches(const struct filter_node *node, const struct row_address *address)
{
    unsigned whole = node->bits / 8, rest = node->bits % 8;

    return memcmp(node->prefix, address->bytes, whole) == 0 &&
           (rest == 0 || ((node->prefix[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0);
}

static bool endpoint_matches(const struct filter_node *node, const struct row_address *address)
{
    bool equal;

    if (node->operator > OP_NE)
        return compare(node->operator, address->port, node->port);
    equal = prefix_matches(node, address) && (!node->has_port || address->port == node->port);
    return equal == (node->operator == OP_EQ);
}

static bool matches(const struct filter_node *node, const struct row *row)
{
    switch (node->kind) {
    case NODE_AND: return matches(node->left, row) && matches(node->right, row);
    case NODE_OR: return matches(node->left, row) || matches(node->right, row);
    case NODE_NOT: return !matches(node->left, row);
    case NODE_SOURCE: return endpoint_matches(node, &row->local);
    case NODE_DESTINATION: return endpoint_matches(node, &row->peer);
    case NODE_PID: return compare(node->operator, (uint64_t)row->pid, node->number);
    case NODE_USER: return compare(node->operator, row->uid, node->number);
    case NODE_ID: return compare(node->operator, row->id, node->number);
    case NODE_PROGRAM: return (strcmp(row->program, node->name) == 0) == (node->operator != OP_NE);
    }
    return false;
}

bool filter_matches(const struct filter *filter, const struct row *row)
{
    return filter->root == NULL || matches(filter->root, row);
}
