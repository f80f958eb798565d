/*
 * icmp_error.c - ICMP messages that say why a TCP segment did not arrive (RFC 792, RFC 1122 4.2.3.9, RFC 4443).
 *
 * lwIP reads none of them for TCP. What follows is as on Linux (tcp_v4_err(), tcp_v6_err()):
 *
 *   waits for the answer to its SYN     fails at once
 *   half open, of a listening socket    is forgotten, if the message says that the other end can't be reached
 *   established, or what comes after    keeps it in mind, in case it is given up (soft_error); what is acknowledged
 *                                       meanwhile has it forget. "Unreachable" also says that a segment was lost on a
 *                                       broken path and not on a full one: the last time-out does not count as one
 *                                       more in a row (RFC 6069).
 *
 * The message quotes the segment's addresses, ports and sequence number, and all must be of something that is under
 * way, so that who can't see the connection can't end it (RFC 5927 4.1).
 */
#include "icmp_error.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "stack/bytes.h"
#include "path_mtu.h"
#include "route6.h"
#include "stack/tcp/tcp_socket.h"
#include "stack/tcp/tcp_timeout.h"
#include "stack/wire/wire_netif.h"

#define ICMP_SIZE 8
#define QUOTED_TCP_SIZE 8 /* ports and sequence number: all that RFC 792 promises */

#define TYPE_UNREACHABLE 3
#define TYPE_TIME_EXCEEDED 11
#define TYPE_PARAMETER_PROBLEM 12
#define CODE_NET 0
#define CODE_HOST 1
#define CODE_FRAGMENTATION_NEEDED 4

/* Linux: icmp_err_convert, by code. */
static const int unreachable_errors[] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE,    EOPNOTSUPP,
                                         ENETUNREACH, EHOSTDOWN,    ENONET,      ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
                                         EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};

/* What a message says to a connection. */
struct verdict {
    int error;           /* errno; 0: nothing */
    bool forgets;        /* a half-open connection */
    bool is_unreachable; /* the network can't deliver, for now (RFC 6069 3) */
};

/* Return: the errno that the message stands for; 0: none that matters to a connection. */
static int error_of(uint8_t type, uint8_t code)
{
    switch (type) {
    case TYPE_UNREACHABLE:
        if (code >= sizeof unreachable_errors / sizeof *unreachable_errors || code == CODE_FRAGMENTATION_NEEDED)
            return 0;
        return unreachable_errors[code];
    case TYPE_TIME_EXCEEDED:
        return EHOSTUNREACH;
    case TYPE_PARAMETER_PROBLEM:
        return EPROTO;
    default:
        return 0;
    }
}

/* The connection whose segment is quoted. Return: NULL when there is none, or it has nothing under way at that sequence
 * number. */
static struct stack_tcp *find_quoted(const ip_addr_t *source, const ip_addr_t *destination, const uint8_t *tcp_header)
{
    uint32_t sequence = read_32(tcp_header + 4);
    struct tcp_ends ends = {source, destination, (uint16_t)read_16(tcp_header), (uint16_t)read_16(tcp_header + 2)};
    struct stack_tcp *tcp = tcp_lookup_find(&ends);

    if (tcp == NULL)
        return NULL;
    if (tcp->role == TCP_ROLE_INCOMING)
        return sequence == tcp->pcb->lastack ? tcp : NULL;
    if (tcp->role != TCP_ROLE_CONNECTING && tcp->role != TCP_ROLE_CONNECTED)
        return NULL;
    return TCP_SEQ_BETWEEN(sequence, tcp->pcb->lastack, tcp->pcb->snd_nxt) ? tcp : NULL;
}

