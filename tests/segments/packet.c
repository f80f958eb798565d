/* packet.c - writing and reading IP packets. */
#include "packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "host.h"
#include "stack/bytes.h"
#include "tests/checksum.h"

#define IP_SIZE 20
#define IP6_SIZE 40
#define TCP_SIZE 20

/* Return: the sum of what an IP packet carries, with the pseudo header; 0xffff: it is good. */
static uint32_t payload_sum(const uint8_t *ip, uint8_t protocol, const uint8_t *payload, size_t size)
{
    bool is_v6 = ip[0] >> 4 == 6;
    uint8_t pseudo[4] = {0, protocol, (uint8_t)(size >> 8), (uint8_t)size};

    return checksum_add(checksum_add(checksum_add(0, ip + (is_v6 ? 8 : 12), is_v6 ? 32 : 8), pseudo, 4), payload, size);
}

/* Write an IP header. Return: its size. */
static size_t write_ip(int family, bool from_host, uint8_t protocol, size_t payload_size, uint8_t *ip)
{
    bool is_v6 = family == AF_INET6;
    const char *host_ip = is_v6 ? HOST_IP6 : HOST_IP, *peer_ip = is_v6 ? PEER_IP6 : PEER_IP;
    const char *source = from_host ? host_ip : peer_ip, *destination = from_host ? peer_ip : host_ip;

    memset(ip, 0, is_v6 ? IP6_SIZE : IP_SIZE);
    if (is_v6) {
        ip[0] = 0x60;
        write_16(ip + 4, (uint32_t)payload_size);
        ip[6] = protocol;
        ip[7] = 64;
        inet_pton(AF_INET6, source, ip + 8);
        inet_pton(AF_INET6, destination, ip + 24);
        return IP6_SIZE;
    }
    ip[0] = 0x45;
    write_16(ip + 2, (uint32_t)(IP_SIZE + payload_size));
    ip[6] = 0x40; /* don't fragment */
    ip[8] = 64;
    ip[9] = protocol;
    inet_pton(AF_INET, source, ip + 12);
    inet_pton(AF_INET, destination, ip + 16);
    write_16(ip + 10, ~checksum_add(0, ip, IP_SIZE) & 0xffff);
    return IP_SIZE;
}

size_t packet_write(const struct packet *packet, uint8_t bytes[PACKET_MAX])
{
    size_t header_size = TCP_SIZE + (packet->option_size + 3) / 4 * 4;
    size_t size = header_size + packet->size;
    size_t at = write_ip(packet->family, packet->from_host, IPPROTO_TCP, size, bytes);
    uint8_t *tcp = bytes + at;

    memset(tcp, 0, header_size);
    write_16(tcp, packet->from_host ? packet->host_port : packet->peer_port);
    write_16(tcp + 2, packet->from_host ? packet->peer_port : packet->host_port);
    write_32(tcp + 4, packet->sequence);
    write_32(tcp + 8, packet->acknowledgement);
    tcp[12] = (uint8_t)(header_size / 4 << 4);
    tcp[13] = packet->flags;
    write_16(tcp + 14, packet->window);
    write_16(tcp + 18, packet->urgent);
    memcpy(tcp + TCP_SIZE, packet->options, packet->option_size);
    if (packet->size > 0)
        memcpy(tcp + header_size, packet->data, packet->size);
    write_16(tcp + 16, (~payload_sum(bytes, IPPROTO_TCP, tcp, size) & 0xffff) ^ (packet->bad_checksum ? 1 : 0));
    return at + size;
}

bool packet_read(const uint8_t *bytes, size_t size, struct packet *packet, const char **why)
{
    bool is_v6 = bytes[0] >> 4 == 6;
    size_t at = is_v6 ? IP6_SIZE : IP_SIZE, length, header_size;
    const uint8_t *tcp = bytes + at;

    *why = NULL;
    if (size < at || bytes[is_v6 ? 6 : 9] != IPPROTO_TCP)
        return false;
    length = is_v6 ? read_16(bytes + 4) : read_16(bytes + 2) - IP_SIZE;
    if (length + at != size || length < TCP_SIZE || (!is_v6 && bytes[0] != 0x45)) {
        *why = "wrong lengths";
        return true;
    }
    header_size = (size_t)(tcp[12] >> 4) * 4;
    if (header_size < TCP_SIZE || header_size > length) {
        *why = "wrong length of header";
        return true;
    }
    if (payload_sum(bytes, IPPROTO_TCP, tcp, length) != 0xffff || (!is_v6 && checksum_add(0, bytes, IP_SIZE) != 0xffff))
        *why = "wrong checksum";
    *packet = (struct packet){.family = is_v6 ? AF_INET6 : AF_INET, .from_host = true,
                              .host_port = (uint16_t)read_16(tcp), .peer_port = (uint16_t)read_16(tcp + 2),
                              .sequence = read_32(tcp + 4), .acknowledgement = read_32(tcp + 8), .flags = tcp[13],
                              .window = (uint16_t)read_16(tcp + 14), .urgent = (uint16_t)read_16(tcp + 18),
                              .option_size = header_size - TCP_SIZE, .data = tcp + header_size,
                              .size = length - header_size};
    memcpy(packet->options, tcp + TCP_SIZE, packet->option_size);
    return true;
}

size_t packet_write_icmp(const struct packet *about, uint8_t type, uint8_t code, uint32_t word, uint8_t bytes[PACKET_MAX])
{
    uint8_t quoted[PACKET_MAX];
    bool is_v6 = about->family == AF_INET6;
    size_t quoted_size = packet_write(about, quoted), at;
    uint8_t *icmp;

    if (quoted_size > (is_v6 ? 200u : 28u))
        quoted_size = is_v6 ? 200 : 28;
    at = write_ip(about->family, false, is_v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 8 + quoted_size, bytes);
    icmp = bytes + at;
    icmp[0] = type;
    icmp[1] = code;
    write_16(icmp + 2, 0);
    write_32(icmp + 4, word);
    memcpy(icmp + 8, quoted, quoted_size);
    write_16(icmp + 2, ~(is_v6 ? payload_sum(bytes, IPPROTO_ICMPV6, icmp, 8 + quoted_size)
                               : checksum_add(0, icmp, 8 + quoted_size)) & 0xffff);
    return at + 8 + quoted_size;
}
