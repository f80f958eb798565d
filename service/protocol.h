/*
 * protocol.h - what the program's library and the service say to each other.
 *
 * The one header that crosses the process line. Included by intercept/ and service/ alike; it has no pointers and only
 * fixed-width types.
 *
 * Control connection: an AF_UNIX SOCK_SEQPACKET connection to the service's control socket. The program sends one
 * struct protocol_message (a request) and receives one struct protocol_message (its reply) before it sends the next.
 * Both are always exactly sizeof(struct protocol_message), but for PROTOCOL_RESOLVE and PROTOCOL_CAPTURE, where DNS
 * messages or a filter follow it in the same packet; anything else ends the connection. A reply repeats the request's
 * operation and carries 0 or a negative errno in `result`.
 *
 * A request about a socket carries that socket's descriptor (SCM_RIGHTS): holding it is the right to control it. The
 * service finds the socket by the descriptor's inode and closes the copy it received before it replies. Passing a
 * descriptor is dear, so a process that has one of its own TCP sockets may name it instead (PROTOCOL_FLAG_BY_NUMBER).
 *
 * Besides, there are two things that the program can find without asking:
 *  - the service's end of every pair is bound to an abstract name that begins with PROTOCOL_NAME_PREFIX, so
 *    getpeername() on the program's end says "one of ours", and the next character says how the socket was born;
 *  - a listening descriptor delivers one struct protocol_accepted for each new connection.
 *
 * A datagram socket (UDP, UDP-Lite, ping, raw) has a SOCK_SEQPACKET pair. Each message in it, both ways, is one struct
 * protocol_datagram and then the datagram's bytes: the library adds and strips the header. So a datagram of no bytes is
 * a message, an end of file is the service's end, and every message says by itself whom it is from or for.
 */
#ifndef SIDESTACK_PROTOCOL_H
#define SIDESTACK_PROTOCOL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_MAGIC 0x7373746bu /* "sstk" */
#define PROTOCOL_VERSION 5u

/* The abstract name of the service's end is '\0' PROTOCOL_NAME_PREFIX KIND '/' and a random number of the service's,
 * printable. */
#define PROTOCOL_NAME_PREFIX "sidestack/"
#define PROTOCOL_NAME_KIND_SOCKET 's'   /* made by PROTOCOL_SOCKET: ask PROTOCOL_STATUS for its state */
#define PROTOCOL_NAME_KIND_ACCEPTED 'a' /* born connected, through a listening socket */
#define PROTOCOL_NAME_KIND_DATAGRAM 'd' /* made by PROTOCOL_SOCKET; carries struct protocol_datagram */

/* Longest option value either way; struct tcp_info is the largest that Linux has (248 bytes in 6.18). */
#define PROTOCOL_OPTION_MAX 256

enum protocol_operation {
    /* Make a socket. in: args[0] domain, args[1] type without SOCK_NONBLOCK and SOCK_CLOEXEC, args[2] protocol, args[3]
     * 1: the program has given up CAP_NET_RAW; of TCP sockets: how many like it are wanted besides, at most
     * PROTOCOL_SPARES_MAX. Reply: one descriptor, blocking, the program's from then on. Not writable until connected.
     * args[0] enum protocol_on_death. Of TCP sockets: args[1] how many more descriptors came behind it, perhaps fewer
     * than wanted; args[2] and args[3] its number and the instance (PROTOCOL_FLAG_BY_NUMBER), the others have the
     * numbers that follow. */
    PROTOCOL_SOCKET = 1,

    /* bind(2). in: descriptor, address. */
    PROTOCOL_BIND,

    /* listen(2). in: descriptor, args[0] backlog. The reply comes after the socket listens. From then on the
     * descriptor delivers struct protocol_accepted messages. May be repeated to change the backlog.
     * -ESTALE with a descriptor: as for PROTOCOL_CONNECT. */
    PROTOCOL_LISTEN,

