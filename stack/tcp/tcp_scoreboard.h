/* tcp_scoreboard.h - what is known of each segment that was sent and not acknowledged. */
#ifndef SIDESTACK_TCP_SCOREBOARD_H
#define SIDESTACK_TCP_SCOREBOARD_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_seg;

enum {
    SENT_SACKED = 1,        /* the peer says that it has it; neither LOST nor RESENT then */
    SENT_LOST = 2,          /* taken for lost */
    SENT_RESENT = 4,        /* sent again since, and that copy is not lost yet */
    SENT_EVER_RESENT = 8,   /* was sent more than once */
};

struct sent_segment {
    struct tcp_seg *segment; /* lwIP's, in its list of unacknowledged ones */
    uint64_t sent_us;        /* when it was sent last */
    uint32_t sequence, end;
    uint8_t flags;           /* SENT_* */
};

struct scoreboard {
    struct sent_segment *ring; /* owned; capacity entries, a power of 2; in the order of the sequence */
    uint32_t capacity, first, count;
    uint32_t bytes;            /* of all */
    uint32_t sacked_bytes, lost_bytes, resent_bytes; /* of those with the flag */
    uint32_t sacked_count, lost_count, resent_count;
};

static inline struct sent_segment *scoreboard_at(const struct scoreboard *board, uint32_t index)
{
    return &board->ring[(board->first + index) & (board->capacity - 1)];
}

/* RFC 6675's pipe: bytes that are thought to be on their way. */
static inline uint32_t scoreboard_pipe(const struct scoreboard *board)
{
    return board->bytes - board->sacked_bytes - board->lost_bytes + board->resent_bytes;
}

/* A segment was sent for the first time. Return: false when memory is short; it is not on the board then. */
bool scoreboard_append(struct scoreboard *board, struct tcp_seg *segment, uint32_t sequence, uint32_t length,
                       uint64_t now_us);

/* Have room for one more. Return: false when memory is short. */
bool scoreboard_reserve(struct scoreboard *board);

/* The segment at index, without flags, was cut behind its first length bytes; behind is the rest of it. There is
 * room. */
void scoreboard_split(struct scoreboard *board, uint32_t index, struct tcp_seg *behind, uint32_t length);

/* Set and clear flags, and keep the sums true. */
void scoreboard_mark(struct scoreboard *board, struct sent_segment *sent, unsigned set, unsigned cleared);

/* Drop the first. */
void scoreboard_drop_first(struct scoreboard *board);

/* Drop the last, which has no flags. */
void scoreboard_drop_last(struct scoreboard *board);

/* Return: the index of the first that ends behind sequence; count when there is none. */
uint32_t scoreboard_find(const struct scoreboard *board, uint32_t sequence);

void scoreboard_release(struct scoreboard *board);

#endif
