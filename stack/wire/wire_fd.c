/*
 * wire_fd.c - a wire that is a descriptor which somebody opened for us: what it is it says by itself.
 *
 *  - a TAP device (TUNGETIFF): as wire_tap.c, with offloads if it was opened with IFF_VNET_HDR;
 *  - a packet socket (packet(7)) bound to an interface: the same, by PACKET_VNET_HDR;
 *  - a socket of messages (SOCK_DGRAM, SOCK_SEQPACKET): a frame a message, as qemu -netdev dgram and vde_plug have it;
 *  - a socket of bytes (SOCK_STREAM): each frame with its length before it, four bytes in network order, as qemu -netdev stream and passt
 *    have it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"
#include "wire_plain.h"
#include "wire_split.h"
#include "wire_tap.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define LENGTH_BYTES 4
#define INPUT_BYTES (2 * (WIRE_FRAME_MAX + LENGTH_BYTES))
#define FRAME_MIN 14

struct fd_wire {
    int fd; /* owned; -1: gone */
    /* A stream: what was read and is not a frame yet, and the rest of a frame that went in part. */
    uint8_t *input; /* owned, INPUT_BYTES; NULL: no stream */
    size_t input_at, input_end;
    uint8_t *rest; /* owned */
    size_t rest_at, rest_end;
};

static bool is_over(int error)
{
    return error != EAGAIN && error != EINTR && error != ENOBUFS && error != EMSGSIZE && error != ENOMEM;
}

static ssize_t receive_message(void *context, const struct iovec *iov, int count)
{
    const struct fd_wire *wire = context;
    ssize_t n;

    do
        n = readv(wire->fd, iov, count);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return is_over(errno) ? -errno : 0;
    return n > 0 ? n : -EPIPE;
}

static int send_message(void *context, const uint8_t *frame, size_t size)
{
    const struct fd_wire *wire = context;
    ssize_t n;

    do
        n = write(wire->fd, frame, size); /* SIGPIPE is ignored */
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return is_over(errno) ? -EPIPE : errno == ENOBUFS ? -EAGAIN : -errno;
}

/* Spread bytes over pieces. Return: how many fit. */
static ssize_t scatter(const struct iovec *iov, int count, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    for (int i = 0; i < count && at < size; i++) {
        size_t n = size - at < iov[i].iov_len ? size - at : iov[i].iov_len;

        memcpy(iov[i].iov_base, bytes + at, n);
        at += n;
    }
    return (ssize_t)at;
}

