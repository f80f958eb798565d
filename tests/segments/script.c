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
 * Sequence numbers count from each side's SYN, which is 0: its first byte is 1. Flags are S F R P . U E C, or - for none;
 * P is not compared, nor is what an expected segment does not say. Left out of a segment that comes, SEQ is what follows
 * the furthest sent, ACK all that was seen, the window 512 (times 128 with the usual options). Options: mss N, wscale N,
 * sackOK, nop, eol, sack A:B C:D ..., TS val N ecr N, ts (the peer's clock and what the host's said last), raw HEX;
 * expected ones may say "nosack", "nots", "nomss"... for those that must not be there. When the handshake had
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
#include <time.h>

#include "host.h"
#include "packet.h"

#define USUAL_OPTIONS "<mss 1460,nop,wscale 7,nop,nop,sackOK>"
#define WINDOW 512
#define PEER_PORT 40000
#define ROUND_TRIP_MS 10

static struct {
    const struct script_case *it;
    int line;
    bool trace;
    uint32_t peer_isn, host_isn;
    uint32_t peer_next, host_next; /* relative: what follows all that was sent */
    uint16_t peer_port, host_port;
    bool stamps;
    uint32_t stamp, host_stamp;
    size_t sent, received; /* bytes of the streams */
    bool has_packet;       /* one was taken and not looked at */
    struct packet packet;
    uint8_t bytes[PACKET_MAX];
} run;

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
    char text[1024];
    int used = snprintf(text, sizeof text, "%s:%d: %s: ", run.it->file, run.line, run.it->title);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, sizeof text - (size_t)used, format, arguments);
    va_end(arguments);
    fflush(stdout);
    host.fail_case(text);
    abort(); /* it does not return */
}

static uint8_t stream_byte(size_t at)
{
    return (uint8_t)(at * 31 + at / 251 + at / 65521);
}

static uint32_t read_32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static size_t write_32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    return 4;
}

/* ---- Options ---- */

/* Find an option. Return: where it is, its kind first; NULL: nowhere. */
static const uint8_t *find_option(const struct packet *packet, uint8_t kind)
{
    for (size_t at = 0; at < packet->option_size && packet->options[at] != 0;) {
        if (packet->options[at] == 1) {
            at++;
            continue;
        }
        if (at + 1 >= packet->option_size || packet->options[at + 1] < 2 || at + packet->options[at + 1] > packet->option_size)
            fail("the host's options are malformed");
        if (packet->options[at] == kind)
            return packet->options + at;
        at += packet->options[at + 1];
    }
    return NULL;
}

static size_t write_sack(uint8_t *to, const char *blocks)
{
    size_t size = 2;

    for (char *end; *blocks != 0; blocks = *end == ' ' ? end + 1 : end) {
        uint32_t left = (uint32_t)strtoll(blocks, &end, 0);

        if (*end != ':')
            fail("sack: %s", blocks);
        size += write_32(to + size, run.host_isn + left);
        size += write_32(to + size, run.host_isn + (uint32_t)strtoll(end + 1, &end, 0));
        if (size > 38)
            fail("too many SACK blocks");
    }
    to[0] = TCPOPT_SACK;
    to[1] = (uint8_t)size;
    return size;
}

static size_t write_stamp(uint8_t *to, uint32_t value, uint32_t echo)
{
    to[0] = TCPOPT_TIMESTAMP;
    to[1] = 10;
    write_32(to + 2, value);
    write_32(to + 6, echo);
    return 10;
}

