/* program_datagram.c - steps of program.c: datagrams, and what comes back for them. */
#include "program.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One datagram there and back; one that was lost is sent again by the next try. */
bool step_datagram(void)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    uint8_t bytes[1000], back[2000];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct pollfd wait = {fd, POLLIN, 0};
    int ready = 0;
    ssize_t got = 0;
    bool ok = good("socket", fd);

    if (!ok)
        return false;
    fill(bytes, sizeof bytes, 7);
    ok = good("sendto", sendto(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&udp4, sizeof udp4));
    if (ok) {
        ready = poll(&wait, 1, lost_ms);
        ok = good("poll", ready) && ready == 1;
    }
    if (ok) {
        got = recvfrom(fd, back, sizeof back, 0, (struct sockaddr *)&from, &length);
        ok = good("recvfrom", got);
    }
    if (ok && (got != sizeof bytes || from.sin_port != udp4.sin_port || from.sin_addr.s_addr != udp4.sin_addr.s_addr))
        end("another datagram");
    if (ok)
        check(back, sizeof bytes, 7);
    close(fd);
    return ok;
}

bool step_connected_datagrams(void)
{
    struct mmsghdr messages[3];
    struct iovec iov[3];
    uint8_t bytes[3][200];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
    bool ok = good("socket", fd) && good("connect", connect(fd, (struct sockaddr *)&udp4, sizeof udp4));

    for (int i = 0; i < 3; i++) {
        fill(bytes[i], sizeof bytes[i], (size_t)i);
        iov[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
    }
    if (ok) {
        count = sendmmsg(fd, messages, 3, 0);
        ok = good("sendmmsg", count) && count == 3;
    }
    for (int i = 0; ok && i < 3; i++) {
        struct pollfd wait = {fd, POLLIN, 0};
        int ready = poll(&wait, 1, lost_ms);
        ssize_t got;

        ok = good("poll", ready) && ready == 1;
        got = ok ? recv(fd, bytes[0], sizeof bytes[0], 0) : 0;
        ok = ok && good("recv", got);
        if (ok && got != sizeof bytes[0])
            end("a datagram of another size");
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Wait until something lies in it. Return: does it? */
static bool comes(int fd, short events)
{
    struct pollfd wait = {fd, events, 0};
    int ready = poll(&wait, 1, lost_ms);

    return good("poll", ready) && ready == 1;
}

/* Several at once, there and back. */
bool step_batches(void)
{
    struct mmsghdr messages[10];
    struct iovec iov[10];
    uint8_t bytes[10][100];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), count = 0;
    bool ok = good("socket", fd);

    for (int i = 0; i < 10; i++) {
        fill(bytes[i], sizeof bytes[i], (size_t)i);
        iov[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        messages[i] = (struct mmsghdr){
            .msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1, .msg_name = &udp4, .msg_namelen = sizeof udp4}};
    }
    if (ok) {
        count = sendmmsg(fd, messages, 10, 0);
        ok = good("sendmmsg", count) && count == 10;
    }
    for (int i = 0; i < 10; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    while (ok && count > 0) {
        int got = comes(fd, POLLIN) ? recvmmsg(fd, messages, 10, MSG_WAITFORONE, NULL) : 0;

        ok = good("recvmmsg", got) && got > 0;
        for (int i = 0; i < got; i++)
            if (messages[i].msg_len != sizeof bytes[0])
                end("a datagram of another size");
        count -= ok ? got : 0;
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* One that is larger than the queue that waits for it, put together from two. */
bool step_large(void)
{
    static uint8_t bytes[30000], back[40000];
    int fd = socket(AF_INET, SOCK_DGRAM, 0), small = 2000;
    bool ok = good("socket", fd) && good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small)) &&
              good("connect", connect(fd, (struct sockaddr *)&udp4, sizeof udp4));
    ssize_t got;

    fill(bytes, sizeof bytes, 3);
    ok = ok && good("send", send(fd, bytes, 1000, MSG_MORE)) && good("send", send(fd, bytes + 1000, sizeof bytes - 1000, 0));
    ok = ok && comes(fd, POLLIN);
    got = ok ? recv(fd, back, sizeof back, MSG_PEEK | MSG_DONTWAIT) : 0;
    ok = ok && good("recv", got);
    got = ok ? recv(fd, back, sizeof back, MSG_DONTWAIT) : 0;
    ok = ok && good("recv", got);
    if (ok && got == sizeof bytes) /* else one of the two was lost */
        check(back, sizeof bytes, 3);
    if (fd >= 0)
        close(fd);
    return ok && got == sizeof bytes;
}

/* To a port where nobody is: an error comes back, in two ways. */
bool step_unheard(void)
{
    struct sockaddr_in to = peer4;
    char byte, control[512];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    bool ok;

    to.sin_port = htons(1);
    ok = good("socket", fd) && good("setsockopt", setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on)) &&
         good("connect", connect(fd, (struct sockaddr *)&to, sizeof to)) && good("send", send(fd, "x", 1, 0)) &&
         comes(fd, POLLIN);
    if (ok) {
        ok = recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNREFUSED;
        if (ok && recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            ok = good("recvmsg", -1);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Groups, and one whose senders are listed. */
bool step_groups(void)
{
    struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xef010203)};
    struct ip_mreq_source source = {.imr_multiaddr.s_addr = htonl(0xef010204), .imr_sourceaddr = peer4.sin_addr};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 300000;
    bool ok = good("socket", fd) &&
              good("setsockopt", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group)) &&
              good("setsockopt", setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &source, sizeof source)) &&
              good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size)) &&
              good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) &&
              good("setsockopt", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Hold sockets of many kinds while the service does something else: each byte on standard input is one look, whether the
 * connection still carries bytes, answered by a line. */
bool step_hold(void)
{
    struct sockaddr_in nobody = peer4, own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ip_mreqn group = {.imr_multiaddr.s_addr = htonl(0xef010205)};
    struct ip_mreq_source source = {.imr_multiaddr.s_addr = htonl(0xef010206), .imr_sourceaddr = peer4.sin_addr};
    int connection = dial(&peer4, sizeof peer4, 0), listener = open_listener(AF_INET, &own.sin_port), waiting = dial(&own, sizeof own, 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0), refused = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
    uint8_t bytes[100], back[100];
    char look;

    nobody.sin_port = htons(1);
    if (connection < 0 || listener < 0 || waiting < 0 || udp < 0 || refused < 0 || send(connection, "e", 1, 0) != 1 ||
        setsockopt(udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) < 0 ||
        setsockopt(udp, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &source, sizeof source) < 0 ||
        connect(udp, (struct sockaddr *)&udp4, sizeof udp4) < 0 || send(udp, "corked", 6, MSG_MORE) != 6 ||
        setsockopt(refused, IPPROTO_IP, IP_RECVERR, &on, sizeof on) < 0 ||
        connect(refused, (struct sockaddr *)&nobody, sizeof nobody) < 0 || send(refused, "x", 1, 0) != 1)
        end("there is nothing to hold");
    if (!comes(refused, POLLIN))
        end("no error to hold");
    puts("held");
    fflush(stdout);
    fill(bytes, sizeof bytes, 5);
    while (read(STDIN_FILENO, &look, 1) == 1) {
        if (send(connection, bytes, sizeof bytes, 0) != sizeof bytes)
            end("the connection that was held takes nothing");
        if (recv(connection, back, sizeof back, MSG_WAITALL) != sizeof back)
            end("the connection that was held gives nothing");
        check(back, sizeof back, 5);
        puts("ok");
        fflush(stdout);
    }
    close(connection);
    close(listener);
    close(waiting);
    close(udp);
    close(refused);
    return true;
}
