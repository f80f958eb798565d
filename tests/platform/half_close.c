/*
 * half_close.c - shutdown(SHUT_WR) of one end, and closing an end in which nothing lies unread, look as FIN does: the
 * other end reads 0 and says IN|RDHUP (and HUP when both ways are closed); no error is set.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform.h"

int main(void)
{
    char buffer[64];
    int pair[2];
    ssize_t result;

    platform_limit_seconds(10);

    platform_make_pair(pair);
    if (send(pair[1], "data", 4, 0) != 4 || shutdown(pair[1], SHUT_WR) < 0)
        platform_die("send and shutdown");
    platform_check_bits(pair[0], POLLIN | POLLOUT | POLLRDHUP, "data, then SHUT_WR there");
    result = recv(pair[0], buffer, sizeof buffer, 0);
    platform_check(result == 4, "the data is read: %zd", result);
    result = recv(pair[0], buffer, sizeof buffer, 0);
    platform_check(result == 0, "then end of file: %zd", result);
    platform_check_bits(pair[0], POLLIN | POLLOUT | POLLRDHUP, "end of file seen");
    result = send(pair[0], "back", 4, MSG_NOSIGNAL);
    platform_check(result == 4 && recv(pair[1], buffer, sizeof buffer, 0) == 4,
                   "the other way still works: %zd", result);
    result = send(pair[1], "x", 1, MSG_NOSIGNAL);
    platform_check(result < 0 && errno == EPIPE, "a write after SHUT_WR: %s", strerror(errno));
    if (shutdown(pair[0], SHUT_WR) < 0)
        platform_die("shutdown");
    platform_check_bits(pair[1], POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "both ways shut");
    close(pair[0]);
    close(pair[1]);

    platform_make_pair(pair);
    if (send(pair[1], "data", 4, 0) != 4)
        platform_die("send");
    close(pair[1]);
    platform_check_bits(pair[0], POLLIN | POLLOUT | POLLRDHUP | POLLHUP, "closed with nothing unread");
    result = recv(pair[0], buffer, sizeof buffer, 0);
    platform_check(result == 4 && recv(pair[0], buffer, sizeof buffer, 0) == 0,
                   "the data, then end of file: %zd", result);

    platform_make_pair(pair);
    if (shutdown(pair[0], SHUT_RD) < 0)
        platform_die("shutdown");
    platform_check_bits(pair[1], POLLOUT, "the other end after SHUT_RD");
    result = send(pair[1], "x", 1, MSG_NOSIGNAL);
    platform_check(result < 0 && errno == EPIPE, "a write to an end after SHUT_RD: %zd %s", result, strerror(errno));
    return platform_result();
}
