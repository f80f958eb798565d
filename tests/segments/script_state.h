/* script_state.h - a case that runs, for the files that run it. */
#ifndef TEST_SEGMENTS_SCRIPT_STATE_H
#define TEST_SEGMENTS_SCRIPT_STATE_H

#include "packet.h"
#include "script.h"

struct script_state {
    const struct script_case *it;
    int line;
    bool trace;
    uint32_t peer_isn, host_isn;
    uint32_t peer_next, host_next; /* relative: what follows all that was sent */
    uint16_t peer_port, host_port;
    bool stamps;
    uint32_t stamp, host_stamp;
    size_t sent, received; /* bytes of the streams */
    bool has_packet;       /* one was taken and not looked at */
    struct packet packet;
    uint8_t bytes[PACKET_MAX];
};


extern struct script_state script_state;

/* The case failed. */
__attribute__((format(printf, 1, 2), noreturn)) void script_fail(const char *format, ...);

/* The byte at this place of either stream. */
uint8_t script_stream_byte(size_t at);

/* ---- script_segment.c ---- */

/* Fetch the next segment from the host, if there is one. */
bool script_peek(void);
void script_check_quiet(void);
/* A segment comes, as the text says, which is written to. */
void script_put_segment(char *text);
/* The next segment of the host's is as the text says. */
void script_expect_segment(char *text);
/* Let time pass until a segment is there, from earliest to latest. */
void script_await_segment(unsigned earliest_ms, unsigned latest_ms);
/* An ICMP error comes: TYPE CODE WORD [SEQ]. */
void script_put_icmp(const char *text);

#endif
