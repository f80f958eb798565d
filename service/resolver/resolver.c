/*
 * resolver.c - DNS lookups through the stack, by c-ares.
 *
 * A lookup is one or two DNS messages that a program wants answered, and a c-ares channel of its own. So each lookup
 * has sockets of its own, and with them a port that nobody can guess; it ends its own queries, when its program goes
 * away, and nobody else's; and it keeps to the configuration that it began with. A channel costs less than the exchange
 * of the two packets that it is for.
 *
 * c-ares chooses the server, asks again, asks the next one, and goes over to TCP when an answer is truncated. It opens
 * no socket of the kernel's (resolver_socket.c) and reads no file: all that it would read is given as options.
 *
 * From the stack's callbacks a lookup is only marked busy. resolver_run() does the rest: c-ares reads what came and
 * sends what it likes; a lookup whose questions all have their answer tells its owner, and is freed.
 */
#include "resolver.h"

#include "service/log/log.h"
#include "service/protocol.h"
#include "resolver_config.h"
#include "resolver_socket.h"

#include <ares.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/time.h>

#define HEADER_BYTES 12 /* of a DNS message (RFC 1035 4.1.1) */
#define NAME_BYTES_MAX 255
#define LABEL_BYTES_MAX 63

/* What one lookup may do in a turn, before the others have theirs. */
#define STEPS_PER_TURN 64

struct question {
    struct lookup *lookup;
    uint8_t id[2]; /* the program's own; that of the packets is ours */
    bool answered;
    struct lookup_answer answer;
};

struct lookup {
    ares_channel channel; /* owned */
    struct resolver_sockets sockets;
    struct question questions[RESOLVER_QUESTIONS];
    uid_t uid;
    lookup_done *done;
    void *owner;
    bool busy; /* on the busy list */
    TAILQ_ENTRY(lookup) link, busy_link;
};
TAILQ_HEAD(lookup_list, lookup);

static struct lookup_list all = TAILQ_HEAD_INITIALIZER(all);
static struct lookup_list busy_list = TAILQ_HEAD_INITIALIZER(busy_list);
static size_t count;

/* When c-ares must look at its clock again; only lookups that did something can have changed it. */
static uint64_t deadline_us = UINT64_MAX;
static bool deadline_is_known = true;

int resolver_setup(void)
{
    int status = ares_library_init(ARES_LIB_INIT_ALL);

    return status == ARES_SUCCESS ? 0 : -ENOMEM;
}

static void make_busy(void *owner)
{
    struct lookup *lookup = owner;

    if (lookup->busy)
        return;
    lookup->busy = true;
    TAILQ_INSERT_TAIL(&busy_list, lookup, busy_link);
}

static void make_idle(struct lookup *lookup)
{
    if (lookup->busy)
        TAILQ_REMOVE(&busy_list, lookup, busy_link);
    lookup->busy = false;
}

/* ares_sock_state_cb. */
static void on_socket_state(void *data, ares_socket_t index, int readable, int writable)
{
    struct lookup *lookup = data;

    resolver_sockets_want(&lookup->sockets, index, readable, writable);
    if (writable)
        make_busy(lookup);
}

/* What libc says when no answer was of use. heard: a server did answer, if only with SERVFAIL, NOTIMP or REFUSED. */
static int errno_of(int status, bool heard)
{
    switch (status) {
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_ECONNREFUSED:
        return heard ? -ETIMEDOUT : -ECONNREFUSED;
    case ARES_EBADQUERY:
    case ARES_EBADNAME:
    case ARES_EFORMERR:
        return -EINVAL;
    default:
        return -ETIMEDOUT;
    }
}

/* ares_callback: one question is answered. */
static void on_answer(void *arg, int status, int timeouts, unsigned char *message, int length)
{
    struct question *question = arg;
    struct lookup_answer *answer = &question->answer;

    (void)timeouts;
    question->answered = true;
    make_busy(question->lookup);
    if (message == NULL || length < HEADER_BYTES) {
        answer->error = errno_of(status, question->lookup->sockets.heard);
        return;
    }
    answer->message = malloc((size_t)length);
    if (answer->message == NULL) {
        answer->error = -ENOMEM;
        return;
    }
    memcpy(answer->message, message, (size_t)length);
    memcpy(answer->message, question->id, sizeof question->id);
    answer->length = (size_t)length;
}

