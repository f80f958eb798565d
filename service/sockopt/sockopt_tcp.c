/* sockopt_tcp.c - the options at IPPROTO_TCP that have a structure or a rule of their own. */
#include "sockopt_row.h"

#include "service/cork.h"
#include "stack/archive.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <time.h>

/* Linux's bounds: tcp(7), net/ipv4/tcp.c. */
#define SYN_RETRY_PERIOD_MAX_S 120 /* TCP_RTO_MAX */
#define SYN_RETRIES_MAX 255
#define MSS_MIN 88
#define MSS_MAX 32767
#define MSS_UNCONNECTED 536
/* What Linux 6.18 gives at most. */
#define TCP_INFO_BYTES 256
#define RTO_INITIAL_US 1000000
#define LINGER2_MAX_S 120 /* TCP_FIN_TIMEOUT_MAX */
#define LINGER2_DEFAULT_S 60
#define WINDOW_CLAMP_MIN 1152 /* SOCK_MIN_RCVBUF / 2 */

/* Names of congestion control; what is not here is not there. */
static const char *const congestion_names[] = {"cubic", "reno"};

int sockopt_get_mss(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    struct protocol_message *reply)
{
    struct tcp_info info;
    int mss = MSS_UNCONNECTED;

    (void)row;
    if (socket->tcp != NULL && socket->state == PROTOCOL_STATE_CONNECTED) {
        stack_tcp_get_info(socket->tcp, &info);
        mss = (int)info.tcpi_snd_mss;
    } else if (sockopt_get_stack(socket, STACK_TCP_MAXSEG) != 0) {
        mss = sockopt_get_stack(socket, STACK_TCP_MAXSEG);
    }
    return sockopt_answer_int(request, reply, mss);
}

int sockopt_set_mss(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                    int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    if (value != 0 && (value < MSS_MIN || value > MSS_MAX))
        return -EINVAL;
    return sockopt_set_stack(socket, STACK_TCP_MAXSEG, value);
}

int sockopt_get_cork(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, cork_is_on(socket));
}

int sockopt_set_cork(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    cork_set(socket, value != 0);
    return 0;
}

/* Write TCP_INFO as it is now. */
static void write_info(const struct stack_tcp *tcp, unsigned char value[TCP_INFO_BYTES])
{
    struct stack_tcp_more_info more;
    struct tcp_info info;

    stack_tcp_get_info(tcp, &info);
    stack_tcp_get_more_info(tcp, &more);
    memset(value, 0, TCP_INFO_BYTES);
    memcpy(value, &info, sizeof info);
    memcpy(value + sizeof info, &more, sizeof more);
}

void sockopt_keep_info(struct socket *socket)
{
    struct tcp_info *info = socket->last_info;

    if (info == NULL)
        info = socket->last_info = malloc(TCP_INFO_BYTES);
    if (info == NULL)
        return;
    write_info(socket->tcp, socket->last_info);
    info->tcpi_state = TCP_CLOSE;
}

void sockopt_handover_info(struct archive *archive, struct socket *socket)
{
    size_t length = socket->last_info != NULL ? TCP_INFO_BYTES : 0;
    const void *kept = archive_bytes(archive, "last_info", socket->last_info, &length);

    if (archive->is_writing || length != TCP_INFO_BYTES)
        return;
    socket->last_info = malloc(TCP_INFO_BYTES);
    if (socket->last_info != NULL)
        memcpy(socket->last_info, kept, TCP_INFO_BYTES);
}

int sockopt_get_info(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     struct protocol_message *reply)
{
    const struct tcp_info fresh = {.tcpi_state = TCP_CLOSE, .tcpi_rto = RTO_INITIAL_US, .tcpi_snd_cwnd = 10, .tcpi_reordering = 3,
                                   .tcpi_snd_mss = MSS_UNCONNECTED, .tcpi_snd_ssthresh = INT32_MAX};
    _Alignas(struct tcp_info) unsigned char value[TCP_INFO_BYTES] = {0};
    struct tcp_info *info = (struct tcp_info *)(void *)value;

    (void)row;
    if (socket->tcp != NULL)
        write_info(socket->tcp, value);
    else if (socket->last_info != NULL)
        memcpy(value, socket->last_info, sizeof value);
    else
        *info = fresh;
    if (socket->state == PROTOCOL_STATE_LISTENING) { /* what these are for then */
        info->tcpi_unacked = socket->untaken_count;
        info->tcpi_sacked = (uint32_t)socket->backlog;
    }
    return sockopt_answer(request, reply, value, TCP_INFO_BYTES);
}

