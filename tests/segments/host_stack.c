/* host_stack.c - our stack on a wire of memory. Time is virtual. */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "tests/unit/datagram_fixture.h"
#include "tests/unit/stack_fixture.h"

#define ETHERNET_SIZE 14

static int family;
static struct told listener, accepted, connected;
static struct told *current; /* the one that the case means; NULL: none */

static void fail_case(const char *why)
{
    ck_abort_msg("%s", why);
}

static void setup(int wanted_family)
{
    family = wanted_family;
    stack_setup_dual(0);
    peer_resolve();
    if (family == AF_INET6)
        peer_resolve6(PEER_IP6);
    wire_drop_all();
}

static void teardown(void)
{
    struct told *all[] = {&listener, &accepted, &connected};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->tcp != NULL)
            stack_tcp_close(all[i]->tcp);
    stack_teardown();
}

static void put(const uint8_t *packet, size_t size)
{
    static uint8_t frame[66000];

    memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
    memcpy(frame + 12, packet[0] >> 4 == 6 ? "\x86\xdd" : "\x08\0", 2);
    memcpy(frame + ETHERNET_SIZE, packet, size);
    wire_put(NULL, frame, ETHERNET_SIZE + size);
    stack_turn();
}

static size_t take(uint8_t *packet, size_t size)
{
    const struct frame *frame;
    size_t length;

    stack_turn();
    while ((frame = wire_take()) != NULL && frame->bytes[12] == 8 && frame->bytes[13] == 6) /* ARP */
        peer_resolve();
    if (frame == NULL)
        return 0;
    length = frame->size - ETHERNET_SIZE;
    memcpy(packet, frame->bytes + ETHERNET_SIZE, length < size ? length : size);
    return length;
}

static void wait_ms(unsigned milliseconds)
{
    stack_advance(milliseconds);
}

static int host_listen(void)
{
    union stack_address address = address_of(family == AF_INET6 ? "::" : "0.0.0.0", LISTEN_PORT);
    int error;

    listener.child_told = &accepted;
    listener.tcp = stack_tcp_open(family, &told_events, &listener);
    current = &listener;
    error = stack_tcp_bind(listener.tcp, &address);
    return error != 0 ? error : stack_tcp_listen(listener.tcp, NULL);
}

static int host_connect(void)
{
    union stack_address address = address_of(family == AF_INET6 ? PEER_IP6 : PEER_IP, CONNECT_PORT);

    if (connected.tcp != NULL)
        stack_tcp_close(connected.tcp);
    memset(&connected, 0, sizeof connected);
    connected.tcp = stack_tcp_open(family, &told_events, &connected);
    current = &connected;
    return stack_tcp_connect(connected.tcp, &address);
}

static int host_accept(void)
{
    if (listener.accepted == 0)
        return -EAGAIN;
    listener.accepted--;
    current = &accepted;
    return 0;
}

static ssize_t host_send(const void *bytes, size_t size)
{
    if (current->failed)
        return -EPIPE;
    send_bytes(current->tcp, bytes, size);
    stack_turn();
    return (ssize_t)size;
}

static ssize_t host_receive(void *bytes, size_t size)
{
    size_t got = receive_bytes(current->tcp, bytes, size);

    if (got > 0)
        return (ssize_t)got;
    if (current->failed)
        return -current->error;
    return stack_tcp_receive_ended(current->tcp) ? 0 : -EAGAIN;
}

static int host_shutdown(void)
{
    return stack_tcp_shutdown_send(current->tcp);
}

static int host_close(void)
{
    stack_tcp_close(current->tcp);
    current->tcp = NULL;
    current = current == &accepted ? &listener : NULL;
    return 0;
}

static int host_abort(void)
{
    stack_tcp_abort(current->tcp);
    current->tcp = NULL;
    current = current == &accepted ? &listener : NULL;
    return 0;
}

static const struct {
    const char *name;
    enum stack_tcp_option option;
} options[] = {{"NODELAY", STACK_TCP_NODELAY}, {"QUICKACK", STACK_TCP_QUICKACK}, {"KEEPALIVE", STACK_TCP_KEEPALIVE},
               {"KEEPIDLE", STACK_TCP_KEEPIDLE}, {"KEEPINTVL", STACK_TCP_KEEPINTVL}, {"KEEPCNT", STACK_TCP_KEEPCNT},
               {"USER_TIMEOUT", STACK_TCP_USER_TIMEOUT}, {"RCVBUF", STACK_TCP_RECEIVE_WINDOW},
               {"SYNCNT", STACK_TCP_SYNCNT}, {"MAXSEG", STACK_TCP_MAXSEG}, {"LINGER2", STACK_TCP_LINGER2},
               {"REUSEADDR", STACK_TCP_REUSEADDR}};

static int host_set(const char *name, int value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return stack_tcp_set_option(current->tcp, options[i].option, value);
    return -ENOPROTOOPT;
}

static int host_get(const char *name, int *value)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0) {
            *value = stack_tcp_get_option(current->tcp, options[i].option);
            return 0;
        }
    return -ENOPROTOOPT;
}

static int host_error(void)
{
    int error = current->failed ? current->error : 0;

    current->error = 0;
    return error;
}

static int host_state(void)
{
    struct tcp_info info;

    stack_tcp_get_info(current->tcp, &info);
    return info.tcpi_state;
}

const struct host host = {
    .name = "stack", .fail_case = fail_case, .setup = setup, .teardown = teardown, .put = put, .take = take, .wait = wait_ms, .listen = host_listen,
    .connect = host_connect, .accept = host_accept, .send = host_send, .receive = host_receive, .shutdown = host_shutdown,
    .close = host_close, .abort = host_abort, .set = host_set, .get = host_get, .error = host_error, .state = host_state,
};
