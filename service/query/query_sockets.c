/* query_sockets.c - PROTOCOL_QUERY_SOCKETS: an object for each socket. */
#include "query.h"

#include "unread.h"
#include "service/datagram/datagram.h"
#include "service/pair.h"
#include "service/program.h"
#include "service/socket.h"
#include "stack/datagram.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define OBJECT_MAX 3072    /* the longest object, all numbers at their longest */
#define SOCKETS_A_PIECE 64 /* looked at, shown or not: some 0.2 ms */

/* By Linux's numbers; the words are those of ss(8)'s filters. */
static const char *const state_names[] = {
    [TCP_ESTABLISHED] = "established", [TCP_SYN_SENT] = "syn-sent",     [TCP_SYN_RECV] = "syn-recv",
    [TCP_FIN_WAIT1] = "fin-wait-1",    [TCP_FIN_WAIT2] = "fin-wait-2",  [TCP_TIME_WAIT] = "time-wait",
    [TCP_CLOSE] = "closed",            [TCP_CLOSE_WAIT] = "close-wait", [TCP_LAST_ACK] = "last-ack",
    [TCP_LISTEN] = "listening",        [TCP_CLOSING] = "closing",
};

static const char *const timer_names[] = {
    [STACK_TIMER_RETRANSMIT] = "on",
    [STACK_TIMER_KEEPALIVE] = "keepalive",
    [STACK_TIMER_TIME_WAIT] = "timewait",
    [STACK_TIMER_PERSIST] = "persist",
};

static void put_address(struct json *json, const char *key, const union stack_address *address)
{
    char text[INET6_ADDRSTRLEN];

    inet_ntop(address->sa.sa_family,
              address->sa.sa_family == AF_INET6 ? (const void *)&address->in6.sin6_addr
                                                : (const void *)&address->in.sin_addr,
              text, sizeof text);
    json_open(json, key, '{');
    json_put_string(json, "address", text);
    json_put_number(json, "port",
                    ntohs(address->sa.sa_family == AF_INET6 ? address->in6.sin6_port : address->in.sin_port));
    if (address->sa.sa_family == AF_INET6 && address->in6.sin6_scope_id != 0)
        json_put_number(json, "scope", address->in6.sin6_scope_id);
    json_close(json, '}');
}

/* What sort is it? Return: a PROTOCOL_QUERY_* flag, and *name as ss says it. */
static unsigned sort_of(const struct stack_view *view, const struct socket *socket, const char **name)
{
    if (view->datagram == NULL) { /* in TIME-WAIT there is no socket any more */
        *name = "tcp";
        return PROTOCOL_QUERY_TCP;
    }
    if (view->protocol == IPPROTO_UDP || view->protocol == IPPROTO_UDPLITE) {
        *name = view->protocol == IPPROTO_UDP ? "udp" : "udplite";
        if (socket == NULL || socket->type == SOCK_DGRAM)
            return PROTOCOL_QUERY_UDP;
    }
    if (socket != NULL && socket->type == SOCK_DGRAM) {
        *name = view->protocol == IPPROTO_ICMPV6 ? "icmp6" : "icmp";
        return PROTOCOL_QUERY_PING;
    }
    *name = "raw";
    return PROTOCOL_QUERY_RAW;
}

/* Memory that holds what the program has not read yet, in the pair. */
static size_t unread_memory(const struct socket *socket)
{
    int bytes = 0;

    if (socket->pair_fd < 0 || ioctl(socket->pair_fd, SIOCOUTQ, &bytes) < 0 || bytes < 0)
        return 0;
    return (size_t)bytes;
}

/* What the program has not read yet: in bytes where it is not too dear to find out, else the memory. Of datagrams it is
 * the memory on Linux, too. */
static size_t find_unread(const struct socket *socket, size_t memory)
{
    ssize_t bytes;

    if (memory == 0 || socket->datagram != NULL || socket_count() > UNREAD_SOCKETS_MAX)
        return memory;
    bytes = unread_ask(socket->program_inode);
    return bytes >= 0 ? (size_t)bytes : memory;
}

