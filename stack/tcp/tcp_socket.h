/* tcp_socket.h - struct stack_tcp, private to the tcp_*.c files, and what they share. */
#ifndef SIDESTACK_TCP_SOCKET_H
#define SIDESTACK_TCP_SOCKET_H

#include "stack/inspect.h"
#include "stack/lwip_api.h"
#include "stack/memory.h"
#include "receive_block.h"
#include "tcp_acknowledge.h"
#include "tcp_ecn.h"
#include "tcp_lookup.h"
#include "tcp_sack.h"
#include "tcp_sender.h"
#include "tcp_statistics.h"
#include "tcp_time_wait.h"

/* What the socket is to its owner; lwIP's state is in the control block. */
enum tcp_role {
    TCP_ROLE_NEW,        /* neither connects nor listens; perhaps bound */
    TCP_ROLE_LISTENING,
    TCP_ROLE_CONNECTING, /* SYN sent */
    TCP_ROLE_INCOMING,   /* SYN received on a listening socket */
    TCP_ROLE_CONNECTED,  /* the handshake was completed; stays so while the connection ends in order */
    TCP_ROLE_FAILED,     /* the connection died; may connect again */
};

struct send_chunk {
    struct send_chunk *next;
    uint32_t capacity;
    uint32_t filled; /* committed bytes */
    uint32_t handed; /* of these, handed to lwIP */
    uint32_t acked;  /* of these, acknowledged */
    uint8_t class;   /* enum block_class */
    uint8_t data[];
};

struct send_queue {
    struct send_chunk *head;    /* owned, with all that follow; oldest data first */
    struct send_chunk *tail;
    struct send_chunk *filling; /* the first with free room; NULL: none */
    struct send_chunk *handing; /* the first with data that lwIP does not have; NULL: none */
    size_t queued;              /* bytes committed, not acknowledged */
    size_t unhanded;            /* of these, not handed to lwIP */
    size_t memory;
    struct memory_user *user;   /* whose memory that is: the socket's */
    uint32_t segment_fill;      /* bytes in lwIP's last segment while it is unsent */
    uint32_t small_end;         /* where the last short segment that was sent ends */
};

struct receive_queue {
    struct receive_block *head; /* owned, with all that follow */
    struct receive_block *tail;
    size_t queued; /* bytes */
    size_t memory;
    struct memory_user *user; /* whose memory that is: the socket's */
};

struct receive_window {
    uint32_t size;     /* what it is when nothing is queued, where the option does not say it */
    uint32_t debt;     /* bytes of it that are not to open again */
    uint64_t since_us; /* since when the owner has ... */
    uint32_t consumed; /* ... consumed so many bytes */
    uint32_t rtt_us;   /* smoothed, and the least ... */
    uint32_t least_rtt_us; /* ... by the peer's echoes of our timestamps; 0: none came */
};

struct stack_tcp {
    struct tcp_pcb *pcb; /* lwIP's; it dies by itself and tells tcp_socket_on_destroy(). NULL: none (any more) */
    const struct stack_tcp_events *events;
    void *owner;
    enum tcp_role role;
    bool owned;         /* the owner has not let go */
    uint8_t depth;      /* callbacks of lwIP about this socket that are on the call stack */
    bool abort_pending; /* the owner let go inside one: do it on the way out */
    bool close_pending;
    bool bound;          /* by stack_tcp_bind() */
    bool part;           /* what was committed last is to wait for what follows */
    bool shut;           /* no more data from the owner: FIN is wanted ... */
    bool fin_handed;     /* ... and was given to lwIP */
    bool received_fin;
    bool fin_waits;      /* the peer's came, at least once, before all data */
    bool crossed;        /* the peer's SYN crossed ours */
    bool restored;       /* from a SYN cookie */
    bool finished;       /* both directions ended in order */

    int family;          /* AF_INET or AF_INET6 */
    ip_addr_t local;     /* network byte order; of type IPADDR_TYPE_ANY: :: that stands for 0.0.0.0, too */
    ip_addr_t peer;
    uint16_t local_port; /* host byte order */
    uint16_t peer_port;
    ip_addr_t bound_address; /* what stack_tcp_bind() said, for the next try; unspecified: nothing */
    struct stack_tcp *port_next; /* in the port table (tcp_bind.c) */
    struct stack_tcp **port_link; /* what points to this one there; NULL: it is not in the table */
    struct stack_tcp *lookup_next; /* in the table of connections (tcp_lookup.c) */
    struct stack_tcp **lookup_link; /* what points to this one there; NULL: it is not in the table */
    struct tcp_clock timer;         /* when lwIP's timers are to look at it (tcp_timer.c) */
    uint32_t timer_ticks;           /* when they did last */

