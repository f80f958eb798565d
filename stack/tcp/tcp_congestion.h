/* tcp_congestion.h - how much may be on its way: CUBIC and Reno. */
#ifndef SIDESTACK_TCP_CONGESTION_H
#define SIDESTACK_TCP_CONGESTION_H

#include <stdbool.h>
#include <stdint.h>

struct congestion;

struct congestion_algorithm {
    const char *name; /* as TCP_CONGESTION has it */
    /* Growth by acked bytes when slow start is over. */
    void (*avoid)(struct congestion *congestion, uint32_t acked, uint64_t now_us);
    /* A loss. Return: the share of the window that is kept. */
    double (*reduce)(struct congestion *congestion);
};

/* What the peer has told by one acknowledgement. */
struct congestion_ack {
    uint64_t now_us;
    uint32_t acked;        /* bytes */
    uint32_t rtt_us;       /* a sample; 0: none */
    uint32_t acknowledged; /* all below this sequence number */
    uint32_t next;         /* to be sent */
    bool limited;          /* the window was what held the sender back */
    bool paced;            /* it does not send all of it at once */
};

struct congestion {
    const struct congestion_algorithm *algorithm;
    uint32_t mss;
    uint32_t window;    /* bytes */
    uint32_t threshold; /* of slow start */
    double fraction;    /* bytes of growth that do not make a whole one yet */

    /* CUBIC, in segments and seconds as RFC 9438 has them */
    double w_max, k, w_est, cwnd_epoch;
    uint64_t epoch_us; /* 0: no epoch */
    uint32_t smoothed_rtt_us, least_rtt_us;
    bool searching; /* nothing is known of what the path takes: no loss yet, or a time-out made it void */

    /* HyStart++ */
    uint32_t round_end;   /* a round is over when this is acknowledged */
    uint32_t round_rtt_us, last_round_rtt_us, css_rtt_us; /* least of a round; UINT32_MAX: no sample */
    unsigned samples;
    unsigned css_rounds;  /* rounds of conservative slow start; 0: not in it */
    uint64_t train_begin_us, train_end_us; /* since when acknowledgements come without a gap; the last of them */
    bool train_was_long;  /* that is why it is conservative */
    bool round_open;

    /* before the last reduction */
    struct {
        uint32_t window, threshold;
        double w_max;
        bool searching, valid;
    } prior;
};

#define CONGESTION_NO_THRESHOLD 0x7fffffffu

/* Return: the algorithm of that name, NULL: there is none. */
const struct congestion_algorithm *congestion_find(const char *name);
extern const struct congestion_algorithm congestion_cubic, congestion_reno;

/* Another algorithm, from now on. */
void congestion_choose(struct congestion *congestion, const struct congestion_algorithm *algorithm);

void congestion_start(struct congestion *congestion, uint32_t mss, uint32_t window);

/* Growth. */
void congestion_acked(struct congestion *congestion, const struct congestion_ack *ack);

/* A loss, or a mark of ECN: sets the threshold and remembers what was; the window is the caller's to bring down. */
void congestion_reduce(struct congestion *congestion);

/* A time-out, after congestion_reduce(): what was known of the path is void (RFC 9438 4.8). */
void congestion_forget(struct congestion *congestion);

/* It was no loss: all as before, unless it is better now. */
void congestion_undo(struct congestion *congestion);

/* Of the window only so much was used for a time: it comes down half-way. */
void congestion_unused(struct congestion *congestion, uint32_t used);

/* Nothing was sent for as long as idle_us: RFC 5681 4.1, by halves as Linux. Return: whether the window came down. */
bool congestion_idle(struct congestion *congestion, uint64_t idle_us, uint64_t rto_us, uint32_t restart);

#endif