/* A segment from source to destination met with an error. */
static void tell(const ip_addr_t *source, const ip_addr_t *destination, const uint8_t *tcp_header,
                 const struct verdict *verdict)
{
    struct stack_tcp *tcp = find_quoted(source, destination, tcp_header);

    if (tcp == NULL)
        return;
    if (tcp->role == TCP_ROLE_CONNECTED) {
        tcp->soft_error = verdict->error;
        if (verdict->is_unreachable)
            tcp_timeout_revert(tcp, read_32(tcp_header + 4));
    } else if (tcp->role == TCP_ROLE_CONNECTING || verdict->forgets) {
        tcp_socket_fail(tcp, verdict->error, false);
    }
}

static struct verdict verdict_of(uint8_t type, uint8_t code)
{
    bool is_unreachable = type == TYPE_UNREACHABLE && (code == CODE_NET || code == CODE_HOST);

    return (struct verdict){.error = error_of(type, code), .is_unreachable = is_unreachable,
                            .forgets = is_unreachable || type != TYPE_UNREACHABLE};
}

void icmp_error_input(const uint8_t *packet, size_t size)
{
    size_t header_size = (size_t)(packet[0] & 15) * 4;
    const uint8_t *icmp = packet + header_size, *quoted = icmp + ICMP_SIZE;
    size_t quoted_header_size;
    struct stack_tcp *tcp;
    struct verdict verdict;
    ip_addr_t source, destination;
    u32_t address;
    bool too_big;

    if (packet[9] != IP_PROTO_ICMP || read_16(packet + 2) > size || header_size < IP_HLEN ||
        read_16(packet + 2) < header_size + ICMP_SIZE + IP_HLEN + QUOTED_TCP_SIZE || (packet[6] & 0x3f) != 0 ||
        packet[7] != 0)
        return;
    verdict = verdict_of(icmp[0], icmp[1]);
    too_big = icmp[0] == TYPE_UNREACHABLE && icmp[1] == CODE_FRAGMENTATION_NEEDED;
    quoted_header_size = (size_t)(quoted[0] & 15) * 4;
    if ((verdict.error == 0 && !too_big) || quoted[0] >> 4 != 4 || quoted[9] != IP_PROTO_TCP || quoted_header_size < IP_HLEN ||
        read_16(packet + 2) < header_size + ICMP_SIZE + quoted_header_size + QUOTED_TCP_SIZE ||
        inet_chksum(icmp, (u16_t)(read_16(packet + 2) - header_size)) != 0)
        return;
    memcpy(&address, quoted + 12, sizeof address);
    ip_addr_set_ip4_u32_val(source, address);
    memcpy(&address, quoted + 16, sizeof address);
    ip_addr_set_ip4_u32_val(destination, address);
    if (!too_big) {
        tell(&source, &destination, quoted + quoted_header_size, &verdict);
    } else if ((tcp = find_quoted(&source, &destination, quoted + quoted_header_size)) != NULL &&
               tcp_path_mtu_may_change()) {
        path_mtu_learn(ip_2_ip4(&destination), read_16(icmp + 6), read_16(quoted + 2));
        if (tcp_path_mtu_is_less(tcp)) /* else it is no news: all connections are looked at */
            tcp_path_mtu_changed(&destination);
    }
}