static ssize_t receive_from_stream(void *context, const struct iovec *iov, int count)
{
    struct fd_wire *wire = context;
    uint32_t length;
    ssize_t n;

    for (;;) {
        size_t have = wire->input_end - wire->input_at;

        if (have >= LENGTH_BYTES) {
            memcpy(&length, wire->input + wire->input_at, LENGTH_BYTES);
            length = ntohl(length);
            if (length < FRAME_MIN || length > WIRE_FRAME_MAX)
                return -EPROTO; /* there is no telling where the next one begins */
            if (have >= LENGTH_BYTES + length) {
                n = scatter(iov, count, wire->input + wire->input_at + LENGTH_BYTES, length);
                wire->input_at += LENGTH_BYTES + length;
                return n;
            }
        }
        if (wire->input_at > 0) {
            memmove(wire->input, wire->input + wire->input_at, have);
            wire->input_at = 0;
            wire->input_end = have;
        }
        n = read(wire->fd, wire->input + have, INPUT_BYTES - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -EPIPE : is_over(errno) ? -errno : 0;
        wire->input_end += (size_t)n;
    }
}

/* The rest of a frame. Return: 0, -EAGAIN or -EPIPE. */
static int send_rest(struct fd_wire *wire)
{
    while (wire->rest_at < wire->rest_end) {
        ssize_t n = write(wire->fd, wire->rest + wire->rest_at, wire->rest_end - wire->rest_at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return is_over(errno) ? -EPIPE : -EAGAIN;
        wire->rest_at += (size_t)n;
    }
    return 0;
}

/* What does not go at once is offered again (wire_plain.c): then the rest of it goes, if it went in part. */
static int send_to_stream(void *context, const uint8_t *frame, size_t size)
{
    struct fd_wire *wire = context;
    uint32_t length = htonl((uint32_t)size);
    int error;

    if (wire->rest_at == 0) {
        memcpy(wire->rest, &length, LENGTH_BYTES);
        memcpy(wire->rest + LENGTH_BYTES, frame, size);
        wire->rest_end = LENGTH_BYTES + size;
    }
    error = send_rest(wire);
    if (error == 0)
        wire->rest_at = wire->rest_end = 0;
    return error;
}

static void shut(void *context)
{
    struct fd_wire *wire = context;

    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}

static void free_wire(void *context)
{
    struct fd_wire *wire = context;

    shut(wire);
    free(wire->input);
    free(wire->rest);
    free(wire);
}

static const struct plain_transport message_transport = {
    .receive = receive_message, .send = send_message, .shut = shut, .free = free_wire};
static const struct plain_transport stream_transport = {
    .receive = receive_from_stream, .send = send_to_stream, .shut = shut, .free = free_wire};

/* Frames as they are. Takes fd. Return: 0 and *wire or -errno. */
static int open_plain(int fd, bool is_stream, struct wire **wire, const char **message)
{
    struct fd_wire *state = calloc(1, sizeof *state);
    char name[32];
    int error;

    *message = "memory";
    if (state == NULL) {
        close(fd);
        return -ENOMEM;
    }
    state->fd = fd;
    if (is_stream) {
        state->input = malloc(INPUT_BYTES);
        state->rest = malloc(LENGTH_BYTES + WIRE_FRAME_MAX);
        if (state->input == NULL || state->rest == NULL) {
            free_wire(state);
            return -ENOMEM;
        }
    }
    snprintf(name, sizeof name, "fd:%d", fd);
    *wire = wire_plain_open(is_stream ? &stream_transport : &message_transport, state, name);
    if (*wire == NULL)
        return -ENOMEM;
    *message = "polling it";
    error = wire_plain_watch(*wire, fd, false);
    if (error < 0)
        (*wire)->operations->close(*wire);
    return error;
}

/* Return: 0 and *wire, or -errno; the descriptor is taken. */
static int open_socket(int fd, bool offload, struct wire **wire, const char **message)
{
    int domain = 0, type = 0, on = 1;
    socklen_t length = sizeof domain;

    *message = "it is neither a TAP device nor a socket";
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) {
        close(fd);
        return -ENOTSOCK;
    }
    if (domain == AF_PACKET && type == SOCK_RAW) {
        *message = "PACKET_VNET_HDR";
        if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0) {
            int error = -errno;

            close(fd);
            return error;
        }
        /* What others send each other on this machine has no checksum yet, and may be large, whatever we want. */
        return wire_tap_wrap(fd, offload ? WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6 : 0, wire, message);
    }
    if (type == SOCK_DGRAM || type == SOCK_SEQPACKET || type == SOCK_STREAM)
        return open_plain(fd, type == SOCK_STREAM, wire, message);
    *message = "it is a socket of a kind that carries no Ethernet frames";
    close(fd);
    return -EPROTOTYPE;
}

int wire_open_fd(int fd, bool offload, struct wire **wire, const char **message)
{
    struct ifreq device = {0};
    int flags = fcntl(fd, F_GETFL);

    *message = "it is not open";
    if (flags < 0)
        return -errno;
    *message = "its flags";
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    if (ioctl(fd, TUNGETIFF, &device) < 0)
        return open_socket(fd, offload, wire, message);
    *message = "it is a TUN device, or one with IFF_PI: open it with IFF_TAP and IFF_NO_PI";
    if ((device.ifr_flags & IFF_TAP) == 0 || (device.ifr_flags & IFF_NO_PI) == 0) {
        close(fd);
        return -EPROTOTYPE;
    }
    if ((device.ifr_flags & IFF_VNET_HDR) == 0)
        return open_plain(fd, false, wire, message);
    return wire_tap_adopt(fd, offload, wire, message);
}
