/* script_segment.c - the segments of a case: what comes, and what is expected. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host.h"
#include "script_state.h"

#define WINDOW 512

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
            script_fail("the host's options are malformed");
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
            script_fail("sack: %s", blocks);
        size += write_32(to + size, script_state.host_isn + left);
        size += write_32(to + size, script_state.host_isn + (uint32_t)strtoll(end + 1, &end, 0));
        if (size > 38)
            script_fail("too many SACK blocks");
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
        return write_stamp(to, script_state.stamp, script_state.host_stamp);
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
        script_state.stamp = (int32_t)(value - script_state.stamp) > 0 || !script_state.stamps ? value : script_state.stamp;
        return write_stamp(to, value, echo);
    }
    if (strncmp(text, "raw ", 4) != 0)
        script_fail("option: %s", text);
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
            script_fail("too many options");
        memcpy(packet->options + packet->option_size, option, size);
        packet->option_size += size;
        if (option[0] == TCPOPT_TIMESTAMP && (packet->flags & TH_SYN) != 0)
            script_state.stamps = true;
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
        script_fail(absent ? "it has the option: %s" : "it lacks the option: %s", text);
    if (absent)
        return;
    if (sscanf(text, "mss %u", &value) == 1 && value != (unsigned)(option[2] << 8 | option[3]))
        script_fail("%s: it is %d", text, option[2] << 8 | option[3]);
    if (sscanf(text, "wscale %u", &value) == 1 && value != option[2])
        script_fail("%s: it is %d", text, option[2]);
    if (sscanf(text, "TS val %u ecr %u", &value, &echo) == 2 && read_32(option + 2) != value)
        script_fail("%s: it says %u", text, read_32(option + 2));
    if ((sscanf(text, "TS val %u ecr %u", &value, &echo) == 2 || sscanf(text, "ts ecr %u", &echo) == 1) &&
        read_32(option + 6) != echo)
        script_fail("%s: it echoes %u", text, read_32(option + 6));
    if (strncmp(text, "sack ", 5) == 0) {
        char is[128] = "";

        for (int at = 2; at < option[1]; at += 8)
            sprintf(is + strlen(is), "%s%d:%d", at > 2 ? " " : "", (int)(read_32(option + at) - script_state.peer_isn),
                    (int)(read_32(option + at + 4) - script_state.peer_isn));
        if (strcmp(text + 5, is) != 0)
            script_fail("%s: it says %s", text, is);
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
    printf(" %d(%zu)", (int)(packet->sequence - (out ? script_state.host_isn : script_state.peer_isn)), packet->size);
    if ((packet->flags & TH_ACK) != 0)
        printf(" ack %d", (int)(packet->acknowledgement - (out ? script_state.peer_isn : script_state.host_isn)));
    printf(" win %u <", packet->window);
    for (size_t i = 0; i < packet->option_size; i++)
        printf("%02x", packet->options[i]);
    printf(">\n");
}

/* Fetch the next segment from the host, if there is one. */
bool script_peek(void)
{
    const char *why;
    size_t size;
    uint32_t end;

    while (!script_state.has_packet && (size = host.take(script_state.bytes, sizeof script_state.bytes)) > 0) {
        if (!packet_read(script_state.bytes, size, &script_state.packet, &why))
            continue;
        if (why != NULL)
            script_fail("%s", why);
        if ((script_state.packet.flags & (TH_SYN | TH_RST)) == TH_SYN) {
            if (script_state.host_port != LISTEN_PORT)
                script_state.host_port = script_state.packet.host_port;
            script_state.host_isn = script_state.packet.sequence;
            script_state.host_next = 0;
        }
        if (find_option(&script_state.packet, TCPOPT_TIMESTAMP) != NULL)
            script_state.host_stamp = read_32(find_option(&script_state.packet, TCPOPT_TIMESTAMP) + 2);
        end = script_state.packet.sequence - script_state.host_isn + (uint32_t)script_state.packet.size +
              ((script_state.packet.flags & (TH_SYN | TH_FIN)) != 0);
        if ((script_state.packet.flags & TH_RST) == 0 && (int32_t)(end - script_state.host_next) > 0)
            script_state.host_next = end;
        script_state.has_packet = true;
        if (script_state.trace)
            show("   >", &script_state.packet);
    }
    return script_state.has_packet;
}

void script_check_quiet(void)
{
    if (!script_peek())
        return;
    show("unexpected: >", &script_state.packet);
    script_fail("the host sent something");
}

