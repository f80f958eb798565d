/*
 * tcp_congestion.c - congestion control: CUBIC (RFC 9438), Reno (RFC 5681), slow start that ends in time (HyStart++,
 * RFC 9406).
 *
 * The window is in bytes, as RFC 5681 counts; CUBIC's own figures are segments and seconds, as RFC 9438 writes them, so
 * that its formulas can be compared line by line. Floating point is exact enough, and cheap beside a system call.
 *
 * CUBIC: after a reduction at W_max the window follows W(t) = C (t - K)^3 + W_max: fast back to where the loss was,
 * slow around it, fast away from it. Where Reno would be faster (short round trips), W_est, Reno's window with CUBIC's
 * reduction, is followed instead.
 *
 * HyStart++: when the least round trip of a round exceeds that of the round before by an eighth (between 4 and 16 ms),
 * a queue is building, and slow start goes on at a quarter of its pace for five rounds (conservative slow start); if
 * the round trip falls again in these, it was a false alarm. Growth is not limited to 8 segments an acknowledgement
 * (L, 4.2): acknowledgements of 64 KB are usual where segmentation is left to a device, and Linux has no such limit.
 *
 * That criterion is late where the queue is short: slow start fills a queue of one bandwidth-delay product within the
 * one round trip in which it could be seen to. So HyStart's first one (Ha and Rhee 2011; Linux) stands beside it: a
 * flight of segments comes out of the bottleneck as a train at the bottleneck's rate, and so do its acknowledgements; a
 * train of half a round trip means half the pipe, and the flight that it triggers fills the rest. It leads into
 * conservative slow start, too, and there the round trip is its second witness: when it exceeds the connection's least
 * one by an eighth, slow start is over. Only both together are that quick. A train alone (it may be noise; or the
 * network reorders, and the least round trip of a round says nothing) ends it after two rounds.
 *
 * Until the first loss the cubic would start flat; so the window grows by a twentieth each round trip at least (as
 * Linux).
 */
#include "tcp_congestion.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define CUBIC_C 0.4
#define CUBIC_BETA 0.7
#define RENO_BETA 0.5
#define SEARCH_GROWTH 0.05 /* of the window a round trip, as Linux: before the first loss the cubic would begin with nothing */
#define CUBIC_ALPHA (3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA))

/* RFC 9406 4.2 and 4.3 */
#define RTT_THRESH_MIN_US 4000u
#define RTT_THRESH_MAX_US 16000u
#define RTT_DIVISOR 8u
#define RTT_SAMPLES 8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUNDS 5u

/* Ha and Rhee 2011; Linux (hystart_ack_delta_us, hystart_low_window) allows for gaps of 2 ms at any round trip. A
 * process that has to wait for a processor now and then sees longer ones. */
#define TRAIN_ROUNDS 2u
#define TRAIN_GAP_DIVISOR 4u
#define TRAIN_GAP_MIN_US 2000u
#define TRAIN_GAP_MAX_US 8000u
#define TRAIN_WINDOW_MIN 16u /* segments */

#define WINDOW_MAX (1u << 30) /* bytes; the largest window that TCP can scale to */

static uint32_t at_least(uint32_t value, uint32_t minimum)
{
    return value > minimum ? value : minimum;
}

/* Grow by a number of bytes that need not be whole. */
static void grow(struct congestion *congestion, double bytes)
{
    uint32_t whole;

    congestion->fraction += bytes;
    whole = (uint32_t)congestion->fraction;
    congestion->fraction -= whole;
    congestion->window = congestion->window < WINDOW_MAX - whole ? congestion->window + whole : WINDOW_MAX;
}

static void reno_avoid(struct congestion *congestion, uint32_t acked, uint64_t now_us)
{
    (void)now_us;
    grow(congestion, (double)congestion->mss * acked / congestion->window);
}

static double reno_reduce(struct congestion *congestion)
{
    (void)congestion;
    return RENO_BETA;
}

