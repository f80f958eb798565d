/*
 * rules_apply.c - what the rules mean for the sockets of programs.
 *
 * A socket is judged when something is known that a rule may be about:
 *   - made: the program, its user, the protocol. If no rule before the first match asks for more, that is final.
 *   - bind() to a port, and listen(): role listen, the local address. A bind() to port 0 says nothing yet of a TCP socket, and of a datagram
 *     socket nothing if it is to no address either: clients do that.
 *   - connect(), and the first datagram to a destination: role connect.
 *
 * "host" then means that the socket has to move: the reply is -PROTOCOL_ON_HOST, with what the program did to the
 * socket so far (journal.h), and the library makes a socket of the kernel's and puts it in the old one's place. A TCP
 * socket can move as long as it neither listens nor connects; a datagram socket until it is used on the stack: bound to
 * a port, connected, or a datagram was sent. It never moves back.
 *
 * "blackhole": a TCP socket connects by an interface that leads nowhere, so that time-outs are TCP's own, and a
 * listening one never has room for a connection. A datagram socket is deaf (bound so), mute (connected so), or single
 * datagrams vanish.
 *
 * A socket that was made while there was no rule is never judged: nothing was noted of it.
 */
#include "rules_apply.h"

#include "service/address.h"
#include "service/datagram/datagram.h"
#include "service/datagram/datagram_relay.h"
#include "service/log/journal.h"
#include "rules.h"
#include "stack/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* Return: 0 for what no rule can be about. */
static enum rules_protocol protocol_of(int type, int protocol)
{
    switch (type) {
    case SOCK_STREAM:
        return RULES_TCP;
    case SOCK_RAW:
        return RULES_RAW;
    default:
        return protocol == 0 || protocol == IPPROTO_UDP ? RULES_UDP
               : protocol == IPPROTO_UDPLITE            ? RULES_UDP_LITE
                                                        : RULES_ICMP;
    }
}

int rules_apply_new(const struct protocol_message *request, struct rules_who *who, struct socket_rules *rules)
{
    const struct rules_question question = {.protocol = protocol_of(request->args[1], request->args[2])};
    struct rules_verdict verdict;

    *rules = (struct socket_rules){.who = who, .is_watched = true};
    verdict = rules_judge(who, &question);
    if (verdict.depends)
        return 0;
    rules_note_hit(&verdict);
    switch (verdict.action) {
    case RULES_HOST:
        return -PROTOCOL_ON_HOST;
    case RULES_REJECT:
        return -verdict.error;
    case RULES_BLACKHOLE:
        rules->is_deaf = rules->is_mute = true;
        break;
    case RULES_STACK:
        break;
    }
    rules->decided = rules_generation;
    return 0;
}

/* Where what a TCP socket sends goes. */
static void set_mute(struct socket *socket, bool is_mute)
{
    socket->rules.is_mute = is_mute;
    if (socket->tcp != NULL)
        stack_tcp_set_option(socket->tcp, STACK_TCP_BLACKHOLE, is_mute);
}

void rules_apply_made(struct socket *socket, const struct socket_rules *rules)
{
    socket->rules = *rules;
    rules_who_hold(rules->who);
    if (rules->is_mute)
        set_mute(socket, true);
}

static bool is_any(const union stack_address *address)
{
    return address->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr)
                                             : address->in.sin_addr.s_addr == INADDR_ANY;
}

