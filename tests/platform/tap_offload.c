/*
 * tap_offload.c - a TAP device with IFF_VNET_HDR takes TUNSETOFFLOAD with checksums and TSO; the kernel's stack
 * behind it accepts frames whose checksum is left to it (NEEDS_CSUM) and TCP super-segments (GSO_TCPV4), and sends
 * such itself.
 *
 * The wire is built on this. The test speaks just enough TCP to a listening socket of the kernel, in a network
 * namespace of its own; it needs root, and skips itself without.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform.h"

#define KERNEL_ADDRESS 0x0a000001u /* 10.0.0.1 */
#define OUR_ADDRESS 0x0a000002u    /* 10.0.0.2 */
#define OUR_PORT 4000
#define KERNEL_PORT 80
#define SEGMENT_BYTES 1460
#define SUPER_BYTES (7 * SEGMENT_BYTES)
#define FRAMES_AT_MOST 200

struct frame {
    struct virtio_net_hdr virtio;
    struct ether_header ethernet;
    struct iphdr ip;
    struct tcphdr tcp;
    uint8_t rest[65536];
} __attribute__((packed));

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2};
static uint8_t kernel_mac[6];
static int tap_fd;

/* RFC 1071 over length bytes, not folded, added to sum. */
static uint32_t add_sum(uint32_t sum, const void *bytes, size_t length)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)sum);
}

/* Write one TCP frame; the checksum in it covers the pseudo-header only, as NEEDS_CSUM wants. */
static void send_segment(uint32_t sequence, uint32_t acknowledged, bool syn, size_t payload)
{
    static struct frame frame;
    size_t tcp_bytes = sizeof frame.tcp + payload;
    size_t length = offsetof(struct frame, rest) + payload;

    memset(&frame, 0, offsetof(struct frame, rest));
    memset(frame.rest, 'g', payload);
    frame.virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame.virtio.csum_start = sizeof frame.ethernet + sizeof frame.ip;
    frame.virtio.csum_offset = offsetof(struct tcphdr, check);
    if (payload > SEGMENT_BYTES) {
        frame.virtio.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        frame.virtio.gso_size = SEGMENT_BYTES;
        frame.virtio.hdr_len = sizeof frame.ethernet + sizeof frame.ip + sizeof frame.tcp;
    }
    memcpy(frame.ethernet.ether_dhost, kernel_mac, sizeof kernel_mac);
    memcpy(frame.ethernet.ether_shost, our_mac, sizeof our_mac);
    frame.ethernet.ether_type = htons(ETHERTYPE_IP);
    frame.ip.version = 4;
    frame.ip.ihl = 5;
    frame.ip.tot_len = htons((uint16_t)(sizeof frame.ip + tcp_bytes));
    frame.ip.ttl = 64;
    frame.ip.protocol = IPPROTO_TCP;
    frame.ip.saddr = htonl(OUR_ADDRESS);
    frame.ip.daddr = htonl(KERNEL_ADDRESS);
    frame.ip.check = (uint16_t)~fold(add_sum(0, &frame.ip, sizeof frame.ip));
    frame.tcp.source = htons(OUR_PORT);
    frame.tcp.dest = htons(KERNEL_PORT);
    frame.tcp.seq = htonl(sequence);
    frame.tcp.ack_seq = htonl(acknowledged);
    frame.tcp.doff = 5;
    frame.tcp.syn = syn;
    frame.tcp.ack = !syn;
    frame.tcp.window = htons(65535);
    frame.tcp.check = fold(add_sum((uint32_t)(IPPROTO_TCP + tcp_bytes), &frame.ip.saddr, 8));
    if (write(tap_fd, &frame, length) != (ssize_t)length)
        platform_die("write of a frame to the TAP");
}

/* Read the next TCP frame of our connection; other frames are dropped.
 * Return: bytes of TCP payload, -1 when none came. */
