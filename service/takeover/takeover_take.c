/*
 * takeover_take.c - the new service's side of a takeover.
 *
 * Until takeover_commit() nothing is done that the running service could notice: its descriptors are held and not read,
 * the wire is mute. Whoever fails before that ends by _exit().
 */
#include "takeover.h"
#include "takeover_channel.h"

#include "service/client.h"
#include "service/log/log.h"
#include "service/watch.h"
#include "service/protocol.h"
#include "service/socket.h"
#include "stack/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int channel = -1;      /* owned */
static struct archive state;
static const void *state_map; /* owned: what state reads */
static size_t state_length;

/* Connect to the running service. Return: the descriptor or -errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* PROTOCOL_TAKEOVER. Return: the channel or -errno. */
static int ask(int control)
{
    struct protocol_message message = {.magic = PROTOCOL_MAGIC, .version = PROTOCOL_VERSION, .operation = PROTOCOL_TAKEOVER};
    struct iovec iov = {&message, sizeof message};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct msghdr in = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary};
    struct timeval wait = {.tv_sec = TAKEOVER_WAIT_MS / 1000};
    struct cmsghdr *part;
    ssize_t length;
    int fd = -1;

    if (setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0 || send(control, &message, sizeof message, MSG_NOSIGNAL) < 0)
        return -errno;
    length = recvmsg(control, &in, MSG_CMSG_CLOEXEC);
    if (length < 0)
        return errno == ECONNRESET ? -EPROTONOSUPPORT : -errno;
    if (length == 0) /* it does not know such a request, or this version of the protocol */
        return -EPROTONOSUPPORT;
    part = CMSG_FIRSTHDR(&in);
    if (part != NULL && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(part), sizeof fd);
    if (length != sizeof message || message.operation != PROTOCOL_TAKEOVER || message.result > 0 || (message.result == 0 && fd < 0))
        return -EPROTO;
    return message.result < 0 ? message.result : fd;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* Append descriptors. Return: 0 or -ENOMEM; they are taken either way. */
static int keep(int **all, size_t *count, const int *fds, size_t more)
{
    int *larger = realloc(*all, (*count + more) * sizeof **all);

    if (larger == NULL) {
        close_all(fds, more);
        return -ENOMEM;
    }
    memcpy(larger + *count, fds, more * sizeof *fds);
    *all = larger;
    *count += more;
    return 0;
}

/* Look at the state where it lies. Return: 0: it has fds; -errno: they stay the caller's. */
static int open_state(int fd, int *fds, size_t count)
{
    struct stat status;
    void *map;

    if (fstat(fd, &status) < 0)
        return -errno;
    map = status.st_size > 0 ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED)
        return -EIO;
    state_map = map;
    state_length = (size_t)status.st_size;
    archive_read_begin(&state, map, state_length, fds, count);
    return 0;
}

static void close_state(void)
{
    archive_release(&state);
    if (state_map != NULL)
        munmap((void *)(uintptr_t)state_map, state_length);
    state_map = NULL;
}

/* Return: 0: the state is there, and with it all descriptors; or -errno: nothing is. */
static int receive_all(void)
{
    int *all = NULL, fds[TAKEOVER_BATCH], error;
    size_t count = 0, came;
    enum takeover_step step;
    uint64_t number;

    do {
        error = takeover_receive(channel, &step, &number, fds, &came);
        if (error < 0 || step != TAKEOVER_DESCRIPTORS)
            break;
        error = keep(&all, &count, fds, came);
        came = 0;
    } while (error == 0);
    if (error == 0 && (step != TAKEOVER_STATE || came != 1 || number != count))
        error = -EPROTO;
    if (error == 0)
        error = open_state(fds[0], all, count);
    close_all(fds, came);
    if (error < 0) {
        close_all(all, count);
        free(all);
    }
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the state has it
    return error;
}

int takeover_ask(const char *path, struct takeover *takeover)
{
    int control = connect_to(path);
    int error = control;

    if (error >= 0) {
        error = channel = ask(control);
        close(control);
    }
    if (error >= 0)
        error = receive_all();
    if (error == 0) {
        *takeover = (struct takeover){.wire_fd = -1, .control_fd = -1};
        takeover_walk_service(&state, takeover);
        takeover->netif[sizeof takeover->netif - 1] = '\0';
        error = state.error < 0 ? state.error : takeover->control_fd < 0 ? -EPROTO : 0;
    }
    if (error < 0) {
        close_state();
        errno = -error;
        log_error("takeover: the service at %s%s", path,
                  error == -EPROTONOSUPPORT ? " is of a version that can't be taken over: stop it, and start this one"
                  : error == -EBUSY         ? " is being taken over by another one"
                  : error == -EPERM         ? ": only root and the user that it runs as may take it over"
                  : error == -EMFILE        ? ": raise the limit on open files"
                                            : "");
        return error;
    }
    return 0;
}

int takeover_build(void)
{
    watch_note_shared();
    if (archive_begin(&state, "stack")) {
        stack_handover(&state);
        archive_end(&state);
    }
    takeover_walk(&state);
    stack_handover_end();
    if (state.error < 0) {
        errno = -state.error;
        log_error("takeover: the state of the other service can't be built here");
    } else if (state.missing > 0) {
        log_info("takeover: the other service is of an older version, %u fields are as for new sockets", state.missing);
    }
    return state.error;
}

int takeover_commit(void)
{
    int error = takeover_send(channel, TAKEOVER_READY, 0, NULL, 0);

    if (error == 0)
        error = takeover_await(channel, TAKEOVER_COMMIT);
    if (error == 0)
        error = takeover_send(channel, TAKEOVER_TAKEN, 0, NULL, 0);
    if (error < 0) {
        errno = -error;
        log_error("takeover: the other service did not let go");
        return error;
    }
    close(channel);
    channel = -1;
    close_state();
    stack_resume();
    client_resume();
    return 0;
}