/* The question that a request puts. Return: false when it puts none, or is none that will go well. */
static bool read_question(const struct socket *socket, const struct protocol_message *request,
                          struct rules_question *question, union stack_address *address)
{
    question->protocol = protocol_of(socket->type, socket->protocol);
    question->address = address;
    switch (request->operation) {
    case PROTOCOL_BIND:
        question->role = RULES_LISTEN;
        if (address_read(&request->address, address) < 0 || address->sa.sa_family != socket->domain)
            return false;
        return address_port(address) != 0 || (socket->datagram != NULL && !is_any(address));
    case PROTOCOL_LISTEN:
        question->role = RULES_LISTEN;
        if (socket->tcp == NULL)
            return false;
        *address = (union stack_address){.sa.sa_family = (sa_family_t)socket->domain};
        return stack_tcp_local_address(socket->tcp, address) == 0;
    case PROTOCOL_CONNECT:
        question->role = RULES_CONNECT;
        if (address_read(&request->address, address) < 0)
            return false;
        break;
    default:
        return false;
    }
    /* Where connecting to no address leads. */
    if (address->sa.sa_family == AF_INET && is_any(address))
        address->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (address->sa.sa_family == AF_INET6 && is_any(address))
        address->in6.sin6_addr = in6addr_loopback;
    return address->sa.sa_family == socket->domain || (socket->datagram != NULL && address->sa.sa_family == AF_INET);
}

void rules_apply_describe(const struct socket *socket, struct protocol_message *reply)
{
    reply->args[0] = socket->domain;
    reply->args[1] = socket->type;
    reply->args[2] = socket->protocol;
    reply->args[3] = (int32_t)journal_read(socket->rules.journal, 0, reply);
}

int rules_apply_read_settings(const struct socket *socket, const struct protocol_message *request,
                              struct protocol_message *reply)
{
    reply->args[3] = (int32_t)journal_read(socket->rules.journal, (uint32_t)request->args[0], reply);
    return 0;
}

/* Has it been decided, once and for all? */
static bool is_settled(const struct socket *socket)
{
    return !socket->rules.is_watched || socket->rules.decided == rules_generation;
}

/* On the stack for good. */
static void use_on_stack(struct socket *socket)
{
    socket->rules.is_used = true;
    journal_free(&socket->rules.journal);
}

/* Who asks now may be another process than who made it. */
static void note_who(struct socket *socket, struct rules_who *who)
{
    if (who == socket->rules.who)
        return;
    rules_who_release(socket->rules.who);
    socket->rules.who = rules_who_hold(who);
}

int rules_apply(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                struct rules_who *who)
{
    struct socket_rules *rules = &socket->rules;
    struct rules_question question;
    struct rules_verdict verdict;
    union stack_address address;
    bool is_connect = request->operation == PROTOCOL_CONNECT, is_tcp = socket->datagram == NULL;

    if (who == NULL || is_settled(socket))
        return 0;
    note_who(socket, who);
    if (!is_tcp)
        datagram_relay_catch_up(socket); /* what it sent before may decide */
    if ((is_tcp && socket->state != PROTOCOL_STATE_NEW) || !read_question(socket, request, &question, &address))
        return 0;
    verdict = rules_judge(who, &question);
    /* What a bound TCP socket is for shows in the call that follows; only "host" can't wait, because a port may be
     * taken, and "reject". */
    if (!is_tcp || request->operation != PROTOCOL_BIND || verdict.action == RULES_HOST || verdict.action == RULES_REJECT)
        rules_note_hit(&verdict);
    switch (verdict.action) {
    case RULES_HOST:
        if (!rules->is_used) {
            rules_apply_describe(socket, reply);
            return -PROTOCOL_ON_HOST;
        }
        return is_connect ? -ENETUNREACH : 0;
    case RULES_REJECT:
        return -verdict.error;
    case RULES_STACK:
    case RULES_BLACKHOLE:
        if (is_connect && rules->is_mute != (verdict.action == RULES_BLACKHOLE))
            set_mute(socket, verdict.action == RULES_BLACKHOLE);
        else if (!is_connect)
            rules->is_deaf = verdict.action == RULES_BLACKHOLE;
        if (!is_tcp && question.protocol != RULES_RAW && question.protocol != RULES_ICMP)
            use_on_stack(socket);
        break;
    }
    return 0;
}