bool resolver_check_question(const struct lookup_question *question)
{
    const uint8_t *message = question->message;
    size_t at = HEADER_BYTES, length = question->length;
    bool is_query;

    if (length < HEADER_BYTES + 5 || length > PROTOCOL_QUERY_MAX)
        return false;
    is_query = !(message[2] & 0x80);
    if (!is_query || message[4] != 0 || message[5] != 1)
        return false;
    while (at < length && message[at] != 0) {
        if (message[at] > LABEL_BYTES_MAX)
            return false;
        at += 1u + message[at];
    }
    return at - HEADER_BYTES < NAME_BYTES_MAX && at + 5 <= length;
}

/* Everything that c-ares would otherwise look for by itself is given; the servers come after. Return: 0 or -ENOMEM. */
static int open_channel(struct lookup *lookup, const struct resolver_config *config, int flags)
{
    struct in_addr nobody = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct ares_addr_port_node servers[RESOLVER_SERVERS_MAX];
    struct ares_options options = {
        .flags = (flags & PROTOCOL_RESOLVE_TCP) || config->use_tcp ? ARES_FLAG_USEVC : 0,
        .timeout = config->timeout_s * 1000,
        .tries = config->attempts,
        .ndots = 1,
        .servers = &nobody,
        .nservers = 1,
        .lookups = (char *)"b",
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = lookup,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_SERVERS |
               ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_SORTLIST |
               (config->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);

    if (flags & PROTOCOL_RESOLVE_KEEP_TRUNCATED)
        options.flags |= ARES_FLAG_IGNTC;
    if (ares_init_options(&lookup->channel, &options, mask) != ARES_SUCCESS)
        return -ENOMEM;
    for (size_t i = 0; i < config->server_count; i++) {
        const union stack_address *server = &config->servers[i];

        memset(&servers[i], 0, sizeof servers[i]);
        servers[i].family = server->sa.sa_family;
        if (server->sa.sa_family == AF_INET) {
            servers[i].addr.addr4 = server->in.sin_addr;
            servers[i].udp_port = servers[i].tcp_port = ntohs(server->in.sin_port);
        } else {
            memcpy(&servers[i].addr.addr6, &server->in6.sin6_addr, sizeof server->in6.sin6_addr);
            servers[i].udp_port = servers[i].tcp_port = ntohs(server->in6.sin6_port);
        }
        servers[i].next = i + 1 < config->server_count ? &servers[i + 1] : NULL;
    }
    if (ares_set_servers_ports(lookup->channel, servers) != ARES_SUCCESS) {
        ares_destroy(lookup->channel);
        return -ENOMEM;
    }
    resolver_sockets_attach(&lookup->sockets, lookup->channel);
    return 0;
}

static void destroy(struct lookup *lookup)
{
    TAILQ_REMOVE(&all, lookup, link);
    count--;
    ares_destroy(lookup->channel); /* calls on_answer() for those that wait */
    make_idle(lookup);
    resolver_sockets_close(&lookup->sockets);
    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++)
        free(lookup->questions[i].answer.message);
    free(lookup);
}

static bool has_too_many(uid_t uid)
{
    const struct lookup *lookup;
    size_t mine = 0;

    TAILQ_FOREACH(lookup, &all, link) mine += lookup->uid == uid;
    return mine >= RESOLVER_LOOKUPS_USER || count >= RESOLVER_LOOKUPS_MAX;
}

/* Send one message with an identifier of our own. Return: 0 or -errno. */
static int ask(struct lookup *lookup, size_t index, const struct lookup_question *what)
{
    struct question *question = &lookup->questions[index];
    uint8_t message[PROTOCOL_QUERY_MAX];
    uint16_t id;

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return -EIO;
    id = (uint16_t)((id & ~1u) | index); /* two questions of one channel never have the same */
    memcpy(message, what->message, what->length);
    memcpy(question->id, message, sizeof question->id);
    memcpy(message, &id, sizeof id);
    ares_send(lookup->channel, message, (int)what->length, on_answer, question);
    return 0;
}

