/*
 * sender_fixture.h - a connection of the stack whose sender is looked at segment by segment: the test is the peer, and
 * says what arrived. The round trip is 100 ms of virtual time, a full segment is MSS bytes, and segments are counted
 * from 0.
 */
#ifndef TEST_SENDER_FIXTURE_H
#define TEST_SENDER_FIXTURE_H

#include <check.h>
#include <netinet/tcp.h>

#include "stack_fixture.h"

#define MSS 1460u
#define RTT_MS 100u

/* The socket, its peer, and the sequence number of segment 0. */
extern struct told sender_told;
extern struct peer sender_peer;
extern uint32_t sender_start;

/* What the peer's SYN-ACK says. */
struct sender_options {
    int family;  /* AF_INET6; 0: IPv4 */
    bool no_sack;
    bool stamped; /* timestamps, which take 12 bytes of each segment */
    bool paced;   /* else all that the window allows leaves at once */
    uint8_t flags; /* beside SYN and ACK */
    struct segment *syn; /* what ours said; NULL: never mind */
};

/* Connect, on a stack that was set up. */
void sender_connect(const struct sender_options *options);
/* For tcase_add_checked_fixture(): a plain stack, and a connection with SACK, without. */
void sender_setup(void);
void sender_setup_without_sack(void);

struct tcp_info sender_info(void);

/* Queue so many segments. */
void sender_write(unsigned segments);

/* Segments from first to end - 1. */
struct range {
    unsigned first, end;
};

/* Acknowledge up to a byte, and SACK ranges of bytes, three at most. On a stamped connection the timestamp is
 * echoed. */
void sender_acknowledge(uint32_t end, const struct range *ranges, int count, uint32_t echo_ms);

/* Acknowledge so many segments from the start, and SACK up to three ranges; NO_RANGE ends them. */
void sender_answer(unsigned segments, struct range a, struct range b, struct range c);
#define NO_RANGE (struct range){0, 0}
#define ACK(n) sender_answer(n, NO_RANGE, NO_RANGE, NO_RANGE)
#define SACK(n, first, end) sender_answer(n, (struct range){first, end}, NO_RANGE, NO_RANGE)

/* Take a segment of data, whose bytes must be right. Return: its number. */
unsigned sender_take(void);
/* Take what was sent, which is these segments, in a row. */
void sender_expect(unsigned first, unsigned end);
void sender_expect_nothing(void);

/*
 * A peer that receives as it should over a network that may be bad: takes what was sent (and answers who asks for its
 * Ethernet address), and acknowledges all that arrived with up to three SACK blocks. Of each packet, segment or
 * acknowledgement, a share is lost, and those with more than mtu bytes; 0: none.
 */
struct sender_network {
    int loss; /* of 100 */
    size_t mtu;
};
void sender_receive(struct sender_network network);
/* Return: bytes from the start that the receiver has. */
size_t sender_received(void);

/* Let time pass until something is sent. Return: how many milliseconds, limit_ms at most. */
unsigned sender_wait(unsigned limit_ms);

#endif
