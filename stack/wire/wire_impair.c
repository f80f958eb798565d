/*
 * wire_impair.c - a wire that loses, delays, reorders, repeats and corrupts frames, and has a rate and a queue.
 *
 * Theory of operation. The model of one direction is a link with a queue in front of it and a long cable behind it:
 *
 *     frame -> lost? -> repeated? -> corrupted? -> [queue] -> link (rate) -> cable (delay +- jitter, reorder) -> due
 *
 * What is to be lost is marked instead (RFC 3168) where `ecn` is set and its sender said that he can make use of that,
 * as with tc-netem(8). A frame that finds `queue` others waiting for the link is dropped. Behind the link each frame
 * has a delay of its own, so jitter reorders frames that are closer together than that, as tc-netem(8) does without a
 * rate; `reorder` is the share of frames that skip the cable. Frames that are under way are held in a heap by the time
 * at which they are due; of two that are due at once the one that came first goes first. Chances come from one
 * generator for each direction, seeded by the settings, so that the same frames meet the same fate in each run.
 *
 * What is impaired are frames as they go over a cable: super-segments are cut and checksums completed first
 * (wire_split.c), in both directions, so that loss takes single segments, a rate counts each header, and a flipped bit
 * is seen by whoever checks. While a direction has no settings and holds nothing, its frames pass through as they are,
 * offloads included; so the layer costs nothing until it is used.
 *
 * The owner learns by due_us() when something is due, and calls run() then, which sends what is to go out; what is to
 * come in waits to be read.
 */
#include "wire_impair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stack/bytes.h"
#include "stack/lwip_api.h"
#include "stack/port.h"
#include "wire_split.h"

#define HELD_BYTES_MAX (128u * 1024 * 1024) /* in each direction: 100 ms at 10 Gbit/s */
#define READ_MAX 64                         /* frames taken from the inner wire at a time */
#define ETHERNET_SIZE 14
#define ECN_CE 3 /* both bits of the field */

struct held {
    uint64_t due_us;
    uint64_t order;
    size_t size;
    uint8_t bytes[];
};

struct side {
    struct impairment impairment;
    uint64_t random;      /* state of xorshift64* */
    struct held **heap;   /* owned, with its entries; the first is due first */
    size_t held, capacity;
    size_t held_bytes;
    uint64_t order;       /* of the next frame */
    uint64_t link_free_us; /* when the link has sent all that waits for it */
    uint64_t *departures; /* owned; ring of impairment.queue times at which the link has sent a frame */
    size_t first_departure, departure_count;
    struct wire_impair_counters counters;
};

struct impair {
    struct wire wire; /* first: operations get it */
    struct wire *inner; /* owned; closed in impair_close() */
    uint64_t seed;
    struct side sides[IMPAIRMENT_DIRECTIONS];
    uint8_t frame[WIRE_FRAME_MAX]; /* one at work */
};

static struct impair *impair_of(struct wire *wire)
{
    return (struct impair *)wire;
}

/* Return: a random number below limit (2^32 at most). */
static uint64_t draw(struct side *side, uint64_t limit)
{
    side->random ^= side->random >> 12;
    side->random ^= side->random << 25;
    side->random ^= side->random >> 27;
    return ((side->random * 0x2545f4914f6cdd1dull) >> 32) * limit >> 32;
}

/* Does something happen that has this chance, in parts per million? */
static bool happens(struct side *side, uint32_t chance)
{
    return chance > 0 && draw(side, 1000000) < chance;
}

static void seed_side(struct side *side, uint64_t seed, int direction)
{
    uint64_t mixed = seed + (uint64_t)(direction + 1) * 0x9e3779b97f4a7c15ull; /* splitmix64 (Steele et al. 2014) */

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    side->random = (mixed ^ mixed >> 31) | 1;
}

/* ---- The heap ---- */