/* Write one option of the language. Return: its size. */
static size_t write_option(uint8_t to[80], const char *text)
{
    unsigned value, echo, length = 0, byte;

    if (strcmp(text, "nop") == 0 || strcmp(text, "eol") == 0) {
        to[0] = text[0] == 'n';
        return 1;
    }
    if (strcmp(text, "ts") == 0)
        return write_stamp(to, run.stamp, run.host_stamp);
    if (strcmp(text, "sackOK") == 0) {
        memcpy(to, "\x04\x02", 2);
        return 2;
    }
    if (sscanf(text, "mss %u", &value) == 1) {
        memcpy(to, (uint8_t[]){2, 4, (uint8_t)(value >> 8), (uint8_t)value}, 4);
        return 4;
    }
    if (sscanf(text, "wscale %u", &value) == 1) {
        memcpy(to, (uint8_t[]){3, 3, (uint8_t)value}, 3);
        return 3;
    }
    if (strncmp(text, "sack ", 5) == 0)
        return write_sack(to, text + 5);
    if (sscanf(text, "TS val %u ecr %u", &value, &echo) == 2) {
        run.stamp = (int32_t)(value - run.stamp) > 0 || !run.stamps ? value : run.stamp;
        return write_stamp(to, value, echo);
    }
    if (strncmp(text, "raw ", 4) != 0)
        fail("option: %s", text);
    for (text += 4; sscanf(text, "%2x", &byte) == 1 && length < 40; text += 2)
        to[length++] = (uint8_t)byte;
    return length;
}

/* Write options, "a,b,c". */
static void write_options(struct packet *packet, const char *text)
{
    char copy[256], *rest = copy, *one;
    uint8_t option[80];

    snprintf(copy, sizeof copy, "%s", text);
    while ((one = strsep(&rest, ",")) != NULL && *one != 0) {
        size_t size = write_option(option, one);

        if (packet->option_size + size > sizeof packet->options)
            fail("too many options");
        memcpy(packet->options + packet->option_size, option, size);
        packet->option_size += size;
        if (option[0] == TCPOPT_TIMESTAMP && (packet->flags & TH_SYN) != 0)
            run.stamps = true;
    }
}

/* Does a segment of the host's have this option, as it is said? */
static void check_option(const struct packet *packet, const char *text)
{
    static const struct {
        const char *name;
        uint8_t kind;
    } kinds[] = {{"mss", 2}, {"wscale", 3}, {"sackOK", 4}, {"sack", 5}, {"ts", 8}, {"TS", 8}};
    bool absent = strncmp(text, "no", 2) == 0;
    const char *name = absent ? text + 2 : text;
    size_t length = strcspn(name, " ");
    const uint8_t *option = NULL;
    unsigned value, echo;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, name, length) == 0)
            option = find_option(packet, kinds[i].kind);
    if (absent != (option == NULL))
        fail(absent ? "it has the option: %s" : "it lacks the option: %s", text);
    if (absent)
        return;
    if (sscanf(text, "mss %u", &value) == 1 && value != (unsigned)(option[2] << 8 | option[3]))
        fail("%s: it is %d", text, option[2] << 8 | option[3]);
    if (sscanf(text, "wscale %u", &value) == 1 && value != option[2])
        fail("%s: it is %d", text, option[2]);
    if (sscanf(text, "TS val %u ecr %u", &value, &echo) == 2 && read_32(option + 2) != value)
        fail("%s: it says %u", text, read_32(option + 2));
    if ((sscanf(text, "TS val %u ecr %u", &value, &echo) == 2 || sscanf(text, "ts ecr %u", &echo) == 1) &&
        read_32(option + 6) != echo)
        fail("%s: it echoes %u", text, read_32(option + 6));
    if (strncmp(text, "sack ", 5) == 0) {
        char is[128] = "";

        for (int at = 2; at < option[1]; at += 8)
            sprintf(is + strlen(is), "%s%d:%d", at > 2 ? " " : "", (int)(read_32(option + at) - run.peer_isn),
                    (int)(read_32(option + at + 4) - run.peer_isn));
        if (strcmp(text + 5, is) != 0)
            fail("%s: it says %s", text, is);
    }
}

/* ---- Segments ---- */

static void show(const char *direction, const struct packet *packet)
{
    static const char letters[] = "FSRP.UEC";
    bool out = packet->from_host;

    printf("%s ", direction);
    for (int i = 0; i < 8; i++)
        if ((packet->flags & 1 << i) != 0)
            putchar(letters[i]);
    printf(" %d(%zu)", (int)(packet->sequence - (out ? run.host_isn : run.peer_isn)), packet->size);
    if ((packet->flags & TH_ACK) != 0)
        printf(" ack %d", (int)(packet->acknowledgement - (out ? run.peer_isn : run.host_isn)));
    printf(" win %u <", packet->window);
    for (size_t i = 0; i < packet->option_size; i++)
        printf("%02x", packet->options[i]);
    printf(">\n");
}

