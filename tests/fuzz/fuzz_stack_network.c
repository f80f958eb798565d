/*
 * fuzz_stack_network.c - what the network says of itself: DHCP, router advertisements, neighbour discovery, DHCPv6,
 * IGMP and MLD, ARP.
 *
 * The stack has no address of its own at first, and takes what it is given. Transaction numbers, hop limits and
 * checksums are right.
 */
#include <arpa/inet.h>
#include <string.h>

#include "fuzz.h"
#include "stack/bytes.h"
#include "stack/ip/interface.h"
#include "stack/ip/network_list.h"
#include "tests/unit/datagram_fixture.h"
#include "tests/unit/stack_fixture.h"

#define ETHERNET_SIZE 14
#define DHCP_AT 42
#define DHCP6_AT 62
#define DHCP_OPTIONS_AT 240
#define COMMANDS_MAX 100

static uint8_t transaction[4], transaction6[3];
static struct heard member4, member6;

static const char *const addresses4[] = {"10.1.0.1", "10.1.0.2", "10.1.0.254", "255.255.255.255", "0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1"};
static const char *const addresses6[] = {PEER_LINK_LOCAL, STACK_LINK_LOCAL, "ff02::1", "ff02::1:ff00:2", "fd01::ff:fe00:2", "::", "ff02::2", "fd01::1"};

static void on_changed(void *context)
{
    struct stack_interface_address found[40];

    (void)context;
    stack_get_addresses(found, sizeof found / sizeof *found);
}

/* Take what the stack sent, and learn from it what an answer has to repeat. */
static void drain(void)
{
    const struct frame *frame;

    while ((frame = wire_take()) != NULL) {
        if (frame->size > DHCP_AT + 8 && frame->bytes[12] == 8 && frame->bytes[23] == IPPROTO_UDP && read_16(frame->bytes + 36) == 67)
            memcpy(transaction, frame->bytes + DHCP_AT + 4, 4);
        if (frame->size > DHCP6_AT + 4 && frame->bytes[12] == 0x86 && frame->bytes[20] == IPPROTO_UDP && read_16(frame->bytes + 56) == 547)
            memcpy(transaction6, frame->bytes + DHCP6_AT + 1, 3);
    }
}

/* A DHCP server speaks. */
static void send_dhcp(struct fuzz_input *input)
{
    uint8_t message[DHCP_OPTIONS_AT + 1200] = {2, 1, 6, 0}, how = fuzz_take_8(input), type = fuzz_take_8(input);
    size_t size = DHCP_OPTIONS_AT;
    const uint8_t *options;
    size_t length;

    memcpy(message + 4, transaction, 4);
    memcpy(message + 16, "\x0a\1\0", 3);
    message[19] = fuzz_take_8(input);
    memcpy(message + 28, "\2\0\0\0\0\2", 6);
    memcpy(message + 236, "\x63\x82\x53\x63", 4);
    if ((how & 1) == 0) {
        memcpy(message + size, (uint8_t[]){53, 1, type, 54, 4, 10, 1, 0, 1, 51, 4, 0, 0, 0, (uint8_t)(how | 1)}, 15);
        size += 15;
    }
    if ((how & 2) != 0) { /* fields as more options */
        length = fuzz_take_bytes(input, fuzz_take_8(input) % 64, &options);
        memcpy(message + 44, options, length);
        length = fuzz_take_bytes(input, fuzz_take_8(input) % 128, &options);
        memcpy(message + 108, options, length);
    }
    length = fuzz_take_bytes(input, fuzz_take_16(input) % 1024, &options);
    memcpy(message + size, options, length);
    size += length;
    if ((how & 4) == 0)
        message[size++] = 255;
    if ((how & 8) != 0)
        message[fuzz_take_8(input)] = fuzz_take_8(input);
    if ((how & 16) != 0)
        size = fuzz_take_16(input) % (size + 1);
    peer_udp("10.1.0.1", 67, (how & 32) != 0 ? "10.1.0.2" : "255.255.255.255", 68, message, size);
}

static void send_dhcp6(struct fuzz_input *input)
{
    uint8_t message[4 + 300] = {7}, how = fuzz_take_8(input);
    const uint8_t *options;
    size_t size;

    if ((how & 1) != 0)
        message[0] = how;
    memcpy(message + 1, transaction6, 3);
    size = fuzz_take_bytes(input, fuzz_take_16(input) % 300, &options);
    memcpy(message + 4, options, size);
    peer_udp(PEER_LINK_LOCAL, 547, STACK_LINK_LOCAL, 546, message, 4 + size);
}

