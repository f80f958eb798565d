/* tcp_rack.h - what was delivered and what is lost. Private to the tcp_*.c files. */
#ifndef SIDESTACK_TCP_RACK_H
#define SIDESTACK_TCP_RACK_H

#include "tcp_sender.h"

/* What one acknowledgement told. */
struct rack_news {
    bool advanced;           /* the acknowledgement number moved */
    bool sacked;             /* something was SACKed that was not */
    bool duplicate_report;   /* DSACK */
    bool original_delivered; /* a segment was delivered that was sent once, before the recovery began */
    bool new_loss;
    uint32_t delivered;      /* bytes */
    bool resent_acknowledged; /* with a segment that was sent again */
    uint64_t first_sent_us;  /* of the segments that were acknowledged and sent once; 0: none */
    uint64_t first_sacked_us; /* of those that were SACKed */
    uint64_t last_sent_us;
    uint64_t reorder_due_us; /* when the segments that are late will be lost; 0: none is */
};

/* Take from the scoreboard what is below the acknowledgement number. */
void rack_take_acknowledged(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told);
/* Mark what is in SACK blocks. */
void rack_take_blocks(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told);
/* Mark what is lost, now that the time is what it is. */
void rack_detect_losses(struct stack_tcp *tcp, struct rack_news *told);
/* The same for a peer without SACK. */
void rack_count_duplicates(struct stack_tcp *tcp, const struct sender_event *event, struct rack_news *told);
void rack_mark_lost(struct stack_tcp *tcp, struct sent_segment *sent, struct rack_news *told);

#endif
