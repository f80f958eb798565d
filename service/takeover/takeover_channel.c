/*
 * takeover_channel.c - messages between the running service and the new one.
 *
 * Each is a small structure, perhaps with descriptors. Waiting is bounded on both sides: the programs of the running
 * service wait meanwhile.
 */
#include "takeover_channel.h"

#include "service/protocol.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x6b61746fu /* "otak" */

struct message {
    uint32_t magic;
    uint32_t step;
    uint64_t number;
};

static int wanted = -1; /* owned; our end, until takeover_channel_take() */

int takeover_channel_open(int *new_end)
{
    int ends[2];

    if (wanted >= 0)
        return -EBUSY;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    wanted = ends[0];
    *new_end = ends[1];
    return 0;
}

bool takeover_is_wanted(void)
{
    return wanted >= 0;
}

int takeover_channel_take(void)
{
    const int channel = wanted;

    wanted = -1;
    return channel;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Return: 0, -ETIMEDOUT, or -errno. */
static int wait_until(int channel, short events, int64_t deadline_ms)
{
    struct pollfd poll_fd = {.fd = channel, .events = events};

    for (;;) {
        int64_t left_ms = deadline_ms - now_ms();
        int count = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;

        if (count > 0)
            return 0;
        if (count == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}

int takeover_send(int channel, enum takeover_step step, uint64_t number, const int *fds, size_t fd_count)
{
    struct message message = {MAGIC, step, number};
    struct iovec iov = {&message, sizeof message};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(TAKEOVER_BATCH * sizeof(int))];
    } control = {.header = {CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct msghdr out = {.msg_iov = &iov, .msg_iovlen = 1};
    int64_t deadline_ms = now_ms() + TAKEOVER_WAIT_MS;

    if (fd_count > TAKEOVER_BATCH)
        return -EINVAL;
    if (fd_count > 0) {
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
        out.msg_control = &control;
        out.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    }
    for (;;) {
        int error;

        if (sendmsg(channel, &out, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof message)
            return 0;
        if (errno == ETOOMANYREFS) { /* so many are in flight: until the other side has received some */
            (void)poll(NULL, 0, 1);
            error = now_ms() < deadline_ms ? 0 : -ETIMEDOUT;
        } else {
            error = errno == EAGAIN ? wait_until(channel, POLLOUT, deadline_ms) : errno == EINTR ? 0 : -errno;
        }
        if (error < 0)
            return error;
    }
}

int takeover_receive(int channel, enum takeover_step *step, uint64_t *number, int *fds, size_t *fd_count)
{
    struct message message;
    struct iovec iov = {&message, sizeof message};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(TAKEOVER_BATCH * sizeof(int))];
    } control;
    struct msghdr in = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int error = wait_until(channel, POLLIN, now_ms() + TAKEOVER_WAIT_MS);
    ssize_t length;

    *fd_count = 0;
    if (error < 0)
        return error;
    length = recvmsg(channel, &in, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0)
        return -errno;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&in); length > 0 && part != NULL; part = CMSG_NXTHDR(&in, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
            *fd_count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(part), *fd_count * sizeof(int));
        }
    }
    if (length == 0)
        return -EPIPE;
    if (length == sizeof message && message.magic == MAGIC && (in.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0) {
        *step = (enum takeover_step)message.step;
        *number = message.number;
        return 0;
    }
    for (size_t i = 0; i < *fd_count; i++)
        close(fds[i]);
    *fd_count = 0;
    return (in.msg_flags & MSG_CTRUNC) != 0 ? -EMFILE : -EPROTO;
}

int takeover_await(int channel, enum takeover_step step_wanted)
{
    int fds[TAKEOVER_BATCH];
    enum takeover_step step;
    uint64_t number;
    size_t count;
    int error = takeover_receive(channel, &step, &number, fds, &count);

    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (error < 0)
        return error;
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): an error is negative
    return step == step_wanted && count == 0 ? 0 : -EPROTO;
}
