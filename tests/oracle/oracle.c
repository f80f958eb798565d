/* oracle.c - what the oracle's programs share: main(), the transcript, waiting, data. */
#include "oracle.h"
#include "tests/poll_bits.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_MS 5000
#define SETTLE_MS 500
#define LINE_BYTES 2048
#define NAMED_PORTS 8

static struct {
    int port;
    const char *name;
} named_ports[NAMED_PORTS];

static size_t pattern_sent;

/* ---- the transcript ---- */

void oracle_say(const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2)
        length = (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(ORACLE_OUTPUT_FD, line, (size_t)length) != length)
        _exit(2);
}

void oracle_die(const char *what)
{
    oracle_say("cannot go on: %s: %s", what, oracle_errno_text(errno));
    _exit(2);
}

const char *oracle_errno_text(int error)
{
    const char *name = error == ORACLE_ERRNO_UNTOUCHED ? "untouched" : strerrorname_np(error);

    return name != NULL ? name : "not an errno";
}

long oracle_print_result(const char *text, long result, bool hide)
{
    int error = errno;

    if (result < 0)
        oracle_say("%s = %ld %s", text, result, oracle_errno_text(error));
    else if (error != ORACLE_ERRNO_UNTOUCHED)
        oracle_say("%s = %ld, but errno was changed to %s", text, hide ? 0 : result, oracle_errno_text(error));
    else if (hide)
        oracle_say("%s = a descriptor", text);
    else
        oracle_say("%s = %ld", text, result);
    errno = error;
    return result;
}

const char *oracle_bits_text(unsigned bits)
{
    return poll_bits_text(bits);
}

void oracle_name_port(int port, const char *name)
{
    for (size_t i = 0; i < NAMED_PORTS; i++) {
        if (named_ports[i].name != NULL && named_ports[i].port != port)
            continue;
        named_ports[i].port = port;
        named_ports[i].name = name;
        return;
    }
}

/* The role that an address has, or its numbers. */
static const char *host_text(const union oracle_sockaddr *name, char numbers[INET6_ADDRSTRLEN])
{
    static const char *const roles[] = {"subject", "peer", "any", "peer-link"};
    const void *bytes = name->sa.sa_family == AF_INET ? (const void *)&name->in.sin_addr : &name->in6.sin6_addr;

    for (size_t i = 0; i < sizeof roles / sizeof roles[0] && name->sa.sa_family == oracle_family(); i++) {
        if (oracle_family() == AF_INET && strcmp(roles[i], "peer-link") == 0)
            break;
        union oracle_sockaddr other = oracle_address(roles[i], 0);

        if (oracle_family() == AF_INET && name->in.sin_addr.s_addr == other.in.sin_addr.s_addr)
            return roles[i];
        if (oracle_family() == AF_INET6 && IN6_ARE_ADDR_EQUAL(&name->in6.sin6_addr, &other.in6.sin6_addr))
            return roles[i];
    }
    if (oracle_family() == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&name->in6.sin6_addr))
        return "link-local";
    return inet_ntop(name->sa.sa_family, bytes, numbers, INET6_ADDRSTRLEN);
}

const char *oracle_address_text(const void *address, socklen_t length)
{
    static char texts[4][80];
    static unsigned next;
    char *text = texts[next++ % 4];
    const char *port_name = "port", *host;
    union oracle_sockaddr name;
    char numbers[INET6_ADDRSTRLEN];
    socklen_t size;
    bool at_peer;
    int port;

    memset(&name, 0, sizeof name);
    memcpy(&name, address, length < sizeof name ? length : sizeof name);
    if (length == 0)
        return "none";
    size = name.sa.sa_family == AF_INET ? sizeof name.in : sizeof name.in6;
    if ((name.sa.sa_family != AF_INET && name.sa.sa_family != AF_INET6) || length < size) {
        snprintf(text, sizeof texts[0], "family %d, length %u", name.sa.sa_family, (unsigned)length);
        return text;
    }
    host = host_text(&name, numbers);
    port = ntohs(name.in.sin_port); /* at the same place in both */
    if (port == 0)
        port_name = "0";
    /* A port that was chosen at one end may be the other end's, too. */
    at_peer = strcmp(host, "peer") == 0;
    for (size_t i = 0; i < NAMED_PORTS; i++) {
        if (named_ports[i].name != NULL && named_ports[i].port == port &&
            at_peer == (strncmp(named_ports[i].name, "peer-", 5) == 0))
            port_name = named_ports[i].name;
    }
    snprintf(text, sizeof texts[0], "%s:%s%s", host, port_name, length > size ? ", too long" : "");
    return text;
}

