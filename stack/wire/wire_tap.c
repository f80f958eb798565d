/*
 * wire_tap.c - a wire that is a TAP device, with offloads when the kernel gives them.
 *
 * When the device is removed (ip link delete) the descriptor stays, of no device (EBADFD). Every second it is tried to
 * attach it to a device of that name again, which takes no open file and, if the device is there and may be used by us,
 * no privilege; who makes the device anew brings it up and sets its MTU. Until then frames are lost, as on a cable that
 * is out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stack/port.h"
#include "wire_tap.h"

#ifndef TUN_F_USO4 /* headers older than Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define IOV_MAX_FRAME 128 /* pieces of one frame, the virtio header included */

#define ATTACH_AGAIN_US 1000000 /* between two attempts */

struct tap {
    struct wire wire; /* first: operations get it */
    int fd;           /* owned; closed in tap_close() */
    struct ifreq device; /* its name and flags; no name: not one that could be attached again */
    bool offload;
    bool is_down;     /* the device is gone */
    uint64_t attach_again_us; /* while it is */
};

static struct tap *tap_of(struct wire *wire)
{
    return (struct tap *)wire;
}

static void report(const struct tap *tap, int error, const char *what)
{
    char text[IFNAMSIZ + 128];

    if (tap->wire.report == NULL)
        return;
    snprintf(text, sizeof text, "tap:%.*s: %s", IFNAMSIZ, tap->device.ifr_name, what);
    tap->wire.report(tap->wire.report_context, error, text);
}

/* The device was removed. */
static void go_down(struct tap *tap)
{
    tap->is_down = true;
    tap->attach_again_us = port_now_us + ATTACH_AGAIN_US;
    report(tap, -ENETDOWN, "the device is gone; frames are lost until there is one of this name again, which is tried every second");
}

static ssize_t tap_read_frame(struct wire *wire, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct iovec all[IOV_MAX_FRAME];
    ssize_t n;

    if (count >= IOV_MAX_FRAME)
        return -EINVAL;
    all[0] = (struct iovec){header, sizeof *header};
    memcpy(all + 1, iov, (size_t)count * sizeof *iov);
    do
        n = readv(tap_of(wire)->fd, all, count + 1);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EBADFD && tap_of(wire)->device.ifr_name[0] != '\0') {
        if (!tap_of(wire)->is_down)
            go_down(tap_of(wire));
        return 0;
    }
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n <= (ssize_t)sizeof *header)
        return -EIO; /* the device always writes a header, and no frame is empty */
    return n - (ssize_t)sizeof *header;
}

static int tap_write_frame(struct wire *wire, const struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct iovec all[IOV_MAX_FRAME];
    ssize_t n;

    if (count >= IOV_MAX_FRAME)
        return -EINVAL;
    all[0] = (struct iovec){(void *)(uintptr_t)header, sizeof *header};
    memcpy(all + 1, iov, (size_t)count * sizeof *iov);
    do
        n = writev(tap_of(wire)->fd, all, count + 1);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static void tap_close(struct wire *wire)
{
    close(tap_of(wire)->fd);
    free(tap_of(wire));
}


/* Set the MTU of a new device, check that of an old one, and bring it up. Return: 0 or -errno and *message. */
static int tap_set_up_device(const struct ifreq *device, uint16_t mtu, bool is_new, const char **message)
{
    struct ifreq request = {0};
    int error = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    *message = "a socket for the device's settings";
    if (fd < 0)
        return -errno;
    memcpy(request.ifr_name, device->ifr_name, IFNAMSIZ);
    if (is_new) {
        *message = "setting the MTU";
        request.ifr_mtu = mtu;
        if (ioctl(fd, SIOCSIFMTU, &request) < 0)
            error = -errno;
    } else {
        *message = "the device's MTU is smaller";
        if (ioctl(fd, SIOCGIFMTU, &request) < 0)
            error = -errno;
        else if (request.ifr_mtu < mtu)
            error = -EMSGSIZE;
    }
    if (error < 0)
        goto out;
    *message = "bringing the device up";
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) {
        error = -errno;
        goto out;
    }
    if ((request.ifr_flags & IFF_UP) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
            error = -errno;
    }
out:
    close(fd);
    return error;
}

