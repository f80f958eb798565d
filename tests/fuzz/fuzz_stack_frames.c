/*
 * fuzz_stack_frames.c - any frames to a stack that has connections, listeners and datagram sockets of both families.
 *
 * The fuzzer plays the peer, and the programs. It does not have to guess what is random: sequence numbers are said as
 * distances from the expected ones, checksums are right unless it wants them wrong, and what the stack sent can be
 * quoted and sent back.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "stack/bytes.h"
#include "stack/wire/wire.h"
#include "tests/unit/datagram_fixture.h"
#include "tests/unit/stack_fixture.h"

#define ETHERNET_SIZE 14
#define COMMANDS_MAX 200
#define LISTEN_PORT 7

/* A connection that the stack has or may have, as the peer knows it. */
enum { OUT4, OUT6, IN4, IN6, CALLED4, CALLED6, CALLING4, CALLING6, PEERS };
static struct peer peers[PEERS];
static struct told sockets[PEERS]; /* .tcp NULL: none, or let go of */
static struct told listener;

enum { UDP4, UDP6, UDP4_CONNECTED, UDP6_CONNECTED, UDP_LITE, PING4, PING6, RAW4, RAW6, HEARERS };
static struct heard hearers[HEARERS];

static struct virtio_net_hdr next_header; /* of the next frame */
static struct frame last;                 /* the last that the stack sent */
static uint8_t data[66000];

static const char *const addresses4[] = {PEER_IP, STACK_IP, "10.1.0.254", "10.1.0.255", "255.255.255.255", "0.0.0.0", "127.0.0.1",
                                         "224.0.0.1", "224.0.0.251", "239.1.2.3", "240.0.0.1", "8.8.8.8"};
static const char *const addresses6[] = {PEER_IP6, STACK_IP6, "fd00:1::fe", PEER_LINK_LOCAL, STACK_LINK_LOCAL, "::", "::1", "ff02::1",
                                         "ff02::1:ff00:2", "ff05::5", "::ffff:10.1.0.1", "2001:db8::1"};
#define ADDRESSES (sizeof addresses4 / sizeof *addresses4)

/* Learn from a segment of the stack's what its peer would. */
static void learn(const struct frame *frame)
{
    const uint8_t *ip = frame->bytes + ETHERNET_SIZE;
    bool is_v6 = frame->bytes[12] == 0x86;
    size_t at = ETHERNET_SIZE + (is_v6 ? 40 : 20);
    const uint8_t *tcp = frame->bytes + at;

    if (frame->size < at + 20 || ip[is_v6 ? 6 : 9] != IPPROTO_TCP)
        return;
    for (int i = 0; i < PEERS; i++) {
        struct peer *peer = &peers[i];
        uint32_t end = read_32(tcp + 4) + (uint32_t)(frame->size - at - (size_t)(tcp[12] >> 4) * 4);

        if ((peer->family == AF_INET6) != is_v6 || read_16(tcp) != peer->stack_port || read_16(tcp + 2) != peer->port)
            continue;
        if ((tcp[13] & (TH_SYN | TH_FIN)) != 0)
            end++;
        if ((tcp[13] & TH_SYN) != 0 || (int32_t)(end - peer->expected) > 0)
            peer->expected = end;
    }
}

/* Take what the stack sent. */
static void drain(void)
{
    const struct frame *frame;

    while ((frame = wire_take()) != NULL) {
        learn(frame);
        last.size = frame->size;
        last.header = frame->header;
        memcpy(last.bytes, frame->bytes, frame->size);
    }
}

static void put(const void *bytes, size_t size)
{
    wire_put(&next_header, bytes, size);
    next_header = (struct virtio_net_hdr){0};
    stack_turn();
}

/* ---- the peer ---- */

/* A distance from the expected number: mostly small, sometimes as far as windows and beyond. */
static uint32_t take_distance(struct fuzz_input *input)
{
    int16_t distance = (int16_t)fuzz_take_16(input);

    return (uint32_t)((distance & 0xf000) == 0x7000 ? distance * 65536 : (distance & 0xf000) == 0x6000 ? distance * 256 : distance);
}

static size_t take_size(struct fuzz_input *input)
{
    size_t size = fuzz_take_16(input);

    return size > 65000 ? 65000 : size >= 0x8000 ? size : size % 3000; /* small ones are the rule */
}

