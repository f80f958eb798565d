/* sockopt_datagram.c - the options that only datagram sockets have, and that have a rule of their own. */
#include "sockopt_row.h"

#include "datagram.h"
#include "stack/interface.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>

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

/* SO_BINDTODEVICE: the name of an interface, "": any. */
int sockopt_set_named_device(struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, int value, bool root)
{
    struct stack_interface interface;
    char name[IF_NAMESIZE] = "";

    (void)row;
    (void)value;
    (void)root;
    memcpy(name, request->option, request->option_length < sizeof name - 1 ? request->option_length : sizeof name - 1);
    if (name[0] == '\0') {
        sockopt_note_number(socket, NUMBER_BIND_INTERFACE, 0);
        return 0;
    }
    for (unsigned index = 1; stack_get_interface(index, &interface) == 0; index++) {
        if (strcmp(interface.name, name) == 0) {
            sockopt_note_number(socket, NUMBER_BIND_INTERFACE, (int)index);
            return 0;
        }
    }
    return -ENODEV;
}

int sockopt_get_device(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    unsigned index = (unsigned)sockopt_number(socket, NUMBER_BIND_INTERFACE);
    struct stack_interface interface;

    (void)row;
    if (index == 0 || stack_get_interface(index, &interface) < 0)
        return sockopt_answer(request, reply, "", 0);
    if (request->option_length < IF_NAMESIZE)
        return -EINVAL;
    return sockopt_answer(request, reply, interface.name, strlen(interface.name) + 1);
}