/* Fetch the next segment from the host, if there is one. */
static bool peek(void)
{
    const char *why;
    size_t size;
    uint32_t end;

    while (!run.has_packet && (size = host.take(run.bytes, sizeof run.bytes)) > 0) {
        if (!packet_read(run.bytes, size, &run.packet, &why))
            continue;
        if (why != NULL)
            fail("%s", why);
        if ((run.packet.flags & (TH_SYN | TH_RST)) == TH_SYN) {
            if (run.host_port != LISTEN_PORT)
                run.host_port = run.packet.host_port;
            run.host_isn = run.packet.sequence;
            run.host_next = 0;
        }
        if (find_option(&run.packet, TCPOPT_TIMESTAMP) != NULL)
            run.host_stamp = read_32(find_option(&run.packet, TCPOPT_TIMESTAMP) + 2);
        end = run.packet.sequence - run.host_isn + (uint32_t)run.packet.size +
              ((run.packet.flags & (TH_SYN | TH_FIN)) != 0);
        if ((run.packet.flags & TH_RST) == 0 && (int32_t)(end - run.host_next) > 0)
            run.host_next = end;
        run.has_packet = true;
        if (run.trace)
            show("   >", &run.packet);
    }
    return run.has_packet;
}

static void check_quiet(void)
{
    if (!peek())
        return;
    show("unexpected: >", &run.packet);
    fail("the host sent something");
}

/* Read the words of a segment. options: where they begin in the text; NULL: it says nothing of them. */
static void read_segment(char *text, struct packet *packet, bool incoming, const char **options, bool said[3])
{
    static const char letters[] = "FSRP.UEC";
    char *open = strchr(text, '<'), *word, *rest = text, *end;
    uint32_t own = incoming ? run.peer_isn : run.host_isn, other = incoming ? run.host_isn : run.peer_isn;
    bool first = true;

    *options = NULL;
    if (open != NULL) {
        *open = 0;
        *options = open + 1;
        open[1 + strcspn(open + 1, ">")] = 0;
    }
    while ((word = strsep(&rest, " ")) != NULL) {
        if (*word == 0)
            continue;
        if (first) {
            for (; *word != 0 && *word != '-'; word++) {
                const char *letter = strchr(letters, *word);

                if (letter == NULL)
                    fail("flag %c", *word);
                packet->flags |= (uint8_t)(1 << (letter - letters));
            }
            first = false;
        } else if (strcmp(word, "ack") == 0 && rest != NULL) {
            packet->acknowledgement = other + (uint32_t)strtoll(strsep(&rest, " "), NULL, 0);
            said[1] = true;
        } else if (strcmp(word, "win") == 0 && rest != NULL) {
            word = strsep(&rest, " ");
            packet->window = *word == '+' ? 1 : (uint16_t)strtoul(word, NULL, 0);
            packet->urgent = *word == '+' && !incoming;
            said[2] = true;
        } else if (strcmp(word, "urg") == 0 && rest != NULL) {
            packet->urgent = (uint16_t)strtoul(strsep(&rest, " "), NULL, 0);
        } else if (strcmp(word, "badsum") == 0) {
            packet->bad_checksum = true;
        } else {
            packet->sequence = own + (uint32_t)strtoll(word, &end, 0);
            said[0] = true;
            if (*end == '(')
                packet->size = strtoul(end + 1, &end, 0);
            if (*end != 0 && *end != ')')
                fail("what is %s?", word);
        }
    }
}

