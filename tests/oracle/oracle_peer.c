/* oracle_peer.c - addresses by role, sockets that are ready for use, and the talk with the peer. */
#include "oracle.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define MESSAGE_BYTES 1024

static char begun_command[MESSAGE_BYTES];
static char reply_text[MESSAGE_BYTES];

/* ---- addresses and sockets ---- */

static struct sockaddr_in make_address(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (host == NULL || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        oracle_say("cannot go on: no address for a role; run this by compare");
        _exit(2);
    }
    return address;
}

struct sockaddr_in oracle_peer_address(int port)
{
    return make_address(getenv("ORACLE_PEER_ADDRESS"), port);
}

struct sockaddr_in oracle_subject_address(int port)
{
    return make_address(getenv("ORACLE_SUBJECT_ADDRESS"), port);
}

struct sockaddr_in oracle_address(const char *role, int port)
{
    if (strcmp(role, "silent") == 0)
        return make_address(getenv("ORACLE_SILENT_ADDRESS"), port);
    if (strcmp(role, "unreachable") == 0)
        return make_address(getenv("ORACLE_UNREACHABLE_ADDRESS"), port);
    if (strcmp(role, "absent") == 0)
        return make_address(getenv("ORACLE_ABSENT_ADDRESS"), port);
    if (strcmp(role, "any") == 0)
        return make_address("0.0.0.0", port);
    if (strcmp(role, "loopback") == 0)
        return make_address("127.0.0.1", port);
    return make_address(role, port);
}

int oracle_local_port(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        oracle_die("getsockname");
    return ntohs(address.sin_port);
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

int oracle_bind(int fd, struct sockaddr_in address)
{
    return bind(fd, (struct sockaddr *)&address, sizeof address);
}

int oracle_connect(int fd, struct sockaddr_in address)
{
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

int oracle_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

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
