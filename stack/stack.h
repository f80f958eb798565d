/*
 * stack.h - the TCP/IP stack as the service sees it.
 *
 * One stack a process (lwIP's state is global). Single-threaded: every function here, and every callback, runs on the
 * thread that called stack_open(). No lwIP type shows. Errors are 0 or -errno.
 *
 * The owner polls stack_wire_fd() for reading and calls, once a turn of its loop:
 *   stack_set_clock(now), stack_receive() when the wire is readable, stack_run_timers() when stack_timer_ms() is due,
 *   and stack_flush() before it sleeps.
 *
 * Callbacks only say that something changed; the owner may call any function of the socket from inside one, except
 * that it must not destroy OTHER sockets. An owner pointer that was taken away (stack_tcp_close, stack_tcp_abort) is
 * never called again.
 */
#ifndef SIDESTACK_STACK_H
#define SIDESTACK_STACK_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* An address and a port, both in network byte order, as sockets have them. */
union stack_address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct wire;         /* wire.h */
struct stack_prefix; /* interface.h */
struct stack_route;

/* Explicit congestion notification: agreed to when a peer asks, asked for by our connections, too, or never. */
enum stack_ecn { STACK_ECN_ACCEPT, STACK_ECN_REQUEST, STACK_ECN_OFF };

struct stack_config {
    struct wire *wire;               /* taken: closed by stack_close(), also when stack_open() fails */
    const char *name;                /* of the interface on the wire, as programs see it */
    const struct stack_prefix *addresses; /* on the wire; none: loopback only */
    size_t address_count;
    const struct stack_route *routes;
    size_t route_count;
    uint16_t mtu;                    /* 576 to 65521, bytes of IP packet */
    uint8_t mac[6];                  /* the stack's own, not the device's other end */
    bool resumes;                    /* goes on where another process stops: nothing is sent before stack_resume() (handover.h) */
    bool impairable;                 /* wire is one of wire_impair_open() */
    bool dhcp;                       /* ask for an IPv4 address by DHCP */
    enum stack_ecn ecn;              /* of TCP: never, asked for by our connections, too, or only agreed to */
    bool slaac;                      /* heed router advertisements: IPv6 addresses, routes, name servers; and stateless DHCPv6 */
    const char *hostname;            /* that a DHCP server is told; NULL: none */
    /* Addresses, routes, or what the network told us of name servers changed; called from stack_run_timers(). NULL:
     * nobody is told. */
    void (*changed)(void *context);
    void *changed_context;
};

/* Figures since stack_open(). */
struct stack_counters {
    uint64_t frames_in, bytes_in, frames_in_dropped;
    uint64_t frames_out, bytes_out, frames_out_dropped; /* a GSO frame counts as one */
    uint64_t tcp_segments_retransmitted;
    uint64_t datagrams_in, datagrams_out;   /* to and from datagram sockets */
    uint64_t datagrams_no_port;             /* nobody wanted them */
    uint64_t datagrams_dropped;             /* the socket had no room */
    uint64_t datagrams_malformed;           /* bad lengths and checksums */
    size_t datagram_sockets;
    size_t transmit_bytes; /* memory that holds data not yet acknowledged, all sockets */
    size_t receive_bytes;  /* memory that holds data not yet consumed, all sockets */
    size_t sockets;        /* of TCP that exist, those on their way out included */
    size_t time_waits;     /* of these, in TIME-WAIT */
    size_t sockets_unfinished; /* of these, all that still have something to send or to hear: not those in TIME-WAIT */
};

/* Start the stack; the clock must be set. Return: 0 or -errno: -EEXIST an address is there twice, -ENOSPC too many of
 * them. */
int stack_open(const struct stack_config *config);

/* Abort every connection, free everything, close the wire. */
void stack_close(void);

/* The descriptor to poll for reading; owned by the stack; -1: the wire has none. */
int stack_wire_fd(void);

/* The time of this turn of the loop: CLOCK_MONOTONIC in microseconds. */
void stack_set_clock(uint64_t now_us);

