/* tcp_validate.h - which segments are let in. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_VALIDATE_H
#define SIDESTACK_TCP_VALIDATE_H

#include "stack/lwip_api.h"

struct stack_tcp;

/* A segment that came, in host byte order. What changes here is what lwIP sees. */
struct segment_facts {
    uint32_t sequence, end, acknowledgement; /* end: behind data, SYN and FIN */
    uint8_t flags;
    uint16_t size; /* of the data */
    uint16_t port, peer_port;
};

/* A segment for a connection from SYN-RECEIVED on, but for TIME-WAIT. Return: ERR_OK, or ERR_VAL: it is dropped, and
 * answered. */
err_t tcp_validate_segment(struct stack_tcp *tcp, struct segment_facts *segment);
/* The same in SYN-SENT. */
err_t tcp_validate_syn_sent(struct stack_tcp *tcp, struct segment_facts *segment, struct tcp_hdr *header);
/* A segment that PAWS says is old (RFC 7323 5.3): answer it; it is dropped. */
void tcp_validate_outdated(struct stack_tcp *tcp, const struct segment_facts *segment);
/* A segment that was let in: is it data for an owner that has closed (RFC 1122 4.2.2.13)? Return: ERR_OK: no; ERR_ABRT:
 * it is reset, and tcp is gone. */
err_t tcp_validate_data_after_close(struct stack_tcp *tcp, const struct segment_facts *segment);

/* Acknowledge a segment that needs no answer, unless that was done just before. */
void tcp_validate_answer(struct stack_tcp *tcp);
/* Answer a segment with a reset (RFC 9293 3.10.7.1). */
void tcp_validate_reset(const struct segment_facts *segment);
/* lwIP writes a reset that answers a segment: put into the header what RFC 9293 3.10.7.1 says. */
void tcp_validate_fix_reset(struct tcp_hdr *reset);

/* Return: the option of this kind and length, its kind first; NULL: there is none. */
const u8_t *tcp_validate_find_option(const struct tcp_hdr *header, u8_t kind, u8_t length);
/* What a SYN says of the MSS, or its family's default; one that is too small is made larger in the header. */
u16_t tcp_validate_mss(const struct tcp_hdr *header);

#endif