    struct stack_tcp *listener; /* of an incoming one: who will be told; NULL: it closed */
    unsigned incoming;          /* of a listening one: handshakes that are not complete */
    struct stack_tcp *incoming_first; /* these, linked by incoming_next, the latest first */
    struct stack_tcp *incoming_next, **incoming_link;
    stack_tcp_may_accept *may_accept;

    struct send_queue send;
    struct tcp_sender sender;
    struct acknowledger acknowledger;
    struct tcp_ecn ecn;
    struct receive_queue receive;
    struct receive_window window;
    int options[STACK_TCP_OPTION_COUNT];

    int soft_error;             /* errno of an ICMP message since the peer's last acknowledgement; 0: none */
    uint64_t answered_us;       /* when a segment was answered that needed none, last; 0: never */
    uint64_t connect_us;        /* when the handshake began */
    uint64_t unresolved_us;     /* since when the neighbour's address is unknown; 0: it is known */
    uint64_t retransmitting_us; /* since when nothing was acknowledged; 0: all is well */
    uint64_t window_closed_us;  /* since when data waits for the peer's window to open; 0: none does */
    uint64_t fin_wait_us;       /* since when a closed connection waits for the peer's FIN; 0: it does not */
    uint64_t cork_us;           /* since when corked data waits; 0: none */
    uint32_t rtt_us, rttvar_us; /* smoothed, RFC 6298 */
    uint32_t retransmitted;     /* segments */
    uint64_t received_us;       /* when data came last */
    uint64_t sent_us;           /* when data was sent last */

    struct stack_label label;              /* inspect.h */
    struct memory_user *user;              /* held; never NULL; the label's */
    uint32_t handover_number;              /* while the stack's state is written: this socket in it */
    struct stack_tcp *all_prev, *all_next; /* list of all sockets */
};

extern struct stack_tcp *tcp_sockets; /* head of the list */
extern struct stack_counters tcp_counters; /* the fields about TCP */

/* tcp_socket.c: life and death. */
int tcp_socket_open_all(void);
void tcp_socket_close_all(void);
struct stack_tcp *tcp_socket_new(void);
/* Its memory is this one's from now on; held by the caller before, by the socket afterwards. */
void tcp_socket_set_user(struct stack_tcp *tcp, struct memory_user *user);
size_t tcp_socket_count_unfinished(void);
void tcp_socket_attach(struct stack_tcp *tcp, struct tcp_pcb *pcb);
void tcp_socket_detach(struct stack_tcp *tcp);
void tcp_socket_enter(struct stack_tcp *tcp);
err_t tcp_socket_leave(struct stack_tcp *tcp);
/* Give the socket lwIP's callbacks; it is connected, or will be. */
void tcp_socket_set_callbacks(struct stack_tcp *tcp);
/* The connection dies now, without a segment: tell the owner. */
void tcp_socket_fail(struct stack_tcp *tcp, int error, bool reset);
void tcp_socket_release(struct stack_tcp *tcp);

/* tcp_bind.c: which ports are taken. */
bool tcp_bind_conflicts(const struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port);
/* Which listening socket is a connection for? NULL: none. */
struct stack_tcp *tcp_bind_find_listener(const struct tcp_ends *ends);
/* By which interface does a socket that is bound to one reach the address, or is reached by it? Our own are the wire's,
 * as on Linux. */
unsigned tcp_bind_interface_of(const ip_addr_t *address);
uint16_t tcp_bind_choose_port(const struct stack_tcp *tcp);
/* Return: a port for a connection with these ends, whose local_port does not count; 0: there is none. */
uint16_t tcp_bind_choose_connect_port(const struct stack_tcp *tcp, const struct tcp_ends *destination);
void tcp_bind_enter_wait(struct time_wait *wait);
void tcp_bind_remove_wait(struct time_wait *wait);
void tcp_bind_enter(struct stack_tcp *tcp, const ip_addr_t *address, uint16_t port);
/* The unspecified address as a socket of this family and with these options means it. */
ip_addr_t tcp_bind_any(const struct stack_tcp *tcp);
void tcp_bind_remove(struct stack_tcp *tcp);
/* Those that have this port, linked by port_next; the ones that listen come first. */
const struct stack_tcp *tcp_bind_first(uint16_t port);
bool tcp_bind_is_ours(const ip_addr_t *address);

/* tcp_listen.c */
err_t tcp_listen_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb);
/* What the SYN that lwIP is about to get says of the MSS, or stands for when it says nothing. */
void tcp_listen_note_mss(uint16_t mss);
void tcp_listen_forget(struct stack_tcp *tcp);
extern unsigned tcp_listen_half_open; /* handshakes under way that we remember, of all listening sockets */