    /* connect(2). in: descriptor, address, flags; family AF_UNSPEC dissolves what is there. Without PROTOCOL_FLAG_WAIT
     * the reply comes at once (-EINPROGRESS when the handshake began); with it, when the connection is established (0)
     * or failed. A program that stops waiting closes its control connection; the handshake goes on.
     * -ESTALE with a descriptor: the old pair was used up by a failed connect. The program puts this new one in place
     * (dup3) and asks again. */
    PROTOCOL_CONNECT,

    /* shutdown(2) of a socket that is not connected (a connected one is shut down on the pair itself).
     * in: descriptor, args[0] how. */
    PROTOCOL_SHUTDOWN,

    /* getsockname(2), getpeername(2). in: descriptor. Reply: address. */
    PROTOCOL_GETSOCKNAME,
    PROTOCOL_GETPEERNAME,

    /* getsockopt(2), setsockopt(2), for every option that the pair itself does not hold. With PROTOCOL_FLAG_ONE_WAY the
     * program sets what can't fail, and goes on without a reply: what it writes next may be read before. So it tells
     * that it has set an option of the pair (SO_RCVTIMEO and its like), which accept() passes on. in: descriptor,
     * args[0] level, args[1] name, option_length; for set the value too. Reply: for get the value and its length, cut
     * to the length asked for as Linux cuts it. */
    PROTOCOL_GETSOCKOPT,
    PROTOCOL_SETSOCKOPT,

    /* What is this socket doing? in: descriptor. Reply: args[0] enum protocol_state, args[1] errno that ended it (0 if
     * none; it stays, "once" is the business of the pair's own SO_ERROR), args[2] bytes that the program wrote and the
     * peer has not acknowledged (SIOCOUTQ), args[3] those of them not sent yet (SIOCOUTQNSD). */
    PROTOCOL_STATUS,

    /* close(2) of a socket with SO_LINGER, in two steps, because the service can see the close only once nobody holds
     * the descriptor. First, in: descriptor. Reply: args[0] and args[1] its number, args[2] seconds to linger, 0: no
     * need to. Then, when it is closed, in: flags with PROTOCOL_FLAG_WAIT, args[0] and args[1] as they came. The reply
     * comes when the peer has acknowledged all data, or at once when there is nothing to wait for: the socket is no
     * more, or others still hold it. */
    PROTOCOL_LINGER,

    /* How the wire treats frames (sidestack impair). in: option, the settings as text without an end
     * (stack/wire/impairment.h), length 0: only ask. For root and the user that the service runs as. Reply: option, the
     * settings in force; with -EINVAL the text from where it was not understood. */
    PROTOCOL_IMPAIR,

    /* The stack's interfaces and their addresses. No descriptor. in: args[0] the first that is wanted (0: from the
     * start). Reply: option: as many struct protocol_interface as there are and fit, args[0] how many there are in all.
     * First come the interfaces, by index, then the addresses of IPv4, then those of IPv6. */
    PROTOCOL_INTERFACES,

    /* How did the datagram go that carried this number (protocol_datagram.number)? in: descriptor, args[0] the number.
     * The result is what sending it gave; so the library learns the errno in the same call of the program. 0 also when
     * the number is not known (any more). Reply: args[0] 1: another one like it, of any content, can go without a
     * number; 2: if it goes to the same port, from now on always. */
    PROTOCOL_SEND_RESULT,

    /* recvmsg(2) with MSG_ERRQUEUE. in: descriptor. Reply: address: where the datagram was to go; option: struct
     * protocol_queued_error and as much of the datagram as fits. -EAGAIN: there is none. */
    PROTOCOL_ERROR_QUEUE,

    /* What a program needs to know to look up names. Reply: args[0] PROTOCOL_FAMILY_* of the stack's own addresses, the
     * loopback's not counted; option: the domains to search, each with its '\0'. */
    PROTOCOL_RESOLVER,

