/*
 * takeover_give.c - the running service's side of a takeover.
 *
 * Everything happens between two turns of the loop, and nothing of it changes anything here: the state is written into
 * memory, the descriptors are sent as copies. So going on after a failure needs no undoing.
 */
#include "takeover.h"
#include "takeover_channel.h"

#include "service/log/log.h"
#include "service/socket.h"
#include "stack/handover.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The state as a file in memory. Return: the descriptor or -errno. */
static int write_state(const struct archive *archive)
{
    int fd = memfd_create("sidestack takeover", MFD_CLOEXEC);
    size_t at = 0;

    if (fd < 0)
        return -errno;
    while (at < archive->length) {
        ssize_t n = write(fd, archive->bytes + at, archive->length - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int error = n < 0 ? -errno : -EIO;

            close(fd);
            return error;
        }
        at += (size_t)n;
    }
    return fd;
}

static void walk_all(struct archive *archive, const struct takeover *takeover)
{
    struct takeover copy = *takeover;

    takeover_walk_service(archive, &copy);
    if (archive_begin(archive, "stack")) {
        stack_handover(archive);
        archive_end(archive);
    }
    takeover_walk(archive);
}

/* Return: 0 or -errno. */
static int send_all(int channel, const struct archive *archive)
{
    int error = 0, state_fd;

    for (size_t at = 0; at < archive->fd_count && error == 0; at += TAKEOVER_BATCH) {
        size_t left = archive->fd_count - at;

        error = takeover_send(channel, TAKEOVER_DESCRIPTORS, at, archive->fds + at, left < TAKEOVER_BATCH ? left : TAKEOVER_BATCH);
    }
    state_fd = error == 0 ? write_state(archive) : error;
    if (state_fd < 0)
        return state_fd;
    error = takeover_send(channel, TAKEOVER_STATE, archive->fd_count, &state_fd, 1);
    close(state_fd);
    return error;
}

/* The last steps. Return: 0 or -errno. */
static int conclude(int channel)
{
    int error = takeover_await(channel, TAKEOVER_READY);

    if (error == 0)
        error = takeover_send(channel, TAKEOVER_COMMIT, 0, NULL, 0);
    if (error == 0)
        error = takeover_await(channel, TAKEOVER_TAKEN);
    if (error == 0)
        return 0;
    /* From now on it can't be sent; but it may have been. */
    (void)shutdown(channel, SHUT_RDWR);
    return takeover_await(channel, TAKEOVER_TAKEN) == 0 ? 0 : error;
}

int takeover_give(const struct takeover *takeover)
{
    const int channel = takeover_channel_take();
    struct archive archive;
    int error;

    archive_write_begin(&archive);
    walk_all(&archive, takeover);
    error = archive.error;
    if (error == 0)
        error = send_all(channel, &archive);
    if (error == 0)
        error = conclude(channel);
    if (error == 0)
        log_info("handed over: %zu sockets, %zu descriptors, %zu bytes of state", socket_count(), archive.fd_count, archive.length);
    archive_release(&archive);
    close(channel);
    if (error < 0) {
        errno = -error;
        log_warn("takeover: the new service did not take over, this one goes on");
    }
    return error;
}
