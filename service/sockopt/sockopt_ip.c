/* sockopt_ip.c - the options at IPPROTO_IP and IPPROTO_IPV6 that have a rule of their own. */
#include "service/datagram/datagram.h"
#include "sockopt_row.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>

#define TTL_DEFAULT 64
#define ECN_MASK 3

int sockopt_get_tos(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_get_stack(socket, STACK_IP_TOS));
}

int sockopt_set_tos(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    int value, bool root)
{
    /* A stream socket's ECN bits are TCP's own (ip(7)). */
    int ecn = sockopt_get_stack(socket, STACK_IP_TOS) & ECN_MASK;

    (void)row;
    (void)request;
    (void)root;
    return sockopt_set_stack(socket, STACK_IP_TOS, (value & UCHAR_MAX & ~ECN_MASK) | ecn);
}

int sockopt_get_ttl(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_get_stack(socket, STACK_IP_TTL));
}

int sockopt_set_ttl(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    if (value == -1)
        value = TTL_DEFAULT;
    return value < 1 || value > UCHAR_MAX ? -EINVAL : sockopt_set_stack(socket, STACK_IP_TTL, value);
}

/* IP_OPTIONS: none. */
int sockopt_set_options(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    for (uint32_t i = 0; i < request->option_length; i++)
        if (request->option[i] != 0) /* IPOPT_END */
            return -EINVAL;          /* DIFFERS: docs/differences.md */
    return 0;
}

int sockopt_get_mtu(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    struct tcp_info info;
    int mtu;

    (void)row;
    if (socket->datagram != NULL) {
        mtu = stack_datagram_path_mtu(socket->datagram->stack);
        return mtu < 0 ? mtu : sockopt_answer(request, reply, &mtu, sizeof mtu);
    }
    if (socket->tcp == NULL || socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    stack_tcp_get_info(socket->tcp, &info);
    mtu = (int)info.tcpi_pmtu;
    return sockopt_answer(request, reply, &mtu, sizeof mtu);
}

int sockopt_local_port(const struct socket *socket)
{
    union stack_address local = socket->local;

    if (socket->tcp != NULL)
        (void)stack_tcp_local_address(socket->tcp, &local);
    else if (socket->datagram != NULL)
        (void)stack_datagram_local_address(socket->datagram->stack, &local);
    return ntohs(local.in.sin_port); /* where sockaddr_in6 has it, too */
}

/* IP_PROTOCOL says what Linux calls the socket's number: a raw socket's protocol, else the local port. */
int sockopt_get_port(const struct socket *socket, const struct sockopt_row *row,
                     const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, socket->type == SOCK_RAW ? socket->protocol : sockopt_local_port(socket));
}

/* IP_UNICAST_IF: an interface's index in network byte order; 0: any. */
int sockopt_set_unicast_interface(struct socket *socket, const struct sockopt_row *row,
                                  const struct protocol_message *request, int value, bool root)
{
    (void)request;
    (void)root;
    if (value != 0)
        return -EADDRNOTAVAIL;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value);
    return 0;
}

/* IP_LOCAL_PORT_RANGE: the lower bound in the lower half, 0: the system's. */
int sockopt_set_port_range(struct socket *socket, const struct sockopt_row *row,
                           const struct protocol_message *request, int value, bool root)
{
    uint32_t low = (uint32_t)value & 0xffff, high = (uint32_t)value >> 16;

    (void)request;
    (void)root;
    if (low != 0 && high != 0 && low > high)
        return -EINVAL;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value);
    return socket->tcp != NULL ? sockopt_set_stack(socket, STACK_IP_LOCAL_PORT_RANGE, value) : 0;
}
