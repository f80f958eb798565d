/* sockopt_datagram.c - the options that only datagram sockets have, and that have a rule of their own. */
#include "sockopt_row.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>

int sockopt_set_byte(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)request;
    (void)root;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value & UCHAR_MAX);
    return 0;
}

/* IP_TTL, IP_MULTICAST_TTL and their like: -1 is the default; 0 only reaches this host, which takes a group. */
int sockopt_set_hops(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)request;
    (void)root;
    if (value == 0 && row->name == IP_TTL && row->level == IPPROTO_IP)
        return -EINVAL;
    sockopt_note_number(socket, (enum sockopt_number)row->where, value == -1 ? row->initial : value);
    return 0;
}
