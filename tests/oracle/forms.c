/*
 * forms.c - calls in forms that few programs use: by number (syscall()), by libc's checked and internal names, with
 * time limits, with more pieces than fit anywhere, with control messages that say little.
 */
#include "oracle_datagram.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* ---- By number ---- */

static void run_syscall_vectors(void)
{
    int fd = oracle_connect_peer();
    char first[4] = "", second[8] = "";
    struct iovec out[2] = {{"abc", 3}, {"def", 3}}, in[2] = {{first, 3}, {second, 7}};
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 2};
    struct mmsghdr many[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    struct timespec time = {.tv_sec = 2};

    CALL(syscall(SYS_writev, fd, out, 2));
    CALL(syscall(SYS_sendmsg, fd, &message, 0));
    CALL(syscall(SYS_sendmmsg, fd, many, 2, 0));
    oracle_say("%u %u", many[0].msg_len, many[1].msg_len);
    peer_do("recv 0 24");
    peer_do("send 0 20");
    oracle_wait_bytes(fd, 20);
    CALL(syscall(SYS_readv, fd, in, 1));
    message.msg_iov = in;
    message.msg_iovlen = 1;
    CALL(syscall(SYS_recvmsg, fd, &message, 0));
    oracle_say("%s", first);
    many[0].msg_hdr.msg_iov = in;
    many[0].msg_hdr.msg_iovlen = 2;
    CALL(syscall(SYS_recvmmsg, fd, many, 1, 0, &time));
    oracle_say("%u %s %s", many[0].msg_len, first, second);
    CALL(syscall(SYS_readv, fd, in, IOV_MAX + 1));
    CALL(syscall(SYS_writev, fd, in, -1));
}

static void run_syscall_descriptors(void)
{
    int fd = oracle_connect_peer(), pair[2], flags, same, other, queued = 0, on = 1;

    same = CALL_FD(syscall(SYS_dup, fd));
    CALL_FD(syscall(SYS_dup3, fd, 150, O_CLOEXEC));
    CALL(fcntl(150, F_GETFD));
    CALL(syscall(SYS_dup3, fd, fd, 0));
    other = CALL_FD(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 160));
    flags = (int)syscall(SYS_fcntl, other, F_GETFL, 0);
    oracle_say("%x", (unsigned)flags & O_ACCMODE);
    CALL(syscall(SYS_ioctl, same, FIONREAD, &queued));
    CALL(syscall(SYS_ioctl, same, FIONBIO, &on));
    oracle_recv(fd, 1, 0);
    CALL(syscall(SYS_close_range, 150, 170, 0));
    CALL(fcntl(150, F_GETFD));
    CALL(send(150, "a", 1, 0));
    CALL(syscall(SYS_close, same));
    CALL(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair));
    CALL(syscall(SYS_write, pair[0], "x", 1));
    CALL(syscall(SYS_socketpair, oracle_family(), SOCK_STREAM, 0, pair));
    CALL(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
    CALL(send(fd, "abc", 3, 0));
    peer_do("recv 0 3");
#ifdef SYS_dup2
    CALL_FD(syscall(SYS_dup2, fd, 150));
    CALL(send(150, "def", 3, 0));
    peer_do("recv 0 3");
#endif
}

static void run_syscall_files(void)
{
    int fd = oracle_connect_peer(), file = memfd_create("file", MFD_CLOEXEC), pipe_fds[2];
    off_t offset = 2;

    if (pipe(pipe_fds) < 0 || write(file, "abcdefgh", 8) != 8)
        oracle_die("pipe");
    CALL(syscall(SYS_sendfile, fd, file, &offset, 4));
    oracle_say("offset %ld", (long)offset);
    peer_do("recv 0 4");
    CALL(write(pipe_fds[1], "1234", 4));
    CALL(syscall(SYS_splice, pipe_fds[0], NULL, fd, NULL, 4, 0));
    peer_do("recv 0 4");
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    CALL(syscall(SYS_splice, fd, NULL, pipe_fds[1], NULL, 10, SPLICE_F_NONBLOCK));
}

