/*
 * script.c - runs a case: segments that come, and what the host does with them.
 *
 * A case is a line "case TITLE" and a step a line, much as packetdrill has them:
 *
 *   < FLAGS [SEQ[(LEN)]] [ack N] [win N] [urg N] [badsum] [<OPTION,...>]     this segment comes
 *   > FLAGS [SEQ[(LEN)]] [ack N] [win N|win +] [<OPTION,...>]                the host answers with this one, and
 *   within A..B > ...                                                     does so A to B milliseconds from now
 *   quiet                  it has sent nothing (so it is checked before each "<" and at the end, too)
 *   ignore                 whatever it has sent does not matter
 *   wait MS                time passes
 *   icmp TYPE CODE WORD [SEQ]   an ICMP (or ICMPv6) error comes about its segment at SEQ
 *   listen, connect, accept, accept none, shutdown, close, abort
 *   established [<...>]    listen, handshake with these options in the SYN, accept; connected [<...>]: the same by connect
 *   send LEN, recv LEN (that much, no more), recv end, recv ERRNO, error ERRNO|none, state NAME, set|get OPTION VALUE
 *
 * A step that begins with "stack:" or "kernel:" is for that host alone: so a difference stands beside what it differs
 * from. Attributes stand in brackets before the title: [6] on IPv6, [46] on both, [isn N] the peer's first number,
 * [ours N] the host's, [stack], [kernel] only there, [slow].
 *
 * Sequence numbers count from each side's SYN, which is 0: its first byte is 1. Flags are S F R P . U E C, or - for
 * none; P is not compared, nor is what an expected segment does not say. Left out of a segment that comes, SEQ is what
 * follows the furthest sent, ACK all that was seen, the window 512 (times 128 with the usual options). Options: mss N,
 * wscale N, sackOK, nop, eol, sack A:B C:D ..., TS val N ecr N, ts (the peer's clock and what the host's said last),
 * raw HEX; expected ones may say "nosack", "nots", "nomss"... for those that must not be there. When the handshake had
 * timestamps, segments which say nothing of options have "ts".
 */
#include "script.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "script_state.h"

#define USUAL_OPTIONS "<mss 1460,nop,wscale 7,nop,nop,sackOK>"
#define PEER_PORT 40000
#define ROUND_TRIP_MS 10

struct script_state script_state;

void script_fail(const char *format, ...)
{
    char text[1024];
    int used = snprintf(text, sizeof text, "%s:%d: %s: ", script_state.it->file, script_state.line, script_state.it->title);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    fflush(stdout);
    host.fail_case(text);
    abort(); /* it does not return */
}

uint8_t script_stream_byte(size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + at / 65521);
}

/* ---- Calls ---- */

static void check_call(int result, const char *what)
{
    if (result < 0)
        script_fail("%s: %s", what, strerror(-result));
}

static void do_receive(const char *text)
{
    static uint8_t bytes[1 << 20];
    size_t wanted = strtoul(text, NULL, 0), got = 0;
    ssize_t result;

    while ((result = host.receive(bytes + got, sizeof bytes - got)) > 0)
        got += (size_t)result;
    if (strcmp(text, "end") != 0 && (text[0] < '0' || text[0] > '9')) {
        if (result >= 0 || strcmp(strerrorname_np((int)-result), text) != 0 || got > 0)
            script_fail("recv: got %zu bytes, then %s, not %s", got, result < 0 ? strerrorname_np((int)-result) : "the end", text);
        return;
    }
    if (got != wanted)
        script_fail("recv: got %zu bytes, not %zu", got, wanted);
    if (text[0] == 'e' && result != 0)
        script_fail("recv: no end but %s", strerrorname_np((int)-result));
    for (size_t i = 0; i < got; i++)
        if (bytes[i] != script_stream_byte(script_state.received + i))
            script_fail("recv: byte %zu is wrong", i);
    script_state.received += got;
}

static void do_send(const char *text)
{
    static uint8_t bytes[1 << 20];
    size_t size = strtoul(text, NULL, 0);

    for (size_t i = 0; i < size; i++)
        bytes[i] = script_stream_byte(script_state.sent + i);
    if (host.send(bytes, size) != (ssize_t)size)
        script_fail("send");
    script_state.sent += size;
}

static void check_state(const char *text)
{
    static const char *const names[] = {"NONE", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
                                        "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"};
    int state = host.state();

    if (strcmp(names[state], text) != 0)
        script_fail("the state is %s", names[state]);
}

static void check_error(const char *text)
{
    int error = host.error();

    if (strcmp(error == 0 ? "none" : strerrorname_np(error), text) != 0)
        script_fail("the error is %s", error == 0 ? "none" : strerrorname_np(error));
}

static void do_option(const char *text, bool set)
{
    char name[32];
    int value, is;

    if (sscanf(text, "%31s %d", name, &value) != 2)
        script_fail("OPTION VALUE");
    if (set) {
        check_call(host.set(name, value), name);
        return;
    }
    check_call(host.get(name, &is), name);
    if (is != value)
        script_fail("%s is %d", name, is);
}

static void do_listen(void)
{
    check_call(host.listen(), "listen");
    script_state.host_port = LISTEN_PORT;
    script_state.peer_port = PEER_PORT;
}

