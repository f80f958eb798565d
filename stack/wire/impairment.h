/* impairment.h - how a wire treats the frames of one direction, and how that is written. */
#ifndef SIDESTACK_IMPAIRMENT_H
#define SIDESTACK_IMPAIRMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMPAIRMENT_TEXT_MAX 256 /* bytes that two directions take as text, the end included */

/* Chances are in parts per million. All zero but queue: nothing happens to a frame. */
struct impairment {
    uint32_t delay_us;
    uint32_t jitter_us; /* a delay lies between delay - jitter and delay + jitter */
    uint32_t loss, duplicate, reorder, corrupt;
    uint64_t rate_bit_s; /* of the link; 0: no limit */
    uint32_t queue;      /* frames that may wait for the link */
    bool ecn;            /* what would be lost is marked instead if its sender can make use of that */
};

enum { IMPAIRMENT_IN, IMPAIRMENT_OUT, IMPAIRMENT_DIRECTIONS };

struct impairments {
    struct impairment direction[IMPAIRMENT_DIRECTIONS];
    uint64_t seed; /* 0: choose one */
};

/*
 * Read settings, a list with commas:
 * delay=20ms,jitter=5ms,loss=1%,duplicate=0.1%,reorder=2%,corrupt=0.01%,rate=10mbit,queue=100,ecn,seed=7. "in:" or
 * "out:" before a name means that direction alone, as the stack sees it. "none" takes back all that stands before it.
 * What is not named stays as it is. Return: 0, or -EINVAL with *wrong at the place that was not understood; impairments
 * is unchanged then.
 */
int impairment_parse(const char *text, struct impairments *impairments, const char **wrong);

/* Write settings as impairment_parse() reads them: "none" when there are none. */
void impairment_format(const struct impairments *impairments, char *text, size_t size);

bool impairment_is_none(const struct impairment *impairment);

#endif
