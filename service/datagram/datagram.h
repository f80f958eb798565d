/* datagram.h - the datagram sockets of programs: UDP, UDP-Lite, ping, raw. */
#ifndef SIDESTACK_SERVICE_DATAGRAM_H
#define SIDESTACK_SERVICE_DATAGRAM_H

#include "service/request.h"
#include "service/socket.h"
#include "stack/datagram.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct queued_error;
TAILQ_HEAD(error_queue, queued_error);

/* How many asked-for results are kept: one for each thread of a program that sends on the same socket at the same
 * time. */
#define DATAGRAM_RESULTS 4

/* A datagram of which the program has sent a part so far (MSG_MORE, UDP_CORK). */
struct cork {
    struct stack_datagram_info info;
    size_t length;
    uint8_t bytes[65536];
};

/* What only a datagram socket has, beside its struct socket. */
struct datagram {
    struct stack_datagram *stack; /* owned */
    enum stack_datagram_kind kind;
    bool is_shutting_down; /* a HUP seen now is the shutdown's, not a close */
    bool error_is_queued;  /* an error was put into the pair, and we don't know of its being read */
    bool is_corked;        /* UDP_CORK */
    int bind_interface;    /* SO_BINDTODEVICE, as the stack was told */
    struct cork *cork;     /* owned; NULL: none */
    uint16_t control_flags; /* enum protocol_datagram_flag: the control messages that the program wants */

    uint32_t filter[8];        /* ICMP_FILTER, ICMP6_FILTER: types to drop, a bit each */
    uint32_t dropped;          /* came and found no room */
    struct error_queue errors; /* IP_RECVERR: what recvmsg(2) with MSG_ERRQUEUE will give */
    unsigned error_count;

    struct datagram_result { /* of datagrams that had a number, the latest ones */
        uint32_t number;
        int error;
    } results[DATAGRAM_RESULTS];
    unsigned next_result;
};

/* Answer PROTOCOL_SOCKET for these types. Return: 0 and *made, or -errno. */
int datagram_make(int domain, int type, int protocol, unsigned rights, struct socket **made);

/* Answer any other request about a datagram socket. Return: as request_execute(). */
int datagram_execute(struct socket *socket, const struct protocol_message *request, struct protocol_message *reply,
                     struct request_context *context);

/* The pair has something to say: epoll's bits. */
void datagram_handle_pair(struct socket *socket, uint32_t epoll_events);

/* Do the work that was queued for this socket: its share of a turn. */
void datagram_run(struct socket *socket);

/* The service stops: send what the program wrote so far. */
void datagram_end(struct socket *socket);

/* As Linux's udp_abort(): the program's next call fails with error (positive errno), and the socket has no peer any
 * more, nor a port that bind() did not give it. It lives on. */
void datagram_abort(struct socket *socket, int error);

/* Free what socket->datagram is; the pair is the caller's. */
void datagram_free(struct socket *socket);

#endif