void oracle_print_names(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        oracle_say("getsockname: %s", oracle_errno_text(errno));
    else
        oracle_say("getsockname: %s", oracle_address_text(&address, length));
    length = sizeof address;
    if (getpeername(fd, (struct sockaddr *)&address, &length) < 0)
        oracle_say("getpeername: %s", oracle_errno_text(errno));
    else
        oracle_say("getpeername: %s", oracle_address_text(&address, length));
}

void oracle_print_so_error(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
        oracle_say("SO_ERROR: getsockopt fails with %s", oracle_errno_text(errno));
    else
        oracle_say("SO_ERROR: %s", oracle_errno_text(error));
}

/* ---- waiting and data ---- */

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void oracle_print_poll(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};

    if (poll(&poll_fd, 1, 0) < 0)
        oracle_say("poll: %s", oracle_errno_text(errno));
    else
        oracle_say("poll: %s", oracle_bits_text((unsigned)poll_fd.revents));
}

unsigned oracle_settled(int fd, unsigned bits, unsigned asked)
{
    const unsigned ends = POLLIN | POLLOUT | POLLRDHUP;
    struct pollfd poll_fd = {.fd = fd, .events = (short)ends};
    long deadline = now_ms() + SETTLE_MS;

    if (~bits & (POLLERR | POLLHUP) || (bits & asked & ends) == (asked & ends))
        return bits;
    do {
        if (poll(&poll_fd, 1, 0) < 0 && errno != EINTR)
            oracle_die("poll");
    } while (((unsigned)poll_fd.revents & ends) != ends && now_ms() < deadline);
    return (unsigned)poll_fd.revents & (asked | POLLERR | POLLHUP);
}

