/* sockopt_row.h - a row of the table of options (sockopt_table.c), private to the sockopt*.c files. */
#ifndef SIDESTACK_SOCKOPT_ROW_H
#define SIDESTACK_SOCKOPT_ROW_H

#include "sockopt.h"

/* Which sockets have the option. */
enum sockopt_on {
    ON_TCP = 1u << 0,
    ON_PLAIN_UDP = 1u << 1,
    ON_UDP_LITE = 1u << 2,
    ON_UDP = ON_PLAIN_UDP | ON_UDP_LITE,
    ON_PING = 1u << 3,
    ON_RAW = 1u << 4,
    ON_DATAGRAM = ON_UDP | ON_PING | ON_RAW,
    ON_ALL = ON_TCP | ON_DATAGRAM,
};

/* Where the value lives. */
enum sockopt_place {
    PLACE_STACK,    /* the stack: .where is an enum stack_tcp_option */
    PLACE_SWITCH,   /* the record, 0 or 1: .where is an enum sockopt_switch */
    PLACE_NUMBER,   /* the record: .where is an enum sockopt_number */
    PLACE_CONSTANT, /* nowhere: .where is the value */
    PLACE_CALL,     /* behind .get and .set; NULL: ENOPROTOOPT */
    PLACE_REFUSED,  /* nowhere: get fails with .where */
};

enum sockopt_flag {
    OPT_TRUTH = 1u << 0,         /* any value but 0 is 1 */
    OPT_ANY_LENGTH = 1u << 1,    /* .set looks at the length by itself */
    OPT_BYTE = 1u << 2,          /* IPPROTO_IP: at least a byte; else an empty value is 0 */
    OPT_EXACT = 1u << 3,         /* an int, no byte more or less */
    OPT_EMPTY = 1u << 4,         /* IPPROTO_IPV6: a short value is 0; else EINVAL */
    OPT_POLICY = 1u << 5,        /* an empty value is EMSGSIZE */
    OPT_ROOT = 1u << 6,          /* .set_error is only for those who are not root ... */
    OPT_ROOT_ON = 1u << 7,       /* ... and want another value than 0 */
    OPT_NOT_INHERITED = 1u << 8, /* accept() gives the default, not the listening socket's value */
    OPT_NOT_CONNECTED = 1u << 9, /* set: EINVAL when connected */
    OPT_NOT_LISTENING = 1u << 10,
    OPT_UNBOUND = 1u << 11,      /* set: EINVAL once it has a port */
    OPT_OFF_ON_IPV6 = 1u << 12,  /* PLACE_SWITCH: off at first on a socket of AF_INET6 */
};

struct sockopt_row;

/* Answer with sockopt_answer(). Return: 0 or -errno. */
typedef int sockopt_getter(const struct socket *socket, const struct sockopt_row *row,
                           const struct protocol_message *request, struct protocol_message *reply);

/* value: as an int, within the row's bounds; the whole of it is in the request. Return: 0 or -errno. */
typedef int sockopt_setter(struct socket *socket, const struct sockopt_row *row,
                           const struct protocol_message *request, int value, bool root);

struct sockopt_row {
    int level, name;
    unsigned on;    /* enum sockopt_on */
    unsigned flags; /* enum sockopt_flag */
    enum sockopt_place place;
    int where;
    int initial;          /* PLACE_SWITCH, PLACE_NUMBER, and numbers behind functions: of a new socket */
    int minimum, maximum; /* set: outside is EINVAL */
    int set_error;        /* set fails with it; 0: it does not */
    sockopt_getter *get;
    sockopt_setter *set;
};

/* sockopt_table.c */
extern const struct sockopt_row sockopt_rows[];
extern const size_t sockopt_row_count;

/* ---- sockopt.c: for the functions of rows ---- */

/* The value as getsockopt() gives it: cut to what was asked for. Return: 0. */
int sockopt_answer(const struct protocol_message *request, struct protocol_message *reply, const void *value,
                   size_t length);
/* The same for an int, which the IP level gives as one byte when no more was asked for. */
int sockopt_answer_int(const struct protocol_message *request, struct protocol_message *reply, int value);