static bool goes_before(const struct held *a, const struct held *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static bool heap_put(struct side *side, struct held *held)
{
    size_t at = side->held;

    if (side->held == side->capacity) {
        size_t capacity = side->capacity > 0 ? side->capacity * 2 : 256;
        struct held **heap = realloc(side->heap, capacity * sizeof *heap);

        if (heap == NULL)
            return false;
        side->heap = heap;
        side->capacity = capacity;
    }
    for (side->held++; at > 0 && goes_before(held, side->heap[(at - 1) / 2]); at = (at - 1) / 2)
        side->heap[at] = side->heap[(at - 1) / 2];
    side->heap[at] = held;
    side->held_bytes += held->size;
    return true;
}

/* Take the first frame if it is due. Return: it, the caller's to free; NULL: none. */
static struct held *heap_take(struct side *side)
{
    struct held *first, *last;
    size_t at = 0;

    if (side->held == 0 || side->heap[0]->due_us > port_now_us)
        return NULL;
    first = side->heap[0];
    last = side->heap[--side->held];
    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= side->held)
            break;
        if (child + 1 < side->held && goes_before(side->heap[child + 1], side->heap[child]))
            child++;
        if (!goes_before(side->heap[child], last))
            break;
        side->heap[at] = side->heap[child];
        at = child;
    }
    side->heap[at] = last;
    side->held_bytes -= first->size;
    return first;
}

/* ---- The model ---- */

/* When has the link sent a frame of size bytes that comes now? Return: false when it finds no room in the queue. */
static bool pass_link(struct side *side, size_t size, uint64_t *departure_us)
{
    const struct impairment *impairment = &side->impairment;

    *departure_us = port_now_us;
    if (impairment->rate_bit_s == 0)
        return true;
    while (side->departure_count > 0 && side->departures[side->first_departure] <= port_now_us) {
        side->first_departure = (side->first_departure + 1) % impairment->queue;
        side->departure_count--;
    }
    if (side->departure_count == impairment->queue)
        return false;
    if (side->link_free_us < port_now_us)
        side->link_free_us = port_now_us;
    side->counters.queued++;
    side->counters.waited_us += side->link_free_us - port_now_us;
    side->link_free_us += (uint64_t)size * 8 * 1000000 / impairment->rate_bit_s;
    *departure_us = side->link_free_us;
    side->departures[(side->first_departure + side->departure_count++) % impairment->queue] = *departure_us;
    return true;
}

static uint64_t choose_delay(struct side *side)
{
    const struct impairment *impairment = &side->impairment;

    if (happens(side, impairment->reorder)) {
        side->counters.reordered++;
        return 0;
    }
    if (impairment->jitter_us == 0)
        return impairment->delay_us;
    return impairment->delay_us - impairment->jitter_us + draw(side, 2ull * impairment->jitter_us + 1);
}

/* One copy of a frame goes on its way. */
static void send_copy(struct side *side, const uint8_t *frame, size_t size)
{
    uint64_t departure_us;
    struct held *held;

    if (side->held_bytes + size > HELD_BYTES_MAX || !pass_link(side, size, &departure_us)) {
        side->counters.overflowed++;
        return;
    }
    held = malloc(sizeof *held + size);
    if (held == NULL) {
        side->counters.overflowed++;
        return;
    }
    held->due_us = departure_us + choose_delay(side);
    held->order = side->order++;
    held->size = size;
    memcpy(held->bytes, frame, size);
    if (happens(side, side->impairment.corrupt) && size > ETHERNET_SIZE) {
        uint64_t bit = draw(side, (size - ETHERNET_SIZE) * 8);

        held->bytes[ETHERNET_SIZE + bit / 8] ^= (uint8_t)(1u << bit % 8);
        side->counters.corrupted++;
    }
    if (!heap_put(side, held)) {
        side->counters.overflowed++;
        free(held);
    }
}