void oracle_wait_bits(int fd, int bits)
{
    long deadline = now_ms() + DEADLINE_MS;
    struct pollfd poll_fd = {.fd = fd};
    int seen = 0;

    do {
        poll_fd.events = (short)(bits & ~seen);
        if (poll(&poll_fd, 1, 100) < 0 && errno != EINTR)
            oracle_die("poll");
        poll_fd.events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP;
        if (poll(&poll_fd, 1, 0) < 0 && errno != EINTR)
            oracle_die("poll");
        seen = poll_fd.revents;
    } while ((seen & bits) != bits && now_ms() < deadline);
    seen = (int)oracle_settled(fd, (unsigned)seen, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
    oracle_say("waited for %s: poll: %s", oracle_bits_text((unsigned)bits), oracle_bits_text((unsigned)seen));
}

void oracle_wait_bytes(int fd, int count)
{
    long deadline = now_ms() + DEADLINE_MS;
    int pending = 0;

    while (ioctl(fd, FIONREAD, &pending) == 0 && pending < count) {
        if (now_ms() > deadline)
            break;
        poll(NULL, 0, 1); /* there is no event for "so many bytes" that is the same everywhere */
    }
    if (pending < count)
        oracle_say("waited for %d bytes: FIONREAD says %d", count, pending);
}

void oracle_read_bytes(int fd, size_t count)
{
    char *buffer = malloc(count + 1);
    size_t total = 0;
    bool in_order = true;
    ssize_t result = 1;

    while (total < count) {
        result = read(fd, buffer + total, count - total);
        if (result <= 0)
            break;
        total += (size_t)result;
    }
    for (size_t i = 0; i < total; i++)
        in_order = in_order && buffer[i] == (char)('a' + i % 26);
    buffer[total] = '\0';
    if (total <= 64)
        oracle_say("read %zu of %zu bytes: \"%s\"", total, count, buffer);
    else
        oracle_say("read %zu of %zu bytes: %s", total, count, in_order ? "in order" : "NOT in order");
    if (result == 0)
        oracle_say("then end of file");
    else if (result < 0)
        oracle_say("then %s", oracle_errno_text(errno));
    free(buffer);
}

long oracle_recv(int fd, size_t count, int flags)
{
    char buffer[4097] = {0};
    long result;

    errno = ORACLE_ERRNO_UNTOUCHED;
    result = recv(fd, buffer, count < sizeof buffer - 1 ? count : sizeof buffer - 1, flags);
    if (result < 0)
        oracle_say("recv %zu, flags %x: %s", count, (unsigned)flags, oracle_errno_text(errno));
    else if (result == 0)
        oracle_say("recv %zu, flags %x: end of file", count, (unsigned)flags);
    else
        oracle_say("recv %zu, flags %x: %ld bytes \"%.64s\"%s", count, (unsigned)flags, result, buffer,
                   errno != ORACLE_ERRNO_UNTOUCHED ? ", but errno was changed" : "");
    return result;
}

void oracle_send_pattern(int fd, size_t count)
{
    char buffer[16384];
    size_t total = 0;
    ssize_t result = 0;

    while (total < count) {
        size_t length = count - total < sizeof buffer ? count - total : sizeof buffer;

        for (size_t i = 0; i < length; i++)
            buffer[i] = (char)('a' + (pattern_sent + i) % 26);
        result = send(fd, buffer, length, MSG_NOSIGNAL);
        if (result <= 0)
            break;
        total += (size_t)result;
        pattern_sent += (size_t)result;
    }
    if (result < 0)
        oracle_say("sent %zu of %zu bytes, then %s", total, count, oracle_errno_text(errno));
    else
        oracle_say("sent %zu bytes", total);
}

long oracle_fill(int fd)
{
    static char buffer[65536];
    long total = 0;

    oracle_set_nonblocking(fd, true);
    for (int quiet = 0; quiet < 300;) { /* 600 ms: beyond delayed acknowledgements, and probes of a closed window */
        ssize_t result = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);

        if (result < 0 && errno != EAGAIN)
            oracle_die("send");
        total += result > 0 ? result : 0;
        quiet = result > 0 ? 0 : quiet + 1;
        if (result < 0)
            poll(NULL, 0, 2);
    }
    oracle_set_nonblocking(fd, false);
    return total;
}

/* ---- main ---- */

int main(int argc, char **argv)
{
    const char *peer = getenv("ORACLE_PEER_FD");

    if (argc < 2) {
        for (const struct oracle_case *c = oracle_cases; c->name != NULL; c++) {
            const char *end = strrchr(c->name, '_');

            if (c->name[0] != '_' && (end == NULL || strcmp(end, oracle_pick("_v6", "_v4")) != 0))
                puts(c->name);
        }
        return 0;
    }
    if (peer != NULL) {
        if (dup2(STDOUT_FILENO, ORACLE_OUTPUT_FD) < 0 || dup2(atoi(peer), ORACLE_PEER_FD) < 0)
            return 2;
        close(atoi(peer));
        unsetenv("ORACLE_PEER_FD");
    }
    for (const struct oracle_case *c = oracle_cases; c->name != NULL; c++) {
        if (strcmp(c->name, argv[1]) == 0) {
            c->run();
            return 0;
        }
    }
    fprintf(stderr, "%s: no case %s\n", argv[0], argv[1]);
    return 2;
}
