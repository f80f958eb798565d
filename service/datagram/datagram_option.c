/*
 * datagram_option.c - makes the options of a datagram socket true.
 *
 * The record has every option as the program set it (sockopt_table.c). Some are acted on by the stack, some by the
 * pair (the buffers), and those that ask for control messages by the library, which is told with every datagram. All
 * are passed on after each change: options are set rarely, and one way for all is plain.
 */
#include "datagram_option.h"

#include "datagram_relay.h"
#include "service/log/log.h"
#include "service/sockopt/sockopt.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/net_tstamp.h>

#define RECEIVE_SOFTWARE (SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE)

static const struct {
    enum sockopt_switch from;
    enum protocol_datagram_flag flag;
} control_flags[] = {
    {SWITCH_PACKET_INFO, PROTOCOL_DATAGRAM_PKTINFO},
    {SWITCH_RECEIVE_TTL, PROTOCOL_DATAGRAM_TTL},
    {SWITCH_RECEIVE_TOS, PROTOCOL_DATAGRAM_TOS},
    {SWITCH_RECEIVE_DESTINATION, PROTOCOL_DATAGRAM_DESTINATION},
    {SWITCH6_PACKET_INFO, PROTOCOL_DATAGRAM_PKTINFO6},
    {SWITCH6_RECEIVE_HOP_LIMIT, PROTOCOL_DATAGRAM_HOP_LIMIT},
    {SWITCH6_RECEIVE_CLASS, PROTOCOL_DATAGRAM_CLASS},
    {SWITCH6_RECEIVE_DESTINATION, PROTOCOL_DATAGRAM_DESTINATION6},
    {SWITCH_OVERFLOW, PROTOCOL_DATAGRAM_OVERFLOW},
    {SWITCH_GRO, PROTOCOL_DATAGRAM_GRO},
};

static const struct {
    enum sockopt_switch from;
    enum stack_datagram_option to;
} stack_switches[] = {
    {SWITCH_BROADCAST, STACK_DATAGRAM_BROADCAST},
    {SWITCH_MULTICAST_LOOP, STACK_DATAGRAM_MULTICAST_LOOP},
    {SWITCH_MULTICAST_ALL, STACK_DATAGRAM_MULTICAST_ALL},
    {SWITCH_NO_CHECK, STACK_DATAGRAM_NO_CHECK},
    {SWITCH_REUSE_ADDRESS, STACK_DATAGRAM_REUSEADDR},
    {SWITCH_REUSE_PORT, STACK_DATAGRAM_REUSEPORT},
    {SWITCH_GRO, STACK_DATAGRAM_GRO},
    {SWITCH6_ONLY, STACK_DATAGRAM_V6ONLY},
    {SWITCH6_MULTICAST_LOOP, STACK_DATAGRAM_MULTICAST_LOOP6},
    {SWITCH6_MULTICAST_ALL, STACK_DATAGRAM_MULTICAST_ALL6},
};

static const struct {
    enum sockopt_number from;
    enum stack_datagram_option to;
} stack_numbers[] = {
    {NUMBER_MTU_DISCOVER, STACK_DATAGRAM_MTU_DISCOVER},
    {NUMBER_TTL, STACK_DATAGRAM_TTL},
    {NUMBER_TOS, STACK_DATAGRAM_TOS},
    {NUMBER_MULTICAST_TTL, STACK_DATAGRAM_MULTICAST_TTL},
    {NUMBER_SEGMENT, STACK_DATAGRAM_SEGMENT},
    {NUMBER_SEND_COVERAGE, STACK_DATAGRAM_SEND_COVERAGE},
    {NUMBER_RECEIVE_COVERAGE, STACK_DATAGRAM_RECEIVE_COVERAGE},
    {NUMBER_MULTICAST_INTERFACE, STACK_DATAGRAM_MULTICAST_INTERFACE},
    {NUMBER6_MTU_DISCOVER, STACK_DATAGRAM_MTU_DISCOVER6},
    {NUMBER6_HOP_LIMIT, STACK_DATAGRAM_HOP_LIMIT},
    {NUMBER6_TRAFFIC_CLASS, STACK_DATAGRAM_TRAFFIC_CLASS},
    {NUMBER6_MULTICAST_HOPS, STACK_DATAGRAM_MULTICAST_HOPS},
    {NUMBER6_CHECKSUM, STACK_DATAGRAM_CHECKSUM},
    {NUMBER6_MULTICAST_INTERFACE, STACK_DATAGRAM_MULTICAST_INTERFACE6},
};

