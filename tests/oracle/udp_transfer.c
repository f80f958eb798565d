/* udp_transfer.c - datagrams by each of the calls: boundaries, lengths, truncation, flags. */
#include "oracle_datagram.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <netinet/udp.h>

#include <linux/sockios.h>

static void run_sendto_recvfrom(void)
{
    int fd = oracle_udp(), port = oracle_peer_udp(0);

    CALL(oracle_sendto(fd, "hello", 5, 0, oracle_peer_address(port)));
    peer_do("udp-recv 0");
    oracle_say("from this socket: %d", peer_ask("udp-from 0") == oracle_local_port(fd));
    peer_do("udp-send 0 4 @ %d", oracle_local_port(fd));
    oracle_recvfrom(fd, 100, 0);
    peer_do("udp-send 0 4 @ %d", oracle_local_port(fd));
    oracle_recv(fd, 100, 0);
}

static void run_connected(void)
{
    int fd = oracle_udp_connected();
    char buffer[16] = "";

    CALL(send(fd, "one", 3, 0));
    CALL(write(fd, "two", 3));
    peer_do("udp-recv 0");
    peer_do("udp-recv 0");
    oracle_peer_sends(fd, 3);
    CALL(read(fd, buffer, sizeof buffer));
    oracle_say("%s", buffer);
    oracle_peer_sends(fd, 4);
    oracle_recv(fd, 16, 0);
    oracle_peer_sends(fd, 5);
    oracle_recvfrom(fd, 16, 0);
}

static void run_vectors(void)
{
    int fd = oracle_udp_connected();
    char first[3] = "", second[8] = "";
    struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, in[2] = {{first, 2}, {second, 7}};

    CALL(writev(fd, out, 3));
    peer_do("udp-recv 0");
    CALL(pwritev2(fd, out, 3, -1, 0));
    peer_do("udp-recv 0");
    oracle_peer_sends(fd, 6);
    CALL(readv(fd, in, 2));
    oracle_say("%s %s", first, second);
    oracle_peer_sends(fd, 20);
    CALL(readv(fd, in, 2));
    oracle_say("%s %s", first, second);
    CALL(pwrite(fd, "x", 1, 0));
    CALL(pread(fd, first, 1, 0));
}

static void run_sendmsg(void)
{
    int fd = oracle_udp_bound();
    union oracle_sockaddr to = oracle_peer_address(oracle_peer_udp(0));
    struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
    struct msghdr message = {.msg_name = &to, .msg_namelen = oracle_address_size(), .msg_iov = iov, .msg_iovlen = 3};

    CALL(sendmsg(fd, &message, 0));
    peer_do("udp-recv 0");
    message.msg_iovlen = 0;
    CALL(sendmsg(fd, &message, 0));
    peer_do("udp-recv 0");
    message.msg_iov = NULL;
    CALL(sendmsg(fd, &message, 0));
    peer_do("udp-recv 0");
    oracle_peer_sends(fd, 6);
    oracle_recvmsg(fd, 100, 0, 0);
    oracle_peer_sends(fd, 6);
    oracle_recvmsg(fd, 4, 100, 0);
}

static void run_zero_length(void)
{
    int fd = oracle_udp_connected();
    char byte = 'x';

    CALL(send(fd, "", 0, 0));
    peer_do("udp-recv 0");
    CALL(send(fd, NULL, 0, 0));
    peer_do("udp-recv 0");
    CALL(oracle_sendto(fd, NULL, 0, 0, oracle_peer_address(0)));
    CALL(sendto(fd, NULL, 0, 0, NULL, 0));
    peer_do("udp-recv 0");
    oracle_peer_sends(fd, 0);
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 10, 0);
    oracle_print_poll(fd);
    oracle_peer_sends(fd, 0);
    CALL(read(fd, &byte, 1));
    oracle_say("%c", byte);
    oracle_peer_sends(fd, 0);
    oracle_peer_sends(fd, 3);
    oracle_recvmsg(fd, 10, 10, 0);
    oracle_recvfrom(fd, 10, 0);
    CALL(recv(fd, &byte, 1, MSG_DONTWAIT));
}

/* A write of nothing is a datagram of nothing. */
static void run_write_nothing(void)
{
    int fd = oracle_udp_connected();

    CALL(write(fd, "", 0));
    peer_do("udp-recv 0");
    CALL(writev(fd, &(struct iovec){"", 0}, 1));
    CALL(write(fd, "x", 1));
    peer_do("udp-recv 0");
}