/* A segment comes. */
static void put_segment(char *text)
{
    static uint8_t data[PACKET_MAX], bytes[PACKET_MAX];
    struct packet packet = {.family = run.it->family, .peer_port = run.peer_port, .host_port = run.host_port,
                            .sequence = run.peer_isn + run.peer_next, .window = WINDOW};
    bool said[3] = {false};
    const char *options;
    uint32_t at;

    check_quiet();
    packet.acknowledgement = run.host_isn + run.host_next;
    read_segment(text, &packet, true, &options, said);
    if ((packet.flags & TH_ACK) == 0 && !said[1])
        packet.acknowledgement = 0;
    if ((packet.flags & TH_SYN) != 0 && !said[2])
        packet.window = 0xffff;
    if (options != NULL)
        write_options(&packet, options);
    else if (run.stamps)
        write_options(&packet, "nop,nop,ts");
    at = packet.sequence - run.peer_isn;
    if (packet.size > sizeof data)
        fail("too long");
    for (size_t i = 0; i < packet.size; i++)
        data[i] = stream_byte((uint32_t)(at - 1 + i));
    packet.data = data;
    at += (uint32_t)packet.size + ((packet.flags & (TH_SYN | TH_FIN)) != 0);
    if ((packet.flags & TH_RST) == 0 && (int32_t)(at - run.peer_next) > 0 && (int32_t)(at - run.peer_next) < 0x10000)
        run.peer_next = at;
    if (run.trace)
        show("<", &packet);
    host.put(bytes, packet_write(&packet, bytes));
}

/* The next segment of the host's is as the text says. */
static void expect_segment(char *text)
{
    struct packet wanted = {0};
    const struct packet *packet = &run.packet;
    bool said[3] = {false};
    const char *options;
    char copy[256], *rest = copy, *one;

    if (!peek())
        fail("no segment came, wanted %s", text);
    read_segment(text, &wanted, false, &options, said);
    if (((packet->flags ^ wanted.flags) & ~TH_PUSH) != 0 || packet->size != wanted.size ||
        (said[0] && packet->sequence != wanted.sequence) || (said[1] && packet->acknowledgement != wanted.acknowledgement) ||
        (said[2] && wanted.urgent == 0 && packet->window != wanted.window) ||
        (said[2] && wanted.urgent != 0 && packet->window == 0)) {
        wanted.from_host = true;
        show("it is:  >", packet);
        fail("another segment was expected: %s", run.it->lines[run.line - 1]);
    }
    for (size_t i = 0; i < packet->size && packet->size > 1; i++)
        if (packet->data[i] != stream_byte(packet->sequence - run.host_isn - 1 + i))
            fail("byte %zu of the segment is wrong", i);
    snprintf(copy, sizeof copy, "%s", options != NULL ? options : "");
    while ((one = strsep(&rest, ",")) != NULL && *one != 0)
        check_option(packet, one);
    run.has_packet = false;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Let time pass until a segment is there, from earliest to latest. */
static void await_segment(unsigned earliest_ms, unsigned latest_ms)
{
    uint64_t begin = now_ms();
    unsigned passed = 0;

    latest_ms += host.patience_ms;
    while (!peek() && passed <= latest_ms) {
        host.wait(1);
        passed = host.patience_ms > 0 ? (unsigned)(now_ms() - begin) : passed + 1;
    }
    if (!run.has_packet)
        fail("no segment came in %u ms", latest_ms);
    if (passed + (host.patience_ms > 0 ? 5 : 0) < earliest_ms)
        fail("it came after %u ms", passed);
}

static void put_icmp(const char *text)
{
    static uint8_t bytes[PACKET_MAX];
    unsigned type, code, word;
    int sequence = 0;
    struct packet about = {.family = run.it->family, .from_host = true, .peer_port = run.peer_port,
                           .host_port = run.host_port, .flags = TH_ACK};

    check_quiet();
    if (sscanf(text, "%u %u %u %d", &type, &code, &word, &sequence) < 3)
        fail("icmp TYPE CODE WORD [SEQ]");
    about.sequence = run.host_isn + (uint32_t)sequence;
    host.put(bytes, packet_write_icmp(&about, (uint8_t)type, (uint8_t)code, word, bytes));
}

/* ---- Calls ---- */

static void check_call(int result, const char *what)
{
    if (result < 0)
        fail("%s: %s", what, strerror(-result));
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
            fail("recv: got %zu bytes, then %s, not %s", got, result < 0 ? strerrorname_np((int)-result) : "the end", text);
        return;
    }
    if (got != wanted)
        fail("recv: got %zu bytes, not %zu", got, wanted);
    if (text[0] == 'e' && result != 0)
        fail("recv: no end but %s", strerrorname_np((int)-result));
    for (size_t i = 0; i < got; i++)
        if (bytes[i] != stream_byte(run.received + i))
            fail("recv: byte %zu is wrong", i);
    run.received += got;
}