/* An ICMPv6 message: its fixed part as said, then what the input has. */
static void send_icmp6(struct fuzz_input *input, const uint8_t *head, size_t head_size, const char *destination)
{
    uint8_t message[1280];
    uint8_t how = fuzz_take_8(input);
    const char *source = (how & 0xf) == 0 ? PEER_LINK_LOCAL : addresses6[how % 8];
    const uint8_t *bytes;
    size_t size;

    memcpy(message, head, head_size);
    size = head_size + fuzz_take_bytes(input, fuzz_take_16(input) % 1000, &bytes);
    memcpy(message + head_size, bytes, size - head_size);
    message[2] = message[3] = 0;
    if ((how & 0x10) != 0)
        destination = addresses6[how / 32];
    if (size >= 4)
        write_16(message + 2, packet_checksum(source, destination, IPPROTO_ICMPV6, message, size));
    packet_send(&(struct packet){.source = source, .destination = destination, .protocol = IPPROTO_ICMPV6, .ttl = 255, .data = message,
                                 .size = size});
}

static void send_router_advertisement(struct fuzz_input *input)
{
    uint8_t head[16] = {134, 0, 0, 0, 64};

    head[5] = fuzz_take_8(input);
    write_16(head + 6, fuzz_take_16(input));
    head[9] = fuzz_take_8(input);
    head[13] = fuzz_take_8(input);
    send_icmp6(input, head, sizeof head, "ff02::1");
}

static void copy_bytes(struct fuzz_input *input, uint8_t *to, size_t wanted)
{
    const uint8_t *bytes;
    size_t length = fuzz_take_bytes(input, wanted, &bytes);

    memcpy(to, bytes, length);
}

/* The options that are known, with their lengths right. */
static void send_known_options(struct fuzz_input *input)
{
    uint8_t message[16 + 255] = {134, 0, 0, 0, 64, 0, 7};
    static const uint8_t kinds[] = {3, 5, 25, 31, 24, 1};
    size_t size = 16;

    for (int count = fuzz_take_8(input) % 5; count >= 0; count--) {
        uint8_t kind = kinds[fuzz_take_8(input) % sizeof kinds], how = fuzz_take_8(input);
        size_t length = kind == 3 ? 32 : kind == 5 || kind == 1 ? 8 : 8 + 8u * (how % 5);

        if (size + length > sizeof message)
            break;
        message[size] = kind;
        message[size + 1] = (uint8_t)(length / 8);
        memset(message + size + 2, 0, length - 2);
        if (kind == 3)
            memcpy(message + size + 2, (uint8_t[]){64, how, 0, 0, how, 0, 0, 0, how, 0, 0, 0, 0, 0, 0xfd, how & 3}, 16);
        else if (kind == 5)
            write_32(message + size + 4, fuzz_take_16(input));
        else
            copy_bytes(input, message + size + 2, length - 2);
        size += length;
    }
    write_16(message + 2, packet_checksum(PEER_LINK_LOCAL, "ff02::1", IPPROTO_ICMPV6, message, size));
    packet_send(&(struct packet){.source = PEER_LINK_LOCAL, .destination = "ff02::1", .protocol = IPPROTO_ICMPV6, .ttl = 255,
                                 .data = message, .size = size});
}

static void send_neighbour(struct fuzz_input *input)
{
    uint8_t head[24] = {0}, how = fuzz_take_8(input);

    head[0] = (uint8_t)(135 + how % 3); /* solicitation, advertisement, redirect */
    head[4] = how & 0xe0;
    inet_pton(AF_INET6, addresses6[how / 4 % 8], head + 8);
    send_icmp6(input, head, sizeof head, STACK_LINK_LOCAL);
}

static void send_any_icmp6(struct fuzz_input *input)
{
    uint8_t head[8] = {fuzz_take_8(input), fuzz_take_8(input)};

    send_icmp6(input, head, fuzz_take_8(input) % 9, STACK_LINK_LOCAL);
}

