/*
 * wire_plain.c - a wire of plain frames over anything that carries them.
 *
 * The descriptor that the owner polls is an epoll set of ours, so that what is in it may change: the transport's
 * descriptors, for writing too while frames wait, and nothing when the wire is down.
 */
#include "wire_plain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "stack/port.h"
#include "wire_split.h"

#define NAME_BYTES 256
#define WATCHED_MAX 2
#define WAITING_BYTES_MAX (1024 * 1024) /* of frames that had no room: some send windows of data */
#define OPEN_AGAIN_US 1000000           /* between two attempts */

struct waiting_frame {
    STAILQ_ENTRY(waiting_frame) link;
    size_t size;
    uint8_t bytes[];
};

struct plain {
    struct wire wire; /* first: operations get it; .fd is the epoll set, owned */
    const struct plain_transport *transport;
    void *context; /* owned, by transport->free() */
    char name[NAME_BYTES];
    struct watched {
        int fd;
        bool is_alarm;
    } watched[WATCHED_MAX];
    int watched_count;
    bool is_down;
    uint64_t open_again_us; /* while down */
    STAILQ_HEAD(, waiting_frame) waiting;
    size_t waiting_bytes;
    uint8_t frame[WIRE_FRAME_MAX];
};

static struct plain *plain_of(struct wire *wire)
{
    return (struct plain *)wire;
}

int wire_plain_watch(struct wire *wire, int fd, bool is_alarm)
{
    struct plain *plain = plain_of(wire);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)plain->watched_count};

    if (plain->watched_count == WATCHED_MAX)
        return -ENOSPC;
    if (epoll_ctl(wire->fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    plain->watched[plain->watched_count++] = (struct watched){fd, is_alarm};
    return 0;
}

/* Wait for room too, or not any more. */
static void watch_for_room(struct plain *plain, bool on)
{
    for (int i = 0; i < plain->watched_count; i++) {
        struct epoll_event event = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.u32 = (uint32_t)i};

        if (!plain->watched[i].is_alarm)
            (void)epoll_ctl(plain->wire.fd, EPOLL_CTL_MOD, plain->watched[i].fd, &event);
    }
}

static void drop_waiting(struct plain *plain)
{
    struct waiting_frame *frame;

    while ((frame = STAILQ_FIRST(&plain->waiting)) != NULL) {
        STAILQ_REMOVE_HEAD(&plain->waiting, link);
        free(frame);
    }
    plain->waiting_bytes = 0;
}

static void report(const struct plain *plain, int error, const char *what)
{
    char text[NAME_BYTES + 128];

    if (plain->wire.report == NULL)
        return;
    snprintf(text, sizeof text, "%s: %s", plain->name, what);
    plain->wire.report(plain->wire.report_context, error, text);
}

static void go_down(struct plain *plain, int error)
{
    for (int i = 0; i < plain->watched_count; i++)
        (void)epoll_ctl(plain->wire.fd, EPOLL_CTL_DEL, plain->watched[i].fd, NULL);
    plain->watched_count = 0;
    plain->is_down = true;
    drop_waiting(plain);
    report(plain, error, plain->transport->open_again != NULL
                             ? "the other end is gone; frames are lost until it is back, which is tried every second"
                             : "the other end is gone, and with it the network: start the service anew with another descriptor");
    plain->transport->shut(plain->context);
    plain->open_again_us = port_now_us + OPEN_AGAIN_US;
}

/* Send what waits. */
static void send_waiting(struct plain *plain)
{
    struct waiting_frame *frame;

    while ((frame = STAILQ_FIRST(&plain->waiting)) != NULL) {
        int error = plain->transport->send(plain->context, frame->bytes, frame->size);

        if (error == -EAGAIN)
            return;
        if (error == -EPIPE) {
            go_down(plain, error);
            return;
        }
        STAILQ_REMOVE_HEAD(&plain->waiting, link);
        plain->waiting_bytes -= frame->size;
        free(frame);
    }
    watch_for_room(plain, false);
}

