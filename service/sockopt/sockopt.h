/* sockopt.h - getsockopt(2) and setsockopt(2) for what the pair itself does not hold. */
#ifndef SIDESTACK_SOCKOPT_H
#define SIDESTACK_SOCKOPT_H

#include "service/protocol.h"
#include "service/socket.h"

/* Options that are 0 or 1, kept in struct socket_options. */
enum sockopt_switch {
    SWITCH_DEBUG,
    SWITCH_DONT_ROUTE,
    SWITCH_BROADCAST,
    SWITCH_OOB_INLINE,
    SWITCH_NO_CHECK,
    SWITCH_OVERFLOW, /* SO_RXQ_OVFL */
    SWITCH_WIFI_STATUS,
    SWITCH_NO_FCS,
    SWITCH_LOCK_FILTER,
    SWITCH_SELECT_ERROR_QUEUE,
    SWITCH_PREFER_BUSY_POLL,
    SWITCH_RECEIVE_MARK,
    SWITCH_RECEIVE_PRIORITY,
    SWITCH_RECEIVE_OPTIONS,
    SWITCH_RETURN_OPTIONS,
    SWITCH_PACKET_INFO,
    SWITCH_RECEIVE_ERROR,
    SWITCH_RECEIVE_ERROR_RFC4884,
    SWITCH_RECEIVE_TTL,
    SWITCH_RECEIVE_TOS,
    SWITCH_RECEIVE_SECURITY,
    SWITCH_RECEIVE_DESTINATION, /* IP_RECVORIGDSTADDR */
    SWITCH_RECEIVE_CHECKSUM,
    SWITCH_RECEIVE_FRAGMENT_SIZE,
    SWITCH_NO_DEFRAGMENT,
    SWITCH_BIND_NO_PORT,
    SWITCH_MULTICAST_LOOP,
    SWITCH_MULTICAST_ALL,
    SWITCH_THIN_STREAM,
    SWITCH_FAST_OPEN_CONNECT,
    SWITCH_FAST_OPEN_NO_COOKIE,
    SWITCH_RECEIVE_INQ,
    SWITCH6_PACKET_INFO_2292,
    SWITCH6_HOP_OPTIONS_2292,
    SWITCH6_DESTINATION_OPTIONS_2292,
    SWITCH6_ROUTING_2292,
    SWITCH6_HOP_LIMIT_2292,
    SWITCH6_RECEIVE_FLOW,
    SWITCH6_RECEIVE_ERROR,
    SWITCH6_RECEIVE_ERROR_RFC4884,
    SWITCH6_MULTICAST_LOOP,
    SWITCH6_MULTICAST_ALL,
    SWITCH6_ROUTER_ALERT_ISOLATE,
    SWITCH6_SEND_FLOW,
    SWITCH6_HEADER_INCLUDED,
    SWITCH6_PACKET_INFO,
    SWITCH6_RECEIVE_HOP_LIMIT,
    SWITCH6_HOP_OPTIONS,
    SWITCH6_ROUTING,
    SWITCH6_DESTINATION_OPTIONS,
    SWITCH6_RECEIVE_PATH_MTU,
    SWITCH6_DONT_FRAGMENT,
    SWITCH6_RECEIVE_CLASS,
    SWITCH6_AUTO_FLOW_LABEL,
    SWITCH6_RECEIVE_DESTINATION,
    SWITCH6_TRANSPARENT,
    SWITCH6_RECEIVE_FRAGMENT_SIZE,
    SWITCH6_FREEBIND,
    /* Datagram sockets alone; TCP's are in the stack. */
    SWITCH_KEEP_ALIVE,
    SWITCH_REUSE_ADDRESS,
    SWITCH_REUSE_PORT,
    SWITCH_FREEBIND,
    SWITCH_TRANSPARENT,
    SWITCH_HEADER_INCLUDED,
    SWITCH_CORK,
    SWITCH_PAIR_OPTIONS, /* the program's end has options that accept() passes on */
    SWITCH_GRO,
    SWITCH_NO_CHECK6_SEND,
    SWITCH_NO_CHECK6_RECEIVE,
    SWITCH6_ONLY,
    SWITCH_COUNT
};