/* A descriptor of another process, by its number there. */
static void run_pidfd_getfd(void)
{
    int fd = oracle_connect_peer(), self = (int)syscall(SYS_pidfd_open, getpid(), 0), copy;

    copy = CALL_FD(syscall(SYS_pidfd_getfd, self, fd, 0));
    CALL(send(copy, "abc", 3, 0));
    peer_do("recv 0 3");
    oracle_print_names(copy);
    close(copy);
    copy = CALL_FD(pidfd_getfd(self, fd, 0));
    CALL(send(copy, "abc", 3, 0));
    peer_do("recv 0 3");
    CALL(pidfd_getfd(self, 199, 0));
    CALL(pidfd_getfd(self, fd, 1));
}

/* ---- libc's other names ---- */

static void *find(const char *name)
{
    void *call = dlsym(RTLD_DEFAULT, name);

    if (call == NULL)
        oracle_die(name);
    return call;
}

static void run_checked_2(void)
{
    ssize_t (*recvfrom_call)(int, void *, size_t, size_t, int, void *, socklen_t *);
    int (*poll_call)(struct pollfd *, nfds_t, int, size_t);
    int (*ppoll_call)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
    int fd = oracle_connect_peer();
    char buffer[16] = "";
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN | POLLOUT};
    struct timespec none = {0};
    union oracle_sockaddr from;
    socklen_t length = sizeof from;

    *(void **)&recvfrom_call = find("__recvfrom_chk");
    *(void **)&poll_call = find("__poll_chk");
    *(void **)&ppoll_call = find("__ppoll_chk");
    CALL(poll_call(&poll_fd, 1, 0, sizeof poll_fd));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents));
    peer_do("send 0 6");
    oracle_wait_bytes(fd, 6);
    CALL(ppoll_call(&poll_fd, 1, &none, NULL, sizeof poll_fd));
    oracle_say("%s", oracle_bits_text((unsigned)poll_fd.revents));
    CALL(recvfrom_call(fd, buffer, 6, sizeof buffer, 0, &from, &length));
    oracle_say("%s, length %u", buffer, (unsigned)length);
}

static void run_internal_names_2(void)
{
    int (*dup2_call)(int, int), (*pipe_call)(int *);
    int fd = oracle_connect_peer(), fds[2];

    *(void **)&dup2_call = find("__dup2");
    *(void **)&pipe_call = find("__pipe");
    CALL_FD(dup2_call(fd, 150));
    CALL(send(150, "abc", 3, 0));
    peer_do("recv 0 3");
    CALL(pipe_call(fds));
    CALL(write(fds[1], "x", 1));
    CALL(send(fds[1], "x", 1, 0));
}

static void run_sockatmark(void)
{
    int fd = oracle_connect_peer(), udp = oracle_udp();

    CALL(sockatmark(fd));
    peer_do("send 0 3");
    oracle_wait_bytes(fd, 3);
    CALL(sockatmark(fd));
    CALL(sockatmark(udp));
    CALL(sockatmark(0));
}

static void run_bindresvport_v4(void)
{
    union oracle_sockaddr address = oracle_subject_address(4000);
    int fd = oracle_socket(), udp = oracle_udp(), port;

    CALL(bindresvport(fd, &address.in));
    port = oracle_local_port(fd);
    oracle_say("%d", port >= 512 && port < 1024);
    oracle_say("the same in the address: %d", ntohs(address.in.sin_port) == port);
    CALL(bindresvport(fd, NULL));
    CALL(bindresvport(udp, NULL));
    port = oracle_local_port(udp);
    oracle_say("%d", port >= 512 && port < 1024);
    address.sa.sa_family = AF_INET6;
    CALL(bindresvport(oracle_socket(), &address.in));
    CALL(bindresvport(open("/dev/null", O_RDONLY), NULL));
}

/* ---- Several messages in one call ---- */

