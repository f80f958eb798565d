/* host_kernel.c - the kernel's TCP behind a TUN device, in a network namespace of its own. Time is real. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "packet.h"

static int tun_fd = -1, listen_fd = -1, socket_fd = -1;
static int family;

static void require(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(2);
    }
}

static void fail_case(const char *why)
{
    printf("FAILED  %s\n", why);
    exit(1);
}

static void put(const uint8_t *packet, size_t size)
{
    require(write(tun_fd, packet, size) == (ssize_t)size, "tun write");
}

static size_t take(uint8_t *packet, size_t size)
{
    ssize_t got = read(tun_fd, packet, size);

    require(got > 0 || errno == EAGAIN, "tun read");
    return got > 0 ? (size_t)got : 0;
}

static void wait_ms(unsigned milliseconds)
{
    struct timespec rest = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};

    while (nanosleep(&rest, &rest) != 0)
        ;
}

/* The kernel takes up addresses in its own time: wait until it answers. */
static void await_answer(void)
{
    struct packet probe = {.family = family, .peer_port = 9, .host_port = 9, .flags = TH_ACK};
    uint8_t bytes[PACKET_MAX];
    const char *why;
    size_t size;

    for (int i = 0; i < 3000; i++) {
        put(bytes, packet_write(&probe, bytes));
        while ((size = take(bytes, sizeof bytes)) > 0)
            if (packet_read(bytes, size, &probe, &why))
                return;
        wait_ms(1);
    }
    require(false, "no answer");
}

static void setup(int wanted_family)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "wire"};
    uint8_t drained[PACKET_MAX];
    int probe_fd;

    family = wanted_family;
    require(unshare(CLONE_NEWNET) == 0, "unshare");
    tun_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    probe_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    require(tun_fd >= 0 && ioctl(tun_fd, TUNSETIFF, &request) == 0, "tun");
    require(system("sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.wire.accept_dad=0 net.ipv4.tcp_syncookies=0 "
                   "net.ipv6.conf.wire.router_solicitations=0 && "
                   "ip link set lo up && ip link set wire up") == 0, "ip");
    for (int i = 0; i < 5000; i++) { /* the kernel notices in its own time, and until then drops what is to be sent */
        require(ioctl(probe_fd, SIOCGIFFLAGS, &request) == 0, "SIOCGIFFLAGS");
        if ((request.ifr_flags & IFF_RUNNING) != 0)
            break;
        usleep(1000);
    }
    close(probe_fd);
    require(system("ip address add " HOST_IP "/24 dev wire && ip -6 address add " HOST_IP6 "/64 dev wire nodad") == 0, "ip");
    await_answer();
    wait_ms(2);
    while (take(drained, sizeof drained) > 0)
        ;
}

static int error_of(int result)
{
    return result < 0 ? -errno : result;
}

static int open_socket(const char *ip, const char *ip6, uint16_t port, struct sockaddr_storage *address)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

    require(fd >= 0, "socket");
    memset(address, 0, sizeof *address);
    address->ss_family = (sa_family_t)family;
    in->sin_port = htons(port);
    if (family == AF_INET)
        inet_pton(AF_INET, ip, &in->sin_addr);
    else
        inet_pton(AF_INET6, ip6, &in6->sin6_addr);
    return fd;
}

static int host_listen(void)
{
    struct sockaddr_storage address;

    listen_fd = open_socket(HOST_IP, HOST_IP6, LISTEN_PORT, &address);
    require(bind(listen_fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    return error_of(listen(listen_fd, 10));
}

static int host_connect(void)
{
    struct sockaddr_storage address;
    int result;

    if (socket_fd >= 0)
        close(socket_fd);
    socket_fd = open_socket(PEER_IP, PEER_IP6, CONNECT_PORT, &address);
    result = error_of(connect(socket_fd, (struct sockaddr *)&address, sizeof address));
    return result == -EINPROGRESS ? 0 : result;
}

static int host_accept(void)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        socket_fd = fd;
    return fd >= 0 ? 0 : -errno;
}

static ssize_t host_send(const void *bytes, size_t size)
{
    ssize_t sent = send(socket_fd, bytes, size, MSG_NOSIGNAL);

    return sent >= 0 ? sent : -errno;
}

static ssize_t host_receive(void *bytes, size_t size)
{
    ssize_t got = recv(socket_fd, bytes, size, 0);

    return got >= 0 ? got : -errno;
}

static int host_shutdown(void)
{
    return error_of(shutdown(socket_fd, SHUT_WR));
}

static int host_close(void)
{
    int result = error_of(close(socket_fd >= 0 ? socket_fd : listen_fd));

    if (socket_fd < 0)
        listen_fd = -1;
    socket_fd = -1;
    return result;
}

static int host_abort(void)
{
    struct linger linger = {.l_onoff = 1};

    setsockopt(socket_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return host_close();
}

static const struct {
    const char *name;
    int level, option;
} options[] = {{"NODELAY", IPPROTO_TCP, TCP_NODELAY}, {"QUICKACK", IPPROTO_TCP, TCP_QUICKACK},
               {"KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE}, {"KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE},
               {"KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL}, {"KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT},
               {"USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT}, {"RCVBUF", SOL_SOCKET, SO_RCVBUF},
               {"SYNCNT", IPPROTO_TCP, TCP_SYNCNT}, {"MAXSEG", IPPROTO_TCP, TCP_MAXSEG},
               {"LINGER2", IPPROTO_TCP, TCP_LINGER2}, {"REUSEADDR", SOL_SOCKET, SO_REUSEADDR}};

static int host_set(const char *name, int value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return error_of(setsockopt(socket_fd >= 0 ? socket_fd : listen_fd, options[i].level, options[i].option, &value,
                                       sizeof value));
    return -ENOPROTOOPT;
}

static int host_get(const char *name, int *value)
{
    socklen_t size = sizeof *value;

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return error_of(getsockopt(socket_fd, options[i].level, options[i].option, value, &size));
    return -ENOPROTOOPT;
}

static int host_error(void)
{
    int error = 0;
    socklen_t size = sizeof error;

    require(getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0, "SO_ERROR");
    return error;
}

static int host_state(void)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    require(getsockopt(socket_fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0, "TCP_INFO");
    return info.tcpi_state;
}

const struct host host = {
    .name = "kernel", .patience_ms = 300, .fail_case = fail_case, .setup = setup, .put = put, .take = take, .wait = wait_ms, .listen = host_listen,
    .connect = host_connect, .accept = host_accept, .send = host_send, .receive = host_receive, .shutdown = host_shutdown,
    .close = host_close, .abort = host_abort, .set = host_set, .get = host_get, .error = host_error, .state = host_state,
};
