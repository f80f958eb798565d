/* pairs.h - all sockets' turn: what their programs did to the pairs, and the work that came of it. */
#ifndef SIDESTACK_PAIRS_H
#define SIDESTACK_PAIRS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* Have each pair's object note what happened; events of other things are passed over. */
void pairs_dispatch(const struct epoll_event *events, int count);

/* Move bytes for every socket that has work, a share each; or only for those that have little. */
void pairs_run(void);
void pairs_run_brief(void);

/* Is something left for pairs_run()? */
bool pairs_have_work(void);

/* How long work may be postponed yet. Return: microseconds; negative: there is none. */
int64_t pairs_timer_us(void);

/* Work that was postponed long enough is for pairs_run(). */
void pairs_run_timers(uint64_t now_us);

/* In the middle of a turn: handle what the pairs have to say by now. What a program did to one socket before it asks
 * about another may not have been looked at yet. Everything but pairs is level-triggered and comes again. */
void pairs_catch_up(void);

/* The service stops: connections end in order, what never carried a byte at once. */
void pairs_end(void);

#endif