static struct mmsghdr many[4];
static char bytes[4][8];
static struct iovec pieces[4];

static void prepare_many(void)
{
    memset(bytes, 0, sizeof bytes);
    for (int i = 0; i < 4; i++) {
        pieces[i] = (struct iovec){bytes[i], 3};
        many[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
}

static void say_many(long count)
{
    for (long i = 0; i < count; i++)
        oracle_say("%u %s", many[i].msg_len, bytes[i]);
}

static void run_recvmmsg_stream(void)
{
    int fd = oracle_connect_peer();
    struct timespec bad = {.tv_nsec = 1000000000}, negative = {.tv_sec = -1}, none = {0}, some = {.tv_sec = 100};

    peer_do("send 0 12");
    oracle_wait_bytes(fd, 12);
    prepare_many();
    CALL(recvmmsg(fd, many, 4, 0, &bad));
    CALL(recvmmsg(fd, many, 4, 0, &negative));
    say_many(CALL(recvmmsg(fd, many, 4, 0, &none))); /* the time is over after the first */
    prepare_many();
    say_many(CALL(recvmmsg(fd, many, 4, MSG_WAITFORONE, &some)));
    oracle_say("time is left: %d", some.tv_sec > 80 && some.tv_sec < 100);
    CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL));
    CALL(recvmmsg(fd, many, 0, 0, NULL));
    peer_do("send 0 3");
    peer_do("shut 0");
    prepare_many();
    oracle_wait_bits(fd, POLLRDHUP);
    say_many(CALL(recvmmsg(fd, many, 4, 0, NULL)));
    CALL(recvmmsg(oracle_socket(), many, 4, 0, NULL));
}

static void run_sendmmsg_stream(void)
{
    int fd = oracle_connect_peer();
    struct mmsghdr *list = calloc(2000, sizeof *list);
    struct iovec one = {"a", 1}, nothing = {"", 0};

    for (int i = 0; i < 2000; i++)
        list[i].msg_hdr = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1};
    CALL(sendmmsg(fd, list, 2000, 0));
    peer_ask("recv 0 1024");
    list[1].msg_hdr.msg_iov = &nothing;
    CALL(sendmmsg(fd, list, 3, 0));
    oracle_say("%u %u %u", list[0].msg_len, list[1].msg_len, list[2].msg_len);
    list[1].msg_hdr.msg_iovlen = IOV_MAX + 1;
    CALL(sendmmsg(fd, list, 3, 0));
    CALL(sendmmsg(fd, list + 1, 1, 0));
    list[1].msg_hdr = (struct msghdr){.msg_iov = NULL, .msg_iovlen = 2};
    CALL(sendmmsg(fd, list, 3, 0));
    CALL(sendmmsg(fd, list, 0, 0));
    CALL(sendmmsg(oracle_socket(), list, 1, MSG_NOSIGNAL));
}

/* An error waits, and a datagram behind it. */
static void run_recvmmsg_after_error(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    (void)port;
    oracle_set(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, oracle_family() == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    CALL(oracle_sendto(fd, "a", 1, 0, oracle_peer_address(oracle_refused_port())));
    oracle_wait_bits(fd, POLLERR);
    oracle_peer_sends(fd, 3);
    prepare_many();
    say_many(CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL)));
    prepare_many();
    say_many(CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL)));
    CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL));
}

/* A datagram waits, and an error behind it. DIFFERS: Linux tells the error first; here the call takes all, and passes
 * it over. */
static void run_recvmmsg_before_error(void)
{
    int fd = oracle_udp_bound(), port = oracle_peer_udp(0);

    (void)port;
    oracle_set(fd, oracle_family() == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, oracle_family() == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
    oracle_peer_sends(fd, 3);
    CALL(oracle_sendto(fd, "a", 1, 0, oracle_peer_address(oracle_refused_port())));
    oracle_peer_sends(fd, 2);
    prepare_many();
    say_many(CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL)));
    prepare_many();
    say_many(CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL)));
    CALL(recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL));
}

