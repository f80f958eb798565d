/*
 * dhcp6_client.c - name servers and domains by stateless DHCPv6 (RFC 8415 18.2.6).
 *
 * In place of lwIP's dhcp6.c, which leaves out what a message must have (who asks, for how long), knows no domains and
 * asks again with every router advertisement. nd6.c says when a router announces that there is more to know; then one
 * Information-request is repeated until it is answered, and again when the answer grows old.
 */
#include "dhcp6_client.h"

#include <errno.h>
#include <string.h>

#include "stack/bytes.h"
#include "learned.h"
#include "stack/port.h"
#include "stack/wire/wire_netif.h"

#include "lwip/dhcp6.h"
#include "lwip/prot/dhcp6.h"
#include "lwip/prot/iana.h"

#define SECOND_US UINT64_C(1000000)
#define FIRST_TIMEOUT_US SECOND_US           /* INF_TIMEOUT */
#define LAST_TIMEOUT_US (3600 * SECOND_US)   /* INF_MAX_RT */
#define REFRESH_DEFAULT_S 86400u             /* IRT_DEFAULT */
#define REFRESH_MIN_S 600u                   /* IRT_MINIMUM */
#define REFRESH_MAX_S (365u * 86400)
#define DUID_SIZE 10                         /* DUID-LL: type 3, Ethernet, address */
#define REPLY_MAX 1500

enum { OPTION_REFRESH_TIME = 32 };

static struct udp_pcb *pcb; /* owned; NULL: not open */
static bool asking;
static uint32_t transaction;
static uint64_t first_us;   /* when the request was sent first */
static uint64_t timeout_us; /* until it is sent again */
static uint64_t due_us;     /* when something is to be done; 0: never */

static uint8_t *put_16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static void make_duid(uint8_t duid[DUID_SIZE])
{
    put_16(put_16(duid, DHCP6_DUID_LL), LWIP_IANA_HWTYPE_ETHERNET);
    memcpy(duid + 4, wire_netif_mac(), 6);
}

/* Send the request, for the first time or once more. */
static void send_request(void)
{
    ip_addr_t servers = IPADDR6_INIT_HOST(0xff020000, 0, 0, 0x00010002); /* All_DHCP_Relay_Agents_and_Servers */
    uint64_t elapsed = (port_now_us - first_us) / 10000;                  /* hundredths of a second */
    uint8_t message[64] = {DHCP6_INFOREQUEST, (uint8_t)(transaction >> 16), (uint8_t)(transaction >> 8),
                           (uint8_t)transaction};
    uint8_t *at = message + 4;
    struct pbuf *p;

    at = put_16(put_16(at, DHCP6_OPTION_CLIENTID), DUID_SIZE);
    make_duid(at);
    at += DUID_SIZE;
    at = put_16(put_16(at, DHCP6_OPTION_ELAPSED_TIME), 2);
    at = put_16(at, (unsigned)LWIP_MIN(elapsed, 0xffff));
    at = put_16(put_16(at, DHCP6_OPTION_ORO), 6);
    at = put_16(put_16(put_16(at, DHCP6_OPTION_DNS_SERVERS), DHCP6_OPTION_DOMAIN_LIST), OPTION_REFRESH_TIME);
    ip6_addr_assign_zone(ip_2_ip6(&servers), IP6_MULTICAST, wire_netif_get());
    p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)(at - message), PBUF_RAM);
    if (p != NULL) {
        memcpy(p->payload, message, (size_t)(at - message));
        /* While our link-local address is tentative this fails; there is a next time. */
        (void)udp_sendto_if(pcb, p, &servers, DHCP6_SERVER_PORT, wire_netif_get());
        pbuf_free(p);
    }
    due_us = port_now_us + timeout_us;
    timeout_us = LWIP_MIN(2 * timeout_us, LAST_TIMEOUT_US);
}

static void begin(void)
{
    asking = true;
    transaction = port_random() & 0xffffff;
    first_us = port_now_us;
    timeout_us = FIRST_TIMEOUT_US;
    send_request();
}

