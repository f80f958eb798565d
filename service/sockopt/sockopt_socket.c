/* sockopt_socket.c - the options at SOL_SOCKET that have a structure or a rule of their own. */
#include "service/datagram/datagram.h"
#include "service/log/log.h"
#include "sockopt_row.h"
#include "stack/ip/interface.h"

#include <errno.h>
#include <limits.h>
#include <linux/net_tstamp.h>
#include <linux/sock_diag.h>
#include <sched.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

/* Linux's bounds (net/core/sock.c; socket(7)). */
#define BUFFER_SET_MAX 212992 /* net.core.wmem_max and rmem_max by default */
#define SEND_BUFFER_MIN 4608
#define RECEIVE_BUFFER_MIN 2304
/* SO_BUF_LOCK. */
#define SOCK_SNDBUF_LOCK 1
#define SOCK_RCVBUF_LOCK 2
#define PRIORITY_MAX 6 /* for those who are not root */
#define TIMESTAMPING_MASK ((1 << 19) - 1) /* of Linux 6.18: SOF_TIMESTAMPING_MASK */
#define TIMESTAMPING_OPT_ID_TCP (1 << 16)

int sockopt_get_type(const struct socket *socket, const struct sockopt_row *row,
                     const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, socket->type);
}

int sockopt_get_domain(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, socket->domain);
}

int sockopt_get_protocol(const struct socket *socket, const struct sockopt_row *row,
                         const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, socket->protocol);
}

int sockopt_get_accepting(const struct socket *socket, const struct sockopt_row *row,
                          const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, socket->state == PROTOCOL_STATE_LISTENING);
}

int sockopt_get_linger(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    struct linger linger = {.l_onoff = socket->options.linger_on, .l_linger = socket->options.linger_s};

    (void)row;
    return sockopt_answer(request, reply, &linger, sizeof linger);
}

int sockopt_set_linger(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    struct linger linger;

    (void)row;
    (void)value;
    (void)root;
    if (request->option_length < sizeof linger)
        return -EINVAL;
    memcpy(&linger, request->option, sizeof linger);
    socket->options.linger_on = linger.l_onoff != 0;
    if (linger.l_onoff)
        socket->options.linger_s = linger.l_linger;
    return 0;
}

/* SO_PEERCRED is about AF_UNIX: nobody. */
int sockopt_get_peer_credentials(const struct socket *socket, const struct sockopt_row *row,
                                 const struct protocol_message *request, struct protocol_message *reply)
{
    static const struct ucred nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};

    (void)socket;
    (void)row;
    return sockopt_answer(request, reply, &nobody, sizeof nobody);
}

/* getpeername() that wants no more room than there is an address for. */
int sockopt_get_peer_name(const struct socket *socket, const struct sockopt_row *row,
                          const struct protocol_message *request, struct protocol_message *reply)
{
    size_t length = socket->domain == AF_INET6 ? sizeof socket->peer.in6 : sizeof socket->peer.in;
    union stack_address peer = socket->peer;

    (void)row;
    if (socket->datagram != NULL ? stack_datagram_peer_address(socket->datagram->stack, &peer) < 0
                                 : socket->state != PROTOCOL_STATE_CONNECTED)
        return -ENOTCONN;
    if (request->option_length > length)
        return -EINVAL;
    return sockopt_answer(request, reply, &peer, length);
}

/* From now on only by this interface; 0: any. datagram_option.c tells the stack of datagram sockets. */
static int bind_interface(struct socket *socket, int index)
{
    sockopt_note_number(socket, NUMBER_BIND_INTERFACE, index);
    return socket->tcp != NULL ? sockopt_set_stack(socket, STACK_IP_BIND_INTERFACE, index) : 0;
}

/* SO_BINDTOIFINDEX: Linux takes any number, and tells later when there is none such. */
int sockopt_set_interface(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                          int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    return bind_interface(socket, value);
}

