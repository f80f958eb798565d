/*
 * tcp_ecn.c - explicit congestion notification: RFC 3168, as Linux does it.
 *
 * Theory of operation. A router whose queue grows marks packets instead of dropping them, if their sender has said that
 * it will heed that. Four bits carry this:
 *
 *     IP   ECT(0)  "mark me", in new data only              CE   "marked"
 *     TCP  ECE     "marked packets reach me"                 CWR  "my window came down, you may stop saying so"
 *
 *     sender                    router           receiver
 *       data, ECT(0) ------------- CE -----------> tcp_ecn_input(): echoing
 *       tcp_recovery.c: the window <-------- ECE - each segment
 *       comes down, once a round trip, as
 *       for a loss, and nothing is resent
 *       new data, CWR ---------------------------> no longer
 *
 * The two ends agree in the handshake: a SYN asks with ECE and CWR, a SYN-ACK agrees with ECE alone; a SYN that has to
 * be sent again does not ask any more, as something on the path may drop what it does not know (tcp_ecn_fallback). By
 * default we agree and do not ask (tcp_ecn = 2).
 *
 * What is sent again, acknowledgements without data and probes are never ECT: a forged or repeated one must not count
 * (6.1.4 to 6.1.6). lwIP knows nothing of all this: it leaves the two flags alone, and takes the TOS octet from the
 * control block, where it is set anew for each segment (tcp_ecn_write), by the hook that writes options.
 */
#include "tcp_ecn.h"

#include "tcp_socket.h"

#define IP_ECT_0 2u
#define IP_CE 3u
#define IP_ECN_MASK 3u
#define QUICK_AFTER_MARK 2 /* acknowledgements: Linux, tcp_enter_quickack_mode() */

enum stack_ecn tcp_ecn_mode = STACK_ECN_ACCEPT;

static bool syn_asks; /* the SYN that is processed */

static unsigned flags_of(const struct tcp_hdr *header)
{
    return lwip_ntohs(header->_hdrlen_rsvd_flags) & (TCP_ECE | TCP_CWR);
}

unsigned tcp_ecn_of_packet(void)
{
    return (ip_current_is_v6() ? IP6H_TC(ip6_current_header()) : IPH_TOS(ip4_current_header())) & IP_ECN_MASK;
}

void tcp_ecn_look_at_syn(const struct tcp_hdr *header)
{
    /* 6.1.1: a SYN is not marked; if it is, something on the path does not know what it does */
    syn_asks = tcp_ecn_mode != STACK_ECN_OFF && flags_of(header) == (TCP_ECE | TCP_CWR) && tcp_ecn_of_packet() == 0;
}

void tcp_ecn_forget_syn(void)
{
    syn_asks = false;
}

void tcp_ecn_passive_open(struct tcp_ecn *ecn)
{
    *ecn = (struct tcp_ecn){.asked = syn_asks, .on = syn_asks};
}

void tcp_ecn_active_open(struct tcp_ecn *ecn)
{
    *ecn = (struct tcp_ecn){.asked = tcp_ecn_mode == STACK_ECN_REQUEST};
}

void tcp_ecn_look_at_answer(struct tcp_ecn *ecn, const struct tcp_hdr *header)
{
    ecn->on = ecn->asked && flags_of(header) == TCP_ECE;
}

bool tcp_ecn_input(struct stack_tcp *tcp, const struct tcp_hdr *header, u16_t size)
{
    struct tcp_ecn *ecn = &tcp->ecn;
    unsigned flags = flags_of(header), field;

    if (!ecn->on)
        return false;
    if ((flags & TCP_CWR) != 0) {
        ecn->echoing = false;
        if (size > 0) /* its window may be one segment: don't let it wait */
            tcp->acknowledger.quick = LWIP_MAX(tcp->acknowledger.quick, 1);
    }
    field = size > 0 ? tcp_ecn_of_packet() : 0;
    if (field != 0)
        ecn->seen = true;
    if (field == IP_CE && !ecn->echoing) {
        ecn->echoing = true;
        tcp_acknowledge_enter_quick(tcp, QUICK_AFTER_MARK);
    }
    return (flags & TCP_ECE) != 0;
}

void tcp_ecn_write(struct stack_tcp *tcp, struct tcp_hdr *header, bool new_data)
{
    struct tcp_ecn *ecn = &tcp->ecn;
    struct tcp_pcb *pcb = tcp->pcb;
    unsigned flags = 0;

    if (!ecn->asked)
        return;
    if ((TCPH_FLAGS(header) & TCP_SYN) != 0) {
        if ((TCPH_FLAGS(header) & TCP_ACK) != 0)
            flags = ecn->on ? TCP_ECE : 0;
        else if (pcb->nrtx == 0)
            flags = TCP_ECE | TCP_CWR;
    } else if (ecn->on) {
        pcb->tos = (u8_t)((pcb->tos & ~IP_ECN_MASK) | (new_data ? IP_ECT_0 : 0));
        flags = ecn->echoing ? TCP_ECE : 0;
        if (new_data && ecn->reduced) {
            ecn->reduced = false;
            flags |= TCP_CWR;
        }
    }
    header->_hdrlen_rsvd_flags =
        (u16_t)((header->_hdrlen_rsvd_flags & PP_HTONS((u16_t)~(TCP_ECE | TCP_CWR))) | lwip_htons((u16_t)flags));
}