/* Read at most max_frames frames from the wire, and no more after 256 KiB, and process them.
 * Return: how many, or -errno when reading failed. */
int stack_receive(unsigned max_frames);

/* Did the last of these end because it was much, and is there probably more? */
bool stack_has_more(void);

/* Milliseconds until stack_run_timers() has something to do; -1: nothing is due. 0 also when packets wait on the
 * stack's own loopback. */
int stack_timer_ms(void);

/* The same in microseconds, for a loop that can sleep that finely. */
int64_t stack_timer_us(void);

/* Run what is due, and deliver packets that wait on the loopback. */
void stack_run_timers(void);

/* Hand every frame that was gathered for sending to the wire. */
void stack_flush(void);

/* The same without acknowledgements that data may still take along; do any wait? */
void stack_flush_data(void);
bool stack_acknowledgements_wait(void);

/* The wire was gone and is back, perhaps with others at its other end: ask for their Ethernet addresses anew, and tell
 * them ours. */
void stack_wire_is_back(void);

/* Change how the wire treats frames (impairment.h has the syntax; NULL: do not), and write the settings to text.
 * Return: 0, -EOPNOTSUPP (the wire has no such layer), -ENOMEM, or -EINVAL with text beginning where it was not
 * understood. */
int stack_impair(const char *settings, char *text, size_t size);

/* What an impaired wire did. Return: false: it has no such layer. */
struct wire_impair_counters;
bool stack_count_impairments(struct wire_impair_counters *counters);

void stack_get_counters(struct stack_counters *counters);

/* ---- TCP ---- */

struct stack_tcp; /* a connection or a listening socket */

/*
 * What an owner is told. All may be NULL for a socket that can't see them.
 */
struct stack_tcp_events {
    /* The handshake of stack_tcp_connect() is complete. */
    void (*connected)(void *owner);
    /* A listening socket has a new, established connection; call stack_tcp_adopt(child) here, or it is reset. */
    void (*accepted)(void *owner, struct stack_tcp *child);
    /* Data was appended to the receive queue, or the peer's FIN came (stack_tcp_receive_ended()). */
    void (*received)(void *owner);
    /* The peer acknowledged data: there is room in the send queue again, perhaps it is empty. */
    void (*sent)(void *owner);
    /* The connection is gone, error is a positive errno (ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH,
     * ENETUNREACH, ECONNABORTED, ENOMEM). What was received before stays in the queue and may be consumed. The owner
     * still calls stack_tcp_close(). Nothing is called after this. */
    void (*failed)(void *owner, int error);
};

/* Can this listening socket take one more connection? Asked for each SYN; false drops it, and the peer tries again. */
typedef bool stack_tcp_may_accept(void *owner);

/* Make a socket of AF_INET or AF_INET6; the latter takes and shows IPv4 addresses v4-mapped. Return: NULL when out of
 * memory. */
struct stack_tcp *stack_tcp_open(int family, const struct stack_tcp_events *events, void *owner);

/* Give a child of an accepted() callback its owner. */
void stack_tcp_adopt(struct stack_tcp *tcp, const struct stack_tcp_events *events, void *owner);

/* bind(2), with Linux's rules for reuse (STACK_TCP_REUSEADDR, STACK_TCP_REUSEPORT); port 0 chooses one at once. Return:
 * 0, -EADDRINUSE, -EADDRNOTAVAIL, -EINVAL (bound already; a v4-mapped address with IPV6_V6ONLY; link-local without a
 * scope), -ENODEV (no such scope), -EAFNOSUPPORT. */
int stack_tcp_bind(struct stack_tcp *tcp, const union stack_address *address);

/* listen(2); binds to a port by itself if need be. may_accept may be NULL. Return: 0, -EADDRINUSE, -EINVAL. */
int stack_tcp_listen(struct stack_tcp *tcp, stack_tcp_may_accept *may_accept);

/* Begin the handshake; 0.0.0.0 and :: mean the loopback, as on Linux. Return: 0 (connected() or failed() follows),
 * -ENETUNREACH (no route),
 * -EADDRNOTAVAIL (no port is free), -EADDRINUSE, -EAFNOSUPPORT, -ENOMEM. After failed() or an error here the same socket may be
 * bound and connected again; its options are kept, and its port if it was bound by stack_tcp_bind(). */
