/*
 * bound.c - the bound of sidestack's design: a relay between a TAP and AF_UNIX pairs with hardly any TCP.
 *
 *   bound TAP MAC ADDRESS TRAFFIC KIND PEER PORT STREAMS MS [BYTES]
 *
 * It runs the traffic generator's client on STREAMS pairs instead of sockets (TRAFFIC_FDS), and carries each to a TCP
 * connection over the TAP, whose own address is ADDRESS and whose far end has MAC; the peer must know this end's
 * address, OWN_MAC, by itself. What the client prints goes to standard output, with the relay's own processor time
 * ("relay_seconds").
 *
 * Everything that a stack needs and a relay does not is left out: as few buffers as there can be, the last one used
 * first, nothing is kept to be sent again, no timer, no window but a fixed one and the peer's, no option but the
 * window's scale. What remains is what nobody can leave out who has the program on a pair and the wire on a TAP: a read
 * and a write for each frame, 64 KB at a time, an acknowledgement for each batch, and the peer's own TCP. If a frame is
 * lost, the relay gives up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 64
#define SEGMENT 1460              /* of MTU 1500 */
#define FRAME_BYTES (44 * SEGMENT) /* of data: the most that one IP packet takes */
#define WINDOW (256 * 1024)       /* of each connection */
#define WINDOW_SCALE 7
#define TURN_FRAMES 4             /* that one program may send, before the others have their turn */
#define PAIR_BUFFER 212992        /* as service/pair.c */
#define LIMIT_S 60

#define FIN 1
#define SYN 2
#define RST 4
#define PSH 8
#define ACK 16

struct headers {
    struct virtio_net_hdr virtio;
    uint8_t to[6], from[6];
    uint16_t type;
    uint8_t version, service;
    uint16_t length, id, fragment;
    uint8_t hops, protocol;
    uint16_t ip_sum;
    uint32_t source, destination;
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledged;
    uint8_t size, flags;
    uint16_t window, sum, urgent;
    uint8_t options[8]; /* of a SYN */
} __attribute__((packed));

#define IP_AT 14
#define TCP_AT 34
#define TCP_SIZE 20
#define SIZE (offsetof(struct headers, options) - sizeof(struct virtio_net_hdr)) /* of the frame's headers */

/* A buffer of the size of a frame; on the list of free ones, or with data that a pair has no room for. */
struct frame {
    struct frame *next;
    size_t at, length; /* of that data */
    uint8_t bytes[65536 + 256];
};

struct connection {
    int pair; /* owned */
    uint16_t port;
    uint8_t scale; /* of the peer's window */
    uint32_t unacknowledged, next, window; /* of what is sent */
    uint32_t received, acknowledged, announced; /* the last is the window, scaled */
    struct frame *first, *last; /* that wait for room in the pair */
    uint32_t waiting;           /* their bytes */
    uint32_t events;            /* of the pair, that epoll is asked for */
    bool established;
    bool fin_sent, fin_received;
};

static const uint8_t own_mac[6] = {0x02, 0, 0, 0, 0, 0x53};

static struct connection connections[STREAMS_MAX];
static int connection_count;
static int tap_fd, epoll_fd;
static struct headers template;
static struct frame *frame, *free_frames; /* the one in use, and others */

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bound: %s: %s\n", what, strerror(errno));
    exit(1);
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

/* Write one frame of a connection, with the first length bytes of the one in use. */
static void write_frame(struct connection *connection, uint8_t flags, size_t length)
{
    struct headers h = template;
    size_t options = (flags & SYN) != 0 ? sizeof h.options : 0;
    struct iovec iov[] = {{&h, sizeof h.virtio + SIZE + options}, {frame->bytes, length}};

    h.virtio.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h.virtio.csum_start = TCP_AT;
    h.virtio.csum_offset = 16;
    if (length > SEGMENT) {
        h.virtio.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        h.virtio.gso_size = SEGMENT;
        h.virtio.hdr_len = SIZE;
    }
    h.length = htons((uint16_t)(SIZE - IP_AT + options + length));
    h.ip_sum = (uint16_t)~fold(add_words(&h.version, TCP_AT - IP_AT));
    h.source_port = htons(connection->port);
    h.sequence = htonl(connection->next);
    h.acknowledged = htonl(connection->received);
    h.size = (uint8_t)((TCP_SIZE + options) / 4 << 4);
    h.flags = flags;
    h.window = htons((flags & SYN) != 0 ? 65535 : (WINDOW - connection->waiting) >> WINDOW_SCALE);
    h.sum = fold(add_words(&h.source, 8) + htons((uint16_t)(TCP_SIZE + options + length)) + htons(IPPROTO_TCP));
    if (writev(tap_fd, iov, 2) < 0)
        die("writing a frame");
    connection->next += (uint32_t)length + ((flags & (SYN | FIN)) != 0);
    connection->acknowledged = connection->received;
    connection->announced = (WINDOW - connection->waiting) >> WINDOW_SCALE;
}

