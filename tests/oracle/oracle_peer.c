/* oracle_peer.c - addresses by role, sockets that are ready for use, and the talk with the peer. */
#include "oracle.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define MESSAGE_BYTES 1024

static char begun_command[MESSAGE_BYTES];
static char reply_text[MESSAGE_BYTES];

/* ---- addresses and sockets ---- */

int oracle_family(void)
{
    const char *family = getenv("ORACLE_FAMILY");

    return family != NULL && strcmp(family, "6") == 0 ? AF_INET6 : AF_INET;
}

socklen_t oracle_address_size(void)
{
    return oracle_family() == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

const char *oracle_pick(const char *ipv4, const char *ipv6)
{
    return oracle_family() == AF_INET ? ipv4 : ipv6;
}

static union oracle_sockaddr make_address(const char *host, int port)
{
    union oracle_sockaddr address = {.sa.sa_family = (sa_family_t)oracle_family()};
    void *bytes = oracle_family() == AF_INET ? (void *)&address.in.sin_addr : &address.in6.sin6_addr;

    address.in.sin_port = htons((uint16_t)port); /* at the same place in both */
    if (host == NULL || inet_pton(oracle_family(), host, bytes) != 1) {
        oracle_say("cannot go on: no address for a role; run this by compare");
        _exit(2);
    }
    return address;
}

union oracle_sockaddr oracle_peer_address(int port)
{
    return make_address(getenv("ORACLE_PEER_ADDRESS"), port);
}

union oracle_sockaddr oracle_subject_address(int port)
{
    return make_address(getenv("ORACLE_SUBJECT_ADDRESS"), port);
}

union oracle_sockaddr oracle_address(const char *role, int port)
{
    static const char *const roles[][2] = {
        {"subject", "ORACLE_SUBJECT_ADDRESS"},         {"peer", "ORACLE_PEER_ADDRESS"},
        {"silent", "ORACLE_SILENT_ADDRESS"},           {"absent", "ORACLE_ABSENT_ADDRESS"},
        {"unreachable", "ORACLE_UNREACHABLE_ADDRESS"},
    };

    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(role, roles[i][0]) == 0)
            return make_address(getenv(roles[i][1]), port);
    }
    if (strcmp(role, "peer-link") == 0)
        return make_address("fe80::1", port);
    if (strcmp(role, "any") == 0)
        return make_address(oracle_pick("0.0.0.0", "::"), port);
    if (strcmp(role, "loopback") == 0)
        return make_address(oracle_pick("127.0.0.1", "::1"), port);
    return make_address(role, port);
}

int oracle_local_port(int fd)
{
    union oracle_sockaddr address;
    socklen_t length = sizeof address;

    if (getsockname(fd, &address.sa, &length) < 0)
        oracle_die("getsockname");
    return ntohs(address.in.sin_port); /* at the same place in both */
}

void oracle_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    if (fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
        oracle_die("F_SETFL");
}

void oracle_set_timeout(int fd, int option, int milliseconds)
{
    struct timeval time = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000};

    if (setsockopt(fd, SOL_SOCKET, option, &time, sizeof time) < 0)
        oracle_die("SO_RCVTIMEO or SO_SNDTIMEO");
}

int oracle_bind(int fd, union oracle_sockaddr address)
{
    return bind(fd, &address.sa, oracle_address_size());
}

int oracle_connect(int fd, union oracle_sockaddr address)
{
    return connect(fd, &address.sa, oracle_address_size());
}

int oracle_socket(void)
{
    int fd = socket(oracle_family(), SOCK_STREAM, 0);

    if (fd < 0)
        oracle_die("socket");
    return fd;
}

int oracle_connect_peer(void)
{
    int fd = oracle_socket(), port = oracle_peer_listen(5);

    if (oracle_connect(fd, oracle_peer_address(port)) < 0)
        oracle_die("connect to the peer");
    if (peer_ask("accept 0") < 0)
        oracle_die("accept at the peer");
    return fd;
}

int oracle_listen(int backlog)
{
    int fd = oracle_socket();

    if (oracle_bind(fd, oracle_subject_address(0)) < 0)
        oracle_die("bind");
    if (listen(fd, backlog) < 0)
        oracle_die("listen");
    oracle_name_port(oracle_local_port(fd), "listener");
    return fd;
}

int oracle_accept_peer(void)
{
    int listen_fd = oracle_listen(5), fd;

    if (peer_ask("connect 0 %d", oracle_local_port(listen_fd)) < 0)
        oracle_die("connect of the peer");
    fd = accept(listen_fd, NULL, NULL);
    if (fd < 0)
        oracle_die("accept");
    close(listen_fd);
    return fd;
}

int oracle_make_file(size_t count)
{
    int fd = memfd_create("oracle", MFD_CLOEXEC);
    char *buffer = malloc(count);

    for (size_t i = 0; i < count; i++)
        buffer[i] = (char)('a' + i % 26);
    if (write(fd, buffer, count) != (ssize_t)count || lseek(fd, 0, SEEK_SET) != 0)
        oracle_die("write to a file in memory");
    free(buffer);
    return fd;
}

int oracle_peer_listen(int backlog)
{
    int port = (int)peer_ask("listen %d", backlog);

    if (port < 0)
        oracle_die("listen at the peer");
    oracle_name_port(port, "peer-listener");
    return port;
}

int oracle_refused_port(void)
{
    int port = (int)peer_ask("listen 1");

    peer_ask("unlisten");
    return port;
}

/* ---- the peer ---- */

static void send_command(const char *command)
{
    if (send(ORACLE_PEER_FD, command, strlen(command), MSG_NOSIGNAL) < 0)
        oracle_die("the peer is gone");
}

static long receive_reply(void)
{
    ssize_t length;
    char *end;
    long result;

    do {
        length = recv(ORACLE_PEER_FD, reply_text, sizeof reply_text - 1, 0);
    } while (length < 0 && errno == EINTR);
    if (length <= 0)
        oracle_die("the peer does not answer");
    reply_text[length] = '\0';
    result = strtol(reply_text, &end, 10);
    memmove(reply_text, end, strlen(end) + 1);
    if (result < 0)
        errno = (int)-result;
    return result;
}

/* Print a command without what stands after its '@', and its result. */
static void print_reply(const char *command, long result)
{
    const char *at = strchr(command, '@');
    int length = at != NULL ? (int)(at - command) - 1 : (int)strlen(command);

    if (result < 0)
        oracle_say("peer: %.*s = %s%s", length, command, oracle_errno_text((int)-result), reply_text);
    else
        oracle_say("peer: %.*s = %ld%s", length, command, result, reply_text);
}

long peer_do(const char *format, ...)
{
    char command[MESSAGE_BYTES];
    va_list arguments;
    long result;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    send_command(command);
    result = receive_reply();
    print_reply(command, result);
    return result;
}

long peer_ask(const char *format, ...)
{
    char command[MESSAGE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    send_command(command);
    return receive_reply();
}

void peer_begin_when_blocked(const char *format, ...)
{
    char command[MESSAGE_BYTES + 64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(begun_command, sizeof begun_command, format, arguments);
    va_end(arguments);
    snprintf(command, sizeof command, "when-blocked %ld %s", (long)syscall(SYS_gettid), begun_command);
    send_command(command);
}

long peer_end(void)
{
    long result = receive_reply();

    print_reply(begun_command, result);
    return result;
}

long peer_end_ask(void)
{
    return receive_reply();
}

const char *peer_text(void)
{
    return reply_text;
}