int stack_tcp_connect(struct stack_tcp *tcp, const union stack_address *peer);

/*
 * Sending. The queue belongs to the stack: reserve room, fill it (a read straight from a descriptor), commit. Nothing
 * is copied again; the memory is released when the peer has acknowledged it.
 *
 * stack_tcp_send_room(): bytes that the queue will take now; 0 when it is full. stack_tcp_send_is_worthwhile(): after
 * the queue was full: is there so much room again that it pays to go on (as on Linux, a third)? It
 *     becomes true at the latest when all is acknowledged.
 * stack_tcp_send_reserve(): up to want bytes of memory (at most STACK_TCP_IOV pieces) in iov. Return: the number of
 * pieces, 0 when there is no
 *     room or no memory. Valid until the next call on this socket; commit 0 bytes to give it back.
 * stack_tcp_send_commit(): the first length bytes of what was reserved are data: queue them and send what may be sent.
 * more: the owner has
 *     more to commit at once (no PSH yet). Return: 0 or -EPIPE (after stack_tcp_shutdown_send() or failure).
 * stack_tcp_send_commit_part(): the same, but what does not fill a segment waits for the next commit, for at most 200
 * ms, as under TCP_CORK. stack_tcp_shutdown_send(): FIN behind all data.
 */
#define STACK_TCP_IOV 16
size_t stack_tcp_send_room(const struct stack_tcp *tcp);
bool stack_tcp_send_is_worthwhile(const struct stack_tcp *tcp);
int stack_tcp_send_reserve(struct stack_tcp *tcp, size_t want, struct iovec iov[STACK_TCP_IOV]);
int stack_tcp_send_commit(struct stack_tcp *tcp, size_t length, bool more);
int stack_tcp_send_commit_part(struct stack_tcp *tcp, size_t length);
int stack_tcp_shutdown_send(struct stack_tcp *tcp);
/* Bytes committed and not acknowledged; those of them that were never sent. */
size_t stack_tcp_send_queued(const struct stack_tcp *tcp);
size_t stack_tcp_send_unsent(const struct stack_tcp *tcp);

/*
 * Receiving: a queue of what arrived in order, to be written on with one writev.
 *
 * stack_tcp_receive_peek(): the head of the queue as at most max pieces. Return: the number of pieces. Valid until the
 * next call on this socket. stack_tcp_receive_consume(): the first length bytes went on to the program: free them and
 * open the window. stack_tcp_receive_ended(): the peer sent FIN (true also while data before it is still queued).
 */
size_t stack_tcp_receive_queued(const struct stack_tcp *tcp);
int stack_tcp_receive_peek(const struct stack_tcp *tcp, struct iovec *iov, int max);
void stack_tcp_receive_consume(struct stack_tcp *tcp, size_t length);
bool stack_tcp_receive_ended(const struct stack_tcp *tcp);

/*
 * Ends. In both cases the owner lets go: no callback comes after, the pointer is dead.
 * stack_tcp_close(): the program closed. Queued data is still sent, then FIN; the stack finishes alone. Data that comes
 *     later, or that was received and not consumed, resets the connection (RFC 1122 4.2.2.13), as on Linux.
 * stack_tcp_abort(): RST now, queued data is dropped.
 */
void stack_tcp_close(struct stack_tcp *tcp);
void stack_tcp_abort(struct stack_tcp *tcp);

/* Dissolve what is there (connect(2) with AF_UNSPEC, shutdown(2) of a listening socket): RST to the peer, queues
 * dropped, no callback. The socket is as new, with its options, and with its port if it was bound. Not from a callback
 * of this socket. */
void stack_tcp_disconnect(struct stack_tcp *tcp);

/* Return: 0, -ENOTCONN (peer, when not connected). An unbound socket's local address is 0.0.0.0:0. */
int stack_tcp_local_address(const struct stack_tcp *tcp, union stack_address *address);
int stack_tcp_peer_address(const struct stack_tcp *tcp, union stack_address *address);

