/* tcp_info.c - TCP_INFO tells the truth: the fields whose values no stack is free to choose, at each stage of a
 * connection. */
#include "oracle.h"

#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>

#define SIZE 10000

static struct tcp_info info_of(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    memset(&info, 0x55, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
        oracle_die("TCP_INFO");
    if (length < offsetof(struct tcp_info, tcpi_snd_wnd) + 4)
        oracle_say("the kernel says less: %u bytes", (unsigned)length);
    return info;
}

/* "about" for figures that depend on time. */
static const char *range(uint32_t value, uint32_t least, uint32_t most)
{
    static char text[4][32];
    static unsigned next;
    char *at = text[next++ % 4];

    if (value >= least && value <= most)
        snprintf(at, sizeof text[0], "%u to %u", least, most);
    else
        snprintf(at, sizeof text[0], "%u", value);
    return at;
}

static void print_state(const struct tcp_info *info)
{
    oracle_say("state %u, ca_state %u, options %#x, window scaled by %u", info->tcpi_state, info->tcpi_ca_state,
               info->tcpi_options, info->tcpi_snd_wscale);
    oracle_say("retransmits %u, probes %u, backoff %u; unacked %u, sacked %u, lost %u, retrans %u", info->tcpi_retransmits,
               info->tcpi_probes, info->tcpi_backoff, info->tcpi_unacked, info->tcpi_sacked, info->tcpi_lost,
               info->tcpi_retrans);
}

static void print_sizes(const struct tcp_info *info)
{
    oracle_say("mss %u sent, %u announced, pmtu %u; ssthresh %u, reordering %u", info->tcpi_snd_mss, info->tcpi_advmss,
               info->tcpi_pmtu, info->tcpi_snd_ssthresh, info->tcpi_reordering);
}

static void print_times(const struct tcp_info *info)
{
    oracle_say("rto %s, ato %s, rtt %s, min_rtt %s", range(info->tcpi_rto, 200000, 400000), range(info->tcpi_ato, 0, 50000),
               range(info->tcpi_rtt, 1, 200000), range(info->tcpi_min_rtt, 1, 200000));
    oracle_say("last data sent %s, received %s, last ack %s ms ago", range(info->tcpi_last_data_sent, 0, 5000),
               range(info->tcpi_last_data_recv, 0, 5000), range(info->tcpi_last_ack_recv, 0, 5000));
}

static void print_counts(const struct tcp_info *info)
{
    oracle_say("bytes acked %llu, received %llu, sent %llu, retrans %llu, not sent %u", (unsigned long long)info->tcpi_bytes_acked,
               (unsigned long long)info->tcpi_bytes_received, (unsigned long long)info->tcpi_bytes_sent,
               (unsigned long long)info->tcpi_bytes_retrans, info->tcpi_notsent_bytes);
    oracle_say("total_retrans %u, delivered_ce %u, dsack %u, reord %u", info->tcpi_total_retrans, info->tcpi_delivered_ce,
               info->tcpi_dsack_dups, info->tcpi_reord_seen);
}

static void print_all(int fd, const char *when)
{
    struct tcp_info info = info_of(fd);

    oracle_say("-- %s", when);
    print_state(&info);
    print_sizes(&info);
    print_times(&info);
    print_counts(&info);
}

static void run_unconnected(void)
{
    struct tcp_info info = info_of(oracle_socket());

    print_state(&info);
    print_sizes(&info);
    print_counts(&info);
    oracle_say("rto %u, cwnd %u, reordering %u", info.tcpi_rto, info.tcpi_snd_cwnd, info.tcpi_reordering);
}

static void run_listening(void)
{
    struct tcp_info info = info_of(oracle_listen(17));

    print_state(&info);
    print_counts(&info);
}

static void run_connected(void)
{
    print_all(oracle_connect_peer(), "connected");
}

static void run_accepted(void)
{
    print_all(oracle_accept_peer(), "accepted");
}

static void run_sent(void)
{
    int fd = oracle_connect_peer();
    struct tcp_info info;

    oracle_send_pattern(fd, 1000);
    peer_do("recv 0 1000");
    peer_do("send 0 1"); /* with which the acknowledgement comes */
    oracle_wait_bytes(fd, 1);
    print_all(fd, "sent");
    info = info_of(fd);
    oracle_say("segments with data: %u sent, %u came; delivered %u", info.tcpi_data_segs_out, info.tcpi_data_segs_in,
               info.tcpi_delivered);
}

static void run_received(void)
{
    int fd = oracle_connect_peer();
    struct tcp_info info;

    peer_do("send 0 1000");
    oracle_wait_bytes(fd, 1000);
    print_all(fd, "received");
    info = info_of(fd);
    oracle_say("segments with data: %u sent, %u came; delivered %u", info.tcpi_data_segs_out, info.tcpi_data_segs_in,
               info.tcpi_delivered);
    oracle_say("segment received: %u", info.tcpi_rcv_mss);
}

static void run_not_sent(void)
{
    int fd = oracle_connect_peer();
    struct tcp_info info;

    oracle_fill(fd);
    info = info_of(fd);
    oracle_say("there is something not sent: %d, nothing on its way: %d", info.tcpi_notsent_bytes > 0, info.tcpi_unacked == 0);
    oracle_say("state %u, ca_state %u, retransmits %u", info.tcpi_state, info.tcpi_ca_state, info.tcpi_retransmits);
}

static void run_half_closed(void)
{
    int fd = oracle_connect_peer();

    oracle_send_pattern(fd, 100);
    peer_do("recv 0 100");
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    print_all(fd, "the peer shut down");
    CALL(shutdown(fd, SHUT_WR));
    oracle_wait_bits(fd, POLLHUP);
    peer_do("recv 0 1");
    oracle_say("state %u", info_of(fd).tcpi_state);
}

static void run_ended(void)
{
    int fd = oracle_connect_peer();
    struct tcp_info info;

    oracle_send_pattern(fd, 100);
    peer_do("recv 0 100");
    CALL(shutdown(fd, SHUT_WR));
    peer_do("recv 0 1");
    peer_do("close 0");
    oracle_wait_bits(fd, POLLHUP | POLLRDHUP);
    info = info_of(fd);
    oracle_say("state %u", info.tcpi_state);
    print_counts(&info);
}

static void run_refused(void)
{
    int fd = oracle_socket();
    struct tcp_info info;

    CALL(oracle_connect(fd, oracle_peer_address(oracle_refused_port())));
    info = info_of(fd);
    print_state(&info);
}

const struct oracle_case oracle_cases[] = {
    {"unconnected", run_unconnected}, {"listening", run_listening}, {"connected", run_connected}, {"accepted", run_accepted},
    {"sent", run_sent},               {"received", run_received},   {"not_sent", run_not_sent},   {"half_closed", run_half_closed},
    {"ended", run_ended},             {"refused", run_refused},     {NULL, NULL},
};