static void cubic_avoid(struct congestion *congestion, uint32_t acked, uint64_t now_us)
{
    double mss = congestion->mss;
    double cwnd = congestion->window / mss;
    double acked_segments = acked / mss;
    double t, target, alpha, rtt = congestion->smoothed_rtt_us / 1e6;

    if (congestion->epoch_us == 0) {
        congestion->epoch_us = now_us;
        congestion->cwnd_epoch = cwnd;
        congestion->w_est = cwnd;
        if (cwnd < congestion->w_max) {
            congestion->k = cbrt((congestion->w_max - cwnd) / CUBIC_C);
        } else {
            congestion->k = 0;
            congestion->w_max = cwnd;
        }
    }
    t = (double)(now_us - congestion->epoch_us) / 1e6;
    alpha = congestion->prior.window > 0 && congestion->w_est >= congestion->prior.window / mss ? 1 : CUBIC_ALPHA;
    congestion->w_est += alpha * acked_segments / cwnd;
    target = CUBIC_C * pow(t - congestion->k, 3) + congestion->w_max;
    if (target < congestion->w_est && !congestion->searching) { /* 4.3: the Reno-friendly region */
        if (congestion->w_est > cwnd)
            grow(congestion, (congestion->w_est - cwnd) * mss);
        return;
    }
    target = CUBIC_C * pow(t + rtt - congestion->k, 3) + congestion->w_max; /* 4.4, 4.5 */
    if (target < cwnd)
        target = cwnd;
    if (target > 1.5 * cwnd)
        target = 1.5 * cwnd;
    if (congestion->searching && target < cwnd * (1 + SEARCH_GROWTH))
        target = cwnd * (1 + SEARCH_GROWTH);
    grow(congestion, (target - cwnd) / cwnd * acked_segments * mss);
}

static double cubic_reduce(struct congestion *congestion)
{
    double cwnd = (double)congestion->window / congestion->mss;

    /* 4.7: a flow that did not get back to where it was gives way */
    congestion->w_max = cwnd < congestion->w_max ? cwnd * (1 + CUBIC_BETA) / 2 : cwnd;
    congestion->epoch_us = 0;
    return CUBIC_BETA;
}

const struct congestion_algorithm congestion_cubic = {"cubic", cubic_avoid, cubic_reduce};
const struct congestion_algorithm congestion_reno = {"reno", reno_avoid, reno_reduce};