/* Options, kept for the life of the socket, inherited by accepted connections. Values and units are those of the Linux
 * option of the same name; the caller has checked ranges. */
enum stack_tcp_option {
    STACK_TCP_REUSEADDR,    /* SO_REUSEADDR: 0, 1 */
    STACK_TCP_REUSEPORT,    /* SO_REUSEPORT: 0, 1 */
    STACK_TCP_KEEPALIVE,    /* SO_KEEPALIVE: 0, 1 */
    STACK_TCP_KEEPIDLE,     /* seconds */
    STACK_TCP_KEEPINTVL,    /* seconds */
    STACK_TCP_KEEPCNT,      /* probes */
    STACK_TCP_NODELAY,      /* 0, 1 */
    STACK_TCP_CORK,         /* 0, 1: hold back what does not fill a segment, for at most 200 ms */
    STACK_TCP_SYNCNT,       /* SYNs sent again before ETIMEDOUT */
    STACK_TCP_USER_TIMEOUT, /* milliseconds; 0: the default */
    STACK_TCP_MAXSEG,       /* bytes; 0: by the path */
    STACK_IP_TTL,           /* 1 to 255 */
    STACK_IP_TOS,           /* 0 to 255 */
    STACK_IP_FREEBIND,      /* 0, 1: bind() to any address */
    STACK_IP_TRANSPARENT,   /* 0, 1: the same */
    STACK_IPV6_V6ONLY,      /* 0, 1; set before bind(), which sets it for a specific IPv6 address */
    STACK_IPV6_HOP_LIMIT,   /* 1 to 255, for connections over IPv6; over IPv4 it is the TTL */
    STACK_IPV6_TRAFFIC_CLASS, /* 0 to 255, likewise */
    STACK_TCP_SEND_BUFFER,    /* bytes that the send queue takes; 0: as the path needs */
    STACK_TCP_RECEIVE_WINDOW, /* bytes; 0: as the path needs */
    STACK_TCP_NOTSENT_LOWAT,  /* bytes not sent that the send queue takes; 0: all */
    STACK_TCP_QUICKACK,       /* 0: acknowledgements wait for data to ride on; 1: not now; it changes by itself, as on Linux */
    STACK_TCP_LINGER2,        /* seconds in FIN-WAIT-2 after a close; negative: none */
    STACK_IP_LOCAL_PORT_RANGE, /* the first port in the lower half, the last in the upper one; 0: the usual one */
    STACK_IP_MINTTL,           /* 0 to 255: packets with a smaller TTL are dropped */
    STACK_IPV6_MINHOPCOUNT,    /* 0 to 255: the same for the hop limit */
    STACK_IP_BIND_INTERFACE,   /* index, 0: any */
    STACK_TCP_BLACKHOLE,       /* 0, 1: what the next connection sends is lost, nothing comes back */
    STACK_TCP_OPTION_COUNT
};
int stack_tcp_set_option(struct stack_tcp *tcp, enum stack_tcp_option option, int value);
int stack_tcp_get_option(const struct stack_tcp *tcp, enum stack_tcp_option option);

/* Choose congestion control by Linux's name for it ("cubic", "reno"); accepted connections inherit it. Return: 0 or
 * -ENOENT. */
int stack_tcp_set_congestion(struct stack_tcp *tcp, const char *name);
const char *stack_tcp_get_congestion(const struct stack_tcp *tcp);

/* The true figures of the connection, in Linux's structure (the first fields up to tcpi_total_retrans; the rest is
 * zero). */
void stack_tcp_get_info(const struct stack_tcp *tcp, struct tcp_info *info);

/* What Linux's own struct tcp_info (linux/tcp.h, 6.18) has behind the end of the C library's; names without tcpi_. */
struct stack_tcp_more_info {
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
};
_Static_assert(sizeof(struct tcp_info) == 104 && offsetof(struct stack_tcp_more_info, snd_wnd) == 228 - 104, "as Linux has it");
void stack_tcp_get_more_info(const struct stack_tcp *tcp, struct stack_tcp_more_info *more);

#endif
