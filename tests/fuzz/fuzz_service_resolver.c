/*
 * fuzz_service_resolver.c - programs that ask for any name, and name servers that answer anything, by UDP and TCP.
 *
 * The question goes as a request to a live service, from there through c-ares and the stack's own loopback to name
 * servers that the fuzzer plays; what they say goes back to the program. The time is the fuzzer's.
 */
#include "fuzz.h"
#include "live_service.h"

#include "service/client.h"
#include "service/loop.h"
#include "service/protocol.h"
#include "service/resolver/resolver.h"
#include "stack/bytes.h"
#include "stack/datagram.h"
#include "tests/unit/service_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 2
#define CONNECTIONS 4 /* to name servers, by TCP */
#define ASKED 4       /* questions that can still be answered */
#define COMMANDS_MAX 60
#define MESSAGE_MAX 1400
#define HEADER 12 /* bytes of a DNS message before the question */

static int clients[CLIENTS];
static uint8_t ids[CLIENTS][RESOLVER_QUESTIONS][2]; /* of what each asked last */
static unsigned waiting[CLIENTS];                   /* how many of its requests have no reply */

/* ---- name servers: one that answers at 127.0.0.1 and ::1, and one that refuses ---- */

static struct stack_datagram *udp[2];
static struct stack_tcp *listeners[2];
static struct stack_tcp *connections[CONNECTIONS]; /* NULL: none */

static struct {
    unsigned at; /* in udp */
    union stack_address from;
    uint8_t bytes[PROTOCOL_QUERY_MAX];
    size_t length;
} asked[ASKED];
static unsigned asked_count;

static bool on_question(void *owner, const struct stack_datagram_info *info, const struct iovec *iov, int count, size_t length)
{
    unsigned place = asked_count++ % ASKED;

    asked[place].at = owner == &udp[1];
    asked[place].from = info->peer;
    asked[place].length = 0;
    ck_assert_uint_le(length, sizeof asked[place].bytes);
    for (int i = 0; i < count; i++) {
        memcpy(asked[place].bytes + asked[place].length, iov[i].iov_base, iov[i].iov_len);
        asked[place].length += iov[i].iov_len;
    }
    return true;
}

static void connection_failed(void *owner, int error)
{
    struct stack_tcp **connection = owner;

    (void)error;
    stack_tcp_close(*connection);
    *connection = NULL;
}

static void on_connection(void *owner, struct stack_tcp *child)
{
    static const struct stack_tcp_events events = {.failed = connection_failed};
    unsigned place = 0;

    (void)owner;
    while (place < CONNECTIONS && connections[place] != NULL)
        place++;
    if (place == CONNECTIONS)
        return; /* it is reset */
    connections[place] = child;
    stack_tcp_adopt(child, &events, &connections[place]);
}

static void open_servers(void)
{
    static const struct stack_datagram_events datagram_events = {.received = on_question};
    static const struct stack_tcp_events tcp_events = {.accepted = on_connection};
    union stack_address here[2] = {{.in = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}},
                                   {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = IN6ADDR_LOOPBACK_INIT}}};

    for (unsigned i = 0; i < 2; i++) {
        udp[i] = stack_datagram_open(STACK_DATAGRAM_UDP, here[i].sa.sa_family, 0, &datagram_events, &udp[i]);
        ck_assert_int_eq(stack_datagram_bind(udp[i], &here[i]), 0);
        listeners[i] = stack_tcp_open(here[i].sa.sa_family, &tcp_events, NULL);
        ck_assert_int_eq(stack_tcp_bind(listeners[i], &here[i]), 0);
        ck_assert_int_eq(stack_tcp_listen(listeners[i], NULL), 0);
    }
}

