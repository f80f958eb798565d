/*
 * datagram_error.c - ICMP messages that say why a datagram did not arrive, v4 and v6: Linux's udp_err() and its like.
 *
 * The message quotes the packet, and the socket that could have sent it is told. As on Linux an error that says nothing
 * final is told to sockets that asked for errors only (IP_RECVERR), and without that no socket hears of any but when it
 * is connected, for it could not know which datagram is meant.
 */
#include <errno.h>
#include <string.h>

#include "stack/bytes.h"
#include "datagram_packet.h"
#include "stack/ip/path_mtu.h"

#define ICMP_SIZE 8
#define TOS_INTERNETCONTROL 0xc0 /* RFC 1812 4.3.2.5 */
#define QUOTED_SIZE 8    /* of the transport header: all that RFC 792 promises */
#define FLAT_MAX 2048    /* bytes of a message that are looked at */
#define CODE_FRAGMENTATION_NEEDED 4
#define QUOTE_MAX (576 - IP4_SIZE - ICMP_SIZE) /* RFC 1812 4.3.2.3 */

/* A message, taken apart. */
struct message {
    uint8_t type, code;
    uint32_t info; /* the MTU or the pointer that it carries */
    int error;
    bool hard; /* Linux: fatal */
    ip_addr_t source, destination; /* of the quoted packet */
    uint8_t protocol;              /* and what is in it */
    const uint8_t *ip, *transport;
    size_t ip_size, transport_size; /* from each on */
};

