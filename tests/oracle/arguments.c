/*
 * arguments.c - arguments that no careful program gives: lengths that are negative or enormous, control messages of the
 * wrong length, flags on a connection that was reset, descriptors that can't be read, requests of ioctl(2) for drivers.
 */
#include "oracle.h"
#include "oracle_datagram.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MANY 2000 /* more than UIO_MAXIOV */

static void run_negative_length(void)
{
    int fd = oracle_udp_bound();
    union oracle_sockaddr from;
    char bytes[8];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr message = {.msg_name = &from, .msg_namelen = (socklen_t)-1, .msg_iov = &iov, .msg_iovlen = 1};

    CALL(recvmsg(fd, &message, MSG_DONTWAIT));
    CALL(recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, &from.sa, &(socklen_t){(socklen_t)-1}));
}

static void run_control_lengths(void)
{
    int fd = oracle_udp_connected();
    const int number = 1;

    if (oracle_family() == AF_INET) {
        CALL(oracle_send_control(fd, NULL, IPPROTO_IP, IP_PKTINFO, &number, sizeof number));
        CALL(oracle_send_control(fd, NULL, IPPROTO_IP, IP_TTL, &number, 2));
    } else {
        CALL(oracle_send_control(fd, NULL, IPPROTO_IPV6, IPV6_PKTINFO, &number, sizeof number));
        CALL(oracle_send_control(fd, NULL, IPPROTO_IPV6, IPV6_HOPLIMIT, &number, 2));
    }
    CALL(oracle_send_control(fd, NULL, SOL_UDP, UDP_SEGMENT, &number, 1));
}

/* recvmmsg(2) and sendmmsg(2) take no more than UIO_MAXIOV at a time. */
static void run_many_messages(void)
{
    int fd = oracle_udp_connected();
    struct mmsghdr *messages = calloc(MANY, sizeof *messages);
    char bytes[8];
    struct iovec iov = {bytes, sizeof bytes};

    for (int i = 0; i < MANY; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
    oracle_peer_sends(fd, 5);
    CALL(recvmmsg(fd, messages, MANY, MSG_DONTWAIT, NULL));
    oracle_say("%u bytes", messages[0].msg_len);
    iov.iov_len = 0;
    for (int i = 1; i < MANY; i++) /* the second can't be sent: so one is, of how many ever */
        messages[i].msg_hdr.msg_iovlen = 5000;
    CALL(sendmmsg(fd, messages, MANY, 0));
    free(messages);
}

static void run_reset_and_flags(void)
{
    int fd = oracle_connect_peer();
    char bytes[8];
    struct iovec iov = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    peer_do("reset 0");
    oracle_wait_bits(fd, POLLHUP);
    CALL(recv(fd, bytes, sizeof bytes, MSG_TRUNC | MSG_PEEK));
    CALL(recvmsg(fd, &message, MSG_TRUNC));
    fd = oracle_connect_peer();
    peer_do("reset 0");
    oracle_wait_bits(fd, POLLHUP);
    CALL(recvmsg(fd, &message, MSG_TRUNC));
    CALL(recvmsg(fd, &message, 0));
}

static void run_splice(void)
{
    int fd = oracle_socket(), listener = oracle_listen(5), ends[2];

    if (pipe2(ends, O_NONBLOCK) < 0)
        oracle_die("pipe2");
    CALL(splice(fd, NULL, ends[1], NULL, 10, SPLICE_F_NONBLOCK));
    CALL(splice(listener, NULL, ends[1], NULL, 10, SPLICE_F_NONBLOCK));
}

static void run_pending_error(void)
{
    int fd = oracle_udp_refused();
    const struct timespec none = {0, 0};
    struct pollfd poll_fd = {fd, POLLIN | POLLOUT, 0};

    oracle_set(fd, IPPROTO_IP, IP_RECVERR, 1);
    oracle_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    CALL(send(fd, "x", 1, 0));
    oracle_wait_datagram(fd);
    CALL(ppoll(&poll_fd, 1, &none, NULL));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents));
    CALL(recv(fd, &(char){0}, 1, MSG_PEEK));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
}

static void run_ioctls(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq line = {.ifr_name = "lo"};
    struct arpreq neighbour = {.arp_pa = {.sa_family = AF_INET}, .arp_dev = "lo"};

    CALL(ioctl(fd, SIOCGMIIPHY, &line));
    CALL(ioctl(fd, SIOCGHWTSTAMP, &line));
    CALL(ioctl(fd, SIOCGARP, &neighbour));
    close(fd);
}

const struct oracle_case oracle_cases[] = {
    {"negative_length", run_negative_length},
    {"control_lengths", run_control_lengths},
    {"many_messages", run_many_messages},
    {"reset_and_flags", run_reset_and_flags},
    {"splice", run_splice},
    {"pending_error", run_pending_error},
    {"ioctls_v4", run_ioctls},
    {NULL, NULL},
};