static ssize_t receive_segment(struct frame *frame)
{
    struct pollfd poll_fd = {.fd = tap_fd, .events = POLLIN};

    for (int i = 0; i < FRAMES_AT_MOST && poll(&poll_fd, 1, 3000) == 1; i++) {
        if (read(tap_fd, frame, sizeof *frame) < (ssize_t)offsetof(struct frame, rest))
            continue;
        if (frame->ethernet.ether_type == htons(ETHERTYPE_IP) && frame->ip.protocol == IPPROTO_TCP)
            return ntohs(frame->ip.tot_len) - 4 * frame->ip.ihl - 4 * frame->tcp.doff;
    }
    return -1;
}

/* The device, its kernel side's address, and a neighbour entry for ours. */
static void set_up(void)
{
    struct ifreq request = {.ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(KERNEL_ADDRESS)};
    struct arpreq neighbour = {.arp_flags = ATF_PERM | ATF_COM, .arp_dev = "tap0"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &request) < 0)
        platform_die("TUNSETIFF");
    memcpy(&request.ifr_addr, &address, sizeof address);
    if (ioctl(fd, SIOCSIFADDR, &request) < 0)
        platform_die("SIOCSIFADDR");
    address.sin_addr.s_addr = htonl(0xffffff00u);
    memcpy(&request.ifr_netmask, &address, sizeof address);
    if (ioctl(fd, SIOCSIFNETMASK, &request) < 0)
        platform_die("SIOCSIFNETMASK");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) < 0 || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        platform_die("SIOCSIFFLAGS");
    memcpy(kernel_mac, request.ifr_hwaddr.sa_data, sizeof kernel_mac);
    address.sin_addr.s_addr = htonl(OUR_ADDRESS);
    memcpy(&neighbour.arp_pa, &address, sizeof address);
    neighbour.arp_ha.sa_family = ARPHRD_ETHER;
    memcpy(neighbour.arp_ha.sa_data, our_mac, sizeof our_mac);
    if (ioctl(fd, SIOCSARP, &neighbour) < 0)
        platform_die("SIOCSARP");
    close(fd);
}

int main(void)
{
    static struct frame frame;
    static char buffer[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(KERNEL_PORT)};
    uint32_t sequence = 1000, theirs;
    ssize_t payload, total = 0, largest = 0;
    int listen_fd, fd;

    platform_limit_seconds(20);
    if (unshare(CLONE_NEWNET) < 0) {
        printf("skipped: a network namespace needs root\n");
        return 0;
    }
    set_up();
    platform_check(ioctl(tap_fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0,
                   "TUNSETOFFLOAD with CSUM, TSO4 and TSO6: %s", strerror(errno));
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(listen_fd, 1) < 0)
        platform_die("listen");

    send_segment(sequence++, 0, true, 0);
    payload = receive_segment(&frame);
    if (!platform_check(payload == 0 && frame.tcp.syn && frame.tcp.ack, "a SYN with NEEDS_CSUM is answered"))
        return platform_result();
    theirs = ntohl(frame.tcp.seq) + 1;
    send_segment(sequence, theirs, false, 0);
    fd = accept(listen_fd, NULL, NULL);
    platform_check(fd >= 0, "the connection is accepted");

    send_segment(sequence, theirs, false, SUPER_BYTES);
    while (total < SUPER_BYTES && (payload = recv(fd, buffer, sizeof buffer, 0)) > 0)
        total += payload;
    platform_check(total == SUPER_BYTES, "a super-segment of %d bytes arrives: %zd", SUPER_BYTES, total);

    /* No MSS option in our SYN: the kernel cuts at 536 bytes. */
    if (send(fd, buffer, 5000, 0) != 5000)
        platform_die("send");
    for (total = 0; total < 5000 && (payload = receive_segment(&frame)) >= 0; total += payload) {
        if (payload <= largest)
            continue;
        largest = payload;
        platform_check((frame.virtio.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0, "the kernel leaves the checksum to us");
        platform_check(payload <= 536 ||
                           (frame.virtio.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && frame.virtio.gso_size == 536),
                       "%zd bytes: gso_type %d, gso_size %d", payload, frame.virtio.gso_type, frame.virtio.gso_size);
    }
    platform_check(total == 5000 && largest > 536, "the kernel sends super-segments: %zd of %zd bytes", largest, total);
    return platform_result();
}
