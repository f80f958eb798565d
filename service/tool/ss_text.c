/* ss_text.c - one socket in the words of ss(8). */
#include "ss_text.h"

#include "ask.h"
#include "holders.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_any(const struct row_address *address)
{
    static const uint8_t none[16];

    return memcmp(address->bytes, none, 16) == 0 ||
           (row_address_is_v4(address) && memcmp(address->bytes + 12, none, 4) == 0);
}

/* The name of an address. Return: false: it has none. */
static bool find_name(const struct row_address *address, char *text, size_t size)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};

    memcpy(&in6.sin6_addr, address->bytes, sizeof in6.sin6_addr);
    memcpy(&in.sin_addr, address->bytes + 12, sizeof in.sin_addr);
    return row_address_is_v4(address)
               ? getnameinfo((struct sockaddr *)&in, sizeof in, text, (socklen_t)size, NULL, 0, NI_NAMEREQD) == 0
               : getnameinfo((struct sockaddr *)&in6, sizeof in6, text, (socklen_t)size, NULL, 0, NI_NAMEREQD) == 0;
}

void ss_format_address(const struct row *row, const struct row_address *address, bool resolve, char *text, size_t size)
{
    const bool is_peer = address == &row->peer;

    if (address->text[0] == '\0') { /* no peer */
        snprintf(text, size, "%s", row->family == 4 ? "0.0.0.0" : row->v6only ? "[::]" : "*");
    } else if (row->family == 6 && is_any(address) && !is_peer && !row->v6only) {
        snprintf(text, size, "*");
    } else if (resolve && !is_any(address) && find_name(address, text, size)) {
        return;
    } else if (row->family == 4) {
        snprintf(text, size, "%s", address->text);
    } else if (address->scope != 0) {
        snprintf(text, size, "[%s]%%%u", address->text, address->scope);
    } else {
        snprintf(text, size, "[%s]", address->text);
    }
}

void ss_format_port(const struct row *row, const struct row_address *address, bool numeric, char *text, size_t size)
{
    const char *protocol = strcmp(row->netid, "udp") == 0 ? "udp" : "tcp";
    const struct servent *service = NULL;

    if (address->port == 0) {
        snprintf(text, size, "*");
        return;
    }
    if (!numeric && (row_is_tcp(row) || strncmp(row->netid, "udp", 3) == 0))
        service = getservbyport(htons(address->port), protocol);
    if (service != NULL)
        snprintf(text, size, "%s", service->s_name);
    else
        snprintf(text, size, "%u", address->port);
}

/* Who has it; where /proc tells nothing, who made it. */
static void print_processes(FILE *out, const struct row *row)
{
    const struct holder *end, *holder = row->inode != 0 ? holders_find(row->inode, &end) : NULL;

    if (holder != NULL) {
        fputs(" users:(", out);
        for (const struct holder *it = holder; it < end && it->inode == row->inode; it++)
            fprintf(out, "%s(\"%s\",pid=%d,fd=%d)", it == holder ? "" : ",", it->name, (int)it->pid, it->fd);
        fputs(")", out);
    } else if (row->pid != 0) {
        fprintf(out, " made-by:((\"%s\",pid=%d))", row->program, (int)row->pid);
    }
}

/* A time as ss has it: 1min59sec, 29sec, 8.400ms. */
static void print_timer(FILE *out, const struct row *row)
{
    const json_t *timer = json_object_get(row->object, "timer");
    uint64_t ms = json_number(timer, "ms");
    uint64_t minutes = ms / 60000, seconds = ms / 1000 % 60;

    if (timer == NULL)
        return;
    fprintf(out, " timer:(%s,", json_text(timer, "name"));
    if (minutes > 0)
        fprintf(out, "%llumin", (unsigned long long)minutes);
    if (seconds > 0)
        fprintf(out, minutes == 0 && seconds < 10 && ms % 1000 != 0 ? "%llu.%03llusec" : "%llusec",
                (unsigned long long)seconds, (unsigned long long)(ms % 1000));
    if (minutes == 0 && seconds == 0)
        fprintf(out, "%llums", (unsigned long long)ms);
    fprintf(out, ",%llu)", (unsigned long long)json_number(timer, "retries"));
}

static void print_extended(FILE *out, const struct row *row)
{
    if (row->uid != 0)
        fprintf(out, " uid:%llu", (unsigned long long)row->uid);
    fprintf(out, " ino:%llu sk:%llx", (unsigned long long)row->inode, (unsigned long long)row->id);
    if (row->family == 6)
        fprintf(out, " v6only:%d", row->v6only ? 1 : 0);
}

/* NAME:VALUE, unless it is 0. */
static void print_number(FILE *out, const json_t *info, const char *key, const char *name)
{
    uint64_t value = json_number(info, key);

    if (value != 0)
        fprintf(out, " %s:%llu", name, (unsigned long long)value);
}

static void print_ms(FILE *out, const json_t *info, const char *key, const char *name)
{
    uint64_t us = json_number(info, key);

    if (us != 0)
        fprintf(out, " %s:%g", name, (double)us / 1000);
}