    /* Send one or two DNS messages to the name servers. in: args[0] and args[1] their lengths (the second may be 0),
     * args[2] PROTOCOL_RESOLVE_*; the messages follow the request, PROTOCOL_QUERY_MAX bytes each at most. The reply
     * comes when both are answered, or given up. Reply: args[0] and args[1] the lengths of the answers, which follow
     * it; where one is 0, args[2] or args[3] is the negative errno that says why. A program that stops waiting closes
     * its control connection. -EAGAIN: this user has too many lookups under way. */
    PROTOCOL_RESOLVE,

    /* From which address would the stack send to these? in: option: up to PROTOCOL_ROUTES_MAX struct protocol_route.
     * Reply: the same, filled in. */
    PROTOCOL_ROUTES,

    /* What is going on (sidestack ss, stats and their like). in: args[0] enum protocol_query, args[1] PROTOCOL_QUERY_*
     * flags, args[2] which states: a bit for each of Linux's numbers (1 << TCP_LISTEN ...), 0: all. Reply: one
     * descriptor, a pipe to read: JSON, one object a line, the last one {"end":...}. Without that the answer is not
     * complete: the service ended, or gave up a reader that did not read. -EAGAIN: this user has too many under way. */
    PROTOCOL_QUERY,
    /* What the program did to a socket so far, when it did not all fit a reply of -PROTOCOL_ON_HOST. in: descriptor,
     * args[0] args[3] of the reply before. Reply: as there. */
    PROTOCOL_SETTINGS,

    /* The rules (sidestack rules). No descriptor. in: args[0] index of a rule, args[1] 0: its text is wanted, 1: the
     * file that it is from. Reply: args[0] how many there are, args[1] line, args[2] and args[3] hits, option: the
     * text. With PROTOCOL_FLAG_TEST: what would happen? in: args[1] protocol and args[2] role (service/rules.h),
     * address, args[3] user, option: path of the program. Reply: args[0] action, -1: that depends, args[1] index of the
     * rule, -1: none, args[2] errno. */
    PROTOCOL_RULES,

    /* End sockets (sidestack kill): RST to the peer, ECONNABORTED to the program; a listening socket listens no more,
     * one of datagrams has no peer. in: option: the numbers of up to PROTOCOL_KILL_MAX sockets, uint64_t each, as
     * PROTOCOL_QUERY_SOCKETS tells them. Reply: args[0] how many ended; result the first error:
     * -EPERM (another user's), -ENOENT (it is no more), -EOPNOTSUPP (a ping's). */
    PROTOCOL_KILL,

    /* Frames of the wire (sidestack capture). For root and the user that the service runs as. in: args[0] bytes of each
     * that are wanted, 0: all; args[1] how many instructions of a BPF filter follow the request in its packet, at most
     * PROTOCOL_CAPTURE_FILTER_MAX, 0: no filter; args[2] only a process's, 0: everybody's; option: only those of
     * programs with this name (of /proc/PID/comm, without an end). Reply: one descriptor, a pipe to read: struct
     * protocol_frame and the frame, without end. -EAGAIN: too many captures. */
    PROTOCOL_CAPTURE,

    /* Another service takes this one's place (service/takeover/takeover.h). For root and the user that the service runs
     * as. Reply: one descriptor, to speak with this service about it. -EBUSY: another one is at it. */
    PROTOCOL_TAKEOVER,

    /* TCP_CORK of a connected socket. in: descriptor, args[0] PROTOCOL_CORK_SET: cork it, and say by which memory that
     * is done without a request from now on. Reply: args[0] page, 0: by none; else args[1] slot, args[2] number, and one
     * descriptor: the page (PROTOCOL_CORK_SLOTS). PROTOCOL_CORK_RELEASE: the slot was uncorked, and said
     * PROTOCOL_CORK_HELD. PROTOCOL_CORK_CHILDREN, of a listening socket: what is accepted from it has slots in the page
     * of who asks, unless it is another user's already. Both with PROTOCOL_FLAG_ONE_WAY. */
    PROTOCOL_CORK,