/* Options that are numbers, kept there too. */
enum sockopt_number {
    NUMBER_SEND_BUFFER,
    NUMBER_RECEIVE_BUFFER,
    NUMBER_PRIORITY,
    NUMBER_MARK,
    NUMBER_BUSY_POLL,
    NUMBER_TIMESTAMP,      /* the name of the SO_TIMESTAMP variant that is on; 0: none */
    NUMBER_TIMESTAMPING,   /* SOF_TIMESTAMPING_* */
    NUMBER_INCOMING_CPU,   /* and 1; 0: not set */
    NUMBER_BIND_INTERFACE, /* SO_BINDTOIFINDEX */
    NUMBER_BUFFER_LOCK,
    NUMBER_REHASH,
    NUMBER_MTU_DISCOVER,
    NUMBER_MINIMUM_TTL,
    NUMBER_MULTICAST_TTL,
    NUMBER_MULTICAST_ADDRESS,
    NUMBER_UNICAST_INTERFACE,
    NUMBER_PORT_RANGE,
    NUMBER_DEFER_ACCEPT,
    NUMBER_WINDOW_CLAMP,
    NUMBER_FAST_OPEN,
    NUMBER_THIN_TIMEOUTS,
    NUMBER_SAVE_SYN,
    NUMBER_RTO_MAX,
    NUMBER_RTO_MIN,
    NUMBER_DELAYED_ACK_MAX,
    NUMBER_CONGESTION,
    NUMBER6_MTU_DISCOVER,
    NUMBER6_MTU,
    NUMBER6_HOP_LIMIT,
    NUMBER6_TRAFFIC_CLASS,
    NUMBER6_ADDRESS_PREFERENCES,
    NUMBER6_MINIMUM_HOPS,
    NUMBER6_UNICAST_INTERFACE,
    NUMBER6_ROUTER_ALERT,
    /* Datagram sockets alone; TCP's are in the stack. */
    NUMBER_TTL,
    NUMBER_TOS,
    NUMBER_MULTICAST_INTERFACE,
    NUMBER_SEGMENT,
    NUMBER_SEND_COVERAGE,    /* UDPLITE_SEND_CSCOV; -1: not set */
    NUMBER_RECEIVE_COVERAGE, /* UDPLITE_RECV_CSCOV; the same */
    NUMBER6_MULTICAST_HOPS,
    NUMBER6_MULTICAST_INTERFACE,
    NUMBER6_CHECKSUM,
    NUMBER_COUNT
};
_Static_assert(SWITCH_COUNT <= 64 * SOCKET_SWITCH_WORDS && NUMBER_COUNT <= SOCKET_NUMBERS, "room for each");

/* The options of a new socket; its domain, type and protocol are known. */
void sockopt_set_defaults(struct socket *socket);

/* The options of a connection that was accepted: the listening socket's, but for those that Linux does not pass on. */
void sockopt_inherit(struct socket *socket, const struct socket *listener);

/* The sizes of buffers and windows that were set, made true: after a set, and for a new connection. */
void sockopt_apply_buffers(struct socket *socket);

/* What is set, for those who act on it. */
bool sockopt_switch(const struct socket *socket, enum sockopt_switch which);
int sockopt_number(const struct socket *socket, enum sockopt_number which);

/* TCP is about to be done with the socket: TCP_INFO goes on to tell what it did, as on Linux. */
void sockopt_keep_info(struct socket *socket);
/* That goes to another service (stack/archive.h). */
struct archive;
void sockopt_handover_info(struct archive *archive, struct socket *socket);

/* Both: args[0] level, args[1] name, as protocol.h says; root: may do what needs CAP_NET_ADMIN on Linux.
 * Return: 0 or -errno as Linux gives it. */
int sockopt_get(const struct socket *socket, const struct protocol_message *request, struct protocol_message *reply);
int sockopt_set(struct socket *socket, const struct protocol_message *request, bool root);

#endif