/* Set "congestion experienced" in a packet whose sender takes part in that. Return: whether it does. */
static bool mark(uint8_t *frame, size_t size)
{
    uint8_t *ip = frame + ETHERNET_SIZE;
    bool is_v6 = read_16(frame + 12) == ETHTYPE_IPV6;
    uint8_t *ecn = ip + 1, bits = is_v6 ? ECN_CE << 4 : ECN_CE;

    if (size < ETHERNET_SIZE + IP_HLEN || (!is_v6 && read_16(frame + 12) != ETHTYPE_IP) || (*ecn & bits) == 0)
        return false;
    if (!is_v6 && (*ecn & bits) != bits) { /* RFC 1624: the sum goes down by as much as the word goes up */
        uint32_t sum = read_16(ip + 10) + (0xffffu - (uint32_t)(bits - (*ecn & bits)));

        write_16(ip + 10, (uint16_t)((sum & 0xffff) + (sum >> 16)));
    }
    *ecn |= bits;
    return true;
}

/* A frame enters the model. */
static void enter_frame(void *context, uint8_t *frame, size_t size)
{
    struct side *side = context;

    side->counters.frames++;
    if (happens(side, side->impairment.loss)) {
        if (!side->impairment.ecn || !mark(frame, size)) {
            side->counters.lost++;
            return;
        }
        side->counters.marked++;
    }
    if (happens(side, side->impairment.duplicate)) {
        side->counters.duplicated++;
        send_copy(side, frame, size);
    }
    send_copy(side, frame, size);
}

static bool is_idle(const struct side *side)
{
    return side->held == 0 && impairment_is_none(&side->impairment);
}

/* ---- The wire ---- */

/* Spread bytes over pieces of memory. Return: how many fit. */
static size_t scatter(const struct iovec *iov, int count, const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    for (int i = 0; i < count && at < size; i++) {
        size_t n = size - at < iov[i].iov_len ? size - at : iov[i].iov_len;

        memcpy(iov[i].iov_base, bytes + at, n);
        at += n;
    }
    return at;
}

static ssize_t impair_read_frame(struct wire *wire, struct virtio_net_hdr *header, const struct iovec *iov, int count)
{
    struct impair *impair = impair_of(wire);
    struct side *side = &impair->sides[IMPAIRMENT_IN];
    struct held *held;
    ssize_t size;

    if (is_idle(side))
        return impair->inner->operations->read_frame(impair->inner, header, iov, count);
    held = heap_take(side);
    for (int i = 0; held == NULL && i < READ_MAX; i++) {
        struct iovec all = {impair->frame, sizeof impair->frame};

        size = impair->inner->operations->read_frame(impair->inner, header, &all, 1);
        if (size < 0)
            return size;
        if (size == 0)
            break;
        wire_split(header, impair->frame, (size_t)size, enter_frame, side);
    }
    if (held == NULL)
        held = heap_take(side);
    if (held == NULL)
        return 0;
    memset(header, 0, sizeof *header);
    size = (ssize_t)scatter(iov, count, held->bytes, held->size);
    free(held);
    return size;
}

static bool impair_run(struct wire *wire)
{
    struct impair *impair = impair_of(wire);
    const struct virtio_net_hdr header = {0};
    const struct side *in = &impair->sides[IMPAIRMENT_IN];
    struct held *held;

    while ((held = heap_take(&impair->sides[IMPAIRMENT_OUT])) != NULL) {
        struct iovec all = {held->bytes, held->size};

        (void)impair->inner->operations->write_frame(impair->inner, &header, &all, 1); /* a frame that is lost is lost */
        free(held);
    }
    if (impair->inner->operations->run != NULL && impair->inner->operations->run(impair->inner))
        return true;
    return in->held > 0 && in->heap[0]->due_us <= port_now_us;
}

