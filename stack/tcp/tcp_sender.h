/* tcp_sender.h - the sender: what is on its way, what is lost, what is sent when. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_SENDER_H
#define SIDESTACK_TCP_SENDER_H

#include "stack/lwip_api.h"
#include "tcp_clock.h"
#include "tcp_congestion.h"
#include "tcp_mtu_probe.h"
#include "tcp_pace.h"
#include "tcp_scoreboard.h"
#include "tcp_timeout.h"

#define SACK_BLOCKS_MAX 4

/* What the clock of a sender stands for. */
enum sender_timer {
    SENDER_TIMER_NONE,
    SENDER_TIMER_RTO,     /* RFC 6298 */
    SENDER_TIMER_PROBE,   /* RFC 8985 7: tail loss probe */
    SENDER_TIMER_REORDER, /* RFC 8985 6.3: a segment that is late is lost when this is over */
};

struct tcp_sender {
    struct scoreboard board;
    struct congestion congestion;
    struct tcp_pace pace;
    struct tcp_clock clock;
    enum sender_timer timer;
    bool started;   /* the connection is established: the sender, not lwIP, decides what is sent when */
    bool resending; /* at this moment */
    bool large;     /* segments larger than the MTU may be on their way: tcp_large.c */
    bool blind;     /* memory was short, and a segment is on its way without a record: tcp_timer.c ends the connection */

    /* Time. The smoothed round trip is in struct stack_tcp. */
    uint32_t last_rtt_us;   /* the last sample of it */
    uint32_t min_rtt_us;    /* least of the last minutes; 0: none */
    uint64_t min_rtt_at_us; /* when it was taken */
    uint8_t backoff;        /* doublings of the time-out */
    uint64_t rto_base_us;   /* when the time-out began to run */
    uint64_t sent_us;       /* when something was sent last */

    /* Loss recovery */
    uint8_t state;         /* TCP_CA_Open and so on, as Linux: linux/tcp.h */
    uint32_t high;         /* the recovery ends when this is acknowledged */
    uint32_t resend_from;  /* nothing before it is lost and to be sent again */
    bool new_data_first;   /* F-RTO: try new data before what is thought lost */
    bool frto;             /* RFC 5682: the time-out may have been spurious */
    unsigned duplicates;   /* acknowledgements in a row that tell nothing new, from a peer without SACK */
    uint64_t prr_delivered, prr_sent; /* RFC 6937, bytes */
    uint32_t prr_before;              /* window before */

    /* Undoing what was done for a loss that was none */
    bool can_undo;
    uint32_t undo_from;     /* the first byte that was not acknowledged when it began */
    int undo_resent;        /* segments sent again whose second arrival was not reported yet; -1: none was sent */
    uint32_t first_resent_ms; /* sys_now() of the first of them */
    bool was_resent;

    /* RACK, RFC 8985 5.2 */
    bool rack_valid;
    uint64_t rack_sent_us; /* of the delivered segment that was sent last */
    uint32_t rack_end;
    uint32_t rack_rtt_us;
    uint32_t highest_sacked; /* end of the furthest segment that was delivered */
    bool highest_valid;
    bool reordering_seen;
    uint8_t reorder_steps;   /* quarters of the least round trip to wait */
    uint8_t reorder_persist; /* recoveries until the steps start anew */
    uint32_t dsack_round;    /* steps grow once a round trip: until this is acknowledged */
    bool dsack_round_valid;

    /* Tail loss probe */
    bool probing;       /* one is on its way */
    bool probe_resent;  /* it was no new data */
    uint32_t probe_end;

    /* Was the window what held us back? */
    bool limited;
    uint32_t limited_end; /* valid until this is acknowledged */
    uint32_t max_pipe, max_pipe_end;
    uint32_t window_used;     /* the most that was on its way ... */
    uint64_t window_since_us; /* ... since then, when the window last was what held us back, or came down for not being used */

    /* Is the path a black hole? tcp_path_mtu.c */
    uint64_t silent_us;  /* the first of the time-outs in a row */
    uint16_t hole_piece; /* size of a segment that is tried; 0: none is */
    bool hole_passed;    /* such a one arrived, and no larger one yet */

    struct mtu_probe mtu_probe;

    uint16_t advertised; /* window of the last segment that came */

    /* For TCP_INFO */
    uint64_t bytes_acked, bytes_sent, bytes_resent;
    uint32_t segments_out, segments_in, data_segments_out, data_segments_in, dsacks, reorderings, delivered, delivered_marked;
    uint64_t acked_us; /* when an acknowledgement came last */
};

/* One segment that came, as far as the sender needs to know. */
struct sender_event {
    struct stack_tcp *tcp; /* NULL: none */
    uint32_t una;          /* before it was processed */
    bool new_window;       /* it advertises another one than the last segment */
    uint32_t acknowledgement;
    bool has_ack, has_data;
    bool was_marked; /* the peer tells that a segment of ours was: RFC 3168 */
    bool has_echo;
    uint32_t echo_ms; /* of our timestamp */
    int block_count;
    struct {
        uint32_t left, right;
    } blocks[SACK_BLOCKS_MAX];
};

/* ---- tcp_sender.c: between lwIP and the recovery ---- */

/* Return: bytes of data in a full segment. */
uint32_t tcp_sender_mss(const struct tcp_pcb *pcb);
/* The connection is established. */
void tcp_sender_start(struct stack_tcp *tcp);
/* It ends: forget what was on its way, stop the clock. */
void tcp_sender_release(struct stack_tcp *tcp);
/* lwIP is about to process a segment; tcp_sender_after_input() does what follows from it. Return: false when PAWS says
 * that it is old. */
bool tcp_sender_before_input(struct stack_tcp *tcp, const struct tcp_hdr *header, u16_t option_size, u16_t size);
void tcp_sender_after_input(void);
/* It was dropped after all. */
void tcp_sender_forget_input(const struct stack_tcp *tcp);
/* lwIP writes a segment that is kept until it is acknowledged. Return: whether it is sent for the first time. */
bool tcp_sender_on_segment(struct stack_tcp *tcp, const struct tcp_hdr *header, u32_t length);
/* There may be something to send: after a long silence the window is not what it was. */
void tcp_sender_wake(struct stack_tcp *tcp);
/* Tell lwIP how far it may send. */
void tcp_sender_apply_window(struct stack_tcp *tcp);
/* What can be sent was sent: see why no more, and set the clock. */
void tcp_sender_settle(struct stack_tcp *tcp);
/* Send a segment of the scoreboard again. Return: whether it was sent. */
bool tcp_sender_resend(struct stack_tcp *tcp, struct sent_segment *sent);
/* Send what is lost, as far as the window goes, then new data. */
void tcp_sender_transmit(struct stack_tcp *tcp);
/* Call those whose time has come. */
void tcp_sender_run_clocks(void);
/* Is there data that was never sent? */
bool tcp_sender_has_new_data(const struct stack_tcp *tcp);

/* ---- tcp_recovery.c: what is lost ---- */

void tcp_recovery_on_ack(struct stack_tcp *tcp, const struct sender_event *event);
void tcp_recovery_on_clock(struct stack_tcp *tcp);
/* Bytes that are thought to be on their way. */
uint32_t tcp_recovery_pipe(const struct stack_tcp *tcp);

#endif