/* SO_BINDTODEVICE: the name of an interface, "": any. */
int sockopt_set_device(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    struct stack_interface interface;
    char name[IF_NAMESIZE] = "";

    (void)row;
    (void)value;
    (void)root;
    memcpy(name, request->option, request->option_length < sizeof name - 1 ? request->option_length : sizeof name - 1);
    if (name[0] == '\0')
        return bind_interface(socket, 0);
    for (unsigned index = 1; stack_get_interface(index, &interface) == 0; index++) {
        if (strcmp(interface.name, name) == 0)
            return bind_interface(socket, (int)index);
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

int sockopt_get_cookie(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    if (request->option_length < sizeof socket->id)
        return -EINVAL;
    return sockopt_answer(request, reply, &socket->id, sizeof socket->id);
}

/* The stack is the one namespace there is: a number of its own. */
int sockopt_get_namespace_cookie(const struct socket *socket, const struct sockopt_row *row,
                                 const struct protocol_message *request, struct protocol_message *reply)
{
    static const uint64_t cookie = UINT64_C(0x5354414b00000001);

    (void)socket;
    (void)row;
    if (request->option_length != sizeof cookie)
        return -EINVAL;
    return sockopt_answer(request, reply, &cookie, sizeof cookie);
}

/* SO_MEMINFO: what is queued, and the bounds. */
int sockopt_get_memory(const struct socket *socket, const struct sockopt_row *row,
                       const struct protocol_message *request, struct protocol_message *reply)
{
    uint32_t memory[SK_MEMINFO_VARS] = {
        [SK_MEMINFO_RCVBUF] = (uint32_t)sockopt_number(socket, NUMBER_RECEIVE_BUFFER),
        [SK_MEMINFO_SNDBUF] = (uint32_t)sockopt_number(socket, NUMBER_SEND_BUFFER),
        [SK_MEMINFO_BACKLOG] = 0,
    };

    (void)row;
    if (socket->tcp != NULL) {
        memory[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)stack_tcp_receive_queued(socket->tcp);
        memory[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)stack_tcp_send_queued(socket->tcp);
    }
    return sockopt_answer(request, reply, memory, sizeof memory);
}

/* SO_INCOMING_CPU: where the service runs, unless the program said what it wants to hear. */
int sockopt_get_cpu(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    int cpu = sockopt_number(socket, NUMBER_INCOMING_CPU) - 1;

    (void)row;
    return sockopt_answer_int(request, reply, cpu >= 0 ? cpu : MAX(sched_getcpu(), 0));
}

int sockopt_set_cpu(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    sockopt_note_number(socket, NUMBER_INCOMING_CPU, value < 0 || value == INT_MAX ? 0 : value + 1);
    return 0;
}

void sockopt_apply_buffers(struct socket *socket)
{
    const int locked = sockopt_number(socket, NUMBER_BUFFER_LOCK), clamp = sockopt_number(socket, NUMBER_WINDOW_CLAMP);
    int receive = sockopt_number(socket, NUMBER_RECEIVE_BUFFER), window = 0;

    if (socket->type != SOCK_STREAM)
        return;
    if (locked & SOCK_SNDBUF_LOCK)
        (void)sockopt_set_stack(socket, STACK_TCP_SEND_BUFFER, sockopt_number(socket, NUMBER_SEND_BUFFER));
    if (locked & SOCK_RCVBUF_LOCK)
        window = receive / 2;
    if (clamp > 0 && (window == 0 || clamp < window))
        window = clamp;
    if (window == 0)
        return;
    (void)sockopt_set_stack(socket, STACK_TCP_RECEIVE_WINDOW, window);
    receive = MIN(receive, 2 * window) / 2; /* the kernel doubles it */
    if (socket->pair_fd >= 0 && socket->state != PROTOCOL_STATE_LISTENING &&
        setsockopt(socket->pair_fd, SOL_SOCKET, SO_SNDBUF, &receive, sizeof receive) < 0)
        log_warn("sockopt: socket %llu: its buffer keeps its size" LOG_FAULT, (unsigned long long)socket->id);
}

/* SO_SNDBUF, SO_RCVBUF, and the FORCE variants without the system's bound: doubled for Linux's overhead. */
int sockopt_set_buffer(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    bool is_send = row->where == NUMBER_SEND_BUFFER;
    bool is_forced = row->name == SO_SNDBUFFORCE || row->name == SO_RCVBUFFORCE;

    (void)request;
    (void)root;
    if (is_forced)
        value = MIN(MAX(value, 0), INT_MAX / 2);
    else if (value < 0 || value > BUFFER_SET_MAX) /* the kernel compares unsigned */
        value = BUFFER_SET_MAX;
    sockopt_note_number(socket, (enum sockopt_number)row->where, MAX(value * 2, is_send ? SEND_BUFFER_MIN : RECEIVE_BUFFER_MIN));
    sockopt_note_number(socket, NUMBER_BUFFER_LOCK, sockopt_number(socket, NUMBER_BUFFER_LOCK) | (is_send ? SOCK_SNDBUF_LOCK : SOCK_RCVBUF_LOCK));
    sockopt_apply_buffers(socket);
    return 0;
}

/* The variants of SO_TIMESTAMP exclude each other. */
int sockopt_get_timestamp(const struct socket *socket, const struct sockopt_row *row,
                          const struct protocol_message *request, struct protocol_message *reply)
{
    return sockopt_answer_int(request, reply, sockopt_number(socket, NUMBER_TIMESTAMP) == row->name);
}

int sockopt_set_timestamp(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                          int value, bool root)
{
    (void)request;
    (void)root;
    sockopt_note_number(socket, NUMBER_TIMESTAMP, value != 0 ? row->name : 0);
    return 0;
}

int sockopt_get_timestamping(const struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, struct protocol_message *reply)
{
    struct so_timestamping timestamping = {.flags = sockopt_number(socket, NUMBER_TIMESTAMPING)};

    (void)row;
    return sockopt_answer(request, reply, &timestamping, sizeof timestamping);
}

int sockopt_set_timestamping(struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    if ((value & ~TIMESTAMPING_MASK) != 0 || ((value & TIMESTAMPING_OPT_ID_TCP) && !(value & SOF_TIMESTAMPING_OPT_ID)) ||
        ((value & SOF_TIMESTAMPING_OPT_STATS) && !(value & SOF_TIMESTAMPING_OPT_TSONLY)))
        return -EINVAL;
    if ((value & SOF_TIMESTAMPING_OPT_ID) && socket->type == SOCK_STREAM && socket->state != PROTOCOL_STATE_CONNECTED)
        return -EINVAL; /* there is no byte to count from */
    sockopt_note_number(socket, NUMBER_TIMESTAMPING, value);
    return 0;
}

/* SO_MAX_PACING_RATE: a long, or an int with all bits set for "none". */
int sockopt_get_pacing_rate(const struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, struct protocol_message *reply)
{
    uint64_t rate = socket->options.pacing_rate;
    uint32_t short_rate = (uint32_t)MIN(rate, UINT32_MAX);

    (void)row;
    if (request->option_length >= sizeof rate)
        return sockopt_answer(request, reply, &rate, sizeof rate);
    return sockopt_answer(request, reply, &short_rate, sizeof short_rate);
}

int sockopt_set_pacing_rate(struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, int value, bool root)
{
    (void)row;
    (void)root;
    if (request->option_length == sizeof socket->options.pacing_rate)
        memcpy(&socket->options.pacing_rate, request->option, sizeof socket->options.pacing_rate);
    else
        socket->options.pacing_rate = value == -1 ? UINT64_MAX : (uint32_t)value;
    return 0;
}

/* SO_TXTIME: off, since it can't be set. */
int sockopt_get_transmit_time(const struct socket *socket, const struct sockopt_row *row,
                              const struct protocol_message *request, struct protocol_message *reply)
{
    static const struct sock_txtime off;

    (void)socket;
    (void)row;
    return sockopt_answer(request, reply, &off, sizeof off);
}

int sockopt_set_priority(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                         int value, bool root)
{
    (void)row;
    (void)request;
    if ((value < 0 || value > PRIORITY_MAX) && !root)
        return -EPERM;
    sockopt_note_number(socket, NUMBER_PRIORITY, value);
    return 0;
}

int sockopt_set_busy_poll(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                          int value, bool root)
{
    (void)row;
    (void)request;
    if (value > sockopt_number(socket, NUMBER_BUSY_POLL) && !root)
        return -EPERM;
    sockopt_note_number(socket, NUMBER_BUSY_POLL, value);
    return 0;
}

/* SO_ATTACH_FILTER: a structure that points to a program, which nothing here could run. */
int sockopt_set_filter(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    return request->option_length == 2 * sizeof(void *) ? -ENOPROTOOPT : -EINVAL; /* DIFFERS: docs/differences.md */
}

/* SO_LOCK_FILTER: what was locked stays so. */
int sockopt_get_filter_lock(const struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_switch(socket, SWITCH_LOCK_FILTER));
}

int sockopt_set_filter_lock(struct socket *socket, const struct sockopt_row *row,
                            const struct protocol_message *request, int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    if (value == 0 && sockopt_switch(socket, SWITCH_LOCK_FILTER))
        return -EPERM;
    sockopt_note_switch(socket, SWITCH_LOCK_FILTER, value != 0);
    return 0;
}

/* SO_TXREHASH: -1 asks for the default. */
int sockopt_set_rehash(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                       int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    sockopt_note_number(socket, NUMBER_REHASH, value == -1 ? 1 : value);
    return 0;
}

/* SO_RESERVE_MEM: only for those in a memory control group that counts sockets. */
int sockopt_set_reserved_memory(struct socket *socket, const struct sockopt_row *row,
                                const struct protocol_message *request, int value, bool root)
{
    (void)socket;
    (void)row;
    (void)request;
    (void)value;
    (void)root;
    return -EOPNOTSUPP;
}

/* SO_DEVMEM_DONTNEED: a list of tokens, none of which is known. */
int sockopt_set_device_memory(struct socket *socket, const struct sockopt_row *row,
                              const struct protocol_message *request, int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    return request->option_length % 8 == 0 ? 0 : -EINVAL;
}
