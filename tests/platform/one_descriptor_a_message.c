/*
 * one_descriptor_a_message.c - on a stream pair, messages of a fixed size that each carry one descriptor come out one
 * by one, whoever reads: a recvmsg() never runs on into the next message's descriptor, a larger buffer included, and
 * two processes that read at the same time each get whole messages.
 *
 * A listening descriptor delivers its new connections so.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform.h"

#define MESSAGE_BYTES 72
#define MESSAGES 64

/* Read until end of file. Return: the number of whole messages with exactly one descriptor, -1 at the first other. */
static int count_messages(int fd)
{
    char buffer[MESSAGE_BYTES];
    int passed, count, messages = 0;
    long result;

    while ((result = platform_receive_descriptor(fd, buffer, sizeof buffer, &passed, &count)) > 0) {
        if (result != MESSAGE_BYTES || count != 1 || buffer[0] != buffer[MESSAGE_BYTES - 1])
            return -1;
        close(passed);
        messages++;
    }
    return result == 0 ? messages : -1;
}

static void send_messages(int fd, int passed_fd)
{
    char message[MESSAGE_BYTES];

    for (int i = 0; i < MESSAGES; i++) {
        memset(message, 'a' + i % 26, sizeof message);
        if (platform_send_descriptor(fd, message, sizeof message, passed_fd) != MESSAGE_BYTES)
            platform_die("sendmsg");
    }
}

int main(void)
{
    char large[MESSAGE_BYTES * 4];
    int pair[2], passed, count, status, mine, null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    long result;
    pid_t child;

    platform_limit_seconds(10);
    platform_make_pair(pair);
    send_messages(pair[1], null_fd);
    result = platform_receive_descriptor(pair[0], large, sizeof large, &passed, &count);
    platform_check(result == MESSAGE_BYTES && count == 1, "a large buffer gets one message: %ld bytes, %d descriptors",
                   result, count);
    platform_check(fcntl(passed, F_GETFD) == FD_CLOEXEC, "close-on-exec is set by MSG_CMSG_CLOEXEC");
    close(passed);
    shutdown(pair[1], SHUT_WR);
    mine = count_messages(pair[0]);
    platform_check(mine == MESSAGES - 1, "the others one by one: %d of %d", mine, MESSAGES - 1);
    close(pair[0]);
    close(pair[1]);

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        platform_die("socketpair");
    child = fork();
    if (child == 0) {
        close(pair[1]);
        _exit(count_messages(pair[0]) & 0xff);
    }
    send_messages(pair[1], null_fd);
    shutdown(pair[1], SHUT_WR);
    mine = count_messages(pair[0]);
    waitpid(child, &status, 0);
    platform_check(WIFEXITED(status) && mine >= 0 && mine + WEXITSTATUS(status) == MESSAGES,
                   "two readers: all of the %d messages came out whole, once", MESSAGES);

    send(pair[0], "x", 1, 0);
    close(pair[0]);
    platform_make_pair(pair);
    if (platform_send_descriptor(pair[1], "0123456789", 10, null_fd) != 10)
        platform_die("sendmsg");
    result = recv(pair[0], large, sizeof large, MSG_PEEK);
    platform_check(result == 10, "a plain peek sees %ld bytes and leaves them", result);
    result = platform_receive_descriptor(pair[0], large, sizeof large, &passed, &count);
    platform_check(result == 10 && count == 1, "and the descriptor: %d", count);
    return platform_result();
}
