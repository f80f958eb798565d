/*
 * sidestack_ping.c - ICMP echo from a running service's stack, as ping(8).
 *
 * Runs itself again as `sidestack run` runs a program, with libintercept.so in it: so its ping socket and its look-up
 * of names are those that any program on the stack would get.
 */
#include "ask.h"
#include "option.h"
#include "sidestack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <limits.h>
#include <linux/icmpv6.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "sidestack ping"
#define INSIDE "SIDESTACK_PING_INSIDE" /* in the environment of the second run */
#define ICMP_HEADER 8
#define SIZE_MAX_BYTES 65507
#define EXIT_NO_REPLY 1
#define EXIT_ERROR 2
#define SEQUENCES 65536
#define ARGUMENTS_MAX 64

static const char usage[] =
    "usage: sidestack ping [OPTION...] HOST\n"
    "Sends ICMP echo requests to HOST from the stack of a running sidestackd, once a second, until it is interrupted.\n"
    "\n"
    "  -c COUNT     end after COUNT requests\n"
    "  -i SECONDS   between two requests (1; at least 0.002)\n"
    "  -s SIZE      bytes of data in each (56)\n"
    "  -t TTL       how many routers each may pass\n"
    "  -W SECONDS   how long to wait for the last reply (10)\n"
    "  -4, -6       IPv4 only, IPv6 only\n"
    "  -q           only the summary\n"
    ASK_HELP
    "      --help   this text\n"
    "\n"
    "Exit status: 0: there was a reply; 1: there was none; 2: another error.\n";

struct ping {
    const char *host;
    char address[INET6_ADDRSTRLEN];
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
    socklen_t peer_length;
    int fd;       /* owned */
    int family;   /* AF_UNSPEC: either */
    unsigned long count; /* 0: no end */
    unsigned long size, ttl; /* ttl 0: as it is */
    double interval_s, wait_s;
    bool quiet;
    unsigned long sent, received, errors, repeated;
    double min_ms, max_ms, sum_ms, squares;
    double sent_s[SEQUENCES]; /* when; 0: not on its way */
    double first_s;
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, COMMAND ": %s: %s\n", what, why);
    return EXIT_ERROR;
}

/* Find out who it is. Return: 0 or EXIT_ERROR, said. */
static int resolve(struct ping *ping)
{
    struct addrinfo hints = {.ai_family = ping->family, .ai_socktype = SOCK_DGRAM}, *found;
    int error = getaddrinfo(ping->host, NULL, &hints, &found);

    if (error != 0)
        return complain(ping->host, gai_strerror(error));
    memcpy(&ping->peer, found->ai_addr, found->ai_addrlen);
    ping->peer_length = found->ai_addrlen;
    ping->family = found->ai_family;
    freeaddrinfo(found);
    error = getnameinfo(&ping->peer.sa, ping->peer_length, ping->address, sizeof ping->address, NULL, 0, NI_NUMERICHOST);
    return error != 0 ? complain(ping->host, gai_strerror(error)) : 0;
}

/* Return: 0 or EXIT_ERROR, said. */
static int open_socket(struct ping *ping)
{
    const bool is_v6 = ping->family == AF_INET6;
    const int level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int on = 1, ttl = (int)ping->ttl;

    ping->fd = socket(ping->family, SOCK_DGRAM | SOCK_CLOEXEC, is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
    if (ping->fd < 0)
        return complain("socket", strerror(errno));
    if (setsockopt(ping->fd, level, is_v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, &on, sizeof on) < 0 ||
        setsockopt(ping->fd, level, is_v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on) < 0 ||
        (ttl > 0 && setsockopt(ping->fd, level, is_v6 ? IPV6_UNICAST_HOPS : IP_TTL, &ttl, sizeof ttl) < 0))
        return complain("setsockopt", strerror(errno));
    return 0;
}

static void send_request(struct ping *ping)
{
    static uint8_t packet[ICMP_HEADER + SIZE_MAX_BYTES];
    const uint16_t sequence = htons((uint16_t)(ping->sent + 1));

    memset(packet, 0, ICMP_HEADER);
    packet[0] = ping->family == AF_INET6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO;
    memcpy(packet + 6, &sequence, sizeof sequence);
    for (unsigned long i = 0; i < ping->size; i++)
        packet[ICMP_HEADER + i] = (uint8_t)i;
    ping->sent++;
    ping->sent_s[ping->sent % SEQUENCES] = now_s();
    if (sendto(ping->fd, packet, ICMP_HEADER + ping->size, 0, &ping->peer.sa, ping->peer_length) < 0) {
        ping->errors++;
        ping->sent_s[ping->sent % SEQUENCES] = 0;
        complain("sending", strerror(errno));
    }
}

/* The TTL or hop limit that came with a message; -1: none. */
static int read_ttl(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        int ttl;

        if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_TTL) ||
            (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_HOPLIMIT)) {
            memcpy(&ttl, CMSG_DATA(part), sizeof ttl);
            return ttl;
        }
    }
    return -1;
}