static void send_segment(struct fuzz_input *input)
{
    uint8_t which = fuzz_take_8(input);
    struct peer *peer = &peers[which % PEERS];
    struct segment segment = {.family = peer->family, .source_port = peer->port, .port = peer->stack_port, .data = data,
                              .header = next_header};
    const uint8_t *options;

    segment.flags = fuzz_take_8(input);
    segment.sequence = peer->sequence + take_distance(input);
    segment.acknowledgement = peer->expected + take_distance(input);
    segment.window = fuzz_take_16(input);
    segment.size = take_size(input);
    segment.tos = (which & 0x80) != 0 ? fuzz_take_8(input) : 0;
    segment.option_size = fuzz_take_bytes(input, fuzz_take_8(input) % (sizeof segment.options + 1), &options);
    memcpy(segment.options, options, segment.option_size);
    if ((which & 0x40) == 0)
        peer->sequence = segment.sequence + (uint32_t)segment.size + ((segment.flags & (TH_SYN | TH_FIN)) != 0 ? 1 : 0);
    if ((which & 0x20) != 0)
        segment.port = LISTEN_PORT;
    peer_send(&segment);
    next_header = (struct virtio_net_hdr){0};
}

static void send_raw_frame(struct fuzz_input *input)
{
    static const uint8_t destinations[][6] = {
        {2, 0, 0, 0, 0, 2}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x33, 0x33, 0, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 1}};
    static const uint16_t types[] = {0x800, 0x86dd, 0x806, 0x8100, 0x88a8, 0};
    uint8_t how = fuzz_take_8(input);
    static uint8_t frame[66000];
    const uint8_t *bytes;
    size_t size = fuzz_take_bytes(input, fuzz_take_16(input) % 2048, &bytes);

    memcpy(frame, destinations[how % 4], 6);
    memcpy(frame + 6, "\2\0\0\0\0\1", 6);
    write_16(frame + 12, types[how / 4 % 6]);
    memcpy(frame + ETHERNET_SIZE, bytes, size);
    put(frame, (how & 0x80) != 0 ? size % ETHERNET_SIZE : ETHERNET_SIZE + size);
}

/* Make the checksum right. */
static void sum_up(uint8_t protocol, const char *source, const char *destination, uint8_t *payload, size_t size)
{
    size_t at = protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ? 6 : 2;
    bool is_v6 = strchr(source, ':') != NULL;

    if (size < at + 2 || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_ICMP && protocol != IPPROTO_IGMP &&
                          protocol != IPPROTO_ICMPV6))
        return;
    write_16(payload + at, 0);
    if (!is_v6 && (protocol == IPPROTO_ICMP || protocol == IPPROTO_IGMP)) {
        uint32_t sum = 0;

        for (size_t i = 0; i < size; i++)
            sum += i % 2 == 0 ? (uint32_t)payload[i] << 8 : payload[i];
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        write_16(payload + 2, ~sum & 0xffff);
        return;
    }
    write_16(payload + at, packet_checksum(source, destination, protocol, payload, size));
}

/* An IP packet with any payload, perhaps behind extension headers, perhaps a fragment. */
static void send_packet(struct fuzz_input *input)
{
    static uint8_t payload[66000];
    uint8_t how = fuzz_take_8(input);
    bool is_v6 = (how & 1) != 0;
    const char *const *addresses = is_v6 ? addresses6 : addresses4;
    struct packet packet = {.header = next_header, .data = payload};
    uint8_t protocol = fuzz_take_8(input), extensions = (how & 2) != 0 ? fuzz_take_8(input) % 4 : 0, which = fuzz_take_8(input);
    const uint8_t *bytes;
    size_t size = 0, at, repeated;

    packet.source = addresses[which % ADDRESSES];
    packet.destination = addresses[which / 16 % ADDRESSES];
    packet.ttl = (how & 4) != 0 ? 255 : (how & 8) != 0 ? fuzz_take_8(input) : 0;
    if ((how & 16) != 0) {
        packet.identification = fuzz_take_8(input);
        packet.offset = fuzz_take_16(input) & (is_v6 ? 0 : 0xfff8);
        packet.more_fragments = (packet.identification & 1) != 0;
        packet.identification /= 2;
    }
    packet.protocol = protocol;
    for (int i = 0; i < extensions && is_v6; i++) {
        static const uint8_t kinds[] = {0, 43, 44, 60, 0, 44, 44, 51};
        uint8_t kind = kinds[fuzz_take_8(input) % sizeof kinds];
        size_t length = kind == 44 ? 8 : 8 + fuzz_take_8(input) % 4 * 8u;

        if (i == 0)
            packet.protocol = kind;
        else
            payload[at] = kind;
        at = size;
        memset(payload + at, 0, length);
        length = fuzz_take_bytes(input, length - 1, &bytes) + 1;
        memcpy(payload + at + 1, bytes, length - 1);
        payload[at] = protocol;
        size += (length + 7) / 8 * 8;
    }
    at = size;
    repeated = (how & 32) != 0 ? take_size(input) : 0;
    size += fuzz_take_bytes(input, fuzz_take_8(input), &bytes);
    memcpy(payload + at, bytes, size - at);
    if (repeated > 0 && size + repeated < 65000) {
        memset(payload + size, 'x', repeated);
        size += repeated;
    }
    if ((how & 64) == 0)
        sum_up(protocol, packet.source, packet.destination, payload + at, size - at);
    packet.size = size;
    packet_send(&packet);
    next_header = (struct virtio_net_hdr){0};
}

