/* tcp_option.c - the options of a socket, kept in the socket and applied to lwIP's control block when there is one. */
#include <errno.h>

#include "tcp_socket.h"

/* Linux's defaults: tcp(7), ip(7). */
static const int defaults[STACK_TCP_OPTION_COUNT] = {
    [STACK_TCP_KEEPIDLE] = 7200, [STACK_TCP_KEEPINTVL] = 75, [STACK_TCP_KEEPCNT] = 9,
    [STACK_TCP_SYNCNT] = 6,      [STACK_TCP_LINGER2] = 60,    [STACK_IP_TTL] = 64,       [STACK_IPV6_HOP_LIMIT] = 64,
};

void tcp_option_set_defaults(struct stack_tcp *tcp)
{
    for (int i = 0; i < STACK_TCP_OPTION_COUNT; i++)
        tcp->options[i] = defaults[i];
}

/* Tell the control block about one option. */
static void tcp_option_apply(struct stack_tcp *tcp, enum stack_tcp_option option)
{
    struct tcp_pcb *pcb = tcp->pcb;
    int value = tcp->options[option];
    bool is_v6 = IP_IS_V6_VAL(pcb->local_ip);

    switch (option) {
    case STACK_IP_TTL:
    case STACK_IPV6_HOP_LIMIT:
        if (is_v6 == (option == STACK_IPV6_HOP_LIMIT))
            pcb->ttl = (u8_t)value;
        return;
    case STACK_IP_TOS:
    case STACK_IPV6_TRAFFIC_CLASS:
        if (is_v6 == (option == STACK_IPV6_TRAFFIC_CLASS))
            pcb->tos = (u8_t)((pcb->tos & 3) | (value & ~3)); /* the rest is tcp_ecn.c's */
        return;
    case STACK_TCP_KEEPALIVE:
        if (value)
            ip_set_option(pcb, SOF_KEEPALIVE);
        else
            ip_reset_option(pcb, SOF_KEEPALIVE);
        return;
    default:
        break;
    }
    if (pcb->state == LISTEN) /* a smaller structure; what follows goes to its children */
        return;
    switch (option) {
    case STACK_TCP_KEEPIDLE:
        pcb->keep_idle = (u32_t)value * 1000;
        break;
    case STACK_TCP_KEEPINTVL:
        pcb->keep_intvl = (u32_t)value * 1000;
        break;
    case STACK_TCP_KEEPCNT:
        pcb->keep_cnt = (u32_t)value;
        break;
    case STACK_TCP_NODELAY:
        if (value)
            tcp_nagle_disable(pcb);
        else
            tcp_nagle_enable(pcb);
        break;
    default:
        break; /* looked at where it matters */
    }
}

void tcp_option_apply_all(struct stack_tcp *tcp)
{
    for (int i = 0; i < STACK_TCP_OPTION_COUNT; i++)
        tcp_option_apply(tcp, (enum stack_tcp_option)i);
}

int stack_tcp_set_option(struct stack_tcp *tcp, enum stack_tcp_option option, int value)
{
    if ((unsigned)option >= STACK_TCP_OPTION_COUNT)
        return -ENOPROTOOPT;
    if (option == STACK_IPV6_V6ONLY) {
        if (tcp->bound || tcp->role != TCP_ROLE_NEW)
            return -EINVAL;
        tcp->options[option] = value;
        tcp->local = tcp->bound_address = tcp_bind_any(tcp);
        return 0;
    }
    tcp->options[option] = value;
    if (option == STACK_TCP_QUICKACK)
        tcp_acknowledge_set_quick(tcp, value);
    if (tcp->pcb == NULL)
        return 0;
    tcp_option_apply(tcp, option);
    tcp_timer_wake(tcp);
    if (option == STACK_TCP_RECEIVE_WINDOW)
        tcp_window_change(tcp);
    /* What was held back may go now. */
    if ((option == STACK_TCP_CORK && !value) || (option == STACK_TCP_NODELAY && value)) {
        tcp->part = false;
        tcp_send_push(tcp, false);
    }
    return 0;
}

int stack_tcp_get_option(const struct stack_tcp *tcp, enum stack_tcp_option option)
{
    if (option == STACK_TCP_QUICKACK)
        return !tcp->acknowledger.answers;
    return (unsigned)option < STACK_TCP_OPTION_COUNT ? tcp->options[option] : -ENOPROTOOPT;
}