/* Ask for checksum and segmentation offload, the most that the kernel gives. Return: WIRE_* features. */
static unsigned tap_set_offload(int fd)
{
    static const struct {
        unsigned long flags;
        unsigned features;
    } steps[] = {
        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, WIRE_CHECKSUM | WIRE_TSO4 | WIRE_TSO6},
        {TUN_F_CSUM | TUN_F_TSO4, WIRE_CHECKSUM | WIRE_TSO4},
        {TUN_F_CSUM, WIRE_CHECKSUM},
    };

    /* A kernel that can send us trains of UDP takes them, too (Linux 6.2); we don't want to be sent any. */
    bool takes_trains = ioctl(fd, TUNSETOFFLOAD, steps[0].flags | TUN_F_USO4 | TUN_F_USO6) == 0;

    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (ioctl(fd, TUNSETOFFLOAD, steps[i].flags) == 0)
            return steps[i].features | (takes_trains ? WIRE_USO : 0);
    return 0;
}

/* Attach to a new device of the old one's name. Return: 0 or -errno. */
static int attach_again(struct tap *tap)
{
    struct ifreq request = tap->device;
    int header_size = sizeof(struct virtio_net_hdr);

    if (ioctl(tap->fd, TUNSETIFF, &request) < 0 || ioctl(tap->fd, TUNSETVNETHDRSZ, &header_size) < 0)
        return -errno;
    if (tap->offload)
        (void)tap_set_offload(tap->fd); /* as it was: the kernel is the same */
    else
        (void)ioctl(tap->fd, TUNSETOFFLOAD, 0ul);
    return 0;
}

static uint64_t tap_due_us(const struct wire *wire)
{
    const struct tap *tap = (const struct tap *)wire;

    return tap->is_down ? tap->attach_again_us : UINT64_MAX;
}

static bool tap_run(struct wire *wire)
{
    struct tap *tap = tap_of(wire);

    if (tap_due_us(wire) > port_now_us)
        return false;
    if (attach_again(tap) < 0) {
        tap->attach_again_us = port_now_us + ATTACH_AGAIN_US;
        return false;
    }
    tap->is_down = false;
    report(tap, 0, "the device is back");
    return true;
}

static const struct wire_operations tap_operations = {.read_frame = tap_read_frame,
                                                      .write_frame = tap_write_frame,
                                                      .close = tap_close,
                                                      .due_us = tap_due_us,
                                                      .run = tap_run};

int wire_tap_wrap(int fd, unsigned features, struct wire **wire, const char **message)
{
    struct tap *tap = calloc(1, sizeof *tap);

    *message = "memory";
    if (tap == NULL) {
        close(fd);
        return -ENOMEM;
    }
    tap->wire = (struct wire){.operations = &tap_operations, .fd = fd, .features = features};
    tap->fd = fd;
    *wire = &tap->wire;
    return 0;
}

int wire_tap_adopt(int fd, bool offload, struct wire **wire, const char **message)
{
    int header_size = sizeof(struct virtio_net_hdr);
    unsigned features = 0;

    *message = "the size of the offload header";
    if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    /* It may have been left with offloads that we don't want: say so in either case. */
    if (offload)
        features = tap_set_offload(fd);
    else
        (void)ioctl(fd, TUNSETOFFLOAD, 0ul);
    {
        struct ifreq device = {0};
        int error = wire_tap_wrap(fd, features, wire, message);

        if (error < 0 || ioctl(fd, TUNGETIFF, &device) < 0)
            return error;
        tap_of(*wire)->device = device;
        tap_of(*wire)->device.ifr_flags &= IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        tap_of(*wire)->offload = offload;
    }
    return 0;
}

int wire_open_tap(const char *ifname, uint16_t mtu, bool offload, struct wire **wire, const char **message)
{
    struct ifreq request = {0};
    bool is_new;
    int error;
    int fd = -1;

    *message = "the device's name";
    if (*ifname == '\0' || strlen(ifname) >= IFNAMSIZ)
        return -EINVAL;
    *message = "opening /dev/net/tun";
    fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    memcpy(request.ifr_name, ifname, strlen(ifname));
    {
        struct ifreq look = request;
        int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        *message = "looking for the device";
        if (probe < 0) {
            error = -errno;
            goto out;
        }
        is_new = ioctl(probe, SIOCGIFFLAGS, &look) < 0;
        close(probe);
    }
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    *message = "attaching to the device";
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        error = -errno;
        goto out;
    }
    error = tap_set_up_device(&request, mtu, is_new, message);
    if (error < 0)
        goto out;
    error = wire_tap_adopt(fd, offload, wire, message);
    if (error == 0)
        *message = NULL;
    return error;
out:
    close(fd);
    return error;
}