/* The queues as ss shows them: of a listening socket how many connections wait, and how many may. */
static void put_queues(struct json *json, const struct stack_view *view, const struct socket *socket)
{
    size_t receive = view->receive_queued, send = view->send_queued, unread = 0;

    if (view->state == TCP_LISTEN) {
        json_put_number(json, "recv_q", socket != NULL ? socket->untaken_count : 0);
        json_put_number(json, "send_q", socket != NULL && socket->backlog > 0 ? (uint64_t)socket->backlog : 0);
        return;
    }
    if (socket != NULL && socket->pair_fd >= 0 && (view->datagram != NULL || socket->state == PROTOCOL_STATE_CONNECTED)) {
        ssize_t fresh = view->tcp != NULL ? pair_fresh_bytes(socket->pair_fd) : 0;

        unread = unread_memory(socket);
        receive += find_unread(socket, unread);
        send += fresh > 0 ? (size_t)fresh : 0;
    }
    json_put_number(json, "recv_q", receive);
    json_put_number(json, "send_q", send);
    json_open(json, "memory", '{');
    json_put_number(json, "receive", view->receive_memory + unread);
    json_put_number(json, "send", view->send_memory);
    json_close(json, '}');
}

static void put_program(struct json *json, const struct program *program)
{
    json_open(json, "program", '{');
    json_put_number(json, "pid", program->pid > 0 ? (uint64_t)program->pid : 0);
    json_put_string(json, "name", program->name);
    json_close(json, '}');
}

