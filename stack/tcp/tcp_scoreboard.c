/*
 * tcp_scoreboard.c - the scoreboard of RFC 6675 and RFC 8985.
 *
 * A ring of small records beside lwIP's list of unacknowledged segments, one for one and in the same order: dense, so
 * that a walk over a window of a thousand segments touches memory in a row, and searched by halves. Each
 * record points to lwIP's segment, which does not move while it is in that list.
 */
#include "tcp_scoreboard.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 16u
#define CAPACITY_KEPT 64u /* by a connection that has nothing on its way */

bool scoreboard_reserve(struct scoreboard *board)
{
    uint32_t capacity = board->capacity > 0 ? board->capacity * 2 : CAPACITY_MIN;
    struct sent_segment *ring;

    if (board->count < board->capacity)
        return true;
    ring = malloc(capacity * sizeof *ring);
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < board->count; i++)
        ring[i] = *scoreboard_at(board, i);
    free(board->ring);
    board->ring = ring;
    board->capacity = capacity;
    board->first = 0;
    return true;
}

bool scoreboard_append(struct scoreboard *board, struct tcp_seg *segment, uint32_t sequence, uint32_t length,
                       uint64_t now_us)
{
    if (!scoreboard_reserve(board))
        return false;
    *scoreboard_at(board, board->count++) =
        (struct sent_segment){.segment = segment, .sent_us = now_us, .sequence = sequence, .end = sequence + length};
    board->bytes += length;
    return true;
}

void scoreboard_split(struct scoreboard *board, uint32_t index, struct tcp_seg *behind, uint32_t length)
{
    struct sent_segment *front = scoreboard_at(board, index), *rest;

    for (uint32_t i = board->count++; i > index + 1; i--)
        *scoreboard_at(board, i) = *scoreboard_at(board, i - 1);
    rest = scoreboard_at(board, index + 1);
    *rest = *front;
    rest->segment = behind;
    rest->sequence = front->end = front->sequence + length;
}

void scoreboard_mark(struct scoreboard *board, struct sent_segment *sent, unsigned set, unsigned cleared)
{
    unsigned before = sent->flags;
    unsigned after = (before & ~cleared) | set;
    uint32_t length = sent->end - sent->sequence;

    sent->flags = (uint8_t)after;
    if ((before ^ after) & SENT_SACKED) {
        board->sacked_bytes += after & SENT_SACKED ? length : -length;
        board->sacked_count += after & SENT_SACKED ? 1u : -1u;
    }
    if ((before ^ after) & SENT_LOST) {
        board->lost_bytes += after & SENT_LOST ? length : -length;
        board->lost_count += after & SENT_LOST ? 1u : -1u;
    }
    if ((before ^ after) & SENT_RESENT) {
        board->resent_bytes += after & SENT_RESENT ? length : -length;
        board->resent_count += after & SENT_RESENT ? 1u : -1u;
    }
}

void scoreboard_drop_first(struct scoreboard *board)
{
    struct sent_segment *sent = scoreboard_at(board, 0);

    if (sent->flags != 0)
        scoreboard_mark(board, sent, 0, SENT_SACKED | SENT_LOST | SENT_RESENT);
    board->bytes -= sent->end - sent->sequence;
    board->first = (board->first + 1) & (board->capacity - 1);
    if (--board->count == 0 && board->capacity > CAPACITY_KEPT)
        scoreboard_release(board);
}

void scoreboard_drop_last(struct scoreboard *board)
{
    const struct sent_segment *sent = scoreboard_at(board, board->count - 1);

    board->bytes -= sent->end - sent->sequence;
    board->count--;
}

uint32_t scoreboard_find(const struct scoreboard *board, uint32_t sequence)
{
    uint32_t low = 0, high = board->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if ((int32_t)(scoreboard_at(board, middle)->end - sequence) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void scoreboard_release(struct scoreboard *board)
{
    free(board->ring);
    memset(board, 0, sizeof *board);
}