/* Bytes a second as ss shows bits. */
static void print_rate(FILE *out, const char *name, double bytes)
{
    double bits = bytes * 8;
    const char *unit = bits >= 1e12 ? "T" : bits >= 1e9 ? "G" : bits >= 1e6 ? "M" : bits >= 1e3 ? "k" : "";
    double scale = bits >= 1e12 ? 1e12 : bits >= 1e9 ? 1e9 : bits >= 1e6 ? 1e6 : bits >= 1e3 ? 1e3 : 1;

    if (bytes <= 0)
        return;
    if (scale > 1 || bits >= 100)
        fprintf(out, " %s %.*f%sbps", name, scale > 1 ? 1 : 0, bits / scale, unit);
    else
        fprintf(out, " %s %.3gbps", name, bits);
}

static void print_tcp_info(FILE *out, const struct row *row)
{
    const json_t *info = row->info;
    double rtt_s = (double)json_number(info, "rtt_us") / 1e6;

    if (json_number(info, "timestamps"))
        fputs(" ts", out);
    if (json_number(info, "sack"))
        fputs(" sack", out);
    if (json_number(info, "ecn"))
        fputs(" ecn", out);
    fprintf(out, " %s", json_text(info, "congestion"));
    if (json_number(info, "window_scaling"))
        fprintf(out, " wscale:%llu,%llu", (unsigned long long)json_number(info, "send_wscale"),
                (unsigned long long)json_number(info, "receive_wscale"));
    print_ms(out, info, "rto_us", "rto");
    print_number(out, info, "backoff", "backoff");
    if (rtt_s > 0)
        fprintf(out, " rtt:%g/%g", rtt_s * 1000, (double)json_number(info, "rttvar_us") / 1000);
    print_ms(out, info, "ato_us", "ato");
    print_number(out, info, "mss", "mss");
    print_number(out, info, "pmtu", "pmtu");
    print_number(out, info, "rcvmss", "rcvmss");
    print_number(out, info, "advmss", "advmss");
    print_number(out, info, "cwnd", "cwnd");
    print_number(out, info, "ssthresh", "ssthresh");
    print_number(out, info, "bytes_sent", "bytes_sent");
    print_number(out, info, "bytes_retrans", "bytes_retrans");
    print_number(out, info, "bytes_acked", "bytes_acked");
    print_number(out, info, "bytes_received", "bytes_received");
    print_number(out, info, "segs_out", "segs_out");
    print_number(out, info, "segs_in", "segs_in");
    print_number(out, info, "data_segs_out", "data_segs_out");
    print_number(out, info, "data_segs_in", "data_segs_in");
    if (rtt_s > 0)
        print_rate(out, "send", (double)json_number(info, "cwnd") * (double)json_number(info, "mss") / rtt_s);
    print_number(out, info, "lastsnd_ms", "lastsnd");
    print_number(out, info, "lastrcv_ms", "lastrcv");
    print_number(out, info, "lastack_ms", "lastack");
    print_rate(out, "pacing_rate", (double)json_number(info, "pacing_rate_bytes"));
    print_rate(out, "delivery_rate", (double)json_number(info, "delivery_rate_bytes"));
    print_number(out, info, "delivered", "delivered");
    print_number(out, info, "unacked", "unacked");
    if (json_number(info, "retrans") + json_number(info, "retrans_total") != 0)
        fprintf(out, " retrans:%llu/%llu", (unsigned long long)json_number(info, "retrans"),
                (unsigned long long)json_number(info, "retrans_total"));
    print_number(out, info, "lost", "lost");
    print_number(out, info, "sacked", "sacked");
    print_number(out, info, "dsack_dups", "dsack_dups");
    if (json_number(info, "reordering") != 3)
        print_number(out, info, "reordering", "reordering");
    print_number(out, info, "reord_seen", "reord_seen");
    print_number(out, info, "rcv_space", "rcv_space");
    print_number(out, info, "rcv_ssthresh", "rcv_ssthresh");
    print_number(out, info, "notsent", "notsent");
    print_ms(out, info, "min_rtt_us", "minrtt");
    print_number(out, info, "snd_wnd", "snd_wnd");
    print_number(out, info, "rcv_wnd", "rcv_wnd");
}

static void print_datagram_info(FILE *out, const struct row *row)
{
    print_number(out, row->info, "bytes_sent", "bytes_sent");
    print_number(out, row->info, "bytes_received", "bytes_received");
    print_number(out, row->info, "datagrams_out", "datagrams_out");
    print_number(out, row->info, "datagrams_in", "datagrams_in");
    print_number(out, row->info, "dropped", "dropped");
}

static void print_memory(FILE *out, const struct row *row)
{
    const json_t *memory = json_object_get(row->object, "memory");

    if (memory != NULL)
        fprintf(out, " skmem:(r%llu,w%llu)", (unsigned long long)json_number(memory, "receive"),
                (unsigned long long)json_number(memory, "send"));
}

void ss_print_details(FILE *out, const struct row *row, const struct ss_show *show)
{
    if (show->processes)
        print_processes(out, row);
    if (show->timers)
        print_timer(out, row);
    if (show->extended)
        print_extended(out, row);
    if (!show->info && !show->memory)
        return;
    fputs(show->one_line ? "" : "\n\t", out);
    if (show->memory)
        print_memory(out, row);
    if (show->info && row->info != NULL && row_is_tcp(row))
        print_tcp_info(out, row);
    else if (show->info && row->info != NULL)
        print_datagram_info(out, row);
}
