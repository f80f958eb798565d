/*
 * inspect.h - looking at the stack's sockets, one after another, while it goes on working.
 *
 * The rules of stack.h hold. A cursor may be kept from turn to turn: sockets that are there all the while are seen
 * once, those that come meanwhile are not seen, those that go may not be.
 */
#ifndef SIDESTACK_INSPECT_H
#define SIDESTACK_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack.h"

struct stack_datagram;
struct time_wait;

/* What a socket's owner calls it; a connection keeps it when the owner has let go. A connection that was not accepted
 * yet has the user and program of its listening socket, and id 0. */
struct stack_label {
    uint64_t id;
    uint32_t user;
    uint32_t program;
};
void stack_tcp_set_label(struct stack_tcp *tcp, const struct stack_label *label);

struct stack_cursor {
    struct stack_tcp *tcp; /* the next; NULL: none */
    struct time_wait *wait;
    struct stack_datagram *datagram;
    struct stack_cursor *next; /* the list of all cursors */
};

/* Begin with the first socket. The memory is the caller's, to be given to stack_cursor_close(). */
void stack_cursor_open(struct stack_cursor *cursor);
void stack_cursor_close(struct stack_cursor *cursor);

enum stack_timer {
    STACK_TIMER_NONE,
    STACK_TIMER_RETRANSMIT, /* a time-out, a tail loss probe, a late segment */
    STACK_TIMER_KEEPALIVE,
    STACK_TIMER_TIME_WAIT, /* TIME-WAIT, or FIN-WAIT-2 after a close */
    STACK_TIMER_PERSIST,   /* probes of a closed window */
};

/* One socket. */
struct stack_view {
    const struct stack_tcp *tcp; /* valid until the next call; NULL: a datagram socket, or one in TIME-WAIT */
    const struct stack_datagram *datagram;
    void *owner; /* NULL: it has let go, or there was none yet */
    struct stack_label label; /* TCP */
    int family, protocol;
    int state; /* Linux's numbers: TCP_ESTABLISHED and so on; TCP_CLOSE: neither connected nor listening */
    union stack_address local, peer; /* peer: AF_UNSPEC: none */
    unsigned interface;              /* that it is bound to; 0: none */
    bool v6only;
    size_t receive_queued, send_queued; /* bytes in the stack */
    size_t receive_memory, send_memory; /* that they take there */
    unsigned pending;                   /* listening: handshakes under way */
    enum stack_timer timer;
    uint64_t timer_ms; /* until it ends */
    unsigned retries;  /* what it stands for was done so often */
    struct stack_datagram_traffic {
        uint64_t datagrams_in, bytes_in, datagrams_out, bytes_out;
    } traffic; /* datagram sockets */
};

/* Describe the next socket. Return: false: there is none. */
bool stack_cursor_next(struct stack_cursor *cursor, struct stack_view *view);

/* End a connection at once: RST to the peer, the owner hears of error (positive errno) as of any failure. Return: 0,
 * -EOPNOTSUPP (a listening socket), -ENOTCONN. */
int stack_tcp_kill(struct stack_tcp *tcp, int error);

/* Find a connection in TIME-WAIT by its label, as stack_tcp_find() does; and end it. */
struct time_wait *stack_time_wait_find(uint64_t id, struct stack_label *label);
void stack_time_wait_kill(struct time_wait *wait);

/* Does test say yes of any socket with this local port? owner: NULL when it has let go. Of very many that share it the
 * first count. */
typedef bool stack_port_test(void *context, const struct stack_label *label, void *owner);
bool stack_port_any(int protocol, uint16_t port, stack_port_test *test, void *context);

/* Find a socket by its label. Return: NULL: there is none. Slow: walks them all. */
struct stack_tcp *stack_tcp_find(uint64_t id, struct stack_label *label);

#endif