static void close_servers(void)
{
    for (unsigned i = 0; i < 2; i++) {
        stack_datagram_close(udp[i]);
        stack_tcp_close(listeners[i]);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (connections[i] != NULL)
            stack_tcp_abort(connections[i]);
    memset(connections, 0, sizeof connections);
}

/* Say it by UDP to whoever asked. wrong_port: from where it was not asked. */
static void say(unsigned which, const uint8_t *message, size_t length, bool wrong_port)
{
    struct stack_datagram_info info = {.peer = asked[which].from, .ttl = -1, .tos = -1};
    struct stack_datagram *from = udp[asked[which].at];
    struct iovec iov = {(void *)message, length};

    if (wrong_port)
        from = stack_datagram_open(STACK_DATAGRAM_UDP, info.peer.sa.sa_family, 0, &(struct stack_datagram_events){.received = NULL}, NULL);
    (void)stack_datagram_send(from, &info, &iov, 1, length);
    if (wrong_port)
        stack_datagram_close(from);
}

/* An answer to a question: its header and the question with what the input has for flags and counts, then records.
 * Return: its length. */
static size_t make_answer(struct fuzz_input *input, const uint8_t *question, size_t question_length, uint8_t *answer)
{
    static const uint8_t record[] = "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4";
    uint8_t how = fuzz_take_8(input);
    size_t length = question_length < MESSAGE_MAX / 2 ? question_length : MESSAGE_MAX / 2;

    memcpy(answer, question, length);
    if (length >= HEADER) {
        answer[2] |= 0x80;
        answer[3] = how & 15;          /* SERVFAIL, REFUSED, ... */
        answer[2] |= (how & 16) >> 3;  /* truncated */
        answer[7] = fuzz_take_8(input); /* records */
    }
    if ((how & 32) != 0) {
        memcpy(answer + length, record, sizeof record - 1);
        length += sizeof record - 1;
    }
    length += fuzz_take_into(input, answer + length, fuzz_take_8(input));
    if ((how & 64) != 0 && length > 2) /* anything else, but for the identifier */
        answer[2 + fuzz_take_16(input) % (length - 2)] = fuzz_take_8(input);
    if ((how & 128) != 0)
        length = fuzz_take_16(input) % (length + 1);
    return length;
}

static void answer_by_udp(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input), answer[MESSAGE_MAX];
    unsigned which = how % ASKED;
    size_t length;

    if (which >= asked_count)
        return;
    if ((how & 64) != 0)
        length = fuzz_take_into(input, answer, fuzz_take_16(input) % sizeof answer); /* any bytes */
    else
        length = make_answer(input, asked[which].bytes, asked[which].length, answer);
    say(which, answer, length, (how & 128) != 0);
}

static void write_to(struct stack_tcp *tcp, const uint8_t *bytes, size_t length)
{
    struct iovec room[STACK_TCP_IOV];
    int rooms = stack_tcp_send_reserve(tcp, length, room);
    size_t done = 0;

    for (int i = 0; i < rooms; i++) {
        size_t part = room[i].iov_len < length - done ? room[i].iov_len : length - done;

        memcpy(room[i].iov_base, bytes + done, part);
        done += part;
    }
    if (done > 0)
        (void)stack_tcp_send_commit(tcp, done, false);
}

/* A name server at the other end of a connection: takes what was asked and answers, says anything, or ends. */
static void answer_by_tcp(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input), question[2 + PROTOCOL_QUERY_MAX], answer[2 + MESSAGE_MAX];
    struct stack_tcp **connection = &connections[how % CONNECTIONS];
    size_t length = 0, part;
    struct iovec piece;

    if (*connection == NULL)
        return;
    switch (how / 4 % 8) {
    case 0:
        stack_tcp_close(*connection);
        *connection = NULL;
        return;
    case 1:
        stack_tcp_abort(*connection);
        *connection = NULL;
        return;
    case 2: /* any bytes */
        length = fuzz_take_into(input, answer, fuzz_take_16(input) % sizeof answer);
        write_to(*connection, answer, length);
        return;
    default:
        break;
    }
    while (length < sizeof question && stack_tcp_receive_peek(*connection, &piece, 1) == 1) {
        part = piece.iov_len < sizeof question - length ? piece.iov_len : sizeof question - length;
        memcpy(question + length, piece.iov_base, part);
        stack_tcp_receive_consume(*connection, part);
        length += part;
    }
    if (length < 2)
        return;
    part = (size_t)read_16(question);
    length = make_answer(input, question + 2, part < length - 2 ? part : length - 2, answer + 2);
    write_16(answer, (uint16_t)(how & 128 ? fuzz_take_16(input) : length));
    write_to(*connection, answer, 2 + length);
}

/* ---- programs ---- */

static void connect_client(int which)
{
    live_service_connect(&clients[which]);
    waiting[which] = 0;
}

/* A question, well made or any bytes. Return: its length. */
static size_t make_question(struct fuzz_input *input, uint8_t *message)
{
    static const uint8_t types[] = {1, 28, 12, 255, 16, 5, 6, 33};
    uint8_t how = fuzz_take_8(input);
    size_t at = HEADER;

    if ((how & 192) == 192)
        return fuzz_take_into(input, message, fuzz_take_16(input) % PROTOCOL_QUERY_MAX);
    memset(message, 0, HEADER);
    message[0] = how;
    message[2] = 1;
    message[5] = 1;
    for (int labels = how % 4; labels > 0; labels--) {
        uint8_t length = fuzz_take_8(input) % 70;

        message[at] = length;
        memset(message + at + 1, 'a' + labels, length);
        at += 1u + length;
    }
    memset(message + at, 0, 5);
    message[at + 2] = types[how / 4 % 8];
    message[at + 4] = 1;
    at += 5;
    if ((how & 64) != 0) { /* EDNS and the like: something behind the question */
        message[11] = 1;
        at += fuzz_take_into(input, message + at, fuzz_take_8(input));
    }
    return at;
}