/* ---- Many pieces ---- */

static void run_many_pieces(void)
{
    static char data[IOV_MAX];
    static struct iovec list[IOV_MAX + 1];
    int fd = oracle_udp_connected();
    struct msghdr message = {.msg_iov = list, .msg_iovlen = IOV_MAX};
    struct mmsghdr one = {.msg_hdr = message};

    for (int i = 0; i < IOV_MAX; i++) {
        data[i] = (char)('a' + i % 26);
        list[i] = (struct iovec){&data[i], 1};
    }
    CALL(sendmsg(fd, &message, 0));
    peer_do("udp-recv 0");
    CALL(writev(fd, list, IOV_MAX));
    peer_do("udp-recv 0");
    CALL(sendmmsg(fd, &one, 1, 0));
    oracle_say("%u", one.msg_len);
    peer_do("udp-recv 0");
    message.msg_iovlen = IOV_MAX + 1;
    CALL(sendmsg(fd, &message, 0));
    CALL(recvmsg(fd, &message, MSG_DONTWAIT));
    message.msg_iovlen = IOV_MAX;
    for (int round = 0; round < 3; round++) {
        memset(data, '-', sizeof data);
        oracle_peer_sends(fd, 100);
        if (round == 0)
            CALL(recvmsg(fd, &message, 0));
        else if (round == 1)
            CALL(readv(fd, list, IOV_MAX));
        else
            CALL(recvmmsg(fd, &one, 1, 0, NULL));
        oracle_say("%.101s", data);
    }
}

/* The same with pieces of other sizes: two small ones in the middle, a large one at the end, more room than a datagram
 * can need. */
static void run_many_pieces_unlike(void)
{
    static char data[4 * IOV_MAX], room[70000];
    static struct iovec list[IOV_MAX];
    struct msghdr message = {.msg_iov = list, .msg_iovlen = IOV_MAX};
    int fd = oracle_udp_connected();
    size_t at = 0;

    for (int i = 0; i < IOV_MAX; i++) {
        list[i] = (struct iovec){data + at, i == 40 || i == 41 ? 1 : i < 100 ? 3 : 2};
        at += list[i].iov_len;
    }
    for (int size = 119; size <= 123; size++) {
        memset(data, '-', sizeof data);
        oracle_peer_sends(fd, size);
        CALL(recvmsg(fd, &message, 0));
        oracle_say("%.130s", data);
    }
    CALL(sendmsg(fd, &message, 0) == (ssize_t)at);
    peer_do("udp-recv 0");
    list[IOV_MAX - 1].iov_len = 1000;
    oracle_peer_sends(fd, 1400);
    CALL(recvmsg(fd, &message, 0));
    message.msg_iovlen = 1000;
    oracle_peer_sends(fd, 1400);
    CALL(recvmsg(fd, &message, 0));
    message.msg_iovlen = IOV_MAX;
    list[39] = (struct iovec){room, sizeof room};
    oracle_peer_sends(fd, 1400);
    CALL(recvmsg(fd, &message, 0));
    oracle_say("%.120s %.20s", data, room);
    CALL(sendmsg(fd, &message, 0));
    list[39] = list[40] = list[41] = (struct iovec){NULL, 0};
    oracle_peer_sends(fd, 1400);
    CALL(recvmsg(fd, &message, 0));
    list[40] = (struct iovec){NULL, 1};
    CALL(sendmsg(fd, &message, 0));
}

static void run_many_pieces_stream(void)
{
    static char data[IOV_MAX];
    static struct iovec list[IOV_MAX + 1];
    int fd = oracle_connect_peer();
    struct msghdr message = {.msg_iov = list, .msg_iovlen = IOV_MAX + 1};

    for (int i = 0; i < IOV_MAX; i++) {
        data[i] = (char)('a' + i % 26);
        list[i] = (struct iovec){&data[i], 1};
    }
    CALL(sendmsg(fd, &message, 0));
    CALL(recvmsg(fd, &message, MSG_DONTWAIT));
    message.msg_iovlen = IOV_MAX;
    CALL(sendmsg(fd, &message, 0));
    peer_do("recv 0 %d", IOV_MAX);
    peer_do("send 0 50");
    oracle_wait_bytes(fd, 50);
    CALL(recvmsg(fd, &message, MSG_PEEK));
    CALL(recvmsg(fd, &message, MSG_PEEK | MSG_TRUNC));
    CALL(recvmsg(fd, &message, MSG_TRUNC));
}