/* Ask, or ask no longer, for an event of the pair. */
static void watch(struct connection *connection, uint32_t which, bool wanted)
{
    uint32_t events = wanted ? connection->events | which : connection->events & ~which;
    struct epoll_event event = {.events = events, .data.ptr = connection};

    if (connection->events != events && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->pair, &event) < 0)
        die("epoll_ctl");
    connection->events = events;
}

static struct frame *get_frame(void)
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

/* What the program wrote, or its end, goes to the wire, as far as the peer's window allows. */
static void send_written(struct connection *connection)
{
    for (int i = 0; i < TURN_FRAMES; i++) {
        uint32_t room = connection->window - (connection->next - connection->unacknowledged);
        ssize_t got;

        if (!connection->established || (int32_t)room < SEGMENT) {
            watch(connection, EPOLLIN, false);
            return;
        }
        room = room < FRAME_BYTES ? room / SEGMENT * SEGMENT : FRAME_BYTES;
        got = recv(connection->pair, frame->bytes, room, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0)
            die("reading a pair");
        if (got == 0) {
            write_frame(connection, FIN | ACK, 0);
            connection->fin_sent = true;
            watch(connection, EPOLLIN, false);
            return;
        }
        write_frame(connection, PSH | ACK, (size_t)got);
    }
}

/* Write to the program what waits, as far as there is room; then the end of file, if that came. */
static void write_waiting(struct connection *connection)
{
    while (connection->first != NULL) {
        struct frame *it = connection->first;
        ssize_t sent = send(connection->pair, it->bytes + it->at, it->length, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0)
            die("writing to a pair");
        connection->waiting -= (uint32_t)sent;
        it->at += (size_t)sent;
        it->length -= (size_t)sent;
        if (it->length > 0)
            continue;
        connection->first = it->next;
        it->next = free_frames;
        free_frames = it;
    }
    watch(connection, EPOLLOUT, connection->first != NULL);
    if (connection->first == NULL && connection->fin_received)
        shutdown(connection->pair, SHUT_WR);
}

/* The peer's window scale, from the options of its SYN. */
static uint8_t find_scale(const uint8_t *options, const uint8_t *end)
{
    while (options < end && *options != 0) {
        if (*options == 3)
            return options[2];
        options += *options == 1 ? 1 : options[1] > 1 ? options[1] : 2;
    }
    return 0;
}

/* A segment for a connection is in the frame in use; its data begins there at `at`. */
static void process(struct connection *connection, const struct headers *h, size_t at, size_t length)
{
    uint32_t acknowledged = ntohl(h->acknowledged);

    if ((h->flags & RST) != 0) {
        errno = ECONNRESET;
        die("a connection");
    }
    if ((h->flags & SYN) != 0) {
        connection->received = ntohl(h->sequence) + 1;
        connection->unacknowledged = acknowledged;
        connection->window = ntohs(h->window);
        connection->scale = find_scale(frame->bytes + sizeof h->virtio + SIZE, frame->bytes + at);
        connection->established = true;
        write_frame(connection, ACK, 0);
        watch(connection, EPOLLIN, true);
        return;
    }
    if ((int32_t)(acknowledged - connection->unacknowledged) > 0)
        connection->unacknowledged = acknowledged;
    connection->window = (uint32_t)ntohs(h->window) << connection->scale;
    if (!connection->fin_sent)
        watch(connection, EPOLLIN, true);
    if (length == 0 && (h->flags & FIN) == 0)
        return;
    if (ntohl(h->sequence) != connection->received) {
        errno = EPROTO;
        die("a frame was lost");
    }
    connection->received += (uint32_t)length + ((h->flags & FIN) != 0);
    connection->fin_received = (h->flags & FIN) != 0;
    if (length > 0) {
        frame->next = NULL;
        frame->at = at;
        frame->length = length;
        if (connection->first != NULL)
            connection->last->next = frame;
        else
            connection->first = frame;
        connection->last = frame;
        connection->waiting += (uint32_t)length;
        frame = get_frame();
    }
    if (length == 0 || connection->first == connection->last) /* nothing was waiting before */
        write_waiting(connection);
}

/* Read frames as long as there are any, at most as many as a window has. */
static void receive(void)
{
    for (size_t bytes = 0; bytes < WINDOW;) {
        struct headers h;
        ssize_t got = read(tap_fd, frame->bytes, sizeof frame->bytes);
        size_t headers, length;
        unsigned which;

        if (got < 0 && errno == EAGAIN)
            return;
        if (got < 0)
            die("reading a frame");
        if (got < (ssize_t)(sizeof h.virtio + SIZE))
            continue;
        memcpy(&h, frame->bytes, sizeof h.virtio + SIZE);
        if (h.type != htons(0x0800) || h.protocol != IPPROTO_TCP || h.version != 0x45)
            continue;
        which = ntohs(h.destination_port) - connections[0].port;
        if (which >= (unsigned)connection_count)
            continue;
        headers = (size_t)IP_AT + (TCP_AT - IP_AT) + (size_t)(h.size >> 4) * 4;
        length = (size_t)ntohs(h.length) + IP_AT - headers;
        bytes += (size_t)got;
        process(&connections[which], &h, sizeof h.virtio + headers, length);
    }
}

