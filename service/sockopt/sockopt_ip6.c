/* sockopt_ip6.c - the options at IPPROTO_IPV6 that have a rule of their own. */
#include "sockopt_row.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <string.h>

#define HOPS_DEFAULT 64
#define ECN_MASK 3
#define MTU_MIN 1280 /* RFC 8200 */

/* IPV6_ADDR_PREFERENCES: RFC 5014, linux/in6.h. */
#define PREFER_TEMPORARY 0x0001
#define PREFER_PUBLIC 0x0002
#define PREFER_EITHER 0x0100
#define PREFER_CARE_OF 0x0004
#define PREFER_HOME 0x0400
#define PREFER_GENERATED 0x0008
#define PREFER_NOT_GENERATED 0x0800

/* IPV6_ADDRFORM: the family that the connection speaks. */
int sockopt_get_address_form(const struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    if (socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    return sockopt_answer_int(request, reply, socket->domain);
}

int sockopt_set_hops6(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                      int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    return sockopt_set_stack(socket, STACK_IPV6_HOP_LIMIT, value < 0 ? HOPS_DEFAULT : value);
}

int sockopt_get_hops6(const struct socket *socket, const struct sockopt_row *row,
                      const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_get_stack(socket, STACK_IPV6_HOP_LIMIT));
}

/* A stream socket's ECN bits are TCP's own. */
int sockopt_set_traffic_class(struct socket *socket, const struct sockopt_row *row,
                              const struct protocol_message *request, int value, bool root)
{
    int ecn = sockopt_get_stack(socket, STACK_IPV6_TRAFFIC_CLASS) & ECN_MASK;

    (void)row;
    (void)request;
    (void)root;
    return sockopt_set_stack(socket, STACK_IPV6_TRAFFIC_CLASS, value < 0 ? 0 : (value & ~ECN_MASK) | ecn);
}

int sockopt_get_traffic_class(const struct socket *socket, const struct sockopt_row *row,
                              const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_get_stack(socket, STACK_IPV6_TRAFFIC_CLASS));
}

/* IPV6_MTU: a smaller one than the path's for what is sent; Linux acts on it when it cuts datagrams up. */
int sockopt_set_mtu6(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)socket;
    (void)row;
    (void)request;
    (void)root;
    return value != 0 && value < MTU_MIN ? -EINVAL : 0;
}

/* IPV6_PATHMTU: where to, and how much. */
int sockopt_get_path_mtu(const struct socket *socket, const struct sockopt_row *row,
                         const struct protocol_message *request, struct protocol_message *reply)
{
    struct protocol_message number = {.args = {IPPROTO_IPV6}, .option_length = sizeof(int)}, mtu = {.result = 0};
    struct ip6_mtuinfo info;
    int error;

    if (request->option_length < sizeof info)
        return -EINVAL;
    error = sockopt_get_mtu(socket, row, &number, &mtu);
    if (error < 0)
        return error;
    memset(&info, 0, sizeof info);
    memcpy(&info.ip6m_mtu, mtu.option, sizeof info.ip6m_mtu);
    return sockopt_answer(request, reply, &info, sizeof info);
}

/* Groups, anycast addresses, flow labels on a stream socket: a structure of .initial bytes, which fails with .where. */
int sockopt_set_structure(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                          int value, bool root)
{
    (void)socket;
    (void)value;
    (void)root;
    return request->option_length < (uint32_t)row->initial ? -EINVAL : -row->where;
}

int sockopt_get_structure(const struct socket *socket, const struct sockopt_row *row,
                          const struct protocol_message *request, struct protocol_message *reply)
{
    (void)socket;
    (void)reply;
    return request->option_length < (uint32_t)row->initial ? -EINVAL : -row->where;
}

/* IPV6_HOPOPTS and its like: no extension headers. */
int sockopt_set_headers(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    return request->option_length == 0 ? 0 : -EINVAL; /* DIFFERS: docs/differences.md */
}

/* IPV6_PKTINFO of all that is sent: Linux keeps it, and takes notice of the interface alone. */
int sockopt_set_packet_info(struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, int value, bool root)
{
    struct in6_pktinfo info;

    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    if (request->option_length < sizeof info)
        return -EINVAL;
    memcpy(&info, request->option, sizeof info);
    return info.ipi6_ifindex == 0 ? 0 : -EINVAL; /* DIFFERS: docs/differences.md */
}

/* IPV6_2292PKTOPTIONS: ancillary data for all that is sent: none. */
int sockopt_set_packet_options(struct socket *socket, const struct sockopt_row *row,
                               const struct protocol_message *request, int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    return request->option_length < sizeof(struct cmsghdr) ? 0 : -EINVAL;
}

int sockopt_get_preferences(const struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, struct protocol_message *reply)
{
    int kept = sockopt_number(socket, NUMBER6_ADDRESS_PREFERENCES);
    int shown = (kept & (PREFER_TEMPORARY | PREFER_PUBLIC)) != 0 ? kept & (PREFER_TEMPORARY | PREFER_PUBLIC) : PREFER_EITHER;

    (void)row;
    return sockopt_answer_int(request, reply, shown | (kept & PREFER_CARE_OF ? PREFER_CARE_OF : PREFER_HOME));
}

/* How many bits are set? */
static int count_bits(int value)
{
    return __builtin_popcount((unsigned)value);
}

int sockopt_set_preferences(struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, int value, bool root)
{
    const int lifetimes = PREFER_TEMPORARY | PREFER_PUBLIC | PREFER_EITHER, homes = PREFER_HOME | PREFER_CARE_OF;
    int kept = sockopt_number(socket, NUMBER6_ADDRESS_PREFERENCES);

    (void)row;
    (void)request;
    (void)root;
    if (count_bits(value & lifetimes) > 1 || count_bits(value & homes) > 1 ||
        count_bits(value & (PREFER_GENERATED | PREFER_NOT_GENERATED)) > 1)
        return -EINVAL;
    if (value & lifetimes)
        kept = (kept & ~lifetimes) | (value & (PREFER_TEMPORARY | PREFER_PUBLIC));
    if (value & homes)
        kept = (kept & ~homes) | (value & PREFER_CARE_OF);
    sockopt_note_number(socket, NUMBER6_ADDRESS_PREFERENCES, kept);
    return 0;
}