static void set_stack(struct datagram *datagram, enum stack_datagram_option option, int value)
{
    if (stack_datagram_get_option(datagram->stack, option) != value)
        (void)stack_datagram_set_option(datagram->stack, option, value);
}

/* Options that have a name for each family and one meaning. */
static bool is_either(const struct socket *socket, enum sockopt_switch ip4, enum sockopt_switch ip6)
{
    return sockopt_switch(socket, ip4) || sockopt_switch(socket, ip6);
}

static uint16_t find_control_flags(const struct socket *socket)
{
    uint16_t flags = stack_datagram_kind_is_udp(socket->datagram->kind) ? 0 : PROTOCOL_DATAGRAM_ASK;

    for (size_t i = 0; i < sizeof control_flags / sizeof *control_flags; i++)
        if (sockopt_switch(socket, control_flags[i].from))
            flags |= (uint16_t)control_flags[i].flag;
    switch (sockopt_number(socket, NUMBER_TIMESTAMP)) {
    case 0:
        break;
    case SO_TIMESTAMPNS_OLD:
    case SO_TIMESTAMPNS_NEW:
        flags |= PROTOCOL_DATAGRAM_TIMESTAMPNS;
        break;
    default:
        flags |= PROTOCOL_DATAGRAM_TIMESTAMP;
        break;
    }
    if ((sockopt_number(socket, NUMBER_TIMESTAMPING) & RECEIVE_SOFTWARE) == RECEIVE_SOFTWARE)
        flags |= PROTOCOL_DATAGRAM_TIMESTAMPING;
    return flags;
}

/* Give an end of the pair the size that the program sees, which is what the kernel makes of half of it. */
static void set_buffer(const struct socket *socket, int fd, int seen)
{
    int size = seen / 2;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0)
        log_warn("datagram: socket %llu: its buffer keeps its size" LOG_FAULT, (unsigned long long)socket->id);
}

void datagram_option_changed(struct socket *socket, int program_fd)
{
    struct datagram *datagram = socket->datagram;

    datagram->control_flags = find_control_flags(socket);
    for (size_t i = 0; i < sizeof stack_switches / sizeof *stack_switches; i++)
        set_stack(datagram, stack_switches[i].to, sockopt_switch(socket, stack_switches[i].from));
    for (size_t i = 0; i < sizeof stack_numbers / sizeof *stack_numbers; i++)
        set_stack(datagram, stack_numbers[i].to, sockopt_number(socket, stack_numbers[i].from));
    set_stack(datagram, STACK_DATAGRAM_RECEIVE_ERRORS, is_either(socket, SWITCH_RECEIVE_ERROR, SWITCH6_RECEIVE_ERROR));
    set_stack(datagram, STACK_DATAGRAM_FREEBIND, is_either(socket, SWITCH_FREEBIND, SWITCH6_FREEBIND));
    set_stack(datagram, STACK_DATAGRAM_TRANSPARENT, is_either(socket, SWITCH_TRANSPARENT, SWITCH6_TRANSPARENT));
    set_stack(datagram, STACK_DATAGRAM_HEADER_INCLUDED,
              is_either(socket, SWITCH_HEADER_INCLUDED, SWITCH6_HEADER_INCLUDED));
    if (datagram->bind_interface != sockopt_number(socket, NUMBER_BIND_INTERFACE)) {
        /* Only when it was set: the stack has it also from the scope of an address. */
        datagram->bind_interface = sockopt_number(socket, NUMBER_BIND_INTERFACE);
        set_stack(datagram, STACK_DATAGRAM_BIND_INTERFACE, datagram->bind_interface);
    }
    datagram->is_corked = sockopt_switch(socket, SWITCH_CORK);
    if (!datagram->is_corked)
        (void)datagram_relay_uncork(socket);
    if (program_fd >= 0) {
        set_buffer(socket, socket->pair_fd, sockopt_number(socket, NUMBER_RECEIVE_BUFFER));
        set_buffer(socket, program_fd, sockopt_number(socket, NUMBER_SEND_BUFFER));
    }
}
