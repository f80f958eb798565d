/* bound_wire.c - the TAP, frames and their headers. */
#include "bound.h"

#include <arpa/inet.h>
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

static const uint8_t own_mac[6] = {0x02, 0, 0, 0, 0, 0x53};

struct frame *frame;
int tap_fd;

static struct frame *free_frames; /* the last one used is the first one taken: it is in the processor's cache */
static struct headers template;

struct frame *get_frame(void)
{
    struct frame *it = free_frames;

    if (it == NULL)
        it = malloc(sizeof *it);
    else
        free_frames = it->next;
    if (it == NULL)
        die("memory");
    return it;
}

void free_frame(struct frame *it)
{
    it->next = free_frames;
    free_frames = it;
}

static uint32_t add_words(const void *from, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i += 2) {
        uint16_t word;

        memcpy(&word, (const char *)from + i, 2);
        sum += word;
    }
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

void begin_frame(struct headers *h, uint8_t protocol, uint16_t own_port, uint16_t other_port)
{
    *h = template;
    h->protocol = protocol;
    h->udp.source_port = own_port; /* at the same place in both */
    h->udp.destination_port = other_port;
}

void write_frame(struct headers *h, size_t transport_size, uint8_t gso, size_t piece, struct iovec *iov, int count,
                 size_t length)
{
    bool is_tcp = h->protocol == IPPROTO_TCP;
    uint16_t sum;

    h->virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h->virtio.csum_start = BEFORE_TRANSPORT;
    h->virtio.csum_offset = is_tcp ? offsetof(struct tcp, sum) : offsetof(struct udp, sum);
    if (length > piece) {
        h->virtio.gso_type = gso;
        h->virtio.gso_size = (uint16_t)piece;
        h->virtio.hdr_len = (uint16_t)(BEFORE_TRANSPORT + transport_size);
    }
    h->length = htons((uint16_t)(BEFORE_TRANSPORT - BEFORE_IP + transport_size + length));
    h->ip_sum = (uint16_t)~fold(add_words(&h->version, BEFORE_TRANSPORT - BEFORE_IP));
    sum = fold(add_words(&h->source, 8) + htons((uint16_t)(transport_size + length)) + htons(h->protocol));
    if (is_tcp)
        h->tcp.sum = sum;
    else
        h->udp.sum = sum;
    iov[0] = (struct iovec){h, sizeof h->virtio + BEFORE_TRANSPORT + transport_size};
    if (writev(tap_fd, iov, count) < 0)
        die("writing a frame");
}

/* The kernel drops what goes to a device that was just attached, until it has noted that, which may take it a
 * second. */
static void wait_until_running(struct ifreq request)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    do {
        usleep(1000);
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
            die("the device");
    } while ((request.ifr_flags & IFF_RUNNING) == 0);
    close(fd);
}

void open_wire(const char *name, const char *mac, const char *address, const char *peer)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    struct in_addr own, other;
    unsigned bytes[6];

    if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4], &bytes[5]) != 6 ||
        inet_pton(AF_INET, address, &own) != 1 || inet_pton(AF_INET, peer, &other) != 1) {
        errno = EINVAL;
        die("an address");
    }
    for (int i = 0; i < 6; i++)
        template.to[i] = (uint8_t)bytes[i];
    memcpy(template.from, own_mac, sizeof own_mac);
    template.type = htons(0x0800);
    template.version = 0x45;
    template.fragment = htons(0x4000);
    template.hops = 64;
    template.source = own.s_addr;
    template.destination = other.s_addr;
    frame = get_frame();
    tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &request) < 0 ||
        ioctl(tap_fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) < 0)
        die(name);
    wait_until_running(request);
}
