/*
 * bound.c - the bound of sidestack's design: a relay between a TAP and AF_UNIX sockets with hardly any TCP.
 *
 *   bound TAP MAC ADDRESS PEER PORT DIRECTORY
 *
 * What connects to the AF_UNIX socket DIRECTORY/stream (datagram) is relayed to TCP (UDP) port PORT of PEER, at the far
 * end of the TAP, which has MAC; a SYN from there to a port of ADDRESS is relayed to the program that listens at
 * DIRECTORY/port. The peer must know this end's address, OWN_MAC, by itself. Says "ready" and runs until it is killed.
 *
 * Everything that a stack needs and a relay does not is left out: see bound_tcp.c. What remains is what nobody can
 * leave out who has the program on a pair and the wire on a TAP: a read and a write for each frame, 64 KB at a time, as
 * few acknowledgements as there can be, and the peer's own TCP. And the program needs no preloaded library. If a frame
 * is lost, the relay gives up.
 */
#include "bound.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define FRAMES_MAX 64 /* that are read at once */
#define FRAMES_GROWTH 8

/* Where programs connect to. */
struct listener {
    struct endpoint endpoint; /* first */
    void (*accepted)(int fd);
};

uint16_t peer_port;

static const char *directory;
static int epoll_fd;
static struct endpoint *discarded;

_Noreturn void die(const char *what)
{
    fprintf(stderr, "bound: %s: %s\n", what, strerror(errno));
    exit(1);
}

void watch(struct endpoint *endpoint, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = endpoint};

    if (epoll_ctl(epoll_fd, operation, endpoint->fd, &event) < 0)
        die("epoll_ctl");
}

void discard(struct endpoint *endpoint)
{
    close(endpoint->fd);
    endpoint->fd = -1;
    endpoint->next = discarded;
    discarded = endpoint;
}

static struct sockaddr_un address_of(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, name);
    return address;
}

static void set_buffer(int fd)
{
    int size = PAIR_BUFFER;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int reach_program(uint16_t port)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    char name[8];

    snprintf(name, sizeof name, "%u", ntohs(port));
    address = address_of(name);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    set_buffer(fd);
    return fd;
}

static void handle_listener(struct endpoint *endpoint, uint32_t events)
{
    int fd = accept4(endpoint->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        die("accept");
    set_buffer(fd);
    ((struct listener *)endpoint)->accepted(fd);
}

static void open_listener(struct listener *listener, const char *name, int type, void (*accepted)(int fd))
{
    struct sockaddr_un address = address_of(name);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        die(name);
    *listener = (struct listener){{.fd = fd, .handle = handle_listener}, accepted};
    watch(&listener->endpoint, EPOLL_CTL_ADD, EPOLLIN);
}

/* Read frames, one at first: when each waits for an answer, a read that finds nothing is a waste. As many more as there
 * were always more; no more than a window has. */
static void receive(void)
{
    static unsigned budget = 1;
    size_t bytes = 0;

    for (unsigned i = 0; i < budget && bytes < WINDOW; i++) {
        struct headers h;
        ssize_t got = read(tap_fd, frame->bytes, sizeof frame->bytes);
        size_t length;

        if (got < 0 && errno == EAGAIN) {
            budget = 1;
            return;
        }
        if (got < 0)
            die("reading a frame");
        bytes += (size_t)got;
        if (got < (ssize_t)offsetof(struct headers, tcp) + (ssize_t)sizeof h.udp)
            continue;
        memcpy(&h, frame->bytes, sizeof h);
        length = (size_t)ntohs(h.length) - (BEFORE_TRANSPORT - BEFORE_IP);
        if (h.type != htons(0x0800) || h.version != 0x45)
            continue;
        if (h.protocol == IPPROTO_TCP)
            tcp_input(&h, length);
        else if (h.protocol == IPPROTO_UDP)
            udp_input(&h, length);
    }
    if (budget < FRAMES_MAX)
        budget *= FRAMES_GROWTH;
}

static _Noreturn void relay(void)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        bool is_readable = false;

        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct endpoint *endpoint = events[i].data.ptr;

            if (endpoint == NULL)
                is_readable = true;
            else
                endpoint->handle(endpoint, events[i].events);
        }
        if (is_readable)
            receive();
        udp_end_turn();
        tcp_end_turn();
        while (discarded != NULL) {
            struct endpoint *next = discarded->next;

            free(discarded);
            discarded = next;
        }
    }
}

int main(int argc, char **argv)
{
    static struct listener streams, datagrams;

    if (argc != 7) {
        fprintf(stderr, "usage: bound TAP MAC ADDRESS PEER PORT DIRECTORY\n");
        return 2;
    }
    directory = argv[6];
    peer_port = htons((uint16_t)atoi(argv[5]));
    open_wire(argv[1], argv[2], argv[3], argv[4]);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, tap_fd, &(struct epoll_event){.events = EPOLLIN}) < 0)
        die("epoll");
    open_listener(&streams, "stream", SOCK_STREAM, tcp_accept);
    open_listener(&datagrams, "datagram", SOCK_SEQPACKET, udp_accept);
    printf("ready\n");
    fflush(stdout);
    relay();
}