/* tcp_filter.c: a segment came for a connection in TIME-WAIT that made way for a new one, or with a SYN cookie: input
 * it again. */
void tcp_filter_replay(void);

/* tcp_handover.c fills a socket that it has made: what the owner committed, what came, whom an incoming one belongs to,
 * and lwIP's callback of one that connects. Return: false when memory is short. */
bool tcp_send_append(struct stack_tcp *tcp, const void *bytes, size_t length);
/* Return: for how many bytes the queue has room, if it may take `most` bytes of memory. */
size_t tcp_send_memory_room(const struct stack_tcp *tcp, size_t most);
bool tcp_receive_append(struct stack_tcp *tcp, const void *bytes, size_t length);
void tcp_listen_restore(struct stack_tcp *tcp, struct stack_tcp *listener);
void tcp_connect_set_callback(struct stack_tcp *tcp);

/* tcp_push.c */
void tcp_send_push(struct stack_tcp *tcp, bool more);
/* lwIP's segments have another size: know how full the last is. */
void tcp_send_count_fill(struct stack_tcp *tcp);

/* tcp_send.c */
void tcp_send_trim_acknowledged(struct stack_tcp *tcp);
void tcp_send_release(struct stack_tcp *tcp);
err_t tcp_send_on_sent(void *arg, struct tcp_pcb *pcb, u16_t length);
void tcp_send_start(struct stack_tcp *tcp);

/* tcp_receive.c */
err_t tcp_receive_on_data(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error);
void tcp_receive_release(struct stack_tcp *tcp);

/* tcp_window.c */
/* The connection is established, or its SYN was taken: begin with the window that was asked for. */
void tcp_window_start(struct stack_tcp *tcp);
/* What a SYN announces instead of window. */
uint16_t tcp_window_of_syn(const struct stack_tcp *tcp, uint16_t window);
/* A full segment came, with an echo of the timestamp that we sent so long ago. */
void tcp_window_on_echo(struct stack_tcp *tcp, uint32_t age_ms);
/* The owner consumed length bytes. */
void tcp_window_open(struct stack_tcp *tcp, size_t length);
/* STACK_TCP_RECEIVE_WINDOW was set. */
void tcp_window_change(struct stack_tcp *tcp);
/* Is memory so short that so many bytes from there on have to be dropped? What the least window promises never has to
 * be. */
bool tcp_window_must_drop(const struct stack_tcp *tcp, uint32_t sequence, size_t size);
/* What the send queue takes now. */
size_t tcp_window_send_room(const struct stack_tcp *tcp);

/* tcp_option.c */
void tcp_option_set_defaults(struct stack_tcp *tcp);
void tcp_option_apply_all(struct stack_tcp *tcp);

/* tcp_path_mtu.c */
/* Make segments of at most this size from now on; what was larger and is on its way is lost. Return: whether the
 * connection lives. */
bool tcp_path_mtu_shrink(struct stack_tcp *tcp, uint16_t size);
/* Bytes of IP packet that reach the peer whole; and of TCP segment in them. */
uint16_t tcp_path_mtu_get(const struct stack_tcp *tcp);
uint16_t tcp_path_mtu_segment(const struct stack_tcp *tcp);
/* A time-out, before anything is sent again: the path may swallow what is large. Return: whether the connection
 * lives. */
bool tcp_path_mtu_on_time_out(struct stack_tcp *tcp);
/* While a piece of a segment is tried: so many bytes arrived as one segment that was sent. */
void tcp_path_mtu_on_delivery(struct stack_tcp *tcp, uint32_t length);
/* Are the connection's segments larger than what passes? */
bool tcp_path_mtu_is_less(const struct stack_tcp *tcp);
/* May a router's word be taken now, or came too many? */
bool tcp_path_mtu_may_change(void);
/* Smaller ones than before may reach this host (NULL: any). */
void tcp_path_mtu_changed(const ip_addr_t *peer);

/* tcp_timer.c: something happens on the connection: its timers may be needed. */
void tcp_timer_wake(struct stack_tcp *tcp);
/* The connection's timers begin with what its control block says. */
void tcp_timer_start(struct stack_tcp *tcp);
/* Why is a connection given up whose peer is silent? Return: a positive errno. */
int tcp_timer_reason(const struct stack_tcp *tcp);

/* tcp_socket.c: tcp_abort(), so that a peer with a closed window takes the reset. */
void tcp_socket_abort(struct tcp_pcb *pcb);

#endif