/* A read of nothing. */
static void run_read_nothing(void)
{
    int fd = oracle_udp_connected();
    char byte;

    oracle_peer_sends(fd, 3);
    oracle_peer_sends(fd, 4);
    CALL(recv(fd, &byte, 0, 0));
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    oracle_peer_sends(fd, 5);
    CALL(recv(fd, NULL, 0, MSG_TRUNC));
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
    CALL(recv(fd, &byte, 0, MSG_DONTWAIT));
    oracle_peer_sends(fd, 6);
    CALL(read(fd, &byte, 0));
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_truncated(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    oracle_peer_sends(fd, 10);
    oracle_peer_sends(fd, 10);
    oracle_peer_sends(fd, 2000);
    oracle_peer_sends(fd, 5);
    oracle_recvfrom(fd, 3, 0);
    oracle_recvfrom(fd, 4, MSG_TRUNC);
    oracle_recvmsg(fd, 100, 0, 0);
    oracle_recvmsg(fd, 5, 0, 0);
}

static void run_peek(void)
{
    int fd = oracle_udp_bound();

    oracle_peer_udp(0);
    CALL(recv(fd, NULL, 0, MSG_PEEK | MSG_DONTWAIT));
    oracle_peer_sends(fd, 10);
    oracle_peer_sends(fd, 7);
    oracle_recvfrom(fd, 100, MSG_PEEK);
    oracle_recvfrom(fd, 3, MSG_PEEK);
    oracle_recvfrom(fd, 3, MSG_PEEK | MSG_TRUNC);
    oracle_recvmsg(fd, 3, 0, MSG_PEEK);
    CALL(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC));
    oracle_print_poll(fd);
    oracle_recvfrom(fd, 100, 0);
    oracle_recvfrom(fd, 100, MSG_PEEK);
    oracle_recvfrom(fd, 100, 0);
    oracle_print_poll(fd);
}

/* With SO_PEEK_OFF a peek goes on where the last one ended. */
static void run_peek_offset(void)
{
    int fd = oracle_udp_connected(), value = -1;
    socklen_t length = sizeof value;

    CALL(getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, &length));
    oracle_say("%d", value);
    value = 2;
    CALL(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &value, sizeof value));
    oracle_peer_sends(fd, 10);
    oracle_recv(fd, 3, MSG_PEEK);
    oracle_recv(fd, 3, MSG_PEEK);
    oracle_recv(fd, 100, 0);
}

static void run_nowhere(void)
{
    int fd = oracle_udp();
    struct iovec iov = {"abc", 3};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    CALL(send(fd, "abc", 3, 0));
    CALL(write(fd, "abc", 3));
    CALL(writev(fd, &iov, 1));
    CALL(sendto(fd, "abc", 3, 0, NULL, 0));
    CALL(sendmsg(fd, &message, 0));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
    oracle_set_nonblocking(fd, true);
    CALL(read(fd, &(char){0}, 1));
    oracle_print_names(fd);
}

static void run_send_errors(void)
{
    int fd = oracle_udp();
    union oracle_sockaddr to = oracle_peer_address(oracle_peer_udp(0));

    CALL(oracle_sendto(fd, "abc", 3, 0, oracle_peer_address(0)));
    CALL(sendto(fd, "abc", 3, 0, &to.sa, 1));
    CALL(sendto(fd, "abc", 3, 0, &to.sa, 8));
    CALL(sendto(fd, "abc", 3, 0, &to.sa, 15));
    CALL(sendto(fd, "abc", 3, 0, &to.sa, 200));
    CALL(sendto(fd, "abc", 3, 0, NULL, sizeof to));
    CALL(sendto(fd, "abc", 3, 0, &to.sa, 0));
    CALL(sendto(fd, "abc", 3, MSG_OOB, &to.sa, sizeof to));
    to.sa.sa_family = AF_UNIX;
    CALL(sendto(fd, "abc", 3, 0, &to.sa, sizeof to));
    to.sa.sa_family = oracle_family() == AF_INET ? AF_INET6 : AF_INET;
    CALL(sendto(fd, "abc", 3, 0, &to.sa, sizeof to));
    to.sa.sa_family = AF_UNSPEC;
    CALL(sendto(fd, "abc", 3, 0, &to.sa, sizeof to));
    CALL(sendto(fd, "abc", 3, 0, (struct sockaddr *)8, sizeof to));
}