    PROTOCOL_OPERATION_COUNT
};

/* What a program is to do when it wants a socket and the service is gone. */
enum protocol_on_death {
    PROTOCOL_ON_DEATH_FAIL = 0, /* ENETDOWN */
    PROTOCOL_ON_DEATH_WAIT,     /* until it is back */
    PROTOCOL_ON_DEATH_HOST,     /* a socket of the kernel's */
};

/* PROTOCOL_QUERY. docs/tools.md has the fields. */
enum protocol_query {
    PROTOCOL_QUERY_SERVICE = 1, /* one object: the service itself */
    PROTOCOL_QUERY_SOCKETS,     /* an object for each socket that the user may see: one's own; root and the service's user: all */
    PROTOCOL_QUERY_STATS,       /* one object: counters of all layers */
    PROTOCOL_QUERY_NETWORK,     /* one object: addresses, routes, neighbours, name servers, the wire */
    PROTOCOL_QUERY_COUNT
};

/* For PROTOCOL_QUERY_SOCKETS. */
#define PROTOCOL_QUERY_TCP 1      /* which ones; none of the first four: all */
#define PROTOCOL_QUERY_UDP 2
#define PROTOCOL_QUERY_RAW 4
#define PROTOCOL_QUERY_PING 8
#define PROTOCOL_QUERY_INFO 16    /* with the connection's figures */
#define PROTOCOL_QUERY_FLAGS 31

#define PROTOCOL_KILL_MAX (PROTOCOL_OPTION_MAX / sizeof(uint64_t))

enum protocol_state {
    PROTOCOL_STATE_NEW = 0,    /* made, perhaps bound; neither connects nor listens */
    PROTOCOL_STATE_LISTENING,
    PROTOCOL_STATE_CONNECTING, /* SYN sent */
    PROTOCOL_STATE_CONNECTED,  /* the handshake was completed; the pair carries what follows, FINs included */
    PROTOCOL_STATE_FAILED,     /* connect failed; may connect again */
    PROTOCOL_STATE_RESET,      /* was connected, then died with the errno given */
};

/* protocol_message.flags */
#define PROTOCOL_FLAG_WAIT 1u    /* reply when it has ended: PROTOCOL_CONNECT the handshake, PROTOCOL_LINGER the sending */
#define PROTOCOL_FLAG_ONE_WAY 2u /* no reply: PROTOCOL_SETSOCKOPT, PROTOCOL_CORK */

#define PROTOCOL_FLAG_TEST 4u    /* PROTOCOL_RULES: ask what they say */

/* Instead of a descriptor: args[2] the number and args[3] the instance, as the service told them when it made the
 * socket. For TCP sockets that this process, known by its control connections, made or accepted from such a one, so it
 * needs not show that it has them, and for those operations that use neither. Any other socket: -PROTOCOL_SHOW; with
 * PROTOCOL_FLAG_ONE_WAY, nothing happens. */
#define PROTOCOL_FLAG_BY_NUMBER 8u
#define PROTOCOL_SHOW EBADE /* show the descriptor */

#define PROTOCOL_SPARES_MAX 7

/*
 * The result of PROTOCOL_SOCKET, BIND, LISTEN, CONNECT and SEND_RESULT by which the rules say: this socket belongs to
 * the kernel's network. For all but PROTOCOL_SOCKET the reply has args[0] domain, args[1] type, args[2] protocol, and
 * option: struct protocol_setting, one after the other, what the program did to the socket so far; args[3] not 0: there
 * is more (PROTOCOL_SETTINGS). The program makes such a socket, puts it in the old one's place, and does what it wanted
 * to do on that.
 */
#define PROTOCOL_ON_HOST EREMOTE