/* Is the checksum of an ICMPv6 message right? (RFC 8200 8.1) */
static bool checksum_is_good6(const uint8_t *packet, size_t length)
{
    uint32_t sum = (uint16_t)~inet_chksum(packet + 8, 32) + (uint16_t)~inet_chksum(packet + IP6_HLEN, (u16_t)length) +
                   htons((uint16_t)length) + htons(IP6_NEXTH_ICMP6);

    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* Return: the errno that the message stands for (Linux: icmpv6_err_convert()); 0: none that matters to a connection. */
static int error_of6(uint8_t type, uint8_t code)
{
    static const int unreachable[] = {ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES};

    switch (type) {
    case ICMP6_TYPE_DUR:
        return code < sizeof unreachable / sizeof *unreachable ? unreachable[code] : EPROTO;
    case ICMP6_TYPE_TE:
        return EHOSTUNREACH;
    case ICMP6_TYPE_PP:
        return EPROTO;
    default:
        return 0;
    }
}

static struct verdict verdict_of6(uint8_t type, uint8_t code)
{
    bool is_final = type == ICMP6_TYPE_PP || (type == ICMP6_TYPE_DUR && (code == ICMP6_DUR_PROHIBITED || code >= ICMP6_DUR_PORT));

    return (struct verdict){.error = error_of6(type, code), .forgets = is_final,
                            .is_unreachable = type == ICMP6_TYPE_DUR && code == ICMP6_DUR_NO_ROUTE};
}

/* Read an address of a packet; a link-local one is the wire's. */
static void read_address6(ip_addr_t *address, const uint8_t *at)
{
    ip6_addr_t six = {0};

    memcpy(six.addr, at, sizeof six.addr);
    ip6_addr_assign_zone(&six, IP6_UNICAST, wire_netif_get());
    ip_addr_copy_from_ip6(*address, six);
}

/* A router says that a packet was too big; lwIP notes it for the destination, whatever the packet was (wire_netif6.c
 * does what follows). Return: false: it is about nothing of ours, or makes no sense. */
static bool is_good_too_big6(const uint8_t *icmp, size_t length)
{
    const uint8_t *quoted = icmp + ICMP_SIZE;
    ip_addr_t source, destination;

    if (icmp[4] != 0 || icmp[5] != 0 || read_16(icmp + 6) < IP6_MIN_MTU_LENGTH ||
        read_16(icmp + 6) >= netif_mtu6(wire_netif_get()) || length < ICMP_SIZE + IP6_HLEN || !tcp_path_mtu_may_change())
        return false;
    if (quoted[6] != IP6_NEXTH_TCP)
        return true;
    read_address6(&source, quoted + 8);
    read_address6(&destination, quoted + 24);
    return length >= ICMP_SIZE + IP6_HLEN + QUOTED_TCP_SIZE &&
           find_quoted(&source, &destination, quoted + IP6_HLEN) != NULL;
}

/* A redirect is to be believed from the router that packets to its destination go to, and from nobody else (RFC 4861
 * 8.1). */
static bool is_good_redirect(const uint8_t *packet, size_t length)
{
    ip6_addr_t source = {0}, destination = {0};
    const ip6_addr_t *router;

    if (length < sizeof(struct redirect_header))
        return false;
    memcpy(source.addr, packet + 8, sizeof source.addr);
    memcpy(destination.addr, packet + IP6_HLEN + offsetof(struct redirect_header, destination_address),
           sizeof destination.addr);
    router = route6_next_hop(&destination);
    return router != NULL && ip6_addr_zoneless_eq(router, &source);
}

bool icmp_error_input6(const uint8_t *packet, size_t size)
{
    const uint8_t *icmp = packet + IP6_HLEN, *quoted = icmp + ICMP_SIZE;
    size_t length = read_16(packet + 4);
    struct verdict verdict;
    ip_addr_t source, destination;

    if (length < ICMP_SIZE || size < IP6_HLEN + length)
        return false;
    if (icmp[0] == ICMP6_TYPE_RD)
        return is_good_redirect(packet, length);
    verdict = verdict_of6(icmp[0], icmp[1]);
    if (verdict.error == 0 && icmp[0] != ICMP6_TYPE_PTB)
        return true;
    if (!checksum_is_good6(packet, length))
        return false;
    if (icmp[0] == ICMP6_TYPE_PTB)
        return is_good_too_big6(icmp, length);
    if (length < ICMP_SIZE + IP6_HLEN + QUOTED_TCP_SIZE || quoted[6] != IP6_NEXTH_TCP)
        return true;
    read_address6(&source, quoted + 8);
    read_address6(&destination, quoted + 24);
    tell(&source, &destination, quoted + IP6_HLEN, &verdict);
    return true;
}