static void put_info(struct json *json, const struct stack_tcp *tcp)
{
    struct stack_tcp_more_info more;
    struct tcp_info info;

    stack_tcp_get_info(tcp, &info);
    stack_tcp_get_more_info(tcp, &more);
    json_open(json, "info", '{');
    json_put_string(json, "congestion", stack_tcp_get_congestion(tcp));
    json_put_bool(json, "timestamps", (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0);
    json_put_bool(json, "sack", (info.tcpi_options & TCPI_OPT_SACK) != 0);
    json_put_bool(json, "ecn", (info.tcpi_options & TCPI_OPT_ECN) != 0);
    json_put_bool(json, "window_scaling", (info.tcpi_options & TCPI_OPT_WSCALE) != 0);
    json_put_number(json, "send_wscale", info.tcpi_snd_wscale);
    json_put_number(json, "receive_wscale", info.tcpi_rcv_wscale);
    json_put_number(json, "ca_state", info.tcpi_ca_state);
    json_put_number(json, "rto_us", info.tcpi_rto);
    json_put_number(json, "backoff", info.tcpi_backoff);
    json_put_number(json, "rtt_us", info.tcpi_rtt);
    json_put_number(json, "rttvar_us", info.tcpi_rttvar);
    json_put_number(json, "ato_us", info.tcpi_ato);
    json_put_number(json, "mss", info.tcpi_snd_mss);
    json_put_number(json, "pmtu", info.tcpi_pmtu);
    json_put_number(json, "rcvmss", info.tcpi_rcv_mss);
    json_put_number(json, "advmss", info.tcpi_advmss);
    json_put_number(json, "cwnd", info.tcpi_snd_cwnd);
    if (info.tcpi_snd_ssthresh < INT32_MAX)
        json_put_number(json, "ssthresh", info.tcpi_snd_ssthresh);
    json_put_number(json, "bytes_sent", more.bytes_sent);
    json_put_number(json, "bytes_retrans", more.bytes_retrans);
    json_put_number(json, "bytes_acked", more.bytes_acked);
    json_put_number(json, "bytes_received", more.bytes_received);
    json_put_number(json, "segs_out", more.segs_out);
    json_put_number(json, "segs_in", more.segs_in);
    json_put_number(json, "data_segs_out", more.data_segs_out);
    json_put_number(json, "data_segs_in", more.data_segs_in);
    json_put_number(json, "delivered", more.delivered);
    json_put_number(json, "lastsnd_ms", info.tcpi_last_data_sent);
    json_put_number(json, "lastrcv_ms", info.tcpi_last_data_recv);
    json_put_number(json, "lastack_ms", info.tcpi_last_ack_recv);
    json_put_number(json, "unacked", info.tcpi_unacked);
    json_put_number(json, "retrans", info.tcpi_retrans);
    json_put_number(json, "retrans_total", info.tcpi_total_retrans);
    json_put_number(json, "lost", info.tcpi_lost);
    json_put_number(json, "sacked", info.tcpi_sacked);
    json_put_number(json, "dsack_dups", more.dsack_dups);
    json_put_number(json, "reordering", info.tcpi_reordering);
    json_put_number(json, "reord_seen", more.reord_seen);
    json_put_number(json, "notsent", more.notsent_bytes);
    if (more.min_rtt != UINT32_MAX)
        json_put_number(json, "min_rtt_us", more.min_rtt);
    if (more.pacing_rate != UINT64_MAX)
        json_put_number(json, "pacing_rate_bytes", more.pacing_rate);
    json_put_number(json, "delivery_rate_bytes", more.delivery_rate);
    json_put_number(json, "rcv_space", info.tcpi_rcv_space);
    json_put_number(json, "rcv_ssthresh", info.tcpi_rcv_ssthresh);
    json_put_number(json, "snd_wnd", more.snd_wnd);
    json_put_number(json, "rcv_wnd", more.rcv_wnd);
    json_close(json, '}');
}

static void put_traffic(struct json *json, const struct stack_view *view, const struct socket *socket)
{
    json_open(json, "info", '{');
    json_put_number(json, "bytes_sent", view->traffic.bytes_out);
    json_put_number(json, "bytes_received", view->traffic.bytes_in);
    json_put_number(json, "datagrams_out", view->traffic.datagrams_out);
    json_put_number(json, "datagrams_in", view->traffic.datagrams_in);
    json_put_number(json, "dropped", socket != NULL ? socket->datagram->dropped : 0);
    json_close(json, '}');
}

static void put_socket(struct json *json, const struct stack_view *view, const struct socket *socket, unsigned flags)
{
    const char *name;
    uint32_t user = socket != NULL && socket->program != NULL ? socket->program->uid : view->label.user;

    (void)sort_of(view, socket, &name);
    json_open(json, NULL, '{');
    json_put_number(json, "id", socket != NULL ? socket->id : view->label.id);
    json_put_string(json, "netid", name);
    json_put_string(json, "state", state_names[view->state]);
    json_put_number(json, "family", view->family == AF_INET6 ? 6 : 4);
    json_put_number(json, "protocol", (uint64_t)view->protocol);
    put_queues(json, view, socket);
    put_address(json, "local", &view->local);
    if (view->peer.sa.sa_family != AF_UNSPEC)
        put_address(json, "peer", &view->peer);
    if (view->interface != 0)
        json_put_number(json, "interface", view->interface);
    if (view->family == AF_INET6)
        json_put_bool(json, "v6only", view->v6only);
    json_put_number(json, "uid", user);
    if (socket != NULL) {
        json_put_number(json, "inode", socket->program_inode);
        if (socket->program != NULL)
            put_program(json, socket->program);
    }
    if (view->timer != STACK_TIMER_NONE) {
        json_open(json, "timer", '{');
        json_put_string(json, "name", timer_names[view->timer]);
        json_put_number(json, "ms", view->timer_ms);
        json_put_number(json, "retries", view->retries);
        json_close(json, '}');
    }
    if (view->state == TCP_LISTEN && view->pending > 0)
        json_put_number(json, "handshakes", view->pending);
    if ((flags & PROTOCOL_QUERY_INFO) && view->tcp != NULL && view->state != TCP_TIME_WAIT)
        put_info(json, view->tcp);
    else if ((flags & PROTOCOL_QUERY_INFO) && view->datagram != NULL)
        put_traffic(json, view, socket);
    json_close(json, '}');
    json_end_line(json);
}

/* Is it asked for, and may it be seen? */
static bool is_wanted(const struct query *query, const struct stack_view *view, const struct socket *socket)
{
    const unsigned sorts = query->flags & ~PROTOCOL_QUERY_INFO;
    uint32_t user = socket != NULL && socket->program != NULL ? socket->program->uid : view->label.user;
    const char *name;

    return (query->sees_all || user == query->outlet.uid) &&
           (query->states == 0 || (query->states & (1u << view->state)) != 0) &&
           (sorts == 0 || (sort_of(view, socket, &name) & sorts) != 0);
}

bool query_write_sockets(struct query *query, struct json *json)
{
    struct stack_view view;
    bool more = true;

    for (int i = 0; more && i < SOCKETS_A_PIECE && json->size - json->length > OBJECT_MAX; i++) {
        more = stack_cursor_next(&query->cursor, &view);
        if (!more || !is_wanted(query, &view, view.owner))
            continue;
        put_socket(json, &view, view.owner, query->flags);
        query->count++;
    }
    return more;
}