/* A setsockopt(2), or with level PROTOCOL_SETTING_BIND a bind(2), name 1: to a port of the program's choice; the value
 * follows, and zeros to a multiple of four bytes. */
struct protocol_setting {
    int32_t level, name;
    uint32_t length;
};
_Static_assert(sizeof(struct protocol_setting) == 12, "on the wire");
#define PROTOCOL_SETTING_BIND (-1)

#define PROTOCOL_FAMILY_IPV4 1
#define PROTOCOL_FAMILY_IPV6 2

#define PROTOCOL_RESOLVE_TCP 1               /* not over UDP */
#define PROTOCOL_RESOLVE_KEEP_TRUNCATED 2    /* do not ask again over TCP */

/* Bytes of one query; an answer has at most 65535. */
#define PROTOCOL_QUERY_MAX 4096

/* PROTOCOL_ROUTES: where to, and from where. IPv4 addresses are v4-mapped. */
struct protocol_route {
    uint8_t destination[16];
    uint8_t source[16];
    uint32_t interface;  /* scope of a link-local destination; 0: any */
    uint8_t reachable;   /* reply: 0, 1; if 0 the rest says nothing */
    uint8_t prefix_bits; /* reply: of the source address's network */
    uint8_t deprecated;  /* reply: 0, 1; of the source address */
    uint8_t zero;
};
_Static_assert(sizeof(struct protocol_route) == 40, "on the wire");
#define PROTOCOL_ROUTES_MAX (PROTOCOL_OPTION_MAX / sizeof(struct protocol_route))

#define PROTOCOL_CAPTURE_SNAP_MAX 65550     /* an IP packet of 65 535 bytes and its Ethernet header */
#define PROTOCOL_CAPTURE_INSTRUCTION 8      /* bytes: struct bpf_insn */
#define PROTOCOL_CAPTURE_FILTER_MAX (2 * PROTOCOL_QUERY_MAX / PROTOCOL_CAPTURE_INSTRUCTION)

/* PROTOCOL_CAPTURE: goes before each frame. */
struct protocol_frame {
    uint32_t magic;    /* PROTOCOL_MAGIC */
    uint32_t outgoing; /* 0, 1: from the stack */
    uint64_t time_ns;  /* CLOCK_REALTIME */
    uint32_t length;   /* of the frame */
    uint32_t captured; /* bytes that follow */
    uint64_t dropped;  /* frames before this one that found no room, in all */
};
_Static_assert(sizeof(struct protocol_frame) == 32, "on the wire");

/* A struct sockaddr_in or sockaddr_in6 as the program would give it (network byte order); length 0: no address. */
struct protocol_address {
    uint32_t length;
    uint8_t bytes[28];
};
_Static_assert(sizeof(struct protocol_address) == 32, "on the wire");

/* An interface, or an address that it has. */
struct protocol_interface {
    uint32_t index;
    uint32_t flags;       /* interface: IFF_*; address: IFA_F_* */
    uint16_t family;      /* AF_UNSPEC: an interface; else of the address */
    uint8_t prefix_bits;  /* of the address */
    uint8_t zero;
    uint32_t mtu;         /* interface */
    uint8_t mac[8];       /* interface: 6 bytes; all zero: the loopback */
    uint8_t bytes[16];    /* interface: name; address: in network byte order */
    uint32_t counters[6]; /* interface: packets, bytes, dropped, received and then sent; modulo 2^32 */
};
_Static_assert(sizeof(struct protocol_interface) == 64, "on the wire");
#define PROTOCOL_INTERFACES_MAX (PROTOCOL_OPTION_MAX / sizeof(struct protocol_interface))