static void do_send(const char *text)
{
    static uint8_t bytes[1 << 20];
    size_t size = strtoul(text, NULL, 0);

    for (size_t i = 0; i < size; i++)
        bytes[i] = stream_byte(run.sent + i);
    if (host.send(bytes, size) != (ssize_t)size)
        fail("send");
    run.sent += size;
}

static void check_state(const char *text)
{
    static const char *const names[] = {"NONE", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2",
                                        "TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"};
    int state = host.state();

    if (strcmp(names[state], text) != 0)
        fail("the state is %s", names[state]);
}

static void check_error(const char *text)
{
    int error = host.error();

    if (strcmp(error == 0 ? "none" : strerrorname_np(error), text) != 0)
        fail("the error is %s", error == 0 ? "none" : strerrorname_np(error));
}

static void do_option(const char *text, bool set)
{
    char name[32];
    int value, is;

    if (sscanf(text, "%31s %d", name, &value) != 2)
        fail("OPTION VALUE");
    if (set) {
        check_call(host.set(name, value), name);
        return;
    }
    check_call(host.get(name, &is), name);
    if (is != value)
        fail("%s is %d", name, is);
}

static void do_listen(void)
{
    check_call(host.listen(), "listen");
    run.host_port = LISTEN_PORT;
    run.peer_port = PEER_PORT;
}

static void do_connect(void)
{
    check_call(host.connect(), "connect");
    run.host_port = 0;
    run.peer_port = CONNECT_PORT;
    run.peer_next = 0;
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
        put_segment(copy + (rest - text));
    else if ((rest = after(text, ">")) != NULL) {
        if (host.patience_ms > 0)
            await_segment(0, 0);
        expect_segment(copy + (rest - text));
    } else if (sscanf(text, "within %u..%u > %n", &earliest, &latest, &used) == 2 && used > 0) {
        await_segment(earliest, latest);
        expect_segment(copy + used);
    } else if (after(text, "quiet") != NULL)
        check_quiet();
    else if (after(text, "ignore") != NULL)
        while (peek())
            run.has_packet = false;
    else if ((rest = after(text, "wait")) != NULL)
        host.wait((unsigned)strtoul(rest, NULL, 0));
    else if ((rest = after(text, "icmp")) != NULL)
        put_icmp(rest);
    else if (after(text, "listen") != NULL)
        do_listen();
    else if (after(text, "connect") != NULL)
        do_connect();
    else if (strcmp(text, "accept none") == 0) {
        if (host.accept() != -EAGAIN)
            fail("there is a connection");
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
        fail("what is \"%s\"?", text);
}

/* Initial sequence numbers follow the clock: let it go on until the host will choose the one that the case wants. */
static void choose_host_isn(uint32_t wanted)
{
    enum { STEPS_A_MS = 250 }; /* one every 4 microseconds */

    step("listen");
    step("< S 0 win 1000 <mss 1460>");
    step("> S. 0");
    step("< R 1");
    host.wait((wanted - run.host_isn) / STEPS_A_MS);
    step("close");
    run.host_next = run.peer_next = 0;
}

void script_run(const struct script_case *it)
{
    static const char *const prefixes[] = {"stack: ", "kernel: "};

    run.it = it;
    run.line = it->first_line - 1;
    run.trace = getenv("TRACE") != NULL;
    run.peer_isn = it->peer_isn;
    run.stamp = 1000;
    host.setup(it->family);
    if (it->has_host_isn)
        choose_host_isn(it->host_isn);
    for (int i = 0; i < it->line_count; i++) {
        const char *text = it->lines[it->first_line - 1 + i];
        bool other = false;

        run.line = it->first_line + i;
        for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++)
            if (strncmp(text, prefixes[k], strlen(prefixes[k])) == 0) {
                other = strncmp(prefixes[k], host.name, strlen(host.name)) != 0;
                text += strlen(prefixes[k]);
            }
        if (*text != 0 && !other)
            step(text);
    }
    check_quiet();
    if (host.teardown != NULL)
        host.teardown();
}