/* What does an ICMPv4 message mean? Return: false: it is about nothing that was sent. */
static bool classify4(struct message *message)
{
    /* Linux: icmp_err_convert, by code. */
    static const struct {
        int error;
        bool hard;
    } unreachable[] = {{ENETUNREACH, false}, {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
                       {EMSGSIZE, true},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
                       {ENONET, true},       {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
                       {EHOSTUNREACH, false}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true}, {EHOSTUNREACH, true}};

    switch (message->type) {
    case ICMP_DUR:
        if (message->code >= sizeof unreachable / sizeof *unreachable)
            return false;
        message->error = unreachable[message->code].error;
        message->hard = unreachable[message->code].hard;
        return true;
    case ICMP_TE:
        message->error = EHOSTUNREACH;
        return true;
    case ICMP_PP:
        message->error = EPROTO;
        message->hard = true;
        return true;
    default:
        return false;
    }
}

/* The same for ICMPv6 (Linux: icmpv6_err_convert). */
static bool classify6(struct message *message)
{
    static const struct {
        int error;
        bool hard;
    } unreachable[] = {{ENETUNREACH, false}, {EACCES, true}, {EHOSTUNREACH, false}, {EHOSTUNREACH, false},
                       {ECONNREFUSED, true}, {EACCES, true}, {EACCES, true}};

    message->error = EPROTO;
    message->hard = true;
    switch (message->type) {
    case ICMP6_TYPE_DUR:
        if (message->code < sizeof unreachable / sizeof *unreachable) {
            message->error = unreachable[message->code].error;
            message->hard = unreachable[message->code].hard;
        }
        return true;
    case ICMP6_TYPE_PTB:
        message->error = EMSGSIZE;
        return true;
    case ICMP6_TYPE_TE:
        message->error = EHOSTUNREACH;
        message->hard = false;
        return true;
    case ICMP6_TYPE_PP:
        return true;
    default:
        return false;
    }
}

/* The quoted IPv4 packet. Return: false when there is too little of it. */
static bool parse_quoted4(struct message *message)
{
    const uint8_t *ip = message->ip;
    size_t header_size = (size_t)(ip[0] & 15) * 4;

    if (message->ip_size < IP4_SIZE || ip[0] >> 4 != 4 || header_size < IP4_SIZE ||
        message->ip_size < header_size + QUOTED_SIZE || (read_16(ip + 6) & IP_OFFMASK) != 0)
        return false;
    ip_addr_set_ip4_u32_val(message->source, 0);
    ip_addr_set_ip4_u32_val(message->destination, 0);
    memcpy(&ip_2_ip4(&message->source)->addr, ip + 12, 4);
    memcpy(&ip_2_ip4(&message->destination)->addr, ip + 16, 4);
    message->protocol = ip[9];
    message->transport = ip + header_size;
    message->transport_size = message->ip_size - header_size;
    return true;
}

static void read_ip6(ip_addr_t *address, const uint8_t *at, const struct netif *input)
{
    ip6_addr_t ip = {0};

    memcpy(ip.addr, at, sizeof ip.addr);
    ip6_addr_assign_zone(&ip, IP6_UNKNOWN, input);
    ip_addr_copy_from_ip6(*address, ip);
}

/* The quoted IPv6 packet. Extension headers that we send are a fragment header, or what a program put there itself. */
static bool parse_quoted6(struct message *message, const struct netif *input)
{
    const uint8_t *ip = message->ip;
    size_t at = IP6_SIZE;

    if (message->ip_size < IP6_SIZE || ip[0] >> 4 != 6)
        return false;
    read_ip6(&message->source, ip + 8, input);
    read_ip6(&message->destination, ip + 24, input);
    message->protocol = ip[6];
    for (int i = 0; i < 8; i++) {
        const uint8_t *header = ip + at;

        if (message->ip_size < at + QUOTED_SIZE)
            return false;
        if (message->protocol == IP6_NEXTH_FRAGMENT) {
            if ((read_16(header + 2) & 0xfff8) != 0)
                return false;
            at += 8;
        } else if (message->protocol == IP6_NEXTH_HOPBYHOP || message->protocol == IP6_NEXTH_DESTOPTS ||
                   message->protocol == IP6_NEXTH_ROUTING) {
            at += (size_t)(header[1] + 1) * 8;
        } else {
            message->transport = header;
            message->transport_size = message->ip_size - at;
            return true;
        }
        message->protocol = header[0];
    }
    return false;
}

/* Tell a socket, if it is to know. payload: what it sent, as far as it came back. */
static void report(struct stack_datagram *datagram, const struct message *message, uint16_t port,
                   const uint8_t *payload, size_t length)
{
    bool is_ip6 = IP_IS_V6_VAL(message->source);
    struct stack_datagram_error error = {.payload = payload, .length = length, .hard = true};
    int discover = datagram->options[is_ip6 ? STACK_DATAGRAM_MTU_DISCOVER6 : STACK_DATAGRAM_MTU_DISCOVER];

    if (message->error == EMSGSIZE && discover == IP_PMTUDISC_DONT)
        return;
    if (!datagram->options[STACK_DATAGRAM_RECEIVE_ERRORS] && !(message->hard && datagram->connected))
        return;
    if (datagram->events == NULL || datagram->events->failed == NULL)
        return;
    error.extended.ee_errno = (uint32_t)message->error;
    error.extended.ee_origin = is_ip6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP;
    error.extended.ee_type = message->type;
    error.extended.ee_code = message->code;
    error.extended.ee_info = message->info;
    sockaddr_write(ip_current_src_addr(), 0, datagram->family, &error.offender);
    sockaddr_write(&message->destination, port, datagram->family, &error.destination);
    datagram->events->failed(datagram->owner, &error);
}

void datagram_error_local(struct stack_datagram *datagram, const ip_addr_t *destination, uint16_t port, uint32_t mtu)
{
    struct stack_datagram_error error = {.hard = false};

    if (!datagram->options[STACK_DATAGRAM_RECEIVE_ERRORS] || datagram->events == NULL ||
        datagram->events->failed == NULL)
        return;
    error.extended.ee_errno = EMSGSIZE;
    error.extended.ee_origin = SO_EE_ORIGIN_LOCAL;
    error.extended.ee_info = mtu;
    sockaddr_write(destination, port, datagram->family, &error.destination);
    datagram->events->failed(datagram->owner, &error);
}

/* Return: the UDP, UDP-Lite or ping socket that the quoted packet comes from; NULL: none. */
static struct stack_datagram *find_sender(const struct message *message, struct datagram_tuple *tuple)
{
    const uint8_t *transport = message->transport;
    bool is_ip6 = IP_IS_V6_VAL(message->source);

    if (message->protocol == IPPROTO_UDP || message->protocol == IPPROTO_UDPLITE) {
        tuple->local_port = read_16(transport);
        tuple->peer_port = read_16(transport + 2);
        return datagram_table_find(message->protocol == IPPROTO_UDP ? STACK_DATAGRAM_UDP : STACK_DATAGRAM_UDP_LITE,
                                   tuple);
    }
    if (message->protocol == (is_ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
        transport[0] == (is_ip6 ? ICMP6_TYPE_EREQ : ICMP_ECHO)) {
        tuple->local_port = read_16(transport + 4);
        return datagram_table_find_ping(tuple);
    }
    return NULL;
}

/* A message was parsed: whom is it for? */
static void dispatch(const struct message *message, struct netif *input)
{
    struct datagram_tuple tuple = {.local = &message->source, .peer = &message->destination,
                                   .interface = netif_get_index(input)};
    struct stack_datagram *raw = datagram_table_first_raw(message->protocol, &tuple);
    struct stack_datagram *sender = find_sender(message, &tuple);

    if (message->error == EMSGSIZE && IP_IS_V4_VAL(message->source) && (raw != NULL || sender != NULL))
        path_mtu_learn(ip_2_ip4(&message->destination), (uint16_t)LWIP_MIN(message->info, UINT16_MAX),
                       read_16(message->ip + 2));
    if (sender != NULL && stack_datagram_kind_is_udp(sender->kind))
        report(sender, message, tuple.peer_port, message->transport + UDP_SIZE, message->transport_size - UDP_SIZE);
    else if (sender != NULL)
        report(sender, message, 0, message->transport, message->transport_size);
    while (raw != NULL) {
        struct stack_datagram *next = datagram_table_next_raw(raw, &tuple);
        bool whole = raw->options[STACK_DATAGRAM_HEADER_INCLUDED];

        report(raw, message, 0, whole ? message->ip : message->transport,
               whole ? message->ip_size : message->transport_size);
        raw = next;
    }
}

bool datagram_error_checksum_is_good(struct pbuf *p, size_t offset, struct netif *input)
{
    bool good;

    if (datagram_receive_is_looped(input))
        return true;
    pbuf_remove_header(p, offset);
    good = ip_current_is_v6() ? ip6_chksum_pseudo(p, IP6_NEXTH_ICMP6, p->tot_len, ip6_current_src_addr(),
                                                  ip6_current_dest_addr()) == 0
                              : inet_chksum_pbuf(p) == 0;
    pbuf_add_header_force(p, offset);
    return good;
}

void datagram_error_input(struct pbuf *p, size_t offset, struct netif *input)
{
    static uint8_t flat[FLAT_MAX];
    struct message message = {0};
    size_t size = pbuf_copy_partial(p, flat, ICMP_SIZE, (u16_t)offset);

    if (size < ICMP_SIZE)
        return;
    message.type = flat[0];
    message.code = flat[1];
    if (!(ip_current_is_v6() ? classify6(&message) : classify4(&message)) ||
        !datagram_error_checksum_is_good(p, offset, input))
        return;
    if (ip_current_is_v6())
        message.info = (uint32_t)read_16(flat + 4) << 16 | read_16(flat + 6);
    else if (message.type == ICMP_DUR && message.code == CODE_FRAGMENTATION_NEEDED)
        message.info = read_16(flat + 6);
    else if (message.type == ICMP_PP)
        message.info = flat[4];
    message.ip = flat;
    message.ip_size = pbuf_copy_partial(p, flat, FLAT_MAX, (u16_t)(offset + ICMP_SIZE));
    if (ip_current_is_v6() ? parse_quoted6(&message, input) : parse_quoted4(&message))
        dispatch(&message, input);
}

void datagram_error_refuse(struct pbuf *p)
{
    static const uint8_t header[ICMP_SIZE] = {ICMP_DUR, ICMP_DUR_PORT};
    struct datagram_route route = {.source = *ip_current_dest_addr(), .destination = *ip_current_src_addr()};
    struct datagram_packet packet = {.route = &route, .protocol = IPPROTO_ICMP, .ttl = 64, .checksum_at = 2,
                                     .header = header, .header_size = sizeof header};
    uint8_t quoted[QUOTE_MAX];
    struct iovec iov = {quoted, 0};

    if (ip_current_is_v6()) {
        icmp6_dest_unreach(p, ICMP6_DUR_PORT);
        return;
    }
    route.netif = ip4_route_src(ip_2_ip4(&route.source), ip_2_ip4(&route.destination));
    if (route.netif == NULL)
        return;
    packet.tos = IPH_TOS(ip4_current_header()) | TOS_INTERNETCONTROL;
    packet.iov = &iov;
    packet.count = 1;
    packet.length = iov.iov_len = pbuf_copy_partial(p, quoted, QUOTE_MAX, 0);
    (void)datagram_output_send(&packet); /* as good as lost on the way */
}