/* An ICMP error about what the stack sent last. */
static void send_icmp_error(struct fuzz_input *input)
{
    uint8_t icmp[8 + 1280] = {fuzz_take_8(input), fuzz_take_8(input)};
    bool is_v6 = last.bytes[12] == 0x86;
    uint8_t which = fuzz_take_8(input);
    size_t quoted = fuzz_take_16(input) % 1281, size;
    const char *source = is_v6 ? addresses6[which % ADDRESSES] : addresses4[which % ADDRESSES];

    write_32(icmp + 4, fuzz_take_32(input));
    if (last.size < ETHERNET_SIZE)
        return;
    size = last.size - ETHERNET_SIZE < quoted ? last.size - ETHERNET_SIZE : quoted;
    memcpy(icmp + 8, last.bytes + ETHERNET_SIZE, size);
    if ((which & 0x80) != 0) /* not quite what it sent */
        icmp[8 + fuzz_take_8(input)] ^= fuzz_take_8(input);
    sum_up(is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, source, is_v6 ? STACK_IP6 : STACK_IP, icmp, 8 + size);
    packet_send(&(struct packet){.source = source, .destination = is_v6 ? STACK_IP6 : STACK_IP,
                                 .protocol = is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, .data = icmp, .size = 8 + size});
}

/* What the stack sent last comes back to it, perhaps with a byte changed. */
static void send_back(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input);
    size_t at = fuzz_take_16(input);

    if (last.size < ETHERNET_SIZE)
        return;
    memcpy(last.bytes, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
    if ((how & 1) != 0 && at < last.size)
        last.bytes[at] ^= how;
    if ((how & 2) != 0)
        last.size = at % last.size;
    if ((how & 4) != 0)
        next_header = last.header;
    put(last.bytes, last.size);
}

