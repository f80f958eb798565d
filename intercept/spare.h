/* spare.h - TCP sockets that the service made beforehand. */
#ifndef SIDESTACK_SPARE_H
#define SIDESTACK_SPARE_H

#include "control.h"
#include "descriptor.h"

/* Places for some that will come; a bit for each. */
typedef uint32_t spare_places;

/* socket() is about to ask for one: how many besides are wanted? *places: for spare_keep(), which must follow. */
int spare_count_wanted(spare_places *places);

/* Keep what came behind the first one, which has this number; received.count may be 0. */
void spare_keep(spare_places places, int domain, const struct control_received *received,
                const struct descriptor_number *first);

/*
 * Take one. flags: SOCK_CLOEXEC. Return: a descriptor that is the program's from now on, its number noted; -ENOENT when
 * there is none, or -errno when there is no number free for it.
 */
int spare_take(int domain, int flags);

/* In a child: these are the parent's. */
void spare_close_all(void);

#endif
