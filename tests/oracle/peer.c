/*
 * peer.c - the other party of an oracle case: a kernel process that does as it is told.
 *
 * `peer FD`: FD is an AF_UNIX SOCK_SEQPACKET socket; one message is one command, answered by one message, "RESULT
 * text", RESULT being a number or -errno. It holds one listening socket and connections by their number C, 0 to 15.
 *
 *   listen BACKLOG [RCVBUF]   listen on any port of all addresses; the result is the port
 *   unlisten                  close the listening socket
 *   accept C                  accept a connection
 *   connect C PORT            connect to the subject
 *   start C PORT              begin to connect to the subject, and do not wait
 *   finish C                  wait until that has ended: 0 or the errno
 *   send C COUNT              send COUNT bytes of the pattern (a to z and again)
 *   fill C                    send until nothing more fits
 *   recv C COUNT              read until COUNT bytes came, or the end; the text is the data, or whether it is in order
 *   drain C                   read to the end: the number of bytes, or the errno that ended it
 *   wait C                    wait for the end of the connection or data: the poll bits
 *   wait-gone C               wait for a reset, or the end of both directions: the poll bits
 *   wait-acked C              wait until the other side has acknowledged all that was sent
 *   shut C                    shutdown(SHUT_WR)
 *   close C                   close()
 *   reset C                   close() with SO_LINGER 0: RST
 *   deaf C                    from now on drop every packet that comes for this connection
 *   hear C                    no more
 *   oob C                     send one urgent byte
 *   port C                    the port at the other end
 *   signal PID N              kill(PID, N)
 *   signal-then PID N COMMAND the same, then wait until it sleeps again, and do COMMAND
 *   udp D [PORT]              open datagram socket D (0 to 15) on any port of all addresses; the result is the port
 *   udp-lite D [PORT]         the same of UDP-Lite
 *   udp-send D COUNT PORT [N] send N datagrams of COUNT bytes to the subject; PORT 0: to whom it is connected
 *   udp-send-to D HOST COUNT PORT   the same to another address
 *   udp-connect D PORT        connect it to the subject
 *   udp-recv D                receive one: its bytes; the text is the data, or whether it is in order, and from whom
 *   udp-from D                the port that this came from
 *   udp-show D                from now on udp-recv also tells to whom the datagram was sent, its TTL and TOS
 *   udp-set D ttl|tos VALUE   what is sent has this TTL, also to groups, or TOS
 *   udp-coverage D send|recv N    its UDPLITE_SEND_CSCOV, or UDPLITE_RECV_CSCOV
 *   udp-join D GROUP          join a group
 *   udp-error D               wait for an error: its errno
 *   udp-close D               close it
 *   ping COUNT                send an ICMP message of COUNT bytes, an echo request: the bytes of the reply
 *   watch PORT                from now on read what this port of the subject's sends
 *   icmp TYPE CODE [OFFSET]   an ICMP error about the last segment from there that needs an answer (wait for the first);
 *                             OFFSET is added to the sequence number that it quotes
 *   when-blocked TID COMMAND  wait until the thread sleeps in a call, then do COMMAND
 *   nothing                   do nothing
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BLOCKED_CHECKS_MS 5 /* a sleeping thread is looked at so often ... */
#define BLOCKED_CHECKS 12   /* ... and not have run for so many looks: longer than a delayed acknowledgement (40 ms) */

static int listen_fd = -1;
static int connections[PEER_CONNECTIONS];
static size_t sent_bytes[PEER_CONNECTIONS], received_bytes[PEER_CONNECTIONS];
static char reply[PEER_MESSAGE_BYTES];

void peer_add_text(const char *format, ...)
{
    size_t used = strlen(reply);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reply + used, sizeof reply - used, format, arguments);
    va_end(arguments);
}

int peer_family(void)
{
    const char *family = getenv("ORACLE_FAMILY");

    return family != NULL && strcmp(family, "6") == 0 ? AF_INET6 : AF_INET;
}

