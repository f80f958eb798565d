/*
 * reset_by_unread_byte.c - closing an end in which a byte lies unread resets the other end as TCP's RST does: poll says
 * IN|OUT|RDHUP|HUP|ERR, what had arrived is read first, and then ECONNRESET once, then end of file.
 *
 * The service keeps one stale byte in its end for as long as a stream is open, so that its death, and a reset, look so.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform.h"

#define ALL_ENDED (POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR)

/* How a pending error is consumed: exactly once, by SO_ERROR or by a call. */
static int get_so_error(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

/* Close with an unread byte, data sent before it or not. */
static void check_close(size_t sent_before)
{
    char buffer[64];
    int pair[2];
    ssize_t result;

    platform_make_pair(pair);
    if (send(pair[0], "s", 1, MSG_NOSIGNAL) != 1 || send(pair[1], "0123456789", sent_before, 0) != (ssize_t)sent_before)
        platform_die("send");
    close(pair[1]);
    platform_check_bits(pair[0], ALL_ENDED, sent_before > 0 ? "closed after data" : "closed without data");
    if (sent_before > 0) {
        /* The error is reported by the first call that finds nothing to read. */
        result = recv(pair[0], buffer, sizeof buffer, 0);
        platform_check(result == (ssize_t)sent_before, "what arrived before is read: %zd bytes of %zu (%s)", result,
                       sent_before, result < 0 ? strerror(errno) : "no error");
    }
    result = recv(pair[0], buffer, sizeof buffer, 0);
    platform_check(result < 0 && errno == ECONNRESET, "then ECONNRESET: %zd %s", result, strerror(errno));
    result = recv(pair[0], buffer, sizeof buffer, 0);
    platform_check(result == 0, "then end of file: %zd", result);
    platform_check_bits(pair[0], POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "the error consumed");
    result = send(pair[0], "x", 1, MSG_NOSIGNAL);
    platform_check(result < 0 && errno == EPIPE, "a write: EPIPE (%s)", strerror(errno));
    close(pair[0]);
}

/* SO_ERROR reports it once. */
static void check_so_error(void)
{
    int pair[2], first, second;

    platform_make_pair(pair);
    if (send(pair[0], "s", 1, MSG_NOSIGNAL) != 1)
        platform_die("send");
    close(pair[1]);
    first = get_so_error(pair[0]);
    second = get_so_error(pair[0]);
    platform_check(first == ECONNRESET && second == 0, "SO_ERROR says %s, then %s", strerror(first), strerror(second));
    close(pair[0]);
}

/* A killed process resets in the same way, also those who are blocked in recv(). */
static void check_kill(void)
{
    char byte, ready[2];
    int pair[2], status;
    pid_t pid;
    ssize_t result;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        platform_die("socketpair");
    pid = fork();
    if (pid == 0) {
        close(pair[0]);
        if (send(pair[1], "r", 1, 0) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pair[1]);
    if (recv(pair[0], ready, 1, 0) != 1 || send(pair[0], "s", 1, MSG_NOSIGNAL) != 1)
        platform_die("set up");
    kill(pid, SIGKILL);
    result = recv(pair[0], &byte, 1, 0); /* blocks until the kill takes effect */
    platform_check(result < 0 && errno == ECONNRESET, "the other process killed: %zd %s", result, strerror(errno));
    waitpid(pid, &status, 0);
    close(pair[0]);
}

int main(void)
{
    platform_limit_seconds(10);
    check_close(0);
    check_close(10);
    check_so_error();
    check_kill();
    return platform_result();
}