static void ask(struct fuzz_input *input)
{
    static uint8_t questions[RESOLVER_QUESTIONS][PROTOCOL_QUERY_MAX];
    uint8_t how = fuzz_take_8(input);
    int which = how % CLIENTS;
    struct protocol_message request = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_RESOLVE,
                                       .args = {0, 0, how / 2 % 4}};
    struct iovec iov[1 + RESOLVER_QUESTIONS] = {{&request, sizeof request}};
    size_t count = 1 + (how / 8) % 2;
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1 + count};

    for (size_t i = 0; i < count; i++) {
        iov[1 + i] = (struct iovec){questions[i], make_question(input, questions[i])};
        request.args[i] = (int32_t)iov[1 + i].iov_len;
        memcpy(ids[which][i], questions[i], 2);
    }
    if ((how & 0xf0) == 0xf0) /* it lies about a length */
        request.args[how / 8 % 2] = (int32_t)fuzz_take_16(input);
    if (sendmsg(clients[which], &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        waiting[which]++;
}

static void take_replies(void)
{
    static uint8_t tail[RESOLVER_QUESTIONS * 65536];
    struct protocol_message reply;

    for (int i = 0; i < CLIENTS; i++) {
        struct iovec iov[2] = {{&reply, sizeof reply}, {tail, sizeof tail}};
        ssize_t length;
        size_t at = 0;

        while ((length = readv(clients[i], iov, 2)) >= (ssize_t)sizeof reply) {
            ck_assert_uint_eq(reply.magic, PROTOCOL_MAGIC);
            ck_assert_uint_eq(reply.operation, PROTOCOL_RESOLVE);
            at = 0;
            for (size_t j = 0; reply.result == 0 && j < RESOLVER_QUESTIONS; j++) {
                ck_assert_int_ge(reply.args[j], 0);
                ck_assert_int_le(reply.args[RESOLVER_QUESTIONS + j], 0);
                if (reply.args[j] == 0)
                    continue;
                ck_assert_int_ge(reply.args[j], HEADER);
                if (waiting[i] == 1) /* else it is that of an earlier one */
                    ck_assert_mem_eq(tail + at, ids[i][j], 2);
                at += (size_t)reply.args[j];
            }
            ck_assert_uint_eq((size_t)length - sizeof reply, at);
            waiting[i]--;
        }
    }
}

static void turn(void)
{
    ck_assert_int_eq(loop_turn(), 0);
    take_replies();
}

static void take_turns(struct fuzz_input *input)
{
    for (int i = fuzz_take_8(input) % 8; i >= 0; i--)
        turn();
}

static void let_time_pass(struct fuzz_input *input)
{
    static const unsigned steps_ms[] = {1, 200, 1000, 5000, 11000, 60000};

    fuzz_time_us += steps_ms[fuzz_take_8(input) % 6] * UINT64_C(1000);
    turn();
}

static void end_client(struct fuzz_input *input)
{
    connect_client(fuzz_take_8(input) % CLIENTS);
}

/* ---- beginning and end ---- */

static void open_all(uint8_t how)
{
    const union stack_address servers[] = {
        {.in = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}},
        {.in = {.sin_family = AF_INET, .sin_port = htons(54), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}}, /* nobody there */
        {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53), .sin6_addr = IN6ADDR_LOOPBACK_INIT}}};

    live_service_begin(&servers[how % 3], 1 + how / 4 % (3u - how % 3));
    open_servers();
    asked_count = 0;
    memset(clients, 0xff, sizeof clients);
    for (int i = 0; i < CLIENTS; i++)
        connect_client(i);
}

static void close_all(void)
{
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    client_close_all();
    close_servers();
    live_service_end();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const commands[])(struct fuzz_input *input) = {ask, answer_by_udp, answer_by_tcp, take_turns, let_time_pass, end_client,
                                                                 answer_by_udp, answer_by_tcp};
    struct fuzz_input input = fuzz_begin(bytes, size);

    open_all(fuzz_take_8(&input));
    for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
        commands[fuzz_take_8(&input) % (sizeof commands / sizeof *commands)](&input);
        turn();
    }
    close_all();
    return 0;
}