static int impair_write_frame(struct wire *wire, const struct virtio_net_hdr *header, const struct iovec *iov,
                              int count)
{
    struct impair *impair = impair_of(wire);
    struct side *side = &impair->sides[IMPAIRMENT_OUT];
    size_t size = 0;

    if (is_idle(side))
        return impair->inner->operations->write_frame(impair->inner, header, iov, count);
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > sizeof impair->frame - size)
            return -EMSGSIZE;
        memcpy(impair->frame + size, iov[i].iov_base, iov[i].iov_len);
        size += iov[i].iov_len;
    }
    wire_split(header, impair->frame, size, enter_frame, side);
    impair_run(wire);
    return 0;
}

static uint64_t impair_due_us(const struct wire *wire)
{
    const struct impair *impair = (const struct impair *)wire;
    const struct wire *inner = impair->inner;
    uint64_t due_us = inner->operations->due_us != NULL ? inner->operations->due_us(inner) : UINT64_MAX;

    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        if (impair->sides[i].held > 0 && impair->sides[i].heap[0]->due_us < due_us)
            due_us = impair->sides[i].heap[0]->due_us;
    return due_us;
}

static void impair_close(struct wire *wire)
{
    struct impair *impair = impair_of(wire);

    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++) {
        struct side *side = &impair->sides[i];

        while (side->held > 0)
            free(side->heap[--side->held]);
        free(side->heap);
        free(side->departures);
    }
    impair->inner->operations->close(impair->inner);
    free(impair);
}

static const struct wire_operations impair_operations = {
    .read_frame = impair_read_frame, .write_frame = impair_write_frame, .close = impair_close,
    .due_us = impair_due_us,         .run = impair_run,
};

struct wire *wire_impair_open(struct wire *inner)
{
    struct impair *impair = calloc(1, sizeof *impair);

    if (impair == NULL) {
        inner->operations->close(inner);
        return NULL;
    }
    impair->wire = (struct wire){.operations = &impair_operations, .fd = inner->fd, .features = inner->features};
    impair->inner = inner;
    return &impair->wire;
}

int wire_impair_set(struct wire *wire, const char *text, const char **wrong)
{
    struct impair *impair = impair_of(wire);
    struct impairments wanted = {.direction = {impair->sides[0].impairment, impair->sides[1].impairment}};
    uint64_t *rings[IMPAIRMENT_DIRECTIONS];
    int error = impairment_parse(text, &wanted, wrong);

    if (error < 0)
        return error;
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++) {
        if (wanted.direction[i].queue == 0)
            wanted.direction[i].queue = 1;
        rings[i] = calloc(wanted.direction[i].queue, sizeof **rings);
        if (rings[i] == NULL) {
            if (i > 0)
                free(rings[0]);
            *wrong = "";
            return -ENOMEM;
        }
    }
    if (wanted.seed != 0 || impair->seed == 0) {
        impair->seed = wanted.seed != 0 ? wanted.seed : (uint64_t)port_random() + 1;
        for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
            seed_side(&impair->sides[i], impair->seed, i);
    }
    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++) {
        struct side *side = &impair->sides[i];

        side->impairment = wanted.direction[i];
        free(side->departures); /* what waits for the link no longer counts */
        side->departures = rings[i];
        side->first_departure = side->departure_count = 0;
        side->link_free_us = 0;
    }
    impair->wire.features = impair->inner->features;
    if (!is_idle(&impair->sides[IMPAIRMENT_OUT]))
        impair->wire.features &= ~WIRE_USO; /* wire_split() knows no trains */
    return 0;
}

void wire_impair_get(const struct wire *wire, char *text, size_t size)
{
    const struct impair *impair = (const struct impair *)wire;
    struct impairments now = {.direction = {impair->sides[0].impairment, impair->sides[1].impairment},
                              .seed = impair->seed};

    impairment_format(&now, text, size);
}

void wire_impair_count(const struct wire *wire, struct wire_impair_counters counters[IMPAIRMENT_DIRECTIONS])
{
    const struct impair *impair = (const struct impair *)wire;

    for (int i = 0; i < IMPAIRMENT_DIRECTIONS; i++)
        counters[i] = impair->sides[i].counters;
}
