/*
 * tcp_acknowledge.c - when received data is acknowledged, and how a duplicate is reported.
 *
 * When. lwIP acknowledges every second segment, and the rest after 50 ms at most. On top of that, as Linux does:
 *   - the first segments of a connection are acknowledged at once, so that the peer's slow start does not wait (quick
 *     acknowledgements), until data flows both ways and an acknowledgement can ride on it;
 *   - a super-segment stands for many, and is acknowledged at once;
 *   - "at once" is the end of the batch of frames that were read together: one acknowledgement for all of them. Data out of order is
 *     acknowledged by lwIP segment by segment, because the peer counts these.
 *
 * Duplicates (RFC 2883). lwIP answers a segment that came before with an empty acknowledgement; its SACK option then begins with a block that says which
 * segment that was, so that the peer can undo what it did for a loss that was none. lwIP asks for the length of options that it does not
 * write (LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH): room for a block and a header of its own. The option that lwIP wrote is
 * replaced by one with the block in front. All this is in force only while that segment is processed, and given up before
 * anything with data is written, whose header has no such room.
 */
#include "tcp_acknowledge.h"

#include <string.h>

#include "stack/port.h"
#include "tcp_socket.h"

#define QUICK_SEGMENTS 16       /* Linux: TCP_MAX_QUICKACKS */
#define ANSWER_US 40000u        /* Linux: TCP_ATO_MIN; data that soon after data is an answer */

const struct tcp_pcb *tcp_acknowledge_duplicate; /* that a duplicate came for; NULL: none */

static struct {
    uint32_t left, right;
} duplicate;

static struct stack_tcp *wanting; /* list of connections with wanted set */

void tcp_acknowledge_start(struct stack_tcp *tcp)
{
    tcp->acknowledger.quick = QUICK_SEGMENTS;
    tcp->acknowledger.answers = false;
    tcp->acknowledger.bytes = 0;
    tcp->acknowledger.acknowledged = tcp->pcb->rcv_nxt;
}

void tcp_acknowledge_release(struct stack_tcp *tcp)
{
    struct stack_tcp **link = &wanting;

    tcp_acknowledge_duplicate = NULL;
    if (!tcp->acknowledger.wanted)
        return;
    while (*link != tcp)
        link = &(*link)->acknowledger.next;
    *link = tcp->acknowledger.next;
    tcp->acknowledger.wanted = false;
}

void tcp_acknowledge_data(struct stack_tcp *tcp, size_t size)
{
    struct acknowledger *acknowledger = &tcp->acknowledger;
    struct tcp_pcb *pcb = tcp->pcb;

    acknowledger->bytes += size;
    if (acknowledger->acknowledged == pcb->rcv_nxt)
        return; /* lwIP did, to tell what is still missing */
    if (tcp_acknowledge_duplicate == pcb) {
        tcp_ack_now(pcb);
        return;
    }
    if (size > pcb->mss || tcp->options[STACK_TCP_QUICKACK]) {
        tcp_ack_now(pcb);
    } else if (acknowledger->quick > 0 && !acknowledger->answers) {
        acknowledger->quick--;
        tcp_ack_now(pcb);
    }
    if ((pcb->flags & TF_ACK_NOW) == 0 || pcb->state != ESTABLISHED || pcb->ooseq != NULL)
        return;
    tcp_clear_flags(pcb, TF_ACK_NOW);
    tcp_set_flags(pcb, TF_ACK_DELAY);
    if (acknowledger->wanted)
        return;
    acknowledger->wanted = true;
    acknowledger->next = wanting;
    wanting = tcp;
}

void tcp_acknowledge_on_segment(struct stack_tcp *tcp)
{
    if (tcp->pcb != NULL)
        tcp->acknowledger.acknowledged = tcp->pcb->rcv_nxt;
}

void tcp_acknowledge_sending(struct stack_tcp *tcp)
{
    if (tcp->received_us != 0 && port_now_us - tcp->received_us < ANSWER_US)
        tcp->acknowledger.answers = true;
}

void tcp_acknowledge_flush(void)
{
    while (wanting != NULL) {
        struct stack_tcp *tcp = wanting;

        wanting = tcp->acknowledger.next;
        tcp->acknowledger.wanted = false;
        if (tcp->pcb == NULL || (tcp->pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW)) == 0)
            continue; /* data took it along */
        tcp_ack_now(tcp->pcb);
        tcp_output(tcp->pcb);
    }
}

/* Find what is in the segment and waits already; the lowest such part. Return: false: nothing. */
static bool find_waiting(const struct tcp_pcb *pcb, uint32_t sequence, uint32_t end)
{
    bool found = false;

    if (pcb->ooseq == NULL)
        return false;
    for (u8_t i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++) {
        uint32_t left = TCP_SEQ_GT(pcb->rcv_sacks[i].left, sequence) ? pcb->rcv_sacks[i].left : sequence;
        uint32_t right = TCP_SEQ_LT(pcb->rcv_sacks[i].right, end) ? pcb->rcv_sacks[i].right : end;

        if (!TCP_SEQ_LT(left, right) || (found && TCP_SEQ_GT(left, duplicate.left)))
            continue;
        duplicate.left = left;
        duplicate.right = right;
        found = true;
    }
    return found;
}

void tcp_acknowledge_look(struct stack_tcp *tcp, uint32_t sequence, u16_t size)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    uint32_t end = sequence + size;

    tcp_acknowledge_duplicate = NULL;
    if (size == 0 || (pcb->flags & TF_SACK) == 0 || pcb->state < ESTABLISHED || pcb->state > FIN_WAIT_2)
        return;
    if (TCP_SEQ_LT(sequence, pcb->rcv_nxt)) {
        duplicate.left = sequence;
        duplicate.right = TCP_SEQ_LT(end, pcb->rcv_nxt) ? end : pcb->rcv_nxt;
        tcp_acknowledge_duplicate = pcb;
    } else if (find_waiting(pcb, sequence, end)) {
        tcp_acknowledge_duplicate = pcb;
    }
}

void tcp_acknowledge_forget(void)
{
    tcp_acknowledge_duplicate = NULL;
}

u32_t *tcp_acknowledge_write(const struct pbuf *p, struct tcp_hdr *header, u32_t *options)
{
    u32_t *sack = (u32_t *)(void *)(header + 1);
    size_t blocks;

    if (p->tot_len > TCPH_HDRLEN_BYTES(header) || (TCPH_FLAGS(header) & (TCP_SYN | TCP_FIN)) != 0) {
        tcp_acknowledge_duplicate = NULL;
        return options;
    }
    if ((tcp_acknowledge_duplicate->flags & TF_TIMESTAMP) != 0 && options > sack)
        sack += LWIP_TCP_OPT_LEN_TS_OUT / sizeof *sack;
    if (options < sack) /* a reset, which has none of them */
        sack = options;
    blocks = (size_t)(options - sack) / 2;
    memmove(sack + 3, sack + 1, blocks * 8);
    sack[0] = lwip_htonl(0x01010502u + 8 * (uint32_t)(blocks + 1));
    sack[1] = lwip_htonl(duplicate.left);
    sack[2] = lwip_htonl(duplicate.right);
    if (blocks > 0)
        options[2] = PP_HTONL(0x01010101u); /* where the second header would have been */
    return options + TCP_ACKNOWLEDGE_DUPLICATE_SIZE / sizeof *options;
}
