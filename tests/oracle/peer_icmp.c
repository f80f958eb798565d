/* peer_icmp.c - the oracle's peer as a router: ICMP errors about segments of the subject's, which it reads off the
 * wire. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ICMP_SIZE 8
#define QUOTED_MAX 128

static int watch_fd = -1;         /* a packet socket */
static uint16_t watched_port;     /* of the subject */
static uint8_t quoted[QUOTED_MAX]; /* the start of the last segment from there that needs an answer */
static size_t quoted_size;        /* 0: none came */

static size_t header_size(void)
{
    return peer_family() == AF_INET ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
}

static long do_watch(int port)
{
    if (watch_fd < 0)
        watch_fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(peer_family() == AF_INET ? ETH_P_IP : ETH_P_IPV6));
    watched_port = (uint16_t)port;
    quoted_size = 0;
    return watch_fd < 0 ? -errno : 0;
}

/* Is a packet that came a segment of the watched port's, with a SYN or data? */
static bool is_watched(const uint8_t *packet, size_t size)
{
    const struct tcphdr *tcp = (const void *)(packet + header_size());
    uint8_t protocol = peer_family() == AF_INET ? packet[9] : packet[6];
    size_t length = (size_t)(peer_family() == AF_INET ? packet[2] << 8 | packet[3]
                                                      : (packet[4] << 8 | packet[5]) + (int)header_size());

    return size >= header_size() + sizeof *tcp && protocol == IPPROTO_TCP && ntohs(tcp->source) == watched_port &&
           (tcp->syn || tcp->fin || length > header_size() + (size_t)tcp->doff * 4);
}

/* Have the last segment of the watched port's in quoted; wait for the first. */
static long take_segments(void)
{
    struct pollfd poll_fd = {.fd = watch_fd, .events = POLLIN};
    uint8_t packet[QUOTED_MAX];
    struct sockaddr_ll from;
    socklen_t from_size = sizeof from;

    while (poll(&poll_fd, 1, quoted_size > 0 ? 0 : PEER_DEADLINE_S * 1000) > 0) {
        ssize_t size = recvfrom(watch_fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_size);

        if (size < 0)
            return -errno;
        if (from.sll_pkttype == PACKET_OUTGOING || !is_watched(packet, (size_t)size))
            continue;
        memcpy(quoted, packet, (size_t)size);
        quoted_size = (size_t)size;
    }
    return quoted_size > 0 ? 0 : -ETIMEDOUT;
}

/* RFC 1071 */
static uint16_t checksum_of(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < size; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~(sum + (sum >> 16)));
}

/* An error about the last segment; offset is added to the number that it quotes. */
static long do_error(int type, int code, uint32_t offset)
{
    const bool ipv4 = peer_family() == AF_INET;
    union peer_address address = peer_make_address(getenv("ORACLE_SUBJECT_ADDRESS"), 0);
    uint8_t message[ICMP_SIZE + QUOTED_MAX] = {(uint8_t)type, (uint8_t)code};
    size_t size = ICMP_SIZE + header_size() + ICMP_SIZE; /* ports and number: what a router has to quote */
    struct tcphdr *tcp = (void *)(message + ICMP_SIZE + header_size());
    uint16_t checksum;
    long result = take_segments();
    int fd;

    if (result < 0)
        return result;
    memcpy(message + ICMP_SIZE, quoted, quoted_size);
    tcp->seq = htonl(ntohl(tcp->seq) + offset);
    checksum = checksum_of(message, size);
    if (ipv4) /* of ICMPv6 the kernel makes it */
        memcpy(message + offsetof(struct icmphdr, checksum), &checksum, sizeof checksum);
    fd = socket(peer_family(), SOCK_RAW | SOCK_CLOEXEC, ipv4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6);
    if (fd < 0)
        return -errno;
    result = sendto(fd, message, size, 0, &address.sa, peer_address_size()) < 0 ? -errno : 0;
    close(fd);
    return result;
}

long peer_run_icmp_command(const char *command)
{
    int type = 0, code = 0, offset = 0, port;

    if (sscanf(command, "watch %d", &port) == 1)
        return do_watch(port);
    if (sscanf(command, "icmp %d %d %d", &type, &code, &offset) >= 2 && watch_fd >= 0)
        return do_error(type, code, (uint32_t)offset);
    return -EINVAL;
}
