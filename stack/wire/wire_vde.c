/*
 * wire_vde.c - a wire that leads to a VDE network: a switch, slirp, vxvde and whatever else libvdeplug has a module
 * for.
 *
 * The library is loaded when it is wanted, so that a machine without it runs the rest. vde_open() speaks with the
 * network before it returns; afterwards there is a descriptor for frames, and one that ends when the network does. Some
 * modules (slirp) run a thread of their own, in which nothing of ours is called.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "wire.h"
#include "wire_plain.h"

#define LIBRARY "libvdeplug.so.2"
#define INTERFACE_VERSION 1 /* LIBVDEPLUG_INTERFACE_VERSION */
#define VDE_MTU_MAX 9216
#define FRAME_BYTES (VDE_MTU_MAX + 18)
#define FRAME_MIN 14

static struct {
    void *(*open)(char *url, char *description, int interface_version, void *arguments);
    ssize_t (*receive)(void *connection, void *buffer, size_t size, int flags);
    ssize_t (*send)(void *connection, const void *buffer, size_t size, int flags);
    int (*data_fd)(void *connection);
    int (*control_fd)(void *connection);
    int (*close)(void *connection);
} vde;

struct vde_wire {
    char *url;         /* owned */
    void *connection;  /* owned; NULL: gone */
    struct wire *wire;
    uint8_t frame[FRAME_BYTES];
};

/* Load the library. Return: 0 or -errno with *message. */
static int load_library(const char **message)
{
    static const struct {
        const char *name;
        void *place;
    } functions[] = {{"vde_open_real", &vde.open}, {"vde_recv", &vde.receive},    {"vde_send", &vde.send},
                     {"vde_datafd", &vde.data_fd}, {"vde_ctlfd", &vde.control_fd}, {"vde_close", &vde.close}};
    void *library = vde.close == NULL ? dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) : NULL;

    if (vde.close != NULL)
        return 0;
    *message = "loading " LIBRARY ": install libvdeplug2";
    if (library == NULL)
        return -ENOENT;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(library, functions[i].name);

        if (function == NULL)
            return -ENOSYS;
        memcpy(functions[i].place, &function, sizeof function);
    }
    return 0;
}

/* Connect. Return: 0 or -errno. */
static int open_connection(struct vde_wire *wire)
{
    static char description[] = "sidestackd";
    int data_fd, control_fd, error;

    errno = 0;
    wire->connection = vde.open(wire->url, description, INTERFACE_VERSION, NULL);
    if (wire->connection == NULL)
        return errno != 0 ? -errno : -ENODEV;
    data_fd = vde.data_fd(wire->connection);
    control_fd = vde.control_fd(wire->connection);
    (void)fcntl(data_fd, F_SETFL, fcntl(data_fd, F_GETFL) | O_NONBLOCK);
    error = wire_plain_watch(wire->wire, data_fd, false);
    if (error == 0 && control_fd >= 0 && control_fd != data_fd)
        error = wire_plain_watch(wire->wire, control_fd, true);
    return error;
}

static ssize_t vde_receive(void *context, const struct iovec *iov, int count)
{
    struct vde_wire *wire = context;
    const uint8_t *from = wire->frame;
    ssize_t size, left;

    do {
        struct pollfd data = {.fd = vde.data_fd(wire->connection), .events = POLLIN};

        /* Some modules (vxvde) block whatever flags say. */
        if (poll(&data, 1, 0) != 1)
            return 0;
        errno = 0;
        size = vde.receive(wire->connection, wire->frame, sizeof wire->frame, MSG_DONTWAIT);
    } while (size > 0 && size < FRAME_MIN); /* a module's word for "not for us" */
    if (size <= 0)
        return size == 0 || errno == EAGAIN || errno == EINTR || errno == 0 ? 0 : -errno;
    left = size;
    for (int i = 0; i < count && left > 0; i++) {
        size_t n = (size_t)left < iov[i].iov_len ? (size_t)left : iov[i].iov_len;

        memcpy(iov[i].iov_base, from, n);
        from += n;
        left -= (ssize_t)n;
    }
    return size;
}

static int vde_transmit(void *context, const uint8_t *frame, size_t size)
{
    struct vde_wire *wire = context;

    errno = 0;
    if (vde.send(wire->connection, frame, size, MSG_DONTWAIT) >= 0)
        return 0;
    switch (errno) {
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case ENOENT:
    case EPIPE:
        return -EPIPE;
    case ENOBUFS:
    case EAGAIN:
        return -EAGAIN;
    default:
        return errno != 0 ? -errno : -EIO;
    }
}

static void shut(void *context)
{
    struct vde_wire *wire = context;

    if (wire->connection != NULL)
        vde.close(wire->connection);
    wire->connection = NULL;
}

static int open_again(void *context)
{
    int error = open_connection(context);

    if (error < 0)
        shut(context);
    return error;
}

static void free_wire(void *context)
{
    struct vde_wire *wire = context;

    shut(wire);
    free(wire->url);
    free(wire);
}

static const struct plain_transport transport = {
    .receive = vde_receive, .send = vde_transmit, .shut = shut, .open_again = open_again, .free = free_wire};

int wire_open_vde(const char *url, uint16_t mtu, struct wire **wire, const char **message)
{
    struct vde_wire *state;
    char name[256];
    int error = load_library(message);

    if (error < 0)
        return error;
    *message = "VDE carries packets of at most 9216 bytes";
    if (mtu > VDE_MTU_MAX)
        return -EMSGSIZE;
    *message = "memory";
    state = calloc(1, sizeof *state);
    if (state == NULL)
        return -ENOMEM;
    state->url = strdup(url);
    snprintf(name, sizeof name, "vde:%s", url);
    *wire = wire_plain_open(&transport, state, name);
    if (*wire == NULL)
        return -ENOMEM;
    state->wire = *wire;
    *message = "connecting to the VDE network: does it run, and is the module for this URL installed (libvdeplug-*)?";
    error = state->url != NULL ? open_connection(state) : -ENOMEM;
    if (error < 0)
        (*wire)->operations->close(*wire);
    return error;
}
