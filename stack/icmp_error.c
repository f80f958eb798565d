/*
 * icmp_error.c - ICMP messages that say why a TCP segment did not arrive (RFC 792, RFC 1122 4.2.3.9).
 *
 * lwIP reads none of them for TCP. As on Linux (tcp_v4_err()) an error fails a connection that waits for the answer to its SYN; an established one
 * keeps it in mind, in case it is given up later. The message quotes the segment's addresses, ports and sequence number, and all must be of something that
 * is under way, so that who can't see the connection can't end it (RFC 5927 4.1).
 */
#include "icmp_error.h"

#include <errno.h>
#include <string.h>

#include "tcp_socket.h"

#define ICMP_SIZE 8
#define QUOTED_TCP_SIZE 8 /* ports and sequence number: all that RFC 792 promises */

#define TYPE_UNREACHABLE 3
#define TYPE_TIME_EXCEEDED 11
#define TYPE_PARAMETER_PROBLEM 12
#define CODE_FRAGMENTATION_NEEDED 4

/* Linux: icmp_err_convert, by code. */
static const int unreachable_errors[] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE,    EOPNOTSUPP,
                                         ENETUNREACH, EHOSTDOWN,    ENONET,      ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
                                         EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};

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

static uint16_t read_16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* The connection whose segment is quoted. Return: NULL when there is none, or it has nothing under way at that sequence number. */
static struct stack_tcp *find_quoted(const uint8_t *ip, const uint8_t *tcp_header)
{
    uint32_t sequence = (uint32_t)read_16(tcp_header + 4) << 16 | read_16(tcp_header + 6);
    ip4_addr_t source, destination;

    memcpy(&source.addr, ip + 12, 4);
    memcpy(&destination.addr, ip + 16, 4);
    for (struct stack_tcp *tcp = tcp_sockets; tcp != NULL; tcp = tcp->all_next) {
        if (tcp->pcb == NULL || (tcp->role != TCP_ROLE_CONNECTING && tcp->role != TCP_ROLE_CONNECTED) ||
            tcp->local_port != read_16(tcp_header) || tcp->peer_port != read_16(tcp_header + 2) ||
            !ip4_addr_eq(&tcp->local, &source) || !ip4_addr_eq(&tcp->peer, &destination))
            continue;
        return TCP_SEQ_BETWEEN(sequence, tcp->pcb->lastack, tcp->pcb->snd_nxt) ? tcp : NULL;
    }
    return NULL;
}

void icmp_error_input(const uint8_t *packet, size_t size)
{
    size_t header_size = (size_t)(packet[0] & 15) * 4;
    const uint8_t *icmp = packet + header_size, *quoted = icmp + ICMP_SIZE;
    size_t quoted_header_size;
    struct stack_tcp *tcp;
    int error;

    if (packet[9] != IP_PROTO_ICMP || read_16(packet + 2) > size || header_size < IP_HLEN ||
        read_16(packet + 2) < header_size + ICMP_SIZE + IP_HLEN + QUOTED_TCP_SIZE || (packet[6] & 0x3f) != 0 ||
        packet[7] != 0)
        return;
    error = error_of(icmp[0], icmp[1]);
    quoted_header_size = (size_t)(quoted[0] & 15) * 4;
    if (error == 0 || quoted[0] >> 4 != 4 || quoted[9] != IP_PROTO_TCP || quoted_header_size < IP_HLEN ||
        read_16(packet + 2) < header_size + ICMP_SIZE + quoted_header_size + QUOTED_TCP_SIZE ||
        inet_chksum(icmp, (u16_t)(read_16(packet + 2) - header_size)) != 0)
        return;
    tcp = find_quoted(quoted, quoted + quoted_header_size);
    if (tcp == NULL)
        return;
    if (tcp->role == TCP_ROLE_CONNECTING)
        tcp_socket_fail(tcp, error, false);
    else
        tcp->soft_error = error;
}

bool icmp_error_input6(const uint8_t *packet, size_t size)
{
    const uint8_t *icmp = packet + IP6_HLEN;

    if (size < IP6_HLEN + ICMP_SIZE)
        return false;
    /* lwIP believes any MTU; below 1280 there is none (RFC 8200 5). */
    return icmp[0] != ICMP6_TYPE_PTB || (icmp[4] == 0 && icmp[5] == 0 && read_16(icmp + 6) >= IP6_MIN_MTU_LENGTH);
}