/* Nothing is to be read: has something else happened? */
static void look_for_alarm(struct plain *plain)
{
    struct epoll_event events[WATCHED_MAX];
    int count = epoll_wait(plain->wire.fd, events, WATCHED_MAX, 0);

    for (int i = 0; i < count && !plain->is_down; i++) {
        bool is_alarm = plain->watched[events[i].data.u32].is_alarm;

        if ((is_alarm && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) || (events[i].events & EPOLLHUP))
            go_down(plain, -EPIPE);
    }
}

static ssize_t plain_read_frame(struct wire *wire, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct plain *plain = plain_of(wire);
    ssize_t size;

    if (plain->is_down)
        return 0;
    if (plain->waiting_bytes > 0)
        send_waiting(plain);
    if (plain->is_down)
        return 0;
    memset(header, 0, sizeof *header);
    size = plain->transport->receive(plain->context, iov, count);
    if (size > 0)
        return size;
    if (size < 0)
        go_down(plain, (int)size);
    else
        look_for_alarm(plain);
    return 0;
}

static int plain_write_frame(struct wire *wire, const struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct plain *plain = plain_of(wire);
    struct waiting_frame *waiting;
    size_t size = 0;
    int error = -EAGAIN;

    (void)header;
    if (plain->is_down)
        return -ENETDOWN;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > sizeof plain->frame - size)
            return -EMSGSIZE;
        memcpy(plain->frame + size, iov[i].iov_base, iov[i].iov_len);
        size += iov[i].iov_len;
    }
    if (plain->waiting_bytes == 0)
        error = plain->transport->send(plain->context, plain->frame, size);
    if (error == -EPIPE)
        go_down(plain, error);
    if (error != -EAGAIN)
        return error;
    waiting = plain->waiting_bytes + size <= WAITING_BYTES_MAX ? malloc(sizeof *waiting + size) : NULL;
    if (waiting == NULL)
        return -ENOBUFS;
    waiting->size = size;
    memcpy(waiting->bytes, plain->frame, size);
    if (plain->waiting_bytes == 0)
        watch_for_room(plain, true);
    STAILQ_INSERT_TAIL(&plain->waiting, waiting, link);
    plain->waiting_bytes += size;
    return 0;
}

static uint64_t plain_due_us(const struct wire *wire)
{
    const struct plain *plain = (const struct plain *)wire;

    return plain->is_down && plain->transport->open_again != NULL ? plain->open_again_us : UINT64_MAX;
}

static bool plain_run(struct wire *wire)
{
    struct plain *plain = plain_of(wire);

    if (plain_due_us(wire) > port_now_us)
        return false;
    if (plain->transport->open_again(plain->context) < 0) {
        plain->open_again_us = port_now_us + OPEN_AGAIN_US;
        return false;
    }
    plain->is_down = false;
    report(plain, 0, "the other end is back");
    return true;
}

static void plain_close(struct wire *wire)
{
    struct plain *plain = plain_of(wire);

    drop_waiting(plain);
    plain->transport->free(plain->context);
    close(wire->fd);
    free(plain);
}

static const struct wire_operations plain_operations = {.read_frame = plain_read_frame,
                                                        .write_frame = plain_write_frame,
                                                        .close = plain_close,
                                                        .due_us = plain_due_us,
                                                        .run = plain_run};

struct wire *wire_plain_open(const struct plain_transport *transport, void *context, const char *name)
{
    struct plain *plain = calloc(1, sizeof *plain);
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (plain == NULL || fd < 0) {
        free(plain);
        if (fd >= 0)
            close(fd);
        transport->free(context);
        return NULL;
    }
    STAILQ_INIT(&plain->waiting);
    plain->wire = (struct wire){.operations = &plain_operations, .fd = fd};
    plain->transport = transport;
    plain->context = context;
    snprintf(plain->name, sizeof plain->name, "%s", name);
    return &plain->wire;
}