static void count_reply(struct ping *ping, double ms)
{
    if (ping->received == 0 || ms < ping->min_ms)
        ping->min_ms = ms;
    if (ms > ping->max_ms)
        ping->max_ms = ms;
    ping->sum_ms += ms;
    ping->squares += ms * ms;
    ping->received++;
}

static void print_reply(const struct ping *ping, const struct sockaddr *from, socklen_t from_length, ssize_t length,
                        unsigned sequence, int ttl, double ms)
{
    char text[INET6_ADDRSTRLEN] = "?";

    if (ping->quiet)
        return;
    (void)getnameinfo(from, from_length, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    printf("%zd bytes from %s: icmp_seq=%u", length, text, sequence);
    if (ttl >= 0)
        printf(" ttl=%d", ttl);
    if (ms >= 0)
        printf(" time=%.*f ms\n", ms < 10 ? 3 : ms < 100 ? 1 : 0, ms);
    else
        puts(" (DUP!)");
}

/* An error about a request: who says what? Return: false: there is none. */
static bool receive_error(struct ping *ping)
{
    union {
        struct cmsghdr header;
        char space[512];
    } control;
    uint8_t packet[128];
    struct iovec iov = {packet, sizeof packet};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(ping->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    uint16_t sequence = 0;

    if (length < 0)
        return false;
    if (length >= ICMP_HEADER)
        memcpy(&sequence, packet + 6, sizeof sequence);
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        struct sock_extended_err error;
        char text[INET6_ADDRSTRLEN] = "here";

        if (!((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
              (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR)))
            continue;
        memcpy(&error, CMSG_DATA(part), sizeof error);
        if (error.ee_origin != SO_EE_ORIGIN_LOCAL) {
            const struct sockaddr *offender = (const void *)(CMSG_DATA(part) + sizeof error);

            (void)getnameinfo(offender, offender->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in),
                              text, sizeof text, NULL, 0, NI_NUMERICHOST);
        }
        ping->errors++;
        if (!ping->quiet)
            printf("From %s icmp_seq=%u %s\n", text, ntohs(sequence),
                   error.ee_type == ICMP_TIME_EXCEEDED && error.ee_origin == SO_EE_ORIGIN_ICMP ? "Time to live exceeded"
                   : error.ee_origin == SO_EE_ORIGIN_ICMP6 && error.ee_type == ICMPV6_TIME_EXCEED
                       ? "Time exceeded: Hop limit"
                       : strerror((int)error.ee_errno));
        ping->sent_s[ntohs(sequence)] = 0;
    }
    return true;
}

static void receive(struct ping *ping)
{
    static uint8_t packet[ICMP_HEADER + SIZE_MAX_BYTES];
    const uint8_t wanted = ping->family == AF_INET6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY;
    union {
        struct cmsghdr header;
        char space[256];
    } control;
    struct sockaddr_in6 from;

    for (;;) {
        struct iovec iov = {packet, sizeof packet};
        struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
                                 .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t length = recvmsg(ping->fd, &message, MSG_DONTWAIT);
        uint16_t sequence;
        double *sent_s, ms = -1;

        if (length < 0 && errno != EAGAIN && errno != EWOULDBLOCK && receive_error(ping))
            continue;
        if (length < 0)
            return;
        if (length < ICMP_HEADER || packet[0] != wanted)
            continue;
        memcpy(&sequence, packet + 6, sizeof sequence);
        sent_s = &ping->sent_s[ntohs(sequence)];
        if (*sent_s > 0) {
            ms = (now_s() - *sent_s) * 1000;
            count_reply(ping, ms);
        } else {
            ping->repeated++;
        }
        *sent_s = 0;
        print_reply(ping, message.msg_name, message.msg_namelen, length, ntohs(sequence), read_ttl(&message), ms);
    }
}

static void print_summary(const struct ping *ping)
{
    const double mean = ping->received > 0 ? ping->sum_ms / (double)ping->received : 0;
    const double variance = ping->received > 0 ? ping->squares / (double)ping->received - mean * mean : 0;

    printf("\n--- %s ping statistics ---\n%lu packets transmitted, %lu received", ping->host, ping->sent, ping->received);
    if (ping->repeated > 0)
        printf(", +%lu duplicates", ping->repeated);
    if (ping->errors > 0)
        printf(", +%lu errors", ping->errors);
    if (ping->sent > 0)
        printf(", %g%% packet loss", (double)(ping->sent - ping->received) * 100 / (double)ping->sent);
    printf(", time %.0fms\n", (now_s() - ping->first_s) * 1000);
    if (ping->received > 0)
        printf("rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", ping->min_ms, mean, ping->max_ms,
               variance > 0 ? sqrt(variance) : 0);
}

/* Send and receive until the end. Return: 0 or EXIT_ERROR, said. */
static int run(struct ping *ping)
{
    sigset_t set;
    struct pollfd polled[2] = {{.fd = ping->fd, .events = POLLIN}, {.events = POLLIN}};
    double next_s = now_s();

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return complain("signals", strerror(errno));
    polled[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (polled[1].fd < 0)
        return complain("signals", strerror(errno));
    ping->first_s = next_s;
    for (;;) {
        const bool all_sent = ping->count > 0 && ping->sent >= ping->count;
        double wait_s;

        if (all_sent && ping->received + ping->errors >= ping->sent)
            break;
        if (now_s() >= next_s) {
            if (all_sent)
                break; /* the last reply did not come */
            send_request(ping);
            next_s = now_s() + (ping->count > 0 && ping->sent >= ping->count ? ping->wait_s : ping->interval_s);
        }
        wait_s = next_s - now_s();
        if (poll(polled, 2, wait_s > 0 ? (int)(wait_s * 1000) + 1 : 0) < 0 && errno != EINTR)
            return complain("poll", strerror(errno));
        if (polled[1].revents != 0)
            break;
        if (polled[0].revents != 0)
            receive(ping);
        while (polled[0].revents & POLLERR && receive_error(ping))
            continue;
        fflush(stdout);
    }
    close(polled[1].fd);
    return 0;
}

/* Run this program again, on the stack. Return: the exit status, when that failed. */
static int run_inside(const struct service_path *path, int argc, char **argv)
{
    char *arguments[ARGUMENTS_MAX] = {(char *)"sidestack run"};
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    int count = 1;

    if (length < 0 || setenv(INSIDE, "1", 1) < 0)
        return complain("/proc/self/exe", strerror(errno));
    if (argc + 8 > ARGUMENTS_MAX)
        return complain("too many arguments", "");
    self[length] = '\0';
    if (path->text[0] != '\0') {
        arguments[count++] = (char *)"--socket";
        arguments[count++] = (char *)path->text;
    }
    arguments[count++] = (char *)"--";
    arguments[count++] = self;
    arguments[count++] = (char *)"ping";
    for (int i = 1; i < argc; i++)
        arguments[count++] = argv[i];
    optind = 0; /* getopt_long() begins anew */
    return sidestack_run(count, arguments);
}

/* Read a number. Return: 0 or -EINVAL, said. */
static int read_number(const char *text, unsigned long min, unsigned long max, unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number >= min && *number <= max)
        return 0;
    fprintf(stderr, COMMAND ": '%s' is no number from %lu to %lu\n", text, min, max);
    return -EINVAL;
}

static int read_seconds(const char *text, double min, double *seconds)
{
    char *end;

    *seconds = strtod(text, &end);
    if (end != text && *end == '\0' && *seconds >= min && *seconds <= 86400)
        return 0;
    fprintf(stderr, COMMAND ": '%s' is no number of seconds from %g to 86400\n", text, min);
    return -EINVAL;
}

/* Return: 0 or -EINVAL, said. */
static int read_option(int option, struct ping *ping)
{
    switch (option) {
    case 'c': return read_number(optarg, 1, ULONG_MAX, &ping->count);
    case 's': return read_number(optarg, 0, SIZE_MAX_BYTES, &ping->size);
    case 't': return read_number(optarg, 1, 255, &ping->ttl);
    case 'i': return read_seconds(optarg, 0.002, &ping->interval_s);
    case 'W': return read_seconds(optarg, 0.001, &ping->wait_s);
    case '4': ping->family = AF_INET; return 0;
    case '6': ping->family = AF_INET6; return 0;
    case 'q': ping->quiet = true; return 0;
    case 'n': return 0; /* it never asks for names of hosts */
    }
    return 0;
}

int sidestack_ping(int argc, char **argv)
{
    static const struct option options[] = {TOOL_OPTIONS};
    static struct ping ping = {.size = 56, .interval_s = 1, .wait_s = 10};
    struct service_path path = {""};
    const struct tool_options tool = {COMMAND, usage, "c:i:s:t:W:46qn", options, &path};
    int option, status, error;

    while ((option = tool_next_option(&tool, argc, argv, &status)) != -1)
        if (option == '?' || read_option(option, &ping) < 0)
            return status == EXIT_SUCCESS ? EXIT_SUCCESS : EXIT_ERROR;
    if (optind + 1 != argc) {
        fputs(COMMAND ": one host (sidestack ping --help)\n", stderr);
        return EXIT_ERROR;
    }
    if (getenv(INSIDE) == NULL)
        return run_inside(&path, argc, argv);
    ping.host = argv[optind];
    error = resolve(&ping);
    if (error == 0)
        error = open_socket(&ping);
    if (error != 0)
        return error;
    if (ping.family == AF_INET6)
        printf("PING %s(%s) %lu data bytes\n", ping.host, ping.address, ping.size);
    else
        printf("PING %s (%s) %lu(%lu) bytes of data.\n", ping.host, ping.address, ping.size, ping.size + 28);
    error = run(&ping);
    close(ping.fd);
    if (error != 0)
        return error;
    print_summary(&ping);
    return ping.received > 0 ? EXIT_SUCCESS : EXIT_NO_REPLY;
}
