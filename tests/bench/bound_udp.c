/* bound_udp.c - datagrams: many of one size leave as one frame, those of a turn are given to the program at once. */
#include "bound.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers older than Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define FLOWS_MAX 16
#define FIRST_PORT 20000
#define TRAIN_MAX 64 /* datagrams of one frame, and of one call */
#define DATAGRAM_MAX 1472

struct flow {
    struct endpoint endpoint; /* first */
    uint16_t port;            /* network order */
};

static struct flow *flows[FLOWS_MAX]; /* by port */

/* What came for a program in this turn. */
static struct flow *waiting_for;
static struct frame *waiting[TRAIN_MAX];
static unsigned waiting_count;

static void end(struct flow *flow)
{
    flows[ntohs(flow->port) - FIRST_PORT] = NULL;
    discard(&flow->endpoint);
}

/* What the program wrote goes to the wire, as many datagrams of one size as there are in one frame. */
static void handle(struct endpoint *endpoint, uint32_t events)
{
    static uint8_t bytes[TRAIN_MAX][DATAGRAM_MAX];
    struct flow *flow = (struct flow *)endpoint;
    struct mmsghdr messages[TRAIN_MAX] = {0};
    struct iovec buffers[TRAIN_MAX];
    int count;

    (void)events;
    if (endpoint->fd < 0)
        return;
    for (int i = 0; i < TRAIN_MAX; i++) {
        buffers[i] = (struct iovec){bytes[i], DATAGRAM_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &buffers[i], .msg_iovlen = 1};
    }
    count = recvmmsg(endpoint->fd, messages, TRAIN_MAX, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count;) {
        struct iovec iov[1 + TRAIN_MAX];
        size_t size = messages[i].msg_len;
        struct headers h;
        int train = 0;

        if (size == 0) { /* no datagram of the benchmark's is: this is the end of file */
            end(flow);
            return;
        }
        for (; i < count && messages[i].msg_len == size && ((unsigned)train + 1) * size < 65000; i++)
            iov[1 + train++] = (struct iovec){bytes[i], size};
        begin_frame(&h, IPPROTO_UDP, flow->port, peer_port);
        h.udp.length = htons((uint16_t)(sizeof h.udp + (unsigned)train * size));
        write_frame(&h, sizeof h.udp, VIRTIO_NET_HDR_GSO_UDP_L4, size, iov, 1 + train, (unsigned)train * size);
    }
    if (count <= 0 && errno != EAGAIN)
        end(flow);
}

void udp_accept(int fd)
{
    struct flow *flow = malloc(sizeof *flow);
    int slot = 0;

    while (slot < FLOWS_MAX && flows[slot] != NULL)
        slot++;
    if (flow == NULL || slot == FLOWS_MAX)
        die("too many flows of datagrams");
    *flow = (struct flow){.endpoint = {.fd = fd, .handle = handle}, .port = htons((uint16_t)(FIRST_PORT + slot))};
    flows[slot] = flow;
    watch(&flow->endpoint, EPOLL_CTL_ADD, EPOLLIN);
}

/* Give the program what came; what it has no room for is lost. */
void udp_end_turn(void)
{
    struct mmsghdr messages[TRAIN_MAX] = {0};
    struct iovec iov[TRAIN_MAX];

    for (unsigned i = 0; i < waiting_count; i++) {
        iov[i] = (struct iovec){waiting[i]->bytes + waiting[i]->at, waiting[i]->length};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    if (waiting_count > 0 && waiting_for->endpoint.fd >= 0)
        (void)sendmmsg(waiting_for->endpoint.fd, messages, waiting_count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (waiting_count > 0)
        free_frame(waiting[--waiting_count]);
}

void udp_input(const struct headers *h, size_t length)
{
    unsigned slot = (unsigned)ntohs(h->udp.destination_port) - FIRST_PORT;

    if (slot >= FLOWS_MAX || flows[slot] == NULL || length < sizeof h->udp)
        return;
    if (waiting_count == TRAIN_MAX || (waiting_count > 0 && waiting_for != flows[slot]))
        udp_end_turn();
    waiting_for = flows[slot];
    frame->at = sizeof h->virtio + BEFORE_TRANSPORT + sizeof h->udp;
    frame->length = length - sizeof h->udp;
    waiting[waiting_count++] = frame;
    frame = get_frame();
}