void rules_apply_done(struct socket *socket, const struct protocol_message *request)
{
    struct protocol_address local;
    union stack_address address = {.sa.sa_family = AF_UNSPEC}, wanted;

    if (!socket->rules.is_watched || socket->rules.is_used ||
        (socket->datagram == NULL && socket->state != PROTOCOL_STATE_NEW && socket->state != PROTOCOL_STATE_FAILED))
        return;
    if (request->operation == PROTOCOL_SETSOCKOPT) {
        journal_note_option(&socket->rules.journal, request);
    } else if (request->operation == PROTOCOL_BIND) {
        /* With the port that it got: the program may know it. */
        if (socket->datagram != NULL)
            (void)stack_datagram_local_address(socket->datagram->stack, &address);
        else if (socket->tcp != NULL)
            (void)stack_tcp_local_address(socket->tcp, &address);
        address_write(&local, &address);
        journal_note_bind(&socket->rules.journal, &local,
                          address_read(&request->address, &wanted) == 0 && address_port(&wanted) != 0);
    }
}

int rules_apply_datagram(struct socket *socket, const union stack_address *peer, bool is_asked)
{
    struct rules_question question = {.role = RULES_CONNECT, .address = peer};
    struct rules_verdict verdict = {.action = RULES_STACK};

    if (!socket->rules.is_watched)
        return 0;
    if (peer == NULL || peer->sa.sa_family == AF_UNSPEC || is_settled(socket))
        return socket->rules.is_mute ? RULES_VANISH : 0;
    question.protocol = protocol_of(socket->type, socket->protocol);
    if (is_asked && rules_are_active && socket->rules.who != NULL) { /* NULL: an older service, which was taken over, did not say */
        verdict = rules_judge(socket->rules.who, &question);
        rules_note_hit(&verdict);
    }
    switch (verdict.action) {
    case RULES_HOST:
        return socket->rules.is_used ? -ENETUNREACH : -PROTOCOL_ON_HOST;
    case RULES_REJECT:
        return -verdict.error;
    case RULES_BLACKHOLE:
        return RULES_VANISH;
    case RULES_STACK:
        break;
    }
    if (!socket->rules.is_used)
        use_on_stack(socket);
    return 0;
}

void rules_apply_settle(struct socket *socket)
{
    journal_free(&socket->rules.journal);
}

/* ---- sidestack rules ---- */

/* The rule at an index: its text, or with args[1] the file that it is from. */
static int describe_rule(const struct protocol_message *request, struct protocol_message *reply)
{
    const struct rule *rule = rules_get((size_t)(uint32_t)request->args[0]);
    const char *text;

    reply->args[0] = (int32_t)rules_count();
    if (rule == NULL)
        return 0;
    text = request->args[1] == 0 ? rule->text : rule->file != NULL ? rule->file : "";
    reply->args[1] = (int32_t)rule->line;
    reply->args[2] = (int32_t)(uint32_t)rule->hits;
    reply->args[3] = (int32_t)(uint32_t)(rule->hits >> 32);
    reply->option_length = (uint32_t)strnlen(text, sizeof reply->option);
    memcpy(reply->option, text, reply->option_length);
    return 0;
}

/* What would happen? */
static int test_rules(const struct protocol_message *request, struct protocol_message *reply)
{
    char program[PROTOCOL_OPTION_MAX + 1];
    union stack_address address;
    struct rules_question question = {.protocol = (enum rules_protocol)request->args[1],
                                      .role = (unsigned)request->args[2],
                                      .address = &address};
    struct rules_verdict verdict;
    struct rules_who *who;

    if (question.role != 0 && address_read(&request->address, &address) < 0)
        return -EINVAL;
    memcpy(program, request->option, request->option_length);
    program[request->option_length] = '\0';
    who = rules_who_of_program(program, (uid_t)request->args[3]);
    if (who == NULL)
        return -ENOMEM;
    verdict = rules_judge(who, &question);
    rules_who_release(who);
    reply->args[0] = verdict.depends ? -1 : (int32_t)verdict.action;
    reply->args[1] = verdict.index;
    reply->args[2] = verdict.error;
    return 0;
}

int rules_apply_query(const struct protocol_message *request, struct protocol_message *reply)
{
    return request->flags & PROTOCOL_FLAG_TEST ? test_rules(request, reply) : describe_rule(request, reply);
}
