/*
 * tcp_sack.c - what our SACK option says beyond lwIP's own blocks: duplicates (RFC 2883), and a FIN out of order.
 *
 * Theory of operation. lwIP answers a segment that came before, or out of order, with an empty acknowledgement, and
 * writes a block for each piece of data that waits. Two things are missing there.
 *
 * Duplicates. The option is to begin with a block that says which segment it was that came twice, so that the peer can
 * undo what it did for a loss that was none. lwIP asks for the length of options that it does not write
 * (LWIP_HOOK_TCP_OUT_TCPOPT_LENGTH): room for a block and a header of its own. The option that lwIP wrote is replaced
 * by one with the block in front. All this is in force only while that segment is processed (tcp_sack_extra), and given
 * up before anything with data is written, whose header has no such room.
 *
 * FIN. It has a sequence number, but no byte, and lwIP's blocks are of bytes. Where one ends at a FIN that waits, its
 * edge is moved behind it while the option is written. A FIN that waits alone is told once, as if it were a duplicate.
 */
#include <string.h>

#include "tcp_socket.h"

const struct tcp_pcb *tcp_sack_extra; /* that an extra block is written for; NULL: none */

static struct {
    uint32_t left, right;
} extra;

/* Find what is in the segment and waits already; the lowest such part. Return: false: nothing. */
static bool find_waiting(const struct tcp_pcb *pcb, uint32_t sequence, uint32_t end)
{
    bool found = false;

    if (pcb->ooseq == NULL)
        return false;
    for (u8_t i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++) {
        uint32_t left = TCP_SEQ_GT(pcb->rcv_sacks[i].left, sequence) ? pcb->rcv_sacks[i].left : sequence;
        uint32_t right = TCP_SEQ_LT(pcb->rcv_sacks[i].right, end) ? pcb->rcv_sacks[i].right : end;

        if (!TCP_SEQ_LT(left, right) || (found && TCP_SEQ_GT(left, extra.left)))
            continue;
        extra.left = left;
        extra.right = right;
        found = true;
    }
    return found;
}

/* Does a block end there? */
static bool is_edge(const struct tcp_pcb *pcb, uint32_t sequence)
{
    for (u8_t i = 0; i < LWIP_TCP_MAX_SACK_NUM && LWIP_TCP_SACK_VALID(pcb, i); i++)
        if (pcb->rcv_sacks[i].right == sequence)
            return true;
    return false;
}

void tcp_sack_look(struct stack_tcp *tcp, uint32_t sequence, u16_t size, bool fin)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    uint32_t end = sequence + size;

    tcp_sack_extra = NULL;
    if ((size == 0 && !fin) || (pcb->flags & TF_SACK) == 0 || pcb->state < ESTABLISHED || pcb->state > FIN_WAIT_2)
        return;
    if (fin && TCP_SEQ_GT(sequence, pcb->rcv_nxt)) {
        tcp->fin_waits = true;
        if (size == 0 && !is_edge(pcb, sequence)) {
            extra.left = sequence;
            extra.right = sequence + 1;
            tcp_sack_extra = pcb;
        }
    }
    if (size == 0)
        return;
    if (TCP_SEQ_LT(sequence, pcb->rcv_nxt)) {
        extra.left = sequence;
        extra.right = TCP_SEQ_LT(end, pcb->rcv_nxt) ? end : pcb->rcv_nxt;
        tcp_sack_extra = pcb;
    } else if (find_waiting(pcb, sequence, end)) {
        tcp_sack_extra = pcb;
    }
}

void tcp_sack_forget(void)
{
    tcp_sack_extra = NULL;
}

/* Where lwIP's SACK option is, or would be. */
static u32_t *find_option(const struct tcp_pcb *pcb, struct tcp_hdr *header, u32_t *end)
{
    u32_t *sack = (u32_t *)(void *)(header + 1);

    if ((pcb->flags & TF_TIMESTAMP) != 0 && end > sack)
        sack += LWIP_TCP_OPT_LEN_TS_OUT / sizeof *sack;
    return end < sack ? end : sack; /* a reset has none of them */
}

void tcp_sack_include_fin(struct stack_tcp *tcp, struct tcp_hdr *header, u32_t *options)
{
    const struct tcp_pcb *pcb = tcp->pcb;
    const struct tcp_seg *segment = pcb->ooseq;
    u32_t edge;

    while (segment != NULL && (TCPH_FLAGS(segment->tcphdr) & TCP_FIN) == 0)
        segment = segment->next;
    if (segment == NULL)
        return;
    edge = segment->tcphdr->seqno + segment->len;
    for (u32_t *right = find_option(pcb, header, options) + 2; right < options; right += 2)
        if (*right == lwip_htonl(edge))
            *right = lwip_htonl(edge + 1);
}

u32_t *tcp_sack_write(const struct pbuf *p, struct tcp_hdr *header, u32_t *options)
{
    u32_t *sack = find_option(tcp_sack_extra, header, options);
    size_t blocks;

    if (p->tot_len > TCPH_HDRLEN_BYTES(header) || (TCPH_FLAGS(header) & (TCP_SYN | TCP_FIN)) != 0) {
        tcp_sack_extra = NULL;
        return options;
    }
    blocks = (size_t)(options - sack) / 2;
    memmove(sack + 3, sack + 1, blocks * 8);
    sack[0] = lwip_htonl(0x01010502u + 8 * (uint32_t)(blocks + 1));
    sack[1] = lwip_htonl(extra.left);
    sack[2] = lwip_htonl(extra.right);
    if (blocks > 0)
        options[2] = PP_HTONL(0x01010101u); /* where the second header would have been */
    return options + TCP_SACK_EXTRA_SIZE / sizeof *options;
}