const struct congestion_algorithm *congestion_find(const char *name)
{
    static const struct congestion_algorithm *const all[] = {&congestion_cubic, &congestion_reno};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

void congestion_choose(struct congestion *congestion, const struct congestion_algorithm *algorithm)
{
    if (congestion->algorithm == algorithm)
        return;
    congestion->algorithm = algorithm;
    congestion->w_max = 0;
    congestion->epoch_us = 0;
}

void congestion_start(struct congestion *congestion, uint32_t mss, uint32_t window)
{
    *congestion = (struct congestion){
        .algorithm = congestion->algorithm != NULL ? congestion->algorithm : &congestion_cubic,
        .mss = mss,
        .window = window,
        .threshold = CONGESTION_NO_THRESHOLD,
        .searching = true,
        .round_rtt_us = UINT32_MAX,
        .last_round_rtt_us = UINT32_MAX,
    };
}

/* A new round begins: it ends when all that is sent by now is acknowledged. */
static void begin_round(struct congestion *congestion, const struct congestion_ack *ack)
{
    congestion->last_round_rtt_us = congestion->round_rtt_us;
    congestion->round_rtt_us = UINT32_MAX;
    congestion->samples = 0;
    congestion->round_end = ack->next;
    if (congestion->css_rounds > 0 && ++congestion->css_rounds > (congestion->train_was_long ? TRAIN_ROUNDS : CSS_ROUNDS))
        congestion->threshold = congestion->window;
    congestion->round_open = true;
}

static uint32_t rtt_threshold(uint32_t rtt_us)
{
    uint32_t threshold = rtt_us / RTT_DIVISOR;

    return threshold < RTT_THRESH_MIN_US ? RTT_THRESH_MIN_US : threshold > RTT_THRESH_MAX_US ? RTT_THRESH_MAX_US : threshold;
}

/* Did acknowledgements come without a gap for half a round trip? For a whole one, where the pace alone makes it half of
 * one. */
static bool is_long_train(struct congestion *congestion, uint64_t now_us, bool paced)
{
    uint32_t gap_us = congestion->least_rtt_us / TRAIN_GAP_DIVISOR;

    gap_us = gap_us < TRAIN_GAP_MIN_US ? TRAIN_GAP_MIN_US : gap_us > TRAIN_GAP_MAX_US ? TRAIN_GAP_MAX_US : gap_us;
    if (now_us - congestion->train_end_us > gap_us)
        congestion->train_begin_us = now_us;
    congestion->train_end_us = now_us;
    return congestion->window >= TRAIN_WINDOW_MIN * congestion->mss && congestion->least_rtt_us > 0 &&
           now_us - congestion->train_begin_us >= congestion->least_rtt_us / (paced ? 1 : 2);
}

/* RFC 9406 4.2: has slow start gone far enough? Return: by what to divide its growth. */
static unsigned slow_start_divisor(struct congestion *congestion, const struct congestion_ack *ack)
{
    uint32_t last;

    if (!congestion->round_open || (int32_t)(ack->acknowledged - congestion->round_end) >= 0)
        begin_round(congestion, ack);
    if (ack->rtt_us > 0) {
        congestion->samples++;
        if (ack->rtt_us < congestion->round_rtt_us)
            congestion->round_rtt_us = ack->rtt_us;
    }
    last = congestion->last_round_rtt_us;
    if (congestion->samples >= RTT_SAMPLES && congestion->round_rtt_us != UINT32_MAX) {
        if (congestion->train_was_long) {
            if (congestion->round_rtt_us >= congestion->least_rtt_us + rtt_threshold(congestion->least_rtt_us))
                congestion->threshold = congestion->window;
        } else if (congestion->css_rounds == 1) { /* still the round that brought it here */
            congestion->css_rtt_us = congestion->round_rtt_us;
            if (congestion->round_rtt_us < last + rtt_threshold(last))
                congestion->css_rounds = 0;
        } else if (congestion->css_rounds > 1) {
            if (congestion->round_rtt_us < congestion->css_rtt_us)
                congestion->css_rounds = 0;
        } else if (last != UINT32_MAX && congestion->round_rtt_us >= last + rtt_threshold(last)) {
            congestion->css_rtt_us = congestion->round_rtt_us;
            congestion->css_rounds = 1;
        }
    }
    if (is_long_train(congestion, ack->now_us, ack->paced) && !congestion->train_was_long) {
        congestion->train_was_long = true;
        congestion->css_rounds = congestion->css_rounds > 0 ? congestion->css_rounds : 1;
    }
    return congestion->css_rounds > 0 ? CSS_GROWTH_DIVISOR : 1;
}

void congestion_acked(struct congestion *congestion, const struct congestion_ack *ack)
{
    uint32_t acked = ack->acked;

    if (congestion->window < congestion->threshold) {
        unsigned divisor = slow_start_divisor(congestion, ack);
        uint32_t room = congestion->threshold > congestion->window ? congestion->threshold - congestion->window : 0;
        uint32_t step = acked / divisor;

        if (!ack->limited)
            return;
        if (step < room) {
            grow(congestion, step);
            return;
        }
        grow(congestion, room);
        acked -= room * divisor < acked ? room * divisor : acked;
        if (acked == 0)
            return;
    }
    if (ack->limited)
        congestion->algorithm->avoid(congestion, acked, ack->now_us);
}

void congestion_reduce(struct congestion *congestion)
{
    congestion->prior.window = congestion->window;
    congestion->prior.threshold = congestion->threshold;
    congestion->prior.w_max = congestion->w_max;
    congestion->prior.searching = congestion->searching;
    congestion->prior.valid = true;
    congestion->searching = false;
    congestion->train_was_long = false;
    congestion->threshold = at_least((uint32_t)(congestion->window * congestion->algorithm->reduce(congestion)),
                                     2 * congestion->mss);
    congestion->css_rounds = 0;
    congestion->round_open = false;
    congestion->round_rtt_us = congestion->last_round_rtt_us = UINT32_MAX;
}

void congestion_undo(struct congestion *congestion)
{
    if (!congestion->prior.valid)
        return;
    congestion->prior.valid = false;
    congestion->window = at_least(congestion->window, congestion->prior.window);
    congestion->threshold = at_least(congestion->threshold, congestion->prior.threshold);
    congestion->w_max = congestion->prior.w_max;
    congestion->searching = congestion->prior.searching;
    congestion->epoch_us = 0;
}

void congestion_forget(struct congestion *congestion)
{
    congestion->w_max = 0;
    congestion->searching = true;
}

/* The window comes down without a loss: slow start may go back to near where it was. */
static void remember_window(struct congestion *congestion)
{
    congestion->threshold = at_least(congestion->threshold, congestion->window / 4 * 3);
}

void congestion_unused(struct congestion *congestion, uint32_t used)
{
    if (used >= congestion->window)
        return;
    remember_window(congestion);
    congestion->window = (congestion->window + used) / 2;
}

bool congestion_idle(struct congestion *congestion, uint64_t idle_us, uint64_t rto_us, uint32_t restart)
{
    if (congestion->epoch_us != 0)
        congestion->epoch_us += idle_us; /* RFC 9438 5.8: time in which nothing was sent does not count */
    if (idle_us <= rto_us || congestion->window <= restart)
        return false;
    remember_window(congestion);
    while (idle_us > rto_us && congestion->window > restart) {
        congestion->window /= 2;
        idle_us -= rto_us;
    }
    congestion->window = at_least(congestion->window, restart);
    congestion->round_open = false;
    congestion->round_rtt_us = congestion->last_round_rtt_us = UINT32_MAX;
    return true;
}