/* One acknowledgement for all that came in this turn, but none for what is little: the answer takes that along. */
static void acknowledge(void)
{
    for (int i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        uint32_t fresh = connection->received - connection->acknowledged;
        uint32_t window = (WINDOW - connection->waiting) >> WINDOW_SCALE;

        if (fresh >= 2 * SEGMENT || window >= connection->announced + (WINDOW >> WINDOW_SCALE) / 2 || (connection->fin_received && fresh > 0))
            write_frame(connection, ACK, 0);
    }
}

static bool is_over(void)
{
    for (int i = 0; i < connection_count; i++)
        if (!connections[i].fin_sent || !connections[i].fin_received ||
            connections[i].unacknowledged != connections[i].next)
            return false;
    return true;
}

static void relay(void)
{
    struct epoll_event events[STREAMS_MAX + 1];

    for (int i = 0; i < connection_count; i++)
        write_frame(&connections[i], SYN, 0);
    while (!is_over()) {
        int count = epoll_wait(epoll_fd, events, STREAMS_MAX + 1, -1);

        for (int i = 0; i < count; i++)
            if (events[i].data.ptr != NULL) {
                if ((events[i].events & EPOLLOUT) != 0)
                    write_waiting(events[i].data.ptr);
                if (!((struct connection *)events[i].data.ptr)->fin_sent)
                    send_written(events[i].data.ptr);
            }
        receive();
        acknowledge();
    }
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

static void open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

    tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &request) < 0 ||
        ioctl(tap_fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) < 0)
        die(name);
    wait_until_running(request);
}

/* What is the same in all frames. */
static void fill_template(const char *mac, const char *address, const char *peer, const char *port)
{
    unsigned bytes[6];
    struct in_addr own, other;

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
    template.protocol = IPPROTO_TCP;
    template.source = own.s_addr;
    template.destination = other.s_addr;
    template.destination_port = htons((uint16_t)atoi(port));
    memcpy(template.options, (uint8_t[]){2, 4, SEGMENT >> 8, SEGMENT & 0xff, 1, 3, 3, WINDOW_SCALE}, 8);
}

/* Make the pairs. Return: a descriptor of the first of the programs' ends; the others follow it. */
static int make_connections(int count)
{
    int first = 100, size = PAIR_BUFFER; /* where no other descriptors are */
    struct timespec now;

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tap_fd, &(struct epoll_event){.events = EPOLLIN}) < 0)
        die("epoll");
    clock_gettime(CLOCK_MONOTONIC, &now);
    connection_count = count;
    frame = get_frame();
    for (int i = 0; i < count; i++) {
        struct connection *connection = &connections[i];
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || dup2(fds[1], first + i) < 0)
            die("a pair");
        close(fds[1]);
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(first + i, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        *connection = (struct connection){.pair = fds[0]};
        connection->port = (uint16_t)(32768 + getpid() % 400 * STREAMS_MAX + i);
        connection->next = connection->unacknowledged = (uint32_t)now.tv_sec * 250000 + (uint32_t)now.tv_nsec / 4000;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fds[0], &(struct epoll_event){.data.ptr = connection}) < 0)
            die("epoll");
    }
    return first;
}

/* Start the client on the descriptors. Return: where what it prints can be read. */
static int start_client(char **arguments, int first, int count)
{
    int output[2];
    char text[12];

    if (pipe2(output, O_CLOEXEC) < 0)
        die("pipe");
    snprintf(text, sizeof text, "%d", first);
    setenv("TRAFFIC_FDS", text, 1);
    if (fork() == 0) {
        dup2(output[1], STDOUT_FILENO);
        execv(arguments[0], arguments);
        die(arguments[0]);
    }
    close(output[1]);
    for (int i = 0; i < count; i++)
        close(first + i);
    return output[0];
}

int main(int argc, char **argv)
{
    struct rusage usage;
    char line[4096];
    ssize_t length;
    int first, output, status, streams = argc >= 10 ? atoi(argv[8]) : 0;

    if (argc < 10 || argc > 11 || streams < 1 || streams > STREAMS_MAX / 2) {
        fprintf(stderr, "usage: bound TAP MAC ADDRESS TRAFFIC KIND PEER PORT STREAMS MS [BYTES]\n");
        return 2;
    }
    alarm(LIMIT_S);
    open_tap(argv[1]);
    fill_template(argv[2], argv[3], argv[6], argv[7]);
    if (strcmp(argv[5], "both") == 0)
        streams *= 2;
    first = make_connections(streams);
    output = start_client(argv + 4, first, streams);
    relay();
    length = read(output, line, sizeof line - 1);
    if (wait(&status) < 0 || status != 0 || length < 2)
        die("the client");
    line[length - 2] = '\0'; /* the brace that ends it */
    getrusage(RUSAGE_SELF, &usage);
    printf("%s, \"relay_seconds\": %.6f}\n", line,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    return 0;
}
