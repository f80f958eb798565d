/* inspect_cursors.h - sockets that go away tell the cursors of inspect.h. */
#ifndef SIDESTACK_INSPECT_CURSORS_H
#define SIDESTACK_INSPECT_CURSORS_H

#include "inspect.h"

struct time_wait;

extern struct stack_cursor *inspect_cursors; /* head of the list; nearly always there is none */

void inspect_move_on_from_tcp(const struct stack_tcp *tcp);
void inspect_move_on_from_time_wait(const struct time_wait *wait);
void inspect_move_on_from_datagram(const struct stack_datagram *datagram);

/* The socket is about to be freed; it is in the list of all yet. */
static inline void inspect_forget_tcp(const struct stack_tcp *tcp)
{
    if (inspect_cursors != NULL)
        inspect_move_on_from_tcp(tcp);
}

static inline void inspect_forget_time_wait(const struct time_wait *wait)
{
    if (inspect_cursors != NULL)
        inspect_move_on_from_time_wait(wait);
}

static inline void inspect_forget_datagram(const struct stack_datagram *datagram)
{
    if (inspect_cursors != NULL)
        inspect_move_on_from_datagram(datagram);
}

#endif