/* nd6.c: a router says whether there are servers for addresses, or for the rest. */
void dhcp6_nd6_ra_trigger(struct netif *netif, u8_t managed, u8_t other)
{
    (void)netif;
    if (pcb == NULL || (!managed && !other) || asking || due_us != 0)
        return;
    begin();
}

/* Is it the answer to our request, from a server and for us? It has size bytes. */
static bool is_ours(const uint8_t *message, size_t size)
{
    uint8_t duid[DUID_SIZE];
    bool from_server = false;
    size_t length;

    if (!asking || size < 4 || message[0] != DHCP6_REPLY ||
        ((uint32_t)message[1] << 16 | (uint32_t)message[2] << 8 | message[3]) != transaction)
        return false;
    make_duid(duid);
    for (size_t at = 4; at + 4 <= size; at += 4 + length) {
        length = read_16(message + at + 2);
        if (at + 4 + length > size)
            return false;
        if (read_16(message + at) == DHCP6_OPTION_SERVERID)
            from_server = length > 0;
        else if (read_16(message + at) == DHCP6_OPTION_CLIENTID &&
                 (length != DUID_SIZE || memcmp(message + at + 4, duid, DUID_SIZE) != 0))
            return false;
    }
    return from_server;
}

static void add_servers(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 16 <= size; at += 16) {
        ip_addr_t server;

        IP_SET_TYPE_VAL(server, IPADDR_TYPE_V6);
        ip6_addr_clear_zone(ip_2_ip6(&server));
        memcpy(ip_2_ip6(&server)->addr, bytes + at, 16);
        ip6_addr_assign_zone(ip_2_ip6(&server), IP6_UNICAST, wire_netif_get());
        learned_add_server(LEARNED_DHCP6, &server, LEARNED_FOR_EVER);
    }
}

static void on_message(void *arg, struct udp_pcb *from, struct pbuf *p, const ip_addr_t *address, u16_t port)
{
    uint8_t message[REPLY_MAX];
    size_t size = pbuf_copy_partial(p, message, sizeof message, 0);
    uint32_t refresh_s = REFRESH_DEFAULT_S;

    (void)arg;
    (void)from;
    (void)address;
    (void)port;
    pbuf_free(p);
    if (!is_ours(message, size))
        return;
    learned_remove(LEARNED_DHCP6);
    for (size_t at = 4; at + 4 <= size; at += 4 + read_16(message + at + 2)) {
        const uint8_t *value = message + at + 4;
        size_t length = read_16(message + at + 2);

        if (read_16(message + at) == DHCP6_OPTION_DNS_SERVERS)
            add_servers(value, length);
        else if (read_16(message + at) == DHCP6_OPTION_DOMAIN_LIST)
            learned_add_encoded_domains(LEARNED_DHCP6, value, length, false, LEARNED_FOR_EVER);
        else if (read_16(message + at) == OPTION_REFRESH_TIME && length == 4)
            refresh_s = read_32(value);
    }
    asking = false;
    due_us = port_now_us + LWIP_MAX(REFRESH_MIN_S, LWIP_MIN(refresh_s, REFRESH_MAX_S)) * SECOND_US;
}

void dhcp6_client_run(void)
{
    if (due_us == 0 || port_now_us < due_us)
        return;
    if (asking)
        send_request();
    else
        begin();
}

int64_t dhcp6_client_timer_us(void)
{
    if (due_us == 0)
        return -1;
    return due_us <= port_now_us ? 0 : (int64_t)(due_us - port_now_us);
}

int dhcp6_client_open(void)
{
    asking = false;
    due_us = 0;
    pcb = udp_new_ip_type(IPADDR_TYPE_V6);
    if (pcb == NULL)
        return -ENOMEM;
    udp_recv(pcb, on_message, NULL);
    return udp_bind(pcb, IP6_ADDR_ANY, DHCP6_CLIENT_PORT) == ERR_OK ? 0 : -ENOMEM;
}

void dhcp6_client_close(void)
{
    if (pcb != NULL)
        udp_remove(pcb);
    pcb = NULL;
    due_us = 0;
}