struct protocol_message {
    uint32_t magic;     /* PROTOCOL_MAGIC */
    uint16_t version;   /* PROTOCOL_VERSION */
    uint16_t operation; /* enum protocol_operation */
    int32_t result;     /* reply: 0 or -errno; request: 0 */
    uint32_t flags;     /* request: PROTOCOL_FLAG_*; reply: 0 */
    int32_t args[4];
    struct protocol_address address;
    uint32_t option_length;
    uint8_t option[PROTOCOL_OPTION_MAX];
};
_Static_assert(sizeof(struct protocol_message) == 324, "on the wire");
_Static_assert(offsetof(struct protocol_message, option) == 68, "on the wire");

/* PROTOCOL_CORK */
#define PROTOCOL_CORK_RELEASE 0
#define PROTOCOL_CORK_SET 1
#define PROTOCOL_CORK_CHILDREN 2

/* protocol_accepted.flags */
#define PROTOCOL_ACCEPTED_OPTIONS 1u /* the listening socket's descriptor has options for it: time limits and the like */

/*
 * One new connection: written by the service into the pair of a listening socket, with the connection's descriptor
 * riding along (blocking; the accepting program's from then on). One such message is one accept().
 *
 * The program then writes a single byte, any, into the new descriptor, and the service drops it: it tells the service
 * that the connection was taken, so that one which nobody took before the listening socket closed is reset, as Linux
 * resets it.
 */
struct protocol_accepted {
    uint32_t magic;   /* PROTOCOL_MAGIC */
    uint16_t version; /* PROTOCOL_VERSION */
    uint16_t flags;   /* PROTOCOL_ACCEPTED_* */
    struct protocol_address local;
    struct protocol_address peer;
    uint32_t number, instance; /* PROTOCOL_FLAG_BY_NUMBER: of the connection */
    uint32_t listener;         /* and the number of the listening socket */
    uint32_t cork_page, cork_slot; /* where its TCP_CORK is; page 0: in no memory */
};
_Static_assert(sizeof(struct protocol_accepted) == 92, "on the wire");
_Static_assert(offsetof(struct protocol_accepted, cork_slot) == 88, "on the wire");

/*
 * A cork page: memory of the service's that the processes of one user may map, PROTOCOL_CORK_SLOTS slots of 64 bits,
 * all changed by atomic operations. A slot is the TCP_CORK of one socket: PROTOCOL_CORK_* below, and protocol_cork_tag()
 * in its upper half, by which a process sees that it still is that socket's. What stands there is what any process of
 * the user wrote: the service believes none of it, and what follows from it is that bytes of the user's wait for 200 ms
 * or do not. service/cork.c has the rules.
 */
#define PROTOCOL_CORK_SLOTS 16384u
/* A slot's flags. */
#define PROTOCOL_CORK_ON 1u   /* program: what was written since waits for what follows */
#define PROTOCOL_CORK_GO 2u   /* program: something was written that does not wait. Service: that was read */
#define PROTOCOL_CORK_HELD 4u /* service: who uncorks tells (PROTOCOL_CORK) */

/* page: its number, not 0, of no other one; number: of the socket (PROTOCOL_FLAG_BY_NUMBER). */
static inline uint64_t protocol_cork_tag(uint32_t page, uint32_t number)
{
    return (uint64_t)(page ^ number) << 32;
}

/* protocol_datagram.flags from the program. */
enum protocol_datagram_send_flag {
    PROTOCOL_DATAGRAM_SEND_MORE = 1u << 0, /* MSG_MORE: the datagram goes on in the next message */
    PROTOCOL_DATAGRAM_SEND_OOB = 1u << 1,  /* MSG_OOB; carries a number */
};

/*
 * protocol_datagram.flags from the service: what kind of message it is, and which options the socket had on when the
 * datagram came: recvmsg(2) has a control message for each.
 */
