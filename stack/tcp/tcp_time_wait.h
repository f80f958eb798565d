/* tcp_time_wait.h - connections in TIME-WAIT. Private to the stack. */
#ifndef SIDESTACK_TCP_TIME_WAIT_H
#define SIDESTACK_TCP_TIME_WAIT_H

#include "stack/inspect.h"
#include "stack/lwip_api.h"
#include "tcp_lookup.h"

struct segment_facts;

/* What is left of a connection. */
struct time_wait {
    struct time_wait *next;        /* in its bucket (tcp_lookup.c) */
    struct time_wait **link;       /* what points to it there */
    struct time_wait *port_next;   /* of those with the same local port (tcp_bind.c) */
    struct time_wait **port_link;
    struct time_wait *older, *newer; /* by when the time began */
    ip_addr_t local, peer;
    uint16_t local_port, peer_port; /* host byte order */
    uint32_t sent, received;        /* next sequence numbers */
    uint32_t window, stamp;         /* announced; the peer's last timestamp, when has_stamps */
    uint64_t since_us;              /* when the time began */
    uint64_t answered_us;           /* when a segment was answered that needed none, last; 0: never */
    uint64_t received_us;           /* when data came last */
    struct stack_label label;
    uint8_t family;                 /* AF_INET, AF_INET6: the socket's */
    uint8_t flags;                  /* enum time_wait_flags */
    uint8_t ttl, tos, scale, interface;
};

enum time_wait_flags {
    TIME_WAIT_HAS_STAMPS = 1,
    TIME_WAIT_HAS_SCALE = 2,
    TIME_WAIT_REUSE_ADDRESS = 4, /* SO_REUSEADDR */
    TIME_WAIT_REUSE_PORT = 8,    /* SO_REUSEPORT */
    TIME_WAIT_V6ONLY = 16,
};

extern struct time_wait *time_wait_oldest; /* linked by newer */
extern size_t time_wait_count;

/* A control block has come to TIME-WAIT: keep what is needed of it, and free it. The socket may be gone afterwards. */
void tcp_time_wait_take(struct tcp_pcb *pcb);

/* One that another process had (tcp_handover.c): its memory from .local on. */
void tcp_time_wait_restore(const void *from_local);

/* Return: a control block for lwIP to find, for the time of one segment; NULL: there is none with these ends. */
struct tcp_pcb *tcp_time_wait_place(const struct tcp_ends *ends);

/* A segment for it: answer it. Return: true when it begins a new connection in its place, and the old one is gone. */
bool tcp_time_wait_decide(const struct segment_facts *segment, const struct tcp_hdr *header);

/* May a connection of ours with these ends begin? One in TIME-WAIT makes way when late segments can be told from the
 * new one's. taken: the program has bound the port, and waits for none. Return: true, and the old one, if any, is
 * gone. */
bool tcp_time_wait_make_way(const struct tcp_ends *ends, bool bound);
/* The same, without doing it. */
bool tcp_time_wait_would_make_way(const struct tcp_ends *ends, bool bound);

/* End it. */
void tcp_time_wait_remove(struct time_wait *wait);
void tcp_time_wait_remove_all(void);

/* End those whose time is over. */
void tcp_time_wait_run(void);
/* Return: when there is something to end; TCP_CLOCK_NEVER: nothing. */
uint64_t tcp_time_wait_due_us(void);

#endif