socklen_t peer_address_size(void)
{
    return peer_family() == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

union peer_address peer_make_address(const char *host, int port)
{
    union peer_address address = {.sa.sa_family = (sa_family_t)peer_family()};
    void *bytes = peer_family() == AF_INET ? (void *)&address.in.sin_addr : &address.in6.sin6_addr;

    address.in.sin_port = htons((uint16_t)port); /* at the same place in both */
    if (host != NULL && inet_pton(peer_family(), host, bytes) != 1)
        fprintf(stderr, "peer: no address: %s\n", host);
    return address;
}

void peer_set_deadline(int fd)
{
    struct timeval time = {.tv_sec = PEER_DEADLINE_S};

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

/* A TCP socket. */
static int make_socket(int flags)
{
    int fd = socket(peer_family(), SOCK_STREAM | SOCK_CLOEXEC | flags, 0), on = 1;

    peer_set_deadline(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static long do_listen(int backlog, int receive_bytes)
{
    union peer_address address = peer_make_address(NULL, 0);
    socklen_t length = sizeof address;

    if (listen_fd >= 0)
        close(listen_fd);
    listen_fd = make_socket(0);
    if (receive_bytes > 0)
        setsockopt(listen_fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (bind(listen_fd, &address.sa, peer_address_size()) < 0 || listen(listen_fd, backlog) < 0 ||
        getsockname(listen_fd, &address.sa, &length) < 0)
        return -errno;
    return ntohs(address.in.sin_port);
}

static void hold(int number, int fd)
{
    if (connections[number] >= 0)
        close(connections[number]);
    connections[number] = fd;
    sent_bytes[number] = 0;
    received_bytes[number] = 0;
}

static long do_accept(int number)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC), on = 1;

    if (fd < 0)
        return -errno;
    peer_set_deadline(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    hold(number, fd);
    return 0;
}

static long do_connect(int number, int port)
{
    union peer_address address = peer_make_address(getenv("ORACLE_SUBJECT_ADDRESS"), port);
    int fd = make_socket(0);

    if (connect(fd, &address.sa, peer_address_size()) < 0) {
        int error = errno;

        close(fd);
        return -error;
    }
    hold(number, fd);
    return 0;
}

static long do_start(int number, int port)
{
    union peer_address address = peer_make_address(getenv("ORACLE_SUBJECT_ADDRESS"), port);
    int fd = make_socket(SOCK_NONBLOCK);

    hold(number, fd);
    return connect(fd, &address.sa, peer_address_size()) < 0 && errno != EINPROGRESS ? -errno : 0;
}

static long do_finish(int number)
{
    struct pollfd poll_fd = {.fd = connections[number], .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;

    if (poll(&poll_fd, 1, PEER_DEADLINE_S * 1000) <= 0)
        return -ETIMEDOUT;
    if (getsockopt(connections[number], SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0)
        return -error;
    fcntl(connections[number], F_SETFL, 0);
    return 0;
}

static long do_deaf(int number, bool deaf)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &drop};

    return setsockopt(connections[number], SOL_SOCKET, deaf ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program,
                      sizeof program) < 0
               ? -errno
               : 0;
}

static long do_send(int number, size_t count, bool until_full)
{
    char buffer[16384];
    size_t total = 0;

    while (total < count) {
        size_t length = count - total < sizeof buffer ? count - total : sizeof buffer;
        ssize_t result;

        for (size_t i = 0; i < length; i++)
            buffer[i] = (char)('a' + (sent_bytes[number] + i) % 26);
        result = send(connections[number], buffer, length, MSG_NOSIGNAL | (until_full ? MSG_DONTWAIT : 0));
        if (result < 0)
            return until_full && errno == EAGAIN ? 0 : -errno;
        total += (size_t)result;
        sent_bytes[number] += (size_t)result;
    }
    return (long)total;
}

static long do_receive(int number, size_t count)
{
    static char buffer[65536];
    char shown[65] = "";
    size_t total = 0;
    bool in_order = true;
    ssize_t result = 1;

    while (total < count) {
        size_t length = count - total < sizeof buffer ? count - total : sizeof buffer;

        result = recv(connections[number], buffer, length, 0);
        if (result <= 0)
            break;
        for (ssize_t i = 0; i < result; i++) {
            in_order = in_order && buffer[i] == (char)('a' + received_bytes[number] % 26);
            received_bytes[number]++;
            if (total + (size_t)i < sizeof shown - 1)
                shown[total + (size_t)i] = buffer[i];
        }
        total += (size_t)result;
    }
    peer_add_text(" %s%s%s", total > 64 ? (in_order ? "in order" : "NOT in order") : shown, result <= 0 ? ", then " : "",
             result > 0 ? "" : result == 0 ? "end of file" : strerrorname_np(errno));
    return (long)total;
}

static long do_wait(int number, short events)
{
    struct pollfd poll_fd = {.fd = connections[number], .events = events};

    if (poll(&poll_fd, 1, PEER_DEADLINE_S * 1000) <= 0)
        return -ETIMEDOUT;
    /* A reset shows as ERR first, for a moment, while the kernel is still at it on another processor. */
    for (int i = 0; poll_fd.revents == POLLERR && i < PEER_DEADLINE_S * 1000; i++) {
        poll(NULL, 0, 1);
        poll(&poll_fd, 1, 0);
    }
    poll_fd.events = POLLIN | POLLRDHUP;
    poll(&poll_fd, 1, 0);
    peer_add_text("%s%s%s%s", poll_fd.revents & POLLIN ? " IN" : "", poll_fd.revents & POLLRDHUP ? " RDHUP" : "",
             poll_fd.revents & POLLHUP ? " HUP" : "", poll_fd.revents & POLLERR ? " ERR" : "");
    return 0;
}

static long do_wait_acked(int number)
{
    int queued = 1;

    for (int i = 0; i < PEER_DEADLINE_S * 1000; i++) {
        if (ioctl(connections[number], SIOCOUTQ, &queued) < 0)
            return -errno;
        if (queued == 0)
            return 0;
        poll(NULL, 0, 1); /* the kernel has no event for it */
    }
    return -ETIMEDOUT;
}

static long do_reset(int number)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    if (setsockopt(connections[number], SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
        return -errno;
    hold(number, -1);
    return 0;
}

static long do_port(int number)
{
    union peer_address address;
    socklen_t length = sizeof address;

    if (getpeername(connections[number], &address.sa, &length) < 0)
        return -errno;
    return ntohs(address.in.sin_port);
}

/* How often the thread has given up the processor; -1 when it is not asleep. */
static long get_sleeps(long tid)
{
    char path[64], line[256];
    long sleeps = -1;
    bool asleep = false;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", tid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "State:\tS", 8) == 0)
            asleep = true;
        sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
    }
    if (file != NULL)
        fclose(file);
    return asleep ? sleeps : -1;
}

/* Wait until a thread sleeps, and goes on to. */
static void wait_blocked(long tid)
{
    long before = -1;
    int quiet = 0;

    for (int i = 0; i < PEER_DEADLINE_S * 1000 / BLOCKED_CHECKS_MS && quiet < BLOCKED_CHECKS; i++) {
        long sleeps = get_sleeps(tid);

        quiet = sleeps >= 0 && sleeps == before ? quiet + 1 : 0;
        before = sleeps;
        poll(NULL, 0, BLOCKED_CHECKS_MS);
    }
}

static long run_command(char *command)
{
    char name[32] = "";
    long a = 0, b = 0;
    int fields, skip = 0, skip_both = 0;

    for (char *at = strchr(command, '@'); at != NULL; at = NULL)
        *at = ' ';
    fields = sscanf(command, "%31s %ld %n%ld %n", name, &a, &skip, &b, &skip_both);
    if (strcmp(name, "when-blocked") == 0) {
        wait_blocked(a);
        return run_command(command + skip);
    }
    if (strcmp(name, "signal-then") == 0) {
        if (kill((pid_t)a, (int)b) < 0)
            return -errno;
        wait_blocked(a);
        return run_command(command + skip_both);
    }
    if (strcmp(name, "nothing") == 0)
        return 0;
    if (strncmp(name, "udp", 3) == 0 || strcmp(name, "ping") == 0)
        return peer_run_datagram_command(command);
    if (strcmp(name, "watch") == 0 || strcmp(name, "icmp") == 0)
        return peer_run_icmp_command(command);
    if (strcmp(name, "listen") == 0)
        return do_listen((int)a, (int)b);
    if (strcmp(name, "signal") == 0)
        return kill((pid_t)a, (int)b) < 0 ? -errno : 0;
    if (strcmp(name, "unlisten") == 0) {
        close(listen_fd);
        listen_fd = -1;
        return 0;
    }
    if (fields < 2 || a < 0 || a >= PEER_CONNECTIONS)
        return -EINVAL;
    if (strcmp(name, "accept") == 0)
        return do_accept((int)a);
    if (strcmp(name, "connect") == 0)
        return do_connect((int)a, (int)b);
    if (strcmp(name, "start") == 0)
        return do_start((int)a, (int)b);
    if (connections[a] < 0)
        return -EBADF;
    if (strcmp(name, "finish") == 0)
        return do_finish((int)a);
    if (strcmp(name, "deaf") == 0 || strcmp(name, "hear") == 0)
        return do_deaf((int)a, name[0] == 'd');
    if (strcmp(name, "send") == 0)
        return do_send((int)a, (size_t)b, false);
    if (strcmp(name, "fill") == 0)
        return do_send((int)a, 1u << 30, true);
    if (strcmp(name, "recv") == 0)
        return do_receive((int)a, (size_t)b);
    if (strcmp(name, "drain") == 0)
        return do_receive((int)a, 1u << 30);
    if (strcmp(name, "wait") == 0)
        return do_wait((int)a, POLLIN | POLLRDHUP);
    if (strcmp(name, "wait-gone") == 0)
        return do_wait((int)a, 0);
    if (strcmp(name, "wait-acked") == 0)
        return do_wait_acked((int)a);
    if (strcmp(name, "shut") == 0)
        return shutdown(connections[a], SHUT_WR) < 0 ? -errno : 0;
    if (strcmp(name, "close") == 0) {
        hold((int)a, -1);
        return 0;
    }
    if (strcmp(name, "reset") == 0)
        return do_reset((int)a);
    if (strcmp(name, "oob") == 0)
        return send(connections[a], "!", 1, MSG_OOB | MSG_NOSIGNAL) < 0 ? -errno : 0;
    if (strcmp(name, "port") == 0)
        return do_port((int)a);
    return -ENOSYS;
}

int main(int argc, char **argv)
{
    char command[PEER_MESSAGE_BYTES], answer[PEER_MESSAGE_BYTES + 32];
    int control_fd = argc == 2 ? atoi(argv[1]) : -1;
    ssize_t length;

    for (int i = 0; i < PEER_CONNECTIONS; i++)
        connections[i] = -1;
    while ((length = recv(control_fd, command, sizeof command - 1, 0)) > 0) {
        int size;
        long result;

        command[length] = '\0';
        reply[0] = '\0';
        result = run_command(command);
        size = snprintf(answer, sizeof answer, "%ld%s", result, reply);
        if (send(control_fd, answer, (size_t)size, MSG_NOSIGNAL) < 0)
            return 1;
    }
    return 0;
}
