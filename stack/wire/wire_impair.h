/* wire_impair.h - a wire that is as bad as a real network, on top of another wire. */
#ifndef SIDESTACK_WIRE_IMPAIR_H
#define SIDESTACK_WIRE_IMPAIR_H

#include "impairment.h"
#include "wire.h"

/*
 * Put a layer on inner, which does nothing until wire_impair_set(). Taken: inner, closed with the layer, also when this
 * fails. Return: the layer, or NULL when out of memory.
 */
struct wire *wire_impair_open(struct wire *inner);

/* Change the settings; what is under way arrives as it was to. Return: 0, -EINVAL (*wrong as impairment_parse()),
 * -ENOMEM. */
int wire_impair_set(struct wire *wire, const char *text, const char **wrong);

/* Write the settings as text of at most IMPAIRMENT_TEXT_MAX bytes. */
void wire_impair_get(const struct wire *wire, char *text, size_t size);

/* Frames of a direction since it was opened: how many came, and what became of them. */
struct wire_impair_counters {
    uint64_t frames, lost, marked, overflowed, duplicated, reordered, corrupted;
    uint64_t queued;    /* those that a link with a rate took ... */
    uint64_t waited_us; /* ... and how long they waited for it, all together */
};
void wire_impair_count(const struct wire *wire, struct wire_impair_counters counters[IMPAIRMENT_DIRECTIONS]);

#endif