enum protocol_datagram_flag {
    /* No datagram, but a pending error: the next call of a program fails with .error, once. */
    PROTOCOL_DATAGRAM_ERROR = 1u << 0,
    /* A ping or raw socket: whether sending works depends on what is sent, so each one carries a number. */
    PROTOCOL_DATAGRAM_ASK = 1u << 1,
    PROTOCOL_DATAGRAM_PKTINFO = 1u << 2,      /* IP_PKTINFO */
    PROTOCOL_DATAGRAM_TTL = 1u << 3,          /* IP_RECVTTL */
    PROTOCOL_DATAGRAM_TOS = 1u << 4,          /* IP_RECVTOS */
    PROTOCOL_DATAGRAM_DESTINATION = 1u << 5,  /* IP_RECVORIGDSTADDR */
    PROTOCOL_DATAGRAM_PKTINFO6 = 1u << 6,     /* IPV6_RECVPKTINFO */
    PROTOCOL_DATAGRAM_HOP_LIMIT = 1u << 7,    /* IPV6_RECVHOPLIMIT */
    PROTOCOL_DATAGRAM_CLASS = 1u << 8,        /* IPV6_RECVTCLASS */
    PROTOCOL_DATAGRAM_DESTINATION6 = 1u << 9, /* IPV6_RECVORIGDSTADDR */
    PROTOCOL_DATAGRAM_TIMESTAMP = 1u << 10,   /* SO_TIMESTAMP */
    PROTOCOL_DATAGRAM_TIMESTAMPNS = 1u << 11, /* SO_TIMESTAMPNS */
    PROTOCOL_DATAGRAM_GRO = 1u << 12,         /* UDP_GRO, and .segment is not 0 */
    PROTOCOL_DATAGRAM_OVERFLOW = 1u << 13,    /* SO_RXQ_OVFL, and .number is not 0 */
    PROTOCOL_DATAGRAM_TIMESTAMPING = 1u << 14, /* SO_TIMESTAMPING, software's time of receiving */
};

/*
 * Goes before the bytes of each datagram in the pair of a datagram socket. What a program writes by itself, without
 * this header, is a datagram to the connected peer.
 */
struct protocol_datagram {
    uint32_t magic;   /* PROTOCOL_MAGIC */
    uint16_t version; /* PROTOCOL_VERSION */
    uint16_t flags;   /* enum protocol_datagram_flag */
    int32_t error;    /* with PROTOCOL_DATAGRAM_ERROR: positive errno */
    uint32_t interface; /* index; to send: 0: by the route */
    int32_t ttl, tos;   /* to send: -1: the socket's */
    uint32_t segment;   /* UDP_SEGMENT, UDP_GRO: bytes; 0: none */
    uint32_t number;    /* datagrams that were lost so far, there being no room; to send: not 0: PROTOCOL_SEND_RESULT will ask */
    uint64_t received_ns; /* CLOCK_REALTIME; to send: 0 */
    struct protocol_address peer;  /* from whom; to whom, length 0: the connected peer */
    uint8_t own[4]; /* received, IPv4, sent to a group or broadcast: the address that the interface has */
    uint32_t zero;
    struct protocol_address local; /* sent to which of our addresses; to send: from which, length 0: chosen */
};
_Static_assert(sizeof(struct protocol_datagram) == 112, "on the wire");
_Static_assert(offsetof(struct protocol_datagram, local) == 80, "on the wire");

/* The option of a reply to PROTOCOL_ERROR_QUEUE. */
struct protocol_queued_error {
    uint8_t extended[16];              /* struct sock_extended_err */
    struct protocol_address offender;  /* length 0: nobody said so */
    uint32_t flags;                    /* PROTOCOL_DATAGRAM_*: of control messages that go with it */
    uint32_t interface;
    int32_t ttl, tos;
    uint32_t length;                   /* of the payload that was kept */
    uint8_t payload[PROTOCOL_OPTION_MAX - 68];
};
_Static_assert(sizeof(struct protocol_queued_error) == PROTOCOL_OPTION_MAX, "on the wire");
_Static_assert(offsetof(struct protocol_queued_error, payload) == 68, "on the wire");

#endif