/* MSG_TRUNC on a stream throws away, and with MSG_PEEK does not even do that. */
static void run_peek_and_drop(void)
{
    int fd = oracle_connect_peer();
    char buffer[16] = "";

    CALL(recv(fd, buffer, 10, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
    peer_do("send 0 12");
    oracle_wait_bytes(fd, 12);
    CALL(recv(fd, NULL, 100, MSG_PEEK | MSG_TRUNC));
    CALL(recv(fd, NULL, 5, MSG_PEEK | MSG_TRUNC));
    CALL(recv(fd, NULL, 5, MSG_TRUNC));
    oracle_recv(fd, 16, 0);
    peer_do("shut 0");
    oracle_wait_bits(fd, POLLRDHUP);
    CALL(recv(fd, NULL, 5, MSG_PEEK | MSG_TRUNC));
}

/* ---- Control messages ---- */

static void run_control_of_a_byte_v4(void)
{
    int fd = oracle_udp_bound();
    union oracle_sockaddr to = oracle_peer_address(oracle_peer_udp(0));
    unsigned char tos = 8, options[8] = {0};

    CALL(oracle_send_control(fd, &to, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    peer_do("udp-recv 0");
    CALL(oracle_send_control(fd, &to, IPPROTO_IP, IP_TTL, &tos, sizeof tos));
    CALL(oracle_send_control(fd, &to, IPPROTO_IP, IP_RETOPTS, options, 0));
    peer_do("udp-recv 0");
    CALL(oracle_send_control(fd, &to, IPPROTO_IP, IP_RETOPTS, options, 8));
    CALL(oracle_send_control(fd, &to, IPPROTO_IP, 99, options, 4));
}

static void run_control_of_ipv6_v6(void)
{
    int fd = oracle_udp_bound(), one = 1, bad = 2, hops = 300;
    union oracle_sockaddr to = oracle_peer_address(oracle_peer_udp(0));

    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_DONTFRAG, &one, sizeof one));
    peer_do("udp-recv 0");
    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_DONTFRAG, &bad, sizeof bad));
    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_DONTFRAG, &one, 1));
    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops));
    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, IPV6_TCLASS, &hops, sizeof hops));
    CALL(oracle_send_control(fd, &to, IPPROTO_IPV6, 99, &one, sizeof one));
}

const struct oracle_case oracle_cases[] = {
    {"syscall_vectors", run_syscall_vectors},
    {"syscall_descriptors", run_syscall_descriptors},
    {"syscall_files", run_syscall_files},
    {"pidfd_getfd", run_pidfd_getfd},
    {"checked_2", run_checked_2},
    {"internal_names_2", run_internal_names_2},
    {"sockatmark", run_sockatmark},
    {"bindresvport_v4", run_bindresvport_v4},
    {"recvmmsg_stream", run_recvmmsg_stream},
    {"sendmmsg_stream", run_sendmmsg_stream},
    {"recvmmsg_after_error", run_recvmmsg_after_error},
    {"recvmmsg_before_error", run_recvmmsg_before_error},
    {"many_pieces", run_many_pieces},
    {"many_pieces_unlike", run_many_pieces_unlike},
    {"many_pieces_stream", run_many_pieces_stream},
    {"peek_and_drop", run_peek_and_drop},
    {"control_of_a_byte_v4", run_control_of_a_byte_v4},
    {"control_of_ipv6_v6", run_control_of_ipv6_v6},
    {NULL, NULL},
};