/* Multicast listener queries and reports, and IGMP. */
static void send_group(struct fuzz_input *input)
{
    uint8_t head[24] = {0}, how = fuzz_take_8(input);
    uint8_t igmp[64] = {0};
    uint32_t sum = 0;
    size_t size;

    if ((how & 1) != 0) {
        head[0] = (uint8_t)(130 + how / 2 % 3);
        write_16(head + 4, fuzz_take_16(input));
        if ((how & 16) != 0)
            inet_pton(AF_INET6, "ff05::5", head + 8);
        send_icmp6(input, head, sizeof head, "ff02::1");
        return;
    }
    igmp[0] = (how & 2) != 0 ? 0x11 : fuzz_take_8(input);
    igmp[1] = fuzz_take_8(input);
    if ((how & 4) != 0)
        inet_pton(AF_INET, "239.1.2.3", igmp + 4);
    size = (how & 8) != 0 ? 8 : fuzz_take_8(input) % sizeof igmp;
    for (size_t i = 0; i < size; i += 2)
        sum += read_16(igmp + i);
    sum = (sum & 0xffff) + (sum >> 16);
    write_16(igmp + 2, ~sum & 0xffff);
    packet_send(&(struct packet){.source = addresses4[how / 16 % 8], .destination = (how & 4) != 0 ? "239.1.2.3" : "224.0.0.1",
                                 .protocol = IPPROTO_IGMP, .ttl = 1, .data = igmp, .size = size});
}

static void send_arp(struct fuzz_input *input)
{
    uint8_t arp[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, how = fuzz_take_8(input);

    arp[21] = how & 3;
    memcpy(arp + 22, "\2\0\0\0\0\1", 6);
    memcpy(arp + 28, (uint8_t[]){10, 1, 0, fuzz_take_8(input)}, 4);
    memcpy(arp + 38, (uint8_t[]){10, 1, 0, fuzz_take_8(input)}, 4);
    if ((how & 4) != 0)
        memset(arp, 0xff, 6);
    wire_put(NULL, arp, sizeof arp);
    stack_turn();
}

/* A whole exchange, so that what follows finds an address. */
static void give_address(struct fuzz_input *input)
{
    static const uint8_t types[] = {2, 5};

    for (size_t i = 0; i < sizeof types; i++) {
        uint8_t message[DHCP_OPTIONS_AT + 40] = {2, 1, 6, 0};

        memcpy(message + 4, transaction, 4);
        memcpy(message + 16, "\x0a\1\0\2", 4);
        memcpy(message + 28, "\2\0\0\0\0\2", 6);
        memcpy(message + 236, "\x63\x82\x53\x63", 4);
        memcpy(message + 240, (uint8_t[]){53, 1, types[i], 54, 4, 10, 1, 0, 1, 51, 4, 0, 0, 2, 0, 1, 4, 255, 255, 255, 0, 3, 4, 10, 1, 0, 254, 255}, 28);
        peer_udp("10.1.0.1", 67, "255.255.255.255", 68, message, DHCP_OPTIONS_AT + 28);
        drain();
    }
    if (fuzz_take_8(input) % 2 == 0)
        stack_advance(12000); /* nobody else has it */
}

static void join_or_leave(struct fuzz_input *input)
{
    uint8_t how = fuzz_take_8(input);
    struct heard *heard = (how & 1) != 0 ? &member6 : &member4;
    union stack_address group = any_address_of((how & 1) != 0 ? "ff05::5" : "239.1.2.3", 0);

    stack_datagram_membership(heard->datagram, (how & 2) != 0 ? STACK_LEAVE : STACK_JOIN, 0, &group, NULL);
}

static void let_time_pass(struct fuzz_input *input)
{
    static const unsigned steps_ms[] = {10, 100, 1000, 3000, 10000, 60000, 300000, 3600000};

    stack_advance(steps_ms[fuzz_take_8(input) % (sizeof steps_ms / sizeof *steps_ms)]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const commands[])(struct fuzz_input *input) = {
        send_dhcp, send_router_advertisement, send_known_options, let_time_pass, send_neighbour, send_dhcp6,
        send_group, send_arp, send_any_icmp6, give_address, join_or_leave};
    struct fuzz_input input = fuzz_begin(bytes, size);

    stack_setup_config((struct stack_config){.dhcp = true, .slaac = true, .hostname = "fuzz", .changed = on_changed});
    heard_open_udp(&member4, "0.0.0.0", 5000);
    heard_open_udp(&member6, "::", 5001);
    stack_turn();
    drain();
    for (int i = 0; i < COMMANDS_MAX && input.left > 0; i++) {
        commands[fuzz_take_8(&input) % (sizeof commands / sizeof *commands)](&input);
        stack_turn();
        drain();
    }
    heard_close(&member4);
    heard_close(&member6);
    stack_teardown();
    return 0;
}