static void do_connect(void)
{
    check_call(host.connect(), "connect");
    script_state.host_port = 0;
    script_state.peer_port = CONNECT_PORT;
    script_state.peer_next = 0;
}

static void step(const char *text);

/* A step that is put together. */
__attribute__((format(printf, 1, 2))) static void step_with(const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    step(text);
}

/* Where time is virtual, a round trip takes some, too. */
static void pass_round_trip(void)
{
    if (host.patience_ms == 0)
        host.wait(ROUND_TRIP_MS);
}

static void do_handshake(bool passive, const char *options)
{
    if (*options == 0)
        options = USUAL_OPTIONS;
    if (passive) {
        step("listen");
        step_with("< S 0 %s", options);
        step("> S. 0 ack 1");
        pass_round_trip();
        step("< .");
        step("accept");
        return;
    }
    step("connect");
    step("> S 0");
    pass_round_trip();
    step_with("< S. 0 %s", options);
    step("> . 1 ack 1");
    step("< ."); /* the window of a SYN is not scaled */
}

/* ---- Steps ---- */

static const char *after(const char *text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(text, word, length) != 0 || (text[length] != ' ' && text[length] != 0))
        return NULL;
    return text + length + (text[length] == ' ');
}

static void step(const char *text)
{
    char copy[1024];
    const char *rest;
    unsigned earliest, latest;
    int used = 0;

    snprintf(copy, sizeof copy, "%s", text);
    if ((rest = after(text, "<")) != NULL)
        script_put_segment(copy + (rest - text));
    else if ((rest = after(text, ">")) != NULL) {
        if (host.patience_ms > 0)
            script_await_segment(0, 0);
        script_expect_segment(copy + (rest - text));
    } else if (sscanf(text, "within %u..%u > %n", &earliest, &latest, &used) == 2 && used > 0) {
        script_await_segment(earliest, latest);
        script_expect_segment(copy + used);
    } else if (after(text, "quiet") != NULL)
        script_check_quiet();
    else if (after(text, "ignore") != NULL)
        while (script_peek())
            script_state.has_packet = false;
    else if ((rest = after(text, "wait")) != NULL)
        host.wait((unsigned)strtoul(rest, NULL, 0));
    else if ((rest = after(text, "icmp")) != NULL)
        script_put_icmp(rest);
    else if (after(text, "listen") != NULL)
        do_listen();
    else if (after(text, "connect") != NULL)
        do_connect();
    else if (strcmp(text, "accept none") == 0) {
        if (host.accept() != -EAGAIN)
            script_fail("there is a connection");
    } else if (after(text, "accept") != NULL)
        check_call(host.accept(), "accept");
    else if (after(text, "shutdown") != NULL)
        check_call(host.shutdown(), "shutdown");
    else if (after(text, "close") != NULL)
        check_call(host.close(), "close");
    else if (after(text, "abort") != NULL)
        check_call(host.abort(), "abort");
    else if ((rest = after(text, "established")) != NULL)
        do_handshake(true, rest);
    else if ((rest = after(text, "connected")) != NULL)
        do_handshake(false, rest);
    else if ((rest = after(text, "send")) != NULL)
        do_send(rest);
    else if ((rest = after(text, "recv")) != NULL)
        do_receive(rest);
    else if ((rest = after(text, "error")) != NULL)
        check_error(rest);
    else if ((rest = after(text, "state")) != NULL)
        check_state(rest);
    else if ((rest = after(text, "set")) != NULL)
        do_option(rest, true);
    else if ((rest = after(text, "get")) != NULL)
        do_option(rest, false);
    else
        script_fail("what is \"%s\"?", text);
}

/* Initial sequence numbers follow the clock: let it go on until the host will choose the one that the case wants. */
static void choose_host_isn(uint32_t wanted)
{
    enum { STEPS_A_MS = 250 }; /* one every 4 microseconds */

    step("listen");
    step("< S 0 win 1000 <mss 1460>");
    step("> S. 0");
    step("< R 1");
    host.wait((wanted - script_state.host_isn) / STEPS_A_MS);
    step("close");
    script_state.host_next = script_state.peer_next = 0;
}

void script_run(const struct script_case *it)
{
    static const char *const prefixes[] = {"stack: ", "kernel: "};

    script_state.it = it;
    script_state.line = it->first_line - 1;
    script_state.trace = getenv("TRACE") != NULL;
    script_state.peer_isn = it->peer_isn;
    script_state.stamp = 1000;
    host.setup(it->family);
    if (it->has_host_isn)
        choose_host_isn(it->host_isn);
    for (int i = 0; i < it->line_count; i++) {
        const char *text = it->lines[it->first_line - 1 + i];
        bool other = false;

        script_state.line = it->first_line + i;
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++)
            if (strncmp(text, prefixes[k], strlen(prefixes[k])) == 0) {
                other = strncmp(prefixes[k], host.name, strlen(host.name)) != 0;
                text += strlen(prefixes[k]);
            }
        if (*text != 0 && !other)
            step(text);
    }
    script_check_quiet();
    if (host.teardown != NULL)
        host.teardown();
}