int sockopt_get_congestion(const struct socket *socket, const struct sockopt_row *row,
                           const struct protocol_message *request, struct protocol_message *reply)
{
    char name[16] = ""; /* TCP_CA_NAME_MAX */

    (void)row;
    strncpy(name,
            socket->tcp != NULL ? stack_tcp_get_congestion(socket->tcp)
                                : congestion_names[sockopt_number(socket, NUMBER_CONGESTION)],
            sizeof name - 1);
    return sockopt_answer(request, reply, name, sizeof name);
}

int sockopt_set_congestion(struct socket *socket, const struct sockopt_row *row,
                           const struct protocol_message *request, int value, bool root)
{
    char name[16] = "";

    (void)row;
    (void)value;
    (void)root;
    if (request->option_length < 1)
        return -EINVAL;
    memcpy(name, request->option, MIN(request->option_length, sizeof name - 1));
    for (size_t i = 0; i < sizeof congestion_names / sizeof *congestion_names; i++) {
        if (strcmp(name, congestion_names[i]) == 0) {
            sockopt_note_number(socket, NUMBER_CONGESTION, (int)i);
            return socket->tcp != NULL ? stack_tcp_set_congestion(socket->tcp, name) : 0;
        }
    }
    return -ENOENT;
}

/* TCP_WINDOW_CLAMP: none before the window is known, at least half of the smallest buffer. */
int sockopt_set_window_clamp(struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    if (value == 0 && (socket->state == PROTOCOL_STATE_CONNECTED || socket->state == PROTOCOL_STATE_LISTENING))
        return -EINVAL;
    sockopt_note_number(socket, NUMBER_WINDOW_CLAMP, value == 0 ? 0 : MAX(value, WINDOW_CLAMP_MIN));
    sockopt_apply_buffers(socket);
    return 0;
}

int sockopt_get_linger2(const struct socket *socket, const struct sockopt_row *row,
                        const struct protocol_message *request, struct protocol_message *reply)
{
    (void)row;
    return sockopt_answer_int(request, reply, sockopt_get_stack(socket, STACK_TCP_LINGER2));
}

/* TCP_LINGER2: negative: no FIN-WAIT-2 at all. */
int sockopt_set_linger2(struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                        int value, bool root)
{
    (void)row;
    (void)request;
    (void)root;
    value = value < 0 ? -1 : value == 0 ? LINGER2_DEFAULT_S : MIN(value, LINGER2_MAX_S);
    return sockopt_set_stack(socket, STACK_TCP_LINGER2, value);
}

/* Seconds to wait for data, rounded up to when a SYN-ACK would be sent again (tcp(7), TCP_DEFER_ACCEPT). */
int sockopt_set_defer_accept(struct socket *socket, const struct sockopt_row *row,
                             const struct protocol_message *request, int value, bool root)
{
    int timeout = 1, period = value > 0 ? 1 : 0;

    (void)row;
    (void)request;
    (void)root;
    for (int retries = 1; period < value && retries < SYN_RETRIES_MAX; retries++) {
        timeout = MIN(timeout * 2, SYN_RETRY_PERIOD_MAX_S);
        period += timeout;
    }
    sockopt_note_number(socket, NUMBER_DEFER_ACCEPT, period);
    return 0;
}

/* TCP_ULP: there is none, under any name. */
int sockopt_set_protocol_name(struct socket *socket, const struct sockopt_row *row,
                              const struct protocol_message *request, int value, bool root)
{
    (void)socket;
    (void)row;
    (void)value;
    (void)root;
    return request->option_length < 1 ? -EINVAL : -ENOENT;
}

/* TCP_QUEUE_SEQ is for sockets under repair, and none is. */
int sockopt_get_queue_sequence(const struct socket *socket, const struct sockopt_row *row,
                               const struct protocol_message *request, struct protocol_message *reply)
{
    (void)socket;
    (void)row;
    (void)request;
    (void)reply;
    return -EINVAL;
}

int sockopt_set_queue_sequence(struct socket *socket, const struct sockopt_row *row,
                               const struct protocol_message *request, int value, bool root)
{
    (void)row;
    (void)request;
    (void)value;
    (void)root;
    return socket->state == PROTOCOL_STATE_NEW || socket->state == PROTOCOL_STATE_FAILED ? -EINVAL : -EPERM;
}

/* TCP_TIMESTAMP: the clock of the timestamp option, in milliseconds. */
int sockopt_get_time(const struct socket *socket, const struct sockopt_row *row, const struct protocol_message *request,
                     struct protocol_message *reply)
{
    struct timespec now;

    (void)socket;
    (void)row;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return sockopt_answer_int(request, reply, (int)((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000));
}