void sockopt_note_switch(struct socket *socket, enum sockopt_switch which, bool on);
void sockopt_note_number(struct socket *socket, enum sockopt_number which, int value);

/* The stack's option of a TCP socket, also when TCP is gone: then 0, and what is set stays without effect, as on
 * Linux. */
int sockopt_get_stack(const struct socket *socket, enum stack_tcp_option option);
int sockopt_set_stack(struct socket *socket, enum stack_tcp_option option, int value);

/* ---- The functions of rows, by level ---- */

/* sockopt.c: for more than one. get: 0; nothing at all; the number in the record; a fixed error. */
sockopt_getter sockopt_get_zero, sockopt_get_empty, sockopt_get_number, sockopt_get_whole_number;
sockopt_setter sockopt_set_nothing;

/* sockopt_socket.c: SOL_SOCKET */
sockopt_getter sockopt_get_type, sockopt_get_domain, sockopt_get_protocol, sockopt_get_accepting, sockopt_get_linger,
    sockopt_get_peer_credentials, sockopt_get_peer_name, sockopt_get_device, sockopt_get_cookie, sockopt_get_namespace_cookie, sockopt_get_memory,
    sockopt_get_cpu, sockopt_get_filter_lock, sockopt_get_timestamp, sockopt_get_timestamping, sockopt_get_pacing_rate, sockopt_get_transmit_time;
sockopt_setter sockopt_set_linger, sockopt_set_device, sockopt_set_interface, sockopt_set_cpu, sockopt_set_buffer, sockopt_set_timestamp,
    sockopt_set_timestamping, sockopt_set_pacing_rate, sockopt_set_priority, sockopt_set_busy_poll, sockopt_set_filter,
    sockopt_set_filter_lock, sockopt_set_rehash, sockopt_set_reserved_memory, sockopt_set_device_memory;

/* The local port, 0: none yet. */
int sockopt_local_port(const struct socket *socket);

/* sockopt_ip.c: IPPROTO_IP, some IPPROTO_IPV6 too */
sockopt_getter sockopt_get_tos, sockopt_get_ttl, sockopt_get_mtu, sockopt_get_port;
sockopt_setter sockopt_set_tos, sockopt_set_ttl, sockopt_set_options, sockopt_set_unicast_interface, sockopt_set_port_range;

/* sockopt_datagram.c: IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP of datagram sockets */
sockopt_getter sockopt_get_device, sockopt_get_filter4, sockopt_get_filter6, sockopt_get_coverage;
sockopt_setter sockopt_set_byte, sockopt_set_hops, sockopt_set_filter4, sockopt_set_filter6, sockopt_set_checksum,
    sockopt_set_coverage;

/* What a raw socket has from its protocol. */
void sockopt_set_raw_defaults(struct socket *socket);

/* sockopt_multicast.c: groups, sources and interfaces of datagram sockets */
sockopt_setter sockopt_set_multicast_interface, sockopt_set_multicast_interface6, sockopt_set_membership, sockopt_set_membership6,
    sockopt_set_source, sockopt_set_group, sockopt_set_group_source;

/* sockopt_ip6.c: IPPROTO_IPV6. get_structure, set_structure: .initial is a structure's size, .where what it fails
 * with. */
sockopt_getter sockopt_get_address_form, sockopt_get_hops6, sockopt_get_traffic_class, sockopt_get_path_mtu,
    sockopt_get_structure, sockopt_get_preferences;
sockopt_setter sockopt_set_hops6, sockopt_set_traffic_class, sockopt_set_mtu6, sockopt_set_structure, sockopt_set_headers,
    sockopt_set_packet_info, sockopt_set_packet_options, sockopt_set_preferences;

/* sockopt_tcp.c: IPPROTO_TCP */
sockopt_getter sockopt_get_mss, sockopt_get_cork, sockopt_get_info, sockopt_get_congestion, sockopt_get_linger2, sockopt_get_queue_sequence, sockopt_get_time;
sockopt_setter sockopt_set_mss, sockopt_set_cork, sockopt_set_congestion, sockopt_set_window_clamp, sockopt_set_linger2,
    sockopt_set_defer_accept, sockopt_set_protocol_name, sockopt_set_queue_sequence;

#endif