static void send_arp(struct fuzz_input *input)
{
    uint8_t arp[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, which, how = fuzz_take_8(input);

    arp[21] = how & 3;
    which = fuzz_take_8(input);
    memcpy(arp + 22, "\2\0\0\0\0\1", 6);
    inet_pton(AF_INET, addresses4[which % ADDRESSES], arp + 28);
    inet_pton(AF_INET, addresses4[which / 16 % ADDRESSES], arp + 38);
    if ((how & 8) != 0)
        memset(arp, 0xff, 6);
    if ((how & 16) != 0)
        arp[14 + fuzz_take_8(input) % 28] = fuzz_take_8(input);
    put(arp, (how & 32) != 0 ? 14u + fuzz_take_8(input) % 29 : sizeof arp);
}

static void choose_header(struct fuzz_input *input)
{
    next_header.flags = fuzz_take_8(input);
    next_header.gso_type = fuzz_take_8(input);
    next_header.hdr_len = fuzz_take_8(input);
    next_header.gso_size = fuzz_take_16(input);
    next_header.csum_start = fuzz_take_8(input);
    next_header.csum_offset = fuzz_take_8(input);
}

/* ---- the programs ---- */

/* Did the owner end its socket inside a callback? */
static void notice_end(struct told *told)
{
    if (told->tcp != NULL && told->received > 0 && (told->close_received || told->abort_received))
        told->tcp = NULL;
}

static void notice_ends(void)
{
    for (int i = 0; i < PEERS; i++)
        notice_end(&sockets[i]);
}

/* Whose is the next connection to the listening socket? */
static void choose_child(void)
{
    listener.child_told = sockets[CALLING4].tcp == NULL ? &sockets[CALLING4] : &sockets[CALLING6];
    listener.refuse = listener.child_told->tcp != NULL;
    if (!listener.refuse)
        memset(listener.child_told, 0, sizeof *listener.child_told);
}

static void connect_again(int which)
{
    struct told *told = &sockets[which];
    bool is_v6 = which == CALLED6;
    union stack_address address = address_of(is_v6 ? PEER_IP6 : PEER_IP, (uint16_t)peers[which].port);

    memset(told, 0, sizeof *told);
    told->tcp = stack_tcp_open(is_v6 ? AF_INET6 : AF_INET, &told_events, told);
    if (stack_tcp_connect(told->tcp, &address) == 0 && stack_tcp_local_address(told->tcp, &address) == 0)
        peers[which].stack_port = ntohs(address.in.sin_port);
}

/* Send as much as there is room for; after the end it is refused. */
static void queue_bytes(struct stack_tcp *tcp, size_t size)
{
    struct iovec iov[STACK_TCP_IOV];
    size_t reserved = 0;
    int pieces = size > 0 ? stack_tcp_send_reserve(tcp, size, iov) : 0;

    for (int i = 0; i < pieces; i++) {
        memset(iov[i].iov_base, 'd', iov[i].iov_len);
        reserved += iov[i].iov_len;
    }
    if (pieces > 0)
        stack_tcp_send_commit(tcp, reserved < size ? reserved : size, (size & 1) != 0);
}

/* What the service lets pass. */
static void set_option(struct stack_tcp *tcp, enum stack_tcp_option option, int value)
{
    switch (option) {
    case STACK_TCP_KEEPIDLE:
    case STACK_TCP_KEEPINTVL:
        value = value % 32767 + 1;
        break;
    case STACK_TCP_KEEPCNT:
    case STACK_TCP_SYNCNT:
        value = value % 127 + 1;
        break;
    case STACK_TCP_USER_TIMEOUT:
    case STACK_TCP_LINGER2:
    case STACK_TCP_NOTSENT_LOWAT:
        break;
    case STACK_TCP_MAXSEG:
        value = value % 32000 + 88;
        break;
    case STACK_TCP_SEND_BUFFER:
    case STACK_TCP_RECEIVE_WINDOW:
        value += 2304;
        break;
    case STACK_IP_TTL:
    case STACK_IPV6_HOP_LIMIT:
        value = value % 255 + 1;
        break;
    case STACK_IP_TOS:
    case STACK_IPV6_TRAFFIC_CLASS:
    case STACK_IP_MINTTL:
    case STACK_IPV6_MINHOPCOUNT:
        value %= 256;
        break;
    case STACK_IP_LOCAL_PORT_RANGE:
        value = 0;
        break;
    default:
        value &= 1;
        break;
    }
    stack_tcp_set_option(tcp, option, value);
}

static void act_on_socket(struct fuzz_input *input)
{
    uint8_t which = fuzz_take_8(input) % PEERS;
    uint8_t what = fuzz_take_8(input);
    struct told *told = &sockets[which];
    uint16_t argument = fuzz_take_16(input);
    struct tcp_info info;

    if (told->tcp == NULL) {
        if (which == CALLED4 || which == CALLED6)
            connect_again(which);
        return;
    }
    switch (what % 12) {
    case 0:
    case 1:
        queue_bytes(told->tcp, argument);
        break;
    case 2:
        receive_bytes(told->tcp, data, argument);
        break;
    case 3:
        stack_tcp_shutdown_send(told->tcp);
        break;
    case 4:
        stack_tcp_close(told->tcp);
        told->tcp = NULL;
        break;
    case 5:
        stack_tcp_abort(told->tcp);
        told->tcp = NULL;
        break;
    case 6:
        set_option(told->tcp, what / 12 % STACK_TCP_OPTION_COUNT, argument);
        break;
    case 7:
        told->received = 0;
        told->close_received = (argument & 1) != 0;
        told->abort_received = (argument & 2) != 0;
        break;
    case 8:
        stack_tcp_get_info(told->tcp, &info);
        break;
    case 9:
        stack_tcp_disconnect(told->tcp);
        break;
    default:
        break;
    }
}

static void act_on_hearer(struct fuzz_input *input)
{
    struct heard *heard = &hearers[fuzz_take_8(input) % HEARERS];
    uint8_t what = fuzz_take_8(input);
    uint16_t argument = fuzz_take_16(input);
    bool is_v6 = heard == &hearers[UDP6] || heard == &hearers[UDP6_CONNECTED] || heard == &hearers[RAW6] || heard == &hearers[PING6];
    static const union stack_address none;
    union stack_address group;

    if (heard->datagram == NULL)
        return;
    switch (what % 8) {
    case 0:
        heard_send(heard, is_v6 ? PEER_IP6 : PEER_IP, 5353, data, argument);
        break;
    case 1:
        heard_send(heard, is_v6 ? addresses6[argument % ADDRESSES] : addresses4[argument % ADDRESSES], 5353, "\x08\0\0\0\0\0\0\0", 8);
        break;
    case 2:
        stack_datagram_set_option(heard->datagram, what / 8 % STACK_DATAGRAM_OPTION_COUNT, argument & 1);
        break;
    case 3:
        heard->full = (argument & 1) != 0;
        heard->close_received = (argument & 2) != 0;
        break;
    case 4:
        heard_close(heard);
        break;
    case 5:
        group = any_address_of(is_v6 ? "ff05::5" : "239.1.2.3", 0);
        stack_datagram_membership(heard->datagram, argument % 6, 0, &group, (argument & 64) != 0 ? &none : NULL);
        break;
    case 6:
        heard_send(heard, NULL, 0, data, argument);
        break;
    default:
        break;
    }
}

static void let_time_pass(struct fuzz_input *input)
{
    static const unsigned steps_ms[] = {1, 10, 40, 50, 200, 250, 1000, 3000, 10000, 60000, 300000};

    stack_advance(steps_ms[fuzz_take_8(input) % (sizeof steps_ms / sizeof *steps_ms)]);
}

/* ---- beginning and end ---- */

static void open_hearers(void)
{
    static const uint32_t no_filter[8];

    heard_open_udp(&hearers[UDP4], "0.0.0.0", 53);
    heard_open_udp(&hearers[UDP6], "::", 54);
    heard_open_udp(&hearers[UDP4_CONNECTED], STACK_IP, 55);
    heard_open_udp(&hearers[UDP6_CONNECTED], STACK_IP6, 56);
    heard_connect(&hearers[UDP4_CONNECTED], PEER_IP, 53);
    heard_connect(&hearers[UDP6_CONNECTED], PEER_IP6, 53);
    heard_open(&hearers[UDP_LITE], STACK_DATAGRAM_UDP_LITE, AF_INET, 0);
    heard_open(&hearers[PING4], STACK_DATAGRAM_PING, AF_INET, 0);
    heard_open(&hearers[PING6], STACK_DATAGRAM_PING, AF_INET6, 0);
    heard_open(&hearers[RAW4], STACK_DATAGRAM_RAW, AF_INET, IPPROTO_ICMP);
    heard_open(&hearers[RAW6], STACK_DATAGRAM_RAW, AF_INET6, IPPROTO_ICMPV6);
    stack_datagram_set_filter(hearers[RAW6].datagram, no_filter);
    for (int i = 0; i < HEARERS; i++)
        stack_datagram_set_option(hearers[i].datagram, STACK_DATAGRAM_RECEIVE_ERRORS, 1);
}

static void open_all(uint8_t how)
{
    if ((how & 8) != 0)
        stack_setup_ecn(STACK_ECN_OFF);
    else
        stack_setup_dual((how & 1 ? WIRE_CHECKSUM : 0) | (how & 2 ? WIRE_TSO4 | WIRE_TSO6 : 0) | (how & 4 ? WIRE_USO : 0));
    memset(sockets, 0, sizeof sockets);
    memset(&listener, 0, sizeof listener);
    connect_to_peer(&sockets[OUT4], &peers[OUT4]);
    connect_to_peer6(&sockets[OUT6], &peers[OUT6]);
    accept_from_peer6(&listener, &sockets[IN6], &peers[IN6]);
    listener.accepted = 0;
    accept_from_peer(&listener, &sockets[IN4], &peers[IN4]);
    choose_child();
    for (int i = CALLED4; i < PEERS; i++)
        peers[i] = (struct peer){.family = i % 2 == CALLED4 % 2 ? AF_INET : AF_INET6, .port = (uint16_t)(9000 + i),
                                 .stack_port = LISTEN_PORT, .sequence = 77};
    connect_again(CALLED4);
    connect_again(CALLED6);
    open_hearers();
    stack_turn();
    drain();
}

static void close_all(void)
{
    notice_ends();
    for (int i = 0; i < PEERS; i++)
        if (sockets[i].tcp != NULL)
            stack_tcp_close(sockets[i].tcp);
    for (int i = 0; i < HEARERS; i++)
        heard_close(&hearers[i]);
    stack_tcp_close(listener.tcp);
    stack_teardown();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const commands[])(struct fuzz_input *input) = {
        send_segment, send_packet, let_time_pass, act_on_socket, send_icmp_error, send_raw_frame, send_back,
        send_arp, choose_header, act_on_hearer, send_segment, send_packet};
    struct fuzz_input input = fuzz_begin(bytes, size);

    open_all(fuzz_take_8(&input));
    next_header = (struct virtio_net_hdr){0};
    for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
        commands[fuzz_take_8(&input) % (sizeof commands / sizeof *commands)](&input);
        stack_turn();
        drain();
        notice_ends();
        choose_child();
    }
    close_all();
    return 0;
}