int resolver_start(const struct lookup_question questions[RESOLVER_QUESTIONS], int flags, uid_t uid, lookup_done *done,
                   void *owner, struct lookup **started)
{
    struct lookup *lookup;
    int error;

    if (has_too_many(uid)) {
        log_warnx("resolver: user %u has too many lookups under way, more fail until some end; do the name servers answer (dns)?", (unsigned)uid);
        return -EAGAIN;
    }
    lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        return -ENOMEM;
    lookup->sockets.changed = make_busy;
    lookup->sockets.owner = lookup;
    lookup->uid = uid;
    lookup->done = done;
    lookup->owner = owner;
    error = open_channel(lookup, resolver_config_get(), flags);
    if (error < 0) {
        free(lookup);
        return error;
    }
    TAILQ_INSERT_TAIL(&all, lookup, link);
    count++;
    deadline_is_known = false;
    for (size_t i = 0; i < RESOLVER_QUESTIONS && error == 0; i++) {
        lookup->questions[i].lookup = lookup;
        if (questions[i].length == 0)
            lookup->questions[i].answered = true;
        else
            error = ask(lookup, i, &questions[i]);
    }
    if (error < 0) {
        destroy(lookup);
        return error;
    }
    *started = lookup;
    return 0;
}

void resolver_cancel(struct lookup *lookup)
{
    destroy(lookup);
}

void resolver_teardown(void)
{
    struct lookup *lookup;

    while ((lookup = TAILQ_FIRST(&all)) != NULL)
        destroy(lookup);
    ares_library_cleanup();
}

static bool is_complete(const struct lookup *lookup)
{
    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++)
        if (!lookup->questions[i].answered)
            return false;
    return true;
}

/* Let c-ares do what can be done now. */
static void work(struct lookup *lookup)
{
    bool readable, writable;
    int steps = 0;

    for (int index = 0; steps < STEPS_PER_TURN && resolver_sockets_next(&lookup->sockets, &index, &readable, &writable);
         index++, steps++)
        ares_process_fd(lookup->channel, readable ? index : ARES_SOCKET_BAD, writable ? index : ARES_SOCKET_BAD);
    if (steps > 0)
        make_busy(lookup); /* perhaps there is more */
    else
        ares_process_fd(lookup->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* whose time is over */
}

static void tell(struct lookup *lookup)
{
    struct lookup_answer answers[RESOLVER_QUESTIONS];

    for (size_t i = 0; i < RESOLVER_QUESTIONS; i++)
        answers[i] = lookup->questions[i].answer;
    lookup->done(lookup->owner, answers);
    destroy(lookup);
}

/* When must c-ares look at its clock again? Return: microseconds from now, UINT64_MAX: never. */
static uint64_t time_left_us(const struct lookup *lookup)
{
    struct timeval left;

    if (ares_timeout(lookup->channel, NULL, &left) == NULL)
        return UINT64_MAX;
    return (uint64_t)left.tv_sec * 1000000 + (uint64_t)left.tv_usec;
}

int64_t resolver_timer_us(uint64_t now_us)
{
    const struct lookup *lookup;
    uint64_t left_us;

    if (!TAILQ_EMPTY(&busy_list))
        return 0;
    if (!deadline_is_known) {
        left_us = UINT64_MAX;
        TAILQ_FOREACH(lookup, &all, link)
        {
            uint64_t its_us = time_left_us(lookup);

            left_us = its_us < left_us ? its_us : left_us;
        }
        deadline_us = left_us == UINT64_MAX ? UINT64_MAX : now_us + left_us;
        deadline_is_known = true;
    }
    if (deadline_us == UINT64_MAX)
        return -1;
    return deadline_us <= now_us ? 0 : (int64_t)(deadline_us - now_us);
}

void resolver_run(uint64_t now_us)
{
    struct lookup *lookup;
    size_t todo = 0;

    if (deadline_is_known && now_us >= deadline_us) {
        TAILQ_FOREACH(lookup, &all, link)
        {
            if (time_left_us(lookup) == 0)
                make_busy(lookup);
        }
        deadline_is_known = false;
    }
    TAILQ_FOREACH(lookup, &busy_list, busy_link) todo++;
    for (; todo > 0; todo--) {
        lookup = TAILQ_FIRST(&busy_list);
        make_idle(lookup);
        work(lookup);
        deadline_is_known = false;
        if (is_complete(lookup))
            tell(lookup);
    }
}
