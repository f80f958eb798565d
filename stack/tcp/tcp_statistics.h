/* tcp_statistics.h - what happened to all connections together, since stack_open(); names as nstat(8) has them. */
#ifndef SIDESTACK_TCP_STATISTICS_H
#define SIDESTACK_TCP_STATISTICS_H

#include <stdint.h>

struct tcp_statistics {
    uint64_t active_opens, passive_opens;
    uint64_t attempt_fails;      /* handshakes that failed */
    uint64_t established_resets; /* connections that ended by the peer's reset */
    uint64_t aborted_on_timeout, aborted_otherwise;
    uint64_t killed;             /* by sidestack kill */
    uint64_t segments_out, resets_out;
    uint64_t data_segments_out, bytes_out; /* a super-segment counts as the segments that lwIP made */
    uint64_t timeouts, loss_probes, recoveries, undone;
    uint64_t dsacks_in, reorderings;
    uint64_t paws_dropped, listen_dropped; /* listen_dropped: SYNs and last ACKs of handshakes for which there was no room */
    uint64_t time_waits;
    uint64_t cookies_sent, cookies_received, cookies_failed; /* tcp_cookie.c */
};
extern struct tcp_statistics tcp_statistics; /* tcp_socket.c */

#endif