static void run_bad_memory(void)
{
    int fd = oracle_udp_connected();

    CALL(send(fd, (void *)8, 3, 0));
    CALL(sendmsg(fd, (void *)8, 0));
    CALL(recvmsg(fd, (void *)8, MSG_DONTWAIT));
    oracle_peer_sends(fd, 3);
    oracle_peer_sends(fd, 4);
    CALL(recv(fd, (void *)8, 10, 0));
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_boundaries(void)
{
    int fd = oracle_udp_connected();

    for (int i = 0; i < 40; i++) {
        char *data = oracle_pattern((size_t)i * 37);

        if (send(fd, data, (size_t)i * 37, 0) != i * 37)
            oracle_die("send");
        free(data);
    }
    for (int i = 0; i < 40; i++) {
        if (peer_ask("udp-recv 0") != i * 37)
            oracle_say("datagram %d: %s", i, peer_text());
    }
    for (int i = 0; i < 40; i++)
        peer_ask("udp-send 0 %d %d", i * 37, oracle_local_port(fd));
    for (int i = 0; i < 40; i++) {
        oracle_wait_datagram(fd);
        oracle_recvfrom(fd, 3000, 0);
    }
}

static const int sizes[] = {1, 100, 1451, 1452, 1453, 1471, 1472, 1473, 1500, 2944, 4000, 9000, 32768, 65000, 65487};

static void run_sizes_out(void)
{
    int fd = oracle_udp_connected();

    oracle_set(fd, SOL_SOCKET, SO_SNDBUF, 200000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *data = oracle_pattern((size_t)sizes[i]);

        oracle_say("%d", sizes[i]);
        CALL(send(fd, data, (size_t)sizes[i], 0));
        peer_do("udp-recv 0");
        free(data);
    }
}

static void run_sizes_in(void)
{
    int fd = oracle_udp_connected();

    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 200000);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        peer_do("udp-send 0 %d @ %d", sizes[i], oracle_local_port(fd));
        oracle_wait_datagram(fd);
        oracle_recvfrom(fd, 65536, 0);
    }
}

static void run_sizes_loopback(void)
{
    int fd = oracle_udp(), other = oracle_udp();

    CALL(oracle_bind(fd, oracle_address("loopback", 0)));
    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 200000);
    oracle_set(other, SOL_SOCKET, SO_SNDBUF, 200000);
    oracle_name_port(oracle_local_port(fd), "bound");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *data = oracle_pattern((size_t)sizes[i]);

        CALL(oracle_sendto(other, data, (size_t)sizes[i], 0, oracle_address("loopback", oracle_local_port(fd))));
        oracle_wait_datagram(fd);
        oracle_recvfrom(fd, 65536, 0);
        free(data);
    }
}

/* The longest datagram there is, each way. */
static void run_longest(void)
{
    int fd = oracle_udp_connected(), size = oracle_family() == AF_INET ? 65507 : 65527;
    char *data = oracle_pattern((size_t)size);

    oracle_set(fd, SOL_SOCKET, SO_SNDBUF, 200000);
    oracle_set(fd, SOL_SOCKET, SO_RCVBUF, 200000);
    oracle_set_timeout(fd, SO_RCVTIMEO, 1000);
    if (CALL(send(fd, data, (size_t)size, 0)) > 0)
        peer_do("udp-recv 0");
    peer_do("udp-send 0 %d @ %d", size, oracle_local_port(fd));
    oracle_recvfrom(fd, 65536, 0);
    free(data);
}

static void run_too_large(void)
{
    int fd = oracle_udp_connected();
    char *data = oracle_pattern(200000);

    oracle_set(fd, SOL_SOCKET, SO_SNDBUF, 400000);
    CALL(send(fd, data, oracle_family() == AF_INET ? 65508 : 65528, 0));
    CALL(write(fd, data, oracle_family() == AF_INET ? 65508 : 65528));
    CALL(send(fd, data, 65535, 0));
    CALL(send(fd, data, 65536, 0));
    CALL(send(fd, data, 200000, 0));
    CALL(send(fd, data, 3, 0));
    peer_do("udp-recv 0");
    free(data);
}

static void run_more(void)
{
    int fd = oracle_udp_connected();

    CALL(send(fd, "abc", 3, MSG_MORE));
    CALL(send(fd, "def", 3, MSG_MORE));
    CALL(send(fd, "ghi", 3, 0));
    peer_do("udp-recv 0");
    oracle_set(fd, IPPROTO_UDP, UDP_CORK, 1);
    CALL(send(fd, "abc", 3, 0));
    CALL(write(fd, "def", 3));
    oracle_set(fd, IPPROTO_UDP, UDP_CORK, 0);
    peer_do("udp-recv 0");
    CALL(send(fd, "jkl", 3, 0));
    peer_do("udp-recv 0");
}

