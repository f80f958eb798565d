/*
 * wire.h - a wire that carries Ethernet frames: a TAP device, a descriptor, a VDE network, or memory in the tests.
 *
 * Every frame crosses with a struct virtio_net_hdr before it (virtio 1.2, 5.1.6), so that checksums and segmentation
 * can be left to the other side. A wire that can't do that says so in its features and gets plain frames (an all-zero
 * header).
 */
#ifndef SIDESTACK_WIRE_H
#define SIDESTACK_WIRE_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct wire;

struct wire_operations {
    /* Read one frame, its Ethernet header first, into iov. Return: bytes, 0 when none waits, or -errno. A frame that
     * does not fit is cut (MSG_TRUNC has no equal on a TAP), so offer 65 535 + 14 bytes. */
    ssize_t (*read_frame)(struct wire *wire, struct virtio_net_hdr *header, const struct iovec *iov, int count);
    /* Write one frame. Return: 0, or -errno when it was not taken: the frame is lost, as on any wire. */
    int (*write_frame)(struct wire *wire, const struct virtio_net_hdr *header, const struct iovec *iov, int count);
    void (*close)(struct wire *wire); /* frees wire */
    /* For a wire that holds frames back (both, or NULL): when run() has something to do, on port_now_us's clock,
     * UINT64_MAX: never; do it. run() returns whether a frame can be read. */
    uint64_t (*due_us)(const struct wire *wire);
    bool (*run)(struct wire *wire);
};

/* What the other side of the wire does for us. */
#define WIRE_CHECKSUM 1u /* takes VIRTIO_NET_HDR_F_NEEDS_CSUM, and may send it */
#define WIRE_TSO4 2u     /* takes VIRTIO_NET_HDR_GSO_TCPV4, and may send it */
#define WIRE_TSO6 4u
#define WIRE_USO 8u      /* takes VIRTIO_NET_HDR_GSO_UDP_L4, of IPv4 and IPv6; does not send it */

struct wire {
    const struct wire_operations *operations;
    int fd;            /* to poll for reading; -1: none */
    unsigned features; /* WIRE_* */
    /* Set by the owner to see each frame that crosses, in wire order; NULL: nobody looks. */
    void (*watch)(void *context, bool outgoing, const struct iovec *iov, int count, size_t length);
    void *watch_context;
    /* Set by the owner of a wire that can go down by itself and come back: error is 0 or -errno, text begins with the
     * wire's name. NULL: nobody is told. */
    void (*report)(void *context, int error, const char *text);
    void *report_context;
};

/*
 * Open the TAP device ifname in this network namespace: attach to it if it exists, else make one that goes away with
 * the descriptor. Brings the device up and sets its MTU if it is new (an existing one keeps its own; a smaller one than
 * mtu is an error). offload false: plain frames only. Return: 0 and *wire (released by its operations->close), or
 * -errno with *message saying in a few words which step failed.
 */
int wire_open_tap(const char *ifname, uint16_t mtu, bool offload, struct wire **wire, const char **message);

/* Use a descriptor that is open: of a TAP device, a packet socket, or a socket of messages or bytes (wire_fd.c). It is
 * taken unless it is not open. Return: as above. */
int wire_open_fd(int fd, bool offload, struct wire **wire, const char **message);

/* Connect to a VDE network by its URL: the path of a switch, slirp://, vxvde://... Return: as above. */
int wire_open_vde(const char *url, uint16_t mtu, struct wire **wire, const char **message);

#endif