/* Read the words of a segment. options: where they begin in the text; NULL: it says nothing of them. */
static void read_segment(char *text, struct packet *packet, bool incoming, const char **options, bool said[3])
{
    static const char letters[] = "FSRP.UEC";
    char *open = strchr(text, '<'), *word, *rest = text, *end;
    uint32_t own = incoming ? script_state.peer_isn : script_state.host_isn, other = incoming ? script_state.host_isn : script_state.peer_isn;
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
                    script_fail("flag %c", *word);
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
                script_fail("what is %s?", word);
        }
    }
}

/* A segment comes. */
void script_put_segment(char *text)
{
    static uint8_t data[PACKET_MAX], bytes[PACKET_MAX];
    struct packet packet = {.family = script_state.it->family, .peer_port = script_state.peer_port, .host_port = script_state.host_port,
                            .sequence = script_state.peer_isn + script_state.peer_next, .window = WINDOW};
    bool said[3] = {false};
    const char *options;
    uint32_t at;

    script_check_quiet();
    packet.acknowledgement = script_state.host_isn + script_state.host_next;
    read_segment(text, &packet, true, &options, said);
    if ((packet.flags & TH_ACK) == 0 && !said[1])
        packet.acknowledgement = 0;
    if ((packet.flags & TH_SYN) != 0 && !said[2])
        packet.window = 0xffff;
    if (options != NULL)
        write_options(&packet, options);
    else if (script_state.stamps)
        write_options(&packet, "nop,nop,ts");
    at = packet.sequence - script_state.peer_isn;
    if (packet.size > sizeof data)
        script_fail("too long");
    for (size_t i = 0; i < packet.size; i++)
        data[i] = script_stream_byte((uint32_t)(at - 1 + i));
    packet.data = data;
    at += (uint32_t)packet.size + ((packet.flags & (TH_SYN | TH_FIN)) != 0);
    if ((packet.flags & TH_RST) == 0 && (int32_t)(at - script_state.peer_next) > 0 && (int32_t)(at - script_state.peer_next) < 0x10000)
        script_state.peer_next = at;
    if (script_state.trace)
        show("<", &packet);
    host.put(bytes, packet_write(&packet, bytes));
}

/* The next segment of the host's is as the text says. */
void script_expect_segment(char *text)
{
    struct packet wanted = {0};
    const struct packet *packet = &script_state.packet;
    bool said[3] = {false};
    const char *options;
    char copy[256], *rest = copy, *one;

    if (!script_peek())
        script_fail("no segment came, wanted %s", text);
    read_segment(text, &wanted, false, &options, said);
    if (((packet->flags ^ wanted.flags) & ~TH_PUSH) != 0 || packet->size != wanted.size ||
        (said[0] && packet->sequence != wanted.sequence) || (said[1] && packet->acknowledgement != wanted.acknowledgement) ||
        (said[2] && wanted.urgent == 0 && packet->window != wanted.window) ||
        (said[2] && wanted.urgent != 0 && packet->window == 0)) {
        wanted.from_host = true;
        show("it is:  >", packet);
        script_fail("another segment was expected: %s", script_state.it->lines[script_state.line - 1]);
    }
    for (size_t i = 0; i < packet->size && packet->size > 1; i++)
        if (packet->data[i] != script_stream_byte(packet->sequence - script_state.host_isn - 1 + i))
            script_fail("byte %zu of the segment is wrong", i);
    snprintf(copy, sizeof copy, "%s", options != NULL ? options : "");
    while ((one = strsep(&rest, ",")) != NULL && *one != 0)
        check_option(packet, one);
    script_state.has_packet = false;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Let time pass until a segment is there, from earliest to latest. */
void script_await_segment(unsigned earliest_ms, unsigned latest_ms)
{
    uint64_t begin = now_ms();
    unsigned passed = 0;

    latest_ms += host.patience_ms;
    while (!script_peek() && passed <= latest_ms) {
        host.wait(1);
        passed = host.patience_ms > 0 ? (unsigned)(now_ms() - begin) : passed + 1;
    }
    if (!script_state.has_packet)
        script_fail("no segment came in %u ms", latest_ms);
    if (passed + (host.patience_ms > 0 ? 5 : 0) < earliest_ms)
        script_fail("it came after %u ms", passed);
}

void script_put_icmp(const char *text)
{
    static uint8_t bytes[PACKET_MAX];
    unsigned type, code, word;
    int sequence = 0;
    struct packet about = {.family = script_state.it->family, .from_host = true, .peer_port = script_state.peer_port,
                           .host_port = script_state.host_port, .flags = TH_ACK};

    script_check_quiet();
    if (sscanf(text, "%u %u %u %d", &type, &code, &word, &sequence) < 3)
        script_fail("icmp TYPE CODE WORD [SEQ]");
    about.sequence = script_state.host_isn + (uint32_t)sequence;
    host.put(bytes, packet_write_icmp(&about, (uint8_t)type, (uint8_t)code, word, bytes));
}