static void run_flags(void)
{
    int fd = oracle_udp_connected();

    CALL(send(fd, "abc", 3, MSG_NOSIGNAL | MSG_DONTWAIT));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, MSG_CONFIRM));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, MSG_DONTROUTE));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, MSG_EOR));
    peer_do("udp-recv 0");
    CALL(send(fd, "abc", 3, MSG_PROXY));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT | MSG_WAITALL));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT | MSG_OOB));
    CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT | MSG_ERRQUEUE));
    oracle_peer_sends(fd, 3);
    oracle_recvfrom(fd, 10, MSG_WAITALL);
    oracle_peer_sends(fd, 3);
    oracle_recvfrom(fd, 10, MSG_OOB);
    oracle_recvfrom(fd, 10, MSG_DONTWAIT);
}

static void run_pending(void)
{
    int fd = oracle_udp_connected(), value = -1;

    CALL(ioctl(fd, FIONREAD, &value));
    oracle_say("%d", value);
    oracle_peer_sends(fd, 10);
    oracle_peer_sends(fd, 20);
    CALL(ioctl(fd, FIONREAD, &value));
    oracle_say("%d", value);
    oracle_recvfrom(fd, 3, 0);
    CALL(ioctl(fd, FIONREAD, &value));
    oracle_say("%d", value);
    oracle_recvfrom(fd, 30, 0);
    oracle_peer_sends(fd, 0);
    CALL(ioctl(fd, FIONREAD, &value));
    oracle_say("%d", value);
    oracle_recvfrom(fd, 30, 0);
    CALL(send(fd, "abc", 3, 0));
    peer_do("udp-recv 0");
    CALL(ioctl(fd, SIOCOUTQ, &value));
    oracle_say("%d", value);
    value = 1;
    CALL(ioctl(fd, FIONBIO, &value));
    CALL(recv(fd, &value, 1, 0));
    CALL(ioctl(fd, SIOCATMARK, &value));
}

/* What stdio and the kernel's own copying write to a connected socket. */
static void run_stdio(void)
{
    int fd = oracle_udp_connected();
    FILE *file = fdopen(dup(fd), "w");

    fprintf(file, "hello %d", 1);
    CALL(fflush(file));
    peer_do("udp-recv 0");
    CALL(dprintf(fd, "hello %d", 2));
    peer_do("udp-recv 0");
    fclose(file);
}

static void run_sendfile(void)
{
    int fd = oracle_udp_connected(), file = memfd_create("data", 0);
    off_t offset = 0;

    CALL(write(file, "abcdefghij", 10));
    CALL(sendfile(fd, file, &offset, 10));
    peer_do("udp-recv 0");
}

/* More than a few datagrams wait, for whoever reads late. */
static void run_late_reader(void)
{
    int fd = oracle_udp_bound(), other = oracle_udp(), right = 0;
    char buffer[16];

    oracle_set_timeout(fd, SO_RCVTIMEO, 3000);
    oracle_peer_udp(0);
    for (int i = 0; i < 150; i++)
        right += oracle_sendto(other, &i, sizeof i, 0, oracle_subject_address(oracle_local_port(fd))) == sizeof i;
    oracle_say("%d sent", right);
    right = 0;
    for (int i = 0; i < 150; i++)
        right += recv(fd, buffer, sizeof buffer, 0) == sizeof i && memcmp(buffer, &i, sizeof i) == 0;
    oracle_say("%d received in order", right);
    peer_do("udp-send 0 10 @ %d 150", oracle_local_port(fd));
    right = 0;
    for (int i = 0; i < 150; i++)
        right += recv(fd, buffer, sizeof buffer, 0) == 10 && buffer[0] == 'a' + i % 26;
    oracle_say("%d received in order", right);
}

const struct oracle_case oracle_cases[] = {
    {"sendto_recvfrom", run_sendto_recvfrom},
    {"connected", run_connected},
    {"vectors", run_vectors},
    {"sendmsg", run_sendmsg},
    {"zero_length", run_zero_length},
    {"write_nothing", run_write_nothing},
    {"read_nothing", run_read_nothing},
    {"truncated", run_truncated},
    {"peek", run_peek},
    {"peek_offset", run_peek_offset},
    {"nowhere", run_nowhere},
    {"send_errors", run_send_errors},
    {"bad_memory", run_bad_memory},
    {"boundaries", run_boundaries},
    {"sizes_out", run_sizes_out},
    {"sizes_in", run_sizes_in},
    {"sizes_loopback", run_sizes_loopback},
    {"longest", run_longest},
    {"too_large", run_too_large},
    {"more", run_more},
    {"flags", run_flags},
    {"pending", run_pending},
    {"stdio", run_stdio},
    {"sendfile", run_sendfile},
    {"late_reader", run_late_reader},
    {NULL, NULL},
};
