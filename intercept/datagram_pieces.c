/*
 * datagram_pieces.c - as many pieces as the kernel takes, and our header before them.
 *
 * That is one more than it takes, so two neighbours become one. A datagram has 65 535 bytes at most: pieces that begin
 * beyond those are left out, and of 1023 others two neighbours have 128 bytes together at most. So those two are small,
 * and are copied.
 */
#include "datagram.h"

#include "address.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define LONGEST 65535

size_t datagram_pieces_join(struct iovec *to, const struct iovec *pieces, struct datagram_joined *joined)
{
    size_t total = 0, before = 0, least = SIZE_MAX;

    joined->place = joined->offset = joined->length = 0;
    for (size_t i = 0; i < DATAGRAM_PIECES_MAX; i++) {
        size_t here = pieces[i].iov_len < LONGEST ? pieces[i].iov_len : LONGEST;

        if (total + here >= LONGEST && i + 1 < DATAGRAM_PIECES_MAX) { /* what follows is never reached */
            memcpy(to, pieces, (i + 1) * sizeof *to);
            return i + 1;
        }
        if (i > 0 && before + here < least) {
            least = before + here;
            joined->place = i - 1;
            joined->offset = total - before;
        }
        total += here;
        before = here;
    }
    joined->length = least;
    memcpy(to, pieces, joined->place * sizeof *to);
    to[joined->place] = (struct iovec){joined->bytes, least};
    memcpy(to + joined->place + 1, pieces + joined->place + 2, (DATAGRAM_PIECES_MAX - 2 - joined->place) * sizeof *to);
    return DATAGRAM_PIECES_MAX - 1;
}

int datagram_pieces_gather(const struct iovec *pieces, struct datagram_joined *joined)
{
    const struct iovec *pair = pieces + joined->place;

    if (joined->length == 0)
        return 0;
    if (memory_check(pair[0].iov_base, pair[0].iov_len) < 0 || memory_check(pair[1].iov_base, pair[1].iov_len) < 0)
        return -EFAULT;
    memcpy(joined->bytes, pair[0].iov_base, pair[0].iov_len);
    memcpy(joined->bytes + pair[0].iov_len, pair[1].iov_base, pair[1].iov_len);
    return 0;
}

int datagram_pieces_scatter(const struct iovec *pieces, const struct datagram_joined *joined, size_t length)
{
    const struct iovec *pair = pieces + joined->place;
    size_t came, first;

    if (joined->length == 0 || length <= joined->offset)
        return 0;
    came = length - joined->offset < joined->length ? length - joined->offset : joined->length;
    first = came < pair[0].iov_len ? came : pair[0].iov_len;
    if (memory_check(pair[0].iov_base, first) < 0 || memory_check(pair[1].iov_base, came - first) < 0)
        return -EFAULT;
    memcpy(pair[0].iov_base, joined->bytes, first);
    memcpy(pair[1].iov_base, joined->bytes + first, came - first);
    return 0;
}
